"""Loads broken files for real: a file that is refused leaves the database as it was.

One that is let in leaves a database in which `db check` finds nothing wrong.
"""

import shutil
import time
from pathlib import Path

from fuzz.engine import Result, different, time_limit
from fuzz.readers import DATA, GIVERS, Reader, case_of

from genograph.database import check, dump
from genograph.database.ingest import load
from genograph.errors import GenographError
from genograph.store import Store, open_store

LIMIT = 60.0
"""Seconds of processor time for one load."""


def filled(path: Path) -> Path:
    """A database that has what the loaders need; made once."""
    if not path.exists():
        with open_store(str(path)) as store:
            for giver in GIVERS:
                (source,) = (DATA / giver).glob("input.*")
                load(store, giver, source, **case_of(giver).get("options", {}))
    return path


def state(store: Store, folder: Path) -> str:
    """The hash of every row of a database, its ledger's among them."""
    return dump.dump(store, folder, force=True).sha256


def fuzz_load(reader: Reader, refused: int, folder: Path, *, seed_number: int) -> Result:
    """Load broken files until this many were refused, and a fifth as many were let in.

    Of a format in which nearly nothing, or everything, is refused it ends after twenty times as
    many inputs.
    """
    result = Result(f"load {reader.name}")
    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    base = filled(folder / "base.db")
    fed = let_in = 0

    def left() -> int:
        full = result.inputs - let_in >= refused and let_in >= refused // 5
        return 0 if full else 20 * refused - fed

    def feed(data: bytes) -> None:
        nonlocal fed, let_in
        fed += 1
        # the reader alone is quicker in telling them apart
        try:
            reader.read(data)
            read = True
        except GenographError:
            read = False
        if (let_in < refused // 5) if read else (result.inputs - let_in < refused):
            let_in += _loaded(reader, data, result, base, folder / "one", read=read)

    for good in reader.good[1:]:
        if left():
            feed(good)
    different(reader.good, feed, left, seed_number=seed_number)
    shutil.rmtree(folder / "one", ignore_errors=True)
    result.seconds = time.monotonic() - begun
    return result


def _loaded(
    reader: Reader, data: bytes, result: Result, base: Path, place: Path, *, read: bool
) -> bool:
    path = place / "one.db"
    source = place / "source" / reader.file.name
    if not path.exists():
        source.parent.mkdir(parents=True)
        shutil.copy(base, path)
    source.write_bytes(data)
    name = reader.name.split()[0]
    result.inputs += 1
    begun = time.process_time()
    wrong: dict[str, str] = {}
    with open_store(str(path)) as store:
        before = state(store, place / "dump")
        files = {p for p in place.rglob("*") if p.parent.name != "dump"}
        try:
            with time_limit(LIMIT):
                load(store, name, source, **case_of(name).get("options", {}))
            let_in = True
        except GenographError as error:
            result.refused[type(error).__name__] += 1
            let_in = False
        except Exception as error:
            wrong[f"{type(error).__name__} in the load"] = str(error)
            let_in = False
        if not let_in:
            if state(store, place / "dump") != before:
                wrong["the load of a refused file changed the database"] = ""
            # the list of the rows that were rejected is what tells why nothing was loaded
            new = {p for p in place.rglob("*") if p.parent.name != "dump"} - files
            lists = {p for p in new if p.name == "one.db.rejects" or p.suffix == ".tsv"}
            if new - lists:
                wrong["the load of a refused file left files"] = str(sorted(new - lists))
        else:
            for finding in check.check(store):
                wrong[f"db check after a load: {finding.check}"] = finding.what
            if not read:
                wrong["a load let in what the loader refuses"] = ""
    if let_in or wrong:
        shutil.rmtree(place)
    result.slowest = max(result.slowest, time.process_time() - begun)
    for defect, words in wrong.items():
        result.defects.setdefault(f"{defect} {words}".strip(), data)
    return let_in
