"""Every error that a user can meet is on the page of errors, with the message that it promises."""

import re
from pathlib import Path

import pytest
from errors.case import provoked, raised_at
from errors.page import CASES, PAGE, page
from errors.sites import INTERNAL, lacking, sites
from fuzz.readers import fixtures, readers

from genograph import errors, loaders
from genograph.errors import GenographError, SourceError


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return readers(tmp_path_factory.mktemp("errors") / "files")


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.kind} {c.message}")
def test_an_error_comes_with_the_message_that_is_documented(case):
    if isinstance(case.provoke, str):
        file, _, name = case.provoke.partition("::")
        assert f"def {name}(" in (Path(__file__).parent / file).read_text("utf-8")
        module, _, function = case.site.partition(":")
        assert f"def {function}(" in (Path(__file__).parents[1] / module).read_text("utf-8")
        return
    error = provoked(case)
    assert error.kind == case.kind
    assert re.search(case.message, error.message), error.message
    assert "\n" not in error.message


@pytest.mark.slow
def test_every_error_that_a_user_can_meet_is_on_the_page(every):
    reached = set()
    by_name = {reader.name: reader for reader in every}
    for name in loaders.names():
        for content in fixtures(name)[1:]:
            try:
                by_name[name].read(content)
            except GenographError as error:
                reached |= raised_at(error)
    left = lacking(CASES, reached, ("genograph", "loaders"))
    assert [f"{site.file}:{site.first} {site.function}: {site.text}" for site in left] == []


def test_every_internal_function_is_there_and_raises():
    assert set(INTERNAL) <= {f"{site.file}:{site.function}" for site in sites()}


def test_the_page_of_errors_is_fresh(every):
    assert PAGE.read_text("utf-8") == page(every)


def test_a_message_is_one_printable_line_whatever_it_quotes():
    got = "a\nb\x1b[31m\u202e\x85\udcff"
    message = str(SourceError.at(Path("x\ny"), 1, "c", got, "text"))
    assert message.isprintable()
    assert message == r"x\ny, line 1, column c: got a\nb\x1b[31m\u202e\x85\udcff, wanted text"
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    assert all(str(k("a\rb")) == r"a\rb" for k in kinds if issubclass(k, GenographError))
