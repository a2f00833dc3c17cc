"""How fast files go into the embedded database: time, rows/s, peak memory, disk, by size.

    python benchmarks/load.py --quick          # 10^4 and 10^5 pairs, under a minute
    python benchmarks/load.py                  # 10^4 to 10^6
    python benchmarks/load.py --pairs 13000000 --plot growth.png

Every size is loaded by `genograph.load` in a process of its own from files as they are
published: genes, vectors of 768 numbers for two windows of each, singles, and the pairs, which
become a strain with two perturbations and an experiment each. The last line is JSON.
"""

import json
from pathlib import Path

import screen

TARGETS = {1_000_000: (30.0, 2_000), 13_000_000: (600.0, 6_000)}
"""Pairs: seconds and MB."""


def child(folder: Path) -> None:
    """Load what is in a folder and say how long each file took."""
    from genograph.database.ingest import load
    from genograph.store import open_store
    from genograph.tables import Table

    files = screen.Files.within(folder)
    clock = screen.Clock()
    with open_store(folder / "bench.db") as store:
        clock.time("genes", lambda: load(store, "sgd_features", files.genes))
        ids = screen.windows(screen.gene_names())
        store.write(Table.of("CRE", {"id": ids, "kind": [i.partition(":")[2] for i in ids]}))
        ends = {"from_id": [i.partition(":")[0] for i in ids], "to_id": ids}
        store.write(Table.of("HAS_CRE", ends))
        clock.time("vectors", lambda: load(store, "embeddings", files.vectors, model="made-up"))
        clock.time("singles", lambda: load(store, "smf_baryshnikova2010", files.singles))
        ledger = clock.time("pairs", lambda: load(store, "sga_costanzo2010", files.doubles))
        counts = store.counts()
        size = store.size()
    screen.tell(
        stages=clock.seconds,
        seconds=round(sum(clock.seconds.values()), 2),
        pairs=ledger.rows_read,
        graph_rows=ledger.written,
        strains=counts["Strain"],
        perturbs=counts["PERTURBS"],
        disk_mb=round((size or 0) / 1e6, 1),
    )


def main() -> None:
    """Measure every size."""
    given = screen.wanted(__doc__, "pairs", child)
    print(f"load {screen.load_average()}")
    print(
        f"{'pairs':>12} {'seconds':>9} {'pairs/s':>9} {'graph rows/s':>13} {'MB':>7} {'disk MB':>8}"
    )
    results = []
    for n in given.sizes:
        with given.screen(n) as folder:
            for old in folder.glob("bench.db*"):
                old.unlink()
            done = screen.measured(__file__, "--child", str(folder))
        said = done.said | {"peak_mb": done.peak_mb}
        assert said["pairs"] == n
        assert said["strains"] == n + screen.GENES
        assert said["perturbs"] == 2 * n + screen.GENES
        seconds, pairs = said["seconds"], said["stages"]["pairs"]
        print(
            f"{n:>12,} {seconds:>9.1f} {n / pairs:>9,.0f} {said['graph_rows'] / pairs:>13,.0f} "
            f"{done.peak_mb:>7,.0f} {said['disk_mb']:>8,.1f}",
            flush=True,
        )
        if n in TARGETS:
            said["target"] = dict(zip(("seconds", "peak_mb"), TARGETS[n], strict=True))
        results.append(said)
    if given.plot is not None:
        lines = {
            "seconds": [(r["pairs"], r["stages"]["pairs"]) for r in results],
            "peak memory, MB": [(r["pairs"], r["peak_mb"]) for r in results],
            "disk, MB": [(r["pairs"], r["disk_mb"]) for r in results],
        }
        screen.growth(given.plot, "Loading pairs into the embedded database", "pairs", lines)
    print(json.dumps({"benchmark": "load", "load": screen.load_average(), "sizes": results}))


if __name__ == "__main__":
    main()
