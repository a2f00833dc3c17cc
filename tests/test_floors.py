"""The house: which module stands on which floor, and that imports only go down."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "genograph"
ROOT = PACKAGE.parent

# top to bottom: a room may import what stands on a lower line
FLOORS = """
cli
demonstration
reporting
evaluation    writeback     allpairs
prediction
training
run
models
engine
exporting
heterograph
cohorts
database
loaders       simulation
measurements  store
cypher        embeddings
tables
schema        files
_schema       errors
"""
LINES = [line.split() for line in FLOORS.strip().splitlines()]
FLOOR = {room: -number for number, rooms in enumerate(LINES) for room in rooms}
# steps up that are taken only when they are needed, inside a function
LATE: set[tuple[str, str]] = set()
DRIVERS = {
    "neo4j": {"store"},
    "ladybug": {"store"},
    "dgl": {"heterograph"},
    "click": {"cli"},
}


def modules():
    """(room, file) of every module."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).parts
        yield parts[0].removesuffix(".py"), file
    for file in sorted((ROOT / "loaders").glob("*.py")):
        yield "loaders", file
    yield "_schema", ROOT / "schema" / "__init__.py"


def imports(file):
    """(module, whether at the top of the file) of every import."""
    tree = ast.parse(file.read_text("utf-8"))
    top = set(ast.walk(ast.Module(body=[n for n in tree.body], type_ignores=[])))
    nested = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in top:
        late = id(node) in nested
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, not late
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module == "genograph":
                for alias in node.names:
                    yield f"genograph.{alias.name}", not late
            else:
                yield node.module, not late


ROOMS = sorted({room for room, _ in modules()} - {"__init__", "__main__"})


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_floor(room):
    assert room in FLOOR


@pytest.mark.parametrize("room", ROOMS)
def test_imports_only_go_down(room):
    for mine, file in modules():
        if mine != room:
            continue
        for name, at_top in imports(file):
            if not name.startswith("genograph."):
                continue
            other = name.split(".")[1]
            if other == room or (not at_top and (room, other) in LATE):
                continue
            assert FLOOR[other] < FLOOR[room], f"{file.name} ({room}) imports {name}"


@pytest.mark.parametrize("driver", sorted(DRIVERS))
def test_each_driver_has_one_importing_room(driver):
    rooms = {
        room
        for room, file in modules()
        for name, _ in imports(file)
        if name == driver or name.startswith(f"{driver}.")
    }
    assert rooms <= DRIVERS[driver]


HEAVY = ("torch", "dgl", "neo4j", "ladybug", "pandas", "sklearn", "matplotlib", "pyarrow")


@pytest.mark.parametrize("words", ["import genograph", "from genograph.cli import cli"])
def test_importing_loads_nothing_heavy(words):
    code = f"{words}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_no_pickle_eval_or_exec_anywhere():
    for _, file in modules():
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), file
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", "") or ""]
                assert not any(n.split(".")[0] in ("pickle", "dill", "joblib") for n in names), file
