"""What the strains show: true fitness, interactions, expression and morphology.

Presence of a gene is 0 (deleted) to 2 (over-expressed), 1 in the wild type. All truth comes from
the same cell: presence -> regulation -> activity -> flux -> fitness, expression, morphology.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genograph.schema import Perturbation, strain_id
from genograph.simulation.architecture import (
    SICK,
    SICK_SHARE,
    Architecture,
    Floats,
    Growth,
    Ints,
    growth,
    growth_by_changes,
    growth_by_systems,
    scaled,
)
from genograph.simulation.regulation import STRONGEST, Regulation

CHUNK = 300_000  # strains x genes, or x pathways, at a time: 2.4 MB an array
INVIABLE = 0.2  # a deletion below this is not in the collection; its gene is essential
GONE = 0.08  # what an array reads of a deleted gene, relative to wild type
SENSING = 1.5  # induction of a pathway's sensor at no flux
MORPHOLOGY = (
    "C103_A log long axis (log e1)",
    "C115_A log axis ratio (log e1/e2)",
    "C101_A log cell area",
    "bud size ratio",
    "bud neck width",
    "bud angle",
    "nuclear area",
    "nuclear position",
    "actin patch fraction",
    "vacuole area",
    "vacuole fragments",
    "unbudded fraction",
)
WILD_TYPE = np.array([1.72, 0.18, np.log(np.pi / 4) + 2 * 1.72 - 0.18])  # axes in micrometres
WILD_TYPE = np.append(WILD_TYPE, [0.55, 1.25, 0.6, 3.1, 0.35, 0.4, 4.2, 1.9, 0.38])
SCALE = np.array([0.10, 0.09, 0.0, 0.08, 0.12, 0.15, 0.35, 0.06, 0.10, 0.60, 0.50, 0.10])


class Allele(NamedTuple):
    """A perturbation of one gene: `kind` as in the graph, presence that is left of the gene."""

    row: int
    kind: str
    allele: str
    presence: float

    def suffix(self) -> str:
        """The suffix that screens write after the systematic name."""
        return {"deletion": "", "damp": "_damp"}.get(self.kind, f"_{self.allele}")

    def perturbation(self, name: str) -> Perturbation:
        """The allele as a perturbation of the graph."""
        return Perturbation.of(name, self.kind, self.allele)


@dataclass(frozen=True)
class Cell:
    """A cell with its regulation, calibrated."""

    architecture: Architecture
    regulation: Regulation
    morphology_loading: Floats
    growth_expression: Floats
    growth_morphology: Floats

    def grow(self, strains: list[tuple[Allele, ...]]) -> Growth:
        """Fitness [strain] and flux [strain, pathway] of strains."""
        return _in_chunks(self.architecture, self.regulation, strains)

    def expression(self, strains: list[tuple[Allele, ...]]) -> Floats:
        """Log2 fold change [strain, gene] against the wild type.

        The cascade of the perturbed factors, the induction of pathways whose sensor feels a
        falling flux, and the common signature of slow growth (Regenberg 2006; O'Duibhir 2014).
        """
        flux_of = self.grow(strains)
        n_factor = len(self.regulation.factor_gene)
        presence = _presence(strains, self.architecture.n_gene)
        factor = presence[:, self.regulation.factor_gene]
        deficit = np.maximum(1.0 - flux_of.flux, 0.0)
        felt = np.zeros((len(strains), n_factor))
        for pathway, sensor in enumerate(self.regulation.senses):
            felt[:, sensor] = np.maximum(felt[:, sensor], deficit[:, pathway])
        # a perturbed factor's own regulon is felt through the cascade alone
        felt[(factor != 1.0).any(axis=1)] = 0.0
        induced = np.minimum(factor * (1.0 + (SENSING - 1.0) * felt), STRONGEST)
        change = self.regulation.response(induced)
        change += (1.0 - flux_of.fitness)[:, None] * self.growth_expression
        return np.asarray(change + np.log2(np.maximum(presence, GONE)))

    def morphology(self, strains: list[tuple[Allele, ...]]) -> Floats:
        """Morphology [strain, parameter] from module deficits; the first three are one ellipse."""
        grown = self.grow(strains)
        deficit = 1.0 - np.minimum(grown.flux, 1.0)
        shift = deficit @ self.morphology_loading
        shift += (1.0 - grown.fitness)[:, None] * self.growth_morphology
        out = WILD_TYPE + SCALE * shift
        out[:, 2] = np.log(np.pi / 4) + 2 * out[:, 0] - out[:, 1]
        return np.asarray(out)


def _presence(strains: list[tuple[Allele, ...]], n_gene: int) -> Floats:
    presence = np.ones((len(strains), n_gene))
    for i, strain in enumerate(strains):
        for allele in strain:
            presence[i, allele.row] = allele.presence
    return presence


def _in_chunks(
    architecture: Architecture, regulation: Regulation, strains: list[tuple[Allele, ...]]
) -> Growth:
    """Growth of strains; only strains that change a factor go through the cascade."""
    factor = {int(row): i for i, row in enumerate(regulation.factor_gene)}
    cascades = np.array([any(a.row in factor for a in s) for s in strains], dtype=bool)
    out = Growth(np.ones(len(strains)), np.ones((len(strains), len(architecture.pathway_system))))
    dense, sparse = np.flatnonzero(cascades), np.flatnonzero(~cascades)
    factors = np.ones((len(dense), len(factor)))
    for i, row in enumerate(dense):
        for allele in strains[row]:
            if allele.row in factor:
                factors[i, factor[allele.row]] = allele.presence
    change = regulation.settled(factors) if len(dense) else factors
    for which in (dense, sparse):
        width = architecture.n_gene if which is dense else len(architecture.pathway_system)
        for start, stop in _spans(len(which), width):
            rows = which[start:stop]
            mine = [strains[i] for i in rows]
            if which is dense:
                presence = _presence(mine, architecture.n_gene)
                part = growth(architecture, regulation.activity(presence, change[start:stop]))
            else:
                strain = np.array([i for i, s in enumerate(mine) for _ in s], dtype=np.int64)
                gene = np.array([a.row for s in mine for a in s], dtype=np.int64)
                left = np.array([a.presence for s in mine for a in s], dtype=np.float64)
                part = growth_by_changes(architecture, len(mine), strain, gene, left)
            out.fitness[rows], out.flux[rows] = part
    return out


def deletions(rows: Ints | range) -> list[tuple[Allele, ...]]:
    """Single-deletion strains of `rows`."""
    return [(Allele(int(row), "deletion", "", 0.0),) for row in rows]


def calibrate(architecture: Architecture, regulation: Regulation) -> Architecture:
    """The architecture with buffering scaled: SICK_SHARE of viable deletions grow below SICK."""
    alone = deletions(range(architecture.n_gene))
    grown = _in_chunks(architecture, regulation, alone)
    # buffering changes what the systems make of the fluxes, not the fluxes
    own = grown.fitness / growth_by_systems(architecture, grown.flux)
    low, high = 0.2, 4.0
    for _ in range(30):
        middle = float(np.sqrt(low * high))
        fitness = own * growth_by_systems(scaled(architecture, middle), grown.flux)
        viable = fitness[fitness >= INVIABLE]
        if (viable < SICK).mean() < SICK_SHARE:
            low = middle
        else:
            high = middle
    return scaled(architecture, low)


def _spans(n: int, width: int) -> list[tuple[int, int]]:
    size = max(1, CHUNK // width)
    return [(a, min(a + size, n)) for a in range(0, n, size)]


def draw_cell(rng: np.random.Generator, architecture: Architecture, regulation: Regulation) -> Cell:
    """The calibrated cell with its expression and morphology loadings.

    Systems load on morphology, their two pathways alike; a fifth of the pathways follows growth
    (ribosome-like, down in slow growth), an eighth answers stress (up).
    """
    n_pathway = len(architecture.pathway_system)
    n_system = architecture.n_system
    loading = rng.normal(0.0, 1.0, (n_system, len(MORPHOLOGY)))
    loading *= rng.random((n_system, len(MORPHOLOGY))) < 0.4
    loading = loading[architecture.pathway_system]
    loading = loading * rng.uniform(0.6, 1.2, (n_pathway, 1))
    kind = rng.random(n_pathway)
    follows = np.where(kind < 0.2, -2.2, np.where(kind < 0.325, 2.2, 0.0))
    signature = rng.normal(0.0, 0.35, architecture.n_gene)
    np.add.at(signature, architecture.member_gene, follows[architecture.member_pathway])
    return Cell(
        architecture=calibrate(architecture, regulation),
        regulation=regulation,
        morphology_loading=loading,
        growth_expression=signature,
        growth_morphology=rng.normal(0.0, 1.0, len(MORPHOLOGY)),
    )


class Collection(NamedTuple):
    """Strains that a screen can use, with true fitness: deletions of viable genes, then alleles."""

    deletions: list[Allele]
    alleles: list[Allele]
    inviable: NDArray[np.int64]


def draw_collection(rng: np.random.Generator, cell: Cell) -> Collection:
    """The deletion collection and, for essential genes, DAmP and temperature-sensitive alleles."""
    n_gene = cell.architecture.n_gene
    fitness = cell.grow(deletions(range(n_gene))).fitness
    essential = fitness < INVIABLE
    essential[np.argsort(fitness)[:2]] = True  # the two sickest at least
    alleles = []
    for row in np.flatnonzero(essential):
        alleles.append(Allele(int(row), "damp", "", 0.4))
        for number in range(1, int(rng.integers(1, 3))):
            left = float(rng.uniform(0.15, 0.6))
            alleles.append(Allele(int(row), "ts", f"tsq{number}", left))
    viable = [Allele(int(row), "deletion", "", 0.0) for row in np.flatnonzero(~essential)]
    return Collection(viable, alleles, np.flatnonzero(essential))


def name_strain(strain: tuple[Allele, ...], names: list[str]) -> str:
    """The strain's canonical id in the graph."""
    return strain_id(a.perturbation(names[a.row]) for a in strain)
