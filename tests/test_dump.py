"""Dumps: equal bytes from either store, whole or not there, and files for Neo4j's import."""

import json
import os
import shutil
import subprocess

import pyarrow.parquet as pq
import pytest
from neo4j_server import VERSION, Unavailable, running
from small_yeast import write

from genograph.cli import cli, main
from genograph.database import check, dump
from genograph.errors import StoreError
from genograph.store import open_store
from genograph.store.embedded import EmbeddedStore
from genograph.tables import Table


def trouble(store):
    """Rows whose values are hard to carry."""
    awkward = ['"', "a,b;c", "it's\nso", "\\", "  ", "", "=1+1", "NaN", "é中"]
    ids = [f"T{n}" for n in range(len(awkward))]
    store.write(Table.of("Gene", {"id": ids, "symbol": awkward, "aliases": [awkward] * len(ids)}))
    lists = [[], ["", ""], None, ["x"]]
    store.write(Table.of("Gene", {"id": [f"L{n}" for n in range(4)], "aliases": lists}))
    bools = {"id": ["GO:t", "GO:f"], "obsolete": [True, False]}
    store.write(Table.of("Term", bools))
    vectors = [[0.1, float("nan"), -0.0], [1e-45, 3.4e38, 1 / 3]]
    columns = {"id": ["V1@m", "V2@m"], "model": ["m", "m"], "dim": [3, 3], "vector": vectors}
    store.write(Table.of("Embedding", columns))
    numbers = {"id": ["E1", "E2"], "value": [1 / 3, 5e-324], "sd": [None, 0.0]}
    store.write(Table.of("Experiment", numbers))


@pytest.fixture
def filled(tmp_path):
    """An embedded database with every kind of value."""
    with open_store(tmp_path / "filled.db") as store:
        write(store)
        trouble(store)
        yield store


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_embedded_to_neo4j_to_embedded_gives_equal_bytes(filled, neo4j, tmp_path):
    first = dump.dump(filled, tmp_path / "first")
    with open_store(neo4j) as server:
        assert dump.restore(server, first.folder) == filled.counts()
        dump.dump(server, tmp_path / "second")
    with open_store(tmp_path / "back.db") as back:
        dump.restore(back, tmp_path / "second")
        dump.dump(back, tmp_path / "third")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "third")


def test_the_order_in_which_rows_were_written_is_not_in_a_dump(tmp_path):
    import numpy as np

    for name, order in (("one", None), ("other", np.random.default_rng(1))):
        with open_store(tmp_path / f"{name}.db") as store:
            write(store, order=order)
            dump.dump(store, tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_rows_that_fill_several_files_are_cut_in_the_same_places(filled, tmp_path, monkeypatch):
    whole = dump.dump(filled, tmp_path / "whole")
    monkeypatch.setattr(dump, "ROWS_PER_FILE", 7)
    cut = dump.dump(filled, tmp_path / "cut")
    assert cut.counts == whole.counts == {n: c for n, c in filled.counts().items() if c}
    assert max(file.rows for file in cut.files) == 7
    with open_store(tmp_path / "back.db") as back:
        dump.restore(back, cut.folder)
        monkeypatch.undo()
        dump.dump(back, tmp_path / "again")
    assert contents(tmp_path / "whole") == contents(tmp_path / "again")


def test_what_a_dump_says_is_what_the_database_has(filled, tmp_path):
    made = dump.dump(filled, tmp_path / "dump")
    rows = pq.read_table(made.folder / "PERTURBS-0000.parquet")
    assert rows.column_names == ["from_id", "to_id", "kind", "allele", "dose"]
    held = filled.query(
        "MATCH (a:Strain)-[r:PERTURBS]->(b:Gene) RETURN a.id AS from_id, b.id AS to_id, "
        "r.kind AS kind, r.allele AS allele, r.dose AS dose"
    ).to_pylist()
    assert rows.to_pylist() == sorted(held, key=lambda r: (r["from_id"], r["to_id"], r["kind"]))


class Failing(EmbeddedStore):
    """A store that fails at the nth writing, and takes no transaction for a whole restore."""

    atomic_loads = False
    left = 10**9

    def add(self, type, files):
        self.left -= 1
        if self.left < 0:
            msg = "no space left"
            raise StoreError(msg)
        super().add(type, files)


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 3, 9])
def test_a_restore_that_was_interrupted_is_seen_and_finished_by_the_same_command(
    filled, tmp_path, at, monkeypatch
):
    monkeypatch.setattr(dump, "ROWS_PER_FILE", 7)
    made = dump.dump(filled, tmp_path / "dump")
    with Failing(tmp_path / "back.db") as back:
        back.left = at
        with pytest.raises(StoreError, match="no space left"):
            dump.restore(back, made.folder)
        assert "a restore is not finished" in [f.what for f in check.check(back)]
        back.left = 10**9
        dump.restore(back, made.folder)
        dump.dump(back, tmp_path / "again")
    assert contents(tmp_path / "dump") == contents(tmp_path / "again")


def test_a_restore_into_one_transaction_is_whole_or_not_there(filled, tmp_path):
    made = dump.dump(filled, tmp_path / "dump")
    with Failing(tmp_path / "back.db") as back:
        back.atomic_loads, back.left = True, 5
        before = back.counts()
        with pytest.raises(StoreError, match="no space left"):
            dump.restore(back, made.folder)
        assert back.counts() == before
        back.left = 10**9
        assert dump.restore(back, made.folder) == filled.counts()


def test_a_database_that_is_not_empty_is_left_alone(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(dump, "ROWS_PER_FILE", 2)
    made = dump.dump(filled, tmp_path / "dump")
    monkeypatch.undo()
    before = filled.counts()
    # what is already there to the byte is what was asked for: the end of a restore that was killed
    assert dump.restore(filled, made.folder) == before
    gene = filled.query("MATCH (g:Gene) RETURN g.id AS id LIMIT 1")["id"].to_pylist()
    filled.write(Table.of("Gene", {"id": gene, "symbol": ["another"]}))
    with pytest.raises(StoreError, match="is not empty"):
        dump.restore(filled, made.folder)
    assert filled.counts() == before
    held = filled.query("MATCH (g:Gene {id: $id}) RETURN g.symbol AS symbol", id=gene[0])
    assert held["symbol"].to_pylist() == ["another"]


def test_a_folder_that_is_there_is_replaced_only_where_it_is_a_dump_and_asked_for(filled, tmp_path):
    folder = tmp_path / "dump"
    first = dump.dump(filled, folder)
    with pytest.raises(StoreError, match=r"not empty.*--force"):
        dump.dump(filled, folder)
    assert dump.dump(filled, folder, force=True) == first
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="not empty; choose another folder"):
        dump.dump(filled, mine, force=True)
    assert (mine / "letter.txt").read_text() == "dear"
    with pytest.raises(StoreError, match="cannot be written"):
        dump.dump(filled, mine / "letter.txt" / "dump")


def test_a_dump_that_fails_leaves_no_folder(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(filled, "counts", lambda: dict.fromkeys(filled_counts, 1))
    with pytest.raises(StoreError, match="are counted"):
        dump.dump(filled, tmp_path / "dump")
    assert not [file for file in tmp_path.iterdir() if "dump" in file.name]


filled_counts = ("Gene",)


def damaged(folder, how):
    manifest = folder / "manifest.json"
    said = json.loads(manifest.read_text())
    if how == "a file changed":
        with (folder / "Gene-0000.parquet").open("ab") as out:
            out.write(b"x")
    elif how == "a file is missing":
        (folder / "Gene-0000.parquet").unlink()
    elif how == "no manifest":
        manifest.unlink()
    elif how == "half a manifest":
        manifest.write_text(manifest.read_text()[:100])
    elif how == "a list":
        manifest.write_text("[]")
    else:
        if how == "another format":
            said["format"] = 99
        elif how == "outside":
            said["files"][0]["name"] = "../Gene-0000.parquet"
        elif how == "unknown type":
            said["files"][0]["type"] = "Thing"
        manifest.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("a file changed", "does not match its hash"),
        ("a file is missing", "is missing"),
        ("no manifest", "no dump is here"),
        ("half a manifest", "damaged dump"),
        ("a list", "damaged dump"),
        ("another format", "dump format"),
        ("outside", "is missing"),
        ("unknown type", "is missing"),
    ],
)
def test_what_is_no_whole_dump_is_refused_before_anything_is_written(filled, tmp_path, how, words):
    made = dump.dump(filled, tmp_path / "dump")
    damaged(made.folder, how)
    with open_store(tmp_path / "back.db") as back:
        before = back.counts()
        with pytest.raises(StoreError, match=words) as caught:
            dump.restore(back, made.folder)
        assert back.counts() == before
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- Neo4j's import


def imported(filled, folder, after):
    """Write the files, run the command on a real server's empty home, and ask the server."""
    command, empty_lists = dump.neo4j_import(filled, folder)
    assert empty_lists == {"Gene.aliases": 1}
    script = (folder / "import.sh").read_text()
    assert script.split("exec ")[1].replace("\\\n", "").split() == command

    def run(base, environment):
        words = [*base, "org.neo4j.cli.AdminTool", *command[1:]]
        done = subprocess.run(
            words, env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    with running(os.environ.get("GENOGRAPH_TEST_NEO4J_VERSION") or VERSION, before=run) as server:
        after(server)


@pytest.mark.neo4j
@pytest.mark.timeout(300)
def test_the_import_command_fills_a_server_with_the_same_graph(filled, tmp_path, monkeypatch):
    dump.dump(filled, tmp_path / "dump")

    def after(server):
        monkeypatch.setenv("GENOGRAPH_NEO4J_USER", server.user)
        monkeypatch.setenv("GENOGRAPH_NEO4J_PASSWORD", server.password)
        with open_store(server.uri) as store:
            assert store.counts() == filled.counts()
            again = dump.dump(store, tmp_path / "again")
        for name in contents(tmp_path / "dump"):
            if name.endswith(".parquet"):
                rows = pq.read_table(tmp_path / "dump" / name).to_pylist()
                if name.startswith("Gene-"):
                    # the one list without items
                    rows = [row | {"aliases": row["aliases"] or None} for row in rows]
                assert repr(pq.read_table(again.folder / name).to_pylist()) == repr(rows)

    try:
        imported(filled, tmp_path / "csv", after)
    except Unavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize(("aliases", "words"), [(["a\x1fb"], r"U\+001F"), ([""], "one empty text")])
def test_a_list_that_the_import_would_read_as_another_is_refused(filled, tmp_path, aliases, words):
    filled.write(Table.of("Gene", {"id": ["X"], "aliases": [aliases]}))
    with pytest.raises(StoreError, match=rf"Gene\.aliases.*{words}"):
        dump.neo4j_import(filled, tmp_path / "csv")
    assert not (tmp_path / "csv").exists()


# ---------------------------------------------------------------- command line


def test_the_commands_move_a_database(filled, tmp_path, monkeypatch, capsys):
    before = filled.counts()
    filled.close()
    first, back = str(tmp_path / "filled.db"), str(tmp_path / "back.db")
    for words in (
        ["db", "dump", str(tmp_path / "dump"), "--db", first],
        ["db", "restore", str(tmp_path / "dump"), "--db", back],
        ["db", "neo4j-import", str(tmp_path / "csv"), "--db", back],
    ):
        assert cli.main(words, standalone_mode=False) is None
    assert capsys.readouterr().out.startswith("neo4j-admin database import full neo4j ")
    with open_store(back) as store:
        assert store.counts() == before
    monkeypatch.setattr("sys.argv", ["genograph", "db", "restore", str(tmp_path), "--db", back])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert "no dump is here" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "csv")
