"""Rows in the order of their keys, from both stores: ranges of ids and ids one by one agree."""

import random

import pyarrow as pa
import pytest

from genograph.schema import graph_schema
from genograph.store import Store, open_store, stream
from genograph.tables import Table

# ids whose order differs by bytes, by UTF-16 units, by case and by language
ODD = [
    "Z",
    "a",
    "ab",
    "a b",
    "a'b",
    "B",
    "\u00e9",
    "e\u0301",
    "\u0153",
    "\uff5e",
    "\U0001d11e",
    "~",
]
LETTERS = [chr(65 + i) for i in range(20)]


@pytest.fixture
def filled(db):
    ids = [a + b for a in ODD for b in LETTERS]
    random.Random(0).shuffle(ids)
    with open_store(db) as store:
        store.write(Table.of("Gene", {"id": ["YAL001C"]}))
        store.write(Table.of("Strain", {"id": ids, "n_perturbed": [1] * len(ids)}))
        some = {"from_id": ids[::2], "to_id": ["YAL001C"] * len(ids[::2])}
        fixed = {"kind": "deletion", "allele": "", "dose": 0.0}
        words = {name: [value] * len(ids[::2]) for name, value in fixed.items()}
        store.write(Table.of("PERTURBS", some | words))
        yield store, ids


def cut(ids, n):
    return (pa.array(ids[i : i + n]) for i in range(0, len(ids), n))


def test_both_ways_of_reading_by_id_give_each_row_once_in_any_order_of_ids(filled, monkeypatch):
    store, ids = filled
    ids = sorted(ids, key=str.encode)
    rest = "RETURN n.id AS id, n.n_perturbed AS n"
    for wide, many in ((0, 10**6), (10**6, 10**6), (0, 1)):
        monkeypatch.setattr(stream, "WIDE", wide)
        monkeypatch.setattr(stream, "MANY", many)
        for wanted in (ids, ids[1::3], ids[::13]):
            parts = list(
                stream.read_nodes(
                    store, "Strain", rest, cut(wanted, 7), wanted=len(wanted), held=len(ids)
                )
            )
            assert [p.ids.to_pylist() for p in parts] == [
                wanted[i : i + 7] for i in range(0, len(wanted), 7)
            ]
            for part in parts:
                assert sorted(part.rows["id"].to_pylist()) == sorted(part.ids.to_pylist())


def test_few_that_stand_together_among_many_are_read_as_a_range(filled, monkeypatch):
    store, ids = filled
    ids = sorted(ids, key=str.encode)
    monkeypatch.setattr(stream, "MANY", 1)
    monkeypatch.setattr(stream, "WIDE", 0)
    asked = []
    query = type(store).query

    def noted(store, cypher, **words):
        asked.append("count" if "count(" in cypher else "look up" if "rows" in words else "range")
        return query(store, cypher, **words)

    monkeypatch.setattr(type(store), "query", noted)
    for wanted, how in ((ids[20:60:3], "range"), (ids[20:60:5], "look up")):
        found = stream.read_nodes(
            store, "Strain", "RETURN n.id", [pa.array(wanted)], wanted=9, held=999
        )
        (part,) = found
        assert sorted(part.rows[0].to_pylist()) == sorted(wanted)
        assert asked[-2:] == ["count", how]


class ByUnits(Store):
    """A store that answers ranges of ids as a server may: by units of UTF-16."""

    def __init__(self, ids):
        self._ids = ids

    def query(self, _cypher, *, rows=None, first="", last="", timeout=None):
        if rows is not None:
            return rows.rename_columns(["id"])
        inside = [i for i in self._ids if by_units(first) <= by_units(i) <= by_units(last)]
        return pa.table({"id": pa.array(inside, pa.string())})


# all that it does is to answer
ByUnits.__abstractmethods__ = frozenset()


def by_units(text):
    return text.encode("utf-16-be")


def test_ids_that_a_server_sees_within_a_range_of_others_are_not_given_with_them():
    ids = sorted((a + b for a in ODD for b in LETTERS), key=str.encode)
    store = ByUnits(ids)
    assert "\U0001d11eA" in store.query("", first="\u0153A", last="\uff5eA")["id"].to_pylist()
    parts = stream.read_nodes(store, "Strain", "", cut(ids, 11), wanted=len(ids), held=len(ids))
    for part in parts:
        assert sorted(part.rows["id"].to_pylist()) == sorted(part.ids.to_pylist())


@pytest.mark.parametrize("type", ["Strain", "PERTURBS"])
def test_every_row_is_streamed_once_sorted_by_its_key_however_it_is_cut(filled, monkeypatch, type):
    store, ids = filled
    key = graph_schema().type(type).key[0]
    wanted = sorted(ids if type == "Strain" else ids[::2], key=str.encode)
    for at_once, wide in ((1_000, 64), (11, 64), (11, 0)):
        monkeypatch.setattr(stream, "NODES_AT_ONCE", at_once)
        monkeypatch.setattr(stream, "WIDE", wide)
        tables = list(stream.stream(store, type, stream.Keys(store)))
        assert pa.concat_tables(tables)[key].to_pylist() == wanted
