"""Rows of a matrix with strains in the first column: numbers, and resolved strains."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genograph.errors import SchemaError, SourceError
from genograph.loaders import Reading
from genograph.measurements import read_strain, read_vector
from genograph.schema import Perturbation


class Row(NamedTuple):
    """One line: its number, its fields and the values after the first field, NaN where empty."""

    line: int
    fields: list[str]
    values: np.ndarray


def numbers(
    path: Path, lines: Iterator[tuple[int, list[str]]], names: tuple[str, ...], reading: Reading
) -> Iterator[Row]:
    """Yield the rows of a matrix with these column names.

    Raises:
        SourceError: another number of columns than the header has, or a cell that is no number.
    """
    for line, fields in lines:
        reading.rows_read += 1
        if len(fields) != len(names) + 1:
            got = f"{len(fields)} columns"
            raise SourceError.at(path, line, None, got, f"{len(names) + 1} as in the header")
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
        try:
            strain, unknown = read_strain(name, reading.genes.resolve)
        except SchemaError:
            reading.reject("no strain", row.line, name)
            continue
        if unknown:
            reading.reject("unknown gene", row.line, name)
            continue
        if np.isnan(row.values).all():
            reading.reject("nothing measured", row.line, name)
            continue
        if strain in seen:
            reading.note("strain measured again", row.line, name)
        seen.add(strain)
        yield strain, row
    if not seen:
        raise SourceError.at(path, None, "1 (strain)", "no strain of loaded genes", "at least one")
