"""Feeds a reader with bad input and tells what came of it.

The property: within a limit of time a reader returns or raises GenographError with a message of one
line; it raises and warns of nothing else, and leaves no file beside the one that it read.
"""

import os
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.mutations import broken
from fuzz.readers import Reader
from hypothesis import HealthCheck, Phase, given, seed, settings

from genograph.errors import GenographError

LIMIT = 20.0
"""Seconds of processor time for one input of a few kilobytes."""

ROUND = 500
"""Examples that hypothesis draws before it begins anew; it keeps a tree of those it has drawn."""


class HangError(BaseException):
    """A reader took longer than the limit; no reader may catch it."""


@dataclass
class Result:
    """What a reader did with its inputs.

    Attributes:
        inputs: inputs that it was given, no two of them the same.
        refused: how many were refused, by class of error.
        slowest, seconds: processor time of the slowest input, and time of all.
        defects: what must not be, each with its shortest input.
    """

    name: str
    inputs: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    seconds: float = 0.0
    defects: dict[str, bytes] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line."""
        n = sum(self.refused.values())
        return (
            f"{self.name}: {self.inputs:,} inputs, {n:,} refused ({dict(self.refused)}), "
            f"{self.inputs - n:,} read, slowest {self.slowest:.2f} s, {self.seconds:.0f} s in all, "
            f"{len(self.defects)} defects"
        )


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise HangError when the processor has worked for this long."""

    def ring(number: int, frame: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def listing(folders: Sequence[Path], fed: Path | None) -> dict[str, tuple[int, int]]:
    """Every file under the folders but the one that is fed, with its size and time of change."""
    out = {}
    left = [str(folder) for folder in folders]
    own = None if fed is None else str(fed)
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                    out[entry.path] = (0, 0)
                elif entry.path != own:
                    stat = entry.stat(follow_symlinks=False)
                    out[entry.path] = (stat.st_size, stat.st_mtime_ns)
    return out


def attempt(
    reader: Reader, data: bytes, result: Result, watched: Sequence[Path] = ()
) -> str | None:
    """Read one input; the defect in a line, None where there is none.

    The reader's folder and the `watched` ones must be afterwards as they were.
    """
    result.inputs += 1
    folders = (*watched, *((reader.file.parent,) if reader.file else ()))
    before = listing(folders, reader.file)
    begun = time.process_time()
    defect = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with time_limit(LIMIT):
                reader.read(data)
        except GenographError as error:
            result.refused[type(error).__name__] += 1
            text = str(error)
            if not text or len(text.splitlines()) > 1:
                defect = f"{type(error).__name__} of {len(text.splitlines())} lines: {text[:200]!r}"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            last = traceback.extract_tb(error.__traceback__)
            ours = [f for f in last if "/genograph/" in f.filename or "/loaders/" in f.filename]
            where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
            defect = f"{type(error).__name__} at {where}: {str(error)[:160]!r}"
    result.slowest = max(result.slowest, time.process_time() - begun)
    after = listing(folders, reader.file)
    if defect is None and after != before:
        changed = sorted(path for path, _ in after.items() ^ before.items())
        defect = f"files beside the one that is read: {changed[:3]}"
    if defect is not None:
        key = defect.split(": ")[0]
        held = result.defects.get(key)
        if held is None or len(data) < len(held):
            result.defects[key] = data
        return defect
    return None


def fuzz(reader: Reader, inputs: int, *, seed_number: int, watched: Sequence[Path] = ()) -> Result:
    """Feed a reader with at least this many different inputs, its good files among them."""
    result = Result(reader.name)
    begun = time.monotonic()

    def feed(data: bytes) -> None:
        attempt(reader, data, result, watched)

    for good in reader.good[:inputs]:
        feed(good)
    different(reader.good, feed, lambda: inputs - result.inputs, seed_number=seed_number)
    result.seconds = time.monotonic() - begun
    return result


def different(
    good: tuple[bytes, ...],
    feed: Callable[[bytes], object],
    left: Callable[[], int],
    *,
    seed_number: int,
) -> None:
    """Give `feed` broken files, no two of them the same and none a good one, while some are left.

    Every stage of an example is an input: drawing costs more than most readers do.
    """
    seen = {hash(data) for data in good}
    while left() > 0:

        @seed(seed_number)
        @settings(
            # the first example of a round is always the same
            max_examples=min(ROUND, left() // 2 + 10),
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(broken(good))
        def one(stages: list[bytes]) -> None:
            for data in stages:
                if left() > 0 and (key := hash(data)) not in seen:
                    seen.add(key)
                    feed(data)

        one()
        seed_number += 1
