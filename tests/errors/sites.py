"""Where genograph raises errors, and which of those places the page of errors lacks.

A user can meet every error that is raised, except those of the functions in INTERNAL.

`python -m errors.sites [folder …]` in tests/ lists what is lacking.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from errors.case import ROOT, Case, provoked

# what is no error that a user can cause: these are of Python, or of a click command line
_OTHER = ("Error", "Exception", "Interrupt", "Exit", "Abort", "Iteration", "Usage", "Parameter")

INTERNAL = {
    "genograph/engine/bags.py:bag_sum": "genograph itself names the kernel",
    "genograph/evaluation/predictions.py:predict_measured": "both sides come from one cohort",
    "genograph/evaluation/scoring.py:find_positions": "evaluate predicts every measured strain",
    "genograph/models/_statistics.py:_root_mean_square": "train refuses heads without examples",
    "genograph/models/_statistics.py:_wild_type_and_deviation": "train refuses such heads",
}
"""Functions whose errors no user can meet, with the reason; the page does not have them."""


class Site(NamedTuple):
    """A statement that raises: its file below the root, function, and lines."""

    file: str
    function: str
    first: int
    last: int
    text: str


def sites(folders: Sequence[str] = ("genograph", "loaders")) -> Iterator[Site]:
    """Every statement that raises an error of genograph."""
    import genograph.errors

    ours = {n for n, v in vars(genograph.errors).items() if isinstance(v, type)}
    for folder in folders:
        for file in sorted(
            (ROOT / folder).rglob("*.py") if (ROOT / folder).is_dir() else [ROOT / folder]
        ):
            tree = ast.parse(file.read_text("utf-8"))
            named = str(file.relative_to(ROOT))
            for function, node in _raises(tree, ""):
                if node.exc is None or not isinstance(node.exc, ast.Call):
                    continue
                name = ast.unparse(node.exc.func).removesuffix(".at").rpartition(".")[2]
                if name in ours or not name.endswith(_OTHER):
                    words = ast.unparse(node)[:90]
                    yield Site(named, function, node.lineno, node.end_lineno or 0, words)


def _raises(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Raise]]:
    for child in ast.iter_child_nodes(node):
        inner = child.name if isinstance(child, ast.FunctionDef | ast.ClassDef) else function
        if isinstance(child, ast.Raise):
            yield function, child
        yield from _raises(child, inner)


def lacking(
    cases: Sequence[Case], reached: set[tuple[str, int]], folders: Sequence[str]
) -> list[Site]:
    """The places that a user can meet and that no case provokes, names or otherwise reaches."""
    elsewhere = {case.site for case in cases if case.site} | set(INTERNAL)
    for case in cases:
        if callable(case.provoke):
            reached |= provoked(case).places
    return [
        site
        for site in sites(folders)
        if f"{site.file}:{site.function}" not in elsewhere
        and not any(file == site.file and site.first <= line <= site.last for file, line in reached)
    ]


if __name__ == "__main__":
    from errors.page import CASES

    for site in lacking(CASES, set(), sys.argv[1:] or ("genograph",)):
        print(f"{site.file}:{site.first}: {site.function}: {site.text}")
