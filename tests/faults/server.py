"""The Neo4j server killed and started again while a command writes."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import neo4j_server
from neo4j_server import Server

from faults.commands import done, genograph, must, refused
from faults.kills import on_server
from faults.scene import SGA, Scene, begins, compare


class Held(NamedTuple):
    """A server and what it takes to start it again on the same data."""

    server: Server
    command: tuple[str, ...]
    environment: dict[str, str]
    restarted: "list[subprocess.Popen[bytes]]"


@contextmanager
def running(version: str) -> Iterator[Held]:
    """A server of one's own that can be killed and started again."""
    with neo4j_server.running(version) as server:
        pid = _listening(server)
        held = Held(server, tuple(_nul(pid, "cmdline")), _environment(pid), [])
        try:
            yield held
        finally:
            for process in held.restarted:
                process.terminate()
                process.wait(timeout=60)


def _nul(pid: int, name: str) -> list[str]:
    return Path(f"/proc/{pid}/{name}").read_text("utf-8").rstrip("\0").split("\0")


def _environment(pid: int) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in _nul(pid, "environ"))


def _listening(server: Server, *, wait: float = 60) -> int:
    """The id of the process that runs this server; 0 where there is none."""
    deadline = time.monotonic() + wait
    while True:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _is_child(folder):
                try:
                    words = _nul(int(folder.name), "cmdline")
                except OSError:
                    continue
                if any(word.startswith("--home-dir=") for word in words) and _up(server):
                    return int(folder.name)
        if time.monotonic() >= deadline:
            return 0
        time.sleep(0.1)


def _is_child(folder: Path) -> bool:
    """Whether a process is a living child of this one."""
    try:
        fields = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z" and int(fields[1]) == os.getpid()


def _up(server: Server) -> bool:
    where = urlsplit(server.uri)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((where.hostname, where.port)) == 0


def _again(held: Held) -> None:
    """Start it again on its data; it answers queries when this returns."""
    log = Path(held.environment["NEO4J_HOME"]) / "console-again.log"
    with log.open("ab") as out:
        process = subprocess.Popen(held.command, env=held.environment, stdout=out, stderr=out)
    held.restarted.append(process)
    neo4j_server._await(held.server, process, log)


def killed_in_mid_load(scene: Scene, folder: Path, held: Held) -> str:
    """A server that is killed while a load writes, and started again, at once or later.

    At once: the load goes on by itself, or says in one line that there was no answer. Later: it
    says so. In both cases the same command then ends in the graph of an unbroken load.
    """
    place = on_server(scene, folder, held.server)
    load = ("load", SGA[0], scene.sources / SGA[1], *SGA[2:], "--db", place.db)
    told = []
    for at_once in (True, False):
        place.put("most")
        seen: list[float] = []

        def kill(client: int, at_once: bool = at_once, seen: list[float] = seen) -> bool:
            """The sign: some time after the load has begun to write, the server is killed."""
            if not begins(place.db)(client):
                return False
            seen.append(time.monotonic())
            if seen[-1] - seen[0] < 0.8:
                return False
            os.kill(_listening(held.server), signal.SIGKILL)
            if at_once:
                _again(held)
            return True

        ended = genograph(*load, folder=folder, sign=kill)
        must(ended.after is not None, "the load ended before the server was killed")
        if ended.code == 0 and at_once:
            told.append("killed and started at once: the load went on")
        else:
            said = refused(ended, "the load whose server was killed")
            words = ("no answer from the server", "is not available", "is it running")
            must(any(word in said for word in words), said)
            told.append(f"{'started at once' if at_once else 'gone'}: one clear line")
        if not at_once:
            _again(held)
        done(genograph(*load, folder=folder), "the same command again")
        compare(place.db, scene.dump("all"), folder / "again", in_parts=True)
    return f"Neo4j killed in mid-load: {'; '.join(told)}; the same command ended in the same graph"


FAULTS = (killed_in_mid_load,)
