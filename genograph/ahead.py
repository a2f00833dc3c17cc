"""Start the process of a user's query ahead of its store, while the store is still imported.

A command that will ask one query has it start at once, and no slower for it.
"""

import atexit
import subprocess
import sys
from pathlib import Path

_PROGRAM = Path(__file__).parent / "store" / "child.py"
_STARTED: list["subprocess.Popen[bytes]"] = []


def start_ahead() -> None:
    """Start a process that the next store to be asked takes; it ends with this one."""
    if not _STARTED:
        _STARTED.append(_start())
        atexit.register(_end)


def take_process() -> "subprocess.Popen[bytes]":
    """The process that was started ahead, or a new one; `genograph.store.child` is its program."""
    while _STARTED:
        started = _STARTED.pop()
        if started.poll() is None:
            return started
    return _start()


def _end() -> None:
    """End the process that no store has taken."""
    while _STARTED:
        with _STARTED.pop() as left:
            left.kill()


def _start() -> "subprocess.Popen[bytes]":
    # with -S and -P it imports nothing but what these folders hold
    folders = [folder or str(Path.cwd()) for folder in sys.path]
    return subprocess.Popen(
        [sys.executable, "-S", "-P", str(_PROGRAM), *folders],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the parent, which ends it
        process_group=0,
    )
