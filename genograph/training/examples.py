"""Examples: the experiments of one fold, task by task, and batches with a fixed quota of each.

Tasks are `pairs` and `singles` of a phenotype that is one number, and the vector phenotypes by
name. Measurements stay where the cohort has them, which may be a mapped file: an example is a row.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from numpy.typing import NDArray

from genograph.cohorts import Cohort, Fitness, Strains, Vectors
from genograph.cohorts.ragged import (
    count_perturbed,
    cut_pieces,
    cut_vectors,
    find_rows,
    take_strains,
)
from genograph.config import TrainingConfig
from genograph.models.base import Batch, Inputs, ScalarBatch, StrainPlan, VectorBatch
from genograph.training.fit import Batches

Array = NDArray[Any]
MOST_PLANNED = 200_000
"""Strains that are planned once for a training; of more, each batch is planned when it comes."""
FEWEST_STEPS, MOST_STEPS = 10, 60
SHOWN = 3
"""Labels that are named where a loss is not finite."""


class Label(NamedTuple):
    """A label of an example: the larger in size of its number and its s.d., and how it is shown."""

    size: float
    words: str


class Planner:
    """Plans of a cohort's strains for one phenotype, made once where they are few, else as asked.

    The strains' arrays may be mapped from disk; a batch touches its own rows.
    """

    def __init__(
        self,
        inputs: Inputs,
        strains: Strains,
        phenotype: str,
        known: Int64[np.ndarray, " strain"] | None,
    ) -> None:
        """Plan the strains `known`, ascending rows, now; None: each batch when it comes."""
        self._inputs, self._strains, self._phenotype = inputs, strains, phenotype
        self._known = known
        if known is not None:
            self._plan = self._make(known)

    def take(self, rows: Int64[np.ndarray, " taken"]) -> StrainPlan:
        """The plan of these strains, by their rows in the cohort, in this order."""
        if self._known is None:
            return self._make(rows)
        return self._plan.take(np.searchsorted(self._known, rows))

    def _make(self, rows: Array) -> StrainPlan:
        return self._inputs.plan(take_strains(self._strains, rows), self._phenotype)


class Examples(NamedTuple):
    """Some examples of a phenotype that is one number.

    Attributes:
        strain: strain row in the cohort.
        study: index into Cohort.studies.
        target: interaction score or the phenotype's value.
        variance: reported s.d. squared; 0 where none was reported.
        is_interaction: which of the two `target` is.
    """

    strain: Int64[np.ndarray, " example"]
    study: Int64[np.ndarray, " example"]
    target: Float32[np.ndarray, " example"]
    variance: Float32[np.ndarray, " example"]
    is_interaction: Bool[np.ndarray, " example"]


class Task(ABC):
    """The examples of one task.

    Attributes:
        name: pairs, singles, or the vector phenotype's name.
        phenotype: what is measured.
        plans: of the strains.
        rows: row of each example among the phenotype's experiments.
        n_left_out: examples of the fold that are not among these.
    """

    name: str
    phenotype: str
    plans: Planner
    rows: Array
    n_left_out: int

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.rows)

    def _plan(self, inputs: Inputs, strains: Strains) -> Planner:
        few = len(self) <= MOST_PLANNED
        return Planner(inputs, strains, self.phenotype, np.unique(self.strains()) if few else None)

    @abstractmethod
    def strains(self) -> Int64[np.ndarray, " example"]:
        """Strain row of each example."""

    @abstractmethod
    def batch(self, index: Array, *, rank: int, world: int) -> ScalarBatch | VectorBatch:
        """The chosen examples as tensors; of several processes each takes every world-th one."""

    @abstractmethod
    def largest(self, index: Array) -> list[Label]:
        """The SHOWN largest labels of the chosen examples, each with its strain."""

    def find_largest(self) -> list[Label]:
        """The SHOWN largest labels of all examples, each with its strain."""
        found = [each for piece in self.pieces() for each in self.largest(piece)]
        return sorted(found, reverse=True)[:SHOWN]

    @abstractmethod
    def pieces(self) -> Iterator[Array]:
        """The examples, 0-based, in pieces whose values fit in memory."""


class ScalarTask(Task):
    """Strains with one perturbation, or with several, and a number.

    Pairs (and strains with more perturbations) are trained on the interaction score where it was
    reported, since fitness is then the score plus a constant, and on fitness elsewhere.
    """

    def __init__(
        self,
        cohort: Cohort,
        phenotype: str,
        measured: Fitness,
        inputs: Inputs,
        fold: int,
        *,
        several: bool,
        most: int | None,
    ) -> None:
        """Find the examples of a fold; of more than `most` as many are taken, evenly spaced."""
        self.name, self.phenotype = "pairs" if several else "singles", phenotype
        self._measured, self._several, self._ids = measured, several, cohort.strains.ids

        def kept(piece: slice) -> Array:
            strain = measured.strain[piece]
            n = count_perturbed(cohort.strains, strain)
            here = (cohort.strain_fold[strain] == fold) & ((n >= 2) if several else (n == 1))
            known = ~np.isnan(measured.value[piece])
            if several:
                known |= ~np.isnan(measured.interaction[piece])
            chosen: Array = here & known
            return chosen

        rows = find_rows(len(measured), kept)
        self.rows, self.n_left_out = _evenly(rows, most)
        self.plans = self._plan(inputs, cohort.strains)

    def strains(self) -> Int64[np.ndarray, " example"]:
        """See Task."""
        return np.asarray(self._measured.strain[self.rows], np.int64)

    def read_values(self) -> Float64[np.ndarray, " example"]:
        """The phenotype of each example, NaN where only an interaction score was reported."""
        return np.asarray(self._measured.value[self.rows], np.float64)

    def take(self, index: Array) -> Examples:
        """These examples."""
        measured, rows = self._measured, self.rows[index]
        score = measured.interaction[rows]
        scored = ~np.isnan(score) if self._several else np.zeros(len(rows), bool)
        sd = np.where(scored, measured.interaction_sd[rows], measured.sd[rows])
        return Examples(
            measured.strain[rows],
            measured.study[rows],
            np.where(scored, score, measured.value[rows]).astype(np.float32),
            np.nan_to_num(sd, nan=0.0).astype(np.float32) ** 2,
            scored,
        )

    def batch(self, index: Array, *, rank: int, world: int) -> ScalarBatch:
        """See Task."""
        some = self.take(index[rank::world])
        return ScalarBatch(
            self.plans.take(some.strain).tensors(),
            self.phenotype,
            torch.from_numpy(some.study),
            torch.from_numpy(some.target),
            torch.from_numpy(some.variance),
            torch.from_numpy(some.is_interaction),
            len(index),
        )

    def pieces(self) -> Iterator[Array]:
        """See Task."""
        for piece in cut_pieces(len(self)):
            yield np.arange(piece.start, piece.stop)

    def largest(self, index: Array) -> list[Label]:
        """See Task."""
        some = self.take(index)
        sd = np.sqrt(some.variance)
        size = np.maximum(np.abs(some.target), sd)
        found = []
        for row in np.argsort(-size, kind="stable")[:SHOWN].tolist():
            kind = "interaction" if some.is_interaction[row] else self.phenotype
            words = f"{kind} {some.target[row]:.4g}"
            words += f" with s.d. {sd[row]:.4g}" if sd[row] > 0 else ""
            found.append(Label(float(size[row]), f"{words} of {self._ids[int(some.strain[row])]}"))
        return found


class VectorTask(Task):
    """Strains with a vector, without the wild type, which every model knows."""

    def __init__(
        self,
        cohort: Cohort,
        phenotype: str,
        measured: Vectors,
        inputs: Inputs,
        fold: int,
        *,
        most: int | None,
    ) -> None:
        """Find the examples of a fold; of more than `most` as many are taken, evenly spaced."""
        self.name = self.phenotype = phenotype
        self._measured, self._ids = measured, cohort.strains.ids
        # a column whose gene the genome lacks cannot be predicted
        self._usable = measured.gene >= 0 if len(measured.gene) else None
        n = count_perturbed(cohort.strains, measured.strain)
        rows = np.flatnonzero((cohort.strain_fold[measured.strain] == fold) & (n > 0))
        known = [some[~np.isnan(self.values(some)).all(1)] for some in cut_vectors(measured, rows)]
        rows = np.concatenate(known) if known else rows
        self.rows, self.n_left_out = _evenly(rows, most)
        self.plans = self._plan(inputs, cohort.strains)

    def strains(self) -> Int64[np.ndarray, " example"]:
        """See Task."""
        return np.asarray(self._measured.strain[self.rows], np.int64)

    def values(self, rows: Array) -> Float32[np.ndarray, "row axis"]:
        """Values of these experiments; NaN where not measured or not predictable."""
        values = self._measured.values[rows]
        if self._usable is None:
            return np.asarray(values, np.float32)
        return np.where(self._usable, values, np.nan).astype(np.float32)

    def pieces(self) -> Iterator[Array]:
        """See Task."""
        yield from cut_vectors(self._measured, np.arange(len(self)))

    def largest(self, index: Array) -> list[Label]:
        """See Task."""
        values = self.values(self.rows[index])
        size = np.nan_to_num(np.abs(values), nan=-1.0).reshape(-1)
        found = []
        for place in np.argsort(-size, kind="stable")[:SHOWN].tolist():
            row, column = divmod(place, values.shape[1])
            strain = self._ids[int(self._measured.strain[self.rows[index[row]]])]
            words = f"{self._measured.names[column]} {values[row, column]:.4g} of {strain}"
            found.append(Label(float(size[place]), words))
        return found

    def mean_profile(self) -> Float64[np.ndarray, " axis"]:
        """The mean of the measured values of each column; 0 where there is none."""
        total = np.zeros(len(self._measured.names), np.float32)
        count = np.zeros(len(self._measured.names), np.int64)
        for some in self.pieces():
            values = self.values(self.rows[some])
            measured = ~np.isnan(values)
            total += np.where(measured, values, 0.0).sum(0)
            count += measured.sum(0)
        mean: Array = total / np.maximum(count, 1)
        return mean

    def batch(self, index: Array, *, rank: int, world: int) -> VectorBatch:
        """See Task."""
        values = self.values(self.rows[index])
        own = self.rows[index[rank::world]]
        strain = np.asarray(self._measured.strain[own], np.int64)
        return VectorBatch(
            self.plans.take(strain).tensors(),
            self.phenotype,
            torch.from_numpy(np.asarray(self._measured.study[own])),
            torch.from_numpy(np.ascontiguousarray(values[rank::world])),
            int((~np.isnan(values)).sum()),
        )


def _evenly(rows: Array, most: int | None) -> tuple[Array, int]:
    """At most so many of the rows, evenly spaced, and how many are left out."""
    if most is None or len(rows) <= most:
        return rows, 0
    return rows[np.arange(most) * len(rows) // most], len(rows) - most


def find_examples(
    cohort: Cohort, inputs: Inputs, fold: int, *, most: int | None = None
) -> dict[str, Task]:
    """The examples of the strains of a fold by task; tasks without examples are left out.

    The wild type is no example. Of more than `most` examples of a task, as many are taken.
    """
    found: dict[str, Task] = {}
    for phenotype in dict.fromkeys(q.phenotype for q in inputs.quantities):
        measured = cohort.measured.get(phenotype)
        if isinstance(measured, Fitness):
            for several in (True, False):
                task = ScalarTask(
                    cohort, phenotype, measured, inputs, fold, several=several, most=most
                )
                found[task.name] = task
        elif measured is not None:
            found[phenotype] = VectorTask(cohort, phenotype, measured, inputs, fold, most=most)
    return {name: task for name, task in found.items() if len(task)}


class Stream:
    """The order in which a task's examples come: permutation after permutation, by seed alone."""

    def __init__(self, n: int, quota: int, seed: tuple[int, ...]) -> None:
        self.n, self.quota, self.seed = n, min(quota, n), seed
        self._order: tuple[int, Array] | None = None

    def at(self, step: int) -> Array:
        """The examples of a step; steps may be asked for in any order."""
        out, position, end = [], step * self.quota, (step + 1) * self.quota
        # two threads may ask at once: each goes by what it has found
        held = self._order
        while position < end:
            lap, place = divmod(position, self.n)
            if held is None or held[0] != lap:
                # half the memory of a permutation in int64, and the same order
                order = np.arange(self.n, dtype=np.int32 if self.n < 2**31 else np.int64)
                np.random.default_rng((*self.seed, lap)).shuffle(order)
                self._order = held = (lap, order)
            part = held[1][place : place + end - position]
            out.append(part)
            position += len(part)
        return np.concatenate(out).astype(np.int64)


class StrainBatches(Batches):
    """Batches with a quota of examples of each task, a function of seed and step alone."""

    def __init__(self, tasks: Mapping[str, Task], config: TrainingConfig, seed: int) -> None:
        """Order the examples of `tasks`."""
        self._tasks = tasks
        # a task's number is its place among all there can be, whichever the cohort has
        numbers = {name: number for number, name in enumerate(config.batch)}
        self._streams = {
            name: Stream(len(task), config.batch[name], (seed, numbers[name]))
            for name, task in tasks.items()
        }
        self.steps = config.steps_per_epoch or self._one_pass(config)

    def _one_pass(self, config: TrainingConfig) -> int:
        """Steps of one pass over the pairs, or else the largest task."""
        sizes = {name: len(task) for name, task in self._tasks.items()}
        name = "pairs" if "pairs" in sizes else max(sizes, key=lambda k: sizes[k])
        steps = -(-sizes[name] // config.batch[name])
        return min(max(steps, FEWEST_STEPS), MOST_STEPS)

    def at(self, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """See Batches."""
        return {
            name: self._tasks[name].batch(stream.at(step), rank=rank, world=world)
            for name, stream in self._streams.items()
        }

    def describe(self, step: int, tasks: Sequence[str]) -> str:
        """See Batches: the largest labels of the step, and of all of the task where they differ."""
        words = []
        for name in tasks:
            task, stream = self._tasks[name], self._streams[name]
            here, every = task.largest(stream.at(step)), task.find_largest()
            said = "; ".join(label.words for label in here)
            words.append(f"largest of the {stream.quota} labels of {name} in this step: {said}")
            if every != here:
                said = "; ".join(label.words for label in every)
                words.append(f"of all {len(task):,}: {said}")
        return ", ".join(words)
