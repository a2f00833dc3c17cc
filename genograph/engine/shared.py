"""The engines that visit every node of every strain, and `shared`, which walks the edges once."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genograph.engine.bags import bag_sum
from genograph.engine.base import Degree, Engine, Layer, Perturbed, States, WildType, still_heard
from genograph.engine.topology import KINDS, PASSING, Topology, find_ends

Factors = tuple[Float[Tensor, "_ strain"], ...] | None
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
        of_source = dose[topology.rows(find_ends(relation, reverse=reverse)[0])]
        ones = torch.ones_like(of_source[:, :1])
        found.append(still_heard(bag_sum(ones, bag), bag_sum(of_source, bag)))
    return tuple(found)


class WholeGenome(Engine):
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


class SharedEngine(WholeGenome):
    """All strains of a batch side by side on one topology."""

    name = "shared"

    def messages(
        self, layer: Layer, state: Float[Tensor, "node strain d"], factors: Factors
    ) -> dict[str, Tensor]:
        """See WholeGenome."""
        _, n, width = state.shape
        means: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
        weights: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
        for number, (relation, reverse) in enumerate(PASSING):
            bag = self.topology.passing[number]
            if not len(bag.column):
                continue
            source, target = find_ends(relation, reverse=reverse)
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
