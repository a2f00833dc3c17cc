"""genograph predict."""

from pathlib import Path

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.output import format_option, progress, quiet_option, show


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--strains",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV with a column strain: YAL001C+YBL003C, RAD51+RAD52(damp), ...",
)
@click.option("--write", is_flag=True, help="Write the predictions into the database.")
@click.option(
    "--promote/--no-promote",
    default=True,
    show_default=True,
    help="With --write: also as properties of the strains.",
)
@click.option(
    "--cohort", type=click.Path(path_type=Path), help="Where the cohort is now, if moved."
)
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    help="Where.",
)
@db_option
@format_option
@quiet_option
def predict(
    run: Path,
    strains: Path,
    write: bool,
    promote: bool,
    cohort: Path | None,
    device: str,
    db: str,
    style: str | None,
    quiet: bool,
) -> None:
    """Predict strains, measured or not; print them, or write them into the database.

    Fitness is relative to the wild type (1); the interaction score is fitness minus the product
    of the single mutants'; the s.d. are over the ensemble.

    \b
    Example:
      genograph predict run/ --strains pairs.csv --write --db yeast.db
    """
    from genograph.cohorts import read_strains
    from genograph.evaluation import EVALUATION, load_evaluation
    from genograph.ingest import gene_names
    from genograph.prediction import predict as score
    from genograph.run import Run
    from genograph.writeback import write_predictions

    opened = Run.open(run)
    data = opened.cohort(cohort)
    if not write:
        found = score(opened, read_strains(strains, data), cohort=data, device=device)
        show(found.to_arrow(), style)
        return
    with open_db(db, read_only=False) as store:
        wanted = read_strains(strains, data, resolve=gene_names(store).resolve)
        with progress("predict", quiet=quiet) as tell:
            found = score(opened, wanted, cohort=data, device=device, report=tell)
        scores = opened.folder / EVALUATION
        metrics = load_evaluation(scores).headline_numbers if scores.is_file() else {}
        done = write_predictions(store, opened, found, data, metrics=metrics, promote=promote)
    click.echo(
        f"{db}: run {opened.id}: {done.predicted:,} predictions written, {done.unchanged:,} "
        f"unchanged, {done.strains_created:,} strains created"
        + (", promoted" if done.promoted else ""),
        err=True,
    )
