"""What the page of errors is made of: an error, its cause and cure, and what provokes it."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from genograph.errors import GenographError

ROOT = Path(__file__).parents[2]


class Case(NamedTuple):
    """One error.

    Attributes:
        kind: its class.
        message: a pattern that its message has; what varies is `.*`.
        cause, cure: what the page says.
        provoke: does it, in an empty folder; or, where that takes a server or another machine, the
            test that does, as file::name, and
        site: the function in genograph that raises it, as module:function.
    """

    kind: str
    message: str
    cause: str
    cure: str
    provoke: Callable[[Path], object] | str
    site: str = ""


def written(folder: Path, content: bytes | str, name: str = "table.txt") -> Path:
    """A file with some content in a folder."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


class Provoked(NamedTuple):
    """What came of a case: the error's class and message, and the lines that raised it."""

    kind: str
    message: str
    places: frozenset[tuple[str, int]]


@functools.cache
def provoked(case: Case) -> Provoked:
    """The error of a case, provoked once a process; its folder is called FOLDER."""
    assert callable(case.provoke)
    with tempfile.TemporaryDirectory(prefix="genograph-") as folder:
        try:
            case.provoke(Path(folder))
        except GenographError as error:
            message = str(error).replace(folder, "FOLDER")
            return Provoked(type(error).__name__, message, frozenset(raised_at(error)))
    return Provoked("none", "no error", frozenset())


def raised_at(error: BaseException) -> set[tuple[str, int]]:
    """The lines below the root at which an error, and those that it came from, were raised."""
    found: set[tuple[str, int]] = set()
    each: BaseException | None = error
    while each is not None:
        trace = each.__traceback__
        last = None
        while trace is not None:
            file = Path(trace.tb_frame.f_code.co_filename)
            if file.is_relative_to(ROOT / "genograph") or file.is_relative_to(ROOT / "loaders"):
                last = (str(file.relative_to(ROOT)), trace.tb_lineno)
            trace = trace.tb_next
        if last:
            found.add(last)
        each = each.__cause__ or each.__context__
    return found
