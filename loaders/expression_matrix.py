"""Expression profiles from a gene x strain matrix, such as the tables of Kemmeren et al. 2014.

Tab- or comma-separated text: a header line with the strains, then a line a gene. The first column
holds the genes, whatever its header says. A strain is a gene name (its deletion), a strain id such
as `YAL001C+YBL003C(damp)`, or `WT`. A cell that is empty, NA or NaN was not measured. Two columns
of one strain are two experiments. The file says nothing of the unit (log2 fold change, z-score
...), so it is asked for: units are never pooled.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genograph.errors import SourceError
from genograph.loaders import Reading, Source
from genograph.loaders._ids import check_known, check_rows
from genograph.loaders._matrix import separated, take_values
from genograph.loaders._strains import find_strain
from genograph.measurements import Axis, Measurement, Study, read_vector, tables
from genograph.schema import Perturbation
from genograph.tables import Table

SOURCE = Source(
    name="expression_matrix",
    title="expression profiles of strains, relative to the wild type",
    format="tab- or comma-separated, genes x strains; first line strains, first column genes",
    version=2,
    gives=("Study", "Axis", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY", "ALONG"),
    needs=("Gene",),
    options={
        "study": ("id of the study", None),
        "unit": ("unit of the values, e.g. 'log2 fold change' or 'z-score'", None),
        "leave_out": ("names of columns that hold no values, joined by commas", ""),
        "citation": ("full citation of the study", ""),
        "doi": ("DOI of the study", ""),
    },
    citation="layout of Kemmeren et al. (2014) Cell 157:740",
    doi="10.1016/j.cell.2014.02.054",
    licence="that of the file that is loaded",
)


def read(
    path: Path, reading: Reading, *, study: str, unit: str, leave_out: str, citation: str, doi: str
) -> Iterator[Table]:
    """Yield the tables; the matrix is held in memory, as its strains are columns."""
    first, header, lines = take_values(path, separated(path), reading, leave_out)
    names = [name.strip() for name in header[1:]]
    columns = _columns(path, first, names, reading)
    genes: list[str] = []
    values: list[np.ndarray] = []
    seen: dict[str, int] = {}
    for line, fields in lines:
        reading.rows_read += 1
        numbers = read_vector(path, line, names, fields[1:])
        gene = reading.genes.resolve(fields[0])
        if gene is None:
            reading.reject("unknown gene", line, fields[0])
        elif gene in seen:
            reading.reject("duplicate gene", line, f"{fields[0]}, first in line {seen[gene]}")
        else:
            seen[gene] = line
            genes.append(gene)
            values.append(numbers)
    if not genes:
        check_rows(path, reading)
        raise SourceError.at(path, None, "1 (gene)", "no loaded gene", "at least one")
    axis = Axis(study, "expression", unit, tuple(genes))
    matrix = np.array(values)
    found = _measurements(matrix, columns, names, axis, reading)
    yield from tables(found, [Study(study, citation, doi)], source=str(path), note=reading.note)


def _columns(
    path: Path, line: int, names: list[str], reading: Reading
) -> list[tuple[int, tuple[Perturbation, ...]]]:
    """The columns whose strains are known: 0-based among the strains, and the strain."""
    columns = []
    unknown = []
    seen = set()
    for number, name in enumerate(names):
        if not name:
            got, wanted = "nothing", "a strain in every column of the first line"
            raise SourceError.at(path, line, str(number + 2), got, wanted)
        strain = find_strain(name, reading, line, what="column: ")
        if strain is None:
            unknown.append(name)
            continue
        if strain in seen:
            reading.note("column: strain measured again", line, name)
        seen.add(strain)
        columns.append((number, strain))
    check_known(path, "strain", unknown, len(columns), reading.genes)
    if not columns:
        raise SourceError.at(path, line, None, "no strain of loaded genes", "at least one")
    return columns


def _measurements(
    matrix: np.ndarray,
    columns: list[tuple[int, tuple[Perturbation, ...]]],
    names: list[str],
    axis: Axis,
    reading: Reading,
) -> Iterator[Measurement]:
    for number, strain in columns:
        values = matrix[:, number]
        if np.isnan(values).all():
            reading.reject("column: nothing measured", 1, names[number])
            continue
        yield Measurement(
            axis.study, "expression", axis.unit, strain, values=values, axis=axis, line=1
        )
