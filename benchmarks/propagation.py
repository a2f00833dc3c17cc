"""Time, growth and memory of message passing over perturbed strains: delta against its peers.

    python benchmarks/propagation.py                  # about 20 minutes on a quiet core
    python benchmarks/propagation.py --graph yeast    # about 6; GENOGRAPH_REALDATA names the tables
    python benchmarks/propagation.py --quick          # under a minute

Every engine does the same work: the states of all nodes of B strains after L layers of width d,
pooled over nodes into one vector a strain; `fwd+bwd` also the gradients of the inputs and of every
parameter, with the wild type, the plans and (where so named) the batching of copies inside the
measured time; `forward` has the wild type ready. Engines are interleaved, one repetition of each in
turn; medians, and the spread as the quartiles. Outputs and gradients are compared in the same run.
With 32 strains and on yeast each peer runs as it is used, batching per step; PyG only forward where
the messages that its backward keeps do not fit the memory. The floor under delta's forward is made
of rates that roofline.py measures on the spot. The last line is JSON.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from graphs import synthetic, yeast
from peers import DglCopies, PygCopies
from roofline import floor, machine
from torch import Tensor
from torch.nn.functional import embedding_bag

from genograph.engine import native
from genograph.engine.bags import bag_sum, make_bag
from genograph.engine.base import Layer, Perturbed, WildType
from genograph.engine.delta import DeltaEngine
from genograph.engine.shared import SharedEngine
from genograph.engine.topology import Topology

LAYERS, WIDTH = 2, 64
SIZES = (1, 2, 3, 2)
"""Perturbations of strains, in turn."""
LIMIT = 1e-5
"""Of 16 strains in float32: gradients are sums over strains, rounding grows like their root."""
NAMES = ("delta", "delta, torch only", "shared", "dgl, batched per step", "dgl, batched before")
PEERS = ("pyg, batched per step", "pyg, batched before")
QUICK = ("delta", "shared", "dgl, batched before", *PEERS)
AS_USED = ("delta", "shared", "dgl, batched per step", "pyg, batched per step")
BYTES_LEFT = 3e9


class Work(NamedTuple):
    """What every engine computes on."""

    topology: Topology
    layers: list[Layer]
    inputs: Tensor
    pull: Tensor


class Times(NamedTuple):
    """Median, first and third quartile, seconds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Times":
        low, _, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        return cls(statistics.median(seconds), low, high)


def work_of(topology: Topology) -> Work:
    torch.manual_seed(0)
    layers = [Layer(WIDTH) for _ in range(LAYERS)]
    inputs = torch.randn(topology.n_node, WIDTH, requires_grad=True)
    return Work(topology, layers, inputs, torch.randn(1024, WIDTH))


def strains(n: int, n_gene: int, *, seed: int = 1) -> Perturbed:
    """n strains of one to three deletions."""
    sizes = np.array([SIZES[i % len(SIZES)] for i in range(n)])
    genes = np.random.default_rng(seed).integers(0, n_gene, sizes.sum())
    strain = torch.from_numpy(np.repeat(np.arange(n), sizes))
    return Perturbed(n, strain, torch.from_numpy(genes), torch.zeros(int(sizes.sum())))


class Runner:
    """An engine that gives the pooled states of strains, [strain, d]."""

    def __init__(self, name: str, work: Work) -> None:
        self.name, self.work = name, work
        kind, _, how = name.partition(", ")
        built = how == "batched per step"
        if kind == "delta":
            fused = False if how == "torch only" else None
            self.engine: DeltaEngine | SharedEngine | None
            self.engine = DeltaEngine(work.topology, fused=fused)
            self.copies: DglCopies | PygCopies | None = None
        elif kind == "shared":
            self.engine, self.copies = SharedEngine(work.topology), None
        else:
            self.engine = None
            peer = DglCopies if kind == "dgl" else PygCopies
            self.copies = peer(work.topology, built=built)

    def ready(self) -> WildType | None:
        """The wild type, without gradients."""
        if self.engine is None:
            return None
        with torch.no_grad():
            return self.engine.wild_type(self.work.layers, self.work.inputs)

    def pooled(self, batch: Perturbed, wild: WildType | None = None) -> Tensor:
        """Mean over nodes of the last states."""
        work = self.work
        if self.copies is not None:
            return self.copies.states(work.layers, work.inputs, batch).mean(0)
        assert self.engine is not None
        if wild is None:
            wild = self.engine.wild_type(work.layers, work.inputs)
        states = self.engine.encode(work.layers, wild, batch, None)
        n_node, last = work.topology.n_node, wild.states[-1]
        if states.node is None or states.strain is None:
            return states.h.view(n_node, batch.n_strain, WIDTH).mean(0)
        if not torch.is_grad_enabled() and states.offsets is not None:
            # rows stand strain by strain, and no transpose is asked for
            where, here = states.offsets, torch.arange(len(states.node))
            changed, same = (
                embedding_bag(index, x, where, mode="sum", include_last_offset=True)
                for index, x in ((here, states.h), (states.node, last))
            )
            return (last.sum(0) + changed - same) / n_node
        n = len(states.node)
        ones, here = torch.ones(n), torch.arange(n)
        changed = bag_sum(
            states.h, make_bag(states.strain, here, ones, batch.n_strain, n, presorted=True)
        )
        same = bag_sum(
            last, make_bag(states.strain, states.node, ones, batch.n_strain, n_node, presorted=True)
        )
        return (last.sum(0) + changed - same) / n_node

    def forward(self, batch: Perturbed, wild: WildType | None) -> Tensor:
        with torch.no_grad():
            return self.pooled(batch, wild)

    def step(self, batch: Perturbed) -> tuple[Tensor, list[Tensor]]:
        """Pooled states and all gradients, the wild type included."""
        work = self.work
        out = self.pooled(batch)
        # of the size of single nodes, so that gradients are not all near 0
        total = (out * work.pull[: batch.n_strain]).sum() * work.topology.n_node
        parameters = [p for layer in work.layers for p in layer.parameters()]
        gradients = torch.autograd.grad(total, [work.inputs, *parameters])
        return out.detach(), list(gradients)


def measured(
    runners: list[Runner],
    act: Callable[[Runner], object],
    *,
    repeats: int,
    warm: bool = False,
) -> dict[str, Times]:
    seconds: dict[str, list[float]] = {r.name: [] for r in runners}
    for runner in [] if warm else runners:
        act(runner)
    for repeat in range(repeats):
        order = runners[repeat % len(runners) :] + runners[: repeat % len(runners)]
        for runner in order:
            gc.collect()
            start = time.perf_counter()
            act(runner)
            seconds[runner.name].append(time.perf_counter() - start)
    return {name: Times.of(found) for name, found in seconds.items()}


def _forward(runner: Runner, batch: Perturbed, wild: dict[str, WildType | None]) -> Tensor:
    return runner.forward(batch, wild[runner.name])


def difference(runners: list[Runner], batch: Perturbed) -> float:
    """Largest difference of outputs and gradients from those of the first runner, relative to the
    largest entry of each tensor; refuses more than LIMIT."""
    worst, first = 0.0, None
    limit = LIMIT * max(1.0, batch.n_strain / 16) ** 0.5
    for runner in runners:
        out, gradients = runner.step(batch)
        found = [out, *gradients]
        if first is None:
            first = found
            continue
        for one, other in zip(first, found, strict=True):
            size = max(float(one.abs().max()), 1e-12)
            worst = max(worst, float((one - other).abs().max()) / size)
        assert worst <= limit, f"{runner.name} differs from {runners[0].name} by {worst:.2g}"
    return worst


def _apart(runners: dict[str, Runner], batch: Perturbed, wild: dict[str, WildType | None]) -> float:
    """Largest relative difference of what `forward` gives from delta's; refuses more than LIMIT."""
    first, worst = runners["delta"].forward(batch, wild["delta"]), 0.0
    for name, runner in runners.items():
        away = float((runner.forward(batch, wild[name]) - first).abs().max())
        away /= max(float(first.abs().max()), 1e-12)
        assert away <= LIMIT, f"{name} differs from delta by {away:.2g}"
        worst = max(worst, away)
    return worst


def peak(name: str, graph: str, n: int) -> float:
    """MiB that a fwd+bwd of n strains adds at its peak, in a process of its own."""
    command = [sys.executable, __file__, "--child", name, "--graph", graph, "--strains", str(n)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        msg = f"{name}: {done.stderr[-800:]}"
        raise SystemExit(msg)
    return float(done.stdout.split()[-1])


def child(name: str, graph: str, n: int) -> None:
    """Print the MiB that one fwd+bwd adds; the first, small one pays for libraries and plans."""
    work = work_of(Topology.of(graph_of(graph)))
    runner = Runner(name, work)
    runner.step(strains(1, work.topology.n_gene))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    runner.step(strains(n, work.topology.n_gene))
    print((_status("VmHWM") - before) / 1024)


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(next(x for x in text.splitlines() if x.startswith(name)).split()[1])


def _free() -> float:
    text = Path("/proc/meminfo").read_text()
    return 1024.0 * int(next(x for x in text.splitlines() if x.startswith("MemAvail")).split()[1])


def _enough(name: str, topology: Topology, n: int, *, backward: bool = True) -> bool:
    """Whether copies of n strains fit: per layer and edge PyG keeps two messages, DGL about one;
    without gradients none is kept, and those of the largest relation stand at a time."""
    per_edge = {"pyg": 2, "dgl": 1}.get(name.partition(",")[0], 0)
    sizes = [len(bag.column) for bag in topology.passing]
    edges = LAYERS * sum(sizes) if backward else max(sizes)
    return n * edges * WIDTH * 4.0 * per_edge * 1.3 + BYTES_LEFT < _free()


def graph_of(name: str, scale: float = 1.0):  # noqa: ANN201
    return yeast() if name == "yeast" else synthetic(scale=scale)


def growth(scale: float, n: int, repeats: int) -> tuple[Times, Times]:
    """fwd+bwd of the wild type alone and of n strains' part, by delta, on a genome of a scale."""
    work = work_of(Topology.of(synthetic(scale=scale)))
    runner = Runner("delta", work)
    wild = runner.ready()
    batch = strains(n, work.topology.n_gene)
    steps = measured([runner], lambda r: r.step(batch), repeats=repeats)["delta"]
    return steps, measured([runner], lambda r: r.forward(batch, wild), repeats=repeats)["delta"]


def said(label: str, found: dict[str, Times]) -> None:
    best = found["delta"].median
    for name, t in found.items():
        print(
            f"  {label:8} {name:24} {1e3 * t.median:9.1f} ms  "
            f"[{1e3 * t.low:.1f}, {1e3 * t.high:.1f}]  {t.median / best:7.1f}x delta",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--graph", choices=("synthetic", "yeast"), default="synthetic")
    parser.add_argument("--strains", type=int, nargs="+", default=[])
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--no-growth", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.child:
        child(options.child, options.graph, options.strains[0])
        return
    began = time.perf_counter()
    topology = Topology.of(graph_of(options.graph))
    work = work_of(topology)
    edges = sum(len(bag.column) for bag in topology.passing)
    load = os.getloadavg()
    print(
        f"{options.graph} graph: {topology.n_gene} genes, {topology.n_term} terms, "
        f"{topology.n_complex} complexes, {edges} messages; L={LAYERS}, d={WIDTH}, one thread, "
        f"load average {load[0]:.1f}, kernels {'native' if native.library() else 'torch'}"
    )
    repeats = options.repeats or (3 if options.quick else 7)
    usual = [1, 16] if options.graph == "yeast" else [1, 4, 16, 32]
    batches = options.strains or ([2] if options.quick else usual)
    answer: dict[str, object] = {"graph": options.graph, "load": load[0], "repeats": repeats}
    rates = machine()
    print(f"this machine, one thread: {rates}")
    answer["machine"] = {name: round(rate / 1e9, 2) for name, rate in rates._asdict().items()}
    worst = 0.0
    for n in batches:
        few = n >= 32 or options.graph == "yeast"
        names = QUICK if options.quick else AS_USED if few else (*NAMES, *PEERS)
        both_fit = [name for name in names if _enough(name, topology, n)]
        ahead_fit = [name for name in names if _enough(name, topology, n, backward=False)]
        for name in names:
            if name not in both_fit:
                which = "fwd+bwd" if name in ahead_fit else "fwd+bwd and forward"
                print(f"  B={n}: {name}: {which} left out, its messages do not fit the free memory")
        runners = {name: Runner(name, work) for name in ahead_fit}
        batch = strains(n, topology.n_gene)
        print(f"B={n}")
        trained = [runners[name] for name in both_fit]
        worst = max(worst, difference(trained, batch))
        wild = {name: r.ready() for name, r in runners.items()}
        worst = max(worst, _apart(runners, batch, wild))
        # comparing has warmed them up
        step = partial(Runner.step, batch=batch)
        both = measured(trained, step, repeats=repeats, warm=True)
        said("fwd+bwd", both)
        forward = partial(_forward, batch=batch, wild=wild)
        ahead = measured(list(runners.values()), forward, repeats=repeats, warm=True)
        said("forward", ahead)
        for label, found in (("fwd+bwd", both), ("forward", ahead)):
            for name in list(found)[1:]:
                ratio = found[name].median / found["delta"].median
                answer[f"B={n} {label} {name}"] = round(ratio, 2)
            answer[f"B={n} {label} ms"] = round(1e3 * found["delta"].median, 1)
        engine = runners["delta"].engine
        assert isinstance(engine, DeltaEngine)
        least = floor(engine, batch, LAYERS, rates)
        print(f"  {least}; delta takes {ahead['delta'].median / least.seconds:.1f} times as long")
        answer[f"B={n} forward floor ms"] = round(1e3 * least.seconds, 1)
        del runners, trained, wild
        gc.collect()
    print(f"largest relative difference of outputs and gradients: {worst:.2g}")
    answer["largest difference"] = worst
    if not options.no_memory:
        n = 2 if options.quick else 32
        of = ("delta", "dgl, batched before") if options.quick else NAMES
        found = {name: peak(name, options.graph, n) for name in of if _enough(name, topology, n)}
        for name, mib in found.items():
            print(f"  memory   {name:24} {mib:9.0f} MiB at B={n}")
        for name, mib in found.items():
            answer[f"B={n} memory {name}"] = round(mib / found["delta"], 2)
    if not options.no_growth and not options.quick and options.graph == "synthetic":
        for scale, n in ((1.0, 16), (1.0, 160), (4.0, 16)):
            steps, ahead_ = growth(scale, n, repeats)
            print(
                f"  growth   {n:4} strains, genome x{scale:.0f}: fwd+bwd "
                f"{1e3 * steps.median:.0f} ms, forward {1e3 * ahead_.median:.0f} ms"
            )
            answer[f"growth {n} strains x{scale:.0f} ms"] = [
                round(1e3 * steps.median, 1),
                round(1e3 * ahead_.median, 1),
            ]
    answer["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
