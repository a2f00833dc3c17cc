"""Scores of the fitness head: interaction scores and fitness of pairs, fitness of singles."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from genograph.cohorts import SPLITS, TEST, TRAIN
from genograph.evaluation.baselines import (
    Baseline,
    count_strain_genes,
    divide_folds,
    fit_boosting,
    fit_scalar_baselines,
    make_pair_table,
    make_single_table,
)
from genograph.evaluation.predictions import MeasuredPrediction
from genograph.evaluation.scores import (
    MODEL,
    Calibration,
    Score,
    measure_calibration,
    pearson,
    rmse,
    spearman,
)
from genograph.evaluation.scoring import Bench, find_positions, refuse_missing

ORDER = (
    MODEL,
    "mean",
    "multiplicative null",
    "one-hot ridge",
    "ridge on embeddings",
    "ridge on random embeddings",
    "gradient boosting",
)
"""Rows of the table."""

FEWEST = 10
"""Training strains below which no baseline is fitted."""


class Scored(NamedTuple):
    """Rows of one quantity, and how honest its predicted s.d. are."""

    rows: list[Score]
    calibrations: list[Calibration]


class Boosted(NamedTuple):
    """What gradient boosting says of some strains; every array has an entry for each strain.

    Attributes:
        rows: the strains, measured or asked for.
        null: what a strain's fitness is without what the trees add.
        trees: what boosted trees add to that, NaN but for test strains; None where training has too
            few strains.
    """

    rows: Int64[np.ndarray, " row"]
    null: Float64[np.ndarray, " strain"]
    trees: Float64[np.ndarray, " strain"] | None


def boost_pairs(bench: Bench, asked: Bool[np.ndarray, " strain"] | None = None) -> Boosted:
    """Fit interaction scores of pairs by their genes' features.

    Args:
        bench: the measurements.
        asked: strains to predict beside the measured ones; pairs among them.
    """
    cohort, strains = bench.cohort, bench.cohort.strains
    single, interaction = bench.singles_of_pair, bench.interaction
    typical = bench.fitness.value[(strains.n_perturbed == 1) & (cohort.strain_fold == TRAIN)]
    typical = typical[np.isfinite(typical)]
    fill = float(typical.mean()) if len(typical) else 1.0
    null_filled = np.prod(np.where(np.isfinite(single), single, fill), axis=1)
    known = np.isfinite(interaction.value) | np.isfinite(bench.fitness.value)
    rows = np.flatnonzero(bench.is_pair & (known if asked is None else known | asked))
    lacking = int((np.isnan(single[rows]).any(axis=1)).sum())
    if lacking:
        bench.notes.append(
            f"{lacking} of {len(rows)} pairs lack a measured single mutant; the multiplicative "
            f"null takes the training mean {fill:.3f} for it"
        )
    shown = np.full((len(rows), 2), np.nan) if bench.singles_hidden else single[rows]
    features = make_pair_table(cohort, bench.networks, rows, shown.astype(np.float32))
    # what is left of fitness when the null is taken off is the interaction score: one fit does both
    left = bench.fitness.value - null_filled
    residual = np.where(np.isfinite(interaction.value), interaction.value, left)
    return Boosted(rows, null_filled, _boosted(bench, rows, features, residual[rows]))


def boost_singles(bench: Bench, asked: Bool[np.ndarray, " strain"] | None = None) -> Boosted:
    """Fit the fitness of single mutants by their genes' features; the null is 0.

    Args:
        bench: the measurements.
        asked: strains to predict beside the measured ones; single mutants among them.
    """
    cohort, fitness = bench.cohort, bench.fitness
    known = fitness.n > 0
    alone = cohort.strains.n_perturbed == 1
    rows = np.flatnonzero(alone & (known if asked is None else known | asked))
    null = np.zeros(len(alone))
    if not len(rows):
        return Boosted(rows, null, None)
    train = np.flatnonzero(cohort.strain_fold[rows] == TRAIN)
    features = make_single_table(
        cohort, bench.networks, rows, fitness.value[rows], train, bench.vectors
    )
    return Boosted(rows, null, _boosted(bench, rows, features, fitness.value[rows]))


def score_pairs(bench: Bench, predicted: MeasuredPrediction) -> Iterator[Scored]:
    """Interaction scores and fitness of strains with two perturbations."""
    cohort, f = bench.cohort, bench.cohort.fitness
    assert f is not None
    strains = cohort.strains
    more = int(((strains.n_perturbed > 2) & (bench.fitness.n > 0)).sum())
    if more:
        bench.notes.append(f"{more} strains with three or more perturbations are not scored")
    if not bench.is_pair.any():
        bench.notes.append("the cohort has no pairs")
        return
    interaction = bench.interaction
    rows, null_filled, trees = boost_pairs(bench)
    truth = bench.truth
    for quantity, null, measured, sd, repeats, true in (
        (
            "interaction_pairs",
            np.zeros(len(strains)),
            interaction.value,
            interaction.sd,
            f.interaction,
            None if truth is None else truth.interaction,
        ),
        (
            "fitness_pairs",
            null_filled,
            bench.fitness.value,
            bench.fitness.sd,
            f.value,
            None if truth is None else truth.fitness,
        ),
    ):
        held = rows[np.isfinite(measured[rows])]
        controls = [Baseline("multiplicative null", null)]
        if trees is not None:
            controls.append(Baseline("gradient boosting", null + trees))
        yield _score(bench, quantity, held, measured, sd, predicted, controls, repeats, true)


def score_singles(bench: Bench, predicted: MeasuredPrediction) -> Iterator[Scored]:
    """Fitness of strains with one perturbation."""
    cohort, fitness = bench.cohort, bench.fitness
    rows, _, trees = boost_singles(bench)
    if not len(rows):
        bench.notes.append("the cohort has no fitness of single mutants")
        return
    assert cohort.fitness is not None
    controls = [] if trees is None else [Baseline("gradient boosting", trees)]
    truth = None if bench.truth is None else bench.truth.fitness
    yield _score(
        bench, "fitness_singles", rows, fitness.value, fitness.sd, predicted, controls,
        cohort.fitness.value, truth,
    )  # fmt: skip


def _boosted(
    bench: Bench,
    rows: Int64[np.ndarray, " row"],
    features: Float32[np.ndarray, "row feature"],
    target: Float64[np.ndarray, " row"],
) -> Float64[np.ndarray, " strain"] | None:
    """What boosted trees predict for the test strains of `rows`, NaN for all other strains."""
    fold = bench.cohort.strain_fold[rows]
    folds = divide_folds(fold, fold == TEST)
    if len(folds.train) < FEWEST or not len(folds.scored):
        return None
    out = np.full(len(bench.cohort.strains), np.nan)
    out[rows[folds.scored]] = fit_boosting(features, target, folds, seed=bench.seed)
    return out


def _score(
    bench: Bench,
    quantity: str,
    rows: Int64[np.ndarray, " row"],
    measured: Float64[np.ndarray, " strain"],
    measured_sd: Float64[np.ndarray, " strain"],
    predicted: MeasuredPrediction,
    controls: list[Baseline],
    repeats: Float32[np.ndarray, " experiment"],
    truth: Float64[np.ndarray, " strain"] | None,
) -> Scored:
    """Score the model, the fitted baselines and `controls` on `rows`, all of them measured.

    `repeats` are the single experiments; the controls' values are one for each strain.
    """
    cohort = bench.cohort
    assert cohort.fitness is not None
    fold = cohort.strain_fold[rows]
    folds = divide_folds(fold, fold == TEST)
    scored = rows[folds.scored]
    interaction = quantity == "interaction_pairs"
    found = predicted.quantities["interaction" if interaction else "fitness"]
    at = find_positions(predicted.rows, scored, quantity)
    mean, sd = found.mean[at].astype(np.float64), found.sd[at].astype(np.float64)
    refuse_missing(mean, quantity)
    models = [Baseline(MODEL, mean)]
    if len(folds.train) < FEWEST:
        bench.notes.append(
            f"{quantity}: {len(folds.train)} training strains, the fitted baselines are left out"
        )
    elif len(scored):
        genes = count_strain_genes(cohort.strains, rows, bench.networks.n_gene)
        models += fit_scalar_baselines(measured[rows], folds, genes, bench.vectors)
    models += [Baseline(model, each[scored]) for model, each in controls]
    models.sort(key=lambda each: ORDER.index(each.model))
    twice = _repeats(cohort.fitness.strain, repeats, len(cohort.strains))[scored]
    y = measured[scored]
    out: list[Score] = []
    calibrations: list[Calibration] = []
    for split in SPLITS:
        inside = cohort.test_strains(split)[scored]
        if not inside.any():
            continue
        for model, guess in models:
            out.append(_row(quantity, split, model, y[inside], guess[inside]))
        if truth is not None:
            known = inside & np.isfinite(truth[scored])
            out.append(_row(quantity, split, "true values", y[known], truth[scored][known]))
        both = inside & np.isfinite(twice[:, 1])
        if both.sum() >= 3:
            out.append(_row(quantity, split, "repeat measurement", *twice[both].T))
        honest = measure_calibration(
            quantity, split, y[inside], measured_sd[scored][inside], mean[inside], sd[inside]
        )
        if honest is not None:
            calibrations.append(honest)
    return Scored(out, calibrations)


def _repeats(
    strain: Int64[np.ndarray, " experiment"],
    value: Float32[np.ndarray, " experiment"],
    n_strain: int,
) -> Float64[np.ndarray, "strain 2"]:
    """The first and the second measurement of each strain, NaN where there are not two.

    Equal values are copies of one record and no repeat.
    """
    out = np.full((n_strain, 2), np.nan)
    known = np.flatnonzero(np.isfinite(value))
    order = known[np.argsort(strain[known], kind="stable")]
    ordered = strain[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    for which in (0, 1):
        at = place == which
        out[ordered[at], which] = value[order[at]]
    out[np.isnan(out[:, 1]) | (out[:, 0] == out[:, 1])] = np.nan
    return out


def _row(
    quantity: str,
    split: str,
    model: str,
    y: Float64[np.ndarray, " scored"],
    guess: Float64[np.ndarray, " scored"],
) -> Score:
    return Score(
        "fitness", quantity, split, model,
        pearson(y, guess), spearman(y, guess), rmse(y, guess), len(y),
    )  # fmt: skip
