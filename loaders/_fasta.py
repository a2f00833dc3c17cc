"""A genome in FASTA: the bases of its chromosomes, and the loaded ORFs that stand on them."""

import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyfaidx

from genograph.errors import SourceError
from genograph.loaders import Reading, opened
from genograph.loaders._genes import name_chromosome

_BASES = re.compile(rb"[ACGTUNRYSWKMBDHVacgtunryswkmbdhv*-]*")
_COMPLEMENT = str.maketrans("ACGTNRYSWKMBDHV", "TGCANYRSWMKVHDB")


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
    return name_chromosome(first)
