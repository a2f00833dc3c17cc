"""Training: resume, interruption, configuration, several processes; the wild type throughout."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from model_cohort import cohort_of
from safetensors.torch import load_file

from genograph.cohorts import TRAIN
from genograph.config import TrainConfig, read_config
from genograph.errors import RunError
from genograph.run import Run
from genograph.training import train
from genograph.training.fit import rate

TINY = {
    # "auto" times engines, and those of different speed differ in last digits
    "engine": "delta",
    "width": 8,
    "hidden": 8,
    "change": 4,
    "growth": 2,
    "projected": 6,
    "members": 1,
    "epochs": 4,
    "steps_per_epoch": 3,
    "batch": {"pairs": 16, "singles": 8, "expression": 4, "morphology": 4},
    "device": "cpu",
    "threads": 1,
}


def config_of(**options):
    return read_config(**(TINY | options))


def weights(folder, member=0):
    return load_file(Path(folder) / f"member-{member}" / "model.safetensors")


def metrics(folder):
    with (Path(folder) / "metrics.csv").open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_run_folder_says_what_was_trained_on_what(tmp_path):
    cohort = cohort_of()
    heard = []
    run = train(
        cohort, config_of(members=2), tmp_path / "run", report=lambda f, w: heard.append((f, w))
    )
    assert run.complete
    held = json.loads((tmp_path / "run" / "run.json").read_text())
    assert held["cohort_sha256"] == cohort.sha256
    assert held["genes_sha256"] == cohort.genome.genes_sha256
    assert held["seeds"] == [0, 1]
    assert held["facts"]["engine"] == "delta"
    assert held["facts"]["expression_columns_without_gene"] == 1
    assert held["examples"]["train"]["pairs"] > 20
    assert set(held["checkpoints"]) == {f"member-{k}/model.safetensors" for k in (0, 1)}
    assert heard[0][0] == 0.0
    assert "cpu" in heard[0][1]
    assert "1 thread" in heard[0][1]
    assert heard[-1][0] == 1.0
    assert [f for f, _ in heard] == sorted(f for f, _ in heard)
    assert (weights(run.folder)["named"] != weights(run.folder, 1)["named"]).any()


def test_training_lowers_the_loss_and_the_wild_type_stays_exact(tmp_path):
    train(cohort_of(), config_of(epochs=12), tmp_path / "run")
    rows = metrics(tmp_path / "run")
    assert [int(r["epoch"]) for r in rows] == list(range(1, len(rows) + 1))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert all(abs(float(r["wild_type_fitness"]) - 1) < 1e-6 for r in rows)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    for name in ("one", "two"):
        train(cohort_of(), config_of(), tmp_path / name)
    assert_equal_weights(weights(tmp_path / "one"), weights(tmp_path / "two"))
    train(cohort_of(), config_of(seed=1), tmp_path / "three")
    assert (weights(tmp_path / "three")["named"] != weights(tmp_path / "one")["named"]).any()


def test_a_member_whose_weights_are_gone_or_changed_is_made_again(tmp_path):
    config = config_of(members=2, epochs=2)
    run = train(cohort_of(), config, tmp_path / "run")
    before = [run.checkpoint(member).read_bytes() for member in (0, 1)]
    run.checkpoint(0).unlink()
    run.checkpoint(1).write_bytes(before[1][:-1] + b"x")
    again = train(cohort_of(), config, tmp_path / "run")
    assert again.complete
    assert [again.checkpoint(member).read_bytes() for member in (0, 1)] == before
    # without its state too, the member trains from its beginning
    (tmp_path / "run" / "member-1" / "state.safetensors").unlink()
    (tmp_path / "run" / "member-1" / "model.safetensors").unlink()
    again = train(cohort_of(), config, tmp_path / "run")
    assert_equal_weights(weights(run.folder, 1), weights(again.folder, 1))


def test_a_complete_training_says_that_there_is_nothing_to_do(tmp_path):
    told = []
    for _ in range(2):
        train(
            cohort_of(),
            config_of(),
            tmp_path / "run",
            report=lambda done, words: told.append(words),
        )
    assert told[-1] == "complete already, 1 member"
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize("engine", ["shared", "dgl"])
def test_every_engine_trains_to_the_same_weights(tmp_path, engine):
    cohort = cohort_of()
    train(cohort, config_of(precision="64-true", epochs=2), tmp_path / "delta")
    run = train(cohort, config_of(precision="64-true", epochs=2, engine=engine), tmp_path / engine)
    assert run.record.facts["engine"] == engine
    one, other = weights(tmp_path / "delta"), weights(tmp_path / engine)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-5, atol=1e-6, msg=name)


class Killed(RuntimeError):
    """Stands for the end of the process."""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.25, 0.7])
def test_a_killed_training_resumes_to_the_weights_of_an_unbroken_one(tmp_path, after):
    cohort, config = cohort_of(), config_of(members=2)
    train(cohort, config, tmp_path / "whole")

    def kill(fraction, words):
        if fraction > after:
            raise Killed(words)

    with pytest.raises(Killed):
        train(cohort, config, tmp_path / "broken", report=kill)
    assert not Run.open(tmp_path / "broken").complete
    run = train(cohort, config, tmp_path / "broken")
    assert run.complete
    for member in range(2):
        assert_equal_weights(
            weights(tmp_path / "whole", member), weights(tmp_path / "broken", member)
        )
    timed = ("seconds",)
    for one, other in zip(metrics(tmp_path / "whole"), metrics(tmp_path / "broken"), strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {
            k: v for k, v in other.items() if k not in timed
        }


def test_ctrl_c_leaves_a_run_that_says_so_and_resumes(tmp_path):
    cohort, config = cohort_of(), config_of()

    def stop(fraction, words):
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cohort, config, tmp_path / "run", report=stop)
    assert Run.open(tmp_path / "run").record.status == "interrupted"
    assert train(cohort, config, tmp_path / "run").complete


def test_a_complete_run_is_returned_as_it_is(tmp_path):
    cohort, config = cohort_of(), config_of()
    run = train(cohort, config, tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in sorted((tmp_path / "run").rglob("*"))}
    assert train(cohort, config, tmp_path / "run").id == run.id
    assert {p: p.stat().st_mtime_ns for p in sorted((tmp_path / "run").rglob("*"))} == before


def test_another_configuration_or_cohort_in_the_same_folder_is_refused(tmp_path):
    train(cohort_of(), config_of(), tmp_path / "run")
    with pytest.raises(RunError, match=r"another configuration \(training.epochs\)"):
        train(cohort_of(), config_of(epochs=5), tmp_path / "run")
    with pytest.raises(RunError, match="another cohort"):
        train(cohort_of(seed=1), config_of(), tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="holds no training"):
        train(cohort_of(), config_of(), tmp_path / "other")


def test_a_damaged_state_is_refused(tmp_path):
    cohort, config = cohort_of(), config_of()

    def stop(fraction, words):
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cohort, config, tmp_path / "run", report=stop)
    state = tmp_path / "run" / "member-0" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:200])
    with pytest.raises(RunError, match="damaged checkpoint"):
        train(cohort, config, tmp_path / "run")


def test_heads_without_experiments_are_left_out_and_named(tmp_path):
    cohort = cohort_of()
    measured = {k: v for k, v in cohort.measured.items() if k != "expression"}
    cohort = dataclasses.replace(cohort, measured=measured)
    run = train(cohort, config_of(), tmp_path / "run")
    assert run.config.model.heads == ("fitness", "morphology")
    assert run.record.heads_left_out == ("expression",)
    with pytest.raises(RunError, match="no experiments of expression"):
        train(cohort, config_of(heads=("expression",)), tmp_path / "other")


@pytest.mark.parametrize("heads", [("fitness",), ("expression",), ("morphology",)])
def test_each_head_trains_alone(tmp_path, heads):
    run = train(cohort_of(), config_of(heads=heads), tmp_path / "run")
    assert run.config.model.heads == heads
    assert all(np.isfinite(float(r["loss"])) for r in metrics(tmp_path / "run"))


def test_a_fold_without_training_strains_is_refused(tmp_path):
    cohort = cohort_of()
    none = dataclasses.replace(cohort, strain_fold=np.full_like(cohort.strain_fold, 2))
    with pytest.raises(RunError, match="no fitness experiment in its training fold"):
        train(none, config_of(), tmp_path / "run")


def test_training_without_measured_singles_hides_them(tmp_path):
    cohort = cohort_of()
    train(cohort, config_of(singles="hidden"), tmp_path / "run")
    assert (weights(tmp_path / "run")["statistics.known"] == 0).all()


def test_half_precision_trains(tmp_path):
    run = train(cohort_of(), config_of(precision="bf16-mixed"), tmp_path / "run")
    assert all(np.isfinite(float(r["loss"])) for r in metrics(run.folder))
    assert all(abs(float(r["wild_type_fitness"]) - 1) < 1e-6 for r in metrics(run.folder))


def test_early_stopping_keeps_the_best_epoch(tmp_path):
    run = train(
        cohort_of(n_pair=250),
        config_of(epochs=40, patience=2, learning_rate=0.05),
        tmp_path / "run",
    )
    rows = metrics(run.folder)
    scores = [float(r["validation_interaction"]) for r in rows]
    assert len(rows) < 40
    assert int(np.argmax(scores)) == len(rows) - 3


def test_a_time_limit_shortens_the_training(tmp_path):
    # epochs of some length, so that a moment of a busy machine is none
    config = config_of(epochs=10_000, steps_per_epoch=30, minutes=0.06, patience=9_999)
    run = train(cohort_of(), config, tmp_path / "r")
    rows = metrics(run.folder)
    assert len(rows) < 10_000
    assert float(rows[-1]["seconds"]) < 3.6
    # the schedule was brought to its end
    assert float(rows[-1]["learning_rate"]) < 0.5 * read_config().training.learning_rate


@pytest.mark.slow
def test_a_time_limit_within_an_epoch_stops_after_its_step_and_the_same_command_resumes(tmp_path):
    cohort = cohort_of()
    config = config_of(epochs=1, steps_per_epoch=2, minutes=1e-9)
    for step in (1, 2):
        where = f"1e-09 minutes was reached: .*step {step} of 2 of epoch 1 of member 1 of 1"
        with pytest.raises(RunError, match=f"{where}; .*the same command resumes"):
            train(cohort, config, tmp_path / "parts")
        assert Run.open(tmp_path / "parts").record.status == "interrupted"
    assert train(cohort, config, tmp_path / "parts").complete
    train(cohort, config_of(epochs=1, steps_per_epoch=2), tmp_path / "whole")
    assert_equal_weights(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    losses = [[row["loss"] for row in metrics(tmp_path / name)] for name in ("whole", "parts")]
    assert losses[0] == losses[1]


def outlier_of(value, **columns):
    """The cohort with one label far from all others, and the strain that has it."""
    cohort = cohort_of()
    trained = np.flatnonzero(
        (cohort.strain_fold[cohort.fitness.strain] == TRAIN)
        & (cohort.strains.n_perturbed[cohort.fitness.strain] == 1)
    )
    labels = {name: getattr(cohort.fitness, name).copy() for name in columns or ("value",)}
    for name in labels:
        labels[name][trained[0]] = columns.get(name, value)
    fitness = dataclasses.replace(cohort.fitness, **labels)
    measured = {**cohort.measured, "fitness": fitness}
    strain = cohort.strains.ids[int(fitness.strain[trained[0]])].as_py()
    return dataclasses.replace(cohort, measured=measured), strain


@pytest.mark.parametrize(
    "options", [{}, {"model": "deepset", "windows": "upstream"}], ids=["genome", "deepset"]
)
def test_training_stops_at_the_first_loss_that_is_not_finite(tmp_path, options):
    cohort, strain = outlier_of(1e30)
    config = config_of(**options) if not options else deepset_of(**options)
    messages = []
    for _ in range(2):
        with pytest.raises(RunError) as caught:
            train(cohort, config, tmp_path / "run")
        messages.append(str(caught.value))
        run = Run.open(tmp_path / "run")
        assert (run.record.status, dict(run.record.checkpoints)) == ("interrupted", {})
    assert messages[0] == messages[1]
    assert "member 1: training stopped at step 1 of 3 of epoch 1: the loss of " in messages[0]
    assert f"fitness 1e+30 with s.d. 0.02 of {strain}" in messages[0]
    assert not list((tmp_path / "run").rglob("*.safetensors"))


def deepset_of(**options):
    keys = ("members", "epochs", "steps_per_epoch", "batch", "device", "threads")
    return read_config(**({key: TINY[key] for key in keys} | options))


def test_the_learning_rate_rises_then_falls_to_nothing():
    config = read_config(learning_rate=1.0, warm_up=0.1).training
    rates = [rate(config, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (k + 1) for k in range(10)])
    assert np.argmax(rates) == 9 or rates[10] == 1.0
    assert rates[-1] < 0.001
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_a_configuration_is_read_from_toml_and_flags_win(tmp_path):
    path = tmp_path / "train.toml"
    path.write_text("[model]\nwidth = 16\n[training]\nepochs = 7\nmembers = 2\n")
    config = read_config(path, members=4)
    assert (config.model.width, config.training.epochs, config.training.members) == (16, 7, 4)
    assert read_config() == TrainConfig()
    path.write_text("[model]\nname = 'deepset'\nwindows = 'downstream'\n")
    assert read_config(path).model.windows == "downstream"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nepoch = 7", "no setting is called epoch; choose from seed, members"),
        ("[training]\nepochs = 0", "setting epochs: got 0"),
        ("[training]\nbatch = {pair = 3}", "no task is called pair; choose from pairs, singles"),
        ("[training]\nbatch = {pairs = 0}", "batch.pairs is 0, wanted 1 or more"),
        ("[model]\nheads = ['fitnes']", "heads are one or more of fitness, expression, morphology"),
        ("[model]\nwidht = 7", "no setting is called widht; choose from name, heads, engine"),
        ("[model]\nname = 'dipset'", "no model is called 'dipset'; choose one of deepset, genome"),
        ("epochs = 7", "epochs stands outside of the tables"),
        ("epochs = ", "cannot be read as TOML"),
    ],
)
def test_a_bad_configuration_is_one_clear_line(tmp_path, text, message):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(RunError, match=message) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)
    assert "train.toml" in str(caught.value)


def test_a_missing_configuration_and_device_are_refused(tmp_path):
    with pytest.raises(RunError, match="no such file"):
        read_config(tmp_path / "train.toml")
    if not torch.cuda.is_available():
        with pytest.raises(RunError, match="no CUDA device"):
            train(cohort_of(), config_of(device="cuda"), tmp_path / "run")


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from model_cohort import cohort_of
from test_train import config_of
from genograph.training import train
train(cohort_of(), config_of(epochs=3, average=0.5), {out!r})
"""


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
    tests = str(Path(__file__).parent)
    script = tmp_path / "job.py"
    script.write_text(SCRIPT.format(tests=tests, out=str(tmp_path / "two")))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(script)], capture_output=True, text=True, env=environment, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    train(cohort_of(), config_of(epochs=3, average=0.5), tmp_path / "one")
    assert Run.open(tmp_path / "two").record.processes == 2
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    for a, b in zip(one, two, strict=True):
        for name in ("loss_pairs", "loss_singles", "loss_expression", "loss_morphology"):
            assert float(a[name]) == pytest.approx(float(b[name]), abs=1e-4, rel=1e-4)
