"""What this machine can do at best, measured: the floor under the delta engine's forward.

One thread, like everything beside it. Rates are the best of several repetitions, since a floor is
what nothing disturbed.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from genograph.engine.base import Perturbed
from genograph.engine.delta import SENDS, DeltaEngine

WIDTH = 64
ROW = 4 * WIDTH
"""Bytes of a row of float32."""
MIB = 2**20


class Machine(NamedTuple):
    """Rates a second.

    Attributes:
        copy: bytes read plus bytes written by a large copy.
        near, middle, far: bytes of random rows of 256 bytes, from a table of 1, 8 and 16 MiB.
        exp: exponentials of float32 in the nearest cache.
        product: multiplications and additions of products with 64 by 64 weights.
    """

    copy: float
    near: float
    middle: float
    far: float
    exp: float
    product: float

    def __str__(self) -> str:
        """Return the rates in words."""
        return (
            f"copy {self.copy / 1e9:.1f} GB/s; random rows of 256 bytes {self.near / 1e9:.1f} GB/s "
            f"from 1 MiB, {self.middle / 1e9:.1f} GB/s from 8 MiB, {self.far / 1e9:.1f} GB/s from "
            f"16 MiB; {self.exp / 1e9:.2f} G exp/s; "
            f"products {self.product / 1e9:.0f} GFlop/s"
        )


def machine(*, seconds: float = 0.25) -> Machine:
    """Measure, each rate for about so many seconds."""
    copy = _copy(128 * MIB, seconds)
    near, middle, far = (_gather(size, seconds) for size in (MIB, 8 * MIB, 16 * MIB))
    x, y = torch.linspace(-4, 4, 2048), torch.empty(2048)

    def exponentials() -> None:
        for _ in range(100):
            torch.exp(x, out=y)

    exp = 100 * len(x) / _best(exponentials, seconds)
    a, b, c = torch.ones(2048, WIDTH), torch.ones(WIDTH, 4 * WIDTH), torch.empty(2048, 4 * WIDTH)
    product = 2 * a.numel() * b.shape[1] / _best(lambda: torch.mm(a, b, out=c), seconds)
    return Machine(copy, near, middle, far, exp, product)


def _best(act: Callable[[], object], seconds: float) -> float:
    act()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        act()
        best = min(best, time.perf_counter() - start)
    return best


def _copy(size: int, seconds: float) -> float:
    """Bytes a second read plus written by copies of `size` bytes."""
    whole = torch.ones(size // 4)
    other = torch.empty_like(whole)
    return 2 * size / _best(lambda: other.copy_(whole), seconds)


def _gather(size: int, seconds: float) -> float:
    """Bytes a second of random rows of a table of `size` bytes, gathered into a small one."""
    table, n = torch.ones(size // ROW, WIDTH), 1024
    into = torch.empty(n, WIDTH)  # stays in the nearest caches
    order = torch.randperm(len(table)) if len(table) >= n else torch.arange(n) % len(table)
    parts = list(order.repeat(-(-64 * n // len(order)))[: 64 * n].split(n))

    def rows() -> None:
        for part in parts:
            torch.index_select(table, 0, part, out=into)

    return ROW * len(parts) * n / _best(rows, seconds)


class Floor(NamedTuple):
    """The least seconds that a forward of given strains can take on a machine, part by part."""

    rows: int
    edges: int
    wild: float
    messages: float
    out: float
    exp: float
    products: float

    @property
    def seconds(self) -> float:
        """All parts, one after another."""
        return sum(self[2:])

    def __str__(self) -> str:
        """Return the parts in words."""
        named = {name: 1e3 * value for name, value in self._asdict().items() if name not in _SIZES}
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in named.items())
        return (
            f"floor {1e3 * self.seconds:.1f} ms ({parts}) for {self.rows:,} rows that differ and "
            f"{self.edges:,} edges walked"
        )


_SIZES = ("rows", "edges")


def floor(engine: DeltaEngine, batch: Perturbed, layers: int, of: Machine) -> Floor:
    """What must be read, added, written and exponentiated, whatever the kernel.

    Each row that differs takes the wild type's pre-activation and state (together 6.6 MiB),
    64 exponentials, and is written once; each edge adds a row that the strain itself made (1 MiB or
    so); each changed source is multiplied by its relations' weights.
    """
    found = engine.reachable.rows(
        batch.n_strain,
        batch.strain.numpy(),
        batch.gene.numpy(),
        batch.dose.numpy(),
        layers,
    )
    degree = torch.from_numpy(engine.reachable.edges.offsets).diff()
    rows = sum(len(x.node) for x in found[1:])
    edges = sum(int(degree[x.node].sum()) for x in found[:-1])
    sent = sum(len(x.node) for x in found[:-1]) * (1 + max(len(s) for s in SENDS))
    return Floor(
        rows,
        edges,
        2 * ROW * rows / of.middle,
        ROW * edges / of.near,
        ROW * rows / of.copy,
        WIDTH * rows / of.exp,
        2 * WIDTH * WIDTH * sent / of.product,
    )
