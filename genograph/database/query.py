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
    """Run a reading query of a user and return its rows; what the lint says goes to the log.

    `timeout` is in seconds.

    Raises:
        CohortError: the fence refuses the query, or a parameter is missing or not used.
        StoreError: the database refuses it or it ran out of time.
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
