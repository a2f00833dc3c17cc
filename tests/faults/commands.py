"""The command line as a process of its own, left to end or killed at a moment."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

Sign = Callable[[int], bool]
"""Whether the process of this id has begun what is to be interrupted."""

TOLD_EVERY = 0.002
LONGEST = 300.0
HOOKS = Path(__file__).parent / "hooks"


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        code: exit status; -9 where it was killed.
        out, said: stdout and stderr.
        seconds: from its start to its end.
        after: seconds from the sign to its end; None where the sign was never seen.
    """

    code: int
    out: str
    said: str
    seconds: float
    after: float | None

    @property
    def killed(self) -> bool:
        """Whether the kill came before the command had ended by itself."""
        return self.code == -9


def genograph(
    *words: object,
    folder: Path,
    sign: Sign = lambda pid: True,
    kill_after: float | None = None,
    hook: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run `genograph WORDS` in a folder and wait for its end.

    Args:
        sign: is asked until it says yes.
        kill_after: seconds from then to kill -9; None lets the command end.
        hook: a folder of tests/faults/hooks whose sitecustomize the process runs first.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    if hook is not None:
        environment["PYTHONPATH"] = str(HOOKS / hook)
    logs = (folder / ".stdout", folder / ".stderr")
    started = time.perf_counter()
    with logs[0].open("wb") as out, logs[1].open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "genograph", *map(str, words)],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=err,
        )
    seen: float | None = None
    try:
        while process.poll() is None:
            now = time.perf_counter()
            if seen is None and sign(process.pid):
                seen = now
            if seen is not None and kill_after is not None and now - seen >= kill_after:
                process.kill()
                break
            if now - started > LONGEST:
                msg = f"genograph {' '.join(map(str, words))} runs for more than {LONGEST:g} s"
                raise TimeoutError(msg)
            time.sleep(TOLD_EVERY)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    ended = time.perf_counter()
    out_text, err_text = (log.read_text("utf-8", errors="replace") for log in logs)
    after = None if seen is None else ended - seen
    return Ended(process.returncode, out_text, err_text, ended - started, after)


def opens(ending: str) -> Sign:
    """The process has a file open whose path ends so, or a socket (`socket:`)."""

    def sign(pid: int) -> bool:
        try:
            links = [os.readlink(f) for f in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115
        except OSError:
            return False
        return any(link.endswith(ending) or link.startswith(ending) for link in links)

    return sign


def appears(path: Path) -> Sign:
    """A file or folder is there."""
    return lambda pid: path.exists()


def drafted(parent: Path, name: str, file: str = "") -> Sign:
    """A folder of this name is being written, or a file in it."""
    return lambda pid: any(parent.glob(f".{name}.*.part/{name}/{file}".rstrip("/")))


class Fault(AssertionError):
    """What must hold after a fault does not."""


def must(holds: bool, words: str) -> None:
    """Raise where it does not hold; unlike `assert` it also speaks under python -O."""
    if not holds:
        raise Fault(words)


def done(ended: Ended, words: str) -> Ended:
    """The command ended well."""
    must(ended.code == 0, f"{words}: exit {ended.code}: {ended.said.strip()[-1500:]}")
    return ended


def refused(ended: Ended, words: str) -> str:
    """The command ended with exit 1 and one clear line, which is returned."""
    lines = [line for line in ended.said.splitlines() if line.startswith("error: ")]
    well = ended.code == 1 and len(lines) == 1 and "Traceback" not in ended.said
    must(well, f"{words}: exit {ended.code}, wanted one error line: {ended.said.strip()[-1500:]}")
    return lines[0]
