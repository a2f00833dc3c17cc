"""The genome model: one anchored network over the whole genome, with a head for each phenotype.

Every head is y = y_wt + f(perturbed) - f(wild type), by construction, whatever the weights.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from genograph.cohorts import Cohort, Strains
from genograph.engine.bags import bag_sum, take_rows
from genograph.engine.base import Engine, Layer, Perturbed, WildType
from genograph.engine.choose import choose_engine
from genograph.engine.overlap import N_CONTEXT, N_OVERLAP, lowest_and_highest, overlap
from genograph.engine.pair_plans import GeneNodes, make_pair_plan
from genograph.engine.plans import Plan, SharedNodes
from genograph.engine.topology import N_NODE_FEATURE, REACHING, Topology
from genograph.models._statistics import (
    ProjectedFeatures,
    fit_genome_statistics,
    perturbation_effects,
    single_effects,
)
from genograph.models.base import Inputs, ModelConfig, StrainModel, read_quantities
from genograph.schema import graph_schema

Array = NDArray[Any]


class GenomeConfig(ModelConfig):
    """The shape of the genome model; every field has a default that serves 600 and 6,600 genes."""

    name: Literal["genome"] = "genome"
    engine: Literal["auto", "delta", "dgl", "shared"] = "auto"
    """How the network runs over strains; every engine gives the same numbers."""
    singles: Literal["measured", "hidden"] = "measured"
    """Whether measured single-mutant fitness is an input for strains with two perturbations."""
    growth_from: Literal["predicted", "measured"] = "measured"
    """The fitness that expression and morphology follow: predicted, or measured where the cohort
    has it, the strain's own included; another phenotype, so no leak, but the strain was grown."""
    width: int = Field(default=32, ge=4, le=1024)
    """Width of a node's state."""
    layers: int = Field(default=2, ge=1, le=8)
    """Rounds of messages."""
    degree: Literal["wild-type", "exact"] = "wild-type"
    """What a node's mean of messages is over once a source is perturbed: as many as in the wild
    type, or those that still send, by dose."""
    change: int = Field(default=12, ge=1, le=256)
    """Width of the change z of a node by one perturbation."""
    hidden: int = Field(default=48, ge=4, le=1024)
    """Hidden units of the readouts."""
    pooled: int = Field(default=16, ge=0, le=256)
    """Width of the vector that the meetings of a strain add up to."""
    growth: int = Field(default=6, ge=1, le=64)
    """Rank of the genome-wide expression term u(strain) v(gene)."""
    projected: int = Field(default=64, ge=1, le=1024)
    """Principal components of the CRE embeddings that enter the network."""
    gene_identity: float = Field(default=0.3, ge=0.0, le=10.0)
    """Scale of a learned, decayed vector of each perturbed gene in what it does to shared nodes;
    0 leaves it out. A gene that training never perturbs has none."""
    gene_mark: float = Field(default=0.0, ge=0.0, le=1.0)
    """Scale of a learned vector that marks each gene for its neighbours, random at first; 0 leaves
    it out. It helps where pairs are plenty and costs singles of unseen genes."""
    node_identity: float = Field(default=0.3, ge=0.0, le=1.0)
    """Scale of a learned vector for each term and complex."""
    largest_term: float = Field(default=1.0, gt=0.0, le=1.0)
    """Terms with more than this share of all genes are not used as shared nodes."""
    fitness_floor: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Smallest single-mutant fitness whose logarithm is taken; smaller ones count as this."""


class GenomeInputs(Inputs):
    """The genome as a graph on a device, CRE features, measured single effects, and an engine."""

    def __init__(
        self,
        cohort: Cohort,
        config: GenomeConfig,
        device: torch.device | str,
        facts: Mapping[str, int | str],
    ) -> None:
        self.config, self.device = config, torch.device(device)
        self.quantities = read_quantities(cohort, config.heads)
        self.topology = Topology.of(cohort.genome, largest_term=config.largest_term)
        singles = single_effects(cohort, floor=config.fitness_floor)
        self.effects = singles.log_fitness
        self.engine = self._choose_engine(facts)
        self.features = torch.from_numpy(cohort.genome.features).to(self.device)
        self.has_features = torch.from_numpy(cohort.genome.has_features).to(self.device)
        absent = {
            f"{name}_columns_without_gene": int((vectors.gene < 0).sum())
            for name, vectors in cohort.vectors.items()
            if name in config.heads and len(vectors.gene)
        }
        self.facts = MappingProxyType(
            {
                "engine": self.engine.name,
                "engine_device": self.device.type,
                "singles_floored": singles.n_floored,
                "terms_left_out": self.topology.n_general_terms,
                **absent,
            }
        )
        self.words = f"engine {self.engine.name} ({self.engine.why})"
        self._gene_nodes: GeneNodes | None = None

    def _choose_engine(self, facts: Mapping[str, int | str]) -> Engine:
        """The engine of an earlier reading on such a device, else as configured."""
        config, kind = self.config, self.device.type
        chosen: str = config.engine
        if chosen == "auto" and facts.get("engine_device") == kind:
            chosen = str(facts["engine"])
        states = any(
            q.columns is not None and graph_schema().phenotypes[q.phenotype].axis == "gene"
            for q in self.quantities
        )
        if chosen == "auto" and not states:
            chosen = "delta"  # no head reads the states of a strain
        if chosen == "dgl" and kind != "cpu":
            chosen = "shared"  # dgl may be built for the CPU alone
        return choose_engine(
            chosen,
            self.topology.to(self.device),
            layers=config.layers,
            width=config.width,
            degree=config.degree,
        )

    def tell_effects(
        self, strains: Strains, phenotype: str
    ) -> Float32[np.ndarray, " perturbation"]:
        """What the model is told of the effect of each perturbation alone; NaN where nothing.

        Only strains with two or more perturbations are told, unless `growth_from` is measured and
        the phenotype is a vector: a measured single mutant is never an input for its own fitness.
        """
        if self.config.singles == "hidden":
            return np.full(len(strains.gene), np.nan, np.float32)
        vector = bool(graph_schema().phenotypes[phenotype].axis)
        of_singles = vector and self.config.growth_from == "measured"
        return perturbation_effects(strains, self.effects, of_singles=of_singles)

    def plan(self, strains: Strains, phenotype: str) -> Plan:
        """See Inputs; the nodes that perturbations share, or of parameters all that they reach."""
        at_least = 1 if graph_schema().phenotypes[phenotype].axis == "parameter" else 2
        return Plan.of(
            strains,
            np.arange(len(strains)),
            self.tell_effects(strains, phenotype),
            self.topology.reach,
            self.topology.n_node,
            at_least=at_least,
        )

    def plan_combinations(self, strains: Strains, size: int) -> SharedNodes:
        """See Inputs; made by torch where it is used."""
        if self._gene_nodes is None:
            self._gene_nodes = GeneNodes.of(self.topology, self.device)
        shape = (len(strains), size)
        effect = self.tell_effects(strains, "fitness")
        gene, dose, effects = (
            torch.from_numpy(each.reshape(shape)).to(self.device)
            for each in (strains.gene, strains.dose, effect)
        )
        return make_pair_plan(self._gene_nodes, gene, dose, effects)


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


class GenomeModel(StrainModel):
    """The network of one genome: encoder, heads and learned noise.

    Its statistics:
        projection, mean: from CRE features to inputs; inputs = (features - mean) @ projection.
        known: mean, s.d. and share known of the training singles' log fitness, node by node.
        near: the same singles' mean effect among each gene's neighbours by each relation but self,
            in units of effect_scale, and whether there is one; never the gene's own.
        effect_scale: s.d. of the training singles' log fitness.
        reach_norm: length of each gene's reach, see overlap.reach_norm.
        overlap_scale: root mean square of the training strains' overlaps.
        context_mean, context_scale: of their overlap.lowest_and_highest.
        PHENOTYPE_gene, _scale, _reference: see fit_vector_scales.
        noise_QUANTITY: see fit_noise.
    """

    Config = GenomeConfig
    anchored = True
    config: GenomeConfig
    inputs: GenomeInputs

    def __init__(
        self, config: GenomeConfig, inputs: GenomeInputs, statistics: Mapping[str, Tensor]
    ) -> None:
        super().__init__(config, inputs, statistics)
        topology = inputs.topology
        width, hidden, change = config.width, config.hidden, config.change
        self._projected = ProjectedFeatures()
        self.of_features = nn.Linear(statistics["projection"].shape[1], width, bias=False)
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
        self.single_effect = _mlp(width + statistics["near"].shape[1] + 1, hidden, 1)
        _quiet(self.single_effect)
        vectors = {q.name: q for q in inputs.quantities if q.columns is not None}
        axes = {name: graph_schema().phenotypes[name].axis for name in vectors}
        if "fitness" in config.heads or "parameter" in axes.values():
            self.change = nn.Linear(width + 1, len(REACHING) * change)
        if "fitness" in config.heads:
            self.meet = NodeFunction(change, node, hidden)
            self.meet_out = nn.Linear(hidden, 1 + config.pooled, bias=False)
            scale = torch.tensor([0.1] + [1.0] * config.pooled)[:, None] / math.sqrt(hidden)
            with torch.no_grad():
                self.meet_out.weight.normal_().mul_(scale)
            self.weigh = _deep(config.pooled + N_OVERLAP + N_CONTEXT, hidden)
        self.vector_heads = nn.ModuleDict()
        for name, quantity in vectors.items():
            if axes[name] == "gene":
                self.vector_heads[name] = GeneHead(config, statistics[f"{name}_gene"])
            else:
                n_parameter = len(quantity.columns or ())
                self.vector_heads[name] = ParameterHead(config, node, n_parameter)
        self.learn_noise()

    @classmethod
    def read_inputs(
        cls,
        cohort: Cohort,
        config: GenomeConfig,
        device: torch.device | str = "cpu",
        *,
        facts: Mapping[str, int | str] = MappingProxyType({}),
    ) -> GenomeInputs:
        """See StrainModel."""
        return GenomeInputs(cohort, config, device, facts)

    @classmethod
    def fit_statistics(
        cls, cohort: Cohort, inputs: GenomeInputs, config: GenomeConfig
    ) -> dict[str, Tensor]:
        """See StrainModel."""
        told: Callable[[Strains], Array] | None = None
        if config.singles == "measured":

            def told(strains: Strains) -> Array:
                return inputs.tell_effects(strains, "fitness")

        return fit_genome_statistics(
            cohort,
            inputs.topology,
            inputs.effects,
            heads=config.heads,
            projected=config.projected,
            told=told,
        )

    def encode(self) -> Encoded:
        """The wild type, encoded once for a whole batch."""
        inputs = self.inputs
        wild = inputs.engine.wild_type(
            self._stack, self._node_inputs(inputs.features, inputs.has_features)
        )
        return Encoded(wild, self.final(wild.states[-1]))

    def predict(
        self, encoded: Encoded, plan: SharedNodes, phenotype: str
    ) -> dict[str, Float[Tensor, "strain ..."]]:
        """See StrainModel."""
        if phenotype == "fitness":
            found = self.fitness(encoded.h, plan)
            return {"fitness": found.fitness, "interaction": found.interaction}
        head = self.vector_heads[phenotype]
        if isinstance(head, GeneHead):
            change = head(self, encoded, plan)
            columns = change * self.scale(phenotype)
            absent = self.statistics[f"{phenotype}_gene"] < 0
            return {phenotype: columns.masked_fill(absent, float("nan"))}
        change = head(self, encoded, plan) * self.scale(phenotype)
        return {phenotype: change + self.statistics[f"{phenotype}_reference"]}

    def scale(self, quantity: str) -> Tensor | float:
        """See StrainModel."""
        return self.statistics[f"{quantity}_scale"] if quantity in self.vector_heads else 1.0

    def _node_inputs(
        self, features: Float[Tensor, "gene feature"], has: Tensor
    ) -> Float[Tensor, "node width"]:
        """The state of every node before any message."""
        statistics = self.statistics
        projected = self._projected(features, statistics["mean"], statistics["projection"])
        gene = torch.where(has[:, None], self.of_features(projected), self.missing)
        if self.gene_mark is not None:
            gene = gene + self.gene_mark
        kinds = self.inputs.engine.topology.features
        kind: Tensor = self.of_kind(kinds.to(self.missing.dtype))
        return kind + torch.cat([gene, self.named])

    @property
    def _stack(self) -> Sequence[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def effects(self, h: Tensor, plan: SharedNodes) -> Float[Tensor, " p"]:
        """Log fitness of each perturbation alone: measured where it is known, else predicted."""
        gene = torch.cat([h[plan.p_gene], self.statistics["near"][plan.p_gene]], 1)
        lost = (1.0 - plan.p_dose.to(h.dtype))[:, None]
        predicted = self.single_effect(torch.cat([gene, lost], 1)) - self.single_effect(
            torch.cat([gene, torch.zeros_like(lost)], 1)
        )
        known = ~torch.isnan(plan.p_effect)
        return torch.where(known, torch.nan_to_num(plan.p_effect).to(h.dtype), predicted[:, 0])

    def changes(self, h: Tensor, plan: SharedNodes, effect: Tensor) -> tuple[Tensor, Tensor]:
        """Change of every shared node by each distinct perturbation alone (rows of plan.single),
        and by all that reach it (rows of shared nodes)."""
        single = plan.single
        gene, effect = plan.p_gene[single.first], effect[single.first]
        state = h[gene]
        if self.gene_named is not None:
            # starts at 0, so a gene that training never perturbs has none; of the effect of a
            # perturbation alone it knows nothing, else it would learn the singles by heart
            state = state + self.config.gene_identity * self.gene_named[gene]
        source = torch.cat([state, effect[:, None] / self.statistics["effect_scale"]], 1)
        # a message that falls away with the dose, so the change is (dose - 1) times it
        messages = self.change(source) * (plan.p_dose[single.first].to(h.dtype) - 1.0)[:, None]
        each = bag_sum(messages.view(-1, self.config.change), single.ways)
        return each, bag_sum(each, single.sums)

    def nodes(self, h: Tensor) -> Tensor:
        """State, features and known single effects of every node."""
        features = self.inputs.engine.topology.features
        return torch.cat([h, features.to(h.dtype), self.statistics["known"]], 1)

    def fitness(self, h: Float[Tensor, "node width"], plan: SharedNodes) -> Genotypes:
        """Fitness of strains: log f(S) = sum of effects + meeting(S).

        D = sum over nodes that two or more reach of F(sum of z) - sum of F(z) + (n - 1) F(0) is a
        number d and a vector p; the meeting is d + G(p, overlap) - G(0, 0): 0 for unrelated genes.
        G also sees how large the effects and reaches are, and learns what shared nodes mean.
        """
        statistics, features = self.statistics, self.inputs.engine.topology.features
        effect = self.effects(h, plan)
        zero = torch.zeros(plan.n_strain, dtype=h.dtype, device=h.device)
        log_null = zero.index_add(0, plan.p_strain, effect)
        own = self.meet.of_node(self.nodes(h))
        at_rest = self.meet_out(self.meet(own.new_zeros(len(own), self.config.change), own))
        each, total = self.changes(h, plan, effect)
        z = torch.cat([total, each])
        node = torch.cat([plan.m_node, plan.single.node])
        value: Tensor = self.meet_out(self.meet(z, take_rows(own, node)))
        # F minus F at rest, so that (n - 1) F(0) needs no term of its own
        value = value - take_rows(at_rest, node)
        n_shared = len(plan.m_node)
        summed = value.new_zeros(plan.n_strain, value.shape[1])
        summed = summed.index_add(0, plan.m_strain, value[:n_shared])
        summed = summed - bag_sum(value[n_shared:], plan.single.strains)
        shared = overlap(plan, statistics["reach_norm"]).to(h.dtype) / statistics["overlap_scale"]
        # the meeting must not teach what a perturbation does alone
        sizes = lowest_and_highest(
            plan, effect.detach(), features.to(h.dtype), statistics["reach_norm"]
        )
        context = (sizes - statistics["context_mean"]) / statistics["context_scale"]
        met = torch.cat([summed[:, 1:], shared], 1)
        weighed = self.weigh(torch.cat([met, context], 1)) - self.weigh(
            torch.cat([torch.zeros_like(met), context], 1)
        )
        return Genotypes(log_null, summed[:, 0] + weighed[:, 0])

    def anchor(self, network: nn.Module, h: Tensor, plan: SharedNodes) -> Tensor:
        """A network of gene, dose lost and effect of each perturbation, minus itself at dose 1."""
        effect_scale = self.statistics["effect_scale"]
        state, effect = h[plan.p_gene], self.effects(h, plan)[:, None] / effect_scale
        lost = (1.0 - plan.p_dose.to(h.dtype))[:, None]
        nothing = torch.zeros_like(lost)
        out: Tensor = network(torch.cat([state, lost, effect], 1)) - network(
            torch.cat([state, nothing, nothing], 1)
        )
        return out

    def perturbed_states(
        self, encoded: Encoded, plan: SharedNodes, genes: Int64[Tensor, " gene"]
    ) -> tuple[Perturbed, Any]:
        """The perturbations of a plan, and the engine's states of some genes under them."""
        perturbed = Perturbed(plan.n_strain, plan.p_strain, plan.p_gene, plan.p_dose)
        states = self.inputs.engine.encode(self._stack, encoded.wild, perturbed, genes)
        return perturbed, states


class GeneHead(nn.Module):
    """Change of a value of every gene: by its own state, and by a genome-wide response to growth.

    A genome-wide term u(strain) v(gene) follows the strain's fitness; u is a sum over perturbations
    and 0 for the wild type.
    """

    expressed: Tensor
    column: Tensor

    def __init__(self, config: GenomeConfig, gene: Int64[Tensor, " column"]) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.express = _mlp(width, hidden, 1)
        self.grow = _mlp(width + 2, hidden, config.growth)
        self.respond = nn.Linear(width, config.growth)
        # several columns may be of one gene, and some of none
        genes, column = torch.unique(gene.clamp(min=-1), return_inverse=True)
        absent = int(len(genes) > 0 and genes[0] < 0)
        self.register_buffer("expressed", genes[absent:], persistent=False)
        self.register_buffer("column", (column - absent).clamp(min=0), persistent=False)
        self.response = nn.Parameter(torch.randn(len(self.expressed), config.growth) * 0.1)

    def forward(
        self, model: GenomeModel, encoded: Encoded, plan: SharedNodes
    ) -> Float[Tensor, "strain column"]:
        """Change of each column's gene from the wild type, in units of the scale."""
        h, n, genes = encoded.h, plan.n_strain, self.expressed
        perturbed, states = model.perturbed_states(encoded, plan, genes)
        rest = self.express(h[genes])[:, 0]
        if states.node is None or states.strain is None:
            there = states.h.view(h.shape[0], n, h.shape[1])[genes]
            local = self.express(model.final(there))[..., 0].T - rest
        else:
            place = torch.zeros(h.shape[0], dtype=torch.int64, device=h.device)
            place[genes] = torch.arange(len(genes), device=h.device)
            at = place[states.node]
            value = self.express(model.final(states.h))[:, 0] - rest[at]
            local = rest.new_zeros(n, len(genes)).index_put((states.strain, at), value)
        # two encodings of one unchanged genome may differ in the last bit: no change of dose, no
        # change of expression
        changed = (perturbed.dose != 1.0).to(rest.dtype)
        any_change = rest.new_zeros(n).index_add(0, perturbed.strain, changed).clamp(max=1.0)
        v = self.respond(h[genes]) + self.response
        u = model.anchor(self.grow, h, plan)
        grown = u.new_zeros(n, u.shape[1]).index_add(0, plan.p_strain, u)
        answer = local * any_change[:, None] + grown @ v.T
        columns: Tensor = answer[:, self.column]
        return columns


class ParameterHead(nn.Module):
    """Change of parameters: a sum over all reached nodes of M_v(sum of z) - M_v(0), and a direct
    term of each perturbation."""

    def __init__(self, config: GenomeConfig, node: int, n_parameter: int) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.shape = NodeFunction(config.change, node, hidden)
        self.shape_out = nn.Linear(hidden, n_parameter, bias=False)
        nn.init.normal_(self.shape_out.weight, std=0.1 / math.sqrt(hidden))
        self.shape_single = _mlp(width + 2, hidden, n_parameter)
        _quiet(self.shape_single)

    def forward(
        self, model: GenomeModel, encoded: Encoded, plan: SharedNodes
    ) -> Float[Tensor, "strain parameter"]:
        """Change of each parameter from the wild type, in units of its scale."""
        h = encoded.h
        effect = model.effects(h, plan)
        own = self.shape.of_node(model.nodes(h))
        _, total = model.changes(h, plan, effect)
        here = take_rows(own, plan.m_node)
        moved = self.shape(total, here) - self.shape(torch.zeros_like(total), here)
        summed = moved.new_zeros(plan.n_strain, moved.shape[1]).index_add(0, plan.m_strain, moved)
        direct = model.anchor(self.shape_single, h, plan)
        direct = direct.new_zeros(plan.n_strain, direct.shape[1]).index_add(
            0, plan.p_strain, direct
        )
        answer: Tensor = self.shape_out(summed) + direct
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


MODEL = GenomeModel
