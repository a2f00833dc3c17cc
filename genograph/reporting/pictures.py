"""Which pictures a run gets, from what was measured and predicted."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Num

from genograph.cohorts import SPLITS, TRAIN, Cohort, Vectors
from genograph.errors import RunError
from genograph.evaluation.baselines import average_columns
from genograph.evaluation.predictions import MeasuredPrediction, Predictions
from genograph.evaluation.profiles import average_repeats, find_own_columns, find_signal
from genograph.evaluation.scores import QUANTITIES, VECTORS, Combined, Evaluation, pearson
from genograph.evaluation.scoring import Bench, find_positions
from genograph.reporting.figures import (
    Picture,
    Points,
    draw_bars,
    draw_boxes,
    draw_calibration,
    draw_histograms,
    draw_residuals,
    draw_scatter,
    draw_training,
)
from genograph.schema import Phenotype

INTERACTION_BINS = (-0.16, -0.08, -0.03, 0.03, 0.08)
"""Costanzo et al. 2010 (Science 327:425) call |score| > 0.08 an interaction at their intermediate
cut-off."""

FITNESS_BINS = (0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.05)

Columns = Mapping[str, Num[np.ndarray, " epoch"]]


def read_metrics(path: Path) -> dict[str, Float64[np.ndarray, " epoch"]]:
    """Numeric columns of metrics.csv; empty cells are NaN. None where there is no such file.

    Raises:
        RunError: a cell is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as text:
            records = list(csv.DictReader(text))
        return {
            name: np.array([float(record[name] or "nan") for record in records])
            for name in (records[0] if records else {})
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        msg = f"{path}: damaged metrics ({error}); delete it, a report is then without them"
        raise RunError(msg) from error


def draw_pictures(
    cohort: Cohort, evaluation: Evaluation, predictions: Predictions, columns: Columns
) -> list[Picture]:
    """The report's pictures in order; what the run cannot show is left out."""
    out: list[Picture] = []
    for quantity in ("interaction_pairs", "fitness_pairs", "fitness_singles"):
        rows = [row for row in evaluation.rows if row.quantity == quantity]
        if rows and "fitness" in predictions:
            out.append(draw_bars(rows, QUANTITIES[quantity]))
            out += _scalar(cohort, quantity, predictions["fitness"])
    for phenotype in VECTORS:
        name = phenotype.name
        rows = [row for row in evaluation.rows if row.quantity == name]
        if rows and name in cohort.vectors and name in predictions:
            out.append(draw_bars(rows, QUANTITIES[name]))
            out += _vector(cohort, phenotype, cohort.vectors[name], predictions[name])
    training = draw_training(dict(columns))
    if training is not None:
        out.append(training)
    return out


def _scalar(cohort: Cohort, quantity: str, predicted: MeasuredPrediction) -> list[Picture]:
    bench = Bench(cohort, None, False, 0)
    interaction = quantity == "interaction_pairs"
    measured: Combined = bench.interaction if interaction else bench.fitness
    wanted = cohort.strains.n_perturbed == (1 if quantity == "fitness_singles" else 2)
    points: list[Points] = []
    noise: list[Float64[np.ndarray, " strain"]] = []
    for split in SPLITS:
        held = cohort.test_strains(split) & wanted & np.isfinite(measured.value)
        rows = np.flatnonzero(held)
        if len(rows) < 3:
            continue
        at = find_positions(predicted.rows, rows, quantity)
        found = predicted.quantities["interaction" if interaction else "fitness"]
        points.append(
            Points(
                split,
                measured.value[rows],
                found.mean[at].astype(np.float64),
                found.sd[at].astype(np.float64),
            )
        )
        noise.append(measured.sd[rows])
    if not points:
        return []
    name = "interaction score" if interaction else "fitness"
    if quantity == "fitness_singles":
        name = "fitness of singles"
    out = [draw_scatter(points, name)]
    main = next((p for p in points if p.split == "one_gene_unseen"), points[0])
    out.append(draw_boxes(main, name, INTERACTION_BINS if interaction else FITNESS_BINS))
    out.append(draw_residuals(main, name))
    calibrated = draw_calibration(points, noise, name)
    if calibrated is not None:
        out.append(calibrated)
    return out


def _vector(
    cohort: Cohort, phenotype: Phenotype, vectors: Vectors, predicted: MeasuredPrediction
) -> list[Picture]:
    head, along_genes = phenotype.name, phenotype.axis == "gene"
    rows, values = average_repeats(vectors)
    fold = cohort.strain_fold[rows]
    if along_genes:
        drop = find_own_columns(cohort.strains, rows, vectors.gene) | (vectors.gene < 0)
        values = np.where(drop, np.nan, values)
        strong = find_signal(values, fold == TRAIN, vectors.unit)
    else:
        strong = np.ones(len(rows), dtype=bool)
    mean = average_columns(values[fold == TRAIN])
    guess = (
        predicted.quantities[head]
        .mean[find_positions(predicted.rows, rows, head)]
        .astype(np.float64)
    )
    spread = np.ones(len(mean))
    if not along_genes:
        spread = np.sqrt(average_columns(np.square(values[fold == TRAIN] - mean)))
        spread = np.where(spread > 1e-9, spread, np.nan)
    y, x = (values - mean) / spread, (guess - mean) / spread
    known = np.isfinite(y) & np.isfinite(x)
    points: list[Points] = []
    each: dict[str, Float64[np.ndarray, " item"]] = {}
    for split in SPLITS:
        held = np.flatnonzero(cohort.test_strains(split)[rows] & strong)
        if not len(held):
            continue
        use = known[held]
        a, b = y[held][use], x[held][use]
        if len(a) < 3:
            continue
        points.append(Points(split, a.astype(np.float64), b, np.full(len(a), np.nan)))
        tables = zip(y[held], x[held], use, strict=True)
        if not along_genes:
            tables = zip(y[held].T, x[held].T, use.T, strict=True)
        found = np.array([pearson(p[u], q[u]) for p, q, u in tables])
        if np.isfinite(found).any():
            each[split] = found[np.isfinite(found)]
    if not points:
        return []
    unit = f"{vectors.unit}, centred" if along_genes else "s.d. of training strains"
    out = [draw_scatter(points, head, unit=unit, counted="values")]
    if each and along_genes:
        out.append(
            draw_histograms(
                each,
                f"{head.capitalize()}: correlation across genes within each strain",
                "Test strains with signal, centred on the mean of the training strains; the line "
                "is the median.",
            )
        )
    elif each:
        out.append(
            draw_histograms(
                each,
                f"{head.capitalize()}: correlation across strains of each parameter",
                "Test strains; n is the number of parameters, the line is the median.",
            )
        )
    return out
