"""An epoch of training on many double mutants: pace, planned time, memory, half precision.

    python benchmarks/epoch.py            # 1e5, 1e6 and 1.3e7 records, one thread
    python benchmarks/epoch.py --quick    # 1e5 records, under a minute
    python benchmarks/epoch.py --records 13000000 --steps 0    # every record once: the whole epoch

Each size is a cohort directory of random double deletions on the synthetic genome of 6,607 genes,
written by a process of its own and read by another as a training reads it: arrays mapped from disk.
`genograph.training.train` then runs one epoch, of `steps` steps (0: as many as the records fill)
and a validation, in float32 and again in bfloat16 from the same weights and batches. Of each
process the peak is told apart: memory of its own, and pages of the mapped files, which the machine
takes back when it needs them. The last line is JSON.
"""

import argparse
import csv
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from screen import Memory, status

MIB = 2**20
SIZES = (100_000, 1_000_000, 13_000_000)
PRECISIONS = ("32-true", "bf16-mixed")


def make(folder: Path, records: int) -> None:
    """Write the cohort."""
    from graphs import screen, synthetic

    from genograph.cohorts import save_cohort

    save_cohort(screen(synthetic(), records), folder)


def measure(folder: Path, precision: str, pairs: int, steps: int) -> None:
    """Load the cohort and train; print what was measured as JSON."""
    import torch

    from genograph.cohorts import TRAIN, load_cohort
    from genograph.config import read_config
    from genograph.training import train
    from genograph.training.validation import Validation

    torch.set_num_threads(1)
    score, spent = Validation.score, []

    def timed(*arguments: Any) -> Any:  # noqa: ANN401 - as the method that it stands for
        start = time.perf_counter()
        found = score(*arguments)
        spent.append(time.perf_counter() - start)
        return found

    Validation.score = timed  # type: ignore[assignment, method-assign]
    before = status("RssAnon")
    memory = Memory()
    memory.start()
    start = time.perf_counter()
    cohort = load_cohort(folder)
    loaded = time.perf_counter() - start
    assert cohort.fitness is not None
    n = int((cohort.strain_fold[cohort.fitness.strain] == TRAIN).sum())
    whole = -(-n // pairs)
    said: list[tuple[float, str]] = []
    config = read_config(
        heads=("fitness",),
        members=1,
        epochs=1,
        steps_per_epoch=steps or whole,
        batch={"pairs": pairs},
        threads=1,
        device="cpu",
        precision=precision,
    )
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        run = train(
            cohort,
            config,
            Path(out) / "run",
            report=lambda fraction, words: said.append((time.perf_counter() - start, words)),
        )
        with (run.folder / "metrics.csv").open(newline="") as text:
            line = next(iter(csv.DictReader(text)))
    memory.end()
    prepared, words = said[0]
    planned = float(re.findall(r"about ([\d.e+]+) s planned", words)[0])
    measured = float(line["seconds"])
    stepping = measured - sum(spent)
    answer = {
        "train records": n,
        "steps": steps or whole,
        "seconds loading": loaded,
        "seconds before the first step": prepared,
        "seconds planned": planned,
        "seconds measured": measured,
        "seconds of validation": sum(spent),
        "records/s": (steps or whole) * pairs / stepping,
        "whole epoch seconds": stepping * whole / (steps or whole) + sum(spent),
        "loss": float(line["loss"]),
        "own MiB": (memory.own - before) / MIB,
        "mapped MiB": sum(f.stat().st_size for f in folder.glob("*.safetensors")) / MIB,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB,
        "words": words,
    }
    print(json.dumps(answer))


def child(*words: str) -> str:
    """What a process of this script prints last."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout.strip().rpartition("\n")[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--records", type=int, nargs="+", default=[])
    parser.add_argument("--steps", type=int, default=20, help="0: the whole epoch")
    parser.add_argument("--pairs", type=int, default=4096, help="in a batch")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, folder, *rest = options.child
        if what == "make":
            make(Path(folder), int(rest[0]))
        else:
            measure(Path(folder), rest[0], int(rest[1]), int(rest[2]))
        return
    sizes = options.records or ((SIZES[0],) if options.quick else SIZES)
    pairs, steps = (1024, 5) if options.quick else (options.pairs, options.steps)
    began, load = time.perf_counter(), os.getloadavg()[0]
    answer: dict[str, object] = {"load": load, "pairs": pairs, "steps": steps}
    print(f"batches of {pairs} pairs, {steps or 'all'} steps, one thread, load average {load:.1f}")
    for records in sizes:
        with tempfile.TemporaryDirectory(prefix="genograph-epoch-") as place:
            folder = Path(place) / "cohort"
            start = time.perf_counter()
            child("--child", "make", str(folder), str(records))
            print(f"{records:,} records, written in {time.perf_counter() - start:.0f} s")
            found = {}
            for precision in options.precision:
                words = ("measure", str(folder), precision, str(pairs), str(steps))
                found[precision] = one = json.loads(child("--child", *words))
                if precision == options.precision[0]:
                    print(f"  {one['words']}")
                print(
                    f"  {precision:10} {one['records/s']:8,.0f} records/s; epoch of "
                    f"{one['steps']} steps {one['seconds measured']:.1f} s with "
                    f"{one['seconds of validation']:.1f} s of validation "
                    f"(planned {one['seconds planned']:.1f}); of every record "
                    f"{one['whole epoch seconds'] / 60:,.1f} min"
                    + (" (extrapolated)" if steps else "")
                )
                print(
                    f"  {'':10} loading {one['seconds loading']:.1f} s, before the first step "
                    f"{one['seconds before the first step']:.1f} s; own memory "
                    f"{one['own MiB']:,.0f} MiB, mapped files {one['mapped MiB']:,.0f} MiB, peak "
                    f"with both {one['peak MiB']:,.0f} MiB",
                    flush=True,
                )
        key = f"{records:.3g}"
        for precision, one in found.items():
            answer[f"{key} {precision}"] = {
                k: round(v, 4 if k == "loss" else 1) for k, v in one.items() if k != "words"
            }
        if len(found) == 2:
            one, other = (found[p]["loss"] for p in PRECISIONS)
            apart = abs(one - other) / abs(one)
            print(f"  losses {one:.5f} and {other:.5f}: {apart:.2g} apart, relative")
            assert apart < 0.02, apart
            answer[f"{key} loss difference"] = apart
    answer["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
