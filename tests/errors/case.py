"""What the page of errors is made of: an error, its cause and cure, and what provokes it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from genograph.errors import GenographError


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


def provoked(case: Case) -> GenographError | None:
    """The error of a case."""
    assert callable(case.provoke)
    with tempfile.TemporaryDirectory(prefix="genograph-") as folder:
        try:
            case.provoke(Path(folder))
        except GenographError as error:
            # the folder varies
            error.args = (str(error).replace(folder, "FOLDER"),)
            return error
    return None
