"""A user's own measurements: one line an experiment, columns by name, in any order.

Comma-separated text with a header (tab-separated where the header has tabs):

    strain           genes joined by +, each with kind, allele and dose unless a plain deletion:
                     RAD51+YBL003C(damp), YAL001C(ts:tsq508), YAL001C(overexpression@1.5), or WT;
                     systematic names, symbols and aliases
    phenotype        fitness (also where the column is missing); vectors have loaders of their own
    value            the measurement; fitness is >= 0, and one over 5 is noted
    sd, p            its standard deviation (>= 0) and P value (0 to 1)
    interaction      genetic interaction score epsilon of a strain with two or more perturbations
    interaction_sd   its standard deviation (>= 0)
    unit             unit of value; "relative to wild type" where nothing is said; never a time: of
                     doubling times give the wild type's over the strain's
    study            id of the study; else the option study
    environment      medium and temperature, e.g. SD_30C
    batch            plate or batch
    replicate        1, 2, ...; repeated measurements are numbered where nothing is said

`strain` and one of `value`, `interaction` are needed; any other cell may be empty.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SchemaError, SourceError
from genograph.loaders import Reading, Source, opened
from genograph.loaders._strains import note_names
from genograph.measurements import RELATIVE, Measurement, Study, read_number, read_strain, tables
from genograph.tables import Table

SOURCE = Source(
    name="experiments_csv",
    title="your own measurements of strains",
    format="CSV with a header: strain, value, sd, p, interaction, interaction_sd, phenotype, unit, "
    "study, environment, batch, replicate",
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
    options={
        "study": ("id of the study of lines that name none", ""),
        "citation": ("full citation of that study", ""),
        "doi": ("DOI of that study", ""),
        "unknown": ("what to do with a gene that is not loaded: refuse or reject", "refuse"),
    },
    citation="none: your own data",
    licence="yours",
)

COLUMNS = (
    "strain",
    "phenotype",
    "value",
    "sd",
    "p",
    "interaction",
    "interaction_sd",
    "unit",
    "study",
    "environment",
    "batch",
    "replicate",
)


def read(
    path: Path, reading: Reading, *, study: str, citation: str, doi: str, unknown: str
) -> Iterator[Table]:
    """Yield the tables; a line that cannot be used as it is refuses the file."""
    if unknown not in ("refuse", "reject"):
        msg = f"loader {SOURCE.name}: option unknown is {unknown!r}, wanted refuse or reject"
        raise SourceError(msg)
    found = _measurements(path, reading, study, refuse=unknown == "refuse")
    known = [Study(study, citation, doi)] if study else []
    yield from tables(found, known, source=str(path), note=reading.note)


def _measurements(
    path: Path, reading: Reading, study: str, *, refuse: bool
) -> Iterator[Measurement]:
    for line, cells in _lines(path):
        reading.rows_read += 1
        text = cells.get("strain", "")
        try:
            spelled = read_strain(text, reading.genes.resolve)
        except SchemaError as error:
            raise SourceError.at(path, line, "strain", text or "nothing", str(error)) from error
        strain, unknown = spelled.strain, spelled.unknown
        measured = _measured(path, line, cells, study, n_perturbed=len(strain), known=not unknown)
        if not unknown:
            note_names(spelled, reading, line)
            yield measured._replace(strain=strain)
        elif refuse:
            wanted = "a loaded gene (the option unknown=reject leaves such lines out)"
            raise SourceError.at(path, line, "strain", unknown[0], wanted)
        else:
            reading.reject("unknown gene", line, text)


def _measured(
    path: Path, line: int, cells: dict[str, str], study: str, *, n_perturbed: int, known: bool
) -> Measurement:
    """A line's measurement without its strain."""
    phenotype = cells.get("phenotype") or "fitness"
    if phenotype != "fitness":
        wanted = "fitness; expression_matrix and morphology_matrix load the other phenotypes"
        raise SourceError.at(path, line, "phenotype", phenotype, wanted)
    unit = cells.get("unit") or RELATIVE
    low = 0.0 if unit == RELATIVE else -float("inf")
    value = read_number(path, line, "value", cells.get("value"), low=low)
    epsilon = read_number(path, line, "interaction", cells.get("interaction"))
    epsilon_sd = read_number(path, line, "interaction_sd", cells.get("interaction_sd"), low=0.0)
    sd = read_number(path, line, "sd", cells.get("sd"), low=0.0)
    if value is None and epsilon is None:
        raise SourceError.at(path, line, "value", "nothing", "a value or an interaction")
    for column, spread, of in (("sd", sd, value), ("interaction_sd", epsilon_sd, epsilon)):
        if spread is not None and of is None:
            what = column.removesuffix("_sd").replace("sd", "value")
            raise SourceError.at(path, line, column, spread, f"nothing where {what} is empty")
    if epsilon is not None and known and n_perturbed < 2:
        wanted = "nothing: an interaction needs two perturbations"
        raise SourceError.at(path, line, "interaction", epsilon, wanted)
    own = cells.get("study") or study
    if not own:
        raise SourceError.at(path, line, "study", "nothing", "a study, here or as option study")
    return Measurement(
        own,
        phenotype,
        unit,
        (),
        value,
        sd,
        read_number(path, line, "p", cells.get("p"), low=0.0, high=1.0),
        epsilon,
        epsilon_sd,
        environment=cells.get("environment", ""),
        batch=cells.get("batch", ""),
        replicate=_replicate(path, line, cells.get("replicate", "")),
        line=line,
    )


def _replicate(path: Path, line: int, text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise SourceError.at(path, line, "replicate", text, "a whole number >= 1")
    return int(text)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The 1-based line and the cells by column name, stripped, of every line after the header."""
    with opened(path) as raw:
        texts = _texts(path, raw)
        _, header = next(texts, (1, ""))
        separator = "\t" if "\t" in header else ","
        try:
            names = [n.strip() for n in next(csv.reader([header], delimiter=separator), [])]
        except csv.Error as error:
            raise SourceError.at(path, 1, None, error, "a header of CSV") from None
        for name in names:
            if name not in COLUMNS or names.count(name) > 1:
                wanted = f"columns, each once, of {', '.join(COLUMNS)}"
                raise SourceError.at(path, 1, None, name or "an unnamed column", wanted)
        if "strain" not in names:
            raise SourceError.at(path, 1, None, header.strip() or "nothing", "a column strain")
        found = False
        for line, text in texts:
            if not text.strip():
                continue
            try:
                cells = next(csv.reader([text], delimiter=separator, strict=True))
            except csv.Error as error:
                raise SourceError.at(path, line, None, error, "a line of CSV") from None
            if len(cells) != len(names):
                got = f"{len(cells)} columns"
                raise SourceError.at(path, line, None, got, f"{len(names)} as in the header")
            found = True
            yield line, dict(zip(names, (c.strip() for c in cells), strict=True))
        if not found:
            raise SourceError.at(path, None, None, "no rows", "at least one")


def _texts(path: Path, raw: Iterator[bytes]) -> Iterator[tuple[int, str]]:
    for line, content in enumerate(raw, 1):
        try:
            # spreadsheets write a byte-order mark before the header
            yield line, content.decode("utf-8-sig" if line == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise SourceError.at(path, line, None, error.object[:20], "UTF-8 text") from None
