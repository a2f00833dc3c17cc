"""Pair plans: the shared nodes of many strains of few genes, found by torch on the device itself.

What `Plan.of(...).tensors()` gives, for strains that all have the same number of perturbations, as
all pairs of a tile of genes do: on a GPU the integers are made where they are used.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from genograph.engine.bags import make_bag
from genograph.engine.plans import SharedNodes, SingleReach
from genograph.engine.topology import REACHING, Topology


class GeneNodes(NamedTuple):
    """Reach on a device: what each gene reaches, node by node, and by which ways.

    Gene i has entries offsets[i] to offsets[i + 1], each one node; entry k has ways
    way_offsets[k] to way_offsets[k + 1].
    """

    offsets: Int64[Tensor, " gene_1"]
    node: Int64[Tensor, " entry"]
    way_offsets: Int64[Tensor, " entry_1"]
    relation: Int64[Tensor, " way"]
    weight: Float32[Tensor, " way"]
    n_node: int

    @classmethod
    def of(cls, topology: Topology, device: torch.device | str) -> "GeneNodes":
        """The reach of a topology's genes."""
        reach = topology.reach
        offsets, node = torch.from_numpy(reach.offsets), torch.from_numpy(reach.node)
        gene = torch.repeat_interleave(torch.arange(topology.n_gene), offsets.diff())
        key = gene * topology.n_node + node
        first = torch.ones(len(key), dtype=torch.bool)
        first[1:] = key[1:] != key[:-1]
        start = torch.nonzero(first)[:, 0]
        counts = torch.bincount(gene[start], minlength=topology.n_gene)
        tensors = (
            torch.cat([counts.new_zeros(1), torch.cumsum(counts, 0)]),
            node[start],
            torch.cat([start, start.new_tensor([len(key)])]),
            torch.from_numpy(reach.relation),
            torch.from_numpy(reach.weight),
        )
        moved = [t.to(device) for t in tensors]
        return cls(moved[0], moved[1], moved[2], moved[3], moved[4], topology.n_node)


def make_pair_plan(
    reach: GeneNodes,
    gene: Int64[Tensor, "strain perturbation"],
    dose: Float[Tensor, "strain perturbation"],
    effect: Float[Tensor, "strain perturbation"],
    *,
    gradients: bool = False,
) -> SharedNodes:
    """The shared nodes of two or more perturbations; a gene has one dose and effect throughout.

    With `gradients` its matrices have transposes, which takes longer.
    """
    n_strain, size = gene.shape
    flat, device = gene.reshape(-1), gene.device
    distinct, of_p = torch.unique(flat, return_inverse=True)
    own, own_row = _expanded(reach.offsets, distinct)
    node = reach.node[own]
    starts = torch.cat(
        [own.new_zeros(1), torch.cumsum(reach.offsets[distinct + 1] - reach.offsets[distinct], 0)]
    )
    strain_of_p = torch.arange(n_strain, device=device).repeat_interleave(size)
    found = _Starts(starts, node, of_p.view(n_strain, size), own_row, reach.n_node)
    join = _pairwise if size == 2 and _are_pairs(found.of_p, len(distinct)) else _sorted
    m_key, m_of_i, i_entry, i_p = join(found)
    n_i, n_m, n_entry = len(i_entry), len(m_key), len(own)
    w, i_of_w = _expanded(reach.way_offsets, own[i_entry])
    n_relation = len(REACHING)
    ways = make_bag(
        i_of_w,
        i_p[i_of_w] * n_relation + reach.relation[w],
        reach.weight[w],
        n_i,
        len(flat) * n_relation,
        presorted=True,
        transpose=gradients,
    )
    ones, here = torch.ones(n_i, device=device), torch.arange(n_i, device=device)
    sums = make_bag(m_of_i, here, ones, n_m, n_i, presorted=True, transpose=gradients)
    u, entry_of_u = _expanded(reach.way_offsets, own)
    first = torch.empty_like(distinct)
    first[of_p] = torch.arange(len(flat), device=device)
    i_strain = strain_of_p[i_p]
    single = SingleReach(
        first,
        node,
        make_bag(
            entry_of_u,
            own_row[entry_of_u] * n_relation + reach.relation[u],
            reach.weight[u],
            n_entry,
            len(distinct) * n_relation,
            presorted=True,
            transpose=gradients,
        ),
        make_bag(m_of_i, i_entry, ones, n_m, n_entry, presorted=True, transpose=gradients),
        make_bag(i_strain, i_entry, ones, n_strain, n_entry, presorted=True, transpose=gradients),
    )
    return SharedNodes(
        n_strain=n_strain,
        p_strain=strain_of_p,
        p_gene=flat,
        p_dose=dose.reshape(-1),
        p_effect=effect.reshape(-1),
        m_node=m_key % reach.n_node,
        m_strain=torch.div(m_key, reach.n_node, rounding_mode="floor"),
        m_reached=torch.bincount(m_of_i, minlength=n_m),
        i_node=node[i_entry],
        i_strain=i_strain,
        ways=ways,
        sums=sums,
        single=single,
    )


class _Starts(NamedTuple):
    """Entries of the distinct genes of some strains: starts by gene, node and gene of each."""

    starts: Tensor
    node: Tensor
    of_p: Tensor
    row: Tensor
    n_node: int


Joined = tuple[Tensor, Tensor, Tensor, Tensor]
"""Strain and node of each shared node as one key; of each incidence its shared node, entry and
perturbation."""


def _sorted(found: _Starts) -> Joined:
    """SharedNodes by sorting everything that the strains reach."""
    n_strain, size = found.of_p.shape
    device = found.of_p.device
    strain_of_p = torch.arange(n_strain, device=device).repeat_interleave(size)
    entry, p_of_e = _expanded(found.starts, found.of_p.reshape(-1))
    key, order = torch.sort(strain_of_p[p_of_e] * found.n_node + found.node[entry], stable=True)
    begins = torch.ones(len(key), dtype=torch.bool, device=device)
    begins[1:] = key[1:] != key[:-1]
    shared = torch.cumsum(begins, 0) - 1
    kept = (torch.bincount(shared) >= 2)[shared] if len(key) else begins
    m_of_i = torch.cumsum(begins[kept], 0) - 1
    return key[kept & begins], m_of_i, entry[order][kept], p_of_e[order][kept]


def _are_pairs(of_p: Tensor, n: int) -> bool:
    """Whether all strains are distinct pairs of ascending genes, few enough for a table of all."""
    if n * n > 64 * len(of_p) or not bool((of_p[:, 0] < of_p[:, 1]).all()):
        return False
    return len(torch.unique(of_p[:, 0] * n + of_p[:, 1])) == len(of_p)


def _pairwise(found: _Starts) -> Joined:
    """Shared nodes of pairs, node by node: any two genes that reach a node may meet there."""
    n, device = len(found.starts) - 1, found.node.device
    strain_of = torch.full((n * n,), -1, device=device)
    strain_of[found.of_p[:, 0] * n + found.of_p[:, 1]] = torch.arange(
        len(found.of_p), device=device
    )
    # stable, so genes ascend at every node
    node, order = torch.sort(found.node, stable=True)
    row = found.row[order]
    last = torch.searchsorted(node, node, right=True)
    here = torch.arange(len(node), device=device)
    count = last - here - 1
    one = torch.repeat_interleave(here, count)
    other = one + 1 + torch.arange(len(one), device=device)
    other = other - torch.repeat_interleave(torch.cumsum(count, 0) - count, count)
    strain = strain_of[row[one] * n + row[other]]
    kept = strain >= 0
    one, other, strain = one[kept], other[kept], strain[kept]
    key, by_key = torch.sort(strain * found.n_node + node[one])
    entry = torch.stack([order[one[by_key]], order[other[by_key]]], 1).reshape(-1)
    strain = strain[by_key]
    p = torch.stack([2 * strain, 2 * strain + 1], 1).reshape(-1)
    return key, torch.arange(len(key), device=device).repeat_interleave(2), entry, p


def _expanded(offsets: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The entries of some rows of a ragged array, in order, and the row that each is of."""
    start, count = offsets[rows], offsets[rows + 1] - offsets[rows]
    row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), count)
    shift = start - (torch.cumsum(count, 0) - count)
    return shift[row] + torch.arange(len(row), device=rows.device), row
