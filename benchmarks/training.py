"""The default training of a cohort and its evaluation, as a user starts them: wall time and scores.

    genograph export --db yeast.db -o cohort
    python benchmarks/training.py cohort                    # three members, as by default
    python benchmarks/training.py cohort --members 1 -- --epochs 2    # more words for train

Each command is a process of its own, started from the environment of this script, and is timed from
its start to its end with its peak of memory. Nothing is compared: no other program trains on such a
folder. What is printed of the training are the best validation scores of each member, so that a
faster training can be told from a worse one. The last line is JSON.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(*words: str) -> dict[str, float]:
    """Seconds and peak MiB of a genograph command."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "genograph", *words]
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        msg = f"{' '.join(words)}: ended with {os.waitstatus_to_exitcode(status)}"
        raise SystemExit(msg)
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 1), "peak_mib": round(used.ru_maxrss / 1024)}


def scores(run: Path) -> list[dict[str, float]]:
    """The best validation score of each quantity, member by member."""
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    names = [name for name in rows[0] if name.startswith("validation_")]
    return [
        {name: max(float(r[name]) for r in rows if r["member"] == member) for name in names}
        | {"epochs": max(int(r["epoch"]) for r in rows if r["member"] == member)}
        for member in dict.fromkeys(row["member"] for row in rows)
    ]


def main() -> None:
    """Train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("more", nargs="*", help="further words for genograph train, after --")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genograph-") as folder:
        run = Path(folder) / "run"
        words = ("train", str(given.cohort), "-o", str(run), "--quiet")
        training = timed(*words, "--members", str(given.members), *given.more)
        found = scores(run)
        evaluation = timed("evaluate", str(run), "--quiet")
    machine = {"cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1)}
    print(f"train {training['seconds']:.0f} s, evaluate {evaluation['seconds']:.0f} s")
    print(json.dumps({"train": training, "evaluate": evaluation, "members": found} | machine))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
