"""Validation during training: a few correlations that tell when to stop. Scores are elsewhere."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genograph.nn.plans import Plan, Planner
from genograph.nn.tasks import Objective, Rows, Scalars, Tasks, perturbed_of

Array = np.ndarray[Any, np.dtype[Any]]
CHUNK = {"pairs": 4096, "singles": 8192, "expression": 16, "morphology": 256}
FEWEST = 20
"""A correlation over fewer examples does not decide when to stop."""


class Scores(NamedTuple):
    """Pearson correlations on the validation fold; NaN where there is nothing to correlate.

    Attributes:
        interaction: over strains with a reported interaction score.
        fitness: of single mutants.
        expression: mean over strains, profiles less the mean training profile.
        morphology: mean over parameters.
        wild_type_fitness: what the model says of the wild type: 1.
        decisive: the first of the four with enough examples; NaN if none has.
    """

    interaction: float
    fitness: float
    expression: float
    morphology: float
    wild_type_fitness: float
    decisive: float


def pearson(a: Array, b: Array) -> float:
    """Pearson correlation of the places where both are numbers; NaN where one does not vary."""
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both].astype(np.float64), b[both].astype(np.float64)
    if len(x) < 2:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / spread if spread > 1e-12 else math.nan


@torch.no_grad()
def validate(objective: Objective, tasks: Tasks, mean_profile: Array | None) -> Scores:
    """The scores of a model on the examples of a fold."""
    model, topology = objective.model, objective.topology
    encoded = objective.encode()
    h = encoded.h
    device = h.device
    interaction = fitness = expression = morphology = math.nan
    enough = []
    if tasks.pairs is not None:
        t = tasks.pairs
        parts = [
            model.fitness(h, part.tensors(device), topology).interaction
            for part in _chunks(t.plan, CHUNK["pairs"])
        ]
        interaction = _scalar(t, parts, t.is_interaction)
        enough.append((interaction, int(t.is_interaction.sum())))
    if tasks.singles is not None:
        t = tasks.singles
        parts = [
            model.fitness(h, part.tensors(device), topology).fitness
            for part in _chunks(t.plan, CHUNK["singles"])
        ]
        fitness = _scalar(t, parts, np.ones(len(t), bool))
        enough.append((fitness, len(t)))
    if tasks.expression is not None:
        meetings = [p.tensors(device) for p in _chunks(tasks.expression.plan, CHUNK["expression"])]
        parts = [model.expression(encoded, perturbed_of(m), m, objective.engine) for m in meetings]
        mean = 0.0 if mean_profile is None else mean_profile
        guess, measured = _vectors(tasks.expression, parts)
        expression = _mean(map(pearson, guess - mean, measured - mean))
        enough.append((expression, len(measured)))
    if tasks.morphology is not None:
        parts = [
            model.morphology(h, part.tensors(device), topology)
            for part in _chunks(tasks.morphology.plan, CHUNK["morphology"])
        ]
        guess, measured = _vectors(tasks.morphology, parts)
        morphology = _mean(map(pearson, guess.T, measured.T))
        enough.append((morphology, len(measured)))
    decisive = next((s for s, n in enough if n >= FEWEST and not math.isnan(s)), math.nan)
    return Scores(interaction, fitness, expression, morphology, _wild_type(objective, h), decisive)


def _wild_type(objective: Objective, h: Tensor) -> float:
    if "fitness" not in objective.model.config.heads:
        return math.nan
    nothing = empty_plan(1).tensors(h.device)
    return float(objective.model.fitness(h, nothing, objective.topology).fitness)


def empty_plan(n: int) -> Plan:
    """The plan of n strains without perturbations."""
    none, real, start = np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(1, np.int64)
    zeros = np.zeros(n + 1, np.int64)
    return Plan(zeros, none, real, real, zeros, none, start, none, start, none, real)


def _chunks(plan: Plan | Planner, size: int) -> Iterator[Plan]:
    for start in range(0, plan.n_strain, size):
        yield plan.take(np.arange(start, min(start + size, plan.n_strain)))


def _scalar(task: Scalars, parts: list[Tensor], rows: Array) -> float:
    guess = torch.cat(parts).float().cpu().numpy()[task.row]
    return pearson(guess[rows], task.target[rows])


def _vectors(task: Rows, parts: list[Tensor]) -> tuple[Array, Array]:
    return torch.cat(parts).float().cpu().numpy()[task.row], task.values


def _mean(values: Iterable[float]) -> float:
    found = [v for v in values if not math.isnan(v)]
    return sum(found) / len(found) if found else math.nan
