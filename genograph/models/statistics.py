"""What a model takes from its cohort: measured single effects, projections, scales."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from genograph.cohorts import TRAIN, Cohort, Fitness, Strains, Vectors
from genograph.cohorts.ragged import n_perturbed_of, pieces, rows_where, take_strains
from genograph.engine.topology import REACHING, Topology
from genograph.errors import RunError
from genograph.models.config import ModelConfig
from genograph.models.genome import Setting
from genograph.models.overlap import N_CONTEXT, N_OVERLAP, extent, lowest_and_highest, overlap
from genograph.models.plans import Plan

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
        several = n_perturbed_of(cohort.strains, fitness.strain[piece]) != 1
        alone: Array = ~(several | np.isnan(fitness.value[piece]))
        return alone

    rows = rows_where(len(fitness), kept)
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
    strains: Strains, effects: Float32[np.ndarray, " strain"], config: ModelConfig, head: str
) -> Float32[np.ndarray, " perturbation"]:
    """The effect that each perturbation of `strains` is known to have alone; NaN where it is not.

    Only strains with two or more perturbations are told, unless `growth_from` is measured and the
    head is not fitness: a measured single mutant is never an input for its own fitness.
    `strains.single` holds rows of the cohort that `effects` belongs to.
    """
    if config.singles == "hidden":
        return np.full(len(strains.gene), np.nan, np.float32)
    told = strains.single >= 0
    if head == "fitness" or config.growth_from == "predicted":
        told &= np.repeat(strains.n_perturbed >= 2, strains.n_perturbed)
    return np.where(told, effects[np.where(told, strains.single, 0)], np.nan).astype(np.float32)


def setting_of(cohort: Cohort, topology: Topology, config: ModelConfig) -> Setting:
    """What the model of this cohort starts from; a function of the training fold and the genome."""
    genome = cohort.genome
    projection, mean = _components(genome.features, genome.has_features, config.projected)
    effects = single_effects(cohort, floor=config.fitness_floor).log_fitness
    effect = np.full(topology.n_gene, np.nan)
    if config.singles == "measured":
        effect = _gene_effects(cohort, effects, topology.n_gene)
    measured = effect[~np.isnan(effect)]
    effect_scale = float(max(measured.std(), 0.01)) if len(measured) > 1 else 0.2
    extents = extent(topology.reach, topology.n_gene)
    expression, morphology = cohort.expression, cohort.morphology
    gene = np.zeros(0, np.int64) if expression is None else expression.gene
    scale = 1.0
    if expression is not None:
        values = expression.values[cohort.strain_fold[expression.strain] == TRAIN]
        scale = _root_mean_square(values)
    reference = spread = np.zeros(0, np.float32)
    if morphology is not None:
        reference, spread = _morphology(cohort, morphology)
    return Setting(
        torch.from_numpy(projection),
        torch.from_numpy(mean),
        torch.from_numpy(_known(effect, topology)),
        torch.from_numpy(_near(effect / effect_scale, topology)),
        torch.tensor(effect_scale, dtype=torch.float32),
        extents,
        *_scales(cohort, topology, config, effects, extents),
        torch.from_numpy(gene.astype(np.int64)),
        torch.tensor(scale, dtype=torch.float32),
        torch.from_numpy(reference),
        torch.from_numpy(spread),
        torch.from_numpy(_noise(cohort)),
    )


def _components(features: Array, has: Array, n: int) -> tuple[Array, Array]:
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


def _gene_effects(cohort: Cohort, effects: Array, n_gene: int) -> Array:
    """Mean effect of the training singles of each gene; NaN where there is none."""
    strains = cohort.strains
    rows = np.flatnonzero(~np.isnan(effects) & (cohort.strain_fold == TRAIN))
    gene = strains.gene[strains.offsets[rows]]
    count = np.bincount(gene, minlength=n_gene)
    total = np.bincount(gene, weights=effects[rows], minlength=n_gene)
    out = np.full(n_gene, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def _known(effect: Array, topology: Topology) -> Array:
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


def _near(effect: Array, topology: Topology) -> Array:
    """Mean effect of each gene's neighbours by each relation, and whether any is known.

    Neighbours by a relation to genes are those genes; by a relation to terms or complexes all genes
    of the same ones. A gene is no neighbour of its own, so no gene is told its own measurement.
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


def _scales(
    cohort: Cohort, topology: Topology, config: ModelConfig, effects: Array, extents: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Root mean square of overlaps; mean and s.d. of sizes, over training strains with several."""
    unscaled = torch.ones(N_OVERLAP), torch.zeros(N_CONTEXT), torch.ones(N_CONTEXT)
    if "fitness" not in config.heads:
        return unscaled
    strains, fold = cohort.strains, cohort.strain_fold
    rows = rows_where(
        len(strains), lambda p: (fold[p] == TRAIN) & (n_perturbed_of(strains, p) >= 2)
    )
    if len(rows) < 2:
        return unscaled
    some = take_strains(strains, rows[:: max(len(rows) // SAMPLE, 1)])
    effect = np.nan_to_num(perturbation_effects(some, effects, config, "fitness"))
    whole = np.arange(len(some))
    plan = Plan.of(some, whole, effect, topology.reach, topology.n_node, at_least=2).tensors()
    shared = overlap(plan, extents)
    sizes = lowest_and_highest(plan, plan.p_effect, topology.features, extents)
    # what is hardly ever there in training stays small when it comes
    return shared.square().mean(0).sqrt() + 0.05, sizes.mean(0), sizes.std(0) + 1e-3


def _noise(cohort: Cohort) -> Array:
    """Log variance of the training values about their mean, by study; see Setting.noise."""
    n_study = len(cohort.studies)
    out = np.zeros((n_study, 4), np.float32)
    fitness = cohort.fitness
    if fitness is not None:
        for column, values in enumerate((fitness.value, fitness.interaction)):
            # twice over the experiments, since a difference of squares would lose digits
            n, total, square = np.zeros((3, n_study))
            for study, found in _of_training(cohort, fitness, values):
                n += np.bincount(study, minlength=n_study)
                total += np.bincount(study, weights=found, minlength=n_study)
            mean = total / np.maximum(n, 1)
            for study, found in _of_training(cohort, fitness, values):
                away = (found - mean[study]) ** 2
                square += np.bincount(study, weights=away, minlength=n_study)
            told = n > 1
            out[told, column] = np.log(np.maximum(square[told] / n[told], 1e-5))
    return out


def _of_training(cohort: Cohort, fitness: Fitness, values: Array) -> Iterator[tuple[Array, Array]]:
    """Study and value of the training experiments that have one, in pieces."""
    for piece in pieces(len(fitness)):
        found = values[piece].astype(np.float64)
        kept = (cohort.strain_fold[fitness.strain[piece]] == TRAIN) & ~np.isnan(found)
        yield fitness.study[piece][kept], found[kept]


def _morphology(cohort: Cohort, morphology: Vectors) -> tuple[Array, Array]:
    """The wild type's value of each parameter and the s.d. over training strains.

    Where no wild type was measured, the median training strain stands for it: most single
    deletions look like the wild type.
    """
    wild = cohort.strains.n_perturbed[morphology.strain] == 0
    train = (cohort.strain_fold[morphology.strain] == TRAIN) & ~wild
    if not train.any():
        msg = "the cohort has no morphology experiment in its training fold; export more strains"
        raise RunError(msg)
    values = morphology.values[train].astype(np.float64)
    found = morphology.values[wild] if wild.any() else values
    reference = np.zeros(values.shape[1])
    spread = np.ones(values.shape[1])
    for column in range(values.shape[1]):
        measured = values[~np.isnan(values[:, column]), column]
        level = found[~np.isnan(found[:, column]), column]
        if len(level):
            reference[column] = level.mean() if wild.any() else np.median(level)
        if len(measured) > 1 and measured.std() > 0:
            spread[column] = measured.std()
    return reference.astype(np.float32), spread.astype(np.float32)


def _root_mean_square(values: Array) -> float:
    finite = values[~np.isnan(values)].astype(np.float64)
    if not len(finite):
        msg = "the cohort has no expression value in its training fold; export more strains"
        raise RunError(msg)
    return float(max(np.sqrt((finite**2).mean()), 1e-6))
