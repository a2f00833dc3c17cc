"""Engines: how the genome network runs over strains. All give the same outputs and gradients.

    shared  every strain of a batch on one Topology of torch tensors; any device
    dgl     DGL's HeteroGraphConv on batched copies of the heterograph; the reference
    delta   only the nodes that a perturbation changes (genograph.engine.delta)

States may list any subset of the wanted nodes that holds every one whose state differs.

A node receives the mean of its sources' messages. By `degree`, a source whose dose changes still
counts as one ("wild-type", the default: a deleted gene's share of the mean is missing), or counts
by its dose ("exact": the mean is over the sources that still send).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genograph.engine.topology import KINDS, PASSING, Topology

Degree = Literal["wild-type", "exact"]
SILENT = 1e-6
"""Where less than this share of a mean still sends, nothing is heard."""


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
