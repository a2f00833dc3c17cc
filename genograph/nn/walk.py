"""Walks: over arrays that are mapped from disk, a piece at a time.

Tens of millions of records never stand in memory at once: what is kept of each is its row.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from genograph.cohorts import Strains
from genograph.nn.plans import ragged

Array = np.ndarray[Any, np.dtype[Any]]
PIECE = 2**18
"""Records looked at together."""


def pieces(n: int) -> Iterator[slice]:
    """Slices that cover 0 to n, in order."""
    for start in range(0, n, PIECE):
        yield slice(start, min(start + PIECE, n))


def rows_where(n: int, kept: Callable[[slice], Array]) -> Array:
    """The ascending rows of n for which `kept`, asked a slice at a time, is true; as int32.

    Wider where n asks for it.
    """
    kind = np.int32 if n < 2**31 else np.int64
    mask = np.zeros(n, bool)
    for piece in pieces(n):
        mask[piece] = kept(piece)
    out = np.empty(int(np.count_nonzero(mask)), kind)
    filled = 0
    for piece in pieces(n):
        rows = np.flatnonzero(mask[piece])
        out[filled : filled + len(rows)] = rows + piece.start
        filled += len(rows)
    return out


def n_perturbed_of(strains: Strains, rows: Array | slice) -> Int64[np.ndarray, " strain"]:
    """How many perturbations some strains have, without counting those of all."""
    if isinstance(rows, slice):
        count: Array = np.diff(strains.offsets[rows.start : rows.stop + 1])
        return count
    wide = np.asarray(rows, np.int64)
    count = strains.offsets[wide + 1] - strains.offsets[wide]
    return count


def taken(strains: Strains, rows: Array) -> Strains:
    """Some strains, in this order; `single` still holds rows of the cohort's."""
    wide = np.asarray(rows, np.int64)
    entry, offsets = ragged(strains.offsets, wide)
    return Strains(
        strains.ids.take(pa.array(wide)),
        offsets,
        strains.gene[entry],
        strains.dose[entry],
        strains.single[entry],
    )
