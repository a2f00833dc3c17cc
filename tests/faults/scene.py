"""The scene: a simulated yeast, the states that commands start from, and what they must end in."""

import gzip
import hashlib
import json
import shutil
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from faults.commands import done, genograph, must, opens
from genograph.cli import cli
from genograph.database import check, dump
from genograph.database.ledger import Load, list_loads
from genograph.store import Store, open_store

SGA = ("sga_costanzo2010", "sga.txt.gz", "--study", "simulated_sga", "--singles", "simulated_smf")
CLOCKS = ("started", "loaded")
TINY = """\
[model]
width = 8
hidden = 8
change = 4
growth = 2
projected = 6

[training]
members = 2
epochs = 5
steps_per_epoch = 4
batch = { pairs = 16, singles = 8, expression = 4, morphology = 4 }
device = "cpu"
threads = 1
"""
N_PAIRS = 400
EACH_ON_SERVER = 5
"""Every fifth pair is enough for a server: it is filled, read and emptied at each trial."""


class Scene(NamedTuple):
    """A folder with everything that was made without any fault.

    sources/            the simulated yeast; most.toml lists all but the SGA screen, all.toml all
    most.db, all.db     built from them; predicted.db has the first run's predictions too
    most, all, predicted, final   their dumps; final has the second run's predictions, promoted
    cohort/ one/ two/   exported from all.db, and two runs trained on it
    """

    folder: Path

    @property
    def sources(self) -> Path:
        """The folder with the source files."""
        return self.folder / "sources"

    def database(self, name: str, at: Path) -> None:
        """Put a copy of a database of the scene at a place of its own."""
        shutil.copyfile(self.folder / f"{name}.db", at)

    def dump(self, name: str) -> Path:
        """The dump of an unbroken database."""
        return self.folder / name


def made(folder: Path, *, seed: int, runs: bool = True, each: int = 1) -> Scene:
    """The scene, made by commands that nobody disturbs; the one that is there already stays.

    Without `runs` it is only the databases, made within this process, which takes a third as long.
    `each` is how many lines of the SGA screen one is kept of.
    """
    scene = Scene(folder)
    if (folder / "final" / "manifest.json").is_file():
        return scene
    folder.mkdir(parents=True, exist_ok=True)

    def run(*words: object) -> None:
        if runs:
            done(genograph(*words, folder=folder), " ".join(map(str, words)))
        else:
            with chdir(folder):
                cli.main([str(word) for word in words], standalone_mode=False)

    run("simulate", "-o", "sources", "--genes", 120, "--seed", seed)
    screen = gzip.decompress((scene.sources / SGA[1]).read_bytes()).splitlines(keepends=True)
    (scene.sources / SGA[1]).write_bytes(gzip.compress(b"".join(screen[::each]), mtime=0))
    whole = (scene.sources / "sources.toml").read_text("utf-8")
    steps = whole.split("\n\n")
    most = [step for step in steps if SGA[0] not in step]
    must(len(most) == len(steps) - 1, "the SGA screen is one step of the list of sources")
    (scene.sources / "most.toml").write_text("\n\n".join(most), "utf-8")
    (folder / "tiny.toml").write_text(TINY, "utf-8")
    run("build", "sources/most.toml", "--db", "most.db")
    shutil.copyfile(folder / "most.db", folder / "all.db")
    run("load", SGA[0], f"sources/{SGA[1]}", *SGA[2:], "--db", "all.db")
    for name in ("most", "all"):
        run("db", "dump", name, "--db", f"{name}.db")
    if runs:
        run("export", "-o", "cohort", "--db", "all.db")
        genes = json.loads((folder / "cohort" / "manifest.json").read_text("utf-8"))["genes"]
        pairs = [f"{a}+{b}" for i, a in enumerate(genes) for b in genes[i + 1 :]][:N_PAIRS]
        (folder / "pairs.csv").write_text("\n".join(["strain", *pairs]) + "\n", "utf-8")
        shutil.copyfile(folder / "all.db", folder / "predicted.db")
        for number, name in enumerate(("one", "two")):
            run("train", "cohort", "-o", name, "--config", "tiny.toml", "--seed", number, "-q")
        run("predict", "one", "--strains", "pairs.csv", "--write", "-q", "--db", "predicted.db")
        run("db", "dump", "predicted", "--db", "predicted.db")
        shutil.copyfile(folder / "predicted.db", folder / "final.db")
        run("predict", "two", "--strains", "pairs.csv", "--write", "-q", "--db", "final.db")
        run("db", "dump", "final", "--db", "final.db")
    return scene


class State(NamedTuple):
    """What a database has: rows a type, its ledger, and the runs with their predictions.

    Attributes:
        predicted: by run, how many strains it predicts.
        carried: by run, how many strains carry its predictions.
        promoted: the run that the database says is promoted.
    """

    counts: dict[str, int]
    ledger: dict[tuple[str, str], Load]
    predicted: dict[str, int]
    carried: dict[str, int]
    promoted: tuple[str, ...]


def state(db: str) -> State:
    """Read it, with the database open for reading only."""
    with open_store(db, read_only=True) as store:
        return State(
            dict(store.counts()),
            {(load.loader, load.file): load for load in list_loads(store)},
            _by(store, "MATCH (r:Run)-[p:PREDICTED]->(:Strain) RETURN r.id AS k, count(*) AS n"),
            _by(
                store,
                "MATCH (s:Strain) WHERE s.predicted_run IS NOT NULL "
                "RETURN s.predicted_run AS k, count(*) AS n",
            ),
            tuple(store.query(PROMOTED)["k"].to_pylist()),
        )


PROMOTED = "MATCH (d:Database) WHERE d.promoted_run IS NOT NULL RETURN d.promoted_run AS k"


def _by(store: Store, cypher: str) -> dict[str, int]:
    found = store.query(cypher)
    return dict(zip(found["k"].to_pylist(), found["n"].to_pylist(), strict=True))


def compare(db: str, wanted: Path, aside: Path, *, in_parts: bool) -> None:
    """The database is whole, and its dump has the bytes of the one that is wanted.

    The ledger's two clock columns differ by nature and are left out. So does, of a load that was
    finished `in_parts`, how many rows its last command wrote and how many were there: their sum is
    compared.
    """
    shutil.rmtree(aside, ignore_errors=True)
    with open_store(db, read_only=True) as store:
        found = check.check(store)
        must(not found, f"{db}: db check finds {found[:3]}")
        dump.dump(store, aside)
    ours, theirs = files_of(aside), files_of(wanted)
    must(ours.keys() == theirs.keys(), f"{aside} has other files than {wanted}: {set(ours)}")
    ledger = "Source-0000.parquet"
    for name in ours.keys() - {ledger, "manifest.json"}:
        must(ours[name] == theirs[name], f"{aside / name} differs from {wanted / name}")
    one, other = (_ledger(folder / ledger, in_parts=in_parts) for folder in (aside, wanted))
    must(one == other, f"the ledgers differ:\n{one}\n{other}")
    shutil.rmtree(aside)


def _ledger(file: Path, *, in_parts: bool) -> list[dict[str, object]]:
    rows: pa.Table = pq.read_table(file)
    out = []
    for row in rows.to_pylist():
        must(all(row[clock] for clock in CLOCKS), f"{file}: {row['id']} has no time")
        for clock in CLOCKS:
            del row[clock]
        if in_parts:
            row["rows_written"] += row.pop("rows_unchanged")
        out.append(row)
    return out


def files_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder, by its path there."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def opened(db: str) -> str:
    """What a process has open once it has opened this database."""
    return "socket:" if "://" in db else f"{Path(db).name}.lock"


def begins(db: str):
    """The sign that a command has opened a database."""
    return opens(opened(db))
