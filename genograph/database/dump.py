"""Transfer: a database as a folder of Parquet files and back, the same bytes from either store.

A dump has a manifest and, for every label and relationship that has rows, files of at most a
million, sorted by key. It holds nothing of the store it is from: neither address nor time. A
folder with a manifest is whole.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from genograph.errors import StoreError
from genograph.files import (
    RECORD,
    hash_file,
    read_record,
    scratch,
    write_folder,
    write_record,
)
from genograph.schema import graph_schema
from genograph.store import Store, Written, offline
from genograph.store.stream import Keys, find_longest, stream
from genograph.tables import Table

FORMAT = 1
ROWS_PER_FILE = 1_000_000
VALUES_PER_FILE = 64_000_000
MANIFEST = "manifest.json"


class DumpFile(BaseModel):
    """One file of a dump.

    Attributes:
        name: in the dump's folder.
        type: the label or relationship.
        rows: how many it has.
        sha256: hash of its bytes.
    """

    model_config = RECORD
    name: str
    type: str
    rows: int
    sha256: str


class DumpManifest(BaseModel):
    """manifest.json: the files of a dump."""

    model_config = RECORD
    format: int
    schema_version: int
    files: tuple[DumpFile, ...]


class Dump(NamedTuple):
    """What a dump holds, by its manifest.

    Attributes:
        folder: where it is.
        files: sorted by name.
        sha256: hash of the manifest; equal for equal databases.
    """

    folder: Path
    files: tuple[DumpFile, ...]
    sha256: str

    @property
    def counts(self) -> dict[str, int]:
        """Rows a type."""
        out: dict[str, int] = {}
        for file in self.files:
            out[file.type] = out.get(file.type, 0) + file.rows
        return out


Report = Callable[[str, int], None]


def dump(
    store: Store,
    folder: Path | str,
    *,
    force: bool = False,
    report: Report = lambda type, rows: None,
) -> Dump:
    """Write a database into a folder of Parquet files; equal databases give equal bytes.

    Args:
        store: an open database.
        folder: manifest.json and, for every label and relationship, files sorted by key.
        force: replace a dump that is there, when the new one is whole.
        report: told each type and its number of rows.

    Returns:
        The dump: its folder, its files and their counts, and its hash.

    Raises:
        StoreError: the folder is there and not a dump or not to be replaced, cannot be written, or
            rows of the database cannot be told apart by their key.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     made = genograph.dump(store, "yeast-dump")
        >>> made.counts["Gene"]
        120
    """
    folder = Path(folder)
    counts = store.counts()
    with write_folder(folder, force=force, mark=MANIFEST, error=StoreError) as draft:
        keys = Keys(store)
        files: list[DumpFile] = []
        for name in _by_from_label():
            if not counts[name]:
                continue
            rows = 0
            per_file = max(1, min(ROWS_PER_FILE, VALUES_PER_FILE // find_longest(store, name)))
            for number, parts in enumerate(_files(stream(store, name, keys), per_file)):
                file = draft / f"{name}-{number:04d}.parquet"
                n = _write(file, parts)
                files.append(DumpFile(name=file.name, type=name, rows=n, sha256=hash_file(file)))
                rows += n
            if rows != counts[name]:
                msg = (
                    f"{store.uri}: {counts[name]:,} {name} are counted and {rows:,} were read; "
                    f"is it being written to? genograph db check lists what is wrong"
                )
                raise StoreError(msg)
            report(name, rows)
        files.sort(key=lambda file: file.name)
        manifest = DumpManifest(
            format=FORMAT, schema_version=graph_schema().version, files=tuple(files)
        )
        write_record(draft / MANIFEST, manifest)
    return open_dump(folder)


def neo4j_import(
    store: Store,
    folder: Path | str,
    *,
    force: bool = False,
    report: Report = lambda type, rows: None,
) -> offline.Neo4jImport:
    """Write a database as files for Neo4j's import, and the command to run in their folder.

    Args:
        store: an open database.
        folder: the CSV files, and import.sh, which is the command.
        force: replace such a folder that is there, when the new one is whole.
        report: told each type and its number of rows.

    Returns:
        The command, to be run in the folder where the stopped server is.

    Raises:
        StoreError: as `dump`; or a text cannot be said in these files.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     made = genograph.neo4j_import(store, "csv")
        >>> made.command[:3]
        ['neo4j-admin', 'database', 'import']
    """
    mark, folder = offline.SCRIPT, Path(folder)
    with write_folder(folder, force=force, mark=mark, error=StoreError) as draft:
        return offline.write_import(store, draft, report=report)


def _by_from_label() -> list[str]:
    """Every type in order; each relationship follows the label where it starts."""
    schema = graph_schema()
    out = []
    for label in schema.nodes:
        out.append(label)
        out += [name for name, rel in schema.relationships.items() if rel.from_label == label]
    return out


def _files(tables: Iterator[pa.Table], full: int) -> Iterator[list[pa.Table]]:
    """The tables of the files; their cuts do not depend on how the store answers."""
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        at = 0
        while at < len(table):
            part = table.slice(at, full - rows)
            held.append(part)
            at += len(part)
            rows += len(part)
            if rows == full:
                yield held
                held, rows = [], 0
    if held:
        yield held


def _write(file: Path, parts: list[pa.Table]) -> int:
    """Write one file with fixed options and return its number of rows."""
    rows = pa.concat_tables(parts).combine_chunks()
    pq.write_table(
        rows,
        file,
        row_group_size=100_000,
        version="2.6",
        compression="zstd",
        compression_level=3,
        data_page_size=1 << 20,
        write_statistics=True,
        use_dictionary=True,
        store_schema=False,
    )
    return int(rows.num_rows)


def open_dump(folder: Path | str) -> Dump:
    """Read a dump's manifest and check that its files have the sizes and hashes it states.

    Raises:
        StoreError: not a dump, of another format or schema version, incomplete or changed.
    """
    folder = Path(folder)
    manifest = read_record(
        folder / MANIFEST,
        DumpManifest,
        error=StoreError,
        kind="dump",
        advice="dump again",
        missing=f"{folder}: no dump is here, {MANIFEST} is missing",
        versions={"format": FORMAT, "schema_version": graph_schema().version},
        newer="restore it with the genograph that wrote it, or build the database again",
    )
    for file in manifest.files:
        path = folder / file.name
        known = file.type in graph_schema().nodes or file.type in graph_schema().relationships
        # a name that `dump` gives leads nowhere else and is not too long for the disk
        named = re.fullmatch(rf"{re.escape(file.type)}-[0-9]{{4,9}}\.parquet", file.name)
        if not known or not named or not path.is_file():
            msg = f"{folder}: damaged dump: {file.name!s:.80} of {file.type!s:.80} is missing"
            raise StoreError(msg)
        if hash_file(path) != file.sha256:
            msg = f"{path}: does not match its hash in {MANIFEST}; it was changed or damaged"
            raise StoreError(msg)
    return Dump(folder, manifest.files, hash_file(folder / MANIFEST))


def restore(
    store: Store, folder: Path | str, *, report: Report = lambda type, rows: None
) -> Mapping[str, int]:
    """Fill an empty database from a dump and return its rows by type.

    What does not fit into one transaction of the store goes in by parts. If that is interrupted,
    the same restore again finishes it. A database that is already what the dump says stays as it
    is.

    Args:
        store: the database, open for writing.
        folder: what `dump` wrote.
        report: told each type and its number of rows.

    Returns:
        The rows a label and relationship type that the database then has.

    Raises:
        StoreError: no valid dump; or the database is not empty, unless an interrupted restore of
            this dump filled it.

    Example:
        >>> with genograph.open_store("copy.db") as store:
        ...     genograph.restore(store, "yeast-dump")["Gene"]
        120
    """
    held = open_dump(folder)
    with store.writing():
        return _restore(store, held, report)


def _restore(store: Store, held: Dump, report: Report) -> Mapping[str, int]:
    counts = store.counts()
    begun = store.query("MATCH (d:Database) RETURN d.restoring AS dump")["dump"].to_pylist()
    if begun != [held.sha256] and any(n for name, n in counts.items() if name != "Database"):
        if _holds(store, counts, held):
            return counts
        full = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n and name != "Database")
        msg = f"{store.uri}: is not empty ({full}); restore into a new database"
        raise StoreError(msg)
    size = sum(_bytes(held.folder / file.name) for file in held.files)
    whole = store.atomic_loads and size <= store.transaction_bytes
    with store.transaction() if whole else nullcontext():
        store.write(Table.of("Database", {"id": ["genograph"], "restoring": [held.sha256]}))
        for name in (*graph_schema().nodes, *graph_schema().relationships):
            files = [held.folder / file.name for file in held.files if file.type == name]
            if name == "Database" or not files:
                continue
            for file in files:
                if counts[name]:
                    _merge(store, name, file)
                else:
                    store.add(name, [file])
            report(name, held.counts[name])
        for one in held.files:
            if one.type == "Database":
                _merge(store, one.type, held.folder / one.name)
        store.erase("Database", ("restoring",), "n.id = 'genograph'")
    now = store.counts()
    wrong = [n for n in now if now[n] != held.counts.get(n, 0)]
    if wrong:
        name = wrong[0]
        msg = (
            f"{store.uri}: has {now[name]:,} {name}, the dump {held.counts.get(name, 0):,}; "
            f"restore into a new database"
        )
        raise StoreError(msg)
    return now


def _holds(store: Store, counts: Mapping[str, int], held: Dump) -> bool:
    """Whether a database equals a dump to the byte."""
    if any(n != held.counts.get(name, 0) for name, n in counts.items()):
        return False
    keys = Keys(store)
    with scratch() as folder:
        for name in _by_from_label():
            files = [file for file in held.files if file.type == name]
            if not files:
                continue
            # cut as the dump is, whatever is usual now
            cut = _files(stream(store, name, keys), files[0].rows)
            for file, parts in zip_longest(files, cut):
                if file is None or parts is None:
                    return False
                _write(folder / "rows.parquet", parts)
                if hash_file(folder / "rows.parquet") != file.sha256:
                    return False
    return True


def _bytes(file: Path) -> int:
    """Estimate the memory of a file's rows from the first few."""
    with pq.ParquetFile(file) as rows:
        first = next(rows.iter_batches(batch_size=1_000))
        return int(first.nbytes / max(1, len(first)) * rows.metadata.num_rows)


def _merge(store: Store, name: str, file: Path) -> Written:
    """Merge rows, some of which the database may have."""
    done = Written()
    spec = graph_schema().type(name)
    with pq.ParquetFile(file) as rows:
        for batch in rows.iter_batches(batch_size=50_000):
            part = pa.Table.from_batches([batch])
            # what no row says has nothing to compare or to set
            said = [c for c in part.column_names if c in spec.key or part[c].null_count < len(part)]
            done += store.write(Table(name, part.select(said), str(file)))
    return done
