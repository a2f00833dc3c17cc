"""Running a user's query: fence, parameters, lint, store."""

import logging
from collections.abc import Iterator, Mapping

import pyarrow as pa

from genograph.cypher.fence import check_parameters, fence
from genograph.cypher.lint import lint
from genograph.store import Store
from genograph.tables import Value

LOG = logging.getLogger("genograph")


def run_query(
    store: Store, cypher: str, *, timeout: float | None = 60.0, **parameters: Value
) -> pa.Table:
    """Run a reading query of a user and return its rows; what the lint says goes to the log.

    `timeout` is in seconds.

    Raises:
        CohortError: the fence refuses the query, or a parameter is missing or not used.
        StoreError: the database refuses it or it ran out of time.
    """
    return store.query(_checked(cypher, parameters), timeout=timeout, **parameters)


def query_parts(
    store: Store, cypher: str, *, timeout: float | None = 60.0, **parameters: Value
) -> Iterator[pa.Table]:
    """As `run_query`, the rows in parts, at least one; memory holds one of them.

    Raises:
        CohortError, StoreError: as `run_query`.
        OSError: the disk that the rows are put down on takes no more.
    """
    return store.parts(_checked(cypher, parameters), timeout=timeout, **parameters)


def _checked(cypher: str, parameters: Mapping[str, Value]) -> str:
    """The text of a statement that the fence lets through."""
    statement = fence(cypher)
    check_parameters(statement, parameters)
    for warned in lint(statement):
        LOG.warning("%s", warned)
    return statement.text
