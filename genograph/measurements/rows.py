"""Rows: single measurements of strains, and the tables of the graph that they become.

A loader yields one `Measurement` a strain and phenotype; `tables` gives the Study, Environment,
Axis, Strain, PERTURBS, Experiment, TESTS, FROM_STUDY, IN_ENVIRONMENT and ALONG rows, each once.

The id of an experiment is `study:phenotype:strain`, with the strain as it was measured (an SGA
query before its array strain) and joined by x: `costanzo2010:fitness:YBR002CxYAL001C(damp)`. An
environment follows as `@name`, a repeated measurement as `#2`, `#3` ...
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from genograph.errors import SchemaError, SourceError
from genograph.measurements.plausible import Note, Outliers, is_time
from genograph.schema import WILD_TYPE, Perturbation, graph_schema
from genograph.tables import Table, make_mark

RELATIVE = "relative to wild type"
"""The unit of fitness: the wild type has 1."""

MISSING = frozenset({"", "na", "n/a", "nan", "#n/a"})
"""The words in a table for a value that was not measured, in lower case."""

CHUNK = 50_000
_CHUNK_VALUES = 5_000_000


class Study(NamedTuple):
    """A publication or screen; an empty field is unknown and changes nothing in the database."""

    id: str
    citation: str = ""
    doi: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Axis:
    """The names along a vector phenotype: gene ids or parameter names, distinct."""

    study: str
    phenotype: str
    unit: str
    names: tuple[str, ...]

    @cached_property
    def id(self) -> str:
        """Study, phenotype and a hash of unit and names: equal axes have equal ids."""
        words = "\n".join([self.unit, *self.names])
        return f"{self.study}:{self.phenotype}:{hashlib.sha256(words.encode()).hexdigest()[:16]}"


class Measurement(NamedTuple):
    """One measurement of one phenotype of one strain; None where the source does not say.

    Attributes:
        study: id of the study.
        phenotype: fitness, expression, morphology or traits.
        unit: unit of `value` or of `values`.
        strain: the perturbations, query first; () is the wild type.
        values: vector phenotypes: float32 along `axis`, NaN = not measured.
        raw_interaction, tau: trigenic strains: the score before and after it is adjusted for the
            digenic interactions; their `interaction` is None.
        p_values: of `values`, float32, NaN = none.
        n: repeated measurements that were pooled into this one.
        attributes: what else the source says, as name=value.
        replicate: 1-based; None numbers repeated measurements in the order of the file.
        line: 1-based line of the source, for messages.
    """

    study: str
    phenotype: str
    unit: str
    strain: tuple[Perturbation, ...]
    value: float | None = None
    sd: float | None = None
    p: float | None = None
    interaction: float | None = None
    interaction_sd: float | None = None
    derived: bool | None = None
    values: NDArray[Any] | None = None
    axis: Axis | None = None
    environment: str = ""
    batch: str = ""
    replicate: int | None = None
    line: int | None = None
    raw_interaction: float | None = None
    tau: float | None = None
    p_values: NDArray[Any] | None = None
    n: int | None = None
    attributes: tuple[str, ...] = ()


def tables(
    measurements: Iterable[Measurement],
    studies: Iterable[Study],
    *,
    source: str,
    note: Note,
    chunk: int = CHUNK,
) -> Iterator[Table]:
    """Yield tables of all measurements, about `chunk` experiments each; nodes before relationships.

    No key is yielded twice. Memory grows by one chunk and the ids seen. Numbers far outside of
    what they can be are told to `note`, which is the loader's `Reading.note`.

    Raises:
        SourceError: a strain carries the same perturbation twice, a numbered replicate is there
            already, or the unit of a fitness is one of time.
        SchemaError: a value is outside the limits of the schema.
    """
    seen = _Seen({s.id: s for s in studies}, Outliers(note))
    held: list[Measurement] = []
    values = 0
    for measurement in measurements:
        held.append(measurement)
        values += 0 if measurement.values is None else len(measurement.values)
        if len(held) >= chunk or values >= _CHUNK_VALUES:
            yield from _rows(held, seen, source)
            held, values = [], 0
    if held:
        yield from _rows(held, seen, source)


@dataclass
class _Seen:
    """What has been yielded so far."""

    studies: dict[str, Study]
    outliers: Outliers
    units: set[tuple[str, str]] = field(default_factory=set)
    yielded: set[tuple[str, str]] = field(default_factory=set)
    strains: set[str] = field(default_factory=set)
    experiments: set[str] = field(default_factory=set)
    spelled: dict[Perturbation, str] = field(default_factory=dict)
    mark: int = field(default_factory=make_mark)

    def new(self, label: str, id: str) -> bool:
        """Record a Study, Environment or Axis; return whether its id is new."""
        known = (label, id) in self.yielded
        self.yielded.add((label, id))
        return not known

    def spell(self, perturbation: Perturbation) -> str:
        """The perturbation as text, cached: screens repeat few perturbations very often."""
        text = self.spelled.get(perturbation)
        if text is None:
            text = self.spelled[perturbation] = str(perturbation)
        return text


def _rows(held: Sequence[Measurement], seen: _Seen, source: str) -> Iterator[Table]:
    """The tables of one chunk."""
    studies = [m.study for m in held if seen.new("Study", m.study)]
    if studies:
        known = [seen.studies.get(s, Study(s)) for s in studies]
        words = [[w or None for w in column] for column in zip(*known, strict=True)]
        yield Table.of("Study", dict(zip(Study._fields, words, strict=True)), source=source)
    places = [m.environment for m in held if m.environment]
    places = [e for e in places if seen.new("Environment", e)]
    if places:
        yield Table.of("Environment", {"id": places, "name": places}, source=source)
    axes = [m.axis for m in held if m.axis is not None and seen.new("Axis", m.axis.id)]
    if axes:
        columns: dict[str, list[Any]] = {
            "id": [a.id for a in axes],
            "phenotype": [a.phenotype for a in axes],
            "unit": [a.unit for a in axes],
            "names": [list(a.names) for a in axes],
        }
        yield Table.of("Axis", columns, source=source)
    yield from _strains_and_experiments(held, seen, source)


def _strains_and_experiments(
    held: Sequence[Measurement], seen: _Seen, source: str
) -> Iterator[Table]:
    strains: list[str] = []
    new: dict[str, int] = {}
    links: list[tuple[str, str, str, str, float]] = []
    ids: list[str] = []
    for m in held:
        if (m.phenotype, m.unit) not in seen.units:
            _check_unit(m, source)
            seen.units.add((m.phenotype, m.unit))
        parts = [seen.spell(p) for p in m.strain]
        strain = "+".join(sorted(parts)) or WILD_TYPE
        strains.append(strain)
        ids.append(_experiment_id(m, "x".join(parts) or WILD_TYPE, seen.experiments, source))
        if strain in seen.strains:
            continue
        if len({p[:3] for p in m.strain}) < len(parts):
            got = "the same gene, kind and allele twice"
            raise SourceError.at(source, m.line, "strain", f"{strain}: {got}", "each once")
        seen.strains.add(strain)
        new[strain] = len(parts)
        links.extend((strain, *p) for p in m.strain)
    if new:
        columns: dict[str, list[Any]] = {"id": list(new), "n_perturbed": list(new.values())}
        yield Table.of("Strain", columns, source=source, own=seen.mark)
    if links:
        names = ("from_id", "to_id", "kind", "allele", "dose")
        by_name = dict(zip(names, map(list, zip(*links, strict=True)), strict=True))
        yield Table.of("PERTURBS", by_name, source=source, own=seen.mark)
    experiments = _experiments(held, ids, source, seen.mark)
    _note_outliers(held, strains, experiments, seen.outliers)
    yield experiments
    yield Table.of("TESTS", {"from_id": ids, "to_id": strains}, source=source, own=seen.mark)
    yield Table.of(
        "FROM_STUDY",
        {"from_id": ids, "to_id": [m.study for m in held]},
        source=source,
        own=seen.mark,
    )
    for name, ends in (
        ("IN_ENVIRONMENT", [m.environment or None for m in held]),
        ("ALONG", [m.axis.id if m.axis is not None else None for m in held]),
    ):
        pairs = [(i, end) for i, end in zip(ids, ends, strict=True) if end is not None]
        if pairs:
            left, right = zip(*pairs, strict=True)
            yield Table.of(name, {"from_id": left, "to_id": right}, source=source, own=seen.mark)


def _check_unit(m: Measurement, source: str) -> None:
    if m.phenotype == "fitness" and is_time(m.unit):
        wanted = (
            f"fitness, which is larger where growth is faster: convert it (wild type's time / "
            f"strain's time) with the unit {RELATIVE}, or give a rate's unit (1/h)"
        )
        raise SourceError.at(source, m.line, "unit", f"{m.unit}, a time", wanted)


def _note_outliers(
    held: Sequence[Measurement], strains: Sequence[str], experiments: Table, outliers: Outliers
) -> None:
    """Note numbers far outside of what they can be, by phenotype, unit and axis."""
    kinds = [(m.phenotype, m.unit, m.axis.id if m.axis else "") for m in held]
    rows = experiments.rows
    present = [name for name in _LOOKED_AT if name in rows.column_names]
    distinct = dict.fromkeys(kinds)
    for kind in distinct:
        mine: Any = slice(None)
        if len(distinct) > 1:
            mine = np.flatnonzero([each == kind for each in kinds])
        row_of = np.arange(len(held))[mine]
        phenotype, unit, _ = kind
        axis = held[row_of[0]].axis

        def line(row: int, row_of: NDArray[Any] = row_of) -> int | None:
            return held[int(row_of[row])].line

        def strain(row: int, row_of: NDArray[Any] = row_of) -> str:
            return strains[int(row_of[row])]

        if axis is None:
            columns = {
                name: rows[name].to_numpy()[mine].astype(np.float64, copy=False) for name in present
            }
            outliers.check_numbers(phenotype, unit, columns, line, strain)
            continue
        values = [v for v in (held[row].values for row in row_of) if v is not None]
        if len(values) == len(row_of):
            outliers.check_vectors(
                axis.id, phenotype, unit, axis.names, np.stack(values), line, strain
            )


def _experiment_id(m: Measurement, strain: str, seen: set[str], source: str) -> str:
    base = f"{m.study}:{m.phenotype}:{strain}"
    if m.environment:
        base += f"@{m.environment}"
    number = m.replicate or 1
    name = base if number == 1 else f"{base}#{number}"
    if m.replicate is None:
        while name in seen:
            number += 1
            name = f"{base}#{number}"
    elif name in seen:
        wanted = "another replicate number, or none to have repeats numbered"
        raise SourceError.at(source, m.line, "replicate", f"{name} a second time", wanted)
    seen.add(name)
    return name


_SCALARS = (
    *("value", "sd", "p", "interaction", "interaction_sd"),
    *("raw_interaction", "tau", "derived", "n"),
)


_LOOKED_AT = ("value", "sd", "interaction", "interaction_sd")


def _experiments(held: Sequence[Measurement], ids: list[str], source: str, mark: int) -> Table:
    """The Experiment rows; columns that no row fills are left out."""
    types = graph_schema().nodes["Experiment"].columns
    columns: dict[str, Any] = {
        "id": ids,
        "phenotype": [m.phenotype for m in held],
        "unit": [m.unit for m in held],
    }
    for name in _SCALARS:
        column = [getattr(m, name) for m in held]
        if any(v is not None for v in column):
            columns[name] = column
    if any(m.batch for m in held):
        columns["batch"] = [m.batch or None for m in held]
    if any(m.attributes for m in held):
        columns["attributes"] = [list(m.attributes) for m in held]
    try:
        arrays = {name: pa.array(column, types[name].arrow) for name, column in columns.items()}
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        msg = f"{source}: Experiment: {str(error).splitlines()[0]}"
        raise SchemaError(msg) from error
    for name in ("values", "p_values"):
        vectors = [getattr(m, name) for m in held]
        if any(v is not None for v in vectors):
            arrays[name] = _lists(vectors)
    return Table("Experiment", pa.table(arrays), source, own=mark)


def _lists(vectors: Sequence[NDArray[Any] | None]) -> pa.ListArray:
    """One list of 32-bit floats a row, null where there is no vector."""
    parts = [np.empty(0, np.float32) if v is None else v for v in vectors]
    offsets = np.concatenate([[0], np.cumsum([len(v) for v in parts])]).astype(np.int32)
    flat = pa.array(np.concatenate(parts).astype(np.float32, copy=False))
    missing = pa.array([v is None for v in vectors])
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=missing)


_TS = re.compile(r"ts[a-z]?\d*")


def read_screened(name: str, gene: str | None = None) -> Perturbation | None:
    """Read an SGA strain name as a perturbation; None where its allele suffix is not known.

    `YAL001C` is a deletion, `YAL001C_damp` a DAmP allele and `YAL001C_tsq508` the ts
    allele tsq508 (Costanzo et al. 2010, Baryshnikova et al. 2010). `gene` replaces the name before
    the suffix.
    """
    orf, _, suffix = name.strip().partition("_")
    suffix = suffix.lower()
    if not suffix:
        return Perturbation.of(gene or orf)
    if suffix == "damp":
        return Perturbation.of(gene or orf, "damp")
    return Perturbation.of(gene or orf, "ts", suffix) if _TS.fullmatch(suffix) else None


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_number(
    path: object,
    line: int | None,
    column: str,
    text: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
) -> float | None:
    """Read a cell as a finite number within the limits; None where it was not measured.

    Raises:
        SourceError: the cell holds anything else; the message has its place.
    """
    if text is None or (isinstance(text, str) and text.strip().lower() in MISSING):
        return None
    # Python would take 1_0 for ten, and a spreadsheet's TRUE for one
    if isinstance(text, str):
        bare = text.strip()
        value = float(bare) if _NUMBER.fullmatch(bare) else math.nan
    else:
        known = isinstance(text, int | float) and not isinstance(text, bool)
        value = float(text) if known else math.nan  # type: ignore[arg-type]
    if low <= value <= high and math.isfinite(value):
        return value
    wanted = "a finite number"
    if low > -math.inf:
        wanted += f" >= {low:g}"
    if high < math.inf:
        wanted += f" and <= {high:g}" if low > -math.inf else f" <= {high:g}"
    raise SourceError.at(str(path), line, column, text, wanted)


def read_vector(
    path: object, line: int, names: Sequence[str], fields: Sequence[str]
) -> NDArray[Any]:
    """Read one row of a matrix as float32, NaN where a cell was not measured.

    `names` are the names of the columns.

    Raises:
        SourceError: a cell is not a finite 32-bit number.
    """
    cells = ["nan" if f.strip().lower() in MISSING else f for f in fields]
    plain = "".join(fields)
    if plain.isascii() and "_" not in plain:
        try:
            with np.errstate(over="ignore"):
                out = np.array(cells, dtype=np.float64).astype(np.float32)
        except ValueError:
            pass
        else:
            if not np.isinf(out).any():
                return out
    limit = float(np.finfo(np.float32).max)
    values = [
        read_number(path, line, name, cell, low=-limit, high=limit)
        for name, cell in zip(names, fields, strict=True)
    ]
    return np.array([math.nan if v is None else v for v in values], dtype=np.float32)
