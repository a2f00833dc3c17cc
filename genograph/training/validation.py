"""Validation during training: a few correlations that tell when to stop. Scores are elsewhere."""

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from genograph.cohorts import Strains
from genograph.models.base import StrainModel, StrainPlan
from genograph.training.examples import ScalarTask, Task, VectorTask
from genograph.training.fit import Scores

Array = NDArray[Any]
MOST_VALIDATED = 100_000
"""Examples of a task of the validation fold that decide when to stop; of more, so many are taken,
evenly spaced. Scores of all of them are `evaluate`'s."""
FEWEST = 20
"""A correlation over fewer examples does not decide when to stop."""


def pearson(a: Array, b: Array) -> float:
    """Pearson correlation of the places where both are numbers; NaN where one does not vary."""
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both].astype(np.float64), b[both].astype(np.float64)
    if len(x) < 2:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / spread if spread > 1e-12 else math.nan


class Validation:
    """The examples of a fold, and the score of each quantity of a model on them.

    Scores are Pearson correlations: of interaction scores over the strains that have one, of a
    scalar phenotype over single mutants; of a vector along genes the mean over strains, less the
    mean training profile; along parameters the mean over parameters. NaN where nothing varies.
    """

    def __init__(self, tasks: Mapping[str, Task], mean_profiles: Mapping[str, Array]) -> None:
        """Score on `tasks`; `mean_profiles` of the training strains, by vector phenotype."""
        self._tasks, self._means = tasks, mean_profiles

    @torch.no_grad()
    def score(self, model: StrainModel) -> Scores:
        """The scores of a model; the first with enough examples decides.

        A model may predict one number for all examples, such as no interaction at all. Where no
        score is left to decide, the root mean squared error does, with its sign changed.
        """
        encoded = model.encode()
        values: dict[str, float] = {}
        enough: list[tuple[float, int]] = []
        for task in self._tasks.values():
            if isinstance(task, ScalarTask):
                name, score, n = self._score_scalars(model, encoded, task)
            elif isinstance(task, VectorTask):
                name, n = task.phenotype, len(task)
                score = self._score_vectors(model, encoded, task)
            values[name] = score
            enough.append((score, n))
        decisive = next((s for s, n in enough if n >= FEWEST and not math.isnan(s)), None)
        if decisive is None:
            decisive = -self._measure_error(model, encoded)
        return Scores(values, decisive)

    def _measure_error(self, model: StrainModel, encoded: Any) -> float:  # noqa: ANN401  see above
        """Root mean squared error of the scalar of the first task with enough values, else NaN."""
        for task in self._tasks.values():
            if isinstance(task, ScalarTask):
                measured = task.read_values()
                known = ~np.isnan(measured)
                if known.sum() >= FEWEST:
                    guess = _guess(model, encoded, task, task.strains(), task.phenotype)
                    return float(np.sqrt(np.mean(np.square(guess - measured)[known])))
        return math.nan

    def _score_scalars(
        self,
        model: StrainModel,
        encoded: Any,  # noqa: ANN401  the model's own
        task: ScalarTask,
    ) -> tuple[str, float, int]:
        """The quantity, its correlation, and over how many examples."""
        examples = task.take(np.arange(len(task)))
        several = task.name == "pairs"
        quantity = "interaction" if several else task.phenotype
        guess = _guess(model, encoded, task, examples.strain, quantity)
        scored = examples.is_interaction if several else np.ones(len(guess), bool)
        return quantity, pearson(guess[scored], examples.target[scored]), int(scored.sum())

    def _score_vectors(
        self,
        model: StrainModel,
        encoded: Any,  # noqa: ANN401  the model's own
        task: VectorTask,
    ) -> float:
        mean = self._means.get(task.phenotype)
        strains = task.strains()
        if mean is None:
            guess = _guess(model, encoded, task, strains, task.phenotype)
            return _mean(map(pearson, guess.T, task.values(task.rows).T))
        scores: list[float] = []
        for some in task.pieces():
            guess = _guess(model, encoded, task, strains[some], task.phenotype)
            values = task.values(task.rows[some])
            scores += map(pearson, guess - mean, values - mean)
        return _mean(scores)

    @torch.no_grad()
    def seconds(self, model: StrainModel) -> float:
        """Seconds that `score` should take, by a chunk of each task."""
        start = time.perf_counter()
        encoded = model.encode()
        total = time.perf_counter() - start
        for task in self._tasks.values():
            strain = np.unique(task.strains())
            some = strain[: model.strains_at_once(task.phenotype)]
            start = time.perf_counter()
            _predict(model, encoded, task.plans.take(some), task.phenotype)
            total += (time.perf_counter() - start) * len(strain) / len(some)
        return total


def wild_type_values(model: StrainModel) -> dict[str, float]:
    """What a model says of the wild type, quantity by quantity that is one number.

    Interaction scores, which take two perturbations, are left out.
    """
    nothing = np.zeros(0, np.int64)
    wild = Strains(
        pa.array(["WT"], pa.string()),
        np.zeros(2, np.int64),
        nothing,
        np.zeros(0, np.float32),
        nothing,
    )
    out = {}
    for quantity in model.inputs.quantities:
        if quantity.columns is None and not quantity.needs:
            plan = model.inputs.plan(wild, quantity.phenotype)
            with torch.no_grad():
                found = _predict(model, model.encode(), plan, quantity.phenotype)
            out[quantity.name] = float(found[quantity.name][0])
    return out


def _guess(
    model: StrainModel,
    encoded: Any,  # noqa: ANN401  the model's own
    task: Task,
    strain: Array,
    quantity: str,
) -> Array:
    """What the model says of a task's strains, example by example."""
    distinct, row = np.unique(strain, return_inverse=True)
    size = model.strains_at_once(task.phenotype)
    parts = [
        _predict(model, encoded, task.plans.take(distinct[start : start + size]), task.phenotype)
        for start in range(0, len(distinct), size)
    ]
    return np.concatenate([part[quantity] for part in parts])[row]


def _predict(
    model: StrainModel,
    encoded: Any,  # noqa: ANN401  the model's own
    plan: StrainPlan,
    phenotype: str,
) -> dict[str, Array]:
    found = model.predict(encoded, plan.tensors(model.inputs.device), phenotype)
    return {name: values.float().cpu().numpy() for name, values in found.items()}


def _mean(values: Iterable[float]) -> float:
    found = [v for v in values if not math.isnan(v)]
    return sum(found) / len(found) if found else math.nan
