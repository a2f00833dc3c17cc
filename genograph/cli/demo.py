"""genograph demo."""

from pathlib import Path

import click

from genograph.cli.output import progress, quiet_option, show


@click.command()
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("genograph-demo"),
    show_default=True,
    help="Folder to write, must be new or empty.",
)
@click.option("--genes", default=600, show_default=True, help="Genes of the simulated yeast.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything.")
@quiet_option
def demo(out: Path, genes: int, seed: int, quiet: bool) -> None:
    """Run the whole loop on a simulated yeast, in a few minutes on a laptop.

    Simulates source files, builds a database, exports a cohort, trains, evaluates, predicts pairs
    that nobody measured, writes them back and reads the strongest interactions with Cypher.

    \b
    Example:
      genograph demo -o genograph-demo/
    """
    import pyarrow as pa

    from genograph.demonstration import READ_BACK
    from genograph.demonstration import demo as run

    with progress("demo", quiet=quiet) as tell:
        made = run(out, genes=genes, seed=seed, tell=tell)
    click.echo("Pearson correlation on strains that were not trained on:")
    show(pa.Table.from_pandas(made.scores, preserve_index=False), "table")
    click.echo(made.headline)
    click.echo(f"\nRead back from {made.database} with Cypher:\n{READ_BACK}")
    show(made.strains, "table")
    click.echo(f"report: {made.report}")
