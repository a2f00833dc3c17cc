"""Statistics of a cohort that models start from: single effects, projections, scales and noise.

Arrays of the cohort may be mapped from disk; every function walks them a piece at a time.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from genograph.cohorts import TRAIN, Cohort, Fitness, Strains, Vectors
from genograph.cohorts.ragged import (
    count_perturbed,
    cut_pieces,
    cut_vectors,
    find_rows,
    take_strains,
)
from genograph.engine.overlap import (
    N_CONTEXT,
    N_OVERLAP,
    lowest_and_highest,
    overlap,
    reach_norm,
)
from genograph.engine.plans import Plan
from genograph.engine.topology import REACHING, Topology
from genograph.errors import RunError
from genograph.schema import graph_schema

Array = NDArray[Any]


class SingleEffects(NamedTuple):
    """Measured effects of perturbations alone.

    Attributes:
        log_fitness: of each strain of the cohort with one perturbation; NaN elsewhere and where
            it was not measured. Repeated experiments: mean, weighted by 1/sd^2 where all have one.
        n_floored: how many had a smaller fitness than the floor and count as the floor.
    """

    log_fitness: Float32[np.ndarray, " strain"]
    n_floored: int


def single_effects(cohort: Cohort, *, floor: float) -> SingleEffects:
    """The log fitness of the cohort's single mutants."""
    out = np.full(len(cohort.strains), np.nan, np.float32)
    fitness = cohort.fitness
    if fitness is None:
        return SingleEffects(out, 0)

    def kept(piece: slice) -> Array:
        several = count_perturbed(cohort.strains, fitness.strain[piece]) != 1
        alone: Array = ~(several | np.isnan(fitness.value[piece]))
        return alone

    rows = find_rows(len(fitness), kept)
    known, strain = np.unique(fitness.strain[rows], return_inverse=True)
    value, sd, n = fitness.value[rows], fitness.sd[rows], len(known)
    # one experiment without s.d. among several makes their weights equal
    lacking = np.bincount(strain, weights=~(sd > 0), minlength=n)[strain] > 0
    used = np.where(lacking, 1.0, sd).astype(np.float64)
    weight = used**-2.0
    total = np.bincount(strain, weights=weight, minlength=n)
    mean = np.bincount(strain, weights=weight * value, minlength=n) / total
    out[known] = np.log(np.maximum(mean, floor)).astype(np.float32)
    return SingleEffects(out, int((mean < floor).sum()))


def perturbation_effects(
    strains: Strains, effects: Float32[np.ndarray, " strain"], *, of_singles: bool
) -> Float32[np.ndarray, " perturbation"]:
    """The effect that each perturbation of `strains` is known to have alone; NaN where it is not.

    `of_singles` tells those of strains with one perturbation too: never to a model of their own
    fitness. `strains.single` holds rows of the cohort that `effects` belongs to.
    """
    told = strains.single >= 0
    if not of_singles:
        told &= np.repeat(strains.n_perturbed >= 2, strains.n_perturbed)
    return np.where(told, effects[np.where(told, strains.single, 0)], np.nan).astype(np.float32)


def fit_genome_statistics(
    cohort: Cohort,
    topology: Topology,
    effects: Float32[np.ndarray, " strain"],
    *,
    heads: Sequence[str],
    projected: int,
    told: Callable[[Strains], Float32[np.ndarray, " perturbation"]] | None,
) -> dict[str, Tensor]:
    """What the genome model starts from; see GenomeModel.

    Args:
        cohort: the training fold counts, and the genome.
        topology: of the cohort's genome.
        effects: measured log fitness of single mutants by strain row, NaN where there is none.
        heads: phenotypes that the model learns.
        projected: principal components of the CRE embeddings to keep.
        told: the effects that a model of fitness is told of some strains; None: it is told none.

    Raises:
        RunError: the training fold has no value of a phenotype.
    """
    genome = cohort.genome
    projection, mean = fit_components(genome.features, genome.has_features, projected)
    effect = np.full(topology.n_gene, np.nan)
    if told is not None:
        effect = _average_by_gene(cohort, effects, topology.n_gene)
    measured = effect[~np.isnan(effect)]
    effect_scale = float(max(measured.std(), 0.01)) if len(measured) > 1 else 0.2
    norms = reach_norm(topology.reach, topology.n_gene)
    out = {
        "projection": torch.from_numpy(projection),
        "mean": torch.from_numpy(mean),
        "known": torch.from_numpy(_summarise_by_node(effect, topology)),
        "near": torch.from_numpy(_average_neighbours(effect / effect_scale, topology)),
        "effect_scale": torch.tensor(effect_scale, dtype=torch.float32),
        "reach_norm": norms,
    }
    if "fitness" in heads:
        out |= _fit_overlap_scales(cohort, topology, told, norms)
    phenotypes = graph_schema().phenotypes
    for name, vectors in cohort.vectors.items():
        if name in heads:
            out |= fit_vector_scales(cohort, vectors, name, phenotypes[name].axis)
    return out | fit_noise(cohort, heads)


def fit_vector_scales(cohort: Cohort, vectors: Vectors, name: str, axis: str) -> dict[str, Tensor]:
    """The unit in which errors of a vector phenotype are taken, and its wild type.

    Along genes: one scale, the root mean square of the training values (`NAME_scale`), and the gene
    row of each column (`NAME_gene`); the wild type is 0. Along parameters: the s.d. of each over
    training strains, and the wild type's value (`NAME_reference`).

    Raises:
        RunError: the training fold has no value.
    """
    if axis == "gene":
        gene = torch.from_numpy(vectors.gene.astype(np.int64))
        scale = torch.tensor(_root_mean_square(cohort, vectors, name), dtype=torch.float32)
        return {f"{name}_gene": gene, f"{name}_scale": scale}
    reference, deviation = _wild_type_and_deviation(cohort, vectors, name)
    return {
        f"{name}_reference": torch.from_numpy(reference),
        f"{name}_scale": torch.from_numpy(deviation),
    }


def fit_noise(cohort: Cohort, heads: Sequence[str]) -> dict[str, Tensor]:
    """Log variance of the training values about their mean by study, as `noise_QUANTITY`.

    Of vectors, which are in units of their scales, it is 0.
    """
    n_study = len(cohort.studies)
    out = {}
    for name, measured in cohort.measured.items():
        if name not in heads:
            continue
        if isinstance(measured, Vectors):
            out[f"noise_{name}"] = torch.zeros(n_study)
            continue
        for quantity, values in ((name, measured.value), ("interaction", measured.interaction)):
            noise = _scalar_noise(cohort, measured, values)
            out[f"noise_{quantity}"] = torch.from_numpy(noise)
    return out


def fit_components(features: Array, has: Array, n: int) -> tuple[Array, Array]:
    """Principal axes of the features, each scaled to unit variance over the genes, and the mean."""
    rows = features[has].astype(np.float64)
    if not rows.size:
        return np.zeros((features.shape[1], 1), np.float32), np.zeros(features.shape[1], np.float32)
    mean = rows.mean(0)
    centred = rows - mean
    value, vector = np.linalg.eigh(centred.T @ centred / len(rows))
    order = np.argsort(value)[::-1][:n]
    keep = order[value[order] > 1e-9 * max(value.max(), 1e-30)]
    if not len(keep):
        keep = order[:1]
    axes = vector[:, keep] / np.sqrt(np.maximum(value[keep], 1e-30))
    # eigenvectors have no sign of their own: the largest entry is made positive
    sign = np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return (axes * sign).astype(np.float32), mean.astype(np.float32)


class ProjectedFeatures:
    """(features - mean) @ projection, which no training changes: worked out once, and anew only for
    other statistics, another precision or another device."""

    def __init__(self) -> None:
        self._of: tuple[Tensor, ...] = ()
        self._when: tuple[object, ...] = ()
        self._held = torch.empty(0)

    @torch.no_grad()
    def __call__(
        self,
        features: Float32[Tensor, "gene feature"],
        mean: Float[Tensor, " feature"],
        projection: Float[Tensor, "feature component"],
    ) -> Float[Tensor, "gene component"]:
        """See above; under autocast in its precision."""
        each = (features, mean, projection)
        # a tensor that is written in place has another version
        half = map(torch.is_autocast_enabled, ("cpu", "cuda"))
        when = (*half, *(x._version for x in each))
        same = len(self._of) == len(each) and all(map(operator.is_, self._of, each))
        if not same or when != self._when:
            self._held = (features - mean) @ projection
            self._of, self._when = each, when
        return self._held


def _average_by_gene(cohort: Cohort, effects: Array, n_gene: int) -> Array:
    """Mean effect of the training singles of each gene; NaN where there is none."""
    strains = cohort.strains
    rows = np.flatnonzero(~np.isnan(effects) & (cohort.strain_fold == TRAIN))
    gene = strains.gene[strains.offsets[rows]]
    count = np.bincount(gene, minlength=n_gene)
    total = np.bincount(gene, weights=effects[rows], minlength=n_gene)
    out = np.full(n_gene, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def _summarise_by_node(effect: Array, topology: Topology) -> Array:
    """Mean, s.d. and share known of the effects of the genes that reach each node."""
    n_node, reach = topology.n_node, topology.reach
    of_gene = np.repeat(np.arange(topology.n_gene), np.diff(reach.offsets))
    entry = reach.relation != 0
    node, of_gene = reach.node[entry], of_gene[entry]
    value = np.nan_to_num(effect)[of_gene]
    n = np.bincount(node, weights=~np.isnan(effect[of_gene]), minlength=n_node)
    mean = np.bincount(node, weights=value, minlength=n_node) / np.maximum(n, 1)
    square = np.bincount(node, weights=value**2, minlength=n_node)
    variance = np.maximum(square / np.maximum(n, 1) - mean**2, 0.0)
    everyone = np.maximum(np.bincount(node, minlength=n_node), 1)
    return np.stack([mean, np.sqrt(variance), n / everyone], 1).astype(np.float32)


def _average_neighbours(effect: Array, topology: Topology) -> Array:
    """Mean effect of each gene's neighbours by each relation, and whether any is known.

    Neighbours by a relation to genes are those genes; by a relation to terms or complexes all genes
    of the same ones. A gene is not its own neighbour, so it never gets its own measurement.
    """
    n_gene, reach = topology.n_gene, topology.reach
    of_gene = np.repeat(np.arange(n_gene), np.diff(reach.offsets))
    known = (~np.isnan(effect)).astype(np.float64)
    value = np.nan_to_num(effect).astype(np.float64)
    out = np.zeros((n_gene, 2 * (len(REACHING) - 1)), np.float32)
    for number in range(1, len(REACHING)):
        mine = reach.relation == number
        link = csr_matrix(
            (reach.weight[mine].astype(np.float64), (of_gene[mine], reach.node[mine])),
            shape=(n_gene, topology.n_node),
        )
        if (reach.node[mine] < n_gene).all():
            link = link[:, :n_gene]
            own = link.diagonal()
            total, weight = link @ value, link @ known
        else:
            own = np.asarray(link.multiply(link).sum(1)).ravel()
            total, weight = link @ (link.T @ value), link @ (link.T @ known)
        total, weight = total - own * value, weight - own * known
        some = weight > 1e-9
        out[some, 2 * number - 2] = total[some] / weight[some]
        out[some, 2 * number - 1] = 1.0
    return out


SAMPLE = 20_000
"""Training strains that the scales of overlaps are taken from."""


def _fit_overlap_scales(
    cohort: Cohort,
    topology: Topology,
    told: Callable[[Strains], Float32[np.ndarray, " perturbation"]] | None,
    norms: Tensor,
) -> dict[str, Tensor]:
    """Root mean square of overlaps; mean and s.d. of sizes, over training strains with several."""
    unscaled = {
        "overlap_scale": torch.ones(N_OVERLAP),
        "context_mean": torch.zeros(N_CONTEXT),
        "context_scale": torch.ones(N_CONTEXT),
    }
    strains, fold = cohort.strains, cohort.strain_fold
    rows = find_rows(
        len(strains), lambda p: (fold[p] == TRAIN) & (count_perturbed(strains, p) >= 2)
    )
    if len(rows) < 2:
        return unscaled
    some = take_strains(strains, rows[:: max(len(rows) // SAMPLE, 1)])
    effect = np.zeros(len(some.gene), np.float32)
    if told is not None:
        effect = np.nan_to_num(told(some))
    whole = np.arange(len(some))
    plan = Plan.of(some, whole, effect, topology.reach, topology.n_node, at_least=2).tensors()
    shared = overlap(plan, norms)
    sizes = lowest_and_highest(plan, plan.p_effect, topology.features, norms)
    return {
        # what is hardly ever there in training stays small when it comes
        "overlap_scale": shared.square().mean(0).sqrt() + 0.05,
        "context_mean": sizes.mean(0),
        "context_scale": sizes.std(0) + 1e-3,
    }


def _scalar_noise(cohort: Cohort, measured: Fitness, values: Array) -> Array:
    n_study = len(cohort.studies)
    out = np.zeros(n_study, np.float32)
    # twice over the experiments, since a difference of squares would lose digits
    n, total, square = np.zeros((3, n_study))
    for study, found in _of_training(cohort, measured, values):
        n += np.bincount(study, minlength=n_study)
        total += np.bincount(study, weights=found, minlength=n_study)
    mean = total / np.maximum(n, 1)
    for study, found in _of_training(cohort, measured, values):
        away = (found - mean[study]) ** 2
        square += np.bincount(study, weights=away, minlength=n_study)
    several = n > 1
    out[several] = np.log(np.maximum(square[several] / n[several], 1e-5))
    return out


def _of_training(cohort: Cohort, fitness: Fitness, values: Array) -> Iterator[tuple[Array, Array]]:
    """Study and value of the training experiments that have one, in pieces."""
    for piece in cut_pieces(len(fitness)):
        found = values[piece].astype(np.float64)
        kept = (cohort.strain_fold[fitness.strain[piece]] == TRAIN) & ~np.isnan(found)
        yield fitness.study[piece][kept], found[kept]


def _wild_type_and_deviation(cohort: Cohort, vectors: Vectors, name: str) -> tuple[Array, Array]:
    """The wild type's value of each parameter and the s.d. over training strains.

    Where no wild type was measured, the median training strain stands for it: most single
    deletions look like the wild type.
    """
    n_perturbed = count_perturbed(cohort.strains, vectors.strain)
    wild = np.flatnonzero(n_perturbed == 0)
    train = np.flatnonzero((cohort.strain_fold[vectors.strain] == TRAIN) & (n_perturbed > 0))
    if not len(train):
        msg = f"the cohort has no {name} experiment in its training fold; export more strains"
        raise RunError(msg)
    n_column = len(vectors.names)
    reference, deviation = np.zeros(n_column), np.ones(n_column)
    # column by column: the matrix may not fit in memory
    for column in range(n_column):
        values = vectors.values[train, column].astype(np.float64)
        found = vectors.values[wild, column].astype(np.float64) if len(wild) else values
        values, found = values[~np.isnan(values)], found[~np.isnan(found)]
        if len(found):
            reference[column] = found.mean() if len(wild) else np.median(found)
        if len(values) > 1 and values.std() > 0:
            deviation[column] = values.std()
    return reference.astype(np.float32), deviation.astype(np.float32)


def _root_mean_square(cohort: Cohort, vectors: Vectors, name: str) -> float:
    rows = np.flatnonzero(cohort.strain_fold[vectors.strain] == TRAIN)
    n, square = 0, 0.0
    for some in cut_vectors(vectors, rows):
        values = vectors.values[some]
        finite = values[~np.isnan(values)].astype(np.float64)
        n, square = n + len(finite), square + float((finite**2).sum())
    if not n:
        msg = f"the cohort has no {name} value in its training fold; export more strains"
        raise RunError(msg)
    return float(max(np.sqrt(square / n), 1e-6))
