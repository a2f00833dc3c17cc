"""Sorting and joining of an export beyond memory: our sorted runs beside DuckDB.

    python benchmarks/sorting.py --rows 13000000

Both take the same experiments in the same random order, in tables of 50,000, give them sorted by
id without repeats, and then give every experiment the row of its strain. Each run is a process of
its own; they take turns. DuckDB (`pip install duckdb`) gets a database file on the same disk, the
memory limit that is asked for and as many threads. Both answers are compared.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genograph.cohorts.sorting import AT_ONCE, Sorting, find_changes

CHUNK = 50_000
GENES = 6_000


def make_tables(n: int, seed: int = 0) -> Iterator[pa.Table]:
    """Experiments of double mutants as an export reads them, 2 % of them twice."""
    rng = np.random.default_rng(seed)
    names = np.array([f"Y{i:05d}W" for i in range(GENES)])
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        # a fixed scatter of the numbers 0 to n, so that order is random and repeats are known
        number = (np.arange(start, start + size) * 7_919) % max(int(n / 1.02), 1)
        one, two = names[number // GENES % GENES], names[number % GENES]
        strain = pc.binary_join_element_wise(pa.array(one), pa.array(two), "+")
        yield pa.table(
            {
                "id": pc.binary_join_element_wise("study2010:fitness:", strain, ""),
                "strain": strain,
                "study": pa.array(np.full(size, 1, np.int32)),
                **{name: pa.array(rng.random(size)) for name in ("value", "sd", "epsilon", "p")},
            }
        )


def run_ours(n: int, folder: Path, _memory: int) -> list[int]:
    """Sorted runs on disk; the join is one pass over both in the order of strains."""
    experiments = Sorting(folder / "experiments", "id")
    strains = Sorting(folder / "strains", "id")
    for table in make_tables(n):
        experiments.put(table)
        strains.put(pa.table({"id": pc.unique(table["strain"])}))
    links = Sorting(folder / "links", "strain")
    count = 0
    for part in experiments.parts(distinct=True):
        links.put(
            pa.table({"strain": part["strain"], "place": np.arange(count, count + len(part))})
        )
        count += len(part)
    places = np.lib.format.open_memmap(
        folder / "rows.npy", mode="w+", dtype=np.int64, shape=(count,)
    )
    n_strain, waiting = 0, links.parts()
    held: pa.Table | None = next(waiting, None)
    for part in strains.parts(distinct=True):
        while held is not None:
            inside = pc.index_in(held["strain"], part["id"].combine_chunks())
            known = np.asarray(pc.is_valid(inside))
            if known.any():
                rows = np.asarray(inside.filter(pa.array(known)))
                places[held["place"].to_numpy()[known]] = n_strain + rows
            rest = held.filter(pa.array(~known))
            if len(rest):
                held = rest
                break
            held = next(waiting, None)
        n_strain += len(part)
    return [count, n_strain, int(places[::1000].sum()), int(places.sum())]


def run_duckdb(n: int, folder: Path, memory: int) -> list[int]:
    """DuckDB's external sort, distinct and join, in a file beside."""
    import duckdb

    base = duckdb.connect(str(folder / "rows.duckdb"))
    base.execute(f"SET memory_limit = '{memory}MB'")
    base.execute(f"SET temp_directory = '{folder}'")
    base.execute("SET preserve_insertion_order = true")
    first = True
    for table in make_tables(n):
        base.register("part", table)
        base.execute(
            "CREATE TABLE experiments AS SELECT * FROM part"
            if first
            else "INSERT INTO experiments SELECT * FROM part"
        )
        base.unregister("part")
        first = False
    base.execute(
        "CREATE TABLE strains AS SELECT strain, row_number() OVER (ORDER BY strain) - 1 AS row "
        "FROM (SELECT DISTINCT strain FROM experiments)"
    )
    base.execute("CREATE TABLE links (strain VARCHAR, place BIGINT)")
    ordered = base.cursor()
    count, last = 0, None
    for batch in ordered.execute("SELECT * FROM experiments ORDER BY id").to_arrow_reader(AT_ONCE):
        part = pa.Table.from_batches([batch])
        ids = part["id"]
        new = find_changes(ids) if len(part) else np.zeros(0, bool)
        if len(part) and ids[0].as_py() == last:
            new[0] = False
        last = ids[-1].as_py() if len(part) else last
        strain = part["strain"].filter(pa.array(new))
        links = pa.table({"strain": strain, "place": np.arange(count, count + len(strain))})
        count += len(strain)
        base.register("part", links)
        base.execute("INSERT INTO links SELECT * FROM part")
        base.unregister("part")
    places = np.lib.format.open_memmap(
        folder / "rows.npy", mode="w+", dtype=np.int64, shape=(count,)
    )
    joined = base.execute("SELECT place, row FROM links JOIN strains USING (strain)")
    for batch in joined.to_arrow_reader(AT_ONCE):
        places[batch.column(0).to_numpy()] = batch.column(1).to_numpy()
    n_strain = base.execute("SELECT count(*) FROM strains").fetchone()[0]
    return [count, n_strain, int(places[::1000].sum()), int(places.sum())]


ENGINES = {"ours": run_ours, "duckdb": run_duckdb}


def main() -> None:
    """Run both in turn, each in a process of its own."""
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--memory", type=int, default=2_000, help="DuckDB's limit in MB")
    words.add_argument("--repeats", type=int, default=2)
    words.add_argument("--engine", choices=sorted(ENGINES), help="run one, here")
    given = words.parse_args()
    if given.engine:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            answer = ENGINES[given.engine](given.rows, Path(folder), given.memory)
            seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak_mb": peak, "answer": answer}))
        return
    found: dict[str, list[dict]] = {name: [] for name in ENGINES}
    for _ in range(given.repeats):
        for name in ENGINES:
            done = subprocess.run(
                [
                    *(sys.executable, __file__, "--engine", name),
                    *(f"--rows={given.rows}", f"--memory={given.memory}"),
                ],
                check=True,
                capture_output=True,
                text=True,
            )
            found[name].append(json.loads(done.stdout))
    answers = {tuple(run["answer"]) for runs in found.values() for run in runs}
    if len(answers) > 1:
        sys.exit(f"the answers differ: {found}")
    for name, runs in found.items():
        seconds = min(run["seconds"] for run in runs)
        peak = min(run["peak_mb"] for run in runs)
        print(f"{name:8} {seconds:8.1f} s {peak:8.0f} MB")


if __name__ == "__main__":
    main()
