"""Any table of strains by conditions or by traits, with the unit that its owner states.

Tab- or comma-separated text: a header line with the names of conditions or traits, then a line a
strain. The first column holds the strains, whatever its header says: a gene name (its deletion), a
strain id such as `YAL001C+YBL003C(damp)`, or `WT`. An empty cell, NA or NaN was not measured.

With `columns=traits` a line is one experiment: a vector along the axis of the traits, of the
phenotype traits, or morphology. With `columns=conditions` every cell is one experiment: a number,
of the phenotype fitness, in the environment that the column names. The file does not say its unit,
so it is asked for: a cohort never pools two units of one phenotype.

A preset names a published table instead, whose study, unit and layout are known (loaders/_presets):
`mulleder2016`, 19 amino acids of deletion strains, and `messner2023`, the proteomes of deletion
strains, where lines are proteins and columns samples that the table `samples` describes.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genograph.errors import SourceError
from genograph.loaders import Reading, Source
from genograph.loaders._matrix import Row, numbers, of_strains, separated, take_values
from genograph.loaders._presets import PRESETS, Preset, find_preset, read_samples
from genograph.measurements import RELATIVE, Axis, Measurement, Study, tables
from genograph.tables import Table

SOURCE = Source(
    name="phenotypes_matrix",
    title="any strain x trait or strain x condition table, with its unit",
    format="tab- or comma-separated; first line traits or conditions, first column strains",
    version=3,
    gives=(
        "Study",
        "Environment",
        "Axis",
        "Strain",
        "PERTURBS",
        "Experiment",
        "TESTS",
        "FROM_STUDY",
        "IN_ENVIRONMENT",
        "ALONG",
    ),
    needs=("Gene",),
    options={
        "preset": (f"a published table instead of study and unit: {', '.join(PRESETS)}", ""),
        "samples": ("of the preset messner2023: its table of samples, a file", ""),
        "study": ("id of the study; needed without a preset", ""),
        "unit": ("unit of the values, e.g. 'z-score'; needed without a preset", ""),
        "columns": ("what the columns are: traits or conditions", "traits"),
        "phenotype": ("of traits: traits or morphology; conditions are fitness", ""),
        "leave_out": ("names of columns that hold no values, joined by commas", ""),
        "citation": ("full citation of the study", ""),
        "doi": ("DOI of the study", ""),
        "licence": ("terms of the table", ""),
    },
    files=("samples",),
    citation="none: the study or preset that is named by the options",
    licence="that of the file that is loaded",
)

_PHENOTYPES = {"traits": ("traits", "morphology"), "conditions": ("fitness",)}


def read(
    path: Path,
    reading: Reading,
    *,
    preset: str,
    samples: str,
    study: str,
    unit: str,
    columns: str,
    phenotype: str,
    leave_out: str,
    citation: str,
    doi: str,
    licence: str,
) -> Iterator[Table]:
    """Yield the tables; names of columns and their order are kept."""
    if columns not in _PHENOTYPES:
        msg = f"loader {SOURCE.name}: option columns is {columns!r}, wanted traits or conditions"
        raise SourceError(msg)
    choices = _PHENOTYPES[columns]
    phenotype = phenotype or choices[0]
    if phenotype not in choices:
        msg = (
            f"loader {SOURCE.name}: option phenotype is {phenotype!r}, wanted "
            f"{' or '.join(choices)} for columns={columns}"
        )
        raise SourceError(msg)
    known = find_preset(SOURCE.name, preset, study=study, unit=unit, samples=samples)
    if known is None:
        if not unit.strip() or not study.strip():
            msg = (
                f"loader {SOURCE.name}: options study and unit are not empty, unless preset "
                f"names a published table: {', '.join(PRESETS)}"
            )
            raise SourceError(msg)
        known = Preset(study, unit, citation, doi, licence)
    scalars = columns == "conditions"
    if known.of_samples:
        names, rows = read_samples(path, Path(samples), known, reading)
    else:
        first, header, lines = take_values(path, separated(path), reading, leave_out)
        names = tuple(name.strip() for name in header[1:])
        _check_names(path, first, names, columns)
        known.check(path, first, names)
        rows = numbers(path, lines, names, reading)
    axis = Axis(known.study, phenotype, known.unit, names)
    found = _measurements(path, rows, axis, reading, scalars=scalars)
    about = Study(known.study, known.citation, known.doi, known.licence)
    yield from tables(found, [about], source=str(path), note=reading.note)


def _check_names(path: Path, first: int, names: tuple[str, ...], columns: str) -> None:
    for name, count in Counter(names).items():
        if not name or count > 1:
            got = f"{name or 'nothing'}, {count} times"
            raise SourceError.at(path, first, None, got, "every column's name once")
        if not name.isprintable():
            wanted = "a name without control characters"
            raise SourceError.at(path, first, None, repr(name), wanted)
    if not names:
        raise SourceError.at(path, first, None, "1 column", f"strains and {columns}")


def _measurements(
    path: Path, rows: Iterator[Row], axis: Axis, reading: Reading, *, scalars: bool
) -> Iterator[Measurement]:
    if scalars and axis.unit == RELATIVE:
        rows = _not_negative(path, rows, axis)
    for strain, row in of_strains(path, rows, reading):
        said = (axis.study, axis.phenotype, axis.unit, strain)
        if not scalars:
            yield Measurement(*said, values=row.values, axis=axis, line=row.line)
            continue
        for at in np.flatnonzero(~np.isnan(row.values)).tolist():
            value, place = float(row.fields[at + 1].strip()), axis.names[at]
            yield Measurement(*said, value, environment=place, line=row.line)


def _not_negative(path: Path, rows: Iterator[Row], axis: Axis) -> Iterator[Row]:
    for row in rows:
        if (row.values < 0.0).any():
            at = int(np.flatnonzero(row.values < 0.0)[0])
            raise SourceError.at(path, row.line, axis.names[at], row.values[at], "fitness >= 0")
        yield row
