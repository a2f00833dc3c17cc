"""The documents: their commands are commands, and their links lead somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest

from genograph.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def commands():
    """(page, words) of every genograph command in the documents."""
    for page in PAGES:
        for line in page.read_text("utf-8").splitlines():
            found = re.match(r"(?:    |\$ |torchrun .*-m )+?(genograph .*)", line)
            if found is None:
                found = re.search(r"(?:^ {4}|-m |/)(genograph [a-z].*)", line)
            if found is None:
                continue
            text = found[1].split(" | ")[0]
            words = shlex.split(text, comments=True)
            if ">" in words:
                words = words[: words.index(">")]
            yield page.name, tuple(words[1:])


COMMANDS = sorted(set(commands()))


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda v: " ".join(v)[:60])
def test_a_documented_command_is_one_that_the_command_line_takes(page, words):
    command, rest = cli, list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"{page}: genograph {' '.join(words)}"
        command = command.commands[rest.pop(0)]
    if rest and rest[0] in ("--help", "-h", "--version"):
        return
    command.make_context(command.name, rest)


def test_the_readme_is_among_them():
    verbs = {words[0] for page, words in COMMANDS if page == "README.md"}
    assert {"simulate", "build", "export", "train", "evaluate", "predict", "report"} <= verbs


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index
