"""Annotations whose evidence a file does not give: pairs of gene and term, each counted once."""

from collections.abc import Iterator
from pathlib import Path

from genograph.loaders import Reading, TermIds
from genograph.tables import Table

_CHUNK = 50_000


class Annotations:
    """Collects pairs of one file in chunks and rejects those that cannot be used."""

    def __init__(self, path: Path, reading: Reading, *, qualifier: str) -> None:
        """Begin empty; `qualifier` is that of every annotation."""
        self._path, self._reading, self._qualifier = path, reading, qualifier
        self._terms = TermIds.loaded(reading)
        self._seen: set[tuple[str, str]] = set()
        self._out: list[tuple[str, str]] = []

    def add(self, line: int, gene: str | None, named: str, go: str) -> str | None:
        """Keep a pair and return its term; None where it is rejected."""
        if gene is None:
            self._reading.reject("unknown gene", line, named)
            return None
        term, reason = self._terms.find(go, self._reading, line)
        if reason:
            self._reading.reject(reason, line, go)
        elif (gene, term) in self._seen:
            self._reading.reject("duplicate annotation", line, f"{gene} {term}")
        else:
            self._seen.add((gene, term))
            self._out.append((gene, term))
            return term
        return None

    def tables(self, *, last: bool = False) -> Iterator[Table]:
        """Yield what is kept once it fills a chunk, or at the end of the file."""
        if not self._out or (len(self._out) < _CHUNK and not last):
            return
        genes, terms = zip(*self._out, strict=True)
        columns = {
            "from_id": genes,
            "to_id": terms,
            "evidence": ["unknown"] * len(genes),
            "qualifier": [self._qualifier] * len(genes),
            "negated": [False] * len(genes),
        }
        self._out = []
        yield Table.of("ANNOTATED_WITH", columns, source=str(self._path))
