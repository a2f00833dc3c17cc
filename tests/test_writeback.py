"""Write-back in parts: it ends as one in a single transaction does, also when interrupted."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import small_yeast

from genograph import writeback
from genograph.cohorts import select
from genograph.config import read_config
from genograph.database.check import check
from genograph.errors import GenographError, RunError
from genograph.run import FORMAT, Predicted, Prediction, Run, RunRecord
from genograph.schema import graph_schema
from genograph.store import open_store
from genograph.writeback import write_predictions


@pytest.fixture
def store(db):
    with open_store(db) as made:
        small_yeast.write(made)
        yield made


@pytest.fixture
def embedded(tmp_path):
    with open_store(tmp_path / "genograph.db") as made:
        small_yeast.write(made)
        yield made


def made_up(cohort, seed, some=slice(None)):
    """A run, and what it says of some strains: random numbers."""
    draw = np.random.default_rng(seed)
    ids = cohort.strains.ids.to_pylist()[some]
    genes = cohort.genome.genes_sha256
    config = read_config(seed=seed)
    parts = config.model_dump(mode="json")
    record = RunRecord(
        format=FORMAT,
        version="made up",
        schema_version=graph_schema().version,
        **parts,
        config_sha256="c" * 64,
        cohort=None,
        cohort_sha256=cohort.sha256,
        genes_sha256=genes,
        terms_sha256=cohort.genome.terms_sha256,
        seeds=(seed,),
        device="cpu",
        processes=1,
        status="complete",
        created="made up",
        checkpoints={"member-0/model.safetensors": f"{seed:064x}"},
        examples={},
        validation_left_out={},
        heads_left_out=(),
        facts={},
    )
    names = cohort.vectors["morphology"].names
    quantities = {
        name: Predicted(*draw.uniform(size=(2, len(ids))).astype(np.float32), None)
        for name in ("fitness", "interaction")
    }
    shapes = draw.normal(size=(2, len(ids), len(names))).astype(np.float32)
    quantities["morphology"] = Predicted(*shapes, names)
    prediction = Prediction(pa.array(ids, pa.string()), quantities, genes)
    return Run(Path(f"run{seed}"), config, record), prediction


def state(store):
    """Everything of runs, their predictions and what strains carry."""
    columns = ", ".join(f"s.{name} AS {name}" for name in writeback.promoted_properties().values())
    return [
        sorted(map(repr, store.query(cypher).to_pylist()))
        for cypher in (
            "MATCH (r:Run) RETURN r.id AS id",
            "MATCH (d:Database) RETURN d.promoted_run AS run",
            f"MATCH (s:Strain) RETURN s.id AS id, s.predicted_run AS run, {columns}",
            "MATCH (r:Run)-[p:PREDICTED]->(s:Strain) RETURN r.id AS run, s.id AS strain, "
            "p.fitness AS f, p.interaction AS i, p.morphology AS m, p.split AS split",
        )
    ]


def wrong(store):
    return [each for each in check(store) if each.check == "predictions"]


PROMOTED_PREDICTIONS = (
    "MATCH (d:Database) MATCH (r:Run)-[p:PREDICTED]->(s:Strain) WHERE r.id = d.promoted_run "
    "RETURN s.id AS strain, p.fitness AS fitness"
)


def promoted(store):
    return [
        run
        for run in store.query("MATCH (d:Database) RETURN d.promoted_run AS run")["run"].to_pylist()
        if run is not None
    ]


@pytest.mark.parametrize("limit", ["strains", "numbers"])
def test_in_parts_the_database_ends_as_in_one_transaction(store, monkeypatch, limit):
    cohort = select(store)
    one, two = made_up(cohort, 1), made_up(cohort, 2, slice(3, None, 2))
    for run, prediction in (one, two):
        write_predictions(store, run, prediction, cohort)
    whole = state(store)
    assert promoted(store) == [two[0].id]
    if limit == "strains":
        monkeypatch.setattr(writeback, "PROMOTED_AT_ONCE", 3)
    else:
        monkeypatch.setattr(
            writeback, "PROMOTED_VALUES", 3 * len(cohort.vectors["morphology"].names) + 1
        )
    seen = []
    put_on = writeback._put_on

    def noted(store, run_id, *words):
        seen.append(words[1:])
        assert promoted(store) == [run_id]
        put_on(store, run_id, *words)

    monkeypatch.setattr(writeback, "_put_on", noted)
    for run, prediction in (one, two):
        done = write_predictions(store, run, prediction, cohort)
        assert (done.predicted, done.unchanged, done.promoted) == (
            *(0, len(prediction.strain_ids)), True,
        )  # fmt: skip
        assert promoted(store) == [run.id]
    assert len(seen) > 5
    assert state(store) == whole
    assert not wrong(store)


@pytest.mark.parametrize("step", ["_take_off", "_put_on"])
def test_interrupted_between_parts_no_run_is_mixed_and_again_ends_it(store, monkeypatch, step):
    cohort = select(store)
    one, two = made_up(cohort, 1), made_up(cohort, 2)
    write_predictions(store, *one, cohort)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writeback, "PROMOTED_AT_ONCE", 4)
        left, work = [2], getattr(writeback, step)

        def broken(*words):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            work(*words)

        patch.setattr(writeback, step, broken)
        with pytest.raises(KeyboardInterrupt):
            write_predictions(store, *two, cohort)
    # who starts at the promoted run reads all of its predictions
    assert promoted(store) == [two[0].id]
    whole = store.query(PROMOTED_PREDICTIONS)
    assert len(whole) == len(two[1].strain_ids)
    # who reads what strains carry finds one run's, or nothing
    held = store.query(
        "MATCH (r:Run)-[p:PREDICTED]->(s:Strain) WHERE s.predicted_run = r.id "
        "RETURN r.id AS run, p.fitness AS f, s.predicted_fitness AS g"
    ).to_pylist()
    assert {row["run"] for row in held} == {(one if step == "_take_off" else two)[0].id}
    assert all(row["f"] == row["g"] for row in held)
    assert wrong(store)
    monkeypatch.setattr(writeback, "PROMOTED_AT_ONCE", 4)
    write_predictions(store, *two, cohort)
    parts = state(store)
    monkeypatch.undo()
    write_predictions(store, *two, cohort)
    assert state(store) == parts
    assert promoted(store) == [two[0].id]
    assert not wrong(store)


def test_ranges_hold_every_id_once_however_a_server_orders_them():
    draw = np.random.default_rng(0)
    letters = ["A", "~", "\u00e9", "\uff5e", "\U0001d11e"]
    ids = sorted({"".join(draw.choice(letters, 4)) for _ in range(400)}, key=str.encode)
    ranges = list(writeback._ranges(pa.array(ids), 15))
    assert len(ranges) > 5
    for order in (str.encode, lambda text: text.encode("utf-16-be")):
        for name in ids:
            where = [
                (first, last)
                for first, last in ranges
                if (first is None or order(first) <= order(name))
                and (last is None or order(name) < order(last))
            ]
            assert len(where) == 1


def test_a_database_of_other_genes_is_refused_before_anything_is_written(store):
    cohort = select(store)
    run, prediction = made_up(cohort, 1)
    before = store.counts()
    with pytest.raises(GenographError, match="other genes"):
        write_predictions(store, run, replace(prediction, genes_sha256="0" * 64), cohort)
    assert store.counts() == before


def test_a_prediction_that_is_not_finite_is_not_written_or_promoted(embedded):
    cohort = select(embedded)
    write_predictions(embedded, *made_up(cohort, 1), cohort)
    before = state(embedded)
    for quantity, part, number, strain in (
        ("fitness", "mean", np.nan, "YAL001C"),
        ("fitness", "sd", np.inf, "YAL001C"),
        ("interaction", "mean", np.inf, "YAL001C+YAL002C"),
        ("morphology", "mean", np.nan, "YAL001C"),
    ):
        run, prediction = made_up(cohort, 2)
        numbers = getattr(prediction[quantity], part).copy()
        numbers[prediction.strain_ids.to_pylist().index(strain)] = number
        changed = prediction[quantity]._replace(**{part: numbers})
        spoiled = replace(prediction, quantities={**prediction.quantities, quantity: changed})
        where = f"{quantity} of 1 of {len(prediction)} strains ({strain}); nothing is written"
        with pytest.raises(RunError, match=f"predicts no finite {re.escape(where)}"):
            write_predictions(embedded, run, spoiled, cohort)
        assert state(embedded) == before


def test_numbers_that_a_run_does_not_owe_may_be_missing(embedded):
    cohort = select(embedded)
    run, prediction = made_up(cohort, 1)
    few = cohort.strains.n_perturbed < 2
    interaction = prediction["interaction"]
    for numbers in interaction[:2]:
        numbers[few] = np.nan
    prediction["fitness"].sd[:] = np.nan
    expression = cohort.vectors["expression"]
    columns = np.ones((len(prediction), len(expression.names)), np.float32)
    columns[:, expression.gene < 0] = np.nan
    more = {"expression": Predicted(columns, columns * np.nan, expression.names)}
    whole = replace(prediction, quantities={**prediction.quantities, **more})
    assert not any(lacking.any() for lacking in whole.find_missing(cohort).values())
    assert write_predictions(embedded, run, whole, cohort).predicted == len(whole)
