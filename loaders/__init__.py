"""Loaders: one module a source format, each a `SOURCE` and a `read` that yields Tables.

Hides how a file's rows become rows of the graph. A loader never touches a database: it gets a
`Reading`, through which it resolves gene names, asks what is loaded, and rejects rows by reason.
"""

import gzip
import importlib
import io
import pkgutil
import re
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pyarrow as pa

from genograph.errors import SourceError, guess
from genograph.loaders._bounds import Bounded
from genograph.loaders._genes import is_systematic
from genograph.measurements import Study
from genograph.tables import Table

Option = str | int | float | bool


@dataclass(frozen=True)
class Source:
    """What a loader reads and what it needs.

    Attributes:
        name: the loader's name, that of its module.
        title: what the file holds, one line.
        format: the official format, with where it is described.
        version: raised whenever the same file gives other rows.
        gives: labels and relationships it writes.
        needs: labels and relationships that must be loaded before.
        options: option names with a line of help; a default of None means required.
        files: options that are names of further files, empty where they are not given.
        columns: of a table with columns by name: what each holds.
        citation: publication of the table or of its layout.
        doi: of that publication.
        licence: terms of the published file, as far as known.
    """

    name: str
    title: str
    format: str
    version: int
    gives: tuple[str, ...]
    needs: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, Option | None]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    citation: str = ""
    doi: str = ""
    licence: str = ""

    def study(self, id: str) -> Study:
        """The study a file is loaded as; under its default name it is the one that is cited."""
        own = id == self.options["study"][1]
        return Study(id, self.citation, self.doi, self.licence) if own else Study(id)

    def settings(self, given: Mapping[str, Option]) -> dict[str, Option]:
        """The options with defaults filled in.

        Raises:
            SourceError: an unknown option, or a required one that is missing.
        """
        for name in given:
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                msg = f"loader {self.name} has no option {name}; its options: {known}"
                raise SourceError(msg)
        out: dict[str, Option] = {}
        for name, (text, default) in self.options.items():
            value = given.get(name, default)
            if value is None:
                msg = f"loader {self.name} needs the option {name} ({text})"
                raise SourceError(msg)
            if default is not None and type(value) is not type(default):
                try:
                    value = _as(type(default), value)
                except ValueError:
                    wanted = type(default).__name__
                    msg = f"loader {self.name}: option {name} is {value!r}, wanted {wanted}"
                    raise SourceError(msg) from None
            out[name] = value
        return out


def _as(kind: type, value: Option) -> Option:
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ValueError
        return str(value).lower() == "true"
    return kind(value)  # type: ignore[no-any-return]


class GeneNames:
    """Resolves systematic names, symbols and aliases to gene ids, as the loaded genes have them.

    A systematic name wins over a symbol, a symbol over an alias; an alias that two genes share
    resolves to neither. Case does not matter.
    """

    def __init__(self, genes: pa.Table) -> None:
        """Index a table with the columns id, symbol, aliases."""
        self.ids: frozenset[str] = frozenset(genes["id"].to_pylist())
        shared: Counter[str] = Counter()
        aliases: dict[str, str] = {}
        for gene, names in zip(genes["id"].to_pylist(), genes["aliases"].to_pylist(), strict=True):
            for name in {n.upper() for n in names or ()}:
                shared[name] += 1
                aliases[name] = gene
        self.ambiguous = frozenset(name for name, n in shared.items() if n > 1)
        self._ids = {name: gene for name, gene in aliases.items() if name not in self.ambiguous}
        pairs = zip(genes["id"].to_pylist(), genes["symbol"].to_pylist(), strict=True)
        self._ids.update({symbol.upper(): gene for gene, symbol in pairs if symbol})
        self._ids.update({gene.upper(): gene for gene in self.ids})
        self._symbols = frozenset(genes["symbol"].to_pylist())

    def resolve(self, name: str) -> str | None:
        """Return the id of the gene of that name, None where no gene has it."""
        return self._ids.get(name.strip().upper())

    def guess(self, name: str) -> str:
        """Return the name of a gene that is spelled most like `name`, "" where none is close."""
        return guess(name, (*sorted(self._symbols - {None}), *sorted(self.ids)))

    def is_official(self, name: str) -> bool:
        """Whether a gene has that systematic name or symbol, in its case."""
        return name in self.ids or name in self._symbols


class FoundTerm(NamedTuple):
    """A term by one of its names, or the reason why an annotation with that name is not used."""

    id: str
    reason: str = ""


class TermIds:
    """Resolves Gene Ontology ids, alternative ones included, as the loaded terms have them.

    An obsolete term that is an alternative id of another has that one for its only successor.
    """

    def __init__(self, terms: pa.Table) -> None:
        """Index a table with the columns id, alt_ids, obsolete."""
        self._ids: dict[str, str] = {}
        self.obsolete: set[str] = set()
        columns = (terms[name].to_pylist() for name in ("id", "alt_ids", "obsolete"))
        for term, others, obsolete in zip(*columns, strict=True):
            for other in others or ():
                self._ids.setdefault(other, term)
            if obsolete:
                self.obsolete.add(term)
        self._successors = {old: new for old, new in self._ids.items() if old in self.obsolete}
        # a term of its own wins over an alternative id of another
        self._ids.update({term: term for term in terms["id"].to_pylist()})

    @classmethod
    def loaded(cls, reading: "Reading") -> "TermIds":
        """The terms of the database that is being loaded."""
        return cls(
            reading.query(
                "MATCH (t:Term) RETURN t.id AS id, t.alt_ids AS alt_ids, t.obsolete AS obsolete"
            )
        )

    def resolve(self, name: str) -> str | None:
        """Return the id of the term of that name, None where no term has it."""
        return self._ids.get(name.strip())

    def find(self, name: str, reading: "Reading", line: int) -> FoundTerm:
        """Find the term to annotate with; an obsolete term's only successor is noted."""
        term = self.resolve(name)
        if term is None:
            return FoundTerm("", "unknown term")
        if term not in self.obsolete:
            return FoundTerm(term)
        successor = self._successors.get(term)
        if successor is None or successor in self.obsolete:
            return FoundTerm("", "obsolete term")
        reading.note("obsolete term, its successor used", line, f"{term} is {successor}")
        return FoundTerm(successor)


@dataclass
class Reading:
    """One pass of a loader over one file: names to resolve, settings, and counts of rows.

    Attributes:
        genes: resolves gene names.
        query: runs a reading query on the database that is being loaded.
        rows_read: rows of the file seen so far, counted by the loader.
        rejected: rows not used, by reason.
        examples: the first few rejected (or noted) rows of each reason, as "line 12: YXX001W".
        notes: rows that are used but that the user should know of, by reason.
        foreign: rows rejected for an unknown gene that is not called as a gene of yeast either.
        foreign_names: the first few of those names.
        on_reject: is called for every rejected row with its line (None where there is none), the
            number of rows, the reason and a detail.
    """

    genes: GeneNames
    query: Callable[..., pa.Table]
    rows_read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    foreign: int = 0
    foreign_names: list[str] = field(default_factory=list)
    on_reject: Callable[[int | None, int, str, str], None] = lambda line, count, reason, detail: (
        None
    )

    def reject(self, reason: str, line: int | None, detail: str, count: int = 1) -> None:
        """Count rows that are not used; `reason` is a short phrase, `line` is 1-based."""
        self.rejected[reason] += count
        self._show(reason, line, detail)
        if reason in _UNKNOWN and not any(map(is_systematic, _WORDS.findall(detail))):
            self.foreign += count
            if len(self.foreign_names) < 3:
                self.foreign_names.append(detail)
        self.on_reject(line, count, reason, detail)

    def note(self, reason: str, line: int | None, detail: str, count: int = 1) -> None:
        """Count rows that are used but are out of the ordinary, such as an ORF without ATG."""
        self.notes[reason] += count
        self._show(reason, line, detail)

    def note_rows(self, reason: str, rows: Iterable[tuple[int, str]]) -> None:
        """Count many rows, each given as line and detail, as `note` does."""
        for line, detail in rows:
            self.note(reason, line, detail)

    def _show(self, reason: str, line: int | None, detail: str) -> None:
        shown = self.examples.setdefault(reason, [])
        if len(shown) < 5:
            shown.append(f"line {line}: {detail}" if line is not None else detail)


# words of a strain id, a pair of genes, or a protein behind its taxon
_UNKNOWN = frozenset({"unknown gene", "unknown target"})
_WORDS = re.compile(r"(?:(?<=^)|(?<=[\s+.|]))[^\s+|_()]+")

Read = Callable[..., Iterator[Table]]


def names() -> list[str]:
    """The loaders there are, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def loader(name: str) -> tuple[Source, Read]:
    """The source description and the reading function of a loader.

    Raises:
        SourceError: no loader has that name; the message lists the names.
    """
    if name not in names():
        msg = f"no loader is called {name}; choose one of {', '.join(names())}"
        raise SourceError(msg)
    module: ModuleType = importlib.import_module(f"{__name__}.{name}")
    return module.SOURCE, module.read


_BUFFER = 1 << 17


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a source file for reading bytes, unpacking gzip by its magic number.

    Raises:
        SourceError: missing, a folder, unreadable, or (while reading) a truncated or damaged gzip,
            a line of over 16 MB, a gzip that unpacks without bounds.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            unpacked = gzip.GzipFile(fileobj=raw, mode="rb") if packed else None
            with io.BufferedReader(Bounded(path, raw, unpacked), _BUFFER) as bounded:
                yield bounded
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise SourceError(msg) from None
    except IsADirectoryError:
        msg = f"{path}: is a folder; wanted a file"
        raise SourceError(msg) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{path}: truncated or damaged gzip ({error}); fetch it again"
        raise SourceError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise SourceError(msg) from error


def rows(
    path: Path, *, columns: Collection[int] = (), separator: str | None = "\t", comment: str = ""
) -> Iterator[tuple[int, list[str]]]:
    """Stream a text table: the 1-based line number and the fields of every row.

    Blank lines and lines that begin with `comment` are no rows. `columns` holds the numbers of
    fields that the format allows (any if empty); a `separator` of None is any run of blanks.

    Raises:
        SourceError: as `opened`; not UTF-8; a row with another number of fields; no row at all.
    """
    found = False
    with opened(path) as raw:
        for line, content in enumerate(raw, 1):
            try:
                text = content.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise SourceError.at(path, line, None, error.object[:20], "UTF-8 text") from None
            if not text.strip() or (comment and text.startswith(comment)):
                continue
            fields = text.split(separator)
            if columns and len(fields) not in columns:
                wanted = " or ".join(map(str, columns))
                raise SourceError.at(path, line, None, f"{len(fields)} columns", f"{wanted}")
            found = True
            yield line, fields
    if not found:
        raise SourceError.at(path, None, None, "no rows", "at least one")
