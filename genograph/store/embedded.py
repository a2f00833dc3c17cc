"""The embedded store: a Ladybug database in one file beside you, nothing to install or start.

Hides the engine's traps: rows go in by COPY from Parquet or LOAD FROM an Arrow table, never by
UNWIND; results come out in chunks; keys are looked up one MATCH clause each; duplicate keys never
reach a COPY (a Table has none). A lock file beside the database keeps a second writer out.
"""

import ctypes
import errno
import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import ladybug
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genograph.cypher.tokens import Statement, cut
from genograph.errors import StoreError
from genograph.files import scratch
from genograph.schema import Node, Relationship, graph_schema
from genograph.store import digest, recovery
from genograph.store.apart import Asked, EngineError, QueryProcess, say_late
from genograph.store.base import Store, check_version, write_carry
from genograph.store.child import CHUNK, UNREADABLE
from genograph.tables import Table, Value, spill

BUFFER_POOL = 1 << 30
LARGEST_POOL = 3 << 30
BYTES_PER_ROW = 1_500
"""What the engine holds of a row that a transaction changes."""
AFRESH = 3_000_000
"""Rows copied after which the database is opened again."""
UNLOCKED, CLOSED = -2, -1
"""In place of a lock's descriptor: of a reader that needs none, and of a store that is closed."""

_OPEN: dict[tuple[int, int], list[bool]] = {}
"""Databases that this process has open, by device and inode: for each store, whether it may write.

A file may have several names, each with a lock file of its own; between processes the
engine's own lock keeps a second writer out.
"""


class EmbeddedStore(Store):
    """A database file; see Store."""

    atomic_loads = True
    whole_reads = True
    # what is not committed yet has to stay in the buffer pool, three to four times as large
    transaction_bytes = BUFFER_POOL // 3
    rows_at_once = 1_000_000

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the database, creating it if it is not there and may be written.

        Raises:
            StoreError: it does not exist (read-only), is in use, damaged, or of another version.
        """
        self.uri = str(path)
        # a link's lock and log are those of the file that it leads to
        self._path = path = path.resolve()
        self._inode: tuple[int, int] | None = None
        self._read_only = read_only
        self._depth = 0
        self._spoilt = False
        self._apart: QueryProcess | None = None
        self._writes = 0
        if read_only and not path.exists():
            msg = f"{path}: no such database; create it with `genograph load` or `genograph build`"
            raise StoreError(msg)
        if path.is_dir():
            msg = f"{path}: is a folder; wanted a database file"
            raise StoreError(msg)
        if not path.parent.is_dir():
            msg = f"{path}: the folder {path.parent} does not exist"
            raise StoreError(msg)
        self._lock = self._acquire(read_only)
        try:
            if path.exists():
                self._enter()
            self._database = self._opened(read_only)
            self._connection = ladybug.Connection(self._database)
            self._enter()
            self._prepare(read_only)
        except (OSError, *_RAISED) as error:
            self._let_go()
            said = _first_line(error)
            msg = f"{path}: cannot be opened as a database: {said}"
            if _is_damage(error):
                msg = _say_damage(self.uri, said)
            raise StoreError(msg) from error
        except StoreError:
            self.close()
            raise

    def _opened(self, read_only: bool, rows: int = 0) -> ladybug.Database:
        """Open the engine's database, after finishing what a killed writer left half done."""

        def opened(read_only: bool) -> ladybug.Database:
            self._pool, self._copied = _pool(self._path, read_only=read_only, rows=rows), 0
            if not read_only:
                digest.remove_digest(self._path)
            return ladybug.Database(self._path, buffer_pool_size=self._pool, read_only=read_only)

        if recovery.was_killed(self._path):
            if self._lock == UNLOCKED:
                self._let_go()
                msg = (
                    f"{self.uri}: a writer of it was killed, and it cannot be mended without the "
                    f"right to write; open it once where it may be written"
                )
                raise StoreError(msg)
            self._hold(self._lock, fcntl.LOCK_EX)
            recovery.discard_unfinished(self._path)
            if read_only:
                # only a writer may finish a checkpoint
                opened(False).close()
                self._hold(self._lock, fcntl.LOCK_SH)
        return opened(read_only)

    def _acquire(self, read_only: bool) -> int:
        """Take the lock file: shared for readers, exclusive for the one writer.

        A reader that may not write needs none where none can be made: then nobody can write.
        """
        name, how = f"{self._path}.lock", os.O_CLOEXEC
        try:
            try:
                lock = os.open(name, os.O_RDWR | os.O_CREAT | how, 0o666)
            except OSError as error:
                if not read_only or error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
                    raise
                lock = os.open(name, os.O_RDONLY | how)
        except FileNotFoundError:
            return UNLOCKED
        except OSError as error:
            msg = f"{self._path}: cannot be opened: {error.strerror}"
            raise StoreError(msg) from error
        self._hold(lock, fcntl.LOCK_SH if read_only else fcntl.LOCK_EX)
        return lock

    def _hold(self, lock: int, how: int) -> None:
        """Lock the file, shared or exclusive; release it and refuse where another holds it."""
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock = lock
            self._let_go()
            msg = f"{self.uri}: in use by another process; wait for it or stop it"
            raise StoreError(msg) from error

    def _enter(self) -> None:
        """Note that this process has the file open; refuse a second writer under another name."""
        if self._inode is not None:
            return
        stat = self._path.stat()
        inode = (stat.st_dev, stat.st_ino)
        if any(_OPEN.get(inode, ())) or (_OPEN.get(inode) and not self._read_only):
            self._let_go()
            msg = f"{self.uri}: is open in this process already; close that store first"
            raise StoreError(msg)
        _OPEN.setdefault(inode, []).append(not self._read_only)
        self._inode = inode

    def _let_go(self) -> None:
        """Give back the lock and the place among the open files."""
        if self._inode is not None:
            _OPEN[self._inode].remove(not self._read_only)
            self._inode = None
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = CLOSED

    def _prepare(self, read_only: bool) -> None:
        tables = self._run("CALL show_tables() RETURN name").column("name").to_pylist()
        if "Database" in tables:
            found = self._run("MATCH (d:Database) RETURN d.schema_version AS v").column("v")
            check_version(self.uri, found[0].as_py() if len(found) else None, empty=not len(found))
        else:
            check_version(self.uri, None, empty=not tables)
        if read_only:
            if "Database" not in tables:
                msg = f"{self.uri}: is empty; fill it with `genograph load` or `genograph build`"
                raise StoreError(msg)
            return
        if "Database" in tables and len(found):
            return
        with self.transaction():
            for statement in graph_schema().embedded_ddl():
                self._connection.execute(statement)
            self.write(
                Table.of(
                    "Database",
                    {
                        "id": ["genograph"],
                        "schema_version": [graph_schema().version],
                        "version": [version("genograph")],
                    },
                )
            )

    def query(
        self,
        cypher: str,
        *,
        rows: pa.Table | None = None,
        timeout: float | None = None,
        **parameters: Value,
    ) -> pa.Table:
        """See Store."""
        _check_reads(cypher)
        if _SKIPS.search(_QUIET.sub(" ", cypher)):
            msg = (
                f"SKIP with LIMIT may end the process; use genograph.query, or WHERE n.id > $last; "
                f"the query was: {' '.join(cypher.split())}"
            )
            raise StoreError(msg)
        if self._depth:
            return self._run(cypher, rows, parameters)
        try:
            with self._reading(cypher, timeout):
                return self._run(cypher, rows, parameters)
        finally:
            self._renew()

    def ask(
        self,
        cypher: str,
        *,
        limit_rows: int | None = None,
        timeout: float | None = None,
        **parameters: Value,
    ) -> Iterator[pa.Table]:
        """See Store; a process of its own has the file open for reading, see QueryProcess."""
        _check_reads(cypher)
        if self._depth:
            msg = f"{self.uri}: a user's query cannot be run while a transaction is open"
            raise StoreError(msg)
        asked = _take_limit(Asked(cypher, parameters, None, limit_rows, timeout))
        process, self._apart = self._apart, None
        if process is not None and not process.alive:
            process.close()
            process = None
        if process is None:
            pool = _pool(self._path, read_only=True)
            process = QueryProcess(self.uri, self._path, pool)
        writes = self._writes
        try:
            for part in process.ask(asked):
                _check_texts(part)
                yield part
        except pa.ArrowInvalid as error:
            msg = _say_damage(self.uri, _first_line(error))
            raise StoreError(msg) from error
        except EngineError as error:
            if error.late:
                msg = say_late(self.uri, asked)
            else:
                msg = self._explain(error, cypher, damaged=error.damaged)
            raise StoreError(msg) from error
        finally:
            # what it has read is not what was written since
            usable = process.alive and not process.is_large and writes == self._writes
            if usable and self._apart is None and self._lock != CLOSED:
                self._apart = process
            else:
                process.close()

    def _stop_apart(self) -> None:
        """End the process of queries, which must not read what changes."""
        self._writes += 1
        if self._apart is not None:
            self._apart.close()
            self._apart = None

    @contextmanager
    def _reading(self, cypher: str, timeout: float | None) -> Iterator[None]:
        """A transaction that only reads; only the query itself is timed."""
        self._begin("BEGIN TRANSACTION READ ONLY")
        self._connection.set_query_timeout(0 if timeout is None else max(1, int(timeout * 1000)))
        try:
            yield
        except StoreError as error:
            if timeout is not None and str(error).startswith("Interrupted"):
                msg = say_late(self.uri, Asked(cypher, {}, None, None, timeout))
                raise StoreError(msg) from error
            raise
        finally:
            self._rollback()
            self._connection.set_query_timeout(0)

    def _begin(self, how: str) -> None:
        try:
            self._connection.execute(how)
        except RuntimeError as error:
            msg = f"{self.uri}: {_first_line(error)}"
            raise StoreError(msg) from error

    def _renew(self) -> None:
        """Open a new connection; the engine frees a query's joins only when one closes.

        That is 76 MB for each that looks half a million nodes up, and fills its pool after a few.
        """
        if self._lock == CLOSED:
            return
        self._connection.close()
        self._connection = ladybug.Connection(self._database)

    def _rollback(self) -> None:
        # the engine has already rolled back where a statement failed, and says so
        with suppress(RuntimeError):
            self._connection.execute("ROLLBACK")

    def _run(
        self,
        cypher: str,
        rows: pa.Table | None = None,
        parameters: Mapping[str, Value] | None = None,
    ) -> pa.Table:
        answer = self._answer(cypher, rows, parameters)
        try:
            found = answer.get_as_arrow(CHUNK)
            # they would fail only where somebody reads them
            _check_texts(found)
        except (pa.ArrowException, *_RAISED) as error:
            msg = _say_damage(self.uri, _first_line(error))
            raise StoreError(msg) from error
        return found

    def _answer(
        self,
        cypher: str,
        rows: pa.Table | None = None,
        parameters: Mapping[str, Value] | None = None,
    ) -> ladybug.QueryResult:
        """Run one statement; its answer stays in the engine's pool."""
        text = cypher
        if rows is not None:
            # the engine finds the Arrow table `rows` by its Python name
            text = f"LOAD FROM rows {cypher}"
        try:
            result = self._connection.execute(text, dict(parameters or {}))
        except _RAISED as error:
            msg = self._explain(error, cypher)
            raise StoreError(msg) from error
        if isinstance(result, list):
            msg = f"wanted one statement, got {len(result)}: {cypher}"
            raise StoreError(msg)
        return result

    def _explain(self, error: Exception, cypher: str, *, damaged: bool = False) -> str:
        """One line on what the engine says of a query."""
        said = _first_line(error)
        if damaged or _is_damage(error):
            return _say_damage(self.uri, said)
        if "Buffer manager" in said:
            said = f"{self.uri}: not to be done within {self._room()}; ask for less at a time"
        return f"{said}; the query was: {' '.join(cypher.split())}"

    def _room(self) -> str:
        return f"{self._pool >> 20:,} MiB, a quarter of this machine's memory or less"

    def counts(self) -> Mapping[str, int]:
        """See Store."""
        schema = graph_schema()
        out = {}
        for name in schema.nodes:
            out[name] = self.query(f"MATCH (n:{name}) RETURN count(*) AS n")["n"][0].as_py()
        for name in schema.relationships:
            out[name] = self.query(f"MATCH ()-[r:{name}]->() RETURN count(*) AS n")["n"][0].as_py()
        return out

    def find_damage(self) -> str:
        """See Store."""
        return digest.compare_digest(self._path)

    def size(self) -> int | None:
        """See Store: the database file and its log."""
        files = (self._path, Path(f"{self._path}.wal"))
        return sum(f.stat().st_size for f in files if f.exists())

    def _begin_afresh(self, rows: int) -> None:
        """Open the database again after many copied rows, or when the file outgrew the pool.

        A checkpoint holds all edges of 131,072 nodes at once, those of all genes for one; and the
        engine keeps gigabytes of what it has copied until the database is closed.
        """
        wanted = _pool(self._path, read_only=False, rows=rows)
        if self._copied > AFRESH or wanted > 1.2 * self._pool:
            self._connection.close()
            self._database.close()
            self._database = self._opened(read_only=False, rows=rows)
            self._connection = ladybug.Connection(self._database)

    @contextmanager
    def transaction(self, *, rows: int = 0) -> Iterator[None]:
        """See Store; blocks may be nested, the outermost decides."""
        if self._read_only:
            msg = f"{self.uri}: is open for reading only"
            raise StoreError(msg)
        if self._depth == 0:
            self._stop_apart()
            self._begin_afresh(rows)
            self._begin("BEGIN TRANSACTION")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self._rollback()
            raise
        self._depth -= 1
        if self._depth == 0:
            try:
                self._connection.execute("COMMIT")
                # until then a kill would lose it, see recovery
                self._connection.execute("CHECKPOINT")
            except RuntimeError as error:
                self._spoilt = True
                msg = f"{self.uri}: cannot be written: {_first_line(error)}"
                if "Buffer manager" in msg:
                    room = self._room()
                    msg = f"{self.uri}: cannot be written within {room}; write less, or into Neo4j"
                raise StoreError(msg) from error

    def erase(self, label: str, names: tuple[str, ...], where: str, **parameters: Value) -> int:
        """See Store."""
        match = f"MATCH (n:{label}) WHERE {where}"
        with self.transaction():
            n = self._run(f"{match} RETURN count(*) AS n", None, parameters)["n"][0].as_py()
            if n:
                sets = ", ".join(f"n.{name} = NULL" for name in names)
                self._run(f"{match} SET {sets}", None, parameters)
        return int(n)

    def carry(
        self, type: str, names: Mapping[str, str], where: str, fixed: str, **parameters: Value
    ) -> None:
        """See Store."""
        with self.transaction():
            self._run(write_carry(type, names, where, fixed), None, parameters)

    def _create(self, spec: Node | Relationship, rows: pa.Table) -> None:
        with scratch() as folder:
            file = folder / "rows.parquet"
            rows = rows.select([c for c in spec.columns if c in rows.column_names])
            spill(rows, file)
            self._copy(spec, [file], rows.column_names)

    def add(self, type: str, files: Sequence[Path]) -> None:
        """See Store."""
        self._copy(graph_schema().type(type), files, pq.read_schema(files[0]).names)

    def _copy(
        self, spec: Node | Relationship, files: Sequence[Path], columns: Sequence[str]
    ) -> None:
        """Copy Parquet files; a relationship's files begin with its end columns."""
        quoted = ", ".join(
            "'" + str(f).replace("\\", "\\\\").replace("'", "\\'") + "'" for f in files
        )
        # the ends of a relationship are not named
        named = [c for c in columns if isinstance(spec, Node) or c not in ("from_id", "to_id")]
        ends = list(columns)[: len(columns) - len(named)]
        assert ends in ([], ["from_id", "to_id"]), columns
        listed = f"({', '.join(named)})" if named else ""
        with self.transaction():
            try:
                self._connection.execute(f"COPY {spec.name}{listed} FROM [{quoted}]")
                self._copied += sum(pq.read_metadata(f).num_rows for f in files)
            except RuntimeError as error:
                msg = f"{self.uri}: writing {spec.name}: {_first_line(error)}"
                raise StoreError(msg) from error

    def _update(self, spec: Node | Relationship, rows: pa.Table) -> None:
        names = [n for n in rows.column_names if n not in spec.key]
        rows = rows.rename_columns([f"in_{n}" for n in rows.column_names])
        if isinstance(spec, Node):
            match = f"MATCH (x:{spec.name} {{id: in_id}})"
        else:
            match = (
                f"MATCH (a:{spec.from_label} {{id: in_from_id}}) "
                f"MATCH (b:{spec.to_label} {{id: in_to_id}}) MATCH (a)-[x:{spec.name}]->(b)"
            )
            if spec.own_key:
                match += " WHERE " + " AND ".join(f"x.{k} = in_{k}" for k in spec.own_key)
        # a column without any value has nothing to set, and an all-null list has no element type
        empty = [n for n in names if pc.all(pc.is_null(rows[f"in_{n}"])).as_py()]
        names = [n for n in names if n not in empty]
        sets = ", ".join(f"x.{n} = coalesce(in_{n}, x.{n})" for n in names)
        with self.transaction():
            self._run(f"{match} SET {sets}", rows)

    def close(self) -> None:
        """See Store."""
        if self._lock == CLOSED:
            return
        self._stop_apart()
        if self._spoilt:
            # the engine would try again to write what the disk refused, and end the process
            for held in (self._connection, self._database):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
        else:
            self._connection.close()
            self._database.close()
            if not self._read_only:
                digest.leave_digest(self._path)
        self._let_go()


# as which its C++ exceptions arrive
_RAISED = (RuntimeError, ValueError, MemoryError, *UNREADABLE)
# what the engine says of pages that it cannot make sense of
_DAMAGE = re.compile(
    r"^Storage exception|corrupt|exist in catalog|out of bounds for file|\bstd::|\bvector::"
    r"|basic_string|unordered_map|Cannot read from file|^Assertion"
)
# what stands in quotes or comments is no word of a query
_QUIET = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|//[^\n]*|/\*.*?\*/", re.DOTALL)
# past the last row it ends the process; with some keys to sort by, from 185 rows on
_SKIPS = re.compile(r"\bORDER\s+BY\b.*?\bSKIP\s+\S+\s+LIMIT\b", re.IGNORECASE | re.DOTALL)
_BEGINS = re.compile(r"\s*(MATCH|OPTIONAL|WITH|UNWIND|RETURN)\b", re.IGNORECASE)
# clauses that the engine takes within a statement that begins like a query
_OTHER = re.compile(
    r"((?<![\w.:$])(?:LOAD\s+FROM|CALL\s+\w+|COPY\s*\(|COPY\s+\w+\s+(?:FROM|TO)"
    r"|(?:EXPORT|IMPORT)\s+DATABASE)|;\s*\S+)",
    re.IGNORECASE,
)


def _check_reads(cypher: str) -> None:
    """Refuse a query that does not only read; the engine's read mode lets some through.

    Read mode stops writing into the graph. It does not stop COPY … TO, EXPORT and LOAD FROM, which
    write and read files, CALL, which changes settings, and COMMIT, which ends the mode itself.
    """
    text = _QUIET.sub(" ", cypher)
    found = _OTHER.search(text)
    if _BEGINS.match(text) is None or found is not None:
        word = found[1].split()[0] if found else next(iter(text.split()), "nothing")
        msg = f"a query only reads the graph ({word}); the query was: {' '.join(cypher.split())}"
        raise StoreError(msg)


def _take_limit(asked: Asked) -> Asked:
    """The query without the LIMIT behind a SKIP at its end, which is applied to its rows instead.

    The engine ends its process where such a SKIP leads past the last row.
    """
    tokens, text = cut(asked.cypher)
    clauses = Statement(text, tokens).clauses
    words = [clause.keyword for clause in clauses]
    if words[-3:] != ["ORDER BY", "SKIP", "LIMIT"] or any(w.startswith("UNION") for w in words):
        return asked
    limit = clauses[-1].tokens[1:]
    if len(limit) != 1 or limit[0].kind not in ("number", "parameter"):
        return asked
    name = limit[0].text[1:] if limit[0].kind == "parameter" else ""
    first = asked.parameters.get(name) if name else limit[0].text
    if isinstance(first, str) and first.isdecimal() and not name:
        first = int(first)
    if not isinstance(first, int) or isinstance(first, bool) or first < 0:
        # the engine says what it wants
        return asked
    rest = tokens[: -len(clauses[-1].tokens)]
    used = {token.text[1:] for token in rest if token.kind == "parameter"}
    kept = {n: value for n, value in asked.parameters.items() if n != name or n in used}
    cypher = text[: clauses[-1].tokens[0].start]
    return asked._replace(cypher=cypher, parameters=kept, first=first)


def _pool(path: Path, *, read_only: bool, rows: int = 0) -> int:
    """The engine's memory for pages and answers in bytes: at most a quarter of the machine's.

    More for a reader, whose answers are large, for a large database and for a transaction of many
    rows; never less than the least.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    size = path.stat().st_size if path.exists() else 0
    wanted = max(2 * BUFFER_POOL if read_only else BUFFER_POOL, min(size, LARGEST_POOL))
    return max(BUFFER_POOL, min(wanted + rows * BYTES_PER_ROW, memory // 4))


def _check_texts(rows: pa.Table) -> None:
    """Check that all texts are UTF-8; a list that is null has offsets of the engine's own.

    Raises:
        ArrowInvalid: some are not.
    """
    for column in rows.columns:
        for chunk in column.chunks:
            while pa.types.is_list(chunk.type):
                chunk = chunk.values
            if len(chunk) and pa.types.is_string(chunk.type):
                chunk.validate(full=True)


def _is_damage(error: BaseException) -> bool:
    # below its first line an error quotes the query, which may have any words
    return isinstance(error, UNREADABLE) or _DAMAGE.search(_first_line(error)) is not None


def _say_damage(uri: str, said: str) -> str:
    if "bad_alloc" in said:
        return f"{uri}: is damaged, or memory is out ({said}); see `genograph db check --deep`"
    return f"{uri}: is damaged ({said.removesuffix('.')}); restore it from a dump"


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
