"""Loaders of experiments: what each makes of its format's traps, and the tables they share."""

import gzip
import math
import tomllib
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genograph.database.ingest import load
from genograph.errors import SchemaError, SourceError
from genograph.measurements import (
    Axis,
    Measurement,
    Study,
    read_number,
    read_screened,
    read_strain,
    read_vector,
)
from genograph.measurements import rows as experiments
from genograph.schema import Perturbation, strain_id
from genograph.store import open_store
from genograph.tables import Table, concat

DATA = Path(__file__).parent / "data"
GENES = {
    "YAL001W": ("AAA1", ["OLD1", "SHARED"]),
    "YAL002C": ("BBB1", ["SHARED", "YAL902C"]),
    "YAL003W": ("CCC1", []),
    "YAL004W": ("YAL004W", []),
    "YBL001C": ("DDD1", []),
    "YBL002W": ("EEE1", []),
    "YBL003C-A": ("YBL003C-A", []),
    "tA(UGC)A": ("tA(UGC)A", []),
}


def toy(path):
    store = open_store(path)
    symbols, aliases = zip(*GENES.values(), strict=True)
    store.write(Table.of("Gene", {"id": list(GENES), "symbol": symbols, "aliases": aliases}))
    return store


@pytest.fixture
def store(tmp_path):
    with toy(tmp_path / "toy.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A store that no test of the module changes."""
    with toy(tmp_path_factory.mktemp("untouched") / "toy.db") as opened:
        load(opened, "smf_baryshnikova2010", fixture("smf_baryshnikova2010"))
        yield opened


def options(name):
    return tomllib.loads((DATA / name / "case.toml").read_text("utf-8")).get("options", {})


def fixture(name):
    (found,) = (DATA / name).glob("input.*")
    return found


def prepared(store, name):
    """The store with what the loader needs."""
    if name == "sga_costanzo2010":
        load(store, "smf_baryshnikova2010", fixture("smf_baryshnikova2010"))
    return store


def experiment(store, id, *columns):
    found = store.query(
        f"MATCH (e:Experiment {{id: $id}}) RETURN {', '.join(f'e.{c} AS {c}' for c in columns)}",
        id=id,
    )
    assert len(found) == 1, id
    return tuple(found.to_pylist()[0].values())


# ---------------------------------------------------------------- single mutants


def workbook(path, rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_a_workbook_gives_the_same_rows_as_text(store, tmp_path):
    rows = [("YAL001W", 0.95, 0.01), ("YAL002C_damp", 0.8, None), (None, None, None)]
    file = workbook(tmp_path / "smf.xlsx", [*rows, ("BBB1", 1, 0.02)])
    ledger = load(store, "smf_baryshnikova2010", file)
    assert ledger.rows_read == 3
    assert experiment(store, "baryshnikova2010:fitness:YAL001W", "value", "sd") == (0.95, 0.01)
    assert experiment(store, "baryshnikova2010:fitness:YAL002C(damp)", "value", "sd") == (0.8, None)
    assert experiment(store, "baryshnikova2010:fitness:YAL002C", "value", "sd") == (1.0, 0.02)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([("YAL001W", 0.95, 0.01), ("YAL002C", "sick", 0.01)], "line 2, column 2 (fitness)"),
        ([("YAL001W", True, 0.01)], "line 1, column 2 (fitness)"),
        ([("YAL001W", 0.95, -0.01)], "line 1, column 3 (s.d.)"),
        ([("YAL001W", 0.95, 0.01, 7)], "line 1: got 4 columns"),
        ([(7, 0.95, 0.01)], "line 1, column 1 (strain)"),
        ([(None, None)], "no rows"),
    ],
)
def test_a_bad_cell_of_a_workbook_is_refused_with_its_row(untouched, tmp_path, rows, place):
    file = workbook(tmp_path / "smf.xlsx", rows)
    with pytest.raises(SourceError) as caught:
        load(untouched, "smf_baryshnikova2010", file)
    assert place in str(caught.value)
    assert "smf.xlsx" in str(caught.value)


def test_a_truncated_workbook_is_refused(untouched, tmp_path):
    whole = workbook(tmp_path / "whole.xlsx", [("YAL001W", 0.95, 0.01)]).read_bytes()
    half = tmp_path / "half.xlsx"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"half\.xlsx: cannot be read as an xlsx workbook"):
        load(untouched, "smf_baryshnikova2010", half)


def test_another_study_does_not_claim_the_paper(store, tmp_path):
    file = tmp_path / "smf.tsv"
    file.write_text("YAL001W\t0.9\t0.1\n")
    load(store, "smf_baryshnikova2010", file, study="simulated_smf")
    found = store.query("MATCH (s:Study) RETURN s.id AS id, s.doi AS doi, s.citation AS citation")
    assert found.to_pylist() == [{"id": "simulated_smf", "doi": None, "citation": None}]


# ---------------------------------------------------------------- double mutants


def test_double_mutant_fitness_is_the_product_plus_epsilon_with_both_orders_kept(store):
    load(prepared(store, "sga_costanzo2010"), "sga_costanzo2010", fixture("sga_costanzo2010"))
    # YBL002W was measured twice, .90 +- .01 and .94 +- .03: mean .92 +- sqrt(.01^2 + .03^2) / 2
    spread = math.sqrt(0.03**2 + (0.95 * math.sqrt(0.0010) / 2) ** 2 + (0.92 * 0.01) ** 2)
    value, sd, epsilon, derived = experiment(
        store, "costanzo2010:fitness:YAL001WxYBL002W", "value", "sd", "interaction", "derived"
    )
    assert value == pytest.approx(0.95 * 0.92 - 0.2)
    assert sd == pytest.approx(spread)
    assert (epsilon, derived) == (-0.2, True)
    both = store.query(
        "MATCH (e:Experiment)-[:TESTS]->(s:Strain {id: 'YAL001W+YBL002W'}) "
        "RETURN e.interaction AS epsilon ORDER BY e.interaction"
    )
    assert both["epsilon"].to_pylist() == [-0.2, -0.15, -0.1]


def test_without_the_singles_of_the_study_the_screen_is_refused(store):
    with pytest.raises(SourceError, match="needs Experiment in the database"):
        load(store, "sga_costanzo2010", fixture("sga_costanzo2010"))
    prepared(store, "sga_costanzo2010")
    with pytest.raises(SourceError, match="no single-mutant fitness of the study nobody2000"):
        load(store, "sga_costanzo2010", fixture("sga_costanzo2010"), singles="nobody2000")


def test_a_single_of_another_allele_is_not_the_single(store, tmp_path):
    load(store, "smf_baryshnikova2010", fixture("smf_baryshnikova2010"))
    file = tmp_path / "sga.txt"
    file.write_text("YAL003W\tCCC1\tYAL001W\tAAA1\t0.1\t0.02\t0.01\n")  # only a ts allele has one
    ledger = load(store, "sga_costanzo2010", file)
    assert ledger.notes == {"fitness not derived: a single mutant was not measured": 1}
    id = "costanzo2010:fitness:YAL003WxYAL001W"
    assert experiment(store, id, "value", "interaction", "derived") == (None, 0.1, None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("YAL001C", Perturbation("YAL001C")),
        ("YAL001C_damp", Perturbation("YAL001C", "damp", "", 0.5)),
        ("YAL034W-A_tsq235", Perturbation("YAL034W-A", "ts", "tsq235", 0.5)),
        ("YAL001C_tsa12", Perturbation("YAL001C", "ts", "tsa12", 0.5)),
        ("YAL001C_sn7", None),
        ("YAL001C_damp2", None),
    ],
)
def test_allele_suffixes_become_kinds(name, expected):
    assert read_screened(name) == expected


# ---------------------------------------------------------------- matrices


def test_a_matrix_needs_to_be_told_its_unit(store):
    with pytest.raises(SourceError, match="needs the option unit"):
        load(store, "expression_matrix", fixture("expression_matrix"), study="toy2026")


def test_values_stand_along_the_names_of_their_axis(store):
    load(store, "expression_matrix", fixture("expression_matrix"), **options("expression_matrix"))
    found = store.query(
        "MATCH (e:Experiment {id: 'toy2026:expression:YAL002C'})-[:ALONG]->(a:Axis) "
        "RETURN e.values AS values, a.names AS names, a.unit AS unit, e.unit AS own"
    ).to_pylist()[0]
    at = dict(zip(found["names"], found["values"], strict=True))
    assert at["YAL002C"] == -3.0
    assert at["YAL003W"] == pytest.approx(0.4)
    assert found["unit"] == found["own"] == "log2 fold change"


def test_a_missing_value_is_nan_and_the_wild_type_is_a_strain_without_perturbations(store):
    load(store, "morphology_matrix", fixture("morphology_matrix"), **options("morphology_matrix"))
    (values,) = experiment(store, "toy2026:morphology:YAL002C", "values")
    assert np.isnan(values).tolist() == [True, False, True]
    found = store.query("MATCH (s:Strain {id: 'WT'}) RETURN s.n_perturbed AS n")
    assert found["n"].to_pylist() == [0]


def test_equal_names_in_another_unit_are_another_axis():
    names = ("size", "ratio")
    first = Axis("toy2026", "morphology", "um", names)
    assert first.id == Axis("toy2026", "morphology", "um", names).id
    assert first.id != Axis("toy2026", "morphology", "z-score", names).id
    assert first.id != Axis("toy2026", "morphology", "um", names[::-1]).id


# ---------------------------------------------------------------- a user's own data


def test_an_unknown_gene_of_ones_own_data_is_refused_unless_rejection_is_asked_for(store):
    file = fixture("experiments_csv")
    with pytest.raises(SourceError, match=r"line 12, column strain: got YXX999W.*unknown=reject"):
        load(store, "experiments_csv", file, study="mine2026")
    assert load(store, "experiments_csv", file, study="mine2026", unknown="reject").rejected
    with pytest.raises(SourceError, match="option unknown is 'skip', wanted refuse or reject"):
        load(store, "experiments_csv", file, study="mine2026", unknown="skip")


def test_a_line_without_study_is_refused(untouched, tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("strain,value,study\nYAL001W,0.9,mine2026\nYAL002C,0.8,\n")
    with pytest.raises(SourceError, match="line 3, column study: got nothing"):
        load(untouched, "experiments_csv", file)


def test_tabs_and_gzip_are_read_too(store, tmp_path):
    file = tmp_path / "own.tsv.gz"
    file.write_bytes(gzip.compress(b"strain\tvalue\r\nAAA1+CCC1\t0.9\r\n"))
    load(store, "experiments_csv", file, study="mine2026")
    assert experiment(store, "mine2026:fitness:YAL001WxYAL003W", "value") == (0.9,)


@pytest.mark.parametrize("text", ["strain,value\nYAL001W,0.9\xe9\n", "strain,value\n"])
def test_text_that_is_not_utf8_or_has_no_rows_is_refused(untouched, tmp_path, text):
    file = tmp_path / "own.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=r"own\.csv"):
        load(untouched, "experiments_csv", file, study="mine2026")


# ---------------------------------------------------------------- the tables they share


def unheard(reason, line, detail, count=1):
    """A note that nobody reads."""


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "#N/A", None])
def test_a_cell_that_says_not_measured_is_none(text):
    assert read_number("toy.tsv", 3, "value", text) is None


@pytest.mark.parametrize(
    "text", ["1_0", "inf", "-Infinity", "1e999", "0x1p3", "\u0661", "1,5", "high", True, "-", "--1"]
)
def test_a_cell_that_is_no_finite_number_is_refused(text):
    with pytest.raises(SourceError, match=r"toy\.tsv, line 3, column value: got .* finite number"):
        read_number("toy.tsv", 3, "value", text)
    if text is not True:
        with pytest.raises(SourceError, match=r"toy\.tsv, line 3, column second: got"):
            read_vector("toy.tsv", 3, ("first", "second"), ("0.5", text))


def test_cells_are_read_as_they_stand():
    read = [read_number("t", 1, "v", text) for text in ("1", "-.5", "+2.", "1e-3", " 7 ", 3, 0.25)]
    assert read == [1.0, -0.5, 2.0, 0.001, 7.0, 3.0, 0.25]
    values = read_vector("t", 1, ("a", "b", "c", "d"), ("1", " NA", "-2.5E1", ""))
    np.testing.assert_array_equal(values, np.array([1, np.nan, -25, np.nan], np.float32))
    assert values.dtype == np.float32
    with pytest.raises(SourceError, match="column b: got 1e39"):
        read_vector("t", 1, ("a", "b"), ("1", "1e39"))


def test_bare_names_ids_and_the_wild_type_spell_strains():
    known = {"AAA1": "YAL001W", "BBB1": "YAL002C", "tA": "tA(UGC)A", "tA(UGC)A": "tA(UGC)A"}
    assert read_strain("AAA1", known.get).strain == (Perturbation("YAL001W"),)
    assert read_strain("WT", known.get) == ((), (), ())
    assert [str(p) for p in read_strain("BBB1(damp)+AAA1", known.get).strain] == [
        "YAL002C(damp)",
        "YAL001W",
    ]
    assert read_strain("BBB1+NOPE+NADA", known.get) == ((), ("NOPE", "NADA"), ())
    for text in ("AAA1+AAA1", "AAA1 BBB1", "", "AAA1(lost)", "AAA1(deletion@0.5)"):
        with pytest.raises(SchemaError):
            read_strain(text, known.get)
    # the bracket of a name is no kind
    assert read_strain("tA(UGC)A+AAA1", known.get).names == ("tA(UGC)A", "AAA1")
    assert str(read_strain("tA", known.get).strain[0]) == "tA(UGC)A"


LABORATORY = {
    "rad51\u0394": "YER095W",
    "\u0394rad51": "YER095W",
    "rad51\u2206::kanMX4": "YER095W",
    "rad51-del": "YER095W",
    "RAD51_KO": "YER095W",
    "rad51\u0394 rad52\u0394": "YER095W+YML032C",
    "rad51\u0394/rad52-del": "YER095W+YML032C",
    "rad51\u0394+RAD52(damp)": "YER095W+YML032C(damp)",
    "RAD51 CRISPRi": "YER095W(knockdown)",
    "RAD51-oe+rad52": "YER095W(overexpression)+YML032C",
    "wt": "WT",
    "Wild type": "WT",
    "old name": "YML032C",
}


@pytest.mark.parametrize(("text", "spelled"), LABORATORY.items())
def test_a_laboratory_s_spelling_is_a_strain(text, spelled):
    known = {"RAD51": "YER095W", "RAD52": "YML032C", "OLD NAME": "YML032C"}
    assert strain_id(read_strain(text, lambda name: known.get(name.upper())).strain) == spelled


def test_what_is_a_gene_s_name_is_not_read_as_a_laboratory_s_spelling():
    known = {"ABC-DEL": "YAL001W", "ABC": "YAL002C"}
    assert read_strain("abc-del", lambda name: known.get(name.upper())).strain[0][0] == "YAL001W"
    assert read_strain("xyz\u0394", known.get).unknown == ("xyz\u0394",)


def test_a_gene_by_another_name_or_in_another_case_is_noted(store, tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("strain,value\nOLD1,0.9\nyal902c,0.8\nAAA1,0.7\n")
    ledger = load(store, "experiments_csv", file, study="mine2026")
    assert ledger.notes["another name or case of a gene"] == 2
    assert ledger.examples["another name or case of a gene"] == [
        "line 2: OLD1 is YAL001W",
        "line 3: yal902c is YAL002C",
    ]


def test_two_doses_of_one_perturbation_in_a_strain_are_refused():
    twice = (
        Perturbation("YAL001W", "overexpression", "", 1.5),
        Perturbation("YAL001W", "overexpression", "", 2.0),
    )
    one = Measurement("toy2026", "fitness", "relative to wild type", twice, 0.9, line=7)
    with pytest.raises(SourceError, match=r"own\.csv, line 7, column strain"):
        list(experiments.tables([one], [], source="own.csv", note=unheard))


GENE = st.sampled_from(["YAL001W", "YAL002C", "YBL001C"])
STRAIN = st.lists(GENE, max_size=3, unique=True).map(
    lambda genes: tuple(Perturbation(g) for g in genes)
)
AXIS = Axis("toy2026", "expression", "log2 fold change", ("YAL001W", "YAL002C"))


@st.composite
def measurements(draw):
    strain, study = draw(STRAIN), draw(st.sampled_from(["toy2026", "other2026"]))
    place = draw(st.sampled_from(["", "SD_30C"]))
    if draw(st.booleans()):
        values = np.array(draw(st.tuples(*[st.floats(-3, 3, width=32)] * 2)), np.float32)
        return Measurement(
            study, "expression", AXIS.unit, strain, values=values, axis=AXIS, environment=place
        )
    return Measurement(study, "fitness", experiments.RELATIVE, strain, 0.5, environment=place)


@settings(max_examples=40, deadline=None)
@given(st.lists(measurements(), min_size=1, max_size=12), st.integers(1, 12))
def test_splitting_into_chunks_changes_nothing(held, chunk):
    def united(size):
        by_type = {}
        study = Study("toy2026")
        for table in experiments.tables(held, [study], source="toy", note=unheard, chunk=size):
            by_type.setdefault(table.type, []).append(table)
        out = {}
        for name, parts in by_type.items():
            rows = concat(parts).rows  # refuses a key that stands in two tables
            out[name] = sorted(map(repr, rows.to_pylist()))
        return out

    whole, split = united(1000), united(chunk)
    assert whole.keys() == split.keys()
    assert len(split["Experiment"]) == len(split["TESTS"]) == len(held)
    for name, rows in whole.items():
        if name == "Experiment":  # a chunk without vectors has no column of them: all null
            assert len(rows) == len(split[name])
        else:
            assert rows == split[name]
