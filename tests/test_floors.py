"""The house: which module stands on which floor, and that imports only go down."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "genograph": ROOT / "genograph",
    "genograph.loaders": ROOT / "loaders",
    "genograph._schema": ROOT / "schema",
}

# top to bottom: a room may import what stands on a lower line
FLOORS = """
cli
demonstration
reporting
evaluation    writeback     allpairs
prediction
training
run
config
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
schema        files         ahead
_schema       errors        notebook
"""
LINES = [line.split() for line in FLOORS.strip().splitlines()]
FLOOR = {room: -number for number, rooms in enumerate(LINES) for room in rooms}

# which rooms or files may import a library that the others are kept apart from
KEPT_APART = {
    "neo4j": ("genograph.store",),
    "ladybug": ("genograph.store",),
    "dgl": ("genograph.heterograph", "genograph.engine.dgl"),
    "torch_geometric": ("genograph.heterograph",),
    "click": ("genograph.cli",),
    "pyfaidx": ("genograph.loaders",),
    "h5py": ("genograph.loaders",),
    "anndata": ("genograph.loaders",),
    "obonet": ("genograph.loaders",),
    "openpyxl": ("genograph.loaders",),
}
# what takes so long to import, or is so often not installed, that it may be imported late
HEAVY = frozenset(
    {
        *("torch", "triton", "dgl", "torch_geometric", "lightning_fabric", "safetensors"),
        *("neo4j", "ladybug", "pandas", "pyarrow", "pydantic", "pydantic_core", "scipy", "sklearn"),
        *("matplotlib", "networkx", "openpyxl", "anndata", "h5py", "obonet", "pyfaidx"),
        # comes with sklearn and is used beside it
        "threadpoolctl",
    }
)


class Import(NamedTuple):
    """One imported module, and whether a function imports it when it runs."""

    name: str
    late: bool


def _files() -> dict[str, Path]:
    """Every file of the package by the name of its module."""
    found = {}
    for package, folder in FOLDERS.items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *parts))] = file
    return found


FILES = _files()


def _imports(module: str) -> Iterator[Import]:
    """Every import of a file, also under TYPE_CHECKING and in functions."""
    tree = ast.parse(FILES[module].read_text("utf-8"))
    in_functions = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        late = id(node) in in_functions
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield Import(name if name in FILES else str(node.module), late)


IMPORTS: Mapping[str, tuple[Import, ...]] = {module: tuple(_imports(module)) for module in FILES}


def room_of(module: str) -> str:
    """The room in which a module of genograph stands; none for the package itself."""
    return module.split(".")[1] if "." in module else ""


def graph_of_files() -> nx.DiGraph:
    """An edge from every file to each file that it runs when it is imported or used.

    An import of a module also runs the packages around it; a file is in its own packages already.
    """
    graph = nx.DiGraph()
    for module in FILES:
        for name, _ in IMPORTS[module]:
            parts = name.split(".")
            around = {".".join(parts[:n]) for n in range(2, len(parts) + 1)}
            around |= {name} if name in FILES else set()
            for other in around & FILES.keys():
                if other != module and (other == name or not f"{module}.".startswith(f"{other}.")):
                    graph.add_edge(module, other)
    return graph


def circles(graph: nx.DiGraph) -> list[list[str]]:
    """The groups of nodes that import each other."""
    return [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]


ROOMS = sorted({room_of(module) for module in FILES} - {"", "__main__"})


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_floor(room):
    assert room in FLOOR


def test_every_floor_has_its_rooms():
    assert sorted(FLOOR) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_imports_only_go_down(room):
    for module in FILES:
        if room_of(module) != room:
            continue
        for name, _ in IMPORTS[module]:
            other = room_of(name) if name.startswith("genograph.") else ""
            if other and other != room:
                assert FLOOR[other] < FLOOR[room], f"{module} imports {name}"


def test_no_circle_of_files():
    assert circles(graph_of_files()) == []


def test_no_circle_of_rooms():
    rooms = nx.DiGraph()
    for module, other in graph_of_files().edges:
        if room_of(module) and room_of(module) != room_of(other):
            rooms.add_edge(room_of(module), room_of(other))
    assert circles(rooms) == []


def test_a_circle_would_be_found():
    graph = graph_of_files()
    graph.add_edge("genograph.errors", "genograph.cohorts.select")
    assert any("genograph.errors" in group for group in circles(graph))


def test_no_loader_imports_another():
    for module in FILES:
        parts = module.split(".")
        if room_of(module) != "loaders" or len(parts) < 3 or parts[2].startswith("_"):
            continue
        others = {
            name
            for name, _ in IMPORTS[module]
            if name.startswith("genograph.loaders.") and not name.split(".")[2].startswith("_")
        }
        assert not others, f"{module} imports {others}; what both use belongs into loaders/_*.py"


def _libraries(module: str) -> frozenset[str]:
    """The heavy libraries that a module loads when it is imported, also through others."""
    loaded, waiting, seen = set(), [module], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in FILES:
            loaded |= {name.split(".")[0]} & HEAVY
            continue
        waiting += [other for other, late in IMPORTS[name] if not late]
    return frozenset(loaded)


@pytest.mark.parametrize("module", [m for m in sorted(FILES) if room_of(m) != "cli"])
def test_a_function_imports_only_what_is_heavy(module):
    for name, late in IMPORTS[module]:
        if late:
            assert _libraries(name), f"{module} imports {name} late, which loads nothing heavy"


@pytest.mark.parametrize("library", sorted(KEPT_APART))
def test_few_places_import_each_driver_and_format(library):
    for module in FILES:
        if any(name.split(".")[0] == library for name, _ in IMPORTS[module]):
            homes = KEPT_APART[library]
            assert any(f"{module}.".startswith(f"{home}.") for home in homes), module


NOT_AT_START = ("torch", "dgl", "neo4j", "ladybug", "pandas", "sklearn", "matplotlib", "pyarrow")


@pytest.mark.parametrize("words", ["import genograph", "from genograph.cli import cli"])
def test_importing_loads_nothing_heavy(words):
    code = f"{words}; import sys; print([m for m in {NOT_AT_START!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_no_pickle_eval_or_exec_anywhere():
    for module, file in FILES.items():
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), file
        unsafe = {name.split(".")[0] for name, _ in IMPORTS[module]} & {"pickle", "dill", "joblib"}
        assert not unsafe, file
