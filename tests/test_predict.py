"""Prediction: any strains of a run's genome, aligned, repeatable, and refused where it must be."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from model_cohort import cohort_of, strains_of
from test_train import config_of

from genograph.cohorts import save_cohort
from genograph.errors import RunError
from genograph.models import find_model
from genograph.prediction import predict
from genograph.run import Run
from genograph.training import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    cohort = cohort_of()
    save_cohort(cohort, folder / "cohort")
    return train(cohort, config_of(members=2), folder / "run", cohort_folder=folder / "cohort")


def new_strains(genotypes):
    """Strains of single mutants that the cohort has no row of."""
    strains = strains_of(genotypes, 30)
    # their rows are their own, not the cohort's
    return dataclasses.replace(strains, single=np.full(len(strains.gene), -1))


def assert_close(one, other, **tolerance):
    """Means and s.d. of every quantity agree, and are missing in the same places."""
    assert set(one.quantities) == {"fitness", "interaction", "expression", "morphology"}
    assert one.quantities.keys() == other.quantities.keys()
    for name in one.quantities:
        for first, second in zip(one[name][:2], other[name][:2], strict=True):
            np.testing.assert_allclose(first, second, equal_nan=True, **tolerance)


def test_a_prediction_is_aligned_with_the_strains_it_is_of(trained):
    cohort = cohort_of()
    found = predict(trained, cohort.strains)
    n = len(cohort.strains)
    assert found.strain_ids == cohort.strains.ids
    assert found["fitness"].mean.shape == found["fitness"].sd.shape == (n,)
    assert found["expression"].mean.shape == found["expression"].sd.shape == (n, 31)
    assert found["morphology"].mean.shape == (n, 3)
    assert found["expression"].names == cohort.vectors["expression"].names
    assert found["morphology"].names == cohort.vectors["morphology"].names
    assert found.genes_sha256 == cohort.genome.genes_sha256
    few = cohort.strains.n_perturbed < 2
    assert np.isnan(found["interaction"].mean[few]).all()
    assert np.isfinite(found["interaction"].mean[~few]).all()
    assert np.isfinite(found["fitness"].mean).all()
    assert (found["fitness"].sd[cohort.strains.n_perturbed == 1] > 0).all()
    # the last column's gene is not in the genome
    assert np.isnan(found["expression"].mean[:, -1]).all()
    assert np.isfinite(found["expression"].mean[:, :-1]).all()


def test_the_wild_type_is_exact_after_training(trained):
    cohort = cohort_of()
    found = predict(trained, new_strains([[], [(1, 1.0)]]))
    np.testing.assert_allclose(found["fitness"].mean, 1.0, atol=1e-6)
    assert (found["expression"].mean[:, :-1] == 0).all()
    values = cohort.vectors["morphology"].values[
        cohort.strain_fold[cohort.vectors["morphology"].strain] == 0
    ]
    wild = found.strain_ids.to_pylist().index("WT")
    np.testing.assert_allclose(found["morphology"].mean[wild], np.nanmedian(values, 0), rtol=1e-6)


def test_predictions_do_not_depend_on_what_is_predicted_beside_them(trained, monkeypatch):
    cohort = cohort_of()
    whole = predict(trained, cohort.strains)
    sizes, asked = {"fitness": 7, "expression": 3, "morphology": 5}, set()

    def few(_model, phenotype):
        asked.add(phenotype)
        return sizes[phenotype]

    monkeypatch.setattr(find_model("genome"), "strains_at_once", few)
    chunked = predict(trained, cohort.strains)
    assert asked == set(sizes)
    assert_close(whole, chunked, rtol=1e-4, atol=1e-5)


def test_a_pair_s_prediction_is_built_on_its_measured_single_mutants(trained):
    cohort = cohort_of()
    f, s = cohort.fitness, cohort.strains
    found = predict(trained, s, heads=("fitness",))
    single = np.full(len(s), np.nan)
    single[f.strain] = f.value
    pairs = np.flatnonzero(s.n_perturbed == 2)
    product = np.array([single[s.single[s.offsets[i] : s.offsets[i + 1]]].prod() for i in pairs])
    # fitness - interaction is the product of the singles, by the definition of the score
    np.testing.assert_allclose(
        found["fitness"].mean[pairs] - found["interaction"].mean[pairs],
        product,
        rtol=1e-5,
        atol=1e-6,
    )


def test_unmeasured_strains_of_any_order_are_predicted(trained):
    strains = new_strains([[(g, 0.0) for g in range(k)] for k in range(6)] + [[(8, 2.0)]])
    found = predict(trained, strains)
    assert np.isfinite(found["fitness"].mean).all()
    assert len(found.strain_ids) == 7


def test_no_strains_give_empty_arrays(trained):
    found = predict(trained, new_strains([]))
    assert found["fitness"].mean.shape == (0,)
    assert found["expression"].mean.shape == (0, 31)


def test_heads_can_be_chosen(trained):
    found = predict(trained, new_strains([[(1, 0.0)]]), heads=("morphology",))
    assert list(found.quantities) == ["morphology"]
    with pytest.raises(RunError, match="no prediction of fitness; choose from morphology"):
        found["fitness"]
    assert found["morphology"].mean.shape == (1, 3)
    with pytest.raises(RunError, match="no head growth; choose from fitness"):
        predict(trained, new_strains([]), heads=("growth",))


def test_double_precision_runs_predict(tmp_path):
    cohort = cohort_of()
    found = []
    for precision in ("64-true", "32-true"):
        run = train(cohort, config_of(precision=precision), tmp_path / precision)
        found.append(predict(run, cohort.strains, cohort=cohort))
    assert_close(*found, rtol=0.05, atol=0.02)


def test_one_member_has_no_sd(trained, tmp_path):
    run = train(cohort_of(), config_of(heads=("fitness",)), tmp_path / "run")
    found = predict(run, new_strains([[(1, 0.0)]]), cohort=cohort_of())
    assert np.isnan(found["fitness"].sd).all()
    with pytest.raises(RunError, match="does not know its cohort folder"):
        predict(run, new_strains([]))


def test_genes_outside_the_vocabulary_are_refused_by_name(trained):
    strains = new_strains([[(1, 0.0)], [(2, 0.0)]])
    outside = dataclasses.replace(strains, gene=np.array([1, 30]))
    with pytest.raises(RunError, match=r"outside the run's 30-gene vocabulary: YAL002C"):
        predict(trained, outside)


def test_another_cohort_is_refused(trained):
    with pytest.raises(RunError, match="cohort hash"):
        predict(trained, new_strains([]), cohort=cohort_of(seed=1))


def test_a_changed_checkpoint_is_refused(trained, tmp_path):
    import shutil

    shutil.copytree(trained.folder, tmp_path / "run")
    path = tmp_path / "run" / "member-1" / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(RunError, match="changed or damaged"):
        predict(Run.open(tmp_path / "run"), new_strains([]))
    path.unlink()
    with pytest.raises(RunError, match="no such checkpoint"):
        predict(Run.open(tmp_path / "run"), new_strains([]))


@pytest.mark.parametrize("digest", ["\ud800", "0" * 63, "0" * 64 + "\n", 7, None])
@pytest.mark.parametrize("name", ["cohort_sha256", "terms_sha256"])
def test_what_is_no_hash_is_refused(trained, tmp_path, name, digest):
    record = json.loads((trained.folder / "run.json").read_text()) | {name: digest}
    (tmp_path / "run.json").write_text(json.dumps(record))
    # half of a surrogate pair is no text, so the whole file is no JSON
    words = "is no JSON" if digest == "\ud800" else f"{name}: got"
    with pytest.raises(RunError, match=f"damaged run .{words}"):
        Run.open(tmp_path)


@pytest.mark.parametrize("name", ["version", "created", "device", "facts"])
def test_a_run_that_lacks_what_is_read_of_it_is_refused(trained, tmp_path, name):
    record = json.loads((trained.folder / "run.json").read_text())
    del record[name]
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=f"damaged run .{name} is missing"):
        Run.open(tmp_path)


@pytest.mark.parametrize("engine", ["swift", 7])
def test_a_run_of_an_engine_that_is_not_there_is_refused(trained, tmp_path, engine):
    record = json.loads((trained.folder / "run.json").read_text())
    # the engine that auto found is a fact of the run
    record["model"]["engine"] = "auto"
    record["facts"]["engine"] = engine
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=f"no engine is called {engine}; choose one of auto, delta"):
        predict(Run.open(tmp_path), new_strains([]))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"run\.json is missing"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged run"):
        Run.open(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="run format 99"):
        Run.open(tmp_path)


def test_a_prediction_becomes_an_arrow_table_with_null_where_there_is_no_score(trained):
    table = predict(trained, new_strains([[(1, 0.0)], [(1, 0.0), (2, 0.0)]])).to_arrow()
    assert table["strain"].to_pylist() == ["YAL001C", "YAL001C+YAL002C"]
    assert table["interaction"].null_count == 1
    assert table["fitness"].type == pa.float32()
    assert len(table["expression"][0].as_py()) == 31
    assert np.isnan(table["expression"][0].as_py()[-1])
