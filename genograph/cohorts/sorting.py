"""Sorting: sort more rows than memory should hold by a column of texts, on disk.

Runs of rows are sorted in memory and written; a part is what all runs have between two texts. The
order is that of UTF-8 bytes, which is also Python's.
"""

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool
from numpy.typing import NDArray

AT_ONCE = 500_000
"""Rows of a run, and about as many of a part."""
SAMPLED = 500
"""One text in so many says where the parts divide."""


class Sorting:
    """Rows in a folder that are put in any order and read once, sorted by a column of texts."""

    def __init__(self, folder: Path, key: str) -> None:
        """Begin with none, in a folder that is not there yet."""
        folder.mkdir()
        self._folder = folder
        self._key = key
        self._held: list[pa.Table] = []
        self._runs: list[Path] = []
        self._sample: list[str] = []
        self.rows = 0
        """How many were put."""

    def put(self, rows: pa.Table) -> None:
        """Add rows; all tables have the same columns, and no text is null.

        Raises:
            OSError: the folder takes no more.
        """
        self._held.append(rows)
        self.rows += len(rows)
        if sum(map(len, self._held)) >= AT_ONCE:
            self._write()

    def _write(self) -> None:
        rows = pa.concat_tables(self._held).combine_chunks()
        self._held = []
        if not len(rows):
            return
        texts = rows[self._key].combine_chunks()
        if not pc.all(pc.less_equal(texts[:-1], texts[1:]), min_count=0).as_py():
            rows = rows.take(pc.sort_indices(texts))
        self._sample += rows[self._key][::SAMPLED].to_pylist()
        file = self._folder / f"{len(self._runs)}.arrow"
        with pa.ipc.new_file(file, rows.schema) as out:
            out.write_table(rows)
        self._runs.append(file)

    def parts(self, *, distinct: bool = False) -> Iterator[pa.Table]:
        """All rows in order, in parts; those of one text are in one part, in the order of putting.

        With `distinct`, one row of each text. The files are gone afterwards.

        Raises:
            OSError: the folder takes no more.
        """
        if self._held:
            self._write()
        begin = [0] * len(self._runs)
        for last in [*self._divided(), None] if self._runs else []:
            found = []
            for i, file in enumerate(self._runs):
                run = _mapped(file)
                end = len(run) if last is None else _place(run[self._key], last)
                found.append(run.slice(begin[i], end - begin[i]))
                begin[i] = end
            part = pa.concat_tables(found).combine_chunks()
            del found, run
            texts = part[self._key].combine_chunks()
            part = part.take(pc.sort_indices(texts))
            if distinct:
                part = part.filter(pa.array(find_changes(part[self._key])))
            if len(part):
                yield part
        for file in self._runs:
            file.unlink()
        self._runs = []

    def _divided(self) -> list[str]:
        """The texts at which a new part begins."""
        n_part = -(-self.rows // AT_ONCE)
        sample = sorted(self._sample)
        return sorted({sample[k * len(sample) // n_part] for k in range(1, n_part)})


def find_changes(sorted_texts: pa.ChunkedArray) -> Bool[np.ndarray, " row"]:
    """Which rows differ from the one before."""
    texts = sorted_texts.combine_chunks()
    new: NDArray[Any] = np.ones(len(texts), np.bool_)
    new[1:] = pc.not_equal(texts[1:], texts[:-1]).to_numpy(zero_copy_only=False)
    return new


def _mapped(file: Path) -> pa.Table:
    """A run where it lies on disk."""
    with pa.memory_map(str(file)) as opened:
        return pa.ipc.open_file(opened).read_all()


def _place(texts: pa.ChunkedArray, text: str) -> int:
    """How many of these sorted texts come before one."""
    return bisect_left(range(len(texts)), text, key=lambda row: texts[row].as_py())
