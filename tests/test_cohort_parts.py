"""Cohorts larger than memory: parts of any size give the same bytes, and nothing is left behind."""

import itertools
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import small_yeast
from hypothesis import given
from hypothesis import strategies as st

from genograph.cohorts import (
    CohortQuery,
    Subgraph,
    folds,
    load_cohort,
    save_cohort,
    select,
    sorting,
)
from genograph.cohorts.mapped import Columns
from genograph.cohorts.sorting import Sorting
from genograph.errors import CohortError, StoreError
from genograph.schema import parse_strain
from genograph.store import apart, neo4j, open_store
from genograph.tables import Table

TEXTS = st.lists(st.lists(st.text("aZ~\u00e9\uff5e\U0001d11e", max_size=3), max_size=30))


@given(parts=TEXTS, at_once=st.integers(1, 40), distinct=st.booleans())
def test_rows_come_back_in_the_order_of_their_texts_and_of_putting(parts, at_once, distinct):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(sorting, "AT_ONCE", at_once)
        patch.setattr(sorting, "SAMPLED", 3)
        rows = Sorting(Path(folder) / "rows", "text")
        put = []
        for part in parts:
            number = np.arange(len(put), len(put) + len(part))
            lists = pa.array([[n] * (n % 3) for n in number.tolist()], pa.list_(pa.int64()))
            texts = pa.array(part, pa.string())
            rows.put(pa.table({"text": texts, "number": number, "list": lists}))
            put += part
        assert rows.rows == len(put)
        order = sorted(range(len(put)), key=lambda n: (put[n].encode(), n))
        if distinct:
            order = [n for k, n in enumerate(order) if not k or put[order[k - 1]] != put[n]]
        found = list(rows.parts(distinct=distinct))
        assert [n for part in found for n in part["number"].to_pylist()] == order
        assert [t for part in found for t in part["text"].to_pylist()] == [put[n] for n in order]
        for part in found:
            assert part["list"].to_pylist() == [[n] * (n % 3) for n in part["number"].to_pylist()]
        ends = [(part["text"][0].as_py(), part["text"][-1].as_py()) for part in found]
        assert all(a[1].encode() < b[0].encode() for a, b in itertools.pairwise(ends))
        assert not list((Path(folder) / "rows").iterdir())


def test_many_rows_are_read_in_parts_of_about_the_size_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sorting, "AT_ONCE", 1_000)
    monkeypatch.setattr(sorting, "SAMPLED", 10)
    rows = Sorting(tmp_path / "rows", "text")
    draw = np.random.default_rng(0)
    for _ in range(50):
        rows.put(pa.table({"text": [f"{n:05}" for n in draw.integers(0, 99_999, 400)]}))
    sizes = [len(part) for part in rows.parts()]
    assert sum(sizes) == 20_000
    assert max(sizes) < 2_000


def test_columns_are_written_part_by_part_and_stay_readable_when_the_folder_is_gone(tmp_path):
    columns = Columns(tmp_path / "columns")
    columns.append(a=np.arange(3), b=np.ones(3, np.float32))
    columns.append(a=np.arange(3, 8)[::-1], b=np.zeros(5))
    numbers = columns.full("c", 8, np.int32(-1))
    numbers[[6, 1]] = 7, 9
    assert [len(a) for a, _ in columns.parts(("a", "c"), 3)] == [3, 3, 2]
    assert np.concatenate([c for _, c in columns.parts(("a", "c"), 3)]).tolist() == [
        *(-1, 9, -1, -1, -1, -1, 7, -1),
    ]
    a, b = columns.mapped("a", np.int64), columns.mapped("b", np.float32)
    assert columns.read("a", 6, 10).tolist() == [4, 3]
    for file in (tmp_path / "columns").iterdir():
        file.unlink()
    assert a.tolist() == [0, 1, 2, 7, 6, 5, 4, 3]
    assert b.tolist() == [1] * 3 + [0] * 5
    assert columns.mapped("none", np.int64).tolist() == []


@pytest.fixture
def store(db):
    with open_store(db) as made:
        small_yeast.write(made)
        yield made


QUERIES = {
    "everything": {},
    "pairs, their singles added": {"min_perturbed": 2},
    "some of a vector": {"phenotype": ["expression", "morphology"]},
    "under a term": {"go": ["GO:2"], "any_gene": True},
}


def small_parts(patch):
    """Three rows at a time wherever rows are many."""
    patch.setattr(sorting, "AT_ONCE", 3)
    patch.setattr(sorting, "SAMPLED", 2)
    patch.setattr(selecting_module(), "AT_ONCE", 3)
    patch.setattr(selecting_module(), "VALUES_AT_ONCE", 10)
    patch.setattr(folds, "AT_ONCE", 3)
    patch.setattr(apart, "ROWS_OF_PART", 3)
    patch.setattr(neo4j, "ROWS_OF_PART", 3)


def selecting_module():
    return sys.modules["genograph.cohorts.select"]


@pytest.mark.parametrize("name", QUERIES)
def test_a_cohort_is_the_same_whatever_the_size_of_its_parts(store, name, monkeypatch):
    query = CohortQuery.of(**QUERIES[name])
    whole = select(store, query)
    small_parts(monkeypatch)
    parts = select(store, query)
    assert parts.sha256 == whole.sha256
    assert parts.provenance == whole.provenance
    part = select(store, query, subgraph=Subgraph(genes=("YAL002C",), hops=1))
    monkeypatch.undo()
    assert part.sha256 == select(store, query, subgraph=Subgraph(("YAL002C",), 1)).sha256


@pytest.mark.parametrize("size", ["whole", "parts"])
def test_a_cohort_is_what_a_plain_loop_over_the_rows_makes(store, size, monkeypatch):
    if size == "parts":
        small_parts(monkeypatch)
    cohort = select(store)
    found = store.query(
        "MATCH (e:Experiment)-[:TESTS]->(s:Strain) MATCH (e)-[:FROM_STUDY]->(u:Study) "
        "WHERE e.phenotype = 'fitness' "
        "RETURN e.id AS id, s.id AS strain, u.id AS study, e.value AS value"
    ).to_pylist()
    found.sort(key=lambda row: row["id"])
    ids = cohort.strains.ids.to_pylist()
    assert ids == sorted(ids)
    fitness = cohort.fitness
    assert [ids[k] for k in fitness.strain] == [row["strain"] for row in found]
    assert [cohort.studies[k] for k in fitness.study] == [row["study"] for row in found]
    wanted = [np.nan if row["value"] is None else row["value"] for row in found]
    np.testing.assert_array_equal(fitness.value, np.array(wanted, np.float32))
    strains = cohort.strains
    for k, name in enumerate(ids):
        mine = slice(strains.offsets[k], strains.offsets[k + 1])
        carried = sorted(parse_strain(name), key=str)
        genes = [cohort.genome.gene_ids[g] for g in strains.gene[mine]]
        assert genes == [p.gene_id for p in carried]
        assert strains.dose[mine].tolist() == [np.float32(p.dose) for p in carried]
        alone = [ids.index(str(p)) if str(p) in ids else -1 for p in carried]
        assert strains.single[mine].tolist() == alone


def test_a_query_of_strains_stands_for_their_experiments_in_parts_too(store, monkeypatch):
    query = CohortQuery("MATCH (s:Strain)-[:PERTURBS]->(g:Gene) RETURN s.id AS strain, g.id AS g")
    whole = select(store, query)
    small_parts(monkeypatch)
    assert select(store, query).sha256 == whole.sha256
    with pytest.raises(CohortError, match="the cohort is empty"):
        select(store, CohortQuery("MATCH (s:Strain) WHERE s.id = 'no' RETURN s.id AS strain"))
    with pytest.raises(CohortError, match="returns s; a cohort needs a column of ids"):
        select(store, CohortQuery("MATCH (s:Strain) RETURN s"))
    with pytest.raises(CohortError, match="column strain holds"):
        select(store, CohortQuery("MATCH (s:Strain) RETURN 1 AS strain"))


def test_a_strain_without_perturbations_is_named_and_so_is_an_id_of_nothing(store, monkeypatch):
    small_parts(monkeypatch)
    query = CohortQuery("MATCH (g:Gene) RETURN g.id AS experiment")
    with pytest.raises(CohortError, match=r"holds 12 values that name no .* first YAL001C;"):
        select(store, query)
    for name, rows in {
        "Strain": {"id": ["YAL001C+YXX", "YXX"], "n_perturbed": [2, 1]},
        "Experiment": {
            "id": ["x1", "x2"], "phenotype": ["fitness"] * 2, "unit": ["relative to wild type"] * 2,
        },
        "TESTS": {"from_id": ["x1", "x2"], "to_id": ["YAL001C+YXX", "YXX"]},
        "FROM_STUDY": {"from_id": ["x1", "x2"], "to_id": ["costanzo2010"] * 2},
    }.items():  # fmt: skip
        store.write(Table.of(name, rows))
    with pytest.raises(CohortError, match=r"2 strains, first YAL001C\+YXX, have no PERTURBS"):
        select(store, CohortQuery("MATCH (e:Experiment) RETURN e.id AS experiment"))


def test_an_answer_in_parts_is_the_answer(store, monkeypatch):
    cypher = "MATCH (e:Experiment) RETURN e.id AS id, e.value AS value, e.phenotype AS p, null AS x"
    whole = store.query(cypher)
    small_parts(monkeypatch)
    parts = list(store.ask(cypher))
    assert len(parts) > 3
    assert {len(part) for part in parts[:-1]} == {3}

    def rows(tables):
        return sorted(map(repr, (row for table in tables for row in table.to_pylist())))

    assert rows(parts) == rows([whole])
    (empty,) = store.ask("MATCH (e:Experiment) WHERE e.id = $id RETURN e.id AS id", id="no")
    assert (len(empty), empty.column_names) == (0, ["id"])
    with pytest.raises(StoreError, match="the query was: MATCH"):
        list(store.ask("MATCH (g:Gene) RETURN g.nothing"))
    with pytest.raises(StoreError):
        list(store.ask("MATCH (g:Gene) SET g.symbol = 'x' RETURN g.id"))
    # another query may come between two parts
    answer = store.ask(cypher)
    first = next(answer)
    assert len(store.query("MATCH (g:Gene) RETURN g.id")) == 12
    assert rows([first, *answer]) == rows([whole])


def test_nothing_is_left_aside_and_the_arrays_live_on(store, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "aside"))
    (tmp_path / "aside").mkdir()
    cohort = select(store)
    with pytest.raises(CohortError):
        select(store, CohortQuery("MATCH (s:Strain) RETURN 1 AS strain"))
    assert not list((tmp_path / "aside").iterdir())
    folder = save_cohort(cohort, tmp_path / "cohort")
    assert load_cohort(folder).sha256 == cohort.sha256


@pytest.mark.parametrize("most", [10, 3_000])
def test_no_room_for_rows_aside_is_one_line_and_no_cohort(tmp_path, most):
    with open_store(tmp_path / "yeast.db") as made:
        small_yeast.write(made)
    aside = tmp_path / "aside"
    aside.mkdir()
    words = ["export", "--db", "yeast.db", "--out", "cohort"]

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        [sys.executable, "-B", "-m", "genograph", *words],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(aside)},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert str(aside) in done.stderr
    assert "TMPDIR" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(aside.iterdir())
    assert not (tmp_path / "cohort").exists()
