"""A user's own measurements: one line an experiment, columns by name, in any order.

A table as a spreadsheet saves it: an xlsx workbook (its first sheet), or text in UTF-8 or UTF-16
with commas, semicolons or tabs between the cells, with decimal points or decimal commas. `strain`
and one of `value`, `interaction` are needed; docs/your-data.md has a file to copy. A column of a
name that is none of these is kept as an attribute of its experiments, unless the name is close to
one: then the file is refused, and the message says which is meant.

All lines are read before the file is refused, and the message lists the first of those that cannot
be used. A line that repeats an earlier one in every cell is noted.
"""

import difflib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean, stdev

from genograph.errors import SchemaError, SourceError, format_count
from genograph.loaders import Reading, Source
from genograph.loaders._sheets import read_table
from genograph.loaders._strains import note_names
from genograph.measurements import (
    MISSING,
    RELATIVE,
    Measurement,
    Study,
    read_number,
    read_strain,
    tables,
)
from genograph.tables import Table

COLUMNS = {
    "strain": "genes joined by +, each with kind, allele and dose unless a plain deletion: "
    "RAD51+YBL003C(damp), YAL001C(ts:tsq508), YAL001C(overexpression@1.5), or WT; systematic "
    "names, symbols and aliases in any case; rad51Δ, rad51-del and RAD51 CRISPRi too",
    "value": "the measurement, of the phenotype fitness; relative fitness is >= 0, and one over 5 "
    "is noted",
    "sd": "standard deviation of value, same unit, >= 0",
    "p": "P value, 0 to 1",
    "interaction": "genetic interaction score epsilon of a strain with two or more perturbations, "
    "in fitness",
    "interaction_sd": "standard deviation of interaction, >= 0",
    "phenotype": "fitness, also where the column is missing; expression_matrix, morphology_matrix "
    "and phenotypes_matrix load vectors",
    "unit": 'unit of value; "relative to wild type" where nothing is said (the wild type is 1); '
    "never a time: of doubling times give the wild type's over the strain's",
    "study": "id of the study; else the option study",
    "environment": "medium and temperature, e.g. SD_30C",
    "batch": "plate or batch",
    "replicate": "1, 2, ...; repeated measurements are numbered where nothing is said",
}
"""The columns of the table, and what each holds."""

SOURCE = Source(
    name="experiments_csv",
    title="your own measurements of strains",
    format="CSV or xlsx with a header; strain and one of value, interaction are needed",
    version=2,
    gives=(
        "Study",
        "Environment",
        "Strain",
        "PERTURBS",
        "Experiment",
        "TESTS",
        "FROM_STUDY",
        "IN_ENVIRONMENT",
    ),
    needs=("Gene",),
    options={
        "study": ("id of the study of lines that name none", ""),
        "citation": ("full citation of that study", ""),
        "doi": ("DOI of that study", ""),
        "unknown": ("a line that cannot be used: refuse the file, or reject the line", "refuse"),
        "replicates": ("repeated measurements: keep, or pool into mean, s.d. and number", "keep"),
    },
    columns=COLUMNS,
    citation="none: your own data",
    licence="yours",
)

_CALLED = {
    **dict.fromkeys(("gene", "genes", "genotype", "mutant", "orf", "strain_id"), "strain"),
    **dict.fromkeys(("fitness", "growth", "mean", "measurement", "measured"), "value"),
    **dict.fromkeys(("std", "stdev", "std_dev", "stddev", "s.d.", "standard_deviation"), "sd"),
    **dict.fromkeys(("epsilon", "eps", "gi", "gi_score"), "interaction"),
    **dict.fromkeys(("p-value", "p_value", "pvalue", "p_val", "pval"), "p"),
    **dict.fromkeys(("medium", "media", "condition", "conditions"), "environment"),
    **dict.fromkeys(("plate",), "batch"),
    **dict.fromkeys(("rep", "repeat", "replica"), "replicate"),
}
"""What else people call the columns."""

_MISSING = MISSING | {"-", "--", "\u2013", "\u2014", "none", "null", "nd", "n.d."}
_SHOWN = 20


def read(
    path: Path,
    reading: Reading,
    *,
    study: str,
    citation: str,
    doi: str,
    unknown: str,
    replicates: str,
) -> Iterator[Table]:
    """Yield the tables; a line that cannot be used as it is refuses the file."""
    for option, given, choices in (
        ("unknown", unknown, ("refuse", "reject")),
        ("replicates", replicates, ("keep", "pool")),
    ):
        if given not in choices:
            wanted = " or ".join(choices)
            msg = f"loader {SOURCE.name}: option {option} is {given!r}, wanted {wanted}"
            raise SourceError(msg)
    found = _measurements(path, reading, study, refuse=unknown == "refuse")
    if replicates == "pool":
        found = _pool(found, reading)
    known = [Study(study, citation, doi)] if study else []
    yield from tables(found, known, source=str(path), note=reading.note)


def _measurements(
    path: Path, reading: Reading, study: str, *, refuse: bool
) -> Iterator[Measurement]:
    lines = read_table(path, reading, key="strain")
    names = _names(path, reading, *next(lines))
    numbers = _Numbers(path, reading)
    rows: dict[tuple[str, ...], int] = {}
    replicates: dict[tuple[object, ...], int] = {}
    bad: list[SourceError] = []
    for line, cells in lines:
        reading.rows_read += 1
        first = rows.setdefault(tuple(cells), line)
        if first != line:
            reading.note("the same line as an earlier one", line, f"as line {first}")
        text = ""
        try:
            if len(cells) != len(names):
                got = f"{len(cells)} columns"
                raise SourceError.at(path, line, None, got, f"{len(names)} as in the header")
            measured = _read_line(path, line, dict(zip(names, cells, strict=True)), study, numbers)
            text = cells[names.index("strain")]
            suggest = refuse and len(bad) < _SHOWN
            measured = _with_strain(path, measured, text, reading, suggest=suggest)
            _check_replicate(path, measured, replicates)
        except SourceError as error:
            if refuse:
                bad.append(error)
                continue
            unknown = isinstance(error, _UnknownGene)
            reason = "unknown gene" if unknown else "a line that cannot be used"
            detail = text if unknown else str(error).partition(f"line {line}")[2].lstrip(",: ")
            reading.reject(reason, line, detail)
        else:
            if not bad:
                yield measured
    if bad:
        raise _refuse(path, bad) from bad[0]
    if not reading.rows_read:
        raise SourceError.at(path, None, None, "no rows", "at least one")


class _UnknownGene(SourceError):
    """A line names a gene that is not loaded."""


def _refuse(path: Path, bad: list[SourceError]) -> SourceError:
    """The error of all lines that cannot be used."""
    if len(bad) == 1:
        return SourceError(str(bad[0]))
    shown = "; ".join(str(error).removeprefix(f"{path}, ") for error in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
    return SourceError(
        f"{path}: {format_count(len(bad), 'line')} cannot be used: {shown}{more} (the option "
        f"unknown=reject leaves them out)"
    )


def _names(path: Path, reading: Reading, line: int, header: list[str]) -> list[str]:
    """The columns' names: those of COLUMNS in lower case, others as they stand."""
    names = []
    for name in header:
        plain = re.sub(r"\s+", "_", name.lower())
        names.append(plain if plain in COLUMNS else name)
    for name in names:
        if not name or names.count(name) > 1:
            wanted = "a name of its own for every column"
            raise SourceError.at(path, line, None, name or "an unnamed column", wanted)
        if name in COLUMNS:
            continue
        meant = _guess(name, names)
        if meant:
            wanted = f"columns of {', '.join(COLUMNS)}; did you mean {meant}?"
            raise SourceError.at(path, line, None, name, wanted)
        if "=" in name or not name.isprintable():
            wanted = "a name without = and control characters"
            raise SourceError.at(path, line, None, repr(name), wanted)
        reading.note("column kept as an attribute", line, name)
    if "strain" not in names:
        raise SourceError.at(path, line, None, ", ".join(header), "a column strain")
    return names


def _guess(name: str, names: list[str]) -> str:
    """The column that another name is meant for, "" where there is none or it is there."""
    plain = re.sub(r"\s+", "_", name.lower())
    close = difflib.get_close_matches(plain, COLUMNS, n=1, cutoff=0.75)
    meant = _CALLED.get(plain) or (close[0] if close and len(plain) > 2 else "")
    return "" if meant in names else meant


class _Numbers:
    """Reads the numbers of a file, which all have decimal points or all have decimal commas."""

    _COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path, self._reading = path, reading
        self._seen: dict[str, int] = {}

    def read(
        self, line: int, column: str, text: str, low: float = -math.inf, high: float = math.inf
    ) -> float | None:
        """Read a cell, None where it is empty.

        Raises:
            SourceError: it is no number within the limits, or has the other decimal sign than the
                lines before.
        """
        plain = text
        if self._COMMA.fullmatch(text):
            plain = text.replace(",", ".")
        value = read_number(self._path, line, column, plain, low=low, high=high)
        sign = "comma" if plain != text else "point" if "." in text else ""
        if sign and value is not None:
            self._seen.setdefault(sign, line)
            if len(self._seen) > 1:
                other = next(iter(self._seen))
                wanted = f"a decimal {other}, as in line {self._seen[other]}"
                raise SourceError.at(self._path, line, column, text, wanted)
            if sign == "comma":
                self._reading.note("decimal comma", line, f"{text} is {value:g}")
        return value


def _read_line(
    path: Path, line: int, cells: dict[str, str], study: str, numbers: _Numbers
) -> Measurement:
    """A line's measurement without its strain."""
    cells = {k: "" if v.lower() in _MISSING else v for k, v in cells.items()}
    phenotype = cells.get("phenotype") or "fitness"
    if phenotype != "fitness":
        wanted = (
            "fitness; expression_matrix, morphology_matrix and phenotypes_matrix load the others"
        )
        raise SourceError.at(path, line, "phenotype", phenotype, wanted)
    unit = cells.get("unit") or RELATIVE

    def number(column: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        return numbers.read(line, column, cells.get(column, ""), low, high)

    value = number("value", 0.0 if unit == RELATIVE else -math.inf)
    epsilon = number("interaction")
    epsilon_sd = number("interaction_sd", 0.0)
    sd = number("sd", 0.0)
    if value is None and epsilon is None:
        raise SourceError.at(path, line, "value", "nothing", "a value or an interaction")
    for column, spread, of in (("sd", sd, value), ("interaction_sd", epsilon_sd, epsilon)):
        if spread is not None and of is None:
            what = column.removesuffix("_sd").replace("sd", "value")
            raise SourceError.at(path, line, column, spread, f"nothing where {what} is empty")
    own = cells.get("study") or study
    if not own:
        raise SourceError.at(path, line, "study", "nothing", "a study, here or as option study")
    return Measurement(
        own,
        phenotype,
        unit,
        (),
        value,
        sd,
        number("p", 0.0, 1.0),
        epsilon,
        epsilon_sd,
        environment=cells.get("environment", ""),
        batch=cells.get("batch", ""),
        replicate=_replicate(path, line, cells.get("replicate", "")),
        line=line,
        attributes=tuple(f"{k}={v}" for k, v in cells.items() if k not in COLUMNS and v),
    )


def _replicate(path: Path, line: int, text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise SourceError.at(path, line, "replicate", text, "a whole number >= 1")
    return int(text)


def _with_strain(
    path: Path, measured: Measurement, text: str, reading: Reading, *, suggest: bool
) -> Measurement:
    """The measurement with the strain that a cell spells."""
    line = measured.line
    try:
        spelled = read_strain(text, reading.genes.resolve)
    except SchemaError as error:
        raise SourceError.at(path, line, "strain", text or "nothing", str(error)) from error
    if spelled.unknown:
        wanted = "a loaded gene"
        close = reading.genes.guess(spelled.unknown[0]) if suggest else ""
        wanted += f"; did you mean {close}?" if close else ""
        wanted += " (the option unknown=reject leaves such lines out)"
        raise _UnknownGene.at(path, line, "strain", spelled.unknown[0], wanted)
    if measured.interaction is not None and len(spelled.strain) < 2:
        wanted = "nothing: an interaction needs two perturbations"
        raise SourceError.at(path, line, "interaction", measured.interaction, wanted)
    note_names(spelled, reading, line)
    return measured._replace(strain=spelled.strain)


def _check_replicate(path: Path, m: Measurement, seen: dict[tuple[object, ...], int]) -> None:
    """Refuse a number that another line of the same measurement has."""
    if m.replicate is None:
        return
    key = (m.study, m.phenotype, m.strain, m.environment, m.replicate)
    first = seen.setdefault(key, m.line or 0)
    if first != m.line:
        wanted = f"another than in line {first}, or nothing to have repeats numbered"
        raise SourceError.at(path, m.line, "replicate", m.replicate, wanted)


def _pool(measurements: Iterable[Measurement], reading: Reading) -> Iterator[Measurement]:
    """Yield one measurement a strain, study, unit and environment.

    Its value and interaction are means, its deviations those of the values among replicates; n is
    the number of lines. What is measured once keeps its own deviation and P value.
    """
    groups: dict[tuple[object, ...], list[Measurement]] = defaultdict(list)
    for m in measurements:
        groups[m.study, m.phenotype, m.unit, m.environment, frozenset(m.strain)].append(m)
    for same in groups.values():
        if len(same) == 1:
            yield same[0]._replace(replicate=None)
            continue
        value, sd = _summarise([m.value for m in same])
        epsilon, epsilon_sd = _summarise([m.interaction for m in same])
        batches = dict.fromkeys(m.batch for m in same)
        reading.note("repeated measurements pooled", same[0].line, f"{len(same)} lines", len(same))
        yield same[0]._replace(
            value=value,
            sd=sd,
            p=None,
            interaction=epsilon,
            interaction_sd=epsilon_sd,
            batch=same[0].batch if len(batches) == 1 else "",
            replicate=None,
            n=len(same),
            attributes=tuple(dict.fromkeys(a for m in same for a in m.attributes)),
        )


def _summarise(values: list[float | None]) -> tuple[float | None, float | None]:
    """Mean and standard deviation (n - 1) of what was measured; None where there is too little."""
    there = [v for v in values if v is not None]
    if not there:
        return None, None
    return fmean(there), stdev(there) if len(there) > 1 else None
