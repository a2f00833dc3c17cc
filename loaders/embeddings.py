"""Vectors of regulatory windows that a sequence model computed elsewhere.

The kind of file is told by its first bytes. In all of them a vector belongs to a CRE id such as
`YAL001C:upstream`, and all vectors have one dimension:

* npz: arrays `ids` (strings) and `vectors` (numbers, [window, dim]); no pickled objects
* safetensors: tensor `vectors` [window, dim]; ids one a line, either in the metadata entry `ids` or
  in a tensor `ids` of UTF-8 bytes (unsigned 8-bit)
* parquet: columns `id` (string) and `vector` (list of numbers)
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, opened
from genograph.loaders._bounds import DAMAGED_NPZ, check_ratio, check_text, npz
from genograph.loaders._parquet import columns as parquet_columns
from genograph.tables import Table, make_mark

SOURCE = Source(
    name="embeddings",
    title="vectors of windows from any sequence model",
    format="npz (ids, vectors), safetensors (vectors; ids in the metadata or as bytes) or parquet "
    "(id, vector)",
    version=1,
    gives=("Embedding", "EMBEDDED_AS"),
    needs=("CRE",),
    options={"model": ("name of the sequence model; models stand side by side", None)},
)

_CHUNK = 2_000

Floats = NDArray[np.float32]


def read(path: Path, reading: Reading, *, model: str) -> Iterator[Table]:
    """Yield Embedding and EMBEDDED_AS tables; vectors are kept as 32-bit floats.

    Vectors of windows that are not loaded are rejected, and so is a second vector of one window.
    """
    model = str(model)
    if not model or "@" in model:
        msg = f"loader embeddings: option model is {model!r}, wanted a name without @"
        raise SourceError(msg)
    known = set(reading.query("MATCH (c:CRE) RETURN c.id AS id")["id"].to_pylist())
    seen: set[str] = set()
    dim: int | None = None
    mark = make_mark()
    for ids, vectors in _chunks(path):
        if dim is None:
            dim = vectors.shape[1]
        if vectors.shape[1] != dim:
            got = f"{vectors.shape[1]} numbers in row {reading.rows_read + 1}"
            raise SourceError.at(path, None, "vector", got, f"{dim} as in the rows before")
        odd = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(odd):
            got = f"NaN or infinity in row {reading.rows_read + odd[0] + 1} ({ids[odd[0]]})"
            raise SourceError.at(path, None, "vector", got, "finite 32-bit floats")
        used = []
        for i, name in enumerate(ids):
            if name not in known:
                reading.reject("unknown window", None, f"row {reading.rows_read + i + 1}: {name}")
            elif name in seen:
                reading.reject("duplicate window", None, f"row {reading.rows_read + i + 1}: {name}")
            else:
                seen.add(name)
                used.append(i)
        reading.rows_read += len(ids)
        yield from tables([ids[i] for i in used], vectors[used], model, str(path), mark=mark)
    if not reading.rows_read:
        raise SourceError.at(path, None, None, "no vector", "at least one")


def tables(
    ids: Sequence[str], vectors: Floats, model: str, source: str, *, mark: int = 0
) -> tuple[Table, ...]:
    """The Embedding and EMBEDDED_AS tables of vectors [window, dim] of the windows `ids`.

    `mark` says that no other tables with it have these ids; see Table.
    """
    if not ids:
        return ()
    count, dim = vectors.shape
    offsets = pa.array(np.arange(0, (count + 1) * dim, dim, dtype=np.int32))
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    names = [f"{name}@{model}" for name in ids]
    nodes = pa.table(
        {
            "id": names,
            "model": [model] * count,
            "dim": pa.array([dim] * count, pa.int64()),
            "vector": pa.ListArray.from_arrays(offsets, flat),
        }
    )
    return (
        Table("Embedding", nodes, source, mark),
        Table.of("EMBEDDED_AS", {"from_id": ids, "to_id": names}, source=source, own=mark),
    )


def _chunks(path: Path) -> Iterator[tuple[list[str], Floats]]:
    """Ids and vectors [window, dim] by chunks of rows."""
    with opened(path) as raw:
        start = raw.read(9)
    if start.startswith(b"PK"):
        whole = _npz(path)
    elif start.startswith(b"PAR1"):
        yield from _parquet(path)
        return
    elif start[8:] == b"{":
        whole = _safetensors(path)
    else:
        raise SourceError.at(path, None, None, f"a file that begins {start!r}", SOURCE.format)
    ids, vectors = whole
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or not vectors.shape[-1]:
        got = f"{vectors.dtype} of shape {vectors.shape}"
        raise SourceError.at(path, None, "vectors", got, "numbers [window, dim]")
    if len(ids) != len(vectors):
        raise SourceError.at(
            path, None, "ids", f"{len(ids)} for {len(vectors)} vectors", "one each"
        )
    for at in range(0, len(ids), _CHUNK):
        yield ids[at : at + _CHUNK], _as_float32(vectors[at : at + _CHUNK])


def _as_float32(vectors: NDArray[Any]) -> Floats:
    # a number beyond 32 bits becomes infinite, which the caller refuses
    with np.errstate(over="ignore"):
        return vectors.astype(np.float32)


def _npz(path: Path) -> tuple[list[str], NDArray[Any]]:
    try:
        with npz(path) as arrays:
            for name in ("ids", "vectors"):
                if name not in arrays:
                    got = ", ".join(arrays) or "nothing"
                    raise SourceError.at(path, None, name, f"arrays {got}", "ids and vectors")
            ids, vectors = arrays["ids"], arrays["vectors"]
            if isinstance(ids, np.ndarray):
                check_text(ids)
    except DAMAGED_NPZ as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path}: damaged npz, or one with pickled objects: {reason:.200}"
        raise SourceError(msg) from error
    # a member that is no array comes as its bytes
    if not isinstance(ids, np.ndarray) or not isinstance(vectors, np.ndarray):
        msg = f"{path}: damaged npz: ids and vectors are no arrays"
        raise SourceError(msg)
    if ids.ndim != 1 or ids.dtype.kind not in "US":
        raise SourceError.at(path, None, "ids", f"{ids.dtype} of shape {ids.shape}", "strings")
    return ids.astype(str).tolist(), vectors


def _safetensors(path: Path) -> tuple[list[str], NDArray[Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            if "vectors" not in names:
                got = "tensors " + ", ".join(sorted(names))
                raise SourceError.at(path, None, "vectors", got, "a tensor vectors")
            text = (file.metadata() or {}).get("ids")
            if text is None and "ids" in names:
                text = file.get_tensor("ids").astype(np.uint8).tobytes().decode("utf-8")
            if text is None:
                wanted = "ids one a line, in the metadata or as a tensor of bytes"
                raise SourceError.at(path, None, "ids", "none", wanted)
            vectors = file.get_tensor("vectors")
    except (SafetensorError, UnicodeDecodeError, TypeError) as error:
        # a number type that numpy has not (bfloat16) is a TypeError
        msg = f"{path}: cannot be read as safetensors: {str(error).splitlines()[0]}"
        raise SourceError(msg) from error
    return text.rstrip("\n").split("\n"), vectors


def _parquet(path: Path) -> Iterator[tuple[list[str], Floats]]:
    try:
        _check_size(path)
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if "id" not in names or "vector" not in names:
                raise SourceError.at(path, None, None, "columns " + ", ".join(names), "id, vector")
            row = 0
            for batch in file.iter_batches(_CHUNK, columns=["id", "vector"]):
                if not len(batch):
                    continue
                ids, lists = batch.column("id"), batch.column("vector")
                yield ids.cast(pa.string()).to_pylist(), _matrix(path, lists, row)
                row += len(batch)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        # names and ids are only taken for text when they are asked for
        msg = f"{path}: cannot be read as parquet: {str(error).splitlines()[0]}"
        raise SourceError(msg) from error


def _check_size(path: Path) -> None:
    """Refuse a file that says it holds far more numbers than its bytes can."""
    try:
        held = parquet_columns(path)
    except ValueError as error:
        msg = f"{path}: damaged parquet: {error}"
        raise SourceError(msg) from None
    # equal values are stored once, so what they take unpacked is told by their number
    check_ratio(path, path.stat().st_size, sum(max(c.values * 4, c.unpacked) for c in held))


def _matrix(path: Path, lists: pa.Array, row: int) -> Floats:
    """A column of lists as a matrix; `row` rows of the file were before it."""
    lists = lists.cast(pa.list_(pa.float64()))
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    if not len(lengths) or not lengths[0] or (lengths != lengths[0]).any():
        at = int(np.flatnonzero((lengths != lengths[:1]) | (lengths == 0))[0])
        wanted = f"{lengths[0]} as in the rows before" if at else "at least one"
        got = f"{lengths[at]} numbers in row {row + at + 1}"
        raise SourceError.at(path, None, "vector", got, wanted)
    values = lists.flatten().to_numpy(zero_copy_only=False)
    return _as_float32(values.reshape(len(lists), -1))
