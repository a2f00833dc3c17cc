"""The ledger of a load on a terminal."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genograph.errors import format_count

if TYPE_CHECKING:
    from genograph.database.ingest import Ledger


rejects_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--rejects",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the lists of rejected rows.  [default: beside the database, its name and "
    ".rejects; genograph.rejects here for a server]",
)


def rejects_folder(given: Path | None, db: str) -> Path | None:
    """The folder for lists of rejected rows: None is beside the database."""
    return given or (Path("genograph.rejects") if "://" in db else None)


def tell(ledger: "Ledger") -> None:
    """Print one load's ledger to stderr: rows written, and rejected rows by reason."""
    if ledger.skipped:
        click.echo(f"{ledger.source}: {ledger.file} is loaded already", err=True)
        return
    rejected = sum(ledger.rejected.values())
    click.echo(
        f"{ledger.source}: {ledger.file}: {format_count(ledger.rows_read, 'row')} read, "
        f"{ledger.written:,} graph rows written, {ledger.unchanged:,} unchanged, "
        f"{format_count(rejected, 'row')} rejected, {ledger.seconds:.1f} s",
        err=True,
    )
    for word, found in (("rejected", ledger.rejected), ("note", ledger.notes)):
        for reason, count in sorted(found.items(), key=lambda item: -item[1]):
            shown = "; ".join(ledger.examples.get(reason, ())[:3])
            click.echo(f"  {word} {count:,}: {reason}" + (f" ({shown})" if shown else ""), err=True)
    if ledger.rejects is not None:
        click.echo(f"  every rejected row with its line: {ledger.rejects}", err=True)
