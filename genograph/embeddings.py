"""Providers: what turns the sequences of regulatory windows into vectors.

A provider is imported when it is chosen, so that one that needs a neural network loads it then.
`kmer` is the plain description of a sequence that any sequence model must beat; `random` carries
no information about the sequence and is the control of every model.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from genograph.errors import SourceError

Vectors = NDArray[np.float32]

THIRDS = {"upstream": (334, 669), "downstream": (100, 200)}
"""Where the thirds of a window end, in bases from its codon: of 1,003 and 300 bp."""
_CODE = np.full(256, 4, dtype=np.int64)
_CODE[[ord(base) for base in "ACGTU"]] = (0, 1, 2, 3, 3)


@dataclass(frozen=True)
class Provider:
    """A way to embed windows.

    Attributes:
        name: what it is called.
        title: one line.
        version: raised whenever the same window gives another vector.
        vectors: the function of CRE ids, sequences, seed and dimension that returns unit vectors
            [window, dim].
        seeded: whether the seed matters.
    """

    name: str
    title: str
    version: int
    vectors: Callable[[Sequence[str], Sequence[str | None], int, int], Vectors]
    seeded: bool


def kmer(ids: Sequence[str], sequences: Sequence[str | None], seed: int, dim: int) -> Vectors:
    """K-mer spectra of the three thirds of each window, unit vectors [window, dim].

    With dim = 768 the k-mers are 4-mers (3 x 256). The thirds are counted in bases from the codon
    (the end of an upstream, the start of a downstream window), so that a window that a chromosome
    end cuts short fills the thirds it has. A third's entries are sqrt(f) - sqrt(1 / 4^k), where f
    is the share of each k-mer among those of the coding strand that begin in the third (Hellinger
    transform: differences are then comparable between common and rare k-mers); a third without a
    k-mer is zero. K-mers with a letter other than A, C, G, T are not counted. The seed is not used.

    Raises:
        SourceError: dim is not 3 * 4^k for k = 1 to 6, or a window has no sequence.
    """
    del seed
    sizes = {3 * 4**k: k for k in range(1, 7)}
    if dim not in sizes:
        msg = f"provider kmer has dimensions {', '.join(map(str, sizes))}; got {dim}"
        raise SourceError(msg)
    k = sizes[dim]
    out = np.zeros((len(ids), 3, 4**k), dtype=np.float32)
    for row, (name, sequence) in enumerate(zip(ids, sequences, strict=True)):
        if sequence is None or not sequence.isascii():
            msg = f"CRE {name} has no sequence of nucleotides; load it again (cre)"
            raise SourceError(msg)
        kind = name.rpartition(":")[2]
        codes = _CODE[np.frombuffer(sequence.upper().encode("ascii"), dtype=np.uint8)]
        n = len(codes) - k + 1
        if n < 1:
            continue
        value, known = np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool)
        for i in range(k):
            part = codes[i : i + n]
            value = value * 4 + part
            known &= part < 4
        # bases between the k-mer's first one and the codon's outer end
        distance = np.arange(n) if kind == "downstream" else len(codes) - 1 - np.arange(n)
        third = np.searchsorted(THIRDS[kind], distance, side="right")
        counts = np.bincount((third * 4**k + value)[known], minlength=3 * 4**k).reshape(3, -1)
        total = counts.sum(axis=1, keepdims=True)
        share = counts / np.maximum(total, 1)
        out[row] = np.where(total > 0, np.sqrt(share) - 2.0**-k, 0.0)
    return _unit(out.reshape(len(ids), dim))


def random(ids: Sequence[str], sequences: Sequence[str | None], seed: int, dim: int) -> Vectors:
    """Gaussian directions, one a CRE id and seed, unit vectors [window, dim].

    A window's vector depends on its id alone: neither on its bases nor on the other windows.

    Raises:
        SourceError: dim is below 1.
    """
    if dim < 1:
        msg = f"provider random needs a dimension >= 1; got {dim}"
        raise SourceError(msg)
    out = np.empty((len(sequences), dim), dtype=np.float32)
    for row, name in enumerate(ids):
        digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        out[row] = np.random.default_rng(int.from_bytes(digest[:16])).standard_normal(dim)
    return _unit(out)


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    out: Vectors = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return out


KMER = Provider("kmer", "4-mer spectra of a window's three thirds", 1, kmer, seeded=False)
RANDOM = Provider("random", "a random direction a window: the control", 1, random, seeded=True)

PROVIDERS: Mapping[str, str] = {
    "kmer": "genograph.embeddings:KMER",
    "random": "genograph.embeddings:RANDOM",
}
"""Where each provider is defined, as module:attribute; the attribute is a `Provider`."""


def find_provider(name: str) -> Provider:
    """Import the provider of that name.

    Raises:
        SourceError: there is none; the message lists them.
    """
    if name not in PROVIDERS:
        msg = f"no provider is called {name or 'nothing'}; choose one of {', '.join(PROVIDERS)}"
        raise SourceError(msg)
    module, _, attribute = PROVIDERS[name].partition(":")
    found: Provider = getattr(import_module(module), attribute)
    return found
