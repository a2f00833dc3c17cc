"""The real tables and one embedded database that is built from them, once a session."""

import os
from pathlib import Path

import pytest
from measured_build import built

HERE = Path(__file__).parent
DEFAULT = HERE.parents[1] / ".." / "shared" / "data" / "yeast"
LISTED = "fitness/costanzo2010_sga_intermediate.txt.gz"


def pytest_collection_modifyitems(items):
    """Everything here is marked realdata."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.realdata)


@pytest.fixture(scope="session")
def real_tables():
    """The folder of the real tables."""
    folder = Path(os.environ.get("GENOGRAPH_REALDATA") or DEFAULT).resolve()
    if not (folder / LISTED).is_file():
        pytest.skip(f"no yeast tables in {folder}; GENOGRAPH_REALDATA names their folder")
    return folder


@pytest.fixture(scope="session")
def embedded(real_tables, tmp_path_factory):
    """The embedded database of all real tables."""
    return built(str(tmp_path_factory.mktemp("real") / "yeast.db"), real_tables)
