"""Genes from SGD's annotation of the genome in GFF3 (saccharomyces_cerevisiae.gff).

Format: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md, nine
tab-separated columns, 1-based inclusive coordinates, start <= end on both strands. Attributes are
`tag=value` joined by `;`; several values of a tag are joined by `,`, and both are percent-encoded.
What follows `##FASTA` is sequence, not features. SGD calls chromosomes chrI to chrXVI and chrmt,
and tells ORFs from other genes only by `orf_classification`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, opened
from genograph.loaders._genes import GENES, PROPERTIES
from genograph.tables import Table

SOURCE = Source(
    name="gff3",
    title="genes with names, coordinates and kind, from GFF3",
    format="GFF3 of SGD (saccharomyces_cerevisiae.gff), nine tab-separated columns",
    version=1,
    gives=("Gene",),
    citation="Cherry et al. (2012) Nucleic Acids Research 40:D700",
    doi="10.1093/nar/gkr1029",
    licence="CC BY 4.0",
)

_CHROMOSOME = re.compile(r"(?:chr)?([IVX]+|mt|Mito)")
_STATUS = ("Verified", "Uncharacterized", "Dubious")


class _Feature(NamedTuple):
    """One line of the file; tags with their values, decoded."""

    sequence: str
    kind: str
    start: int
    end: int
    strand: str | None
    tags: dict[str, list[str]]


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield the Gene table; a gene's symbol is its systematic name where it has no other.

    Subfeatures (CDS, intron, mRNA ...) and features that are no genes are counted by their type.
    """
    seen: dict[str, int] = {}
    genes: list[tuple[object, ...]] = []
    for line, feature in _features(path):
        reading.rows_read += 1
        kind = "ORF" if feature.kind == "gene" else feature.kind
        names = feature.tags.get("ID", [])
        if kind not in GENES:
            shown = names[0] if names else f"{feature.sequence}:{feature.start}"
            reading.reject(f"not a gene: {feature.kind}", line, shown)
            continue
        if len(names) != 1 or not names[0].strip():
            raise SourceError.at(path, line, "9 (attributes)", "no ID", f"one ID of the {kind}")
        name = names[0].strip()
        if name in seen:
            reading.reject("duplicate gene", line, f"{name}, first in line {seen[name]}")
            continue
        seen[name] = line
        genes.append(_gene(name, kind, feature))
    if not genes:
        raise SourceError.at(path, None, "3 (type)", "no gene", "at least one, e.g. gene")
    columns = dict(zip(PROPERTIES, zip(*genes, strict=True), strict=True))
    yield Table.of("Gene", columns, source=str(path))


def _gene(name: str, kind: str, feature: _Feature) -> tuple[object, ...]:
    tags = feature.tags
    symbol = next((s.strip() for s in tags.get("gene", []) if s.strip()), name)
    aliases = dict.fromkeys(a.strip() for a in tags.get("Alias", []))
    found = _CHROMOSOME.fullmatch(feature.sequence)
    numeral = found[1] if found else feature.sequence
    ids = [x.removeprefix("SGD:") for x in tags.get("dbxref", []) if x.startswith("SGD:")]
    return (
        name,
        symbol,
        [a for a in aliases if a and a not in (name, symbol)],
        ids[0] if ids else None,
        kind,
        next((s for s in tags.get("orf_classification", []) if s in _STATUS), None),
        "Mito" if numeral in ("mt", "Mito") else numeral,
        feature.start,
        feature.end,
        feature.strand,
        # the headline; the Note is its longer form, with commas that split it
        "".join(tags.get("display", [])) or ", ".join(tags.get("Note", [])) or None,
    )


def _features(path: Path) -> Iterator[tuple[int, _Feature]]:
    """The 1-based line and the content of every feature up to the sequences."""
    found = False
    with opened(path) as raw:
        for line, content in enumerate(raw, 1):
            try:
                text = content.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise SourceError.at(path, line, None, error.object[:20], "UTF-8 text") from None
            if line == 1 and not re.fullmatch(r"##gff-version\s+3(\.\d+)*\s*", text):
                raise SourceError.at(path, line, None, text, "##gff-version 3")
            # a bare FASTA header ends the features too
            if text.rstrip() == "##FASTA" or text.startswith(">"):
                break
            if not text.strip() or text.startswith("#"):
                continue
            fields = text.split("\t")
            if len(fields) != 9:
                raise SourceError.at(path, line, None, f"{len(fields)} columns", "9")
            found = True
            yield line, _feature(path, line, fields)
        else:
            if not found:
                raise SourceError.at(path, None, None, "no rows", "at least one")
        # read to the end, so that a truncated gzip is told
        for _ in raw:
            pass


def _feature(path: Path, line: int, fields: list[str]) -> _Feature:
    if not fields[2]:
        raise SourceError.at(path, line, "3 (type)", "nothing", "a feature type")
    ends = []
    for column, text in ((4, fields[3]), (5, fields[4])):
        if not (text.isascii() and text.isdecimal() and len(text) < 17 and 1 <= int(text) < 2**53):
            raise SourceError.at(path, line, f"{column} (coordinate)", text, "a whole number >= 1")
        ends.append(int(text))
    if ends[0] > ends[1]:
        raise SourceError.at(
            path, line, "4-5 (coordinates)", f"{ends[0]} to {ends[1]}", "start <= end"
        )
    if fields[6] not in ("+", "-", ".", "?"):
        raise SourceError.at(path, line, "7 (strand)", fields[6], "one of + - . ?")
    tags: dict[str, list[str]] = {}
    for part in fields[8].split(";"):
        if not part.strip() or part.strip() == ".":
            continue
        tag, equals, values = part.strip().partition("=")
        if not equals or not tag:
            raise SourceError.at(path, line, "9 (attributes)", part, "tag=value joined by ;")
        tags.setdefault(tag, []).extend(unquote(v) for v in values.split(","))
    strand = fields[6] if fields[6] in "+-" else None
    return _Feature(unquote(fields[0]), fields[2], ends[0], ends[1], strand, tags)
