"""Mapped: arrays of files on disk, read when they are used.

Those of a safetensors file (https://huggingface.co/docs/safetensors/index#format), and columns that
are written part by part.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

Array = NDArray[Any]

TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "I64": np.int64,
    "I32": np.int32,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}

FILLED = 1 << 20


def map_arrays(path: Path) -> dict[str, Array]:
    """Every array of a safetensors file, mapped; writing to one changes memory, never the file.

    Raises:
        FileNotFoundError, SafetensorError: no such file, or a damaged one.
        KeyError: a type of number that no cohort has.
    """
    # the library checks header and length
    with safe_open(path, framework="np"):
        pass
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind, shape, (start, end) = (
            TYPES[entry["dtype"]],
            tuple(entry["shape"]),
            entry["data_offsets"],
        )
        if start == end:
            out[name] = np.empty(shape, kind)
        else:
            where = 8 + size + start
            out[name] = np.asarray(np.memmap(path, kind, mode="c", offset=where, shape=shape))
    return out


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a safetensors file array by array; the library's writer would hold two copies.

    Raises:
        KeyError: a type of number that no cohort has.
        OSError: the file cannot be written.
    """
    types = {np.dtype(kind): name for name, kind in TYPES.items()}
    # the widest first, so that each begins at a multiple of its width
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header, end = {}, 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        kind = types[array.dtype]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            out.write(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)


class Columns:
    """Arrays of one dimension in files of a folder, written part after part."""

    def __init__(self, folder: Path) -> None:
        """Begin with none, in a folder that is not there yet."""
        folder.mkdir()
        self._folder = folder
        self._types: dict[str, np.dtype[Any]] = {}

    def append(self, **parts: Array) -> None:
        """Append to each named column; the first part decides a column's type.

        Raises:
            OSError: the folder takes no more.
        """
        for name, part in parts.items():
            kind = self._types.setdefault(name, part.dtype)
            with self._file(name).open("ab") as out:
                out.write(np.ascontiguousarray(part, kind).data)

    def full(self, name: str, n: int, value: np.generic) -> Array:
        """A new column of n times a number, mapped, to be written in any order.

        Raises:
            OSError: the folder takes no more.
        """
        kind = self._types[name] = value.dtype
        with self._file(name).open("wb") as out:
            # a mapped page that the disk has no room for would end the process
            for begin in range(0, n, FILLED):
                out.write(np.full(min(FILLED, n - begin), value, kind).data)
        return np.memmap(self._file(name), kind, mode="r+", shape=(n,)) if n else np.empty(0, kind)

    def parts(self, names: Sequence[str], at_once: int) -> Iterator[tuple[Array, ...]]:
        """Columns of one length, read in parts; memory holds one part."""
        first = self._types[names[0]]
        n = self._file(names[0]).stat().st_size // first.itemsize
        for begin in range(0, n, at_once):
            yield tuple(self.read(name, begin, at_once) for name in names)

    def read(self, name: str, begin: int, n: int) -> Array:
        """Read up to n numbers of a column from a place on."""
        kind = self._types[name]
        return np.fromfile(self._file(name), kind, n, offset=begin * kind.itemsize)

    def mapped(self, name: str, kind: type) -> Array:
        """A whole column, mapped; it outlives its file, and writing changes memory only.

        `kind` is what its numbers are.
        """
        file = self._file(name)
        if not file.exists() or not file.stat().st_size:
            return np.empty(0, kind)
        assert self._types[name] == kind
        return np.asarray(np.memmap(file, kind, mode="c"))

    def _file(self, name: str) -> Path:
        return self._folder / name
