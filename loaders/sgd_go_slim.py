"""GO-slim annotations from SGD's go_slim_mapping.tab.

Seven tab-separated columns without header: systematic name, gene name, SGDID, aspect (C, F or P),
slim term's name, GO id, feature type. A gene that only has annotations outside the slim stands
under "other", one without any under "not_yet_annotated", both with a blank GO id: they annotate
with nothing. A slim term summarises what the gene has below it, so its evidence is unknown; the
qualifier go_slim tells it from the annotations proper.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.loaders._annotations import Annotations
from genograph.tables import Table

SOURCE = Source(
    name="sgd_go_slim",
    title="annotations of genes with GO-slim terms",
    format="go_slim_mapping.tab of SGD, 7 tab-separated columns without header",
    version=1,
    gives=("ANNOTATED_WITH",),
    needs=("Gene", "Term"),
    citation="Cherry et al. (2012) Nucleic Acids Research 40:D700",
    doi="10.1093/nar/gkr1029",
    licence="CC BY 4.0",
)

QUALIFIER = "go_slim"
ASPECTS = {
    "C": "cellular_component",
    "F": "molecular_function",
    "P": "biological_process",
}


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield ANNOTATED_WITH tables with evidence "unknown" and the qualifier go_slim.

    A gene is found by its systematic name, else by its SGDID, else by its gene name.
    """
    loaded = reading.query("MATCH (g:Gene) RETURN g.id AS id, g.sgd_id AS sgd_id")
    by_sgd = dict(zip(loaded["sgd_id"].to_pylist(), loaded["id"].to_pylist(), strict=True))
    branch = reading.query("MATCH (t:Term) RETURN t.id AS id, t.namespace AS namespace")
    aspect = dict(zip(branch["id"].to_pylist(), branch["namespace"].to_pylist(), strict=True))
    found = Annotations(path, reading, qualifier=QUALIFIER)
    for line, (orf, symbol, sgd, letter, name, go, _) in _checked(path):
        reading.rows_read += 1
        if not go.strip():
            reading.reject(f"no term: {name.strip() or 'unnamed'}", line, orf)
            continue
        gene = reading.genes.resolve(orf) or by_sgd.get(sgd.strip())
        gene = gene or reading.genes.resolve(symbol)
        term = found.add(line, gene, f"{orf} {symbol}", go)
        if term is not None and aspect[term] not in (None, ASPECTS[letter]):
            told = f"{go} is of {aspect[term]}, not {ASPECTS[letter]}"
            reading.note("aspect differs from the ontology's", line, told)
        yield from found.tables()
    yield from found.tables(last=True)


def _checked(path: Path) -> Iterator[tuple[int, list[str]]]:
    for line, fields in rows(path, columns=(7,)):
        if not fields[0].strip():
            raise SourceError.at(path, line, "1 (ORF)", "nothing", "a systematic name")
        if fields[3] not in ASPECTS:
            raise SourceError.at(path, line, "4 (aspect)", fields[3] or "nothing", "C, F or P")
        if fields[5].strip() and not re.fullmatch(r"GO:\d{7}", fields[5].strip(), re.ASCII):
            wanted = "GO: and seven digits, or nothing"
            raise SourceError.at(path, line, "6 (GO id)", fields[5], wanted)
        yield line, fields
