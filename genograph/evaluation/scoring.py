"""What scalar and vector scores share: averaged measurements, networks, vectors and the notes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num

from genograph.cohorts import Cohort
from genograph.errors import RunError
from genograph.evaluation.baselines import GeneVectors, make_gene_vectors
from genograph.evaluation.pair_features import Networks
from genograph.evaluation.predictions import Truth
from genograph.evaluation.scores import Combined, combine
from genograph.run import Run


@dataclass
class Bench:
    """The measurements, averaged, and what the baselines share; notes gather as it works."""

    cohort: Cohort
    truth: Truth | None
    singles_hidden: bool
    seed: int

    def __post_init__(self) -> None:
        self.notes: list[str] = []

    @cached_property
    def networks(self) -> Networks:
        return Networks(self.cohort.genome)

    @cached_property
    def vectors(self) -> GeneVectors:
        found = make_gene_vectors(self.cohort.genome, seed=self.seed)
        if found.embedded is None:
            self.notes.append("no gene has an embedding: ridge on embeddings is left blank")
        return found

    @cached_property
    def fitness(self) -> Combined:
        """Fitness of every strain of the cohort."""
        f = self.cohort.fitness
        n = len(self.cohort.strains)
        if f is None:
            nothing = np.full(n, np.nan)
            return Combined(nothing, nothing, np.zeros(n, np.int64), 0)
        found = combine(f.strain, f.value, f.sd, n)
        repeated = int((found.n > 1).sum())
        if repeated:
            self.notes.append(
                f"{repeated} strains were measured for fitness more than once; repeats are "
                f"averaged by inverse variance"
            )
        if found.copies:
            self.notes.append(
                f"{found.copies} fitness experiments repeat a strain's value and s.d. exactly: "
                f"copies, counted once"
            )
        return found

    @cached_property
    def single_fitness(self) -> Float64[np.ndarray, " perturbation"]:
        """Measured fitness of every perturbation's single mutant, NaN where missing."""
        single = self.cohort.strains.single
        return np.where(single >= 0, self.fitness.value[single], np.nan)

    @cached_property
    def is_pair(self) -> Bool[np.ndarray, " strain"]:
        """Which strains have two perturbations."""
        pair: Bool[np.ndarray, " strain"] = self.cohort.strains.n_perturbed == 2
        return pair

    @cached_property
    def singles_of_pair(self) -> Float64[np.ndarray, "strain 2"]:
        """Measured fitness of a pair's two single mutants; NaN where missing and for no pair."""
        out = np.full((len(self.cohort.strains), 2), np.nan)
        start = self.cohort.strains.offsets[:-1][self.is_pair]
        out[self.is_pair] = self.single_fitness[np.stack([start, start + 1], axis=1)]
        return out

    @cached_property
    def interaction(self) -> Combined:
        """Interaction score of every pair: reported, else fitness minus the singles' product."""
        f = self.cohort.fitness
        assert f is not None
        found = combine(f.strain, f.interaction, f.interaction_sd, len(self.cohort.strains))
        left = self.fitness.value - self.singles_of_pair.prod(axis=1)
        derived = self.is_pair & np.isnan(found.value) & np.isfinite(left)
        if derived.any():
            self.notes.append(
                f"{int(derived.sum())} pairs have no reported interaction score: it is their "
                f"fitness minus the product of the singles'"
            )
        value = np.where(derived, left, found.value)
        return Combined(value, np.where(derived, self.fitness.sd, found.sd), found.n, found.copies)


def hides_singles(run: Run) -> bool:
    """Whether the run's model does not see measured single mutants."""
    return getattr(run.config.model, "singles", "measured") == "hidden"


def find_positions(
    held: Int64[np.ndarray, " held"], wanted: Int64[np.ndarray, " wanted"], what: str
) -> Int64[np.ndarray, " wanted"]:
    order = np.argsort(held, kind="stable")
    at = np.searchsorted(held[order], wanted)
    found = at < len(held)
    found[found] = held[order][at[found]] == wanted[found]
    if not found.all():
        msg = f"{what}: no prediction for {int((~found).sum())} of {len(wanted)} measured strains"
        raise RunError(msg)
    return order[at]


def refuse_missing(values: Num[np.ndarray, "*shape"], what: str) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        msg = (
            f"{what}: the run predicts no number for {bad} of {values.size} measured test values; "
            f"training has diverged, train again with a lower learning rate"
        )
        raise RunError(msg)
