"""Write api.md from the docstrings of the public names, and cli.md from the help of the commands.

    python docs/reference.py

`TOPICS` is the order of a biologist's work; in the same order the tests run every example.
"""

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

import genograph
from genograph.cli import cli

DOCS = Path(__file__).parent
WIDTH = 96

TOPICS = {
    "Simulate": ("simulate", "Simulation"),
    "Load": ("open_store", "load", "build", "embed", "status", "Ledger"),
    "Query": ("query", "find"),
    "Select": ("CohortQuery", "list_experiments", "select", "Subgraph", "Folds"),
    "Export": (
        *("export", "save_cohort", "load_cohort", "Cohort", "Genome", "Edges", "Strains"),
        *("Fitness", "Vectors", "to_dgl", "to_pyg", "to_networkx"),
    ),
    "Train": (
        *("read_config", "format_config", "TrainConfig", "ModelConfig", "TrainingConfig"),
        *("train", "Run", "RunRecord"),
    ),
    "Evaluate": ("evaluate", "load_evaluation", "Evaluation", "Score", "Calibration"),
    "Predict": ("read_strains", "predict", "predict_baseline", "Prediction", "Predicted"),
    "Score all pairs": ("read_genes", "score_all", "Scored"),
    "Write back": ("write_predictions", "WrittenBack"),
    "Report": ("report", "demo", "Demonstration"),
    "Look after a database": (
        *("check", "Finding", "dump", "Dump", "DumpFile", "restore"),
        *("neo4j_import", "Neo4jImport"),
    ),
    "Store": ("Store", "Table", "Written"),
    "Schema": ("graph_schema", "Schema", "Node", "Relationship", "Property", "Phenotype", "Range"),
    "Errors": (
        *("GenographError", "SchemaError", "SourceError", "StoreError", "CohortError", "RunError"),
    ),
}

API = """\
# Reference of the library

Written by `python docs/reference.py` from the docstrings. What stands here is public; everything
else may change. Every example begins with `import genograph`; run in this order, in one folder,
each finds the files that those before it wrote.
"""

CLI = """\
# Reference of the command line

Written by `python docs/reference.py` from the help of the commands.
"""

_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example):\n", re.MULTILINE)


class Entry(NamedTuple):
    """A docstring in its parts.

    Attributes:
        text: before the sections.
        sections: by name; the text of each, without its indent.
    """

    text: str
    sections: dict[str, str]


def read_doc(thing: object) -> Entry:
    """The docstring of a function, method or class."""
    before, *found = _SECTION.split(inspect.cleandoc(getattr(thing, "__doc__", None) or ""))
    named = zip(found[::2], found[1::2], strict=True)
    sections = {name: textwrap.dedent(text).strip("\n") for name, text in named}
    return Entry(before.strip(), sections)


def items(section: str) -> dict[str, str]:
    """The entries `name: text` of a section, each on one line."""
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line.startswith(" ") and name:
            found[name] += " " + line.strip()
        else:
            name, _, text = line.partition(": ")
            found[name] = text.strip()
    return found


def public_methods(kind: type) -> dict[str, Any]:
    """The functions and properties that a class defines and that are public."""
    own: dict[str, Any] = {}
    for name, value in vars(kind).items():
        if name.startswith("_") or name.startswith("model_"):
            continue
        function = getattr(value, "__func__", value)
        function = getattr(function, "func", function)  # a cached property
        if isinstance(value, property):
            function = value.fget
        if inspect.isfunction(inspect.unwrap(function)) and function.__doc__:
            own[name] = value
    return own


def function_of(value: Any) -> Any:  # noqa: ANN401  a function, method or property of some kind
    """The plain function under a method or property."""
    if isinstance(value, property):
        value = value.fget
    value = getattr(value, "__func__", value)
    return inspect.unwrap(getattr(value, "func", value))


def is_property(value: Any) -> bool:  # noqa: ANN401  as function_of
    """Whether a member is read without a call."""
    return isinstance(value, property) or hasattr(value, "attrname")


def _node(thing: Any) -> Any:  # noqa: ANN401  a FunctionDef or ClassDef
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def signature(name: str, function: object) -> str:
    """A signature as the source has it, a parameter a line where it is long."""
    node = _node(function)
    spelled = [one for one in _parameters(node.args) if one not in ("self", "cls")]
    result = f" -> {_annotation(node.returns)}" if node.returns is not None else ""
    line = f"{name}({', '.join(spelled)}){result}"
    if len(line) <= WIDTH:
        return line
    inside = "".join(f"    {one},\n" for one in spelled)
    return f"{name}(\n{inside}){result}"


def _parameters(given: ast.arguments) -> Iterator[str]:
    """Each parameter with its annotation and default, and the stars between them."""

    def one(arg: ast.arg, default: ast.expr | None = None, stars: str = "") -> str:
        text = stars + arg.arg
        text += "" if arg.annotation is None else f": {_annotation(arg.annotation)}"
        return text if default is None else f"{text} = {_spell(default)}"

    lacking = [None] * (len(given.args) - len(given.defaults))
    yield from map(one, given.args, [*lacking, *given.defaults])
    if given.vararg is not None:
        yield one(given.vararg, stars="*")
    elif given.kwonlyargs:
        yield "*"
    yield from map(one, given.kwonlyargs, given.kw_defaults)
    if given.kwarg is not None:
        yield one(given.kwarg, stars="**")


def _spell(node: ast.expr) -> str:
    """An annotation or a default as text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return f'"{node.value}"'
    return ast.unparse(node).replace("'", '"')


def _annotation(node: ast.expr) -> str:
    """An annotation as text; a name that stands in quotes without them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return _spell(node)


def fields(kind: type) -> dict[str, str]:
    """A class's public fields: the annotation of each as the source has it, and its default."""
    found = {}
    for node in _node(kind).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, default = node.target.id, node.value
            if name.startswith("_") or name == "model_config":
                continue
            if isinstance(default, ast.Call):  # Field(default=...), or made anew for each
                given = {keyword.arg: keyword.value for keyword in default.keywords}
                default = given.get("default")
            found[name] = _annotation(node.annotation)
            found[name] += "" if default is None else f" = {_spell(default)}"
    return found


def field_texts(kind: type) -> dict[str, str]:
    """What a class says of its fields: its section Attributes, or a text below each."""
    found: dict[str, str] = {}
    for names, text in items(read_doc(kind).sections.get("Attributes", "")).items():
        found |= dict.fromkeys(names.split(", "), text)
    body = _node(kind).body
    for node, after in itertools.pairwise(body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[node.target.id] = " ".join(str(after.value.value).split())
    return found


def _list(entries: dict[str, str]) -> Iterator[str]:
    for name, text in entries.items():
        yield f"- `{name}`: {text}" if text else f"- `{name}`"


def _body(found: Entry) -> Iterator[str]:
    """The text and the sections of a docstring as Markdown."""
    yield from (found.text, "")
    for name in ("Args", "Returns", "Yields", "Raises"):
        if name not in found.sections:
            continue
        if name in ("Returns", "Yields"):
            yield f"**{name}** " + " ".join(found.sections[name].split())
        else:
            yield from (f"**{name}**", "", *_list(items(found.sections[name])))
        yield ""
    if "Example" in found.sections:
        yield from ("```pycon", found.sections["Example"], "```", "")


def _class(name: str, kind: type) -> Iterator[str]:
    yield from (f"### {name}", "")
    bases = ", ".join(map(_spell, _node(kind).bases))
    yield from ("```python", f"class {name}" + (f"({bases})" if bases else ""), "```", "")
    yield from _body(read_doc(kind))
    texts = field_texts(kind)
    for field, annotation in fields(kind).items():
        told = f": {texts[field]}" if field in texts else ""
        yield f"- `{field}: {annotation}`{told}"
    if fields(kind):
        yield ""
    for member, value in public_methods(kind).items():
        function = function_of(value)
        yield from (f"#### {name}.{member}", "")
        if is_property(value):
            node = _node(function)
            spelled = f"{member}: {_annotation(node.returns)}"
        else:
            spelled = signature(member, function)
        yield from ("```python", spelled, "```", "", *_body(read_doc(function)))


def api() -> str:
    """The page of the library."""
    lines = [API]
    for topic, names in TOPICS.items():
        link = re.sub(r"[^a-z ]", "", topic.lower()).replace(" ", "-")
        listed = ", ".join(f"`{name}`" for name in names)
        lines.append(f"- [{topic}](#{link}): {listed}")
    for topic, names in TOPICS.items():
        lines += ["", f"## {topic}", ""]
        for name in names:
            thing = getattr(genograph, name)
            if inspect.isclass(thing):
                lines += _class(name, thing)
            else:
                lines += [
                    f"### {name}",
                    "",
                    "```python",
                    signature(name, function_of(thing)),
                    "```",
                ]
                lines += ["", *_body(read_doc(thing))]
    return _tidy(lines)


def commands(command: click.Command = cli, path: str = "genograph") -> Iterator[tuple[str, Any]]:
    """Every command with the words that call it, a group before its commands."""
    yield path, command
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from commands(part, f"{path} {name}")


def help_of(path: str, command: click.Command) -> str:
    """The help of a command, as wide as a page."""
    group, _, name = path.rpartition(" ")
    settings: dict[str, Any] = {"terminal_width": WIDTH, "resilient_parsing": True}
    parent = click.Context(cli, info_name=group) if group else None
    with command.make_context(name, [], parent, **settings) as context:
        return command.get_help(context)


def command_line() -> str:
    """The page of the command line."""
    lines = [CLI]
    for path, command in commands():
        lines += [f"## {path}", "", "```text", help_of(path, command), "```", ""]
    return _tidy(lines)


def _tidy(lines: Iterable[str]) -> str:
    text = "\n".join("\n".join(lines).rstrip().split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text) + "\n"


PAGES = {"api.md": api, "cli.md": command_line}

if __name__ == "__main__":
    for file, write in PAGES.items():
        (DOCS / file).write_text(write(), "utf-8")
