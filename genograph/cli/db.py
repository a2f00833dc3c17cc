"""genograph db."""

import sys
from pathlib import Path

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.output import format_option, show
from genograph.errors import format_count


@click.group()
def db() -> None:
    """Look after a database: what is in it, whether it is whole, and how it moves.

    \b
    Example:
      genograph db status --db yeast.db
      genograph db check --db yeast.db
    """


@db.command()
@db_option
@format_option
def status(db: str, style: str | None) -> None:
    """Show what is loaded: rows a label and relationship, the sources and the size on disk.

    Rows go to stdout: each load with its file, licence and state, which says what to do where
    something is left to do.

    \b
    Example:
      genograph db status --db yeast.db
    """
    from genograph.database import ledger

    with open_db(db, read_only=True) as store:
        counts = {name: n for name, n in store.counts().items() if n}
        loaded = ledger.status(store)
        size = store.size()
    for name, n in counts.items():
        click.echo(f"{name}: {n:,}", err=True)
    if size is not None:
        click.echo(f"size: {size / 1e6:,.1f} MB", err=True)
    show(loaded, style)


@db.command()
@click.option("--deep", is_flag=True, help="Compare the file with the hash of its last writer too.")
@db_option
@format_option
def check(*, deep: bool, db: str, style: str | None) -> None:
    """Verify the graph; print what is wrong and exit 1, or exit 0 where nothing is.

    Loads that are unfinished, counts against the ledgers, keys, dangling ends, vocabulary hashes,
    vector lengths, circles in the ontology, limits of values, numbers that are not finite,
    promoted predictions.

    \b
    Example:
      genograph db check --deep --db yeast.db
    """
    from genograph.database import check

    with open_db(db, read_only=True) as store:
        found = check.check(store, deep=deep)
    if not found:
        n = len(check.CHECKS) + deep
        click.echo(f"{db}: {n} checks, nothing is wrong", err=True)
        return
    show(check.tabulate(found), style)
    click.echo(f"{db}: {format_count(len(found), 'finding')}", err=True)
    sys.exit(1)


_folder = click.argument("folder", type=click.Path(path_type=Path))
_force = click.option("--force", is_flag=True, help="Replace what an earlier run wrote there.")


@db.command()
@_folder
@db_option
@_force
def dump(folder: Path, db: str, force: bool) -> None:
    """Write the whole database into FOLDER as Parquet files with a manifest.

    Equal databases give equal bytes, from either store. The folder appears when it is complete.

    \b
    Example:
      genograph db dump yeast-dump/ --db yeast.db
    """
    from genograph.database import dump

    with open_db(db, read_only=True) as store:
        made = dump.dump(store, folder, force=force, report=_tell)
    click.echo(
        f"{folder}: {format_count(sum(made.counts.values()), 'row')}, sha256 {made.sha256}",
        err=True,
    )


@db.command()
@_folder
@db_option
def restore(folder: Path, db: str) -> None:
    """Fill an empty database from the dump in FOLDER.

    A restore that was interrupted is finished by the same command.

    \b
    Example:
      genograph db restore yeast-dump/ --db neo4j://localhost:7687
    """
    from genograph.database import dump

    dump.open_dump(folder)
    with open_db(db, read_only=False) as store:
        held = dump.restore(store, folder, report=_tell)
    click.echo(f"{db}: {format_count(sum(held.values()), 'row')}", err=True)


@db.command("neo4j-import")
@_folder
@db_option
@_force
def neo4j_import(folder: Path, db: str, force: bool) -> None:
    """Write CSV files into FOLDER and print the neo4j-admin command that imports them.

    This is the way into Neo4j for tens of millions of rows. Run the command in the folder, where
    the server is, while it is stopped; import.sh in the folder is the same command.

    \b
    Example:
      genograph db neo4j-import csv/ --db yeast.db
    """
    import shlex

    from genograph.database import dump

    with open_db(db, read_only=True) as store:
        made = dump.neo4j_import(store, folder, force=force, report=_tell)
    for name, n in made.empty_lists.items():
        click.echo(f"  note {n:,} lists of {name} have no items: there they are absent", err=True)
    click.echo(shlex.join(made.command))


def _tell(name: str, rows: int) -> None:
    click.echo(f"  {name}: {rows:,}", err=True)
