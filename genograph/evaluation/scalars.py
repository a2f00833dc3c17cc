"""Scores of the fitness head: interaction scores and fitness of pairs, fitness of singles."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from genograph.cohort import SPLITS, TEST, TRAIN
from genograph.evaluation.baselines import (
    Baseline,
    pair_table,
    scalar_baselines,
    single_table,
    strain_genes,
    trained_on,
)
from genograph.evaluation.bench import Bench, positions, refuse_missing
from genograph.evaluation.predictions import ScalarPrediction
from genograph.evaluation.scores import (
    MODEL,
    Calibration,
    Score,
    calibration,
    combine,
    pearson,
    rmse,
    spearman,
)


class Scored(NamedTuple):
    """Rows of one quantity, and how honest its predicted s.d. are."""

    rows: list[Score]
    calibrations: list[Calibration]


def score_pairs(bench: Bench, predicted: ScalarPrediction) -> Iterator[Scored]:
    """Interaction scores and fitness of strains with two perturbations."""
    cohort, f = bench.cohort, bench.cohort.fitness
    assert f is not None
    strains = cohort.strains
    n = len(strains)
    is_pair = strains.n_perturbed == 2
    more = int(((strains.n_perturbed > 2) & (bench.fitness.n > 0)).sum())
    if more:
        bench.notes.append(f"{more} strains with three or more perturbations are not scored")
    if not is_pair.any():
        bench.notes.append("the cohort has no pairs")
        return
    reported = combine(f.strain, f.interaction, f.interaction_sd, n)
    first = np.minimum(strains.offsets[:-1], len(strains.gene) - 1)
    second = np.minimum(first + 1, len(strains.gene) - 1)
    single = np.stack([bench.single_fitness[first], bench.single_fitness[second]], axis=1)
    null = single[:, 0] * single[:, 1]
    derived = is_pair & np.isnan(reported.value) & np.isfinite(bench.fitness.value - null)
    interaction = np.where(derived, bench.fitness.value - null, reported.value)
    interaction_sd = np.where(derived, bench.fitness.sd, reported.sd)
    if derived.any():
        bench.notes.append(
            f"{int(derived.sum())} pairs have no reported interaction score: it is their "
            f"fitness minus the product of the singles'"
        )
    typical = bench.fitness.value[(strains.n_perturbed == 1) & (cohort.strain_fold == TRAIN)]
    typical = typical[np.isfinite(typical)]
    fill = float(typical.mean()) if len(typical) else 1.0
    null_filled = np.prod(np.where(np.isfinite(single), single, fill), axis=1)
    rows = np.flatnonzero(is_pair & (np.isfinite(interaction) | np.isfinite(bench.fitness.value)))
    lacking = int((np.isnan(single[rows]).any(axis=1)).sum())
    if lacking:
        bench.notes.append(
            f"{lacking} of {len(rows)} pairs lack a measured single mutant; the multiplicative "
            f"null takes the training mean {fill:.3f} for it"
        )
    shown = np.full((len(rows), 2), np.nan) if bench.singles_hidden else single[rows]
    features = pair_table(cohort, bench.networks, rows, shown.astype(np.float32))
    repeats = _repeats(f.strain, f.interaction, n), _repeats(f.strain, f.value, n)
    truth = bench.truth
    yield _score(
            bench,
        "interaction_pairs", rows, interaction, interaction_sd, predicted, features,
        null=np.zeros(n), repeats=repeats[0],
        truth=None if truth is None else truth.interaction,
    )  # fmt: skip
    yield _score(
            bench,
        "fitness_pairs", rows, bench.fitness.value, bench.fitness.sd, predicted, features,
        null=null_filled, repeats=repeats[1],
        truth=None if truth is None else truth.fitness,
    )  # fmt: skip


def score_singles(bench: Bench, predicted: ScalarPrediction) -> Iterator[Scored]:
    """Fitness of strains with one perturbation."""
    cohort = bench.cohort
    rows = np.flatnonzero((cohort.strains.n_perturbed == 1) & (bench.fitness.n > 0))
    if not len(rows):
        bench.notes.append("the cohort has no fitness of single mutants")
        return
    assert cohort.fitness is not None
    yield _score(
            bench,
        "fitness_singles", rows, bench.fitness.value, bench.fitness.sd, predicted, None,
        repeats=_repeats(cohort.fitness.strain, cohort.fitness.value, len(cohort.strains)),
        truth=None if bench.truth is None else bench.truth.fitness,
    )  # fmt: skip


def _score(
    bench: Bench,
    quantity: str,
    rows: Int64[np.ndarray, " row"],
    measured: Float64[np.ndarray, " strain"],
    measured_sd: Float64[np.ndarray, " strain"],
    predicted: ScalarPrediction,
    features: Float32[np.ndarray, "row feature"] | None,
    *,
    null: Float64[np.ndarray, " strain"] | None = None,
    repeats: Float64[np.ndarray, "strain 2"],
    truth: Float64[np.ndarray, " strain"] | None,
) -> Scored:
    """Score the model and the scalar baselines on the measured ones of `rows`."""
    cohort = bench.cohort
    known = np.isfinite(measured[rows])
    if features is not None:
        features = features[known]
    rows = rows[known]
    fold = cohort.strain_fold[rows]
    folds = trained_on(fold, fold == TEST)
    scored = rows[folds.scored]
    interaction = quantity == "interaction_pairs"
    values = predicted.interaction if interaction else predicted.fitness
    sds = predicted.interaction_sd if interaction else predicted.fitness_sd
    at = positions(predicted.rows, scored, quantity)
    mean, sd = values[at].astype(np.float64), sds[at].astype(np.float64)
    refuse_missing(mean, quantity)
    models = [Baseline(MODEL, mean)]
    if len(folds.train) < 2:
        bench.notes.append(f"{quantity}: too few training strains for the fitted baselines")
    elif len(scored):
        genes = strain_genes(cohort.strains, rows, bench.networks.n_gene)
        if features is None:
            features = single_table(
                cohort, bench.networks, rows, measured[rows], folds.train, bench.vectors
            )
        models += scalar_baselines(
            measured[rows], folds, genes, bench.vectors, features,
            offset=None if null is None else null[rows], seed=bench.seed,
        )  # fmt: skip
    if null is not None:
        models.insert(2, Baseline("multiplicative null", null[scored]))
    models.append(Baseline("repeat measurement", repeats[scored, 1]))
    if truth is not None:
        models.append(Baseline("true values", truth[scored]))
    rows_out: list[Score] = []
    calibrations: list[Calibration] = []
    for split in SPLITS:
        inside = cohort.test_strains(split)[scored]
        if not inside.any():
            continue
        for model, guess in models:
            y = measured[scored]
            if model == "repeat measurement":
                y = repeats[scored, 0]
            use = inside & np.isfinite(guess)
            if model in ("repeat measurement", "true values") and use.sum() < 3:
                continue
            rows_out.append(_scalar_score(quantity, split, model, y, guess, use))
        found = calibration(
            quantity, split, measured[scored][inside], measured_sd[scored][inside],
            mean[inside], sd[inside],
        )  # fmt: skip
        if found is not None:
            calibrations.append(found)
    return Scored(rows_out, calibrations)


def _repeats(
    strain: Int64[np.ndarray, " experiment"],
    value: Float32[np.ndarray, " experiment"],
    n_strain: int,
) -> Float64[np.ndarray, "strain 2"]:
    """The first and the second measurement of each strain, NaN where there are not two."""
    out = np.full((n_strain, 2), np.nan)
    known = np.flatnonzero(np.isfinite(value))
    order = known[np.argsort(strain[known], kind="stable")]
    ordered = strain[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    for which in (0, 1):
        at = place == which
        out[ordered[at], which] = value[order[at]]
    out[np.isnan(out[:, 1])] = np.nan
    return out


def _scalar_score(
    quantity: str,
    split: str,
    model: str,
    y: Float64[np.ndarray, " scored"],
    guess: Float64[np.ndarray, " scored"],
    use: Bool[np.ndarray, " scored"],
) -> Score:
    y, guess = y[use], guess[use]
    return Score(
        "fitness", quantity, split, model,
        pearson(y, guess), spearman(y, guess), rmse(y, guess), len(y),
    )  # fmt: skip
