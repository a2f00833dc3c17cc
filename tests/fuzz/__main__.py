"""`python -m fuzz`: every reader, or those named, on at least 10,000 inputs each (`make fuzz`).

Then every loader's refused files are loaded for real, and the slow bombs are lit.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from fuzz.bombs import BOMBS
from fuzz.workers import Fed, Task, memory, work

from genograph import loaders


def tasks(words: list[str], inputs: int, loads: int) -> list[Task]:
    """What is to be done for the readers whose names have one of the words; all without words."""
    from fuzz.readers import readers

    with tempfile.TemporaryDirectory(prefix="genograph-fuzz-", dir=memory()) as folder:
        names = [reader.name for reader in readers(Path(folder))]
    known = set(loaders.names())
    every = [Task("read", name, inputs) for name in names if inputs]
    every += [Task("load", name, loads) for name in names if loads and name.split()[0] in known]
    every += [Task("bomb", bomb.loader, i) for i, bomb in enumerate(BOMBS) if bomb.slow]
    return [t for t in every if not words or any(word in t.reader for word in words)]


def main() -> int:
    """Print a line a reader; 1 if any has a defect."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("reader", nargs="*", help="words of the readers' names; all if none")
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs a reader")
    parser.add_argument("--loads", type=int, default=50, help="refused files a loader loads")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--skip", type=int, default=0, help="tasks to leave out at the start")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--keep", type=Path, help="folder for inputs that show a defect")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    todo = tasks(given.reader, given.inputs, given.loads)[given.skip :]
    wrong = inputs = 0
    for fed in work(todo, jobs=given.jobs, seed_number=given.seed):
        print(fed.line, flush=True)
        wrong += len(fed.defects)
        inputs += fed.inputs
        for number, (defect, data) in enumerate(fed.defects.items()):
            print(f"    {defect}: {data[:200]!r}", flush=True)
            if given.keep:
                _kept(given.keep, fed, number, data)
    print(f"{len(todo)} tasks, {inputs:,} inputs, {wrong} defects", flush=True)
    return 1 if wrong else 0


def _kept(folder: Path, fed: Fed, number: int, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{fed.task.kind}-{fed.task.reader.replace(' ', '_')}-{number}").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
