"""Files of other publishers and laboratories: read as what they are, or refused with what to do."""

import numpy as np
import pytest
from test_loaders_sources import experiments, h5ad, written

from genograph.database.ingest import build, load
from genograph.errors import SourceError
from genograph.loaders import _genes
from genograph.store import open_store
from genograph.tables import Table

pytestmark = pytest.mark.slow

GENES = {
    "YAL001C": ("TFC3", ["FUN24"]),
    "YAL002W": ("VPS8", []),
    "YAL005C": ("SSA1", []),
    "YGL234W": ("ADE5,7", []),
    "tY(GUA)J2": ("SUP4", []),
}


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "toy.db") as opened:
        symbols, aliases = zip(*GENES.values(), strict=True)
        opened.write(Table.of("Gene", {"id": list(GENES), "symbol": symbols, "aliases": aliases}))
        yield opened


def gff3(path, *lines):
    path.write_text("\n".join(["##gff-version 3", *lines]) + "\n", "utf-8")
    return path


def genes(store, *columns):
    returned = ", ".join(f"g.{c} AS {c}" for c in columns)
    found = store.query(f"MATCH (g:Gene) RETURN g.id AS id, {returned}").to_pylist()
    return {row.pop("id"): tuple(row.values()) for row in found}


# ---------------------------------------------------------------- genes of other publishers


def test_genes_of_refseq_and_of_ensembl_are_those_of_sgd(store, tmp_path):
    place = "2480\t2707\t.\t+\t."
    refseq = gff3(
        tmp_path / "refseq.gff3",
        "NC_001133.9\tRefSeq\tregion\t1\t230218\t.\t+\t.\tID=x;chromosome=I;genome=chromosome",
        "NC_001224.1\tRefSeq\tregion\t1\t85779\t.\t+\t.\tID=y;genome=mitochondrion",
        f"NC_001133.9\tRefSeq\tgene\t{place}\tID=gene-YAL067W-A;Dbxref=GeneID:1,SGD:S000028593;"
        "Name=PAU9;gbkey=Gene;gene=PAU9;gene_biotype=protein_coding;gene_synonym=FLO0;"
        "locus_tag=YAL067W-A",
        f"NC_001224.1\tRefSeq\tgene\t{place}\tID=gene-tP(UGG)Q;gene_biotype=tRNA;locus_tag=tP(UGG)Q",
        f"NC_001148.4\tRefSeq\tgene\t{place}\tID=gene-x;gene_biotype=telomere;locus_tag=x",
        f"BK006934.2\tGenbank\tgene\t{place}\tID=gene-YHL001W;locus_tag=YHL001W",
    )
    ensembl = gff3(
        tmp_path / "ensembl.gff3",
        f"I\tsgd\tgene\t{place}\tID=gene:YAL067W-A;Name=PAU9;biotype=protein_coding;"
        "description=Seripauperin [Source:SGD%3BAcc:S000028593];gene_id=YAL067W-A",
        f"I\tsgd\tmRNA\t{place}\tID=transcript:YAL067W-A_mRNA;Parent=gene:YAL067W-A;"
        "biotype=protein_coding",
        f"Mito\tsgd\tncRNA_gene\t{place}\tID=gene:tP(UGG)Q;biotype=tRNA;gene_id=tP(UGG)Q",
    )
    columns = ("symbol", "kind", "chromosome", "sgd_id")
    ledger = load(store, "gff3", refseq)
    assert ledger.rejected == {"not a gene: region": 2, "not a gene: telomere": 1}
    assert ledger.notes == {"gene called by its locus_tag": 3}
    first = genes(store, *columns)
    assert first["YAL067W-A"] == ("PAU9", "ORF", "I", "S000028593")
    assert first["tP(UGG)Q"] == ("tP(UGG)Q", "tRNA_gene", "Mito", None)
    assert first["YHL001W"][2] == "VIII"
    ledger = load(store, "gff3", ensembl)
    assert ledger.rejected == {"not a gene: mRNA": 1}
    assert genes(store, *columns) == first


def test_a_chromosome_of_no_known_name_is_noted(store, tmp_path):
    file = gff3(tmp_path / "a.gff3", "NC_9.1\tx\tgene\t1\t9\t.\t+\t.\tID=YAL001C")
    assert load(store, "gff3", file).examples == {
        "on a sequence that is no chromosome of yeast": ["line 2: NC_9.1"]
    }


@pytest.mark.parametrize(
    ("name", "chromosome"),
    [
        ("chrIV", "IV"),
        ("NC_001136.10", "IV"),
        ("BK006938", "IV"),
        ("NC_001224.1", "Mito"),
        ("chrmt", "Mito"),
        ("chromosome_2", "2"),
    ],
)
def test_chromosomes_go_by_one_name(name, chromosome):
    assert _genes.name_chromosome(name) == chromosome


def test_genes_under_foreign_ids_are_refused_unless_their_tag_is_named(store, tmp_path):
    lines = [f"I\tx\tgene\t{i}\t{i + 9}\t.\t+\t.\tID=gene000{i};orf=YAL00{i}W" for i in range(1, 9)]
    file = gff3(tmp_path / "maker.gff3", *lines)
    with pytest.raises(SourceError, match=r"8 of 8 names such as gene0001, gene0002.* option id"):
        load(store, "gff3", file)
    assert load(store, "gff3", file, id="orf").written == 8
    with pytest.raises(SourceError, match=r"line 2, column 9 .*got no colour, wanted one colour"):
        load(store, "gff3", file, id="colour")


def test_a_comma_in_a_gene_s_name_ends_no_name(store, tmp_path):
    place = "I\tSGD\tgene\t1\t9\t.\t+\t."
    file = gff3(
        tmp_path / "old.gff3",
        f"{place}\tID=YAR001W;gene=URE7%2C8;Alias=URE7,8,URE80",
        f"{place}\tID=YAR002W;gene=ARO5,6;Alias=ARO5,6,ARO5,MIX1",
        f"{place}\tID=YAR003W;gene=HIS9;Alias=HIS9,OLD4,5,GO2",
        "I\tSGD\ttRNA\t1\t9\t.\t+\t.\tID=tS(AGA)A",
        "I\tSGD\ttRNA\t1\t9\t.\t+\t.\tID=tS(AGA)A_tRNA;Parent=tS(AGA)A",
    )
    assert load(store, "gff3", file).rejected == {"not a gene: tRNA": 1}
    found = genes(store, "symbol", "aliases", "kind")
    assert found["YAR001W"] == ("URE7,8", ["URE80"], "ORF")
    assert found["YAR002W"] == ("ARO5,6", ["MIX1"], "ORF")
    assert found["YAR003W"] == ("HIS9", ["OLD4,5", "GO2"], "ORF")
    assert found["tS(AGA)A"] == ("tS(AGA)A", [], "tRNA_gene")


def test_a_gene_that_strain_ids_cannot_spell_is_rejected(store, tmp_path):
    file = gff3(tmp_path / "a.gff3", *(f"I\tx\tgene\t1\t9\t.\t+\t.\tID={n}" for n in ("A@B", "C")))
    (reason,) = load(store, "gff3", file, id="ID").rejected
    assert reason.startswith("a strain id cannot spell it; wanted a name without blanks")


# ---------------------------------------------------------------- genes that nobody knows


FOREIGN = ["ENSG00000139618", "BRCA1", "gene-YAL001C"]


@pytest.mark.parametrize(
    ("name", "given", "rows"),
    [
        ("experiments_csv", {"study": "x", "unknown": "reject"}, [("strain,value",)]),
        ("phenotypes_matrix", {"study": "x", "unit": "u"}, [("strain", "size")]),
        ("morphology_matrix", {"study": "x", "unit": "u"}, [("strain", "size")]),
        ("expression_matrix", {"study": "x", "unit": "u"}, [("gene", "YAL001C")]),
        ("smf_baryshnikova2010", {}, []),
    ],
)
def test_a_file_of_foreign_genes_is_refused_with_what_they_look_like(
    store, tmp_path, name, given, rows
):
    cells = {"smf_baryshnikova2010": ("1", "0.1")}.get(name, ("1",))
    lines = [(g, *cells) for g in ("TFC3", *FOREIGN)]
    if name == "experiments_csv":
        lines = [(",".join(line),) for line in lines]
    file = written(tmp_path / "foreign.tsv", [*rows, *lines])
    with pytest.raises(SourceError, match=r"3 of 4 rows .*ENSG00000139618.*genes such as YAL001C"):
        load(store, name, file, **given)
    assert store.counts()["Experiment"] == 0
    # genes of yeast that are not loaded are no sign of a foreign file
    text = file.read_text("utf-8")
    for i, gene in enumerate(FOREIGN):
        text = text.replace(gene, f"YBL00{i}W")
    file.write_text(text, "utf-8")
    assert load(store, name, file, **given).rejected == {"unknown gene": 3}


def test_columns_of_foreign_strains_are_refused(store, tmp_path):
    file = written(tmp_path / "a.tsv", [("gene", "TFC3", *FOREIGN), ("TFC3", 1, 1, 1, 1)])
    with pytest.raises(SourceError, match=r"column strain: got 3 of 4 names .*BRCA1"):
        load(store, "expression_matrix", file, study="x", unit="u")
    file = written(tmp_path / "b.tsv", [("gene", "TFC3", *FOREIGN), ("TFC3", 1, 1, 1, 1)])
    with pytest.raises(SourceError, match=r"column factor: got 3 of 4 names"):
        load(store, "yeastract_matrix", file)
    file = h5ad(tmp_path / "c.h5ad", np.full((9, 4), 0.5), ["WT", "TFC3"] * 4 + ["TFC3"], [
        "TFC3", *FOREIGN
    ])  # fmt: skip
    with pytest.raises(SourceError, match=r"column index of var: got 3 of 4 names"):
        load(store, "anndata", file, study="x", strains="strain", min_cells=1)


# ---------------------------------------------------------------- columns that hold no values


@pytest.mark.parametrize("name", ["phenotypes_matrix", "morphology_matrix", "expression_matrix"])
def test_a_column_that_names_the_rows_again_is_left_out_with_a_note(store, tmp_path, name):
    rows = [("ORF", "name", "SSA1", "comment"), ("YAL001C", "TFC3", 1, ""), ("VPS8", "", 2, "low")]
    rows += [("YGL234W", "ADE5,7", 3, "")]
    file = written(tmp_path / "a.tsv", rows)
    given = {"study": "x", "unit": "u"}
    with pytest.raises(SourceError, match="line 3, column comment: got low, wanted a finite"):
        load(store, name, file, **given)
    ledger = load(store, name, file, leave_out="comment", **given)
    assert ledger.examples["column of other names left out"] == ["line 1: name"]
    found = [v[0] for v in experiments(store, "x", "values").values()]
    assert found == ([[1, 2, 3]] if name == "expression_matrix" else [[1], [2], [3]])
    with pytest.raises(
        SourceError, match="line 1: got name, SSA1, comment, wanted the column word"
    ):
        load(store, name, file, leave_out="word", **given)


def test_a_column_of_numbers_is_no_column_of_names(store, tmp_path):
    store.write(Table.of("Gene", {"id": ["12"], "symbol": ["12"], "aliases": [[]]}))
    file = written(tmp_path / "a.tsv", [("strain", "size"), ("12", 12)])
    load(store, "phenotypes_matrix", file, study="x", unit="u")
    assert experiments(store, "x", "values") == {"12": ([12.0],)}


# ---------------------------------------------------------------- single cells


def cells(path, labels):
    x = np.arange(4.0 * len(labels)).reshape(-1, 4) / 7
    return x, h5ad(path, x, labels, ["YAL001C", "YAL002W", "YAL005C", "YGL234W"])


@pytest.mark.parametrize(
    ("labels", "given", "strains"),
    [
        (
            ["ctrl", "VPS8+ctrl", "ctrl+VPS8", "VPS8+SSA1", "ctrl+SSA1"],
            {"control": "ctrl"},
            {"YAL002W": [1, 2], "YAL002WxYAL005C": [3], "YAL005C": [4]},
        ),
        (
            ["control", "VPS8_SSA1", "SSA1", "VPS8_control", "non-targeting_7"],
            {"control": "control"},
            {"YAL002WxYAL005C": [1], "YAL005C": [2], "YAL002W": [3]},
        ),
        (
            ["WT", "VPS8|SSA1", "tY(GUA)J2|TFC3", "tY(GUA)J2", "SSA1(damp)"],
            {"separator": "|"},
            {"YAL002WxYAL005C": [1], "tY(GUA)J2xYAL001C": [2], "tY(GUA)J2": [3],
             "YAL005C(damp)": [4]},
        ),
    ],
)  # fmt: skip
def test_labels_of_cells_are_read_in_every_collection_s_convention(
    store, tmp_path, labels, given, strains
):
    x, file = cells(tmp_path / "cells.h5ad", labels)
    ledger = load(store, "anndata", file, study="x", strains="strain", min_cells=1, **given)
    assert ledger.rejected == {}
    found = experiments(store, "x", "values")
    assert set(found) == set(strains)
    controls = [i for i, name in enumerate(labels) if name.startswith(("c", "non", "WT"))]
    controls = [i for i in controls if "+" not in labels[i]]
    for name, rows in strains.items():
        want = x[rows].mean(0) - x[controls].mean(0)
        np.testing.assert_allclose(found[name][0], want, rtol=1e-5)


def test_cells_of_two_labels_of_one_strain_count_together(store, tmp_path):
    labels = ["ctrl"] * 2 + ["VPS8+ctrl", "ctrl+VPS8", "SSA1", "wt"]
    _, file = cells(tmp_path / "cells.h5ad", labels)
    given = {"study": "x", "strains": "strain", "control": "ctrl", "min_cells": 2}
    ledger = load(store, "anndata", file, **given)
    assert set(experiments(store, "x", "values")) == {"YAL002W"}
    assert ledger.rejected == {
        "too few cells of a strain": 1,
        "wild type that is not the control": 1,
    }


# ---------------------------------------------------------------- the Deleteome


@pytest.mark.parametrize(("own", "used"), [(-4, True), (-1, True), (-0.5, False), ("NA", False)])
def test_a_gene_s_name_alone_is_its_deletion_where_the_gene_is_down(store, tmp_path, own, used):
    names = ["vps8-del vs. wt", "ssa1 vs. wt", "wt-x vs. wt"]
    head = ["reporterId", "systematicName", "geneSymbol", *(n for n in names for _ in range(3))]
    kinds = ["dataType", "", ""] + ["M", "A", "p_value"] * 3
    rows = [
        [1, "YAL002W", "VPS8", -3, 9, 0.5, 0.1, 9, 0.5, 0.1, 9, 0.5],
        [2, "YAL005C", "SSA1", 0.2, 9, 0.5, own, 9, 0.5, 0.1, 9, 0.5],
    ]
    ledger = load(store, "deleteome", written(tmp_path / "d.txt", [head, kinds, *rows]))
    assert set(experiments(store, "kemmeren2014", "p")) == (
        {"YAL002W", "YAL005C"} if used else {"YAL002W"}
    )
    assert ledger.notes == (
        {"column: taken for a deletion, the gene itself is down": 1} if used else {}
    )
    assert ledger.rejected.get("column: no deletion strain", 0) == (not used)


# ---------------------------------------------------------------- annotations of other years


def gaf(path, version, rows):
    """A GAF file of (relation, term)."""
    text = f"!gaf-version: {version}\n"
    for relation, term in rows:
        text += (
            f"SGD\tS1\tTFC3\t{relation}\t{term}\tPMID:1\tIDA\t\tP\t\tYAL001C|FUN24\tprotein\t"
            "taxon:559292\t20100101\tSGD\t\t\n"
        )
    path.write_text(text, "utf-8")
    return path


def annotations(store):
    found = store.query(
        "MATCH (:Gene)-[a:ANNOTATED_WITH]->(t:Term) RETURN t.id AS id, a.qualifier AS q, "
        "a.negated AS n ORDER BY id, q"
    )
    return [tuple(row.values()) for row in found.to_pylist()]


@pytest.fixture
def with_terms(store):
    old = ["GO:0000003", "GO:0000004"]
    store.write(
        Table.of(
            "Term",
            {
                "id": ["GO:0000001", "GO:0000002", *old],
                "name": ["repair", "transport", "old repair", "old transport"],
                "namespace": ["biological_process"] * 4,
                "obsolete": [False, False, True, True],
                "alt_ids": [old[:1], [], [], []],
            },
        )
    )
    return store


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_gaf_of_other_years_has_few_relations(with_terms, tmp_path, version):
    rows = [("", "GO:0000001"), ("NOT", "GO:0000002"), ("NOT|contributes_to", "GO:0000001")]
    load(with_terms, "gaf", gaf(tmp_path / "a.gaf", version, rows))
    assert annotations(with_terms) == [
        ("GO:0000001", "", False),
        ("GO:0000001", "NOT|contributes_to", True),
        ("GO:0000002", "NOT", True),
    ]
    with pytest.raises(SourceError, match=r"line 2, column 4 \(relation\): got involved_in"):
        load(with_terms, "gaf", gaf(tmp_path / "b.gaf", version, [("involved_in", "GO:0000001")]))


def test_a_retired_term_with_one_successor_is_that_one_in_every_loader(with_terms, tmp_path):
    rows = [("involved_in", "GO:0000003"), ("involved_in", "GO:0000004")]
    slim = [("YAL001C", "TFC3", "S1", "P", "repair", t, "ORF") for _, t in rows]
    for name, file in (
        ("gaf", gaf(tmp_path / "a.gaf", "2.2", rows)),
        ("sgd_gene_go", written(tmp_path / "b.tsv", [("YAL001C", "TFC3", t) for _, t in rows])),
        ("sgd_go_slim", written(tmp_path / "c.tab", slim)),
    ):
        ledger = load(with_terms, name, file)
        assert ledger.rejected == {"obsolete term": 1}, name
        assert ledger.notes["obsolete term, its successor used"] == 1, name
    assert {id for id, _, _ in annotations(with_terms)} == {"GO:0000001"}


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize(
    ("columns", "taxon"),
    [
        ("combined_score", "4932"),
        ("neighborhood fusion cooccurence coexpression experimental combined_score", "4932"),
        ("homology experiments experiments_transferred combined_score", "559292"),
    ],
)
def test_every_variant_of_string_s_links_gives_the_same_edges(store, tmp_path, columns, taxon):
    n_other = len(columns.split()) - 1
    text = f"protein1 protein2 {columns}\n"
    for a, b in (("YAL001C", "YAL005C"), ("YAL005C", "YAL001C")):
        text += " ".join([f"{taxon}.{a}", f"{taxon}.{b}", *["0"] * n_other, "700"]) + "\n"
    (tmp_path / "links.txt").write_text(text)
    load(store, "string_links", tmp_path / "links.txt")
    found = store.query("MATCH (a:Gene)-[r:INTERACTS_WITH]->(b:Gene) RETURN a.id, b.id, r.score")
    assert [tuple(row.values()) for row in found.to_pylist()] == [("YAL001C", "YAL005C", 0.7)]


def test_one_type_of_biogrid_is_loaded_alone(store, tmp_path):
    from test_loaders_sources import DATA

    text = (DATA / "biogrid" / "input.txt").read_text("utf-8")
    text = text.replace("YAL001W", "YAL001C").replace("YAL002C", "YAL002W")
    (tmp_path / "b.txt").write_text(text, "utf-8")
    ledger = load(store, "biogrid", tmp_path / "b.txt", type="genetic", network="b")
    assert ledger.rejected == {"not genetic": 6}
    found = store.query("MATCH (a:Gene)-[r:INTERACTS_WITH]->(b:Gene) RETURN a.id, r.source, b.id")
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("YAL001C", "b_genetic", "YAL002W")
    ]
    with pytest.raises(SourceError, match="option type is 'x', wanted physical, genetic or both"):
        load(store, "biogrid", tmp_path / "b.txt", type="x")


# ---------------------------------------------------------------- published tables by name

AMINO_ACIDS = (
    *("alanine", "aspartate", "glutamate", "phenylalanine", "glycine", "histidine", "isoleucine"),
    *("lysine", "leucine", "methionine", "asparagine", "proline", "glutamine", "arginine"),
    *("serine", "threonine", "valine", "tryptophan", "tyrosine"),
)


def test_the_metabolome_of_2016_is_loaded_by_its_name(store, tmp_path):
    rows = [("YAL002W", "VPS8", *range(19)), ("YAL005C", "SSA1", *["NA"] * 18, 2)]
    file = tmp_path / "metabolome.csv"
    lines = [",".join(map(str, row)) for row in (("ORF", "gene", *AMINO_ACIDS), *rows)]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    load(store, "phenotypes_matrix", file, preset="mulleder2016")
    found = experiments(store, "mulleder2016", "unit", "phenotype", "values")
    assert found["YAL002W"] == ("z-score", "traits", [float(n) for n in range(19)])
    assert found["YAL005C"][2][-1] == 2.0
    (study,) = store.query("MATCH (u:Study) RETURN u.doi AS doi, u.id AS id").to_pylist()
    assert study == {"doi": "10.1016/j.cell.2016.09.007", "id": "mulleder2016"}
    file.write_text(file.read_text("utf-8").replace("valine", "value"), "utf-8")
    with pytest.raises(SourceError, match="got also value, wanted the columns of mulleder2016"):
        load(store, "phenotypes_matrix", file, preset="mulleder2016")


@pytest.fixture
def proteomes(tmp_path):
    """Two proteins by samples, and the table of samples, as the publication has them."""
    matrix, samples = tmp_path / "wide.csv", tmp_path / "metadata.csv"
    matrix.write_text(
        "Protein.Group,1_1_hpr1_HIS3_YOR202W_HIS3_0.5,1_2_hpr1_ko_YAL002W_VPS8_0.47,"
        "1_3_hpr1_ko_YAL005c_yal005c_0.9,1_4_hpr1_qc_qc_qc_1,1_5_hpr1_HIS3_YOR202W_HIS3_0.5,"
        "1_6_hpr1_ko_YXX999W_x_1,unlisted\n"
        "P00001,10.5,8,,1,12,1,1\nP00002,4,NA,5.25,1,,1,1\n",
        "utf-8",
    )
    samples.write_text(
        "Filename,plate_nr,sampletype,ORF\n"
        "1_1_hpr1_HIS3_YOR202W_HIS3_0.5,1,HIS3,YOR202W\n"
        "1_2_hpr1_ko_YAL002W_VPS8_0.47,1,ko,YAL002W\n"
        "1_3_hpr1_ko_YAL005c_yal005c_0.9,1,ko,YAL005c\n"
        "1_4_hpr1_qc_qc_qc_1,1,qc,qc\n"
        "1_5_hpr1_HIS3_YOR202W_HIS3_0.5,1,HIS3,YOR202W\n"
        "1_6_hpr1_ko_YXX999W_x_1,1,ko,YXX999W\n"
        "absent,1,ko,YAL001C\n",
        "utf-8",
    )
    return matrix, samples


def test_the_proteomes_of_2023_are_samples_that_a_second_table_describes(store, proteomes):
    matrix, samples = proteomes
    given = {"preset": "messner2023", "samples": str(samples)}
    ledger = load(store, "phenotypes_matrix", matrix, **given)
    assert ledger.rejected == {
        "unknown gene": 1,
        "sample that the table of samples lacks": 1,
    }
    assert ledger.notes == {
        "sample without a column of values": 1,
        "control of the instrument left out": 1,
        "strain measured again": 1,
        "another name or case of a gene": 1,
    }
    found = store.query(
        "MATCH (e:Experiment)-[:TESTS]->(s:Strain) "
        "RETURN s.id AS strain, e.values AS v, e.unit AS unit"
    ).to_pylist()
    values = sorted((row["strain"], [v if v == v else None for v in row["v"]]) for row in found)
    assert values == [
        ("WT", [10.5, 4.0]),
        ("WT", [12.0, None]),
        ("YAL002W", [8.0, None]),
        ("YAL005C", [None, 5.25]),
    ]
    assert {row["unit"] for row in found} == {"relative intensity"}
    (axis,) = store.query("MATCH (x:Axis) RETURN x.names AS names").to_pylist()
    assert axis["names"] == ["P00001", "P00002"]


def test_a_load_is_another_one_when_its_second_file_is_another(store, proteomes, tmp_path):
    matrix, samples = proteomes
    listed = tmp_path / "sources.toml"
    listed.write_text(
        f'[[source]]\nloader = "phenotypes_matrix"\nfile = "{matrix.name}"\n'
        f'preset = "messner2023"\nsamples = "{samples.name}"\n',
        "utf-8",
    )
    assert [ledger.skipped for ledger in build(store, listed)] == [False]
    assert [ledger.skipped for ledger in build(store, listed)] == [True]
    samples.write_text(samples.read_text("utf-8").replace("YXX999W\n", "YAL001C\n"), "utf-8")
    assert [ledger.skipped for ledger in build(store, listed)] == [False]
    samples.unlink()
    with pytest.raises(SourceError, match=r"metadata\.csv: no such file"):
        build(store, listed)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("P00002", "P00001", "line 3, column Protein.Group: got P00001 twice"),
        ("Protein.Group", "Protein", "got Protein, wanted Protein.Group"),
        ("10.5", "ten", "line 2, column 1_1_hpr1_HIS3_YOR202W_HIS3_0.5: got ten"),
        ("P00001,10.5", "P00001", "got 7 columns, wanted 8 as in the header"),
        ("unlisted", "1_4_hpr1_qc_qc_qc_1", "1_4_hpr1_qc_qc_qc_1 twice, wanted every name once"),
    ],
)
def test_a_table_of_samples_that_is_damaged_says_where(store, proteomes, old, new, message):
    matrix, samples = proteomes
    matrix.write_text(matrix.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(SourceError, match=message):
        load(store, "phenotypes_matrix", matrix, preset="messner2023", samples=str(samples))
