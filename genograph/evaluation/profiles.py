"""Scores of vector phenotypes: along genes within each strain, of parameters across strains."""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from genograph.cohorts import SPLITS, TEST, TRAIN, Strains, Vectors
from genograph.evaluation.baselines import (
    Baseline,
    FoldRows,
    average_columns,
    count_strain_genes,
    divide_folds,
    fit_profile_baselines,
)
from genograph.evaluation.predictions import MeasuredPrediction
from genograph.evaluation.scores import MODEL, Score, pearson, rmse, spearman
from genograph.evaluation.scoring import Bench, find_positions, refuse_missing
from genograph.schema import Phenotype

SIGNAL_FOLD = 1.7
SIGNAL_GENES = 4
"""A strain has signal if at least 4 genes other than its own change 1.7-fold (Kemmeren et al. 2014,
Cell 157:740); in units that are no log2, by two standard deviations of the training values."""


def score_vectors(
    bench: Bench, phenotype: Phenotype, vectors: Vectors, predicted: MeasuredPrediction
) -> list[Score]:
    """Scores of a vector phenotype, by what its values follow."""
    score = _score_genes if phenotype.axis == "gene" else _score_parameters
    return score(bench, phenotype.name, vectors, predicted)


def _score_genes(
    bench: Bench, name: str, vectors: Vectors, predicted: MeasuredPrediction
) -> list[Score]:
    """Profiles of strains with signal, per strain across genes."""
    rows, values = average_repeats(vectors)
    own = find_own_columns(bench.cohort.strains, rows, vectors.gene)
    absent = vectors.gene < 0
    if absent.any():
        bench.notes.append(
            f"{name}: {int(absent.sum())} of {len(absent)} columns are no genes of the "
            f"genome and are left out"
        )
    values = np.where(own | absent, np.nan, values)
    fold = bench.cohort.strain_fold[rows]
    if not (fold == TRAIN).any():
        bench.notes.append(f"{name}: no training strain, nothing scored")
        return []
    strong = find_signal(values, fold == TRAIN, vectors.unit)
    test = int((fold == TEST).sum())
    bench.notes.append(
        f"{name}: {int((strong & (fold == TEST)).sum())} of {test} test strains have "
        f"signal and are scored; the perturbed genes' own columns are left out"
    )
    folds = divide_folds(fold, strong & (fold == TEST))
    if not len(folds.scored):
        return []
    fitness = _fill_fitness(bench, rows, folds)
    genes = count_strain_genes(bench.cohort.strains, rows, bench.networks.n_gene)
    models = fit_profile_baselines(
        values, folds, genes, bench.networks, bench.vectors, fitness=fitness
    )
    mean = average_columns(values[folds.train])
    measured = values[folds.scored].astype(np.float64)
    truth = None if bench.truth is None else bench.truth.vectors.get(name)
    everything = _with_model(bench, predicted, rows[folds.scored], models, name, truth, ~absent)
    out = []
    for quantity, centre in ((name, mean), (f"{name}_profile", np.zeros(len(mean)))):
        for split in SPLITS:
            inside = bench.cohort.test_strains(split)[rows[folds.scored]]
            if inside.any():
                out += [
                    _profile_score(
                        name, quantity, split, model, measured[inside], guess[inside], centre
                    )
                    for model, guess in everything
                ]
    return out


def _score_parameters(
    bench: Bench, name: str, vectors: Vectors, predicted: MeasuredPrediction
) -> list[Score]:
    """Parameters across strains, in s.d. of the training strains."""
    rows, values = average_repeats(vectors)
    fold = bench.cohort.strain_fold[rows]
    if not (fold == TRAIN).any():
        bench.notes.append(f"{name}: no training strain, nothing scored")
        return []
    mean = average_columns(values[fold == TRAIN])
    spread = np.sqrt(average_columns(np.square(values[fold == TRAIN] - mean)))
    useful = np.isfinite(spread) & (spread > 1e-9)
    if not useful.all():
        bench.notes.append(
            f"{name}: {int((~useful).sum())} of {len(useful)} parameters do not vary "
            f"among training strains and are left out"
        )
    values = ((values - mean) / np.where(useful, spread, np.nan))[:, useful].astype(np.float32)
    folds = divide_folds(fold, fold == TEST)
    if not len(folds.scored) or not useful.any():
        return []
    strains = bench.cohort.strains
    genes = count_strain_genes(strains, rows, bench.networks.n_gene)
    models = fit_profile_baselines(
        values, folds, genes, bench.networks, bench.vectors,
        order=[strains.ids[int(row)].as_py() for row in rows],
    )  # fmt: skip
    scale = (mean[useful], spread[useful])
    truth = None if bench.truth is None else bench.truth.vectors.get(name)
    everything = [
        Baseline(model, guess if model not in (MODEL, "true values") else
                 (guess[:, useful] - scale[0]) / scale[1])
        for model, guess in _with_model(bench, 
            predicted, rows[folds.scored], models, name, truth, useful
        )
    ]  # fmt: skip
    measured = values[folds.scored].astype(np.float64)
    out = []
    for split in SPLITS:
        inside = bench.cohort.test_strains(split)[rows[folds.scored]]
        if inside.any():
            out += [
                _parameter_score(name, split, model, measured[inside], guess[inside])
                for model, guess in everything
            ]
    return out


def _with_model(
    bench: Bench,
    predicted: MeasuredPrediction,
    scored: Int64[np.ndarray, " scored"],
    models: tuple[Baseline, ...],
    head: str,
    truth: Float32[np.ndarray, "strain axis"] | None,
    needed: Bool[np.ndarray, " axis"],
) -> list[Baseline]:
    guess = (
        predicted.quantities[head]
        .mean[find_positions(predicted.rows, scored, head)]
        .astype(np.float64)
    )
    refuse_missing(guess[:, needed], head)
    out = [Baseline(MODEL, guess), *models]
    if truth is not None and np.isfinite(truth[scored]).any():
        out.append(Baseline("true values", truth[scored].astype(np.float64)))
    return out


def _fill_fitness(
    bench: Bench, rows: Int64[np.ndarray, " row"], folds: FoldRows
) -> Float64[np.ndarray, " row"] | None:
    """Measured fitness of strains; the mean of the training strains where there is none."""
    fitness: Float64[np.ndarray, " row"] = bench.fitness.value[rows]
    train = fitness[folds.train]
    train = train[np.isfinite(train)]
    if not len(train):
        bench.notes.append("no expression strain has a fitness: no slow-growth signature")
        return None
    lacking = int(np.isnan(fitness).sum())
    if lacking:
        bench.notes.append(
            f"slow-growth signature: {lacking} of {len(rows)} strains have no measured "
            f"fitness and take the training mean"
        )
    fitness[np.isnan(fitness)] = train.mean()  # a copy: rows are picked by index
    return fitness


def average_repeats(
    vectors: Vectors,
) -> tuple[Int64[np.ndarray, " strain"], Float32[np.ndarray, "strain axis"]]:
    """Strain rows, ascending, and the mean of the measured values of each strain's repeats."""
    rows, place = np.unique(vectors.strain, return_inverse=True)
    total = np.zeros((len(rows), vectors.values.shape[1]))
    count = np.zeros(total.shape, dtype=np.int64)
    measured = np.isfinite(vectors.values)
    np.add.at(total, place, np.where(measured, vectors.values, 0.0))
    np.add.at(count, place, measured)
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return rows, mean.astype(np.float32)


def find_signal(
    values: Float32[np.ndarray, "strain axis"], train: Bool[np.ndarray, " strain"], unit: str
) -> Bool[np.ndarray, " strain"]:
    """Which strains change enough genes to differ from noise; see SIGNAL_GENES."""
    threshold = float(np.log2(SIGNAL_FOLD))
    if "log2" not in unit.lower():
        held = values[train]
        threshold = 2.0 * float(np.std(held[np.isfinite(held)], dtype=np.float64))
    changed = np.abs(np.where(np.isfinite(values), values, 0.0)) > threshold
    strong: Bool[np.ndarray, " strain"] = changed.sum(axis=1) >= SIGNAL_GENES
    return strong


def find_own_columns(
    strains: Strains, rows: Int64[np.ndarray, " row"], gene: Int64[np.ndarray, " column"]
) -> Bool[np.ndarray, "row column"]:
    """Where a column is of a gene that the strain itself perturbs."""
    n_gene = int(max(gene.max(initial=-1), strains.gene.max(initial=-1))) + 1
    perturbed = count_strain_genes(strains, rows, n_gene)
    held = np.asarray(perturbed[:, np.maximum(gene, 0)].toarray() > 0)
    return held & (gene >= 0)


def _mean_correlation(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Means of Pearson and Spearman; a constant prediction counts 0, unless all are constant."""
    table = np.array(pairs).reshape(-1, 2)
    if not len(table) or np.isnan(table[:, 0]).all():
        return float("nan"), float("nan")
    first, second = np.where(np.isnan(table), 0.0, table).mean(axis=0)
    return float(first), float(second)


def _profile_score(
    head: str,
    quantity: str,
    split: str,
    model: str,
    measured: Float64[np.ndarray, "strain axis"],
    guess: Float64[np.ndarray, "strain axis"],
    centre: Float64[np.ndarray, " axis"],
) -> Score:
    """Correlations across genes within each strain, averaged over strains; RMSE over all values."""
    known = np.isfinite(measured) & np.isfinite(guess) & np.isfinite(centre)
    each = []
    for y, x, use in zip(measured - centre, guess - centre, known, strict=True):
        if np.isnan(pearson(y[use], y[use])):  # nothing measured that varies
            continue
        each.append((pearson(y[use], x[use]), spearman(y[use], x[use])))
    first, second = _mean_correlation(each)
    error = rmse(measured[known], guess[known])
    return Score(head, quantity, split, model, first, second, error, len(each))


def _parameter_score(
    head: str,
    split: str,
    model: str,
    measured: Float64[np.ndarray, "strain axis"],
    guess: Float64[np.ndarray, "strain axis"],
) -> Score:
    """Correlations across strains of each parameter, averaged over parameters."""
    known = np.isfinite(measured) & np.isfinite(guess)
    each = []
    for y, x, use in zip(measured.T, guess.T, known.T, strict=True):
        if np.isnan(pearson(y[use], y[use])):
            continue
        each.append((pearson(y[use], x[use]), spearman(y[use], x[use])))
    first, second = _mean_correlation(each)
    error = rmse(measured[known], guess[known])
    return Score(head, head, split, model, first, second, error, len(measured))
