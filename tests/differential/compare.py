"""Ask the stores the drawn queries and collect what differs from pandas."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa

from differential.graph import make_tables, read_frames
from differential.queries import Drawer, Query
from genograph.errors import StoreError
from genograph.store import open_store


class Difference(NamedTuple):
    """A query that a store answers otherwise than pandas."""

    store: str
    text: str
    parameters: dict[str, Any]
    wanted: object
    got: object

    def __str__(self) -> str:
        """Return all of it, a line each."""
        return (
            f"{self.store}: {self.text} {self.parameters or ''}\n"
            f"  wanted {self.wanted}\n  got    {self.got}"
        )


def draw_queries(n: int, seed: int, each: int = 1) -> tuple[list[Any], list[Query]]:
    """The tables of a graph and n queries of it, all different, up to `each` of each shape."""
    tables = list(make_tables(seed))
    drawer = Drawer(seed, read_frames(tables))
    drawn: dict[str, Query] = {}
    for shape, values in ((s, v) for s in itertools.count() for v in range(each)):
        query = drawer.draw(shape, values)
        drawn[f"{query.text} {query.parameters}"] = query
        if len(drawn) == n:
            break
    return tables, list(drawn.values())


def compare(
    db: str, tables: Sequence[Any], queries: Sequence[Query], jobs: int = 1
) -> list[Difference]:
    """Write the graph into an empty database and ask it the queries."""
    with open_store(db) as store:
        for table in tables:
            store.write(table)
    parts = [queries[n::jobs] for n in range(jobs)]
    with ThreadPoolExecutor(jobs) as pool:
        return [d for found in pool.map(lambda part: _ask_all(db, part), parts) for d in found]


def _ask_all(db: str, queries: Sequence[Query]) -> list[Difference]:
    with open_store(db, read_only=True) as store:
        return [d for query in queries for d in _ask(store, query)]


def _ask(store: Any, query: Query) -> Iterator[Difference]:
    kind = type(store).__name__
    got = _answer(store, query.text, query.parameters)
    if isinstance(got, str) or _canonical(got, query.ordered) != _canonical(
        query.rows, query.ordered
    ):
        yield Difference(kind, query.text, query.parameters, query.rows, got)
    if query.thirds:
        counts = []
        for text in query.thirds:
            used = {n: v for n, v in query.parameters.items() if f"${n}" in text}
            found = _answer(store, text, used)
            if isinstance(found, str):
                yield Difference(kind, text, used, "a number", found)
                return
            counts.append(found[0][0])
        if sum(counts[:3]) != counts[3]:
            yield Difference(
                kind, " | ".join(query.thirds), query.parameters, counts[3], counts[:3]
            )


def _answer(store: Any, text: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]] | str:
    try:
        found = pa.concat_tables(store.ask(text, timeout=60.0, **parameters))
    except StoreError as error:
        return str(error)
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def _canonical(rows: Sequence[tuple[Any, ...]], ordered: bool) -> list[str]:
    """The rows as texts that are equal where the values are: 1 and 1.0 are."""
    texts = [repr(tuple(map(_plain, row))) for row in rows]
    return texts if ordered else sorted(texts)


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return round(float(value), 9)
