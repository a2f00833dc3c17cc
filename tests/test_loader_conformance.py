"""What every loader owes: one suite over all loaders found, on the fixtures of tests/data/<loader>.

A fixture folder holds `input.*` (well formed, with the format's traps), `case.toml` (rows_read,
options, rejected, notes), `expected/<TYPE>.csv` (what the database then holds) and `bad_*` files;
`bad_<what>_line<N>.*` must be refused with that line number. A loader's needs are met by the
fixtures of the loaders in GIVERS.
"""

import csv
import gzip
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from genograph import loaders
from genograph.database.ingest import load, read_gene_names
from genograph.errors import SourceError
from genograph.measurements import read_strain
from genograph.schema import Node, graph_schema, strain_id
from genograph.store import open_store

DATA = Path(__file__).parent / "data"
GIVERS = {
    "Gene": "sgd_features",
    "CRE": "cre",
    "Term": "obo",
    "Experiment": "smf_baryshnikova2010",
    "Strain": "smf_baryshnikova2010",
}
LOADERS = loaders.names()
BINARY = (".h5ad", ".npz", ".xlsx", ".parquet", ".safetensors")


def input_of(name):
    found = sorted((DATA / name).glob("input.*"))
    assert len(found) == 1, f"tests/data/{name} needs exactly one input.*, has {found}"
    return found[0]


def case_of(name):
    return tomllib.loads((DATA / name / "case.toml").read_text("utf-8"))


def needed(name):
    """The loaders whose fixtures come first, in order."""
    out = []
    for label in loaders.loader(name)[0].needs:
        giver = GIVERS[label]
        out += [n for n in [*needed(giver), giver] if n not in out]
    return out


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A function: the path of a database in which a loader's needs are met, made once."""
    folder = tmp_path_factory.mktemp("prepared")

    def prepare(names):
        path = folder / f"{'-'.join(names) or 'empty'}.db"
        if not path.exists():
            with open_store(str(path)) as store:
                for name in names:
                    load(store, name, input_of(name), **case_of(name).get("options", {}))
        return path

    return prepare


@pytest.fixture
def ready(prepared, tmp_path):
    """A function: an open store of its own in which a loader's needs are met."""
    opened = []

    def ready(name):
        path = tmp_path / "test.db"
        shutil.copy(prepared(tuple(needed(name))), path)
        store = open_store(str(path))
        opened.append(store)
        return store

    yield ready
    for store in opened:
        store.close()


@pytest.fixture(scope="module", params=LOADERS)
def refusing(request, prepared, tmp_path_factory):
    """A loader and a store in which its needs are met, for tests that must write nothing."""
    name = request.param
    path = tmp_path_factory.mktemp("refusing") / "test.db"
    shutil.copy(prepared(tuple(needed(name))), path)
    with open_store(str(path)) as store:
        before = dict(store.counts())
        yield name, store
        assert dict(store.counts()) == before


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_says_what_it_reads(name):
    spec, read = loaders.loader(name)
    schema = graph_schema()
    assert spec.name == name
    assert spec.version >= 1
    assert spec.title
    assert spec.format
    assert "\n" not in spec.title
    assert spec.gives
    for label in (*spec.gives, *spec.needs):
        assert schema.type(label).name == label
    for text, default in spec.options.values():
        assert text
        assert default is None or isinstance(default, str | int | float | bool)
    if spec.doi:
        assert re.fullmatch(r"10\.\d{4,}/\S+", spec.doi)
    assert read.__doc__


@pytest.mark.parametrize("name", LOADERS)
def test_a_fixture_gives_the_expected_rows(name, ready):
    store, case = ready(name), case_of(name)
    before = dict(store.counts())
    ledger = load(store, name, input_of(name), **case.get("options", {}))
    assert ledger.rows_read == case["rows_read"]
    assert dict(ledger.rejected) == case.get("rejected", {})
    added = {t: n - before[t] for t, n in store.counts().items() if n > before[t]}
    assert set(added) - {"Source", "LOADED_FROM"} <= set(loaders.loader(name)[0].gives)
    files = {file.stem: file for file in (DATA / name / "expected").glob("*.csv")}
    assert set(files) >= set(added) - {"Source", "LOADED_FROM"}
    for type_name, file in files.items():
        compare(store, type_name, file)
    for strain in store.query("MATCH (s:Strain) RETURN s.id AS id")["id"].to_pylist():
        spelled = read_strain(strain, read_gene_names(store).resolve)
        assert (strain_id(spelled.strain), spelled.unknown) == (strain, ())


@pytest.mark.parametrize("name", LOADERS)
def test_reading_counts_rows_notes_and_rejections_and_yields_only_what_it_gives(name, ready):
    store, case = ready(name), case_of(name)
    spec, read = loaders.loader(name)
    reading = loaders.Reading(read_gene_names(store), store.query)
    given = case.get("options", {})
    found = {table.type for table in read(input_of(name), reading, **spec.settings(given))}
    assert found
    assert found <= set(spec.gives)
    assert reading.rows_read == case["rows_read"]
    assert dict(reading.notes) == case.get("notes", dict(reading.notes))
    assert set(reading.examples) == set(reading.rejected) | set(reading.notes)


@pytest.mark.parametrize("name", LOADERS)
def test_loading_twice_changes_nothing(name, ready):
    store, options = ready(name), case_of(name).get("options", {})
    first = load(store, name, input_of(name), **options)
    counts = dict(store.counts())
    source = store.query("MATCH (s:Source) RETURN s.id AS id, s.loaded AS loaded ORDER BY id")
    second = load(store, name, input_of(name), **options)
    assert first.written > 0
    assert second.written == 0
    assert second.unchanged == first.written + first.unchanged
    assert second.rejected == first.rejected
    assert dict(store.counts()) == counts
    again = store.query("MATCH (s:Source) RETURN s.id AS id, s.loaded AS loaded ORDER BY id")
    assert again.equals(source)


def test_a_bad_file_is_refused_with_its_line_and_writes_nothing(refusing):
    name, store = refusing
    before = dict(store.counts())
    files = sorted((DATA / name).glob("bad_*"))
    assert files
    for file in files:
        with pytest.raises(SourceError) as caught:
            load(store, name, file, **case_of(name).get("options", {}))
        message = str(caught.value)
        assert file.name in message
        assert "\n" not in message
        if wanted := re.search(r"_line(\d+)$", file.stem):
            assert re.search(rf"\bline {wanted[1]}\b", message), message
        assert dict(store.counts()) == before, file.name


def test_a_missing_file_is_refused(refusing, tmp_path):
    name, store = refusing
    with pytest.raises(SourceError, match="no such file"):
        load(store, name, tmp_path / "nothing.txt", **case_of(name).get("options", {}))


def test_an_empty_file_is_refused(refusing, tmp_path):
    name, store = refusing
    empty = tmp_path / f"empty{input_of(name).suffix}"
    empty.touch()
    with pytest.raises(SourceError, match="empty"):
        load(store, name, empty, **case_of(name).get("options", {}))


def test_a_truncated_packed_file_is_refused(refusing, tmp_path):
    name, store = refusing
    if input_of(name).suffix in BINARY:
        cut = tmp_path / f"cut{input_of(name).suffix}"
        cut.write_bytes(input_of(name).read_bytes()[:200])
        wanted = "damaged|cannot be read|truncated|not "
    else:
        # packing is told by the first bytes, whatever the name
        content = gzip.compress(plain(name))
        cut = tmp_path / f"cut{input_of(name).suffix}"
        cut.write_bytes(content[: len(content) // 2])
        wanted = "truncated or damaged gzip"
    with pytest.raises(SourceError, match=wanted):
        load(store, name, cut, **case_of(name).get("options", {}))


def plain(name):
    raw = input_of(name).read_bytes()
    return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


@pytest.mark.parametrize("name", [n for n in LOADERS if input_of(n).suffix not in BINARY])
def test_a_packed_file_gives_the_same_rows(name, ready, tmp_path):
    store, options = ready(name), case_of(name).get("options", {})
    packed = tmp_path / f"packed{input_of(name).suffix}"
    packed.write_bytes(gzip.compress(plain(name)))
    first = load(store, name, input_of(name), **options)
    again = load(store, name, packed, **options)
    assert (again.rows_read, again.rejected) == (first.rows_read, first.rejected)
    assert again.written == 0


def test_a_loader_says_what_must_be_loaded_before_and_refuses_an_unknown_option(tmp_path):
    with open_store(str(tmp_path / "empty.db")) as store:
        for name in LOADERS:
            with pytest.raises(SourceError, match="has no option colour"):
                load(store, name, input_of(name), colour="red")
            if loaders.loader(name)[0].needs:
                with pytest.raises(SourceError, match=r"load .* first"):
                    load(store, name, input_of(name), **case_of(name).get("options", {}))


def compare(store, type_name, file):
    """The database holds exactly the rows of the file, in the columns that the file has."""
    spec = graph_schema().type(type_name)
    with file.open(encoding="utf-8", newline="") as raw:
        wanted = list(csv.DictReader(raw))
    columns = list(wanted[0])
    if isinstance(spec, Node):
        returned = ", ".join(f"n.{c} AS {c}" for c in columns)
        found = store.query(f"MATCH (n:{type_name}) RETURN {returned}")
    else:
        ends = {"from_id": "a.id", "to_id": "b.id"}
        returned = ", ".join(f"{ends.get(c, f'r.{c}')} AS {c}" for c in columns)
        found = store.query(
            f"MATCH (a:{spec.from_label})-[r:{type_name}]->(b:{spec.to_label}) RETURN {returned}"
        )
    types = {c: spec.columns[c].type for c in columns}
    have = [{c: shown(row[c], types[c]) for c in columns} for row in found.to_pylist()]
    want = [{c: parsed(row[c], types[c]) for c in columns} for row in wanted]
    key = [c for c in spec.key if c in columns]
    assert sorted(have, key=lambda r: [str(r[c]) for c in key]) == sorted(
        want, key=lambda r: [str(r[c]) for c in key]
    ), type_name


def shown(value, kind):
    """A database value in the form of `parsed`."""
    if kind.endswith("[]"):
        items = value or []
        return items if kind == "STRING[]" else [round(v, 5) if v == v else "nan" for v in items]
    if value is None or value == "":
        return None
    return round(value, 6) if kind == "DOUBLE" else value


def parsed(text, kind):
    if kind.endswith("[]"):
        items = text.split("|") if text else []
        if kind == "STRING[]":
            return items
        return ["nan" if v.lower() == "nan" else round(float(v), 5) for v in items]
    if text == "":
        return None
    if kind == "DOUBLE":
        return round(float(text), 6)
    if kind == "INT64":
        return int(text)
    return text == "true" if kind == "BOOL" else text
