"""Digenic and trigenic interactions from the SGA table of Kuzmin et al. 2018.

Data S1 (aao1729_data_s1.tsv) has a header and twelve tab-separated columns: query strain id, query
allele names, array strain id, array allele name, type of the combined mutant (digenic, trigenic),
raw and adjusted interaction score, P value, fitness of the query and of the array strain, fitness
of the combined mutant and its standard deviation. Table S1 of Kuzmin et al. (2020, Science
368:eaaz5667) has the same columns under slightly other names.

A query strain carries two perturbations, `YAL001C+YBR002W_tm123`, whose kinds its allele names
tell (`ntg1Δ+cdc28-4`). The single-mutant controls of a digenic screen carry the deletion of HO,
which is neutral, as the second: it is left out of the strain. The raw score of a triple mutant is
f_ijk - f_ij f_k; the adjusted one, tau, also takes off what the pairs' own interactions leave:
tau = f_ijk - f_i f_j f_k - e_ij f_k - e_ik f_j - e_jk f_i (Kuzmin et al. 2018, Science
360:eaao1729). Neither is the epsilon of a pair, so they are kept apart from it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.loaders._sga import strain_perturbation
from genograph.measurements import RELATIVE, Measurement, read_number, tables
from genograph.schema import Perturbation
from genograph.tables import Table

SOURCE = Source(
    name="sga_kuzmin2018",
    title="digenic and trigenic interaction scores, fitness of double and triple mutants",
    format="Data S1 (aao1729_data_s1.tsv): header, 12 tab-separated columns",
    version=1,
    gives=("Study", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY"),
    needs=("Gene",),
    options={
        "study": ("id of the study", "kuzmin2018"),
        "control": ("systematic name of the neutral deletion in control queries (HO)", "YDL227C"),
    },
    citation="Kuzmin et al. (2018) Science 360:eaao1729",
    doi="10.1126/science.aao1729",
    licence="supplementary data of the publication, no licence stated",
)

HEADER: tuple[tuple[str, ...], ...] = (
    ("Query strain ID",),
    ("Query allele name",),
    ("Array strain ID",),
    ("Array allele name",),
    ("Combined mutant type",),
    ("Raw genetic interaction score (epsilon)",),
    ("Adjusted genetic interaction score (epsilon or tau)",),
    ("P-value",),
    ("Query single/double mutant fitness",),
    ("Array single mutant fitness",),
    ("Combined mutant fitness", "Double/triple mutant fitness"),
    (
        "Combined mutant fitness standard deviation",
        "Double/triple mutant fitness standard deviation",
    ),
)


def read(path: Path, reading: Reading, *, study: str, control: str) -> Iterator[Table]:
    """Yield the tables; the fitness of every query and array strain is an experiment once."""
    known = SOURCE.study(study)
    lines = rows(path, columns=(len(HEADER),))
    first, header = next(lines)
    for place, (have, wanted) in enumerate(zip(header, HEADER, strict=True), 1):
        if have.strip().lstrip("\ufeff") not in wanted:
            got = have.strip() or "nothing"
            raise SourceError.at(path, first, str(place), got, " or ".join(wanted))
    screen = _Screen(path, reading, study, control)
    yield from tables(screen.measurements(lines), [known], source=str(path), note=reading.note)


class _Parent(NamedTuple):
    """The perturbations of a query or array strain, or the reason its rows are rejected."""

    strain: tuple[Perturbation, ...]
    refused: str = ""


_PAIR = re.compile(r"([^\s+_]+)\+([^\s+_]+)_\w+")


class _Screen:
    """One pass over the table, with what is known of its strain ids."""

    def __init__(self, path: Path, reading: Reading, study: str, control: str) -> None:
        self._path, self._reading, self._study = path, reading, study
        self._control = control.strip().upper()
        self._parents: dict[tuple[str, str], _Parent] = {}
        self._told: dict[tuple[Perturbation, ...], float] = {}

    def measurements(self, lines: Iterator[tuple[int, list[str]]]) -> Iterator[Measurement]:
        """The combined mutants in the order of the file, each parent before its first."""
        for line, fields in lines:
            self._reading.rows_read += 1
            yield from self._of(line, [f.strip() for f in fields])

    def _of(self, line: int, fields: list[str]) -> Iterator[Measurement]:
        reading = self._reading
        kind = fields[4].lower()
        if kind not in ("digenic", "trigenic"):
            got, wanted = fields[4] or "nothing", "digenic or trigenic"
            raise SourceError.at(self._path, line, "5 (combined mutant type)", got, wanted)
        raw = self._number(line, 5, fields)
        adjusted = self._number(line, 6, fields)
        p = self._number(line, 7, fields, low=0.0, high=1.0)
        query_fitness = self._number(line, 8, fields, low=0.0)
        array_fitness = self._number(line, 9, fields, low=0.0)
        value = self._number(line, 10, fields)
        sd = self._number(line, 11, fields, low=0.0)
        query = self._parent(fields[0], fields[1], line)
        array = self._parent(fields[2], fields[3], line)
        for parent, name in ((query, fields[0]), (array, fields[2])):
            if parent.refused:
                reading.reject(parent.refused, line, name)
                return
        if len(query.strain) != (1 if kind == "digenic" else 2):
            reading.reject(f"{kind}, but the query perturbs {len(query.strain)}", line, fields[0])
            return
        strain = (*query.strain, *array.strain)
        if len({p.gene_id for p in strain}) < len(strain):
            reading.reject(
                "query and array perturb the same gene", line, f"{fields[0]} {fields[2]}"
            )
            return
        if value is None and adjusted is None and raw is None:
            reading.reject("neither score nor fitness", line, f"{fields[0]} {fields[2]}")
            return
        yield from self._single(query.strain, query_fitness, fields[0], line)
        yield from self._single(array.strain, array_fitness, fields[2], line)
        if kind == "digenic" and raw is not None and adjusted is not None and raw != adjusted:
            reading.note(
                "digenic scores differ, the adjusted one is kept", line, f"{raw} {adjusted}"
            )
        digenic = adjusted if adjusted is not None else raw
        yield Measurement(
            self._study,
            "fitness",
            RELATIVE,
            strain,
            value,
            None if value is None else sd,
            p,
            digenic if kind == "digenic" else None,
            line=line,
            raw_interaction=raw if kind == "trigenic" else None,
            tau=adjusted if kind == "trigenic" else None,
        )

    def _number(
        self,
        line: int,
        place: int,
        fields: list[str],
        *,
        low: float = -float("inf"),
        high: float = float("inf"),
    ) -> float | None:
        name = f"{place + 1} ({HEADER[place][0]})"
        return read_number(self._path, line, name, fields[place], low=low, high=high)

    def _single(
        self, strain: tuple[Perturbation, ...], fitness: float | None, name: str, line: int
    ) -> Iterator[Measurement]:
        """The experiment of a parent strain, the first time its fitness is told."""
        if fitness is None:
            return
        if strain not in self._told:
            self._told[strain] = fitness
            yield Measurement(self._study, "fitness", RELATIVE, strain, fitness, line=line)
        elif abs(self._told[strain] - fitness) > 1e-9:
            # two strains of one genotype, or one measured with each array
            told = f"{name} {fitness:g}, first {self._told[strain]:g}"
            self._reading.note("another fitness of a parent than in an earlier row", line, told)

    def _parent(self, name: str, alleles: str, line: int) -> _Parent:
        known = self._parents.get((name, alleles))
        if known is None:
            known = self._parents[name, alleles] = self._looked_up(name, alleles, line)
        return known

    def _looked_up(self, name: str, alleles: str, line: int) -> _Parent:
        pair = _PAIR.fullmatch(name)
        if pair is None:
            orf = name.partition("_")[0]
            gene = self._gene(orf, line)
            if gene is None:
                return _Parent((), "unknown gene")
            single = strain_perturbation(name, gene)
            return _Parent((single,)) if single else _Parent((), "unknown allele suffix")
        called = alleles.split("+")
        if len(called) != 2:
            return _Parent((), "a query of two genes without two allele names")
        strain = []
        for orf, allele in zip(pair.groups(), called, strict=True):
            if orf.upper() == self._control:
                self._reading.note("neutral control deletion left out of the query", line, name)
                continue
            gene = self._gene(orf, line)
            if gene is None:
                return _Parent((), "unknown gene")
            found = _named(allele.strip(), gene)
            if found is None:
                return _Parent((), "unknown allele name")
            strain.append(found)
        return _Parent(tuple(strain))

    def _gene(self, orf: str, line: int) -> str | None:
        gene = self._reading.genes.resolve(orf)
        if gene is not None and gene.upper() != orf.upper():
            told = f"{orf} is {gene}"
            self._reading.note("named by another or retired name of the gene", line, told)
        return gene


_ALLELE = re.compile(r"[^\s()+@Δ∆]+-[^\s()+@Δ∆]+")


def _named(allele: str, gene: str) -> Perturbation | None:
    """The perturbation that an allele name tells: `ntg1Δ`, `act1-damp`, `cdc28-4`."""
    # the Greek capital letter, and the sign of increment that looks like it
    if allele.endswith(("Δ", "∆")):
        return Perturbation.of(gene)
    if allele.lower().endswith(("-damp", "_damp")):
        return Perturbation.of(gene, "damp")
    if _ALLELE.fullmatch(allele):
        return Perturbation.of(gene, "ts", allele.lower())
    return None
