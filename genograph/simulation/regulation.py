"""Regulation: transcription factors, their sites in promoters, and the cascade they drive.

Weights are read back from the DNA: every promoter is scanned with every factor's position weight
matrix on both strands, and affinity is 2 ** (score - best score), as in the thermodynamic reading
of such scores (Berg and von Hippel 1987). What the promoter says is what the cell does, planted or
by chance.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from genograph.simulation.architecture import Architecture, Floats, Ints

PROMOTER = 400  # bp before the start codon that factors read
WIDTH = 12  # bp of a site
GC = 0.38  # of the genome, as in S. cerevisiae
BACKGROUND = np.array([(1 - GC) / 2, GC / 2, GC / 2, (1 - GC) / 2])  # A C G T
FLOOR = 3.0  # bits below the best score at which a site binds no more
STRENGTH = 2.2  # log2 change of a gene for a doubling of a factor that always occupies it
LIMIT = 3.0  # largest log2 change that regulation gives
DAMPING = 0.6  # of what one factor passes on to the next
STRONGEST = 2.0  # presence and induction end here

SCANNED = 8  # promoters at a time: their scores fit in a cache


class Sites(NamedTuple):
    """Planted sites, one row each: gene, factor, position and letters.

    Attributes:
        gene: row of the gene whose promoter holds the site.
        factor: index into the factors.
        offset: 0-based start of the site in the promoter's 400 bp.
        forward: the site reads along the coding strand.
        affinity: relative to the factor's best site, (0, 1].
        letters: [site, WIDTH] bases 0..3 (ACGT) along the coding strand.
    """

    gene: Ints
    factor: Ints
    offset: Ints
    forward: Ints
    affinity: Floats
    letters: Ints


@dataclass(frozen=True)
class Regulation:
    """Factors and the weights that the promoters give them.

    Attributes:
        factor_gene: [factor] gene rows.
        activates: [factor] +1 for an activator, -1 for a repressor.
        matrix: [factor, WIDTH, 4] log2 odds in sixteenths of a bit.
        weight: [gene, factor] log2 change of the gene for a doubling of the factor, signed.
        senses: [pathway] factor that is induced when the pathway's flux falls.
    """

    factor_gene: Ints
    activates: Floats
    matrix: Floats
    weight: Floats
    senses: Ints

    def settled(self, factor_presence: Floats) -> Floats:
        """Steady log2 change of the factors [strain, factor] for their presence, same shape.

        A factor's activity is presence x 2 ** (its own change), at most 2; the iteration is
        damped, and contracts because the factors' own promoters saturate (`read_weights`).
        """
        # strains by the thousand share a few states of the factors: each is settled once
        presence, state = np.unique(factor_presence, axis=0, return_inverse=True)
        among = self.weight[self.factor_gene]
        change = np.zeros_like(presence)
        for _ in range(500):
            target = _saturated(DAMPING * (_active(presence, change) - 1.0) @ among.T)
            step = 0.6 * (target - change)
            change = change + step
            if np.abs(step).max() < 1e-8:
                return np.asarray(change[state.ravel()])
        msg = "the regulatory cascade does not settle"
        raise AssertionError(msg)

    def response(self, factor_presence: Floats, change: Floats | None = None) -> Floats:
        """Log2 change of every gene [strain, gene]; `change` as `settle` gives it."""
        if change is None:
            change = self.settled(factor_presence)
        out = _saturated((_active(factor_presence, change) - 1.0) @ self.weight.T)
        out[:, self.factor_gene] = change
        return out

    def activity(self, presence: Floats, change: Floats | None = None) -> Floats:
        """Activity of every gene [strain, gene] where `presence` says how much of it there is."""
        response = self.response(presence[:, self.factor_gene], change)
        return np.asarray(presence * 2.0**response)


def _active(presence: Floats, change: Floats) -> Floats:
    return np.asarray(np.minimum(presence * 2.0**change, STRONGEST))


def _saturated(change: Floats) -> Floats:
    return np.asarray(LIMIT * np.tanh(change / LIMIT))


def draw_matrices(rng: np.random.Generator, n_factor: int) -> Floats:
    """Position weight matrices [factor, WIDTH, 4], log2 odds in sixteenths of a bit.

    Sixteenths add without rounding, so a score does not depend on the order of the sum.
    """
    sure = rng.choice([0.98, 0.95, 0.75, 0.5], (n_factor, WIDTH), p=[0.45, 0.3, 0.15, 0.1])
    consensus = rng.integers(0, 4, (n_factor, WIDTH))
    rest = np.broadcast_to(((1.0 - sure) / 3.0)[..., None], (n_factor, WIDTH, 4)).copy()
    np.put_along_axis(rest, consensus[..., None], sure[..., None], axis=2)
    return np.asarray(np.round(np.log2(rest / BACKGROUND) * 16) / 16)


def draw_regulons(rng: np.random.Generator, cell: Architecture) -> tuple[Ints, Ints, Ints]:
    """Intended edges as gene rows and factor indices, and the factor that senses each pathway.

    A pathway has a factor of its own that holds three quarters of its genes; every gene has one
    or two more at random, a factor's gene one.
    """
    n_factor = len(cell.regulator)
    n_pathway = len(cell.pathway_system)
    own = np.concatenate([rng.permutation(n_factor) for _ in range(n_pathway // n_factor + 1)])
    senses = own[:n_pathway]
    edges: set[tuple[int, int]] = set()
    for gene, pathway in zip(cell.member_gene, cell.member_pathway, strict=True):
        if rng.random() < 0.75:
            edges.add((int(gene), int(senses[pathway])))
    for gene in range(cell.n_gene):
        more = 1 if gene in cell.regulator else int(rng.integers(0, 3))
        for factor in rng.choice(n_factor, more, replace=False):
            if cell.regulator[factor] != gene:
                edges.add((gene, int(factor)))
    pairs = np.array(sorted(edges))
    return pairs[:, 0], pairs[:, 1], senses


def plant(rng: np.random.Generator, matrix: Floats, genes: Ints, factors: Ints) -> Sites:
    """One or two sites for every intended edge, none over another, drawn from the matrices."""
    copies = rng.integers(1, 3, len(genes))
    gene, factor = np.repeat(genes, copies), np.repeat(factors, copies)
    odds = 2.0**matrix * BACKGROUND
    chance = (odds / odds.sum(axis=2, keepdims=True)).cumsum(axis=2)
    best = matrix.max(axis=2).sum(axis=1)
    slots = (PROMOTER - 20) // (WIDTH + 2)
    free: dict[int, list[int]] = {}
    rows: list[tuple[int, int, int, bool, float]] = []
    letters: list[Ints] = []
    for g, f in zip(gene.tolist(), factor.tolist(), strict=True):
        if g not in free:
            free[g] = rng.permutation(slots).tolist()
        if not free[g]:
            continue  # a full promoter; the weight is read from what was planted
        draws = (rng.random((64, WIDTH, 1)) > chance[f]).sum(axis=2).clip(max=3)
        score = matrix[f][np.arange(WIDTH), draws].sum(axis=1)
        binding = np.flatnonzero(score >= best[f] - FLOOR)
        site = draws[binding[0]] if len(binding) else matrix[f].argmax(axis=1)
        bits = matrix[f][np.arange(WIDTH), site].sum() - best[f]
        along = bool(rng.random() < 0.5)
        rows.append((g, f, free[g].pop() * (WIDTH + 2), along, float(2.0**bits)))
        letters.append(site if along else 3 - site[::-1])
    genes, factors, offset, forward, affinity = (np.array(c) for c in zip(*rows, strict=True))
    return Sites(genes, factors, offset, forward, affinity, np.array(letters))


def read_weights(promoters: Ints, matrix: Floats, activates: Floats, regulator: Ints) -> Floats:
    """Weights [gene, factor] from `promoters` [gene, PROMOTER], bases 0..3 on the coding strand.

    A promoter's occupancy by a factor is A / (A + 0.3), A the summed affinity of its sites.
    A factor's own promoter is scaled so that its weights sum to at most 1: then a cascade of
    factors contracts (0.6 x ln 2 x 2 < 1).
    """
    n_factor = len(matrix)
    both = np.concatenate([matrix, matrix[:, ::-1, ::-1]])  # reverse complement: 3 - base
    filters = both.reshape(2 * n_factor, WIDTH * 4).T.astype(np.float32)
    best = matrix.max(axis=2).sum(axis=1)
    affinity = np.zeros((len(promoters), n_factor))
    for start in range(0, len(promoters), SCANNED):
        hot = np.eye(4, dtype=np.float32)[promoters[start : start + SCANNED]]
        windows = sliding_window_view(hot, WIDTH, axis=1).transpose(0, 1, 3, 2)
        n, places = windows.shape[:2]
        score = (windows.reshape(n * places, WIDTH * 4) @ filters).reshape(n, places, 2, n_factor)
        # sums of sixteenths are exact in single precision, and so is this comparison
        where = np.nonzero(score >= (best - FLOOR).astype(np.float32))
        below = score[where].astype(np.float64) - best[where[3]]
        np.add.at(affinity, (where[0] + start, where[3]), 2.0**below)
    occupancy = affinity / (affinity + 0.3)
    weight = STRENGTH * occupancy * activates
    own = weight[regulator]
    np.fill_diagonal(own, 0.0)
    own /= np.maximum(np.abs(own).sum(axis=1, keepdims=True), 1.0)
    weight[regulator] = own
    return np.asarray(weight)
