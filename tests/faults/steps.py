"""kill -9 before every single step of the file system by which a folder is written.

A forked child counts its openings for writing, renamings and removals, and kills itself before the
nth; the next child is killed before the one after, until one comes through. So no window between
two steps is left to chance.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from faults.commands import Fault, must
from faults.scene import Scene, files_of
from genograph.cohorts import load_cohort, save_cohort
from genograph.errors import RunError
from genograph.run import Run
from genograph.training.ensemble import begin

WITHIN = frozenset(("os.remove", "os.rmdir"))
STEPS = WITHIN | {"open", "os.rename", "os.mkdir"}


def killed_before(step: int, under: Path, work: Callable[[], object]) -> bool:
    """Do the work in a child that is killed before its nth step under a folder.

    Returns whether it was killed: false where the work has no more than n steps.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event not in STEPS:
                return
            # a tree is removed by names within open folders
            inside = event in WITHIN and not str(arguments[0]).startswith("/")
            if not inside and not str(arguments[0]).startswith(str(under)):
                return
            if event == "open" and not set(str(arguments[1])) & set("wax+"):
                return
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            sys.addaudithook(count)
            work()
            code = 0
        finally:
            # without the parent's exit handlers
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    must(killed or status == 0, f"step {step}: the work itself failed: status {status}")
    return killed


def every_step(
    folder: Path,
    start: Callable[[], None],
    work: Callable[[], object],
    verify: Callable[[], None],
    *,
    absent: Callable[[], bool],
) -> int:
    """Kill before every step; after each the place is absent or whole, and the work again ends."""
    n = 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start()
        killed = killed_before(n, folder, work)
        try:
            if not absent():
                verify()
            if killed:
                work()
            verify()
        except (AssertionError, RunError) as error:
            msg = f"killed before step {n} in {folder.name}: {error}"
            raise Fault(msg) from error
        if not killed:
            return n
        n += 1


def replacing_a_cohort(scene: Scene, folder: Path) -> str:
    """A cohort directory that is replaced is whole, the earlier or the new one, or absent."""
    cohort, out = load_cohort(scene.folder / "cohort"), folder / "out"
    n = every_step(
        folder,
        lambda: save_cohort(cohort, out) and None,
        lambda: save_cohort(cohort, out, force=True),
        lambda: must(load_cohort(out).sha256 == cohort.sha256, "another cohort"),
        absent=lambda: not out.exists(),
    )
    left = {name.split("/")[0] for name in files_of(folder)}
    must(left == {"out"}, f"left behind: {left}")
    return f"replacing a cohort directory: killed before each of its {n} steps: well"


def beginning_a_run(scene: Scene, folder: Path) -> str:
    """A training that is killed at its very beginning can be begun again."""
    out = folder / "out"
    record = Run.open(scene.folder / "one").record
    n = every_step(
        folder,
        lambda: None,
        lambda: begin(out, record),
        lambda: must(Run.open(out).record == record, "another record"),
        absent=lambda: not (out / "run.json").exists(),
    )
    return f"beginning a run: killed before each of its {n} steps: well"


FAULTS = (replacing_a_cohort, beginning_a_run)
