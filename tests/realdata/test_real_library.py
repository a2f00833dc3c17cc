"""The library on the real tables: what pandas works out from them, each query within 3 seconds."""

import shutil
import sys
import time
from pathlib import Path

import pytest

from genograph.cohorts import CohortQuery
from genograph.cypher import library, query_file
from genograph.database.query import query
from genograph.store import open_store

sys.path.insert(0, str(Path(__file__).parents[1]))

from library_oracle import ORACLES, differences, frames_of_store, runs

SECONDS = 3.0
ROOT = "GO:0008150"
TWO = {"run_a": "first", "run_b": "second"}
# query, parameters beside its defaults, least number of rows
CASES = (
    ("strains_of_pathway", {}, 1_000),
    ("strains_of_pathway", {"go": ROOT, "every": False}, 100_000),
    ("strains_of_complex", {}, 10),
    ("strains_of_complex", {"complex": "cyc2008:TRAPP complex", "every": False}, 500),
    ("strains_near_gene", {}, 50),
    ("strains_near_gene", {"k": 3, "min_score": 0.0, "every": False}, 100_000),
    ("pairs_across_terms", {}, 100),
    ("pairs_across_terms", {"go_a": ROOT, "go_b": ROOT}, 100_000),
    ("pairs_with_singles", {}, 100_000),
    ("suppressors", {}, 5_000),
    ("suppressors", {"min_interaction": -9.0, "max_p": 1.0}, 150_000),
    ("synthetic_sick", {}, 50_000),
    ("strains_with_all_phenotypes", {}, 100),
    ("unmeasured_genes", {}, 200),
    ("unmeasured_genes", {"go": ROOT, "phenotype": "morphology"}, 500),
    ("unmeasured_pairs", {}, 1_000),
    ("unmeasured_pairs", {"go": "GO:0006259", "limit": 200_000}, 50_000),
    ("predictions", {}, 100_000),
    ("predicted_and_measured", {"run": "first"}, 20_000),
    ("predicted_and_measured", {"run": "first", "split": "all"}, 100_000),
    ("runs_disagree", TWO, 50_000),
    ("embeddings", {}, 300),
    ("embeddings", {"study": "costanzo2010", "phenotype": "fitness"}, 8_000),
)


@pytest.fixture(scope="module")
def predicted(embedded, tmp_path_factory):
    """A copy of the real database to which two runs wrote predictions of every strain."""
    path = tmp_path_factory.mktemp("library") / "yeast.db"
    shutil.copy(embedded.db, path)
    with open_store(path) as store:
        strains = sorted(store.query("MATCH (s:Strain) RETURN s.id AS id")["id"].to_pylist())
        with store.transaction():
            for table in runs(strains, seed=1):
                store.write(table)
    return path


@pytest.fixture(scope="module")
def frames(predicted):
    with open_store(predicted, read_only=True) as store:
        return frames_of_store(store)


@pytest.mark.parametrize(("name", "parameters", "least"), CASES)
def test_the_library_answers_right_and_within_three_seconds(
    predicted, frames, name, parameters, least
):
    entry = next(e for e in library() if e.name == name)
    wanted = ORACLES[name](frames, **{**entry.defaults, **parameters})
    assert len(wanted) >= least
    held = CohortQuery.read(query_file(name), **parameters)
    with open_store(predicted, read_only=True) as store:
        started = time.perf_counter()
        found = query(store, held.cypher, **held.parameters)
        seconds = time.perf_counter() - started
    print(f"\n{name} {parameters}: {len(found):,} rows, {seconds:.2f} s")
    assert differences(found, wanted) is None
    assert seconds < SECONDS


def test_every_query_of_the_library_is_asked():
    assert {name for name, _, _ in CASES} == {e.name for e in library()}
