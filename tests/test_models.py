"""The contract of models, over every model in the folder."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from elsewhere import elsewhere
from model_cohort import cohort_of, strains_of

from genograph import models
from genograph.cohorts import Fitness, Vectors, save_cohort
from genograph.cohorts.ragged import take_strains
from genograph.config import read_config
from genograph.engine import bags
from genograph.errors import RunError
from genograph.models import find_model, model_names
from genograph.prediction import predict
from genograph.run import Run
from genograph.schema import graph_schema
from genograph.training import train
from genograph.training.examples import StrainBatches, find_examples

NAMES = model_names()
TINY = {
    "genome": {"width": 8, "hidden": 8, "change": 4, "growth": 2, "projected": 6},
    "deepset": {"windows": "upstream", "width": 4, "hidden": 8, "projected": 4},
}
"""Small shapes; a model without an entry is tested with its defaults."""


def config_of(name, **settings):
    small = {"members": 1, "epochs": 2, "steps_per_epoch": 3, "device": "cpu", "threads": 1}
    return read_config(model=name, **(TINY.get(name, {}) | small | settings))


def built(name, cohort, *, dtype=torch.float64, device="cpu", **settings):
    """An untrained model on a cohort, moved a little away from where it starts."""
    config = config_of(name, **settings).model
    heads = tuple(head for head in config.heads if head in cohort.measured)
    config = config.model_copy(update={"heads": heads})
    kind = find_model(name)
    inputs = kind.read_inputs(cohort, config, device)
    torch.manual_seed(0)
    model = kind(config, inputs, kind.fit_statistics(cohort, inputs, config)).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.to(device)


@torch.no_grad()
def predicted(model, strains):
    """Every quantity of some strains."""
    out, encoded = {}, model.encode()
    for phenotype in model.config.heads:
        plan = model.inputs.plan(strains, phenotype).tensors(model.inputs.device)
        found = model.predict(encoded, plan, phenotype)
        out |= {name: values.cpu().double().numpy() for name, values in found.items()}
    return out


def close(a, b, *, within=1e-10):
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=0, atol=within, err_msg=name)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_every_model_is_found_by_the_name_of_its_file(name):
    kind = find_model(name)
    assert kind.Config.model_validate({}).name == name
    assert kind.__module__ == f"genograph.models.{name}"


def test_an_unknown_model_is_refused_with_the_choices():
    with pytest.raises(
        RunError, match="no model is called 'dipset'; choose one of deepset, genome"
    ):
        find_model("dipset")


def test_every_quantity_is_one_of_the_schema_and_can_be_written(name):
    model = built(name, cohort_of())
    phenotypes = graph_schema().phenotypes
    for quantity in model.inputs.quantities:
        assert quantity.needs == phenotypes[quantity.phenotype].quantities[quantity.name]
        assert quantity.name in graph_schema().relationships["PREDICTED"].properties
        assert (quantity.columns is None) == (not phenotypes[quantity.phenotype].axis)
    found = predicted(model, cohort_of().strains)
    assert set(found) == {quantity.name for quantity in model.inputs.quantities}


def test_the_wild_type_is_exact_where_the_model_claims_it(name):
    cohort = cohort_of()
    model = built(name, cohort)
    if not model.anchored:
        pytest.skip("the model does not claim it")
    wild = strains_of([[]], 30)
    # a dose of 1 leaves all of a gene's function, which is the wild type too
    same = replace(strains_of([[(3, 0.5), (4, 0.5)]], 30), dose=np.ones(2, np.float32))
    for strains in (wild, same):
        found = predicted(model, strains)
        assert found["fitness"].tolist() == [1.0]
        assert abs(found["interaction"][0]) < 1e-12
        for kind, vectors in cohort.vectors.items():
            if kind not in found:
                continue
            if graph_schema().phenotypes[kind].axis == "gene":
                usable = vectors.gene >= 0
                np.testing.assert_allclose(found[kind][0, usable], 0.0, atol=1e-12)
            else:
                reference = model.statistics[f"{kind}_reference"].numpy()
                np.testing.assert_allclose(found[kind][0], reference, atol=1e-6)


def test_the_order_of_genes_changes_no_prediction(name):
    cohort = cohort_of()
    n_gene = len(cohort.genome.gene_ids)
    moved = permuted(cohort, np.random.default_rng(1).permutation(n_gene))
    a, b = built(name, cohort), built(name, moved)
    with torch.no_grad():
        for one, other in zip(a.parameters(), b.parameters(), strict=True):
            # what is learned gene by gene is made the same for all genes
            if one.ndim == 2 and len(one) == n_gene:
                one.fill_(0.1)
            other.copy_(one)
    # statistics are float32, summed in another order
    close(predicted(a, cohort.strains), predicted(b, moved.strains), within=1e-5)


def permuted(cohort, order):
    """The cohort with its genes in another order: row i is what row order[i] was."""
    place = np.argsort(order)
    genome = cohort.genome
    edges = {}
    for relation, held in genome.edges.items():
        source, _, target = relation.split(":")
        a = place[held.source] if source == "gene" else held.source
        b = place[held.target] if target == "gene" else held.target
        edges[relation] = held._replace(source=a, target=b)
    genes = [genome.gene_ids[i] for i in order]
    genome = replace(
        genome,
        gene_ids=tuple(genes),
        gene_symbols=tuple(genes),
        features=genome.features[order],
        has_features=genome.has_features[order],
        edges=edges,
    )
    strains = replace(cohort.strains, gene=place[cohort.strains.gene])
    measured = {}
    for kind, held in cohort.measured.items():
        if isinstance(held, Vectors) and len(held.gene):
            gene = np.where(held.gene >= 0, place[np.maximum(held.gene, 0)], -1)
            held = replace(held, gene=gene)
        measured[kind] = held
    fold = cohort.gene_fold[order]
    return replace(cohort, genome=genome, strains=strains, measured=measured, gene_fold=fold)


def test_batch_size_and_order_change_nothing(name):
    cohort = cohort_of()
    model = built(name, cohort)
    whole = predicted(model, cohort.strains)
    rows = np.random.default_rng(0).permutation(len(cohort.strains))
    for some in (rows[:1], rows[1:8], rows):
        found = predicted(model, take_strains(cohort.strains, some))
        close({k: v[some] for k, v in whole.items()}, found)


def test_no_strain_and_one_strain_are_predicted(name):
    cohort = cohort_of()
    model = built(name, cohort)
    for n in (0, 1):
        found = predicted(model, take_strains(cohort.strains, np.arange(n)))
        for quantity in model.inputs.quantities:
            shape = (n,) if quantity.columns is None else (n, len(quantity.columns))
            assert found[quantity.name].shape == shape


def test_plans_of_combinations_predict_what_plans_of_strains_do(name):
    cohort = cohort_of()
    model = built(name, cohort)
    pairs = np.flatnonzero(cohort.strains.n_perturbed == 2)
    strains = take_strains(cohort.strains, pairs)
    with torch.no_grad():
        encoded = model.encode()
        found = model.predict(encoded, model.inputs.plan_combinations(strains, 2), "fitness")
    expected = predicted(model, strains)
    close({k: expected[k] for k in found}, {k: v.double().numpy() for k, v in found.items()})


def test_missing_labels_add_nothing_to_the_loss(name):
    cohort = cohort_of()
    model = built(name, cohort)
    holes = {}
    for kind, held in cohort.measured.items():
        if isinstance(held, Fitness):
            value, score = held.value.copy(), held.interaction.copy()
            value[::3] = score[::3] = np.nan
            holes[kind] = replace(held, value=value, interaction=score)
        else:
            values = held.values.copy()
            values[::3] = np.nan
            holes[kind] = replace(held, values=values)
    torn = replace(cohort, measured=holes)
    inputs = find_model(name).read_inputs(torn, model.config, "cpu")
    tasks = find_examples(torn, inputs, 0)
    batch = StrainBatches(tasks, config_of(name).training, 0).at(0)
    losses = model(batch)
    assert set(losses) == set(tasks)
    torch.stack(list(losses.values())).sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_a_checkpoint_gives_the_model_back(name, tmp_path):
    cohort = cohort_of()
    save_cohort(cohort, tmp_path / "cohort")
    run = train(tmp_path / "cohort", config_of(name, members=2), tmp_path / "run")
    assert run.config.model.name == name
    again = Run.open(tmp_path / "run")
    a, b = predict(run, cohort.strains), predict(again, cohort.strains, cohort=cohort)
    for quantity, found in a.quantities.items():
        np.testing.assert_array_equal(found.mean, b[quantity].mean)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["format"] == 2
    assert record["model"]["name"] == name


def test_each_quantity_can_keep_its_own_best_weights(name, tmp_path):
    cohort = cohort_of()
    run = train(cohort, config_of(name, epochs=4, best="each"), tmp_path / "run")
    predictions = predict(run, cohort.strains, cohort=cohort)
    for quantity in predictions.quantities:
        own = tmp_path / "run" / "member-0" / f"{quantity}.safetensors"
        assert run.checkpoint(0, quantity) == own
        assert np.isfinite(predictions[quantity].mean).any()


def test_a_copy_shares_what_it_reads(name):
    model = built(name, cohort_of())
    again = copy.deepcopy(model)
    assert again.inputs is model.inputs
    assert all(a is not b for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_another_device_gives_the_same_numbers(name, monkeypatch):
    # the kernels of a GPU need one; what is tested is that no tensor stays behind on the CPU
    monkeypatch.setitem(bags.KERNELS, "triton", bags.KERNELS["embedding_bag"])
    cohort = cohort_of()
    here = built(name, cohort, dtype=torch.float32)
    with elsewhere() as device:
        there = built(name, cohort, dtype=torch.float32, device=device)
        there.load_state_dict({k: v.to(device) for k, v in here.state_dict().items()})
        close(predicted(here, cohort.strains), predicted(there, cohort.strains), within=1e-5)


def test_a_run_of_an_older_format_is_refused_in_one_line(tmp_path):
    run = train(cohort_of(), config_of("deepset"), tmp_path / "run")
    record = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(record | {"format": 1}))
    with pytest.raises(RunError, match="run format 1, this genograph reads 2; train again"):
        Run.open(run.folder)


def test_the_genome_model_gives_the_golden_numbers(tmp_path):
    """Weights and predictions of a training in double precision stay what they were."""
    cohort = cohort_of(seed=3)
    batch = {"pairs": 32, "singles": 8, "expression": 4, "morphology": 8}
    config = config_of(
        "genome", members=2, epochs=3, steps_per_epoch=6, precision="64-true", engine="shared",
        batch=batch,
    )  # fmt: skip
    run = train(cohort, config, tmp_path / "run")
    found = predict(run, cohort.strains, cohort=cohort)
    golden = json.loads((Path(__file__).parent / "data" / "golden_genome.json").read_text())
    for quantity, sums in golden.items():
        values = found[quantity].mean.astype(np.float64)
        weight = np.cos(np.arange(values.size)).reshape(values.shape)
        got = [float(np.nansum(np.abs(values))), float(np.nansum(values * weight))]
        # predictions are float32, whose last digit depends on the processor
        np.testing.assert_allclose(got, sums, rtol=0, atol=2e-6 * sums[0], err_msg=quantity)


def test_the_model_of_the_guide_is_one_of_the_folder(tmp_path, monkeypatch):
    guide = (Path(__file__).parents[1] / "docs" / "add-a-model.md").read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", guide, re.DOTALL)[1]
    (tmp_path / "additive.py").write_text(code, "utf-8")
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    assert "additive" in model_names()
    cohort = cohort_of()
    run = train(cohort, config_of("additive"), tmp_path / "run")
    found = predict(run, strains_of([[], [(1, 0)], [(2, 0)], [(1, 0), (2, 0)]], 31), cohort=cohort)
    wild, one, both, other = found["fitness"].mean
    assert wild == 1
    assert one != 1
    np.testing.assert_allclose(both, one * other, rtol=1e-6)
