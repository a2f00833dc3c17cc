"""genograph report."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--cohort", type=click.Path(path_type=Path), help="Where the cohort is now, if moved."
)
def report(run: Path, cohort: Path | None) -> None:
    """Write the HTML report of an evaluated run into its folder.

    RUN is the folder that genograph train wrote and genograph evaluate scored.

    \b
    Example:
      genograph report run/
    """
    from genograph.reporting import report as write

    click.echo(str(write(run, cohort=cohort)))
