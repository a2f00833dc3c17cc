"""genograph build."""

from pathlib import Path

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.ledger import rejects_folder, rejects_option, tell
from genograph.cli.output import resumable


@click.command()
@click.argument("sources", type=click.Path(path_type=Path))
@db_option
@rejects_option
def build(sources: Path, db: str, rejects: Path | None) -> None:
    """Load every source that a list of sources names, in the right order.

    SOURCES is the list, a TOML file. What the database has already is skipped, so an interrupted
    build goes on where it stopped.

    \b
    Example:
      genograph build yeast/sources.toml --db yeast.db
    """
    from genograph.database import ingest

    with resumable("the same command goes on"), open_db(db, read_only=False) as store:
        ingest.build(store, sources, report=tell, rejects=rejects_folder(rejects, db))
        size = store.size()
        counts = {name: n for name, n in store.counts().items() if n}
    words = ", ".join(f"{n:,} {name}" for name, n in counts.items())
    click.echo(f"{db}: {words}" + (f"; {size / 1e6:,.1f} MB" if size else ""), err=True)
