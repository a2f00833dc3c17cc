"""Physical and genetic interactions of genes from BioGRID, once a pair and kind.

Format: BIOGRID-*.tab3.txt (https://wiki.thebiogrid.org/doku.php/biogrid_tab_version_3.0),
tab-separated with a header that begins with `#`; columns are found by their names, so that older
and newer releases are read. A row is one publication's report of one pair by one experimental
system: many rows are one edge. The number of reports is no confidence, so an edge has no score.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.tables import Table

SOURCE = Source(
    name="biogrid",
    title="physical and genetic interactions (BioGRID), once per pair and kind",
    format="BIOGRID-*.tab3.txt, tab-separated, columns by name",
    version=1,
    gives=("INTERACTS_WITH",),
    needs=("Gene",),
    options={
        "type": ("physical, genetic, or both", "both"),
        "network": ("begins the networks' names, NETWORK_physical and NETWORK_genetic", "biogrid"),
    },
    citation="Oughtred et al. (2021) Protein Science 30:187",
    doi="10.1002/pro.3978",
    licence="MIT",
)

_COLUMNS = (
    "Systematic Name Interactor A",
    "Systematic Name Interactor B",
    "Official Symbol Interactor A",
    "Official Symbol Interactor B",
    "Experimental System Type",
    "Organism ID Interactor A",
    "Organism ID Interactor B",
)
_TYPES = ("physical", "genetic")
_TAXA = ("559292", "4932")
_CHUNK = 100_000


def read(path: Path, reading: Reading, *, type: str, network: str) -> Iterator[Table]:
    """Yield INTERACTS_WITH tables, smaller gene id first; pairs of other organisms are rejected."""
    if type not in (*_TYPES, "both"):
        msg = f"loader {SOURCE.name}: option type is {type!r}, wanted physical, genetic or both"
        raise SourceError(msg)
    lines = rows(path)
    first, header = next(lines)
    names = [name.strip().lstrip("#").lower() for name in header]
    missing = [name for name in _COLUMNS if name.lower() not in names]
    if missing:
        got = f"{header[0]} … ({len(header)} columns)"
        raise SourceError.at(path, first, None, got, f"a column {missing[0]}")
    places = [names.index(name.lower()) for name in _COLUMNS]
    pairs: Counter[tuple[str, str, str]] = Counter()
    for line, fields in lines:
        reading.rows_read += 1
        if len(fields) != len(header):
            got = f"{len(fields)} columns"
            raise SourceError.at(path, line, None, got, f"{len(header)} as in the header")
        a, b, symbol_a, symbol_b, kind, organism_a, organism_b = (fields[i].strip() for i in places)
        if kind not in _TYPES:
            wanted = " or ".join(_TYPES)
            raise SourceError.at(path, line, _COLUMNS[4], kind or "nothing", wanted)
        if type not in (kind, "both"):
            reading.reject(f"not {type}", line, f"{a} {b}")
        elif other := next((o for o in (organism_a, organism_b) if o not in _TAXA), ""):
            reading.reject(f"other organism: {other}", line, f"{symbol_a} {symbol_b}")
        else:
            ends = [reading.genes.resolve(n) or reading.genes.resolve(s)
                    for n, s in ((a, symbol_a), (b, symbol_b))]  # fmt: skip
            if None in ends:
                detail = f"{a} {symbol_a}" if ends[0] is None else f"{b} {symbol_b}"
                reading.reject("unknown gene", line, detail)
            elif ends[0] == ends[1]:
                reading.reject("gene with itself", line, a)
            else:
                low, high = sorted(filter(None, ends))
                if pairs[kind, low, high]:
                    reading.note("a further report of a pair", line, f"{low} {high} {kind}")
                pairs[kind, low, high] += 1
    if not reading.rows_read:
        raise SourceError.at(path, None, None, "no rows", "at least one")
    edges = sorted(pairs)
    for at in range(0, len(edges), _CHUNK):
        part = edges[at : at + _CHUNK]
        columns = {
            "from_id": [low for _, low, _ in part],
            "to_id": [high for _, _, high in part],
            "source": [f"{network}_{kind}" for kind, _, _ in part],
        }
        yield Table.of("INTERACTS_WITH", columns, source=str(path))
