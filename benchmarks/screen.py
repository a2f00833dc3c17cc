"""A made-up screen of any size in the formats of the real ones, and how a process is measured.

6,600 genes with two windows each, the fitness of the single mutants, vectors of 768 numbers for
each window, and the interaction scores of N different pairs. What `load.py`, `cohort.py` and
`neo4j.py` share; run by name it writes the files.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

GENES = 6_600
DIM = 768


class Files(NamedTuple):
    """The source files of one screen."""

    genes: Path
    singles: Path
    doubles: Path
    vectors: Path

    @classmethod
    def within(cls, folder: Path) -> "Files":
        """The names in a folder."""
        names = ("genes.tab", "singles.tsv", "doubles.txt", "vectors.parquet")
        return cls(*(folder / name for name in names))


def gene_names() -> list[str]:
    """Systematic names: Y, chromosome, arm, number, strand."""
    return [f"Y{chr(65 + i // 600)}{'LR'[i % 2]}{i % 600 // 2 + 1:03d}W" for i in range(GENES)]


def write(folder: Path, n_pair: int, *, n_vector: int = GENES, seed: int = 0) -> Files:
    """Write the files of a screen of so many pairs, all different; so many genes have vectors."""
    files = Files.within(folder)
    names = gene_names()
    draw = np.random.default_rng(seed)
    with files.genes.open("w", encoding="utf-8") as out:
        for i, name in enumerate(names):
            start = 1 + 300 * (i % 600)
            fields = [f"S{i:09d}", "ORF", "Verified", name, "", "", f"chromosome {1 + i // 600}"]
            out.write(
                "\t".join([*fields, "", str(1 + i // 600), str(start), str(start + 299), "W"])
            )
            out.write("\t\t\t\t\n")
    with files.singles.open("w", encoding="utf-8") as out:
        for name, fitness in zip(names, draw.normal(0.9, 0.05, GENES), strict=True):
            out.write(f"{name}\t{fitness:.4f}\t0.0100\n")
    ids = windows(names[:n_vector])
    flat = pa.array(draw.normal(size=len(ids) * DIM).astype(np.float32))
    offsets = pa.array(np.arange(0, len(flat) + 1, DIM, dtype=np.int32))
    pq.write_table(
        pa.table({"id": ids, "vector": pa.ListArray.from_arrays(offsets, flat)}), files.vectors
    )
    _doubles(files.doubles, pa.array(names), n_pair, draw)
    return files


def windows(names: list[str]) -> list[str]:
    """The ids of all windows."""
    return [f"{name}:{kind}" for name in names for kind in ("upstream", "downstream")]


def _doubles(path: Path, names: pa.Array, n_pair: int, draw: np.random.Generator) -> None:
    """Pairs in the order of a screen: query by query, each against its arrays."""
    total = GENES * (GENES - 1) // 2
    keys = (
        np.sort(draw.choice(total, n_pair, replace=False)) if n_pair < total else np.arange(total)
    )
    high = np.floor((1 + np.sqrt(1 + 8 * keys.astype(np.float64))) / 2).astype(np.int64)
    high -= high * (high - 1) // 2 > keys
    high += (high + 1) * high // 2 <= keys
    low = keys - high * (high - 1) // 2
    options = pacsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with path.open("wb") as out:
        for start in range(0, n_pair, 500_000):
            part = slice(start, min(start + 500_000, n_pair))
            query, array = names.take(pa.array(high[part])), names.take(pa.array(low[part]))
            n = part.stop - part.start
            numbers = [draw.normal(0, 0.1, n), draw.uniform(0.01, 0.1, n), draw.uniform(0, 1, n)]
            texts = [pa.array(np.round(column, 4)) for column in numbers]
            columns = [query, query, array, array, *texts]
            pacsv.write_csv(pa.table(columns, names=[str(i) for i in range(7)]), out, options)


class Measured(NamedTuple):
    """A child process: its seconds, its largest memory in MB and the JSON that it printed last."""

    seconds: float
    peak_mb: float
    said: Any


def measured(*words: str) -> Measured:
    """Run this Python with `words` and wait for it."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Measured(seconds, said.pop("peak_mb"), said)


def tell(**said: object) -> None:
    """Print what a child has measured as its last line, with its own largest memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**said, "peak_mb": round(peak)}), flush=True)


class Memory(threading.Thread):
    """Looks at the process a hundred times a second and keeps the most of its own memory, bytes."""

    def __init__(self) -> None:
        """Begin with none; `start` it."""
        super().__init__(daemon=True)
        self.own, self._ended = 0, threading.Event()

    def run(self) -> None:
        """Look until it is ended."""
        while not self._ended.wait(0.01):
            self.own = max(self.own, status("RssAnon"))

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()


def status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(next(x for x in text.splitlines() if x.startswith(name)).split()[1])


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        """Begin without any."""
        self.seconds: dict[str, float] = {}

    def time(self, stage: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 what the work gives
        """Do the work and note how long it took."""
        began = time.perf_counter()
        out = work()
        self.seconds[stage] = round(time.perf_counter() - began, 3)
        return out


class Wanted(NamedTuple):
    """What the command line asks for: sizes in pairs, and where the growth is drawn."""

    sizes: list[int]
    plot: Path | None
    keep: Path | None

    @contextmanager
    def screen(self, n: int) -> Iterator[Path]:
        """A folder with the files of a screen of n pairs, which is there afterwards if kept."""
        if self.keep is None:
            with tempfile.TemporaryDirectory(prefix="genograph-bench-") as folder:
                write(Path(folder), n)
                yield Path(folder)
            return
        folder = self.keep / str(n)
        if not Files.within(folder).doubles.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(folder, n)
        yield folder


def wanted(about: str, unit: str, child: Callable[[Path], None]) -> Wanted:
    """Read the command line of a benchmark by size; a child process does its part and ends."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"10^4 and 10^5 {unit}")
    parser.add_argument("--pairs", type=int, action="append", help="a size (may be repeated)")
    parser.add_argument("--plot", type=Path, help="draw the growth into this PNG")
    parser.add_argument("--keep", type=Path, help="keep files and databases here, and use them")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        child(given.child)
        sys.exit()
    sizes = given.pairs or [10_000, 100_000] + ([] if given.quick else [1_000_000])
    return Wanted(sizes, given.plot, given.keep)


def load_average() -> str:
    """The machine's load, which every table of times shows."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def growth(path: Path, title: str, x: str, lines: dict[str, list[tuple[float, float]]]) -> None:
    """Draw how each line grows, both axes logarithmic, with a line that grows like its rows."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for name, points in lines.items():
        axes.loglog(*zip(*points, strict=True), marker="o", label=name)
    first = next(iter(lines.values()))
    straight = [(n, first[0][1] * n / first[0][0]) for n, _ in first]
    axes.loglog(*zip(*straight, strict=True), linestyle=":", color="grey", label="linear")
    axes.set(title=title, xlabel=x)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Write the files of one screen."""
    parser = argparse.ArgumentParser(description="Write a made-up screen.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=100_000)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print(*write(given.folder, given.pairs), sep="\n")


if __name__ == "__main__":
    main()
