"""Everything that wants a GPU, in one script that needs torch, numpy and pydantic alone.

    python benchmarks/gpu.py                          # on a node with a CUDA device, minutes
    python benchmarks/gpu.py --device cpu --quick     # the same code, tiny, to see that it runs

1. The kernels: triton against torch.sparse, both ways.
2. Propagation: delta, shared and gather-scatter copies (what graph libraries do), in float32 and
   bfloat16, forward and forward+backward, outputs compared.
3. All pairs of a genome of 6,000 genes, end to end: 18 million double deletions, best ones kept.
4. An epoch of 1.3e7 double deletions in batches of 65,536, planned on the device.

It imports the package from the checkout, installed or not; of the libraries that a bare node lacks,
what the hot path names is stood in for by empty names. Each part has a limit of seconds; what did
not fit is extrapolated and says so. The last line is JSON.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


class _Anything(type):
    """A class whose every subscript is itself: what annotations ask of a missing library."""

    def __getitem__(cls, _: object) -> "type[Stand]":
        return Stand


class Stand(metaclass=_Anything):
    """Stands for what is named, or made once, while the hot path is imported, and not used."""

    def __init__(self, *_: object) -> None:
        """Whatever it is made of."""


def stand_in(name: str) -> None:
    """Put a module there whose every name is Stand."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)

    def named(what: str) -> type[Stand]:
        if what.startswith("__"):
            raise AttributeError(what)
        return Stand

    module.__getattr__ = named  # type: ignore[method-assign]
    sys.modules[name] = module


class Edges(NamedTuple):
    source: Any
    target: Any
    weight: Any


LIBRARIES: dict[str, tuple[str, ...]] = {
    "jaxtyping": ("jaxtyping",),
    "pyarrow": ("pyarrow",),
    "scipy": ("scipy", "scipy.sparse"),
    "pandas": (),
    "safetensors": (),
    "lightning_fabric": (),
    "dgl": (),
    "sklearn": (),
    "ladybug": (),
}
"""What a bare node lacks, and the modules of it that the hot path names."""


def import_hot_path(*, bare: bool) -> None:
    """Make the package's hot path importable without what only its other parts need."""
    if bare:
        # as if these were not installed
        for name in LIBRARIES:
            sys.modules[name] = None  # type: ignore[assignment]
    lacking = [name for name in LIBRARIES if not _there(name)]
    for name in lacking:
        for module in LIBRARIES[name]:
            stand_in(module)
    if lacking:
        for module in ("genograph.cohorts", "genograph.cohorts.ragged"):
            stand_in(module)
    place("genograph._schema", ROOT / "schema")
    print(f"stood in for: {', '.join(lacking) or 'nothing'}")


def place(name: str, folder: Path) -> None:
    """Import a folder of the checkout as the part of the package that it is once installed."""
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _there(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return importlib.util.find_spec(name) is not None


def genome(n_gene: int, seed: int = 0) -> SimpleNamespace:
    """Genes, terms and log-normal degrees in yeast's proportions, as Topology.of reads them."""
    rng = np.random.default_rng(seed)
    scale = n_gene / 6607
    sizes = {"gene": n_gene, "term": round(6000 * scale), "complex": round(400 * scale)}
    shape = {
        "gene:annotated_with:term": 64_000,
        "term:is_a:term": 8_000,
        "term:part_of:term": 2_000,
        "gene:member_of:complex": 2_000,
        "gene:regulates:gene": 11_500,
        "gene:paralog_of:gene": 550,
        "gene:interacts_with:gene": 137_950,
    }
    edges = {}
    for relation, n in shape.items():
        source, name, target = relation.split(":")
        pulls = [rng.lognormal(0.0, 1.0, sizes[kind]) for kind in (source, target)]
        a, b = (rng.choice(len(p), round(n * scale), p=p / p.sum()) for p in pulls)
        if source == target:
            low, high = np.minimum(a, b), np.maximum(a, b)
            a, b = low[low < high], high[low < high]
        a, b = np.divmod(np.unique(a * sizes[target] + b), sizes[target])
        weight = rng.uniform(0.2, 1.0, len(a)).astype(np.float32)
        if name in ("interacts_with", "paralog_of"):
            a, b, weight = np.append(a, b), np.append(b, a), np.append(weight, weight)
        edges[relation] = Edges(a, b, weight)
    return SimpleNamespace(edges=edges, n_node=lambda kind: sizes[kind])


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def median_of(act: Callable[[], object], device: torch.device, repeats: int) -> float:
    act()
    found = []
    for _ in range(repeats):
        start = clock(device)
        act()
        found.append(clock(device) - start)
    return statistics.median(found)


def kernels(topology: Any, device: torch.device, repeats: int, answer: dict[str, Any]) -> None:
    from genograph.engine.bags import KERNELS, bag_kernel, bag_sum

    bag = max(topology.passing, key=lambda b: len(b.column))
    names = ("embedding_bag",) if device.type == "cpu" else ("triton", "torch.sparse")
    names = tuple(n for n in names if n != "triton" or _there("triton"))
    print(f"sums over edges on {device.type}: {bag_kernel(device.type)}, of {', '.join(KERNELS)}")
    for width in (12, 64, 1024):
        expected = None
        for name in names:
            x = torch.ones(bag.shape[1], width, device=device).cumsum(0) / bag.shape[1]
            x.requires_grad_()

            def both(x: Tensor = x, name: str = name) -> tuple[Tensor, Tensor]:
                out = bag_sum(x, bag, kernel=name)
                return out, torch.autograd.grad(out.square().sum(), x)[0]

            found = both()
            expected = expected or found
            for one, other in zip(expected, found, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
            answer[f"kernel {name} d={width} us"] = 1e6 * median_of(both, device, repeats)


def copies(topology: Any, layers: Any, inputs: Tensor, batch: Any) -> Tensor:
    """Whole copies of the genome, messages gathered and scattered edge by edge."""
    from genograph.engine.topology import KINDS, PASSING, find_ends

    n = batch.n_strain
    dose = torch.ones(n, topology.n_node, 1, device=inputs.device, dtype=inputs.dtype)
    dose[batch.strain, batch.gene, 0] = batch.dose.to(inputs.dtype)
    state = inputs.expand(n, -1, -1)
    for layer in layers:
        sent = state * dose
        parts = {k: sent[:, topology.rows(k)] for k in KINDS}
        received = {k: torch.zeros_like(v) for k, v in parts.items()}
        for number, (relation, reverse) in enumerate(PASSING):
            source, target = find_ends(relation, reverse=reverse)
            bag = topology.passing[number]
            row = torch.repeat_interleave(
                torch.arange(bag.shape[0], device=inputs.device), bag.offsets.diff()
            )
            message = parts[source][:, bag.column] * bag.weight[:, None].to(inputs.dtype)
            mean = torch.zeros_like(received[target]).index_add(1, row, message)
            received[target] = received[target] + mean @ layer.weight[number]
        rows = [layer.next(parts[k], layer.pre(parts[k], received[k], k), k) for k in KINDS]
        state = torch.cat(rows, 1)
    return state


def propagation(
    topology: Any, device: torch.device, n: int, repeats: int, answer: dict[str, Any]
) -> None:
    from genograph.engine.base import Layer, Perturbed
    from genograph.engine.delta import DeltaEngine
    from genograph.engine.shared import SharedEngine

    torch.manual_seed(0)
    layers = [Layer(64).to(device) for _ in range(2)]
    inputs = torch.randn(topology.n_node, 64, device=device, requires_grad=True)
    rng = np.random.default_rng(1)
    sizes = np.array([(1, 2, 3, 2)[i % 4] for i in range(n)])
    gene = torch.from_numpy(rng.integers(0, topology.n_gene, sizes.sum()))
    strain = torch.from_numpy(np.repeat(np.arange(n), sizes))
    batch = Perturbed(n, strain.to(device), gene.to(device), torch.zeros(len(gene), device=device))
    parameters = [inputs, *(p for layer in layers for p in layer.parameters())]
    engines = {"delta": DeltaEngine(topology), "shared": SharedEngine(topology)}

    def pooled(name: str, wild: Any = None) -> Tensor:
        if name == "copies":
            return copies(topology, layers, inputs, batch).float().mean(1)
        engine = engines[name]
        wild = wild or engine.wild_type(layers, inputs)
        states, last = engine.encode(layers, wild, batch, None), wild.states[-1].float()
        if states.node is None:
            return states.h.view(topology.n_node, n, -1).float().mean(0)
        change = states.h.float() - last[states.node]
        summed = change.new_zeros(n, 64).index_add(0, states.strain, change)
        return (last.sum(0) + summed) / topology.n_node

    def gradients(name: str) -> tuple[Tensor, ...]:
        return torch.autograd.grad(pooled(name).square().sum(), parameters)

    for half in (False, True):
        kind = "bf16" if half else "fp32"
        expected = None
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            for name in ("copies", "shared", "delta"):
                out = pooled(name)
                expected = out.detach() if expected is None else expected
                apart = float((out.detach() - expected).abs().max() / expected.abs().max())
                assert apart < (0.05 if half else 1e-4), (kind, name, apart)
                with torch.no_grad():
                    wild = engines[name].wild_type(layers, inputs) if name in engines else None
                    forward = median_of(partial(pooled, name, wild), device, repeats)
                both = median_of(partial(gradients, name), device, repeats)
                print(
                    f"B={n} {kind} {name:7} forward {1e3 * forward:9.2f} ms, "
                    f"fwd+bwd {1e3 * both:9.2f} ms"
                )
                answer[f"B={n} {kind} {name} ms"] = [1e3 * forward, 1e3 * both]
                answer[f"B={n} {kind} {name} difference"] = apart


FEATURES = 64
"""Columns of the genes' features."""


def model_of(topology: Any, device: torch.device) -> Any:
    """A genome model of the default shape with random weights, fitness head only."""
    from genograph.engine.choose import choose_engine
    from genograph.engine.overlap import N_CONTEXT, N_OVERLAP, reach_norm
    from genograph.engine.topology import REACHING
    from genograph.models.base import read_quantities
    from genograph.models.genome import GenomeConfig, GenomeModel

    config = GenomeConfig(heads=("fitness",))
    features = torch.linspace(-1, 1, FEATURES, device=device)
    inputs = SimpleNamespace(
        topology=topology,
        engine=choose_engine("delta", topology),
        quantities=read_quantities(SimpleNamespace(vectors={}), config.heads),
        features=features.expand(topology.n_gene, -1),
        has_features=torch.ones(topology.n_gene, dtype=torch.bool, device=device),
    )
    statistics = {
        "projection": torch.eye(FEATURES),
        "mean": torch.zeros(FEATURES),
        "known": torch.zeros(topology.n_node, 3),
        "near": torch.zeros(topology.n_gene, 2 * (len(REACHING) - 1)),
        "effect_scale": torch.tensor(0.2),
        "reach_norm": reach_norm(topology.reach, topology.n_gene),
        "overlap_scale": torch.ones(N_OVERLAP),
        "context_mean": torch.zeros(N_CONTEXT),
        "context_scale": torch.ones(N_CONTEXT),
        "noise_fitness": torch.zeros(1),
        "noise_interaction": torch.zeros(1),
    }
    torch.manual_seed(0)
    return GenomeModel(config, inputs, statistics).to(device)


def all_pairs(
    topology: Any, device: torch.device, side: int, limit: float, answer: dict[str, Any]
) -> None:
    """Every double deletion in tiles of side by side genes; the 1,000 largest interactions kept."""
    from genograph.engine.pair_plans import GeneNodes, make_pair_plan

    start, n = clock(device), topology.n_gene
    model = model_of(topology, device).requires_grad_(False)
    reach = GeneNodes.of(topology, device)
    h = model.encode().h
    best = torch.zeros(0, device=device)
    which = torch.zeros(0, dtype=torch.int64, device=device)
    blocks = [torch.arange(i, min(i + side, n), device=device) for i in range(0, n, side)]
    done = 0
    for i, first in enumerate(blocks):
        for second in blocks[i:]:
            pairs = torch.cartesian_prod(first, second)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            if not len(pairs):
                continue
            none = torch.zeros(pairs.shape, device=device)
            plan = make_pair_plan(reach, pairs, none, torch.full_like(none, torch.nan))
            found = model.fitness(h, plan).interaction
            best = torch.cat([best, found])
            which = torch.cat([which, pairs[:, 0] * n + pairs[:, 1]])
            top = best.abs().topk(min(1000, len(best))).indices
            best, which = best[top], which[top]
            done += len(pairs)
        if clock(device) - start > limit:
            break
    seconds, total = clock(device) - start, n * (n - 1) // 2
    assert bool(torch.isfinite(best).all())
    how = "all of them" if done == total else f"extrapolated from {done:,}"
    print(f"{total:,} pairs of {n} genes: {seconds * total / done:.1f} s ({how})")
    answer["pairs"], answer["pairs scored"] = total, done
    answer["all pairs seconds"] = seconds * total / done


def epoch(
    topology: Any,
    device: torch.device,
    records: int,
    size: int,
    limit: float,
    answer: dict[str, Any],
) -> None:
    """Steps of AdamW on random double deletions, planned on the device, in both precisions."""
    from genograph.engine.pair_plans import GeneNodes, make_pair_plan

    rng = np.random.default_rng(3)
    n, steps = topology.n_gene, -(-records // size)
    low, high = np.sort(rng.integers(0, n, (2, records)), 0)
    high = np.where(low == high, (high + 1) % n, high)
    pairs = np.stack([np.minimum(low, high), np.maximum(low, high)], 1)
    target = rng.normal(0, 0.05, records).astype(np.float32)
    reach = GeneNodes.of(topology, device)
    for half in (False, True):
        model = model_of(topology, device)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        losses, start = [], clock(device)
        done = 0
        for step in range(steps):
            rows = slice(step * size, min((step + 1) * size, records))
            gene = torch.from_numpy(pairs[rows]).to(device)
            none = torch.zeros(gene.shape, device=device)
            plan = make_pair_plan(
                reach, gene, none, torch.full_like(none, torch.nan), gradients=True
            )
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                guess = model.fitness(model.encode().h, plan).interaction.float()
            loss = (guess - torch.from_numpy(target[rows]).to(device)).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            done += 1
            if clock(device) - start > limit:
                break
        seconds = (clock(device) - start) * steps / done
        last = float(torch.stack(losses)[-1])
        assert np.isfinite(last)
        kind = "bf16" if half else "fp32"
        how = "all" if done == steps else f"extrapolated from {done}"
        print(f"epoch of {records:,} pairs, {kind}: {seconds:.1f} s ({steps} steps, {how})")
        answer[f"epoch {kind} seconds"], answer[f"epoch {kind} last loss"] = seconds, last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument(
        "--bare", action="store_true", help="as if no more were there than it needs"
    )
    options = parser.parse_args()
    began, device = time.perf_counter(), torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        msg = "no CUDA device; --device cpu --quick checks the script"
        raise SystemExit(msg)
    if device.type == "cpu":
        torch.set_num_threads(1)
    import_hot_path(bare=options.bare)
    from genograph.engine.topology import Topology

    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    answer: dict[str, Any] = {"device": name, "torch": torch.__version__}
    quick = options.quick
    topology = Topology.of(genome(300 if quick else 6607)).to(device)
    repeats = 3 if quick else 7
    kernels(topology, device, repeats, answer)
    for n in (2,) if quick else (16, 64):
        propagation(topology, device, n, repeats, answer)
    of_6000 = Topology.of(genome(300 if quick else 6000)).to(device)
    all_pairs(of_6000, device, 64 if quick else 512, 120.0, answer)
    epoch(of_6000, device, 2_000 if quick else 13_000_000, 512 if quick else 65_536, 60.0, answer)
    if device.type == "cuda":
        answer["peak GiB"] = torch.cuda.max_memory_allocated() / 2**30
    answer["seconds"] = time.perf_counter() - began
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
