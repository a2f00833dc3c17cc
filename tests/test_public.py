"""The public face: what is public is whole, documented, and shows itself."""

import ast
import doctest
import html.parser
import inspect
import sys
import textwrap
import typing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pyarrow as pa
import pytest

import genograph
from genograph.evaluation.scores import MODEL
from genograph.models import model_names

ROOT = Path(__file__).parents[1]

SPEC = spec_from_file_location("reference", ROOT / "docs" / "reference.py")
reference = module_from_spec(SPEC)
sys.modules["reference"] = reference
SPEC.loader.exec_module(reference)

PUBLIC = {name: getattr(genograph, name) for name in genograph.__all__}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if not inspect.isclass(value)}
CLASSES = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
METHODS = {
    f"{name}.{member}": value
    for name, kind in CLASSES.items()
    for member, value in reference.public_methods(kind).items()
}
SHOWN = ("Cohort", "CohortQuery", "Evaluation", "Prediction", "Run", "Store", "Table")
"""Classes that a user meets first: each has an example."""

# what is imported for type checkers only, and is no type of ours
ELSEWHERE = SimpleNamespace(HeteroData=object, DGLGraph=object, MultiDiGraph=object)
LATE = {"dgl": ELSEWHERE, "nx": ELSEWHERE, "HeteroData": object, "pd": __import__("pandas")}


def test_the_public_names_are_there_and_their_homes_are_named():
    for name in genograph.__all__:
        assert getattr(genograph, name) is not None
    assert set(genograph._HOMES) == set(genograph.__all__)
    assert dir(genograph) == sorted(genograph.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = genograph.no_such_name


VERBS_OF = {
    "cre embed": "embed",
    "cohort": "list_experiments",
    "schema": "graph_schema",
    "db status": "status",
    "db check": "check",
    "db dump": "dump",
    "db restore": "restore",
    "db neo4j-import": "neo4j_import",
}
"""Functions of the commands that are not called alike."""

COMMANDS = {path.removeprefix("genograph "): command for path, command in reference.commands()}
LEAVES = {path: one for path, one in COMMANDS.items() if not isinstance(one, click.Group)}


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_has_a_public_function(path):
    assert callable(FUNCTIONS[VERBS_OF.get(path, path)])


def _types(hint):
    """The types of genograph that a type hint names, at any depth."""
    if inspect.isclass(hint) and hint.__module__.startswith("genograph"):
        yield hint
    for part in typing.get_args(hint):
        for one in part if isinstance(part, list) else [part]:
            yield from _types(one)


def _hints(thing):
    return typing.get_type_hints(thing, localns=LATE)


def _named_by(thing):
    """The types that a function's signature, or a class's fields and public methods, name."""
    if not inspect.isclass(thing):
        hints = list(_hints(inspect.unwrap(thing)).values())
    else:
        fields = {k: v for k, v in _hints(thing).items() if not k.startswith("_")}
        hints = list(fields.values())
        for value in reference.public_methods(thing).values():
            hints += _hints(reference.function_of(value)).values()
    for hint in hints:
        yield from _types(hint)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_type_that_a_public_name_names_is_public(name):
    private = {kind.__qualname__ for kind in _named_by(PUBLIC[name])} - set(CLASSES)
    assert not private


def test_a_private_type_would_be_found():
    def unfinished(found: "list[dict[str, genograph.evaluation.scores.Combined]]") -> None: ...

    assert [kind.__name__ for kind in _named_by(unfinished)] == ["Combined"]


def _raises(function):
    """Whether a function's own body raises, functions within it left out."""
    waiting = list(ast.parse(textwrap.dedent(inspect.getsource(function))).body[0].body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise):
            return True
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return False


def _parameters(function):
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_a_public_function_says_what_it_takes_and_what_it_raises(name):
    function = reference.function_of((FUNCTIONS | METHODS)[name])
    sections = reference.read_doc(function).sections
    told = [one for names in reference.items(sections.get("Args", "")) for one in names.split(", ")]
    assert told == _parameters(function)
    if _raises(function):
        assert sections.get("Raises")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_what_it_returns_and_has_an_example(name):
    found = reference.read_doc(FUNCTIONS[name])
    assert found.sections.get("Returns")
    assert ">>> " in found.sections.get("Example", "")


@pytest.mark.parametrize("name", SHOWN)
def test_a_main_class_has_an_example(name):
    assert ">>> " in reference.read_doc(CLASSES[name]).sections.get("Example", "")


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_says_what_its_fields_are(name):
    kind = CLASSES[name]
    assert set(reference.fields(kind)) == set(reference.field_texts(kind))


def test_the_reference_has_every_public_name_once():
    assert sorted(n for names in reference.TOPICS.values() for n in names) == sorted(PUBLIC)


@pytest.mark.parametrize("page", reference.PAGES)
def test_a_page_of_the_reference_is_fresh(page):
    written = (ROOT / "docs" / page).read_text("utf-8")
    assert written == reference.PAGES[page](), "run: python docs/reference.py"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# PyG compiles a class when it is imported, in a way that torch has given up
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_the_examples_run_in_the_order_of_the_reference(folder):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    ran, skipped, told = 0, set(), []
    for name in (name for names in reference.TOPICS.values() for name in names):
        example = reference.read_doc(PUBLIC[name]).sections.get("Example")
        if example is None:
            continue
        test = doctest.DocTestParser().get_doctest(example, {"genograph": genograph}, name, name, 0)
        if any(doctest.SKIP in one.options for one in test.examples):
            skipped.add(name)
        ran += 1
        runner.run(test, out=told.append)
        assert not told, "".join(told)
    assert ran == len(FUNCTIONS) + len(SHOWN)
    # the whole loop again, which has a test of its own
    assert skipped == {"demo"}


def _parameter_helps():
    for path, command in COMMANDS.items():
        for one in command.params:
            yield pytest.param(command, one, id=f"{path} {one.name}")


@pytest.mark.parametrize(("command", "parameter"), list(_parameter_helps()))
def test_every_option_and_argument_has_a_help_of_words(command, parameter):
    if isinstance(parameter, click.Option):
        assert len((parameter.help or "").split()) >= 3
    elif parameter.name != "arguments":  # what follows a loader is said of the loader
        assert (parameter.metavar or parameter.name).upper() in command.help


def test_the_help_of_train_names_every_model():
    text = next(one.help for one in COMMANDS["train"].params if one.name == "model")
    assert f": {', '.join(model_names())}." in text


class _Page(html.parser.HTMLParser):
    """The tags and the text of some HTML."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        assert not attrs
        self.tags.append(tag)

    def handle_data(self, data):
        self.cells.append(data)


ODD = '<script>alert(1)</script> & "two"\nlines'


def _odd_results(folder):
    """One of each of the results, with names that HTML and a console must not take literally."""
    from model_cohort import cohort_of

    cohort = cohort_of()
    cohort = genograph.Cohort(
        cohort.genome,
        cohort.strains,
        tuple(f"{ODD}{study}" for study in cohort.studies),
        cohort.measured,
        cohort.gene_fold,
        cohort.strain_fold,
    )
    number = genograph.Predicted(np.array([0.5], np.float32), np.array([np.nan], np.float32), None)
    prediction = genograph.Prediction(pa.array([ODD]), {ODD: number}, "0" * 64)
    score = genograph.Score("fitness", "fitness_pairs", "random", MODEL, 0.25, 0.2, 0.1, 12)
    rival = score._replace(model=ODD, pearson=0.125)
    evaluation = genograph.Evaluation((score, rival), (), (), "0" * 64, "2026-01-01", 1.0)
    config = genograph.read_config(members=2)
    record = genograph.RunRecord.model_construct(
        **{name: None for name in genograph.RunRecord.model_fields}
    ).replace(
        cohort=ODD, cohort_sha256="0" * 64, config_sha256="1" * 64, checkpoints={},
        status="complete", created="2026-01-01",
    )  # fmt: skip
    run = genograph.Run(folder / ODD, config, record)
    return {"Cohort": cohort, "Prediction": prediction, "Evaluation": evaluation, "Run": run}


SHORT = {
    "Cohort": r"Cohort\(\d+ genes, \d+ strains; \d+ fitness, .*; <script>alert\(1\).*\)",
    "Prediction": r"Prediction\(1 strain; <script>alert\(1\)</script> & \"two\"\\nlines\)",
    "Evaluation": r"Evaluation\(2 scores; fitness of pairs, .* Pearson 0\.250 on 12 strains .*\)",
    "Run": r"Run\(.*two\"\\nlines, [0-9a-f]{16}: genome, 2 members, complete\)",
}


@pytest.mark.parametrize("kind", SHORT)
def test_a_result_shows_itself_in_one_line(tmp_path, kind):
    import re

    text = repr(_odd_results(tmp_path)[kind])
    assert re.fullmatch(SHORT[kind], text)
    assert text.isprintable()
    assert len(text) < 500


@pytest.mark.parametrize("kind", SHORT)
def test_a_result_shows_itself_as_a_table_without_its_names_becoming_tags(tmp_path, kind):
    page = _Page(_odd_results(tmp_path)[kind]._repr_html_())
    assert set(page.tags) <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert page.tags[0] == "table"
    assert any("<script>alert(1)</script>" in cell for cell in page.cells)
