"""Strains of a source: read, resolved, and rejected or noted in words that all loaders share."""

from genograph.errors import SchemaError
from genograph.loaders import Reading
from genograph.measurements import Spelled, read_strain
from genograph.schema import Perturbation


def find_strain(
    text: str, reading: Reading, line: int | None, *, what: str = "", count: int = 1
) -> tuple[Perturbation, ...] | None:
    """Find the strain of a row or a column; None where it is rejected.

    Args:
        text: the strain as the source writes it.
        reading: the pass over the source, which counts.
        line: 1-based line of the source.
        what: begins the reason of a rejection, such as "column: ".
        count: rows of the source that stand for the strain.
    """
    try:
        spelled = read_strain(text, reading.genes.resolve)
    except SchemaError:
        reading.reject(f"{what}no strain", line, text, count)
        return None
    if spelled.unknown:
        reading.reject(f"{what}unknown gene", line, text, count)
        return None
    note_names(spelled, reading, line, count=count)
    return spelled.strain


def note_names(spelled: Spelled, reading: Reading, line: int | None, *, count: int = 1) -> None:
    """Note genes that the source calls by an alias, or writes in another case."""
    for perturbation, name in zip(spelled.strain, spelled.names, strict=True):
        if not reading.genes.is_official(name):
            detail = f"{name} is {perturbation.gene_id}"
            reading.note("another name or case of a gene", line, detail, count)
