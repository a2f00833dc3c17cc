"""Rows of a matrix with strains in the first column: numbers, and resolved strains."""

import csv
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genograph.errors import SourceError
from genograph.loaders import Reading, rows
from genograph.loaders._ids import check_rows
from genograph.loaders._strains import find_strain
from genograph.measurements import MISSING, read_vector
from genograph.schema import Perturbation


class Row(NamedTuple):
    """One line: its number, its fields and the values after the first field, NaN where empty."""

    line: int
    fields: list[str]
    values: np.ndarray


def separated(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields, of text with tabs between them, or commas where its header has none.

    Raises:
        SourceError: as `rows`; a line is not one of CSV, or has tabs where the header has none.
    """
    lines = rows(path, separator="\t")
    first, header = next(lines)
    if len(header) > 1:
        yield first, [header[0].lstrip("\ufeff"), *header[1:]]
        yield from lines
        return
    yield first, _comma(path, first, header[0].lstrip("\ufeff"))
    for line, fields in lines:
        if len(fields) > 1:
            raise SourceError.at(path, line, None, "tabs", "commas as in the header")
        yield line, _comma(path, line, fields[0])


def _comma(path: Path, line: int, text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise SourceError.at(path, line, None, error, "a line of CSV") from None


_PEEKED = 20
"""Rows that tell a column of names from one of numbers."""


def take_values(
    path: Path,
    lines: Iterator[tuple[int, list[str]]],
    reading: Reading,
    given: str = "",
) -> tuple[int, list[str], Iterator[tuple[int, list[str]]]]:
    """Take the columns that hold values: without those of `given`, and other names of the rows.

    A column whose cells are no numbers but name the gene of their row (its symbol beside the
    systematic name) is left out with a note. Cells of columns that are left out are not looked at.

    Args:
        path: of the matrix.
        lines: line numbers and fields, the header first.
        reading: resolves names and keeps the note.
        given: names of columns, joined by commas.

    Returns:
        The header's line, its fields, and the other lines.

    Raises:
        SourceError: `given` names a column that is not there, or a row has another number of
            columns than the header.
    """
    first, header = next(lines)
    names = [name.strip() for name in header]
    dropped = {name.strip() for name in given.split(",") if name.strip()}
    if missing := sorted(dropped - set(names[1:])):
        got = ", ".join(names[1:])
        raise SourceError.at(path, first, None, f"{got:.200}", f"the column {missing[0]}")
    whole = even(path, lines, len(header))
    peeked = list(islice(whole, _PEEKED))
    keep = [0]
    for at in range(1, len(header)):
        if names[at] in dropped:
            continue
        if _names_rows(at, peeked, reading):
            reading.note("column of other names left out", first, names[at])
        else:
            keep.append(at)
    rest = chain(peeked, whole)
    kept = ((line, [fields[at] for at in keep]) for line, fields in rest)
    return first, [header[at] for at in keep], kept


def even(
    path: Path, lines: Iterator[tuple[int, list[str]]], width: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines, which have as many fields as the header.

    Raises:
        SourceError: one has not.
    """
    for line, fields in lines:
        if len(fields) != width:
            got = f"{len(fields)} columns"
            raise SourceError.at(path, line, None, got, f"{width} as in the header")
        yield line, fields


def _names_rows(at: int, rows: list[tuple[int, list[str]]], reading: Reading) -> bool:
    """Whether the cells of a column are no numbers and mostly name their row's own gene."""
    same = 0
    for _, fields in rows:
        cell = fields[at].strip()
        if cell.lower() not in MISSING:
            try:
                float(cell)
            except ValueError:
                gene = reading.genes.resolve(cell)
                same += gene is not None and gene == reading.genes.resolve(fields[0])
            else:
                return False
    return same > 0 and 2 * same >= len(rows)


def numbers(
    path: Path, lines: Iterator[tuple[int, list[str]]], names: tuple[str, ...], reading: Reading
) -> Iterator[Row]:
    """Yield the rows of a matrix with these column names, behind that of the strains.

    Raises:
        SourceError: a cell is no number.
    """
    for line, fields in lines:
        reading.rows_read += 1
        yield Row(line, fields, read_vector(path, line, names, fields[1:]))


def of_strains(
    path: Path, rows: Iterator[Row], reading: Reading
) -> Iterator[tuple[tuple[Perturbation, ...], Row]]:
    """Yield each row whose strain is known with that strain; reject the others, and empty ones.

    Raises:
        SourceError: no row is left.
    """
    seen = set()
    for row in rows:
        name = row.fields[0].strip()
        strain = find_strain(name, reading, row.line)
        if strain is None:
            continue
        if np.isnan(row.values).all():
            reading.reject("nothing measured", row.line, name)
            continue
        if strain in seen:
            reading.note("strain measured again", row.line, name)
        seen.add(strain)
        yield strain, row
    if not seen:
        check_rows(path, reading)
        raise SourceError.at(path, None, "1 (strain)", "no strain of loaded genes", "at least one")
