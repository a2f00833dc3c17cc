"""The errors that genograph raises; any other that escapes is a bug.

GenographError
├── SchemaError   data or a query that does not fit schema/graph.toml
├── SourceError   a source file: missing, truncated, malformed, out of range
├── StoreError    the database: unreachable, in use, refused, other schema version
├── CohortError   a selection of experiments: not read-only, empty, mixed units
└── RunError      a training run, checkpoint or configuration

A message is one line: what, where (file, row, column), got, wanted, what to do.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path


def format_count(n: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one: 1 strain, 2,000 strains.

    Args:
        n: how many.
        noun: in the singular; its plural ends in s.
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def guess(name: str, known: Iterable[str]) -> str:
    """The known name that is spelled most like another, whatever their case; "" if none is close.

    Args:
        name: as it was given.
        known: names to choose from.
    """
    folded = name.strip().upper().translate(_ALIKE)
    by_fold: dict[str, str] = {}
    for each in known:
        by_fold.setdefault(each.upper().translate(_ALIKE), each)
    close = difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.7)
    return by_fold[close[0]] if close else ""


_ALIKE = str.maketrans("LIO", "110")
"""Letters that are typed for digits."""


class GenographError(Exception):
    """Base of the errors that a user can cause and mend.

    Its message is one line whatever the file says that it quotes: characters that are not printed
    (line breaks, terminal codes, changes of direction) stand as escapes.
    """

    def __init__(self, message: str) -> None:
        """Keep the message as one printable line."""
        if not message.isprintable():
            message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        super().__init__(message)


class SchemaError(GenographError):
    """Data or a query does not fit the graph schema."""


class SourceError(GenographError):
    """A source file cannot be used as it is."""

    @classmethod
    def at(
        cls, path: Path | str, line: int | None, column: str | None, got: object, wanted: str
    ) -> "SourceError":
        """The error for one place of a file.

        Args:
            path: the file.
            line: 1-based; None where there is none.
            column: its name; None where there is none.
            got: what stands there.
            wanted: what should.
        """
        where = str(path)
        if line is not None:
            where += f", line {line}"
        if column is not None:
            where += f", column {column}"
        spelled = f"{got!s:.80}" or "nothing"
        return cls(f"{where}: got {spelled}, wanted {wanted}")


class StoreError(GenographError):
    """The graph database cannot do what was asked."""


class CohortError(GenographError):
    """A cohort cannot be selected, read or written."""


class RunError(GenographError):
    """A run, checkpoint or configuration cannot be used."""
