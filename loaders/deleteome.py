"""Expression profiles of deletion strains from the Deleteome (Kemmeren et al. 2014).

Format of deleteome_all_mutants_controls.txt and its kin: tab-separated text with two header lines.
The first has reporterId, systematicName, geneSymbol and then a comparison such as
`swd1-del vs. wt`, three times over; the second says what each of the three is: M (log2 of the
deletion strain over the wild type), A (mean log2 intensity) and p_value. M and p are kept.

Strains are named by the gene's symbol in lower case, some with the mating type behind (`-matA`),
some without the dot of `vs.`, one without `-del`: a gene's name alone is its deletion where the
gene itself is clearly down. Comparisons of wild types with each other are no deletion. The two dyes
of an array are easily swapped when such a table is made again, which turns every sign; a deleted
gene cannot be expressed, so a table whose deleted genes do not go down is refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.loaders._ids import check_known, check_rows
from genograph.measurements import Axis, Measurement, read_vector, tables
from genograph.schema import Perturbation
from genograph.tables import Table

SOURCE = Source(
    name="deleteome",
    title="expression profiles of deletion strains with P values",
    format="deleteome_*.txt: two header lines, then a gene a line with M, A, p_value a strain",
    version=2,
    gives=("Study", "Axis", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY", "ALONG"),
    needs=("Gene",),
    options={"study": ("id of the study", "kemmeren2014")},
    citation="Kemmeren et al. (2014) Cell 157:740",
    doi="10.1016/j.cell.2014.02.054",
    licence="supplementary data of the publication, no licence stated",
)

UNIT = "log2 fold change"
DOWN = 0.98
"""At least this fraction of the deleted genes must have a negative M of their own."""

_FIXED = ("reporterId", "systematicName", "geneSymbol")
_KINDS = ("M", "A", "p_value")
_STRAIN = re.compile(r"(.+?)-del(?:-\S+)?\s+vs\.?\s+wt\S*", re.IGNORECASE)
_BARE = re.compile(r"(\S+)\s+vs\.?\s+wt\S*", re.IGNORECASE)
CLEARLY_DOWN = -1.0
"""A gene that a comparison names without `-del` is deleted where its own M is at most this."""
_CONTROL = re.compile(r"wt\S*\s+vs\.?\s+wt\S*", re.IGNORECASE)


class _Column(NamedTuple):
    """One comparison: the 0-based column of its M, its name and the deleted gene."""

    place: int
    name: str
    gene: str
    bare: bool


def read(path: Path, reading: Reading, *, study: str) -> Iterator[Table]:
    """Yield the tables; M and p are held in memory, as strains are columns."""
    known = SOURCE.study(study)
    lines = rows(path)
    columns, width = _columns(path, lines, reading)
    places = np.array([c.place for c in columns])
    wanted = np.concatenate([places, places + 2])
    names = [f"{c.name}, {kind}" for kind in ("M", "p_value") for c in columns]
    genes: dict[str, int] = {}
    found: list[np.ndarray] = []
    for line, fields in lines:
        reading.rows_read += 1
        if len(fields) != width:
            got = f"{len(fields)} columns"
            raise SourceError.at(path, line, None, got, f"{width} as in the header")
        numbers = read_vector(path, line, names, [fields[i] for i in wanted])
        p = numbers[len(columns) :]
        # written so that NaN passes
        if bad := np.flatnonzero((p < 0.0) | (p > 1.0)).tolist():
            column = names[len(columns) + bad[0]]
            raise SourceError.at(path, line, column, p[bad[0]], "a P value from 0 to 1")
        gene = reading.genes.resolve(fields[1]) if fields[1].strip() else None
        if gene is None:
            reading.reject("unknown gene", line, fields[1] or fields[0])
        elif gene in genes:
            reading.reject("duplicate gene", line, f"{fields[1]}, first in line {genes[gene]}")
        else:
            genes[gene] = line
            found.append(numbers)
    if not genes:
        check_rows(path, reading)
        raise SourceError.at(path, None, "2 (systematicName)", "no loaded gene", "at least one")
    table = np.array(found)
    m, p = table[:, : len(columns)], table[:, len(columns) :]
    deleted = _find_deleted(columns, list(genes), m, reading)
    columns, m, p = [columns[k] for k in deleted], m[:, deleted], p[:, deleted]
    if not columns:
        raise SourceError.at(path, 1, None, "no strain of loaded genes", "at least one")
    _check_orientation(path, reading, columns, list(genes), m)
    axis = Axis(study, "expression", UNIT, tuple(genes))
    yield from tables(
        _measurements(columns, m, p, axis, reading), [known], source=str(path), note=reading.note
    )


def _columns(
    path: Path, lines: Iterator[tuple[int, list[str]]], reading: Reading
) -> tuple[list[_Column], int]:
    """The comparisons whose strains are known, and the number of columns of a row."""
    first, header = next(lines)
    for place, (have, want) in enumerate(zip([*header, "", ""], _FIXED, strict=False), 1):
        if have.strip().lstrip("\ufeff") != want:
            raise SourceError.at(path, first, str(place), have or "nothing", want)
    second, kinds = next(lines, (first + 1, []))
    if len(kinds) != len(header):
        got = f"{len(kinds)} columns"
        raise SourceError.at(path, second, None, got, f"{len(header)} as in the first line")
    if len(header) < 6 or len(header) % 3:
        wanted = "three and then three a strain: M, A, p_value"
        raise SourceError.at(path, first, None, f"{len(header)} columns", wanted)
    columns = []
    unknown = []
    seen = set()
    for place in range(3, len(header), 3):
        name = header[place].strip()
        for k, kind in enumerate(_KINDS):
            if header[place + k].strip() != name:
                got, wanted = header[place + k] or "nothing", f"{name} three times"
                raise SourceError.at(path, first, str(place + k + 1), got, wanted)
            if kinds[place + k].strip() != kind:
                got = kinds[place + k] or "nothing"
                raise SourceError.at(path, second, str(place + k + 1), got, kind)
        match = _STRAIN.fullmatch(name)
        bare = None if match or _CONTROL.fullmatch(name) else _BARE.fullmatch(name)
        named = match or bare
        gene = reading.genes.resolve(named[1]) if named else None
        if gene is not None:
            if gene in seen:
                reading.note("column: strain measured again", first, name)
            seen.add(gene)
            columns.append(_Column(place, name, gene, bare is not None))
        elif match:
            unknown.append(match[1])
            reading.reject("column: unknown gene", first, name)
        elif _CONTROL.fullmatch(name):
            reading.reject("column: wild types compared", first, name)
        else:
            reading.reject("column: no deletion strain", first, name)
    check_known(path, "strain", unknown, len(columns), reading.genes)
    if not columns:
        raise SourceError.at(path, first, None, "no strain of loaded genes", "at least one")
    return columns, len(header)


def _find_deleted(
    columns: list[_Column], genes: list[str], m: np.ndarray, reading: Reading
) -> list[int]:
    """The places of the deletion strains: a gene that is named alone must itself be down."""
    row = {gene: i for i, gene in enumerate(genes)}
    deleted = []
    for k, column in enumerate(columns):
        own = m[row[column.gene], k] if column.gene in row else np.nan
        if not column.bare:
            deleted.append(k)
        elif own <= CLEARLY_DOWN:
            reading.note("column: taken for a deletion, the gene itself is down", 1, column.name)
            deleted.append(k)
        else:
            reading.reject("column: no deletion strain", 1, column.name)
    return deleted


def _check_orientation(
    path: Path, reading: Reading, columns: list[_Column], genes: list[str], m: np.ndarray
) -> None:
    """Refuse a table in which deleted genes do not go down.

    Raises:
        SourceError: fewer than 98 % of the strains whose own gene was measured have it below 0,
            or none can be looked at.
    """
    row = {gene: i for i, gene in enumerate(genes)}
    own = np.array([m[row[c.gene], k] if c.gene in row else np.nan for k, c in enumerate(columns)])
    looked = np.flatnonzero(~np.isnan(own))
    if not len(looked):
        msg = (
            f"{path}: the dye orientation cannot be checked: in none of {len(columns):,} strains "
            f"was the deleted gene itself measured; wanted its row in the table"
        )
        raise SourceError(msg)
    n_down = int((own[looked] < 0.0).sum())
    if n_down < DOWN * len(looked):
        up = looked[own[looked] >= 0.0]
        first = columns[up[0]]
        more = "" if n_down > len(looked) / 2 else "; the dyes look swapped: M is wt over mutant"
        msg = (
            f"{path}: the deleted gene's own M is negative in {n_down:,} of {len(looked):,} "
            f"strains ({n_down / len(looked):.1%}), wanted at least {DOWN:.0%}, first that is not: "
            f"{first.name} {own[up[0]]:g}{more}; M must be log2 of mutant over wild type"
        )
        raise SourceError(msg)
    for k in np.flatnonzero(np.isnan(own)).tolist():
        reading.note("column: the deleted gene itself was not measured", 1, columns[k].name)


def _measurements(
    columns: list[_Column], m: np.ndarray, p: np.ndarray, axis: Axis, reading: Reading
) -> Iterator[Measurement]:
    for k, column in enumerate(columns):
        if np.isnan(m[:, k]).all():
            reading.reject("column: nothing measured", 1, column.name)
            continue
        yield Measurement(
            axis.study,
            "expression",
            axis.unit,
            (Perturbation.of(column.gene),),
            values=m[:, k],
            axis=axis,
            line=1,
            p_values=p[:, k],
        )
