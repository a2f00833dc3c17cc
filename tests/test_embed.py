"""Embedding of the loaded windows by the providers, and their import when they are chosen."""

import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from genograph.database.embed import embed
from genograph.database.ingest import load
from genograph.embeddings import PROVIDERS, THIRDS, kmer, random
from genograph.errors import SourceError
from genograph.store import open_store

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("genome") / "toy.db"
    with open_store(str(path)) as store:
        load(store, "sgd_features", DATA / "sgd_features" / "input.tab")
        load(store, "cre", DATA / "cre" / "input.fa")
    return path


@pytest.fixture
def store(genome, tmp_path):
    shutil.copy(genome, tmp_path / "toy.db")
    with open_store(str(tmp_path / "toy.db")) as store:
        yield store


def vectors_of(store, model):
    found = store.query(
        "MATCH (c:CRE)-[:EMBEDDED_AS]->(e:Embedding) WHERE e.model = $model "
        "RETURN c.id AS id, e.vector AS vector ORDER BY id",
        model=model,
    )
    return dict(zip(found["id"].to_pylist(), found["vector"].to_pylist(), strict=True))


def slow_kmer(name, sequence, k):
    """The documented formula, word by word."""
    kind = name.split(":")[1]
    thirds = [Counter(), Counter(), Counter()]
    for at in range(len(sequence) - k + 1):
        word = sequence[at : at + k]
        distance = at if kind == "downstream" else len(sequence) - 1 - at
        third = 0 if distance < THIRDS[kind][0] else 1 if distance < THIRDS[kind][1] else 2
        if set(word) <= set("ACGT"):
            thirds[third][sum("ACGT".index(b) * 4 ** (k - 1 - i) for i, b in enumerate(word))] += 1
    out = []
    for counts in thirds:
        total = sum(counts.values())
        out += [
            (counts[w] / total) ** 0.5 - (1 / 4**k) ** 0.5 if total else 0.0 for w in range(4**k)
        ]
    out = np.array(out)
    return out / np.linalg.norm(out)


@pytest.mark.parametrize(
    ("kind", "length"), [("upstream", 1003), ("upstream", 340), ("downstream", 300)]
)
@pytest.mark.parametrize("k", [2, 4])
def test_kmer_vectors_equal_the_documented_formula(kind, length, k):
    rng = np.random.default_rng(length + k)
    sequence = "".join(rng.choice(list("ACGTN"), length, p=[0.3, 0.19, 0.2, 0.3, 0.01]))
    name = f"YAL001W:{kind}"
    found = kmer([name], [sequence], 0, 3 * 4**k)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], slow_kmer(name, sequence, k), atol=1e-6)


def test_a_window_cut_short_keeps_the_thirds_that_it_has():
    rng = np.random.default_rng(3)
    whole = "".join(rng.choice(list("ACGT"), 1003))
    full, cut = kmer(["a:upstream", "b:upstream"], [whole, whole[-669:]], 0, 768)
    # the two thirds at the start codon are the same up to the common length of the vector
    shared = full[:512] / np.linalg.norm(full[:512]), cut[:512] / np.linalg.norm(cut[:512])
    np.testing.assert_allclose(*shared, atol=1e-6)
    assert not cut[512:].any()


def test_kmer_vectors_tell_sequences_apart_and_have_unit_length():
    rng = np.random.default_rng(4)
    poor, rich = (
        "".join(rng.choice(list("ACGT"), 300, p=p))
        for p in ([0.4, 0.1, 0.1, 0.4], [0.1, 0.4, 0.4, 0.1])
    )
    other = "".join(rng.choice(list("ACGT"), 300, p=[0.4, 0.1, 0.1, 0.4]))
    a, b, c = kmer(["a:downstream", "b:downstream", "c:downstream"], [poor, other, rich], 0, 768)
    np.testing.assert_allclose([a @ a, b @ b, c @ c], 1.0, atol=1e-5)
    assert a @ b > a @ c + 0.2


def test_a_window_without_a_kmer_has_no_direction():
    assert not kmer(["a:downstream"], ["NNNNNNNN"], 0, 768).any()
    assert not kmer(["a:downstream"], ["TAA"], 0, 768).any()


def test_random_vectors_depend_on_id_and_seed_only():
    a = random(["x:upstream", "y:upstream"], ["ACGT", "AC"], 0, 768)
    b = random(["y:upstream"], ["GGGG"], 0, 768)
    np.testing.assert_array_equal(a[1], b[0])
    assert abs(a[0] @ a[1]) < 0.2
    assert abs(a[0] @ random(["x:upstream"], ["ACGT"], 1, 768)[0]) < 0.2


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_embedding_writes_one_unit_vector_a_window_and_model(provider, store):
    ledger = embed(store, provider)
    assert (ledger.rows_read, ledger.written, ledger.unchanged) == (14, 28, 0)
    assert ledger.source == f"embed_{provider}"
    found = vectors_of(store, provider)
    assert len(found) == 14
    lengths = [np.linalg.norm(v) for v in found.values()]
    assert {len(v) for v in found.values()} == {768}
    np.testing.assert_allclose(lengths, 1.0, atol=1e-5)


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_embedding_twice_is_skipped_and_changes_nothing(provider, store):
    embed(store, provider)
    before, vectors = dict(store.counts()), vectors_of(store, provider)
    again = embed(store, provider)
    assert again.skipped
    assert again.written == 0
    assert dict(store.counts()) == before
    assert vectors_of(store, provider) == vectors


def test_a_provider_is_imported_when_it_is_chosen(store, tmp_path, monkeypatch):
    file = tmp_path / "heavy_provider.py"
    file.write_text(
        "from genograph.embeddings import Provider, random\n"
        "HEAVY = Provider('heavy', 'as random', 1, random, seeded=False)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        "genograph.embeddings.PROVIDERS", {**PROVIDERS, "heavy": "heavy_provider:HEAVY"}
    )
    embed(store, "kmer")
    assert "heavy_provider" not in sys.modules
    try:
        assert embed(store, "heavy").written == 28
    finally:
        sys.modules.pop("heavy_provider", None)


def test_an_unfinished_embedding_is_finished(store):
    embed(store, "kmer")
    # what an interruption leaves: provenance without an end
    store.erase("Source", ("loaded",), "n.loader = 'embed_kmer'")
    again = embed(store, "kmer")
    assert not again.skipped
    assert (again.written, again.unchanged) == (0, 28)
    assert embed(store, "kmer").skipped


def test_vectors_that_another_load_wrote_over_are_written_again(store):
    embed(store, "random", model="shared")
    first = vectors_of(store, "shared")
    embed(store, "kmer", model="shared")
    assert vectors_of(store, "shared") != first
    assert not embed(store, "random", model="shared").skipped
    assert vectors_of(store, "shared") == first


def test_models_stand_side_by_side_and_seeds_have_names_of_their_own(store):
    embed(store, "kmer")
    embed(store, "kmer", model="small", dim=48)
    embed(store, "random", seed=1)
    found = store.query("MATCH (e:Embedding) RETURN e.model AS model, e.dim AS dim, count(e) AS n")
    rows = {(r["model"], r["dim"], r["n"]) for r in found.to_pylist()}
    assert rows == {("kmer", 768, 14), ("small", 48, 14), ("random-1", 768, 14)}


def test_embedding_leaves_provenance(store):
    embed(store, "random", seed=3)
    source = store.query(
        "MATCH (s:Source) WHERE s.loader = 'embed_random' "
        "RETURN s.settings AS settings, s.rows_read AS n, s.loaded AS loaded, s.sha256 AS sha256"
    ).to_pylist()
    assert len(source) == 1
    assert source[0]["settings"] == ["dim=768", "model=random-3", "seed=3"]
    assert source[0]["n"] == 14
    assert source[0]["loaded"]
    assert len(source[0]["sha256"]) == 64


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("no provider is called nt; choose one of kmer, random", {"provider": "nt"}),
        ("no provider is called nothing", {"provider": ""}),
        ("dimensions 12, 48, 192, 768", {"provider": "kmer", "dim": 100}),
        ("dimension >= 1", {"provider": "random", "dim": 0}),
        ("without @", {"provider": "kmer", "model": "a@b"}),
    ],
)
def test_a_wrong_request_is_refused_and_writes_nothing(words, options, store):
    before = dict(store.counts())
    with pytest.raises(SourceError, match=words):
        embed(store, **options)
    assert dict(store.counts()) == before


def test_a_database_without_windows_is_refused(tmp_path):
    with open_store(str(tmp_path / "e.db")) as store, pytest.raises(SourceError, match="load cre"):
        embed(store, "kmer")


def test_both_databases_hold_the_same_windows_and_vectors(db, store):
    embed(store, "kmer")
    with open_store(db) as other:
        load(other, "sgd_features", DATA / "sgd_features" / "input.tab")
        load(other, "cre", DATA / "cre" / "input.fa")
        assert embed(other, "kmer").written == 28
        assert embed(other, "kmer").skipped
        assert vectors_of(other, "kmer") == vectors_of(store, "kmer")
        windows = "MATCH (c:CRE) RETURN c.id AS id, c.sha256 AS sha256 ORDER BY id"
        assert other.query(windows).to_pylist() == store.query(windows).to_pylist()
