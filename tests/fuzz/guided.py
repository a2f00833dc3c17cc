"""`python -m fuzz.guided WORD...`: readers and property as ever, inputs bred by coverage (atheris).

A process a reader; the branches of genograph's own modules lead the search. What was found to be
of use is kept in a corpus folder, from which the next run goes on.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from fuzz.mutations import BYTES, HOSTILE
from fuzz.workers import memory

INSTALL = (
    "atheris is not installed: pip install atheris (Linux or macOS; CPython 3.11 or 3.12), or put "
    "it on PYTHONPATH"
)
LONGEST = 50_000
"""Bytes of an input."""


def main() -> int:
    """Run every reader that is named for some seconds; 1 if any has a defect."""
    parser = argparse.ArgumentParser(prog="fuzz.guided", description=__doc__)
    parser.add_argument("reader", nargs="*", help="words of the readers' names; all if none")
    parser.add_argument("--seconds", type=int, default=60, help="time a reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=Path("../build/corpus"))
    parser.add_argument("--one", help="one reader in this process, which atheris then ends")
    parser.add_argument("--files", type=Path, help="empty folder that --one may fill")
    given = parser.parse_args()
    if find_spec("atheris") is None:
        print(INSTALL, file=sys.stderr)
        return 2
    if given.one is not None:
        guided(given.one, given.corpus, given.files, given.seconds, given.seed)
        return 0
    wrong = 0
    for name in _names():
        if given.reader and not any(word in name for word in given.reader):
            continue
        command = [sys.executable, "-m", "fuzz.guided", "--one", name, "--seed", str(given.seed)]
        command += ["--seconds", str(given.seconds), "--corpus", str(given.corpus)]
        place = Place.of(given.corpus, name)
        place.line.unlink(missing_ok=True)
        # what was a defect in an earlier run is an input of this one
        for defect in place.defects.iterdir():
            defect.replace(place.held / defect.name)
        with (
            place.log.open("w") as log,
            tempfile.TemporaryDirectory(prefix="genograph-fuzz-", dir=memory()) as files,
        ):
            command += ["--files", files]
            ended = subprocess.run(command, check=False, stderr=log).returncode
        line = place.line.read_text("utf-8") if place.line.exists() else f"{name}: fed nothing"
        found = sorted(place.defects.iterdir())
        print(f"{line}, corpus {len(list(place.held.iterdir())):,}", flush=True)
        if ended or found:
            wrong += 1
            print(f"    ended with {ended} ({place.log}); {[f.name for f in found]}", flush=True)
    return 1 if wrong else 0


class Place(NamedTuple):
    """Where one reader's corpus, defects, log and line of result are."""

    held: Path
    defects: Path
    log: Path
    line: Path

    @classmethod
    def of(cls, corpus: Path, name: str) -> "Place":
        """The places of a reader; its folders are made."""
        own = corpus.resolve() / "".join(c if c.isalnum() else "_" for c in name)
        held, defects = own / "inputs", own / "defects"
        for folder in (held, defects):
            folder.mkdir(parents=True, exist_ok=True)
        return cls(held, defects, own / "log.txt", own / "line.txt")


def _names() -> list[str]:
    from fuzz.readers import readers

    with tempfile.TemporaryDirectory(prefix="genograph-fuzz-", dir=memory()) as folder:
        return [reader.name for reader in readers(Path(folder))]


def guided(name: str, corpus: Path, folder: Path, seconds: int, seed: int) -> None:
    """Breed inputs for one reader; atheris ends the process without a word to Python."""
    import atheris

    with atheris.instrument_imports(include=["genograph"], enable_loader_override=False):
        from fuzz.engine import Result, attempt
        from fuzz.readers import readers

        (reader,) = (r for r in readers(folder / "files") if r.name == name)
    place = Place.of(corpus, name)
    for number, good in enumerate(reader.good):
        (place.held / f"good-{number}").write_bytes(good)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(w)}"\n' for w in _words(reader.good)), "ascii")
    result = Result(name)
    begun = said = time.monotonic()

    def one(data: bytes) -> None:
        nonlocal said
        found = attempt(reader, data, result)
        if found is not None:
            file = place.defects / _file(found)
            if not file.exists() or len(data) < file.stat().st_size:
                file.write_bytes(data)
                print(f"    {name}: {found}: {data[:200]!r}", flush=True)
        now = time.monotonic()
        if found is not None or now - said > 1:
            said, result.seconds = now, now - begun
            place.line.write_text(str(result), "utf-8")

    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}"]
    # what ends the interpreter is among the defects too
    options += [f"-dict={words}", f"-artifact_prefix={place.defects}/"]
    options += ["-verbosity=0", "-rss_limit_mb=4096", "-timeout=60"]
    atheris.Setup([sys.argv[0], *options, str(place.held)], one)
    atheris.Fuzz()


def _words(good: tuple[bytes, ...]) -> list[bytes]:
    """What a file may be put together from: hostile words, and those of the good files."""
    own = {w for data in good for w in data.replace(b"\t", b" ").split() if 1 < len(w) < 40}
    every = (*(h.encode() for h in HOSTILE), *BYTES, *sorted(own)[:400])
    return [word for word in every if 0 < len(word) < 64]


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _file(defect: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in defect.split(": ")[0])[:80]


if __name__ == "__main__":
    sys.exit(main())
