"""What a model must beat: baselines and controls, fitted on the train fold alone.

The validation fold chooses ridge penalties and the number of boosted trees, as it does for the
model's own stopping; no baseline sees a test strain's measurement.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Num
from scipy.sparse import csr_matrix

from genograph.cohorts import TEST, TRAIN, VALIDATION, Cohort, Genome, Strains
from genograph.evaluation.pair_features import Networks, make_pair_features, neighbour_mean

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Ridge penalties that are tried."""

COMPONENTS = 64
"""Principal components of the CRE embeddings for the ridge; random embeddings have as many."""

TREES = 250
"""Most boosted trees; the validation fold chooses how many of them count."""

CHOOSING = 5_000
"""Validation strains, drawn at random, that choose the number of trees."""

NEIGHBOURS = 10
"""Training strains whose profiles are averaged by GO similarity."""

WINDOW = 10
"""Training strains on either side in systematic-name order, of which the canary is the median."""


class Baseline(NamedTuple):
    """What one baseline predicts for the scored strains, NaN where it cannot."""

    model: str
    values: Num[np.ndarray, "..."]


class FoldRows(NamedTuple):
    """Positions among the measured strains: where to learn, choose and score."""

    train: Int64[np.ndarray, " train"]
    validation: Int64[np.ndarray, " validation"]
    scored: Int64[np.ndarray, " scored"]


class GeneVectors(NamedTuple):
    """Vectors of genes for the ridge baselines, [gene, component], and the random control."""

    embedded: Float32[np.ndarray, "gene component"] | None
    random: Float32[np.ndarray, "gene component"]


def make_gene_vectors(genome: Genome, *, seed: int = 0) -> GeneVectors:
    """Whitened principal components of the CRE embeddings and random normal vectors, as many.

    Genes without an embedding have zeros; `embedded` is None where no gene has one.
    """
    generator = np.random.default_rng(seed)
    n_gene = len(genome.gene_ids)
    held = np.flatnonzero(genome.has_features)
    n = min(COMPONENTS, n_gene)
    embedded = None
    if len(held) > 2 and genome.features.shape[1]:
        from sklearn.decomposition import PCA

        n = min(n, len(held) - 1, genome.features.shape[1])
        found = PCA(n, whiten=True, svd_solver="covariance_eigh")
        embedded = np.zeros((n_gene, n), dtype=np.float32)
        embedded[held] = found.fit_transform(genome.features[held])
    return GeneVectors(embedded, generator.normal(size=(n_gene, n)).astype(np.float32))


def fit_scalar_baselines(
    target: Float64[np.ndarray, " measured"],
    folds: FoldRows,
    genes: csr_matrix,
    vectors: GeneVectors,
) -> tuple[Baseline, ...]:
    """The mean and the ridges for the scored strains.

    Args:
        target: measured value of each strain.
        folds: positions in the other arguments' first axis.
        genes: [measured, gene] with |1 - dose| where a strain perturbs a gene.
        vectors: of genes.
    """
    out = [
        Baseline("mean", np.full(len(folds.scored), target[folds.train].mean())),
        Baseline("one-hot ridge", _sparse_ridge(_one_hot(genes), target, folds)),
    ]
    for model, table in (
        ("ridge on embeddings", vectors.embedded),
        ("ridge on random embeddings", vectors.random),
    ):
        if table is None:
            out.append(Baseline(model, np.full(len(folds.scored), np.nan)))
        else:
            found = _ridge(_pooled(genes, table), target[:, None], folds)[:, 0]
            out.append(Baseline(model, found))
    return tuple(out)


def count_strain_genes(
    strains: Strains, rows: Int64[np.ndarray, " row"], n_gene: int
) -> csr_matrix:
    """Which genes the strains of `rows` perturb and how much: |1 - dose|, [row, gene]."""
    count = strains.n_perturbed[rows]
    strain = np.repeat(np.arange(len(rows)), count)
    starts = np.cumsum(count) - count
    entry = np.repeat(strains.offsets[rows] - starts, count) + np.arange(len(strain))
    change = np.abs(1.0 - strains.dose[entry].astype(np.float64))
    return csr_matrix((change, (strain, strains.gene[entry])), shape=(len(rows), n_gene))


def make_pair_table(
    cohort: Cohort,
    networks: Networks,
    rows: Int64[np.ndarray, " pair"],
    single: Float32[np.ndarray, "pair 2"],
) -> Float32[np.ndarray, "pair feature"]:
    """PAIR_FEATURES of the cohort's strains `rows`, which have two perturbations each."""
    start = cohort.strains.offsets[rows]
    entry = np.stack([start, start + 1], axis=1)
    return make_pair_features(
        networks, cohort.strains.gene[entry], cohort.strains.dose[entry], single
    )


def make_single_table(
    cohort: Cohort,
    networks: Networks,
    rows: Int64[np.ndarray, " single"],
    fitness: Float64[np.ndarray, " single"],
    train: Int64[np.ndarray, " train"],
    vectors: GeneVectors,
) -> Float32[np.ndarray, "single feature"]:
    """Features of single mutants: dose, counts, what is known of neighbours, the embedding.

    A gene's own measurement is never among its neighbours'; only those of `train` are used.
    """
    gene = cohort.strains.gene[cohort.strains.offsets[rows]]
    dose = cohort.strains.dose[cohort.strains.offsets[rows]]
    total = np.bincount(gene[train], fitness[train], networks.n_gene)
    count = np.bincount(gene[train], minlength=networks.n_gene)
    known = np.full(networks.n_gene, np.nan)
    np.divide(total, count, out=known, where=count > 0)
    links = (
        networks.term,
        networks.complex,
        networks.partner,
        networks.paralog,
        networks.target,
        networks.regulator,
    )
    columns = [dose[:, None], networks.counts[gene]]
    columns += [neighbour_mean(matrix, known)[gene, None] for matrix in links]
    if vectors.embedded is not None:
        columns.append(vectors.embedded[gene, :16])
    return np.concatenate(columns, axis=1).astype(np.float32)


def fit_profile_baselines(
    values: Float32[np.ndarray, "measured axis"],
    folds: FoldRows,
    genes: csr_matrix,
    networks: Networks,
    vectors: GeneVectors,
    *,
    fitness: Float64[np.ndarray, " measured"] | None = None,
    order: Sequence[str] | None = None,
) -> tuple[Baseline, ...]:
    """Vector predictions, [scored, axis], of the mean, GO neighbours, ridges and what is asked for.

    Args:
        values: one profile each strain, NaN where not measured.
        folds: positions in the first axis.
        genes: as for `fit_scalar_baselines`.
        networks: of the genome.
        vectors: of genes.
        fitness: of each strain, measured or predicted from training; adds the slow-growth
            signature (O'Duibhir et al. 2014, Mol Syst Biol 10:732): each column regressed on the
            loss of fitness over the training strains.
        order: systematic name of each strain; adds the running median in that order, which knows
            no biology and finds plate and position effects.
    """
    mean = average_columns(values[folds.train])
    n_scored = len(folds.scored)
    out = [Baseline("mean", np.repeat(mean[None], n_scored, axis=0))]
    if fitness is not None:
        out.append(Baseline("slow-growth signature", _slow_growth(values, folds, fitness, mean)))
    out.append(Baseline("GO neighbours", _go_neighbours(values, folds, genes, networks, mean)))
    filled = np.where(np.isfinite(values), values, mean)
    for model, table in (
        ("ridge on embeddings", vectors.embedded),
        ("ridge on random embeddings", vectors.random),
    ):
        if table is not None:
            out.append(Baseline(model, _ridge(_normed(genes @ table), filled, folds)))
    if order is not None:
        out.append(Baseline("systematic-name order", _name_order(values, folds, order, mean)))
    return tuple(out)


def average_columns(values: Num[np.ndarray, "row axis"]) -> Float64[np.ndarray, " axis"]:
    """Mean of the measured values of each column, NaN where there is none."""
    measured = np.isfinite(values)
    total = np.where(measured, values, 0.0).sum(axis=0, dtype=np.float64)
    mean = np.full(values.shape[1], np.nan)
    np.divide(total, measured.sum(axis=0), out=mean, where=measured.any(axis=0))
    return mean


def _slow_growth(
    values: Float32[np.ndarray, "measured axis"],
    folds: FoldRows,
    fitness: Float64[np.ndarray, " measured"],
    mean: Float64[np.ndarray, " axis"],
) -> Float64[np.ndarray, "scored axis"]:
    loss = 1.0 - fitness
    profile, x = values[folds.train].astype(np.float64), loss[folds.train]
    measured = np.isfinite(profile)
    count = np.maximum(measured.sum(axis=0), 1)
    x_mean = (measured * x[:, None]).sum(axis=0) / count
    dx = np.where(measured, x[:, None] - x_mean, 0.0)
    spread = np.square(dx).sum(axis=0)
    slope = np.zeros(len(mean))
    rise = (dx * np.where(measured, profile, 0.0)).sum(axis=0)
    np.divide(rise, spread, out=slope, where=spread > 1e-12)
    found: Float64[np.ndarray, "scored axis"] = mean + (loss[folds.scored, None] - x_mean) * slope
    return found


def _go_neighbours(
    values: Float32[np.ndarray, "measured axis"],
    folds: FoldRows,
    genes: csr_matrix,
    networks: Networks,
    mean: Float64[np.ndarray, " axis"],
) -> Float64[np.ndarray, "scored axis"]:
    """Similarity-weighted mean of the profiles of the most similar training strains by GO cosine.

    Values that a neighbour lacks, and strains without a similar one, take the training mean.
    """
    annotation = genes @ networks.term
    norm = np.sqrt(np.asarray(annotation.multiply(annotation).sum(axis=1)).ravel())
    scale = csr_matrix(
        (
            np.divide(1.0, norm, out=np.zeros(len(norm)), where=norm > 0),
            (np.arange(len(norm)), np.arange(len(norm))),
        )
    )
    unit = (scale @ annotation).tocsr()
    similarity = (unit[folds.scored] @ unit[folds.train].T).toarray()
    k = min(NEIGHBOURS, len(folds.train))
    near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    weight = np.take_along_axis(similarity, near, axis=1)
    total = weight.sum(axis=1, keepdims=True)
    weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 1e-9)
    change = values[folds.train].astype(np.float64) - mean
    change = np.where(np.isfinite(change), change, 0.0)
    moved = np.stack([w @ change[rows] for w, rows in zip(weight, near, strict=True)])
    return np.asarray(mean + moved, dtype=np.float64)


def _name_order(
    values: Float32[np.ndarray, "measured axis"],
    folds: FoldRows,
    order: Sequence[str],
    mean: Float64[np.ndarray, " axis"],
) -> Float64[np.ndarray, "scored axis"]:
    names = np.array(order)
    ranked = folds.train[np.argsort(names[folds.train], kind="stable")]
    profiles = np.where(np.isfinite(values[ranked]), values[ranked], mean)
    place = np.searchsorted(names[ranked], names[folds.scored])
    return np.stack(
        [np.median(profiles[max(0, at - WINDOW) : at + WINDOW], axis=0) for at in place]
    ).astype(np.float64)


def _one_hot(genes: csr_matrix) -> csr_matrix:
    """Genes that the strains perturb, 1 each whatever the dose."""
    return (genes > 0).astype(np.float64).tocsr()


def _pooled(
    genes: csr_matrix, table: Float32[np.ndarray, "gene component"]
) -> Float32[np.ndarray, "measured 2*component"]:
    """Sum over the perturbed genes, and all products of pairs by component: symmetric in them."""
    total = genes @ table
    square = genes.multiply(genes).tocsr() @ np.square(table)
    return _normed(np.concatenate([total, (total**2 - square) / 2], axis=1))


def _normed(columns: Num[np.ndarray, "measured column"]) -> Float32[np.ndarray, "measured column"]:
    """Columns of unit variance; constant ones stay."""
    spread = columns.std(axis=0)
    return (columns / np.where(spread > 1e-9, spread, 1.0)).astype(np.float32)


def _ridge(
    inputs: Float32[np.ndarray, "measured column"],
    target: Num[np.ndarray, "measured axis"],
    folds: FoldRows,
) -> Float64[np.ndarray, "scored axis"]:
    """Ridge regression by the normal equations, a target a column, NaN where one is not known.

    One penalty for all targets: the one with the smallest squared error on the validation fold.
    """
    known = np.isfinite(target).all(axis=0)
    y = target[:, known].astype(np.float64)
    x_mean = inputs[folds.train].mean(axis=0, dtype=np.float64)
    y_mean = y[folds.train].mean(axis=0)
    x = inputs[folds.train] - x_mean.astype(np.float32)
    values, axes = np.linalg.eigh((x.T @ x).astype(np.float64))
    moved = axes.T @ (x.T.astype(np.float64) @ (y[folds.train] - y_mean))

    def predicted(
        rows: Int64[np.ndarray, " row"], penalty: float
    ) -> Float64[np.ndarray, "row axis"]:
        weights = axes @ (moved / (np.maximum(values, 0.0) + penalty)[:, None])
        return np.asarray(y_mean + (inputs[rows] - x_mean) @ weights, dtype=np.float64)

    best = PENALTIES[len(PENALTIES) // 2]
    if len(folds.validation):
        wanted = y[folds.validation]
        errors = [np.square(predicted(folds.validation, p) - wanted).mean() for p in PENALTIES]
        best = PENALTIES[int(np.argmin(errors))]
    out = np.full((len(folds.scored), target.shape[1]), np.nan)
    out[:, known] = predicted(folds.scored, best)
    return out


def _sparse_ridge(
    inputs: csr_matrix, target: Float64[np.ndarray, " measured"], folds: FoldRows
) -> Float64[np.ndarray, " scored"]:
    """Ridge regression on sparse columns; the penalty is chosen as in `_ridge`."""
    from sklearn.linear_model import Ridge

    tried = PENALTIES if len(folds.validation) else PENALTIES[3:4]
    best: tuple[float, Float64[np.ndarray, " scored"]] | None = None
    for penalty in tried:
        fitted = Ridge(penalty, solver="sparse_cg").fit(inputs[folds.train], target[folds.train])
        error = 0.0
        if len(folds.validation):
            guess = fitted.predict(inputs[folds.validation])
            error = float(np.square(guess - target[folds.validation]).mean())
        if best is None or error < best[0]:
            best = (error, np.asarray(fitted.predict(inputs[folds.scored]), dtype=np.float64))
    assert best is not None
    return best[1]


def fit_boosting(
    features: Float32[np.ndarray, "measured feature"],
    target: Float64[np.ndarray, " measured"],
    folds: FoldRows,
    *,
    seed: int = 0,
) -> Float64[np.ndarray, " scored"]:
    """Gradient-boosted trees on features, NaN being a value; the validation fold stops them."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # a column that is missing in every training strain cannot be binned
    used = np.isfinite(features[folds.train]).any(axis=0)
    # threads that wait for each other at every node cost more than they bring, most of all on a
    # busy machine: 150,000 pairs take ten seconds on one
    with threadpool_limits(limits=1, user_api="openmp"):
        return _boosted(features[:, used], target, folds, seed)


def _boosted(
    table: Float32[np.ndarray, "measured feature"],
    target: Float64[np.ndarray, " measured"],
    folds: FoldRows,
    seed: int,
) -> Float64[np.ndarray, " scored"]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    fitted = HistGradientBoostingRegressor(
        learning_rate=0.08,
        max_iter=TREES if len(folds.validation) else TREES // 4,
        max_leaf_nodes=31,
        min_samples_leaf=min(20, max(1, len(folds.train) // 10)),
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    ).fit(table[folds.train], target[folds.train])
    if not len(folds.validation):
        return np.asarray(fitted.predict(table[folds.scored]), dtype=np.float64)
    choosing = folds.validation
    if len(choosing) > CHOOSING:
        choosing = np.random.default_rng(seed).choice(choosing, CHOOSING, replace=False)
    errors = [
        float(np.square(guess - target[choosing]).mean())
        for guess in fitted.staged_predict(table[choosing])
    ]
    stop = int(np.argmin(errors))
    for at, guess in enumerate(fitted.staged_predict(table[folds.scored])):
        if at == stop:
            return np.asarray(guess, dtype=np.float64)
    raise AssertionError


def divide_folds(
    fold: Num[np.ndarray, " measured"], scored: Bool[np.ndarray, " measured"]
) -> FoldRows:
    """Folds of measured strains from their fold numbers and which are to be scored.

    A strain that training or validation used is never scored.
    """
    assert (fold[scored] == TEST).all()
    return FoldRows(
        np.flatnonzero(fold == TRAIN),
        np.flatnonzero(fold == VALIDATION),
        np.flatnonzero(scored),
    )
