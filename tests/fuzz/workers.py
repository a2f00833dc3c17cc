"""Processes that feed readers; one that dies is a defect of the reader that it was feeding.

Each builds its own readers in a folder of its own, where the last file that was fed is found if
the interpreter dies.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NamedTuple


class Task(NamedTuple):
    """What a worker does: `read` n inputs, `load` n refused ones, or the `bomb` of number n."""

    kind: str
    reader: str
    n: int


class Fed(NamedTuple):
    """What came of a task; defects with their inputs."""

    task: Task
    line: str
    inputs: int
    defects: dict[str, bytes]


class _Worker(NamedTuple):
    process: SpawnProcess
    pipe: Connection
    folder: Path


def memory() -> Path | None:
    """A folder in memory, where writing costs nothing; None where there is none."""
    place = Path("/dev/shm")
    return place if place.is_dir() and os.access(place, os.W_OK) else None


Serve = Callable[[Connection, Path, int], object]
"""What a process does: takes tasks from the pipe until it is closed, and answers each."""


def work(
    tasks: list[Task], *, jobs: int, seed_number: int, serve: Serve | None = None
) -> Iterator[Fed]:
    """What came of each task, as they end; the processes are ended with the last."""
    waiting = list(reversed(tasks))
    busy: dict[Connection, tuple[_Worker, Task]] = {}
    with tempfile.TemporaryDirectory(prefix="genograph-fuzz-", dir=memory()) as place:
        try:
            while waiting or busy:
                while waiting and len(busy) < jobs:
                    worker = _begun(serve or _serve, Path(tempfile.mkdtemp(dir=place)), seed_number)
                    worker.pipe.send(waiting[-1])
                    busy[worker.pipe] = (worker, waiting.pop())
                for pipe in wait(list(busy)):
                    worker, task = busy.pop(pipe)
                    try:
                        yield pipe.recv()
                    except (EOFError, ConnectionResetError):
                        yield _died(worker, task)
                        continue
                    if waiting:
                        pipe.send(waiting[-1])
                        busy[pipe] = (worker, waiting.pop())
                    else:
                        worker.process.terminate()
        finally:
            for worker, _ in busy.values():
                worker.process.terminate()
                worker.process.join()


def _begun(serve: Serve, folder: Path, seed_number: int) -> _Worker:
    # a fork would inherit the threads of torch and the database
    new = multiprocessing.get_context("spawn")
    ours, theirs = new.Pipe()
    process = new.Process(target=serve, args=(theirs, folder, seed_number), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, folder)


def _died(worker: _Worker, task: Task) -> Fed:
    worker.process.join()
    files = [f for f in (worker.folder / "files").rglob("*") if f.is_file()]
    last = max(files, key=lambda file: file.stat().st_mtime_ns, default=None)
    fed = last.read_bytes() if last else b""
    what = f"the interpreter ended with {worker.process.exitcode}"
    return Fed(task, f"{task.reader}: {what}", 0, {what: fed})


def _serve(pipe: Connection, folder: Path, seed_number: int) -> None:
    """Do what comes through the pipe until it is closed."""
    import torch
    from fuzz.bombs import BOMBS, lit
    from fuzz.engine import fuzz
    from fuzz.loads import fuzz_load
    from fuzz.readers import readers

    torch.set_num_threads(1)
    every = {reader.name: reader for reader in readers(folder / "files")}
    # what a reader leaves in the working folder or among the temporary files is seen there
    watched = [folder / "working", folder / "temporary"]
    for place in watched:
        place.mkdir()
    os.chdir(watched[0])
    tempfile.tempdir = str(watched[1])
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        reader = every[task.reader]
        if task.kind == "bomb":
            pipe.send(Fed(task, *lit(BOMBS[task.n], reader)))
            continue
        if task.kind == "load":
            result = fuzz_load(reader, task.n, folder / "loads", seed_number=seed_number)
        else:
            result = fuzz(reader, task.n, seed_number=seed_number, watched=watched)
        pipe.send(Fed(task, str(result), result.inputs, result.defects))
