"""genograph evaluate."""

import sys
from pathlib import Path

import click

from genograph.cli.output import format_option, progress, quiet_option, show


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--cohort", type=click.Path(path_type=Path), help="Where the cohort is now, if moved."
)
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    help="Where to predict; auto takes CUDA where there is a device.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="Folder truth/ of a simulated yeast: adds the ceiling that noise sets.",
)
@format_option
@quiet_option
def evaluate(
    run: Path,
    cohort: Path | None,
    device: str,
    truth: Path | None,
    style: str | None,
    quiet: bool,
) -> None:
    """Score a run on strains it was not trained on, beside the baselines.

    RUN is the folder that genograph train wrote; the scores go there too. Interaction scores of
    pairs come first; the headline is the score with one gene unseen. A terminal shows the model
    beside its best baseline; --format, or a pipe, gives every baseline and control.

    \b
    Example:
      genograph evaluate run/
    """
    import pyarrow as pa

    from genograph.evaluation import evaluate as score

    with progress("evaluate", quiet=quiet) as tell:
        found = score(run, cohort=cohort, device=device, truth=truth, report=tell)
    click.echo(found.headline, err=True)
    if style is None and sys.stdout.isatty():
        show(pa.Table.from_pandas(found.summary(), preserve_index=False), "table")
        click.echo("every baseline and control: --format csv, or genograph report", err=True)
    else:
        show(pa.Table.from_pandas(found.to_pandas(), preserve_index=False), style)
