"""How fast a cohort is exported from the embedded database: time, strains/s, peak memory, by size.

    python benchmarks/cohort.py --quick          # 10^4 and 10^5 strains, under a minute
    python benchmarks/cohort.py                  # 10^4 to 10^6
    python benchmarks/cohort.py --pairs 13000000 --plot growth.png

Every size is built in one process and exported by `genograph.cohorts.export` in another one, with
the vectors of both windows as features. The exported directory is opened again and its arrays are
compared with the numbers of the source file. The process's largest memory (MB) has pages of mapped
files in it, which the machine takes back when it needs them; its own (own MB) is told apart, the
pool of the database engine included. The last line is JSON.
"""

import json
from pathlib import Path

import load
import screen

TARGETS = {1_000_000: (30.0, 4_000), 13_000_000: (480.0, None)}
"""Strains: seconds and MB."""


def child(folder: Path) -> None:
    """Export what is in the database of a folder and say how long it took."""
    import numpy as np

    from genograph.cohorts import load_cohort
    from genograph.exporting import export
    from genograph.store import open_store

    clock = screen.Clock()
    out = folder / "cohort"
    memory = screen.Memory()
    memory.start()
    with open_store(folder / "bench.db", read_only=True) as store:
        cohort = clock.time("export", lambda: export(store, out, force=True))
    memory.end()
    n = len(cohort.strains)
    wanted = cohort.sha256
    del cohort
    again = clock.time("open", lambda: load_cohort(out))
    assert again.sha256 == wanted
    assert again.genome.features.shape == (screen.GENES, 2 * screen.DIM)
    assert again.fitness is not None
    scores = again.fitness.interaction
    with screen.Files.within(folder).doubles.open(encoding="utf-8") as lines:
        total = sum(float(line.split("\t")[4]) for line in lines)
    assert abs(float(np.nansum(scores.astype(np.float64))) - total) < 1e-6 * max(1, n)
    size = sum(file.stat().st_size for file in out.iterdir())
    own = round(memory.own / 2**20)
    screen.tell(stages=clock.seconds, strains=n, disk_mb=round(size / 1e6, 1), own_mb=own)


def main() -> None:
    """Measure every size."""
    given = screen.wanted(__doc__, "strains", child)
    print(f"load {screen.load_average()}")
    print(
        f"{'strains':>12} {'seconds':>9} {'strains/s':>10} {'MB':>7} {'own MB':>7} {'disk MB':>8} "
        f"{'open s':>7}"
    )
    results = []
    for n in given.sizes:
        with given.screen(n) as folder:
            if not (folder / "bench.db").exists():
                screen.measured(load.__file__, "--child", str(folder))
            done = screen.measured(__file__, "--child", str(folder))
        said = done.said | {"peak_mb": done.peak_mb}
        assert said["strains"] == n + screen.GENES
        seconds = said["stages"]["export"]
        print(
            f"{said['strains']:>12,} {seconds:>9.1f} {said['strains'] / seconds:>10,.0f} "
            f"{done.peak_mb:>7,.0f} {said['own_mb']:>7,} {said['disk_mb']:>8,.1f} "
            f"{said['stages']['open']:>7.1f}",
            flush=True,
        )
        if n in TARGETS:
            said["target"] = dict(zip(("seconds", "peak_mb"), TARGETS[n], strict=True))
        results.append(said)
    if given.plot is not None:
        lines = {
            "seconds": [(r["strains"], r["stages"]["export"]) for r in results],
            "peak memory, MB": [(r["strains"], r["peak_mb"]) for r in results],
            "own memory, MB": [(r["strains"], r["own_mb"]) for r in results],
            "disk, MB": [(r["strains"], r["disk_mb"]) for r in results],
        }
        screen.growth(given.plot, "Exporting a cohort", "strains", lines)
    print(json.dumps({"benchmark": "cohort", "load": screen.load_average(), "sizes": results}))


if __name__ == "__main__":
    main()
