"""genograph predict."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.output import format_option, progress, quiet_option, resumable, show
from genograph.errors import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from genograph.allpairs import By
    from genograph.cohorts import Cohort, Strains
    from genograph.errors import SourceError
    from genograph.evaluation import Evaluation
    from genograph.run import Prediction, Run

SHOWN = 20
"""Refused rows of a file of strains that are named; the rest is counted."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--strains",
    type=click.Path(path_type=Path),
    help="CSV with a column strain: YAL001C+YBL003C, RAD51+RAD52(damp), ...",
)
@click.option("--all-pairs", is_flag=True, help="Every double deletion of --genes.")
@click.option("--all-triples", is_flag=True, help="Every triple deletion of --genes.")
@click.option(
    "--genes",
    type=click.Path(path_type=Path),
    help="Genes, one a line, for --all-pairs and --all-triples.  [default: all, for pairs]",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the shards of --all-pairs or --all-triples; the same command resumes.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Of all pairs or triples, how many strains to print or write.",
)
@click.option(
    "--by",
    type=click.Choice(("interaction", "negative", "positive", "fitness")),
    default="interaction",
    show_default=True,
    help="Rank by size of the interaction, most negative, most positive, or lowest fitness.",
)
@click.option(
    "--baseline",
    is_flag=True,
    help="Of --strains, what gradient boosting says, which evaluate scores beside the run.",
)
@click.option("--vectors", is_flag=True, help="Of --strains, expression and other vectors too.")
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
    help="Where to predict; auto takes CUDA where there is a device.",
)
@db_option
@format_option
@quiet_option
def predict(
    run: Path,
    strains: Path | None,
    all_pairs: bool,
    all_triples: bool,
    genes: Path | None,
    out: Path | None,
    top: int,
    by: "By",
    baseline: bool,
    vectors: bool,
    write: bool,
    promote: bool,
    cohort: Path | None,
    device: str,
    db: str,
    style: str | None,
    quiet: bool,
) -> None:
    """Predict strains, measured or not; print them, or write them into the database.

    RUN is the folder that genograph train wrote. Fitness is relative to the wild type (1); the
    interaction score is fitness minus the product of the single mutants'; the s.d. are over the
    ensemble. Of all pairs or triples every strain goes into Parquet files, and the top ones are
    printed or written. Under torchrun each process makes its share of the files. A run whose
    predictions are no finite numbers is not written; printed, the strains are counted, and the exit
    code is 1 where all of them lack a number.

    A row of --strains that is no strain of the cohort's genes is refused and named; the others go
    on.

    Printed strains have their genes' symbols and whether the cohort has measured them, and in which
    fold. Once genograph evaluate has run, there are calibrated s.d. too: the spread of the members
    times what it was too small by on test strains of the same kind.

    \b
    Example:
      genograph predict run/ --strains pairs.csv --write --db yeast.db
      genograph predict run/ --all-pairs -o pairs/ --top 1000 --by negative
    """
    from genograph.cohorts import read_strains
    from genograph.prediction import predict as score
    from genograph.run import Run, say_missing

    _check(strains, genes, out, all_pairs=all_pairs, all_triples=all_triples)
    if (baseline or vectors) and (strains is None or write):
        msg = "--baseline and --vectors are for strains that are printed, with --strains"
        raise click.UsageError(msg)
    opened = Run.open(run)
    data = opened.cohort(cohort)
    if strains is None:
        assert out is not None
        found = _combined(
            opened, data, out, genes, 3 if all_triples else 2, top, by, device, quiet=quiet
        )
        if found is None:
            return
        if write:
            _written(opened, data, found, db, device, promote=promote, quiet=quiet)
        else:
            show(found, style)
        return
    if write:
        _written(opened, data, strains, db, device, promote=promote, quiet=quiet)
        return
    with _refusing() as refuse:
        asked = read_strains(strains, data, refuse=refuse)
    if baseline:
        from genograph.evaluation import predict_baseline

        boosted = predict_baseline(opened, asked, cohort=data)
        show(_tabulate(boosted, asked, data, None), style)
        if more := int((asked.n_perturbed > 2).sum()):
            words = f"{format_count(more, 'strain')} with three or more perturbations"
            click.echo(f"gradient boosting has no number for {words}", err=True)
        return
    heads = None if vectors else [h for h in opened.config.model.heads if not _is_vector(h)]
    predicted = score(opened, asked, cohort=data, device=device, heads=heads or None)
    evaluation = _find_evaluation(opened)
    show(_tabulate(predicted, asked, data, evaluation), style)
    if not quiet:
        click.echo(_explain_spread(opened, evaluation), err=True)
    missing = predicted.find_missing(data)
    if said := say_missing(missing, predicted.strain_ids):
        click.echo(
            f"warning: run {opened.id} predicts {said}; those cells hold no number", err=True
        )
        if any(lacking.all() for lacking in missing.values() if len(lacking)):
            sys.exit(1)


@contextmanager
def _refusing() -> "Iterator[Callable[[SourceError], None]]":
    """Collect rows that are refused, and say at the end which; the rest goes on."""
    refused: list[SourceError] = []
    yield refused.append
    for error in refused[:SHOWN]:
        click.echo(f"refused: {error}", err=True)
    if len(refused) > SHOWN:
        click.echo(f"refused: {len(refused) - SHOWN:,} more", err=True)


def _is_vector(phenotype: str) -> bool:
    from genograph.schema import graph_schema

    return bool(graph_schema().phenotypes[phenotype].axis)


def _find_evaluation(run: "Run") -> "Evaluation | None":
    from genograph.evaluation import EVALUATION, load_evaluation

    scores = run.folder / EVALUATION
    return load_evaluation(scores) if scores.is_file() else None


def _tabulate(
    predicted: "Prediction", strains: "Strains", cohort: "Cohort", evaluation: "Evaluation | None"
) -> "pa.Table":
    """The predictions beside who the strains are and whether they were measured."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from genograph.cohorts import FOLDS
    from genograph.evaluation import calibrate

    symbols = cohort.genome.gene_symbols
    genes = [
        "+".join(symbols[g] for g in strains.gene[begin:end])
        for begin, end in zip(strains.offsets[:-1], strains.offsets[1:], strict=True)
    ]
    row = pc.index_in(strains.ids, cohort.strains.ids).fill_null(-1).to_numpy()
    with_experiments = [each.strain for each in cohort.measured.values()]
    known = np.unique(np.concatenate([np.zeros(0, np.int64), *with_experiments]))
    measured = [
        f"measured ({FOLDS[cohort.strain_fold[r]]})" if r >= 0 and is_known else "unmeasured"
        for r, is_known in zip(row, np.isin(row, known), strict=True)
    ]
    table = predicted.to_arrow()
    table = table.add_column(1, "genes", pa.array(genes, pa.string()))
    table = table.add_column(2, "measured", pa.array(measured, pa.string()))
    honest = {} if evaluation is None else calibrate(predicted, strains, cohort, evaluation)
    for name, sd in honest.items():
        at = table.column_names.index(f"{name}_sd") + 1
        table = table.add_column(at, f"{name}_sd_calibrated", pa.array(sd, mask=np.isnan(sd)))
    return table


def _explain_spread(run: "Run", evaluation: "Evaluation | None") -> str:
    """What the s.d. of a run's predictions are, and by how much they are too small."""
    from genograph.evaluation.scores import QUANTITIES, SPLIT_WORDS

    members = run.config.training.members
    if members == 1:
        return "s.d.: none, the run has one member"
    words = f"s.d.: the spread of {members} members, without the noise of measurements"
    if evaluation is None:
        return f"{words}; genograph evaluate {run.folder} says by how much it is too small"
    found = [
        f"{each.stretch:.2g}x for {QUANTITIES[each.quantity]}, {SPLIT_WORDS[each.split]}"
        for each in evaluation.calibration
    ]
    return f"{words}; on test strains it was too small by {'; '.join(found) or 'an unknown factor'}"


def _check(
    strains: Path | None,
    genes: Path | None,
    out: Path | None,
    *,
    all_pairs: bool,
    all_triples: bool,
) -> None:
    if (strains is not None) + all_pairs + all_triples != 1:
        msg = "name one of --strains, --all-pairs and --all-triples"
        raise click.UsageError(msg)
    if strains is None and out is None:
        msg = "--all-pairs and --all-triples need -o, the folder of their files"
        raise click.UsageError(msg)
    if strains is not None and (genes is not None or out is not None):
        msg = "--genes and -o go with --all-pairs and --all-triples"
        raise click.UsageError(msg)
    if all_triples and genes is None:
        msg = "--all-triples needs --genes: all genes make tens of billions of triples"
        raise click.UsageError(msg)


def _combined(
    run: "Run",
    cohort: "Cohort",
    out: Path,
    genes: Path | None,
    size: Literal[2, 3],
    top: int,
    by: "By",
    device: str,
    *,
    quiet: bool,
) -> "pa.Table | None":
    """Score all combinations; the best, or None in processes but the first."""
    from genograph.allpairs import read_genes, score_all

    rank = int(os.environ.get("RANK", "0"))
    with (
        resumable("the same command keeps what is scored"),
        progress("predict", quiet=quiet or rank > 0) as tell,
    ):
        found = score_all(
            run,
            out,
            genes=None if genes is None else read_genes(genes, cohort),
            size=size,
            top=top,
            by=by,
            cohort=cohort,
            device=device,
            rank=rank,
            world=int(os.environ.get("WORLD_SIZE", "1")),
            report=tell,
        )
    click.echo(
        f"{out}: {format_count(found.n_strain, 'strain')}, {found.n_made:,} of them now, "
        f"in {found.seconds:.1f} s",
        err=True,
    )
    return found.top


def _written(
    run: "Run",
    cohort: "Cohort",
    strains: "Path | pa.Table",
    db: str,
    device: str,
    *,
    promote: bool,
    quiet: bool,
) -> None:
    """Write the predictions of strains, from a CSV or a table's column, into the database."""
    from genograph.cohorts import make_strains, read_strains
    from genograph.database.ingest import read_gene_names
    from genograph.evaluation import EVALUATION, load_evaluation
    from genograph.prediction import predict as score
    from genograph.schema import parse_strain
    from genograph.writeback import write_predictions

    with open_db(db, read_only=False) as store:
        if isinstance(strains, Path):
            with _refusing() as refuse:
                known = read_gene_names(store).resolve
                wanted = read_strains(strains, cohort, resolve=known, refuse=refuse)
        else:
            wanted = make_strains(map(parse_strain, strains["strain"].to_pylist()), cohort)
        with progress("predict", quiet=quiet) as tell:
            found = score(run, wanted, cohort=cohort, device=device, report=tell)
        scores = run.folder / EVALUATION
        metrics = load_evaluation(scores).headline_numbers if scores.is_file() else {}
        done = write_predictions(store, run, found, cohort, metrics=metrics, promote=promote)
    click.echo(
        f"{db}: run {run.id}: {format_count(done.predicted, 'prediction')} written, "
        f"{done.unchanged:,} unchanged, {format_count(done.strains_created, 'strain')} created"
        + (", promoted" if done.promoted else ""),
        err=True,
    )
