"""Tasks: the experiments of one fold as examples, batches with a fixed quota of each, the loss."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy.typing import NDArray
from torch import Tensor, nn

from genograph.cohorts import Cohort, Fitness, Strains, Vectors
from genograph.cohorts.ragged import n_perturbed_of, rows_where
from genograph.engine.base import Engine, Perturbed
from genograph.engine.topology import Topology
from genograph.models.config import ModelConfig
from genograph.models.genome import Encoded, GenomeModel
from genograph.models.planning import Planned, Planner, plans_of
from genograph.models.plans import Meetings
from genograph.models.statistics import perturbation_effects

Array = NDArray[Any]
TASKS = ("pairs", "singles", "expression", "morphology")
HEAD_OF = {
    "pairs": "fitness",
    "singles": "fitness",
    "expression": "expression",
    "morphology": "morphology",
}


class Examples(NamedTuple):
    """Some fitness examples.

    Attributes:
        strain: strain row in the cohort.
        study: index into Cohort.studies.
        target: interaction score or fitness.
        variance: reported s.d. squared; 0 where none was reported.
        is_interaction: which of the two `target` is.
    """

    strain: Int64[np.ndarray, " example"]
    study: Int64[np.ndarray, " example"]
    target: Float32[np.ndarray, " example"]
    variance: Float32[np.ndarray, " example"]
    is_interaction: Array


class Scalars(NamedTuple):
    """Fitness examples, as rows of the cohort's arrays, which may lie on disk.

    Pairs (and strains with more perturbations) are trained on the interaction score where it was
    reported, since fitness is then the score plus a constant, and on fitness elsewhere.

    Attributes:
        plan: meetings of the strains.
        fitness: the experiments of the whole cohort.
        experiment: row of `fitness` of each example.
        several: whether the strains have two or more perturbations.
        n_left_out: examples of the fold that are not among these.
    """

    plan: Planned | Planner
    fitness: Fitness
    experiment: Array
    several: bool
    n_left_out: int

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.experiment)

    def take(self, index: Array) -> Examples:
        """These examples."""
        fitness, rows = self.fitness, self.experiment[index]
        score = fitness.interaction[rows]
        scored = ~np.isnan(score) if self.several else np.zeros(len(rows), bool)
        sd = np.where(scored, fitness.interaction_sd[rows], fitness.sd[rows])
        return Examples(
            fitness.strain[rows],
            fitness.study[rows],
            np.where(scored, score, fitness.value[rows]).astype(np.float32),
            np.nan_to_num(sd, nan=0.0).astype(np.float32) ** 2,
            scored,
        )

    def all(self) -> Examples:
        """Every example, in memory."""
        return self.take(np.arange(len(self)))


class Rows(NamedTuple):
    """Vector examples: `values` of each, NaN where not measured or not predictable."""

    plan: Planned | Planner
    strain: Int64[np.ndarray, " example"]
    study: Int64[np.ndarray, " example"]
    values: Float32[np.ndarray, "example axis"]

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.strain)


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
    *,
    most: int | None = None,
) -> Tasks:
    """The examples of the strains of a fold. The wild type is no example: every head knows it.

    `effects` is the measured log fitness of single mutants, by strain row; NaN where there is none.
    Of more than `most` fitness examples of a task, as many are taken, evenly spaced.
    """
    strains, heads = cohort.strains, config.heads

    def planner(head: str, at_least: int) -> Planner:
        def effect(some: Strains) -> Array:
            return perturbation_effects(some, effects, config, head)

        return Planner(strains, effect, topology.reach, topology.n_node, at_least)

    found: dict[str, Any] = dict.fromkeys(TASKS)  # Any: Scalars and Rows by task
    if "fitness" in heads and cohort.fitness is not None:
        of_fitness = planner("fitness", 2)
        for name, several in (("pairs", True), ("singles", False)):
            found[name] = _scalars(cohort, fold, several, of_fitness, most)
    if "expression" in heads and cohort.expression is not None:
        usable = cohort.expression.gene >= 0
        found["expression"] = _rows(
            cohort, cohort.expression, fold, usable, planner("expression", 2)
        )
    if "morphology" in heads and cohort.morphology is not None:
        usable = np.ones(len(cohort.morphology.names), bool)
        found["morphology"] = _rows(
            cohort, cohort.morphology, fold, usable, planner("morphology", 1)
        )
    return Tasks(**found)


def _scalars(
    cohort: Cohort, fold: int, several: bool, planner: Planner, most: int | None
) -> Scalars | None:
    fitness = cohort.fitness
    assert fitness is not None

    def kept(piece: slice) -> Array:
        strain = fitness.strain[piece]
        n = n_perturbed_of(cohort.strains, strain)
        mine = (cohort.strain_fold[strain] == fold) & ((n >= 2) if several else (n == 1))
        told = ~np.isnan(fitness.value[piece])
        if several:
            told |= ~np.isnan(fitness.interaction[piece])
        chosen: Array = mine & told
        return chosen

    rows = rows_where(len(fitness), kept)
    if not len(rows):
        return None
    n_left_out = 0
    if most is not None and len(rows) > most:
        n_left_out = len(rows) - most
        rows = rows[np.arange(most) * len(rows) // most]
    plan = plans_of(planner, fitness.strain, rows)
    return Scalars(plan, fitness, rows, several, n_left_out)


def _rows(
    cohort: Cohort, vectors: Vectors, fold: int, usable: Array, planner: Planner
) -> Rows | None:
    values = np.where(usable, vectors.values, np.nan).astype(np.float32)
    strain = vectors.strain
    mine = (cohort.strain_fold[strain] == fold) & (n_perturbed_of(cohort.strains, strain) > 0)
    rows = np.flatnonzero(mine & ~np.isnan(values).all(1))
    if not len(rows):
        return None
    plan = plans_of(planner, strain, rows)
    return Rows(plan, strain[rows], vectors.study[rows], values[rows])


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
                # half the memory of a permutation in int64, and the same order
                order = np.arange(self.n, dtype=np.int32 if self.n < 2**31 else np.int64)
                np.random.default_rng((*self.seed, lap)).shuffle(order)
                self._order = (lap, order)
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
        if isinstance(task, Scalars):
            some = task.take(mine)
            out[name] = ScalarBatch(
                task.plan.take(some.strain).tensors(device),
                torch.from_numpy(some.study).to(device),
                torch.from_numpy(some.target).to(device),
                torch.from_numpy(some.variance).to(device),
                torch.from_numpy(some.is_interaction).to(device),
                len(index),
            )
        else:
            n = int((~np.isnan(task.values[index])).sum())
            out[name] = RowBatch(
                task.plan.take(task.strain[mine]).tensors(device),
                torch.from_numpy(task.study[mine]).to(device),
                torch.from_numpy(task.values[mine]).to(device),
                n,
            )
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
