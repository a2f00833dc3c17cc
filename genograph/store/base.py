"""Store: what every graph database does for genograph, and how rows are merged into it.

A write compares the rows with what the database holds and sends only what is new or differs, so
that writing twice changes nothing and every write can say how many rows it changed.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from genograph.errors import SchemaError, StoreError
from genograph.schema import Node, Relationship, graph_schema
from genograph.tables import Table, Value


class Written(NamedTuple):
    """Rows of a write by outcome: new, changed or equal to what was there.

    Attributes:
        created: rows that were not there.
        updated: rows that were there with other values.
        unchanged: rows that were there, equal.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: object) -> "Written":
        """Return the sum, count by count."""
        if not isinstance(other, Written):
            return NotImplemented
        return Written(*(a + b for a, b in zip(self, other, strict=True)))


class Store(ABC):
    """An open graph database of the current schema version.

    Use it as a context manager. One thread at a time.

    Attributes:
        uri: its path or address.
        atomic_loads: whether a load of some size fits into one transaction; if not, it is resumed.
        transaction_bytes: how much one transaction takes, as Arrow bytes; 0 where every write is
            one of its own.
        whole_reads: whether a reader sees a transaction whole; if not, it may see a part of it.
        rows_at_once: how many rows are looked for in one query.

    Example:
        >>> with genograph.open_store("small.db") as store:
        ...     genes = genograph.Table.of("Gene", {"id": ["YAL001C", "YAL002C"]})
        ...     print(store.write(genes))
        ...     print(store.write(genes))
        ...     rows = store.query("MATCH (g:Gene) RETURN count(*) AS n")
        Written(created=2, updated=0, unchanged=0)
        Written(created=0, updated=0, unchanged=2)
        >>> rows["n"].to_pylist()
        [2]
    """

    uri: str
    atomic_loads: bool
    transaction_bytes: int
    whole_reads: bool
    rows_at_once: int

    @abstractmethod
    def query(
        self,
        cypher: str,
        *,
        rows: pa.Table | None = None,
        timeout: float | None = None,
        **parameters: Value,
    ) -> pa.Table:
        """Run a reading query of your own and return its result, a column a returned column.

        The engine itself refuses writes here. The query runs in this process; text that others
        wrote belongs into `genograph.query`, where it can end neither the process nor the store.

        Args:
            cypher: the statement.
            rows: run the query for every row; it sees each column as a variable.
            timeout: seconds before giving up; None: no limit.
            parameters: values of the statement's $parameters.

        Raises:
            StoreError: the query is not valid, names an unknown label or property, would write,
                or ran out of time; the Cypher is in the message.
        """

    @abstractmethod
    def ask(
        self,
        cypher: str,
        *,
        limit_rows: int | None = None,
        timeout: float | None = None,
        **parameters: Value,
    ) -> Iterator[pa.Table]:
        """Run a reading query that a user wrote and yield its result in parts, at least one.

        It runs where it can end neither this process nor the store: with the embedded store in a
        process of its own, whose memory is limited, with Neo4j in the server. It is never repeated.
        Memory holds one part: a server's result is put down on disk before the first part is given,
        the embedded engine holds its own in its pool. An empty part has the columns, and not always
        their types.

        Args:
            cypher: the statement.
            limit_rows: a result of more rows is refused; None: no limit.
            timeout: seconds before giving up, which takes two seconds more at most; None: no limit.
            parameters: values of the statement's $parameters.

        Raises:
            StoreError: as `query`; or the query took too much memory, ended the engine or has too
                many rows, or a transaction is open.
            OSError: the disk takes no more.
        """

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Rows a label and relationship type, in the schema's order, zeros included."""

    @abstractmethod
    def close(self) -> None:
        """Release the database; calling it twice is harmless."""

    @abstractmethod
    def size(self) -> int | None:
        """Bytes on disk; None where the store cannot tell."""

    @abstractmethod
    def find_damage(self) -> str:
        """Compare the database's bytes with the hash that the last writer left.

        Returns:
            What is wrong; nothing where they are as they were.

        Raises:
            StoreError: there is no hash, or the bytes are a server's.
        """

    @contextmanager
    @abstractmethod
    def transaction(self, *, rows: int = 0) -> Iterator[None]:
        """Run the block's writes as one transaction: all of them stay, or none.

        Args:
            rows: about how many are written, where they are many: what to make room for.
        """
        yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other writers out of the database for the time of the block; blocks may be nested.

        All that is read in order to be written belongs into one. Where another process writes, the
        block waits for it, which is logged.

        Raises:
            StoreError: the database is open for reading only.
        """
        yield

    @abstractmethod
    def erase(self, label: str, names: tuple[str, ...], where: str, **parameters: Value) -> int:
        """Set properties of the nodes `n` that match the predicate to null; return their number.

        Args:
            label: of the nodes.
            names: the properties.
            where: a Cypher predicate of the node `n`.
            parameters: values of the predicate's $parameters.
        """

    @abstractmethod
    def carry(
        self, type: str, names: Mapping[str, str], where: str, fixed: str, **parameters: Value
    ) -> None:
        """Copy properties of relationships `r` to the nodes `b` where they end.

        Args:
            type: of the relationships.
            names: the node's property for each of the relationship's; one that is null is null
                there too.
            where: a Cypher predicate of `r` and its ends, `a` and `b`.
            fixed: a property of the node that is set to the parameter of its name.
            parameters: values of the predicate's $parameters.
        """

    @abstractmethod
    def _create(self, spec: Node | Relationship, rows: pa.Table) -> None:
        """Add rows that the database does not have."""

    @abstractmethod
    def _update(self, spec: Node | Relationship, rows: pa.Table) -> None:
        """Set the non-null properties of rows that the database has."""

    def write(self, table: Table) -> Written:
        """Merge a table; nulls leave what the database has.

        Args:
            table: rows of one label or relationship.

        Raises:
            SchemaError: a relationship ends at a node that is not there.
            StoreError: the database refuses.
        """
        spec = graph_schema().type(table.type)
        if not len(table):
            return Written()
        if len(table) > self.rows_at_once:
            starts = range(0, len(table), self.rows_at_once)
            cut = (table.rows.slice(start, self.rows_at_once) for start in starts)
            parts = (self.write(Table.again(table.type, rows, table.source)) for rows in cut)
            return sum(parts, Written())
        if isinstance(spec, Relationship):
            self._check_ends(spec, table)
        held = self._held(spec, table)
        present = np.zeros(len(table), dtype=bool)
        present[held["in_row"].to_numpy()] = True
        new = table.rows.filter(pa.array(~present))
        same = compare_rows(table.rows.take(held["in_row"]), held, spec.key)
        changed = table.rows.take(held["in_row"].filter(pa.array(~same)))
        if len(new):
            self._create(spec, new)
        if len(changed):
            self._update(spec, changed)
        return Written(len(new), len(changed), int(same.sum()))

    def add(self, type: str, files: Sequence[Path]) -> None:
        """Add the rows of Parquet files; all of them are new.

        Nothing is looked for: a row that is there already may be doubled.

        Args:
            type: the label or relationship.
            files: of the same columns, in the schema's order.

        Raises:
            StoreError: the database refuses.
        """
        spec = graph_schema().type(type)
        for file in files:
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(batch_size=50_000):
                    self._create(spec, pa.Table.from_batches([batch]))

    def _held(self, spec: Node | Relationship, table: Table) -> pa.Table:
        """Those rows of a table that the database has: in_row (0-based) and properties."""
        names = [n for n in table.rows.column_names if n not in spec.key]
        keys = _keyed(table.rows.select(list(spec.key)))
        if isinstance(spec, Node):
            match = f"MATCH (x:{spec.name} {{id: in_id}})"
        else:
            match = (
                f"MATCH (a:{spec.from_label} {{id: in_from_id}}) "
                f"MATCH (b:{spec.to_label} {{id: in_to_id}}) "
                f"MATCH (a)-[x:{spec.name}]->(b)"
            )
            if spec.own_key:
                match += " WHERE " + " AND ".join(f"x.{k} = in_{k}" for k in spec.own_key)
        returned = ", ".join(["in_row", *(f"x.{n} AS {n}" for n in names)])
        return self.query(f"{match} RETURN {returned}", rows=keys)

    def _check_ends(self, spec: Relationship, table: Table) -> None:
        for column in ("from_id", "to_id"):
            self.check_ends(spec, column, pc.unique(table.rows[column]), table.source)

    def check_ends(self, spec: Relationship, column: str, ids: pa.Array, source: str = "") -> None:
        """Check that the start nodes (from_id) or end nodes (to_id) exist.

        Args:
            spec: the relationship.
            column: from_id or to_id.
            ids: of the nodes, distinct.
            source: where they are from, for the message.

        Raises:
            SchemaError: some are not there; the first is named.
        """
        label = spec.from_label if column == "from_id" else spec.to_label
        if len(ids) > self.rows_at_once:
            for start in range(0, len(ids), self.rows_at_once):
                self.check_ends(spec, column, ids.slice(start, self.rows_at_once), source)
            return
        rows = pa.table({"in_id": ids})
        match = f"MATCH (n:{label} {{id: in_id}})"
        # a count is much cheaper to bring back than the ids, and a store may give it in parts
        counts = self.query(f"{match} RETURN count(*) AS n", rows=rows)["n"]
        if (pc.sum(counts).as_py() or 0) < len(ids):
            found = self.query(f"{match} RETURN in_id", rows=rows)
            missing = ids.filter(pc.invert(pc.is_in(ids, value_set=_flat(found["in_id"]))))
            msg = (
                f"{source or spec.name}: {len(missing)} {label} of {spec.name} "
                f"are not in the database, first {missing[0]}; load them first"
            )
            raise SchemaError(msg)

    def __enter__(self) -> "Store":
        """Return the store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()


def write_carry(type: str, names: Mapping[str, str], where: str, fixed: str) -> str:
    """The Cypher of Store.carry."""
    spec = graph_schema().relationships[type]
    end = graph_schema().nodes[spec.to_label]
    sets = [f"b.{end.properties[n].name} = r.{spec.properties[r].name}" for r, n in names.items()]
    sets.append(f"b.{end.properties[fixed].name} = ${fixed}")
    match = f"MATCH (a:{spec.from_label})-[r:{type}]->(b:{spec.to_label}) WHERE {where}"
    return f"{match} SET {', '.join(sets)}"


def check_version(uri: str, stored: int | None, *, empty: bool) -> None:
    """Refuse a database of another schema version.

    Raises:
        StoreError: saying what to do.
    """
    wanted = graph_schema().version
    if stored is None and not empty:
        msg = f"{uri}: holds a graph that genograph did not make; choose another database"
        raise StoreError(msg)
    if stored is not None and stored != wanted:
        msg = (
            f"{uri}: made with schema version {stored}, this genograph has version {wanted}; "
            f"build it again with `genograph build` into a new database, or use the genograph "
            f"version that made it"
        )
        raise StoreError(msg)


def _keyed(keys: pa.Table) -> pa.Table:
    names = [f"in_{name}" for name in keys.column_names]
    return keys.rename_columns(names).append_column("in_row", pa.array(np.arange(len(keys))))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def compare_rows(rows: pa.Table, held: pa.Table, key: tuple[str, ...]) -> NDArray[Any]:
    """Which rows the database has already: each property is equal, or null in `rows`."""
    same = np.ones(len(rows), dtype=bool)
    for name in rows.column_names:
        if name in key:
            continue
        new, old = rows[name], held[name]
        if pa.types.is_list(new.type):
            pairs = zip(new.to_pylist(), old.to_pylist(), strict=True)
            same &= np.fromiter((a is None or _same_list(a, b) for a, b in pairs), bool, len(rows))
        else:
            equal = pc.fill_null(pc.equal(new, old.cast(new.type)), False)
            same &= pc.or_(equal, pc.is_null(new)).to_numpy()
    return same


def _same_list(new: list[Any], old: list[Any] | None) -> bool:
    if old is None or len(new) != len(old):
        return False
    if new and isinstance(new[0], float):
        # NaN marks what was not measured; a database that has it too has the same value
        return bool(np.array_equal(np.array(new, "f4"), np.array(old, "f4"), equal_nan=True))
    return new == old
