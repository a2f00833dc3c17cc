"""Gene Ontology annotations without evidence: one gene and one term a row.

Three tab-separated columns without header: systematic name (blank for loci that have none), gene
name, GO id.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.loaders._annotations import Annotations
from genograph.tables import Table

SOURCE = Source(
    name="sgd_gene_go",
    title="annotations of genes with GO terms, evidence unknown",
    format="three tab-separated columns without header: ORF, gene name, GO id",
    version=1,
    gives=("ANNOTATED_WITH",),
    needs=("Gene", "Term"),
    citation="Cherry et al. (2012) Nucleic Acids Research 40:D700",
    doi="10.1093/nar/gkr1029",
)


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield ANNOTATED_WITH tables with evidence "unknown" and an empty qualifier.

    A gene is found by its systematic name, else by its gene name.
    """
    found = Annotations(path, reading, qualifier="")
    for line, (orf, symbol, go) in _checked(path):
        reading.rows_read += 1
        gene = reading.genes.resolve(orf) or reading.genes.resolve(symbol)
        found.add(line, gene, f"{orf} {symbol}", go)
        yield from found.tables()
    yield from found.tables(last=True)


def _checked(path: Path) -> Iterator[tuple[int, list[str]]]:
    for line, fields in rows(path, columns=(3,)):
        if not (fields[0].strip() or fields[1].strip()):
            raise SourceError.at(path, line, "1-2 (ORF, gene name)", "nothing", "a name")
        if not re.fullmatch(r"GO:\d{7}", fields[2].strip()):
            raise SourceError.at(path, line, "3 (GO id)", fields[2], "GO: and seven digits")
        yield line, fields
