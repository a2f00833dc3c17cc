"""Genetic interactions and fitness of double mutants from the SGA tables of Costanzo et al. 2016.

The published files (SGA_NxN.txt, SGA_ExE.txt, SGA_ExN_NxE.txt, SGA_DAmP.txt) have a header and
eleven tab-separated columns: query strain id, query allele name, array strain id, array allele
name, array type and temperature, genetic interaction score epsilon, P value, the single-mutant
fitness of query and array, the double mutant's fitness and its standard deviation. There is no
standard deviation of epsilon.

A strain id is a systematic name and the number of a strain in one of the collections: `_sn` and
`_dma` are deletions (query and array), `_tsq` and `_tsa` temperature-sensitive alleles, `_damp`
DAmP alleles (Costanzo et al. 2016, Science 353:aaf1420, supplementary materials). A collection's
number tells apart alleles of a gene, so it is kept for ts alleles; two strains that delete the same
gene are one genotype. Epsilon is f_ij - f_i f_j with the fitness measured at the same temperature;
every single mutant's fitness is an experiment too, once a strain and temperature, with the strain
id as batch. The published files share strains, so its number does not depend on what a file holds.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from genograph.errors import SourceError
from genograph.loaders import Reading, Source
from genograph.loaders._columns import BLOCK, Block, Limits, blocks, numbers
from genograph.loaders._sga import SUFFIX, strain_perturbation
from genograph.measurements import RELATIVE, Measurement, Pairs, PairTables, tables
from genograph.schema import Perturbation
from genograph.tables import Table

SOURCE = Source(
    name="sga_costanzo2016",
    title="genetic interaction scores, fitness of double mutants and of their singles",
    format="SGA_NxN, ExE, ExN_NxE and DAmP of the data file S1: header, 11 tab-separated columns",
    version=1,
    gives=(
        "Study",
        "Environment",
        "Strain",
        "PERTURBS",
        "Experiment",
        "TESTS",
        "FROM_STUDY",
        "IN_ENVIRONMENT",
    ),
    needs=("Gene",),
    options={"study": ("id of the study", "costanzo2016")},
    citation="Costanzo et al. (2016) Science 353:aaf1420",
    doi="10.1126/science.aaf1420",
    licence="supplementary data of the publication, no licence stated",
)

HEADER = (
    "Query Strain ID",
    "Query allele name",
    "Array Strain ID",
    "Array allele name",
    "Arraytype/Temp",
    "Genetic interaction score (ε)",
    "P-value",
    "Query single mutant fitness (SMF)",
    "Array SMF",
    "Double mutant fitness",
    "Double mutant fitness standard deviation",
)

_NUMBERS = (
    Limits(5, "6 (interaction score)"),
    Limits(6, "7 (P value)", low=0.0, high=1.0),
    Limits(7, "8 (query SMF)", low=0.0),
    Limits(8, "9 (array SMF)", low=0.0),
    Limits(9, "10 (double mutant fitness)"),
    Limits(10, "11 (s.d.)", low=0.0),
)


def read(path: Path, reading: Reading, *, study: str) -> Iterator[Table]:
    """Yield the tables of pairs as they are read, then those of the single mutants."""
    known = SOURCE.study(study)
    made = PairTables(known, source=str(path), note=reading.note)
    mutants = _Mutants(reading, made)
    for pairs in _pairs(path, reading, mutants):
        yield from made.tables(pairs)
    found = mutants.measurements(study)
    if found:
        yield from tables(found, [known], source=str(path), note=reading.note)


def _replicate(name: str) -> int | None:
    """The replicate name that tells strains of one genotype apart.

    None for alleles that the genotype names.
    """
    found = SUFFIX.fullmatch(name.strip().partition("_")[2].lower())
    if found is None or found[1] in ("tsq", "tsa"):
        return None
    number = int(found[2])
    return 2 * number + {"dma": 2, "sn": 3}[found[1]] if found[1] != "damp" else number + 1


class _Single(NamedTuple):
    """Where a strain's own fitness was first read."""

    fitness: float
    line: int


class _Mutants:
    """The strain ids of the table, numbered by first use, with their perturbations."""

    def __init__(self, reading: Reading, made: PairTables) -> None:
        self._reading, self._made = reading, made
        self._row: dict[str, int] = {}
        self.names: list[str] = []
        self.refused: list[str] = []
        self.renamed: list[str] = []
        self._code: list[int] = []
        self._perturbation: list[Perturbation | None] = []
        self._single: dict[tuple[int, str], _Single] = {}

    def rows(self, names: pa.StringArray, alleles: pa.StringArray) -> NDArray[Any]:
        """The number of each strain id, those that are new looked up."""
        encoded = names.dictionary_encode()
        index = encoded.indices.to_numpy()
        first = np.unique(index, return_index=True)[1]
        called = alleles.take(pa.array(first)).to_pylist()
        row = [
            self._row_of(n, a) for n, a in zip(encoded.dictionary.to_pylist(), called, strict=True)
        ]
        numbered: NDArray[Any] = np.array(row, dtype=np.int64)[index]
        return numbered

    def _row_of(self, name: str, allele: str) -> int:
        if name in self._row:
            return self._row[name]
        orf = name.strip().partition("_")[0]
        gene = self._reading.genes.resolve(orf)
        found = strain_perturbation(name, gene) if gene else None
        refused = "" if found else "unknown allele suffix" if gene else "unknown gene"
        if found is not None and found.kind == "deletion" and self._is_allele(allele):
            refused = "strain id says deletion, allele name an allele"
        renamed = gene is not None and orf.upper() != gene.upper()
        self.names.append(name)
        self.refused.append(refused)
        self.renamed.append(f"{name} is {gene}" if renamed else "")
        self._perturbation.append(found)
        self._code.append(-1 if refused or found is None else self._made.code(found))
        return self._row.setdefault(name, len(self._row))

    def _is_allele(self, allele: str) -> bool:
        """Whether an allele name is that of a gene with a number of an allele behind it."""
        resolve = self._reading.genes.resolve
        stem, dash, _ = allele.strip().rpartition("-")
        return bool(dash) and resolve(allele) is None and resolve(stem) is not None

    @property
    def code(self) -> NDArray[Any]:
        """The code of each strain's perturbation, -1 where its rows are rejected."""
        return np.array(self._code, dtype=np.int64)

    def tell(self, row: NDArray[Any], fitness: NDArray[Any], place: str,
             line: NDArray[Any]) -> None:  # fmt: skip
        """Take the fitness of single mutants, once a strain and condition; note those that vary."""
        given = np.flatnonzero(~np.isnan(fitness))
        strains, first = np.unique(row[given], return_index=True)
        known = np.full(len(self.names), math.nan)
        for strain, at in zip(strains.tolist(), given[first].tolist(), strict=True):
            single = _Single(float(fitness[at]), int(line[at]))
            known[strain] = self._single.setdefault((strain, place), single).fitness
        varies = given[np.abs(fitness[given] - known[row[given]]) > 1e-9]
        told = [(int(line[i]), f"{self.names[row[i]]} {fitness[i]:g}") for i in varies.tolist()]
        self._reading.note_rows("another fitness of a single mutant than in an earlier row", told)

    def measurements(self, study: str) -> list[Measurement]:
        """The fitness of the single mutants, in the order of the strain ids."""
        found = []
        for (row, place), single in sorted(
            self._single.items(), key=lambda item: (self.names[item[0][0]], item[0][1])
        ):
            strain = self._perturbation[row]
            if strain is not None:
                found.append(
                    Measurement(
                        study,
                        "fitness",
                        RELATIVE,
                        (strain,),
                        single.fitness,
                        environment=place,
                        batch=self.names[row],
                        replicate=_replicate(self.names[row]),
                        line=single.line,
                    )
                )
        return found


def _pairs(
    path: Path, reading: Reading, mutants: _Mutants, *, size: int = BLOCK
) -> Iterator[Pairs]:
    begun = False
    for block in blocks(path, columns=len(HEADER), size=size):
        if not begun:
            block = _without_header(path, block)
            begun = True
        if len(block.line):
            yield from _pairs_of(path, block, reading, mutants)


def _without_header(path: Path, block: Block) -> Block:
    found = [column[0].as_py().strip() for column in block.columns]
    # the byte-order mark of a spreadsheet, and the Greek letter in words
    found[0] = found[0].lstrip("\ufeff")
    for place, (have, want) in enumerate(zip(found, HEADER, strict=True), 1):
        if have != want and have.replace("(eps)", "(ε)") != want:
            raise SourceError.at(path, int(block.line[0]), str(place), have or "nothing", want)
    return Block(block.line[1:], [column[1:] for column in block.columns])


def _pairs_of(path: Path, block: Block, reading: Reading, mutants: _Mutants) -> Iterator[Pairs]:
    line = block.line
    reading.rows_read += len(line)
    epsilon, p, query_f, array_f, fitness, sd = numbers(path, block, _NUMBERS)
    place = _places(path, block)
    query = mutants.rows(block.columns[0], block.columns[1])
    array = mutants.rows(block.columns[2], block.columns[3])
    code, names, refused = mutants.code, mutants.names, mutants.refused
    unusable = (code[query] < 0) | (code[array] < 0)
    empty = ~unusable & np.isnan(epsilon) & np.isnan(fitness)
    same = ~unusable & ~empty & (code[query] == code[array])
    for row in np.flatnonzero(unusable | empty | same).tolist():
        q, a, at = int(query[row]), int(array[row]), int(line[row])
        if unusable[row]:
            worse = q if refused[q] else a
            reading.reject(refused[worse], at, names[worse])
        elif empty[row]:
            reading.reject("neither score nor fitness", at, f"{names[q]} {names[a]}")
        else:
            reading.reject("query and array are the same strain", at, f"{names[q]} {names[a]}")
    usable = ~(unusable | empty | same)
    renamed = np.array([bool(told) for told in mutants.renamed], dtype=bool)
    for side in (query, array):
        rows = np.flatnonzero(usable & renamed[side]).tolist()
        told = [(int(line[r]), mutants.renamed[side[r]]) for r in rows]
        reading.note_rows("named by another or retired name of the gene", told)
    for where in np.unique(place).tolist():
        kept = np.flatnonzero(usable & (place == where))
        if not len(kept):
            continue
        mutants.tell(query[kept], query_f[kept], where, line[kept])
        mutants.tell(array[kept], array_f[kept], where, line[kept])
        none = np.full(len(kept), math.nan)
        yield Pairs(
            code[query[kept]],
            code[array[kept]],
            line[kept],
            fitness[kept],
            sd[kept],
            p[kept],
            epsilon[kept],
            none,
            environment=where,
        )


_ARRAY = re.compile(r"(?:DMA|TSA)(\d\d)", re.ASCII)


def _places(path: Path, block: Block) -> NDArray[Any]:
    """The environment of each row: SGA medium at the temperature of the array."""
    encoded = block.columns[4].dictionary_encode()
    places = []
    for word in encoded.dictionary.to_pylist():
        found = _ARRAY.fullmatch(word.strip())
        if found is None:
            at = int(block.line[pc.index(block.columns[4], word).as_py()])
            wanted = "DMA or TSA and a temperature, e.g. DMA30"
            raise SourceError.at(path, at, "5 (array type, temperature)", word or "nothing", wanted)
        places.append(f"SGA_{found[1]}C")
    out: NDArray[Any] = np.array(places, dtype=object)[encoded.indices.to_numpy()]
    return out
