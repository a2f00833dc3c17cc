"""Aside: a folder that is written beside its place and put there when it is whole.

At every moment the place holds the earlier folder, or the new one, or for the time between two
renames none; never half of one. What a killed writer left is cleared, or put back, by the next.
So is what it left of files and folders for the time of its work: each is locked by its process, and
the system opens the lock when the process ends, however it ends.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from genograph.errors import GenographError

SCRATCH = "genograph-"
LOCK = ".lock"


@contextmanager
def written_aside(
    folder: Path, *, force: bool, mark: str, error: type[GenographError]
) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place when the block ends well.

    A folder that is there is replaced only with `force`, and if it holds the file `mark`.

    Raises:
        GenographError: of the class `error`: it may not be replaced, or the disk refuses.
    """
    aside = folder.with_name(f".{folder.name}.part")
    earlier = folder.with_name(f".{folder.name}.earlier")
    try:
        if earlier.exists() and not folder.exists():
            # a kill came between the two renames
            earlier.rename(folder)
        filled = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        known = (folder / mark).is_file()
        if filled and not (force and known):
            msg = f"{folder}: exists and is not empty; choose another folder"
            raise error(msg + (" or --force" if known else ""))
        try:
            for left in (aside, earlier):
                if left.exists():
                    shutil.rmtree(left)
            aside.mkdir(parents=True)
            yield aside
            for file in aside.iterdir():
                with file.open("rb") as raw:
                    os.fsync(raw.fileno())
            if folder.exists():
                folder.rename(earlier)
            aside.rename(folder)
        finally:
            # what cannot be cleared now is cleared by the next writer
            shutil.rmtree(aside, ignore_errors=True)
            if folder.exists():
                shutil.rmtree(earlier, ignore_errors=True)
    except OSError as refused:
        msg = f"{folder}: cannot be written: {refused.strerror or refused}"
        raise error(msg) from refused


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder among the system's temporary ones for the time of the block.

    Those that a killed process left there are removed first.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*/{LOCK}"):
        clear_abandoned(left, left.parent)
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as name:
        folder = Path(name)
        with held(folder / f"{LOCK}ing") as lock:
            # by the name that others look for it is there only when it is locked
            Path(lock.name).rename(folder / LOCK)
            yield folder


def held(file: Path) -> TextIO:
    """A new file that is open for writing and locked by this process until it is closed."""
    while True:
        opened = file.open("w", encoding="utf-8", newline="")
        # where the file system has no locks, nothing there is ever taken for abandoned
        with suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        if os.fstat(opened.fileno()).st_nlink:
            return opened
        # between its making and its locking it was taken for abandoned
        opened.close()


def clear_abandoned(lock: Path, left: Path) -> None:
    """Remove a file or folder whose lock file is there, this user's, and held by no process."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    except OSError:
        # it is in use, or cannot be locked or removed: it stays
        return
    finally:
        os.close(descriptor)
