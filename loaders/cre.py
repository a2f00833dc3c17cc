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
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyfaidx

from genograph.errors import SourceError
from genograph.files import scratch
from genograph.loaders import Reading, Source, opened
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

_BASES = re.compile(rb"[ACGTUNRYSWKMBDHVacgtunryswkmbdhv*-]*")
_COMPLEMENT = str.maketrans("ACGTNRYSWKMBDHV", "TGCANYRSWMKVHDB")
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


def reverse_complement(sequence: str) -> str:
    """The other strand, 5' to 3'."""
    return sequence.translate(_COMPLEMENT)[::-1]


class ORF(NamedTuple):
    """A loaded open reading frame: 1-based, inclusive, forward-strand coordinates."""

    id: str
    chromosome: str
    start: int
    end: int
    strand: str


def orfs(reading: Reading, genome: "Genome", path: Path) -> list[ORF]:
    """The loaded ORFs that have a sequence, sorted by id; the other genes are rejected by reason.

    Raises:
        SourceError: the file has no chromosome of the loaded ORFs.
    """
    genes = reading.query(
        "MATCH (g:Gene) RETURN g.id AS id, g.kind AS kind, g.chromosome AS chromosome, "
        "g.start_pos AS start, g.end_pos AS end_pos, g.strand AS strand"
    ).sort_by("id")
    out = []
    for row in zip(*(column.to_pylist() for column in genes.columns), strict=True):
        name, kind, chromosome, start, end, strand = row
        reading.rows_read += 1
        length = genome.lengths.get(chromosome)
        if kind != "ORF":
            reading.reject(f"not an ORF: {kind}", None, name)
        elif start is None or strand is None:
            reading.reject("ORF without coordinates", None, name)
        elif length is None:
            reading.reject(f"no sequence of chromosome {chromosome}", None, name)
        elif end > length:
            detail = f"{name} ends at {end} of {length}"
            reading.reject("ORF ends beyond its chromosome", None, detail)
        else:
            out.append(ORF(name, chromosome, start, end, strand))
    if not out:
        names = ", ".join(genome.lengths)
        msg = f"{path}: has no chromosome of the loaded ORFs; it has {names:.80}"
        raise SourceError(msg)
    return out


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


class Genome:
    """Random access to the sequences of a FASTA file, packed or not, by chromosome name.

    A checked copy is made in `folder` (pyfaidx needs an unpacked file with even lines and writes
    its index beside it; the source's own folder is never written to).

    Attributes:
        lengths: bases a chromosome, named as the Gene nodes name them (I to XVI, Mito).
    """

    def __init__(self, path: Path, folder: Path | str) -> None:
        """Check and copy the file.

        Raises:
            SourceError: not FASTA, no sequence, or the same name twice.
        """
        copy = Path(folder) / "genome.fa"
        with copy.open("wb") as out:
            names = _copy(path, out)
        self._fasta = pyfaidx.Fasta(str(copy), as_raw=True, sequence_always_upper=True)
        self._names = {name: str(i) for i, name in enumerate(names)}
        self.lengths = {name: len(self._fasta[key]) for name, key in self._names.items()}

    def __enter__(self) -> "Genome":
        """Return the genome."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the copy."""
        self._fasta.close()

    def bases(self, chromosome: str, first: int, last: int) -> str:
        """The forward strand from first to last, 1-based, inclusive, upper case."""
        return str(self._fasta[self._names[chromosome]][first - 1 : last])


def _copy(path: Path, out: BinaryIO) -> list[str]:
    """Write one line a sequence, named by its number; return the chromosomes' names."""
    names: dict[str, int] = {}
    empty = True
    with opened(path) as raw:
        for line, content in enumerate(raw, 1):
            text = content.strip()
            if text.startswith(b">"):
                name = chromosome_name(text[1:].decode("utf-8", "replace"))
                if not name or name in names:
                    got = f"{name}, first in line {names[name]}" if name else "nothing"
                    raise SourceError.at(path, line, "name", got, "a name of its own")
                if names and empty:
                    raise SourceError.at(path, line, "sequence", "nothing", "bases before this")
                out.write(f"{chr(10) if names else ''}>{len(names)}\n".encode())
                names[name] = line
                empty = True
            elif text and not names:
                raise SourceError.at(path, line, "name", text[:20].decode("ascii", "replace"), ">")
            elif not _BASES.fullmatch(text):
                got = text[:40].decode("ascii", "replace")
                raise SourceError.at(path, line, "sequence", got, "IUPAC nucleotide codes")
            elif text:
                out.write(text)
                empty = False
        out.write(b"\n")
    if not names or empty:
        raise SourceError.at(path, None, None, "no sequence", "FASTA")
    return list(names)


def chromosome_name(header: str) -> str:
    """The chromosome's name in a FASTA header: `I`, `chrI`, `… [chromosome=I]`; Mito for chrM."""
    words = header.split()
    first = words[0] if words else ""
    if found := re.search(r"\[chromosome=([^\]]+)\]", header):
        first = found[1]
    elif "[location=mitochondrion]" in header:
        first = "Mito"
    first = re.sub(r"^chr(omosome_?)?", "", first, flags=re.IGNORECASE) or first
    return {"M": "Mito", "MT": "Mito", "mt": "Mito", "mito": "Mito"}.get(first, first)
