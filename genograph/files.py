"""Files: the one way to write anything, so that a reader sees all of it or none of it.

Each writer fills a draft of its own beside the place, syncs it, and renames it into the place:

    .NAME.0123abcd.part/.lock    held by the writer's process; the system opens it when that ends
    .NAME.0123abcd.part/NAME     the file or folder that is being written

So two writers never share a draft, and the next writer of the same place clears the drafts whose
writers were killed. A record is a small JSON file with the fields of a pydantic model.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from genograph.errors import GenographError

if TYPE_CHECKING:
    from pydantic import BaseModel, ConfigDict, ValidationError

SCRATCH = "genograph-"
LOCK = ".lock"
DRAFT = ".part"
PATIENCE = 2.0
"""Seconds for which a reader waits for a folder that is being replaced."""
LONGEST = 60
"""Characters of a place's name that stand in the name of its draft: names end at 255 bytes."""

RECORD: "ConfigDict" = {"frozen": True, "extra": "forbid"}
"""The `model_config` of a model of a record."""

Record = TypeVar("Record")
_Read = TypeVar("_Read")

# file systems that cannot sync a folder, or folders that may be written but not listed
_UNSYNCED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM)


class Draft:
    """A file or folder under a name of its own, until it is put into its place.

    Attributes:
        place: where it goes.
        path: where it is written; nothing is there at first.
    """

    def __init__(self, place: Path) -> None:
        """Clear the abandoned drafts of the place, and lock a new one.

        Raises:
            OSError: the disk refuses.
        """
        self.place = place
        before = f".{place.name[:LONGEST]}."
        for folder in _listed(place.parent, before, DRAFT):
            clear_abandoned(folder)
        self._folder, self._lock = _locked_folder(place.parent, before, DRAFT)
        self.path = self._folder / place.name

    def put(self) -> None:
        """Sync a file and rename it into its place.

        Raises:
            OSError: the disk refuses; the place is as it was.
        """
        # some libraries make files that nobody else may read; a lock is made like any other file
        self.path.chmod(os.fstat(self._lock.fileno()).st_mode & 0o777)
        _sync(self.path)
        self.path.replace(self.place)
        _sync_folder(self.place.parent)

    def drop(self) -> None:
        """Remove what was not put into its place."""
        # what cannot be removed now is removed by the next writer
        _remove(self._folder)
        self._lock.close()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def is_draft(path: Path) -> bool:
    """Whether this is a draft, of a writer at work or of a killed one."""
    return re.fullmatch(r"\..*\.[0-9a-f]{8}" + re.escape(DRAFT), path.name) is not None


def clear_drafts(folder: Path) -> None:
    """Remove the drafts in a folder whose writers were killed, whatever their places."""
    for path in _listed(folder, ".", DRAFT):
        if is_draft(path):
            clear_abandoned(path)


@contextmanager
def write_file(path: Path, *, error: type[GenographError] | None = None) -> Iterator[Path]:
    """Give a path to write to; the file takes its place when the block ends without error.

    Raises:
        GenographError: of the class `error`: the disk refuses. Without a class, an OSError.
    """
    try:
        draft = Draft(path)
        try:
            yield draft.path
            draft.put()
        finally:
            draft.drop()
    except OSError as refused:
        if error is None:
            raise
        raise _cannot_write(path, refused, error) from refused


@contextmanager
def write_folder(
    folder: Path, *, force: bool, mark: str, error: type[GenographError]
) -> Iterator[Path]:
    """Give a new folder to fill; it takes its place when the block ends without error.

    A folder that is there is replaced only with `force`, and if it holds the file `mark`. It is
    renamed away first: for the time between two renames the place is empty. A kill just then is
    mended by the next writer.

    Raises:
        GenographError: of the class `error`: it may not be replaced, or the disk refuses.
    """
    # a link stays, and what it leads to is replaced
    place = Path(os.path.realpath(folder))
    earlier = _earlier(place)

    def check() -> None:
        filled = place.exists() and (not place.is_dir() or any(place.iterdir()))
        known = (place / mark).is_file()
        if filled and not (force and known):
            msg = f"{folder}: exists and is not empty; choose another folder"
            raise error(msg + (" or pass force (--force)" if known else ""))

    try:
        if earlier.exists():
            with _swapping(place):
                _mend(place, earlier)
        try:
            check()
        except (GenographError, FileNotFoundError):
            # another writer may be renaming its folder into the place just now
            with _swapping(place):
                check()
        if not place.parent.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
        draft = Draft(place)
        try:
            draft.path.mkdir()
            yield draft.path
            for inner, _, names in os.walk(draft.path):
                for name in names:
                    _sync(Path(inner, name))
                _sync_folder(Path(inner))
            with _swapping(place):
                # another writer may have come first, and been killed
                _mend(place, earlier)
                check()
                if place.exists():
                    place.rename(earlier)
                draft.path.rename(place)
                _sync_folder(place.parent)
                shutil.rmtree(earlier, ignore_errors=True)
        finally:
            draft.drop()
    except OSError as refused:
        raise _cannot_write(folder, refused, error) from refused


def read_folder(folder: Path, read: Callable[[], _Read]) -> _Read:
    """Read the files of a folder, and read them again where a writer replaced the folder meanwhile.

    Returns what `read` returns.

    Raises:
        GenographError: of `read`, and the folder is the one that it began with.
    """
    place = Path(os.path.realpath(folder))
    since = time.monotonic()
    while True:
        before = _identify(place)
        try:
            return read()
        except GenographError:
            now = _identify(place)
            replaced = now != before or (now is None and _earlier(place).exists())
            if not replaced or time.monotonic() - since > PATIENCE:
                raise
            time.sleep(0.01)


def _identify(place: Path) -> tuple[int, int] | None:
    """The device and inode of what is there; None where nothing is."""
    try:
        found = place.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _earlier(place: Path) -> Path:
    """Where the folder of a place is while another is renamed into it."""
    return place.with_name(f".{place.name}.earlier")


def _mend(place: Path, earlier: Path) -> None:
    """Put back or remove the folder that a killed writer had renamed away."""
    if not place.exists() and earlier.exists():
        earlier.rename(place)
    shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def _swapping(place: Path) -> Iterator[None]:
    """Let one process at a time rename folders into a place."""
    file = place.with_name(f".{place.name}{LOCK}")
    with _locked(file):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


@contextmanager
def claim(folder: Path, *, error: type[GenographError]) -> Iterator[None]:
    """Lock a folder for this process until the block ends, and make it where it is missing.

    A folder that the block leaves empty is removed.

    Raises:
        GenographError: of the class `error`: another process has it.
        OSError: the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / LOCK, wait=False):
            try:
                yield
            finally:
                (folder / LOCK).unlink(missing_ok=True)
                with suppress(OSError):
                    folder.rmdir()
    except BlockingIOError as taken:
        msg = f"{folder}: in use by another process; wait for it, or choose another folder"
        raise error(msg) from taken


def _cannot_write(path: Path, refused: OSError, error: type[GenographError]) -> GenographError:
    return error(f"{path}: cannot be written: {refused.strerror or refused}")


def write_record(
    path: Path,
    record: "BaseModel | Mapping[str, object]",
    *,
    error: type[GenographError] | None = None,
) -> None:
    """Write a record as JSON with sorted keys, without the fields that were not given.

    Raises:
        GenographError: of the class `error`: the disk refuses. Without a class, an OSError.
    """
    plain = (
        record
        if isinstance(record, Mapping)
        else record.model_dump(mode="json", exclude_unset=True)
    )
    text = json.dumps(plain, indent=1, sort_keys=True, allow_nan=False)
    with write_file(path, error=error) as draft:
        draft.write_text(text + "\n", "utf-8")


def read_record(
    path: Path,
    model: type[Record],
    *,
    error: type[GenographError],
    kind: str,
    advice: str,
    missing: str = "",
    versions: Mapping[str, int] | None = None,
    newer: str = "",
) -> Record:
    """Read what `write_record` wrote.

    Args:
        path: the JSON file.
        model: a pydantic model, or a NamedTuple; its fields are the keys, and no others.
        error: class of what is raised.
        kind: what the file is of, for messages: "cohort".
        advice: what to do about a damaged one.
        missing: the whole message where there is no such file; by default the path and advice.
        versions: fields and their values that this genograph reads, compared before the others.
        newer: what to do about another version; by default the advice.

    Raises:
        GenographError: of the class `error`, one line: no such file, no UTF-8, no JSON, nested too
            deep, a number of too many digits, another version, or a field that is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError) as absent:
        raise error(missing or f"{path}: no such file; {advice}") from absent
    except OSError as refused:
        msg = f"{path}: cannot be read: {refused.strerror or refused}"
        raise error(msg) from refused
    except UnicodeDecodeError as wrong:
        msg = f"{path}: damaged {kind} (is not UTF-8 at byte {wrong.start}); {advice}"
        raise error(msg) from wrong
    try:
        if versions is not None:
            found = _versions(text, versions)
            if found != tuple(versions.values()):
                names = " and ".join(name.removesuffix("_version") for name in versions)
                got, wanted = _shown(found), _shown(tuple(versions.values()))
                msg = f"{path}: {kind} {names} {got}, this genograph reads {wanted}; "
                raise error(msg + (newer or advice))
        return parse_record(text, model)
    except ValueError as wrong:
        msg = f"{path}: damaged {kind} ({wrong}); {advice}"
        raise error(msg) from wrong


def parse_record(text: str, model: type[Record]) -> Record:
    """A record from its JSON text.

    Raises:
        ValueError: it is none of this model; the message is one line with the field.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        record: Record = TypeAdapter(model).validate_json(text, strict=True)
    except ValidationError as wrong:
        raise ValueError(explain(wrong)) from wrong
    return record


def explain(wrong: "ValidationError") -> str:
    """The first thing that is wrong with a record in a few words: field, got, wanted."""
    first = wrong.errors(include_url=False, include_context=False)[0]
    kind, field = first["type"], ".".join(map(str, first["loc"]))
    if kind == "json_invalid":
        return f"is no JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
    if not field:
        return "holds no record"
    if kind in ("missing", "missing_argument"):
        return f"{field} is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{field:.80} is no field of it"
    said = first["msg"].removeprefix("Value error, ")
    wanted = said.removeprefix("Input should be ")
    return f"{field}: got {first['input']!s:.80}, wanted {wanted}"


def _versions(text: str, versions: Mapping[str, int]) -> tuple[object, ...]:
    """The values of these fields, None for those that are not there; ValueError for no JSON."""
    from pydantic_core import from_json

    try:
        raw = from_json(text)
    except ValueError as wrong:
        msg = f"is no JSON: {wrong}"
        raise ValueError(msg) from wrong
    if not isinstance(raw, dict):
        msg = "holds no record"
        raise ValueError(msg)
    return tuple(raw.get(name) for name in versions)


def _shown(values: tuple[object, ...]) -> str:
    return f"{values[0] if len(values) == 1 else values!s:.80}"


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder among the system's temporary ones for the time of the block.

    Those that a killed process left there are removed first.
    """
    temporary = Path(tempfile.gettempdir())
    for left in _listed(temporary, SCRATCH, ""):
        # without a lock it may be another program's
        if (left / LOCK).exists():
            clear_abandoned(left)
    folder, lock = _locked_folder(temporary, SCRATCH, "")
    try:
        yield folder
    finally:
        _remove(folder)
        lock.close()


def clear_abandoned(folder: Path) -> None:
    """Remove a draft or a scratch folder that is this user's and locked by no process."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # a writer that was killed before it made its lock left an empty folder
        with suppress(OSError):
            folder.rmdir()
        return
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(folder)
    except OSError:
        # it is in use, or cannot be locked: it stays
        return
    finally:
        os.close(descriptor)


def _locked_folder(parent: Path, before: str, after: str) -> tuple[Path, TextIO]:
    """A new folder under a random name, and its open lock."""
    while True:
        folder = parent / f"{before}{secrets.token_hex(4)}{after}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        # between the making of the two it may be taken for abandoned
        with suppress(FileNotFoundError):
            lock = (folder / LOCK).open("x", encoding="utf-8")
            _flock(lock)
            if os.fstat(lock.fileno()).st_nlink:
                return folder, lock
            lock.close()


@contextmanager
def _locked(file: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file, made if missing; BlockingIOError without waiting."""
    while True:
        with file.open("w", encoding="utf-8") as lock:
            _flock(lock, wait=wait)
            # another process may have removed it when it was done
            if os.fstat(lock.fileno()).st_nlink:
                yield
                return


def _flock(lock: TextIO, *, wait: bool = True) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        # where the file system has no locks, nothing there is ever taken for abandoned
        return


def _listed(parent: Path, before: str, after: str) -> list[Path]:
    """Folders whose name has this beginning and this end."""
    try:
        with os.scandir(parent) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if entry.name.startswith(before)
                and entry.name.endswith(after)
                and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last, so that the next writer can finish after a kill."""
    with suppress(OSError):
        for inner in list(folder.iterdir()):
            if inner.is_dir() and not inner.is_symlink():
                shutil.rmtree(inner)
            elif inner.name != LOCK:
                inner.unlink()
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    try:
        _sync(folder)
    except OSError as refused:
        if refused.errno not in _UNSYNCED:
            raise
