"""Protein complexes of the CYC2008 catalogue.

Format: tab-separated with the header `ORF Name Complex PubMed_id Method GO_id GO_term
Jaccard_Index`. The first row of a complex has all columns; its further members follow with columns
4 to 8 blank or left out, and belong to the complex named in column 3.
"""

from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.tables import Table

SOURCE = Source(
    name="cyc2008",
    title="manually curated protein complexes and their subunits (CYC2008)",
    format="CYC2008_complex.tab, tab-separated with header",
    version=1,
    gives=("Complex", "MEMBER_OF"),
    needs=("Gene",),
    citation="Pu et al. (2009) Nucleic Acids Research 37:825",
    doi="10.1093/nar/gkn1005",
)

HEADER = ["ORF", "Name", "Complex"]


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield Complex and MEMBER_OF tables; a complex without a known subunit is kept, noted."""
    members: dict[str, dict[str, None]] = {}
    named: dict[str, int] = {}
    lines = rows(path, columns=range(3, 9))
    header, names = next(lines)
    if names[:3] != HEADER:
        raise SourceError.at(path, header, None, " ".join(names[:3]), " ".join(HEADER) + " …")
    for line, fields in lines:
        reading.rows_read += 1
        orf, name, of = (field.strip() for field in fields[:3])
        if not orf:
            raise SourceError.at(path, line, "1 (ORF)", "nothing", "a systematic name")
        if not of:
            raise SourceError.at(path, line, "3 (Complex)", "nothing", "the complex's name")
        named.setdefault(of, line)
        subunits = members.setdefault(of, {})
        gene = reading.genes.resolve(orf) or reading.genes.resolve(name)
        if gene is None:
            reading.reject("unknown gene", line, f"{orf} {name}")
        elif gene in subunits:
            reading.reject("duplicate subunit", line, f"{orf} of {of}")
        else:
            subunits[gene] = None
    if not members:
        raise SourceError.at(path, None, None, "no rows", "at least one subunit")
    for of, subunits in members.items():
        if not subunits:
            reading.note("complex without a known subunit", named[of], of)
    columns = {
        "id": [f"cyc2008:{of}" for of in members],
        "name": list(members),
        "source": ["cyc2008"] * len(members),
    }
    yield Table.of("Complex", columns, source=str(path))
    pairs = [(gene, f"cyc2008:{of}") for of, subunits in members.items() for gene in subunits]
    if pairs:
        ends = dict(zip(("from_id", "to_id"), zip(*pairs, strict=True), strict=True))
        yield Table.of("MEMBER_OF", ends, source=str(path))
