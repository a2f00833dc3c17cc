"""Pairs by columns: the same rows as measurement by measurement, whatever the blocks."""

import gzip
import math
import random
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genograph.errors import SourceError
from genograph.loaders import rows
from genograph.loaders._columns import Limits, blocks, numbers
from genograph.measurements import (
    MISSING,
    RELATIVE,
    Measurement,
    Pairs,
    PairTables,
    Seen,
    Study,
    read_number,
    tables,
)
from genograph.schema import Perturbation

GENES = [
    Perturbation.of("YAL001C"),
    Perturbation.of("YAL002C", "damp"),
    Perturbation.of("YBL001C", "ts", "tsq1"),
    Perturbation.of("YBL002C"),
]
STUDY = Study("mine2026", "Mine", "10/1", "own")

measured = st.tuples(
    st.permutations(range(4)),
    st.one_of(st.just(math.nan), st.floats(-1, 2)),
    st.one_of(st.just(math.nan), st.floats(0, 1)),
)


def by_type(found):
    """The rows of all tables, type by type, nulls included."""
    out = {}
    for table in found:
        for row in table.rows.to_pylist():
            filled = {k: v for k, v in row.items() if v is not None}
            out.setdefault(table.type, []).append(filled)
    return {name: sorted(map(repr, lines)) for name, lines in out.items()}


def none(value):
    return None if math.isnan(value) else value


def unheard(*words):
    raise AssertionError(words)


class Heard(Counter):
    """Counts what is noted, by reason."""

    def __call__(self, reason, line, detail, count):
        self[reason] += count


@settings(max_examples=60, deadline=None)
@given(st.lists(measured, min_size=1, max_size=30), st.integers(1, 7), st.sampled_from(["", "30C"]))
def test_columns_give_the_rows_that_measurements_give(drawn, size, place):
    notes, noted = Heard(), Heard()
    made = PairTables(STUDY, source="screen.txt", note=notes)
    found = []
    for start in range(0, len(drawn), size):
        part = drawn[start : start + size]
        codes = np.array([[made.code(GENES[g]) for g in order[:2]] for order, _, _ in part])
        values = np.array([v for _, v, _ in part])
        others = np.array([o for _, _, o in part])
        line = np.arange(start + 1, start + 1 + len(part))
        pairs = Pairs(
            codes[:, 0],
            codes[:, 1],
            line,
            values,
            others,
            others,
            values,
            others,
            derived=True,
            environment=place,
        )
        found += made.tables(pairs)
    one_by_one = [
        Measurement(
            "mine2026",
            "fitness",
            RELATIVE,
            (GENES[order[0]], GENES[order[1]]),
            none(v),
            none(o),
            none(o),
            none(v),
            none(o),
            None if math.isnan(v) else True,
            environment=place,
            line=i,
        )
        for i, (order, v, o) in enumerate(drawn, 1)
    ]
    assert by_type(found) == by_type(tables(one_by_one, [STUDY], source="screen.txt", note=noted))
    assert notes == noted
    assert notes.total() == sum(v < 0 for _, v, _ in drawn)
    assert len({table.own for table in found if table.type == "TESTS"}) == 1


def test_a_pair_of_a_perturbation_with_itself_is_refused():
    made = PairTables(STUDY, source="screen.txt", note=unheard)
    code = np.array([made.code(GENES[0])])
    empty = np.array([math.nan])
    with pytest.raises(SourceError, match=r"screen\.txt, line 7"):
        list(made.tables(Pairs(code, code, np.array([7]), *[empty] * 5)))


@given(st.lists(st.lists(st.integers(0, 50)), max_size=12))
def test_what_was_seen_is_not_new(batches):
    seen, known = Seen(), set()
    for batch in batches:
        new = seen.new(np.array(batch, dtype=np.int64)).tolist()
        expected = [i for i, n in enumerate(batch) if n not in known and n not in batch[:i]]
        known |= set(batch)
        assert new == expected


# ---------------------------------------------------------------- blocks

line_of = st.one_of(
    st.sampled_from(
        ["", " ", "\t\t", "a\tb\t1", 'q"\tb\t1', "é\tb\t1", "a\tb", "a\tb\t1\t", "\tb\t1"]
    ),
    st.lists(st.text("ab \"'\\", max_size=3), min_size=3, max_size=3).map("\t".join),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(line_of, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(1, 40),
    st.booleans(),
)
def test_blocks_give_the_rows_that_lines_give(tmp_path_factory, lines, end, last, size, packed):
    file = tmp_path_factory.mktemp("blocks") / "table.txt"
    text = (end.join(lines) + (end if last else "")).encode()
    file.write_bytes(gzip.compress(text) if packed else text)

    def one_by_one():
        return [(line, tuple(fields)) for line, fields in rows(file, columns=(3,))]

    def by_block():
        out = []
        for block in blocks(file, columns=3, size=size):
            fields = zip(*[c.to_pylist() for c in block.columns], strict=True)
            out += zip(block.line.tolist(), fields, strict=True)
        return out

    try:
        expected = one_by_one()
    except SourceError as error:
        with pytest.raises(SourceError, match=re.escape(str(error))):
            by_block()
        return
    assert by_block() == expected


@pytest.mark.parametrize("bad", [b"a\tb\t1\nx\xff\tb\t1\n", b"a\tb\t1\nc\rd\tb\t1\t2\n"])
def test_what_is_no_text_is_refused_with_its_line(tmp_path, bad):
    file = tmp_path / "table.txt"
    file.write_bytes(bad)
    with pytest.raises(SourceError, match="line 2"):
        list(blocks(file, columns=3))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("genograph.loaders._bounds.LONGEST_LINE", 1 << 20)
    file = tmp_path / "table.txt.gz"
    with gzip.open(file, "wb") as out:
        for _ in range(64):
            out.write(b"a" * (1 << 20))
    with pytest.raises(SourceError, match="wanted lines of at most 1 MB"):
        list(blocks(file, columns=3, size=1 << 18))


cell = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from([*MISSING, "NaN", " 1.5 ", "+2", "1e3", ".5", "5.", "inf", "1_0", "x", "0x1F"]),
    st.sampled_from(["-0.25", "1e999", "Infinity", "١", "1,5", "--1", "1e", "NA"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(cell, min_size=1, max_size=8))
def test_numbers_of_a_column_are_those_of_its_cells(tmp_path_factory, cells):
    file = tmp_path_factory.mktemp("numbers") / "table.txt"
    file.write_text("".join(f"a\t{c}\n" for c in cells))
    wanted = Limits(1, "2 (score)", low=-1.0, high=1e6)
    block = next(blocks(file, columns=2))
    try:
        expected = [
            read_number(file, i, "2 (score)", c, low=-1.0, high=1e6) for i, c in enumerate(cells, 1)
        ]
    except SourceError as error:
        with pytest.raises(SourceError, match=re.escape(str(error))):
            numbers(file, block, [wanted])
        return
    (found,) = numbers(file, block, [wanted])
    assert [none(v) for v in found.tolist()] == expected


def test_the_screen_loader_reads_alike_in_blocks_of_any_size(tmp_path):
    from genograph.loaders import GeneNames, Reading
    from genograph.loaders._singles import Single
    from genograph.loaders.sga_costanzo2010 import _Mutants, _pairs

    draw = random.Random(3)
    names = ["YAL001C", "YAL002C_damp", "YBL001C_tsq1", "ybl002c", "YXX999W", "YAL001C_zz"]
    scores, sds = ["0.1", "-0.2", "NA"], ["0.01", ""]
    lines = []
    for _ in range(200):
        fields = [draw.choice(names), "q", draw.choice(names), "a"]
        lines.append("\t".join([*fields, draw.choice(scores), draw.choice(sds), "0.5"]))
    file = tmp_path / "sga.txt"
    file.write_text("\n".join(lines) + "\n")
    genes = pa.table(
        {
            "id": ["YAL001C", "YAL002C", "YBL001C", "YBL002C"],
            "symbol": pa.array([None] * 4, pa.string()),
            "aliases": pa.array([None] * 4, pa.list_(pa.string())),
        }
    )
    singles = {"YAL001C": Single(0.9, 0.1), "YAL002C(damp)": Single(0.8, math.nan)}
    results = []
    for size in (64, 1 << 20):
        told = []
        reading = Reading(GeneNames(genes), lambda *a: None, on_reject=lambda *a: told.append(a))  # noqa: B023
        made = PairTables(STUDY, source=str(file), note=unheard)
        found = []
        for pairs in _pairs(file, reading, _Mutants(reading, singles, made), size=size):
            found += made.tables(pairs)
        results.append((by_type(found), reading.rejected, reading.notes, sorted(told, key=str)))
    assert results[0] == results[1]
    refused = results[0][1]
    assert set(refused) == {
        "unknown gene",
        "unknown allele suffix",
        "no interaction score",
        "query and array are the same strain",
    }
    assert sum(refused.values()) == len(results[0][3])
