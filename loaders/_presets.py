"""Published tables of strains by traits: what each is called, its unit, and its layout.

Two layouts are known. Lines are strains and columns traits, with the names that the preset lists.
Or lines are traits and columns samples, which a second table describes, one line each, with the
columns Filename (the sample's name in the first table), sampletype and ORF (the deleted gene).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genograph.errors import SourceError
from genograph.loaders import Reading
from genograph.loaders._matrix import Row, even, separated
from genograph.measurements import read_vector


class Preset(NamedTuple):
    """A published table.

    Attributes:
        study, unit, citation, doi, licence: see Study and Axis.
        names: of the columns with values, in any order; empty: any.
        of_samples: lines are traits, columns samples; the first column's name.
    """

    study: str
    unit: str
    citation: str = ""
    doi: str = ""
    licence: str = ""
    names: frozenset[str] = frozenset()
    of_samples: str = ""

    def check(self, path: Path, line: int, names: tuple[str, ...]) -> None:
        """Refuse a table that has other columns than the published one.

        Raises:
            SourceError: the first column that is too many or lacking.
        """
        if not self.names or set(names) == self.names:
            return
        other = sorted(set(names) - self.names)
        wanted = f"the columns of {self.study}: {', '.join(sorted(self.names))}"
        got = f"also {other[0]}" if other else f"no {min(self.names - set(names))}"
        raise SourceError.at(path, line, None, got, wanted)


_AMINO_ACIDS = frozenset(
    (
        *("alanine", "arginine", "asparagine", "aspartate", "glutamate", "glutamine", "glycine"),
        *("histidine", "isoleucine", "leucine", "lysine", "methionine", "phenylalanine"),
        *("proline", "serine", "threonine", "tryptophan", "tyrosine", "valine"),
    )
)

PRESETS: Mapping[str, Preset] = {
    "mulleder2016": Preset(
        "mulleder2016",
        # each column's median is near 0 and 1.48 median absolute deviations are near 1
        "z-score",
        "Mülleder et al. (2016) Cell 167:553",
        "10.1016/j.cell.2016.09.007",
        names=_AMINO_ACIDS,
    ),
    "messner2023": Preset(
        "messner2023",
        "relative intensity",
        "Messner et al. (2023) Cell 186:2018; data 10.17632/w8jtmnszd9",
        "10.1016/j.cell.2023.03.026",
        of_samples="Protein.Group",
    ),
}
"""By name; the layout of messner2023 is that of yeast5k_noimpute_wide.csv, or of the imputed table,
with yeast5k_metadata.csv."""

_COLUMNS = ("Filename", "sampletype", "ORF")
_DELETION, _WILD_TYPE, _CONTROL = "ko", "HIS3", "qc"
"""Kinds of sample: a deletion strain, the wild type with HIS3 put back, and a pool that checks the
instrument."""


def find_preset(loader: str, name: str, *, study: str, unit: str, samples: str) -> Preset | None:
    """The preset of this name, None without a name; it has a study and a unit of its own.

    Raises:
        SourceError: there is none, or options are given that do not go with it.
    """
    if not name:
        if samples:
            msg = f"loader {loader}: option samples goes with a preset that has a table of samples"
            raise SourceError(msg)
        return None
    if name not in PRESETS:
        msg = f"loader {loader}: option preset is {name!r}, wanted {' or '.join(PRESETS)}"
        raise SourceError(msg)
    found = PRESETS[name]
    for option, value in (("study", study), ("unit", unit)):
        if value.strip():
            msg = f"loader {loader}: the preset {name} has a {option} of its own; leave it out"
            raise SourceError(msg)
    if bool(found.of_samples) != bool(samples):
        says = "needs the option samples, the file that describes its columns"
        if samples:
            says = "has no table of samples; leave the option samples out"
        msg = f"loader {loader}: the preset {name} {says}"
        raise SourceError(msg)
    return found


def read_samples(
    path: Path, samples: Path, preset: Preset, reading: Reading
) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The names of the traits, and a row a sample of a strain, in the order of the columns.

    Rows have the lines of the table of samples. Controls of the instrument are left out with a
    note; a sample that only one of the two tables has is rejected or noted.

    Raises:
        SourceError: no such tables, a sample twice, or a cell is no number.
    """
    strains = _read_strains(samples)
    lines = separated(path)
    first, header = next(lines)
    if header[0].strip() != preset.of_samples:
        raise SourceError.at(path, first, "1", header[0], preset.of_samples)
    columns: dict[str, None] = {}
    for field in header[1:]:
        _add(columns, path, first, None, field.strip())
    for name in sorted(set(strains) - set(columns)):
        reading.note("sample without a column of values", strains[name].line, name)
    traits: dict[str, None] = {}
    values: list[np.ndarray] = []
    names = tuple(columns)
    for line, fields in even(path, lines, len(header)):
        _add(traits, path, line, preset.of_samples, fields[0].strip())
        values.append(read_vector(path, line, names, fields[1:]))
    if not values:
        raise SourceError.at(path, first, None, "no line of values", "at least one")
    return tuple(traits), _turn(np.stack(values), names, strains, reading)


def _add(names: dict[str, None], path: Path, line: int, column: str | None, name: str) -> None:
    """Add a name that can be shown and is new."""
    if not name or not name.isprintable():
        wanted = "a name without control characters"
        raise SourceError.at(path, line, column, repr(name), wanted)
    if name in names:
        raise SourceError.at(path, line, column, f"{name} twice", "every name once")
    names[name] = None


class _Sample(NamedTuple):
    """A line of the table of samples, the kind of sample and the deleted gene."""

    line: int
    kind: str
    orf: str


def _turn(
    values: np.ndarray,
    columns: tuple[str, ...],
    samples: Mapping[str, _Sample],
    reading: Reading,
) -> Iterator[Row]:
    """The rows of strains, from values that are [trait, sample]."""
    for at, name in enumerate(columns):
        reading.rows_read += 1
        sample = samples.get(name)
        if sample is None:
            reading.reject("sample that the table of samples lacks", None, name)
        elif sample.kind == _CONTROL:
            reading.note("control of the instrument left out", sample.line, name)
        else:
            strain = "WT" if sample.kind == _WILD_TYPE else sample.orf
            yield Row(sample.line, [strain], values[:, at])


def _read_strains(path: Path) -> dict[str, _Sample]:
    """The samples by name."""
    lines = separated(path)
    first, header = next(lines)
    names = [name.strip() for name in header]
    for column in _COLUMNS:
        if column not in names:
            got = ", ".join(names)
            raise SourceError.at(path, first, None, f"{got:.200}", f"a column {column}")
    places = [names.index(column) for column in _COLUMNS]
    found: dict[str, _Sample] = {}
    for line, fields in even(path, lines, len(header)):
        name, kind, orf = (fields[at].strip() for at in places)
        if kind not in (_DELETION, _WILD_TYPE, _CONTROL):
            wanted = f"{_DELETION}, {_WILD_TYPE} or {_CONTROL}"
            raise SourceError.at(path, line, _COLUMNS[1], kind, wanted)
        if name in found:
            raise SourceError.at(path, line, _COLUMNS[0], f"{name} twice", "every name once")
        found[name] = _Sample(line, kind, orf)
    return found
