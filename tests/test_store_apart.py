"""A user's query runs in a process of its own: what it does there harms nobody."""

import os
import signal
import time
from pathlib import Path

import neo4j_server
import pyarrow as pa
import pytest
import small_yeast

import genograph
from genograph.errors import StoreError
from genograph.store import apart, open_store

ENDS_THE_ENGINE = (
    "MATCH (g:Gene) WITH g ORDER BY g.id SKIP 100000 LIMIT 10 RETURN g.id AS id",
    "MATCH (g:Gene) RETURN g.id AS id ORDER BY g.id SKIP 100000 LIMIT 10 "
    "UNION ALL MATCH (g:Gene) RETURN g.id AS id",
)
COUNT = "MATCH (g:Gene) RETURN count(*) AS n"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("apart") / "yeast.db"
    with open_store(path) as made:
        small_yeast.write(made)
    return path


@pytest.fixture
def store(file):
    with open_store(file, read_only=True) as opened:
        yield opened


def ask(store, cypher, **given):
    return pa.concat_tables(store.ask(cypher, **given))


def children():
    """The ids of this process's children."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(word) for task in tasks for word in task.read_text("ascii").split()}


@pytest.mark.parametrize("cypher", ENDS_THE_ENGINE)
def test_a_query_that_ends_the_engine_is_one_line_and_the_store_goes_on(store, cypher):
    with pytest.raises(StoreError, match=r"ended the database engine \(signal 11\)") as raised:
        ask(store, cypher)
    assert "\n" not in str(raised.value)
    assert ask(store, COUNT)["n"].to_pylist() == [12]


def test_paging_past_the_end_gives_no_rows(store):
    page = "MATCH (g:Gene) RETURN g.id AS id ORDER BY g.id SKIP "
    ids = ask(store, "MATCH (g:Gene) RETURN g.id AS id ORDER BY g.id")["id"].to_pylist()
    for skip, limit in ((0, 5), (5, 5), (10, 5), (12, 1), (10**5, 10), (10**11, 0), (3, 0)):
        found = ask(store, f"{page}{skip} LIMIT {limit}")
        assert found["id"].to_pylist() == ids[skip : skip + limit]
        found = ask(store, f"{page}$m LIMIT $n", m=skip, n=limit)
        assert found["id"].to_pylist() == ids[skip : skip + limit]
    # a parameter that is used twice stays
    same = ask(store, f"{page}$n LIMIT $n", n=2)
    assert same["id"].to_pylist() == ids[2:4]
    assert found.schema.field("id").type == pa.string()
    with pytest.raises(StoreError, match="the query was"):
        ask(store, f"{page}1 LIMIT $n", n="x")


def test_where_the_process_is_ours_such_paging_is_refused(store):
    with pytest.raises(StoreError, match="SKIP with LIMIT may end the process; use genograph"):
        store.query("MATCH (g:Gene) RETURN g.id ORDER BY g.id SKIP $n LIMIT 1", n=20_000)
    assert len(store.query("MATCH (g:Gene) RETURN 'ORDER BY SKIP 1 LIMIT 1' AS x")) == 12


def test_parameters_and_types_pass_through(store):
    given = {"s": "é\n'", "i": 2**62, "x": 0.1, "b": True, "l": [1.5, -2.0], "t": ["a", ""]}
    cypher = f"RETURN {', '.join(f'${n} AS {n}' for n in given)}"
    assert ask(store, cypher, **given).to_pylist() == [given]
    cypher = "MATCH (e:Experiment) RETURN e.id AS id, e.value AS value, e.values AS v ORDER BY id"
    found, same = ask(store, cypher, limit_rows=10**6), store.query(cypher)
    assert found.schema == same.schema
    # some values are NaN
    assert str(found.to_pylist()) == str(same.to_pylist())


def test_lists_that_are_null_are_no_damage(tmp_path):
    # the engine leaves their offsets as they happen to be
    cypher = "MATCH (s:Source) RETURN s.id AS id, s.settings AS a, s.reasons AS b ORDER BY id"
    with open_store(tmp_path / "yeast.db") as store:
        store.write(genograph.Table.of("Source", {"id": ["a", "b"]}))
        for found in (store.query(cypher), ask(store, cypher)):
            assert found.to_pylist() == [{"id": i, "a": None, "b": None} for i in ("a", "b")]


@pytest.mark.parametrize(
    "cypher",
    [
        "RETURN size(range(1, 2000000000)) AS n",
        "UNWIND range(1, 100000) AS i UNWIND range(1, 100000) AS j RETURN sum(i * j) AS n",
        "UNWIND range(1, 10000) AS i UNWIND range(1, 10000) AS j RETURN i, j",
    ],
)
def test_a_time_out_holds_within_two_seconds(store, cypher):
    ask(store, COUNT)
    begin = time.monotonic()
    with pytest.raises(StoreError, match=r"ran out of time after 0\.3 s|MiB of memory"):
        ask(store, cypher, timeout=0.3)
    assert time.monotonic() - begin < 2.3
    assert ask(store, COUNT)["n"].to_pylist() == [12]


def test_a_query_that_takes_too_much_memory_is_ended(store, monkeypatch):
    monkeypatch.setattr(apart, "ROOM", -(1 << 30) * 3 // 2)
    with pytest.raises(StoreError, match="MiB of memory and was ended; ask for less"):
        ask(store, "RETURN size(range(1, 2000000000)) AS n", timeout=20.0)
    monkeypatch.undo()
    assert ask(store, COUNT)["n"].to_pylist() == [12]


def test_an_answer_of_too_many_rows_is_refused_with_their_number(store):
    cypher = "MATCH (g:Gene) RETURN g.id AS id"
    for limit in (12, 13):
        assert len(genograph.query(store, cypher, limit_rows=limit)) == 12
    with pytest.raises(
        StoreError, match=r"the answer has 12 rows, and the limit is 11; .*limit_ro"
    ):
        genograph.query(store, cypher, limit_rows=11)
    assert len(genograph.query(store, f"{cypher} ORDER BY id SKIP 1 LIMIT 5", limit_rows=5)) == 5


def test_one_process_answers_many_queries_and_ends_with_its_store(file):
    with open_store(file, read_only=True) as store:
        before = children()
        for _ in range(3):
            ask(store, COUNT)
        (started,) = children() - before
        # an answer that is not read to its end takes its process with it
        half = store.ask(COUNT)
        next(half)
        half.close()
        assert started not in children()
        ask(store, COUNT)
        # one that was killed while it waited is not missed
        (started,) = children() - before
        os.kill(started, signal.SIGKILL)
        os.waitid(os.P_PID, started, os.WEXITED | os.WNOWAIT)
        assert ask(store, COUNT)["n"].to_pylist() == [12]
        # two answers at once have two processes
        one, two = store.ask(COUNT), store.ask(COUNT)
        assert next(one).equals(next(two))
        assert [*one, *two] == []
    assert children() == before


def test_a_query_sees_what_was_written_before_it(tmp_path):
    with open_store(tmp_path / "yeast.db") as store:
        assert ask(store, COUNT)["n"].to_pylist() == [0]
        small_yeast.write(store)
        assert ask(store, COUNT)["n"].to_pylist() == [12]
        answer = store.ask("MATCH (g:Gene) RETURN g.id AS id")
        rows = len(next(answer))
        store.write(genograph.Table.of("Gene", {"id": ["YZR900C"]}))
        assert rows + sum(map(len, answer)) == 12
        assert ask(store, COUNT)["n"].to_pylist() == [13]
        with store.transaction(), pytest.raises(StoreError, match="while a transaction is open"):
            ask(store, COUNT)
        assert ask(store, COUNT)["n"].to_pylist() == [13]


@pytest.mark.parametrize(
    "cypher",
    [
        "UNWIND range(1, 100000) AS i UNWIND range(1, 100000) AS j RETURN sum(i * j) AS n",
        "UNWIND range(1, 100000) AS i UNWIND range(1, 100000) AS j RETURN i, j",
    ],
)
def test_a_server_is_given_up_within_two_seconds(neo4j, cypher):
    with open_store(neo4j) as store:
        ask(store, COUNT)
        begin = time.monotonic()
        with pytest.raises(StoreError, match=r"ran out of time after 0\.5 s"):
            ask(store, cypher, timeout=0.5)
        assert time.monotonic() - begin < 2.5
        assert ask(store, COUNT)["n"].to_pylist() == [0]
        with pytest.raises(StoreError, match="the answer has more than 11 rows, and the limit is"):
            genograph.query(store, "UNWIND range(1, 12) AS i RETURN i", limit_rows=11)


@pytest.mark.slow
@pytest.mark.neo4j
def test_a_query_that_ends_a_server_is_not_repeated(monkeypatch, capfd):
    # a limit of memory does not count what one text takes
    limited = f"{neo4j_server.CONFIGURATION}db.memory.transaction.max=200m\n"
    monkeypatch.setattr(neo4j_server, "CONFIGURATION", limited)
    doubling = "RETURN size(reduce(s = 'a', x IN range(1, 40) | s + s)) AS n"
    try:
        with neo4j_server.running(heap="512m") as server:
            monkeypatch.setenv("GENOGRAPH_NEO4J_USER", server.user)
            monkeypatch.setenv("GENOGRAPH_NEO4J_PASSWORD", server.password)
            with open_store(server.uri) as store:
                many = "UNWIND range(1, 100000000) AS i WITH collect(i) AS c RETURN size(c) AS n"
                with pytest.raises(StoreError, match="out of memory for one transaction"):
                    ask(store, many, timeout=60.0)
                capfd.readouterr()
                begin = time.monotonic()
                with pytest.raises(
                    StoreError, match=r"no answer from the server .*reduce"
                ) as raised:
                    ask(store, doubling, timeout=30.0)
                assert time.monotonic() - begin < 20.0
                assert "\n" not in str(raised.value)
                assert capfd.readouterr() == ("", "")
    except neo4j_server.Unavailable as error:
        pytest.skip(str(error))
