"""Ingest: order, resumption, provenance, and nothing half-written."""

import hashlib
import shutil
from pathlib import Path

import pytest

from genograph.database import ingest
from genograph.database.ingest import build, load, read_sources
from genograph.errors import SourceError, StoreError
from genograph.store import open_store
from genograph.store.embedded import EmbeddedStore

DATA = Path(__file__).parent / "data"
GENES = DATA / "sgd_features" / "input.tab"
SINGLES = DATA / "smf_baryshnikova2010" / "input.tsv"
DOUBLES = DATA / "sga_costanzo2010" / "input.txt"

LIST = """
[[source]]
loader = "sga_costanzo2010"
file = "doubles.txt"

[[source]]
loader = "experiments_csv"
file = "own.csv"
study = "mine2026"

[[source]]
loader = "smf_baryshnikova2010"
file = "singles.tsv"

[[source]]
loader = "sgd_features"
file = "genes.tab"
"""


def written(folder):
    """A folder with source files and their list, in an order in which they cannot be loaded."""
    folder.mkdir()
    for origin, name in ((GENES, "genes.tab"), (SINGLES, "singles.tsv"), (DOUBLES, "doubles.txt")):
        shutil.copy(origin, folder / name)
    (folder / "own.csv").write_text("strain,value\nAAA1+CCC1,0.7\n")
    (folder / "sources.toml").write_text(LIST)
    return folder


@pytest.fixture
def yeast(tmp_path):
    """A folder of its own for a test that changes it."""
    return written(tmp_path / "yeast")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a build without interruption holds, type by type."""
    folder = tmp_path_factory.mktemp("whole")
    with open_store(folder / "whole.db") as store:
        build(store, written(folder / "yeast") / "sources.toml")
        return store.counts()


def source_rows(store):
    return store.query(
        "MATCH (s:Source) RETURN s.id AS id, s.loader AS loader, s.file AS file, "
        "s.sha256 AS sha256, s.loaded AS loaded, s.settings AS settings, s.reasons AS reasons, "
        "s.rows_read AS rows_read, s.rows_written AS rows_written, "
        "s.rows_rejected AS rows_rejected ORDER BY s.loader"
    ).to_pylist()


class Failing(EmbeddedStore):
    """An embedded store that fails at a certain write, as a full disk would."""

    left = 10**9

    def write(self, table):
        self._one()
        return super().write(table)

    def add(self, type, files):
        self._one()
        super().add(type, files)

    def _one(self):
        self.left -= 1
        if self.left < 0:
            msg = "no space left"
            raise StoreError(msg)


class Piecemeal(Failing):
    """One whose transactions do not take a whole load, as a server's."""

    atomic_loads = False


# ---------------------------------------------------------------- lists


def test_a_list_is_put_in_the_order_in_which_it_can_be_loaded(yeast):
    order = [step.source for step in read_sources(yeast / "sources.toml")]
    assert order == [
        "sgd_features",
        "experiments_csv",
        "smf_baryshnikova2010",
        "sga_costanzo2010",
    ]


def test_screens_that_need_each_other_stay_as_they_are_listed(yeast):
    more = '\n[[source]]\nloader = "sga_costanzo2010"\nfile = "doubles.txt"\nstudy = "second"\n'
    (yeast / "sources.toml").write_text(LIST + more)
    steps = read_sources(yeast / "sources.toml")
    assert [s.options.get("study") for s in steps[-2:]] == [None, "second"]


def test_building_twice_skips_what_is_there(yeast, tmp_path):
    told = []
    with open_store(tmp_path / "yeast.db") as store:
        first = build(store, yeast / "sources.toml", report=told.append)
        counts = store.counts()
        second = build(store, yeast / "sources.toml")
        assert store.counts() == counts
    assert told == first
    assert not any(ledger.skipped for ledger in first)
    assert all(ledger.skipped for ledger in second)


def test_both_databases_hold_the_same(db, yeast, whole):
    with open_store(db) as store:
        build(store, yeast / "sources.toml")
        assert store.counts() == whole
        assert all(ledger.skipped for ledger in build(store, yeast / "sources.toml"))
        again = [
            load(store, s.source, s.path, **s.options) for s in read_sources(yeast / "sources.toml")
        ]
        assert [ledger.written for ledger in again] == [0] * len(again)
        assert store.counts() == whole


def test_a_build_that_stopped_goes_on_where_it_stopped(yeast, tmp_path, whole):
    good = (yeast / "doubles.txt").read_text()
    (yeast / "doubles.txt").write_text(good + "YAL001W\tAAA1\tYBL002W\tEEE1\tlethal\t0.1\t0.1\n")
    with open_store(tmp_path / "yeast.db") as store:
        with pytest.raises(SourceError, match=r"doubles\.txt, line 13"):
            build(store, yeast / "sources.toml")
        (yeast / "doubles.txt").write_text(good)
        ledgers = build(store, yeast / "sources.toml")
        assert store.counts() == whole
    assert [ledger.skipped for ledger in ledgers] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[source]", "not valid TOML"),
        ("", "lists no"),
        ("[[sources]]\n", "got the key sources"),
        ("source = 3\n", "got the key source"),
        ('[[source]]\nloader = "obo"\n', "needs loader and file"),
        ('[[source]]\nloader = "excel"\nfile = "genes.tab"\n', "no loader is called excel"),
        ('[[source]]\nloader = "sgd_features"\nfile = "none.tab"\n', "none.tab: no such file"),
        ('[[source]]\nloader = "sgd_features"\nfile = "genes.tab"\nunit = "x"\n', "no option unit"),
        ('[[source]]\nloader = "expression_matrix"\nfile = "genes.tab"\n', "needs the option"),
        (LIST + '[[embed]]\nprovider = "oracle"\n', "provider oracle; choose one of"),
        (LIST + '[[embed]]\nprovider = "kmer"\ndim = "big"\n', "dim = 'big'; its options"),
        (LIST + '[[embed]]\nprovider = "kmer"\n', "kmer needs CRE; list cre too"),
        ('[[source]]\nloader = "smf_baryshnikova2010"\nfile = "singles.tsv"\n', "needs Gene; list"),
    ],
)
def test_a_list_that_cannot_be_built_is_refused_before_anything_is_loaded(
    yeast, tmp_path, text, words
):
    file = yeast / "sources.toml"
    file.write_text(text)
    with open_store(tmp_path / "yeast.db") as store:
        before = store.counts()
        with pytest.raises(SourceError) as caught:
            build(store, file)
        assert store.counts() == before
    assert words in str(caught.value)
    assert "sources.toml" in str(caught.value)


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        read_sources(tmp_path / "sources.toml")


def test_environment_variables_stand_in_file_names(yeast, monkeypatch):
    monkeypatch.setenv("TABLES", str(yeast))
    file = yeast.parent / "elsewhere.toml"
    file.write_text('[[source]]\nloader = "sgd_features"\nfile = "$TABLES/genes.tab"\n')
    assert [step.path for step in read_sources(file)] == [yeast / "genes.tab"]


# ---------------------------------------------------------------- provenance


def test_a_load_leaves_its_ledger_and_links_studies_to_the_file(tmp_path):
    with open_store(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        ledger = load(store, "smf_baryshnikova2010", SINGLES)
        row = source_rows(store)[1]
        linked = store.query(
            "MATCH (t:Study)-[:LOADED_FROM]->(s:Source) RETURN t.id AS study, s.id AS source"
        ).to_pylist()
    assert row["sha256"] == hashlib.sha256(SINGLES.read_bytes()).hexdigest()
    assert (row["loader"], row["file"]) == ("smf_baryshnikova2010", "input.tsv")
    assert row["settings"] == ["study=baryshnikova2010"]
    assert (row["rows_read"], row["rows_written"]) == (12, ledger.written)
    assert row["rows_rejected"] == sum(ledger.rejected.values()) == 4
    assert sorted(row["reasons"]) == sorted(f"{k}={v}" for k, v in ledger.rejected.items())
    assert row["loaded"].endswith("+00:00")
    assert linked == [{"study": "baryshnikova2010", "source": row["id"]}]


def test_the_ledger_keeps_the_first_complete_load(tmp_path):
    with open_store(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        first = source_rows(store)
        again = load(store, "sgd_features", GENES)
        assert source_rows(store) == first
    assert again.written == 0


def test_another_file_of_the_same_name_is_noted(tmp_path):
    changed = tmp_path / GENES.name
    changed.write_text(GENES.read_text() + GENES.read_text().splitlines()[3].replace("YAL", "YCL"))
    with open_store(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        ledger = load(store, "sgd_features", changed)
        assert len(source_rows(store)) == 2
    assert list(ledger.notes.values()) == [1]
    assert "another file of this name was loaded before" in next(iter(ledger.notes))
    assert "build a new database" in next(iter(ledger.notes))


def test_the_same_file_with_other_options_is_noted(tmp_path):
    with open_store(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        load(store, "smf_baryshnikova2010", SINGLES)
        ledger = load(store, "smf_baryshnikova2010", SINGLES, study="second2011")
    assert ledger.notes["this file was loaded before with other options"] == 1


def test_a_file_of_which_no_row_can_be_used_is_refused(tmp_path):
    file = tmp_path / "mouse.tsv"
    file.write_text("Trp53\t0.9\t0.1\nBrca1\t0.8\t0.1\n")
    with open_store(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        before = store.counts()
        with pytest.raises(SourceError, match="2 of 2 rows with names that no gene"):
            load(store, "smf_baryshnikova2010", file)
        assert store.counts() == before


def test_every_rejected_row_is_listed_with_its_line_beside_the_database(tmp_path):
    with open_store(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        ledger = load(store, "smf_baryshnikova2010", SINGLES)
        source = source_rows(store)[1]["id"]
    assert ledger.rejects == tmp_path / "yeast.db.rejects" / f"{source}.tsv"
    head, *lines = ledger.rejects.read_text("utf-8").splitlines()
    assert head == "line\trows\treason\tdetail"
    assert [line.split("\t")[:3] for line in lines] == [
        ["8", "1", "unknown gene"],
        ["9", "1", "unknown gene"],
        ["11", "1", "unknown allele suffix"],
        ["12", "1", "no fitness"],
    ]


def test_a_load_into_any_store_lists_its_rejected_rows_where_it_is_told_to(db, tmp_path):
    folder = tmp_path / "lists" / "mine"
    with open_store(db) as store:
        ledger = load(store, "sgd_features", GENES, rejects=folder)
    assert [file.name for file in folder.iterdir()] == [ledger.rejects.name]


def test_names_that_would_harm_a_reader_are_harmless_in_the_list(tmp_path):
    file = tmp_path / "own.csv"
    names = ['=cmd("x")', "+1", "-1", "@x", "a\x1b[2Jb", "é\u202e", "../../x"]
    known = ["AAA1", "YAL002C", "YAL003W", "YAL004W", "YBL001C", "YBL002W", "Q0010", "YBL003C-A"]
    text = "".join(f"{name}\t0.5\t0.1\n" for name in known + names)
    file.write_text(text, "utf-8")
    with open_store(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        ledger = load(store, "smf_baryshnikova2010", file)
    text = ledger.rejects.read_text("utf-8")
    assert all(c.isprintable() or c in "\t\n" for c in text)
    details = [line.split("\t")[3] for line in text.splitlines()[1:]]
    assert len(details) == len(names)
    assert not any(d[0] in "=+-@" for d in details)
    assert ledger.rejects.parent == tmp_path / "yeast.db.rejects"


def test_a_load_that_rejects_nothing_leaves_no_list_and_one_that_fails_no_half_of_one(tmp_path):
    whole = tmp_path / "genes.tab"
    whole.write_text(GENES.read_text().splitlines()[0] + "\n")
    with open_store(tmp_path / "yeast.db") as store:
        assert load(store, "sgd_features", whole).rejects is None
        bad = tmp_path / "bad.tsv"
        bad.write_text("YXX1\t0.5\t0.1\nAAA1\tx\t0.1\n")
        with pytest.raises(SourceError):
            load(store, "smf_baryshnikova2010", bad)
        (tmp_path / "blocked").write_text("")
        with pytest.raises(SourceError, match=r"cannot be written.*--rejects"):
            load(store, "sgd_features", GENES, rejects=tmp_path / "blocked")
    assert not list(tmp_path.glob("*.rejects/*"))


# ---------------------------------------------------------------- large loads


class Small(Failing):
    """A store whose transactions take next to nothing, so that every load goes in by parts."""

    transaction_bytes = 1


@pytest.mark.parametrize("at", [1, 3, 5, 7])
def test_a_load_too_large_for_a_transaction_is_finished_by_the_same_command(
    yeast, tmp_path, whole, at
):
    with Small(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", yeast / "genes.tab")
        store.left = at
        with pytest.raises(StoreError, match="no space left"):
            load(store, "smf_baryshnikova2010", yeast / "singles.tsv")
        store.left = 10**9
        assert [row["loader"] for row in source_rows(store) if not row["loaded"]] == [
            "smf_baryshnikova2010"
        ]
        build(store, yeast / "sources.toml")
        assert store.counts() == whole


def test_rows_of_two_marks_in_one_load_are_not_doubled(tmp_path):
    from genograph.database.spool import Spool
    from genograph.tables import Table, make_mark

    one, other = make_mark(), make_mark()
    with open_store(tmp_path / "yeast.db") as store:
        spool = Spool(tmp_path, "two")
        spool.put(Table.of("Strain", {"id": ["A", "B"]}, own=one))
        spool.put(Table.of("Strain", {"id": ["B", "C"]}, own=other))
        spool.put(Table.of("Gene", {"id": ["G"]}))
        for mark, strain in ((one, "B"), (other, "B"), (other, "C")):
            fixed = {"to_id": ["G"], "kind": ["deletion"], "allele": [""]}
            spool.put(Table.of("PERTURBS", {"from_id": [strain]} | fixed, own=mark))
        done = spool.write(store)
        assert done["Strain"] == (3, 0, 1)
        assert done["PERTURBS"] == (2, 0, 1)
        assert (store.counts()["Strain"], store.counts()["PERTURBS"]) == (3, 2)


def test_ends_that_no_one_gives_are_refused_before_anything_is_copied(tmp_path):
    from genograph.database.spool import Spool
    from genograph.errors import SchemaError
    from genograph.tables import Table, make_mark

    mark = make_mark()
    with open_store(tmp_path / "yeast.db") as store:
        spool = Spool(tmp_path, "screen.txt")
        spool.put(Table.of("Strain", {"id": ["A"]}, own=mark))
        ends = {"from_id": ["A"], "to_id": ["G"], "kind": ["deletion"], "allele": [""]}
        spool.put(Table.of("PERTURBS", ends, own=mark))
        with (
            pytest.raises(SchemaError, match=r"screen\.txt: 1 Gene of PERTURBS.*first G"),
            store.transaction(),
        ):
            spool.write(store)
        assert store.counts()["Strain"] == 0


# ---------------------------------------------------------------- interruptions


@pytest.mark.parametrize("at", [1, 3, 6, 8])
def test_a_write_that_fails_leaves_the_embedded_store_as_it_was(tmp_path, at):
    with Failing(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", GENES)
        before, rows = store.counts(), source_rows(store)
        store.left = at
        with pytest.raises(StoreError, match="no space left"):
            load(store, "smf_baryshnikova2010", SINGLES)
        assert store.counts() == before
        assert source_rows(store) == rows


@pytest.mark.parametrize("at", [1, 4, 8])
def test_an_interrupted_load_of_a_server_is_seen_and_finished(yeast, tmp_path, whole, at):
    with Piecemeal(tmp_path / "yeast.db") as store:
        load(store, "sgd_features", yeast / "genes.tab")
        store.left = at
        with pytest.raises(StoreError, match="no space left"):
            load(store, "smf_baryshnikova2010", yeast / "singles.tsv")
        store.left = 10**9
        unfinished = [row for row in source_rows(store) if row["loaded"] is None]
        assert [row["loader"] for row in unfinished] == ["smf_baryshnikova2010"]
        ledgers = build(store, yeast / "sources.toml")
        assert store.counts() == whole
        assert all(row["loaded"] for row in source_rows(store))
    mended = next(ledger for ledger in ledgers if ledger.source == "smf_baryshnikova2010")
    assert mended.notes["an interrupted load is finished"] == 1


def test_the_order_of_steps_does_not_depend_on_that_of_the_list(yeast):
    entries = LIST.split("\n[[source]]\n")[1:]
    for turn in range(len(entries)):
        turned = entries[turn:] + entries[:turn]
        text = "".join(f"[[source]]\n{entry}\n" for entry in turned)
        (yeast / "sources.toml").write_text(text)
        order = [step.source for step in ingest.read_sources(yeast / "sources.toml")]
        assert order[0] == "sgd_features"
        assert order[-1] == "sga_costanzo2010"
