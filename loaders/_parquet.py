"""Columns of a parquet file by its footer, read without a library.

pyarrow ends the interpreter when it is asked for a column of a damaged footer (a C++ exception that
nothing catches), so sizes are looked up here before it is asked for rows. The footer is a Thrift
struct in the compact protocol (thrift-compact-protocol.md); its fields are those of parquet.thrift
of the format 2.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

DEEPEST = 16
"""How deep structs and lists may be nested; FileMetaData needs nine."""

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_ROW_GROUPS, _COLUMNS, _META, _VALUES, _UNPACKED = 4, 1, 3, 5, 6

Value = int | bytes | list[Any] | dict[int, Any]  # Any: Value


class Column(NamedTuple):
    """One column of one group of rows: its numbers, and their bytes before they were packed."""

    values: int
    unpacked: int


def columns(path: Path) -> list[Column]:
    """Every column of every group of rows.

    Raises:
        ValueError: the footer is damaged.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        end = file.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != b"PAR1" or length + 8 > size:
            msg = "its end is not that of a parquet file"
            raise ValueError(msg)
        file.seek(size - 8 - length)
        footer = _Compact(file.read(length)).struct(0)
    try:
        held = [
            column[_META]
            for group in _records(footer, _ROW_GROUPS)
            for column in _records(group, _COLUMNS)
        ]
        out = [Column(m[_VALUES], m[_UNPACKED]) for m in held if isinstance(m, dict)]
    except KeyError as error:
        msg = f"its footer lacks the field {error}"
        raise ValueError(msg) from None
    if len(out) < len(held) or any(type(n) is not int or n < 0 for column in out for n in column):
        msg = "its footer gives no sizes"
        raise ValueError(msg)
    return out


def _records(of: Mapping[int, Value], field: int) -> list[dict[int, Value]]:
    found = of.get(field, [])
    records = [r for r in found if isinstance(r, dict)] if isinstance(found, list) else None
    if records is None or len(records) < len(found):  # type: ignore[arg-type]
        msg = f"its footer has no list in field {field}"
        raise ValueError(msg)
    return records


class _Compact:
    """A reader of Thrift's compact protocol; every element takes a byte or more of the input."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, depth: int) -> dict[int, Value]:
        """The fields by number."""
        out: dict[int, Value] = {}
        number = 0
        while (head := self._byte()) & 15 != _STOP:
            kind, step = head & 15, head >> 4
            number = number + step if step else self._integer()
            # the value of a field that is true or false is its kind
            out[number] = int(kind == _TRUE) if kind in (_TRUE, _FALSE) else self._of(kind, depth)
        return out

    def _of(self, kind: int, depth: int) -> Value:
        if depth > DEEPEST:
            msg = "its footer is nested too deeply"
            raise ValueError(msg)
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind in _INTEGERS:
            return self._integer()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind in (_LIST, _SET):
            head = self._byte()
            n = self._unsigned() if head >> 4 == 15 else head >> 4
            return [self._of(head & 15, depth + 1) for _ in range(n)]
        if kind == _STRUCT:
            return self.struct(depth + 1)
        # parquet has no maps
        msg = f"its footer has a value of the kind {kind}"
        raise ValueError(msg)

    def _bytes(self, n: int) -> bytes:
        out = self._data[self._at : self._at + n]
        if len(out) < n:
            msg = "its footer ends too early"
            raise ValueError(msg)
        self._at += n
        return out

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _unsigned(self) -> int:
        out = shift = 0
        while True:
            byte = self._byte()
            out |= (byte & 127) << shift
            if byte < 128:
                return out
            shift += 7
            if shift > 63:
                msg = "its footer has a number of over 64 bits"
                raise ValueError(msg)

    def _integer(self) -> int:
        n = self._unsigned()
        return (n >> 1) ^ -(n & 1)
