"""The container files: pinned, not root, reachable from this machine only, no password in them."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from neo4j_server import VERSION

from genograph.store import address

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docker"


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))["services"]


@pytest.fixture(scope="module")
def dockerfile():
    """The instructions, as (word, rest); continued lines are joined."""
    text = (FOLDER / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_every_image_has_an_exact_version(services, dockerfile):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert services["neo4j"]["image"] == f"neo4j:{VERSION}-community"
    assert services["genograph"]["image"] == f"genograph:{project['version']}"
    bases = [rest.split()[0] for word, rest in dockerfile if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.1[12]\.\d+-slim-bookworm", bases[0])


def test_packages_are_installed_at_the_constrained_versions(dockerfile):
    pips = [rest for word, rest in dockerfile if word == "RUN" and "pip install" in rest]
    assert pips
    assert all("--constraint constraints.txt" in rest for rest in pips)


def test_nothing_runs_as_root_or_can_become_it(services, dockerfile):
    users = [rest for word, rest in dockerfile if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    assert services["neo4j"]["user"] == "7474:7474"
    assert services["genograph"]["user"] == f"${{GENOGRAPH_USER:-{users[-1]}}}"
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service


def test_ports_are_bound_to_this_machine_only(services):
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert "127.0.0.1:7687:7687" in ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert all("network_mode" not in service for service in services.values())


def test_the_password_is_required_from_the_environment_and_has_no_default(services):
    required = re.compile(r"(neo4j/)?\$\{NEO4J_PASSWORD:\?[^}]+\}")
    assert required.fullmatch(services["neo4j"]["environment"]["NEO4J_AUTH"])
    assert required.fullmatch(services["genograph"]["environment"][address.PASSWORD])
    assert services["genograph"]["environment"][address.USER] == "neo4j"
    text = (FOLDER / "compose.yaml").read_text("utf-8") + (FOLDER / "Dockerfile").read_text("utf-8")
    assert not re.search(r"PASSWORD:?-|PASSWORD\w*[:=] ?\w", text)


def test_genograph_waits_for_a_healthy_server_and_knows_its_address(services):
    check = services["neo4j"]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert "http://localhost:7474" in check["test"]
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    assert services["genograph"]["depends_on"]["neo4j"]["condition"] == "service_healthy"
    where, database = address.parse_address(services["genograph"]["environment"]["GENOGRAPH_DB"])
    assert (where, database) == ("neo4j://neo4j:7687", None)


def test_the_data_outlives_the_container(services):
    volumes = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))["volumes"]
    name, folder = services["neo4j"]["volumes"][0].split(":")
    assert name in volumes
    assert folder == "/data"


def test_the_build_sends_all_that_is_copied_and_nothing_else(dockerfile):
    copied = {
        name
        for word, rest in dockerfile
        if word == "COPY" and not rest.startswith("--from")
        for name in rest.split()[:-1]
    }
    assert all((ROOT / name).exists() for name in copied)
    ignore = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert ignore[0] == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == copied
    assert not any(fnmatch(".env", line[1:]) for line in ignore if line.startswith("!"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = set(project["tool"]["setuptools"]["package-dir"].values())
    assert packages <= copied
