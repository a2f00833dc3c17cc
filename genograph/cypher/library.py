"""The library of documented .cypher files, each a query that runs by its name.

The files stand in docs/cohorts/ of the source tree and in the wheel. A file begins with a title,
describes its parameters and columns in comments, and may give parameters a default.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from genograph.cypher.fence import fence
from genograph.errors import CohortError
from genograph.tables import Value

_PARAMETER = re.compile(r"\s*//\s*:param\s+(\w+)\s*=>\s*(.*?)\s*")
_DECLARED = re.compile(r"\s*//\s*:param\b")


class LibraryQuery(NamedTuple):
    """A query of the library.

    Attributes:
        name: the file's name without its ending, which runs it.
        title: what the query returns, in a few words.
        defaults: parameters that may be left out, and their values.
        required: parameters that must be given.
        path: the file.
    """

    name: str
    title: str
    defaults: Mapping[str, Value]
    required: tuple[str, ...]
    path: Path


@cache
def library() -> tuple[LibraryQuery, ...]:
    """Every query of the library, sorted by name."""
    folder = Path(str(files("genograph._library")))
    return tuple(_read_entry(path) for path in sorted(folder.glob("*.cypher")))


def query_file(words: str) -> Path | None:
    """Return the file that a command's argument names; None where the argument is Cypher.

    A single word names a query of the library; an argument that ends in .cypher names a file.

    Raises:
        CohortError: the library has no query of that name; the message lists the names.
    """
    if words.endswith(".cypher"):
        return Path(words)
    if re.fullmatch(r"[\w-]+", words) is None:
        return None
    named = {entry.name: entry.path for entry in library()}
    if words not in named:
        msg = (
            f"{words}: the library has no such query; it has {', '.join(named)}; "
            f"a file of your own ends in .cypher"
        )
        raise CohortError(msg)
    return named[words]


def read_parameters(text: str, path: Path) -> dict[str, Value]:
    """The parameters that lines `// :param NAME => JSON` of a .cypher file give.

    Raises:
        CohortError: such a line has no name or no JSON; the message has its place.
    """
    values: dict[str, Value] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if _DECLARED.match(line) is None:
            continue
        found = _PARAMETER.fullmatch(line)
        try:
            if found is None:
                raise ValueError
            values[found[1]] = json.loads(found[2])
        except (ValueError, RecursionError):
            got = line.strip()[:80]
            msg = f"{path}, line {number}: got {got}, wanted // :param NAME => JSON"
            raise CohortError(msg) from None
    return values


def without_parameters(text: str) -> str:
    """The text of a .cypher file without the lines that give parameters."""
    return "\n".join(line for line in text.splitlines() if not _DECLARED.match(line)).strip()


def _read_entry(path: Path) -> LibraryQuery:
    text = path.read_text("utf-8")
    defaults = read_parameters(text, path)
    title = re.split(r"[:.\n]", text.removeprefix("//"), maxsplit=1)[0].strip()
    required = tuple(sorted(fence(text).parameters - set(defaults)))
    return LibraryQuery(path.stem, title, defaults, required, path)
