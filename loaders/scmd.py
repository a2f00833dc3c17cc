"""Morphology by CalMorph from the Saccharomyces cerevisiae Morphological Database (SCMD).

Format of mt4718data.tsv (deletion mutants, first column ORF) and wt122data.tsv (replicates of the
wild type, first column NAME): tab-separated, a header with the 501 CalMorph parameters, a line a
strain. A parameter's suffix is the stage of the cell cycle (A no bud, A1B one nucleus and a bud, C
two nuclei); CV parameters are coefficients of variation (Ohya et al. 2005, PNAS 102:19015; Suzuki
et al. 2018, BMC Genomics 19:149). Every replicate of the wild type is an experiment of the strain
WT, with its name as batch.

The ellipse is a second view of the same lines: C103 and C104 are the long and the short axis of the
mother cell in pixels, and (log e1, log e1/e2) are its size and its elongation, for which the
ellipses of two strains differ by sums. They are experiments of a study of their own, with an axis
and a unit of their own, so that a cohort takes one view or the other.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.measurements import Axis, Measurement, read_vector, tables
from genograph.schema import Perturbation
from genograph.tables import Table

SOURCE = Source(
    name="scmd",
    title="morphology of deletion strains and wild-type replicates, 501 CalMorph parameters",
    format="SCMD (mt4718data.tsv, wt122data.tsv): header, first column ORF or NAME",
    version=1,
    gives=("Study", "Axis", "Strain", "PERTURBS", "Experiment", "TESTS", "FROM_STUDY", "ALONG"),
    needs=("Gene",),
    options={
        "study": ("id of the study; the ellipses are of STUDY_ellipse", "ohya2005"),
        "view": ("what to load: parameters, ellipse or both", "both"),
    },
    citation="Ohya et al. (2005) PNAS 102:19015",
    doi="10.1073/pnas.0509436102",
    licence="supplementary data of the publication, no licence stated",
)

UNIT = "CalMorph parameter"
ELLIPSE_UNIT = "natural log, lengths in pixels"
N_PARAMETER = 501
_PARAMETER = re.compile(r"(?:[ACD]|[ACDT]CV)\d+(?:-\d+)?(?:_(?:A|A1B|C))?", re.ASCII)
_STAGES = ("A", "A1B", "C")


class _Ellipse(NamedTuple):
    """The axis of the view, and the 0-based columns of long and short axis by stage."""

    axis: Axis
    long: tuple[int, ...]
    short: tuple[int, ...]


def read(path: Path, reading: Reading, *, study: str, view: str) -> Iterator[Table]:
    """Yield the tables; a file of replicates holds the wild type only."""
    if view not in ("parameters", "ellipse", "both"):
        msg = f"loader {SOURCE.name}: option view is {view!r}, wanted parameters, ellipse or both"
        raise SourceError(msg)
    lines = rows(path)
    line, header = next(lines)
    first = header[0].strip().lstrip("\ufeff").upper()
    if first not in ("ORF", "NAME"):
        wanted = "ORF (mutants) or NAME (replicates of the wild type)"
        raise SourceError.at(path, line, "1", header[0] or "nothing", wanted)
    names = _parameters(path, line, header, reading)
    axis = Axis(study, "morphology", UNIT, names)
    ellipse = None if view == "parameters" else _ellipse(path, line, study, names)
    own = SOURCE.study(study)
    known = [own, own._replace(id=f"{study}_ellipse")]
    found = _measurements(
        path, lines, reading, axis, ellipse, wild=first == "NAME", whole=view != "ellipse"
    )
    yield from tables(found, known, source=str(path), note=reading.note)


def _parameters(path: Path, line: int, header: list[str], reading: Reading) -> tuple[str, ...]:
    names = tuple(name.strip() for name in header[1:])
    if not names:
        raise SourceError.at(path, line, None, "1 column", "a name and parameters")
    for name, count in Counter(names).items():
        if count > 1:
            raise SourceError.at(path, line, None, f"{name} {count} times", "each parameter once")
    for place, name in enumerate(names, 2):
        if not _PARAMETER.fullmatch(name):
            got, wanted = name or "nothing", "a CalMorph parameter, e.g. C103_A"
            raise SourceError.at(path, line, str(place), got, wanted)
    if len(names) != N_PARAMETER:
        reading.note(f"not the {N_PARAMETER} parameters of CalMorph", line, f"{len(names)}")
    return names


def _ellipse(path: Path, line: int, study: str, names: tuple[str, ...]) -> _Ellipse:
    place = {name: i for i, name in enumerate(names)}
    stages = [s for s in _STAGES if f"C103_{s}" in place and f"C104_{s}" in place]
    if not stages:
        wanted = "C103 and C104 of a stage (or the option view=parameters)"
        raise SourceError.at(path, line, None, "no axes of the mother cell", wanted)
    labels = [f"{what}_{s}" for s in stages for what in ("log_e1", "log_e1_e2")]
    return _Ellipse(
        Axis(f"{study}_ellipse", "morphology", ELLIPSE_UNIT, tuple(labels)),
        tuple(place[f"C103_{s}"] for s in stages),
        tuple(place[f"C104_{s}"] for s in stages),
    )


def _measurements(
    path: Path,
    lines: Iterator[tuple[int, list[str]]],
    reading: Reading,
    axis: Axis,
    ellipse: _Ellipse | None,
    *,
    wild: bool,
    whole: bool,
) -> Iterator[Measurement]:
    seen: set[str] = set()
    for line, fields in lines:
        reading.rows_read += 1
        if len(fields) != len(axis.names) + 1:
            got = f"{len(fields)} columns"
            raise SourceError.at(path, line, None, got, f"{len(axis.names) + 1} as in the header")
        values = read_vector(path, line, axis.names, fields[1:])
        name = fields[0].strip()
        strain: tuple[Perturbation, ...] = ()
        if wild:
            if not name or name in seen:
                got = f"{name} again" if name else "nothing"
                raise SourceError.at(path, line, "1 (NAME)", got, "each replicate's name once")
            seen.add(name)
        else:
            gene = reading.genes.resolve(name)
            if gene is None:
                reading.reject("unknown gene", line, name)
                continue
            if gene in seen:
                reading.note("strain measured again", line, name)
            seen.add(gene)
            strain = (Perturbation.of(gene),)
        if np.isnan(values).all():
            reading.reject("nothing measured", line, name)
            continue
        batch = name if wild else ""
        if whole:
            yield Measurement(
                *(axis.study, "morphology", axis.unit, strain),
                values=values,
                axis=axis,
                batch=batch,
                line=line,
            )
        if ellipse is not None:
            seen_as = _logs(values, ellipse, reading, line, name)
            if np.isnan(seen_as).all():
                reading.note("no ellipse: an axis of every stage is missing", line, name)
                continue
            yield Measurement(
                *(ellipse.axis.study, "morphology", ellipse.axis.unit, strain),
                values=seen_as,
                axis=ellipse.axis,
                derived=True,
                batch=batch,
                line=line,
            )
    if not seen:
        raise SourceError.at(path, None, "1 (ORF)", "no strain of loaded genes", "at least one")


def _logs(
    values: np.ndarray, ellipse: _Ellipse, reading: Reading, line: int, name: str
) -> np.ndarray:
    """(log e1, log e1/e2) a stage, NaN where an axis was not measured or is not positive."""
    long = values[list(ellipse.long)].astype(np.float64)
    short = values[list(ellipse.short)].astype(np.float64)
    if ((long <= 0.0) | (short <= 0.0)).any():
        reading.note("no ellipse of a stage: an axis is not positive", line, name)
        long = np.where((long <= 0.0) | (short <= 0.0), np.nan, long)
    if (short > long).any():
        reading.note("short axis longer than the long one", line, name)
    ratio = np.log(long) - np.log(np.where(short <= 0.0, np.nan, short))
    # where the ratio cannot be told, neither can the ellipse
    size = np.where(np.isnan(ratio), np.nan, np.log(long))
    return np.stack([size, ratio], axis=1).reshape(-1).astype(np.float32)
