"""Spool: the checked rows of one load on disk, and how they are written into a database.

Nodes are written before relationships. Rows that cannot be in the database yet are copied by the
million; other rows are looked for, one table at a time. A load that is too large for one
transaction of the store takes several.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genograph.schema import Node, Relationship, graph_schema
from genograph.store import Store, Written
from genograph.tables import Table, spill

ROWS_AT_ONCE = 4_000_000
BYTES_AT_ONCE = 256 << 20


class SpooledTable(NamedTuple):
    """One table on disk."""

    type: str
    file: Path
    rows: int
    bytes: int
    columns: tuple[str, ...]
    own: int
    certain: bool


class Spool:
    """Tables of one load in a folder, until all of the file has been read."""

    def __init__(self, folder: Path, source: str) -> None:
        """Begin empty; `source` is what messages call the rows."""
        self._folder = folder
        self._source = source
        self._parts: list[SpooledTable] = []
        self.studies: dict[str, None] = {}
        self.units: dict[str, dict[str, None]] = {}
        """Units of the measurements, by phenotype."""

    def put(self, table: Table, *, certain: bool = False) -> None:
        """Keep a table; `certain` says that all its rows are new and all their ends exist."""
        if not len(table):
            return
        file = self._folder / f"{len(self._parts)}.parquet"
        held = table.rows.column_names
        names = tuple(c for c in graph_schema().type(table.type).columns if c in held)
        spill(table.rows.select(list(names)), file)
        part = SpooledTable(
            table.type, file, len(table), table.rows.nbytes, names, table.own, certain
        )
        self._parts.append(part)
        if table.type == "Study":
            self.studies |= dict.fromkeys(table.rows["id"].to_pylist())
        if table.type == "Experiment" and {"phenotype", "unit"} <= set(names):
            distinct = table.rows.group_by(["phenotype", "unit"]).aggregate([]).to_pylist()
            for row in distinct:
                self.units.setdefault(row["phenotype"], {})[row["unit"]] = None

    def experiments(self) -> Iterator[pa.Table]:
        """The columns id, phenotype and unit of the measurements, table by table."""
        columns = ["id", "phenotype", "unit"]
        for part in self._parts:
            if part.type == "Experiment" and set(columns) <= set(part.columns):
                yield pq.read_table(part.file, columns=columns)

    def __bool__(self) -> bool:
        """Whether there is any row."""
        return bool(self._parts)

    def rows(self) -> dict[str, int]:
        """The number of rows of each type."""
        out: dict[str, int] = {}
        for part in self._parts:
            out[part.type] = out.get(part.type, 0) + part.rows
        return out

    def fits(self, store: Store) -> bool:
        """Whether all rows fit into one transaction of the store."""
        return sum(part.bytes for part in self._parts) <= store.transaction_bytes

    def write(self, store: Store) -> dict[str, Written]:
        """Merge every row into a database; return how many were new or changed, by type.

        Raises:
            SchemaError: a relationship ends at a node that is not there.
            StoreError: the database refuses.
        """
        schema = graph_schema()
        counts = store.counts()
        done: dict[tuple[str, int], Written] = {}
        for name in (*schema.nodes, *schema.relationships):
            spec = schema.type(name)
            parts = [part for part in self._parts if part.type == name]
            # tables of one mark have no key twice, those of several marks may
            for (mark, certain), run in groupby(parts, key=lambda part: (part.own, part.certain)):
                same = list(run)
                held = counts[name] or any(key[0] == name for key in done)
                if certain or (mark and (not held or self._begins_anew(spec, mark, done))):
                    written = self._add(store, spec, same)
                else:
                    written = Written()
                    for some in _batches(same) if mark else ([part] for part in same):
                        rows = pa.concat_tables([pq.read_table(part.file) for part in some])
                        written += store.write(Table.again(name, rows, self._source))
                done[name, mark] = done.get((name, mark), Written()) + written
        out: dict[str, Written] = {}
        for (name, _), written in done.items():
            out[name] = out.get(name, Written()) + written
        return out

    def _begins_anew(
        self, spec: Node | Relationship, mark: int, done: dict[tuple[str, int], Written]
    ) -> bool:
        """Whether the relationships start at nodes that this load created."""
        if isinstance(spec, Node) or (spec.from_label, mark) not in done:
            return False
        nodes = done[spec.from_label, mark]
        return nodes.updated == nodes.unchanged == 0

    def _add(
        self, store: Store, spec: Node | Relationship, parts: Sequence[SpooledTable]
    ) -> Written:
        """Copy rows that cannot be in the database yet."""
        if not parts[0].certain:
            self._check_other_ends(store, spec, parts)
        for some in _batches(parts):
            with store.transaction() if store.transaction_bytes else nullcontext():
                store.add(spec.name, [part.file for part in some])
        return Written(created=sum(part.rows for part in parts))

    def _check_other_ends(
        self, store: Store, spec: Node | Relationship, parts: Sequence[SpooledTable]
    ) -> None:
        """Check that the database has the end nodes that this load does not bring."""
        if isinstance(spec, Node):
            return
        given = {part.type for part in self._parts}
        for column, label in (("from_id", spec.from_label), ("to_id", spec.to_label)):
            if label in given:
                continue
            read = (pq.read_table(part.file, columns=[column])[column] for part in parts)
            ends = pc.unique(pa.chunked_array([pc.unique(column) for column in read]))
            store.check_ends(spec, column, ends, self._source)


def _batches(parts: Sequence[SpooledTable]) -> Iterator[list[SpooledTable]]:
    """Group neighbouring tables that have the same columns and can be written at once."""
    held: list[SpooledTable] = []
    for part in parts:
        rows, size = sum(p.rows for p in held), sum(p.bytes for p in held)
        full = rows + part.rows > ROWS_AT_ONCE or size + part.bytes > BYTES_AT_ONCE
        if held and (full or held[0].columns != part.columns):
            yield held
            held = []
        held.append(part)
    if held:
        yield held
