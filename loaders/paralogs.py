"""Paralogous genes, found by the amino-acid words that the loaded ORFs share.

No alignment: two ORFs are paralogs where a good part of the shorter one's 5-mers of amino acids
also stands in the other (containment; alignment-free comparison of proteins by shared words is
described by Edgar (2004) Nucleic Acids Research 32:380, doi:10.1093/nar/gkh180). Words are taken
from the whole gene on its coding strand: all of frame 1, and of frames 2 and 3 the stretches
without a stop that are long enough to be exons, so that introns do not matter.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genograph.files import scratch
from genograph.loaders import Reading, Source
from genograph.loaders._fasta import ORF, Genome, orfs, reverse_complement
from genograph.tables import Table

SOURCE = Source(
    name="paralogs",
    title="paralogous ORFs, by shared amino-acid words",
    format="FASTA of the assembly of the features, as for cre. Rows are the loaded genes",
    version=1,
    gives=("PARALOG_OF",),
    needs=("Gene",),
    options={
        # in S. cerevisiae all 57 ribosomal A/B pairs lie above .2, and no ORF reaches .05 with
        # another's codons in reverse order (chance)
        "min_containment": ("lowest share of the shorter ORF's words that is used, 0 to 1", 0.07),
    },
    citation="word-based protein similarity: Edgar (2004) Nucleic Acids Research 32:380",
    doi="10.1093/nar/gkh180",
)

WORD = 5
"""Amino acids a word."""
DISTINCT = 4
"""A word of fewer different amino acids is low complexity and not used."""
EXON = 40
"""A stop-free stretch of frames 2 and 3 has at least so many amino acids to be used."""
COMMON = 40
"""A word that stands in more ORFs than this belongs to a wide-spread domain and is not used."""
SHARED = 8
"""Paralogs share at least so many words, whatever their length."""

_BASES = "TCAG"
_CODE = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
"""The standard genetic code (NCBI table 1) in the order of `_BASES`."""
_AMINO = sorted(set(_CODE) - {"*"})
_STOP = 99
_BASE = np.full(256, _STOP)
_BASE[[ord(base) for base in _BASES]] = range(4)
_RESIDUE = np.array([_STOP if aa == "*" else _AMINO.index(aa) for aa in _CODE])

Words = NDArray[np.int64]
Rows = NDArray[np.integer[Any]]
Flags = NDArray[np.bool_]


def read(path: Path, reading: Reading, *, min_containment: float) -> Iterator[Table]:
    """Yield one PARALOG_OF table, smaller id first; score is the containment.

    ORFs that overlap on the genome share words because they share DNA: such pairs are left out and
    noted.
    """
    with scratch() as folder, Genome(path, folder) as fasta:
        genes = orfs(reading, fasta, path)
        found = [words(_coding(fasta, orf)) for orf in genes]
    first, second, shared = _shared(found)
    sizes = np.array([len(w) for w in found])
    containment = shared / np.minimum(sizes[first], sizes[second])
    similar = np.flatnonzero((containment >= min_containment) & (shared >= SHARED))
    pairs: list[tuple[str, str, float]] = []
    for i in similar:
        a, b = genes[first[i]], genes[second[i]]
        if a.chromosome == b.chromosome and a.start <= b.end and b.start <= a.end:
            reading.note("overlapping ORFs, no paralogs", None, f"{a.id} {b.id}")
        else:
            pairs.append((a.id, b.id, float(containment[i])))
    if pairs:
        from_ids, to_ids, scores = zip(*sorted(pairs), strict=True)
        columns = {
            "from_id": from_ids,
            "to_id": to_ids,
            "source": ["orf_kmer"] * len(pairs),
            "score": scores,
        }
        yield Table.of("PARALOG_OF", columns, source=str(path))


def words(coding: str) -> Words:
    """The distinct amino-acid words of a gene's bases on the coding strand, as sorted numbers."""
    bases = _BASE[np.frombuffer(coding.encode("ascii"), dtype=np.uint8)]
    out = []
    for frame in range(3):
        count = (len(bases) - frame) // 3
        if count < WORD:
            continue
        codons = bases[frame : frame + 3 * count].reshape(count, 3)
        plain: Flags = np.max(codons, axis=1) < 4
        index = np.where(plain[:, None], codons, 0) @ np.array([16, 4, 1])
        residues = np.where(plain, _RESIDUE[index], _STOP)
        window = np.lib.stride_tricks.sliding_window_view(residues, WORD)
        used: Flags = np.max(window, axis=1) < _STOP
        if frame:
            used &= _stretch(residues)[: len(window)] >= EXON
        window = window[used]
        distinct = (np.diff(np.sort(window, axis=1), axis=1) > 0).sum(axis=1) + 1
        out.append(window[distinct >= DISTINCT] @ 20 ** np.arange(WORD))
    return np.unique(np.concatenate(out)) if out else np.empty(0, dtype=np.int64)


def _stretch(residues: Words) -> Words:
    """The length of the stop-free stretch that each residue is in (at a stop: of the next)."""
    stops = np.flatnonzero(np.r_[True, residues == _STOP, True])
    lengths: Words = np.repeat(np.diff(stops) - 1, np.diff(stops))[1:]
    return lengths


def _coding(fasta: Genome, orf: ORF) -> str:
    bases = fasta.bases(orf.chromosome, orf.start, orf.end)
    return reverse_complement(bases) if orf.strand == "-" else bases


def _shared(found: Sequence[Words]) -> tuple[Rows, Rows, Words]:
    """Pairs of ORFs (rows, first < second) and the number of words that they share."""
    row = np.repeat(np.arange(len(found)), [len(w) for w in found])
    _, word, times = np.unique(np.concatenate(found), return_inverse=True, return_counts=True)
    kept = (times[word] > 1) & (times[word] <= COMMON)
    table = sparse.csr_matrix(
        (np.ones(int(kept.sum()), dtype=np.int64), (row[kept], word[kept])),
        shape=(len(found), len(times)),
    )
    pairs = sparse.triu(table @ table.T, 1).tocoo()
    return pairs.row, pairs.col, pairs.data
