"""The genome model: one anchored network over the whole genome, three heads.

Every head is y = y_wt + f(perturbed) - f(wild type), by construction, whatever the weights.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from genograph.engine.bags import bag_sum, take_rows
from genograph.engine.base import Engine, Layer, Perturbed, WildType
from genograph.engine.topology import N_NODE_FEATURE, REACHING, Topology
from genograph.models.config import ModelConfig
from genograph.models.overlap import N_CONTEXT, N_OVERLAP, lowest_and_highest, overlap
from genograph.models.plans import Meetings

NOISE = ("fitness", "interaction", "expression", "morphology")
"""What has a learned noise for each study; columns of Setting.noise."""


class Setting(NamedTuple):
    """What a model takes from its cohort and keeps in its checkpoint.

    Attributes:
        projection: from CRE features to inputs; inputs = (features - mean) @ projection.
        mean: of the features, over genes that have any.
        known: mean, s.d. and share known of the training singles' log fitness, node by node.
        near: the same singles' mean effect among each gene's neighbours by each relation but self,
            in units of effect_scale, and whether there is one; never the gene's own.
        effect_scale: s.d. of the training singles' log fitness.
        extent: length of each gene's reach, see overlap.extent.
        overlap_scale: root mean square of the training strains' overlaps.
        context_mean, context_scale: of their overlap.lowest_and_highest.
        expression_gene: gene row of each expression column, -1 where the genome lacks the gene.
        expression_scale: root mean square of the training values, one number.
        morphology_reference: the wild type's value of each parameter.
        morphology_scale: s.d. of each parameter over training strains.
        noise: log variance of the training values by study: of fitness, of interaction scores, and
            of expression and morphology in units of their scales.
    """

    projection: Float32[Tensor, "feature component"]
    mean: Float32[Tensor, " feature"]
    known: Float32[Tensor, "node 3"]
    near: Float32[Tensor, "gene near"]
    effect_scale: Float32[Tensor, ""]
    extent: Float32[Tensor, "gene relation"]
    overlap_scale: Float32[Tensor, " overlap"]
    context_mean: Float32[Tensor, " context"]
    context_scale: Float32[Tensor, " context"]
    expression_gene: Int64[Tensor, " column"]
    expression_scale: Float32[Tensor, ""]
    morphology_reference: Float32[Tensor, " parameter"]
    morphology_scale: Float32[Tensor, " parameter"]
    noise: Float32[Tensor, "study 4"]


class Genotypes(NamedTuple):
    """The fitness head's answer for a batch of strains.

    Attributes:
        log_null: sum over perturbations of the log fitness of each alone.
        log_meeting: what their meetings at shared nodes add; 0 for unrelated genes.
    """

    log_null: Float[Tensor, " strain"]
    log_meeting: Float[Tensor, " strain"]

    @property
    def fitness(self) -> Float[Tensor, " strain"]:
        """Fitness relative to the wild type, which is exactly 1."""
        return torch.exp(self.log_null + self.log_meeting)

    @property
    def interaction(self) -> Float[Tensor, " strain"]:
        """Fitness minus the product of the single mutants' fitness."""
        return torch.exp(self.log_null) * torch.expm1(self.log_meeting)


class Encoded(NamedTuple):
    """The wild type as the heads take it: every depth, and the last after its normalisation."""

    wild: WildType
    h: Float[Tensor, "node width"]


class NodeFunction(nn.Module):
    """A small network F_v(z) of the change z of a node, which the node's own features modulate."""

    def __init__(self, change: int, features: int, hidden: int) -> None:
        super().__init__()
        self.of_node = nn.Linear(features, hidden)
        self.of_change = nn.Linear(change, hidden, bias=False)
        self.mix = nn.Linear(hidden, hidden)

    def forward(self, z: Float[Tensor, "row change"], own: Tensor) -> Float[Tensor, "row hidden"]:
        """Hidden units for changes z at nodes with `own` = of_node(features), row by row."""
        first = nn.functional.silu(self.of_change(z) + own)
        return nn.functional.silu(self.mix(first))


class GenomeModel(nn.Module):
    """The network of one genome: encoder, heads and learned noise."""

    projection: Tensor
    mean: Tensor
    known: Tensor
    near: Tensor
    effect_scale: Tensor
    extent: Tensor
    overlap_scale: Tensor
    context_mean: Tensor
    context_scale: Tensor
    expression_gene: Tensor
    expression_scale: Tensor
    morphology_reference: Tensor
    morphology_scale: Tensor
    expressed: Tensor
    column: Tensor

    def __init__(self, config: ModelConfig, topology: Topology, setting: Setting) -> None:
        super().__init__()
        self.config = config
        width, hidden, change = config.width, config.hidden, config.change
        for name in Setting._fields:
            self.register_buffer(name, getattr(setting, name).clone())
        self.of_features = nn.Linear(setting.projection.shape[1], width, bias=False)
        self.missing = nn.Parameter(torch.zeros(width))
        self.of_kind = nn.Linear(N_NODE_FEATURE, width)
        n_named = topology.n_term + topology.n_complex
        self.named = nn.Parameter(torch.randn(n_named, width) * config.node_identity)
        self.gene_mark = (
            nn.Parameter(torch.randn(topology.n_gene, width) * config.gene_mark)
            if config.gene_mark
            else None
        )
        self.gene_named = (
            nn.Parameter(torch.zeros(topology.n_gene, width))
            if config.gene_identity and "fitness" in config.heads
            else None
        )
        self.layers = nn.ModuleList([Layer(width) for _ in range(config.layers)])
        self.final = nn.LayerNorm(width)
        node = width + N_NODE_FEATURE + 3
        # what a perturbation alone does: state of its gene, its neighbours' effects, dose lost
        self.alone = _mlp(width + setting.near.shape[1] + 1, hidden, 1)
        _quiet(self.alone)
        if "fitness" in config.heads or "morphology" in config.heads:
            self.change = nn.Linear(width + 1, len(REACHING) * change)
        if "fitness" in config.heads:
            self.meet = NodeFunction(change, node, hidden)
            self.meet_out = nn.Linear(hidden, 1 + config.pooled, bias=False)
            scale = torch.tensor([0.1] + [1.0] * config.pooled)[:, None] / math.sqrt(hidden)
            with torch.no_grad():
                self.meet_out.weight.normal_().mul_(scale)
            self.weigh = _deep(config.pooled + N_OVERLAP + N_CONTEXT, hidden)
        if "expression" in config.heads:
            self.express = _mlp(width, hidden, 1)
            self.grow = _mlp(width + 2, hidden, config.growth)
            self.respond = nn.Linear(width, config.growth)
            # several columns may be of one gene, and some of none
            genes, column = torch.unique(setting.expression_gene.clamp(min=-1), return_inverse=True)
            absent = int(len(genes) > 0 and genes[0] < 0)
            self.register_buffer("expressed", genes[absent:], persistent=False)
            self.register_buffer("column", (column - absent).clamp(min=0), persistent=False)
            self.response = nn.Parameter(torch.randn(len(self.expressed), config.growth) * 0.1)
        if "morphology" in config.heads:
            n_parameter = len(setting.morphology_scale)
            self.shape = NodeFunction(change, node, hidden)
            self.shape_out = nn.Linear(hidden, n_parameter, bias=False)
            nn.init.normal_(self.shape_out.weight, std=0.1 / math.sqrt(hidden))
            self.shape_alone = _mlp(width + 2, hidden, n_parameter)
            _quiet(self.shape_alone)
        # log variance beyond the reported s.d.: at first nothing is explained, so all of it
        self.log_noise = nn.ParameterDict(
            {
                name: nn.Parameter(setting.noise[:, column].clone())
                for column, name in enumerate(NOISE)
                if (name == "interaction" and "fitness" in config.heads) or name in config.heads
            }
        )

    def inputs(
        self, features: Float[Tensor, "gene feature"], has: Tensor, topology: Topology
    ) -> Float[Tensor, "node width"]:
        """The state of every node before any message."""
        projected = (features - self.mean) @ self.projection
        gene = torch.where(has[:, None], self.of_features(projected), self.missing)
        if self.gene_mark is not None:
            gene = gene + self.gene_mark
        kind: Tensor = self.of_kind(topology.features.to(self.missing.dtype))
        return kind + torch.cat([gene, self.named])

    def encode(self, inputs: Float[Tensor, "node width"], engine: Engine) -> Encoded:
        """The wild type, encoded once for a whole batch."""
        wild = engine.wild_type(self._stack, inputs)
        return Encoded(wild, self.final(wild.states[-1]))

    @property
    def _stack(self) -> Sequence[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def effects(self, h: Tensor, plan: Meetings) -> Float[Tensor, " p"]:
        """Log fitness of each perturbation alone: measured where it is known, else predicted."""
        gene = torch.cat([h[plan.p_gene], self.near[plan.p_gene]], 1)
        lost = (1.0 - plan.p_dose.to(h.dtype))[:, None]
        predicted = self.alone(torch.cat([gene, lost], 1)) - self.alone(
            torch.cat([gene, torch.zeros_like(lost)], 1)
        )
        known = ~torch.isnan(plan.p_effect)
        return torch.where(known, torch.nan_to_num(plan.p_effect).to(h.dtype), predicted[:, 0])

    def _changes(self, h: Tensor, plan: Meetings, effect: Tensor) -> tuple[Tensor, Tensor]:
        """Change of every met node by each distinct perturbation alone (rows of plan.alone), and
        by all that reach it (rows of meetings)."""
        alone = plan.alone
        gene, effect = plan.p_gene[alone.first], effect[alone.first]
        state = h[gene]
        if self.gene_named is not None:
            # starts at 0, so a gene that training never perturbs has none; of the effect of a
            # perturbation alone it knows nothing, else it would learn the singles by heart
            state = state + self.config.gene_identity * self.gene_named[gene]
        source = torch.cat([state, effect[:, None] / self.effect_scale], 1)
        # a message that falls away with the dose, so the change is (dose - 1) times it
        messages = self.change(source) * (plan.p_dose[alone.first].to(h.dtype) - 1.0)[:, None]
        each = bag_sum(messages.view(-1, self.config.change), alone.ways)
        return each, bag_sum(each, alone.sums)

    def _nodes(self, h: Tensor, topology: Topology) -> Tensor:
        return torch.cat([h, topology.features.to(h.dtype), self.known], 1)

    def fitness(self, h: Tensor, plan: Meetings, topology: Topology) -> Genotypes:
        """Fitness of strains: log f(S) = sum of effects + meeting(S).

        D = sum over nodes that two or more reach of F(sum of z) - sum of F(z) + (n - 1) F(0) is a
        number d and a vector p; the meeting is d + G(p, overlap) - G(0, 0): 0 for unrelated genes.
        G also sees how large the effects and reaches are, and learns what shared nodes mean.
        """
        effect = self.effects(h, plan)
        zero = torch.zeros(plan.n_strain, dtype=h.dtype, device=h.device)
        log_null = zero.index_add(0, plan.p_strain, effect)
        own = self.meet.of_node(self._nodes(h, topology))
        at_rest = self.meet_out(self.meet(own.new_zeros(len(own), self.config.change), own))
        each, total = self._changes(h, plan, effect)
        z = torch.cat([total, each])
        node = torch.cat([plan.m_node, plan.alone.node])
        value: Tensor = self.meet_out(self.meet(z, take_rows(own, node)))
        # F minus F at rest, so that (n - 1) F(0) needs no term of its own
        value = value - take_rows(at_rest, node)
        n_met = len(plan.m_node)
        summed = value.new_zeros(plan.n_strain, value.shape[1])
        summed = summed.index_add(0, plan.m_strain, value[:n_met])
        summed = summed - bag_sum(value[n_met:], plan.alone.strains)
        shared = overlap(plan, self.extent).to(h.dtype) / self.overlap_scale
        # the meeting must not teach what a perturbation does alone
        sizes = lowest_and_highest(
            plan, effect.detach(), topology.features.to(h.dtype), self.extent
        )
        context = (sizes - self.context_mean) / self.context_scale
        met = torch.cat([summed[:, 1:], shared], 1)
        weighed = self.weigh(torch.cat([met, context], 1)) - self.weigh(
            torch.cat([torch.zeros_like(met), context], 1)
        )
        return Genotypes(log_null, summed[:, 0] + weighed[:, 0])

    def expression(
        self, encoded: Encoded, perturbed: Perturbed, plan: Meetings, engine: Engine
    ) -> Float[Tensor, "strain column"]:
        """Change of expression of each column's gene from the wild type, in the data's unit."""
        h, n, genes = encoded.h, perturbed.n_strain, self.expressed
        states = engine.encode(self._stack, encoded.wild, perturbed, genes)
        rest = self.express(h[genes])[:, 0]
        if states.node is None or states.strain is None:
            there = states.h.view(h.shape[0], n, h.shape[1])[genes]
            local = self.express(self.final(there))[..., 0].T - rest
        else:
            place = torch.zeros(h.shape[0], dtype=torch.int64, device=h.device)
            place[genes] = torch.arange(len(genes), device=h.device)
            at = place[states.node]
            value = self.express(self.final(states.h))[:, 0] - rest[at]
            local = rest.new_zeros(n, len(genes)).index_put((states.strain, at), value)
        # two encodings of one unchanged genome may differ in the last bit: no change of dose, no
        # change of expression
        changed = (perturbed.dose != 1.0).to(rest.dtype)
        any_change = rest.new_zeros(n).index_add(0, perturbed.strain, changed).clamp(max=1.0)
        v = self.respond(h[genes]) + self.response
        answer = local * any_change[:, None] + self._grown(h, plan, n) @ v.T
        columns: Tensor = answer[:, self.column] * self.expression_scale
        return columns

    def _grown(self, h: Tensor, plan: Meetings, n: int) -> Float[Tensor, "strain growth"]:
        """Genome-wide response of each strain: a sum over perturbations, 0 for the wild type."""
        u = self._anchored(self.grow, h, plan)
        return u.new_zeros(n, u.shape[1]).index_add(0, plan.p_strain, u)

    def _anchored(self, network: nn.Module, h: Tensor, plan: Meetings) -> Tensor:
        """A network of gene, dose lost and effect of each perturbation, minus itself at dose 1."""
        state, effect = h[plan.p_gene], self.effects(h, plan)[:, None] / self.effect_scale
        lost = (1.0 - plan.p_dose.to(h.dtype))[:, None]
        nothing = torch.zeros_like(lost)
        out: Tensor = network(torch.cat([state, lost, effect], 1)) - network(
            torch.cat([state, nothing, nothing], 1)
        )
        return out

    def morphology(
        self, h: Tensor, plan: Meetings, topology: Topology
    ) -> Float[Tensor, "strain parameter"]:
        """Change of each parameter from the wild type, in the data's unit.

        A sum over all reached nodes of differences M_v(sum of z) - M_v(0), and a direct term.
        """
        effect = self.effects(h, plan)
        own = self.shape.of_node(self._nodes(h, topology))
        _, total = self._changes(h, plan, effect)
        here = take_rows(own, plan.m_node)
        moved = self.shape(total, here) - self.shape(torch.zeros_like(total), here)
        summed = moved.new_zeros(plan.n_strain, moved.shape[1]).index_add(0, plan.m_strain, moved)
        direct = self._anchored(self.shape_alone, h, plan)
        direct = direct.new_zeros(plan.n_strain, direct.shape[1]).index_add(
            0, plan.p_strain, direct
        )
        answer: Tensor = (self.shape_out(summed) + direct) * self.morphology_scale
        return answer


def _mlp(n_in: int, hidden: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, hidden), nn.SiLU(), nn.Linear(hidden, n_out))


def _deep(n_in: int, hidden: int) -> nn.Sequential:
    inner = (nn.Linear(n_in, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
    return nn.Sequential(*inner, nn.Linear(hidden, 1))


def _quiet(network: nn.Sequential) -> None:
    last = network[-1]
    assert isinstance(last, nn.Linear)
    nn.init.normal_(last.weight, std=0.1 / math.sqrt(last.in_features))
