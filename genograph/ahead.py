"""Start the process of a user's query ahead of its store, while the store is still imported.

A command that will ask one query has it start at once, and no slower for it.
"""

import subprocess
import sys
from pathlib import Path

_PROGRAM = Path(__file__).parent / "store" / "child.py"
_STARTED: list["subprocess.Popen[bytes]"] = []


def start_ahead() -> None:
    """Start a process that the next store to be asked takes; it ends with this one."""
    _STARTED.append(_start())


def take_process() -> "subprocess.Popen[bytes]":
    """The process that was started ahead, or a new one; `genograph.store.child` is its program."""
    return _STARTED.pop() if _STARTED else _start()


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
