"""Compare the stores and pandas on any number of queries.

python -m differential --queries 20000 --seed 7
python -m differential --queries 5000 --neo4j-version 2026.01.3

The seed is printed; the exit code is 1 where an answer differs.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

import neo4j_server

from differential.compare import compare, draw_queries


def main() -> None:
    """Draw, ask, print what differs."""
    parser = argparse.ArgumentParser(description="The two engines and pandas, on drawn queries.")
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--each", type=int, default=8, help="queries of one shape (%(default)s)")
    parser.add_argument("--neo4j-version", default=neo4j_server.VERSION)
    parser.add_argument("--no-neo4j", action="store_true", help="only the embedded store")
    given = parser.parse_args()
    print(f"--seed {given.seed}", flush=True)
    tables, queries = draw_queries(given.queries, given.seed, given.each)
    with tempfile.TemporaryDirectory() as folder:
        found = compare(str(Path(folder) / "graph.db"), tables, queries)
    if not given.no_neo4j:
        with neo4j_server.running(given.neo4j_version) as server:
            os.environ["GENOGRAPH_NEO4J_USER"] = server.user
            os.environ["GENOGRAPH_NEO4J_PASSWORD"] = server.password
            found += compare(server.uri, tables, queries, jobs=2)
    for difference in found:
        print(difference)
    print(f"{len(queries)} queries, {len(found)} answers differ")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
