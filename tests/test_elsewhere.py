"""On a device that is not the CPU: no tensor is left behind, and the numbers are the same."""

import importlib.util
from contextlib import nullcontext
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from elsewhere import HERE_NOT, TwoDevices, elsewhere
from lightning_fabric import Fabric
from model_cohort import cohort_of
from test_allpairs import rows as shards
from test_train import config_of, metrics, weights

from genograph import allpairs, prediction
from genograph.allpairs import score_all
from genograph.cohorts import save_cohort
from genograph.engine import bags
from genograph.engine.topology import Topology
from genograph.prediction import predict
from genograph.training import ensemble, train

HEADS = ("fitness", "expression", "morphology")


@pytest.fixture
def device(monkeypatch):
    """The device, for whatever asks which one to use; its sums over edges are the CPU's."""
    monkeypatch.setitem(bags.KERNELS, "triton", bags.KERNELS["embedding_bag"])
    monkeypatch.setitem(bags.KERNELS, "torch.sparse", bags.KERNELS["embedding_bag"])
    for module in (prediction, allpairs):
        monkeypatch.setattr(module, "choose_device", lambda _: HERE_NOT)
    monkeypatch.setattr(ensemble, "_make_fabric", lambda _: OneProcess())
    bags.bag_kernel.cache_clear()
    with elsewhere() as device:
        yield device
    bags.bag_kernel.cache_clear()


class OneProcess(Fabric):
    """What Fabric is to one process on the device."""

    device, world_size, global_rank, is_global_zero = HERE_NOT, 1, 0, True

    def __init__(self):
        """Fabric's own would look for a device that it knows."""

    def launch(self):
        """There is nothing to launch."""

    barrier = launch

    def setup(self, module, optimizer):
        return module, optimizer

    def broadcast(self, what):
        return what

    def all_reduce(self, what, **_):
        return what

    def backward(self, loss):
        loss.backward()


def trained(folder, **options):
    cohort = cohort_of()
    folder.mkdir()
    save_cohort(cohort, folder / "cohort")
    config = config_of(heads=HEADS, epochs=1, **options)
    return train(cohort, config, folder / "run", cohort_folder=folder / "cohort")


def test_the_device_is_one_of_its_own(device):
    far = torch.arange(3.0, device=device)
    for mixed in (lambda: far + torch.ones(3), lambda: far[torch.tensor([0, 2])], far.numpy):
        with pytest.raises((TwoDevices, RuntimeError, TypeError)):
            mixed()
    assert (far * torch.tensor(2.0)).device == device
    assert far.cpu().numpy().tolist() == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["delta", "shared"])
def test_training_there_gives_the_weights_that_training_here_gives(tmp_path, request, engine):
    here = trained(tmp_path / "here", engine=engine, precision="64-true")
    request.getfixturevalue("device")
    there = trained(tmp_path / "there", engine=engine, precision="64-true")
    assert there.record.device == HERE_NOT.type
    for name, tensor in weights(here.folder).items():
        torch.testing.assert_close(weights(there.folder)[name], tensor, rtol=1e-6, atol=1e-8)
    for one, other in zip(metrics(here.folder), metrics(there.folder), strict=True):
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["delta", "shared", "dgl"])
def test_predictions_there_are_those_of_here(tmp_path, request, engine):
    run = trained(tmp_path / "run", engine=engine)
    here = predict(run, cohort_of().strains)
    score_all(run, tmp_path / "here", size=2)
    request.getfixturevalue("device")
    there = predict(run, cohort_of().strains)
    assert set(there.quantities) == {"fitness", "interaction", "expression", "morphology"}
    for name, found in there.quantities.items():
        for one, other in zip(found[:2], here[name][:2], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    score_all(run, tmp_path / "there", size=2)
    one, other = (shards(tmp_path / place) for place in ("here", "there"))
    assert one["strain"] == other["strain"]
    np.testing.assert_allclose(one["interaction"], other["interaction"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_script_for_a_gpu_node_runs_there(device, monkeypatch):
    place = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu", place)
    gpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gpu)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    # its genome and its model's inputs have no more than they need, and so other types
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    answer = {}
    topology = Topology.of(gpu.genome(60)).to(device)
    gpu.propagation(topology, device, 3, 1, answer)
    gpu.all_pairs(topology, device, 24, 60.0, answer)
    gpu.epoch(topology, device, 200, 128, 60.0, answer)
    assert answer["pairs scored"] == answer["pairs"] == 1770
    assert answer["B=3 fp32 delta difference"] < 1e-5
    assert answer["epoch fp32 last loss"] < 1
