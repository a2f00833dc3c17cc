"""The simulated cell: systems, pathways, steps and the genes that carry them; their fitness.

A system has two pathways. In a buffered system they are sisters: either one nearly suffices, so
losing both costs far more than the product of the single losses (negative interaction). In a
serial system each is needed. A pathway is a chain of steps under metabolic control: its flux is
1 / sum(control_m / activity_m) (Kacser and Burns 1973), so a second loss in a blocked chain adds
little (masking, positive interaction). A step is one enzyme, two isozymes or a complex.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SINGLE, ISOZYME, COMPLEX = 0, 1, 2
HILL = 2.0  # steepness of the output of a system over its flux
GENES_PER_SYSTEM = 24
TIGHT = 0.75  # share of the steps without a bypass
SICK = 0.95  # a fitness below this is a growth defect
SICK_SHARE = 0.22  # share of viable deletions with one: buffering is scaled to give it


@dataclass(frozen=True)
class Architecture:
    """The genes' roles as flat arrays; members are sorted by step, steps by pathway.

    Attributes:
        n_gene: genes, as 0-based rows throughout.
        regulator: [regulator] rows of the transcription factors.
        member_gene, member_step: [member] a gene's part in a step; a gene may have several.
        member_weight: [member] share of the step's capacity for an isozyme, loss of the step's
            activity without the gene for a subunit or a single enzyme; (0, 1].
        step_kind: [step] SINGLE, ISOZYME or COMPLEX.
        step_leak: [step] activity that stays when all genes of the step are gone, [0, 1).
        step_control: [step] flux control; sums to 1 in a pathway.
        step_pathway: [step] its pathway.
        pathway_system: [pathway] its system; pathways 2k and 2k + 1 are those of system k.
        buffered: [system] the two pathways are sisters that stand in for one another.
        half_flux: [system] flux at which the output is half of its limit, relative to wild type.
        importance: [system] fitness lost without the system, [0, 1).
        own_effect: [gene] fitness lost without the gene beside all systems, [0, 1).
    """

    n_gene: int
    regulator: Ints
    member_gene: Ints
    member_step: Ints
    member_weight: Floats
    step_kind: Ints
    step_leak: Floats
    step_control: Floats
    step_pathway: Ints
    pathway_system: Ints
    buffered: Bools
    half_flux: Floats
    importance: Floats
    own_effect: Floats

    @property
    def n_system(self) -> int:
        """Number of systems."""
        return len(self.importance)

    @property
    def member_pathway(self) -> Ints:
        """[member] the pathway of each membership."""
        return np.asarray(self.step_pathway[self.member_step])

    def isozymes(self) -> Ints:
        """[pair, 2] genes that carry one step together and stem from one ancestor."""
        of_isozyme = self.step_kind[self.member_step] == ISOZYME
        return np.asarray(self.member_gene[of_isozyme]).reshape(-1, 2)


class Growth(NamedTuple):
    """The effect of gene activities on a strain.

    Attributes:
        fitness: [strain] relative to the wild type, which is exactly 1.
        flux: [strain, pathway] relative to the wild type.
    """

    fitness: Floats
    flux: Floats


def growth(cell: Architecture, activity: Floats) -> Growth:
    """Fitness and pathway fluxes of strains, from `activity` [strain, gene], wild type 1."""
    flux = fluxes(cell, activity)
    return Growth(growth_by_systems(cell, flux) * growth_by_genes(cell, activity), flux)


def fluxes(cell: Architecture, activity: Floats) -> Floats:
    """Flux of every pathway [strain, pathway], relative to the wild type."""
    a = activity[:, cell.member_gene]
    isozyme = cell.step_kind[cell.member_step] == ISOZYME
    # a subunit in excess adds no complex; an isozyme in excess adds capacity
    lost = cell.member_weight * (1.0 - np.minimum(a, 1.0))
    part = np.where(isozyme, cell.member_weight * a, np.log(np.maximum(1.0 - lost, 1e-12)))
    first_member = np.flatnonzero(np.diff(cell.member_step, prepend=-1))
    step = np.add.reduceat(part, first_member, axis=1)
    step = np.where(cell.step_kind == ISOZYME, step, np.exp(step))
    step = cell.step_leak + (1.0 - cell.step_leak) * step
    first_step = np.flatnonzero(np.diff(cell.step_pathway, prepend=-1))
    return np.asarray(1.0 / np.add.reduceat(cell.step_control / step, first_step, axis=1))


def growth_by_changes(
    cell: Architecture, n_strain: int, strain: Ints, gene: Ints, activity: Floats
) -> Growth:
    """As `growth`, from the genes alone that differ from the wild type.

    `strain`, `gene` and `activity` [change]: in strain s the gene has that activity, all other
    genes have 1. The work grows with the changes, not with the genome.
    """
    by_gene = np.argsort(cell.member_gene, kind="stable")
    n_role = np.bincount(cell.member_gene, minlength=cell.n_gene)
    first = np.cumsum(n_role) - n_role
    roles = n_role[gene]
    change = np.repeat(np.arange(len(gene)), roles)
    within = np.arange(len(change)) - np.repeat(np.cumsum(roles) - roles, roles)
    member = by_gene[first[gene[change]] + within]
    a = activity[change]
    weight = cell.member_weight[member]
    isozyme = cell.step_kind[cell.member_step[member]] == ISOZYME
    lost = weight * (1.0 - np.minimum(a, 1.0))
    shift = np.where(isozyme, weight * (a - 1.0), np.log(np.maximum(1.0 - lost, 1e-12)))
    n_step, n_pathway = len(cell.step_kind), len(cell.pathway_system)
    place, inverse = np.unique(
        strain[change] * n_step + cell.member_step[member], return_inverse=True
    )
    moved = np.bincount(inverse, shift, minlength=len(place))
    at, step = place // n_step, place % n_step
    value = np.where(cell.step_kind[step] == ISOZYME, 1.0 + moved, np.exp(moved))
    value = cell.step_leak[step] + (1.0 - cell.step_leak[step]) * value
    resistance = np.ones((n_strain, n_pathway))
    slower = cell.step_control[step] * (1.0 / value - 1.0)
    np.add.at(resistance, (at, cell.step_pathway[step]), slower)
    flux = 1.0 / resistance
    own = np.ones(n_strain)
    np.multiply.at(own, strain, 1.0 - cell.own_effect[gene] * (1.0 - np.minimum(activity, 1.0)))
    return Growth(growth_by_systems(cell, flux) * own, flux)


def growth_by_systems(cell: Architecture, flux: Floats) -> Floats:
    """Fitness [strain] after the systems' effects: a product over systems."""
    one, other = flux[:, 0::2], flux[:, 1::2]
    parallel = _output((one + other) / 2.0, cell.half_flux)
    serial = _output(one, cell.half_flux) * _output(other, cell.half_flux)
    output = np.where(cell.buffered, parallel, serial)
    return np.asarray(np.prod(1.0 - cell.importance * (1.0 - output), axis=1))


def growth_by_genes(cell: Architecture, activity: Floats) -> Floats:
    """Fitness [strain] after the genes' own effects, outside all systems."""
    mine = np.flatnonzero(cell.own_effect)
    lost = cell.own_effect[mine] * (1.0 - np.minimum(activity[:, mine], 1.0))
    return np.asarray(np.prod(1.0 - lost, axis=1))


def _output(flux: Floats, half: Floats) -> Floats:
    """Saturating output of a system, 1 at flux 1."""
    raised = flux**HILL
    return raised / (raised + half**HILL) * (1.0 + half**HILL)


def draw_architecture(rng: np.random.Generator, n_gene: int) -> Architecture:
    """A random cell of `n_gene` genes: about 8 % regulators, 12 % outside all pathways."""
    n_regulator = min(200, max(10, round(0.08 * n_gene)))
    n_outside = round(0.12 * n_gene)
    n_inside = n_gene - n_regulator - n_outside
    n_system = max(3, round(n_inside / GENES_PER_SYSTEM))
    genes = rng.permutation(n_gene)
    regulator = np.sort(genes[:n_regulator])
    outside = genes[n_regulator : n_regulator + n_outside]
    inside = genes[n_regulator + n_outside :]
    # pathways differ in size by up to a half; cuts are where the sizes' running sum falls
    size = rng.uniform(0.7, 1.3, 2 * n_system)
    cuts = np.round(np.cumsum(size / size.sum())[:-1] * n_inside).astype(int)
    members: list[tuple[int, int, float]] = []
    kind: list[int] = []
    pathway_of_step: list[int] = []
    for pathway, mine in enumerate(np.split(inside, cuts)):
        at = 0
        while at < len(mine):
            left = len(mine) - at
            k = int(rng.choice([SINGLE, ISOZYME, COMPLEX], p=[0.6, 0.17, 0.23]))
            n = {SINGLE: 1, ISOZYME: 2, COMPLEX: int(rng.integers(3, 6))}[k]
            if n > left:
                k, n = SINGLE, 1
            step = len(kind)
            major = float(rng.uniform(0.5, 0.7))
            for i, gene in enumerate(mine[at : at + n]):
                if k == SINGLE:
                    weight = 1.0
                elif k == ISOZYME:
                    weight = (major, 1.0 - major)[i]
                else:  # core subunits are indispensable, accessory ones are not
                    weight = 1.0 if rng.random() < 0.7 else float(rng.uniform(0.2, 0.6))
                members.append((step, int(gene), weight))
            kind.append(k)
            pathway_of_step.append(pathway)
            at += n
    _add_second_roles(rng, members, np.array(kind), np.array(pathway_of_step), inside)
    members.sort()
    step_pathway = np.array(pathway_of_step)
    control = rng.gamma(4.0, 1.0, len(kind))
    control /= np.bincount(step_pathway, control)[step_pathway]
    # the rest have a bypass; as many in every pathway, so that seeds differ little in how sick
    tight = np.zeros(len(kind), dtype=bool)
    for pathway in range(2 * n_system):
        mine = rng.permutation(np.flatnonzero(step_pathway == pathway))
        tight[mine[: round(TIGHT * len(mine))]] = True
    leak = np.where(tight, rng.uniform(0.002, 0.02, len(kind)), rng.uniform(0.15, 0.6, len(kind)))
    own = np.zeros(n_gene)
    affected = outside[rng.random(len(outside)) < 0.2]
    own[affected] = rng.beta(1.2, 4.0, len(affected))
    # buffered systems matter more: else nothing would have kept their second pathway
    buffered = rng.permutation(np.arange(n_system) < round(0.7 * n_system))
    importance = np.empty(n_system)
    # evenly spaced, in random order: two seeds differ in which system matters, not in how many
    importance[buffered] = rng.permutation(np.linspace(0.4, 0.95, buffered.sum()))
    importance[~buffered] = rng.permutation(np.linspace(0.12, 0.46, (~buffered).sum()))
    importance[rng.choice(np.flatnonzero(~buffered))] = 0.97  # one system nobody can lose
    return Architecture(
        n_gene=n_gene,
        regulator=regulator,
        member_gene=np.array([m[1] for m in members]),
        member_step=np.array([m[0] for m in members]),
        member_weight=np.array([m[2] for m in members]),
        step_kind=np.array(kind),
        step_leak=leak,
        step_control=control,
        step_pathway=step_pathway,
        pathway_system=np.arange(2 * n_system) // 2,
        buffered=buffered,
        half_flux=np.where(buffered, rng.uniform(0.12, 0.2, n_system), 0.3),
        importance=importance,
        own_effect=own,
    )


def _add_second_roles(
    rng: np.random.Generator,
    members: list[tuple[int, int, float]],
    kind: Ints,
    pathway: Ints,
    inside: Ints,
) -> None:
    """Give 4 % of the genes an accessory part in a complex of another pathway."""
    home = {gene: int(pathway[step]) for step, gene, _ in members}
    complexes = np.flatnonzero(kind == COMPLEX)
    for gene in rng.choice(inside, round(0.04 * len(inside)), replace=False):
        elsewhere = complexes[pathway[complexes] // 2 != home[int(gene)] // 2]
        if len(elsewhere):
            step = int(rng.choice(elsewhere))
            members.append((step, int(gene), float(rng.uniform(0.3, 0.7))))


def scaled(cell: Architecture, factor: float) -> Architecture:
    """The cell with the half flux of its buffered systems times `factor`."""
    half = np.where(cell.buffered, cell.half_flux * factor, cell.half_flux)
    return replace(cell, half_flux=half)
