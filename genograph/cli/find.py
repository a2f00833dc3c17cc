"""genograph find."""

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.output import format_option, show


@click.command()
@click.argument("text")
@click.option(
    "--kind",
    multiple=True,
    type=click.Choice(("gene", "term", "complex", "study", "environment")),
    help="Kind of thing to look for; repeat for several.  [default: all]",
)
@click.option("--limit", default=50, show_default=True, help="Most rows of each kind.")
@db_option
@format_option
def find(text: str, kind: tuple[str, ...], limit: int, db: str, style: str | None) -> None:
    """List the genes, terms, complexes, studies and environments whose names hold a text.

    TEXT is any part of an id, a name or an alias; case does not matter.

    \b
    Example:
      genograph find RAD51 --db yeast.db
      genograph find "DNA repair" --kind term --db yeast.db
    """
    from genograph.database.names import find as run

    with open_db(db, read_only=True) as store:
        show(run(store, text, kind=kind, limit=limit), style)
