"""Loaders of the further formats on the real tables there are: values recomputed from the files."""

import gzip
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genograph.cohorts import CohortQuery, select
from genograph.database.ingest import build, load, read_gene_names
from genograph.errors import CohortError, SourceError
from genograph.loaders import Reading, deleteome
from genograph.store import open_store

SOURCES = Path(__file__).parent / "further_sources.toml"
SLIM = "ontology/sgd_go_slim_mapping.tab.gz"
WILD_TYPE = "morphology/scmd_wildtype_calmorph.tsv"
IMAGES = "morphology/vizeacoumar2010.tsv.gz"
PAIRS = ("fitness/dcell_GO_0000790_train.txt", "fitness/dcell_GO_0006281_train.txt")
SINGLES = "fitness/baryshnikova2010_smf.xlsx"
KINASES = "expression/kemmeren2014_kinase_deletions_zscore.tsv.gz"


@pytest.fixture(scope="module")
def loaded(real_tables, tmp_path_factory):
    """The database of further_sources.toml and what each load did."""
    path = tmp_path_factory.mktemp("real") / "further.db"
    with pytest.MonkeyPatch.context() as patch, open_store(str(path)) as store:
        patch.setenv("GENOGRAPH_REALDATA", str(real_tables))
        ledgers = build(store, SOURCES)
        for ledger in ledgers:
            lost = {
                reason: n for reason, n in ledger.rejected.items() if "not a gene" not in reason
            }
            print(f"\n{ledger.source} {ledger.file}: {ledger.rows_read:,} rows, ", end="")
            print(f"{ledger.written:,} written, {lost or 'none'} rejected, ", end="")
            print(f"{dict(ledger.notes) or 'no'} notes, {ledger.seconds:.1f} s", end="")
        yield store, {(ledger.source, ledger.file): ledger for ledger in ledgers}


def ledger_of(loaded, loader, file):
    return loaded[1][loader, Path(file).name]


def test_slim_annotations_are_those_of_the_file(loaded, real_tables):
    store, _ = loaded
    table = pd.read_csv(real_tables / SLIM, sep="\t", header=None, dtype=str).fillna("")
    assert len(table) == ledger_of(loaded, "sgd_go_slim", SLIM).rows_read == 42_885
    assert table[0].nunique() > 6_604
    genes = read_gene_names(store)
    terms = set(store.query("MATCH (t:Term) RETURN t.id AS id")["id"].to_pylist())
    want = {(genes.resolve(o), t) for o, t in zip(table[0], table[5], strict=True) if t in terms}
    found = store.query(
        "MATCH (g:Gene)-[a:ANNOTATED_WITH {qualifier: 'go_slim'}]->(t:Term) "
        "RETURN g.id AS gene, t.id AS term"
    )
    have = set(zip(found["gene"].to_pylist(), found["term"].to_pylist(), strict=True))
    assert have == want
    assert len(have) == 41_425
    rejected = ledger_of(loaded, "sgd_go_slim", SLIM).rejected
    assert rejected["no term: other"] == (table[4] == "other").sum() == 534
    # every ORF of the feature table is in the slim
    orfs = store.query("MATCH (g:Gene {kind: 'ORF'}) RETURN g.id AS id")["id"].to_pylist()
    assert set(orfs) <= set(table[0])


def test_pairs_have_their_score_and_the_fitness_that_follows(loaded, real_tables, recwarn):
    store, _ = loaded
    rows = pd.concat(
        [
            pd.read_csv(real_tables / f, sep="\t", header=None, names=["n", "a", "b", "e"])
            for f in PAIRS
        ]
    )
    assert len(rows) == 7_932 + 4_548
    singles = pd.read_excel(real_tables / SINGLES, header=None)
    assert {str(w.message) for w in recwarn.list} <= {
        "Unknown extension is not supported and will be removed"
    }
    genes = read_gene_names(store)
    plain = singles[~singles[0].str.contains("_")]
    fitness = plain.groupby(plain[0].map(genes.resolve))[1].mean()
    rows["a"], rows["b"] = rows["a"].map(genes.resolve), rows["b"].map(genes.resolve)
    rows["id"] = "costanzo2016_dcell:fitness:" + rows["a"] + "x" + rows["b"]
    want = rows.drop_duplicates("id").set_index("id").sort_index()
    want["value"] = want["a"].map(fitness) * want["b"].map(fitness) + want["e"]
    found = store.query(
        "MATCH (e:Experiment)-[:FROM_STUDY]->(:Study {id: 'costanzo2016_dcell'}) "
        "RETURN e.id AS id, e.interaction AS e, e.value AS value ORDER BY id"
    ).to_pandas()
    assert found["id"].tolist() == want.index.tolist()
    np.testing.assert_allclose(found["e"], want["e"])
    np.testing.assert_allclose(found["value"].astype(float), want["value"])
    # 209 pairs stand in both files with one score, and are one experiment
    assert len(rows) - len(want) == 209
    assert np.isnan(found["value"].astype(float)).mean() < 0.1


def test_wild_type_replicates_have_501_parameters_and_an_ellipse(loaded, real_tables):
    store, _ = loaded
    table = pd.read_csv(real_tables / WILD_TYPE, sep="\t", index_col=0)
    assert table.shape == (126, 501)
    for study, wanted in (("ohya2005", table.to_numpy(np.float32)), ("ohya2005_ellipse", None)):
        found = store.query(
            "MATCH (e:Experiment)-[:FROM_STUDY]->(:Study {id: $study}) "
            "MATCH (e)-[:TESTS]->(s:Strain) MATCH (e)-[:ALONG]->(x:Axis) "
            "RETURN e.batch AS name, s.id AS strain, "
            "e.values AS numbers, x.names AS names, e.derived AS derived",
            study=study,
        ).to_pandas()
        found = found.set_index("name").loc[table.index]
        assert set(found["strain"]) == {"WT"}
        values = np.stack(found["numbers"].to_list())
        names = list(found["names"].iloc[0])
        if wanted is not None:
            assert names == list(table.columns)
            np.testing.assert_array_equal(values, wanted)
            continue
        assert found["derived"].all()
        for stage in ("A", "A1B", "C"):
            long, short = table[f"C103_{stage}"], table[f"C104_{stage}"]
            size, shape = (values[:, names.index(f"{n}_{stage}")] for n in ("log_e1", "log_e1_e2"))
            np.testing.assert_allclose(size, np.log(long), rtol=1e-5)
            np.testing.assert_allclose(shape, np.log(long / short), rtol=1e-3, atol=1e-6)
            # CalMorph's own ratio is the mean over cells of what this is of the means
            assert np.corrcoef(np.exp(shape), table[f"C115_{stage}"])[0, 1] > 0.95
    assert not ledger_of(loaded, "scmd", WILD_TYPE).notes


def test_image_parameters_are_those_of_the_table(loaded, real_tables):
    store, _ = loaded
    table = pd.read_csv(real_tables / IMAGES, sep="\t", index_col=0)
    measured = table[table.notna().any(axis=1)]
    ledger = ledger_of(loaded, "phenotypes_matrix", IMAGES)
    assert ledger.rows_read == len(table)
    assert sum(ledger.rejected.values()) == len(table) - len(measured) == 52
    found = store.query(
        "MATCH (e:Experiment)-[:FROM_STUDY]->(:Study {id: 'vizeacoumar2010'}) "
        "RETURN e.id AS id, e.values AS numbers"
    ).to_pandas()
    assert len(found) == len(measured)
    found.index = found["id"].str.removeprefix("vizeacoumar2010:morphology:")
    same = [name for name in measured.index if name in found.index]
    assert len(same) > 0.99 * len(measured)
    have = np.stack(found.loc[same, "numbers"].to_list())
    np.testing.assert_array_equal(have, measured.loc[same].to_numpy(np.float32))


@pytest.mark.parametrize(
    ("phenotype", "studies", "units"),
    [
        ("expression", ("kemmeren2014", "kemmeren2014_kinases"), ("log2 fold change", "z-score")),
        (
            "morphology",
            ("mattiazzi_usaj2020", "ohya2005", "ohya2005_ellipse", "vizeacoumar2010"),
            ("CalMorph parameter", "fraction of cells", "image parameter", "natural log"),
        ),
    ],
)
def test_units_of_real_tables_are_never_pooled(loaded, phenotype, studies, units):
    store, _ = loaded
    with pytest.raises(CohortError) as caught:
        select(store, CohortQuery.of(phenotype=[phenotype]), embedding=())
    for word in (*studies, *units):
        assert word in str(caught.value)
    for study in studies:
        cohort = select(store, CohortQuery.of(study=[study]), embedding=())
        assert len(cohort.measured[phenotype]) > 0


def test_a_deleted_genes_own_value_is_negative_in_the_real_kinase_table(
    loaded, real_tables, tmp_path
):
    """The layout of the Deleteome with the real table's numbers (its M would be log ratios)."""
    store, _ = loaded
    with gzip.open(real_tables / KINASES, "rt", encoding="utf-8") as raw:
        header, *rows = (line.rstrip("\n").split("\t") for line in raw)
    strains = header[1:]

    def laid_out(sign):
        file = tmp_path / f"sign{sign}.txt"
        names = [n for s in strains for n in [f"{s.lower()}-del vs. wt"] * 3]
        lines = [["reporterId", "systematicName", "geneSymbol", *names]]
        lines.append(["dataType"] * 3 + ["M", "A", "p_value"] * len(strains))
        for number, (gene, *values) in enumerate(rows):
            cells = [c for v in values for c in (str(sign * float(v)), "NA", "NA")]
            lines.append([str(number), gene, gene.lower(), *cells])
        file.write_text("".join("\t".join(line) + "\n" for line in lines), "utf-8")
        return file

    reading = Reading(read_gene_names(store), store.query)
    found = [t for t in deleteome.read(laid_out(1), reading, study="x") if t.type == "Experiment"]
    assert sum(map(len, found)) == len(strains) == 45
    assert reading.notes["column: the deleted gene itself was not measured"] == 33
    reading = Reading(read_gene_names(store), store.query)
    with pytest.raises(
        SourceError, match=r"negative in 0 of 12 strains \(0\.0%\).*dyes look swapped"
    ):
        list(deleteome.read(laid_out(-1), reading, study="x"))


def test_the_ellipse_of_the_wild_type_is_that_of_an_oval_cell(loaded):
    store, _ = loaded
    cohort = select(store, CohortQuery.of(study=["ohya2005_ellipse"]), embedding=())
    assert cohort.strains.ids.to_pylist() == ["WT"]
    morphology = cohort.vectors["morphology"]
    column = {name: i for i, name in enumerate(morphology.names)}
    shape = morphology.values[:, column["log_e1_e2_A"]]
    assert 0.0 < shape.min() < shape.max() < math.log(1.5)


def test_the_metabolome_is_loaded_by_its_name(loaded, real_tables, tmp_path):
    file = real_tables / "elsewhere/mulleder.csv.gz"
    table = pd.read_csv(file).set_index("ORF").drop(columns="gene")
    with open_store(tmp_path / "metabolome.db") as store:
        load(store, "sgd_features", real_tables / "genome/SGD_features.tab.gz")
        ledger = load(store, "phenotypes_matrix", file, preset="mulleder2016")
        found = store.query(
            "MATCH (e:Experiment)-[:TESTS]->(:Strain)-[:PERTURBS]->(g:Gene) "
            "RETURN g.id AS gene, e.values AS v"
        ).to_pylist()
        names = read_gene_names(store)
    print(f"\n{ledger.rows_read:,} rows, {dict(ledger.rejected)} rejected, {dict(ledger.notes)}")
    assert ledger.rows_read == len(table) == 4_678
    assert len(found) == len(table) - sum(ledger.rejected.values())
    assert len(found) > 4_600
    by_gene = {names.resolve(orf): row for orf, row in table.iterrows()}
    for row in found:
        np.testing.assert_allclose(row["v"], by_gene[row["gene"]], rtol=1e-6)
