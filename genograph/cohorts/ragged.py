"""Ragged: rows of arrays that are mapped from disk, found and cut a piece at a time.

Tens of millions of records never stand in memory at once: what is kept of each is its row.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64
from numpy.typing import NDArray

from genograph.cohorts.data import Strains, Vectors

Array = NDArray[Any]
PIECE = 2**18
"""Records looked at together."""


def cut_pieces(n: int) -> Iterator[slice]:
    """Consecutive slices that cover 0 to n."""
    for start in range(0, n, PIECE):
        yield slice(start, min(start + PIECE, n))


def find_rows(n: int, kept: Callable[[slice], Array]) -> Array:
    """The rows of n, ascending, for which `kept` is true; `kept` is called a slice at a time.

    Wider where n asks for it.
    """
    kind = np.int32 if n < 2**31 else np.int64
    mask = np.zeros(n, bool)
    for piece in cut_pieces(n):
        mask[piece] = kept(piece)
    out = np.empty(int(np.count_nonzero(mask)), kind)
    filled = 0
    for piece in cut_pieces(n):
        rows = np.flatnonzero(mask[piece])
        out[filled : filled + len(rows)] = rows + piece.start
        filled += len(rows)
    return out


def take_ragged(
    offsets: Int64[np.ndarray, " row_1"], rows: Int64[np.ndarray, " taken"]
) -> tuple[Int64[np.ndarray, " entry"], Int64[np.ndarray, " taken_1"]]:
    """The entries of some rows of a ragged array, in order, and the offsets of the result."""
    start = offsets[rows]
    length = offsets[np.asarray(rows) + 1] - start
    new = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return np.repeat(start - new[:-1], length) + np.arange(new[-1]), new


def count_perturbed(strains: Strains, rows: Array | slice) -> Int64[np.ndarray, " strain"]:
    """How many perturbations some strains have, without counting those of all."""
    if isinstance(rows, slice):
        count: Array = np.diff(strains.offsets[rows.start : rows.stop + 1])
        return count
    wide = np.asarray(rows, np.int64)
    count = strains.offsets[wide + 1] - strains.offsets[wide]
    return count


def take_strains(strains: Strains, rows: Array) -> Strains:
    """The strains of these rows, in this order; `single` still holds rows of the cohort."""
    wide = np.asarray(rows, np.int64)
    entry, offsets = take_ragged(strains.offsets, wide)
    return Strains(
        strains.ids.take(pa.array(wide)),
        offsets,
        strains.gene[entry],
        strains.dose[entry],
        strains.single[entry],
    )


VALUES_AT_ONCE = 2**22
"""Values of vectors looked at together."""


def cut_vectors(
    vectors: Vectors, rows: Int64[np.ndarray, " row"]
) -> Iterator[Int64[np.ndarray, " piece"]]:
    """Rows of a matrix of vectors, in pieces that hold a bounded number of values."""
    step = max(1, VALUES_AT_ONCE // max(len(vectors.names), 1))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
