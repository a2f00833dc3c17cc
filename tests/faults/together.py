"""Two at once: readers beside a writer, two writers of a server, two exports into one folder."""

import subprocess
import sys
import threading
from pathlib import Path

from faults.commands import must
from faults.kills import on_server
from faults.scene import Scene, state
from faults.server import Held
from genograph.cohorts import load_cohort
from genograph.cypher import query_file
from genograph.database import check
from genograph.store import open_store

ROUNDS = 4
CARRIED = (
    "MATCH (d:Database) MATCH (s:Strain) WHERE s.predicted_run = d.promoted_run "
    "RETURN s.id AS strain, s.predicted_run AS run, s.predicted_fitness AS fitness"
)
PREDICTED = (
    "MATCH (r:Run)-[p:PREDICTED]->(s:Strain) "
    "RETURN r.id AS run, s.id AS strain, p.fitness AS fitness"
)


def started(folder: Path, *words: object) -> "subprocess.Popen[str]":
    """`genograph WORDS`, begun and not waited for."""
    command = [sys.executable, "-m", "genograph", *map(str, words)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def ended(process: "subprocess.Popen[str]") -> str:
    """What it said; raise Fault unless it ended well."""
    said = process.communicate(timeout=300)[1]
    must(process.returncode == 0, f"{process.args}: {said[-800:]}")
    return said


def write(scene: Scene, run: str, db: str) -> tuple[object, ...]:
    """The command that writes a run's predictions."""
    root = scene.folder
    words = ("predict", root / run, "--strains", root / "pairs.csv", "--cohort", root / "cohort")
    return (*words, "--write", "-q", "--db", db)


def readers_beside_a_writer(scene: Scene, folder: Path, held: Held) -> str:
    """A reader that polls a server while two runs are promoted in turn never sees them mixed."""
    place = on_server(scene, folder, held.server)
    place.put("predicted")
    ended(started(folder, *write(scene, "two", place.db)))
    with open_store(place.db, read_only=True) as store:
        rows = store.query(PREDICTED).to_pylist()
    known: dict[str, dict[str, float]] = {}
    for row in rows:
        known.setdefault(row["run"], {})[row["strain"]] = row["fitness"]
    must(len(known) == 2, f"two runs are wanted: {set(known)}")
    path = query_file("predictions")
    assert path is not None
    whole = path.read_text("utf-8")
    seen: dict[str, int] = {}
    wrong: list[str] = []
    stop = threading.Event()

    def poll() -> None:
        with open_store(place.db, read_only=True) as store:
            while not stop.is_set() and not wrong:
                for text, all_of_them in ((whole, True), (CARRIED, False)):
                    given = {"min_perturbed": 0} if all_of_them else {}
                    found = store.query(text, **given).to_pylist()
                    runs = {row["run"] for row in found}
                    if len(runs) > 1 or (all_of_them and not runs):
                        wrong.append(f"strains of {runs} in one answer")
                        return
                    for run in runs:
                        seen[run] = seen.get(run, 0) + 1
                        if all_of_them and len(found) != len(known[run]):
                            wrong.append(f"{len(found)} of {len(known[run])} of {run}")
                        values = known[run]
                        others = [r for r in found if r["fitness"] != values[r["strain"]]]
                        if others:
                            wrong.append(f"{len(others)} values that are not {run}'s: {others[0]}")

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        for number in range(ROUNDS):
            ended(started(folder, *write(scene, ("one", "two")[number % 2], place.db)))
    finally:
        stop.set()
        reader.join()
    must(not wrong, wrong[0] if wrong else "")
    must(len(seen) == 2, f"the reader saw one run alone: {seen}")
    return f"a reader beside {ROUNDS} write-backs: {sum(seen.values())} answers, none mixed"


def two_write_backs(scene: Scene, folder: Path, held: Held) -> str:
    """Two runs written back at once: the second waits, and its run is the promoted one."""
    place = on_server(scene, folder, held.server)
    place.put("all")
    for number in range(ROUNDS):
        both = [started(folder, *write(scene, run, place.db)) for run in ("one", "two")]
        for process in both:
            ended(process)
        now = state(place.db)
        must(len(now.promoted) == 1, f"promoted: {now.promoted}")
        wanted = {now.promoted[0]: now.predicted[now.promoted[0]]}
        must(now.carried == wanted, f"round {number}: {now.promoted} promoted, {now.carried}")
        _sound(place.db)
    return f"two write-backs at once, {ROUNDS} times: one promoted, and its strains carry it"


def two_loads(scene: Scene, folder: Path, held: Held) -> str:
    """Two loads at once of other studies over the same new strains: counts add up."""
    place = on_server(scene, folder, held.server)
    place.put("most")
    with open_store(place.db, read_only=True) as store:
        genes = sorted(store.query("MATCH (g:Gene) RETURN g.id AS id")["id"].to_pylist())[:40]
    strains = [f"{a}+{b}" for i, a in enumerate(genes) for b in genes[i + 1 :]]
    loads = []
    for study in ("east", "west"):
        file = folder / f"{study}.csv"
        lines = [f"{study},{strain},fitness,0.9" for strain in strains]
        file.write_text("\n".join(["study,strain,phenotype,value", *lines]) + "\n", "utf-8")
        loads.append(started(folder, "load", "experiments_csv", file, "--db", place.db))
    for process in loads:
        ended(process)
    _sound(place.db)
    return f"two loads at once over {len(strains)} strains: the ledger accounts for every row"


def _sound(db: str) -> None:
    with open_store(db, read_only=True) as store:
        found = check.check(store)
    must(not found, f"db check: {found[:3]}")


def two_exports(scene: Scene, folder: Path) -> str:
    """Two exports at once into one folder: it is one of the two cohorts, whole, at any moment."""
    folder.mkdir(parents=True)
    db, out = scene.folder / "all.db", folder / "out"
    singles = ("--max-perturbed", 1)
    hashes = set()
    for name, flags in (("every", ()), ("singles", singles)):
        ended(started(folder, "export", "-o", name, "--db", db, *flags))
        hashes.add(load_cohort(folder / name).sha256)
    must(len(hashes) == 2, "two cohorts are wanted")
    ended(started(folder, "export", "-o", out, "--db", db))
    looked = 0
    both = [started(folder, "export", "-o", out, "--force", "--db", db, *f) for f in ((), singles)]
    while any(process.poll() is None for process in both):
        must(load_cohort(out).sha256 in hashes, "another cohort")
        looked += 1
    for process in both:
        ended(process)
    must(load_cohort(out).sha256 in hashes, "the folder is neither of the two cohorts")
    left = [path.name for path in folder.iterdir() if path.name.startswith(".out")]
    must(not left, f"drafts were left: {left}")
    return f"two exports into one folder: whole at the end, looked at {looked} times meanwhile"


ON_FILES = (two_exports,)
ON_SERVER = (readers_beside_a_writer, two_write_backs, two_loads)
