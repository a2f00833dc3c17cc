"""Aside: a folder that is written beside its place and put there when it is whole.

At every moment the place holds the earlier folder, or the new one, or for the time between two
renames none; never half of one. What a killed writer left is cleared, or put back, by the next.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genograph.errors import GenographError


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
