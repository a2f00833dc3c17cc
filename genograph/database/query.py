"""Run a user's query: check it by the fence, warn by the lint, ask the store."""

import logging
from collections.abc import Iterator, Mapping

import pyarrow as pa

from genograph.cypher.fence import check_parameters, fence
from genograph.cypher.lint import lint
from genograph.store import Store
from genograph.tables import Value

LOG = logging.getLogger("genograph")


def query(
    store: Store, cypher: str, *, timeout: float | None = 60.0, **parameters: Value
) -> pa.Table:
    """Run a reading Cypher query and return its rows; what the lint says goes to the log.

    One statement of MATCH, WHERE, WITH, UNWIND, RETURN and the like is let through, in the part of
    Cypher that both databases answer alike; it cannot write.

    Args:
        store: an open database.
        cypher: the statement.
        timeout: seconds before giving up; None: no limit.
        parameters: values of the statement's $parameters.

    Returns:
        One Arrow column a returned column, typed as the schema has it.

    Raises:
        CohortError: the statement is refused, or a parameter is missing or not used.
        StoreError: the database refuses it, or it ran out of time.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     rows = genograph.query(
        ...         store, "MATCH (g:Gene) WHERE g.id = $gene RETURN g.id AS id", gene="YAL001C"
        ...     )
        >>> rows.to_pylist()
        [{'id': 'YAL001C'}]
    """
    return store.query(_check(cypher, parameters), timeout=timeout, **parameters)


def query_parts(
    store: Store, cypher: str, *, timeout: float | None = 60.0, **parameters: Value
) -> Iterator[pa.Table]:
    """Run a query as `query` does and yield its rows in parts; there is at least one part.

    Raises:
        CohortError, StoreError: as `query`.
        OSError: the disk on which the store keeps the rows is full.
    """
    return store.parts(_check(cypher, parameters), timeout=timeout, **parameters)


def _check(cypher: str, parameters: Mapping[str, Value]) -> str:
    """Check a query and its parameters, log what the lint warns of, and return its text."""
    statement = fence(cypher)
    check_parameters(statement, parameters)
    for warned in lint(statement):
        LOG.warning("%s", warned)
    return statement.text
