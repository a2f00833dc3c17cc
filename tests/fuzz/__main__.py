"""`python -m fuzz`: every reader, or those named, on at least 10,000 inputs each (`make fuzz`)."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from fuzz.engine import fuzz
from fuzz.readers import readers


def main() -> int:
    """Print a line a reader; 1 if any has a defect."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("reader", nargs="*", help="words of the readers' names; all if none")
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs a reader")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--skip", type=int, default=0, help="readers to leave out at the start")
    parser.add_argument("--keep", type=Path, help="folder for inputs that show a defect")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="genograph-fuzz-") as folder:
        for reader in readers(Path(folder))[given.skip :]:
            if given.reader and not any(word in reader.name for word in given.reader):
                continue
            result = fuzz(reader, given.inputs, seed_number=given.seed)
            print(result, flush=True)
            for number, (defect, data) in enumerate(result.defects.items()):
                wrong += 1
                print(f"    {defect}: {data[:200]!r}", flush=True)
                if given.keep:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    name = f"{reader.name.replace(' ', '_')}-{number}"
                    (given.keep / name).write_bytes(data)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
