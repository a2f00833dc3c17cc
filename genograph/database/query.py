"""Run a user's query: check it by the fence, warn by the lint, ask the store."""

import logging
from collections.abc import Iterator, Mapping

import pyarrow as pa

from genograph.cypher.fence import check_parameters, fence
from genograph.cypher.lint import lint
from genograph.store import Store
from genograph.tables import Value

LOG = logging.getLogger("genograph")
LIMIT_ROWS = 1_000_000


def query(
    store: Store,
    cypher: str,
    *,
    limit_rows: int = LIMIT_ROWS,
    timeout: float | None = 60.0,
    **parameters: Value,
) -> pa.Table:
    """Run a reading Cypher query and return its rows; what the lint says goes to the log.

    One statement of MATCH, WHERE, WITH, UNWIND, RETURN and the like is let through, in the part of
    Cypher that both databases answer alike; it cannot write. It runs where it cannot end this
    process: with the embedded store in a process of its own, whose memory is limited.

    Args:
        store: an open database.
        cypher: the statement.
        limit_rows: a result of more rows is refused.
        timeout: seconds before giving up, which takes two seconds more at most; None: no limit.
        parameters: values of the statement's $parameters.

    Returns:
        One Arrow column a returned column, typed as the schema has it.

    Raises:
        CohortError: the statement is refused, or a parameter is missing or not used.
        StoreError: the database refuses it, it ran out of time or memory, or has too many rows.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     rows = genograph.query(
        ...         store, "MATCH (g:Gene) WHERE g.id = $gene RETURN g.id AS id", gene="YAL001C"
        ...     )
        >>> rows.to_pylist()
        [{'id': 'YAL001C'}]
    """
    statement = _check(cypher, parameters)
    parts = store.ask(statement, limit_rows=limit_rows, timeout=timeout, **parameters)
    return pa.concat_tables(parts)


def query_parts(
    store: Store, cypher: str, *, timeout: float | None = 60.0, **parameters: Value
) -> Iterator[pa.Table]:
    """Run a query as `query` does and yield its rows in parts, at least one and any number.

    Raises:
        CohortError, StoreError: as `query`.
        OSError: the disk on which the store keeps the rows is full.
    """
    return store.ask(_check(cypher, parameters), limit_rows=None, timeout=timeout, **parameters)


def _check(cypher: str, parameters: Mapping[str, Value]) -> str:
    """Check a query and its parameters, log what the lint warns of, and return its text."""
    statement = fence(cypher)
    check_parameters(statement, parameters)
    for warned in lint(statement):
        LOG.warning("%s", warned)
    return statement.text
