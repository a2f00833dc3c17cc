"""Stream: rows of the database in the order of their keys, in parts.

What two stores hold alike comes out alike, whatever the order in which it was written. Memory
holds the ids of one label and one part.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool
from numpy.typing import NDArray

from genograph.errors import StoreError
from genograph.schema import Node, Relationship, graph_schema
from genograph.store.base import Store, compare_rows
from genograph.tables import Table, Value

ASTRAL = "[\\x{10000}-\\x{10ffff}]"
"""Texts with a character beyond the first plane: servers order by units of UTF-16 and Arrow by
bytes, which differ there."""
NODES_AT_ONCE = 250_000
VALUES_AT_ONCE = 8_000_000
DENSE, WIDE, MANY = 4, 64, 1_000_000
"""When ranges of ids are read, and of them what is wanted is kept, rather than each id looked up.

More than one node in DENSE is wanted, and a part is more than one in WIDE of all: the embedded
engine gives experiments with their strains five times as fast so. Or there are MANY nodes and more
than one in DENSE of the range is wanted: looking up would join all of them.
"""


class FoundNodes(NamedTuple):
    """Some ids and a query's rows for their nodes, in any order."""

    ids: pa.StringArray
    rows: pa.Table


def read_nodes(
    store: Store,
    label: str,
    rest: str,
    parts: Iterable[pa.StringArray],
    *,
    wanted: int,
    held: int,
    timeout: float | None = None,
    **parameters: Value,
) -> Iterator[FoundNodes]:
    """A query's rows for nodes `n` with these ids, sorted by id, in parts.

    `rest` is what follows MATCH (n:label); it returns n.id as its first column and may have
    parameters. `wanted` is how many ids there are in all, `held` how many nodes of the label.
    `timeout` is in seconds, for each part.
    """
    within = f"MATCH (n:{label}) WHERE $first <= n.id AND n.id <= $last"

    def dense(some: pa.StringArray, **ends: str) -> bool:
        if pc.any(pc.match_substring_regex(some, ASTRAL)).as_py():
            return False
        if held <= min(wanted * DENSE, len(some) * WIDE):
            return True
        if held < MANY:
            return False
        n = store.query(f"{within} RETURN count(*) AS n", timeout=timeout, **ends)["n"][0].as_py()
        return bool(n <= DENSE * len(some))

    for some in parts:
        if not len(some):
            continue
        ends = {"first": some[0].as_py(), "last": some[-1].as_py()}
        if not dense(some, **ends):
            look_up = f"MATCH (n:{label} {{id: in_id}}) {rest}"
            rows = pa.table({"in_id": some})
            found = store.query(look_up, rows=rows, timeout=timeout, **parameters)
        else:
            found = store.query(f"{within} {rest}", timeout=timeout, **ends, **parameters)
            if len(found):  # a server may see ids beyond the first plane between first and last
                mine = found[0].combine_chunks().cast(pa.string())
                found = found.filter(pc.is_in(mine, value_set=some))
        yield FoundNodes(some, found)


class Compared(NamedTuple):
    """Rows that a database lacks, rows that differ there, and the number that are equal."""

    new: Table
    changed: Table
    unchanged: int


def compare(store: Store, table: Table, start: str) -> Compared:
    """Compare relationships that start at the node `start` with the database's.

    Rows come back sorted by the ids at which they end.
    """
    spec = graph_schema().relationships[table.type]
    rows = table.rows.take(pc.sort_indices(table.rows["to_id"]))
    ids = rows["to_id"].combine_chunks()
    names = [name for name in rows.column_names if name not in spec.key]
    rest = (
        f"MATCH (a:{spec.from_label} {{id: $start}})-[x:{spec.name}]->(n) "
        f"RETURN {', '.join(['n.id AS id', *(f'x.{name} AS {name}' for name in names)])}"
    )
    n_held = store.query(f"MATCH (n:{spec.to_label}) RETURN count(*) AS n")["n"][0].as_py()
    there: NDArray[Any] = np.zeros(len(ids), np.bool_)
    same = there.copy()
    begin, cut = 0, _cut(ids, NODES_AT_ONCE)
    for some, found in read_nodes(
        store, spec.to_label, rest, cut, wanted=len(ids), held=n_held, start=start
    ):
        at = pc.index_in(found["id"].combine_chunks().cast(pa.string()), value_set=some)
        row = begin + at.to_numpy(zero_copy_only=False).astype(np.int64)
        begin += len(some)
        there[row] = True
        same[row] = compare_rows(rows.take(pa.array(row)), found, spec.key)

    def kept(mask: Bool[np.ndarray, " row"]) -> Table:
        some = rows.filter(pa.array(mask))
        return Table.again(table.type, some, table.source)

    return Compared(kept(~there), kept(there & ~same), int(same.sum()))


class Keys:
    """The sorted ids of a label; those of the last label asked for are kept."""

    def __init__(self, store: Store) -> None:
        """Begin with none."""
        self._store = store
        self._held: tuple[str, pa.Array] | None = None

    def of(self, label: str) -> pa.Array:
        """The ids of a label's nodes, sorted by their bytes.

        Raises:
            StoreError: a node has no id.
        """
        if self._held is None or self._held[0] != label:
            self._held = None
            ids = self._store.query(f"MATCH (n:{label}) RETURN n.id AS id")["id"]
            ids = ids.combine_chunks().cast(pa.string())
            if ids.null_count:
                msg = f"{self._store.uri}: {ids.null_count} {label} without id"
                raise StoreError(msg)
            self._held = (label, ids.take(pc.sort_indices(ids)))
        return self._held[1]


def stream(store: Store, type: str, keys: Keys) -> Iterator[pa.Table]:
    """Yield every row of a type with every column of the schema, sorted by key.

    Raises:
        StoreError: the database refuses, or rows cannot be told apart by their key.
    """
    spec = graph_schema().type(type)
    label = spec.name if isinstance(spec, Node) else spec.from_label
    ids = keys.of(label)
    if isinstance(spec, Node):
        match = ""
        columns = {"id": "n.id"} | {n: f"n.{n}" for n in spec.columns if n != "id"}
    else:
        match = f"MATCH (n)-[x:{type}]->(b:{spec.to_label}) "
        columns = {"from_id": "n.id", "to_id": "b.id"} | {n: f"x.{n}" for n in spec.properties}
    rest = match + "RETURN " + ", ".join(f"{said} AS {name}" for name, said in columns.items())
    step = max(1, min(NODES_AT_ONCE, VALUES_AT_ONCE // find_longest(store, type)))
    for part in read_nodes(store, label, rest, _cut(ids, step), wanted=len(ids), held=len(ids)):
        if len(part.rows):
            yield _sorted(store, spec, part.rows)


def _cut(ids: pa.StringArray, step: int) -> Iterator[pa.StringArray]:
    return (ids.slice(start, step) for start in range(0, len(ids), step))


def find_longest(store: Store, type: str) -> int:
    """The largest number of list items in one row of a type, at least 1."""
    spec = graph_schema().type(type)
    match = f"MATCH (x:{type})" if isinstance(spec, Node) else f"MATCH ()-[x:{type}]->()"
    n = 1
    for name, prop in spec.columns.items():
        if prop.type in ("FLOAT[]", "DOUBLE[]"):
            cypher = f"{match} WHERE x.{name} IS NOT NULL RETURN max(size(x.{name})) AS n"
            n += store.query(cypher)["n"][0].as_py() or 0
    return n


def _sorted(store: Store, spec: Node | Relationship, found: pa.Table) -> pa.Table:
    arrays: Mapping[str, pa.ChunkedArray] = {
        name: found[name].cast(prop.arrow) for name, prop in spec.columns.items()
    }
    out = pa.table(arrays)
    out = out.take(pc.sort_indices(out, [(name, "ascending") for name in spec.key]))
    keys = out.select(list(spec.key)).combine_chunks()
    same = None
    for name in spec.key:
        column = keys[name].combine_chunks()
        equal = pc.fill_null(pc.equal(column[:-1], column[1:]), False)
        same = equal if same is None else pc.and_(same, equal)
    if pc.any(same).as_py():
        row = keys.slice(pc.index(same, True).as_py(), 1).to_pylist()[0]
        key = " ".join(map(str, row.values()))
        msg = f"{store.uri}: {spec.name} {key} is there twice; see genograph db check"
        raise StoreError(msg)
    return out
