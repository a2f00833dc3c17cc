"""The whole loop on the real tables: both databases, training, scores, 10,000 new pairs, read back.

GENOGRAPH_REALDATA_MINUTES sets how long it trains, by default three minutes.
"""

import os
import resource
import shutil
import time
from contextlib import contextmanager

import numpy as np
import pytest
from measured_build import built

from genograph.cohorts import SPLITS, read_strains
from genograph.config import read_config
from genograph.database.query import query
from genograph.demonstration import draw_unmeasured_pairs
from genograph.evaluation import evaluate
from genograph.exporting import export
from genograph.prediction import predict
from genograph.store import open_store
from genograph.training import train
from genograph.writeback import write_predictions

N_PAIRS = 10_000
MEASURED = """
MATCH (e:Experiment)-[:TESTS]->(s:Strain)-[:PERTURBS]->(:Gene {symbol: 'RAD51'})
RETURN e.id AS id, e.value AS value, e.interaction AS interaction, s.id AS strain ORDER BY id
"""
PREDICTED = """
MATCH (s:Strain) WHERE s.predicted_run = $run
RETURN s.id AS id, s.predicted_fitness AS fitness, s.predicted_interaction AS interaction,
       s.predicted_morphology AS morphology
ORDER BY id
"""
BY_RUN = """
MATCH (:Run {id: $run})-[p:PREDICTED]->(s:Strain)
WHERE NOT EXISTS { MATCH (:Experiment)-[:TESTS]->(s) }
RETURN count(*) AS n, avg(p.fitness) AS fitness
"""


@contextmanager
def timed(what):
    started = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what}: {time.perf_counter() - started:.1f} s, peak so far {peak:.2f} GB")


def test_the_whole_loop_in_both_databases(embedded, real_tables, neo4j, tmp_path):
    other = built(neo4j, real_tables)
    assert other.counts == embedded.counts
    # the other tests read the embedded database, and it takes one writer
    file = str(tmp_path / "yeast.db")
    shutil.copyfile(embedded.db, file)
    cohorts = []
    for db in (file, neo4j):
        with open_store(db, read_only=True) as store, timed(f"\nexport of every strain, {db}"):
            cohorts.append(export(store, tmp_path / f"cohort{len(cohorts)}"))
    cohort = cohorts[0]
    assert cohort.sha256 == cohorts[1].sha256

    minutes = float(os.environ.get("GENOGRAPH_REALDATA_MINUTES", "3"))
    config = read_config(members=1, minutes=minutes, threads=1)
    with timed("training"):
        run = train(cohort, config, tmp_path / "run", cohort_folder=tmp_path / "cohort0")
    with timed("evaluation"):
        scores = evaluate(run)
    print(scores.to_pandas().to_string())
    print(*scores.notes, scores.headline, sep="\n")
    for split in SPLITS:
        row = scores.find("interaction_pairs", split)
        assert row is not None
        assert row.n > 1_000
        assert row.pearson > 0.05

    pairs = tmp_path / "pairs.csv"
    pairs.write_text("\n".join(["strain", *draw_unmeasured_pairs(cohort, N_PAIRS, seed=0)]) + "\n")
    with timed(f"prediction of {N_PAIRS:,} pairs"):
        found = predict(run, read_strains(pairs, cohort), cohort=cohort)
    assert len(found.strain_ids) == N_PAIRS
    answers = []
    for db in (file, neo4j):
        with open_store(db) as store:
            with timed(f"write-back, {db}"):
                written = write_predictions(
                    store, run, found, cohort, metrics=scores.headline_numbers
                )
            assert (written.predicted, written.strains_created) == (N_PAIRS, N_PAIRS)
            again = write_predictions(store, run, found, cohort, metrics=scores.headline_numbers)
            assert (again.strains_created, again.unchanged) == (0, N_PAIRS)
        with open_store(db, read_only=True) as store:
            read = query(store, PREDICTED, run=run.id)
            assert len(read) == N_PAIRS
            known = query(store, BY_RUN, run=run.id).to_pylist()[0]
            assert known["n"] == N_PAIRS
            assert known["fitness"] == pytest.approx(float(found["fitness"].mean.mean()), rel=1e-6)
            answers.append((read.to_pylist(), query(store, MEASURED).to_pylist()))
            if store.size():
                print(f"{db}: {store.size() / 1e6:,.0f} MB")
    assert answers[0] == answers[1]
    order = np.argsort(found.strain_ids.to_pylist())
    read = [row["interaction"] for row in answers[0][0]]
    np.testing.assert_allclose(read, found["interaction"].mean[order], rtol=1e-6)
