"""Limits on what a small file may become in memory: long lines and decompression bombs.

A line may have LONGEST_LINE bytes (a million columns of sixteen characters). What is packed may
unpack to FREE bytes whatever it is, and beyond that to RATIO times its packed size: deflate ends at
about 1,032 times (zeros), screens and annotation tables stay below 30.
"""

import gzip
import io
import sys
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from genograph.errors import SourceError

LONGEST_LINE = 16 << 20
FREE = 64 << 20
RATIO = 200

DAMAGED_NPZ = (
    *(ValueError, EOFError, OSError, LookupError, TypeError, SyntaxError, OverflowError),
    *(MemoryError, NotImplementedError, RuntimeError, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error, Warning),
)
"""What `npz` raises on a file that is not what it says; its headers are Python literals, and one
that promises more numbers than the file holds may ask for more memory than there is."""


class Bounded(io.RawIOBase):
    """The bytes of a source file; too long a line or too large a file is refused.

    Goes into an `io.BufferedReader`, whose lines never have more than LONGEST_LINE bytes plus one
    buffer.
    """

    def __init__(self, path: Path, raw: BinaryIO, unpacked: "gzip.GzipFile | None") -> None:
        """Read `raw`, or what it holds packed."""
        self._path, self._raw, self._unpacked = path, raw, unpacked
        self._total = 0
        self._open_line = 0
        self._line = 1

    def readable(self) -> bool:
        """Bytes can be read."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Read some bytes.

        Raises:
            SourceError: a line or the whole is longer than the limits.
        """
        wanted = min(len(buffer), LONGEST_LINE)
        piece = (self._unpacked or self._raw).read(wanted)
        n = len(piece)
        buffer[:n] = piece
        self._total += n
        first = piece.find(b"\n")
        longest = self._open_line + (n if first < 0 else first)
        if longest > LONGEST_LINE:
            got, limit = f"a line of over {LONGEST_LINE >> 20} MB", LONGEST_LINE >> 20
            raise SourceError.at(self._path, self._line, None, got, f"lines of at most {limit} MB")
        self._open_line = longest if first < 0 else n - piece.rfind(b"\n") - 1
        self._line += piece.count(b"\n")
        if self._unpacked is not None:
            check_ratio(self._path, self._raw.tell(), self._total)
        return n


def check_ratio(path: Path, packed: int, unpacked: int, part: str = "") -> None:
    """Refuse a file that unpacks to more than the limits.

    Raises:
        SourceError: the file unpacks to more.
    """
    if unpacked > FREE and unpacked > RATIO * packed:
        where = f"{path}: {part}" if part else str(path)
        msg = (
            f"{where}: unpacks to {unpacked >> 20:,} MB or more from {packed:,} bytes, over "
            f"{RATIO} times as much; unpack it yourself if it is what it should be"
        )
        raise SourceError(msg)


@contextmanager
def npz(path: Path) -> Iterator[Mapping[str, Any]]:
    """Open an npz of bounded size without pickled objects; a member that is no array is bytes.

    A warning of numpy (the header of an array is not a plain literal) is raised as an error.

    Raises:
        SourceError: it unpacks to more than the limits.
        DAMAGED_NPZ: any of these.
    """
    check_zip(path)
    with (
        warnings.catch_warnings(),
        path.open("rb") as raw,
        np.load(raw, allow_pickle=False) as held,
    ):
        warnings.simplefilter("error")
        yield held


def check_text(array: "NDArray[Any]") -> None:
    """Refuse an array of strings with an invalid character code; Python would fail on it later.

    Raises:
        ValueError: a string has an invalid character code.
    """
    if array.dtype.kind != "U" or not array.dtype.itemsize:
        return
    codes = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).view(np.uint32)
    if codes.size and int(codes.max()) > sys.maxunicode:
        msg = f"a string holds the code {int(codes.max()):#x}, which is no character"
        raise ValueError(msg)


def check_zip(path: Path) -> None:
    """Refuse a zip (npz, xlsx) whose members unpack to more than the limits.

    The reader of zips never gives more than the sizes that are checked here.

    Raises:
        SourceError: one member or all members together unpack to more.
        zipfile.BadZipFile: the file is not a zip.
    """
    with zipfile.ZipFile(path) as held:
        members = held.infolist()
    for member in members:
        check_ratio(path, member.compress_size, member.file_size, f"member {member.filename!r:.60}")
    # members may overlap in the file, so the file's size is the measure of them all
    check_ratio(path, path.stat().st_size, sum(member.file_size for member in members))
