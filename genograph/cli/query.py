"""genograph query."""

import json
from typing import TYPE_CHECKING

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.output import format_option, show

if TYPE_CHECKING:
    from genograph.store import Value


def parameters_of(given: tuple[str, ...]) -> "dict[str, Value]":
    """Parameters from NAME=VALUE words; a value that is JSON is read as JSON, else as text."""
    out: dict[str, Value] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            msg = f"--param wants NAME=VALUE, got {word!r}"
            raise click.UsageError(msg)
        try:
            out[name] = json.loads(value)
        except json.JSONDecodeError:
            out[name] = value
    return out


@click.command()
@click.argument("cypher")
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Value of a $parameter.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds before giving up.")
@db_option
@format_option
def query(cypher: str, param: tuple[str, ...], timeout: float, db: str, style: str | None) -> None:
    """Run one reading Cypher query and print its rows. It cannot write.

    \b
    Example:
      genograph query "MATCH (g:Gene {symbol: \\$s}) RETURN g.id, g.chromosome" -p s=RAD51
    """
    from genograph.cypher import run_query

    with open_db(db, read_only=True) as store:
        show(run_query(store, cypher, timeout=timeout, **parameters_of(param)), style)
