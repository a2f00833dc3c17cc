"""Validation during training: a few correlations that tell when to stop. Scores are elsewhere."""

import math
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genograph.models.genome import Encoded
from genograph.models.planning import Planned, Planner
from genograph.models.plans import Plan
from genograph.training.examples import TASKS, Objective, Scalars, Tasks, perturbed_of

Array = NDArray[Any]
CHUNK = {"pairs": 4096, "singles": 8192, "expression": 16, "morphology": 256}
MOST_VALIDATED = 100_000
"""Pairs, and singles, of the validation fold that decide when to stop; of more, so many are taken,
evenly spaced. Scores of all of them are `evaluate`'s."""
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
    encoded = objective.encode()
    interaction = fitness = expression = morphology = math.nan
    enough = []
    if tasks.pairs is not None:
        t = tasks.pairs.all()
        guess = _guessed(objective, encoded, "pairs", tasks.pairs.plan, t.strain)
        scored = t.is_interaction
        interaction = pearson(guess[scored], t.target[scored])
        enough.append((interaction, int(scored.sum())))
    if tasks.singles is not None:
        t = tasks.singles.all()
        guess = _guessed(objective, encoded, "singles", tasks.singles.plan, t.strain)
        fitness = pearson(guess, t.target)
        enough.append((fitness, len(guess)))
    if tasks.expression is not None:
        e = tasks.expression
        guess = _guessed(objective, encoded, "expression", e.plan, e.strain)
        mean = 0.0 if mean_profile is None else mean_profile
        expression = _mean(map(pearson, guess - mean, e.values - mean))
        enough.append((expression, len(e)))
    if tasks.morphology is not None:
        m = tasks.morphology
        guess = _guessed(objective, encoded, "morphology", m.plan, m.strain)
        morphology = _mean(map(pearson, guess.T, m.values.T))
        enough.append((morphology, len(m)))
    decisive = next((s for s, n in enough if n >= FEWEST and not math.isnan(s)), math.nan)
    return Scores(
        interaction, fitness, expression, morphology, _wild_type(objective, encoded.h), decisive
    )


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


def _guessed(
    objective: Objective, encoded: Encoded, name: str, plan: Planned | Planner, strain: Array
) -> Array:
    """What the model says of a task's strains, example by example."""
    distinct, row = np.unique(strain, return_inverse=True)
    size = CHUNK[name]
    parts = [
        _guess(objective, encoded, name, plan.take(distinct[start : start + size]))
        for start in range(0, len(distinct), size)
    ]
    return np.concatenate(parts)[row]


def _guess(objective: Objective, encoded: Encoded, name: str, plan: Plan) -> Array:
    model, topology, h = objective.model, objective.topology, encoded.h
    meetings = plan.tensors(h.device)
    if name == "expression":
        found = model.expression(encoded, perturbed_of(meetings), meetings, objective.engine)
    elif name == "morphology":
        found = model.morphology(h, meetings, topology)
    else:
        both = model.fitness(h, meetings, topology)
        found = both.interaction if name == "pairs" else both.fitness
    guess: Array = found.float().cpu().numpy()
    return guess


@torch.no_grad()
def pace_of(objective: Objective, tasks: Tasks) -> float:
    """Seconds that `validate` should take, by a chunk of each task."""
    start = time.perf_counter()
    encoded = objective.encode()
    total = time.perf_counter() - start
    for name in TASKS:
        task = getattr(tasks, name)
        if task is None:
            continue
        strain = np.unique(task.all().strain if isinstance(task, Scalars) else task.strain)
        some = strain[: CHUNK[name]]
        start = time.perf_counter()
        _guess(objective, encoded, name, task.plan.take(some))
        total += (time.perf_counter() - start) * len(strain) / len(some)
    return total


def _mean(values: Iterable[float]) -> float:
    found = [v for v in values if not math.isnan(v)]
    return sum(found) / len(found) if found else math.nan
