"""A full disk, folders for reading only, two processes on one database, a clock that jumps.

Each fault takes the scene and a folder of its own, and returns what it did; where something does
not hold it raises Fault.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.commands import HOOKS, done, genograph, must, refused
from faults.kills import same_cohort, same_dump, same_run
from faults.scene import SGA, Scene, compare, files_of, state
from genograph.cohorts import load_cohort
from genograph.database import dump
from genograph.store import open_store


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A file system at a folder, for the time of the block; needs root.

    Raises:
        PermissionError: this process may not mount.
    """
    folder.mkdir(parents=True, exist_ok=True)
    called = subprocess.run(
        ["mount", *options, str(folder)], capture_output=True, text=True, check=False
    )
    if called.returncode != 0:
        raise PermissionError(called.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(folder: Path, kb: int) -> None:
    """Give a mounted tmpfs another size."""
    subprocess.run(["mount", "-o", f"remount,size={kb}k", str(folder)], check=True)


def may_mount() -> bool:
    """Whether this process may mount file systems, which a full disk is made with."""
    return os.geteuid() == 0 and shutil.which("mount") is not None and _mounts()


def _mounts() -> bool:
    folder = Path(f"/tmp/genograph-mount-{os.getpid()}")
    try:
        with mounted(folder, "-t", "tmpfs", "none"):
            return True
    except PermissionError:
        return False
    finally:
        folder.rmdir()


def full_disk(scene: Scene, folder: Path, only: str | None = None, *, most: int = 9) -> str:
    """A disk that fills up while a command writes: one clear line, and nothing is spoilt."""
    folder.mkdir(parents=True)
    if not may_mount():
        return "full disk: this process may not mount a small file system; not tried"
    disk, aside, tried = folder / "disk", folder / "again", 0
    with mounted(disk, "-t", "tmpfs", "none"):
        for name, command, start, frees, wanted in _filling(scene, disk):
            for free in frees[:most] if only in (None, name) else ():
                where = f"{name} with {free} kB left"
                for left in disk.iterdir():
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                resize(disk, ROOM)
                if start is not None:
                    scene.database(start, disk / "graph.db")
                usage = os.statvfs(disk)
                resize(disk, (usage.f_blocks - usage.f_bfree) * usage.f_bsize // 1024 + free)
                said = refused(genograph(*command, folder=folder), where)
                must(str(disk) in said, f"{where}: which file? {said}")
                resize(disk, ROOM)
                if start is not None:
                    found = {n: c for n, c in state(str(disk / "graph.db")).counts.items() if c}
                    before = dump.open_dump(scene.dump(start)).counts
                    must(found == before, f"{where}: it had {before}, now {found}")
                done(genograph(*command, folder=folder), f"{where}, and then room again")
                wanted(aside)
                tried += 1
    return f"full disk: {tried} commands refused in one line, nothing lost, then finished"


ROOM = 400_000
"""kB of a disk with room enough."""


def _filling(scene: Scene, disk: Path):
    """Commands, what they start from, kB that are too little for them, what they must end in."""
    db, out, root = disk / "graph.db", disk / "out", scene.folder

    def graph(name: str):
        return lambda aside: compare(str(db), scene.dump(name), aside, in_parts=False)

    load = ("load", SGA[0], scene.sources / SGA[1], *SGA[2:], "--db", db)
    yield "load", load, "most", (40, 900, 6_000), graph("all")
    build = ("build", scene.sources / "most.toml", "--db", db)
    yield "build", build, None, (40, 8_000), graph("most")
    write = ("predict", root / "two", "--strains", root / "pairs.csv", "--write", "-q", "--db", db)
    write = (*write, "--cohort", root / "cohort")
    yield "predict --write", write, "predicted", (300,), graph("final")
    train = ("train", root / "cohort", "-o", out, "--config", root / "tiny.toml", "-q")
    yield "train", train, None, (8, 300), lambda aside: same_run(out, root / "one")
    export = ("export", "-o", out, "--db", root / "all.db")
    yield "export", export, None, (20, 700, 1_500), lambda aside: same_cohort(out, scene)
    dump = ("db", "dump", out, "--db", root / "all.db")
    yield "db dump", dump, None, (20, 300), lambda aside: same_dump(out, scene.dump("all"))


def reading_only(scene: Scene, folder: Path) -> str:
    """Folders that cannot be written to: one clear line, and what was there stays."""
    folder.mkdir(parents=True)
    root, sources = scene.folder, scene.sources
    wall = folder / "wall"
    wall.write_text("a file where a folder is wanted", "utf-8")
    commands = {
        "build": ("build", sources / "most.toml", "--db", "{}/graph.db"),
        "export": ("export", "-o", "{}/out", "--db", root / "all.db"),
        "train": ("train", root / "cohort", "-o", "{}/out", "--config", root / "tiny.toml", "-q"),
        "db dump": ("db", "dump", "{}/out", "--db", root / "all.db"),
        "simulate": ("simulate", "-o", "{}/out"),
    }
    places = [wall]
    locked = folder / "locked"
    locked.mkdir()
    scene.database("most", locked / "graph.db")
    before = files_of(locked)
    with _unwritable(locked) as how:
        if how is not None:
            places.append(locked)
        for place in places:
            for name, words in commands.items():
                said = [str(word).replace("{}", str(place)) for word in words]
                refused(genograph(*said, folder=folder), f"{name} into {place.name}")
    must(files_of(locked) == before, f"{locked}: is not what it was")
    must(files_of(folder / "wall") == {}, "a file became a folder")
    tried = "a file in its place" + ("" if how is None else f", a folder for reading only ({how})")
    return f"no folder to write into ({tried}): {len(commands)} commands refused in one line"


@contextmanager
def _unwritable(folder: Path) -> Iterator[str | None]:
    """Make a folder unwritable, to root too; yields how, or None where nothing here does it."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield "mode 555"
        finally:
            folder.chmod(0o755)
    elif may_mount():
        with mounted(folder, "--bind", str(folder)):
            subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
            yield "mounted so"
    else:
        yield None


def two_processes(scene: Scene, folder: Path) -> str:
    """A second process on one database file is refused; the first one's work is whole."""
    folder.mkdir(parents=True)
    db = folder / "graph.db"
    scene.database("most", db)
    load = ("load", SGA[0], scene.sources / SGA[1], *SGA[2:], "--db", db)
    words = [sys.executable, "-m", "genograph", *map(str, load)]
    with open_store(db, read_only=True):
        done(genograph("db", "status", "--db", db, folder=folder), "a second reader")
        said = refused(genograph(*load, folder=folder), "a writer beside a reader")
        must("in use by another process" in said, said)
    # of several writers at once one works at a time, the others are refused, and none is torn
    writers = [
        subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    codes = []
    for writer in writers:
        said = writer.communicate(timeout=120)[1]
        codes.append(writer.returncode)
        must(writer.returncode == 0 or "in use by another process" in said, said[-800:])
    must(0 in codes, f"none of three writers came through: {codes}")
    compare(str(db), scene.dump("all"), folder / "again", in_parts=False)
    return f"three writers at once: exits {sorted(codes)}, the graph is one load's"


def jumping_clock(scene: Scene, folder: Path) -> str:
    """A clock that jumps by years, back and forth: the same graph and the same weights."""
    folder.mkdir(parents=True)
    compiler, clock = shutil.which("cc"), folder / "clock.so"
    if compiler is None:
        return "a clock that jumps: there is no C compiler to make one with; not tried"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(clock), str(HOOKS / "clock.c"), "-ldl"]
    subprocess.run(words, check=True)
    db, root = folder / "graph.db", scene.folder

    def run(*words: object, **env: str) -> None:
        ended = genograph(*words, folder=folder, env={"LD_PRELOAD": str(clock), **env})
        must("Traceback" not in done(ended, " ".join(map(str, words))).said, ended.said)

    run("build", scene.sources / "most.toml", "--db", db)
    run("load", SGA[0], scene.sources / SGA[1], *SGA[2:], "--db", db)
    compare(str(db), scene.dump("all"), folder / "again", in_parts=False)
    years = {load.loaded[:4] for load in state(str(db)).ledger.values() if load.loaded}
    must(len(years) > 1, f"the clock did not jump: {years}")
    # the embedded engine measures the time limit of a selection with this clock
    run("export", "-o", "cohort", "--db", db, CLOCK_JUMPS="once")
    wanted = load_cohort(root / "cohort").sha256
    must(load_cohort(folder / "cohort").sha256 == wanted, "another cohort")
    config = root / "tiny.toml"
    run("train", "cohort", "-o", "run", "--config", config, "--minutes", 60, "-q")
    hashes = [
        json.loads((where / "run.json").read_text("utf-8"))["checkpoints"]
        for where in (folder / "run", root / "one")
    ]
    must(hashes[0] == hashes[1], "other weights")
    return f"a clock that jumps between {min(years)} and {max(years)}: the same graph and weights"


FAULTS = (full_disk, reading_only, two_processes, jumping_clock)
