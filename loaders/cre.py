"""Regulatory windows of the loaded ORFs, cut from a genome in FASTA.

Convention: the upstream window is 1,003 bp and ends with the start codon (1,000 bp + ATG), the
downstream window is 300 bp and begins with the stop codon (stop + 297 bp), both 5' to 3' on the
coding strand. These are the inputs of the species-aware DNA language models: Karollus, Hingerl,
Gankin, Grosshauser, Klemon and Gagneur (2024) Genome Biology 25:83,
doi:10.1186/s13059-024-03221-x, and the length constraints of their model notebook.
A chromosome end makes a window shorter (complete = false); nothing is padded, and circular
molecules are taken as linear.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genograph.errors import SourceError
from genograph.files import scratch
from genograph.loaders import Reading, Source
from genograph.loaders._fasta import Genome, orfs, reverse_complement
from genograph.tables import Table

SOURCE = Source(
    name="cre",
    title="upstream (1,003 bp) and downstream (300 bp) windows of the loaded ORFs",
    format="FASTA of the assembly of the features; names I, chrI or SGD's [chromosome=I]. "
    "Rows are the loaded genes",
    version=1,
    gives=("CRE", "HAS_CRE"),
    needs=("Gene",),
    citation="windows: Karollus et al. (2024) Genome Biology 25:83",
    doi="10.1186/s13059-024-03221-x",
)

UPSTREAM = 1_000
"""Bases before the start codon."""
DOWNSTREAM = 297
"""Bases after the stop codon."""
STOPS = frozenset({"TAA", "TAG", "TGA"})

_CHUNK = 4_000


class Window(NamedTuple):
    """A stretch of a chromosome: 1-based, inclusive, not yet cut at the chromosome's ends."""

    kind: str
    first: int
    last: int


def windows(start: int, end: int, strand: str) -> tuple[Window, Window]:
    """The upstream and downstream windows of an ORF whose forward-strand bases are start to end."""
    if strand == "+":
        return (
            Window("upstream", start - UPSTREAM, start + 2),
            Window("downstream", end - 2, end + DOWNSTREAM),
        )
    return (
        Window("upstream", end - 2, end + UPSTREAM),
        Window("downstream", start - DOWNSTREAM, start + 2),
    )


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield CRE and HAS_CRE tables; ORFs whose chromosome has no sequence are rejected."""
    cut: list[tuple[str, str, str, str, bool]] = []
    atg = stop = 0
    with scratch() as folder, Genome(path, folder) as fasta:
        found = orfs(reading, fasta, path)
        for orf in found:
            length = fasta.lengths[orf.chromosome]
            for kind, first, last in windows(orf.start, orf.end, orf.strand):
                sequence = fasta.bases(orf.chromosome, max(first, 1), min(last, length))
                if orf.strand == "-":
                    sequence = reverse_complement(sequence)
                complete = first >= 1 and last <= length
                if not complete:
                    detail = f"{orf.id} {kind} {len(sequence)} bp"
                    reading.note("window cut short by the chromosome's end", None, detail)
                if kind == "upstream" and not sequence.endswith("ATG"):
                    reading.note("ORF does not start with ATG", None, f"{orf.id} {sequence[-3:]}")
                    atg += 1
                if kind == "downstream" and sequence[:3] not in STOPS:
                    reading.note("ORF does not end with a stop", None, f"{orf.id} {sequence[:3]}")
                    stop += 1
                cut.append((f"{orf.id}:{kind}", orf.id, kind, sequence, complete))
    if 2 * max(atg, stop) > len(found):
        msg = (
            f"{path}: {atg} of {len(found)} ORFs do not start with ATG and {stop} do not end with "
            f"a stop; wanted the assembly on which the loaded genes have their coordinates"
        )
        raise SourceError(msg)
    for at in range(0, len(cut), _CHUNK):
        yield from _tables(cut[at : at + _CHUNK], path)


def _tables(cut: list[tuple[str, str, str, str, bool]], path: Path) -> Iterator[Table]:
    ids, genes, kinds, sequences, complete = zip(*cut, strict=True)
    yield Table.of(
        "CRE",
        {
            "id": ids,
            "kind": kinds,
            "sequence": sequences,
            "length": [len(s) for s in sequences],
            "complete": complete,
            "sha256": [hashlib.sha256(s.encode()).hexdigest() for s in sequences],
        },
        source=str(path),
    )
    yield Table.of("HAS_CRE", {"from_id": genes, "to_id": ids}, source=str(path))
