"""genograph train."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from genograph.cli.output import progress, quiet_option, resumable


def _models() -> list[str]:
    """The models by their files: `model_names` would import torch for a help text."""
    folder = files("genograph").joinpath("models")
    names = (each.name for each in folder.iterdir() if each.name.endswith(".py"))
    return sorted(n.removesuffix(".py") for n in names if n[0] != "_" and n != "base.py")


@click.command()
@click.argument("cohort", type=click.Path(path_type=Path), required=False)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Run folder to write.  [required]"
)
@click.option(
    "--model", default=None, help=f"Model to fit: {', '.join(_models())}.  [default: genome]"
)
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default=None,
    help="Where to train; auto takes CUDA where there is a device.  [default: auto]",
)
@click.option(
    "--heads",
    default=None,
    help="Phenotypes to learn jointly, joined by commas.  [default: all that the model can]",
)
@click.option(
    "--engine",
    type=click.Choice(("auto", "delta", "dgl", "shared")),
    default=None,
    help="How the genome model runs over strains; all give the same numbers.  [default: auto]",
)
@click.option("--seed", type=int, default=None, help="Seed of the first member.")
@click.option("--members", type=int, default=None, help="Ensemble size; gives the predicted s.d.")
@click.option("--epochs", type=int, default=None, help="Longest training, in epochs.")
@click.option(
    "--minutes",
    type=float,
    default=None,
    help="Stop within a step after so many minutes; the same command resumes.",
)
@click.option(
    "--hide-singles",
    is_flag=True,
    help="Do not use measured single-mutant fitness (genome model: singles = hidden).",
)
@click.option("--config", type=click.Path(path_type=Path), help="TOML file; flags win over it.")
@click.option(
    "--print-config", is_flag=True, help="Print every setting as a file for --config, and stop."
)
@quiet_option
def train(
    cohort: Path | None,
    out: Path | None,
    config: Path | None,
    print_config: bool,
    quiet: bool,
    **flags: object,
) -> None:
    """Fit a model to a cohort; the same command again resumes.

    COHORT is the folder that genograph export wrote. The model is the whole-genome network
    (genome), or another file of genograph/models.

    \b
    Example:
      genograph train cohort/ -o run/ --device auto --heads fitness,expression,morphology
    """
    from genograph.cohorts import load_cohort
    from genograph.config import TrainConfig, format_config, read_config

    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    if given.pop("hide_singles"):
        given["singles"] = "hidden"
    if "heads" in given:
        given["heads"] = tuple(str(given["heads"]).split(","))
    settings: TrainConfig = read_config(config, **given)
    if print_config:
        click.echo(format_config(settings), nl=False)
        return
    if cohort is None or out is None:
        msg = "name the cohort's folder, and the run's with -o"
        raise click.UsageError(msg)
    # what is refused is refused before the training's libraries are read
    held = load_cohort(cohort)
    from genograph.training import train as run

    with (
        resumable("the same command goes on after the last epoch"),
        progress("train", quiet=quiet) as tell,
    ):
        made = run(held, settings, out, cohort_folder=cohort, report=tell)
    click.echo(str(made.folder))
