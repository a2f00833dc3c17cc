"""genograph simulate."""

from pathlib import Path

import click


@click.command()
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder to write."
)
@click.option("--genes", default=600, show_default=True, help="Number of genes, at least 120.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same files.")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
def simulate(out: Path, genes: int, seed: int, force: bool) -> None:
    """Write a simulated yeast: source files in the official formats and their sources.toml.

    The true fitness, expression and morphology go to the folder truth/, which no loader reads.

    \b
    Example:
      genograph simulate -o yeast/ --genes 600 --seed 0
    """
    from genograph.simulation import simulate as run

    summary = run(out, genes=genes, seed=seed, force=force)
    for name, value in summary._asdict().items():
        click.echo(f"{name}: {value}", err=True)
    click.echo(str(out / "sources.toml"))
