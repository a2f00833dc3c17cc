"""Ingest: source files into a graph database, one at a time (`load`) or as a list (`build`).

A file is read and checked to its end, its rows spooled to disk, before the first row is written, so
bad input writes nothing and memory holds one table. A store whose transactions take a whole load
writes all of it or nothing; on another one an interrupted load leaves a Source without `loaded`,
and the same load again finishes it.
"""

import hashlib
import os
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
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
        notes: rows that were used but are out of the ordinary, and what the user should know of
            earlier loads, by reason; their examples are among `examples`.
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
            givers = " or ".join(_givers(needed, source))
            msg = f"loader {source} needs {needed} in the database; load {givers} first"
            raise SourceError(msg)
    if not path.is_file():
        msg = f"{path}: no such file"
        raise SourceError(msg)
    before = _source_row(spec, path, _sha256(path), settings)
    reading = Reading(gene_names(store), store.query)
    _note_earlier(store, reading, before)
    with tempfile.TemporaryDirectory(prefix="genograph-") as folder:
        spool = list(_spool(read(path, reading, **settings), Path(folder)))
        if not spool:
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in reading.rejected.most_common(3))
            msg = f"{path}: none of its {reading.rows_read:,} rows can be used: {reasons}"
            raise SourceError(msg)
        done = Written()
        with store.transaction() if store.atomic_loads else nullcontext():
            store.write(before)
            studies: dict[str, None] = {}
            for type_name, file in spool:
                for table in _unspool(type_name, file, str(path)):
                    done += store.write(table)
                    if type_name == "Study":
                        studies |= dict.fromkeys(table.rows["id"].to_pylist())
            if studies:
                source_id = before.rows["id"][0].as_py()
                link = {"from_id": list(studies), "to_id": [source_id] * len(studies)}
                store.write(Table.of("LOADED_FROM", link))
            ledger = Ledger(
                source,
                path.name,
                reading.rows_read,
                done.created + done.updated,
                done.unchanged,
                dict(reading.rejected),
                reading.examples,
                time.perf_counter() - started,
                notes=dict(reading.notes),
            )
            if not _finished(store, before):
                store.write(_recorded(before, ledger))
    return ledger


def _note_earlier(store: Store, reading: Reading, source: Table) -> None:
    """Note what the database's ledger says of earlier loads of a file of this name."""
    own = source.rows.to_pylist()[0]
    earlier = store.query(
        "MATCH (s:Source) WHERE s.loader = $loader AND s.file = $file "
        "RETURN s.id AS id, s.sha256 AS sha256, s.loader_version AS version, s.loaded AS loaded",
        loader=own["loader"],
        file=own["file"],
    )
    for row in earlier.to_pylist():
        if row["id"] == own["id"]:
            if row["loaded"] is None:
                reading.note("an interrupted load is finished", None, own["file"])
        elif row["sha256"] != own["sha256"]:
            reason = "another file of this name was loaded before: rows only it has stay"
            reading.note(reason, None, f"sha256 {row['sha256'][:16]}")
        elif row["version"] != own["loader_version"]:
            reason = "an older version of the loader loaded this file: rows only it gave stay"
            reading.note(reason, None, f"version {row['version']}")
        else:
            reading.note("this file was loaded before with other options", None, row["id"])


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


def _source_row(spec: Source, path: Path, digest: str, settings: Mapping[str, Option]) -> Table:
    """The Source of a load that is about to begin."""
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
    return Table.of("Source", columns)


def _recorded(source: Table, ledger: Ledger) -> Table:
    """The same Source with its ledger, which marks the load as complete."""
    columns = {
        "id": source.rows["id"].to_pylist(),
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
    """One entry of a list of sources.

    Attributes:
        source: loader's name, or the provider's of an embedding step.
        path: the file; None for an embedding step.
        options: the loader's or the provider's options as given.
        gives: labels and relationships that the step writes.
        needs: labels and relationships that must be there before.
    """

    source: str
    path: Path | None
    options: Mapping[str, Option]
    gives: tuple[str, ...]
    needs: tuple[str, ...]


def sources(path: Path) -> list[Step]:
    """The steps of a sources.toml, in the order in which they must be loaded.

    A `[[source]]` has `loader`, `file` (relative to the list; `~` and `$NAME` are filled in) and
    the loader's options; an `[[embed]]` has `provider`, may have `model`, `seed` and `dim`, and
    embeds the loaded windows.

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
    for key, entries in raw.items():
        if key not in ("source", "embed") or not isinstance(entries, list):
            msg = f"{path}: got the key {key}; wanted [[source]] and [[embed]]"
            raise SourceError(msg)
    steps = [_source_step(path, entry) for entry in raw.get("source", [])]
    if not steps:
        msg = f"{path}: lists no [[source]]"
        raise SourceError(msg)
    return _ordered(steps + [_embed_step(path, entry) for entry in raw.get("embed", [])])


def _source_step(path: Path, entry: Mapping[str, Option]) -> Step:
    options = dict(entry)
    name, file = options.pop("loader", None), options.pop("file", None)
    if not isinstance(name, str) or not isinstance(file, str):
        msg = f"{path}: every [[source]] needs loader and file, got {entry}"
        raise SourceError(msg)
    try:
        spec, _ = loaders.loader(name)
        spec.settings(options)
    except SourceError as error:
        msg = f"{path}: {error}"
        raise SourceError(msg) from error
    where = path.parent / Path(os.path.expandvars(file)).expanduser()
    if not where.is_file():
        msg = f"{path}: {where}: no such file"
        raise SourceError(msg)
    return Step(name, where, options, spec.gives, spec.needs)


_EMBED_OPTIONS: Mapping[str, type] = {"model": str, "seed": int, "dim": int}


def _embed_step(path: Path, entry: Mapping[str, Option]) -> Step:
    from genograph.cre import PROVIDERS

    options = dict(entry)
    provider = options.pop("provider", None)
    if not isinstance(provider, str) or provider not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        msg = f"{path}: an [[embed]] has the provider {provider}; choose one of {known}"
        raise SourceError(msg)
    for name, value in options.items():
        kind = _EMBED_OPTIONS.get(name)
        if kind is None or type(value) is not kind:
            known = ", ".join(f"{n} ({k.__name__})" for n, k in _EMBED_OPTIONS.items())
            msg = f"{path}: an [[embed]] has {name} = {value!r}; its options: {known}"
            raise SourceError(msg)
    return Step(provider, None, options, ("Embedding", "EMBEDDED_AS"), ("CRE",))


def _ordered(steps: Sequence[Step]) -> list[Step]:
    """The steps, each after all that give what it needs; else in the order of the list.

    Two that each give what the other needs (two SGA screens) stay as they are listed.
    """
    waiting = list(steps)
    out: list[Step] = []
    while waiting:
        ready = (s for s in waiting if not any(_before(o, s) for o in waiting if o is not s))
        step = next(ready, waiting[0])
        waiting = [s for s in waiting if s is not step]
        out.append(step)
    return out


def _before(first: Step, then: Step) -> bool:
    """Whether `then` needs what `first` gives, and not the other way round."""
    return bool(set(first.gives) & set(then.needs)) and not set(then.gives) & set(first.needs)


def build(
    store: Store, path: Path | str, *, report: Callable[[Ledger], None] = lambda ledger: None
) -> list[Ledger]:
    """Load every source of a sources.toml that the database does not have yet.

    A step whose file, options and loader version are in the database's ledger is skipped, so a
    build that was interrupted goes on where it stopped. `report` is told each step's ledger.

    Raises:
        SourceError: as `sources` and `load`; or a step needs what neither the list nor the database
            has, in which case nothing is loaded.
    """
    from genograph.cre import embed

    steps = sources(Path(path))
    there = {name for name, n in store.counts().items() if n}
    for step in steps:
        there |= set(step.gives)
    for step in steps:
        for needed in step.needs:
            if needed not in there:
                givers = " or ".join(_givers(needed, step.source))
                msg = f"{path}: {step.source} needs {needed}; list {givers} too"
                raise SourceError(msg)
    out = []
    for step in steps:
        if step.path is None:
            ledger = embed(store, step.source, **step.options)  # type: ignore[arg-type]
        else:
            spec, _ = loaders.loader(step.source)
            settings = spec.settings(step.options)
            if _finished(store, _source_row(spec, step.path, _sha256(step.path), settings)):
                ledger = Ledger(step.source, step.path.name, 0, 0, 0, {}, {}, 0.0, skipped=True)
            else:
                ledger = load(store, step.source, step.path, **step.options)
        report(ledger)
        out.append(ledger)
    return out


def _givers(needed: str, asking: str) -> list[str]:
    """The loaders that give a label or relationship to another one."""
    return [n for n in loaders.names() if n != asking and needed in loaders.loader(n)[0].gives]
