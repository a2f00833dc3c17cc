"""Loaders of genome, ontology and networks on the real tables: counts and values, recomputed."""

import gzip
from collections import Counter

import numpy as np
import pytest

from genograph.database.ingest import load, read_gene_names
from genograph.loaders import Reading, obo
from genograph.store import open_store

FASTA = "genome/S288C_R64-1-1_nuclear.fa.gz"
YEASTRACT = "networks/yeastract2019_regulation_matrix.tsv.gz"
STRING = "networks/4932.protein.physical.links.full.v12.0.txt.gz"
ROMAN = (
    *("I", "II", "III", "IV", "V", "VI", "VII", "VIII"),
    *("IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI"),
)


@pytest.fixture(scope="module")
def genome(real_tables, tmp_path_factory):
    """A store with genes, windows, paralogs, GO, networks and complexes, and the ledgers."""
    path = tmp_path_factory.mktemp("real") / "genome.db"
    with open_store(str(path)) as store:
        ledgers = {
            name: load(store, name, real_tables / file)
            for name, file in (
                ("sgd_features", "genome/SGD_features.tab.gz"),
                ("cre", FASTA),
                ("paralogs", FASTA),
                ("obo", "ontology/go_yeast_derived.obo.gz"),
                ("sgd_gene_go", "ontology/sgd_gene_go.tsv.gz"),
                ("string_links", STRING),
                ("yeastract_matrix", "networks/yeastract2019_regulation_matrix.tsv.gz"),
                ("cyc2008", "networks/cyc2008_complexes.tab.gz"),
            )
        }
        for ledger in ledgers.values():
            lost = sum(ledger.rejected.values())
            print(f"\n{ledger.source}: {ledger.rows_read} rows, {lost} rejected, ", end="")
            print(f"{ledger.written} written, {ledger.seconds:.1f} s", end="")
        yield store, ledgers


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as raw:
        return [line.rstrip("\n") for line in raw]


def test_all_genes_of_the_feature_table_are_there(genome):
    store, ledgers = genome
    kinds = store.query("MATCH (g:Gene) RETURN g.kind AS kind, count(*) AS n").to_pylist()
    counts = {row["kind"]: row["n"] for row in kinds}
    assert counts["ORF"] == 6604
    assert counts["tRNA_gene"] == 299
    assert ledgers["sgd_features"].rows_read == 16_454
    assert sum(counts.values()) + sum(ledgers["sgd_features"].rejected.values()) == 16_454
    places = store.query(
        "MATCH (g:Gene) WHERE g.kind = 'ORF' RETURN g.id AS id, g.strand AS strand, "
        "g.chromosome AS chromosome, g.start_pos AS a, g.end_pos AS b"
    ).to_pylist()
    assert all(row["a"] < row["b"] for row in places)
    # the systematic name of a nuclear ORF says its chromosome and strand
    for row in places:
        if row["id"].startswith("Y"):
            assert row["strand"] == {"W": "+", "C": "-"}[row["id"][6]]
            numeral = "ABCDEFGHIJKLMNOP".index(row["id"][1])
            assert row["chromosome"] == ROMAN[numeral]
    assert Counter(row["chromosome"] for row in places)["Mito"] == 28


def test_all_nuclear_orfs_have_two_windows_and_31_are_cut_short(genome):
    store, _ = genome
    assert store.counts()["CRE"] == store.counts()["HAS_CRE"] == 2 * 6572
    found = store.query(
        "MATCH (g:Gene)-[:HAS_CRE]->(c:CRE) RETURN g.id AS id, c.kind AS kind, "
        "c.complete AS complete, c.length AS length, c.sequence AS sequence"
    ).to_pylist()
    up = {r["id"]: r["sequence"] for r in found if r["kind"] == "upstream"}
    down = {r["id"]: r["sequence"] for r in found if r["kind"] == "downstream"}
    assert sum(s.endswith("ATG") for s in up.values()) == 6568
    assert all(s[:3] in ("TAA", "TAG", "TGA") for s in down.values())
    assert len({r["id"] for r in found if not r["complete"]}) == 31
    full = {"upstream": 1003, "downstream": 300}
    assert all((r["length"] == full[r["kind"]]) == r["complete"] for r in found)


def test_ribosomal_a_and_b_genes_are_paralogs(genome):
    store, _ = genome
    found = store.query(
        "MATCH (a:Gene)-[r:PARALOG_OF]->(b:Gene) "
        "RETURN a.id AS x, b.id AS y, a.symbol AS a, b.symbol AS b, r.score AS score"
    ).to_pylist()
    assert 1_500 < len(found) <= 2_000
    assert all(row["x"] < row["y"] for row in found)
    pairs = {frozenset((row["a"], row["b"])) for row in found}
    symbols = set(store.query("MATCH (g:Gene) RETURN g.symbol AS s")["s"].to_pylist())
    ribosomal = [
        frozenset((s, s[:-1] + "B"))
        for s in symbols
        if s[:3] in ("RPL", "RPS") and s.endswith("A") and s[:-1] + "B" in symbols
    ]
    assert len(ribosomal) == 57
    assert all(pair in pairs for pair in ribosomal)
    for pair in (("TDH1", "TDH2"), ("HHT1", "HHT2"), ("CLN1", "CLN2"), ("BMH1", "BMH2")):
        assert frozenset(pair) in pairs
    for pair in (("RAD51", "ACT1"), ("RPL3", "RPS3"), ("PHO5", "GAL4")):
        assert frozenset(pair) not in pairs


def test_no_family_of_paralogs_is_large(genome):
    store, _ = genome
    found = store.query("MATCH (a:Gene)-[:PARALOG_OF]->(b:Gene) RETURN a.id AS a, b.id AS b")
    root: dict[str, str] = {}

    def top(gene):
        while root.setdefault(gene, gene) != gene:
            gene = root[gene]
        return gene

    for a, b in zip(found["a"].to_pylist(), found["b"].to_pylist(), strict=True):
        root[top(a)] = top(b)
    # a family over one hundredth of the genes would be chance similarity that chains
    assert max(Counter(top(g) for g in list(root)).values()) < 70


def test_the_ontology_and_its_annotations_are_there(genome, real_tables):
    store, ledgers = genome
    counts = store.counts()
    text = lines(real_tables / "ontology/go_yeast_derived.obo.gz")
    assert counts["Term"] == sum(line == "[Term]" for line in text) == 5124
    assert counts["IS_A"] == sum(line.startswith("is_a:") for line in text) == 9892
    assert not ledgers["obo"].rejected
    ledger = ledgers["sgd_gene_go"]
    assert ledger.rows_read == 63_933
    assert counts["ANNOTATED_WITH"] == 63_933 - sum(ledger.rejected.values())
    repair = store.query(
        "MATCH (g:Gene)-[:ANNOTATED_WITH]->(:Term {id: 'GO:0006281'}) RETURN g.symbol AS s"
    )
    assert {"RAD1", "RAD14"} <= set(repair["s"].to_pylist())


def test_string_pairs_are_those_of_the_file(genome, real_tables):
    store, ledgers = genome
    wanted = {}
    for line in lines(real_tables / STRING)[1:]:
        words = line.split(" ")
        if int(words[-1]) >= 400:
            pair = tuple(sorted(w.removeprefix("4932.") for w in words[:2]))
            wanted[pair] = int(words[-1]) / 1000
    found = store.query(
        "MATCH (a:Gene)-[r:INTERACTS_WITH]->(b:Gene) RETURN a.id AS a, b.id AS b, r.score AS s"
    ).to_pylist()
    have = {(row["a"], row["b"]): row["s"] for row in found}
    assert have == pytest.approx(wanted)
    assert ledgers["string_links"].rows_read == 352_606


def test_regulations_are_those_of_the_file(genome, real_tables):
    store, ledgers = genome
    table = [line.split("\t") for line in lines(real_tables / YEASTRACT)]
    matrix = np.array([row[1:] for row in table[1:]], dtype=int)
    assert matrix.sum() == 11_486
    names = read_gene_names(store)
    factors = [names.resolve(name) for name in table[0][1:]]
    targets = [names.resolve(row[0]) for row in table[1:]]
    wanted = {
        (factors[j], targets[i])
        for i, j in zip(*np.nonzero(matrix), strict=True)
        if factors[j] and targets[i]
    }
    found = store.query("MATCH (a:Gene)-[:REGULATES]->(b:Gene) RETURN a.id AS a, b.id AS b")
    have = set(zip(found["a"].to_pylist(), found["b"].to_pylist(), strict=True))
    assert have == wanted
    assert len(have) > 11_400
    assert sum(ledgers["yeastract_matrix"].rejected.values()) == 20


def test_all_complexes_are_there(genome):
    store, ledgers = genome
    assert store.counts()["Complex"] == 408
    assert store.counts()["MEMBER_OF"] == ledgers["cyc2008"].rows_read == 1920
    trapp = store.query(
        "MATCH (g:Gene)-[:MEMBER_OF]->(:Complex {id: 'cyc2008:TRAPP complex'}) RETURN g.symbol AS s"
    )["s"].to_pylist()
    assert len(trapp) == 10
    assert {"BET3", "BET5"} <= set(trapp)


def test_a_real_ontology_with_typed_relationships_is_read(genome, real_tables):
    store, _ = genome
    reading = Reading(read_gene_names(store), store.query)
    tables = {
        t.type: len(t) for t in obo.read(real_tables / "ontology/goslim_generic.obo", reading)
    }
    assert tables == {"Term": 149, "IS_A": 148, "PART_OF": 68, "REGULATES_TERM": 1}
    assert dict(reading.rejected) == {"relationship has_part": 6, "relationship occurs_in": 4}
