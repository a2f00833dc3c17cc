"""Gene Ontology annotations with evidence and qualifier, from a GAF 2.2 file.

Format: https://geneontology.org/docs/go-annotation-file-gaf-format-2.2/, 17 tab-separated columns,
comments and the version begin with `!`. Column 4 holds the relation, `NOT|` before it negates.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import GeneNames, Reading, Source, TermIds, opened, rows
from genograph.tables import Table

SOURCE = Source(
    name="gaf",
    title="annotations of genes with GO terms, with evidence and NOT qualifiers",
    format="GAF 2.2 (gene_association.sgd.gaf), 17 tab-separated columns",
    version=1,
    gives=("ANNOTATED_WITH",),
    needs=("Gene", "Term"),
    citation="Cherry et al. (2012) Nucleic Acids Research 40:D700",
    doi="10.1093/nar/gkr1029",
    licence="CC BY 4.0",
)

TAXA = frozenset({"taxon:559292", "taxon:4932"})
"""S. cerevisiae S288C and the species."""
RELATIONS = frozenset(
    {
        "enables",
        "contributes_to",
        "involved_in",
        "acts_upstream_of",
        "acts_upstream_of_positive_effect",
        "acts_upstream_of_negative_effect",
        "acts_upstream_of_or_within",
        "acts_upstream_of_or_within_positive_effect",
        "acts_upstream_of_or_within_negative_effect",
        "located_in",
        "part_of",
        "is_active_in",
        "colocalizes_with",
    }
)
_EVIDENCE = re.compile(r"[A-Z]{2,3}")
_CHUNK = 50_000


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield ANNOTATED_WITH tables.

    A gene is the one that a synonym (column 11) names systematically, else that of the SGDID
    (column 2), else of the symbol (column 3), else of another synonym. Rows that differ only in
    reference, date or assigner are one annotation; the later ones are counted as duplicates.
    """
    _check_version(path)
    terms = TermIds.loaded(reading)
    loaded = reading.query("MATCH (g:Gene) RETURN g.id AS id, g.sgd_id AS sgd_id")
    by_sgd = dict(zip(loaded["sgd_id"].to_pylist(), loaded["id"].to_pylist(), strict=True))
    seen: set[tuple[str, str, str, str]] = set()
    out: list[tuple[str, str, str, str, bool]] = []
    for line, fields in rows(path, columns=(17,), comment="!"):
        reading.rows_read += 1
        relation = fields[3].removeprefix("NOT|")
        if relation not in RELATIONS:
            raise SourceError.at(path, line, "4 (relation)", fields[3], "a relation of GAF 2.2")
        if not _EVIDENCE.fullmatch(fields[6]):
            raise SourceError.at(path, line, "7 (evidence)", fields[6], "an evidence code")
        if not re.fullmatch(r"GO:\d{7}", fields[4]):
            raise SourceError.at(path, line, "5 (GO id)", fields[4], "GO: and seven digits")
        taxon = fields[12].split("|")[0]
        if taxon not in TAXA:
            reading.reject(f"other organism: {taxon}", line, fields[2])
            continue
        gene = _gene(reading.genes, by_sgd, fields)
        if gene is None:
            reading.reject("unknown gene", line, f"{fields[1]} {fields[2]}")
            continue
        term = terms.resolve(fields[4])
        if term is None:
            reading.reject("unknown term", line, fields[4])
            continue
        if term in terms.obsolete:
            reading.reject("obsolete term", line, fields[4])
            continue
        key = (gene, term, fields[6], fields[3])
        if key in seen:
            reading.reject("duplicate annotation", line, " ".join(key))
            continue
        seen.add(key)
        out.append((*key, fields[3] != relation))
        if len(out) == _CHUNK:
            yield _table(out, path)
            out = []
    if out:
        yield _table(out, path)


def _check_version(path: Path) -> None:
    with opened(path) as raw:
        first = raw.readline().decode("utf-8", "replace").strip()
    if not re.fullmatch(r"!\s*gaf-version:\s*2\.2", first):
        raise SourceError.at(path, 1, None, first, "!gaf-version: 2.2")


def _gene(genes: GeneNames, by_sgd: dict[str, str], fields: list[str]) -> str | None:
    synonyms = [s.strip() for s in fields[10].split("|")]
    for name in synonyms:
        if name in genes.ids:
            return name
    if fields[1] in by_sgd:
        return by_sgd[fields[1]]
    found = (genes.resolve(name) for name in (fields[2], *synonyms))
    return next((gene for gene in found if gene is not None), None)


def _table(out: list[tuple[str, str, str, str, bool]], path: Path) -> Table:
    names = ("from_id", "to_id", "evidence", "qualifier", "negated")
    columns = dict(zip(names, zip(*out, strict=True), strict=True))
    return Table.of("ANNOTATED_WITH", columns, source=str(path))
