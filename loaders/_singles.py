"""The fitness of single mutants, from which the fitness of a double mutant follows."""

import math
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from genograph.errors import SourceError
from genograph.loaders import Reading


class Single(NamedTuple):
    """A single mutant's fitness relative to the wild type; s.d. NaN where not reported."""

    fitness: float
    sd: float


def single_fitness(path: Path, reading: Reading, study: str) -> dict[str, Single]:
    """Read the fitness of every single mutant that a study measured, by strain id.

    A strain measured n times has the mean; its s.d. is that of the mean of independent values.

    Raises:
        SourceError: the database has none, so that `path` cannot be loaded.
    """
    found = reading.query(
        "MATCH (e:Experiment)-[:FROM_STUDY]->(t:Study {id: $study}) "
        "MATCH (e)-[:TESTS]->(s:Strain) "
        "WHERE e.phenotype = 'fitness' AND s.n_perturbed = 1 AND e.value IS NOT NULL "
        "RETURN s.id AS id, e.value AS value, e.sd AS sd",
        study=study,
    )
    if not len(found):
        msg = (
            f"{path}: the database has no single-mutant fitness of the study {study}; "
            f"load smf_baryshnikova2010 first or choose another study with the option singles"
        )
        raise SourceError(msg)
    measured = defaultdict(list)
    for row in found.to_pylist():
        sd = math.nan if row["sd"] is None else row["sd"]
        measured[row["id"]].append((row["value"], sd))
    out = {}
    for strain, pairs in measured.items():
        n = len(pairs)
        mean = math.fsum(f for f, _ in pairs) / n
        out[strain] = Single(mean, math.sqrt(math.fsum(sd * sd for _, sd in pairs)) / n)
    return out


def derive(
    epsilon: float, epsilon_sd: float | None, first: Single, second: Single
) -> tuple[float, float | None]:
    """Derive a double mutant's fitness f_i f_j + epsilon; its s.d. by first-order propagation.

    The three are taken as independent; the s.d. is None where any of theirs is missing.
    """
    value = first.fitness * second.fitness + epsilon
    if epsilon_sd is None:
        return value, None
    sd = math.hypot(epsilon_sd, first.fitness * second.sd, second.fitness * first.sd)
    return value, None if math.isnan(sd) else sd
