"""The wheel: it carries the schema and every loader, and works away from the source tree."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_contains_schema_loaders_and_the_type_marker(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"genograph/_schema/graph.toml", "genograph/_schema/constraints.cypher"} <= names
    assert {"genograph/py.typed", "genograph/engine/native.cpp"} <= names
    for file in (ROOT / "docs" / "cohorts").glob("*.cypher"):
        assert f"genograph/_library/{file.name}" in names
    for file in (ROOT / "loaders").glob("*.py"):
        assert f"genograph/loaders/{file.name}" in names
    for file in (ROOT / "genograph").rglob("*.py"):
        assert str(file.relative_to(ROOT)) in names


def test_the_wheel_installs_and_runs_in_a_clean_environment(wheel, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True)
    # dependencies come from this environment; a path entry does not activate an editable install
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sorted(paths))}
    run = [str(venv / "bin" / "genograph")]

    def say(*words):
        done = subprocess.run(
            [*run, *words], capture_output=True, text=True, cwd=tmp_path, env=env, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [str(python), "-c", "import genograph, genograph.loaders as l; print(l.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, cwd=tmp_path, env=env, check=True)
    assert str(venv) in found.stdout
    assert "sga_costanzo2010" in say("load", "--list", "--format", "csv")
    assert "PERTURBS" in say("schema")
    assert "suppressors" in say("query", "--list", "--format", "csv")
