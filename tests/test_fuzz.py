"""Bad input, in short: every reader refuses in one line or reads; `make fuzz` feeds far more."""

import re
import resource
import sys
from pathlib import Path

import pytest
from fuzz.bombs import BOMBS, wide
from fuzz.catalogue import CASES, PAGE, page, provoked
from fuzz.engine import attempt, fuzz, time_limit
from fuzz.readers import Reader, fixtures, readers

from genograph import errors, loaders
from genograph.errors import GenographError, SourceError

MEMORY = 700 << 20
"""Bytes that refusing a bomb may add to the process."""


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return readers(tmp_path_factory.mktemp("fuzz") / "files")


def test_a_reader_of_broken_files_reads_or_refuses_in_one_line(every):
    results = [fuzz(reader, 12, seed_number=number) for number, reader in enumerate(every)]
    assert {r.name: r.defects for r in results if r.defects} == {}
    # a loop that fed nothing, or readers that refuse everything, would show nothing
    assert all(r.inputs >= 12 for r in results)
    assert sum(sum(r.refused.values()) for r in results) > 200


def test_every_good_file_is_read(every):
    for reader in every:
        reader.read(reader.good[0])


def test_every_loader_is_among_the_readers(every):
    assert set(loaders.names()) <= {reader.name for reader in every}


@pytest.mark.parametrize(
    ("read", "defect"),
    [
        (lambda data: 1 / 0, "ZeroDivisionError"),
        (lambda data: (_ for _ in ()).throw(SourceError("")), "of 0 lines"),
        (lambda data: __import__("warnings").warn("odd", UserWarning, stacklevel=1), "UserWarning"),
    ],
)
def test_the_engine_tells_a_defect(read, defect):
    result = fuzz(Reader("bad", (b"x\ty\n",), read), 2, seed_number=0)
    assert any(defect in key for key in result.defects)


def test_the_engine_tells_a_reader_that_hangs(monkeypatch):
    def hang(data):
        while True:
            pass

    monkeypatch.setattr("fuzz.engine.LIMIT", 0.05)
    result = fuzz(Reader("hangs", (b"x",), hang), 1, seed_number=0)
    assert any("HangError" in key for key in result.defects)


@pytest.mark.parametrize("bomb", [b for b in BOMBS if not b.slow], ids=lambda b: b.name)
def test_a_bomb_is_refused_in_little_memory(bomb, every, tmp_path):
    reader = next(r for r in every if r.name == bomb.loader)
    data = bomb.make()
    assert len(data) < 20 << 20
    scale = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    with pytest.raises(SourceError, match=re.escape(bomb.wanted)), time_limit(60.0):
        reader.read(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale - before < MEMORY


TABLES = ("expression_matrix", "gaf", "scmd", "sga_costanzo2016", "sgd_features")


@pytest.mark.parametrize("name", TABLES)
def test_a_line_of_a_million_columns_is_refused(name, every):
    reader = next(r for r in every if r.name == name)
    with pytest.raises(SourceError), time_limit(60.0):
        reader.read(wide(fixtures(name)[0]))


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kind} {c.message}")
def test_an_error_comes_with_the_message_that_is_documented(case):
    kind, message = provoked(case)
    assert kind == case.kind
    assert re.search(case.message, message), message
    assert "\n" not in message


def test_the_page_of_errors_is_fresh(every):
    assert PAGE.read_text("utf-8") == page(every)


def test_a_message_is_one_printable_line_whatever_it_quotes():
    got = "a\nb\x1b[31m\u202e\x85\udcff"
    message = str(SourceError.at(Path("x\ny"), 1, "c", got, "text"))
    assert message.isprintable()
    assert message == r"x\ny, line 1, column c: got a\nb\x1b[31m\u202e\x85\udcff, wanted text"
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    assert all(str(k("a\rb")) == r"a\rb" for k in kinds if issubclass(k, GenographError))


def test_an_attempt_counts_what_was_refused_and_what_was_read(every):
    reader = next(r for r in every if r.name == "gff3")
    result = fuzz(reader, 1, seed_number=0)
    attempt(reader, b"nothing of the kind", result)
    # the fixtures are fed too: one is good
    assert sum(result.refused.values()) in (result.inputs - 1, result.inputs - 2)


@pytest.mark.parametrize("name", ["gff3", "string_links", "experiments_csv", "sgd_features"])
def test_a_number_of_five_thousand_digits_is_refused(name, every):
    reader = next(r for r in every if r.name == name)
    good = reader.good[0]
    numbers = [m.span() for m in re.finditer(rb"(?<=[\t ,])\d+(?=[\t\r\n ,])", good)]
    refused = 0
    for first, last in numbers:
        try:
            reader.read(good[:first] + b"9" * 5_000 + good[last:])
        except SourceError:
            refused += 1
    assert refused
