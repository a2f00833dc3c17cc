"""The ledger: what the database says of every load, and the file of the rows that were rejected.

A Source node is written when a load begins, and completed when it ends: one without `loaded` is a
load that was interrupted. Its id is made of the file, the options and the loader's version, so
another file of the same name, or a newer loader, is another load.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TextIO

import pyarrow as pa

from genograph import loaders
from genograph.errors import SourceError
from genograph.files import Draft
from genograph.loaders import Reading
from genograph.schema import graph_schema
from genograph.store import Store, Written
from genograph.tables import Table


@dataclass(frozen=True)
class Ledger:
    """What one load did.

    Attributes:
        source: loader's name.
        file: name of the file.
        rows_read: rows of the file.
        written: graph rows that are new or changed.
        unchanged: graph rows that were there, equal.
        rejected: rows of the file that were not used, by reason.
        examples: the first few of each reason.
        seconds: how long it took.
        skipped: true where the database already had this very file by this loader and options.
        notes: rows that were used but are out of the ordinary, and what the user should know of
            earlier loads, by reason; their examples are among `examples`.
        rejects: the file that lists every rejected row; None where there is none.
    """

    source: str
    file: str
    rows_read: int
    written: int
    unchanged: int
    rejected: Mapping[str, int]
    examples: Mapping[str, Sequence[str]]
    seconds: float
    skipped: bool = False
    notes: Mapping[str, int] = field(default_factory=dict)
    rejects: Path | None = None


class Load(NamedTuple):
    """A load as the database's ledger has it; None where the ledger does not say.

    Attributes:
        added: graph rows that the load created, by label and relationship type; None for a load
            that is unfinished or by a genograph that did not count them.
    """

    id: str
    loader: str
    loader_version: int
    file: str
    sha256: str
    licence: str | None
    settings: tuple[str, ...]
    schema_version: int
    version: str | None
    rows_read: int | None
    rows_written: int | None
    rows_unchanged: int | None
    rows_rejected: int | None
    reasons: tuple[str, ...]
    added: Mapping[str, int] | None
    started: str | None
    loaded: str | None


_LISTS = ("settings", "reasons", "added")


def list_loads(store: Store) -> list[Load]:
    """Every load on the ledger, in the order of loader, file and id."""
    returned = ", ".join(f"s.{name} AS {name}" for name in Load._fields)
    found = store.query(f"MATCH (s:Source) RETURN {returned}").to_pylist()
    out = []
    for row in sorted(found, key=lambda r: (r["loader"] or "", r["file"] or "", r["id"])):
        added = row["added"]
        for name in _LISTS:
            row[name] = tuple(row[name] or ())
        row["added"] = None if added is None or row["loaded"] is None else _counts(added)
        out.append(Load(**row))
    return out


def describe_state(load: Load, among: Sequence[Load]) -> str:
    """The state of a load: finished, or what to do."""
    if load.loaded is None:
        return "UNFINISHED: load it again"
    if load.loader in loaders.names():
        now = loaders.loader(load.loader)[0].version
        if load.loader_version < now:
            return f"by version {load.loader_version} of the loader, now {now}: build again"
    same = [o for o in among if (o.loader, o.file) == (load.loader, load.file)]
    if any(o.sha256 != load.sha256 for o in same):
        return "another file of this name is loaded too: build again for one of them"
    return "loaded"


def status(store: Store) -> pa.Table:
    """What is loaded: a row a load, in the order of loader and file.

    Args:
        store: an open database.

    Returns:
        Columns loader, file, rows_read, rejected (rows of the file that were not used), licence,
        loaded (UTC, ISO 8601; null where the load is unfinished) and state: "loaded", or what to
        do.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     loaded = genograph.status(store)
        >>> loaded["loader"].to_pylist()[:3]
        ['cre', 'cyc2008', 'embed_kmer']
        >>> set(loaded["state"].to_pylist())
        {'loaded'}
    """
    held = list_loads(store)
    columns = {
        "loader": pa.array([load.loader for load in held], pa.string()),
        "file": pa.array([load.file for load in held], pa.string()),
        "rows_read": pa.array([load.rows_read for load in held], pa.int64()),
        "rejected": pa.array([load.rows_rejected for load in held], pa.int64()),
        "licence": pa.array([load.licence for load in held], pa.string()),
        "loaded": pa.array([load.loaded for load in held], pa.string()),
        "state": pa.array([describe_state(load, held) for load in held], pa.string()),
    }
    return pa.table(columns)


def _counts(words: Sequence[str]) -> dict[str, int]:
    return {name: int(n) for name, _, n in (word.partition("=") for word in words)}


def make_source(
    loader: str, loader_version: int, file: str, sha256: str, settings: Sequence[str], licence: str
) -> Table:
    """The Source of a load that is about to begin; `settings` are name=value, sorted."""
    mixed = hashlib.sha256("\n".join([sha256, str(loader_version), *settings]).encode())
    columns: dict[str, list[object]] = {
        "id": [f"{loader}@{mixed.hexdigest()[:16]}"],
        "loader": [loader],
        "loader_version": [loader_version],
        "file": [file],
        "sha256": [sha256],
        "licence": [licence or None],
        "settings": [list(settings)],
        "schema_version": [graph_schema().version],
        "version": [version("genograph")],
        "started": [_now()],
    }
    return Table.of("Source", columns)


class LedgerEntry:
    """The ledger entry of one load, from before its first row to its end."""

    def __init__(self, store: Store, source: Table) -> None:
        """Read what the ledger says already; nothing is written."""
        self._store = store
        self._source = source
        self.id: str = source.rows["id"][0].as_py()
        found = {load.id: load for load in list_loads(store)}
        self._earlier = found
        self.finished = self.id in found and found[self.id].loaded is not None
        self.interrupted = self.id in found and not self.finished

    def begin(self) -> None:
        """Write the load's beginning into the ledger, unless it is there."""
        if not self.finished and not self.interrupted:
            self._store.write(self._source)

    def note_earlier(self, reading: Reading) -> None:
        """Note earlier loads of a file of this name, and what to do about them."""
        own = self._source.rows.to_pylist()[0]
        for load in self._earlier.values():
            if (load.loader, load.file) != (own["loader"], own["file"]):
                continue
            if load.id == self.id:
                if self.interrupted:
                    reading.note("an interrupted load is finished", None, own["file"])
            elif load.sha256 != own["sha256"]:
                reason = (
                    "another file of this name was loaded before: rows only it has stay; "
                    "build a new database to be without them"
                )
                reading.note(reason, None, f"sha256 {load.sha256[:16]}")
            elif load.loader_version != own["loader_version"]:
                reason = (
                    "an older version of the loader loaded this file: rows only it gave stay; "
                    "build a new database to be without them"
                )
                reading.note(reason, None, f"version {load.loader_version}")
            else:
                reading.note("this file was loaded before with other options", None, load.id)

    def end(self, ledger: Ledger, done: Mapping[str, Written]) -> None:
        """Complete the ledger, which marks the load as finished; the first complete load stays."""
        if self.finished:
            return
        added = {name: written.created for name, written in done.items()}
        if self.interrupted:
            added = self._unaccounted(added)
        columns: dict[str, list[object]] = {
            "id": [self.id],
            "rows_read": [ledger.rows_read],
            "rows_written": [ledger.written],
            "rows_unchanged": [ledger.unchanged],
            "rows_rejected": [sum(ledger.rejected.values())],
            "reasons": [[f"{reason}={n}" for reason, n in sorted(ledger.rejected.items())]],
            "added": [[f"{name}={n}" for name, n in sorted(added.items())]],
            "loaded": [_now()],
        }
        self._store.write(Table.of("Source", columns))

    def _unaccounted(self, added: Mapping[str, int]) -> dict[str, int]:
        """Count the rows that an interrupted load created: those of no other load's ledger."""
        counts = self._store.counts()
        out = {}
        for name in added:
            others = [load.added or {} for load in list_loads(self._store) if load.id != self.id]
            out[name] = max(0, counts[name] - sum(other.get(name, 0) for other in others))
        return out


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def rejects_folder(store: Store) -> Path | None:
    """Where the lists of rejected rows are kept: beside the database, None for a server's."""
    return None if "://" in store.uri else Path(f"{store.uri}.rejects")


class Rejects:
    """The rejected rows of one load as a tab-separated file: line, rows, reason, detail.

    It appears when the load has read its file to the end, and not where nothing was rejected. What
    stands in the source's cells is made harmless: control characters are escaped, and what a
    spreadsheet would take for a formula begins with an apostrophe.
    """

    def __init__(self, path: Path) -> None:
        """Begin without a file."""
        self._path = path
        self._draft: Draft | None = None
        self._rows: list[str] = []
        self._file: TextIO | None = None

    def row(self, line: int | None, count: int, reason: str, detail: str) -> None:
        """Add one rejected row, or `count` of them at one place."""
        place = "" if line is None else str(line)
        self._rows.append(f"{place}\t{count}\t{escape_cell(reason)}\t{escape_cell(detail)}\n")
        if len(self._rows) >= 10_000:
            self._flush()

    def done(self) -> Path | None:
        """Put the file in its place; None where nothing was rejected."""
        if not self._rows and self._file is None:
            return None
        self._flush()
        assert self._draft is not None
        try:
            self._draft.put()
        except OSError as error:
            raise self._fail(error) from error
        return self._path

    def _flush(self) -> None:
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._draft = Draft(self._path)
                self._file = self._draft.path.open("w", encoding="utf-8", newline="")
                self._file.write("line\trows\treason\tdetail\n")
            self._file.writelines(self._rows)
            self._file.flush()
        except OSError as error:
            raise self._fail(error) from error
        self._rows = []

    def _fail(self, error: OSError) -> SourceError:
        msg = f"{self._path}: the rejected rows cannot be written: {error.strerror}"
        return SourceError(f"{msg}; choose another folder (--rejects)")

    def __enter__(self) -> "Rejects":
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing half-written."""
        if self._file is not None:
            with suppress(OSError):
                # what could not be written was told of when it was flushed
                self._file.close()
        if self._draft is not None:
            self._draft.drop()


def escape_cell(text: str) -> str:
    """The text of a cell, escaped so that no editor, terminal or spreadsheet runs it."""
    out = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"'{out}" if out[:1] in ("=", "+", "-", "@") else out


@contextmanager
def find_rejects(
    rejects: Path | None, store: Store, entry: LedgerEntry
) -> Iterator[Rejects | None]:
    """The list of a load's rejected rows in the folder `rejects` or beside the database.

    None where neither is there: a load into a server without `rejects` keeps the counts only.
    """
    folder = rejects if rejects is not None else rejects_folder(store)
    if folder is None:
        yield None
        return
    with Rejects(folder / f"{entry.id}.tsv") as out:
        yield out
