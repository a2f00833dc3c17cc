"""The same layers by whole-genome copies in DGL and in PyG, as their own examples batch graphs."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from genograph.engine.base import Layer, Perturbed, WildType
from genograph.engine.dgl import DglEngine
from genograph.engine.topology import KINDS, PASSING, Topology, find_ends


class DglCopies:
    """DGL's HeteroGraphConv over B copies; `built`: copies are batched at every call."""

    def __init__(self, topology: Topology, *, built: bool) -> None:
        self.engine, self.built = DglEngine(topology), built
        self.name = "dgl, batched per step" if built else "dgl, batched before"

    def states(self, layers: Sequence[Layer], x: Tensor, perturbed: Perturbed) -> Tensor:
        """States [node, strain, d] after all layers."""
        if self.built:
            self.engine._copies.clear()
        # copies need no wild type beyond its inputs
        out = self.engine.encode(layers, WildType((x,), None), perturbed, None).h
        return out.view(self.engine.topology.n_node, perturbed.n_strain, -1)


class PygCopies:
    """PyG's Batch of B HeteroData copies, one SimpleConv a relation."""

    def __init__(self, topology: Topology, *, built: bool) -> None:
        # its import warns of torch APIs that it still uses; only this measuring script hears it
        with warnings.catch_warnings(action="ignore"):
            from torch_geometric.data import Batch, HeteroData
            from torch_geometric.nn import SimpleConv
        self._batch, self.built, self.topology = Batch, built, topology
        self.name = "pyg, batched per step" if built else "pyg, batched before"
        self._one = HeteroData()
        for kind, n in zip(
            KINDS, (topology.n_gene, topology.n_term, topology.n_complex), strict=True
        ):
            self._one[kind].num_nodes = n
        self._types = []
        for number, (relation, reverse) in enumerate(PASSING):
            source, target = find_ends(relation, reverse=reverse)
            bag = topology.passing[number]
            row = torch.repeat_interleave(torch.arange(bag.shape[0]), bag.offsets.diff())
            etype = (source, ("rev_" if reverse else "") + relation.split(":")[1], target)
            self._types.append(etype)
            self._one[etype].edge_index = torch.stack([bag.column, row])
            self._one[etype].edge_weight = bag.weight
        self._conv = SimpleConv(aggr="sum")
        self._copies: dict[int, Any] = {}  # Any: PyG's batches have no types

    def states(self, layers: Sequence[Layer], x: Tensor, perturbed: Perturbed) -> Tensor:
        """States [node, strain, d] after all layers."""
        n, topology = perturbed.n_strain, self.topology
        if self.built or n not in self._copies:
            self._copies = {n: self._batch.from_data_list([self._one] * n)}
        copies = self._copies[n]
        dose = torch.ones(topology.n_node * n, dtype=x.dtype)
        flat = perturbed.gene * n + perturbed.strain
        dose = dose.scatter_reduce(0, flat, perturbed.dose.to(x.dtype), reduce="prod")
        dose = dose.view(topology.n_node, n, 1)
        state = x[:, None, :].expand(-1, n, -1)
        for layer in layers:
            sent = {
                k: (state * dose)[topology.rows(k)].transpose(0, 1).reshape(-1, x.shape[1])
                for k in KINDS
            }
            received = {k: torch.zeros_like(v) for k, v in sent.items()}
            for number, etype in enumerate(self._types):
                source, _, target = etype
                if not copies[etype].edge_index.shape[1]:
                    continue
                mean = self._conv(
                    (sent[source], sent[target]),
                    copies[etype].edge_index,
                    copies[etype].edge_weight.to(x.dtype),
                )
                received[target] = received[target] + mean @ layer.weight[number]
            rows = []
            for k in KINDS:
                after = layer.next(sent[k], layer.pre(sent[k], received[k], k), k)
                rows.append(after.view(n, -1, x.shape[1]).transpose(0, 1))
            state = torch.cat(rows)
        return state
