"""Mapped: the arrays of a safetensors file where they lie on disk, read when they are touched."""

import json
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
