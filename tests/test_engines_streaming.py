"""Large trainings: plans made batch by batch, arrays mapped from disk, half precision, pace."""

import re

import numpy as np
import pytest
import torch
from model_cohort import cohort_of
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from test_train import config_of, metrics

from genograph.cohorts import TRAIN, VALIDATION, load_cohort, save_cohort
from genograph.cohorts.mapped import map_arrays
from genograph.cohorts.ragged import find_rows
from genograph.config import read_config
from genograph.errors import CohortError
from genograph.files import hash_file
from genograph.models._statistics import single_effects
from genograph.models.genome import GenomeModel
from genograph.training import train
from genograph.training.examples import Stream, find_examples


def tasks(cohort, fold=TRAIN, **options):
    inputs = GenomeModel.read_inputs(cohort, read_config().model)
    return find_examples(cohort, inputs, fold, **options)


def statistics_of(cohort):
    config = read_config().model
    return GenomeModel.fit_statistics(cohort, GenomeModel.read_inputs(cohort, config), config)


def test_a_plan_made_when_it_is_asked_for_is_the_plan_made_before(monkeypatch):
    cohort = cohort_of()
    whole = tasks(cohort)
    monkeypatch.setattr("genograph.training.examples.MOST_PLANNED", 5)
    later = tasks(cohort)
    for name, task in whole.items():
        strain = task.strains()
        assert len(strain) > 5
        assert later[name].plans._known is None
        rows = np.random.default_rng(0).permutation(strain)
        for a, b in zip(task.plans.take(rows), later[name].plans.take(rows), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_training_from_disk_and_batch_by_batch_gives_the_same_weights(tmp_path, monkeypatch):
    cohort = cohort_of()
    save_cohort(cohort, tmp_path / "cohort")
    one = train(cohort, config_of(epochs=2), tmp_path / "one")
    monkeypatch.setattr("genograph.training.examples.MOST_PLANNED", 5)
    other = train(load_cohort(tmp_path / "cohort"), config_of(epochs=2), tmp_path / "other")
    assert hash_file(one.checkpoint(0)) == hash_file(other.checkpoint(0))


def test_arrays_walked_in_pieces_give_the_same_rows_examples_and_statistics(monkeypatch):
    cohort = cohort_of()
    whole = tasks(cohort), single_effects(cohort, floor=0.05), statistics_of(cohort)
    monkeypatch.setattr("genograph.cohorts.ragged.PIECE", 7)
    parts = tasks(cohort), single_effects(cohort, floor=0.05), statistics_of(cohort)
    for name in ("pairs", "singles"):
        one, other = whole[0][name], parts[0][name]
        assert len(one) > 7
        every = np.arange(len(one))
        for a, b in zip(one.take(every), other.take(every), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(whole[1].log_fitness, parts[1].log_fitness)
    for name, one in whole[2].items():
        torch.testing.assert_close(one, parts[2][name], msg=name)
    kept = np.random.default_rng(0).random(50) < 0.4
    found = find_rows(50, lambda piece: kept[piece])
    np.testing.assert_array_equal(found, np.flatnonzero(kept))
    assert found.dtype == np.int32


def test_of_a_large_validation_fold_evenly_spaced_examples_decide_and_the_rest_is_counted(
    tmp_path, monkeypatch
):
    cohort = cohort_of()
    everything = tasks(cohort, VALIDATION)
    few = tasks(cohort, VALIDATION, most=4)
    n = len(everything["pairs"])
    assert n > 8
    assert (len(few["pairs"]), few["pairs"].n_left_out) == (4, n - 4)
    gaps = np.diff(np.searchsorted(everything["pairs"].rows, few["pairs"].rows))
    assert gaps.max() - gaps.min() <= 1
    assert everything["pairs"].n_left_out == 0
    monkeypatch.setattr("genograph.training.ensemble.MOST_VALIDATED", 4)
    said = []
    run = train(cohort, config_of(epochs=1), tmp_path / "run", report=lambda f, w: said.append(w))
    left_out = run.record.validation_left_out
    assert left_out["pairs"] == n - 4
    assert run.record.examples["validation"]["pairs"] == 4
    assert f"validation without {sum(left_out.values())} more examples" in said[0]


def test_memory_for_a_record_is_a_few_bytes_beside_the_mapped_file(tmp_path):
    # what a training holds of each record: its row, its place in the order, its strain's effect
    cohort = cohort_of()
    save_cohort(cohort, tmp_path / "cohort")
    held = load_cohort(tmp_path / "cohort")
    examples = tasks(held)
    pairs, vectors = examples["pairs"], examples["expression"]
    assert pairs._measured is held.fitness
    assert isinstance(held.fitness.value.base, np.memmap)
    assert pairs.rows.nbytes == 4 * len(pairs)
    # a vector is a row of the mapped matrix, too
    assert vectors._measured is held.vectors["expression"]
    assert isinstance(held.vectors["expression"].values.base, np.memmap)
    assert vectors.rows.nbytes == 8 * len(vectors)
    stream = Stream(len(pairs), 3, (0, 0))
    stream.at(0)
    assert stream._order[1].nbytes == 4 * len(pairs)


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
    found, expected = map_arrays(path), load_file(path)
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    found["whole"][0] = 99
    torch.from_numpy(found["half"]).add_(1.0)
    assert path.read_bytes() == before
    path.write_bytes(before[:-3])
    with pytest.raises(SafetensorError):
        map_arrays(path)


def test_a_cohort_whose_file_was_changed_on_disk_is_refused(tmp_path):
    save_cohort(cohort_of(), tmp_path / "cohort")
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
        config_of(epochs=2, members=2, engine="auto"),
        tmp_path / "run",
        report=lambda fraction, words: said.append((fraction, words)),
    )
    first, *others = said
    assert first[0] == 0.0
    assert re.search(
        r"3 steps an epoch, at most 2 epochs a member, about \d+ s at the pace of 2 steps", first[1]
    )
    assert re.search(r"engine \w+ \(auto: a step of 8 strains takes delta [\d.]+ ms", first[1])
    assert not any("at most" in words for _, words in others)
