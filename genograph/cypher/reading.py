"""Running a user's query: fence, parameters, lint, store."""

import logging

import pyarrow as pa

from genograph.cypher.fence import check_parameters, fence
from genograph.cypher.lint import lint
from genograph.store import Store, Value

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
    statement = fence(cypher)
    check_parameters(statement, parameters)
    for warned in lint(statement):
        LOG.warning("%s", warned)
    return store.query(statement.text, timeout=timeout, **parameters)
