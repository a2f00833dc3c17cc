"""Morphology of strains from a strain x parameter matrix, such as Mattiazzi Usaj et al. 2020.

Tab- or comma-separated text: a header line with the parameters, then a line a strain. The first
column holds the strains, whatever its header says: a gene name (its deletion), a strain id such as
`YAL001C+YBL003C(damp)`, or `WT`. A cell that is empty, NA or NaN was not measured. Two lines of one
strain are two experiments. The file says nothing of the unit, so it is asked for.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source
from genograph.loaders._matrix import numbers, of_strains, separated, take_values
from genograph.measurements import Axis, Measurement, Study, tables
from genograph.tables import Table

SOURCE = Source(
    name="morphology_matrix",
    title="morphology parameters of strains",
    format="tab- or comma-separated; first line parameters, first column strains",
    version=2,
    gives=("Study", "Axis", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY", "ALONG"),
    needs=("Gene",),
    options={
        "study": ("id of the study", None),
        "unit": ("unit of the values, e.g. 'fraction of cells'", None),
        "leave_out": ("names of columns that hold no values, joined by commas", ""),
        "citation": ("full citation of the study", ""),
        "doi": ("DOI of the study", ""),
    },
    citation="layout of Mattiazzi Usaj et al. (2020) Molecular Systems Biology 16:e9243",
    doi="10.15252/msb.20199243",
    licence="that of the file that is loaded",
)


def read(
    path: Path, reading: Reading, *, study: str, unit: str, leave_out: str, citation: str, doi: str
) -> Iterator[Table]:
    """Yield the tables; parameters keep their order and names."""
    first, header, lines = take_values(path, separated(path), reading, leave_out)
    names = tuple(name.strip() for name in header[1:])
    for name, count in Counter(names).items():
        if not name or count > 1:
            got = f"{name or 'nothing'}, {count} times"
            raise SourceError.at(path, first, None, got, "every parameter's name once")
    if not names:
        raise SourceError.at(path, first, None, "1 column", "strains and parameters")
    axis = Axis(study, "morphology", unit, names)
    found = (
        Measurement(study, "morphology", unit, strain, values=row.values, axis=axis, line=row.line)
        for strain, row in of_strains(path, numbers(path, lines, names, reading), reading)
    )
    yield from tables(found, [Study(study, citation, doi)], source=str(path), note=reading.note)
