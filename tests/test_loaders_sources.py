"""Loaders of the further public formats: what each makes of its format's traps."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from genograph import loaders
from genograph.cli import main
from genograph.cohorts import CohortQuery, select
from genograph.database.ingest import load
from genograph.errors import SourceError
from genograph.loaders import anndata as cells
from genograph.loaders import deleteome, scmd
from genograph.loaders._sga import strain_perturbation
from genograph.loaders.sga_costanzo2016 import HEADER
from genograph.store import open_store

DATA = Path(__file__).parent / "data"
GENOME = DATA / "sgd_features" / "input.tab"


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "toy.db") as opened:
        load(opened, "sgd_features", GENOME)
        yield opened


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A store in which every load of the module is refused."""
    with open_store(tmp_path_factory.mktemp("untouched") / "toy.db") as opened:
        load(opened, "sgd_features", GENOME)
        yield opened


def fixture(name):
    (found,) = (DATA / name).glob("input.*")
    return found


def options(name):
    return tomllib.loads((DATA / name / "case.toml").read_text("utf-8")).get("options", {})


def written(path, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), "utf-8")
    return path


def experiments(store, study, *columns):
    """The columns of the study's experiments by what follows `study:phenotype:` in their ids."""
    returned = ", ".join(f"e.{c} AS {c}" for c in columns)
    found = store.query(
        f"MATCH (e:Experiment)-[:FROM_STUDY]->(:Study {{id: $study}}) "
        f"RETURN e.id AS id, {returned}",
        study=study,
    ).to_pylist()
    return {row["id"].split(":", 2)[2]: tuple(row[c] for c in columns) for row in found}


# ---------------------------------------------------------------- genome and ontology


def test_gff3_and_the_feature_table_give_the_same_gene(store):
    columns = "g.symbol AS a, g.sgd_id AS b, g.kind AS c, g.chromosome AS d, g.status AS e"
    cypher = f"MATCH (g:Gene {{id: 'Q0010'}}) RETURN {columns}"
    (before,) = store.query(cypher).to_pylist()
    load(store, "gff3", fixture("gff3"))
    (after,) = store.query(cypher).to_pylist()
    assert (before["b"], before["c"], before["d"]) == (after["b"], after["c"], after["d"])
    assert after["d"] == "Mito"


def test_gff3_escapes_are_decoded_after_values_are_split(store):
    load(store, "gff3", fixture("gff3"))
    (row,) = store.query(
        "MATCH (g:Gene {id: 'YAL001W'}) RETURN g.aliases AS aliases, g.description AS words"
    ).to_pylist()
    assert row["aliases"] == ["OLD1", "tau 138, SHARED"]
    assert row["words"] == "Subunit of a toy; short"


def test_slim_annotations_stand_beside_those_proper(store):
    load(store, "obo", DATA / "obo" / "input.obo")
    load(store, "sgd_go_slim", fixture("sgd_go_slim"))
    before = store.counts()["ANNOTATED_WITH"]
    load(store, "sgd_gene_go", fixture("sgd_gene_go"))
    again = load(store, "sgd_go_slim", fixture("sgd_go_slim"))
    assert again.written == 0
    assert store.counts()["ANNOTATED_WITH"] > before
    found = store.query("MATCH (:Gene)-[a:ANNOTATED_WITH]->(:Term) RETURN a.qualifier AS q")
    assert {"", "go_slim"} <= set(found["q"].to_pylist())


# ---------------------------------------------------------------- screens


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("YAL001W_sn12", "YAL001W"),
        ("YAL001W_dma1", "YAL001W"),
        ("YAL001W_damp174", "YAL001W(damp)"),
        ("YAL001W_tsa508", "YAL001W(ts:tsa508)"),
        ("YAL001W_TSQ508", "YAL001W(ts:tsq508)"),
        ("YAL001W_S7", None),
        ("YAL001W", None),
        ("YAL001W_dma", None),
        ("YAL001W_dma1_2", None),
    ],
)
def test_a_strain_id_tells_the_kind_of_perturbation(name, spelled):
    found = strain_perturbation(name, "YAL001W")
    assert (None if found is None else str(found)) == spelled


def test_scores_and_fitness_are_kept_as_reported_at_each_temperature(store):
    load(store, "sga_costanzo2016", fixture("sga_costanzo2016"))
    found = experiments(store, "costanzo2016", "value", "interaction", "interaction_sd", "derived")
    assert found["YAL001WxYBL002W@SGA_30C"] == (0.674, -0.2, None, None)
    assert found["YAL001WxYBL002W@SGA_26C"] == (0.9121, 0.01, None, None)
    assert found["YBL002WxYAL001W@SGA_30C"] == (0.764, -0.1, None, None)
    # epsilon is what is left of the fitness at that temperature over the product of the singles
    value, epsilon, *_ = found["YAL001WxYBL002W@SGA_30C"]
    assert value - 0.95 * 0.92 == pytest.approx(epsilon)


def test_files_that_share_strains_give_a_single_mutant_the_same_experiment(store, tmp_path):
    def row(query, array, smf):
        return [query, "x", array, "y", "DMA30", 0.01, 0.5, smf[0], smf[1], 0.9, 0.02]

    one = [HEADER, row("YAL001W_dma1", "YBL002W_dma7", (0.96, 0.92))]
    one.append(row("YAL001W_sn12", "YBL001C_dma9", (0.95, 0.99)))
    other = [HEADER, row("YAL001W_sn12", "YAL004W_tsa3", (0.95, 1.0))]
    load(store, "sga_costanzo2016", written(tmp_path / "SGA_NxN.txt", one))
    before = experiments(store, "costanzo2016", "value", "batch")
    load(store, "sga_costanzo2016", written(tmp_path / "SGA_ExN.txt", other))
    after = experiments(store, "costanzo2016", "value", "batch")
    assert {k: after[k] for k in before} == before
    singles = {batch: value for value, batch in after.values() if batch}
    assert singles["YAL001W_sn12"] == 0.95
    assert singles["YAL001W_dma1"] == 0.96
    assert len(singles) == 5


def test_trigenic_scores_never_stand_among_the_scores_of_pairs(store):
    load(store, "sga_kuzmin2018", fixture("sga_kuzmin2018"), **options("sga_kuzmin2018"))
    columns = ("value", "interaction", "raw_interaction", "tau")
    found = experiments(store, "kuzmin2018", *columns)
    triple = "YAL001WxYAL002CxYBL002W"
    assert found[triple] == (0.628, None, -0.2, -0.15)
    assert found["YAL001WxYBL002W"] == (0.854, -0.02, None, None)
    # the raw score is the triple's fitness over that of the query times the array's
    assert found[triple][0] - 0.9 * 0.92 == pytest.approx(-0.2)
    cohort = select(store, CohortQuery.of(study=["kuzmin2018"]), embedding=())
    of_triple = cohort.strains.n_perturbed[cohort.fitness.strain] == 3
    assert of_triple.sum() == 3
    assert np.isnan(cohort.fitness.interaction[of_triple]).all()


def test_the_control_deletion_is_no_part_of_the_strain(store):
    load(store, "sga_kuzmin2018", fixture("sga_kuzmin2018"), **options("sga_kuzmin2018"))
    found = store.query("MATCH (:Strain)-[:PERTURBS]->(g:Gene) RETURN g.id AS id")["id"]
    assert "YAL067W" not in found.to_pylist()


def test_the_table_of_2020_has_other_names_of_two_columns(store, tmp_path):
    text = fixture("sga_kuzmin2018").read_text("utf-8")
    later = tmp_path / "s1.tsv"
    later.write_text(text.replace("Combined mutant fitness", "Double/triple mutant fitness"))
    ledger = load(store, "sga_kuzmin2018", later, study="kuzmin2020", control="YAL067W")
    assert ledger.rows_read == 12
    assert len(experiments(store, "kuzmin2020", "value")) == 15


def test_pairs_without_singles_say_what_to_load(store, tmp_path):
    load(store, "smf_baryshnikova2010", fixture("smf_baryshnikova2010"), study="mine")
    with pytest.raises(SourceError, match="no single-mutant fitness of the study bary"):
        load(store, "dcell_pairs", fixture("dcell_pairs"))
    load(store, "dcell_pairs", fixture("dcell_pairs"), singles="mine")


# ---------------------------------------------------------------- expression


def array_table(path, m):
    """A Deleteome table of n strains of n genes with the given M of their own."""
    names = [f"{g}-del vs. wt" for g in range(len(m))]
    head = ["reporterId", "systematicName", "geneSymbol", *(n for n in names for _ in range(3))]
    kinds = ["dataType"] * 3 + ["M", "A", "p_value"] * len(m)
    rows = []
    for i in range(len(m)):
        cells = [x for j in range(len(m)) for x in (m[i] if i == j else 0.1, 9, 0.5)]
        rows.append([i, f"G{i}", f"{i}", *cells])
    return written(path, [head, kinds, *rows])


@pytest.mark.parametrize(("n_up", "fits"), [(0, True), (1, True), (2, False), (50, False)])
def test_deleted_genes_must_go_down_in_98_of_100_strains(tmp_path, n_up, fits):
    names = GeneList(50)
    m = [1.0] * n_up + [-2.0] * (50 - n_up)
    file = array_table(tmp_path / "deleteome.txt", m)
    if fits:
        found = [t for t in deleteome.read(file, names, study="x") if t.type == "Experiment"]
        assert sum(map(len, found)) == 50
        return
    with pytest.raises(SourceError) as caught:
        list(deleteome.read(file, names, study="x"))
    message = str(caught.value)
    assert f"negative in {50 - n_up} of 50 strains ({(50 - n_up) / 50:.1%})" in message
    assert "at least 98%" in message
    assert ("dyes look swapped" in message) == (n_up == 50)


class GeneList:
    """A reading over genes G0, G1 ... with the symbols 0, 1 ..."""

    def __new__(cls, n):
        import pyarrow as pa

        from genograph.loaders import GeneNames, Reading

        ids = [f"G{i}" for i in range(n)]
        symbols = [str(i) for i in range(n)]
        table = pa.table({"id": ids, "symbol": symbols, "aliases": [[] for _ in ids]})
        return Reading(GeneNames(table), lambda *_: table)


def test_p_values_stand_along_the_axis_of_the_ratios(store):
    load(store, "deleteome", fixture("deleteome"))
    values, p = experiments(store, "kemmeren2014", "values", "p_values")["YAL002C"]
    np.testing.assert_allclose(values, [0.1, -4, -0.125, np.nan], rtol=1e-6)
    np.testing.assert_allclose(p, [0.5, 0, 0.5, np.nan])


def h5ad(path, x, strains, genes, *, sparse=None, layer=None):
    """An h5ad file as AnnData writes it."""
    import h5py
    import pandas as pd
    from anndata.io import write_elem
    from scipy import sparse as sp

    with h5py.File(path, "w") as file:
        index = pd.Index([f"cell{i}" for i in range(len(x))], dtype=object)
        column = pd.Series(strains, index=index, dtype=object)
        write_elem(file, "obs", pd.DataFrame({"strain": column}))
        write_elem(file, "var", pd.DataFrame(index=pd.Index(genes, dtype=object)))
        write_elem(file, "X", sp.csr_matrix(x) if sparse else x)
        write_elem(file, "layers", {} if layer is None else {"other": layer})
    return path


def random_cells(n_cell=60, seed=0):
    rng = np.random.default_rng(seed)
    genes = ["YAL001W", "YAL002C", "YAL003W", "YBL001C"]
    x = np.log1p(rng.poisson(1.5, (n_cell, 4)) / 3).astype(np.float32)
    strains = rng.choice(["WT", "YAL001W", "BBB1", "YAL003W+YBL001C"], n_cell)
    return x, strains, genes


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("block", [7, 2_000])
def test_groups_are_differences_of_means_whatever_the_layout(
    store, tmp_path, monkeypatch, sparse, block
):
    monkeypatch.setattr(cells, "_BLOCK", block)
    x, strains, genes = random_cells()
    file = h5ad(tmp_path / "cells.h5ad", x, strains, genes, sparse=sparse)
    load(store, "anndata", file, study="toy", strains="strain", min_cells=2)
    found = experiments(store, "toy", "values", "unit")
    assert set(found) == {"YAL001W", "YAL002C", "YAL003WxYBL001C"}
    control = x[strains == "WT"].astype(np.float64).mean(0)
    for name, label in (("YAL001W", "YAL001W"), ("YAL002C", "BBB1")):
        want = x[strains == label].astype(np.float64).mean(0) - control
        np.testing.assert_allclose(found[name][0], want, rtol=1e-5, atol=1e-6)
        assert found[name][1] == cells.UNIT


def test_every_cell_is_an_experiment_and_the_control_cells_are_wild_types(store, tmp_path):
    x, strains, genes = random_cells()
    file = h5ad(tmp_path / "cells.h5ad", x, strains, genes, sparse=True)
    load(store, "anndata", file, study="toy", strains="strain", by="cell", min_cells=1)
    found = experiments(store, "toy", "values")
    assert len(found) == len(x)
    wild = np.array([v[0] for name, v in found.items() if name.partition("#")[0] == "WT"])
    assert len(wild) == (strains == "WT").sum()
    np.testing.assert_allclose(wild.mean(0), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strains": "genotype"}, "option strains=genotype is no column; there are strain"),
        ({"control": "ctrl"}, "no cell has strain = ctrl, the control; there are"),
        ({"layer": "log"}, "has no layer log; its layers: none"),
        ({"by": "plate"}, "option by is 'plate', wanted group or cell"),
        ({"genes": "symbol"}, "option genes=symbol is no column"),
    ],
)
def test_an_option_that_does_not_fit_the_file_says_what_there_is(
    untouched, tmp_path, change, message
):
    file = h5ad(tmp_path / "cells.h5ad", *random_cells())
    given = {"study": "toy", "strains": "strain"} | change
    with pytest.raises(SourceError, match=re.escape(message)):
        load(untouched, "anndata", file, **given)


def test_a_sparse_matrix_that_points_outside_is_refused(untouched, tmp_path):
    import h5py

    x, strains, genes = random_cells()
    for name, at, value in (("indices", 0, 99), ("indices", 0, -1), ("indptr", 3, 10**6)):
        file = h5ad(tmp_path / "cells.h5ad", x, strains, genes, sparse=True)
        with h5py.File(file, "r+") as held:
            held["X"][name][at] = value
        with pytest.raises(SourceError, match="cannot be read as h5ad"):
            load(untouched, "anndata", file, study="toy", strains="strain")


def test_without_the_package_the_loader_says_how_to_get_it(untouched, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(
        SourceError, match=r"needs the package anndata.*; pip install 'genograph\[anndata\]'"
    ):
        load(untouched, "anndata", fixture("anndata"), **options("anndata"))


# ---------------------------------------------------------------- morphology and any matrix


REPLICATES = (
    ("name", "C11-1_A", "C103_A", "C104_A"),
    ("HIS3-001", 800, 20, 16),
    ("HIS3-002", 820, 21, 16.5),
    ("HIS3-003", 780, 19, 15),
)


def test_replicates_are_experiments_of_the_wild_type_with_their_names(store, tmp_path):
    file = written(tmp_path / "wt.tsv", REPLICATES)
    load(store, "scmd", file)
    found = experiments(store, "ohya2005", "batch", "derived")
    assert found == {
        "WT": ("HIS3-001", None),
        "WT#2": ("HIS3-002", None),
        "WT#3": ("HIS3-003", None),
    }
    tested = store.query("MATCH (e:Experiment)-[:TESTS]->(s:Strain) RETURN DISTINCT s.id AS id")
    assert tested["id"].to_pylist() == ["WT"]


def test_the_ellipse_is_a_view_of_its_own_axis_and_unit(store, tmp_path):
    load(store, "scmd", written(tmp_path / "wt.tsv", REPLICATES))
    found = experiments(store, "ohya2005_ellipse", "values", "derived", "unit")
    assert len(found) == 3
    values, derived, unit = found["WT"]
    np.testing.assert_allclose(values, [np.log(20), np.log(20 / 16)], rtol=1e-6)
    assert derived
    assert unit == scmd.ELLIPSE_UNIT


@pytest.mark.parametrize("view", ["parameters", "ellipse"])
def test_one_view_alone_can_be_loaded(store, tmp_path, view):
    load(store, "scmd", written(tmp_path / "wt.tsv", REPLICATES), view=view)
    assert bool(experiments(store, "ohya2005", "unit")) == (view == "parameters")
    assert bool(experiments(store, "ohya2005_ellipse", "unit")) == (view == "ellipse")


def test_a_cohort_takes_one_view_and_has_the_wild_type_as_a_strain(store, tmp_path):
    load(store, "scmd", written(tmp_path / "wt.tsv", REPLICATES))
    mutants = written(tmp_path / "mt.tsv", [("ORF", *REPLICATES[0][1:]), ("YAL001W", 700, 18, 17)])
    load(store, "scmd", mutants)
    load(store, "obo", DATA / "obo" / "input.obo")
    for study, n_column in (("ohya2005", 3), ("ohya2005_ellipse", 2)):
        cohort = select(store, CohortQuery.of(study=[study]), embedding=())
        assert cohort.strains.ids.to_pylist() == ["WT", "YAL001W"]
        assert cohort.strains.n_perturbed.tolist() == [0, 1]
        assert cohort.vectors["morphology"].values.shape == (4, n_column)
        assert cohort.vectors["morphology"].strain.tolist() == [0, 0, 0, 1]


def test_a_trait_table_is_vectors_and_may_have_commas(store, tmp_path):
    file = tmp_path / "traits.csv"
    file.write_text('\ufefforf,"size, um",shape\nYAL001W,1.5,\nBBB1,2,0.5\n', "utf-8")
    load(store, "phenotypes_matrix", file, study="lab", unit="a.u.", licence="CC0")
    found = experiments(store, "lab", "phenotype", "values", "value")
    assert set(found) == {"YAL001W", "YAL002C"}
    assert found["YAL002C"] == ("traits", [2.0, 0.5], None)
    (axis,) = store.query("MATCH (x:Axis) RETURN x.names AS n, x.phenotype AS p").to_pylist()
    assert axis == {"n": ["size, um", "shape"], "p": "traits"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": "plates"}, "option columns is 'plates', wanted traits or conditions"),
        ({"phenotype": "fitness"}, "option phenotype is 'fitness', wanted traits or morphology"),
        ({"columns": "conditions", "phenotype": "morphology"}, "wanted fitness for columns"),
        ({"unit": " "}, "options study and unit are not empty"),
    ],
)
def test_an_option_of_a_matrix_lists_its_choices(untouched, change, message):
    given = {"study": "x", "unit": "z-score"} | change
    with pytest.raises(SourceError, match=message):
        load(untouched, "phenotypes_matrix", fixture("phenotypes_matrix"), **given)


def test_a_number_beside_a_separator_of_another_age_is_a_number(store, tmp_path):
    # Python strips the control characters 28 to 31 from words, and does not skip them in numbers
    file = written(tmp_path / "t.tsv", [("orf", "a"), ("YAL001W", "0.5\x1c"), ("BBB1", "x\x1c")])
    with pytest.raises(SourceError, match="line 3, column a"):
        load(store, "phenotypes_matrix", file, study="x", unit="z-score", columns="conditions")
    file = written(tmp_path / "t.tsv", [("orf", "a"), ("YAL001W", "0.5\x1c")])
    load(store, "phenotypes_matrix", file, study="x", unit="z-score", columns="conditions")
    assert experiments(store, "x", "value") == {"YAL001W@a": (0.5,)}


def test_relative_fitness_below_zero_is_refused_in_a_condition(untouched):
    given = {"study": "x", "unit": "relative to wild type", "columns": "conditions"}
    with pytest.raises(SourceError, match=r"line 2, column benomyl.*fitness >= 0"):
        load(untouched, "phenotypes_matrix", fixture("phenotypes_matrix"), **given)


# ---------------------------------------------------------------- the page and the command


@pytest.mark.parametrize("name", loaders.names())
def test_every_loader_stands_on_the_page_of_sources(name):
    page = (DATA.parents[1] / "docs" / "sources.md").read_text("utf-8")
    assert f"`{name}`" in page
    row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` |")), "")
    if row:
        assert row.count("|") == 7
        assert re.search(r"\| (yes|\*\*no\*\*|-|wild type yes)", row)
    else:
        assert name == "embeddings"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--colour", "red"], "loader sgd_features has no option colour; its options: none"),
        (["--path", "x"], "loader sgd_features has no option path"),
        (["--source=x"], "loader sgd_features has no option source"),
        (["--store=x"], "loader sgd_features has no option store"),
    ],
)
def test_an_unknown_option_of_load_is_one_line(tmp_path, monkeypatch, capsys, words, message):
    code, told = command(
        monkeypatch, capsys, "sgd_features", GENOME, *words, "--db", tmp_path / "x"
    )
    assert code == 1
    assert told.startswith(f"error: {message}")
    assert told.count("\n") == 1


@pytest.mark.parametrize("words", [["--colour", "sgd_features", GENOME], ["gff3", GENOME, "-x"]])
def test_an_option_that_load_cannot_place_is_a_usage_error(tmp_path, monkeypatch, capsys, words):
    code, told = command(monkeypatch, capsys, *words, "--db", tmp_path / "x")
    assert code == 2
    assert "option" in told.splitlines()[-1]


def command(monkeypatch, capsys, *words):
    """What `genograph load` of the words exits with and says."""
    monkeypatch.setattr(sys, "argv", ["genograph", "load", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code, capsys.readouterr().err


# ---------------------------------------------------------------- both databases


# those that write what no other format does: environments, trigenic scores, P values, views
WRITERS = ("sga_costanzo2016", "sga_kuzmin2018", "deleteome", "scmd", "phenotypes_matrix")


def test_both_databases_hold_the_same_of_the_further_formats(neo4j, tmp_path):
    columns = (
        *("value", "sd", "p", "interaction", "raw_interaction", "tau", "derived"),
        *("unit", "batch", "values", "p_values"),
    )
    returned = ", ".join(f"e.{c} AS {c}" for c in columns)
    held = []
    for db in (str(tmp_path / "toy.db"), neo4j):
        with open_store(db) as store:
            load(store, "sgd_features", GENOME)
            for name in WRITERS:
                load(store, name, fixture(name), **options(name))
            rows = store.query(f"MATCH (e:Experiment) RETURN e.id AS id, {returned}").to_pylist()
            # NaN equals nothing, so vectors are compared as they are written
            told = {
                r["id"]: {c: str(v) if isinstance(v, list) else v for c, v in r.items()}
                for r in rows
            }
            held.append((told, dict(store.counts())))
    assert held[0][1] == held[1][1]
    assert held[0][0] == held[1][0]
