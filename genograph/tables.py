"""Table: rows of one label or relationship, valid by construction, to or from a store."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genograph.errors import SchemaError
from genograph.schema import Property, graph_schema

Value: TypeAlias = str | int | float | bool | list[str] | list[int] | list[float] | None
"""What a Cypher parameter may be."""

_MARKS = itertools.count(1)
_LEAST, _GREATEST = -(2**63), 2**63 - 1


def make_mark() -> int:
    """A new mark for `Table.own`, used by no other table."""
    return next(_MARKS)


@dataclass(frozen=True)
class Table:
    """Rows of one type of the schema, checked when the table is made.

    `rows` has the key columns (`id`, or `from_id`, `to_id` and the relationship's own key) and any
    of the type's properties, in Arrow types of the schema. A null is a value the source does not
    give: writing it leaves what the database has. Keys are unique within a table.

    Attributes:
        type: a node label or relationship type.
        rows: the columns.
        source: where the rows are from, for messages.
        own: 0, or a mark from `make_mark`: of the tables with one mark, none has a key of another,
            and where they give the nodes at which a relationship may begin, it begins at one of
            these. That lets millions of rows in without looking for each.

    Example:
        >>> genograph.Table.of("Gene", {"id": ["YAL001C"], "symbol": ["TFC3"]}).rows.to_pylist()
        [{'id': 'YAL001C', 'symbol': 'TFC3'}]
        >>> genograph.Table.of("Gene", {"id": ["YAL001C"], "colour": ["red"]})
        Traceback (most recent call last):
        genograph.errors.SchemaError: Gene has no property colour; it has id, symbol, ...
    """

    type: str
    rows: pa.Table
    source: str = ""
    own: int = 0

    def __post_init__(self) -> None:
        """Check names, types, limits and keys.

        Raises:
            SchemaError: naming the first bad row and what is wanted.
        """
        spec = graph_schema().type(self.type)
        where = f"{self.source}: " if self.source else ""
        for name in self.rows.column_names:
            if name not in spec.columns:
                msg = f"{where}{self.type} has no property {name}; it has {', '.join(spec.columns)}"
                raise SchemaError(msg)
        for name in spec.key:
            if name not in self.rows.column_names:
                msg = f"{where}{self.type} needs the column {name}"
                raise SchemaError(msg)
        arrays = []
        for name in self.rows.column_names:
            prop = spec.columns[name]
            column = self.rows.column(name)
            if column.type != prop.arrow:
                try:
                    column = column.cast(prop.arrow)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                    msg = f"{where}{self.type}.{name} wants {prop.type}, got {column.type}: {error}"
                    raise SchemaError(msg.splitlines()[0]) from error
            _check(column, prop, f"{where}{self.type}.{name}", required=name in spec.key)
            arrays.append(column)
        object.__setattr__(self, "rows", pa.table(arrays, names=self.rows.column_names))
        keys = self.rows.select(list(spec.key))
        if len(keys.group_by(list(spec.key)).aggregate([])) != len(keys):
            counts = keys.group_by(list(spec.key)).aggregate([([], "count_all")])
            twice = counts.filter(pc.greater(counts["count_all"], 1)).slice(0, 1).to_pylist()[0]
            twice.pop("count_all")
            msg = f"{where}{self.type} {' '.join(map(str, twice.values()))} stands twice in a table"
            raise SchemaError(msg)

    @classmethod
    def of(
        cls,
        type: str,
        columns: Mapping[str, Sequence[Any] | np.ndarray],
        *,
        source: str = "",
        own: int = 0,
    ) -> "Table":
        """Return a table from one sequence a column, typed by the schema.

        A float NaN in a scalar DOUBLE column is refused: pass None for what is missing.

        Args:
            type: a node label or relationship type.
            columns: values by name.
            source: where the rows are from, for messages.
            own: 0, or a mark from `make_mark`.

        Raises:
            SchemaError: as the constructor, or a value that the column's type cannot hold.
        """
        spec = graph_schema().type(type)
        arrays = {}
        for name, values in columns.items():
            prop = spec.columns.get(name)
            arrow = prop.arrow if prop else None
            try:
                arrays[name] = pa.array(values, type=arrow)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
                where = f"{source}: " if source else ""
                msg = f"{where}{type}.{name}: {str(error).splitlines()[0]}"
                raise SchemaError(msg) from error
        return cls(type, pa.table(arrays), source, own)

    @classmethod
    def again(cls, type: str, rows: pa.Table, source: str = "", *, own: int = 0) -> "Table":
        """Return a table of rows that were checked before and have distinct keys.

        Args:
            type: a node label or relationship type.
            rows: the columns.
            source: where the rows are from, for messages.
            own: 0, or a mark from `make_mark`.
        """
        table = object.__new__(cls)
        for name, value in (("type", type), ("rows", rows), ("source", source), ("own", own)):
            object.__setattr__(table, name, value)
        return table

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.rows.num_rows)


def spill(rows: pa.Table, file: Path) -> None:
    """Write rows to a Parquet file that is read once and whole; most are distinct ids."""
    pq.write_table(rows, file, row_group_size=500_000, use_dictionary=False, write_statistics=False)


def _check(column: pa.ChunkedArray, prop: Property, where: str, *, required: bool) -> None:
    if required and column.null_count:
        row = pc.index(pc.is_null(column), True).as_py() + 1
        msg = f"{where}: {column.null_count} missing, first at row {row}; a key is never missing"
        raise SchemaError(msg)
    bad = None
    wanted = ""
    if prop.type in ("DOUBLE", "INT64"):
        low = -math.inf if prop.min is None else prop.min
        high = math.inf if prop.max is None else prop.max
        if prop.type == "INT64":
            # whole numbers are compared as such: a double holds them up to 2^53 only
            low = pa.scalar(_LEAST if prop.min is None else math.ceil(low), pa.int64())
            high = pa.scalar(_GREATEST if prop.max is None else math.floor(high), pa.int64())
        ok = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
        if prop.type == "DOUBLE":
            ok = pc.and_(ok, pc.is_finite(column))
        bad = pc.invert(ok)
        wanted = f"values are {describe_limits(prop)}"
    elif prop.choices is not None:
        bad = pc.invert(pc.is_in(column, value_set=pa.array(prop.choices)))
        bad = pc.and_(bad, pc.is_valid(column))
        wanted = f"values are one of {', '.join(prop.choices)}"
    elif prop.type == "STRING" and required:
        bad = pc.equal(column, "") if prop.name in ("id", "from_id", "to_id") else None
        wanted = "an id is not empty"
    if bad is not None:
        count = pc.sum(bad).as_py() or 0
        if count:
            at = pc.index(bad, True).as_py()
            msg = (
                f"{where}: {count} bad, first {column[at].as_py()!s:.80} at row {at + 1}; {wanted}"
            )
            raise SchemaError(msg)


def describe_limits(prop: Property) -> str:
    """The limits of a numeric property in words."""
    words = ["finite"]
    if prop.min is not None:
        words.append(f">= {prop.min:g}")
    if prop.max is not None:
        words.append(f"<= {prop.max:g}")
    return " and ".join(words)


def concat(tables: Sequence[Table]) -> Table:
    """One table of all rows; the tables are of one type, their columns are united.

    Raises:
        SchemaError: a key stands in two of them.
    """
    rows = pa.concat_tables([t.rows for t in tables], promote_options="default")
    return Table(tables[0].type, rows, tables[0].source)
