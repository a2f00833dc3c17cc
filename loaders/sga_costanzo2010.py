"""Genetic interactions of double mutants from the SGA tables of Costanzo et al. 2010.

The published files (sgadata_costanzo2009_*) have seven tab-separated columns and no header: query
ORF[_allele], query gene, array ORF[_allele], array gene, genetic interaction score epsilon, its
standard deviation, P value. Epsilon is the double mutant's fitness minus the product of the single
mutants' (Costanzo et al. 2010; Baryshnikova et al. 2010), so with the single-mutant fitness that is
loaded the double mutant's follows: f_ij = f_i f_j + epsilon. Both are kept. The same pair measured
as query-array and as array-query is two experiments of one strain.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genograph.errors import SourceError
from genograph.experiments import RELATIVE, Measurement, Study, number, screened, tables
from genograph.loaders import Reading, Source, rows
from genograph.schema import Perturbation
from genograph.tables import Table

SOURCE = Source(
    name="sga_costanzo2010",
    title="genetic interaction scores and derived fitness of double mutants",
    format="7 tab-separated columns, no header: query, name, array, name, epsilon, s.d., P",
    version=1,
    gives=("Study", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY"),
    needs=("Gene", "Experiment"),
    options={
        "study": ("id of the study", "costanzo2010"),
        "singles": ("id of the study that measured the single mutants", "baryshnikova2010"),
    },
    citation="Costanzo et al. (2010) Science 327:425",
    doi="10.1126/science.1180823",
    licence="supplementary table of the publication, no licence stated",
)


class Single(NamedTuple):
    """A single mutant's fitness relative to the wild type; s.d. NaN where not reported."""

    fitness: float
    sd: float


def read(path: Path, reading: Reading, *, study: str, singles: str) -> Iterator[Table]:
    """Yield the tables; where a single mutant's fitness is not loaded, only epsilon is there."""
    own = study == SOURCE.options["study"][1]
    known = Study(study, SOURCE.citation, SOURCE.doi, SOURCE.licence) if own else Study(study)
    fitness = single_fitness(reading, singles)
    if not fitness:
        msg = (
            f"{path}: the database has no single-mutant fitness of the study {singles}; "
            f"load smf_baryshnikova2010 first or choose another study with the option singles"
        )
        raise SourceError(msg)
    found = _measurements(path, reading, study, fitness)
    yield from tables(found, [known], source=str(path))


def single_fitness(reading: Reading, study: str) -> dict[str, Single]:
    """The fitness of every single mutant that a study measured, by strain id.

    A strain measured n times has the mean; its s.d. is that of the mean of independent values.
    """
    found = reading.query(
        "MATCH (e:Experiment)-[:FROM_STUDY]->(t:Study {id: $study}) "
        "MATCH (e)-[:TESTS]->(s:Strain) "
        "WHERE e.phenotype = 'fitness' AND s.n_perturbed = 1 AND e.value IS NOT NULL "
        "RETURN s.id AS id, e.value AS value, e.sd AS sd",
        study=study,
    )
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
    """A double mutant's fitness f_i f_j + epsilon and its s.d. by first-order propagation.

    The three are taken as independent; the s.d. is None where any of theirs is missing.
    """
    value = first.fitness * second.fitness + epsilon
    if epsilon_sd is None:
        return value, None
    sd = math.hypot(epsilon_sd, first.fitness * second.sd, second.fitness * first.sd)
    return value, None if math.isnan(sd) else sd


class _Mutant(NamedTuple):
    """What a strain name of the table stands for, or why rows that name it are not used."""

    perturbation: Perturbation
    single: Single | None = None
    refused: str = ""


def _measurements(
    path: Path, reading: Reading, study: str, singles: dict[str, Single]
) -> Iterator[Measurement]:
    known: dict[str, _Mutant] = {}
    for line, fields in rows(path, columns=(7,)):
        reading.rows_read += 1
        epsilon = number(path, line, "5 (epsilon)", fields[4])
        sd = number(path, line, "6 (s.d.)", fields[5], low=0.0)
        p = number(path, line, "7 (P value)", fields[6], low=0.0, high=1.0)
        for name in (fields[0], fields[2]):
            if name not in known:
                known[name] = _mutant(name, reading, singles)
        query, array = known[fields[0]], known[fields[2]]
        if query.refused or array.refused:
            name = fields[0] if query.refused else fields[2]
            reading.reject(query.refused or array.refused, line, name)
            continue
        if epsilon is None:
            reading.reject("no interaction score", line, f"{fields[0]} {fields[2]}")
            continue
        if query.perturbation == array.perturbation:
            reading.reject("query and array are the same strain", line, fields[0])
            continue
        for name, mutant in ((fields[0], query), (fields[2], array)):
            gene = mutant.perturbation.gene_id
            if name.strip().partition("_")[0].upper() != gene.upper():
                told = f"{name} is {gene}"
                reading.note("named by another or retired name of the gene", line, told)
        value = value_sd = None
        if query.single is None or array.single is None:
            lacking = fields[0] if query.single is None else fields[2]
            reading.note("fitness not derived: a single mutant was not measured", line, lacking)
        else:
            value, value_sd = derive(epsilon, sd, query.single, array.single)
            if value < 0.0:
                reading.note("derived fitness below 0", line, f"{value:.4f}")
        yield Measurement(
            study,
            "fitness",
            RELATIVE,
            (query.perturbation, array.perturbation),
            value,
            value_sd,
            p,
            epsilon,
            sd,
            None if value is None else True,
            line=line,
        )


def _mutant(name: str, reading: Reading, singles: dict[str, Single]) -> _Mutant:
    orf = name.partition("_")[0]
    gene = reading.genes.resolve(orf)
    if gene is None:
        return _Mutant(Perturbation.of(orf), refused="unknown gene")
    perturbation = screened(name, gene)
    if perturbation is None:
        return _Mutant(Perturbation.of(gene), refused="unknown allele suffix")
    return _Mutant(perturbation, singles.get(str(perturbation)))
