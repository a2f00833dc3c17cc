"""The library: documented .cypher files for the queries that people ask for, run by their name.

The files are docs/cohorts/ of the source tree and travel in the wheel. A file begins with a title,
tells its parameters and columns in comments, and gives parameters their defaults.
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

_DEFAULT = re.compile(r"// :param (\w+) => (.*)")


class Entry(NamedTuple):
    """A query of the library.

    Attributes:
        name: the file's name without its ending, which runs it.
        title: what it gives, in a few words.
        defaults: parameters that may be left out, and their values.
        required: parameters that may not.
        path: the file.
    """

    name: str
    title: str
    defaults: Mapping[str, Value]
    required: tuple[str, ...]
    path: Path


@cache
def library() -> tuple[Entry, ...]:
    """Every query of the library, sorted by name."""
    folder = Path(str(files("genograph._library")))
    return tuple(_entry(path) for path in sorted(folder.glob("*.cypher")))


def query_file(words: str) -> Path | None:
    """The file that a command's argument means; None where it is Cypher itself.

    A single word is the name of a query of the library, what ends in .cypher is a file.

    Raises:
        CohortError: a single word that the library does not have; the names are in the message.
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


def _entry(path: Path) -> Entry:
    text = path.read_text("utf-8")
    defaults: dict[str, Value] = {}
    for name, value in _DEFAULT.findall(text):
        defaults[name] = json.loads(value)
    title = re.split(r"[:.\n]", text.removeprefix("//"), maxsplit=1)[0].strip()
    required = tuple(sorted(fence(text).parameters - set(defaults)))
    return Entry(path.stem, title, defaults, required, path)
