"""How the ledger of a load is told."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from genograph.ingest import Ledger


def tell(ledger: "Ledger") -> None:
    """Print one load's ledger to stderr, its rejected rows by reason with examples."""
    if ledger.skipped:
        click.echo(f"{ledger.source}: {ledger.file} is loaded already", err=True)
        return
    rejected = sum(ledger.rejected.values())
    click.echo(
        f"{ledger.source}: {ledger.file}: {ledger.rows_read:,} rows read, "
        f"{ledger.written:,} graph rows written, {ledger.unchanged:,} unchanged, "
        f"{rejected:,} rows rejected, {ledger.seconds:.1f} s",
        err=True,
    )
    for word, found in (("rejected", ledger.rejected), ("note", ledger.notes)):
        for reason, count in sorted(found.items(), key=lambda item: -item[1]):
            shown = "; ".join(ledger.examples.get(reason, ())[:3])
            click.echo(f"  {word} {count:,}: {reason}" + (f" ({shown})" if shown else ""), err=True)
