"""Genes from SGD's table of chromosomal features (SGD_features.tab).

The format is described in SGD_features.README beside the file: 16 tab-separated columns, no header,
1-based inclusive coordinates, start above stop on the Crick strand, chromosomes numbered 1 to 16
and 17 for the mitochondrion.
"""

from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.loaders._genes import CHROMOSOMES, GENES, PROPERTIES
from genograph.loaders._ids import reject_unspellable
from genograph.tables import Table

SOURCE = Source(
    name="sgd_features",
    title="genes with names, coordinates and kind",
    format="SGD_features.tab, 16 tab-separated columns without header (SGD_features.README)",
    version=1,
    gives=("Gene",),
    citation="Cherry et al. (2012) Nucleic Acids Research 40:D700",
    doi="10.1093/nar/gkr1029",
    licence="CC BY 4.0",
)

_STRANDS = {"W": "+", "C": "-", "": None}
_CHUNK = 20_000


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield the Gene tables; a gene's symbol is its systematic name where it has no other."""
    seen: dict[str, int] = {}
    genes: list[tuple[object, ...]] = []
    for line, fields in rows(path, columns=(16,)):
        reading.rows_read += 1
        kind, name = fields[1], fields[3].strip()
        if not kind:
            raise SourceError.at(path, line, "2 (feature type)", "nothing", "a feature type")
        if kind not in GENES:
            reading.reject(f"not a gene: {kind}", line, name or fields[0])
            continue
        if not name:
            raise SourceError.at(path, line, "4 (feature name)", "nothing", f"a name of the {kind}")
        if reject_unspellable(name, reading, line):
            continue
        if name in seen:
            reading.reject("duplicate gene", line, f"{name}, first in line {seen[name]}")
            continue
        seen[name] = line
        symbol = fields[4].strip() or name
        aliases = dict.fromkeys(a.strip() for a in fields[5].split("|"))
        places = _place(path, line, fields)
        genes.append(
            (
                name,
                symbol,
                [a for a in aliases if a and a not in (name, symbol)],
                fields[0] or None,
                kind,
                fields[2] or None,
                CHROMOSOMES.get(fields[8], fields[8]) or None,
                *places,
                fields[15] or None,
            )
        )
        if len(genes) == _CHUNK:
            yield _table(genes, path)
            genes = []
    if not seen:
        raise SourceError.at(path, None, "2 (feature type)", "no gene", "at least one, e.g. ORF")
    if genes:
        yield _table(genes, path)


def _place(path: Path, line: int, fields: list[str]) -> tuple[int | None, int | None, str | None]:
    """First and last base on the forward strand, and the strand."""
    start, stop = _base(path, line, 10, fields[9]), _base(path, line, 11, fields[10])
    if fields[11] not in _STRANDS:
        raise SourceError.at(path, line, "12 (strand)", fields[11], "W, C or nothing")
    strand = _STRANDS[fields[11]]
    if (start is None) != (stop is None):
        raise SourceError.at(path, line, "10-11 (coordinates)", "one", "both or none")
    if start is None or stop is None:
        return None, None, strand
    if (start > stop and strand == "+") or (start < stop and strand == "-"):
        got, wanted = f"{start} to {stop} on strand {fields[11]}", "start <= stop on W, >= on C"
        raise SourceError.at(path, line, "10-12 (coordinates)", got, wanted)
    return min(start, stop), max(start, stop), strand


def _base(path: Path, line: int, column: int, text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 16 or int(text) < 1:
        raise SourceError.at(path, line, f"{column} (coordinate)", text, "a whole number >= 1")
    return int(text)


def _table(genes: list[tuple[object, ...]], path: Path) -> Table:
    return Table.of(
        "Gene", dict(zip(PROPERTIES, zip(*genes, strict=True), strict=True)), source=str(path)
    )
