"""The program of the process that runs a user's query: an embedded engine and a pair of pipes.

It imports the engine and Arrow alone, so that it starts in a tenth of a second. A request and an
answer are frames: one byte of kind, eight of length, the bytes.
"""

import ctypes
import json
import signal
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import ladybug
    import pyarrow as pa

CHUNK = 10_000
HEAD = struct.Struct("<cQ")
READY, ASK, PART, END, REFUSED, TOO_MANY, DAMAGED = (
    b"r", b"a", b"p", b".", b"e", b"n", b"d"
)  # fmt: skip
UNREADABLE = (UnicodeDecodeError, OverflowError, IndexError, SystemError)
"""What reading a damaged database raises, besides the engine's and Arrow's own errors."""


def put(pipe: BinaryIO, kind: bytes, raw: bytes = b"") -> None:
    """Write one frame."""
    pipe.write(HEAD.pack(kind, len(raw)))
    pipe.write(raw)
    pipe.flush()


def _cut_answer(found: "ladybug.QueryResult", asked: dict[str, Any]) -> "Iterator[pa.Table]":
    """The rows of an answer, or the first of them, in parts.

    An answer of a limited number of rows is brought into Arrow whole, with the types that the
    schema gives; a large one some rows at a time, with the types that they show.
    """
    import pyarrow as pa

    first, step = asked["first"], asked["rows_of_part"]
    if asked["limit"] is not None or first is not None or found.get_num_tuples() <= step:
        rows = found.get_as_arrow(CHUNK)[:first]
        for start in range(0, max(1, len(rows)), step):
            yield rows.slice(start, step)
        return
    names = found.get_column_names()
    while some := found.get_n(step):
        columns = [pa.array(column) for column in zip(*some, strict=True)]
        yield pa.Table.from_arrays(columns, names=names)


def _get(pipe: BinaryIO) -> tuple[bytes, Any] | None:
    """The next frame, whose bytes are JSON; None where the parent is gone."""
    head = pipe.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, length = HEAD.unpack(head)
    return kind, json.loads(pipe.read(length))


def _end_with_parent() -> None:
    """Have the kernel end this process when the parent ends, and before others for its memory."""
    if not sys.platform.startswith("linux"):
        return
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
    # the kernel, out of memory, ends the process of the highest score
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123
        score.write("1000")


def _answer(database: "ladybug.Database", asked: dict[str, Any], out: BinaryIO) -> None:
    """Run one query and write its rows, or why there are none."""
    import ladybug
    import pyarrow as pa

    connection = ladybug.Connection(database)
    try:
        connection.set_query_timeout(asked["milliseconds"])
        connection.execute("BEGIN TRANSACTION READ ONLY")
        found = connection.execute(asked["cypher"], asked["parameters"])
        if isinstance(found, list):
            put(out, REFUSED, f"wanted one statement, got {len(found)}".encode())
            return
        n, first = found.get_num_tuples(), asked["first"]
        n = n if first is None else min(n, first)
        if asked["limit"] is not None and n > asked["limit"]:
            put(out, TOO_MANY, str(n).encode())
            return
        for part in _cut_answer(found, asked):
            raw = pa.BufferOutputStream()
            with pa.ipc.new_stream(raw, part.schema) as stream:
                stream.write_table(part)
            put(out, PART, raw.getvalue())
        put(out, END)
    except UNREADABLE as error:
        put(out, DAMAGED, str(error).encode())
    except pa.ArrowException as error:
        put(out, DAMAGED, str(error).encode())
    except (RuntimeError, TypeError, ValueError, MemoryError) as error:
        put(out, REFUSED, str(error).encode(errors="replace"))
    finally:
        connection.close()


def main() -> None:
    """Open the database that the first frame names, and answer until the parent is gone."""
    _end_with_parent()
    sys.path[:] = sys.argv[1:]
    # Arrow takes twice as long to import where numpy is, and rows need none
    sys.modules["numpy"] = None  # type: ignore[assignment]
    import ladybug
    import pyarrow  # noqa: F401  while the parent still gets ready

    inward, out = sys.stdin.buffer, sys.stdout.buffer
    told = _get(inward)
    if told is None:
        return
    try:
        database = ladybug.Database(
            told[1]["database"], buffer_pool_size=told[1]["pool"], read_only=True
        )
    except (RuntimeError, ValueError, MemoryError, *UNREADABLE) as error:
        put(out, DAMAGED, str(error).encode(errors="replace"))
        return
    put(out, READY)
    while (asked := _get(inward)) is not None:
        _answer(database, asked[1], out)


if __name__ == "__main__":
    main()
