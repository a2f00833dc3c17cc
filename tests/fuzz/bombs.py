"""Small files that want to become large ones in memory: what each is, and how it is made.

Every one is a few kilobytes to a few megabytes; a reader that believed them would need gigabytes
or hours.
"""

import gzip
import io
import json
import resource
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from fuzz.engine import HangError, time_limit
from fuzz.readers import Reader

from genograph.errors import SourceError

WIDE = 1_000_000
MEMORY = 700 << 20
"""Bytes that refusing a bomb may add to the process."""
SECONDS = 300.0
"""Processor time that a slow bomb may take."""
_LEVEL = 9


class Bomb(NamedTuple):
    """One file.

    Attributes:
        name: what it is, in words.
        loader: the loader that is given it.
        suffix: of the file's name.
        make: gives its bytes.
        wanted: what the message must have.
        slow: it takes seconds to refuse, as its lines are good ones.
    """

    name: str
    loader: str
    suffix: str
    make: Callable[[], bytes]
    wanted: str
    slow: bool = False


def gzip_of(piece: bytes, total: int, head: bytes = b"") -> bytes:
    """A gzip that unpacks to `head` and then to `total` bytes of a repeated piece."""
    block = piece * ((16 << 20) // len(piece))
    # members of a gzip that follow each other unpack to one file
    return gzip.compress(head, 1) + gzip.compress(block, _LEVEL) * (total // len(block) + 1)


def _npy(shape: tuple[int, ...], kind: str) -> bytes:
    out = io.BytesIO()
    record = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, record)
    return out.getvalue()


def zip_of(members: dict[str, list[bytes]]) -> bytes:
    """A zip; every member is the list of its pieces."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as held:
        for name, pieces in members.items():
            with held.open(name, "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)
    return out.getvalue()


def _zeros_npz() -> bytes:
    n = 25_000_000
    ids = _npy((1,), "<U8") + "YAL001C:".encode("utf-32-le")
    zeros = [bytes(n)] * 4
    return zip_of({"ids.npy": [ids], "vectors.npy": [_npy((1, n), "<f4"), *zeros]})


def _promising_npz() -> bytes:
    ids = _npy((1,), "<U8") + "YAL001C:".encode("utf-32-le")
    return zip_of({"ids.npy": [ids], "vectors.npy": [_npy((10**9, 10**6), "<f4"), bytes(99)]})


_SHEET = "xl/worksheets/sheet1.xml"


def _workbook(pieces: list[bytes]) -> bytes:
    import openpyxl

    out = io.BytesIO()
    openpyxl.Workbook().save(out)
    with zipfile.ZipFile(out) as held:
        members = {name: [held.read(name)] for name in held.namelist()}
    space = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    start, end = b"<worksheet " + space + b"><sheetData>", b"</sheetData></worksheet>"
    return zip_of(members | {_SHEET: [start, *pieces, end]})


def _blank_workbook() -> bytes:
    return _workbook([b" " * (1 << 20)] * 80)


def _entities() -> bytes:
    """The billion laughs: an entity of ten of ten of ten of ... words."""
    names = "abcdefghij"
    lines = [f'<!ENTITY {names[0]} "ha">']
    for before, name in pairwise(names):
        lines.append(f'<!ENTITY {name} "{f"&{before};" * 10}">')
    text = f"<?xml version='1.0'?><!DOCTYPE x [{''.join(lines)}]><worksheet>&j;</worksheet>"
    data = _workbook([])
    with zipfile.ZipFile(io.BytesIO(data)) as held:
        members = {name: [held.read(name)] for name in held.namelist()}
    return zip_of(members | {_SHEET: [text.encode()]})


def _h5ad() -> bytes:
    """Tables of a thousand million cells, none of which is stored."""
    import h5py

    n = 1_000_000_000
    text = {"encoding-type": "string-array", "encoding-version": "0.2.0"}
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name, size in (("obs", n), ("var", 3)):
            table = file.create_group(name)
            table.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0"})
            table.attrs["_index"] = "names"
            table.attrs["column-order"] = np.array([], dtype=h5py.string_dtype())
            kind = h5py.string_dtype()
            table.create_dataset("names", (size,), kind, chunks=(1 << 10,) if size == n else None)
            table["names"].attrs.update(text)
        file.create_dataset("X", (n, 3), "f4", chunks=(1 << 10, 3))
    return out.getvalue()


def _parquet() -> bytes:
    """The same vector of zeros, a quarter of a million times a hundred numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n, dim = 250_000, 100
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), ["YAL001C:upstream"])
    offsets = pa.array(np.arange(0, (n + 1) * dim, dim, dtype=np.int32))
    vectors = pa.ListArray.from_arrays(offsets, pa.array(np.zeros(n * dim, np.int8)))
    out = io.BytesIO()
    pq.write_table(pa.table({"id": ids, "vector": vectors}), out, compression="zstd")
    return out.getvalue()


def _safetensors() -> bytes:
    entry = {"dtype": "F32", "shape": [10**9, 10**6], "data_offsets": [0, 4 * 10**15]}
    header = json.dumps({"vectors": entry}).encode()
    return struct.pack("<Q", len(header)) + header


GO_ON = b"YAL001C\tYAL001C\tYAL002W\tYAL002W\t0.1\t0.1\t0.01\n"

BOMBS = (
    *(
        Bomb(f"10 GB of zeros packed, for {name}", name, ".gz", _zeros, "lines of at most 16 MB")
        for name, _zeros in (
            (name, lambda: gzip_of(b"\0", 10 << 30))
            for name in ("sga_costanzo2010", "cre", "obo", "gaf", "expression_matrix")
        )
    ),
    Bomb(
        "10 GB of empty lines packed",
        "sgd_gene_go",
        ".gz",
        lambda: gzip_of(b"\n", 10 << 30),
        "over 200 times",
        slow=True,
    ),
    Bomb(
        "10 GB of one row packed",
        "sga_costanzo2010",
        ".gz",
        lambda: gzip_of(GO_ON, 10 << 30),
        "over 200 times",
        slow=True,
    ),
    Bomb("an npz of 100 MB of zeros", "embeddings", ".npz", _zeros_npz, "over 200 times"),
    Bomb("an npz that promises 4 PB", "embeddings", ".npz", _promising_npz, "damaged npz"),
    Bomb("a workbook of 80 MB of blanks", "smf_baryshnikova2010", ".xlsx", _blank_workbook, "200"),
    Bomb("a workbook of a billion laughs", "smf_baryshnikova2010", ".xlsx", _entities, "workbook"),
    Bomb("an h5ad of 10^9 cells, none stored", "anndata", ".h5ad", _h5ad, "over 200 times"),
    Bomb("a parquet of 25 million zeros", "embeddings", ".parquet", _parquet, "over 200 times"),
    Bomb("a safetensors that promises 4 PB", "embeddings", ".st", _safetensors, "safetensors"),
)


def lit(bomb: Bomb, reader: Reader) -> tuple[str, int, dict[str, bytes]]:
    """A line on what a reader did with a bomb, 1 input, and the defects: slow, large, let in."""
    scale = 1 if sys.platform == "darwin" else 1024
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    data = bomb.make()
    defects = []
    try:
        with time_limit(SECONDS):
            reader.read(data)
        defects.append("it was let in")
    except SourceError as error:
        if bomb.wanted not in str(error):
            defects.append(f"got {error}, wanted {bomb.wanted}")
    except HangError:
        defects.append(f"over {SECONDS:.0f} s")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * scale
    if grown > MEMORY:
        defects.append(f"{grown >> 20} MB of memory")
    spent = time.process_time() - begun
    line = f"{bomb.name}: {spent:.1f} s, {grown >> 20} MB more, {len(defects)} defects"
    return line, 1, {f"{bomb.name}: {defect}": data[:1000] for defect in defects}


def wide(good: bytes) -> bytes:
    """A good text table whose first line has a million columns more."""
    first, _, rest = good.partition(b"\n")
    return first + b"\t1.5" * WIDE + b"\n" + rest
