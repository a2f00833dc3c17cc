"""The --db option, and stores opened from it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from genograph.store import Store

DEFAULT = "genograph.db"

db_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--db",
    envvar="GENOGRAPH_DB",
    default=DEFAULT,
    show_default=True,
    show_envvar=True,
    metavar="PATH|neo4j://HOST",
    help="Database: a file, or a neo4j:// or bolt:// address (credentials from the environment).",
)


def open_db(db: str, *, read_only: bool) -> "Store":
    """Open what --db names."""
    from genograph.store import open_store

    return open_store(db, read_only=read_only)
