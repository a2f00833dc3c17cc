"""genograph db."""

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.output import format_option, show


@click.group()
def db() -> None:
    """Look after a database.

    \b
    Example:
      genograph db status --db yeast.db
    """


@db.command()
@db_option
@format_option
def status(db: str, style: str | None) -> None:
    """Show what is loaded: rows a label and relationship, the sources and the size on disk.

    \b
    Example:
      genograph db status --db yeast.db
    """
    import pyarrow as pa

    with open_db(db, read_only=True) as store:
        counts = {name: n for name, n in store.counts().items() if n}
        loads = store.query(
            "MATCH (s:Source) RETURN s.loader AS loader, s.file AS file, s.rows_read AS rows_read, "
            "s.rows_rejected AS rejected, s.licence AS licence, s.loaded AS loaded "
            "ORDER BY loader, file"
        )
        size = store.size()
    for name, n in counts.items():
        click.echo(f"{name}: {n:,}", err=True)
    if size is not None:
        click.echo(f"size: {size / 1e6:,.1f} MB", err=True)
    finished = loads["loaded"].to_pylist()
    at = loads.schema.get_field_index("loaded")
    words = pa.array([when or "UNFINISHED: load it again" for when in finished], pa.string())
    show(loads.set_column(at, "loaded", words), style)
