"""The stores: one suite over the embedded database and a real Neo4j server.

Each trap of the two engines that the stores go round is pinned here.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import ladybug
import neo4j as driver
import numpy as np
import pyarrow as pa
import pytest

from genograph.errors import SchemaError, StoreError
from genograph.schema import graph_schema
from genograph.store import Written, open_store
from genograph.store.neo4j import _operators, _seeking
from genograph.tables import Table

ROOT = Path(__file__).parents[1]


def genes(*ids, **columns):
    return Table.of("Gene", {"id": list(ids), **columns}, source="genes.tab")


@pytest.fixture
def store(db):
    with open_store(db) as opened:
        yield opened


@pytest.fixture
def small(store):
    """Two genes, two strains, one perturbed twice."""
    store.write(genes("YAL001C", "YBL003C", symbol=["TFC3", "HTA2"], start_pos=[151006, None]))
    store.write(Table.of("Strain", {"id": ["WT", "YAL001C"], "n_perturbed": [0, 1]}))
    store.write(perturbs([("YAL001C", "YAL001C", "deletion", "", 0.0)]))
    return store


def perturbs(rows):
    names = ("from_id", "to_id", "kind", "allele", "dose")
    return Table.of("PERTURBS", {n: [r[i] for r in rows] for i, n in enumerate(names)})


# ---------------------------------------------------------------- set-up and versions


def test_an_empty_database_is_set_up_and_counts_every_type_with_zeros(store):
    schema = graph_schema()
    counts = store.counts()
    assert list(counts) == [*schema.nodes, *schema.relationships]
    assert counts.pop("Database") == 1
    assert set(counts.values()) == {0}


def test_what_was_written_is_there_when_the_database_is_opened_again(db):
    with open_store(db) as store:
        store.write(genes("YAL001C"))
    with open_store(db) as store:
        assert store.counts()["Gene"] == 1
    with open_store(db, read_only=True) as store:
        assert store.query("MATCH (g:Gene) RETURN g.id AS id")["id"].to_pylist() == ["YAL001C"]
        assert store.counts()["Database"] == 1


def test_a_database_of_another_schema_version_says_what_to_do(db):
    other = graph_schema().version + 1
    with open_store(db) as store:
        store.write(Table.of("Database", {"id": ["genograph"], "schema_version": [other]}))
    for read_only in (False, True):
        with pytest.raises(StoreError, match=f"schema version {other}, .*genograph build"):
            open_store(db, read_only=read_only)


def test_a_graph_that_genograph_did_not_make_is_refused_and_left_alone(db, request):
    if db.startswith("bolt"):
        server = request.getfixturevalue("neo4j_server")
        with (
            driver.GraphDatabase.driver(db, auth=(server.user, server.password)) as opened,
            opened.session() as session,
        ):
            session.run("CREATE (:Thing {id: 'mine'})").consume()
            with pytest.raises(StoreError, match="genograph did not make"):
                open_store(db)
            assert session.run("MATCH (n) RETURN n.id").values() == [["mine"]]
    else:
        with ladybug.Database(db) as made, ladybug.Connection(made) as connection:
            connection.execute("CREATE NODE TABLE Thing(id STRING PRIMARY KEY)")
        with pytest.raises(StoreError, match="genograph did not make"):
            open_store(db)


def test_an_empty_database_cannot_be_opened_for_reading(db):
    with pytest.raises(StoreError, match=r"genograph (load|build)"):
        open_store(db, read_only=True)


def test_a_database_opened_for_reading_refuses_every_write(db):
    with open_store(db) as store:
        store.write(genes("YAL001C"))
    with open_store(db, read_only=True) as store:
        with pytest.raises(StoreError):
            store.write(genes("YBL003C"))
        with pytest.raises(StoreError):
            store.erase("Gene", ("symbol",), "n.id = 'YAL001C'")
        assert store.counts()["Gene"] == 1


def test_closing_twice_is_harmless_and_size_is_bytes_or_unknown(db):
    store = open_store(db)
    size = store.size()
    assert size is None if db.startswith("bolt") else size > 0
    store.close()
    store.close()


# ---------------------------------------------------------------- writing


def test_writing_twice_changes_nothing_and_the_counts_say_so(store):
    table = genes("YAL001C", "YBL003C", symbol=["TFC3", "HTA2"], aliases=[["FUN24"], []])
    assert store.write(table) == Written(created=2)
    assert store.write(table) == Written(unchanged=2)
    changed = genes("YAL001C", "YBL003C", "YCR012W", symbol=["TFC3", "H2A2", "PGK1"])
    assert store.write(changed) == Written(created=1, updated=1, unchanged=1)
    assert store.write(changed) == Written(unchanged=3)
    rows = store.query("MATCH (g:Gene) RETURN g.symbol AS symbol, g.aliases AS a ORDER BY g.id")
    assert rows.to_pylist() == [
        {"symbol": "TFC3", "a": ["FUN24"]},
        {"symbol": "H2A2", "a": []},
        {"symbol": "PGK1", "a": None},
    ]


def test_relationships_written_twice_are_not_doubled(small):
    again = [("YAL001C", "YAL001C", "deletion", "", 0.0)]
    assert small.write(perturbs(again)) == Written(unchanged=1)
    # another kind of the same pair is another relationship, another dose of the same kind is not
    more = [
        ("YAL001C", "YAL001C", "deletion", "", 0.25),
        ("YAL001C", "YAL001C", "ts", "tsq1", 0.5),
    ]
    assert small.write(perturbs(more)) == Written(created=1, updated=1)
    assert small.write(perturbs(more)) == Written(unchanged=2)
    rows = small.query("MATCH (:Strain)-[r:PERTURBS]->(:Gene) RETURN r.dose AS dose ORDER BY dose")
    assert rows["dose"].to_pylist() == [0.25, 0.5]


def test_rows_beyond_what_is_looked_for_at_once_are_merged_alike(small, monkeypatch):
    monkeypatch.setattr(type(small), "rows_at_once", 2)
    ids = [f"S{n}" for n in range(7)]
    table = Table.of("Strain", {"id": ids, "n_perturbed": [1] * 7})
    assert small.write(table) == Written(created=7)
    links = perturbs([(i, "YAL001C", "deletion", "", 0.0) for i in ids])
    assert small.write(links) == Written(created=7)
    assert small.write(links) == Written(unchanged=7)
    assert small.write(table) == Written(unchanged=7)
    lost = perturbs([(i, "YAL001C", "deletion", "", 0.0) for i in [*ids, "S9"]])
    with pytest.raises(SchemaError, match="first S9"):
        small.write(lost)


def test_a_null_leaves_what_the_database_has(store):
    store.write(genes("YAL001C", "YBL003C", symbol=["TFC3", None], start_pos=[151006, None]))
    update = genes("YAL001C", "YBL003C", symbol=[None, "HTA2"], strand=["-", None])
    assert store.write(update) == Written(updated=2)
    rows = store.query(
        "MATCH (g:Gene) RETURN g.symbol AS symbol, g.start_pos AS start_pos, g.strand AS strand "
        "ORDER BY g.id"
    )
    assert rows.to_pylist() == [
        {"symbol": "TFC3", "start_pos": 151006, "strand": "-"},
        {"symbol": "HTA2", "start_pos": None, "strand": None},
    ]
    assert store.write(genes("YAL001C", symbol=[None])) == Written(unchanged=1)


def test_a_column_without_any_value_is_written_over_what_is_there(store):
    store.write(genes("YAL001C", symbol=["TFC3"], aliases=[["FUN24"]]))
    nothing = genes("YAL001C", symbol=["X"], aliases=[None])
    assert store.write(nothing) == Written(updated=1)
    rows = store.query("MATCH (g:Gene) RETURN g.symbol AS s, g.aliases AS a")
    assert rows.to_pylist() == [{"s": "X", "a": ["FUN24"]}]


def test_an_empty_table_writes_nothing(store):
    assert store.write(Table.of("Gene", {"id": []})) == Written()
    assert store.write(perturbs([])) == Written()


def test_relationships_to_nodes_that_are_not_there_are_refused_and_named(small):
    rows = [
        ("YAL001C", "YAL001C", "ts", "a", 0.5),
        ("YAL001C", "YZZ999W", "deletion", "", 0.0),
        ("YAL001C", "YZZ998W", "deletion", "", 0.0),
    ]
    with pytest.raises(SchemaError, match=r"2 Gene of PERTURBS .* first YZZ999W; load them first"):
        small.write(perturbs(rows))
    assert small.counts()["PERTURBS"] == 1


def test_a_key_that_stands_twice_in_a_table_is_refused_before_any_engine_sees_it(store):
    with pytest.raises(SchemaError, match="YAL001C stands twice"):
        genes("YAL001C", "YAL001C")
    store.write(genes("YAL001C", "YBL003C"))
    assert store.write(genes("YBL003C", "YCR012W")) == Written(created=1, unchanged=1)
    assert store.counts()["Gene"] == 3


def test_every_type_of_value_comes_back_as_it_was_written(store):
    text = "naïve 'quoted' \"twice\" \\ back\n{brace} $dollar ✓"
    store.write(genes("YAL001C", description=[text], start_pos=[2**53], aliases=[[text, ""]]))
    store.write(
        Table.of(
            "Experiment",
            {
                "id": ["e"],
                "value": [0.1 + 0.2],
                "derived": [True],
                "values": [[1.5, float("nan"), -0.0]],
            },
        )
    )
    gene = store.query(
        "MATCH (g:Gene) RETURN g.description AS d, g.start_pos AS s, g.aliases AS a"
    ).to_pylist()[0]
    assert gene == {"d": text, "s": 2**53, "a": [text, ""]}
    measured = store.query(
        "MATCH (e:Experiment) RETURN e.value AS value, e.derived AS derived, e.values AS v"
    )
    assert measured["value"][0].as_py() == 0.1 + 0.2
    assert measured["derived"][0].as_py() is True
    np.testing.assert_array_equal(measured["v"][0].as_py(), [1.5, np.nan, 0.0])


def test_vectors_with_missing_values_are_equal_to_themselves(store):
    values = [[1.5, float("nan"), 0.1], [], [float("nan")]]
    table = Table.of("Experiment", {"id": ["a", "b", "c"], "values": values})
    assert store.write(table) == Written(created=3)
    assert store.write(table) == Written(unchanged=3)


@pytest.mark.timeout(120)
def test_many_vectors_of_768_come_back_bit_for_bit(store):
    # an Arrow result without a chunk size crashed the embedded engine on FLOAT[768]
    vectors = np.random.default_rng(0).normal(size=(1200, 768)).astype(np.float32)
    ids = [f"v{i:04}" for i in range(len(vectors))]
    table = Table.of("Embedding", {"id": ids, "vector": list(vectors), "dim": [768] * len(ids)})
    assert store.write(table) == Written(created=1200)
    rows = store.query("MATCH (e:Embedding) RETURN e.id AS id, e.vector AS vector ORDER BY id")
    assert rows["id"].to_pylist() == ids
    assert rows.schema.field("vector").type == pa.list_(pa.float32())
    flat = rows["vector"].combine_chunks().flatten().to_numpy()
    np.testing.assert_array_equal(flat.reshape(vectors.shape), vectors)


@pytest.mark.timeout(120)
def test_more_rows_than_a_batch_go_in_whole_however_they_are_cut(store):
    # superlinear ways to write (UNWIND of rows, two keys in one MATCH) would not get this done
    n = 12_000
    ids = [f"Y{i:05}" for i in range(n)]
    assert store.write(genes(*ids, start_pos=list(range(1, n + 1)))) == Written(created=n)
    pairs = {"from_id": ids[:-1], "to_id": ids[1:], "source": ["x"] * (n - 1)}
    whole = Table.of("INTERACTS_WITH", pairs)
    cut = 5_001
    parts = [Table("INTERACTS_WITH", whole.rows.slice(i, cut)) for i in range(0, n - 1, cut)]
    assert sum((store.write(p) for p in parts), Written()) == Written(created=n - 1)
    assert store.write(whole) == Written(unchanged=n - 1)
    assert store.counts()["INTERACTS_WITH"] == n - 1
    total = store.query("MATCH (g:Gene) RETURN count(g) AS n, max(g.start_pos) AS last")
    assert total.to_pylist() == [{"n": n, "last": n}]


# ---------------------------------------------------------------- transactions and deletions


def test_a_transaction_that_fails_leaves_the_database_as_it_was(small):
    def fail():
        with small.transaction():
            small.write(genes("YCR012W"))
            small.write(genes("YAL001C", symbol=["changed"]))
            assert small.counts()["Gene"] == 3
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    rows = small.query("MATCH (g:Gene) RETURN g.symbol AS symbol ORDER BY symbol")
    assert rows["symbol"].to_pylist() == ["HTA2", "TFC3"]
    assert small.write(genes("YCR012W")) == Written(created=1)


def test_a_refused_query_within_a_transaction_undoes_it(store):
    def fail():
        with store.transaction():
            store.write(genes("YAL001C"))
            store.query("MATCH (g:Gene) RETURN nothing")

    with pytest.raises(StoreError):
        fail()
    assert store.counts()["Gene"] == 0


def test_nested_transactions_are_decided_by_the_outermost(store):
    with store.transaction():
        with store.transaction():
            store.write(genes("YAL001C"))
        store.write(genes("YBL003C"))
    assert store.counts()["Gene"] == 2

    def fail():
        with store.transaction():
            with store.transaction():
                store.write(genes("YCR012W"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.counts()["Gene"] == 2


def test_properties_of_relationships_are_carried_to_the_nodes_at_their_end(small):
    small.write(Table.of("Run", {"id": ["r1", "r2"]}))
    ends = {"from_id": ["r1", "r1", "r2"], "to_id": ["WT", "YAL001C", "WT"]}
    small.write(
        Table.of("PREDICTED", ends | {"fitness": [None, 0.5, 0.7], "fitness_sd": [0.1] * 3})
    )
    small.write(Table.of("Strain", {"id": ["WT"], "predicted_fitness": [0.9]}))
    names = {"fitness": "predicted_fitness", "fitness_sd": "predicted_fitness_sd"}
    with small.transaction(rows=10_000):
        small.carry(
            "PREDICTED", names, "a.id = $predicted_run", "predicted_run", predicted_run="r1"
        )
    rows = small.query(
        "MATCH (s:Strain) RETURN s.id AS id, s.predicted_run AS run, s.predicted_fitness AS f, "
        "s.predicted_fitness_sd AS sd ORDER BY id"
    )
    assert rows.to_pylist() == [
        {"id": "WT", "run": "r1", "f": None, "sd": 0.1},
        {"id": "YAL001C", "run": "r1", "f": 0.5, "sd": 0.1},
    ]


def test_erase_sets_properties_to_null_and_counts_the_nodes(small):
    assert small.erase("Gene", ("symbol", "start_pos"), "n.symbol = $s", s="TFC3") == 1
    assert small.erase("Gene", ("symbol",), "n.symbol = 'TFC3'") == 0
    rows = small.query(
        "MATCH (g:Gene) RETURN g.symbol AS s, g.start_pos AS p, g.id AS id ORDER BY id"
    )
    assert rows.to_pylist() == [
        {"s": None, "p": None, "id": "YAL001C"},
        {"s": "HTA2", "p": None, "id": "YBL003C"},
    ]


# ---------------------------------------------------------------- queries

TYPED = {
    "MATCH (g:Gene) RETURN g.id AS id, g.start_pos AS start_pos, g.aliases AS aliases": (
        pa.schema(
            {"id": pa.string(), "start_pos": pa.int64(), "aliases": pa.list_(pa.string())}.items()
        )
    ),
    "MATCH (s:Strain)-[p:PERTURBS]->(g) RETURN s.id, p.dose AS dose, g.symbol, count(*) AS n": (
        pa.schema(
            {
                "s.id": pa.string(),
                "dose": pa.float64(),
                "g.symbol": pa.string(),
                "n": pa.int64(),
            }.items()
        )
    ),
    "MATCH (e:Experiment)-[:TESTS]->(s:Strain) WITH s, collect(e.value) AS v, e.derived AS d "
    "RETURN s.predicted_fitness AS f, v AS values, d, s.predicted_morphology AS m": (
        pa.schema(
            {
                "f": pa.float64(),
                "values": pa.list_(pa.float64()),
                "d": pa.bool_(),
                "m": pa.list_(pa.float32()),
            }.items()
        )
    ),
}


@pytest.mark.parametrize("cypher", TYPED)
def test_columns_have_the_schemas_types_with_rows_and_without(small, cypher):
    small.write(Table.of("Experiment", {"id": ["e"]}))
    small.write(Table.of("TESTS", {"from_id": ["e"], "to_id": ["YAL001C"]}))
    assert len(small.query(cypher)) > 0
    assert small.query(cypher).schema == TYPED[cypher]
    empty = small.query(cypher.replace(" RETURN", " WHERE 1 = 2 RETURN", 1))
    assert empty.schema == TYPED[cypher]


def test_a_query_runs_once_a_row_and_sees_the_columns(small):
    rows = pa.table({"in_id": ["YBL003C", "nothing", "YAL001C", "YBL003C"], "in_n": [1, 2, 3, 4]})
    found = small.query(
        "MATCH (g:Gene {id: in_id}) RETURN in_n AS n, in_id, g.symbol AS symbol ORDER BY n",
        rows=rows,
    )
    assert found.to_pydict() == {
        "n": [1, 3, 4],
        "in_id": ["YBL003C", "YAL001C", "YBL003C"],
        "symbol": ["HTA2", "TFC3", "HTA2"],
    }
    nothing = small.query(
        "MATCH (g:Gene {id: in_id}) RETURN in_n, g.symbol AS symbol", rows=rows.slice(0, 0)
    )
    assert nothing.schema == pa.schema({"in_n": pa.int64(), "symbol": pa.string()}.items())
    assert len(nothing) == 0


def test_aggregates_run_over_all_rows(small):
    rows = pa.table({"in_id": ["YAL001C", "YBL003C"] * 6000})
    found = small.query("MATCH (g:Gene {id: in_id}) RETURN count(*) AS n", rows=rows)
    assert found["n"].to_pylist() == [12_000]


def test_parameters_of_every_type_reach_the_query(small):
    found = small.query(
        "MATCH (g:Gene) WHERE g.id IN $ids AND g.start_pos > $low AND g.symbol <> $other "
        "RETURN g.id AS id",
        ids=["YAL001C", "YBL003C"],
        low=1.5,
        other="x' OR 1=1 //",
    )
    assert found["id"].to_pylist() == ["YAL001C"]


def test_a_parameter_within_a_list_predicate_is_bound_first(small):
    # a parameter inside all(...) fails in the embedded engine
    small.write(genes("YAL001C", aliases=[["FUN24", "TSV115"]]))
    found = small.query(
        "WITH $known AS known MATCH (g:Gene) WHERE all(a IN g.aliases WHERE a IN known) "
        "RETURN g.id AS id",
        known=["FUN24", "TSV115", "X"],
    )
    assert found["id"].to_pylist() == ["YAL001C"]


def test_declared_properties_that_were_never_written_are_null_without_a_word(small, capfd):
    rows = small.query(
        "MATCH (s:Strain {id: 'WT'}) OPTIONAL MATCH (r:Run)-[p:PREDICTED]->(s) "
        "RETURN s.predicted_fitness AS f, p.split AS split"
    )
    assert rows.to_pylist() == [{"f": None, "split": None}]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("cypher", "name"),
    [
        ("MATCH (g:Gen) RETURN g.id", "Gen"),
        ("MATCH (:Strain)-[:DISTURBS]->(g:Gene) RETURN g.id", "DISTURBS"),
        ("MATCH (g:Gene) RETURN g.symbl", "symbl"),
        ("MATCH (g:Gene {symbl: 'TFC3'}) RETURN g.id", "symbl"),
        ("MATCH (g:Gene) RETURN g.predicted_fitness", "predicted_fitness"),
        ("MATCH (:Strain)-[p:PERTURBS]->(:Gene) WHERE p.fitness > 1 RETURN count(*) AS n", "fitn"),
        ("MATCH (n) RETURN n.symbl LIMIT 1", "symbl"),
    ],
)
def test_an_unknown_name_is_an_error_that_shows_it_and_the_query(small, cypher, name, capfd):
    with pytest.raises(StoreError, match=name) as caught:
        small.query(cypher)
    assert cypher in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "cypher",
    [
        "CREATE (g:Gene {id: 'x'})",
        "MERGE (g:Gene {id: 'x'}) RETURN g.id",
        "MATCH (g:Gene) SET g.symbol = 'x' RETURN g.id",
        "MATCH (g:Gene) DETACH DELETE g",
        "MATCH (s:Strain)-[p:PERTURBS]->() DELETE p",
        "MATCH (g:Gene) REMOVE g.symbol RETURN g.id",
        "MATCH (g:Gene) RETURN g.id; MATCH (s:Strain) RETURN s.id",
        "MATCH (g:Gene) RETURN g.id; MATCH (g:Gene) DETACH DELETE g",
    ],
)
def test_a_query_that_would_write_or_is_two_is_refused_and_nothing_changes(small, cypher):
    with pytest.raises(StoreError):
        small.query(cypher)
    assert small.counts()["Gene"] == 2
    assert small.counts()["PERTURBS"] == 1
    symbols = small.query("MATCH (g:Gene) RETURN g.symbol AS s ORDER BY s")["s"].to_pylist()
    assert symbols == ["HTA2", "TFC3"]


@pytest.mark.parametrize(
    "cypher", ["MATCH (g:Gene) RETRN g.id", "", "MATCH (g:Gene", "MATCH (g:Gene) RETURN x.id"]
)
def test_what_is_no_cypher_is_refused_in_one_line_with_the_query(small, cypher):
    with pytest.raises(StoreError) as caught:
        small.query(cypher)
    assert f"the query was: {cypher}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.timeout(60)
def test_a_query_that_takes_too_long_is_stopped_and_the_store_goes_on(small):
    with pytest.raises(StoreError):
        small.query(
            "UNWIND range(1, 10000) AS i UNWIND range(1, 10000) AS j "
            "UNWIND range(1, 1000) AS k RETURN count(i * j * k) AS n",
            timeout=0.5,
        )
    assert len(small.query("MATCH (g:Gene) RETURN g.id", timeout=30.0)) == 2


# ---------------------------------------------------------------- embedded only


@pytest.mark.parametrize(
    "cypher",
    [
        "COPY (MATCH (g:Gene) RETURN g.id) TO '{folder}/out.csv'",
        "copy Gene to '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "IMPORT DATABASE '{folder}/out'",
        "LOAD FROM '{folder}/in.csv' RETURN *",
        "MATCH (g:Gene) LOAD FROM '{folder}/in.csv' RETURN *",
        "CALL show_tables() RETURN *",
        "CALL threads=1",
        "COMMIT",
        "ROLLBACK",
        "CHECKPOINT",
        "BEGIN TRANSACTION",
        "RETURN 1; COMMIT; CREATE (:Gene {{id: 'x'}})",
        "/* RETURN */ COPY Gene TO '{folder}/out.csv'",
        "INSTALL httpfs",
        "ATTACH '{folder}/other.db' AS other (dbtype lbug)",
        "PROFILE MATCH (g:Gene) RETURN g.id",
    ],
)
def test_what_the_engines_read_mode_lets_through_is_refused(tmp_path, cypher):
    (tmp_path / "in.csv").write_text("secret\n")
    with open_store(tmp_path / "yeast.db") as store:
        store.write(genes("YAL001C"))
        with pytest.raises(StoreError, match="a query only reads the graph"):
            store.query(cypher.format(folder=tmp_path))
        assert store.counts()["Gene"] == 1
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    "text", ["; COMMIT", "LOAD FROM x", "COPY Gene TO 'x'", "// COPY (", "/* CALL x */", "a\\"]
)
def test_words_within_quotes_and_comments_are_no_clauses(tmp_path, text):
    with open_store(tmp_path / "yeast.db") as store:
        store.write(genes("YAL001C", symbol=[text]))
        quoted = text.replace("\\", "\\\\").replace("'", "\\'")
        found = store.query(f"MATCH (g:Gene) WHERE g.symbol = '{quoted}' RETURN g.id AS id;")
        assert found["id"].to_pylist() == ["YAL001C"]
        assert store.query("// COPY Gene TO 'x'\nMATCH (g:Gene) RETURN g.id AS copy")


def test_an_answer_that_takes_too_long_says_the_limit_and_what_to_do(tmp_path):
    with (
        open_store(tmp_path / "yeast.db") as store,
        pytest.raises(StoreError, match=r"ran out of time after 0\.2 s; select less or allow more"),
    ):
        store.query(
            "UNWIND range(1, 10000) AS i UNWIND range(1, 10000) AS j "
            "UNWIND range(1, 1000) AS k RETURN count(i * j * k) AS n",
            timeout=0.2,
        )


def test_a_database_in_use_by_another_process_is_refused(tmp_path):
    path = tmp_path / "genograph.db"
    program = (
        "import sys; from genograph.store import open_store\n"
        f"with open_store({str(path)!r}): print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout.readline() == "open\n"
        for read_only in (False, True):
            with pytest.raises(StoreError, match="in use by another process"):
                open_store(path, read_only=read_only)
        other.stdin.close()
    with open_store(path) as store:
        assert store.counts()["Database"] == 1


def test_several_readers_share_an_embedded_database_and_keep_a_writer_out(tmp_path):
    path = tmp_path / "genograph.db"
    with open_store(path) as store:
        store.write(genes("YAL001C"))
    with open_store(path, read_only=True) as one, open_store(path, read_only=True) as two:
        assert one.counts() == two.counts()
        with pytest.raises(StoreError, match="in use"):
            open_store(path)


@pytest.mark.parametrize("content", [b"", b"not a database", b"\0" * 10_000])
def test_a_file_that_is_no_database_is_refused_or_filled(tmp_path, content):
    path = tmp_path / "genograph.db"
    path.write_bytes(content)
    if content:
        with pytest.raises(StoreError, match="cannot be opened as a database"):
            open_store(path)
        assert path.read_bytes() == content


def test_places_where_no_database_can_be_are_refused(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        open_store(tmp_path)
    with pytest.raises(StoreError, match="does not exist"):
        open_store(tmp_path / "no" / "genograph.db")
    with pytest.raises(StoreError, match="no such database"):
        open_store(tmp_path / "genograph.db", read_only=True)


# ---------------------------------------------------------------- Neo4j only


def test_the_constraints_and_indexes_are_those_of_the_generated_file(neo4j, neo4j_server):
    with open_store(neo4j):
        pass
    text = (ROOT / "schema" / "constraints.cypher").read_text("utf-8")
    wanted = {line.split()[2] for line in text.splitlines()}
    auth = (neo4j_server.user, neo4j_server.password)
    with driver.GraphDatabase.driver(neo4j, auth=auth) as opened, opened.session() as session:
        names = {r[0] for r in session.run("SHOW CONSTRAINTS YIELD name").values()}
        names |= {r[0] for r in session.run("SHOW INDEXES YIELD name").values()}
        states = session.run("SHOW INDEXES YIELD state RETURN DISTINCT state").values()
    assert wanted <= names
    assert states == [["ONLINE"]]


@pytest.mark.parametrize(
    "cypher",
    [
        "LOAD CSV FROM 'file:///x.csv' AS line RETURN line",
        "CALL db.labels() YIELD label RETURN label",
        "CALL dbms.listConfig() YIELD name, value RETURN name, value",
        "SHOW TRANSACTIONS YIELD username RETURN username",
        "TERMINATE TRANSACTIONS 'neo4j-transaction-1'",
        "SHOW USERS",
        "CREATE INDEX other FOR (g:Gene) ON (g.strand)",
        "PROFILE MATCH (g:Gene) DETACH DELETE g",
        "EXPLAIN MATCH (g:Gene) DETACH DELETE g",
    ],
)
def test_what_a_read_only_session_of_neo4j_would_let_through_is_refused(neo4j, cypher):
    with open_store(neo4j) as store:
        store.write(genes("YAL001C"))
        with pytest.raises(StoreError):
            store.query(cypher)
        with store.transaction(), pytest.raises(StoreError):
            store.query(cypher)
        assert store.counts()["Gene"] == 1


def test_a_database_is_named_by_the_path_of_the_address(neo4j):
    with open_store(f"{neo4j}/neo4j") as store:
        assert store.write(genes("YAL001C")) == Written(created=1)
    with open_store(neo4j.replace("bolt://", "neo4j://")) as store:
        assert store.counts()["Gene"] == 1
    with pytest.raises(StoreError, match="elsewhere"):
        open_store(f"{neo4j}/elsewhere")


def test_two_writers_of_the_same_rows_make_them_once(neo4j):
    ids = [f"Y{i:04}" for i in range(3000)]
    done = []
    with open_store(neo4j):
        pass

    def write():
        with open_store(neo4j) as store:
            store.write(genes(*ids))
            pairs = {"from_id": ids[:-1], "to_id": ids[1:], "source": ["x"] * (len(ids) - 1)}
            done.append(store.write(Table.of("INTERACTS_WITH", pairs)))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    with open_store(neo4j, read_only=True) as store:
        assert store.counts()["Gene"] == 3000
        assert store.counts()["INTERACTS_WITH"] == 2999


def test_keys_of_rows_are_looked_up_in_the_index_though_the_database_was_empty(neo4j, neo4j_server):
    # a plan made on an empty database scanned all nodes for each row, and was kept
    rows = "UNWIND $rows AS row WITH row.a AS in_a, row.b AS in_b "
    query = (
        "MATCH (a:Experiment {id: in_a}) MATCH (b:Study {id: in_b}) "
        "OPTIONAL MATCH (a)-[x:FROM_STUDY]->(b) RETURN count(x) AS n"
    )
    with open_store(neo4j):
        pass
    auth = (neo4j_server.user, neo4j_server.password)
    with (
        driver.GraphDatabase.driver(neo4j, auth=auth) as opened,
        opened.session(notifications_min_severity="OFF") as session,
    ):
        plan = session.run(f"EXPLAIN {rows}{_seeking(query)}", rows=[]).consume().plan
    operators = [name.partition("@")[0] for name in _operators(plan)]
    assert operators.count("NodeUniqueIndexSeek") == 2
    assert "OptionalExpand(Into)" in operators
    assert not any("Scan" in name or name == "Expand(All)" for name in operators)


def test_whole_nodes_come_back_as_their_declared_properties(neo4j):
    with open_store(neo4j) as store:
        store.write(genes("YAL001C", symbol=["TFC3"]))
        node = store.query("MATCH (g:Gene) RETURN g")["g"][0].as_py()
    assert node["_LABEL"] == "Gene"
    assert node["symbol"] == "TFC3"
    assert list(node)[1:] == list(graph_schema().nodes["Gene"].properties)


def test_a_wrong_password_is_one_line_without_it(neo4j, monkeypatch):
    monkeypatch.setenv("GENOGRAPH_NEO4J_PASSWORD", "open-sesame-42")
    with pytest.raises(StoreError, match="wrong user or password; set GENOGRAPH_NEO4J_USER") as e:
        open_store(neo4j)
    told = str(e.value) + str(e.value.__cause__)
    assert "open-sesame-42" not in told
    assert "\n" not in str(e.value)


def test_a_password_file_is_taken_and_no_credentials_are_not(
    neo4j, neo4j_server, monkeypatch, tmp_path
):
    monkeypatch.delenv("GENOGRAPH_NEO4J_USER")
    monkeypatch.delenv("GENOGRAPH_NEO4J_PASSWORD")
    with pytest.raises(StoreError, match="GENOGRAPH_NEO4J_PASSWORD"):
        open_store(neo4j)
    file = tmp_path / "auth"
    file.write_text(f"{neo4j_server.user}:{neo4j_server.password}\n")
    file.chmod(0o600)
    monkeypatch.setenv("GENOGRAPH_NEO4J_AUTH_FILE", str(file))
    with open_store(neo4j) as store:
        assert store.counts()["Database"] == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_dead_server_is_one_line(scheme, monkeypatch):
    monkeypatch.setenv("GENOGRAPH_NEO4J_PASSWORD", "open-sesame-42")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(StoreError, match=f"{scheme}://127.0.0.1:{port}: no answer") as caught:
            open_store(f"{scheme}://127.0.0.1:{port}")
    assert "\n" not in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.timeout(60)
def test_a_server_that_is_no_database_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as fake:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = fake.accept()
                    with connection:
                        connection.recv(64)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(StoreError) as caught:
            open_store(f"bolt://127.0.0.1:{fake.getsockname()[1]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "bolt://neo4j:hunter2@localhost:7687",
        "neo4j://hunter2@localhost",
        "neo4j+s://:hunter2@localhost/neo4j",
        "neo4j://localhost/?password=hunter2",
        "bolt://localhost:hunter2",
        "bolt://u:hunter2/x@localhost",
        "neo4j://",
        "bolt://localhost:0",
    ],
)
def test_an_address_with_a_password_or_without_a_server_is_refused_and_not_repeated(uri):
    with pytest.raises(StoreError) as caught:
        open_store(uri)
    assert "hunter2" not in str(caught.value)
    assert "neo4j://localhost:7687" in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "content", "mode", "said"),
    [
        ({"USER": "neo4j"}, None, 0, "GENOGRAPH_NEO4J_PASSWORD is not"),
        ({"PASSWORD": "hunter2"}, "neo4j:x", 0o600, "unset one"),
        ({}, "neo4j:hunter2", 0o604, "chmod 600"),
        ({}, "neo4j hunter2", 0o600, "user:password"),
        ({}, ":hunter2", 0o600, "user:password"),
        ({}, "neo4j:hunter2\nmore:hunter2", 0o600, "user:password"),
        ({}, "missing", None, "cannot be read"),
    ],
)
def test_credentials_that_are_not_whole_or_not_private_are_refused(
    environment, content, mode, said, monkeypatch, tmp_path
):
    for name in ("USER", "PASSWORD", "AUTH_FILE"):
        monkeypatch.delenv(f"GENOGRAPH_NEO4J_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(f"GENOGRAPH_NEO4J_{name}", value)
    if content is not None:
        file = tmp_path / "auth"
        monkeypatch.setenv("GENOGRAPH_NEO4J_AUTH_FILE", str(file))
        if mode is not None:
            file.write_text(content)
            file.chmod(mode)
    with pytest.raises(StoreError, match=said) as caught:
        open_store("bolt://127.0.0.1:1")
    assert "hunter2" not in str(caught.value)


# ---------------------------------------------------------------- the server itself


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_without_maven_the_tests_skip_and_say_why_but_fail_where_all_must_run(
    ci, outcome, tmp_path
):
    name = "test_the_constraints_and_indexes_are_those_of_the_generated_file"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GENOGRAPH_TEST")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/nonexistent", "CI": ci}
    command = [sys.executable, "-m", "pytest", __file__, "-k", name, "-rs", "-q"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout
    assert "no Maven" in done.stdout or "needs Java" in done.stdout
    assert (done.returncode != 0) == (ci == "true")


def test_a_link_to_a_database_is_that_database(tmp_path):
    with open_store(tmp_path / "y.db"):
        pass
    (tmp_path / "soft.db").symlink_to("y.db")
    os.link(tmp_path / "y.db", tmp_path / "hard.db")
    for name in ("soft.db", "hard.db"):
        with open_store(tmp_path / "y.db") as first:
            for read_only in (False, True):
                with pytest.raises(StoreError, match=r"in use|open in this process"):
                    open_store(tmp_path / name, read_only=read_only)
            first.write(genes("YAL001C"))
        with open_store(tmp_path / name) as second:
            assert second.counts()["Gene"] == 1
            with pytest.raises(StoreError, match=r"in use|open in this process"):
                open_store(tmp_path / "y.db")
    with (
        open_store(tmp_path / "y.db", read_only=True) as one,
        open_store(tmp_path / "hard.db", read_only=True) as other,
    ):
        assert one.counts() == other.counts()
        with pytest.raises(StoreError, match=r"in use|open in this process"):
            open_store(tmp_path / "hard.db")


def test_a_reader_needs_no_right_to_write(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    with open_store(folder / "y.db") as store:
        store.write(genes("YAL001C"))
    code = "import sys; from genograph.store import open_store; "
    code += "print(open_store(sys.argv[1], read_only=True).counts()['Gene'])"
    for without_lock in (False, True):
        if without_lock:
            (folder / "y.db.lock").unlink()
        folder.chmod(0o555)
        for file in folder.iterdir():
            file.chmod(0o444)
        run = [sys.executable, "-c", code, str(folder / "y.db")]
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("root may write anywhere, and setpriv is not here")
            run = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *run]
            os.chown(folder, 1000, 1000)
            for file in folder.iterdir():
                os.chown(file, 1000, 1000)
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        folder.chmod(0o755)
        assert done.stdout.strip() == "1", done.stderr


def test_writers_of_a_server_wait_for_each_other(neo4j, caplog, monkeypatch):
    monkeypatch.setattr("genograph.store.neo4j.WAIT_SECONDS", 0.2)
    order = []
    with open_store(neo4j) as one, open_store(neo4j) as other:

        def write():
            with other.writing():
                order.append("other")
                other.write(genes("YBL003C"))

        with one.writing(), one.writing():
            thread = threading.Thread(target=write)
            thread.start()
            # a server looks at its time limits every second or two
            for _ in range(200):
                if "waiting for it" in caplog.text:
                    break
                thread.join(0.1)
            assert thread.is_alive()
            one.write(genes("YAL001C"))
            order.append("one")
        thread.join(20.0)
        assert not thread.is_alive()
        assert order == ["one", "other"]
        assert "another process is writing; waiting for it" in caplog.text
        assert one.counts()["Gene"] == 2
        # the lock leaves no node
        assert one.counts()["Database"] == 1
