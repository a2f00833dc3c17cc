"""Ingest: source files into a graph database, one at a time (`load`) or as a list (`build`).

A file is read and checked to its end, its rows spooled to disk, before the first row is written, so
bad input writes nothing and memory holds one table. A load that fits into one transaction of the
store is written whole or not at all; a larger one that is interrupted leaves a Source without
`loaded`, and the same load again finishes it.
"""

import os
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from genograph import loaders
from genograph.database.embed import embed
from genograph.database.ledger import Ledger, LedgerEntry, find_rejects, make_source
from genograph.database.spool import Spool
from genograph.embeddings import PROVIDERS
from genograph.errors import SourceError
from genograph.files import hash_file, scratch
from genograph.loaders import GeneNames, Option, Read, Reading, Source
from genograph.loaders._ids import check_rows
from genograph.store import Store, Written
from genograph.tables import Table

__all__ = ["BuildStep", "Ledger", "build", "load", "read_gene_names", "read_sources"]


def read_gene_names(store: Store) -> GeneNames:
    """Read the names of the loaded genes: ids, symbols and aliases."""
    return GeneNames(
        store.query("MATCH (g:Gene) RETURN g.id AS id, g.symbol AS symbol, g.aliases AS aliases")
    )


def load(
    store: Store, source: str, path: Path | str, *, rejects: Path | None = None, **options: Option
) -> Ledger:
    """Load one source file and return what was done; loading it twice changes nothing.

    The file is read to its end before the first row is written, so a bad file writes nothing.

    Args:
        store: the database, open for writing.
        source: the loader's name, which is the file's format; `genograph load --list` shows them.
        path: the file; most loaders read it compressed by gzip too.
        rejects: folder for the list of rows that were not used (tab-separated; lines are 1-based);
            None: beside the database. A server has no such place and then keeps the counts only.
        options: of the loader, by name.

    Returns:
        The ledger of the load: rows read, written, unchanged, and rejected by reason.

    Raises:
        SourceError: the file is missing, damaged or malformed, an option is unknown, or the loader
            needs what is not loaded yet; the database is as it was.
        StoreError: the database refuses; the same call again finishes the load.

    Example:
        >>> with genograph.open_store("yeast.db") as store:
        ...     ledger = genograph.load(store, "sgd_features", "yeast/SGD_features.tab")
        >>> ledger.rows_read, ledger.written, ledger.rejected["not a gene: CDS"]
        (246, 120, 122)
    """
    path = Path(path)
    spec, read = loaders.loader(source)
    settings = spec.settings(options)
    with store.writing():
        return _load(store, spec, read, path, settings, rejects)


def _load(
    store: Store,
    spec: Source,
    read: Read,
    path: Path,
    settings: Mapping[str, Option],
    rejects: Path | None,
) -> Ledger:
    started, source = time.perf_counter(), spec.name
    counts = store.counts()
    for needed in spec.needs:
        if not counts[needed]:
            givers = " or ".join(_list_givers(needed, source))
            msg = f"loader {source} needs {needed} in the database; load {givers} first"
            raise SourceError(msg)
    for each in (path, *(Path(str(settings[name])) for name in spec.files if settings[name])):
        if not each.is_file():
            msg = f"{each}: no such file"
            raise SourceError(msg)
    entry = LedgerEntry(store, _make_source(spec, path, settings))
    with (
        scratch() as folder,
        find_rejects(rejects, store, entry) as unused,
    ):
        reading = Reading(read_gene_names(store), store.query)
        if unused is not None:
            reading.on_reject = unused.row
        entry.note_earlier(reading)
        spool = Spool(folder, str(path))
        for table in read(path, reading, **settings):
            spool.put(table)
        check_rows(path, reading)
        list_of_unused = unused.done() if unused is not None else None
        if not spool:
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in reading.rejected.most_common(3))
            msg = f"{path}: none of its {reading.rows_read:,} rows can be used: {reasons}"
            raise SourceError(msg)
        _check_units(store, spool, path)
        whole = store.atomic_loads and spool.fits(store)
        with store.transaction() if whole else nullcontext():
            entry.begin()
            done = spool.write(store)
            if spool.studies:
                link = {"from_id": list(spool.studies), "to_id": [entry.id] * len(spool.studies)}
                store.write(Table.of("LOADED_FROM", link))
            total = sum(done.values(), Written())
            ledger = Ledger(
                source,
                path.name,
                reading.rows_read,
                total.created + total.updated,
                total.unchanged,
                dict(reading.rejected),
                reading.examples,
                time.perf_counter() - started,
                notes=dict(reading.notes),
                rejects=list_of_unused,
            )
            entry.end(ledger, done)
    return ledger


def _check_units(store: Store, spool: Spool, path: Path) -> None:
    """Refuse measurements that are there in another unit: they would be replaced.

    Raises:
        SourceError: the first of them, and both units.
    """
    for study in spool.studies:
        held = store.query(
            "MATCH (u:Study {id: $study}) MATCH (e:Experiment)-[:FROM_STUDY]->(u) "
            "RETURN DISTINCT e.phenotype AS phenotype, e.unit AS unit",
            study=study,
        ).to_pylist()
        others = {
            row["phenotype"]
            for row in held
            if row["unit"] not in spool.units.get(row["phenotype"], ())
        }
        if others & set(spool.units):
            _check_unit_of_each(store, spool, path)
            return


def _check_unit_of_each(store: Store, spool: Spool, path: Path) -> None:
    for rows in spool.experiments():
        renamed = rows.rename_columns(["in_id", "in_phenotype", "in_unit"])
        found = store.query(
            "MATCH (e:Experiment {id: in_id}) WHERE e.unit <> in_unit "
            "RETURN in_id AS id, in_unit AS new, e.unit AS unit",
            rows=renamed,
        )
        if len(found):
            first = min(found.to_pylist(), key=lambda row: row["id"])
            msg = (
                f"{path}: {len(found):,} of its measurements are in the database in another unit, "
                f"first {first['id']} in {first['new']}, there in {first['unit']}; load them under "
                f"a study of their own, or convert them"
            )
            raise SourceError(msg)


def _make_source(spec: Source, path: Path, settings: Mapping[str, Option]) -> Table:
    """Make the Source row of a load that is about to begin."""
    said = dict(settings)
    for name in spec.files:
        if said[name]:
            further = Path(str(said[name]))
            said[name] = f"{further.name} with sha256 {hash_file(further)}"
    words = [f"{name}={value}" for name, value in sorted(said.items())]
    return make_source(spec.name, spec.version, path.name, hash_file(path), words, spec.licence)


@dataclass(frozen=True)
class BuildStep:
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


def read_sources(path: Path) -> list[BuildStep]:
    """Read the steps of a sources.toml, in the order in which they must be loaded.

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
    except (ValueError, RecursionError) as error:
        # a TOMLDecodeError is a ValueError, and so is a number of too many digits
        msg = f"{path}: not valid TOML: {error}"
        raise SourceError(msg) from error
    for key, entries in raw.items():
        if key not in ("source", "embed") or not isinstance(entries, list):
            msg = f"{path}: got the key {key}; wanted [[source]] and [[embed]]"
            raise SourceError(msg)
    steps = [_read_source(path, entry) for entry in raw.get("source", [])]
    if not steps:
        msg = f"{path}: lists no [[source]]"
        raise SourceError(msg)
    return _sort_steps(steps + [_read_embed(path, entry) for entry in raw.get("embed", [])])


def _read_source(path: Path, entry: Mapping[str, Option]) -> BuildStep:
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
    where = _find_file(path, file)
    for further in spec.files:
        if options.get(further):
            options[further] = str(_find_file(path, str(options[further])))
    return BuildStep(name, where, options, spec.gives, spec.needs)


def _find_file(path: Path, file: str) -> Path:
    """The file that a list names, relative to the list.

    Raises:
        SourceError: there is none.
    """
    where = path.parent / Path(os.path.expandvars(file)).expanduser()
    if not where.is_file():
        msg = f"{path}: {where}: no such file"
        raise SourceError(msg)
    return where


_EMBED_OPTIONS: Mapping[str, type] = {"model": str, "seed": int, "dim": int}


def _read_embed(path: Path, entry: Mapping[str, Option]) -> BuildStep:
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
    return BuildStep(provider, None, options, ("Embedding", "EMBEDDED_AS"), ("CRE",))


def _sort_steps(steps: Sequence[BuildStep]) -> list[BuildStep]:
    """Sort steps so that each follows those that give what it needs; else keep their order.

    Two steps that each give what the other needs (two SGA screens) keep their order.
    """
    waiting = list(steps)
    out: list[BuildStep] = []
    while waiting:
        ready = (s for s in waiting if not any(_must_precede(o, s) for o in waiting if o is not s))
        step = next(ready, waiting[0])
        waiting = [s for s in waiting if s is not step]
        out.append(step)
    return out


def _must_precede(first: BuildStep, then: BuildStep) -> bool:
    """Whether `then` needs what `first` gives, and not the other way round."""
    return bool(set(first.gives) & set(then.needs)) and not set(then.gives) & set(first.needs)


def build(
    store: Store,
    path: Path | str,
    *,
    report: Callable[[Ledger], None] = lambda ledger: None,
    rejects: Path | None = None,
) -> list[Ledger]:
    """Load every source of a sources.toml that the database does not have yet.

    A step whose file, options and loader version are in the database's ledger is skipped, so a
    build that was interrupted goes on where it stopped. Steps are put into the order in which they
    need each other.

    Args:
        store: the database, open for writing.
        path: a TOML file of `[[source]]` (loader, file, the loader's options) and `[[embed]]`
            (provider; model, seed, dim) tables; files are relative to it.
        report: gets each step's ledger when the step is done.
        rejects: as for `load`.

    Returns:
        The ledgers of all steps, skipped ones included.

    Raises:
        SourceError: the list or a file is missing or malformed; or a step needs what neither the
            list nor the database has, in which case nothing is loaded.
        StoreError: the database refuses; the same call again goes on.

    Example:
        >>> with genograph.open_store("yeast.db") as store:
        ...     ledgers = genograph.build(store, "yeast/sources.toml")
        >>> ledgers[0].source, ledgers[0].skipped
        ('sgd_features', True)
    """
    steps = read_sources(Path(path))
    there = {name for name, n in store.counts().items() if n}
    for step in steps:
        there |= set(step.gives)
    for step in steps:
        for needed in step.needs:
            if needed not in there:
                givers = " or ".join(_list_givers(needed, step.source))
                msg = f"{path}: {step.source} needs {needed}; list {givers} too"
                raise SourceError(msg)
    out = []
    for step in steps:
        if step.path is None:
            ledger = embed(store, step.source, **step.options)  # type: ignore[arg-type]
        else:
            spec, _ = loaders.loader(step.source)
            settings = spec.settings(step.options)
            if LedgerEntry(store, _make_source(spec, step.path, settings)).finished:
                ledger = Ledger(step.source, step.path.name, 0, 0, 0, {}, {}, 0.0, skipped=True)
            else:
                ledger = load(store, step.source, step.path, rejects=rejects, **step.options)
        report(ledger)
        out.append(ledger)
    return out


def _list_givers(needed: str, asking: str) -> list[str]:
    """List the loaders that give a label or relationship which another loader needs."""
    return [n for n in loaders.names() if n != asking and needed in loaders.loader(n)[0].gives]
