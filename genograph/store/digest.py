"""The hash of a database file, which its last writer leaves beside it, to find flipped bits.

`yeast.db.sha256` is a line as `sha256sum --check` reads it. A writer takes it away before the
engine opens the file and leaves a new one when it has closed it: a file whose writer was killed has
none.
"""

from contextlib import suppress
from pathlib import Path

from genograph.errors import StoreError
from genograph.files import hash_file, write_file

ENDING = ".sha256"
LARGEST_HASHED = 8 << 30
"""Bytes of the largest file that is hashed: reading more would keep a writer waiting."""


def remove_digest(path: Path) -> None:
    """Take the hash of a database file away, if there is one."""
    Path(f"{path}{ENDING}").unlink(missing_ok=True)


def leave_digest(path: Path) -> None:
    """Write the hash of a database file that nobody has open; none where the disk is full."""
    if path.stat().st_size > LARGEST_HASHED:
        return
    with suppress(OSError), write_file(Path(f"{path}{ENDING}")) as draft:
        draft.write_text(f"{hash_file(path)}  {path.name}\n", "utf-8", "surrogateescape")


def compare_digest(path: Path) -> str:
    """Say what is wrong with the bytes of a database file; nothing where they are as they were.

    Raises:
        StoreError: the last writer left no hash.
    """
    try:
        left = Path(f"{path}{ENDING}").read_text("ascii", "replace").partition(" ")[0]
    except OSError as error:
        msg = (
            f"{path}: its last writer left no hash in {path.name}{ENDING}, so its bytes cannot be "
            f"checked; the next command that writes leaves one"
        )
        raise StoreError(msg) from error
    found = hash_file(path)
    if left == found:
        return ""
    return (
        f"its bytes have the hash {found[:16]}…, the last writer left {left[:16]}…: the file was "
        f"changed or damaged since"
    )
