"""Bad input, in short: every reader refuses in one line or reads; `make fuzz` feeds far more."""

import copy
import io
import json
import operator
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz.bombs import BOMBS, lit, wide, zip_of
from fuzz.engine import attempt, different, fuzz, time_limit
from fuzz.guided import INSTALL
from fuzz.loads import fuzz_load
from fuzz.readers import Reader, fixtures, readers
from fuzz.workers import Task, work
from model_cohort import cohort_of

from genograph import loaders
from genograph.cohorts import RELATIONS, Edges
from genograph.cohorts.folder import check_bounds
from genograph.errors import CohortError, SourceError, StoreError
from genograph.heterograph import load_dgl, save_dgl
from genograph.loaders._parquet import columns as parquet_columns
from genograph.tables import Table


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return readers(tmp_path_factory.mktemp("fuzz") / "files")


@pytest.mark.slow
def test_a_reader_of_broken_files_reads_or_refuses_in_one_line(every):
    results = [fuzz(reader, 12, seed_number=number) for number, reader in enumerate(every)]
    assert {r.name: r.defects for r in results if r.defects} == {}
    # a loop that fed nothing, or readers that refuse everything, would show nothing
    assert all(r.inputs >= 12 for r in results)
    assert sum(sum(r.refused.values()) for r in results) > 200


def test_every_good_file_is_read(every):
    for reader in every:
        reader.read(reader.good[0])


def test_every_loader_is_among_the_readers(every):
    assert set(loaders.names()) <= {reader.name for reader in every}


@pytest.mark.parametrize(
    ("read", "defect"),
    [
        (lambda data: 1 / 0, "ZeroDivisionError"),
        (lambda data: (_ for _ in ()).throw(SourceError("")), "of 0 lines"),
        (lambda data: __import__("warnings").warn("odd", UserWarning, stacklevel=1), "UserWarning"),
    ],
)
def test_the_engine_tells_a_defect(read, defect):
    result = fuzz(Reader("bad", (b"x\ty\n",), read), 2, seed_number=0)
    assert any(defect in key for key in result.defects)


def test_the_engine_tells_a_reader_that_hangs(monkeypatch):
    def hang(data):
        while True:
            pass

    monkeypatch.setattr("fuzz.engine.LIMIT", 0.05)
    result = fuzz(Reader("hangs", (b"x",), hang), 1, seed_number=0)
    assert any("HangError" in key for key in result.defects)


@pytest.mark.slow
@pytest.mark.parametrize("bomb", [b for b in BOMBS if not b.slow], ids=lambda b: b.name)
def test_a_bomb_is_refused_in_little_memory(bomb, every):
    assert len(bomb.make()) < 20 << 20
    _, _, defects = lit(bomb, next(r for r in every if r.name == bomb.loader))
    assert defects == {}


def test_a_bomb_that_is_let_in_is_told():
    bomb = BOMBS[0]._replace(make=lambda: b"x", wanted="y")
    assert list(lit(bomb, Reader("r", (b"x",), len))[2]) == [f"{bomb.name}: it was let in"]
    assert "wanted y" in str(lit(bomb, Reader("r", (b"x",), refusing))[2])


def refusing(data):
    raise SourceError("no")


def test_the_engine_tells_a_file_that_is_left_beside_the_one_that_is_read(tmp_path):
    file = tmp_path / "x"

    def littering(data):
        file.write_bytes(data)
        (tmp_path / "left").write_bytes(data)

    reader = Reader("bad", (b"x\ty\n",), littering, file)
    assert any("files beside" in key for key in fuzz(reader, 2, seed_number=0).defects)
    tidy = Reader("good", (b"x\ty\n",), file.write_bytes, file)
    assert fuzz(tidy, 2, seed_number=0).defects == {}


def test_inputs_differ_and_one_seed_gives_the_same_again():
    def drawn(seed_number):
        out = []
        different((b"a\tb\nc\td\n",), out.append, lambda: 60 - len(out), seed_number=seed_number)
        return out

    once = drawn(3)
    assert len(once) == len(set(once)) == 60
    assert drawn(3) == once
    assert drawn(4) != once


LOADED = ("sgd_features", "sga_costanzo2010", "embeddings")


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADED)
def test_a_file_that_is_refused_leaves_the_database_as_it_was(name, every, tmp_path_factory):
    reader = next(r for r in every if r.name == name)
    folder = tmp_path_factory.getbasetemp() / "loads"
    result = fuzz_load(reader, 5, folder, seed_number=1)
    assert result.defects == {}
    assert sum(result.refused.values()) == 5
    # and what is let in leaves one in which nothing is wrong
    assert result.inputs == 6


def test_a_load_that_writes_and_then_refuses_is_told(every, tmp_path_factory, monkeypatch):
    def half(store, name, path, **options):
        store.write(Table.of("Gene", {"id": ["YZZ999C"], "kind": ["ORF"]}))
        (path.parent / "left.part").write_bytes(b"x")
        raise SourceError("no")

    reader = next(r for r in every if r.name == "gff3")
    folder = tmp_path_factory.getbasetemp() / "loads"
    assert fuzz_load(reader, 1, folder, seed_number=1).defects == {}
    monkeypatch.setattr("fuzz.loads.load", half)
    told = " ".join(fuzz_load(reader, 1, folder, seed_number=1).defects)
    assert "changed the database" in told
    assert "left files" in told


@pytest.mark.slow
def test_a_process_that_dies_is_a_defect_of_what_it_was_doing():
    # the process calls its pipe, which cannot be called
    fed = list(work([Task("read", "gff3", 1)], jobs=1, seed_number=0, serve=operator.call))
    assert [list(f.defects) for f in fed] == [["the interpreter ended with 1"]]


TABLES = ("expression_matrix", "gaf", "scmd", "sga_costanzo2016", "sgd_features")


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_a_line_of_a_million_columns_is_refused(name, every):
    reader = next(r for r in every if r.name == name)
    with pytest.raises(SourceError), time_limit(60.0):
        reader.read(wide(fixtures(name)[0]))


def test_an_attempt_counts_what_was_refused_and_what_was_read(every):
    reader = next(r for r in every if r.name == "gff3")
    result = fuzz(reader, 1, seed_number=0)
    attempt(reader, b"nothing of the kind", result)
    # the fixtures are fed too: one is good
    assert sum(result.refused.values()) in (result.inputs - 1, result.inputs - 2)


@pytest.mark.parametrize("name", ["gff3", "string_links", "experiments_csv", "sgd_features"])
def test_a_number_of_five_thousand_digits_is_refused(name, every):
    reader = next(r for r in every if r.name == name)
    good = reader.good[0]
    numbers = [m.span() for m in re.finditer(rb"(?<=[\t ,])\d+(?=[\t\r\n ,])", good)]
    refused = 0
    for first, last in numbers:
        try:
            reader.read(good[:first] + b"9" * 5_000 + good[last:])
        except SourceError:
            refused += 1
    assert refused


FLIPPED = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
from genograph.errors import SourceError
from genograph.loaders.embeddings import _chunks

path = Path(sys.argv[1])
good = path.read_bytes()
size = int.from_bytes(good[-8:-4], "little") + 8
read = refused = 0
for at in range(len(good) - size, len(good)):
    path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    try:
        read += sum(len(ids) for ids, _ in _chunks(path)) > 0
    except SourceError:
        refused += 1
print(size, read, refused)
"""


@pytest.mark.slow
def test_no_change_of_the_footer_of_a_parquet_ends_the_interpreter(tmp_path):
    path = tmp_path / "vectors.parquet"
    ids = [f"YAL00{i}C:upstream" for i in range(1, 5)]
    pq.write_table(pa.table({"id": ids, "vector": [[1.0, 2.0]] * 4}), path)
    command = [sys.executable, "-c", FLIPPED, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    size, read, refused = map(int, done.stdout.split())
    assert read + refused <= size
    assert refused > 50


def test_the_footer_of_a_parquet_gives_the_sizes_that_pyarrow_gives(tmp_path):
    path = tmp_path / "x.parquet"
    rows = {"id": [f"a{i}" for i in range(40)], "v": [[1.0 * i, 2.0] for i in range(40)]}
    for options in ({}, {"compression": "zstd", "row_group_size": 7}, {"use_dictionary": False}):
        pq.write_table(pa.table(rows | {"b": [True, None] * 20}), path, **options)
        said = pq.read_metadata(path)
        groups = [said.row_group(i) for i in range(said.num_row_groups)]
        every = [group.column(i) for group in groups for i in range(said.num_columns)]
        wanted = [(c.num_values, c.total_uncompressed_size) for c in every]
        assert [tuple(c) for c in parquet_columns(path)] == wanted


def test_an_npz_of_text_that_is_none_or_of_a_header_that_is_none_is_refused(every):
    reader = next(r for r in every if r.name == "embeddings")
    with zipfile.ZipFile(io.BytesIO(reader.good[0])) as held:
        members = {name: held.read(name) for name in held.namelist()}
    ids = members["ids.npy"]
    text = ids[:128] + (0x7FFFFFFF).to_bytes(4, "little") + ids[132:]
    python2 = ids.replace(b"(5,), }", b"(5L,), }").replace(b"}  ", b"} ", 1)
    for broken, said in ((text, "which is no character"), (python2, "Python 2")):
        assert broken != ids
        with pytest.raises(SourceError, match=said):
            reader.read(
                zip_of({name: [data] for name, data in (members | {"ids.npy": broken}).items()})
            )


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "Gene-0000.parquet", "rows": 1, "sha256": "0", "type": {}},
        {"name": "Gene-0000.parquet", "rows": "1", "sha256": "0", "type": "Gene"},
        {"name": "9" * 5000, "rows": 1, "sha256": "0", "type": "Gene"},
        {"name": "../Gene-0000.parquet", "rows": 1, "sha256": "0", "type": "Gene"},
    ],
)
def test_an_entry_of_a_dump_that_is_none_is_refused(entry, every):
    reader = next(r for r in every if r.name == "dump manifest.json")
    record = json.loads(reader.good[0])
    with pytest.raises(StoreError, match="damaged dump"):
        reader.read(json.dumps(record | {"files": [entry]}).encode())


def test_a_heterograph_that_was_changed_or_cut_never_comes_to_dgl(tmp_path):
    path = save_dgl(cohort_of(n_gene=6, n_pair=3), tmp_path / "genome.dgl")
    good = path.read_bytes()
    assert load_dgl(path).num_nodes("gene") == 6
    changed = good[:200] + bytes([good[200] ^ 1]) + good[201:]
    for data in (changed, good[:-1], good[:10], b"", good + b"\n"):
        path.write_bytes(data)
        with pytest.raises(CohortError, match="does not end with the hash"):
            load_dgl(path)


def _forged(cohort, place, value):
    """The cohort with one index changed; every array that is an index is named by its place."""
    part, _, name = place.rpartition("/")
    if part in cohort.genome.edges:
        edges = cohort.genome.edges[part]
        array = getattr(edges, name).copy()
        array[-1] = value
        new = {**cohort.genome.edges, part: Edges(**(edges._asdict() | {name: array}))}
        return replace(cohort, genome=replace(cohort.genome, edges=new))
    of = cohort.measured.get(part) or (getattr(cohort, part) if part else cohort)
    array = getattr(of, name).copy()
    array[-1] = value
    forged = replace(of, **{name: array})
    if part in cohort.measured:
        return _measured(cohort, part, forged)
    return replace(cohort, **{part: forged}) if part else forged


def _measured(cohort, phenotype, experiments):
    return replace(cohort, measured={**cohort.measured, phenotype: experiments})


INDICES = [
    *(f"{relation}/{end}" for relation in RELATIONS for end in ("source", "target")),
    *("strains/gene", "strains/single", "strains/offsets", "fitness/strain", "fitness/study"),
    *("expression/strain", "expression/study", "expression/gene"),
    *("morphology/strain", "morphology/study", "gene_fold", "strain_fold"),
]


@pytest.mark.parametrize("place", INDICES)
@pytest.mark.parametrize("value", [-2, 120])
def test_an_index_that_leads_outside_is_refused_whatever_the_hash_says(place, value):
    cohort = cohort_of(n_gene=12, n_pair=20)
    check_bounds(cohort, "folder")
    with pytest.raises(CohortError, match=r"folder: damaged cohort: .*export it again"):
        check_bounds(_forged(cohort, place, value), "folder")


@pytest.mark.parametrize("place", ["gene:annotated_with:term/weight", "strains/dose"])
@pytest.mark.parametrize("value", [-1.8e31, 1e30, np.nan, np.inf])
def test_numbers_that_no_sum_could_hold_are_refused_whatever_the_hash_says(place, value):
    cohort = cohort_of(n_gene=12, n_pair=20)
    with pytest.raises(CohortError, match=r"damaged cohort: .* holds .*, wanted 0"):
        check_bounds(_forged(cohort, place, value), "folder")


def test_arrays_that_do_not_fit_each_other_are_refused():
    cohort = cohort_of(n_gene=12, n_pair=20)
    genome, fitness = cohort.genome, cohort.fitness
    text = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")
    )
    for wrong in (
        _swapped(cohort, "genome", _swapped(genome, "features", genome.features[1:])),
        _swapped(cohort, "genome", _swapped(genome, "direct", genome.direct[1:])),
        _swapped(cohort, "genome", _swapped(genome, "gene_symbols", genome.gene_symbols[1:])),
        _measured(cohort, "fitness", _swapped(fitness, "sd", fitness.sd.astype(np.float64))),
        _measured(cohort, "fitness", _swapped(fitness, "value", fitness.value[1:])),
        _swapped(cohort, "gene_fold", cohort.gene_fold[1:]),
        _swapped(cohort, "strains", _swapped(cohort.strains, "ids", text)),
    ):
        with pytest.raises(CohortError, match="damaged cohort"):
            check_bounds(wrong, "folder")


def _swapped(of, name, value):
    """A record with one field changed, as a file would give it: no type is looked at."""
    out = copy.copy(of)
    object.__setattr__(out, name, value)
    return out


def test_a_cohort_whose_studies_are_no_names_is_refused(every):
    reader = next(r for r in every if r.name == "cohort manifest.json")
    record = json.loads(reader.good[0])
    reader.read(json.dumps(record).encode())
    with pytest.raises(CohortError, match=r"damaged cohort \(studies\.0: got 1, wanted"):
        reader.read(json.dumps(record | {"studies": [1, *record["studies"][1:]]}).encode())


def test_atheris_is_asked_for_in_one_line_where_it_is_missing():
    if find_spec("atheris") is not None:
        pytest.fail("atheris is for `make fuzz-guided` alone; the tests are run without it")
    command = [sys.executable, "-m", "fuzz.guided", "gff3"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=Path(__file__).parent
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [INSTALL]
