"""Feeds a reader with bad input and tells what came of it.

The property: within a limit of time a reader returns or raises GenographError with a message of one
line; it raises and warns of nothing else, and leaves no file beside the one that it read.
"""

import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.mutations import broken
from fuzz.readers import Reader
from hypothesis import HealthCheck, Phase, given, seed, settings

from genograph.errors import GenographError

LIMIT = 20.0
"""Seconds of processor time for one input of a few kilobytes."""


class HangError(BaseException):
    """A reader took longer than the limit; no reader may catch it."""


@dataclass
class Result:
    """What a reader did with its inputs."""

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


def attempt(reader: Reader, data: bytes, result: Result) -> str | None:
    """Read one input; the defect in a line, None where there is none."""
    result.inputs += 1
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
    if defect is not None:
        key = defect.split(": ")[0]
        held = result.defects.get(key)
        if held is None or len(data) < len(held):
            result.defects[key] = data
        return defect
    return None


def fuzz(reader: Reader, inputs: int, *, seed_number: int) -> Result:
    """Feed a reader with this many inputs; every kind of defect is kept with its shortest input."""
    result = Result(reader.name)
    begun = time.monotonic()
    for good in reader.good:
        attempt(reader, good, result)

    @seed(seed_number)
    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(broken(reader.good))
    def one(data: bytes) -> None:
        attempt(reader, data, result)

    one()
    result.seconds = time.monotonic() - begun
    return result
