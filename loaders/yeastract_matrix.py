"""Regulations from a YEASTRACT regulation matrix: targets down, transcription factors across.

Format: tab-separated, a header of transcription factors after one name for the first column, then
a target and its 0/1 entries a row. Documented regulations have no sign here.
"""

from collections.abc import Iterator
from pathlib import Path

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.loaders._ids import check_known
from genograph.tables import Table

SOURCE = Source(
    name="yeastract_matrix",
    title="which transcription factor regulates which gene (YEASTRACT)",
    format="tab-separated 0/1 matrix, targets down, transcription factors across; rows are targets",
    version=1,
    gives=("REGULATES",),
    needs=("Gene",),
    options={"network": ("name of the network in the graph", "yeastract")},
    citation="Monteiro et al. (2020) Nucleic Acids Research 48:D642",
    doi="10.1093/nar/gkz859",
    licence="free for academic use",
)

_CHUNK = 50_000


def read(path: Path, reading: Reading, *, network: str) -> Iterator[Table]:
    """Yield REGULATES tables, transcription factor to target; a factor may regulate itself.

    Rows of one gene under two names (a retired name beside the present one) are united, noted.
    """
    lines = rows(path)
    header, names = next(lines)
    if len(names) < 2:
        raise SourceError.at(path, header, None, "1 column", "a target and its factors")
    factors = _factors(path, reading, header, names[1:])
    targets: dict[str, set[str]] = {}
    for line, fields in lines:
        reading.rows_read += 1
        if len(fields) != len(names):
            raise SourceError.at(path, line, None, f"{len(fields)} columns", str(len(names)))
        for i, entry in enumerate(fields[1:], 1):
            if entry not in ("0", "1"):
                raise SourceError.at(path, line, f"{i + 1} ({names[i]})", entry, "0 or 1")
        target = reading.genes.resolve(fields[0])
        if target is None:
            reading.reject("unknown target", line, fields[0])
        else:
            if target in targets:
                reading.note("target in two rows, united", line, f"{fields[0]} is {target}")
            entries = zip(factors, fields[1:], strict=True)
            found = {factor for factor, entry in entries if factor and entry == "1"}
            targets.setdefault(target, set()).update(found)
    if not reading.rows_read:
        raise SourceError.at(path, None, None, "no rows", "at least one target")
    pairs = [(factor, target) for target, by in targets.items() for factor in sorted(by)]
    for at in range(0, len(pairs), _CHUNK):
        yield _table(pairs[at : at + _CHUNK], network, path)


def _factors(path: Path, reading: Reading, line: int, names: list[str]) -> list[str | None]:
    """The factor of each column, None where it is not used."""
    out: list[str | None] = []
    for name in names:
        gene = reading.genes.resolve(name)
        if gene is None:
            reading.reject("unknown transcription factor (column)", line, name)
        elif gene in out:
            reading.reject("duplicate transcription factor (column)", line, name)
            gene = None
        out.append(gene)
    unknown = [name for name in names if reading.genes.resolve(name) is None]
    check_known(path, "factor", unknown, len(names) - len(unknown), reading.genes)
    return out


def _table(out: list[tuple[str, str]], network: str, path: Path) -> Table:
    factors, targets = zip(*out, strict=True)
    columns = {"from_id": factors, "to_id": targets, "source": [network] * len(out)}
    return Table.of("REGULATES", columns, source=str(path))
