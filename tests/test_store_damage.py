"""Damage of a database file is found, and is one line."""

import hashlib
import random
import re
from subprocess import run

import pytest
import small_yeast
from click.testing import CliRunner

import genograph
from genograph.cli import cli
from genograph.database.check import check
from genograph.errors import GenographError, StoreError
from genograph.store import digest, open_store
from genograph.tables import Table


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("damage") / "yeast.db"
    with open_store(path) as store:
        small_yeast.write(store)
    return path


def copied(sound, folder, change=lambda raw: raw):
    """A copy of the database, changed, with the hash that the writer left."""
    path = folder / "yeast.db"
    path.write_bytes(change(sound.read_bytes()))
    (folder / "yeast.db.sha256").write_bytes((sound.parent / "yeast.db.sha256").read_bytes())
    return path


def invoke(*words):
    """What a verb says: its exit code, and its message on one line."""
    done = CliRunner().invoke(cli, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        if not isinstance(done.exception, GenographError):
            raise done.exception
        return 1, str(done.exception)
    return done.exit_code, done.output


def test_the_hash_that_a_writer_leaves_is_that_of_the_file(sound, tmp_path):
    left = (sound.parent / "yeast.db.sha256").read_text("ascii")
    assert left == f"{hashlib.sha256(sound.read_bytes()).hexdigest()}  yeast.db\n"
    path = copied(sound, tmp_path)
    for _ in range(2):
        with open_store(path, read_only=True) as store:
            assert store.find_damage() == ""
        with open_store(path) as store:
            # a killed writer would leave none
            assert not (tmp_path / "yeast.db.sha256").exists()
    with open_store(path) as store:
        store.write(Table.of("Gene", {"id": ["YZR900C"]}))
    assert (tmp_path / "yeast.db.sha256").read_text("ascii") != left
    assert (
        run(["sha256sum", "--check", "--status", "yeast.db.sha256"], cwd=tmp_path).returncode == 0
    )
    with open_store(path, read_only=True) as store:
        assert store.find_damage() == ""


def test_a_file_without_a_hash_is_no_sound_file(sound, tmp_path, monkeypatch):
    path = copied(sound, tmp_path)
    (tmp_path / "yeast.db.sha256").unlink()
    with (
        open_store(path, read_only=True) as store,
        pytest.raises(StoreError, match=r"its last writer left no hash in yeast\.db\.sha256"),
    ):
        check(store, deep=True)
    monkeypatch.setattr(digest, "LARGEST_HASHED", 1000)
    open_store(path).close()
    assert not (tmp_path / "yeast.db.sha256").exists()


def test_one_flipped_bit_is_found_by_a_deep_check(sound, tmp_path):
    def flip(raw):
        at = raw.rindex(b"YAL003C") + 3
        return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]

    with open_store(copied(sound, tmp_path), read_only=True) as store:
        # no ledger accounts for the rows of the small yeast, but its bytes are as they were
        assert [f for f in check(store, deep=True) if f.check == "bytes"] == []
    path = copied(sound, tmp_path, flip)
    code, said = invoke("db", "check", "--deep", "--db", str(path), "--format", "csv")
    assert code == 1
    assert "the file was changed or damaged since" in said
    assert "restore it from a dump" in said
    with open_store(path, read_only=True) as store:
        assert [f.check for f in check(store, deep=True)] == ["bytes"]


@pytest.mark.slow
def test_every_damage_is_found_by_a_deep_check_or_when_the_file_is_opened(sound, tmp_path):
    rng, whole = random.Random(5), sound.read_bytes()
    missed = []
    for n in range(65):
        raw = bytearray(whole)
        for _ in range(rng.choice((1, 1, 8))):
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path = copied(sound, tmp_path, lambda _, raw=raw: bytes(raw))
        if invoke("db", "check", "--deep", "--db", str(path))[0] != 1:
            missed.append(n)
    assert missed == []


def test_bytes_that_are_no_text_are_one_line(sound, tmp_path):
    path = copied(sound, tmp_path, lambda raw: raw.replace(b"YAL003C", b"\xffAL003C"))
    genes = "MATCH (g:Gene) RETURN g.id AS id"
    with open_store(path, read_only=True) as store:
        for answer in (
            lambda: store.query(genes),
            lambda: store.query("MATCH (g:Gene) RETURN collect(g.id) AS ids"),
            lambda: list(store.ask(genes)),
            lambda: genograph.query(store, genes),
        ):
            with pytest.raises(
                StoreError, match=r"is damaged \(.*UTF8.*\); restore it from a dump"
            ):
                answer()


@pytest.mark.slow
def test_no_verb_has_a_traceback_for_a_damaged_database(sound, tmp_path):
    rng, whole = random.Random(7), sound.read_bytes()
    places = [found.start() for found in re.finditer(rb"Y[A-Z][LR]\d|fitness|sga", whole)]
    damaged = 0
    for n in range(12):
        raw = bytearray(whole)
        for at in rng.sample(places, 20):
            if n % 3 == 0:
                raw[at] = 0xFF
            elif n % 3 == 1:
                raw[at : at + 64] = rng.randbytes(64)
            else:
                page, other = at // 4096 * 4096, rng.choice(places) // 4096 * 4096
                raw[page : page + 4096] = raw[other : other + 4096]
        path = copied(sound, tmp_path, lambda _, raw=raw: bytes(raw))
        dump, cohort = tmp_path / f"dump{n}", tmp_path / f"cohort{n}"
        for verb in (
            ("db", "status"),
            ("db", "check"),
            ("query", "MATCH (e:Experiment) RETURN e.id AS id, e.value AS v ORDER BY id"),
            ("db", "dump", str(dump)),
            ("export", "-o", str(cohort)),
        ):
            code, said = invoke(*verb, "--db", str(path))
            damaged += "is damaged" in said
            assert "\n" not in said or code == 0 or verb[1] == "check", said
    assert damaged
