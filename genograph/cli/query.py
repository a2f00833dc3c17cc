"""genograph query."""

import json
from typing import TYPE_CHECKING

import click

from genograph.ahead import start_ahead
from genograph.cli.database import db_option, open_db
from genograph.cli.output import format_option, show

if TYPE_CHECKING:
    import pyarrow as pa

    from genograph.tables import Value


def parse_parameters(given: tuple[str, ...]) -> "dict[str, Value]":
    """Parameters from NAME=VALUE words; a value that is JSON is read as JSON, else as text."""
    from genograph.cypher import TAKEN

    out: dict[str, Value] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            msg = f"--param wants NAME=VALUE, got {word!r}"
            raise click.UsageError(msg)
        if name in TAKEN:
            msg = f"--param {name}: the name is taken; choose another for the parameter"
            raise click.UsageError(msg)
        try:
            out[name] = json.loads(value)
        except json.JSONDecodeError:
            out[name] = value
    return out


@click.command()
@click.argument("cypher", required=False)
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Value of a $parameter.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds before giving up.")
@click.option(
    "--limit-rows",
    type=click.IntRange(min=0),
    default=1_000_000,
    show_default=True,
    help="Refuse an answer of more rows.",
)
@click.option("--list", "listing", is_flag=True, help="List the library, and stop.")
@db_option
@format_option
def query(
    cypher: str | None,
    param: tuple[str, ...],
    timeout: float,
    limit_rows: int,
    listing: bool,
    db: str,
    style: str | None,
) -> None:
    """Run one reading Cypher query and print its rows. It cannot write.

    CYPHER is the query, a file that ends in .cypher, or the name of a query of the library.

    \b
    Example:
      genograph query "MATCH (g:Gene {symbol: \\$s}) RETURN g.id, g.chromosome" -p s=RAD51
      genograph query suppressors -p min_interaction=0.3 --db yeast.db
      genograph query --list
    """
    if listing:
        show(_library(), style)
        return
    if cypher is None:
        msg = "CYPHER is missing: a query, a .cypher file, or a name that --list shows"
        raise click.UsageError(msg)
    if "://" not in db:
        start_ahead()
    from genograph.cypher import query_file
    from genograph.database.query import query as run

    file, parameters = query_file(cypher), parse_parameters(param)
    if file is not None:
        from genograph.cohorts import CohortQuery

        held = CohortQuery.read(file, **parameters)
        cypher, parameters = held.cypher, dict(held.parameters)
    with open_db(db, read_only=True) as store:
        rows = run(store, cypher, limit_rows=limit_rows, timeout=timeout, **parameters)
    show(rows, style)


def _library() -> "pa.Table":
    """The library as rows: name, parameters with their defaults, title."""
    import pyarrow as pa

    from genograph.cypher import library

    given = [
        " ".join([*e.required, *(f"{n}={json.dumps(v)}" for n, v in e.defaults.items())])
        for e in library()
    ]
    return pa.table(
        {
            "name": [e.name for e in library()],
            "gives": [e.title for e in library()],
            "parameters": given,
        }
    )
