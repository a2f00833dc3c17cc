"""Protein associations from STRING's links files, functional or physical, plain, detailed or full.

Format: blank-separated with a header `protein1 protein2 … combined_score`; proteins are
`<taxon>.<systematic name>`, scores 0 to 1,000, every association stands in both orders
(https://string-db.org/cgi/download, "protein network data").
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, rows
from genograph.tables import Table

SOURCE = Source(
    name="string_links",
    title="protein associations with confidence (STRING), once per pair",
    format="STRING protein.links or protein.physical.links, plain, detailed or full, any version",
    version=2,
    gives=("INTERACTS_WITH",),
    needs=("Gene",),
    options={
        # STRING calls 400 of 1,000 medium confidence
        "min_score": ("lowest combined score that is used, 0 to 1000", 400),
        "network": ("name of the network in the graph", "string"),
    },
    citation="Szklarczyk et al. (2023) Nucleic Acids Research 51:D638",
    doi="10.1093/nar/gkac1000",
    licence="CC BY 4.0",
)

TAXA = ("4932.", "559292.")
"""Baker's yeast, and its strain S288C."""
_CHUNK = 100_000


def read(path: Path, reading: Reading, *, min_score: int, network: str) -> Iterator[Table]:
    """Yield INTERACTS_WITH tables, smaller gene id first; score is combined_score / 1,000.

    The two orders of a pair are one edge; where they disagree, the higher score is used (noted).
    """
    if not 0 <= min_score <= 1000:
        msg = f"loader string_links: min_score is {min_score}, wanted 0 to 1000"
        raise SourceError(msg)
    ids = np.array(sorted(reading.genes.ids), dtype=object)
    number = {gene: i for i, gene in enumerate(ids)}
    pairs: list[tuple[int, int, int]] = []
    lines = rows(path, separator=None)
    score_at, width = _header(path, next(lines))
    known: dict[str, int | None] = {}
    for line, fields in lines:
        reading.rows_read += 1
        if len(fields) != width:
            raise SourceError.at(path, line, None, f"{len(fields)} columns", str(width))
        text = fields[score_at]
        score = int(text) if text.isdecimal() and len(text) < 9 else -1
        if not 0 <= score <= 1000:
            raise SourceError.at(path, line, "combined_score", text, "a whole number 0 to 1000")
        if score < min_score:
            reading.reject(f"below min_score {min_score}", line, " ".join(fields[:2]))
            continue
        ends = []
        for protein in fields[:2]:
            if protein not in known:
                gene = None
                if protein.startswith(TAXA):
                    gene = reading.genes.resolve(protein.partition(".")[2])
                known[protein] = None if gene is None else number[gene]
            ends.append(known[protein])
        a, b = ends
        if a is None or b is None:
            name = fields[0] if a is None else fields[1]
            other = not name.startswith(TAXA)
            reading.reject("other organism" if other else "unknown gene", line, name)
        elif a == b:
            reading.reject("protein with itself", line, fields[0])
        else:
            pairs.append((a, b, score))
    if not reading.rows_read:
        raise SourceError.at(path, None, None, "no rows", "at least one")
    yield from _tables(ids, np.array(pairs, dtype=np.int64).reshape(-1, 3), reading, network, path)


def _header(path: Path, first: tuple[int, list[str]]) -> tuple[int, int]:
    line, names = first
    if names[:2] != ["protein1", "protein2"] or "combined_score" not in names:
        wanted = "protein1 protein2 … combined_score"
        raise SourceError.at(path, line, None, " ".join(names), wanted)
    return names.index("combined_score"), len(names)


def _tables(
    ids: NDArray[Any],
    pairs: NDArray[Any],
    reading: Reading,
    network: str,
    path: Path,
) -> Iterator[Table]:
    """One edge an unordered pair, sorted."""
    n = len(ids)
    ordered = np.unique(pairs[:, 0] * n + pairs[:, 1], return_counts=True)
    for code, times in zip(*(x[ordered[1] > 1] for x in ordered), strict=True):
        detail = f"{ids[code // n]} {ids[code % n]}"
        reading.reject("duplicate row", None, detail, int(times) - 1)
    low, high = pairs[:, :2].min(axis=1), pairs[:, :2].max(axis=1)
    codes, where = np.unique(low * n + high, return_inverse=True)
    best = np.zeros(len(codes), dtype=np.int64)
    worst = np.full(len(codes), 1000, dtype=np.int64)
    np.maximum.at(best, where, pairs[:, 2])
    np.minimum.at(worst, where, pairs[:, 2])
    for code in codes[best != worst]:
        detail = f"{ids[code // n]} {ids[code % n]}"
        reading.note("scores of the two orders differ, higher one used", None, detail)
    mirrored = len(ordered[0]) - len(codes)
    if mirrored:
        reading.note("the same pair in the other order", None, "by the format", mirrored)
    for at in range(0, len(codes), _CHUNK):
        part = codes[at : at + _CHUNK]
        columns = {
            "from_id": ids[part // n],
            "to_id": ids[part % n],
            "source": [network] * len(part),
            "score": best[at : at + _CHUNK] / 1000.0,
        }
        yield Table.of("INTERACTS_WITH", columns, source=str(path))
