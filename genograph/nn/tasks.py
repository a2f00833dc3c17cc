"""Tasks: the experiments of one fold as examples, batches with a fixed quota of each, the loss."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from genograph.cohorts import Cohort, Vectors
from genograph.nn.config import ModelConfig
from genograph.nn.engines import Engine, Perturbed
from genograph.nn.model import Encoded, GenomeModel
from genograph.nn.plans import Meetings, Plan, Planner, plans_of
from genograph.nn.setting import perturbation_effects
from genograph.nn.topology import Topology

Array = np.ndarray[Any, np.dtype[Any]]
TASKS = ("pairs", "singles", "expression", "morphology")
HEAD_OF = {
    "pairs": "fitness",
    "singles": "fitness",
    "expression": "expression",
    "morphology": "morphology",
}


class Scalars(NamedTuple):
    """Fitness examples.

    Pairs (and strains with more perturbations) are trained on the interaction score where it was
    reported, since fitness is then the score plus a constant, and on fitness elsewhere.

    Attributes:
        plan: meetings of the distinct strains.
        row: row of `plan` of each example.
        strain: strain row in the cohort.
        study: index into Cohort.studies.
        target: interaction score or fitness.
        variance: reported s.d. squared; 0 where none was reported.
        is_interaction: which of the two `target` is.
    """

    plan: Plan | Planner
    row: Int64[np.ndarray, " example"]
    strain: Int64[np.ndarray, " example"]
    study: Int64[np.ndarray, " example"]
    target: Float32[np.ndarray, " example"]
    variance: Float32[np.ndarray, " example"]
    is_interaction: Array

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.row)


class Rows(NamedTuple):
    """Vector examples: `values` of each, NaN where not measured or not predictable."""

    plan: Plan | Planner
    row: Int64[np.ndarray, " example"]
    strain: Int64[np.ndarray, " example"]
    study: Int64[np.ndarray, " example"]
    values: Float32[np.ndarray, "example axis"]

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.row)


class Tasks(NamedTuple):
    """The examples of a fold; None where a task has none."""

    pairs: Scalars | None
    singles: Scalars | None
    expression: Rows | None
    morphology: Rows | None


def tasks_of(
    cohort: Cohort,
    fold: int,
    effects: Float32[np.ndarray, " strain"],
    topology: Topology,
    config: ModelConfig,
) -> Tasks:
    """The examples of the strains of a fold. The wild type is no example: every head knows it.

    `effects` is the measured log fitness of single mutants, by strain row; NaN where there is none.
    """
    strains = cohort.strains
    mine = (cohort.strain_fold == fold) & (strains.n_perturbed > 0)
    heads = config.heads
    shared = {
        head: (perturbation_effects(strains, effects, config, head), topology) for head in heads
    }
    found: dict[str, Any] = dict.fromkeys(TASKS)  # Any: Scalars and Rows by task
    if "fitness" in heads and cohort.fitness is not None:
        many = strains.n_perturbed >= 2
        found["pairs"] = _scalars(cohort, mine & many, *shared["fitness"])
        found["singles"] = _scalars(cohort, mine & ~many, *shared["fitness"])
    if "expression" in heads and cohort.expression is not None:
        usable = cohort.expression.gene >= 0
        found["expression"] = _rows(
            cohort, cohort.expression, mine, usable, 2, *shared["expression"]
        )
    if "morphology" in heads and cohort.morphology is not None:
        usable = np.ones(len(cohort.morphology.names), bool)
        found["morphology"] = _rows(
            cohort, cohort.morphology, mine, usable, 1, *shared["morphology"]
        )
    return Tasks(**found)


def _scalars(cohort: Cohort, mine: Array, effect: Array, topology: Topology) -> Scalars | None:
    fitness = cohort.fitness
    assert fitness is not None
    scored = ~np.isnan(fitness.interaction) & (cohort.strains.n_perturbed[fitness.strain] >= 2)
    rows = np.flatnonzero(mine[fitness.strain] & (scored | ~np.isnan(fitness.value)))
    if not len(rows):
        return None
    scored = scored[rows]
    target = np.where(scored, fitness.interaction[rows], fitness.value[rows])
    sd = np.where(scored, fitness.interaction_sd[rows], fitness.sd[rows])
    distinct, row = np.unique(fitness.strain[rows], return_inverse=True)
    plan = plans_of(
        Planner(cohort.strains, distinct, effect, topology.reach, topology.n_node, at_least=2)
    )
    return Scalars(
        plan,
        row,
        fitness.strain[rows],
        fitness.study[rows],
        target.astype(np.float32),
        np.nan_to_num(sd, nan=0.0).astype(np.float32) ** 2,
        scored,
    )


def _rows(
    cohort: Cohort,
    vectors: Vectors,
    mine: Array,
    usable: Array,
    at_least: int,
    effect: Array,
    topology: Topology,
) -> Rows | None:
    values = np.where(usable, vectors.values, np.nan).astype(np.float32)
    rows = np.flatnonzero(mine[vectors.strain] & ~np.isnan(values).all(1))
    if not len(rows):
        return None
    distinct, row = np.unique(vectors.strain[rows], return_inverse=True)
    plan = plans_of(
        Planner(cohort.strains, distinct, effect, topology.reach, topology.n_node, at_least)
    )
    return Rows(plan, row, vectors.strain[rows], vectors.study[rows], values[rows])


class ScalarBatch(NamedTuple):
    """A batch of fitness examples as tensors; `n` is the size of the whole batch, all processes."""

    plan: Meetings
    study: Int64[Tensor, " example"]
    target: Float32[Tensor, " example"]
    variance: Float32[Tensor, " example"]
    is_interaction: Tensor
    n: int


class RowBatch(NamedTuple):
    """A batch of vector examples as tensors; `n` counts the measured values of the whole batch."""

    plan: Meetings
    study: Int64[Tensor, " example"]
    values: Float32[Tensor, "example axis"]
    n: int


Batch = Mapping[str, ScalarBatch | RowBatch]


class Stream:
    """The order in which a task's examples come: permutation after permutation, by seed alone."""

    def __init__(self, n: int, quota: int, seed: tuple[int, ...]) -> None:
        self.n, self.quota, self.seed = n, min(quota, n), seed
        self._order: tuple[int, Array] | None = None

    def at(self, step: int) -> Array:
        """The examples of a step; steps may be asked for in any order."""
        out, position, end = [], step * self.quota, (step + 1) * self.quota
        while position < end:
            lap, place = divmod(position, self.n)
            if self._order is None or self._order[0] != lap:
                self._order = (lap, np.random.default_rng((*self.seed, lap)).permutation(self.n))
            part = self._order[1][place : place + end - position]
            out.append(part)
            position += len(part)
        return np.concatenate(out).astype(np.int64)


def batch_of(
    tasks: Tasks,
    chosen: Mapping[str, Array],
    device: torch.device | str,
    *,
    rank: int = 0,
    world: int = 1,
) -> Batch:
    """The chosen examples as tensors; of several processes each takes every world-th one."""
    out: dict[str, ScalarBatch | RowBatch] = {}
    for name, index in chosen.items():
        task = getattr(tasks, name)
        mine = index[rank::world]
        plan = task.plan.take(task.row[mine]).tensors(device)
        study = torch.from_numpy(task.study[mine]).to(device)
        if isinstance(task, Scalars):
            out[name] = ScalarBatch(
                plan,
                study,
                torch.from_numpy(task.target[mine]).to(device),
                torch.from_numpy(task.variance[mine]).to(device),
                torch.from_numpy(task.is_interaction[mine]).to(device),
                len(index),
            )
        else:
            n = int((~np.isnan(task.values[index])).sum())
            out[name] = RowBatch(plan, study, torch.from_numpy(task.values[mine]).to(device), n)
    return out


def perturbed_of(plan: Meetings) -> Perturbed:
    """The perturbations of a plan as the engines take them."""
    return Perturbed(plan.n_strain, plan.p_strain, plan.p_gene, plan.p_dose)


class Objective(nn.Module):
    """The joint loss of a batch; a module, so that data-parallel wrappers see one forward."""

    def __init__(
        self, model: GenomeModel, topology: Topology, engine: Engine, features: Tensor, has: Tensor
    ) -> None:
        super().__init__()
        self.model = model
        self.topology, self.engine = topology, engine
        self._features, self._has = features, has

    def encode(self) -> Encoded:
        """The wild type, encoded."""
        inputs = self.model.inputs(self._features, self._has, self.topology)
        return self.model.encode(inputs, self.engine)

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The negative log-likelihood by task: sum over this process's part / whole batch's size.

        Gaussian, with variance = reported s.d. squared + learned noise of the study and head;
        expression and morphology in units of their scales.
        """
        encoded = self.encode()
        h = encoded.h
        model, losses = self.model, {}
        for name, part in batch.items():
            if isinstance(part, ScalarBatch):
                found = model.fitness(h, part.plan, self.topology)
                guess = torch.where(part.is_interaction, found.interaction, found.fitness)
                noise = torch.where(
                    part.is_interaction,
                    model.log_noise["interaction"][part.study],
                    model.log_noise["fitness"][part.study],
                )
                loss = _gaussian(guess - part.target, part.variance + noise.exp())
            else:
                if name == "expression":
                    guess = model.expression(
                        encoded, perturbed_of(part.plan), part.plan, self.engine
                    )
                    error = (guess - part.values) / model.expression_scale
                else:
                    guess = model.morphology(h, part.plan, self.topology)
                    error = (
                        guess + model.morphology_reference - part.values
                    ) / model.morphology_scale
                measured = ~torch.isnan(part.values)
                variance = model.log_noise[name][part.study].exp()[:, None].expand_as(error)
                loss = _gaussian(
                    torch.where(measured, error, 0.0), torch.where(measured, variance, 1.0)
                )
                # a value that was not measured has error 0 at variance 1, and so adds nothing
            losses[name] = loss.sum() / max(part.n, 1)
        return losses


def _gaussian(error: Tensor, variance: Tensor) -> Tensor:
    variance = variance.clamp(min=1e-6)
    return 0.5 * (error**2 / variance + variance.log())
