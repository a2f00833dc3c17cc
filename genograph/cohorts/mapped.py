"""Mapped: the arrays of a safetensors file where they lie on disk, read when they are touched.

The format: https://huggingface.co/docs/safetensors/index#format
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "I64": np.int64,
    "I32": np.int32,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def mapped(path: Path) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
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


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]]) -> None:
    """Write a safetensors file, array after array; the library's writer holds two copies of all.

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
