"""The screens: the strains measured, the noise and the values reported.

A single-mutant screen, a genetic-interaction screen of a query panel against arrays (Costanzo
2010: interaction = double fitness - product of the single fitnesses), an expression compendium
and a morphology screen. Each measurement is truth + normal noise of the standard deviation that
is reported beside it; p is the two-sided normal p-value of interaction / s.d.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from genograph.simulation.architecture import Floats, Ints
from genograph.simulation.phenotypes import SCALE, Allele, Cell, Collection

PAIRS_PER_GENE = 33.4
QUERY_SHARE = 0.6  # of the genes are queries
TARGETED = 0.46  # of a query's pairs at most are drawn from its own system, as in focused arrays
EXPRESSION_NOISE = 0.08  # log2
MORPHOLOGY_NOISE = 0.25  # of the parameter's scale
UNREADABLE = 0.01  # share of morphology values that are missing


class MeasuredSingles(NamedTuple):
    """Measured single mutants: strains, true and measured fitness, reported s.d."""

    strains: list[tuple[Allele, ...]]
    true: Floats
    measured: Floats
    sd: Floats


class MeasuredPairs(NamedTuple):
    """Measured double mutants in the order measured (query, array)."""

    strains: list[tuple[Allele, Allele]]
    true_fitness: Floats
    true_interaction: Floats
    measured: Floats
    sd: Floats
    p: Floats


class MeasuredVectors(NamedTuple):
    """Vector phenotypes [strain, column] of single mutants; NaN is not measured."""

    strains: list[tuple[Allele, ...]]
    true: Floats
    measured: Floats


def measure_singles(rng: np.random.Generator, cell: Cell, strains: Collection) -> MeasuredSingles:
    """Fitness of every viable deletion and every allele."""
    tested = [(a,) for a in strains.deletions + strains.alleles]
    true = cell.grow(list(tested)).fitness
    sd = np.clip(rng.gamma(6.0, 0.0015, len(tested)), 0.002, 0.04)
    # a colony has no negative size: noise that would give one is drawn again as its mirror image
    measured = np.abs(true + rng.normal(0.0, 1.0, len(tested)) * sd)
    return MeasuredSingles(list(tested), true, measured, sd)


def measure_pairs(rng: np.random.Generator, cell: Cell, strains: Collection) -> MeasuredPairs:
    """Interactions of a query panel with arrays of deletions, part in focus, part at random.

    An eighth of the queries carries an allele of an essential gene. Query x array and array x
    query are both measured where both genes are queries and both draw the other.
    """
    arrays = strains.deletions
    n_gene = cell.architecture.n_gene
    n_query = max(20, round(QUERY_SHARE * n_gene))
    n_allele = min(len(strains.alleles), n_query // 8)
    chosen = [strains.alleles[i] for i in _sample(rng, len(strains.alleles), n_allele)]
    n_deletion = min(n_query - n_allele, len(arrays))
    chosen += [arrays[i] for i in _sample(rng, len(arrays), n_deletion)]
    per_query = min(round(PAIRS_PER_GENE * n_gene / len(chosen)), len(arrays) - 1)
    mates = _mates(cell, [a.row for a in arrays])
    pairs: list[tuple[Allele, Allele]] = []
    for query in chosen:
        near = np.array([i for i in mates.get(query.row, []) if arrays[i].row != query.row])
        n_near = min(len(near), round(TARGETED * per_query))
        focus = near[_sample(rng, len(near), n_near)] if n_near else np.empty(0, int)
        others = np.setdiff1d([i for i in range(len(arrays)) if arrays[i].row != query.row], focus)
        wide = others[_sample(rng, len(others), per_query - n_near)]
        pairs += [(query, arrays[i]) for i in np.sort(np.concatenate([focus, wide]).astype(int))]
    alone = {a: i for i, a in enumerate(strains.deletions + strains.alleles)}
    single = cell.grow([(a,) for a in alone]).fitness
    double = cell.grow(list(pairs)).fitness
    expected = np.array([single[alone[q]] * single[alone[a]] for q, a in pairs])
    true = double - expected
    sd = np.clip(rng.lognormal(np.log(0.022), 0.35, len(pairs)), 0.008, 0.08)
    measured = true + rng.normal(0.0, 1.0, len(pairs)) * sd
    return MeasuredPairs(pairs, double, true, measured, sd, 2.0 * ndtr(-np.abs(measured / sd)))


def _sample(rng: np.random.Generator, n: int, size: int) -> Ints:
    return np.asarray(rng.choice(n, size, replace=False))


def _mates(cell: Cell, array_rows: list[int]) -> dict[int, list[int]]:
    """Positions in the array of the genes that share a system with a gene or regulate it."""
    a = cell.architecture
    systems: dict[int, set[int]] = {}
    for gene, pathway in zip(a.member_gene.tolist(), a.member_pathway.tolist(), strict=True):
        systems.setdefault(gene, set()).add(int(a.pathway_system[pathway]))
    for pathway, sensor in enumerate(cell.regulation.senses):
        factor = int(cell.regulation.factor_gene[sensor])
        systems.setdefault(factor, set()).add(int(a.pathway_system[pathway]))
    of_system: dict[int, list[int]] = {}
    for i, row in enumerate(array_rows):
        for system in systems.get(row, ()):
            of_system.setdefault(system, []).append(i)
    return {
        gene: sorted({i for system in mine for i in of_system.get(system, [])})
        for gene, mine in systems.items()
    }


def measure_expression(
    rng: np.random.Generator, cell: Cell, strains: Collection
) -> MeasuredVectors:
    """Expression of all genes in the viable factor deletions and as many others, half of them sick.

    Log2 fold change; the compendium holds 23 strains per 100 genes, at most 1,500.
    """
    viable = {a.row: a for a in strains.deletions}
    wanted = min(1_500, round(0.23 * cell.architecture.n_gene))
    factors = [viable[r] for r in cell.architecture.regulator.tolist() if r in viable][:wanted]
    used = set(factors)
    rest = [a for a in strains.deletions if a not in used]
    fitness = cell.grow([(a,) for a in rest]).fitness
    n_rest = wanted - len(factors)
    by_defect = np.argsort(fitness, kind="stable")
    pool = by_defect[: max(len(rest) // 4, n_rest // 2)]
    sick = pool[_sample(rng, len(pool), n_rest // 2)]
    healthy = np.setdiff1d(np.arange(len(rest)), sick)
    others = healthy[_sample(rng, len(healthy), n_rest - len(sick))]
    tested = [(a,) for a in factors] + [(rest[i],) for i in np.sort(np.append(sick, others))]
    true = cell.expression(list(tested))
    return MeasuredVectors(list(tested), true, true + rng.normal(0.0, EXPRESSION_NOISE, true.shape))


def measure_morphology(
    rng: np.random.Generator, cell: Cell, strains: Collection
) -> MeasuredVectors:
    """Morphology of 97 % of the viable deletions; a per cent of the values was unreadable."""
    n = len(strains.deletions)
    kept = np.sort(_sample(rng, n, round(0.97 * n)))
    tested = [(strains.deletions[i],) for i in kept]
    true = cell.morphology(list(tested))
    scale = np.where(SCALE > 0, SCALE, 0.2)
    measured = true + rng.normal(0.0, 1.0, true.shape) * MORPHOLOGY_NOISE * scale
    measured[rng.random(true.shape) < UNREADABLE] = np.nan
    return MeasuredVectors(list(tested), true, measured)
