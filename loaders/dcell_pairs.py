"""Interaction scores of gene pairs in the text format of DCell (Ma et al. 2018).

Four tab-separated columns without header: the number of deleted genes (2), two systematic names
and the genetic interaction score epsilon of Costanzo et al. (2016), without any cut-off. The table
names genes, not strains, so every perturbation is read as a deletion, also where the screen used
an allele of an essential gene. It has no single-mutant fitness: a double mutant's follows from the
singles that are loaded, f_ij = f_i f_j + epsilon, as in `sga_costanzo2010`.
"""

from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.loaders._singles import Single, derive, single_fitness
from genograph.measurements import RELATIVE, Measurement, read_number, tables
from genograph.schema import Perturbation
from genograph.tables import Table

SOURCE = Source(
    name="dcell_pairs",
    title="genetic interaction scores and derived fitness of gene pairs, without cut-off",
    format="4 tab-separated columns, no header: 2, ORF, ORF, epsilon",
    version=1,
    gives=("Study", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY"),
    needs=("Gene", "Experiment"),
    options={
        "study": ("id of the study", "costanzo2016_dcell"),
        "singles": ("id of the study that measured the single mutants", "baryshnikova2010"),
    },
    citation="Ma et al. (2018) Nature Methods 15:290; scores of Costanzo et al. (2016) "
    "Science 353:aaf1420",
    doi="10.1038/nmeth.4627",
    licence="supplementary data of the publications, no licence stated",
)


def read(path: Path, reading: Reading, *, study: str, singles: str) -> Iterator[Table]:
    """Yield the tables; where a single mutant's fitness is not loaded, only epsilon is there."""
    known = SOURCE.study(study)
    fitness = single_fitness(path, reading, singles)
    found = _measurements(path, reading, study, fitness)
    yield from tables(found, [known], source=str(path), note=reading.note)


def _measurements(
    path: Path, reading: Reading, study: str, singles: dict[str, Single]
) -> Iterator[Measurement]:
    for line, (count, one, other, score) in rows(path, columns=(4,)):
        reading.rows_read += 1
        if count.strip() != "2":
            raise SourceError.at(path, line, "1 (number of genes)", count or "nothing", "2")
        epsilon = read_number(path, line, "4 (epsilon)", score)
        genes = []
        for column, name in ((2, one), (3, other)):
            if not name.strip():
                raise SourceError.at(path, line, f"{column} (ORF)", "nothing", "a systematic name")
            gene = reading.genes.resolve(name)
            if gene is not None and gene.upper() != name.strip().upper():
                told = f"{name} is {gene}"
                reading.note("named by another or retired name of the gene", line, told)
            genes.append(gene)
        first, second = genes
        if first is None or second is None:
            reading.reject("unknown gene", line, one if first is None else other)
            continue
        if epsilon is None:
            reading.reject("no interaction score", line, f"{one} {other}")
            continue
        if first == second:
            reading.reject("the same gene twice", line, one)
            continue
        value = None
        lacking = next((g for g in (first, second) if g not in singles), None)
        if lacking is not None:
            reading.note("fitness not derived: a single mutant was not measured", line, lacking)
        else:
            value, _ = derive(epsilon, None, singles[first], singles[second])
        yield Measurement(
            study,
            "fitness",
            RELATIVE,
            (Perturbation.of(first), Perturbation.of(second)),
            value,
            interaction=epsilon,
            derived=None if value is None else True,
            line=line,
        )
