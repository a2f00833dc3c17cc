"""Fitness of single mutants from the supplementary table of Baryshnikova et al. 2010.

Supplementary Data of Baryshnikova et al. (2010) Nature Methods 7:1017: a workbook whose first sheet
has no header and three columns: strain (`YAL001C`, `YAL001C_damp`, `YAL001C_tsq508`), fitness
relative to the wild type and its standard deviation. The same columns as tab-separated text are
read too. A strain that stands twice (HO, the control, does) was measured twice.
"""

from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.loaders._sheets import is_workbook, read_sheet
from genograph.measurements import RELATIVE, Measurement, read_number, read_screened, tables
from genograph.tables import Table

SOURCE = Source(
    name="smf_baryshnikova2010",
    title="single-mutant fitness (deletions, DAmP and temperature-sensitive alleles)",
    format="xlsx or tab-separated, no header: strain[_allele], fitness, s.d.",
    version=1,
    gives=("Study", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY"),
    needs=("Gene",),
    options={"study": ("id of the study", "baryshnikova2010")},
    citation="Baryshnikova et al. (2010) Nature Methods 7:1017",
    doi="10.1038/nmeth.1534",
    licence="supplementary table of the publication, no licence stated",
)


def read(path: Path, reading: Reading, *, study: str) -> Iterator[Table]:
    """Yield the tables; fitness 0 is a dead strain, a missing s.d. stays missing."""
    known = SOURCE.study(study)
    yield from tables(
        _measurements(path, reading, study), [known], source=str(path), note=reading.note
    )


def _measurements(path: Path, reading: Reading, study: str) -> Iterator[Measurement]:
    for line, (name, *cells) in _cells(path, reading):
        reading.rows_read += 1
        if not isinstance(name, str) or not name.strip():
            raise SourceError.at(path, line, "1 (strain)", name or "nothing", "a strain name")
        fitness = read_number(path, line, "2 (fitness)", cells[0], low=0.0)
        sd = read_number(path, line, "3 (s.d.)", cells[1], low=0.0)
        if fitness is None:
            reading.reject("no fitness", line, name)
            continue
        orf = name.strip().partition("_")[0]
        gene = reading.genes.resolve(orf)
        if gene is None:
            reading.reject("unknown gene", line, name)
            continue
        perturbation = read_screened(name, gene)
        if perturbation is None:
            reading.reject("unknown allele suffix", line, name)
            continue
        if orf.upper() != gene.upper():
            reading.note("named by another or retired name of the gene", line, f"{name} is {gene}")
        yield Measurement(study, "fitness", RELATIVE, (perturbation,), fitness, sd, line=line)


def _cells(path: Path, reading: Reading) -> Iterator[tuple[int, list[object]]]:
    """The 1-based line and the three cells of every row of a workbook or a text."""
    if not is_workbook(path):
        for line, fields in rows(path, columns=(3,)):
            yield line, list(fields)
        return
    found = False
    for line, cells in enumerate(read_sheet(path, reading), 1):
        if not cells:
            continue
        if len(cells) > 3:
            raise SourceError.at(path, line, None, f"{len(cells)} columns", "3")
        found = True
        yield line, cells + [None] * (3 - len(cells))
    if not found:
        raise SourceError.at(path, None, None, "no rows", "at least one")
