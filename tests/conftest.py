"""Fixtures that several test files share: a real Neo4j server, emptied before each test."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import neo4j as driver
import pytest
from jaxtyping import install_import_hook
from neo4j.exceptions import DriverError, Neo4jError
from neo4j_server import USER, VERSION, Server, Unavailable, empty, running

ROOT = Path(__file__).parents[1]


def _find_shapes() -> list[str]:
    """The modules of genograph whose annotations have shapes."""
    files = [f.relative_to(ROOT) for f in sorted((ROOT / "genograph").rglob("*.py"))]
    shaped = [f for f in files if "from jaxtyping import" in (ROOT / f).read_text("utf-8")]
    return [".".join(f.with_suffix("").parts).removesuffix(".__init__") for f in shaped]


if os.environ.get("GENOGRAPH_TEST_SHAPES") == "1":
    install_import_hook(_find_shapes(), "beartype.beartype")

import genograph  # noqa: E402  the hook comes before what it checks

# jaxtyping's hook asks Python's own finder, and an editable install finds loaders/ by another one
genograph.__path__.append(str(ROOT))

NEO4J_TEST = re.compile(r"\[(.*-)?neo4j(-.*)?\]$", re.DOTALL)
"""Ids of tests that need the server: the fixtures `neo4j` and `db` put its name there."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the server."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        asked = callspec is not None and callspec.params.get("db") == "neo4j"
        if asked or {"neo4j", "neo4j_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.neo4j)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Keep all that needs the server on one worker, and the cases of errors on one.

    There is one server with one database; and two tests use each case, which is provoked once a
    process. The ids are read here because groups by mark reach the scheduler through an attribute
    of pytest that newer versions no longer have.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    class Together(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith("tests/test_errors.py::"):
                return "errors"
            return "neo4j" if NEO4J_TEST.search(nodeid) else super()._split_scope(nodeid)

    return Together(config, log)


def _go_without(reason: str) -> None:
    """Skip the tests that need a server; where everything must be tested that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Neo4j server, and CI=true: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def neo4j_server() -> Iterator[Server]:
    """A Neo4j server: the one GENOGRAPH_TEST_NEO4J_URI names, else one of our own.

    GENOGRAPH_TEST_NEO4J_VERSION picks the version of our own.
    """
    uri = os.environ.get("GENOGRAPH_TEST_NEO4J_URI")
    if uri:
        user = os.environ.get("GENOGRAPH_TEST_NEO4J_USER", USER)
        server = Server(uri, user, os.environ.get("GENOGRAPH_TEST_NEO4J_PASSWORD", ""), "running")
        held = _count(server)
        if held and os.environ.get("GENOGRAPH_TEST_NEO4J_ERASE") != "1":
            pytest.fail(
                f"{uri} holds {held} nodes and the tests would erase them; "
                f"set GENOGRAPH_TEST_NEO4J_ERASE=1 to let them",
                pytrace=False,
            )
        yield server
        empty(server)
        return
    try:
        with running(os.environ.get("GENOGRAPH_TEST_NEO4J_VERSION") or VERSION) as server:
            yield server
    except Unavailable as error:
        _go_without(str(error))


@pytest.fixture
def empty_neo4j(neo4j_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `neo4j` is, for fixtures that only need it at times."""
    monkeypatch.delenv("GENOGRAPH_NEO4J_AUTH_FILE", raising=False)
    monkeypatch.setenv("GENOGRAPH_NEO4J_USER", neo4j_server.user)
    monkeypatch.setenv("GENOGRAPH_NEO4J_PASSWORD", neo4j_server.password)
    empty(neo4j_server)
    return neo4j_server.uri


@pytest.fixture(params=["neo4j"])
def neo4j(request: pytest.FixtureRequest) -> str:
    """The address of an empty Neo4j database; credentials are in the environment."""
    return str(request.getfixturevalue("empty_neo4j"))


@pytest.fixture(params=["embedded", "neo4j"])
def db(request: pytest.FixtureRequest, tmp_path) -> str:
    """An empty database of each kind, as `open_store` and --db take it."""
    if request.param == "embedded":
        return str(tmp_path / "genograph.db")
    return str(request.getfixturevalue("empty_neo4j"))


def _count(server: Server) -> int:
    try:
        with (
            driver.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as opened,
            opened.session() as session,
        ):
            return int(session.run("MATCH (n) RETURN count(n) AS n").single(strict=True)["n"])
    except (DriverError, Neo4jError) as error:
        pytest.fail(f"GENOGRAPH_TEST_NEO4J_URI={server.uri}: {error}", pytrace=False)
