"""Genetic interactions of double mutants from the SGA tables of Costanzo et al. 2010.

The published files (sgadata_costanzo2009_*) have seven tab-separated columns and no header: query
ORF[_allele], query gene, array ORF[_allele], array gene, genetic interaction score epsilon, its
standard deviation, P value. Epsilon is the double mutant's fitness minus the product of the single
mutants' (Costanzo et al. 2010; Baryshnikova et al. 2010), so with the single-mutant fitness that is
loaded the double mutant's follows: f_ij = f_i f_j + epsilon. Both are kept. The same pair measured
as query-array and as array-query is two experiments of one strain.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from genograph.loaders import Reading, Source
from genograph.loaders._columns import BLOCK, Limits, blocks, numbers
from genograph.loaders._singles import Single, single_fitness
from genograph.measurements import Pairs, PairTables, read_screened
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


def read(path: Path, reading: Reading, *, study: str, singles: str) -> Iterator[Table]:
    """Yield the tables; where a single mutant's fitness is not loaded, only epsilon is there."""
    known = SOURCE.study(study)
    fitness = single_fitness(path, reading, singles)
    made = PairTables(known, source=str(path), note=reading.note)
    for pairs in _pairs(path, reading, _Mutants(reading, fitness, made)):
        yield from made.tables(pairs)


class _Mutant(NamedTuple):
    """The perturbation that a strain name stands for, or the reason its rows are rejected."""

    perturbation: Perturbation
    single: Single | None = None
    refused: str = ""


class _Mutants:
    """The strain names of the table, numbered by first use, with their perturbations."""

    def __init__(self, reading: Reading, singles: dict[str, Single], made: PairTables) -> None:
        self._reading, self._singles, self._made = reading, singles, made
        self._row: dict[str, int] = {}
        self.names: list[str] = []
        self.refused: list[str] = []
        self.renamed: list[str] = []
        self._code: list[int] = []
        self._fitness: list[float] = []
        self._sd: list[float] = []

    def rows(self, names: pa.StringArray) -> NDArray[Any]:
        """The number of each name, those that are new looked up."""
        encoded = names.dictionary_encode()
        row = [self._row_of(name) for name in encoded.dictionary.to_pylist()]
        numbered: NDArray[Any] = np.array(row, dtype=np.int64)[encoded.indices.to_numpy()]
        return numbered

    def _row_of(self, name: str) -> int:
        if name in self._row:
            return self._row[name]
        found = _mutant(name, self._reading, self._singles)
        gene = found.perturbation.gene_id
        called = name.strip().partition("_")[0].upper()
        self.names.append(name)
        self.refused.append(found.refused)
        self.renamed.append("" if called == gene.upper() else f"{name} is {gene}")
        self._code.append(-1 if found.refused else self._made.code(found.perturbation))
        self._fitness.append(math.nan if found.single is None else found.single.fitness)
        self._sd.append(math.nan if found.single is None else found.single.sd)
        return self._row.setdefault(name, len(self._row))

    @property
    def code(self) -> NDArray[Any]:
        """The code of each strain's perturbation, -1 where its rows are rejected."""
        return np.array(self._code, dtype=np.int64)

    @property
    def fitness(self) -> NDArray[Any]:
        """The fitness of each as a single mutant, NaN where it was not measured."""
        return np.array(self._fitness)

    @property
    def sd(self) -> NDArray[Any]:
        """The s.d. of that fitness, NaN where it was not reported."""
        return np.array(self._sd)


_NUMBERS = (
    Limits(4, "5 (epsilon)"),
    Limits(5, "6 (s.d.)", low=0.0),
    Limits(6, "7 (P value)", low=0.0, high=1.0),
)


def _pairs(
    path: Path, reading: Reading, mutants: _Mutants, *, size: int = BLOCK
) -> Iterator[Pairs]:
    for block in blocks(path, columns=7, size=size):
        line = block.line
        reading.rows_read += len(line)
        epsilon, sd, p = numbers(path, block, _NUMBERS)
        query, array = mutants.rows(block.columns[0]), mutants.rows(block.columns[2])
        code = mutants.code
        unusable = (code[query] < 0) | (code[array] < 0)
        unscored = ~unusable & np.isnan(epsilon)
        same = ~unusable & ~unscored & (code[query] == code[array])
        names, refused = mutants.names, mutants.refused
        for row in np.flatnonzero(unusable | unscored | same).tolist():
            q, a, at = int(query[row]), int(array[row]), int(line[row])
            if unusable[row]:
                worse = q if refused[q] else a
                reading.reject(refused[worse], at, names[worse])
            elif unscored[row]:
                reading.reject("no interaction score", at, f"{names[q]} {names[a]}")
            else:
                reading.reject("query and array are the same strain", at, names[q])
        kept = np.flatnonzero(~(unusable | unscored | same))
        if not len(kept):
            continue
        query, array, line = query[kept], array[kept], line[kept]
        epsilon, sd, p = epsilon[kept], sd[kept], p[kept]
        renamed = np.array([bool(told) for told in mutants.renamed])
        for side in (query, array):
            rows = np.flatnonzero(renamed[side]).tolist()
            told = [(int(line[r]), mutants.renamed[side[r]]) for r in rows]
            reading.note_rows("named by another or retired name of the gene", told)
        fitness, single_sd = mutants.fitness, mutants.sd
        lacking = np.isnan(fitness[query]) | np.isnan(fitness[array])
        bare = np.where(np.isnan(fitness[query]), query, array)
        told = [(int(line[r]), names[bare[r]]) for r in np.flatnonzero(lacking).tolist()]
        reading.note_rows("fitness not derived: a single mutant was not measured", told)
        value = fitness[query] * fitness[array] + epsilon
        value_sd = np.hypot(
            np.hypot(sd, fitness[query] * single_sd[array]), fitness[array] * single_sd[query]
        )
        yield Pairs(code[query], code[array], line, value, value_sd, p, epsilon, sd, derived=True)


def _mutant(name: str, reading: Reading, singles: dict[str, Single]) -> _Mutant:
    orf = name.partition("_")[0]
    gene = reading.genes.resolve(orf)
    if gene is None:
        return _Mutant(Perturbation.of(orf), refused="unknown gene")
    perturbation = read_screened(name, gene)
    if perturbation is None:
        return _Mutant(Perturbation.of(gene), refused="unknown allele suffix")
    return _Mutant(perturbation, singles.get(str(perturbation)))
