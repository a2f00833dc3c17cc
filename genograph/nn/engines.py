"""Engines: how the genome network runs over strains. All give the same outputs and gradients.

    shared  every strain of a batch on one Topology of torch tensors; any device
    dgl     DGL's HeteroGraphConv on batched copies of the heterograph; the reference
    delta   only the nodes that a perturbation changes (genograph.nn.delta)

States may list any subset of the wanted nodes that holds every one whose state differs.

A node receives the mean of its sources' messages. By `degree`, a source whose dose changes still
counts as one ("wild-type", the default: a deleted gene's share of the mean is missing), or counts
by its dose ("exact": the mean is over the sources that still send).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genograph.errors import RunError
from genograph.nn.bags import bag_sum
from genograph.nn.topology import KINDS, PASSING, Topology, ends

ENGINES = ("auto", "delta", "dgl", "shared")
Degree = Literal["wild-type", "exact"]
SILENT = 1e-6
"""Where less than this share of a mean still sends, nothing is heard."""
MOST_REACH = 0.25
"""Share of the edges that a perturbation may walk, layers together, before `shared` is faster."""


def still_heard(whole: Tensor, left: Tensor) -> Tensor:
    """The factor of a mean over the sources that still send: whole / left; 0 where none does."""
    heard = left > SILENT * whole
    return torch.where(heard, whole / torch.where(heard, left, 1.0), 0.0)


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
        offsets: rows of strain i are offsets[i] to offsets[i + 1]; None where every node is listed.
    """

    h: Float[Tensor, "row d"]
    strain: Int64[Tensor, " row"] | None
    node: Int64[Tensor, " row"] | None
    n_strain: int
    offsets: Int64[Tensor, " strain_1"] | None = None


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
    """Runs the network of a genome over strains.

    Attributes:
        name: of ENGINES.
        why: why this one was picked, for the log.
    """

    name: str
    why = "as configured"

    def __init__(self, topology: Topology, *, degree: Degree = "wild-type") -> None:
        self.topology = topology
        self.degree = degree

    @abstractmethod
    def wild_type(self, layers: Sequence[Layer], inputs: Float[Tensor, "node d"]) -> WildType:
        """The wild type, of which `encode` takes what it needs."""

    @abstractmethod
    def encode(
        self,
        layers: Sequence[Layer],
        wild: WildType,
        perturbed: Perturbed,
        wanted: Int64[Tensor, " wanted"] | None,
    ) -> States:
        """States after all layers, at least of those `wanted` nodes that differ; None: of all."""


Factors = tuple[Float[Tensor, "target strain"], ...] | None
"""By relation, the factor of each target's mean in each strain; None: 1."""
Messages = Callable[[Layer, Float[Tensor, "node strain d"], Factors], dict[str, Tensor]]


def _every_node(
    topology: Topology,
    layers: Sequence[Layer],
    inputs: Tensor,
    perturbed: Perturbed,
    messages: Messages,
    degree: Degree,
) -> tuple[list[Tensor], list[Tensor]]:
    """States [node, strain, d] at every depth and pre-activations of all nodes of all strains."""
    n = perturbed.n_strain
    dose = torch.ones(topology.n_node * n, dtype=inputs.dtype, device=inputs.device)
    # two perturbations of one gene (two alleles) act one on what the other leaves
    flat = perturbed.gene * n + perturbed.strain
    dose = dose.scatter_reduce(
        0, flat, perturbed.dose.to(inputs.dtype), reduce="prod", include_self=True
    ).view(topology.n_node, n, 1)
    factors = _factors(topology, dose[..., 0]) if degree == "exact" and n else None
    states, pres = [inputs[:, None, :].expand(-1, n, -1)], []
    for layer in layers:
        state = states[-1] * dose
        received = messages(layer, state, factors)
        pre = torch.cat([layer.pre(state[topology.rows(k)], received[k], k) for k in KINDS], dim=0)
        pres.append(pre)
        states.append(
            torch.cat(
                [layer.next(state[topology.rows(k)], pre[topology.rows(k)], k) for k in KINDS]
            )
        )
    return states, pres


def _factors(topology: Topology, dose: Float[Tensor, "node strain"]) -> Factors:
    found = []
    for number, (relation, reverse) in enumerate(PASSING):
        bag = topology.passing[number]
        of_source = dose[topology.rows(ends(relation, reverse=reverse)[0])]
        ones = torch.ones_like(of_source[:, :1])
        found.append(still_heard(bag_sum(ones, bag), bag_sum(of_source, bag)))
    return tuple(found)


class _WholeGenome(Engine):
    """What the engines share that visit every node of every strain."""

    @abstractmethod
    def messages(
        self, layer: Layer, state: Float[Tensor, "node strain d"], factors: Factors
    ) -> dict[str, Tensor]:
        """Sum over relations of the mean message, by kind of target."""

    def wild_type(self, layers: Sequence[Layer], inputs: Float[Tensor, "node d"]) -> WildType:
        """See Engine."""
        one = Perturbed.wild_type(inputs.device)
        states, pres = _every_node(self.topology, layers, inputs, one, self.messages, "wild-type")
        return WildType(tuple(s[:, 0] for s in states), tuple(p[:, 0] for p in pres))

    def encode(
        self,
        layers: Sequence[Layer],
        wild: WildType,
        perturbed: Perturbed,
        wanted: Int64[Tensor, " wanted"] | None,
    ) -> States:
        """See Engine; lists every node."""
        states, _ = _every_node(
            self.topology, layers, wild.states[0], perturbed, self.messages, self.degree
        )
        last = states[-1]
        flat = last.reshape(last.shape[0] * last.shape[1], last.shape[2])
        return States(flat, None, None, perturbed.n_strain)


class SharedEngine(_WholeGenome):
    """All strains of a batch side by side on one topology."""

    name = "shared"

    def messages(
        self, layer: Layer, state: Float[Tensor, "node strain d"], factors: Factors
    ) -> dict[str, Tensor]:
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
            mean = bag_sum(x, bag).view(bag.shape[0], n, width)
            means[target].append(mean if factors is None else mean * factors[number][..., None])
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

    def __init__(self, topology: Topology, *, degree: Degree = "wild-type") -> None:
        super().__init__(topology, degree=degree)
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

    def messages(
        self, layer: Layer, state: Float[Tensor, "node strain d"], factors: Factors
    ) -> dict[str, Tensor]:
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


def engine_of(
    name: str, topology: Topology, *, layers: int = 2, degree: Degree = "wild-type"
) -> Engine:
    """The engine called `name`; auto takes `delta` unless perturbations reach too far in `layers`.

    Raises:
        RunError: there is none; the message lists the choices.
    """
    if name in ("auto", "delta"):
        from genograph.nn.delta import DeltaEngine
        from genograph.nn.spread import Spread

        spread = Spread(topology)
        chosen: Engine
        if name == "delta":
            return DeltaEngine(topology, degree=degree, spread=spread)
        reached = spread.measured(layers)
        share = sum(reached.edges) / max(layers, 1)
        near = share <= MOST_REACH
        if near:
            chosen = DeltaEngine(topology, degree=degree, spread=spread)
        else:
            chosen = SharedEngine(topology, degree=degree)
        chosen.why = (
            f"auto: a perturbation walks {100 * share:.1f} % of the edges of {layers} layers, "
            f"measured on {reached.n_gene} genes; delta up to {100 * MOST_REACH:.0f} %"
        )
        return chosen
    if name == "shared":
        return SharedEngine(topology, degree=degree)
    if name == "dgl":
        return DglEngine(topology, degree=degree)
    msg = f"no engine is called {name}; choose one of {', '.join(ENGINES)}"
    raise RunError(msg)
