"""The loop that trains any module: stopped within an epoch, numbers not finite, the pace."""

import math

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import nn

from genograph.config import TrainingConfig
from genograph.errors import RunError
from genograph.training.fit import Batches, Epoch, Limit, Planned, Scores, Step, fit

STEPS = 5


class Lines(Batches):
    """Points near a line; from a step on, those of task `b` have other values."""

    steps = STEPS

    def __init__(self, wrong=math.nan, since=math.inf):
        self.wrong, self.since = wrong, since

    def at(self, step, *, rank=0, world=1):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        y = x.sum(1) + 1
        return {"a": (x, y), "b": (x, y if step < self.since else y * self.wrong)}

    def describe(self, step, tasks):
        return f"batch {step} of {','.join(tasks)}"


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Linear(3, 1)

    def forward(self, batch):
        return {n: ((self.line(x)[:, 0] - y) ** 2).mean() for n, (x, y) in batch.items()}


class Nearness:
    def score(self, module):
        score = -float(sum(module(Lines().at(10_000)).values()))
        return Scores({"line": score}, score)

    def seconds(self, module):
        return 0.0


def run(folder, data=None, *, limit=None, **settings):
    heard = []
    config = TrainingConfig(**({"epochs": 4, "device": "cpu", "learning_rate": 0.1} | settings))
    fabric = Fabric(accelerator="cpu", devices=1)
    progress = fit(
        fabric,
        config,
        Line(),
        data or Lines(),
        folder,
        validate=Nearness(),
        report=heard.append,
        limit=limit,
    )
    return progress, heard


LATE = Limit(stop=0.0, plan=math.inf)


def test_a_training_that_stops_after_every_step_ends_with_the_weights_of_an_unbroken_one(tmp_path):
    progress, whole = run(tmp_path / "whole")
    parts, places = [], []
    for _ in range(4 * STEPS):
        stopped, heard = run(tmp_path / "parts", limit=LATE)
        places.append((stopped.epoch, stopped.step))
        assert not stopped.done
        parts += heard
    ended, heard = run(tmp_path / "parts", limit=LATE)
    parts += heard
    assert places == [(epoch, step) for epoch in range(4) for step in range(1, STEPS + 1)]
    assert progress.done
    assert ended.best == progress.best
    one, other = (load_file(tmp_path / f / "model.safetensors") for f in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    losses = [[h.losses for h in each if isinstance(h, Epoch)] for each in (whole, parts)]
    assert losses[0] == losses[1]


def test_a_limit_shortens_the_schedule_and_what_is_at_its_end_does_not_go_on(tmp_path):
    # no further epoch fits, though the training may go on
    progress, heard = run(tmp_path / "short", limit=Limit(stop=math.inf, plan=0.0))
    assert (progress.epoch, progress.planned, progress.done) == (1, 1, True)
    assert isinstance(heard[0], Planned)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e30])
def test_the_first_step_that_is_not_finite_is_named_and_the_state_before_it_kept(tmp_path, wrong):
    data = Lines(wrong, since=STEPS + 3)
    messages = []
    for _ in range(2):
        with pytest.raises(RunError) as caught:
            run(tmp_path, data)
        messages.append(str(caught.value))
        assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]
        assert all(t.isfinite().all() for t in load_file(tmp_path / "state.safetensors").values())
    assert messages[0] == messages[1]
    assert "training stopped at step 4 of 5 of epoch 2: the loss of b is " in messages[0]
    assert f"batch {STEPS + 3} of b; " in messages[0]
    # what was wrong is mended: the training goes on from the last epoch
    progress, heard = run(tmp_path)
    assert progress.done
    assert [told.progress.epoch for told in heard if isinstance(told, Epoch)] == [2, 3, 4]


def test_a_gpu_looks_at_losses_now_and_then_and_names_the_same_step(tmp_path, monkeypatch):
    monkeypatch.setattr("genograph.training.fit._Loop.is_checked", lambda _, n: n + 1 == STEPS)
    with pytest.raises(RunError, match="step 2 of 5 of epoch 1: the loss of b is nan"):
        run(tmp_path, Lines(since=1))


class Steep(Line):
    """A finite loss whose gradient is not."""

    def forward(self, batch):
        losses = super().forward(batch)
        return losses | {"b": (losses["b"] * 0.0).sqrt()}


def test_a_gradient_that_is_not_finite_stops_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("test_fit.Line", Steep)
    with pytest.raises(RunError, match=r"step 1 of 5 of epoch 1: the gradient .* of a, b is not"):
        run(tmp_path)


def test_steps_are_told_about_once_a_second_with_a_pace(tmp_path, monkeypatch):
    clock = iter(range(10**9))
    monkeypatch.setattr("genograph.training.fit.time.perf_counter", lambda: next(clock) * 0.25)
    _, heard = run(tmp_path, epochs=1)
    steps = [told for told in heard if isinstance(told, Step)]
    assert steps
    assert all(told.steps == STEPS and 0 < told.progress.step <= STEPS for told in steps)
    assert all(told.pace.step > 0 for told in steps)
    last = heard[-1].pace
    assert last.seconds(4, 2) == pytest.approx(4 * last.step + 2 * last.validation)
