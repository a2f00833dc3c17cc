"""The delta engine: walks only the nodes whose state a perturbation changes. Exact.

Messages are linear in the states that send them, so a node's pre-activation is that of the wild
type plus what its changed sources add; everything else keeps the wild type's state.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor
from torch.nn.functional import layer_norm, silu

from genograph.nn.engines import Engine, Layer, Perturbed, SharedEngine, States, WildType
from genograph.nn.topology import KINDS, PASSING, Topology, bag_of, bag_sum, ends


class _Out(NamedTuple):
    """Edges by source: node u has entries offsets[u] to offsets[u + 1]."""

    offsets: Int64[Tensor, " node_1"]
    target: Int64[Tensor, " edge"]
    relation: Int64[Tensor, " edge"]
    share: Float32[Tensor, " edge"]


class DeltaEngine(Engine):
    """Changed nodes only; the wild type runs once over the whole genome."""

    name = "delta"

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology)
        self._whole = SharedEngine(topology)
        self._out = _outgoing(topology)
        self._near: tuple[Tensor, _Out] | None = None
        device = topology.features.device
        sizes = torch.tensor([topology.n_gene, topology.n_term, topology.n_complex], device=device)
        self._kind = torch.repeat_interleave(torch.arange(len(KINDS), device=device), sizes)

    def wild_type(self, layers: Sequence[Layer], inputs: Float[Tensor, "node d"]) -> WildType:
        """See Engine."""
        return self._whole.wild_type(layers, inputs)

    def encode(
        self,
        layers: Sequence[Layer],
        wild: WildType,
        perturbed: Perturbed,
        wanted: Int64[Tensor, " wanted"],
    ) -> States:
        """See Engine; lists the wanted nodes that differ."""
        n_node = self.topology.n_node
        assert wild.pre is not None
        keys, places = torch.unique(perturbed.strain * n_node + perturbed.gene, return_inverse=True)
        ones = torch.ones(len(keys), dtype=wild.states[0].dtype, device=keys.device)
        # two perturbations of one gene (two alleles) act one on what the other leaves
        dose = ones.scatter_reduce(0, places, perturbed.dose.to(ones.dtype), reduce="prod")
        key, h = keys, wild.states[0][keys % n_node]
        for depth, layer in enumerate(layers):
            node = key % n_node
            state = h * _dose_at(key, keys, dose)
            change = state - wild.states[depth][node]
            last = depth == len(layers) - 1
            edges = self._restricted(wanted) if last else self._out
            key, h = self._onward(layer, key, change, edges, wild, depth, wanted if last else None)
        return States(h, key // n_node, key % n_node, perturbed.n_strain)

    def _onward(
        self,
        layer: Layer,
        key: Tensor,
        change: Tensor,
        edges: _Out,
        wild: WildType,
        depth: int,
        wanted: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """The rows that differ after a layer, and their states before doses."""
        n_node, n_relation = self.topology.n_node, len(PASSING)
        node, width = key % n_node, change.shape[1]
        start, count = edges.offsets[node], edges.offsets[node + 1] - edges.offsets[node]
        row = torch.repeat_interleave(torch.arange(len(key), device=key.device), count)
        shift = start - (torch.cumsum(count, 0) - count)
        entry = shift[row] + torch.arange(len(row), device=key.device)
        reached = (key - node)[row] + edges.target[entry]
        # a changed node also changes itself
        stays = torch.arange(len(key), device=key.device)
        if wanted is not None:
            is_wanted = torch.zeros(n_node, dtype=torch.bool, device=key.device)
            is_wanted[wanted] = True
            stays = stays[is_wanted[node]]
        found, place = torch.unique(torch.cat([reached, key[stays]]), return_inverse=True)
        by_relation = change @ layer.weight.permute(1, 0, 2).reshape(width, -1)
        own = (change[:, None] @ layer.own[self._kind[node]])[:, 0]
        sent = torch.cat([by_relation.view(-1, width), own])
        index = torch.cat([row * n_relation + edges.relation[entry], len(key) * n_relation + stays])
        ones = torch.ones(len(stays), dtype=edges.share.dtype, device=key.device)
        weight = torch.cat([edges.share[entry], ones])
        added = bag_sum(sent, bag_of(place, index, weight, len(found), len(sent)))
        assert wild.pre is not None
        at = found % n_node
        pre = wild.pre[depth][at] + added
        kept = bag_of(place[len(row) :], stays, ones, len(found), len(key))
        state = wild.states[depth][at] + bag_sum(change, kept)
        kind = self._kind[at]
        return found, state + silu(
            layer_norm(pre, (width,)) * layer.scale[kind] + layer.shift[kind]
        )

    def _restricted(self, wanted: Tensor) -> _Out:
        """The edges that end in wanted nodes."""
        if self._near is None or not torch.equal(self._near[0], wanted):
            out, n_node = self._out, self.topology.n_node
            is_wanted = torch.zeros(n_node, dtype=torch.bool, device=wanted.device)
            is_wanted[wanted] = True
            keep = is_wanted[out.target]
            before = torch.cat([keep.new_zeros(1, dtype=torch.int64), torch.cumsum(keep, 0)])
            near = _Out(before[out.offsets], out.target[keep], out.relation[keep], out.share[keep])
            self._near = (wanted, near)
        return self._near[1]


def _dose_at(key: Tensor, perturbed: Tensor, dose: Tensor) -> Tensor:
    """The dose of each row, 1 where the row's gene is not perturbed; `perturbed` ascends."""
    if not len(perturbed):
        return dose.new_ones(len(key), 1)
    place = torch.searchsorted(perturbed, key).clamp(max=len(perturbed) - 1)
    return torch.where(perturbed[place] == key, dose[place], 1.0)[:, None]


def _outgoing(topology: Topology) -> _Out:
    source, target, relation, share = [], [], [], []
    for number, (name, reverse) in enumerate(PASSING):
        from_kind, to_kind = ends(name, reverse=reverse)
        bag = topology.passing[number]
        of_row = torch.arange(bag.shape[0], device=bag.column.device)
        target.append(
            torch.repeat_interleave(of_row, bag.offsets.diff()) + topology.rows(to_kind).start
        )
        source.append(bag.column + topology.rows(from_kind).start)
        relation.append(torch.full_like(bag.column, number))
        share.append(bag.weight)
    of = torch.cat(source)
    order = torch.argsort(of, stable=True)
    counts = torch.bincount(of, minlength=topology.n_node)
    offsets = torch.cat([counts.new_zeros(1), torch.cumsum(counts, 0)])
    return _Out(
        offsets, torch.cat(target)[order], torch.cat(relation)[order], torch.cat(share)[order]
    )
