"""How fast rows go into Neo4j: batched against one by one, and offline through its import tool.

    python benchmarks/neo4j.py --quick           # under a minute once the server's jars are there
    python benchmarks/neo4j.py --pairs 1000000   # offline at full size

Offline, `genograph db neo4j-import` writes the files, the command that it prints is run, and the
server is started on the result and counted. Online, in that server, blocks of strains of other
genes and what they perturb are merged in turns as `genograph load` does it and by one MERGE a row,
in a transaction each; both sides are checked to have left the same. The server is made from its
Maven artifacts, as in the tests. The last line is JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
# this folder has a module of the driver's name
sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent]

import neo4j as driver  # noqa: E402
from neo4j_server import VERSION, Server, running  # noqa: E402

sys.path.append(str(Path(__file__).parent))

import screen  # noqa: E402

STRAINS = "MERGE (s:Strain {id: $id}) SET s.n_perturbed = 2"
PERTURBS = (
    "MATCH (s:Strain {id: $from_id}) MATCH (g:Gene {id: $to_id}) "
    "MERGE (s)-[p:PERTURBS {kind: 'deletion', allele: ''}]->(g) SET p.dose = 0.0"
)


def online(server: Server, *, turns: int, single: int, batched: int) -> dict[str, object]:
    """Blocks of strains and what they perturb, in turns: some one by one, more in batches."""
    from genograph.database.spool import Spool
    from genograph.store import open_store
    from genograph.tables import Table, make_mark

    names = [f"{name}-A" for name in screen.gene_names()]
    pairs = iter((a, b) for i, a in enumerate(names) for b in names[i + 1 :])
    ratios, rates = [], {"one by one": [], "batched": []}  # type: ignore[var-annotated]
    expected = 0
    auth = (server.user, server.password)
    with (
        open_store(server.uri) as store,
        driver.GraphDatabase.driver(server.uri, auth=auth) as raw,
        raw.session() as session,
    ):
        before = store.counts()
        store.write(Table.of("Gene", {"id": names}))
        for turn in range(turns + 1):
            one = [next(pairs) for _ in range(single)]
            many = [next(pairs) for _ in range(batched)]
            began = time.perf_counter()
            for a, b in one:
                session.run(STRAINS, id=f"{a}+{b}").consume()
                for gene in (a, b):
                    session.run(PERTURBS, from_id=f"{a}+{b}", to_id=gene).consume()
            slow = 3 * single / (time.perf_counter() - began)
            ids = [f"{a}+{b}" for a, b in many]
            ends = {
                "from_id": [i for i in ids for _ in range(2)],
                "to_id": [gene for pair in many for gene in pair],
            }
            fixed = {"kind": "deletion", "allele": "", "dose": 0.0}
            words = {name: [value] * (2 * batched) for name, value in fixed.items()}
            mark = make_mark()
            began = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="genograph-bench-") as folder:
                spool = Spool(Path(folder), "turn")
                spool.put(Table.of("Strain", {"id": ids, "n_perturbed": [2] * batched}, own=mark))
                spool.put(Table.of("PERTURBS", ends | words, own=mark))
                spool.write(store)
            fast = 3 * batched / (time.perf_counter() - began)
            expected += single + batched
            if turn:
                # the first turn warms the server
                ratios.append(fast / slow)
                rates["one by one"].append(slow)
                rates["batched"].append(fast)
        after = store.counts()
        added = [after[name] - before[name] for name in ("Strain", "PERTURBS")]
        assert added == [expected, 2 * expected]
        odd = store.query(
            "MATCH (s:Strain) OPTIONAL MATCH (s)-[p:PERTURBS]->(:Gene) "
            "WITH s.id AS id, s.n_perturbed AS n_said, count(p) AS n_has "
            "WHERE n_said <> n_has RETURN count(*) AS n"
        )
        assert odd["n"][0].as_py() == 0
    middle = {name: round(statistics.median(values)) for name, values in rates.items()}
    for name, rate in middle.items():
        print(f"online, {name}: {rate:,} rows/s")
    low, high = min(ratios), max(ratios)
    ratio = statistics.median(ratios)
    print(f"ratio: {ratio:.0f} ({low:.0f} to {high:.0f} over {turns} turns)", flush=True)
    return {
        "rows_per_s": middle,
        "ratio": round(ratio, 1),
        "ratio_range": [round(low, 1), round(high, 1)],
        "target_ratio": 20,
    }


@contextmanager
def offline(pairs: int, n_vector: int) -> Iterator[tuple[Server, dict[str, object]]]:
    """Export files from an embedded database, import them; the server on them, and the times."""
    import load

    from genograph.store import open_store

    clock = screen.Clock()
    with tempfile.TemporaryDirectory(prefix="genograph-bench-") as name:
        folder = Path(name)
        screen.write(folder, pairs, n_vector=n_vector)
        screen.measured(load.__file__, "--child", name)
        program = Path(sys.executable).with_name("genograph")
        words = [str(program), "db", "neo4j-import", str(folder / "csv")]
        words += ["--db", str(folder / "bench.db")]
        done = clock.time(
            "files", lambda: subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        )
        command = done.stdout.split()
        with open_store(folder / "bench.db", read_only=True) as store:
            counts = store.counts()
        rows = sum(counts.values())

        def run(base: list[str], environment: dict[str, str]) -> None:
            admin = [*base, "org.neo4j.cli.AdminTool", *command[1:]]
            clock.time(
                "import",
                lambda: subprocess.run(
                    admin, env=environment, cwd=folder / "csv", check=True, stdout=subprocess.PIPE
                ),
            )

        with running(VERSION, brief=False, before=run) as server:
            os.environ["GENOGRAPH_NEO4J_USER"] = server.user
            os.environ["GENOGRAPH_NEO4J_PASSWORD"] = server.password
            with open_store(server.uri) as store:
                assert store.counts() == counts
            for stage, seconds in clock.seconds.items():
                rate = f"{rows / seconds:,.0f} rows/s"
                print(f"offline, {stage}: {rows:,} rows, {seconds:.1f} s, {rate}", flush=True)
            said = {
                "rows": rows,
                "seconds": clock.seconds,
                "rows_per_s": {s: round(rows / t) for s, t in clock.seconds.items()},
                "target_rows_per_s": 100_000,
            }
            yield server, said


def main() -> None:
    """Measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two turns; 10,000 pairs, few vectors")
    parser.add_argument("--pairs", type=int, help="pairs of the offline import")
    given = parser.parse_args()
    print(f"load {screen.load_average()}, Neo4j {VERSION}")
    turns, single, batched = (2, 60, 5_000) if given.quick else (7, 400, 40_000)
    n_vector = 660 if given.quick else screen.GENES
    pairs = given.pairs or (10_000 if given.quick else 300_000)
    with offline(pairs, n_vector) as (server, said):
        ratios = online(server, turns=turns, single=single, batched=batched)
    load = screen.load_average()
    print(json.dumps({"benchmark": "neo4j", "load": load, "online": ratios, "offline": said}))


if __name__ == "__main__":
    main()
