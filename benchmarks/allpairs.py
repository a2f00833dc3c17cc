"""Double deletions scored a second: all pairs in tiles, lists of pairs, whole-genome copies.

    python benchmarks/allpairs.py [--quick] [--members 3] [--graph yeast]

Models of the default shape with random weights on the synthetic genome of 6,607 genes or on yeast.
`tiles` is what `genograph predict --all-pairs` does with 64 by 64 genes; `list` is what `predict`
does with as many pairs drawn at random, which share little; `copies` only encodes a copy of the
genome a strain in DGL, without any readout. The wild type is ready in all three. Interleaved,
medians; the tile's numbers are compared with those of its strains in another order and in small
parts. The last line is JSON.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from graphs import screen, synthetic, yeast
from numpy.typing import NDArray
from peers import DglCopies

from genograph.cohorts import Cohort, Strains
from genograph.engine.base import Perturbed
from genograph.models.genome import Encoded, GenomeConfig, GenomeModel
from genograph.prediction import _moments

Array = NDArray[Any]
TILE, COPIES = 64, 4
LIMIT = 1e-5


class Scorer:
    """Members with random weights, their wild types encoded."""

    def __init__(self, cohort: Cohort, members: int) -> None:
        config = GenomeConfig(heads=("fitness",))
        self.cohort, self.inputs = cohort, GenomeModel.read_inputs(cohort, config)
        print(self.inputs.words)
        fitted = GenomeModel.fit_statistics(cohort, self.inputs, config)
        self.members = []
        for number in range(members):
            torch.manual_seed(number)
            model = GenomeModel(config, self.inputs, fitted)
            self.members.append(model.requires_grad_(False))
        self.encoded: list[Encoded] = [model.encode() for model in self.members]

    def strains(self, pairs: Array) -> Strains:
        held = self.cohort.strains
        of_gene = np.empty(self.inputs.topology.n_gene, np.int64)
        singles = np.flatnonzero(held.n_perturbed == 1)
        of_gene[held.gene[held.offsets[singles]]] = singles
        return Strains(
            pa.array([f"{a}+{b}" for a, b in pairs]),
            np.arange(len(pairs) + 1, dtype=np.int64) * 2,
            pairs.reshape(-1).astype(np.int64),
            np.zeros(pairs.size, np.float32),
            of_gene[pairs.reshape(-1)],
        )

    def score(self, strains: Strains, *, tiled: bool) -> Array:
        """Mean interactions; fitness and s.d. are computed too, as `predict` does."""
        if tiled:
            plan = self.inputs.plan_combinations(strains, 2)
        else:
            plan = self.inputs.plan(strains, "fitness").tensors()
        with torch.no_grad():
            found = [
                model.predict(encoded, plan, "fitness")
                for model, encoded in zip(self.members, self.encoded, strict=True)
            ]
        names = ("fitness", "interaction")
        moments = {name: _moments([each[name].numpy() for each in found]) for name in names}
        return moments["interaction"].mean


def seconds_of(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--graph", choices=("synthetic", "yeast"), default="synthetic")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    repeats = 3 if options.quick else 7
    load = os.getloadavg()[0]
    scorer = Scorer(
        screen(yeast() if options.graph == "yeast" else synthetic(), 20_000), options.members
    )
    n_gene = scorer.inputs.topology.n_gene
    rng = np.random.default_rng(0)
    first, second = np.meshgrid(np.arange(TILE), np.arange(TILE) + 2048, indexing="ij")
    tile = scorer.strains(np.stack([first.ravel(), second.ravel()], 1))
    drawn = np.sort(rng.integers(0, n_gene, (TILE * TILE, 2)), 1)
    listed = scorer.strains(drawn[drawn[:, 0] < drawn[:, 1]])
    # the same pairs, shuffled and in parts, so that other strains share other things
    order = rng.permutation(len(tile))
    whole, parts = scorer.score(tile, tiled=True), np.empty(len(tile), np.float32)
    pairs = tile.gene.reshape(-1, 2)
    for at in np.array_split(order, 23):
        parts[at] = scorer.score(scorer.strains(pairs[at]), tiled=False)
    difference = float(np.abs(whole - parts).max() / np.abs(whole).max())
    assert difference < LIMIT, difference
    copies = DglCopies(scorer.inputs.topology, built=False)
    batch = Perturbed(
        COPIES,
        torch.arange(COPIES).repeat_interleave(2),
        torch.from_numpy(pairs[:COPIES].reshape(-1)),
        torch.zeros(2 * COPIES),
    )
    layers = scorer.members[0]._stack
    inputs = scorer.encoded[0].wild.states[0]
    acts: dict[str, tuple[int, Callable[[], object]]] = {
        "tiles": (len(tile), lambda: scorer.score(tile, tiled=True)),
        "list": (len(listed), lambda: scorer.score(listed, tiled=False)),
        "copies": (COPIES, lambda: copies.states(layers, inputs, batch)),
    }
    found: dict[str, list[float]] = {name: [] for name in acts}
    with torch.no_grad():
        for _, act in acts.values():
            act()
        for _ in range(repeats):
            for name, (_, act) in acts.items():
                found[name].append(seconds_of(act))
    rate = {name: acts[name][0] / statistics.median(found[name]) for name in acts}
    total = n_gene * (n_gene - 1) // 2
    print(
        f"{options.graph}: {n_gene} genes, {options.members} member(s), one thread, "
        f"load average {load:.1f}"
    )
    for name, value in rate.items():
        low, _, high = statistics.quantiles(acts[name][0] / np.array(found[name]), n=4)
        print(
            f"  {name:7} {value:10,.1f} strains/s  [{low:,.1f}, {high:,.1f}]  "
            f"{total:,} pairs in {total / value / 3600:,.2f} h  {rate['tiles'] / value:,.1f}x"
        )
    print(f"largest relative difference: {difference:.2g}")
    answer = {f"strains/s {name}": round(value, 1) for name, value in rate.items()}
    answer |= {f"tiles / {n}": round(rate["tiles"] / rate[n], 2) for n in ("list", "copies")}
    print(json.dumps(answer | {"largest difference": difference, "load": load}))


if __name__ == "__main__":
    main()
