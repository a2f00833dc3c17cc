"""What `db check` finds: every way in which a graph can be spoiled, and nothing in a sound one."""

import math

import pyarrow as pa
import pytest
from small_yeast import write
from test_ingest import DOUBLES, GENES, SINGLES, Piecemeal

from genograph.cli import main
from genograph.database import check
from genograph.database.ingest import load
from genograph.database.ledger import LedgerEntry, describe_state, list_loads, make_source
from genograph.measurements import Axis
from genograph.schema import graph_schema
from genograph.store import open_store
from genograph.tables import Table


@pytest.fixture
def store(tmp_path):
    """A database of three loads."""
    with open_store(tmp_path / "yeast.db") as opened:
        load(opened, "sgd_features", GENES)
        load(opened, "smf_baryshnikova2010", SINGLES)
        load(opened, "sga_costanzo2010", DOUBLES)
        yield opened


def lose(store, type, start):
    """Delete the relationships of a type that start at a node, as no command does."""
    match = f"MATCH (a)-[r:{type}]->() WHERE a.id = $start"
    assert store.query(f"{match} RETURN count(r) AS n", start=start)["n"][0].as_py()
    with store.transaction():
        store._run(f"{match} DELETE r", None, {"start": start})


def found(store):
    """The findings by check."""
    out = {}
    for finding in check.check(store):
        assert finding.remedy
        out.setdefault(finding.check, []).append(finding.what)
    return out


def test_a_database_of_finished_loads_is_sound_in_either_store(db):
    with open_store(db) as store:
        for loader, file in (
            ("sgd_features", GENES),
            ("smf_baryshnikova2010", SINGLES),
            ("sga_costanzo2010", DOUBLES),
            ("sgd_features", GENES),
        ):
            load(store, loader, file)
        told = []
        assert check.check(store, report=told.append) == []
        assert told == list(check.CHECKS)
        added = {}
        for entry in list_loads(store):
            for name, n in entry.added.items():
                added[name] = added.get(name, 0) + n
        counts = store.counts()
        assert added == {n: counts[n] for n in added}
        assert {"Gene", "Strain", "Experiment", "PERTURBS", "TESTS", "FROM_STUDY"} <= set(added)


def test_rows_that_no_load_wrote_are_found(store):
    store.write(Table.of("Gene", {"id": ["YZZ001W"]}))
    assert found(store) == {"ledger": ["Gene: 11 rows, but the ledgers account for 10"]}


def test_rows_that_are_lost_are_found(store):
    lose(store, "TESTS", "baryshnikova2010:fitness:YAL001W")
    spoiled = found(store)
    assert "but the ledgers account for" in spoiled["ledger"][0]
    assert spoiled["ends"] == [
        "1 Experiment without strain, first baryshnikova2010:fitness:YAL001W"
    ]


def test_a_load_that_was_interrupted_is_found_and_then_accounted_for(tmp_path):
    with Piecemeal(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        store.left = 6
        with pytest.raises(Exception, match="no space left"):
            load(store, "smf_baryshnikova2010", SINGLES)
        store.left = 10**9
        assert "the load of input.tsv by smf_baryshnikova2010 is not" in found(store)["loads"][0]
        states = {
            entry.loader: describe_state(entry, list_loads(store)) for entry in list_loads(store)
        }
        assert states["smf_baryshnikova2010"] == "UNFINISHED: load it again"
        load(store, "smf_baryshnikova2010", SINGLES)
        assert found(store) == {}


def test_a_strain_that_has_lost_a_perturbation_is_found(store):
    strain = "YAL001W"
    lose(store, "PERTURBS", strain)
    assert any(f"first {strain}" in what for what in found(store)["ends"])


def test_a_circle_in_the_ontology_is_found(store):
    store.write(Table.of("Term", {"id": ["GO:1", "GO:2", "GO:3"]}))
    for relation, pair in (("IS_A", ("GO:1", "GO:2")), ("PART_OF", ("GO:2", "GO:1"))):
        store.write(Table.of(relation, {"from_id": [pair[0]], "to_id": [pair[1]]}))
    assert "goes in a circle: GO:1 -> GO:2 -> GO:1" in found(store)["ontology"][0] or (
        "goes in a circle: GO:2 -> GO:1 -> GO:2" in found(store)["ontology"][0]
    )


def test_vectors_of_another_length_than_they_say_are_found(store):
    columns = {"id": ["C@m", "D@m", "E@m"], "model": ["m"] * 3, "dim": [2, 2, 3]}
    store.write(Table.of("Embedding", columns | {"vector": [[1.0, 2.0], [1.0], [1.0, 2.0, 3.0]]}))
    spoiled = found(store)
    assert "1 Embedding of m say 2 and have 1 numbers" in spoiled["vectors"]
    assert "Embedding of m have 1, 2, 3 numbers" in spoiled["vectors"]
    assert "3 Embedding without CRE, first C@m" in spoiled["ends"]


def test_an_axis_whose_names_are_not_those_of_its_hash_is_found(store):
    good = Axis("s", "expression", "log2", ("a", "b"))
    columns = {"id": [good.id], "phenotype": ["expression"], "unit": ["log2"]}
    store.write(Table.of("Axis", columns | {"names": [["a", "b"]]}))
    assert "hashes" not in found(store)
    store.write(Table.of("Axis", columns | {"names": [["b", "a"]]}))
    assert good.id in found(store)["hashes"][0]


def test_values_along_another_axis_are_found(store):
    axis = Axis("s", "expression", "log2", ("a", "b"))
    words = {"phenotype": ["expression"], "unit": ["log2"]}
    store.write(Table.of("Axis", {"id": [axis.id], "names": [["a", "b"]]} | words))
    store.write(Table.of("Experiment", {"id": ["e"], "values": [[1.0]]} | words))
    store.write(Table.of("ALONG", {"from_id": ["e"], "to_id": [axis.id]}))
    assert found(store)["vectors"] == [
        "1 Experiment have not one value a name of their axis, first e"
    ]


def test_a_window_that_is_not_the_sequence_of_its_hash_is_found(store):
    columns = {"id": ["YAL001C:upstream"], "sequence": ["ACGT"], "length": [4], "sha256": ["00"]}
    store.write(Table.of("CRE", columns))
    assert "1 CRE have not the sequence of their hash" in found(store)["hashes"][0]


def test_a_run_of_other_genes_and_predictions_of_another_run_are_found(store):
    columns = {"id": ["r1", "r2"], "database_genes_sha256": ["0", None]}
    store.write(Table.of("Run", columns))
    ends = {"from_id": ["r1"], "to_id": ["YAL001W"], "split": ["test"]}
    store.write(Table.of("PREDICTED", ends))
    store.write(Table.of("Database", {"id": ["genograph"], "promoted_run": ["r1"]}))
    store.write(Table.of("Strain", {"id": ["YAL001W"], "predicted_run": ["r3"]}))
    spoiled = found(store)
    assert "0 Strain carry the 1 predictions of r1" in spoiled["predictions"]
    store.write(Table.of("Database", {"id": ["genograph"], "promoted_run": ["r4"]}))
    assert "the promoted run r4 is not there" in found(store)["predictions"]
    assert "run r1 was trained when the database had other genes" in spoiled["hashes"]
    assert "run r2 does not say which genes the database had" in spoiled["hashes"]
    assert len(spoiled["predictions"]) == 2


def test_relationships_that_are_there_twice_are_found_in_the_embedded_store(store):
    # COPY looks for nothing: this is what the store's own look-ups keep out
    held = store.query("MATCH (a:Experiment)-[:TESTS]->(b:Strain) RETURN a.id AS a, b.id AS b")
    one = held.slice(0, 1).to_pylist()[0]
    spec = check.graph_schema().relationships["TESTS"]
    store._create(spec, Table.of("TESTS", {"from_id": [one["a"]], "to_id": [one["b"]]}).rows)
    assert found(store)["keys"] == [f"1 TESTS are there twice, first from {one['a']}"]


def test_a_value_outside_the_limits_is_found(store):
    store._connection.execute("MATCH (e:Experiment) WHERE e.sd IS NOT NULL SET e.sd = -1.0")
    assert "Experiment.sd outside the schema's limits" in found(store)["limits"][0]


def test_loads_of_an_older_loader_and_of_two_files_of_one_name_say_what_to_do(store):
    held = list_loads(store)
    older = held[0]._replace(loader_version=held[0].loader_version - 1)
    assert "build again" in describe_state(older, held)
    other = held[0]._replace(sha256="0", id="x")
    assert "another file of this name" in describe_state(held[0], [*held, other])
    assert describe_state(held[0], held) == "loaded"


def test_a_restore_and_a_load_that_are_not_finished_are_found(store):
    store.write(Table.of("Database", {"id": ["genograph"], "restoring": ["abc"]}))
    LedgerEntry(store, make_source("sgd_features", 1, "x.tab", "0" * 64, [], "")).begin()
    assert len(found(store)["loads"]) == 2


def test_the_command_exits_1_with_the_list(tmp_path, monkeypatch, capsys):
    path = str(tmp_path / "yeast.db")
    with open_store(path) as store:
        load(store, "sgd_features", GENES)

    def run():
        monkeypatch.setattr("sys.argv", ["genograph", "db", "check", "--db", path])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, capsys.readouterr()

    code, said = run()
    assert (code, said.out) == (0, "")
    assert "nothing is wrong" in said.err
    with open_store(path) as store:
        store.write(Table.of("Gene", {"id": ["YZZ001W"]}))
    code, said = run()
    assert code == 1
    assert said.out.splitlines()[1].startswith("ledger,")


def test_a_graph_without_ledger_is_told_row_by_row(tmp_path):
    with open_store(tmp_path / "small.db") as store:
        write(store)
        spoiled = found(store)
    assert any(what.startswith("Gene: 12 rows") for what in spoiled["ledger"])


def put_unchecked(store, type, **columns):
    """Write rows as another program may have: nothing is checked."""
    types = graph_schema().type(type).columns
    arrays = {name: pa.array(column, types[name].arrow) for name, column in columns.items()}
    store.write(Table.again(type, pa.table(arrays)))


def test_numbers_that_are_not_finite_are_found_in_either_store(db):
    with open_store(db) as store:
        write(store)
        assert "numbers" not in found(store)
        nan, inf = math.nan, math.inf
        put_unchecked(
            store,
            "Experiment",
            id=["a", "b", "c", "d", "e"],
            phenotype=["fitness"] * 4 + ["morphology"],
            value=[nan, inf, -inf, 1.0, None],
            sd=[nan, None, None, 0.5, None],
            values=[None, None, None, [nan, 1.0], [1.0, -inf]],
        )
        strains = ["YCL004C", "YAL001C", "YAL002C", "YAL003C", "YAL001C+YAL002C"]
        put_unchecked(store, "Run", id=["run1"])
        put_unchecked(
            store,
            "PREDICTED",
            from_id=["run1"] * 5,
            to_id=strains,
            fitness=[1.0, nan, None, None, None],
            fitness_sd=[inf, None, None, None, None],
            expression=[[nan, 1.0], None, [nan, nan], None, [inf, 1.0]],
            split=["test"] * 5,
        )
        put_unchecked(store, "Strain", id=["YCL004C"], predicted_interaction=[nan])
        assert sorted(found(store)["numbers"]) == [
            "1 Experiment.sd are no finite numbers",
            "1 Experiment.values are infinite, first e",
            "1 PREDICTED.fitness are no finite numbers",
            "1 PREDICTED.fitness_sd are no finite numbers",
            "1 Strain.predicted_interaction are no finite numbers",
            "1 predictions of run run1 hold no number, first of YAL003C",
            "2 predictions of expression of run run1 are not finite, first of YAL001C+YAL002C",
            "3 Experiment.value are no finite numbers",
        ]
