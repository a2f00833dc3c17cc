"""Find genes, terms, complexes, studies and environments by their names.

Hides which properties of each hold names, and how a name that nothing has is compared with those
that there are. Case does not matter.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from genograph.errors import SchemaError, guess
from genograph.store import Store

__all__ = ["find", "find_close", "find_ids", "list_ids"]


class _Kind(NamedTuple):
    """One kind of thing: its label, the property with its name, and whether it has aliases."""

    label: str
    name: str
    aliases: str = ""


_KINDS: Mapping[str, _Kind] = {
    "gene": _Kind("Gene", "symbol", "aliases"),
    "term": _Kind("Term", "name", "alt_ids"),
    "complex": _Kind("Complex", "name"),
    "study": _Kind("Study", "citation"),
    "environment": _Kind("Environment", "name"),
}
LONGEST = 50
"""Rows that `find` gives by default."""


def _read(store: Store, kind: str) -> list[tuple[str, str, list[str]]]:
    """The id, the name and the aliases of everything of a kind, sorted by id."""
    spec = _KINDS[kind]
    returned = f"n.id AS id, n.{spec.name} AS name"
    if spec.aliases:
        returned += f", n.{spec.aliases} AS aliases"
    found = store.query(f"MATCH (n:{spec.label}) RETURN {returned}").to_pylist()
    return sorted((row["id"], row["name"] or "", row.get("aliases") or []) for row in found)


def list_ids(store: Store, kind: str) -> list[str]:
    """The ids of everything of a kind, sorted."""
    return [id for id, _, _ in _read(store, kind)]


def find_ids(store: Store, kind: str, names: Iterable[str]) -> dict[str, list[str]]:
    """The ids that each name stands for: that id itself, else all of that name, else that alias."""
    rows = _read(store, kind)
    by_rank: list[dict[str, list[str]]] = [{}, {}, {}]
    for id, name, aliases in rows:
        for rank, words in enumerate(((id,), (name,), aliases)):
            for word in words:
                if word:
                    by_rank[rank].setdefault(word.upper(), []).append(id)
    out = {}
    for name in names:
        word = name.strip().upper()
        out[name] = next((found[word] for found in by_rank if word in found), [])
    return out


def find_close(store: Store, kind: str, name: str, *, most: int = 3) -> list[str]:
    """What a name that nothing has may mean: names that hold it, else the one spelled most like it.

    A gene is given by its symbol, another thing by its name and id.
    """
    rows = _read(store, kind)
    word = name.strip().upper()
    shown = {
        (name if kind == "gene" else f"{name} ({id})" if name and name != id else id): (id, name)
        for id, name, _ in rows
    }
    if kind != "gene" and len(word) > 2:
        holding = [text for text in shown if word in text.upper()]
        if holding:
            return sorted(holding, key=len)[:most]
    known = {part: text for text, parts in reversed(shown.items()) for part in parts if part}
    close = guess(name, known)
    return [known[close] if kind != "gene" else close] if close else []


def find(store: Store, text: str, *, kind: Sequence[str] = (), limit: int = LONGEST) -> pa.Table:
    """Find the genes, terms, complexes, studies and environments whose id or names hold a text.

    Args:
        store: an open database.
        text: any part of an id, a name or an alias; case does not matter.
        kind: gene, term, complex, study, environment; empty: all of them.
        limit: most rows of each kind.

    Returns:
        Columns kind, id, name and match (the id, name or alias that holds the text); what is equal
        to the text comes first, then what begins with it.

    Raises:
        SchemaError: an unknown kind.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     rows = genograph.find(store, "yal001c", kind=["gene"])
        >>> rows["id"].to_pylist()
        ['YAL001C']
    """
    for each in kind:
        if each not in _KINDS:
            msg = f"kind {each}: there is none; choose from {', '.join(_KINDS)}"
            raise SchemaError(msg)
    word = text.strip().upper()
    out: list[tuple[str, str, str, str]] = []
    for each in kind or _KINDS:
        rows = []
        for id, name, aliases in _read(store, each):
            ranked = [
                (w.upper() != word, not w.upper().startswith(word), at, w)
                for at, w in enumerate((id, name, *aliases))
                if word in w.upper()
            ]
            if ranked:
                unequal, later, _, match = min(ranked)
                rows.append((unequal, later, id, name, match))
        out.extend((each, *row[2:]) for row in sorted(rows)[:limit])
    names = ("kind", "id", "name", "match")
    columns = list(zip(*out, strict=True)) or [()] * len(names)
    return pa.table({n: pa.array(c, pa.string()) for n, c in zip(names, columns, strict=True)})
