"""Engines: how the genome network runs over strains. All give the same outputs and gradients.

    shared  every strain of a batch on one Topology of torch tensors; any device
    dgl     DGL's HeteroGraphConv on batched copies of the heterograph; the reference
    delta   only the nodes that a perturbation changes (genograph.nn.delta)

States may list any subset of the wanted nodes that holds every one whose state differs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genograph.errors import RunError
from genograph.nn.topology import KINDS, PASSING, Topology, bag_sum, ends

ENGINES = ("auto", "delta", "dgl", "shared")


class Perturbed(NamedTuple):
    """The perturbations of a batch of strains, one entry each; the wild type has none.

    Attributes:
        n_strain: how many strains.
        strain: 0-based strain of the batch.
        gene: gene row.
        dose: fraction of wild-type function left, 0 to 2.
    """

    n_strain: int
    strain: Int64[Tensor, " perturbation"]
    gene: Int64[Tensor, " perturbation"]
    dose: Float[Tensor, " perturbation"]

    @classmethod
    def wild_type(cls, device: torch.device | str = "cpu") -> "Perturbed":
        """One strain without perturbations."""
        empty = torch.zeros(0, dtype=torch.int64, device=device)
        return cls(1, empty, empty, torch.zeros(0, device=device))


class States(NamedTuple):
    """States of nodes under perturbation.

    Attributes:
        h: one row a listed node.
        strain: strain of the batch of each row; None where every node of every strain is listed.
        node: node of each row; None likewise. The order is then node by node, strains within.
        n_strain: how many strains.
    """

    h: Float[Tensor, "row d"]
    strain: Int64[Tensor, " row"] | None
    node: Int64[Tensor, " row"] | None
    n_strain: int


class Layer(nn.Module):
    """The parameters of one round of messages.

    pre(v) = W_self s(v) + sum over relations r of W_r (mean over sources u of s(u)) + b, with
    s(u) = dose(u) h(u); h'(v) = s(v) + SiLU(LayerNorm(pre(v))). A deleted gene sends nothing.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(PASSING), width, width))
        self.own = nn.Parameter(torch.empty(len(KINDS), width, width))
        self.bias = nn.Parameter(torch.zeros(len(KINDS), width))
        # one LayerNorm a kind, over each node alone
        self.scale = nn.Parameter(torch.ones(len(KINDS), width))
        self.shift = nn.Parameter(torch.zeros(len(KINDS), width))
        spread = (2.0 / (4 * width)) ** 0.5
        nn.init.normal_(self.weight, std=spread)
        nn.init.normal_(self.own, std=spread)

    def pre(self, state: Tensor, messages: Tensor, kind: str) -> Tensor:
        """The pre-activation of nodes of one kind."""
        number = KINDS.index(kind)
        return state @ self.own[number] + messages + self.bias[number]

    def next(self, state: Tensor, pre: Tensor, kind: str) -> Tensor:
        """The next state of nodes of one kind, before doses."""
        number = KINDS.index(kind)
        normal = nn.functional.layer_norm(pre, pre.shape[-1:])
        return state + nn.functional.silu(normal * self.scale[number] + self.shift[number])


class WildType(NamedTuple):
    """The wild type at every depth, encoded once per step.

    Attributes:
        states: before the first layer, and after each.
        pre: pre-activations of each layer; None where an engine has no use for them.
    """

    states: tuple[Float[Tensor, "node d"], ...]
    pre: tuple[Float[Tensor, "node d"], ...] | None


class Engine(ABC):
    """Runs the network of a genome over strains."""

    name: str

    def __init__(self, topology: Topology) -> None:
        self.topology = topology

    @abstractmethod
    def wild_type(self, layers: Sequence[Layer], inputs: Float[Tensor, "node d"]) -> WildType:
        """The wild type, of which `encode` takes what it needs."""

    @abstractmethod
    def encode(
        self,
        layers: Sequence[Layer],
        wild: WildType,
        perturbed: Perturbed,
        wanted: Int64[Tensor, " wanted"],
    ) -> States:
        """States after all layers, at least of those `wanted` nodes that differ."""


Messages = Callable[[Layer, Float[Tensor, "node strain d"]], dict[str, Tensor]]


def _every_node(
    topology: Topology,
    layers: Sequence[Layer],
    inputs: Tensor,
    perturbed: Perturbed,
    messages: Messages,
) -> tuple[list[Tensor], list[Tensor]]:
    """States [node, strain, d] at every depth and pre-activations of all nodes of all strains."""
    n = perturbed.n_strain
    dose = torch.ones(topology.n_node * n, dtype=inputs.dtype, device=inputs.device)
    # two perturbations of one gene (two alleles) act one on what the other leaves
    flat = perturbed.gene * n + perturbed.strain
    dose = dose.scatter_reduce(
        0, flat, perturbed.dose.to(inputs.dtype), reduce="prod", include_self=True
    ).view(topology.n_node, n, 1)
    states, pres = [inputs[:, None, :].expand(-1, n, -1)], []
    for layer in layers:
        state = states[-1] * dose
        received = messages(layer, state)
        pre = torch.cat([layer.pre(state[topology.rows(k)], received[k], k) for k in KINDS], dim=0)
        pres.append(pre)
        states.append(
            torch.cat(
                [layer.next(state[topology.rows(k)], pre[topology.rows(k)], k) for k in KINDS]
            )
        )
    return states, pres


class _WholeGenome(Engine):
    """What the engines share that visit every node of every strain."""

    @abstractmethod
    def messages(self, layer: Layer, state: Float[Tensor, "node strain d"]) -> dict[str, Tensor]:
        """Sum over relations of the mean message, by kind of target."""

    def wild_type(self, layers: Sequence[Layer], inputs: Float[Tensor, "node d"]) -> WildType:
        """See Engine."""
        one = Perturbed.wild_type(inputs.device)
        states, pres = _every_node(self.topology, layers, inputs, one, self.messages)
        return WildType(tuple(s[:, 0] for s in states), tuple(p[:, 0] for p in pres))

    def encode(
        self,
        layers: Sequence[Layer],
        wild: WildType,
        perturbed: Perturbed,
        wanted: Int64[Tensor, " wanted"],
    ) -> States:
        """See Engine; lists every node."""
        states, _ = _every_node(self.topology, layers, wild.states[0], perturbed, self.messages)
        last = states[-1]
        flat = last.reshape(last.shape[0] * last.shape[1], last.shape[2])
        return States(flat, None, None, perturbed.n_strain)


class SharedEngine(_WholeGenome):
    """All strains of a batch side by side on one topology."""

    name = "shared"

    def messages(self, layer: Layer, state: Float[Tensor, "node strain d"]) -> dict[str, Tensor]:
        """See _WholeGenome."""
        _, n, width = state.shape
        means: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
        weights: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
        for number, (relation, reverse) in enumerate(PASSING):
            bag = self.topology.passing[number]
            if not len(bag.column):
                continue
            source, target = ends(relation, reverse=reverse)
            # strains stand in the row, so that one walk over the edges serves them all
            x = state[self.topology.rows(source)].reshape(bag.shape[1], n * width)
            means[target].append(bag_sum(x, bag).view(bag.shape[0], n, width))
            weights[target].append(layer.weight[number])
        return {
            kind: torch.cat(means[kind], -1) @ torch.cat(weights[kind])
            if means[kind]
            else torch.zeros_like(state[self.topology.rows(kind)])
            for kind in KINDS
        }


class DglEngine(_WholeGenome):
    """DGL's heterograph convolution over one copy of the heterograph per strain."""

    name = "dgl"

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology)
        from genograph.graph import import_dgl

        self._dgl = import_dgl()
        edges, weights = {}, {}
        for number, (relation, reverse) in enumerate(PASSING):
            source, target = ends(relation, reverse=reverse)
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

    def messages(self, layer: Layer, state: Float[Tensor, "node strain d"]) -> dict[str, Tensor]:
        """See _WholeGenome."""
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
        out = convolution(
            graph,
            inputs,
            mod_args={etype[1]: (layer.weight[i],) for i, etype in enumerate(self._etypes)},
            mod_kwargs={
                etype[1]: {"edge_weight": graph.edges[etype].data["share"].to(state.dtype)}
                for etype in self._etypes
            },
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


def engine_of(name: str, topology: Topology) -> Engine:
    """The engine called `name`; auto is `delta`, which visits the fewest nodes, on any device.

    Raises:
        RunError: there is none; the message lists the choices.
    """
    if name in ("auto", "delta"):
        from genograph.nn.delta import DeltaEngine

        return DeltaEngine(topology)
    if name == "shared":
        return SharedEngine(topology)
    if name == "dgl":
        return DglEngine(topology)
    msg = f"no engine is called {name}; choose one of {', '.join(ENGINES)}"
    raise RunError(msg)
