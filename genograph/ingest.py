"""Ingest: source files into a graph database, one at a time (`load`) or as a list (`build`).

A file is read and checked to its end before the first row is written, so bad input writes nothing.
"""

import hashlib
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from genograph import loaders
from genograph.errors import SourceError
from genograph.loaders import GeneNames, Option, Reading, Source
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


def gene_names(store: Store) -> GeneNames:
    """The names by which the loaded genes can be called."""
    return GeneNames(
        store.query("MATCH (g:Gene) RETURN g.id AS id, g.symbol AS symbol, g.aliases AS aliases")
    )


def load(store: Store, source: str, path: Path | str, **options: Option) -> Ledger:
    """Load one file and return what was done; loading it twice changes nothing.

    Raises:
        SourceError: the file is missing, damaged or malformed; the database is as it was.
        StoreError: the database refuses; the same command again finishes the load.
    """
    started = time.perf_counter()
    path = Path(path)
    spec, read = loaders.loader(source)
    settings = spec.settings(options)
    counts = store.counts()
    for needed in spec.needs:
        if not counts[needed]:
            givers = [n for n in loaders.names() if needed in loaders.loader(n)[0].gives]
            msg = (
                f"loader {source} needs {needed} in the database; load {' or '.join(givers)} first"
            )
            raise SourceError(msg)
    if not path.is_file():
        msg = f"{path}: no such file"
        raise SourceError(msg)
    digest = _sha256(path)
    reading = Reading(gene_names(store), store.query)
    with tempfile.TemporaryDirectory(prefix="genograph-") as folder:
        spool = list(_spool(read(path, reading, **settings), Path(folder)))
        done = Written()
        with store.transaction() if store.atomic_loads else nullcontext():
            before = _source_row(spec, path, digest, settings, None)
            store.write(before)
            for type_name, file in spool:
                for table in _unspool(type_name, file, str(path)):
                    done += store.write(table)
            ledger = Ledger(
                source,
                path.name,
                reading.rows_read,
                done.created + done.updated,
                done.unchanged,
                dict(reading.rejected),
                reading.examples,
                time.perf_counter() - started,
            )
            if not _finished(store, before):
                store.write(_source_row(spec, path, digest, settings, ledger))
            studies = [t for name, f in spool if name == "Study" for t in _unspool(name, f, "")]
            for study in studies:
                ids = study.rows["id"].to_pylist()
                link = {"from_id": ids, "to_id": [before.rows["id"][0].as_py()] * len(ids)}
                store.write(Table.of("LOADED_FROM", link))
    return ledger


def _spool(tables: Iterator[Table], folder: Path) -> Iterator[tuple[str, Path]]:
    for number, table in enumerate(tables):
        file = folder / f"{number}.arrow"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.rows.schema) as out:
            out.write_table(table.rows)
        yield table.type, file


def _unspool(type_name: str, file: Path, source: str) -> Iterator[Table]:
    with pa.memory_map(str(file)) as raw:
        yield Table(type_name, pa.ipc.open_file(raw).read_all(), source)


def _sha256(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _source_row(
    spec: Source,
    path: Path,
    digest: str,
    settings: Mapping[str, Option],
    ledger: Ledger | None,
) -> Table:
    words = [f"{name}={value}" for name, value in sorted(settings.items())]
    mixed = hashlib.sha256("\n".join([digest, str(spec.version), *words]).encode()).hexdigest()
    columns: dict[str, list[object]] = {
        "id": [f"{spec.name}@{mixed[:16]}"],
        "loader": [spec.name],
        "loader_version": [spec.version],
        "file": [path.name],
        "sha256": [digest],
        "licence": [spec.licence or None],
        "settings": [words],
        "schema_version": [graph_schema().version],
    }
    if ledger is not None:
        columns |= {
            "rows_read": [ledger.rows_read],
            "rows_written": [ledger.written],
            "rows_unchanged": [ledger.unchanged],
            "rows_rejected": [sum(ledger.rejected.values())],
            "reasons": [[f"{reason}={n}" for reason, n in sorted(ledger.rejected.items())]],
            "loaded": [datetime.now(UTC).isoformat(timespec="seconds")],
        }
    return Table.of("Source", columns)


def _finished(store: Store, source: Table) -> bool:
    found = store.query(
        "MATCH (s:Source {id: $id}) RETURN s.loaded AS loaded", id=source.rows["id"][0].as_py()
    )
    return bool(len(found)) and found["loaded"][0].as_py() is not None


@dataclass(frozen=True)
class Step:
    """One entry of a list of sources; `path` is None for an embedding step."""

    source: str
    path: Path | None
    options: Mapping[str, Option]


def sources(path: Path) -> list[Step]:
    """The steps of a sources.toml, in the order in which they must be loaded.

    A `[[source]]` has `loader`, `file` (relative to the list) and the loader's options; an
    `[[embed]]` has `provider` and embeds the loaded windows.

    Raises:
        SourceError: not valid TOML, an unknown loader, option or key, or a file that is missing.
    """
    if not path.is_file():
        msg = f"{path}: no such file"
        raise SourceError(msg)
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: not valid TOML: {error}"
        raise SourceError(msg) from error
    for key in raw:
        if key not in ("source", "embed"):
            msg = f"{path}: unknown table [[{key}]]; wanted [[source]] or [[embed]]"
            raise SourceError(msg)
    steps = []
    for entry in raw.get("source", []):
        options = dict(entry)
        name, file = options.pop("loader", None), options.pop("file", None)
        if not isinstance(name, str) or not isinstance(file, str):
            msg = f"{path}: every [[source]] needs loader and file, got {entry}"
            raise SourceError(msg)
        spec, _ = loaders.loader(name)
        spec.settings(options)
        where = path.parent / file
        if not where.is_file():
            msg = f"{path}: {where}: no such file"
            raise SourceError(msg)
        steps.append(Step(name, where, options))
    for entry in raw.get("embed", []):
        options = dict(entry)
        steps.append(Step(str(options.pop("provider", "")), None, options))
    if not steps:
        msg = f"{path}: lists no [[source]]"
        raise SourceError(msg)
    return _ordered(steps)


def _ordered(steps: Sequence[Step]) -> list[Step]:
    """Stable topological order: a step after all steps that give what it needs."""
    specs = [loaders.loader(s.source)[0] if s.path else None for s in steps]
    waiting = list(range(len(steps)))
    out: list[Step] = []
    while waiting:
        for i in waiting:
            spec = specs[i]
            needs = spec.needs if spec else ("CRE",)
            blocked = any(
                other is not None and set(other.gives) & set(needs)
                for j in waiting
                if j != i and (other := specs[j])
            )
            if not blocked:
                break
        else:
            i = waiting[0]
        waiting.remove(i)
        out.append(steps[i])
    return out


def build(
    store: Store, path: Path | str, *, report: Callable[[Ledger], None] = lambda ledger: None
) -> list[Ledger]:
    """Load every source of a sources.toml that the database does not have yet.

    A step whose file, options and loader version are in the database's ledger is skipped, so a
    build that was interrupted goes on where it stopped.

    Raises:
        SourceError: as `sources` and `load`.
    """
    from genograph.cre import embed

    out = []
    for step in sources(Path(path)):
        if step.path is None:
            ledger = embed(store, step.source, **step.options)
        else:
            spec, _ = loaders.loader(step.source)
            row = _source_row(
                spec, step.path, _sha256(step.path), spec.settings(step.options), None
            )
            if _finished(store, row):
                ledger = Ledger(step.source, step.path.name, 0, 0, 0, {}, {}, 0.0, skipped=True)
            else:
                ledger = load(store, step.source, step.path, **step.options)
        report(ledger)
        out.append(ledger)
    return out
