"""The simulated genome: coding sequences, promoters, chromosomes, names.

Every gene is one block of its own, promoter, coding sequence and terminator, on either strand;
blocks follow one another on both arms of each chromosome. Letters are bases 0..3 (A C G T) until
they are written, so that the reverse complement is 3 - base, backwards.
"""

from dataclasses import dataclass

import numpy as np

from genograph.simulation.architecture import Architecture, Ints
from genograph.simulation.regulation import BACKGROUND, PROMOTER, WIDTH, Sites

UPSTREAM = 480  # bp of a block before the start codon
DOWNSTREAM = 170  # bp of a block after the stop codon
_TENS, _UNITS = ("", "X"), ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
ROMAN = tuple(_TENS[n // 10] + _UNITS[n % 10] for n in range(1, 17))
_CODE = "KNKNTTTTRSRSIIMIQHQHPPPPRRRRLLLLEDEDAAAAGGGGVVVV*Y*YSSSS*CWCLFLF"  # codons in ACGT order
_AMINO = "ACDEFGHIKLMNPQRSTVWY"
# amino-acid usage of yeast proteins, per cent, in the order of _AMINO
_USAGE = np.fromstring(
    "5.5 1.3 5.8 6.5 4.5 5.0 2.2 6.6 7.3 9.5 2.1 6.1 4.4 3.9 4.4 9.0 5.9 5.6 1.0 3.4", sep=" "
)
_CODONS = [[c for c in range(64) if _CODE[c] == amino] for amino in _AMINO]
_STOPS = [c for c in range(64) if _CODE[c] == "*"]
_METHIONINE = _AMINO.index("M")
DIVERGED = 0.30  # share of amino acids replaced between isozymes
_INTRON_START = np.array([2, 3, 0, 3, 2, 3])  # GTATGT
_INTRON_END = np.array([3, 0, 1, 3, 0, 0, 1] + [0, 3] * 8 + [3, 0, 2])  # TACTAAC ... TAG


@dataclass(frozen=True)
class Gene:
    """A gene as the features table has it; positions are 1-based, start <= stop.

    Attributes:
        row: row in the simulated cell.
        exons: 1-based inclusive (start, stop) along the chromosome, ascending; more than one
            where introns lie between.
    """

    row: int
    name: str
    symbol: str
    aliases: tuple[str, ...]
    sgd: str
    chromosome: int
    start: int
    stop: int
    forward: bool
    exons: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class DrawnGenome:
    """Genes by row, chromosomes as bases 0..3, centromeres as 1-based (start, stop)."""

    genes: tuple[Gene, ...]
    chromosomes: tuple[Ints, ...]
    centromeres: tuple[tuple[int, int], ...]
    promoters: Ints


def draw_promoters(rng: np.random.Generator, n_gene: int, sites: Sites) -> Ints:
    """Promoters [gene, PROMOTER] on the coding strand: background with the sites written in."""
    promoters = rng.choice(4, (n_gene, PROMOTER), p=BACKGROUND)
    columns = sites.offset[:, None] + np.arange(WIDTH)
    promoters[sites.gene[:, None], columns] = sites.letters
    return promoters


def draw_genome(rng: np.random.Generator, cell: Architecture, promoters: Ints) -> DrawnGenome:
    """Draw coding sequences, the order of genes along chromosomes, and names."""
    coding = _coding_sequences(rng, cell)
    n_chromosome = min(16, max(2, cell.n_gene // 60))
    order = rng.permutation(cell.n_gene)
    symbols = _symbols(rng, cell)
    sgd = rng.permutation(cell.n_gene) + 1
    genes: dict[int, Gene] = {}
    chromosomes, centromeres = [], []
    for number, rows in enumerate(np.array_split(order, n_chromosome), start=1):
        left = round(len(rows) * float(rng.uniform(0.3, 0.7)))
        # a quarter of the ends is so short that the last gene lacks part of its window
        ends = [int(rng.integers(20, 90)) if rng.random() < 0.25 else 1200 for _ in range(2)]
        parts = [rng.choice(4, ends[0], p=BACKGROUND)]
        length = ends[0]
        names = _names(rng, number, left, len(rows) - left)
        for i, row in enumerate(rows):
            if i == left:
                parts.append(rng.choice(4, 400, p=BACKGROUND))
                centromeres.append((length + 141, length + 260))
                length += 400
            forward = bool(rng.random() < 0.5)
            sequence, breaks = coding[row]
            before = rng.choice(4, UPSTREAM - PROMOTER, p=BACKGROUND)
            after = rng.choice(4, DOWNSTREAM, p=BACKGROUND)
            block = np.concatenate([before, promoters[row], sequence, after])
            first = length + (UPSTREAM if forward else DOWNSTREAM) + 1
            stop = first + len(sequence) - 1
            # 0-based half-open pieces along the coding strand become 1-based chromosome ones
            if forward:
                exons = [(first + a, first + b - 1) for a, b in breaks]
            else:
                exons = sorted((stop - b + 1, stop - a) for a, b in breaks)
            symbol, aliases = symbols[row]
            genes[int(row)] = Gene(
                int(row),
                names[i] + ("W" if forward else "C") + ("-A" if names[i] in names[:i] else ""),
                symbol,
                aliases,
                f"S{sgd[row]:09d}",
                number,
                first,
                stop,
                forward,
                tuple(exons),
            )
            parts.append(block if forward else 3 - block[::-1])
            length += len(block)
        parts.append(rng.choice(4, ends[1], p=BACKGROUND))
        chromosomes.append(np.concatenate(parts))
    ordered = tuple(genes[row] for row in range(cell.n_gene))
    return DrawnGenome(ordered, tuple(chromosomes), tuple(centromeres), promoters)


def _names(rng: np.random.Generator, chromosome: int, left: int, right: int) -> list[str]:
    """Systematic names without strand, numbered from the centromere out; a repeat gets `-A`."""
    letter = chr(ord("A") + chromosome - 1)
    arms = []
    for arm, n in (("L", left), ("R", right)):
        number = 0
        mine: list[str] = []
        for i in range(n):
            twin = i > 0 and mine[-1] not in mine[:-1] and rng.random() < 0.015
            number += 0 if twin else 1
            mine.append(f"Y{letter}{arm}{number:03d}")
        arms.append(mine)
    return arms[0][::-1] + arms[1]


def _symbols(rng: np.random.Generator, cell: Architecture) -> list[tuple[str, tuple[str, ...]]]:
    """Symbols and aliases by gene: pathway mates often share three letters, a tenth has none."""
    home = dict(zip(cell.member_gene.tolist(), cell.member_pathway.tolist(), strict=True))
    order = rng.permutation(26 * 26 * 26)
    stems = ["".join(chr(65 + c // k % 26) for k in (676, 26, 1)) for c in order.tolist()]
    used = [0] * len(stems)
    spare = len(cell.pathway_system)

    def symbol(stem: int) -> str:
        used[stem] += 1
        return f"{stems[stem]}{used[stem]}"

    def fresh() -> str:
        nonlocal spare
        spare += 1
        return symbol(spare % len(stems))

    out: list[tuple[str, tuple[str, ...]]] = []
    for gene in range(cell.n_gene):
        shared = gene in home and rng.random() < 0.7
        first = symbol(home[gene]) if shared else fresh()
        aliases = tuple(fresh() for _ in range(int(rng.choice(3, p=[0.6, 0.3, 0.1]))))
        out.append(("", ()) if rng.random() < 0.1 else (first, aliases))
    return out


def _coding_sequences(
    rng: np.random.Generator, cell: Architecture
) -> list[tuple[Ints, list[tuple[int, int]]]]:
    """Bases from start to stop codon and the exons, 0-based half-open, by gene."""
    usage = _USAGE / _USAGE.sum()
    twin = {int(b): int(a) for a, b in cell.isozymes()}
    proteins: dict[int, Ints] = {}
    for gene in sorted(range(cell.n_gene), key=lambda g: g in twin):
        if gene in twin:
            protein = proteins[twin[gene]].copy()
            changed = np.flatnonzero(rng.random(len(protein)) < DIVERGED)
            protein[changed] = rng.choice(20, len(changed), p=usage)
        else:
            n = int(np.clip(rng.lognormal(5.6, 0.45), 80, 1200))
            protein = rng.choice(20, n, p=usage)
        protein[0] = _METHIONINE
        proteins[gene] = protein
    width = max(len(c) for c in _CODONS)
    table = np.array([c + [c[0]] * (width - len(c)) for c in _CODONS])
    choices = np.array([len(c) for c in _CODONS])
    out = []
    for gene in range(cell.n_gene):
        protein = proteins[gene]
        codon = table[protein, rng.integers(0, choices[protein])]
        codon = np.append(codon, rng.choice(_STOPS))
        bases = np.stack([codon // 16, codon // 4 % 4, codon % 4], axis=1).ravel()
        exons = [(0, len(bases))]
        if rng.random() < 0.04:
            at = int(rng.integers(6, 60))
            body = rng.choice(4, int(rng.integers(60, 300)), p=BACKGROUND)
            intron = np.concatenate([_INTRON_START, body, _INTRON_END])
            bases = np.concatenate([bases[:at], intron, bases[at:]])
            exons = [(0, at), (at + len(intron), len(bases))]
        out.append((bases, exons))
    return out
