"""The shorter form of `make faults`: a few kills of each kind, and what the recovery rests on."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from faults import conditions, kills, steps, together
from faults.commands import done, genograph, refused
from faults.scene import Scene, made, state
from faults.server import Held

from genograph.cohorts import load_cohort, save_cohort
from genograph.errors import CohortError, StoreError
from genograph.store import Store, open_store, recovery
from genograph.tables import Table

SEED = 11
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    """Databases without runs: those take torch, and their own tests resume them."""
    return made(tmp_path_factory.mktemp("scene"), seed=0, runs=False)


@pytest.mark.parametrize("name", ["load, in parts", "build"])
def test_a_killed_command_loses_nothing_and_is_finished_by_the_same_command(scene, tmp_path, name):
    place = kills.embedded(scene, tmp_path / "place")
    command = kills.commands(scene, place)[name]
    done = kills.kill(command, place, 1, random.Random(f"{SEED} {name}"), tell=print)
    assert done.killed == 1


def test_a_killed_load_into_neo4j_is_finished_by_the_same_command(
    scene, tmp_path, neo4j, neo4j_server
):
    place = kills.on_server(scene, tmp_path / "place", neo4j_server)
    command = kills.commands(scene, place)["load"]
    assert kills.kill(command, place, 1, random.Random(SEED), tell=print).killed == 1


def test_two_exports_into_one_folder_leave_a_whole_cohort(scene, tmp_path):
    together.two_exports(scene, tmp_path / "exports")


def test_two_loads_of_a_server_at_once_are_both_accounted_for(scene, tmp_path, neo4j, neo4j_server):
    together.two_loads(scene, tmp_path / "loads", Held(neo4j_server, (), {}, []))


COMMITTED_AND_KILLED = """
import os, sys, ladybug
connection = ladybug.Connection(ladybug.Database(sys.argv[1], buffer_pool_size=1 << 30))
for word in ("auto_checkpoint=false", "force_checkpoint_on_close=false"):
    connection.execute(f"CALL {word}")
connection.execute("BEGIN TRANSACTION")
connection.execute("CREATE (g:Gene {id: 'YZZ999C'})")
connection.execute("MATCH (g:Gene {id: 'YZZ999C'}) SET g.symbol = 'LOST'")
connection.execute("COMMIT")
os._exit(0)
"""


def test_a_transaction_without_its_checkpoint_is_taken_back_when_the_database_opens(
    scene, tmp_path
):
    db = tmp_path / "graph.db"
    scene.database("most", db)
    before = state(str(db))
    subprocess.run([sys.executable, "-c", COMMITTED_AND_KILLED, str(db)], check=True)
    assert recovery.was_killed(db)
    # a reader is enough to put it right
    assert state(str(db)) == before
    assert not recovery.was_killed(db)


def record(kind: int, payload: bytes = bytes(8)) -> bytes:
    body = bytes([kind]) + payload
    return len(body).to_bytes(8, "little") + body + bytes(8)


HEADER, BEGIN, COMMIT, CHECKPOINT = bytes(25), record(1), record(2), record(0xFE, bytes(16))


@pytest.mark.parametrize(
    ("log", "stays"),
    [
        (b"", False),
        (HEADER[:10], False),
        (HEADER, False),
        (HEADER + BEGIN + COMMIT, False),
        (HEADER + BEGIN + COMMIT + CHECKPOINT, True),
        (HEADER + BEGIN + COMMIT + CHECKPOINT[:-1], False),
        (HEADER + BEGIN + COMMIT + (1 << 60).to_bytes(8, "little") + b"torn", False),
    ],
)
@pytest.mark.parametrize("ending", [".wal", ".wal.checkpoint"])
def test_only_a_log_that_ends_with_a_whole_checkpoint_stays(tmp_path, log, stays, ending):
    db = tmp_path / "graph.db"
    held, pages = tmp_path / f"graph.db{ending}", tmp_path / "graph.db.shadow"
    held.write_bytes(log)
    pages.write_bytes(b"pages")
    assert recovery.was_killed(db)
    recovery.discard_unfinished(db)
    assert (held.exists(), pages.exists()) == (stays, stays)


CATCHING = textwrap.dedent("""
    import subprocess, sys
    from pathlib import Path
    db, to = Path(sys.argv[1]), Path(sys.argv[2])
    writer = subprocess.Popen(sys.argv[3:], stderr=subprocess.DEVNULL)
    log = Path(f"{db}.wal.checkpoint")
    while writer.poll() is None:
        if log.exists():
            writer.kill()
            break
    writer.wait()
    sys.exit(0 if log.exists() else 3)
""")


def test_a_kill_during_the_checkpoint_of_a_load_takes_the_load_back_or_keeps_it_whole(
    scene, tmp_path
):
    # replaying this log would end the interpreter: it changes rows that only COPY has written
    db = tmp_path / "graph.db"
    load = ["load", kills.SGA[0], str(scene.sources / kills.SGA[1]), *kills.SGA[2:]]
    load += ["--db", str(db)]
    command = [sys.executable, "-m", "genograph", *load]
    for _ in range(5):
        for left in tmp_path.iterdir():
            if left.is_file():
                left.unlink()
        scene.database("most", db)
        words = [sys.executable, "-c", CATCHING, str(db), str(tmp_path), *command]
        caught = subprocess.run(words, check=False).returncode == 0
        if caught:
            break
    assert caught, "no checkpoint was caught in five loads"
    found = {n: c for n, c in state(str(db)).counts.items() if c}
    assert found in (kills._held(scene.dump("most")), kills._held(scene.dump("all")))
    done(genograph(*load, folder=tmp_path), "the same load again")
    kills.compare(str(db), scene.dump("all"), tmp_path / "again", in_parts=False)


@pytest.fixture(scope="module")
def cohort(scene, tmp_path_factory):
    from genograph.cohorts import select

    with open_store(scene.folder / "all.db", read_only=True) as store:
        return select(store)


def test_a_killed_replacing_of_a_cohort_leaves_one_that_is_whole(cohort, tmp_path):
    n = steps.every_step(
        tmp_path / "place",
        lambda: save_cohort(cohort, tmp_path / "place" / "out"),
        lambda: save_cohort(cohort, tmp_path / "place" / "out", force=True),
        lambda: load_cohort(tmp_path / "place" / "out"),
        absent=lambda: not (tmp_path / "place" / "out").exists(),
    )
    assert n >= 6
    assert [f.name for f in (tmp_path / "place").iterdir()] == ["out"]


def test_the_earlier_cohort_comes_back_when_a_kill_came_between_two_renames(cohort, tmp_path):
    save_cohort(cohort, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.earlier")
    with pytest.raises(CohortError, match="exists and is not empty"):
        save_cohort(cohort, tmp_path / "out")
    assert load_cohort(tmp_path / "out").sha256 == cohort.sha256


def test_of_several_writers_one_works_and_the_others_are_refused(scene, tmp_path):
    assert "three writers" in conditions.two_processes(scene, tmp_path / "place")


@pytest.mark.skipif(not conditions.may_mount(), reason="needs root, to mount a small file system")
def test_a_full_disk_is_told_in_one_line_and_nothing_is_spoilt(scene, tmp_path):
    words = conditions.full_disk(scene, tmp_path / "place", "load", most=1)
    assert "1 commands refused" in words


def test_a_file_where_a_folder_is_wanted_is_told_in_one_line(scene, tmp_path):
    wall = tmp_path / "wall"
    wall.write_text("a file")
    db = scene.folder / "all.db"
    for words in (("export", "-o", wall / "out"), ("db", "dump", wall / "out")):
        said = refused(genograph(*words, "--db", db, folder=tmp_path), " ".join(map(str, words)))
        assert os.strerror(20) in said
    assert wall.read_text() == "a file"


KILLED_AT_WORK = """
import os, signal, sys
from pathlib import Path
from genograph.files import scratch
from genograph.database.ledger import Rejects
with scratch() as folder, Rejects(Path(sys.argv[1])) as rejects:
    (folder / "rows.parquet").write_bytes(b"rows")
    for _ in range(10_000):
        rejects.row(1, 1, "unknown gene", "YZZ999C")
    print(folder, flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_load_left_lying_is_removed_by_the_next_and_what_is_in_use_stays(
    tmp_path, monkeypatch
):
    from genograph.database.ledger import Rejects
    from genograph.files import scratch

    listed, temporary = tmp_path / "rejects" / "load.tsv", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    # without a lock file it is nobody's to remove
    (temporary / "genograph-other").mkdir()
    words = [sys.executable, "-c", KILLED_AT_WORK, str(listed)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        folder = writer.stdout.readline().strip()
        (part,) = listed.parent.iterdir()

        def again() -> tuple[bool, bool]:
            with scratch(), Rejects(listed) as rejects:
                rejects.row(1, 1, "unknown gene", "YZZ999C")
                rejects.done()
            return Path(folder).exists(), part.exists()

        assert again() == (True, True)
        writer.stdin.close()
        writer.wait(timeout=60)
        assert (Path(folder).exists(), part.exists()) == (True, True)
        assert again() == (False, False)
    assert [f.name for f in listed.parent.iterdir()] == ["load.tsv"]
    assert [f.name for f in temporary.iterdir()] == ["genograph-other"]


COMMIT_OF_BOLT = b"\x00\x02\xb0\x12\x00\x00"


class Wire:
    """A wire to a server that is cut after the next bytes of some kind, and can be used again."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut_after: bytes | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
                for one, other, out in ((near, far, True), (far, near, False)):
                    words = (one, other, out)
                    threading.Thread(target=self._carry, args=words, daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, out: bool) -> None:
        with contextlib.suppress(OSError):
            while said := one.recv(65_536):
                other.sendall(said)
                if out and self.cut_after is not None and self.cut_after in said:
                    self.cut_after = None
                    self.cuts += 1
                    # the server does what it was told, and its answer is not heard
                    one.shutdown(socket.SHUT_RDWR)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def wire(neo4j):
    held = Wire(urlsplit(neo4j).port)
    yield held
    held.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("after", [b"MATCH (g:Gene)", COMMIT_OF_BOLT])
def test_a_read_from_neo4j_is_repeated_when_its_connection_is_cut(wire, after):
    with open_store(f"bolt://127.0.0.1:{wire.port}") as store:
        store.write(Table.of("Gene", {"id": ["YAL001C", "YAL002W"]}))
        wire.cut_after = after
        assert store.query("MATCH (g:Gene) RETURN count(*) AS n")["n"].to_pylist() == [2]
    assert wire.cuts == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("after", [b"MERGE", COMMIT_OF_BOLT])
def test_a_write_into_neo4j_is_repeated_when_its_connection_is_cut(wire, after):
    with open_store(f"bolt://127.0.0.1:{wire.port}") as store:
        store.write(Table.of("Gene", {"id": ["YAL001C"]}))
        wire.cut_after = after
        written = store.write(Table.of("Gene", {"id": ["YAL001C", "YAL002W"]}))
        assert (written.created, written.unchanged) == (1, 1)
        assert store.counts()["Gene"] == 2
    assert wire.cuts == 1


@pytest.mark.timeout(120)
def test_one_transaction_of_neo4j_is_not_repeated_and_leaves_nothing_when_it_is_cut(wire):
    def write(store: Store) -> None:
        with store.transaction():
            store.write(Table.of("Gene", {"id": ["YAL001C"]}))
            wire.cut_after = b"MERGE"
            store.write(Table.of("Gene", {"id": ["YAL002W"]}))

    with open_store(f"bolt://127.0.0.1:{wire.port}") as store:
        with pytest.raises(StoreError, match="no answer from the server"):
            write(store)
        assert store.counts()["Gene"] == 0
    assert wire.cuts == 1
