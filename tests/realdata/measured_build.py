"""Builds the list of real sources into a database, in a process of its own, and measures it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from genograph.store import open_store

SOURCES = Path(__file__).parent / "sources.toml"


class Built(NamedTuple):
    """A database and what its build took."""

    db: str
    counts: dict[str, int]
    size: int | None
    seconds: float
    memory: int  # bytes, of the building process


# the build has a process of its own, so that its peak memory is its own
PROGRAM = """
import json, resource, sys
from genograph.database import ingest
from genograph.store import open_store
with open_store(sys.argv[1]) as store:
    for ledger in ingest.build(store, sys.argv[2]):
        print(json.dumps([ledger.source, ledger.rows_read, ledger.written, ledger.seconds,
                          ledger.rejected, ledger.notes]), flush=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def built(db, tables):
    """Build the list of sources into a database, tell the ledger, and measure."""
    environment = {**os.environ, "GENOGRAPH_REALDATA": str(tables)}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, db, str(SOURCES)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seconds = time.perf_counter() - started
    *ledgers, memory = done.stdout.splitlines()
    for line in ledgers:
        name, rows, written, took, rejected, notes = json.loads(line)
        print(f"\n{name}: {rows:,} rows, {written:,} graph rows written, {took:.1f} s")
        for reason, n in sorted(rejected.items(), key=lambda item: -item[1])[:8]:
            print(f"  rejected {n:,}: {reason}")
        for reason, n in notes.items():
            print(f"  noted {n:,}: {reason}")
    with open_store(db, read_only=True) as store:
        out = Built(db, dict(store.counts()), store.size(), seconds, int(memory))
    size = f"{out.size / 1e6:,.0f} MB" if out.size else "size not told"
    print(f"\n{seconds:.0f} s, peak {out.memory / 1e6:,.0f} MB, {size}")
    print(", ".join(f"{n:,} {name}" for name, n in out.counts.items() if n))
    return out
