"""The reference engine: DGL's own heterograph convolution on copies of the heterograph."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from genograph.engine.base import Degree, Layer
from genograph.engine.shared import Factors, WholeGenome
from genograph.engine.topology import KINDS, PASSING, Topology, find_ends
from genograph.heterograph import import_dgl


class DglEngine(WholeGenome):
    """DGL's heterograph convolution over one copy of the heterograph per strain."""

    name = "dgl"

    def __init__(self, topology: Topology, *, degree: Degree = "wild-type") -> None:
        super().__init__(topology, degree=degree)
        self._dgl = import_dgl()
        edges, weights = {}, {}
        for number, (relation, reverse) in enumerate(PASSING):
            source, target = find_ends(relation, reverse=reverse)
            bag = topology.passing[number]
            rows = torch.repeat_interleave(
                torch.arange(bag.shape[0], device=bag.column.device), bag.offsets.diff()
            )
            name = ("rev_" if reverse else "") + relation.split(":")[1]
            edges[source, name, target] = (bag.column, rows)
            weights[source, name, target] = bag.weight
        counts = {"gene": topology.n_gene, "term": topology.n_term, "complex": topology.n_complex}
        # Any: dgl has no types
        self._one: Any = self._dgl.heterograph(edges, num_nodes_dict=counts)
        for etype, weight in weights.items():
            self._one.edges[etype].data["share"] = weight
        self._etypes = list(edges)
        self._copies: dict[int, Any] = {}

    def _graph(self, n: int) -> Any:  # noqa: ANN401  dgl has no types
        if n not in self._copies:
            self._copies = {k: v for k, v in self._copies.items() if k == 1}
            self._copies[n] = self._one if n == 1 else self._dgl.batch([self._one] * n)
        return self._copies[n]

    def messages(
        self, layer: Layer, state: Float[Tensor, "node strain d"], factors: Factors
    ) -> dict[str, Tensor]:
        """See WholeGenome."""
        _, n, width = state.shape
        if not n:
            return {kind: torch.zeros_like(state[self.topology.rows(kind)]) for kind in KINDS}
        graph = self._graph(n)
        inputs = {
            kind: state[self.topology.rows(kind)].transpose(0, 1).reshape(-1, width)
            for kind in KINDS
        }
        nn_ = self._dgl.nn
        convolution = nn_.HeteroGraphConv(
            {
                name: nn_.GraphConv(
                    width, width, norm="none", weight=False, bias=False, allow_zero_in_degree=True
                )
                for _, name, _ in self._etypes
            },
            aggregate="sum",
        )
        shares = {}
        for number, etype in enumerate(self._etypes):
            share = graph.edges[etype].data["share"].to(state.dtype)
            if factors is not None:
                # copies stand one after another, each with the edges in the bag's order
                of_target = self._one.edges(etype=etype)[1]
                share = share * factors[number].T[:, of_target].reshape(-1)
            shares[etype[1]] = {"edge_weight": share}
        out = convolution(
            graph,
            inputs,
            mod_args={etype[1]: (layer.weight[i],) for i, etype in enumerate(self._etypes)},
            mod_kwargs=shares,
        )
        messages = {}
        for kind in KINDS:
            rows = state[self.topology.rows(kind)]
            messages[kind] = (
                out[kind].view(n, -1, width).transpose(0, 1)
                if kind in out
                else torch.zeros_like(rows)
            )
        return messages
