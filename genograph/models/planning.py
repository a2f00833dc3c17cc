"""Planning: plans of a training's strains, made once where they are few, else batch by batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from genograph.cohorts import Strains
from genograph.cohorts.ragged import take_strains
from genograph.engine.topology import Reach
from genograph.models.plans import Plan

Array = NDArray[Any]
MOST_PLANNED = 200_000
"""Strains that are planned once for a training; of more, each batch is planned when it comes."""


class Planned(NamedTuple):
    """Plans of strains, made before.

    Attributes:
        strain: their rows, ascending.
        plan: of them, in this order.
    """

    strain: Int64[np.ndarray, " strain"]
    plan: Plan

    def take(self, rows: Int64[np.ndarray, " taken"]) -> Plan:
        """The plan of these strains, by their rows, in this order."""
        return self.plan.take(np.searchsorted(self.strain, rows))


class Planner(NamedTuple):
    """Plans of strains made when they are asked for: what a Plan of all would not fit in memory.

    The strains' arrays may be mapped from disk; a batch touches its own rows.

    Attributes:
        strains: of the cohort.
        effect: tells of some strains what each perturbation is known to do alone, as a log.
        reach, n_node, at_least: see Plan.of.
    """

    strains: Strains
    effect: Callable[[Strains], Float32[np.ndarray, " perturbation"]]
    reach: Reach
    n_node: int
    at_least: int

    def take(self, rows: Int64[np.ndarray, " taken"]) -> Plan:
        """The plan of these strains, by their rows, in this order."""
        some, whole = take_strains(self.strains, rows), np.arange(len(rows))
        effect = self.effect(some)
        return Plan.of(some, whole, effect, self.reach, self.n_node, at_least=self.at_least)


def plans_of(planner: Planner, strain: Array, rows: Array) -> Planned | Planner:
    """The plans of the strains strain[rows] where there are few, else the planner."""
    if len(rows) > MOST_PLANNED:
        return planner
    distinct = np.unique(strain[rows]).astype(np.int64)
    return Planned(distinct, planner.take(distinct))
