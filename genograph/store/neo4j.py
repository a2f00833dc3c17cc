"""The Neo4j store: a server behind a neo4j:// or bolt:// address, Community edition is enough.

Hides credentials, sessions, batches and how the driver's errors and values become genograph's. A
query is planned before it is run (EXPLAIN), and only what the planner calls reading is sent, in a
transaction that may only read. Reads and writes of genograph's own are managed transactions: where
the server goes away they are repeated until it is back. A user's query is not: it may be what ended
the server.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any, Never, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from neo4j import (
    READ_ACCESS,
    WRITE_ACCESS,
    GraphDatabase,
    ManagedTransaction,
    ResultSummary,
    Session,
    Transaction,
    unit_of_work,
)
from neo4j.exceptions import (
    AuthError,
    ClientError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)

from genograph.errors import SchemaError, StoreError
from genograph.files import scratch
from genograph.schema import Node, Relationship, graph_schema
from genograph.store.address import AUTH_FILE, PASSWORD, USER, parse_address, read_credentials
from genograph.store.apart import GRACE_SECONDS, say_many
from genograph.store.base import Store, check_version, write_carry
from genograph.store.results import arrow_table
from genograph.store.shape import Shape
from genograph.tables import Table, Value

ROWS_PER_BATCH = 10_000
VALUES_PER_BATCH = 400_000
ROWS_OF_PART = 50_000
CONNECT_SECONDS = 10.0
RETRY_SECONDS = 60.0
IDLE_SECONDS = 10.0
COMMITS_UNHEARD = 3
WAIT_SECONDS = 2.0
"""How long a writer waits for another one before it says so."""
_LOCK = "MERGE (:Database {id: 'writer'})"
# what a server says to a transaction whose time is up while it waits for a lock
_ENDED = ("TransactionTimedOut", "LockClientStopped", "Terminated")
_LOG = logging.getLogger("genograph")
# what nobody handles, Python would write to stderr as it is
logging.getLogger("neo4j").addHandler(logging.NullHandler())

# plan operators that read files, the server itself or whatever a procedure does, not the graph
_REFUSED = ("LoadCSV", "ProcedureCall", "Show", "Terminate")
# a look-up by key as a clause of its own
_LOOK_UP = re.compile(
    r"(?<!OPTIONAL )MATCH \((\w+):(\w+) \{id: (\w+)\}\)(?= +(?:OPTIONAL|MATCH|WITH|RETURN|WHERE))"
)
# GQL status of a label, a relationship type and a property key that the database has never seen
_UNRECOGNISED = ("01N50", "01N51", "01N52")
_PLACE = re.compile(r"\(line (\d+), column (\d+) \(offset: \d+\)\)")

_T = TypeVar("_T")


class Neo4jStore(Store):
    """A Neo4j database; see Store."""

    atomic_loads = False
    # it is read-committed: what a query reads later may be of a later commit
    whole_reads = False
    transaction_bytes = 0
    rows_at_once = 50_000

    def __init__(self, uri: str, *, read_only: bool = False) -> None:
        """Connect, and set up an empty database if it may be written.

        Raises:
            StoreError: no answer, wrong credentials, a graph of something else or of another schema
                version; or the address holds a password.
        """
        where, self._database = parse_address(uri)
        self.uri = uri
        self._read_only = read_only
        self._checked: set[str] = set()
        self._outer: Transaction | None = None
        self._alone = False
        try:
            self._driver = GraphDatabase.driver(
                where,
                auth=read_credentials(),
                connection_timeout=CONNECT_SECONDS,
                connection_acquisition_timeout=CONNECT_SECONDS + 5,
                # a connection that has lain idle is tried before it is used
                liveness_check_timeout=IDLE_SECONDS,
                max_transaction_retry_time=RETRY_SECONDS,
                # after 1, 2, 4, 6, 9, 13, 18, 24, 32, 43, 56 and 74 s
                retry_delay_multiplier=1.3,
                user_agent=f"genograph/{version('genograph')}",
            )
        except (DriverError, ValueError) as error:
            msg = f"{uri}: {_first_line(error)}"
            raise StoreError(msg) from error
        try:
            # whoever names a server that is not there is told at once, not after every repetition
            self._driver.verify_connectivity()
            self._prepare()
        except (DriverError, Neo4jError, ValueError) as error:
            self.close()
            self._fail(error)
        except StoreError:
            self.close()
            raise

    def _prepare(self) -> None:
        """Check the schema version; set up an empty database: constraints and indexes first."""
        found = self._run("MATCH (d:Database) RETURN d.schema_version AS v", {})
        stored = found[0][0] if found else None
        empty = not found and self._run("MATCH (n) RETURN count(n) AS n", {})[0][0] == 0
        check_version(self.uri, stored, empty=empty)
        if self._read_only:
            if not found:
                msg = f"{self.uri}: is empty; fill it with `genograph load` or `genograph build`"
                raise StoreError(msg)
            return
        have = {r[0] for r in self._run("SHOW CONSTRAINTS YIELD name", {})}
        have |= {r[0] for r in self._run("SHOW INDEXES YIELD name", {})}
        for statement in graph_schema().neo4j_constraints():
            if statement.split()[2] not in have:
                self._change(statement, {})
        self._run("CALL db.awaitIndexes(300)", {})
        if not found:
            columns: dict[str, list[Any]] = {
                "id": ["genograph"],
                "schema_version": [graph_schema().version],
                "version": [version("genograph")],
            }
            self.write(Table.of("Database", columns))

    def query(
        self,
        cypher: str,
        *,
        rows: pa.Table | None = None,
        timeout: float | None = None,
        **parameters: Value,
    ) -> pa.Table:
        """See Store."""
        shape = _shape(cypher, rows.schema if rows is not None else None)
        text, sent = cypher, dict[str, Any](parameters)
        if rows is not None:
            # columns go as lists: they are a third of the size of a list of maps
            names = ", ".join(f"$rows__.`{n}`[i__] AS `{n}`" for n in rows.column_names)
            text = f"UNWIND range(0, $n_rows__ - 1) AS i__ WITH {names}\n{_seeking(cypher)}"
            sent["rows__"] = {n: rows[n].to_pylist() for n in rows.column_names}
            sent["n_rows__"] = len(rows)
        above = int(rows is not None)
        # a plan needs no rows
        empty: dict[str, Any] = {"rows__": {n: [] for n in sent.get("rows__", ())}}
        self._check(text, sent | empty, cypher, above=above + 1)

        def work(transaction: Transaction | ManagedTransaction) -> tuple[Any, list[list[Any]]]:
            result = transaction.run(text, sent)
            return result.keys(), result.values()

        keys, values = self._do(READ_ACCESS, work, cypher, timeout=timeout, above=above)
        return arrow_table(keys, values, shape)

    def ask(
        self,
        cypher: str,
        *,
        limit_rows: int | None = None,
        timeout: float | None = None,
        **parameters: Value,
    ) -> Iterator[pa.Table]:
        """See Store; where the server goes away, that is said at once."""
        if self._outer is not None:
            msg = f"{self.uri}: a user's query cannot be run while a transaction is open"
            raise StoreError(msg)
        shape = _shape(cypher, None)
        begin = time.monotonic()
        if cypher not in self._checked:
            with _unlogged():
                self._judge(self._once(_plan(cypher, parameters), cypher, timeout), cypher)
            self._checked.add(cypher)
        with scratch() as folder:

            def work(transaction: Transaction | ManagedTransaction) -> list[Path]:
                result = transaction.run(cypher, dict(parameters))
                files: list[Path] = []
                n = 0
                while (records := result.fetch(ROWS_OF_PART)) or not files:
                    n += len(records)
                    if limit_rows is not None and n > limit_rows:
                        said = say_many(f"more than {limit_rows:,}", limit_rows)
                        msg = f"{self.uri}: {said}; the query was: {_one_line(cypher)}"
                        raise StoreError(msg)
                    values = [record.values() for record in records]
                    files.append(folder / f"{len(files)}.arrow")
                    rows = arrow_table(result.keys(), values, shape)
                    with pa.ipc.new_file(files[-1], rows.schema) as out:
                        out.write_table(rows)
                return files

            for file in self._once(work, cypher, timeout, begin):
                with pa.OSFile(str(file)) as opened:
                    part = pa.ipc.open_file(opened).read_all()
                yield part

    def _check(self, text: str, parameters: Mapping[str, Any], cypher: str, *, above: int) -> None:
        """Plan a query; refuse one that does more than read, or names what the graph lacks.

        What was found to be well is not planned again.
        """
        if text in self._checked:
            return

        with _unlogged():
            plan = _plan(text, parameters)
            self._judge(self._do(READ_ACCESS, plan, cypher, above=above, planning=True), cypher)
        self._checked.add(text)

    def _judge(self, summary: Any, cypher: str) -> None:  # noqa: ANN401  read by its names alone
        """Refuse a query by its plan."""
        refused = [o for o in _operators(summary.plan) if o.startswith(_REFUSED)]
        if summary.query_type != "r" or refused:
            what = f" ({refused[0].partition('@')[0]})" if refused else ""
            msg = f"a query only reads the graph{what}; the query was: {_one_line(cypher)}"
            raise StoreError(msg)
        schema = graph_schema()
        types: list[Node | Relationship] = [*schema.nodes.values()]
        types += schema.relationships.values()
        declared = {t.name for t in types} | {p for t in types for p in t.properties}
        for status in summary.gql_status_objects:
            name = status.status_description.partition("`")[2].partition("`")[0]
            # what is declared may well not have been written yet
            if status.gql_status in _UNRECOGNISED and name not in declared:
                said = status.status_description.partition(": ")[2].partition(".")[0]
                msg = f"{said}: {name}; the query was: {_one_line(cypher)}"
                raise StoreError(msg)

    def counts(self) -> Mapping[str, int]:
        """See Store."""
        schema = graph_schema()
        # a bare count is answered from the server's own bookkeeping, without a scan
        parts = [f"MATCH (x:{n}) WITH count(x) AS n RETURN '{n}' AS type, n" for n in schema.nodes]
        parts += [
            f"MATCH ()-[x:{n}]->() WITH count(x) AS n RETURN '{n}' AS type, n"
            for n in schema.relationships
        ]
        found = dict(map(tuple, self._run(" UNION ALL ".join(parts), {})))
        return {name: found[name] for name in (*schema.nodes, *schema.relationships)}

    def find_damage(self) -> str:
        """See Store."""
        msg = (
            f"{self.uri}: the bytes of a server are checked there: stop it, and run "
            f"`neo4j-admin database check`"
        )
        raise StoreError(msg)

    def size(self) -> int | None:
        """See Store: a server does not tell."""
        return None

    @contextmanager
    def transaction(self, *, rows: int = 0) -> Iterator[None]:
        """See Store; blocks may be nested, the outermost decides.

        The server holds the whole of it in memory until it ends.
        """
        self._writable()
        if self._outer is not None:
            yield
            return
        try:
            with (
                self._session(WRITE_ACCESS) as session,
                session.begin_transaction() as self._outer,
            ):
                yield
                self._outer.commit()
        except (DriverError, Neo4jError) as error:
            self._fail(error)
        finally:
            self._outer = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See Store.

        The lock is an entry of the index of the label Database: a transaction merges a node there
        and is rolled back when the block ends, so that nobody sees the node. A server whose client
        is gone ends the transaction, and with it the lock.
        """
        self._writable()
        if self._alone:
            yield
            return
        if not self._try_lock(WAIT_SECONDS):
            _LOG.warning("%s: another process is writing; waiting for it", self.uri)
        try:
            with self._session(WRITE_ACCESS) as session:
                lock = session.begin_transaction()
                lock.run(_LOCK).consume()
                self._alone = True
                try:
                    yield
                finally:
                    self._alone = False
                    # where the server was gone for a while, the lock is gone with it
                    with suppress(DriverError, Neo4jError):
                        lock.rollback()
        except (DriverError, Neo4jError) as error:
            self._fail(error)

    def _try_lock(self, seconds: float) -> bool:
        """Whether no other process holds the lock, or gives it back within some seconds."""
        try:
            with (
                self._session(WRITE_ACCESS) as session,
                session.begin_transaction(timeout=seconds) as lock,
            ):
                lock.run(_LOCK).consume()
                lock.rollback()
        except (DriverError, Neo4jError) as error:
            code = error.code or "" if isinstance(error, Neo4jError) else ""
            if not any(ending in code for ending in _ENDED):
                self._fail(error)
            return False
        return True

    def erase(self, label: str, names: tuple[str, ...], where: str, **parameters: Value) -> int:
        """See Store."""
        spec = graph_schema().nodes[label]
        sets = ", ".join(f"n.{spec.properties[name].name} = null" for name in names)
        cypher = f"MATCH (n:{label}) WHERE {where} SET {sets} RETURN count(*) AS n"
        return int(self._change(cypher, parameters)[0][0])

    def carry(
        self, type: str, names: Mapping[str, str], where: str, fixed: str, **parameters: Value
    ) -> None:
        """See Store."""
        self._change(write_carry(type, names, where, fixed), parameters)

    def _held(self, spec: Node | Relationship, table: Table) -> pa.Table:
        """See Store; a relationship is looked up between both of its ends.

        OPTIONAL makes the planner bind both ends first. Else it may walk all relationships of one
        end, which for a study are all its experiments.
        """
        if isinstance(spec, Node):
            return super()._held(spec, table)
        names = [n for n in table.rows.column_names if n not in spec.key]
        rows = table.rows.select(list(spec.key))
        rows = rows.rename_columns([f"in_{n}" for n in spec.key])
        rows = rows.append_column("in_row", pa.array(range(len(rows)), pa.int64()))
        own = " AND ".join(f"x.{k} = in_{k}" for k in spec.own_key) or "true"
        returned = ", ".join(["in_row", *(f"x.{n} AS {n}" for n in names)])
        return self.query(
            f"MATCH (a:{spec.from_label} {{id: in_from_id}}) "
            f"MATCH (b:{spec.to_label} {{id: in_to_id}}) "
            f"OPTIONAL MATCH (a)-[x:{spec.name}]->(b) WHERE {own} "
            f"WITH in_row, x WHERE x IS NOT NULL RETURN {returned}",
            rows=rows,
        )

    def _create(self, spec: Node | Relationship, rows: pa.Table) -> None:
        # a driver may repeat a transaction whose end it did not hear of: MERGE, never CREATE
        self._merge(spec, rows)

    def _update(self, spec: Node | Relationship, rows: pa.Table) -> None:
        self._merge(spec, rows)

    def _merge(self, spec: Node | Relationship, rows: pa.Table) -> None:
        if isinstance(spec, Node):
            merge = f"MERGE (x:{spec.name} {{id: row.id}})"
        else:
            key = ", ".join(f"{k}: row.{k}" for k in spec.own_key)
            merge = (
                f"MATCH (a:{spec.from_label} {{id: row.from_id}}) "
                f"USING INDEX SEEK a:{spec.from_label}(id) "
                f"MATCH (b:{spec.to_label} {{id: row.to_id}}) "
                f"USING INDEX SEEK b:{spec.to_label}(id) "
                f"MERGE (a)-[x:{spec.name} {{{key}}}]->(b)"
            )
        cypher = f"UNWIND $rows AS row {merge} SET x += row.set RETURN count(*) AS n"
        names = [n for n in rows.column_names if n not in spec.key]
        size = _batch(rows)
        for start in range(0, len(rows), size):
            part = rows.slice(start, size).to_pylist()
            sent = [
                {k: row[k] for k in spec.key}
                # a null in the map would take the property away
                | {"set": {n: row[n] for n in names if row[n] is not None}}
                for row in part
            ]
            done = self._change(cypher, {"rows": sent})[0][0]
            if done != len(part):
                msg = f"{self.uri}: {len(part) - done} of {len(part)} {spec.name} have lost an end"
                raise StoreError(msg)

    def _change(self, cypher: str, parameters: Mapping[str, Any]) -> list[list[Any]]:
        """Run a writing statement that may be repeated."""
        self._writable()
        return self._do(WRITE_ACCESS, lambda tx: tx.run(cypher, dict(parameters)).values(), cypher)

    def _run(self, cypher: str, parameters: Mapping[str, Any]) -> list[list[Any]]:
        """Run a reading statement of our own."""
        return self._do(READ_ACCESS, lambda tx: tx.run(cypher, dict(parameters)).values())

    def _do(
        self,
        access: str,
        work: Callable[[Transaction | ManagedTransaction], _T],
        cypher: str | None = None,
        *,
        timeout: float | None = None,
        above: int = 0,
        planning: bool = False,
    ) -> _T:
        """Run the work in the open transaction, else in one that may be repeated.

        The driver repeats it for RETRY_SECONDS where the server is gone or refuses for the time
        being. `timeout` is that of each trial, in seconds. A plan is made outside of the open
        transaction and brings the server's warnings with it. The other arguments are those of
        `_fail`.

        Raises:
            StoreError: the server refuses, or stays away.
        """

        # to the server 0 would mean no limit
        @unit_of_work(
            metadata={"app": "genograph"}, timeout=None if timeout is None else max(timeout, 0.001)
        )
        def once(transaction: ManagedTransaction) -> _T:
            try:
                return work(transaction)
            except TransientError as error:
                if _too_large(error):
                    # the same again would want as much memory: this ends the repetition
                    self._fail(error, cypher)
                raise

        try:
            if self._outer is not None and not planning:
                return work(self._outer)
            with self._session(access, warn=planning) as session:
                execute = session.execute_read if access == READ_ACCESS else session.execute_write
                for _ in range(COMMITS_UNHEARD - 1):
                    # gone while it committed: it may be done, and doing it again changes nothing
                    with suppress(IncompleteCommit):
                        return execute(once)
                return execute(once)
        except (DriverError, Neo4jError, ValueError) as error:
            self._fail(error, cypher, timeout=timeout, above=above)

    def _once(
        self,
        work: Callable[[Transaction | ManagedTransaction], _T],
        cypher: str,
        timeout: float | None,
        begin: float | None = None,
    ) -> _T:
        """Run a user's reading work, which is never repeated: it may be what ended the server.

        `begin` is the moment from which the time counts. Without it this is a plan, which brings
        the server's warnings with it.

        Raises:
            StoreError: the server refuses, goes away, or is silent when the time is over.
        """
        seconds = timeout
        if timeout is not None and begin is not None:
            seconds = max(timeout - (time.monotonic() - begin), 0.001)

        def once() -> _T:
            with (
                self._session(READ_ACCESS, warn=begin is None) as session,
                session.begin_transaction(
                    metadata={"app": "genograph"},
                    timeout=None if seconds is None else max(seconds, 0.001),
                ) as transaction,
            ):
                return work(transaction)

        try:
            return _wait(once, None if seconds is None else seconds + GRACE_SECONDS)
        except TimeoutError as error:
            msg = f"{self.uri}: {_say_late(timeout)}; the query was: {_one_line(cypher)}"
            raise StoreError(msg) from error
        except (DriverError, Neo4jError, ValueError) as error:
            self._fail(error, cypher, timeout=timeout)

    def _session(self, access: str, *, warn: bool = False) -> Session:
        return self._driver.session(
            database=self._database,
            default_access_mode=access,
            notifications_min_severity="WARNING" if warn else "OFF",
        )

    def _writable(self) -> None:
        if self._read_only:
            msg = f"{self.uri}: is open for reading only"
            raise StoreError(msg)

    def _fail(
        self,
        error: Exception,
        cypher: str | None = None,
        *,
        timeout: float | None = None,
        above: int = 0,
    ) -> Never:
        """Raise the one StoreError for an error of the driver or the server.

        `above` is the number of lines that were sent above the query, to mend the place.
        """
        query = f"; the query was: {_one_line(cypher)}" if cypher is not None else ""
        code = error.code or "" if isinstance(error, Neo4jError) else ""
        said = error.message if isinstance(error, Neo4jError) and error.message else str(error)
        said = said.strip().splitlines()[0] if said.strip() else type(error).__name__
        if "AuthenticationRateLimit" in code:
            said = "too many wrong passwords were given; wait a few seconds and try again"
        elif isinstance(error, AuthError):
            said = f"wrong user or password; set {USER} and {PASSWORD}, or {AUTH_FILE}"
        elif isinstance(error, ServiceUnavailable | SessionExpired | ValueError):
            said = (
                f"no answer from the server ({said.rstrip(':')}); is it running, and there?{query}"
            )
        elif "TransactionTimedOut" in code:
            said = f"{_say_late(timeout)}{query}"
        elif isinstance(error, Neo4jError) and _too_large(error):
            said = f"out of memory for one transaction; raise server.memory.heap.max_size{query}"
        elif isinstance(error, ClientError) and "AccessMode" in code:
            said = f"a query only reads the graph{query}"
        else:
            # the planner lists every word of the language that would have been possible
            said = re.sub(r": expected .{200,}?(?= \(line )", "", said)
            said = (
                _PLACE.sub(lambda m: f"(line {max(1, int(m[1]) - above)}, column {m[2]})", said)
                + query
            )
        msg = f"{self.uri}: {said}"
        raise StoreError(msg) from error

    def close(self) -> None:
        """See Store."""
        self._driver.close()


def _plan(
    text: str, parameters: Mapping[str, Any]
) -> Callable[[Transaction | ManagedTransaction], ResultSummary]:
    """The work of planning a query."""
    return lambda transaction: transaction.run(f"EXPLAIN\n{text}", dict(parameters)).consume()


def _wait(work: Callable[[], _T], seconds: float | None) -> _T:
    """Do the work in a thread, and leave it alone when the time is over.

    Raises:
        TimeoutError: it is not done in time; a server that is silent cannot be interrupted.
    """
    if seconds is None:
        return work()
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=run, name="genograph-query", daemon=True).start()
    return done.result(seconds)


def _say_late(timeout: float | None) -> str:
    limit = "the server's limit" if timeout is None else f"{timeout:g} s"
    return f"ran out of time after {limit}; select less or allow more"


def _too_large(error: Neo4jError) -> bool:
    """Whether a transaction ran out of the server's memory."""
    code = error.code or ""
    return "MemoryPoolOutOfMemory" in code or "MemoryLimit" in code


def _seeking(cypher: str) -> str:
    """A query over rows that looks up each key in the index.

    The planner goes by statistics that know nothing of an open transaction, and keeps a plan that
    it made while the database was empty, when scanning everything for each row looked cheap.
    """
    schema, seen = graph_schema(), set[str]()

    def hint(match: re.Match[str]) -> str:
        variable, label = match[1], match[2]
        if label not in schema.nodes or variable in seen:
            return match[0]
        seen.add(variable)
        return f"{match[0]} USING INDEX SEEK {variable}:{label}(id)"

    return _LOOK_UP.sub(hint, cypher)


def _batch(rows: pa.Table) -> int:
    """The rows of one statement: fewer where they hold long lists."""
    lists = [c for c in rows.columns if pa.types.is_list(c.type)]
    values = sum(pc.sum(pc.list_value_length(c)).as_py() or 0 for c in lists)
    per_row = max(1, values // len(rows))
    return max(1, min(ROWS_PER_BATCH, VALUES_PER_BATCH // per_row))


def _operators(plan: dict[str, Any] | None) -> Iterator[str]:  # Any: the driver's own nesting
    if plan:
        yield plan["operatorType"]
        for child in plan.get("children", ()):
            yield from _operators(child)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Stop the driver from logging notifications that become errors here."""

    def hide(record: logging.LogRecord) -> bool:
        return False

    log = logging.getLogger("neo4j.notifications")
    log.addFilter(hide)
    try:
        yield
    finally:
        log.removeFilter(hide)


def _shape(cypher: str, rows: pa.Schema | None) -> Shape:
    try:
        return Shape.of(cypher, rows)
    except SchemaError as error:
        msg = f"{error}; the query was: {_one_line(cypher)}"
        raise StoreError(msg) from error


def _one_line(cypher: str) -> str:
    return " ".join(cypher.split())


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
