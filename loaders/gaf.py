"""Gene Ontology annotations with evidence and qualifier, from a GAF file.

Format: https://geneontology.org/docs/go-annotation-file-gaf-format-2.2/, 17 tab-separated columns,
comments and the version begin with `!`. Column 4 holds the relation, `NOT|` before it negates. In
GAF 2.0 and 2.1 that column is mostly empty, and has a word only where the relation is another than
the plain one of the aspect: `NOT`, `contributes_to`, `colocalizes_with`, `NOT|contributes_to`. It
is kept as it stands.
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
    format="GAF 2.0, 2.1 or 2.2 (gene_association.sgd.gaf), 17 tab-separated columns",
    version=2,
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
BEFORE_22 = frozenset({"", "NOT", "contributes_to", "colocalizes_with"})
_EVIDENCE = re.compile(r"[A-Z]{2,3}")
_CHUNK = 50_000


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield ANNOTATED_WITH tables.

    A gene is the one that a synonym (column 11) names systematically, else that of the SGDID
    (column 2), else of the symbol (column 3), else of another synonym. Rows that differ only in
    reference, date or assigner are one annotation; the later ones are counted as duplicates.
    """
    relations = _relations(path)
    terms = TermIds.loaded(reading)
    loaded = reading.query("MATCH (g:Gene) RETURN g.id AS id, g.sgd_id AS sgd_id")
    pairs = zip(loaded["sgd_id"].to_pylist(), loaded["id"].to_pylist(), strict=True)
    by_sgd = {sgd: gene for sgd, gene in pairs if sgd}
    seen: set[tuple[str, str, str, str]] = set()
    out: list[tuple[str, str, str, str, bool]] = []
    for line, fields in rows(path, columns=(17,), comment="!"):
        reading.rows_read += 1
        negated = fields[3] == "NOT" or fields[3].startswith("NOT|")
        if (fields[3].removeprefix("NOT|") if negated else fields[3]) not in relations:
            wanted = "a relation of the file's version of GAF"
            raise SourceError.at(path, line, "4 (relation)", fields[3], wanted)
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
            synonyms = fields[10].replace("|", " ")
            reading.reject("unknown gene", line, f"{fields[1]} {fields[2]} {synonyms}".strip())
            continue
        term, reason = terms.find(fields[4], reading, line)
        if reason:
            reading.reject(reason, line, fields[4])
            continue
        key = (gene, term, fields[6], fields[3])
        if key in seen:
            reading.reject("duplicate annotation", line, " ".join(key))
            continue
        seen.add(key)
        out.append((*key, negated))
        if len(out) == _CHUNK:
            yield _table(out, path)
            out = []
    if out:
        yield _table(out, path)


def _relations(path: Path) -> frozenset[str]:
    """What column 4 may hold behind `NOT|`, by the file's version."""
    with opened(path) as raw:
        first = raw.readline().decode("utf-8-sig", "replace").strip()
    found = re.fullmatch(r"!\s*gaf-version:\s*(2\.[012])", first)
    if found is None:
        raise SourceError.at(path, 1, None, first, "!gaf-version: 2.0, 2.1 or 2.2")
    return RELATIONS if found[1] == "2.2" else BEFORE_22


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
