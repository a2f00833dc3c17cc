"""kill -9 at random moments: what is acknowledged stays, and the same command again ends the work.

Each trial starts from a state of the scene, kills one command at a moment drawn between the first
sign of its work and its end, looks at what is left, and gives the same command again. The result
must be that of an unbroken run.
"""

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from neo4j_server import Server, empty

from faults.commands import Ended, Sign, appears, done, drafted, genograph, must
from faults.scene import SGA, Scene, State, begins, compare, files_of, state
from genograph.cohorts import load_cohort
from genograph.database import dump
from genograph.errors import StoreError
from genograph.run import Run
from genograph.store import open_store

TOLD = re.compile(r"^(\w+): (.+?): [\d,]+ rows read, ", re.MULTILINE)
NO_DATABASE = ("no such database", "is empty; fill it")


class Place(NamedTuple):
    """Where one trial works.

    Attributes:
        folder: a folder of its own, empty at first.
        db: the database: a file there, or the server's address.
        put: makes the database what a state of the scene is; None empties it.
    """

    folder: Path
    db: str
    put: Callable[[str | None], None]

    @property
    def server(self) -> bool:
        """Whether it is a Neo4j server, where a load is resumed rather than rolled back."""
        return "://" in self.db


def embedded(scene: Scene, folder: Path) -> Place:
    """A place whose database is a file."""
    folder.mkdir(parents=True)
    file = folder / "graph.db"

    def put(name: str | None) -> None:
        if name is not None:
            scene.database(name, file)

    return Place(folder, str(file), put)


def on_server(scene: Scene, folder: Path, server: Server) -> Place:
    """A place whose database is a server's, with its credentials in the environment."""
    folder.mkdir(parents=True)
    os.environ["GENOGRAPH_NEO4J_USER"] = server.user
    os.environ["GENOGRAPH_NEO4J_PASSWORD"] = server.password

    def put(name: str | None) -> None:
        empty(server)
        if name is not None:
            with open_store(server.uri) as store:
                dump.restore(store, scene.dump(name))

    return Place(folder, server.uri, put)


class Command(NamedTuple):
    """One command that is to be killed.

    Attributes:
        name: what the report calls it.
        words: its arguments.
        start: the state that it starts from; None is an empty database.
        signs: moments from which the kill may come; one is drawn for each trial.
        left: looks at what a kill left; it is told what the command had said.
        ended: looks at what the same command again has made of it.
        hook: see `commands.genograph`.
    """

    name: str
    words: tuple[object, ...]
    start: str | None
    signs: tuple[Sign, ...]
    left: Callable[[str], None]
    ended: Callable[[], None]
    hook: str | None = None


def commands(scene: Scene, place: Place) -> dict[str, Command]:
    """Every command that can be killed at this place, by name."""
    db, aside = place.db, place.folder / "again"
    sources, folder = scene.sources, place.folder
    names = ("most", "all", "predicted", "final")
    before = {name: _held(scene.dump(name)) for name in names if scene.dump(name).is_dir()}
    opening = begins(db)

    def loaded(whole: str, *, parts: bool) -> Callable[[], None]:
        return lambda: compare(db, scene.dump(whole), aside, in_parts=parts)

    def kept(base: str | None, end: str, *, whole: bool) -> Callable[[str], None]:
        return lambda said: _kept(db, said, before[base] if base else {}, before[end], whole=whole)

    out = {}
    for suffix, hook in (("", None), (", in parts", "parts")):
        if hook and place.server:
            continue
        parts = place.server or hook is not None
        load = Command(
            f"load{suffix}",
            ("load", SGA[0], sources / SGA[1], *SGA[2:], "--db", db),
            "most",
            (opening,),
            kept("most", "all", whole=not parts),
            loaded("all", parts=parts),
            hook,
        )
        build = Command(
            f"build{suffix}",
            ("build", sources / "most.toml", "--db", db),
            None,
            (opening,),
            kept(None, "most", whole=False),
            loaded("most", parts=parts),
            hook,
        )
        restore = Command(
            f"db restore{suffix}",
            ("db", "restore", scene.dump("predicted"), "--db", db),
            None,
            (opening,),
            kept(None, "predicted", whole=not parts),
            lambda: _restored(db, scene.dump("predicted"), aside),
            hook,
        )
        out |= {c.name: c for c in (load, build, restore)}
    for suffix, hook in (("", None), (", in parts", "promotion")):
        write = Command(
            f"predict --write{suffix}",
            (*predict(scene), "--db", db),
            "predicted",
            (opening,),
            lambda said, hook=hook: _all_or_nothing(
                db, before["predicted"], before["final"], parts=hook is not None or "://" in db
            ),
            loaded("final", parts=False),
            hook,
        )
        out[write.name] = write
    for name, words, verify in (
        ("export", ("export", "-o", "out"), lambda: same_cohort(folder / "out", scene)),
        ("db dump", ("db", "dump", "out"), lambda: same_dump(folder / "out", scene.dump("all"))),
    ):
        out[name] = Command(
            name,
            (*words, "--force", "--db", db),
            "all",
            (opening, drafted(folder, "out")),
            lambda said, verify=verify: _whole_or_absent(folder / "out", verify),
            verify,
        )
    if not place.server:
        out["train"] = Command(
            "train",
            ("train", scene.folder / "cohort", "-o", "out", *_settings(scene), "--seed", 0, "-q"),
            None,
            (appears(folder / "out"),),
            lambda said: _readable_run(folder / "out"),
            lambda: same_run(folder / "out", scene.folder / "one"),
        )
    return out


def predict(scene: Scene) -> tuple[object, ...]:
    """The words that predict the pairs by the second run and write what they give."""
    root = scene.folder
    strains = ("--strains", root / "pairs.csv", "--cohort", root / "cohort")
    return ("predict", root / "two", *strains, "--write", "-q")


def _settings(scene: Scene) -> tuple[object, ...]:
    return ("--config", scene.folder / "tiny.toml")


def _held(folder: Path) -> dict[str, int]:
    return dump.open_dump(folder).counts


def _kept(db: str, said: str, base: dict[str, int], end: dict[str, int], *, whole: bool) -> None:
    """The database opens; it has what it had, and every load that the command said was done."""
    told = TOLD.findall(said)
    try:
        now: State = state(db)
    except StoreError as error:
        fresh = not told and not base and any(words in str(error) for words in NO_DATABASE)
        must(fresh, f"it does not open: {error}")
        return
    for name, n in base.items():
        must(now.counts[name] >= n, f"{n} {name} were there, now {now.counts[name]}")
    for name, n in now.counts.items():
        must(n <= end.get(name, 0), f"{n} {name}, more than an unbroken run gives: {end.get(name)}")
    for loader, file in told:
        if not loader.startswith("embed_"):
            file = Path(file).name
        load = now.ledger.get((loader, file))
        must(load is not None and load.loaded is not None, f"{loader} {file} was told and is lost")
    if whole:
        empty = {"Database": 1}
        same = {n: c for n, c in now.counts.items() if c}
        must(same in (base or empty, end), "a load in one transaction is there in part")


def _all_or_nothing(db: str, base: dict[str, int], end: dict[str, int], *, parts: bool) -> None:
    """Every run's predictions are all there, and one run is promoted.

    The strains carry its predictions, all of them; where they get them in parts, each carries one
    run's or none.
    """
    now = state(db)
    must(now.counts["PREDICTED"] in (base["PREDICTED"], end["PREDICTED"]), f"part of a run: {now}")
    n = base["PREDICTED"]
    must(set(now.predicted.values()) == {n}, f"predictions by run: {now.predicted}")
    must(set(now.carried) <= set(now.predicted), f"predictions of no run: {now.carried}")
    must(len(now.promoted) == 1, f"promoted: {now.promoted}")
    must(now.promoted[0] in now.predicted, f"{now.promoted} promoted, {now.predicted} predicted")
    if not parts:
        must(now.carried == {now.promoted[0]: n}, f"{now.promoted} promoted, {now.carried} carried")


def _restored(db: str, wanted: Path, aside: Path) -> None:
    """A restored database gives the very bytes that it was restored from, clocks included."""
    shutil.rmtree(aside, ignore_errors=True)
    done(genograph("db", "dump", aside, "--db", db, folder=aside.parent), "dump what was restored")
    same_dump(aside, wanted)
    shutil.rmtree(aside)


def _whole_or_absent(folder: Path, verify: Callable[[], None]) -> None:
    if folder.exists():
        verify()


def same_cohort(folder: Path, scene: Scene) -> None:
    """The very cohort of an unbroken export.

    DGL leaves bytes of its own file unset, so of the heterograph only the size is compared. The
    manifest names the database it is from, which here has another address.
    """
    found = load_cohort(folder)
    wanted = scene.folder / "cohort"
    must(found.sha256 == load_cohort(wanted).sha256, f"{folder}: another cohort")
    ours, theirs = files_of(folder), files_of(wanted)
    must(ours.keys() == theirs.keys(), f"{folder}: other files: {set(ours) ^ set(theirs)}")
    for name in ours.keys() - {"genome.dgl", "manifest.json"}:
        must(ours[name] == theirs[name], f"{folder / name} differs")
    one, other = (json.loads((f / "manifest.json").read_text("utf-8")) for f in (folder, wanted))
    for manifest in (one, other):
        del manifest["provenance"]["database"]
    must(one == other, f"{folder}: another manifest")
    sizes = [(f / "genome.dgl").stat().st_size for f in (folder, wanted)]
    must(sizes[0] == sizes[1], f"{folder}/genome.dgl has {sizes[0]} bytes, not {sizes[1]}")


def same_dump(folder: Path, wanted: Path) -> None:
    """The very bytes of an unbroken dump."""
    must(files_of(folder) == files_of(wanted), f"{folder}: another dump than {wanted}")


def _readable_run(folder: Path) -> None:
    """Where there is a record it can be read, and every checkpoint that it names is whole."""
    if (folder / "run.json").exists():
        run = Run.open(folder)
        for name in run.record.checkpoints:
            run.checkpoint(int(name.split("/")[0].removeprefix("member-")))


def same_run(folder: Path, wanted: Path) -> None:
    """The same weights by hash, and the same metrics but for the seconds."""
    run, other = Run.open(folder), Run.open(wanted)
    must(run.complete, f"{folder}: the training is not complete")
    must(run.id == other.id, f"{folder}: run {run.id}, unbroken {other.id}")
    for member in range(run.config.training.members):
        run.checkpoint(member)
    must(_metrics(folder) == _metrics(wanted), f"{folder}: other metrics")
    # when it was begun, and where its cohort lies
    ours = run.record.replace(created=other.record.created, cohort=other.record.cohort)
    must(ours == other.record, f"{ours}\n{other.record}")


def _metrics(folder: Path) -> list[list[str]]:
    lines = (folder / "metrics.csv").read_text("utf-8").splitlines()
    seconds = lines[0].split(",").index("seconds")
    return [[c for i, c in enumerate(line.split(",")) if i != seconds] for line in lines]


class Kills(NamedTuple):
    """How many trials of a command were made, and in how many the kill came before the end."""

    trials: int
    killed: int
    again: float


def kill(
    command: Command,
    place: Place,
    n: int,
    draw: random.Random,
    *,
    tell: Callable[[str], None] = lambda words: None,
) -> Kills:
    """Kill a command n times.

    Raises:
        Fault: what must hold does not; the words tell the moment of the kill.
    """
    whole = list(_whole(command, place))
    trials = killed = 0
    while killed < n:
        if trials >= 4 * n + 5:
            msg = f"{command.name}: only {killed} of {trials} kills came in time"
            raise TimeoutError(msg)
        which = draw.randrange(len(command.signs))
        moment = draw.uniform(0, whole[which])
        _prepare(command, place)
        ended = _run(command, place, sign=command.signs[which], kill_after=moment)
        trials += 1
        where = f"{command.name}, sign {which}, killed after {moment:.3f} s of {whole[which]:.3f} s"
        try:
            if not ended.killed:
                done(ended, "it ended before the kill")
            command.left(ended.said)
            if ended.killed:
                killed += 1
                done(_run(command, place), "the same command again")
            command.ended()
        except AssertionError as error:
            msg = f"{where}: {error}"
            raise type(error)(msg) from error
        if not ended.killed and ended.after is not None:
            # the machine is less busy now
            whole[which] = min(whole[which], ended.after)
        tell(f"{where}{'' if ended.killed else ' (too late)'}: well")
    return Kills(trials, killed, sum(whole) / len(whole))


def _whole(command: Command, place: Place) -> Sequence[float]:
    """How long the unbroken command takes from each sign to its end; its result is looked at."""
    out = []
    for sign in command.signs:
        _prepare(command, place)
        ended = done(_run(command, place, sign=sign), f"{command.name}, unbroken")
        must(ended.after is not None, f"{command.name}: its sign was never seen")
        command.ended()
        out.append(ended.after or 0.0)
    return out


def _prepare(command: Command, place: Place) -> None:
    for leftover in place.folder.iterdir():
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    if command.name != "train":
        place.put(command.start)
    if command.name in ("export", "db dump"):
        _old(command, place)


def _old(command: Command, place: Place) -> None:
    """Where a folder is replaced, an earlier one of the same content is there."""
    earlier = place.folder.with_name(f"{place.folder.name}, {command.name}")
    if not earlier.exists():
        done(_run(command, place), f"{command.name}, for the first time")
        (place.folder / "out").rename(earlier)
    shutil.copytree(earlier, place.folder / "out")


def _run(
    command: Command,
    place: Place,
    sign: Sign = lambda pid: True,
    kill_after: float | None = None,
) -> Ended:
    return genograph(
        *command.words, folder=place.folder, sign=sign, kill_after=kill_after, hook=command.hook
    )
