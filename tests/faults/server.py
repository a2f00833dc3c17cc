"""The Neo4j server killed while a command writes or reads: for good, or started again in time."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import neo4j
import neo4j_server
from neo4j_server import Server

from faults.commands import Ended, done, drafted, genograph, must, refused
from faults.kills import on_server, predict, same_dump
from faults.scene import SGA, Scene, compare, state
from genograph.database import dump


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


class Interruption:
    """The sign of a command that kills the server once, when the command has come so far.

    The command is held while it is looked at, so that it cannot end between look and kill.
    """

    def __init__(self, held: Held, reached: Callable[[], bool], *, again: bool) -> None:
        """Wait for `reached`; with `again` the server is started anew within the retry time."""
        self._held, self._reached, self._again = held, reached, again
        self._server = _listening(held.server)
        self.killed = False
        self.away = 0.0

    def __call__(self, client: int) -> bool:
        """Kill the server if it is time; whether it was killed."""
        if self.killed:
            return True
        os.kill(client, signal.SIGSTOP)
        try:
            if not self._reached():
                return False
            begun = time.monotonic()
            os.kill(self._server, signal.SIGKILL)
            self.killed = True
        finally:
            os.kill(client, signal.SIGCONT)
        if self._again:
            _again(self._held)
            self.away = time.monotonic() - begun
        return True


def _asked(server: Server, cypher: str, **parameters: object) -> int:
    """The number n that a query gives, asked from outside of genograph."""
    with (
        neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver,
        driver.session() as session,
    ):
        return int(session.run(cypher, parameters).single(strict=True)["n"])


def _unfinished(server: Server, type: str, held: int) -> Callable[[], bool]:
    """The SGA screen is on the ledger, unfinished, and there are more relationships than before."""
    ask = (
        "MATCH (s:Source {loader: $loader}) WHERE s.loaded IS NULL WITH count(s) > 0 AS begun "
        f"MATCH ()-[x:{type}]->() WHERE begun RETURN count(x) AS n"
    )
    return lambda: _asked(server, ask, loader=SGA[0]) > held


def killed_in_mid_load(scene: Scene, folder: Path, held: Held) -> str:
    """A server that is killed while a load writes.

    Started again within the retry time: the load goes on by itself and ends in the graph of an
    unbroken one, ledger included. Else: one line, exit 1, and the same command finishes.
    """
    place = on_server(scene, folder, held.server)
    load = ("load", SGA[0], scene.sources / SGA[1], *SGA[2:], "--db", place.db)
    before = dump.open_dump(scene.dump("most")).counts
    away = []
    for name in ("TESTS", "PERTURBS"):
        place.put("most")
        reached = _unfinished(held.server, name, before[name])
        kill = Interruption(held, reached, again=True)
        ended = genograph(*load, folder=folder, sign=kill)
        must(kill.killed, "the load ended before the server was killed")
        done(ended, f"the load whose server came back after {kill.away:.0f} s")
        compare(place.db, scene.dump("all"), folder / "again", in_parts=False)
        away.append(f"{kill.away:.0f} s")
    place.put("most")
    kill = Interruption(held, reached, again=False)
    ended = genograph(*load, folder=folder, sign=kill)
    must(kill.killed, "the load ended before the server was killed")
    told = _no_answer(ended, "the load whose server stayed away")
    _again(held)
    unfinished = [load for load in state(place.db).ledger.values() if load.loaded is None]
    must(len(unfinished) == 1, f"{len(unfinished)} unfinished loads on the ledger")
    done(genograph(*load, folder=folder), "the same command again")
    compare(place.db, scene.dump("all"), folder / "again", in_parts=True)
    return (
        f"Neo4j killed in mid-load: back after {' and '.join(away)}, the load went on to the same "
        f"bytes; away, one line after {told:.0f} s, and the same command finished"
    )


def _no_answer(ended: Ended, words: str) -> float:
    """The command said in one line that no server answers; how many seconds after the kill."""
    said = refused(ended, words)
    must("no answer from the server" in said and said.count("\n") == 0, f"{words}: {said}")
    return ended.after or 0.0


def killed_while_read(scene: Scene, folder: Path, held: Held) -> str:
    """A server that is killed while a dump reads, and started again: the dump goes on."""
    place = on_server(scene, folder, held.server)
    place.put("all")
    dump = ("db", "dump", "out", "--db", place.db)
    written = drafted(folder, "out", "Gene-0000.parquet")
    kill = Interruption(held, lambda: written(0), again=True)
    ended = genograph(*dump, folder=folder, sign=kill)
    must(kill.killed, "the dump ended before the server was killed")
    done(ended, "the dump whose server came back")
    same_dump(folder / "out", scene.dump("all"))
    return f"Neo4j killed while a dump reads: back after {kill.away:.0f} s, it gave the same bytes"


def killed_in_a_transaction(scene: Scene, folder: Path, held: Held) -> str:
    """A server that is killed within the one transaction of predictions.

    That one is not repeated, though the server comes back: one line, nothing of it is there, and
    the same command writes all.
    """
    place = on_server(scene, folder, held.server)
    place.put("predicted")
    write = (*predict(scene), "--db", place.db)
    kill = Interruption(held, _writing(held.server), again=True)
    ended = genograph(*write, folder=folder, sign=kill)
    must(kill.killed, "the predictions were written before the server was killed")
    _no_answer(ended, "predict --write, whose server was killed")
    compare(place.db, scene.dump("predicted"), folder / "again", in_parts=False)
    done(genograph(*write, folder=folder), "the same command again")
    compare(place.db, scene.dump("final"), folder / "again", in_parts=False)
    return "Neo4j killed within the predictions' transaction: one line, none there; again: all"


def _writing(server: Server) -> Callable[[], bool]:
    """A transaction is open that has changed some hundred rows, by the locks that it holds."""
    ask = "SHOW TRANSACTIONS YIELD activeLockCount WHERE activeLockCount > 300 RETURN count(*) AS n"
    return lambda: _asked(server, ask) > 0


FAULTS = (killed_in_mid_load, killed_while_read, killed_in_a_transaction)
