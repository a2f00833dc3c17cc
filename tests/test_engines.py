"""Engines: bags by every kernel, plans of bits, equal outputs and gradients to the last digits."""

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_cohort import cohort_of, genome_of, strains_of

from genograph.config import read_config
from genograph.engine import choose, native, reachable
from genograph.engine.bags import KERNELS, bag_sum, make_bag
from genograph.engine.base import Layer, Perturbed
from genograph.engine.choose import choose_engine
from genograph.engine.delta import DeltaEngine
from genograph.engine.dgl import DglEngine
from genograph.engine.pair_plans import GeneNodes, make_pair_plan
from genograph.engine.plans import Plan
from genograph.engine.shared import SharedEngine
from genograph.engine.topology import Topology
from genograph.errors import RunError
from genograph.models.genome import GenomeModel

N_GENE, WIDTH = 12, 8
SMALL = {"width": 8, "hidden": 8, "change": 4, "growth": 2, "projected": 6}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
CPU_KERNELS = sorted(set(KERNELS) - {"triton"})

GENOTYPES = st.lists(
    st.lists(
        st.tuples(st.integers(0, N_GENE - 1), st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 2.0])),
        max_size=4,
    ),
    max_size=5,
)


def perturbed_of(genotypes):
    flat = [(s, gene, dose) for s, genotype in enumerate(genotypes) for gene, dose in genotype]
    strain, gene, dose = zip(*flat, strict=True) if flat else ((), (), ())
    return Perturbed(
        len(genotypes),
        torch.tensor(strain, dtype=torch.int64),
        torch.tensor(gene, dtype=torch.int64),
        torch.tensor(dose, dtype=torch.float32),
    )


def dense(states, n_node, wild):
    """[strain, node, d] of any engine's answer; nodes that are not listed are the wild type's."""
    if states.node is None:
        return states.h.view(n_node, states.n_strain, states.h.shape[1]).transpose(0, 1)
    whole = wild.states[-1].expand(states.n_strain, -1, -1)
    return whole.index_put((states.strain, states.node), states.h)


def network(n_layer, dtype, seed, *, width=WIDTH):
    torch.manual_seed(seed)
    layers = torch.nn.ModuleList([Layer(width) for _ in range(n_layer)]).to(dtype)
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return layers


def run(engine, layers, genotypes, dtype, seed):
    """States of all strains, and the gradients of a random linear function of them."""
    n_node, width = engine.topology.n_node, layers[0].weight.shape[1]
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n_node, width, dtype=dtype, generator=generator).requires_grad_()
    wild = engine.wild_type(list(layers), inputs)
    out = dense(engine.encode(list(layers), wild, perturbed_of(genotypes), None), n_node, wild)
    pull = torch.randn(out.shape, dtype=dtype, generator=generator)
    total = (out * pull).sum() + wild.states[-1].sum() * 1e-3
    return out.detach(), torch.autograd.grad(
        total, [inputs, *layers.parameters()], allow_unused=True, materialize_grads=True
    )


def assert_equal_runs(one, other, dtype):
    limit = TOLERANCE[dtype]
    torch.testing.assert_close(one[0], other[0], rtol=limit, atol=limit)
    for a, b in zip(one[1], other[1], strict=True):
        # a gradient is a sum of many terms: its error is relative to the largest of its tensor
        size = max(float(a.abs().max()), 1.0) if a.numel() else 1.0
        torch.testing.assert_close(a / size, b / size, rtol=limit, atol=limit)


@pytest.mark.slow
@pytest.mark.parametrize("degree", ["wild-type", "exact"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    genotypes=GENOTYPES,
    seed=st.integers(0, 10_000),
    density=st.sampled_from([0.0, 0.05, 0.4]),
    n_layer=st.integers(1, 3),
)
def test_every_engine_gives_the_same_states_and_gradients(
    degree, dtype, genotypes, seed, density, n_layer
):
    topology = Topology.of(genome_of(N_GENE, 5, 2, seed=seed, density=density))
    layers = network(n_layer, dtype, seed)
    expected = run(SharedEngine(topology, degree=degree), layers, genotypes, dtype, seed)
    engines = [
        DeltaEngine(topology, degree=degree, fused=False),
        DglEngine(topology, degree=degree),
    ]
    if degree == "wild-type" and native.library() is not None:
        engines.append(DeltaEngine(topology, fused=True))
    for engine in engines:
        assert_equal_runs(expected, run(engine, layers, genotypes, dtype, seed), dtype)


@pytest.mark.parametrize("width", [7, 32, 64])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_fused_layer_is_the_torch_layer_at_every_width_and_number_of_threads(width, threads):
    if native.library() is None:
        pytest.skip("no C++ compiler")
    topology = Topology.of(genome_of(40, 15, 4, seed=3))
    genotypes = [[(i % 39, 0.0), ((7 * i + 1) % 39, 0.5)] for i in range(9)] + [[]]
    layers = network(2, torch.float64, 1, width=width)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fused, plain = (
            run(DeltaEngine(topology, fused=f), layers, genotypes, torch.float64, 5)
            for f in (True, False)
        )
    finally:
        torch.set_num_threads(before)
    assert_equal_runs(plain, fused, torch.float64)


@pytest.mark.parametrize("steepness", [1.0, 30.0, 300.0])
def test_the_fused_layer_s_exponential_holds_from_tiny_to_overflowing_arguments(steepness):
    if native.library() is None:
        pytest.skip("no C++ compiler")
    topology = Topology.of(genome_of(40, 15, 4, seed=3))
    genotypes = [[(i, 0.0), ((7 * i + 1) % 39, 0.5)] for i in range(20)]
    layers = network(1, torch.float32, 1, width=64)
    with torch.no_grad():
        # LayerNorm's output has variance 1, so arguments reach several times the steepness
        layers[0].scale.mul_(steepness)
    fused, plain = (
        run(DeltaEngine(topology, fused=f), layers, genotypes, torch.float32, 5)
        for f in (True, False)
    )
    assert torch.isfinite(fused[0]).all()
    assert all(torch.isfinite(g).all() for g in fused[1])
    # an error of LayerNorm's output is multiplied by the steepness
    limit = 1e-5 * max(steepness / 30.0, 1.0)
    for a, b in zip((fused[0], *fused[1]), (plain[0], *plain[1]), strict=True):
        size = max(float(b.abs().max()), 1.0)
        torch.testing.assert_close(a / size, b / size, rtol=limit, atol=limit)


@pytest.mark.parametrize("fused", [False, True])
def test_only_wanted_nodes_that_differ_are_listed(fused):
    if fused and native.library() is None:
        pytest.skip("no C++ compiler")
    topology = Topology.of(genome_of(20, 6, 2, seed=1))
    layers = network(2, torch.float64, 0)
    engine = DeltaEngine(topology, fused=fused)
    inputs = torch.randn(topology.n_node, WIDTH, dtype=torch.float64)
    wild = engine.wild_type(list(layers), inputs)
    wanted = torch.tensor([0, 3, 5, 19, 22])
    batch = perturbed_of([[(3, 0.0)], [], [(19, 0.0), (0, 2.0)]])
    some = engine.encode(list(layers), wild, batch, wanted)
    every = engine.encode(list(layers), wild, batch, None)
    keep = torch.isin(every.node, wanted)
    torch.testing.assert_close(some.h, every.h[keep])
    assert torch.equal(some.node, every.node[keep])
    assert some.offsets.tolist()[1] == some.offsets.tolist()[2], "the wild type lists nothing"


def test_exact_degree_counts_only_the_sources_that_still_send():
    topology = Topology.of(genome_of(12, 5, 2, seed=4, density=0.4))
    layers = network(1, torch.float64, 2)
    inputs = torch.randn(topology.n_node, WIDTH, dtype=torch.float64)
    wild = SharedEngine(topology).wild_type(list(layers), inputs)
    batch = perturbed_of([[(0, 0.0)]])
    found = SharedEngine(topology, degree="exact").encode(list(layers), wild, batch, None)
    # by hand, for a gene that gene 0 interacts with
    bag = topology.passing[8]
    rows = torch.repeat_interleave(torch.arange(12), bag.offsets.diff())
    gene = int(rows[bag.column == 0][0])
    pre = inputs[gene] @ layers[0].own[0] + layers[0].bias[0]
    for number, matrix in enumerate(topology.passing):
        name = number in (1, 7, 8, 9, 10, 11)  # relations whose target is a gene
        if not name:
            continue
        start = {1: 12, 7: 17}.get(number, 0)
        entries = range(int(matrix.offsets[gene]), int(matrix.offsets[gene + 1]))
        left = [e for e in entries if start or int(matrix.column[e]) != 0]
        if left:
            weight = matrix.weight[left].double()
            whole = matrix.weight[list(entries)].double().sum()
            mean = (weight[:, None] * inputs[start + matrix.column[left]]).sum(0)
            pre = pre + (mean * whole / weight.sum()) @ layers[0].weight[number]
    expected = layers[0].next(inputs[gene], pre, "gene")
    torch.testing.assert_close(found.h.view(topology.n_node, 1, -1)[gene, 0], expected)


@pytest.mark.parametrize("kernel", CPU_KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
def test_every_kernel_is_the_sparse_matrix_in_both_directions(kernel, dtype):
    rng = np.random.default_rng(0)
    row, column = rng.integers(0, 60, 300), rng.integers(0, 50, 300)
    weight = torch.from_numpy(rng.normal(size=300)).to(dtype)
    row[row == 7] = 8  # a row without entries
    bag = make_bag(torch.from_numpy(row), torch.from_numpy(column), weight, 60, 50)
    matrix = torch.zeros(60, 50, dtype=dtype)
    matrix.index_put_((torch.from_numpy(row), torch.from_numpy(column)), weight, accumulate=True)
    x = torch.randn(50, 17, dtype=dtype, requires_grad=True)
    out = bag_sum(x, bag, kernel=kernel)
    limit = TOLERANCE[dtype]
    torch.testing.assert_close(out, matrix @ x, rtol=limit, atol=limit)
    (gradient,) = torch.autograd.grad((out**2).sum(), x)
    expected = 2 * matrix.T @ (matrix @ x.detach())
    torch.testing.assert_close(gradient, expected, rtol=10 * limit, atol=10 * limit)
    assert (out[7] == 0).all()


TRITON = """
import torch
from genograph.engine.bags import make_bag, bag_sum
g = torch.Generator().manual_seed(0)
for dtype, width in ((torch.float32, 17), (torch.float64, 130)):
    row, column = (torch.randint(0, n, (80,), generator=g) for n in (11, 9))
    weight = torch.rand(80, generator=g, dtype=dtype)
    bag = make_bag(row, column, weight, 12, 9)
    results = []
    for kernel in ("triton", "embedding_bag"):
        x = torch.ones(9, width, dtype=dtype).cumsum(0).requires_grad_()
        out = bag_sum(x, bag, kernel=kernel)
        results.append((out, torch.autograd.grad((out ** 2).sum(), x)[0]))
    for a, b in zip(*results):
        torch.testing.assert_close(a, b)
print("equal")
"""


@pytest.mark.slow
def test_the_triton_kernel_is_embedding_bag_in_triton_s_own_interpreter():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TRITON], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.strip() == "equal", done.stderr


def test_an_unknown_kernel_is_refused_with_the_choices():
    bag = make_bag(torch.tensor([0]), torch.tensor([0]), torch.ones(1), 1, 1)
    with pytest.raises(RunError, match=r"choose one of embedding_bag, triton, torch\.sparse"):
        bag_sum(torch.ones(1, 1), bag, kernel="fast")


def test_what_a_strain_reaches_is_what_a_walk_along_the_edges_reaches():
    topology = Topology.of(genome_of(20, 6, 2, seed=2, density=0.08))
    found = reachable.Reachable(topology)
    edges = found.edges
    links = {
        u: set(edges.target[edges.offsets[u] : edges.offsets[u + 1]].tolist())
        for u in range(topology.n_node)
    }
    genotypes = [[3], [], [0, 5], [19]]
    strain = np.repeat(np.arange(4), [len(g) for g in genotypes])
    gene = np.array([g for genotype in genotypes for g in genotype])
    rows = found.rows(4, strain, gene, np.zeros(len(gene)), 3)
    for number, genes in enumerate(genotypes):
        reached = set(genes)
        for layer in rows:
            mine = layer.node[layer.strain == number].tolist()
            assert mine == sorted(reached)
            reached |= {v for u in reached for v in links[u]}


def test_two_alleles_of_one_gene_multiply_their_doses():
    topology = Topology.of(genome_of(20, 6, 2))
    doses = np.array([0.5, 0.5, 2.0])
    rows = reachable.Reachable(topology).rows(1, np.zeros(3, int), np.array([4, 4, 6]), doses, 1)
    before = dict(zip(rows[0].node.tolist(), rows[0].dose.tolist(), strict=True))
    assert before == {4: 0.25, 6: 2.0}


def test_dropped_bits_are_found_again(monkeypatch):
    topology = Topology.of(genome_of(20, 6, 2))
    strain, gene, dose = np.arange(19), np.arange(19), np.zeros(19)
    expected = reachable.Reachable(topology).rows(19, strain, gene, dose, 2)
    monkeypatch.setattr(reachable, "MOST_BYTES", 16)
    small = reachable.Reachable(topology)
    for _ in range(2):
        for one, other in zip(expected, small.rows(19, strain, gene, dose, 2), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("delta", "shared", "taken"),
    [
        (0.1, 0.01, "shared"),
        (0.1, 0.08, "delta"),  # too near to hang a training on
        (0.004, 0.001, "delta"),  # too quick to measure
        (0.01, 0.1, "delta"),
    ],
)
def test_auto_takes_the_engine_that_is_faster(monkeypatch, delta, shared, taken):
    monkeypatch.setattr(
        choose, "time_step", lambda engine, *_: {"delta": delta, "shared": shared}[engine.name]
    )
    engine = choose_engine("auto", Topology.of(genome_of()))
    assert engine.name == taken
    assert f"delta {1e3 * delta:.3g} ms and shared {1e3 * shared:.3g} ms" in engine.why


def test_auto_times_engines_and_leaves_the_random_numbers():
    topology = Topology.of(genome_of(400, 100, 5, seed=1, density=0.002))
    before = torch.get_rng_state()
    found = choose_engine("auto", topology, layers=1)
    assert torch.equal(torch.get_rng_state(), before)
    said = re.fullmatch(r"auto: a step .* delta (\S+) ms and shared (\S+) ms", found.why)
    assert said, found.why
    assert float(said[1]) > 0
    assert float(said[2]) > 0
    assert choose_engine("delta", Topology.of(genome_of())).why == "as configured"


def test_without_a_compiler_torch_does_the_work(monkeypatch):
    monkeypatch.setattr(native, "COMPILERS", ("no-such-compiler",))
    native.library.cache_clear()
    try:
        assert native.library() is None
        topology = Topology.of(genome_of())
        layers = network(2, torch.float64, 0)
        genotypes = [[(1, 0.0)], [(2, 0.5), (3, 0.0)]]
        here = run(DeltaEngine(topology), layers, genotypes, torch.float64, 0)
    finally:
        native.library.cache_clear()
    expected = run(SharedEngine(topology), layers, genotypes, torch.float64, 0)
    assert_equal_runs(expected, here, torch.float64)


@pytest.mark.slow
def test_no_loop_of_the_kernels_hangs_on_where_rows_lie_in_memory(tmp_path):
    # of a loop that it makes twice, the compiler runs one or the other by addresses; they add up in
    # another order, and the same training would give other weights now and then
    gcc = shutil.which("g++")
    version = gcc and subprocess.run([gcc, "-v"], capture_output=True, text=True, check=True).stderr
    if not version or "gcc version" not in version:
        pytest.skip("GCC alone says what it made of a loop")
    source = Path(native.__file__).with_name("native.cpp")
    words = [gcc, *native.COMPILE, "-fopt-info-vec", "-c", str(source)]
    done = subprocess.run(
        [*words, "-o", str(tmp_path / "native.o")], capture_output=True, text=True, check=True
    )
    assert "vectorized" in done.stderr
    assert "versioned" not in done.stderr


def test_a_compiler_that_fails_is_told_and_torch_does_the_work(monkeypatch, tmp_path, caplog):
    broken = tmp_path / "c++"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho no disk >&2; exit 1\n')
    broken.chmod(0o755)
    monkeypatch.setattr(native, "COMPILERS", (str(broken),))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    native.library.cache_clear()
    try:
        assert native.library() is None
    finally:
        native.library.cache_clear()
    assert "no disk" in caplog.text


def test_what_strains_share_is_computed_once_and_changes_no_output_or_gradient(monkeypatch):
    cohort = cohort_of()
    config = read_config(**SMALL).model
    inputs = GenomeModel.read_inputs(cohort, config)
    topology = inputs.topology
    torch.manual_seed(0)
    statistics = GenomeModel.fit_statistics(cohort, inputs, config)
    model = GenomeModel(config, inputs, statistics).double()
    nothing = model.encode()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    pairs = [[(a, 0.0), (b, 0.0)] for a in range(6) for b in range(a)]
    strains = strains_of([*pairs, [(1, 0.5), (2, 0.0), (3, 0.0)], [(1, 0.0)]], 30)
    effect = np.where(strains.gene % 2, -0.1 * strains.gene, np.nan).astype(np.float32)
    rows = np.arange(len(strains))
    h = torch.randn(topology.n_node, config.width, dtype=torch.float64)
    encoded = nothing._replace(h=h)
    found = []
    for worth in (-1.0, 1.0):
        monkeypatch.setattr("genograph.engine.plans.WORTH_SHARING", worth)
        for at_least in (1, 2):
            plan = Plan.of(
                strains, rows, effect, topology.reach, topology.n_node, at_least=at_least
            ).tensors()
            out = model.fitness(h, plan)
            total = (out.fitness * torch.arange(len(strains))).sum() + out.interaction.sum()
            shape = model.vector_heads["morphology"](model, encoded, plan)
            total = total + (shape * model.scale("morphology")).square().sum()
            grads = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
            found.append((len(plan.single.first), out, grads))
    (n_all, *_), _, (n_distinct, *_), _ = found
    assert n_distinct == 7 < n_all == len(strains.gene)
    for (_, one, grads_one), (_, other, grads_other) in zip(found[:2], found[2:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
        for a, b in zip(grads_one, grads_other, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                size = max(float(a.abs().max()), 1.0)
                torch.testing.assert_close(a / size, b / size, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shared_nodes_found_on_the_device_are_those_of_the_plan(size):
    cohort = cohort_of()
    topology = Topology.of(cohort.genome)
    gene = np.array(list(itertools.combinations([0, 3, 4, 9, 12, 29], size)))
    strains = strains_of([[(int(g), 0.0) for g in row] for row in gene], 30)
    gene = strains.gene.reshape(-1, size)
    effect = np.where(gene % 2, -0.1 * gene, np.nan).astype(np.float32)
    rows = np.arange(len(strains))
    plan = Plan.of(
        strains, rows, effect.reshape(-1), topology.reach, topology.n_node, at_least=2
    ).tensors()
    dose = torch.zeros(gene.shape)
    reach = GeneNodes.of(topology, "cpu")
    made = make_pair_plan(reach, torch.from_numpy(gene), dose, torch.from_numpy(effect))
    for name in ("p_strain", "p_gene", "m_node", "m_strain", "m_reached", "i_node", "i_strain"):
        assert torch.equal(getattr(plan, name), getattr(made, name)), name
    assert (len(made.m_node) > 0) == (size > 1)
    for name in ("ways", "sums"):
        for one, other in zip(getattr(plan, name)[:3], getattr(made, name)[:3], strict=True):
            torch.testing.assert_close(one, other)
    x = torch.randn(len(made.single.node), 3, requires_grad=True)
    if size > 1:
        with pytest.raises(AssertionError, match="without gradients"):
            bag_sum(x, made.single.sums).sum().backward()
