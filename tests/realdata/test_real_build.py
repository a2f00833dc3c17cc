"""The real tables in an embedded database: counts, and values recomputed from the files."""

import math
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from measured_build import SOURCES

from genograph.database.ingest import build, read_gene_names
from genograph.store import open_store


@pytest.fixture(scope="module")
def store(embedded):
    with open_store(embedded.db, read_only=True) as opened:
        yield opened


def one(store, cypher, **parameters):
    """The single value of a query."""
    return store.query(cypher, **parameters).column(0)[0].as_py()


def test_the_genome_is_there(embedded, store):
    assert one(store, "MATCH (g:Gene {kind: 'ORF'}) RETURN count(*)") == 6604
    # two windows for each of the 6,572 nuclear ORFs, more for other genes
    assert embedded.counts["HAS_CRE"] >= 2 * 6572
    assert embedded.counts["Embedding"] == embedded.counts["CRE"] == embedded.counts["HAS_CRE"]
    assert one(store, "MATCH (g:Gene {symbol: 'RAD51'}) RETURN g.id") == "YER095W"


def test_the_networks_are_there(embedded):
    assert embedded.counts["Term"] == 5124
    assert embedded.counts["IS_A"] == 9892
    assert 60_000 < embedded.counts["ANNOTATED_WITH"] <= 63_933
    assert 11_000 < embedded.counts["REGULATES"] <= 11_486
    assert embedded.counts["Complex"] > 300
    assert embedded.counts["INTERACTS_WITH"] > 10_000
    assert 300 < embedded.counts["PARALOG_OF"] < 2_000


def ledger_of(store, loader):
    found = store.query(
        "MATCH (s:Source {loader: $loader}) RETURN s.rows_read AS rows_read, "
        "s.rows_rejected AS rejected, s.loaded AS loaded, s.reasons AS reasons",
        loader=loader,
    ).to_pylist()
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("loader", "study", "rows"),
    [
        ("smf_baryshnikova2010", "baryshnikova2010", 6_023),
        ("sga_costanzo2010", "costanzo2010", 171_684),
        ("morphology_matrix", "mattiazzi_usaj2020", 4_560),
    ],
)
def test_every_row_is_an_experiment_or_rejected_by_reason(store, loader, study, rows):
    ledger = ledger_of(store, loader)
    experiments = one(
        store,
        "MATCH (e:Experiment)-[:FROM_STUDY]->(:Study {id: $study}) RETURN count(*)",
        study=study,
    )
    assert ledger["rows_read"] == rows
    assert ledger["loaded"]
    assert experiments == rows - ledger["rejected"]
    # under one in a thousand of the rows names a gene that the feature table has not
    assert ledger["rejected"] < 0.0015 * rows
    assert [r.partition("=")[0] for r in ledger["reasons"]] in ([], ["unknown gene"])


def screen(tables):
    names = ["query", "query_name", "array", "array_name", "epsilon", "sd", "p"]
    file = tables / "fitness/costanzo2010_sga_intermediate.txt.gz"
    return pd.read_csv(file, sep="\t", header=None, names=names)


def spelled(names, genes):
    """Strain names as ids; retired names are those of the gene today, None without one."""
    out = {}
    for name in set(names):
        orf, _, allele = name.partition("_")
        gene = genes.resolve(orf)
        kind = "(damp)" if allele == "damp" else f"(ts:{allele})" if allele else ""
        out[name] = gene + kind if gene else None
    return names.map(out)


def test_derived_fitness_is_that_of_the_tables(store, real_tables, recwarn):
    singles = pd.read_excel(real_tables / "fitness/baryshnikova2010_smf.xlsx", header=None)
    assert {str(w.message) for w in recwarn.list} <= {
        "Unknown extension is not supported and will be removed"
    }
    genes = read_gene_names(store)
    alleles = singles.groupby(spelled(singles[0], genes))
    fitness = alleles[1].mean()
    spread = alleles[2].agg(lambda sd: math.sqrt((sd**2).sum()) / len(sd))
    rows = screen(real_tables)
    rows["query"], rows["array"] = spelled(rows["query"], genes), spelled(rows["array"], genes)
    rows = rows.dropna(subset=["query", "array"])
    # a gene that was two is measured under both its names
    rows = rows[~rows.duplicated(["query", "array"], keep=False)].sample(3_000, random_state=0)
    rows["id"] = "costanzo2010:fitness:" + rows["query"] + "x" + rows["array"]
    held = store.query(
        "MATCH (e:Experiment {id: in_id}) RETURN in_id AS id, e.value AS value, e.sd AS value_sd, "
        "e.interaction AS interaction, e.interaction_sd AS interaction_sd, e.p AS held_p, "
        "e.derived AS derived",
        rows=pa.table({"in_id": rows["id"].tolist()}),
    ).to_pandas()
    both = rows.merge(held, on="id", validate="one_to_one")
    assert len(both) == len(rows)
    np.testing.assert_allclose(both["interaction"], both["epsilon"])
    np.testing.assert_allclose(both["interaction_sd"], both["sd"])
    np.testing.assert_allclose(both["held_p"], both["p"])
    first, second = both["query"].map(fitness), both["array"].map(fitness)
    known = first.notna() & second.notna()
    assert 0.8 < known.mean() < 0.95
    assert both["value"].notna().tolist() == known.tolist()
    np.testing.assert_allclose(both["value"], first * second + both["epsilon"])
    expected = np.sqrt(
        both["sd"] ** 2
        + (first * both["array"].map(spread)) ** 2
        + (second * both["query"].map(spread)) ** 2
    )
    np.testing.assert_allclose(both["value_sd"], expected)


def test_pairs_of_both_orders_are_two_experiments_of_one_strain(store, real_tables):
    rows, genes = screen(real_tables), read_gene_names(store)
    pairs = pd.DataFrame({c: spelled(rows[c], genes) for c in ("query", "array")}).dropna()
    strains = pd.Series(["+".join(sorted(p)) for p in pairs.itertuples(index=False)])
    expected = strains.value_counts().value_counts().to_dict()
    held = store.query(
        "MATCH (e:Experiment)-[:FROM_STUDY]->(:Study {id: 'costanzo2010'}) "
        "MATCH (e)-[:TESTS]->(s:Strain) WITH s.id AS id, count(*) AS n "
        "RETURN n, count(*) AS strains"
    )
    assert dict(zip(held["n"].to_pylist(), held["strains"].to_pylist(), strict=True)) == expected
    assert expected[2] > 20_000


def matrix(tables, file):
    return pd.read_csv(tables / file, sep="\t", index_col=0)


@pytest.mark.parametrize(
    ("study", "phenotype", "file", "turned"),
    [
        (
            "kemmeren2014",
            "expression",
            "expression/kemmeren2014_tf_deletions_log2fc.tsv.gz",
            True,
        ),
        ("mattiazzi_usaj2020", "morphology", "morphology/mattiazzi_usaj2020.tsv.gz", False),
    ],
)
def test_vectors_are_the_rows_of_the_matrix(store, real_tables, study, phenotype, file, turned):
    values = matrix(real_tables, file)
    values = values.T if turned else values
    held = store.query(
        "MATCH (e:Experiment)-[:FROM_STUDY]->(:Study {id: $study}) MATCH (e)-[:ALONG]->(a:Axis) "
        "RETURN e.id AS id, e.phenotype AS phenotype, a.id AS axis, e.values AS values",
        study=study,
    )
    assert set(held["phenotype"].to_pylist()) == {phenotype}
    (axis,) = set(held["axis"].to_pylist())
    names = one(store, "MATCH (a:Axis {id: $axis}) RETURN a.names", axis=axis)
    assert len(names) == values.shape[1]
    strains = [i.removeprefix(f"{study}:{phenotype}:") for i in held["id"].to_pylist()]
    # two strains were measured under names that are aliases today at most
    same = [i for i, strain in enumerate(strains) if strain in values.index]
    assert len(same) >= 0.99 * len(values)
    have = np.array(held["values"].to_pylist(), dtype=np.float32)[same]
    want = values.loc[[strains[i] for i in same]].to_numpy(np.float32)
    np.testing.assert_array_equal(have, want)
    if phenotype == "expression":
        assert not have[[strains[i] for i in same].index("WT")].any()


def test_building_again_skips_everything(embedded, real_tables, monkeypatch):
    monkeypatch.setenv("GENOGRAPH_REALDATA", str(real_tables))
    # the store that the other tests read keeps writers out, so this one has a copy
    copy = f"{embedded.db}.copy"
    with open(embedded.db, "rb") as held, open(copy, "wb") as out:  # noqa: PTH123
        out.write(held.read())
    with open_store(copy) as opened:
        assert all(ledger.skipped for ledger in build(opened, SOURCES))
        assert dict(opened.counts()) == embedded.counts
    os.remove(copy)  # noqa: PTH107
