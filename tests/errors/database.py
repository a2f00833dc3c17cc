"""Errors of schema, tables, stores, ledgers, loads and dumps: cause, cure, what provokes them."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, patch

import ladybug
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import small_yeast
from errors.case import Case, written
from neo4j import Session
from neo4j.exceptions import AuthError, TransientError

import genograph
from genograph.database import dump
from genograph.database.check import check
from genograph.database.ingest import build, load, read_sources
from genograph.database.ledger import Rejects
from genograph.errors import GenographError
from genograph.measurements import Measurement, Pairs, PairTables, Study, read_number
from genograph.measurements import tables as tables_of
from genograph.schema import Perturbation, graph_schema, parse_strain, strain_id
from genograph.store import open_store
from genograph.store.address import AUTH_FILE, PASSWORD, USER
from genograph.store.neo4j import Neo4jStore
from genograph.store.stream import Keys
from genograph.tables import Table

_SERVER = "bolt://localhost:7687"
_READS = SimpleNamespace(plan=None, query_type="r", gql_status_objects=[])
_WRITES = SimpleNamespace(plan=None, query_type="rw", gql_status_objects=[])
_LONG = (
    "UNWIND range(1, 10000) AS i UNWIND range(1, 10000) AS j UNWIND range(1, 1000) AS k "
    "RETURN count(i * j * k) AS n"
)
_DATABASE = "MATCH (d:Database) RETURN d.id AS id"
_PAST_THE_END = "MATCH (g:Gene) WITH g ORDER BY g.id SKIP 100000 LIMIT 10 RETURN g.id AS id"
_GENES = '[[source]]\nloader = "gff3"\nfile = "genes.gff"\n'


class _TooLarge(TransientError):
    code = "Neo.TransientError.General.MemoryPoolOutOfMemoryError"


class _TooOften(AuthError):
    code = "Neo.ClientError.Security.AuthenticationRateLimit"


def _each(*attempts: Callable[[Path], object]) -> Callable[[Path], object]:
    """What fails with one message in several places: the last error has the others behind it."""
    first, *others = attempts

    def provoke(folder: Path) -> object:
        try:
            done = first(folder)
        except GenographError:
            if not others:
                raise
            return _each(*others)(folder)
        return done

    return provoke


def _opened(folder: Path, *, read_only: bool = False) -> object:
    with open_store(folder / "x.db", read_only=read_only) as store:
        return store


def _in_store(does: Callable[..., object]) -> Callable[[Path], object]:
    """Do something with a small database, in a folder."""

    def provoke(folder: Path) -> object:
        with open_store(folder / "x.db") as store:
            small_yeast.write(store)
            return does(store, folder)

    return provoke


def _by_another_name(store, folder: Path) -> object:
    os.link(folder / "x.db", folder / "y.db")
    with open_store(folder / "y.db") as other:
        return other


def _left_by_a_killed_writer(folder: Path) -> object:
    _opened(folder)
    written(folder, b"", "x.db.wal")
    denied = PermissionError(errno.EACCES, "Permission denied")
    with patch("genograph.store.embedded.os.open", side_effect=[denied, FileNotFoundError]):
        return _opened(folder, read_only=True)


def _asked(cypher: str, **settings: float) -> Callable[[Path], object]:
    return _in_store(lambda store, folder: list(store.ask(cypher, **settings)))


def _query(cypher: str, **settings: float) -> Callable[[Path], object]:
    return _in_store(lambda store, folder: store.query(cypher, **settings))


@contextmanager
def _refusing(statement: str, words: str) -> Iterator[None]:
    """An embedded engine that refuses what begins with a statement."""
    execute = ladybug.Connection.execute

    def refuses(self, text, *rest):
        if text.startswith(statement):
            raise RuntimeError(words)
        return execute(self, text, *rest)

    with patch.object(ladybug.Connection, "execute", refuses):
        yield


def _refused(statement: str, words: str, does: Callable[..., object]) -> Callable[[Path], object]:
    def provoke(folder: Path) -> object:
        with open_store(folder / "x.db") as store, _refusing(statement, words):
            return does(store)

    return provoke


def _gene(store) -> object:
    return store.write(Table.of("Gene", {"id": ["YAL001C"]}))


@contextmanager
def _server(*answers: object, read_only: bool = True):
    """A store whose driver gives these answers to what is read, and writes no row."""
    with patch("genograph.store.neo4j.GraphDatabase") as driver:
        session = MagicMock(spec=Session)
        session.__enter__.return_value = session
        driver.driver.return_value.session.return_value = session
        session.execute_read.side_effect = answers
        session.execute_write.return_value = [[0]]
        yield open_store(_SERVER, read_only=read_only)


def _served(does: Callable[..., object], *answers: object) -> Callable[[Path], object]:
    def provoke(folder: Path) -> object:
        with _server([[graph_schema().version]], *answers) as store:
            return does(store)

    return provoke


def _empty_server(folder: Path) -> object:
    with _server([], [[0]]) as store:
        return store


def _unwelcome(error: Exception) -> Callable[[Path], object]:
    """A server that does not let in."""

    def provoke(folder: Path) -> object:
        with patch("genograph.store.neo4j.GraphDatabase") as driver:
            driver.driver.return_value.verify_connectivity.side_effect = error
            return open_store(_SERVER)

    return provoke


def _lost_end(folder: Path) -> object:
    rows = pa.table({"from_id": ["GO:1"], "to_id": ["GO:2"]})
    pq.write_table(rows, folder / "rows.parquet")
    with _server([[graph_schema().version]], [], [], [], read_only=False) as store:
        return store.add("IS_A", [folder / "rows.parquet"])


def _entering(**given: str) -> Callable[[Path], object]:
    """Open a server with these variables alone; FOLDER stands for the folder."""

    def provoke(folder: Path) -> object:
        names = {"user": USER, "password": PASSWORD, "auth_file": AUTH_FILE}
        kept = {k: v for k, v in os.environ.items() if k not in names.values()}
        given_here = {names[k]: v.replace("FOLDER", str(folder)) for k, v in given.items()}
        with patch.dict(os.environ, kept | given_here, clear=True):
            return open_store(_SERVER)

    return provoke


def _auth_file(content: str, mode: int) -> Callable[[Path], object]:
    def provoke(folder: Path) -> object:
        written(folder, content, "auth").chmod(mode)
        return _entering(auth_file="FOLDER/auth")(folder)

    return provoke


def _other_version(folder: Path) -> object:
    with open_store(folder / "x.db") as store:
        store.write(Table.of("Database", {"id": ["genograph"], "schema_version": [1]}))
    return _opened(folder)


def _foreign(folder: Path) -> object:
    with ladybug.Database(folder / "x.db") as made, ladybug.Connection(made) as connection:
        connection.execute("CREATE NODE TABLE Thing(id STRING PRIMARY KEY)")
    return _opened(folder)


def _without_tables(folder: Path) -> object:
    with ladybug.Database(folder / "x.db"):
        pass
    return _opened(folder, read_only=True)


def _damaged(folder: Path) -> object:
    with open_store(folder / "x.db") as store:
        store.write(Table.of("Gene", {"id": ["YAL001C"]}))
    raw = (folder / "x.db").read_bytes().replace(b"YAL001C", b"\xffAL001C")
    (folder / "x.db").write_bytes(raw)
    with open_store(folder / "x.db", read_only=True) as store:
        return store.query("MATCH (g:Gene) RETURN g.id AS id")


def _write_to_reader(folder: Path) -> object:
    _opened(folder)
    with open_store(folder / "x.db", read_only=True) as store:
        return _gene(store)


def _closed(folder: Path) -> object:
    with open_store(folder / "x.db") as store:
        pass
    return _enter(store)


def _ask_while_writing(store, folder: Path | None = None) -> object:
    with store.transaction():
        return list(store.ask(_DATABASE))


def _ask_server_while_writing(folder: Path) -> object:
    with _server([[graph_schema().version]], [], [], [], read_only=False) as store:
        return _ask_while_writing(store)


def _enter(store) -> object:
    with store.transaction():
        return store


def _added(store, folder: Path, type: str, columns: dict[str, list[str]]) -> Path:
    """Add rows without looking for them; a place for a dump."""
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    store.add(type, [folder / "rows.parquet"])
    return folder / "dump"


def _doubled(store, folder: Path) -> object:
    made = _added(store, folder, "IS_A", {"from_id": ["GO:2"], "to_id": ["GO:1"]})
    return dump.dump(store, made)


def _miscounted(store, folder: Path) -> object:
    counts = store.counts()
    with patch.object(store, "counts", lambda: counts | {"Gene": 99}):
        return dump.dump(store, folder / "dump")


def _changed_dump(change: Callable[[Path, dict], object]) -> Callable[[Path], object]:
    """Restore a dump of which the manifest or a file was changed."""

    def does(store, folder: Path) -> object:
        made = dump.dump(store, folder / "dump").folder
        said = json.loads((made / "manifest.json").read_text("utf-8"))
        change(made, said)
        written(made, json.dumps(said), "manifest.json")
        with open_store(folder / "back.db") as back:
            return dump.restore(back, made)

    return _in_store(does)


def _one_row_more(made: Path, said: dict) -> None:
    next(file for file in said["files"] if file["type"] == "Gene")["rows"] += 1


def _restored_twice(store, folder: Path) -> object:
    made = dump.dump(store, folder / "dump").folder
    store.write(Table.of("Gene", {"id": ["YAL001C"], "symbol": ["another"]}))
    return dump.restore(store, made)


def _imported(aliases: list[str | None]) -> Callable[[Path], object]:
    def does(store, folder: Path) -> object:
        store.write(Table.of("Gene", {"id": ["YAL001C"], "aliases": [aliases]}))
        return dump.neo4j_import(store, folder / "csv")

    return _in_store(does)


def _listed(content: str) -> Callable[[Path], object]:
    return lambda folder: read_sources(written(folder, content, "sources.toml"))


def _list_with_embed(entry: str) -> Callable[[Path], object]:
    def provoke(folder: Path) -> object:
        written(folder, "", "genes.gff")
        return _listed(f"{_GENES}[[embed]]\n{entry}\n")(folder)

    return provoke


def _incomplete_list(folder: Path) -> object:
    written(folder, "", "x.tab")
    text = '[[source]]\nloader = "cyc2008"\nfile = "x.tab"\n'
    with open_store(folder / "x.db") as store:
        return build(store, written(folder, text, "sources.toml"))


def _of_no_use(store, folder: Path) -> object:
    text = "strain,value,unit,study,phenotype\nYXX999W,0.9,relative to wild type,a2020,fitness\n"
    return load(store, "experiments_csv", written(folder, text), unknown="reject")


def _in_another_unit(folder: Path) -> object:
    columns = "strain,value,unit,study"
    with open_store(folder / "x.db") as store:
        store.write(Table.of("Gene", {"id": ["YAL001C"], "symbol": ["TFC3"]}))
        for name, line in (("a", "YAL001C,0.9,,a2020"), ("b", "YAL001C,0.4,1/h,a2020")):
            load(store, "experiments_csv", written(folder, f"{columns}\n{line}\n", f"{name}.csv"))
    return None


def _load_of_nothing(folder: Path) -> object:
    with open_store(folder / "x.db") as store:
        return load(store, "gff3", folder / "genes.gff")


def _rejects(path: Path) -> object:
    with Rejects(path) as rejects:
        rejects.row(1, 1, "unknown gene", "x")
        return rejects.done()


def _no_place(folder: Path) -> object:
    return _rejects(written(folder, "", "file") / "x.tsv")


def _place_taken(folder: Path) -> object:
    (folder / "x.tsv").mkdir()
    return _rejects(folder / "x.tsv")


def _measured(*strain: Perturbation, **given: object) -> Measurement:
    return Measurement("a2020", "fitness", "relative to wild type", strain, line=2, **given)


def _measurements(*measured: Measurement) -> Callable[[Path], object]:
    return lambda folder: list(
        tables_of(measured, [], source="screen.tab", note=lambda *words: None)
    )


def _pair_with_itself(folder: Path) -> object:
    made = PairTables(Study("a2020"), source="screen.tab", note=lambda *words: None)
    code = np.array([made.code(Perturbation("YAL001C"))])
    return list(made.tables(Pairs(code, code, np.array([2]), *[np.array([1.0])] * 5)))


def _table(type: str, **columns: list) -> Callable[[Path], object]:
    return lambda folder: Table.of(type, columns, source="genes.tab")


_GENE = Perturbation("YAL001C")

_SCHEMA = (
    Case(
        "SchemaError",
        "is no label or relationship of the graph; choose one of",
        "A table is of a type that the schema does not have.",
        "Choose one of the message.",
        _table("Gen", id=["YAL001C"]),
    ),
    Case(
        "SchemaError",
        "unknown kind of perturbation .*; choose one of",
        "A strain names a kind of perturbation that the schema does not have.",
        "Choose one of the message.",
        lambda folder: parse_strain("YAL001C(lost)"),
    ),
    Case(
        "SchemaError",
        "dose .* is outside 0 to 2",
        "A dose is no fraction of the wild type's function.",
        "Give 0 for none, 1 for the wild type, 2 at most.",
        lambda folder: parse_strain("YAL001C(overexpression@3)"),
    ),
    Case(
        "SchemaError",
        "a deletion has dose 0, got .*; use kind knockdown",
        "A deletion is given a dose.",
        "Leave the dose out, or write knockdown.",
        lambda folder: parse_strain("YAL001C(deletion@0.5)"),
    ),
    Case(
        "SchemaError",
        "dose .* is not a number",
        "What follows the @ in a strain is no number.",
        "Write the dose as 0.5 or 5e-1.",
        lambda folder: parse_strain("YAL001C(damp@1e)"),
    ),
    Case(
        "SchemaError",
        "names the same perturbation twice",
        "A strain lists one perturbation twice.",
        "Leave one of them out.",
        lambda folder: strain_id([_GENE, _GENE]),
    ),
    Case(
        "SchemaError",
        "has no property .*; it has",
        "A table has a column that its type does not have.",
        "Choose one of the message.",
        _table("Gene", id=["YAL001C"], colour=["red"]),
    ),
    Case(
        "SchemaError",
        "needs the column",
        "A table lacks a column of its key.",
        "Add it.",
        _table("TESTS", from_id=["x"]),
    ),
    Case(
        "SchemaError",
        "wants .*, got",
        "An Arrow column is of another type than the property.",
        "Convert it.",
        lambda folder: Table("Gene", pa.table({"id": [["YAL001C"]]})),
    ),
    Case(
        "SchemaError",
        "Could not convert .* tried to convert to",
        "A value is of another type than the property.",
        "Convert it.",
        _table("Gene", id=["YAL001C"], start_pos=["x"]),
    ),
    Case(
        "SchemaError",
        "missing, first at row .*; a key is never missing",
        "A key of a row is null.",
        "Give it, or leave the row out.",
        _table("Gene", id=["YAL001C", None]),
    ),
    Case(
        "SchemaError",
        "bad, first .* at row .*; values are",
        "A value is out of the property's range or not among its choices.",
        "Mend the row that is named.",
        _table("Experiment", id=["x"], p=[2.0]),
    ),
    Case(
        "SchemaError",
        "bad, first .* at row .*; an id is not empty",
        "An id is the empty text.",
        "Give it, or leave the row out.",
        _table("Gene", id=[""]),
    ),
    Case(
        "SchemaError",
        "stands twice in a table",
        "Two rows of a table have the same key.",
        "Leave one out, or merge them.",
        _table("Gene", id=["YAL001C", "YAL001C"]),
    ),
    Case(
        "SchemaError",
        "are not in the database, first .*; load them first",
        "A relationship begins or ends at a node that is not loaded.",
        "Load the file that has the nodes.",
        _in_store(
            lambda store, folder: store.write(_table("IS_A", from_id=["x"], to_id=["y"])(folder))
        ),
    ),
    Case(
        "SchemaError",
        "Experiment: Could not convert",
        "A loader gives a measurement that is no number.",
        "Mend the loader: it gives numbers, or None.",
        _measurements(_measured(_GENE, value="much")),
    ),
)

_ADDRESS = (
    Case(
        "StoreError",
        "the address has no valid port; wanted e.g. neo4j://localhost:7687",
        "What follows the colon in the address is no port.",
        "Write the address as in the message.",
        lambda folder: open_store("neo4j://localhost:x"),
    ),
    Case(
        "StoreError",
        "credentials belong in",
        "The address holds a user, a password or options.",
        "Leave them out, and set the variables that the message names.",
        lambda folder: open_store("neo4j://neo4j:secret@localhost"),
    ),
    Case(
        "StoreError",
        "names no server; wanted e.g. neo4j://localhost:7687",
        "The address has no host.",
        "Write the address as in the message.",
        lambda folder: open_store("neo4j://"),
    ),
    Case(
        "StoreError",
        "both .* and .* are set; unset one",
        "Credentials are given by variables and by a file at once.",
        "Unset one of them.",
        _entering(user="neo4j", auth_file="FOLDER/auth"),
    ),
    Case(
        "StoreError",
        "GENOGRAPH_NEO4J_AUTH_FILE=.*: cannot be read",
        "The file of credentials is missing, or no text.",
        "Mend its path or its permissions.",
        _entering(auth_file="FOLDER/auth"),
    ),
    Case(
        "StoreError",
        "everyone may read it; run `chmod 600",
        "The file of credentials is open to all users of the machine.",
        "Run the command in the message.",
        _auth_file("neo4j:secret", 0o644),
    ),
    Case(
        "StoreError",
        "wanted one line, user:password",
        "The file of credentials is not of this form.",
        "Write user, colon and password in one line.",
        _auth_file("secret", 0o600),
    ),
    Case(
        "StoreError",
        "GENOGRAPH_NEO4J_USER is set and GENOGRAPH_NEO4J_PASSWORD is not",
        "A user is given without a password.",
        "Set both variables.",
        _entering(user="neo4j"),
    ),
)

_EMBEDDED = (
    Case(
        "StoreError",
        "no such database; create it with",
        "A database is to be read that is not there.",
        "Check the path, or run a command of the message.",
        lambda folder: _opened(folder, read_only=True),
    ),
    Case(
        "StoreError",
        "is a folder; wanted a database file",
        "The path of the database is a folder.",
        "Name the file in it.",
        open_store,
    ),
    Case(
        "StoreError",
        "the folder .* does not exist",
        "A database is to be made in a folder that is not there.",
        "Make the folder first.",
        lambda folder: _opened(folder / "no"),
    ),
    Case(
        "StoreError",
        "cannot be opened as a database",
        "The file is no database, is damaged, or another version of the engine made it.",
        "Check the path; else build or restore the database again.",
        lambda folder: (written(folder, "no database", "x.db"), _opened(folder)),
    ),
    Case(
        "StoreError",
        "is damaged .*; restore it from a dump",
        "Bytes of the database file are not those that were written: a disk or a copy failed.",
        "Restore a dump into a new database, or build it again.",
        _damaged,
    ),
    Case(
        "StoreError",
        "its last writer left no hash in .*, so its bytes cannot be checked; the next command that "
        "writes leaves one",
        "The last writer was killed, or the file was copied without its hash, or has over 8 GiB.",
        "Copy the .sha256 as well, or run a command that writes, such as a load once more.",
        _in_store(lambda store, folder: check(store, deep=True)),
    ),
    Case(
        "StoreError",
        "the bytes of a server are checked there: stop it, and run `neo4j-admin database check`",
        "A deep check compares a file with its hash; a server has files of its own.",
        "Check without --deep, and have the server's administrator run its tool.",
        _served(lambda store: store.find_damage()),
    ),
    Case(
        "StoreError",
        "cannot be opened:",
        "The lock file beside the database cannot be written.",
        "Mend the permissions of the folder.",
        lambda folder: ((folder / "x.db.lock").mkdir(), _opened(folder)),
    ),
    Case(
        "StoreError",
        "in use by another process; wait for it or stop it",
        "Another process has the database open; one writes, or several read.",
        "Wait for it or stop it.",
        _in_store(lambda store, folder: _opened(folder)),
    ),
    Case(
        "StoreError",
        "is open in this process already; close that store first",
        "The same process has the database open to write, by another of its names.",
        "Close that store, or use it.",
        _in_store(_by_another_name),
    ),
    Case(
        "StoreError",
        "a writer of it was killed, and it cannot be mended without the right to write",
        "A writer was killed, and the next to open the database may only read it.",
        "Open it once as somebody who may write, such as with `genograph db check`.",
        _left_by_a_killed_writer,
    ),
    Case(
        "StoreError",
        "is empty; fill it with",
        "A database is to be read into which nothing was ever loaded.",
        "Run a command of the message.",
        _each(_empty_server, _without_tables),
    ),
    Case(
        "StoreError",
        "holds a graph that genograph did not make; choose another database",
        "The database is of another program.",
        "Name a new one.",
        _foreign,
    ),
    Case(
        "StoreError",
        "made with schema version .*, this genograph has version",
        "The database was made by another version of genograph.",
        "Build it again into a new one, or use that version.",
        _other_version,
    ),
    Case(
        "StoreError",
        "ran out of time after .*; select less or allow more",
        "A query took longer than it was allowed to.",
        "Select less, or give a larger --timeout.",
        _each(_query(_LONG, timeout=0.2), _asked(_LONG, timeout=0.2)),
    ),
    Case(
        "StoreError",
        "the query took more than .* MiB of memory and was ended; ask for less at a time",
        "A query needs more memory than the engine's pool and one GiB.",
        "Select less, or aggregate; a range or a product of all with all is often the reason.",
        "test_store_apart.py::test_a_query_that_takes_too_much_memory_is_ended",
        "genograph/store/apart.py:_read",
    ),
    Case(
        "StoreError",
        "the answer has .* rows, and the limit is .*; select less, or allow more",
        "A query answers with more rows than it may have, a million unless told otherwise.",
        "Add LIMIT or aggregate; or give a larger --limit-rows, in Python limit_rows.",
        _in_store(lambda store, folder: genograph.query(store, _DATABASE, limit_rows=0)),
    ),
    Case(
        "StoreError",
        "the query ended the database engine .*; ask in another way",
        "The embedded engine has an error of its own that this query meets. The process of the "
        "query is gone; database and store are as they were.",
        "Write the query in another way; paging goes on from the last id: WHERE n.id > $last.",
        "test_store_apart.py::test_a_query_that_ends_the_engine_is_one_line_and_the_store_goes_on",
        site="genograph/store/apart.py:_explain_end",
    ),
    Case(
        "StoreError",
        "ran out of time after .* s; select less or allow more",
        "A server has not answered when the time of a query is over.",
        "Select less, or give a larger --timeout.",
        "test_store_apart.py::test_a_server_is_given_up_within_two_seconds",
        site="genograph/store/neo4j.py:_once",
    ),
    Case(
        "StoreError",
        "the answer has more than .* rows, and the limit is .*; select less, or allow more",
        "A query to a server answers with more rows than it may have.",
        "Add LIMIT or aggregate; or give a larger --limit-rows, in Python limit_rows.",
        "test_store_apart.py::test_a_server_is_given_up_within_two_seconds",
        site="genograph/store/neo4j.py:work",
    ),
    Case(
        "StoreError",
        "is damaged .*UTF8.*; restore it from a dump",
        "Bytes of the database file were changed: a text in it is none any more.",
        "Restore the database from a dump, or build it again.",
        "test_store_damage.py::test_bytes_that_are_no_text_are_one_line",
        site="genograph/store/embedded.py:ask",
    ),
    Case(
        "StoreError",
        "a user's query cannot be run while a transaction is open",
        "A program asks a query of a user between the writes of a transaction.",
        "End the transaction first.",
        _each(_in_store(_ask_while_writing), _ask_server_while_writing),
    ),
    Case(
        "StoreError",
        "SKIP with LIMIT may end the process; use genograph.query",
        "Past the last row the embedded engine ends the process that it is in.",
        "Use genograph.query, whose process is another; or page by the last id.",
        _query(_PAST_THE_END),
    ),
    Case(
        "StoreError",
        "Cannot find property .*; the query was",
        "The engine does not understand a query; the message has its words.",
        "Mend the query; docs/data-model.md lists labels and properties.",
        _asked("MATCH (g:Gene) RETURN g.colour"),
    ),
    Case(
        "StoreError",
        "Connection is closed",
        "A program writes into a database that it has closed.",
        "Open it again.",
        _closed,
    ),
    Case(
        "StoreError",
        "not to be done within .* MiB.*; ask for less at a time",
        "A query needs more memory than the embedded database takes.",
        "Ask for less at a time, or use Neo4j.",
        _refused(
            "MATCH (g:Gene)",
            "Buffer manager exception: no memory",
            lambda store: store.query("MATCH (g:Gene) RETURN g.id AS id"),
        ),
    ),
    Case(
        "StoreError",
        "a query only reads the graph .*; the query was",
        "A query would write, read a file, or call a procedure.",
        "Leave the clause out; write with `genograph load`.",
        _each(
            _served(lambda store: store.query("MATCH (g:Gene) DELETE g"), _WRITES),
            _query("CREATE (g:Gene {id: 'x'})"),
        ),
    ),
    Case(
        "StoreError",
        "wanted one statement, got",
        "A condition that selects what is changed holds a semicolon.",
        "Give a condition only.",
        _in_store(lambda store, folder: store.erase("Gene", (), "true RETURN 1; MATCH (n:Gene)")),
    ),
    Case(
        "StoreError",
        "writing .*:",
        "The engine refuses rows that are copied in, often since they are there already.",
        "See the engine's words; `genograph db check` lists what is wrong.",
        _in_store(lambda store, folder: _added(store, folder, "Gene", {"id": ["YAL001C"]})),
    ),
    Case(
        "StoreError",
        "cannot be written: IO exception",
        "The disk is full or refuses; nothing of the transaction was kept.",
        "Make room, then run the same command again.",
        _refused("COMMIT", "IO exception: No space left on device", _gene),
    ),
    Case(
        "StoreError",
        "cannot be written within .*; write less, or into Neo4j",
        "One transaction is larger than the memory that the embedded database takes.",
        "Load smaller files, or into Neo4j.",
        _refused("COMMIT", "Buffer manager exception: no memory", _gene),
    ),
)

_NEO4J = (
    Case(
        "StoreError",
        "URI scheme .* is not supported",
        "The driver does not know this kind of address.",
        "Write bolt:// or neo4j://, with +s where the server wants TLS.",
        lambda folder: Neo4jStore("ftp://localhost"),
    ),
    Case(
        "StoreError",
        "no answer from the server .*; is it running, and there",
        "No Neo4j server answers at the address, or the connection broke off.",
        "Start the server, or mend the address; then run the same command again.",
        lambda folder: open_store("bolt://127.0.0.1:1"),
    ),
    Case(
        "StoreError",
        "wrong user or password; set",
        "The server does not know these credentials, or none were given.",
        "Set the variables that the message names.",
        _unwelcome(AuthError("unauthorized")),
    ),
    Case(
        "StoreError",
        "too many wrong passwords were given; wait a few seconds",
        "The server locks the user out for a while.",
        "Wait, then give the right password.",
        _unwelcome(_TooOften("locked")),
    ),
    Case(
        "StoreError",
        "out of memory for one transaction; raise server.memory.heap.max_size",
        "A query or a write needs more memory than the server gives to one.",
        "Raise the setting in neo4j.conf, or ask for less.",
        _served(lambda store: store.query("MATCH (g:Gene) RETURN g.id AS id"), _READS, _TooLarge()),
    ),
    Case(
        "StoreError",
        "does not exist: .*; the query was",
        "A query names a label, relationship type or property that the server has never seen.",
        "docs/data-model.md lists what there is.",
        "test_store.py::test_an_unknown_name_is_an_error_that_shows_it_and_the_query",
        "genograph/store/neo4j.py:_judge",
    ),
    Case(
        "StoreError",
        "is no .* of the graph; choose one of .*; the query was",
        "A query names a label or relationship type that the schema does not have.",
        "Choose one of the message.",
        _served(lambda store: store.query("MATCH (g:Gen) RETURN g.id AS id")),
    ),
    Case(
        "StoreError",
        "has no property .*; it has .*; the query was",
        "A query names a property that the schema does not have.",
        "Choose one of the message.",
        _served(lambda store: store.query("MATCH (g:Gene) RETURN g.colour AS colour")),
    ),
    Case(
        "StoreError",
        "is open for reading only",
        "A database that was opened for reading is to be written.",
        "Open it for writing.",
        _each(_served(_enter), _write_to_reader),
    ),
    Case(
        "StoreError",
        "have lost an end",
        "Something else deleted nodes while relationships between them were written.",
        "Stop the other writer, then run the same command again.",
        _lost_end,
    ),
    Case(
        "StoreError",
        "column .* of the result mixes types",
        "A query returns numbers and texts, say, in one column.",
        "Return them as two, or convert one.",
        _served(
            lambda store: store.query("UNWIND [1, 'a'] AS x RETURN x"),
            _READS,
            (("x",), [[1], ["a"]]),
        ),
    ),
    Case(
        "StoreError",
        "without id",
        "Something else wrote nodes into the database.",
        "Run `genograph db check`, and build it again.",
        _served(lambda store: Keys(store).of("Gene"), _READS, (("id",), [[None]])),
    ),
)

_TRANSFER = (
    Case(
        "StoreError",
        "is there twice; see genograph db check",
        "A relationship is doubled in the database.",
        "Run `genograph db check`, and build it again.",
        _in_store(_doubled),
    ),
    Case(
        "StoreError",
        "are counted and .* were read; is it being written to",
        "The database changed while it was dumped, or is damaged.",
        "Wait for the writer and dump again; else run `genograph db check`.",
        _in_store(_miscounted),
    ),
    Case(
        "StoreError",
        "exists and is not empty; choose another folder",
        "The folder for the dump holds something.",
        "Choose another, or --force over a dump.",
        lambda folder: (written(folder, "x"), _in_store(lambda s, f: dump.dump(s, f))(folder)),
    ),
    Case(
        "StoreError",
        "dump: cannot be written",
        "The disk refuses the folder, or is full.",
        "Make room, or choose another folder.",
        _in_store(lambda store, folder: dump.dump(store, written(folder, "x") / "dump")),
    ),
    Case(
        "StoreError",
        "damaged dump .*; dump again",
        "manifest.json was changed or cut.",
        "Copy the dump again, or dump again.",
        lambda folder: (written(folder, "[]", "manifest.json"), dump.open_dump(folder)),
    ),
    Case(
        "StoreError",
        "dump format and schema .*, this genograph reads",
        "The dump was written by another version of genograph.",
        "Restore it with that version, or build the database again.",
        _changed_dump(lambda made, said: said.update(format=99)),
    ),
    Case(
        "StoreError",
        "damaged dump: .* is missing",
        "A file of the dump is gone.",
        "Copy the dump again, or dump again.",
        _changed_dump(lambda made, said: (made / "Gene-0000.parquet").unlink()),
    ),
    Case(
        "StoreError",
        "does not match its hash in .*; it was changed or damaged",
        "A file of the dump was changed or cut.",
        "Copy the dump again, or dump again.",
        _changed_dump(lambda made, said: written(made, "x", "Gene-0000.parquet")),
    ),
    Case(
        "StoreError",
        "is not empty .*; restore into a new database",
        "The database to restore into holds something else.",
        "Name a new one.",
        _in_store(_restored_twice),
    ),
    Case(
        "StoreError",
        "has .*, the dump .*; restore into a new database",
        "After the restore the database has not what the dump says; something else writes to it.",
        "Restore into a new database that nothing else uses.",
        _changed_dump(_one_row_more),
    ),
    Case(
        "StoreError",
        "a text holds U.001F, which separates the items of lists",
        "A text has the character that Neo4j's import files use between items.",
        "Mend the source, or dump and restore instead.",
        _imported(["a\x1fb"]),
    ),
    Case(
        "StoreError",
        "a list has an item that is missing",
        "A list in the database has a null among its items.",
        "Mend the source, and load it again.",
        _imported(["a", None]),
    ),
    Case(
        "StoreError",
        "a list of one empty text cannot be said in these files",
        "Neo4j's import would take the list for an empty one.",
        "Dump and restore instead.",
        _imported([""]),
    ),
)

_LOADS = (
    Case(
        "SourceError",
        "the rejected rows cannot be written: .*; choose another folder",
        "The disk refuses the list of rejected rows, or is full.",
        "Make room, or name another folder with --rejects.",
        _each(_no_place, _place_taken),
    ),
    Case(
        "SourceError",
        "sources.toml: .*genes.gff: no such file",
        "The list of sources names a file that is not there.",
        "Check the path; a relative one begins at the list.",
        _each(
            _load_of_nothing,
            lambda folder: read_sources(folder / "no.toml"),
            _listed(_GENES),
        ),
    ),
    Case(
        "SourceError",
        "none of its .* rows can be used",
        "Every row was rejected; the message has the commonest reasons.",
        "Check that the file fits the database, above all its names of genes.",
        _in_store(_of_no_use),
    ),
    Case(
        "SourceError",
        "got the key .*; wanted .*source.* and .*embed",
        "The list of sources has something else in it.",
        "Write [[source]] and [[embed]] with two brackets.",
        _listed("[source]\n"),
    ),
    Case(
        "SourceError",
        "needs loader and file, got",
        "An entry of the list of sources lacks one of the two.",
        "Give both.",
        _listed('[[source]]\nloader = "gff3"\n'),
    ),
    Case(
        "SourceError",
        "sources.toml: no loader is called",
        "An entry of the list of sources names an unknown loader or option.",
        "Choose one of the message.",
        _listed('[[source]]\nloader = "excel"\nfile = "x"\n'),
    ),
    Case(
        "SourceError",
        "has the provider .*; choose one of",
        "An [[embed]] names no provider, or an unknown one.",
        "Choose one of the message.",
        _list_with_embed('provider = "x"'),
    ),
    Case(
        "SourceError",
        "has .* = .*; its options:",
        "An [[embed]] has an unknown option, or a value of another type.",
        "Choose one of the message.",
        _list_with_embed('provider = "kmer"\ndim = "x"'),
    ),
    Case(
        "SourceError",
        "needs .*; list .* too",
        "A step needs what neither the list of sources nor the database has.",
        "List one of the loaders in the message too.",
        _incomplete_list,
    ),
    Case(
        "SourceError",
        "of its measurements are in the database in another unit, first .* there in .*; load",
        "The file has the study, phenotype and strains of an earlier one, in another unit; its "
        "measurements would replace those.",
        "Name another study for it, or convert its numbers to the unit that is there.",
        _in_another_unit,
    ),
    Case(
        "SourceError",
        "the same perturbation twice, wanted each once",
        "A pair of mutants is one mutant with itself.",
        "Mend or delete the line that is named.",
        _pair_with_itself,
    ),
    Case(
        "SourceError",
        "the same gene, kind and allele twice, wanted each once",
        "A strain carries one perturbation twice.",
        "Mend or delete the line that is named.",
        _measurements(_measured(_GENE, _GENE)),
    ),
    Case(
        "SourceError",
        "a second time, wanted another replicate number",
        "Two measurements of a strain have the same replicate number.",
        "Number them apart, or leave the numbers out.",
        _measurements(*[_measured(_GENE, value=1.0, replicate=1)] * 2),
    ),
    Case(
        "SourceError",
        "wanted a finite number",
        "A cell is no number, or out of its range.",
        "Mend the line that is named; leave empty what was not measured.",
        lambda folder: read_number("screen.tab", 2, "fitness", "much"),
    ),
)

CASES: tuple[Case, ...] = (*_SCHEMA, *_ADDRESS, *_EMBEDDED, *_NEO4J, *_TRANSFER, *_LOADS)
