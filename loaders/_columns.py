"""Large text tables as Arrow columns, a block of lines at a time.

The rows equal those of `rows`, which is many times slower. A block that is not plain (blank lines,
another number of fields, bytes that are not UTF-8, lone carriage returns) is read again row by row,
which skips, counts and refuses as `rows` does.
"""

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from genograph.errors import SourceError
from genograph.loaders import opened
from genograph.measurements import MISSING, read_number

BLOCK = 32 << 20
"""Bytes that are read at once; about 500,000 rows of a screen."""


class Block(NamedTuple):
    """Some rows of a text table.

    Attributes:
        line: 1-based line number of each row.
        columns: the fields as text, one array a column.
    """

    line: NDArray[Any]
    columns: list[pa.StringArray]


def blocks(path: Path, *, columns: int, size: int = BLOCK) -> Iterator[Block]:
    """Stream a tab-separated table with a fixed number of columns and no header.

    Raises:
        SourceError: as `rows`.
    """
    found = False
    with opened(path) as raw:
        line = 1
        for text in _whole_lines(raw, size):
            n_line = text.count(b"\n") + (not text.endswith(b"\n"))
            block = _plain(text, line, n_line, columns) or _row_by_row(path, text, line, columns)
            line += n_line
            if len(block.line):
                found = True
                yield block
    if not found:
        raise SourceError.at(path, None, None, "no rows", "at least one")


def _whole_lines(raw: io.BufferedIOBase, size: int) -> Iterator[bytes]:
    """The bytes of a file in pieces that end with a line."""
    rest = b""
    while piece := raw.read(size):
        head, newline, tail = piece.rpartition(b"\n")
        if newline:
            yield rest + head + newline
            rest = tail
        else:
            rest += tail
    if rest:
        yield rest


def _plain(text: bytes, line: int, n_line: int, columns: int) -> Block | None:
    """The block where every line is a plain row, else None."""
    if text.count(b"\r") != text.count(b"\r\n"):
        return None
    names = [str(i) for i in range(columns)]
    try:
        table = pacsv.read_csv(
            io.BytesIO(text),
            read_options=pacsv.ReadOptions(
                column_names=names, use_threads=False, block_size=len(text) + 1
            ),
            parse_options=pacsv.ParseOptions(
                delimiter="\t", quote_char=False, escape_char=False, newlines_in_values=False
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    fields = [column.combine_chunks() for column in table.columns]
    # a line of nothing but blanks is no row, and one without any character is not in the table
    if len(table) != n_line or pc.any(pc.equal(pc.utf8_trim_whitespace(fields[0]), "")).as_py():
        return None
    return Block(np.arange(line, line + n_line), fields)


def _row_by_row(path: Path, text: bytes, first: int, columns: int) -> Block:
    lines, rows = [], []
    for at, content in enumerate(io.BytesIO(text), first):
        try:
            row = content.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise SourceError.at(path, at, None, error.object[:20], "UTF-8 text") from None
        if not row.strip():
            continue
        fields = row.split("\t")
        if len(fields) != columns:
            raise SourceError.at(path, at, None, f"{len(fields)} columns", str(columns))
        lines.append(at)
        rows.append(fields)
    by_column = list(zip(*rows, strict=True)) if rows else [()] * columns
    return Block(np.array(lines, dtype=np.int64), [pa.array(c, pa.string()) for c in by_column])


class Limits(NamedTuple):
    """One column of numbers: its place, what messages call it, and its limits, inclusive."""

    place: int
    name: str
    low: float = -math.inf
    high: float = math.inf


def numbers(path: Path, block: Block, wanted: Sequence[Limits]) -> list[NDArray[Any]]:
    """Columns of a block as float64; NaN where a cell says not measured.

    Raises:
        SourceError: as `number`, for the first row with a cell that is not a number.
    """
    out = [_fast(block.columns[w.place], w) for w in wanted]
    if all(column is not None for column in out):
        return out  # type: ignore[return-value]
    texts = [block.columns[w.place].to_pylist() for w in wanted]
    slow: list[list[float]] = [[] for _ in wanted]
    for row, line in enumerate(block.line.tolist()):
        for w, column, into in zip(wanted, texts, slow, strict=True):
            value = read_number(path, line, w.name, column[row], low=w.low, high=w.high)
            into.append(math.nan if value is None else value)
    return [np.array(column, dtype=np.float64) for column in slow]


_ABSENT = pa.array(sorted(MISSING), pa.string())


def _fast(cells: pa.StringArray, wanted: Limits) -> NDArray[Any] | None:
    """A column of plain numbers; None where its cells must be parsed one by one."""
    try:
        values = pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        trimmed = pc.utf8_trim_whitespace(cells)
        absent = pc.is_in(pc.utf8_lower(trimmed), value_set=_ABSENT)
        try:
            values = pc.cast(pc.if_else(absent, None, trimmed), pa.float64())
        except pa.ArrowInvalid:
            return None
    out = values.to_numpy(zero_copy_only=False)
    given = out[~np.isnan(out)] if values.null_count else out
    # the cast takes the words inf and nan, which `number` does not take for numbers
    if not np.isfinite(given).all():
        return None
    if len(given) and (given.min() < wanted.low or given.max() > wanted.high):
        return None
    return np.asarray(out, dtype=np.float64)
