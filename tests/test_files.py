"""Files: whole or not at all, whoever is killed and however many write at once."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest
from faults import steps
from pydantic import BaseModel

from genograph import files
from genograph.errors import CohortError, RunError
from genograph.files import (
    RECORD,
    clear_drafts,
    is_draft,
    parse_record,
    read_folder,
    read_record,
    scratch,
    write_file,
    write_folder,
    write_record,
)


def names(folder):
    return sorted(f.name for f in folder.iterdir())


def fill(folder, words, *, force=True):
    """Write a folder whose two files must say the same."""
    with write_folder(folder, force=force, mark="a", error=CohortError) as draft:
        (draft / "a").write_text(words)
        (draft / "inner").mkdir()
        (draft / "inner" / "b").write_text(words)


def said(folder):
    """What the two files of a whole folder say."""
    one, other = (folder / "a").read_text(), (folder / "inner" / "b").read_text()
    assert one == other
    return one


def opened(descriptor):
    """What an open descriptor leads to."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def python(code, *words):
    return [sys.executable, "-c", textwrap.dedent(code), *map(str, words)]


# ----------------------------------------------------------------------- files


def test_a_file_appears_when_its_block_ends_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with write_file(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
        assert draft.name == "x.txt"
        assert [is_draft(f) for f in sorted(tmp_path.iterdir())] == [True, False]
    assert path.read_text() == "new"
    assert names(tmp_path) == ["x.txt"]


def test_a_block_that_fails_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def interrupted():
        with write_file(path) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_a_name_of_full_length_can_be_written(tmp_path):
    path = tmp_path / ("é" * 127)
    with write_file(path) as draft:
        draft.write_text("x")
    assert names(tmp_path) == [path.name]


def test_a_file_is_synced_before_it_takes_its_place_and_its_folder_after(tmp_path, monkeypatch):
    path, seen = tmp_path / "x", []
    fsync = os.fsync

    def watch(descriptor):
        seen.append((opened(descriptor), path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    with write_file(path) as draft:
        draft.write_text("x")
    assert seen == [(draft, False), (tmp_path, True)]


def test_every_file_of_a_folder_is_synced_before_it_takes_its_place(tmp_path, monkeypatch):
    place, seen = tmp_path / "out", []

    def watch(descriptor):
        seen.append((opened(descriptor).name, place.exists()))

    monkeypatch.setattr(os, "fsync", watch)
    fill(place, "x")
    assert sorted(seen[:-1]) == [("a", False), ("b", False), ("inner", False), ("out", False)]
    assert seen[-1] == (tmp_path.name, True)


@pytest.mark.parametrize("number", [5, 28])
def test_a_sync_that_the_disk_refuses_is_one_line_and_the_earlier_file_stays(
    tmp_path, monkeypatch, number
):
    path = tmp_path / "x"
    path.write_text("old")

    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with (
        pytest.raises(RunError, match=f"x: cannot be written: {os.strerror(number)}$"),
        write_file(path, error=RunError) as draft,
    ):
        draft.write_text("new")
    with pytest.raises(CohortError, match=f"out: cannot be written: {os.strerror(number)}$"):
        fill(tmp_path / "out", "x")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_a_folder_that_cannot_be_synced_is_no_error_where_the_file_system_cannot(
    tmp_path, monkeypatch
):
    fsync = os.fsync

    def refuse(descriptor):
        if opened(descriptor).is_dir():
            raise OSError(22, os.strerror(22))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    write_record(tmp_path / "x", {"a": 1})
    fill(tmp_path / "out", "x")
    assert said(tmp_path / "out") == "x"


def test_a_place_that_is_none_is_one_line(tmp_path):
    wall = tmp_path / "wall"
    wall.write_text("a file")
    for number, place in ((20, wall / "x"), (2, tmp_path / "none" / "x")):
        with (
            pytest.raises(RunError, match=f"x: cannot be written: {os.strerror(number)}$"),
            write_file(place, error=RunError),
        ):
            pass
    with pytest.raises(FileNotFoundError), write_file(tmp_path / "none" / "x"):
        pass
    with pytest.raises(CohortError, match=os.strerror(20)):
        fill(wall / "in" / "out", "x")
    assert names(tmp_path) == ["wall"]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from genograph.files import write_file
    with write_file(Path(sys.argv[1])) as draft:
        draft.write_text("half")
        print(draft, flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_draft_of_a_killed_writer_is_cleared_by_the_next_and_a_live_one_is_not(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with subprocess.Popen(
        python(KILLED, path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        draft = Path(writer.stdout.readline().strip())
        write_record(path, {"whole": 1})
        assert draft.read_text() == "half"
        writer.stdin.write("die\n")
        writer.stdin.close()
        assert writer.wait(timeout=60) == -signal.SIGKILL
    assert is_draft(draft.parent)
    write_record(tmp_path / "y", {})
    assert draft.exists(), "the draft of another place"
    write_record(path, {"whole": 2})
    assert names(tmp_path) == ["x", "y"]


def test_a_kill_before_any_step_leaves_a_whole_file_and_the_next_write_clears(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    path, n = place / "x", 0
    while True:
        write_record(path, {"n": 1})
        killed = steps.killed_before(n, place, lambda: write_record(path, {"n": 2}))
        assert path.read_text() in ('{\n "n": 1\n}\n', '{\n "n": 2\n}\n')
        write_record(path, {"n": 3})
        assert names(place) == ["x"]
        if not killed:
            break
        n += 1
    assert n >= 5


def test_a_kill_before_any_step_leaves_a_whole_folder_or_none_and_the_next_write_mends(tmp_path):
    place = tmp_path / "place"
    out, n = place / "out", 0
    while True:
        fill(out, "first")
        killed = steps.killed_before(n, place, lambda: fill(out, "second"))
        assert not out.exists() or said(out) in ("first", "second")
        fill(out, "third")
        assert said(out) == "third"
        assert names(place) == ["out"]
        if not killed:
            break
        n += 1
    assert n >= 8


MANY = """
    import sys
    from pathlib import Path
    from genograph.errors import CohortError
    from genograph.files import write_file, write_folder
    kind, place, word = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    for _ in range(30):
        if kind == "file":
            with write_file(place) as draft:
                draft.write_text(word * 10_000)
        else:
            with write_folder(place, force=True, mark="a", error=CohortError) as draft:
                (draft / "a").write_text(word)
                (draft / "inner").mkdir()
                (draft / "inner" / "b").write_text(word)
"""


def many_writers(kind, place):
    """Three processes that write one place again and again."""
    return [subprocess.Popen(python(MANY, kind, place, word)) for word in ("x", "y", "z")]


def test_of_writers_of_one_file_at_once_a_reader_sees_one_whole_result(tmp_path):
    path = tmp_path / "x"
    writers = many_writers("file", path)
    while any(w.poll() is None for w in writers):
        if path.exists():
            text = path.read_text()
            assert len(text) == 10_000
            assert len(set(text)) == 1
    assert [w.returncode for w in writers] == [0, 0, 0]
    assert names(tmp_path) == ["x"]


def test_writers_of_one_folder_at_once_leave_one_whole_result(tmp_path):
    place = tmp_path / "out"
    writers = many_writers("folder", place)
    assert [w.wait(timeout=120) for w in writers] == [0, 0, 0]
    assert said(place) in ("x", "y", "z")
    assert names(tmp_path) == ["out"]


# --------------------------------------------------------------------- folders


def test_of_two_first_writers_of_a_folder_the_second_is_refused(tmp_path):
    place = tmp_path / "out"

    def slow():
        with write_folder(place, force=False, mark="a", error=CohortError) as draft:
            (draft / "a").write_text("slow")
            fill(place, "fast", force=False)

    with pytest.raises(
        CohortError, match="exists and is not empty; choose another folder or pass force"
    ):
        slow()
    assert said(place) == "fast"
    assert names(tmp_path) == ["out"]


def test_a_folder_of_another_kind_is_never_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CohortError, match=r"exists and is not empty; choose another folder$"):
        fill(tmp_path, "x")
    assert names(tmp_path) == ["notes.txt"]


def test_a_link_to_a_folder_stays_and_what_it_leads_to_is_replaced(tmp_path):
    fill(tmp_path / "real", "first")
    (tmp_path / "link").symlink_to("real")
    fill(tmp_path / "link", "second")
    assert (tmp_path / "link").is_symlink()
    assert said(tmp_path / "real") == "second"
    assert names(tmp_path) == ["link", "real"]


def test_the_earlier_folder_comes_back_when_a_kill_came_between_two_renames(tmp_path):
    fill(tmp_path / "out", "first")
    (tmp_path / "out").rename(tmp_path / ".out.earlier")
    with pytest.raises(CohortError, match="or pass force"):
        fill(tmp_path / "out", "second", force=False)
    assert said(tmp_path / "out") == "first"
    assert names(tmp_path) == ["out"]


def test_where_there_are_no_locks_nothing_is_taken_for_abandoned(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(95, os.strerror(95))

    left = tmp_path / ".x.01234567.part"
    left.mkdir()
    (left / files.LOCK).touch()
    monkeypatch.setattr(files.fcntl, "flock", none)
    write_record(tmp_path / "x", {"a": 1})
    assert names(tmp_path) == [".x.01234567.part", "x"]


# --------------------------------------------------------------------- scratch


def test_a_scratch_folder_is_this_users_alone_and_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "rows").write_text("x")
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        with scratch() as other:
            assert other != folder
        assert (folder / "deep" / "rows").exists()
    assert names(tmp_path) == []


# --------------------------------------------------------------------- records


class Part(BaseModel):
    model_config = RECORD
    name: str
    rows: int


class Whole(BaseModel):
    model_config = RECORD
    format: int
    parts: tuple[Part, ...] = ()
    share: float = 0.5
    note: str | None = None


class Pair(NamedTuple):
    left: int
    right: float | None = None


def read(path, **options):
    words = {"error": RunError, "kind": "whole", "advice": "write it again"}
    return read_record(path, Whole, **(words | options))


def test_a_record_comes_back_and_its_text_is_sorted_and_without_what_was_not_given(tmp_path):
    path = tmp_path / "x.json"
    record = Whole(format=1, parts=(Part(name="é", rows=2),))
    write_record(path, record)
    assert path.read_text() == (
        '{\n "format": 1,\n "parts": [\n  {\n   "name": "\\u00e9",\n   "rows": 2\n  }\n ]\n}\n'
    )
    assert read(path) == record


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"{", "is no JSON: EOF while parsing"),
        (b"", "is no JSON"),
        (b'{"format": 1\xff}', "is not UTF-8 at byte 12"),
        (b"[]", "holds no record"),
        (b"7", "holds no record"),
        (b"[" * 100_000, "recursion limit"),
        (b'{"parts":' * 100_000, "recursion limit"),
        (b'{"format": ' + b"9" * 5_000 + b"}", "number out of range"),
        (b'{"parts": []}', "format is missing"),
        (b'{"format": 1, "colour": 2}', "colour is no field of it"),
        (b'{"format": "1"}', "format: got 1, wanted a valid integer"),
        (b'{"format": 1, "parts": [{"name": 3, "rows": 1}]}', "parts.0.name: got 3, wanted a val"),
        (b'{"format": 1, "parts": [{"name": "a"}]}', "parts.0.rows is missing"),
        (b'{"format": 1, "parts": ' + b"9" * 4_000 + b"}", "parts: got 99"),
        (b'{"format": 1, "note": "\\ud800"}', "is no JSON"),
        (b'{"format": 1, "note": ["\\n\\u001b[31m"]}', "note: got .*, wanted a valid string"),
    ],
)
def test_a_damaged_record_is_one_line_with_the_field(tmp_path, text, wanted):
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(RunError, match=wanted) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith("; write it again")
    assert message.isprintable()
    assert len(message) < 300 + len(str(path))


def test_a_missing_record_an_unreadable_one_and_another_version_say_what_to_do(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(RunError, match=r"x\.json: no such file; write it again$"):
        read(path)
    with pytest.raises(RunError, match=r"^no run here$"):
        read(path, missing="no run here")
    path.mkdir()
    with pytest.raises(RunError, match=r"x\.json: cannot be read: Is a directory$"):
        read(path)
    path.rmdir()
    for text, words in (("[1", "is no JSON"), ("[1]", "holds no record"), ("{}", "format None")):
        path.write_text(text)
        with pytest.raises(RunError, match=words):
            read(path, versions={"format": 1})
    # of another version other fields may be there
    path.write_text('{"format": 2, "schema_version": 5, "new": true}')
    wanted = r"whole format and schema \(2, 5\), this genograph reads \(1, 5\); get a newer one$"
    with pytest.raises(RunError, match=wanted):
        read(path, versions={"format": 1, "schema_version": 5}, newer="get a newer one")


def test_a_record_of_a_tuple_refuses_other_fields():
    assert parse_record('{"left": 1, "right": null}', Pair) == Pair(1)
    with pytest.raises(ValueError, match=r"^up is no field of it$"):
        parse_record('{"left": 1, "up": 2}', Pair)
    with pytest.raises(ValueError, match=r"^left is missing$"):
        parse_record("{}", Pair)


def test_a_number_that_json_cannot_hold_is_not_written(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(ValueError, match="JSON"):
        write_record(path, {"share": float("nan")})
    assert names(tmp_path) == []


def test_a_folder_that_is_replaced_while_it_is_read_is_read_again(tmp_path):
    place = tmp_path / "held"

    def put(text):
        with write_folder(place, force=True, mark="mark", error=CohortError) as draft:
            (draft / "mark").write_text(text)

    put("one")
    seen = []

    def read():
        seen.append((place / "mark").read_text())
        if len(seen) == 1:
            put("two")
            raise CohortError("files of two folders")
        return seen[-1]

    assert read_folder(place, read) == "two"
    assert seen == ["one", "two"]


def test_a_folder_that_is_damaged_is_read_once(tmp_path):
    seen = []

    def read():
        seen.append(1)
        raise CohortError("damaged")

    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CohortError, match="damaged"):
            read_folder(place, read)
    assert len(seen) == 2


def test_drafts_of_killed_writers_are_cleared_whatever_their_places(tmp_path):
    left = tmp_path / ".shard-00000.parquet.0123abcd.part"
    left.mkdir()
    (left / ".lock").touch()
    own = tmp_path / ".hidden.part"
    own.mkdir()
    with write_file(tmp_path / "shard-00001.parquet") as draft:
        clear_drafts(tmp_path)
        assert draft.parent.is_dir()
        draft.write_bytes(b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".hidden.part",
        "shard-00001.parquet",
    ]
