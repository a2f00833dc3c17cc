"""Loaders of the genome, ontology and networks, beyond the fixtures of the conformance suite."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from genograph import loaders
from genograph.database.ingest import load, read_gene_names
from genograph.errors import SourceError
from genograph.loaders import GeneNames, Reading, TermIds, _fasta, cre, paralogs, rows
from genograph.store import open_store

DATA = Path(__file__).parent / "data"
FEATURES = DATA / "sgd_features" / "input.tab"
FASTA = DATA / "cre" / "input.fa"


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A database of the toy genome's genes, windows and terms."""
    path = tmp_path_factory.mktemp("genome") / "toy.db"
    with open_store(str(path)) as store:
        load(store, "sgd_features", FEATURES)
        load(store, "cre", FASTA)
        load(store, "obo", DATA / "obo" / "input.obo")
    return path


@pytest.fixture(scope="module")
def toy(genome):
    with open_store(str(genome), read_only=True) as store:
        yield store


@pytest.fixture
def fresh(genome, tmp_path):
    """A store of its own with the toy genome."""
    shutil.copy(genome, tmp_path / "toy.db")
    with open_store(str(tmp_path / "toy.db")) as store:
        yield store


def tables_of(name, path, store, **options):
    """All rows of each type that a loader yields, as a set of tuples."""
    spec, read = loaders.loader(name)
    reading = Reading(read_gene_names(store), store.query)
    out = {}
    for table in read(path, reading, **spec.settings(options)):
        found = out.setdefault(table.type, set())
        rows_ = [tuple(map(str, row.values())) for row in table.rows.to_pylist()]
        assert not found & set(rows_)
        found.update(rows_)
    return out


# ------------------------------------------------------------------ windows


def test_windows_on_the_watson_strand_are_1003_and_300_bases():
    up, down = cre.windows(1101, 1400, "+")
    assert (up.first, up.last) == (101, 1103)
    assert (down.first, down.last) == (1398, 1697)


def test_windows_on_the_crick_strand_mirror_those_on_the_watson_strand():
    up, down = cre.windows(2001, 2159, "-")
    assert (up.first, up.last) == (2157, 3159)
    assert (down.first, down.last) == (1704, 2003)


def test_window_sequences_equal_plain_slices_of_the_fasta(toy):
    chromosomes, name = {}, ""
    for line in FASTA.read_text("ascii").splitlines():
        if line.startswith(">"):
            name = {">r": "I", ">c": "II"}[line[:2]]
            chromosomes[name] = ""
        else:
            chromosomes[name] += line.upper()
    pair = dict(zip("ACGT", "TGCA", strict=True))
    found = toy.query(
        "MATCH (g:Gene)-[:HAS_CRE]->(c:CRE) RETURN g.chromosome AS chromosome, g.start_pos AS a, "
        "g.end_pos AS b, g.strand AS strand, c.kind AS kind, c.sequence AS sequence"
    ).to_pylist()
    assert len(found) == 14
    for row in found:
        bases, a, b = chromosomes[row["chromosome"]], row["a"], row["b"]
        if row["strand"] == "-":
            # on the mirrored chromosome the gene is on the forward strand
            bases = "".join(pair[x] for x in reversed(bases))
            a, b = len(bases) + 1 - b, len(bases) + 1 - a
        start, stop = a - 1, b - 1
        wanted = {
            "upstream": bases[max(start - 1000, 0) : start + 3],
            "downstream": bases[stop - 2 : stop + 298],
        }[row["kind"]]
        assert row["sequence"] == wanted, row


def test_every_complete_window_has_its_codon_at_the_gene(toy):
    found = toy.query(
        "MATCH (g:Gene)-[:HAS_CRE]->(c:CRE) RETURN g.id AS id, c.kind AS kind, "
        "c.sequence AS sequence, c.length AS length, c.complete AS complete"
    ).to_pylist()
    for row in found:
        if row["kind"] == "upstream":
            assert row["sequence"].endswith("GTG" if row["id"] == "YAL004W" else "ATG")
        else:
            assert row["sequence"][:3] in cre.STOPS
        full = 1003 if row["kind"] == "upstream" else 300
        assert (row["length"] == full) == row["complete"]


def test_cutting_windows_writes_nothing_beside_the_fasta(genome, tmp_path):
    fasta = tmp_path / "genome.fa"
    shutil.copy(FASTA, fasta)
    with open_store(str(genome), read_only=True) as store:
        tables_of("cre", fasta, store)
    assert [p.name for p in tmp_path.iterdir()] == ["genome.fa"]


def test_uneven_lines_of_a_fasta_change_nothing(toy, tmp_path):
    lines = FASTA.read_text("ascii").splitlines()
    uneven = [
        part for line in lines for part in ([line] if line[0] == ">" else [line[:7], line[7:]])
    ]
    (tmp_path / "uneven.fa").write_text("\n".join(uneven) + "\n\n", "ascii")
    assert tables_of("cre", tmp_path / "uneven.fa", toy) == tables_of("cre", FASTA, toy)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("I", "I"),
        ("XVI some words", "XVI"),
        ("chrIV", "IV"),
        ("chrM", "Mito"),
        ("Mito dna:chromosome", "Mito"),
        ("ref|NC_001135| [org=Saccharomyces cerevisiae] [chromosome=III]", "III"),
        ("ref|NC_001224| [location=mitochondrion] [top=circular]", "Mito"),
        ("", ""),
    ],
)
def test_chromosomes_are_named_as_the_genes_name_them(header, name):
    assert _fasta.chromosome_name(header) == name


AMBIGUOUS = "ACGTNRYSWKMBDHV"


def test_reverse_complement_is_its_own_inverse_with_ambiguous_bases():
    assert _fasta.reverse_complement("ACGTNRYKM") == "KMRYNACGT"
    assert _fasta.reverse_complement(_fasta.reverse_complement(AMBIGUOUS)) == AMBIGUOUS


# ------------------------------------------------------------------ names


def test_names_resolve_by_id_then_symbol_then_unambiguous_alias(toy):
    names = read_gene_names(toy)
    assert names.resolve("yal001w") == "YAL001W"
    assert names.resolve("AAA1") == "YAL001W"
    assert names.resolve("YAL902C") == "YAL002C"
    assert names.resolve("SHARED") is None
    assert "SHARED" in names.ambiguous
    assert names.resolve("YXX999W") is None
    assert names.resolve("old1") == "YAL001W"


def test_an_id_wins_over_the_alias_of_another_gene():
    genes = pa.table(
        {
            "id": ["YAL001W", "YAL002C"],
            "symbol": ["AAA1", "BBB1"],
            "aliases": [["YAL002C", "BBB1"], []],
        }
    )
    names = GeneNames(genes)
    assert names.resolve("YAL002C") == "YAL002C"
    assert names.resolve("BBB1") == "YAL002C"


def test_a_term_wins_over_the_alternative_id_of_another_term():
    terms = pa.table(
        {
            "id": ["GO:1", "GO:2"],
            "alt_ids": pa.array([["GO:2", "GO:3"], None], pa.list_(pa.string())),
            "obsolete": [False, True],
        }
    )
    ids = TermIds(terms)
    assert [ids.resolve(t) for t in ("GO:1", "GO:2", "GO:3", "GO:4")] == [
        "GO:1",
        "GO:2",
        "GO:1",
        None,
    ]
    assert ids.obsolete == {"GO:2"}


# ------------------------------------------------------------------ streaming


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("sgd_features", "sgd_features"),
        ("cre", "cre"),
        ("gaf", "gaf"),
        ("sgd_gene_go", "_annotations"),
    ],
)
@pytest.mark.parametrize("size", [1, 3])
def test_the_size_of_chunks_changes_nothing(name, module, size, toy, monkeypatch):
    path = next((DATA / name).glob("input.*"))
    whole = tables_of(name, path, toy)
    monkeypatch.setattr(f"genograph.loaders.{module}._CHUNK", size)
    assert tables_of(name, path, toy) == whole


@pytest.mark.parametrize("name", ["string_links", "yeastract_matrix", "embeddings"])
def test_the_size_of_chunks_changes_nothing_in_networks_and_vectors(name, toy, monkeypatch):
    path = next((DATA / name).glob("input.*"))
    options = {"model": "m"} if name == "embeddings" else {}
    whole = tables_of(name, path, toy, **options)
    monkeypatch.setattr(f"genograph.loaders.{name}._CHUNK", 2)
    assert tables_of(name, path, toy, **options) == whole


def test_rows_give_line_numbers_past_comments_and_blank_lines(tmp_path):
    file = tmp_path / "t.tsv"
    file.write_bytes(b"!c\n\na\tb\r\n \nc\t\n")
    assert list(rows(file, columns=(2,), comment="!")) == [(3, ["a", "b"]), (5, ["c", ""])]


def test_bytes_that_are_not_utf8_are_refused_with_their_line(tmp_path):
    file = tmp_path / "t.tsv"
    file.write_bytes(b"a\tb\n\xff\xfe\tb\n")
    with pytest.raises(SourceError, match=r"line 2.*UTF-8"):
        list(rows(file))


# ------------------------------------------------------------------ paralogs


def test_words_of_a_known_peptide():
    # M A D Q E in frame 1; the other frames are too short to be exons
    assert paralogs.words("ATGGCTGACCAAGAATAA").tolist() == [_number("MADQE")]
    assert paralogs.words("ATGGCTGATCAGGAGTGA").tolist() == [_number("MADQE")]
    assert not len(paralogs.words("ATGGCTGCTGCTGCTGCTTAA"))  # low complexity
    assert not len(paralogs.words("ATGNCTGACCAATAA"))


def _number(word):
    return sum("ACDEFGHIKLMNPQRSTVWY".index(aa) * 20**i for i, aa in enumerate(word))


def test_an_intron_changes_few_words():
    rng = np.random.default_rng(0)
    sense = [a + b + c for a in "ACG" for b in "ACGT" for c in "ACGT"]
    gene = "ATG" + "".join(rng.choice(sense, 150))
    intron = "GTATGT" + "".join(rng.choice(list("ACGT"), 89)) + "TAG"
    plain = set(paralogs.words(gene + "TAA").tolist())
    split = set(paralogs.words(gene[:31] + intron + gene[31:] + "TAA").tolist())
    assert len(plain & split) > 0.85 * len(plain)


def test_overlapping_orfs_are_no_paralogs(tmp_path):
    rng = np.random.default_rng(1)
    sense = [a + b + c for a in "ACG" for b in "ACGT" for c in "ACGT"]
    orf = "ATG" + "".join(rng.choice(sense, 60)) + "ATG" + "".join(rng.choice(sense, 60)) + "TAA"
    copy = "ATG" + orf[3:]
    bases = "T" * 50 + orf + "T" * 50 + copy + "T" * 50
    (tmp_path / "g.fa").write_text(f">I\n{bases}\n", "ascii")
    starts = {"YAL001W": 51, "YAL002W": 51 + 183, "YAL003W": 101 + len(orf)}
    ends = {"YAL001W": 50 + len(orf), "YAL002W": 50 + len(orf), "YAL003W": 100 + 2 * len(orf)}
    lines = [
        "\t".join([f"S{i}", "ORF", "", gene, "", "", "", "", "1", str(starts[gene]),
                   str(ends[gene]), "W", "", "", "", ""])
        for i, gene in enumerate(starts)
    ]  # fmt: skip
    (tmp_path / "f.tab").write_text("\n".join(lines) + "\n", "ascii")
    with open_store(str(tmp_path / "p.db")) as store:
        load(store, "sgd_features", tmp_path / "f.tab")
        found = tables_of("paralogs", tmp_path / "g.fa", store)["PARALOG_OF"]
    assert {row[:2] for row in found} == {("YAL001W", "YAL003W"), ("YAL002W", "YAL003W")}
    assert {row[3] for row in found} == {"1.0"}


# ------------------------------------------------------------------ networks


def test_min_score_is_an_option_of_string(toy):
    path = DATA / "string_links" / "input.txt"
    assert len(tables_of("string_links", path, toy, min_score=0)["INTERACTS_WITH"]) == 5
    assert len(tables_of("string_links", path, toy, min_score=711)["INTERACTS_WITH"]) == 2
    with pytest.raises(SourceError, match="0 to 1000"):
        tables_of("string_links", path, toy, min_score=1001)


def test_the_plain_links_format_of_string_is_read(toy, tmp_path):
    file = tmp_path / "links.txt"
    file.write_text(
        "protein1 protein2 combined_score\n4932.YAL002C 4932.YAL001W 999\n", encoding="ascii"
    )
    found = tables_of("string_links", file, toy, network="functional")["INTERACTS_WITH"]
    assert found == {("YAL001W", "YAL002C", "functional", "0.999")}


def test_two_networks_stand_side_by_side(fresh):
    path = DATA / "string_links" / "input.txt"
    load(fresh, "string_links", path)
    load(fresh, "string_links", path, network="other", min_score=900)
    found = fresh.query(
        "MATCH (:Gene)-[r:INTERACTS_WITH]->(:Gene) RETURN r.source AS source, count(r) AS n "
        "ORDER BY source"
    ).to_pylist()
    assert found == [{"source": "other", "n": 2}, {"source": "string", "n": 4}]


# ------------------------------------------------------------------ embeddings

IDS = ["YAL001W:upstream", "YAL002C:downstream", "YAL003W:upstream"]
VECTORS = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 4.0]], dtype=np.float32)


def _written(folder, kind, ids=IDS, vectors=VECTORS):
    file = folder / f"v.{kind}"
    if kind == "npz":
        np.savez(file, ids=np.array(ids), vectors=vectors)
    elif kind == "parquet":
        pq.write_table(pa.table({"id": ids, "vector": [list(v) for v in vectors]}), file)
    elif kind == "metadata.safetensors":
        save_file({"vectors": vectors}, file, metadata={"ids": "\n".join(ids)})
    else:
        text = np.frombuffer("\n".join(ids).encode(), dtype=np.uint8)
        save_file({"vectors": vectors, "ids": text}, file)
    return file


@pytest.mark.parametrize("kind", ["npz", "parquet", "metadata.safetensors", "bytes.safetensors"])
def test_every_kind_of_file_gives_the_same_vectors(kind, toy, tmp_path):
    found = tables_of("embeddings", _written(tmp_path, kind), toy, model="m")
    wanted = {
        (f"{name}@m", "m", "2", str(vector.tolist()))
        for name, vector in zip(IDS, VECTORS, strict=True)
    }
    assert found["Embedding"] == wanted
    assert found["EMBEDDED_AS"] == {(name, f"{name}@m") for name in IDS}


@pytest.mark.parametrize("kind", ["npz", "parquet", "metadata.safetensors"])
def test_a_vector_that_is_not_finite_is_refused_in_every_kind(kind, toy, tmp_path):
    odd = VECTORS.copy()
    odd[1, 1] = np.inf
    with pytest.raises(SourceError, match=r"row 2 \(YAL002C:downstream\)"):
        tables_of("embeddings", _written(tmp_path, kind, vectors=odd), toy, model="m")


def test_parquet_rows_of_unequal_length_are_refused(toy, tmp_path):
    file = tmp_path / "v.parquet"
    pq.write_table(pa.table({"id": IDS, "vector": [[1.0, 2.0], [1.0], [1.0, 2.0]]}), file)
    with pytest.raises(SourceError, match=r"1 numbers in row 2.*wanted 2"):
        tables_of("embeddings", file, toy, model="m")


def test_parquet_missing_vectors_and_columns_are_refused(toy, tmp_path):
    file = tmp_path / "v.parquet"
    pq.write_table(pa.table({"id": IDS, "vector": [[1.0, 2.0], None, [1.0, 2.0]]}), file)
    with pytest.raises(SourceError, match="0 numbers in row 2"):
        tables_of("embeddings", file, toy, model="m")
    pq.write_table(pa.table({"name": IDS}), file)
    with pytest.raises(SourceError, match="wanted id, vector"):
        tables_of("embeddings", file, toy, model="m")


def test_safetensors_without_ids_or_vectors_are_refused(toy, tmp_path):
    file = tmp_path / "v.safetensors"
    save_file({"vectors": VECTORS}, file)
    with pytest.raises(SourceError, match="column ids"):
        tables_of("embeddings", file, toy, model="m")
    save_file({"other": VECTORS}, file)
    with pytest.raises(SourceError, match="a tensor vectors"):
        tables_of("embeddings", file, toy, model="m")


def test_two_models_of_different_dimension_stand_side_by_side(fresh, tmp_path):
    load(fresh, "embeddings", _written(tmp_path, "npz"), model="two")
    load(fresh, "embeddings", _written(tmp_path, "parquet", vectors=VECTORS[:, :1]), model="one")
    found = fresh.query(
        "MATCH (:CRE {id: 'YAL001W:upstream'})-[:EMBEDDED_AS]->(e:Embedding) "
        "RETURN e.model AS model, e.dim AS dim, e.vector AS vector ORDER BY model"
    ).to_pylist()
    assert found == [
        {"model": "one", "dim": 1, "vector": [1.0]},
        {"model": "two", "dim": 2, "vector": [1.0, 2.0]},
    ]


def test_a_model_must_be_named(toy, tmp_path):
    with pytest.raises(SourceError, match="needs the option model"):
        tables_of("embeddings", _written(tmp_path, "npz"), toy)
    with pytest.raises(SourceError, match="without @"):
        tables_of("embeddings", _written(tmp_path, "npz"), toy, model="a@b")


# ------------------------------------------------------------------ the guide


def test_the_loader_of_the_guide_works_and_has_twenty_lines(toy, tmp_path, monkeypatch):
    guide = (DATA.parents[1] / "docs" / "add-a-loader.md").read_text("utf-8")
    code = guide.split("```python\n")[1].split("```")[0]
    assert len(code.split("def read")[1].strip().splitlines()) <= 20
    (tmp_path / "coexpression.py").write_text(code, "utf-8")
    monkeypatch.setattr(loaders, "__path__", [*loaders.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "genograph.loaders.coexpression", raising=False)
    assert "coexpression" in loaders.names()
    file = tmp_path / "pairs.tsv"
    file.write_text("BBB1\tAAA1\t.5\nYAL001W\tYAL902C\t.4\nYXX999W\tAAA1\t1\nAAA1\tCCC1\t1\n")
    spec, read = loaders.loader("coexpression")
    assert spec.needs == ("Gene",)
    reading = Reading(read_gene_names(toy), toy.query)
    (table,) = read(file, reading)
    assert table.rows.to_pylist() == [
        {"from_id": "YAL001W", "to_id": "YAL002C", "source": "coexpression", "score": 0.5},
        {"from_id": "YAL001W", "to_id": "YAL003W", "source": "coexpression", "score": 1.0},
    ]
    assert reading.rows_read == 4
    assert dict(reading.rejected) == {"unknown gene": 1, "duplicate pair": 1}
    file.write_text("AAA1\tBBB1\t.5\nAAA1\tCCC1\tmuch\n")
    with pytest.raises(
        SourceError, match=r"pairs\.tsv, line 2, column 3 \(correlation\): got much"
    ):
        list(read(file, Reading(read_gene_names(toy), toy.query)))
