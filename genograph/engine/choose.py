"""The engine that a configuration names, or the one that is faster on the device."""

import time

import numpy as np
import torch

from genograph.engine.base import Degree, Engine, Layer, Perturbed
from genograph.engine.delta import DeltaEngine
from genograph.engine.shared import SharedEngine
from genograph.engine.topology import Topology
from genograph.errors import RunError

ENGINES = ("auto", "delta", "dgl", "shared")
STRAINS = 8
"""Strains of a step that is timed: as many as in a batch of expression by default."""
FASTER = 1.5
"""How many times faster `shared` must be to be taken; a choice must not hang on chance."""
QUICK = 0.02
"""Seconds of a step that are too few to choose by: `delta` stays."""


def choose_engine(
    name: str,
    topology: Topology,
    *,
    layers: int = 2,
    width: int = 32,
    degree: Degree = "wild-type",
) -> Engine:
    """The engine called `name`; auto times `delta` and `shared` on the topology's device.

    A step that is timed is forward and backward of a network of so many layers of this width over
    single deletions. The random numbers of a training stay as they were.

    Raises:
        RunError: there is none; the message lists the choices.
    """
    if name == "auto":
        delta = DeltaEngine(topology, degree=degree)
        shared = SharedEngine(topology, degree=degree)
        ours, whole = (time_step(engine, layers, width) for engine in (delta, shared))
        chosen = shared if ours > QUICK and ours > FASTER * whole else delta
        chosen.why = (
            f"auto: a step of {STRAINS} strains takes delta {1e3 * ours:.3g} ms and shared "
            f"{1e3 * whole:.3g} ms"
        )
        return chosen
    if name == "delta":
        return DeltaEngine(topology, degree=degree)
    if name == "shared":
        return SharedEngine(topology, degree=degree)
    if name == "dgl":
        from genograph.engine.dgl import DglEngine

        return DglEngine(topology, degree=degree)
    msg = f"no engine is called {name}; choose one of {', '.join(ENGINES)}"
    raise RunError(msg)


def time_step(engine: Engine, layers: int, width: int) -> float:
    """Seconds of forward and backward over STRAINS single deletions: the faster of two steps.

    A first step, which is not counted, compiles kernels and finds what the genes reach.
    """
    device, topology = engine.topology.features.device, engine.topology
    # spread over the genome, so that hubs weigh as much as they do in a training
    genes = np.linspace(0, topology.n_gene - 1, STRAINS).astype(np.int64)
    gene = torch.from_numpy(genes).to(device)
    strain = torch.arange(STRAINS, device=device)
    perturbed = Perturbed(STRAINS, strain, gene, torch.zeros(STRAINS, device=device))
    wanted = torch.arange(topology.n_gene, device=device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        stack = [Layer(width).to(device) for _ in range(layers)]
        inputs = torch.randn(topology.n_node, width).to(device).requires_grad_()
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        wild = engine.wild_type(stack, inputs)
        states = engine.encode(stack, wild, perturbed, wanted)
        torch.autograd.backward(states.h.square().mean())
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])
