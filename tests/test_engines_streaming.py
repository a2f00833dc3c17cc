"""Large trainings: plans made batch by batch, arrays mapped from disk, half precision, pace."""

import numpy as np
import pytest
import torch
from model_cohort import cohort_of
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from test_train import config_of, metrics

from genograph.cohorts import TRAIN, load_cohort
from genograph.cohorts.mapped import mapped
from genograph.errors import CohortError
from genograph.nn.config import TrainConfig
from genograph.nn.plans import Plan, Planner
from genograph.nn.setting import single_effects
from genograph.nn.tasks import Stream, tasks_of
from genograph.nn.topology import Topology
from genograph.run import file_sha256
from genograph.training import train


def tasks(cohort):
    effects = single_effects(cohort, floor=0.05).log_fitness
    return tasks_of(cohort, TRAIN, effects, Topology.of(cohort.genome), TrainConfig())


def test_a_plan_made_when_it_is_asked_for_is_the_plan_made_before(monkeypatch):
    cohort = cohort_of()
    whole = tasks(cohort)
    monkeypatch.setattr("genograph.nn.plans.MOST_PLANNED", 5)
    later = tasks(cohort)
    rows = np.random.default_rng(0).permutation(12)
    for name in whole._fields:
        one, other = getattr(whole, name).plan, getattr(later, name).plan
        assert isinstance(one, Plan)
        assert isinstance(other, Planner)
        assert one.n_strain == other.n_strain
        for a, b in zip(one.take(rows), other.take(rows), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_training_from_disk_and_batch_by_batch_gives_the_same_weights(tmp_path, monkeypatch):
    cohort = cohort_of()
    cohort.save(tmp_path / "cohort")
    one = train(cohort, config_of(epochs=2), tmp_path / "one")
    monkeypatch.setattr("genograph.nn.plans.MOST_PLANNED", 5)
    other = train(load_cohort(tmp_path / "cohort"), config_of(epochs=2), tmp_path / "other")
    assert file_sha256(one.checkpoint(0)) == file_sha256(other.checkpoint(0))


def test_mapped_arrays_are_those_of_the_library_and_writing_leaves_the_file_alone(tmp_path):
    path = tmp_path / "arrays.safetensors"
    arrays = {
        "half": np.arange(12, dtype=np.float32).reshape(3, 4),
        "whole": np.arange(5),
        "none": np.zeros((0, 3), np.int8),
        "yes": np.array([True, False]),
        "text": np.frombuffer(b"YAL001C", np.uint8).copy(),
    }
    save_file(arrays, path, metadata={"made": "here"})
    before = path.read_bytes()
    found, expected = mapped(path), load_file(path)
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    found["whole"][0] = 99
    torch.from_numpy(found["half"]).add_(1.0)
    assert path.read_bytes() == before
    path.write_bytes(before[:-3])
    with pytest.raises(SafetensorError):
        mapped(path)


def test_a_cohort_whose_file_was_changed_on_disk_is_refused(tmp_path):
    cohort_of().save(tmp_path / "cohort")
    path = tmp_path / "cohort" / "labels.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CohortError, match="does not match its hash"):
        load_cohort(tmp_path / "cohort")


@pytest.mark.parametrize(("n", "quota"), [(10, 3), (7, 7), (5, 12), (1, 4)])
def test_a_stream_in_slices_is_the_stream_one_by_one(n, quota):
    stream = Stream(n, quota, (3, 1))
    quota = min(quota, n)
    laps = [np.random.default_rng((3, 1, lap)).permutation(n) for lap in range(12)]
    expected = np.concatenate(laps)
    for step in (4, 0, 9):
        chosen = stream.at(step)
        np.testing.assert_array_equal(chosen, expected[step * quota : (step + 1) * quota])


def test_half_precision_changes_losses_by_less_than_two_percent(tmp_path):
    full = train(cohort_of(), config_of(epochs=2), tmp_path / "full")
    half = train(cohort_of(), config_of(epochs=2, precision="bf16-mixed"), tmp_path / "half")
    for one, other in zip(metrics(full.folder), metrics(half.folder), strict=True):
        for name in ("loss_pairs", "loss_singles", "loss_expression", "loss_morphology"):
            assert float(other[name]) == pytest.approx(float(one[name]), rel=0.02, abs=0.02)


def test_the_planned_time_of_an_epoch_is_said_before_it_starts(tmp_path):
    said = []
    train(
        cohort_of(),
        config_of(epochs=2, members=2),
        tmp_path / "run",
        report=lambda fraction, words: said.append((fraction, words)),
    )
    first, *others = said
    assert first[0] == 0.0
    assert "steps an epoch, about" in first[1]
    assert "s planned" in first[1]
    assert "engine delta (auto: a perturbation walks" in first[1] or "shared (auto:" in first[1]
    assert not any("planned" in words for _, words in others)
