"""A user's own table, as spreadsheets and people write it: read as it is, or told what to mend."""

import re
from pathlib import Path

import openpyxl
import pytest
from test_loaders_sources import experiments

from genograph.cli import main
from genograph.database.ingest import load
from genograph.errors import SourceError, guess
from genograph.loaders import experiments_csv
from genograph.loaders._templates import TEMPLATES
from genograph.store import open_store
from genograph.tables import Table

PAGE = Path(__file__).parents[1] / "docs" / "your-data.md"
GENES = {"YER095W": "RAD51", "YML032C": "RAD52", "YGL163C": "RAD54", "YAL001C": "TFC3"}
TEXT = "strain,value,sd,environment\nRAD51,0.9,0.02,SD\nRAD52,1.5,,SD\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store that the tests of the module share; each has a study of its own."""
    with open_store(tmp_path_factory.mktemp("genes") / "own.db") as opened:
        rows = {
            "id": list(GENES),
            "symbol": list(GENES.values()),
            "aliases": [["XRS9"], [], [], []],
        }
        opened.write(Table.of("Gene", rows))
        yield opened


def loaded(store, path, content, **options):
    """Load a file with this content as a study with the name of its folder."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(store, "experiments_csv", path, study=path.parent.name, **options)


def workbook(rows):
    import io

    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


SAVED = {
    "commas": TEXT.encode(),
    "a mark before UTF-8": TEXT.encode("utf-8-sig"),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "tabs": TEXT.replace(",", "\t").encode(),
    "semicolons and decimal commas": TEXT.replace(",", ";").replace(".", ",").encode(),
    "Excel's first line": ("sep=;\r\n" + TEXT.replace(",", ";")).encode(),
    "empty columns and lines": TEXT.replace("\n", ",,\r\n").encode() + b",,,,,\r\n\r\n",
    "quoted decimal commas": TEXT.replace("0.9", '"0,9"').replace("1.5", '"1,5"')
    .replace("0.02", '"0,02"').encode(),
    "a workbook": workbook(
        [["Strain ", "VALUE", "sd", "environment"], ["RAD51", 0.9, 0.02, "SD"], [],
         ["RAD52", "1.5", None, "SD", None]]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAVED)
def test_a_table_is_the_same_however_it_was_saved(store, tmp_path, name):
    ledger = loaded(store, tmp_path / "own.csv", SAVED[name])
    assert ledger.rows_read == 2
    assert experiments(store, tmp_path.name, "value", "sd") == {
        "YER095W@SD": (0.9, 0.02),
        "YML032C@SD": (1.5, None),
    }
    commas = ledger.notes.get("decimal comma", 0)
    assert commas == (3 if "decimal" in name else 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0rest", r"a workbook of old \(xls\), wanted xlsx or CSV"),
        ("strain,value\nRAD51,0.9\xe9\n".encode("latin-1"), "line 2: .* wanted UTF-8 text"),
        (b"\xff\xfea\x00\xd8\xd8", "wanted UTF-16 text"),
        ("strain;value\nRAD51;0.9\nRAD52;0,9\n", "line 3, column value: got 0,9, wanted a decimal "
         "point, as in line 2"),
        ("strain;value\nRAD51;0,9\nRAD52;0.9\n", "got 0.9, wanted a decimal comma, as in line 2"),
        ("strain,vlaue\nRAD51,0.9\n", r"got vlaue, wanted columns of .* did you mean value\?"),
        ("strain,value,Std Dev\nRAD51,0.9,1\n", r"got Std Dev, .* did you mean sd\?"),
        ("gene,value\nRAD51,0.9\n", r"got gene, .* did you mean strain\?"),
        ("who,value\nRAD51,0.9\n", "got who, value, wanted a column strain"),
        ("strain,value,\nRAD51,0.9,7\n", "line 2: got 3 columns, wanted 2 as in the header"),
        ("strain,value,,x\nRAD51,0.9,7,1\n", "an unnamed column, wanted a name of its own"),
        ("strain,value,a=b\nRAD51,0.9,7\n", "wanted a name without = and"),
        ("strain,value\nRAD5l,0.9\n", r"got RAD5l, wanted a loaded gene; did you mean RAD51\?"),
        ("strain,value\n", "got no rows, wanted at least one"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_what_is_wrong(store, tmp_path, content, message):
    with pytest.raises(SourceError, match=message):
        loaded(store, tmp_path / "own.csv", content)
    assert experiments(store, tmp_path.name, "value") == {}


def test_all_bad_lines_are_in_one_message(store, tmp_path):
    lines = ["strain,value,sd", "RAD51,sick,", "RAD99,0.9,", "RAD52,0.9,-1", "RAD52(gone),1,"]
    text = "\n".join([*lines, "RAD54,0.8,", *["RAD51,,"] * 30]) + "\n"
    with pytest.raises(SourceError) as caught:
        loaded(store, tmp_path / "own.csv", text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'own.csv'}: 34 lines cannot be used: line 2, column va")
    assert [int(n) for n in re.findall(r"(?:^|[;:] )line (\d+)", message)] == [
        *range(2, 6),
        *range(7, 23),
    ]
    assert "; and 14 more (the option unknown=reject leaves them out)" in message
    ledger = loaded(store, tmp_path / "own.csv", text, unknown="reject")
    assert ledger.rejected == {"unknown gene": 1, "a line that cannot be used": 33}
    assert ledger.examples["a line that cannot be used"][0].startswith(
        "line 2: column value: got sick, wanted a finite number"
    )
    assert experiments(store, tmp_path.name, "value") == {"YGL163C": (0.8,)}


@pytest.mark.parametrize("word", ["NA", "n/a", "-", "\u2013", "none", "ND", "NaN", ""])
def test_a_word_for_not_measured_is_missing(store, tmp_path, word):
    text = f"strain,value,sd,p,batch\nwt,1,{word},{word},{word}\n"
    loaded(store, tmp_path / "own.csv", text)
    assert experiments(store, tmp_path.name, "sd", "p", "batch") == {"WT": (None, None, None)}


def test_other_columns_are_kept_as_attributes(store, tmp_path):
    text = "strain,value,Operator,OD 600,gene\nRAD51,0.9,Ada,0.4,RAD51\nRAD52,0.9,,NA,\n"
    ledger = loaded(store, tmp_path / "own.csv", text)
    assert ledger.notes["column kept as an attribute"] == 3
    found = experiments(store, tmp_path.name, "attributes")
    assert found["YER095W"] == (["Operator=Ada", "OD 600=0.4", "gene=RAD51"],)
    assert not found["YML032C"][0]


def test_lines_that_repeat_another_are_noted_and_kept(store, tmp_path):
    text = "strain,value\nRAD51,0.9\nRAD52,0.9\nRAD51,0.9\n"
    ledger = loaded(store, tmp_path / "own.csv", text)
    assert ledger.examples["the same line as an earlier one"] == ["line 4: as line 2"]
    assert set(experiments(store, tmp_path.name, "value")) == {"YER095W", "YER095W#2", "YML032C"}


def test_replicates_are_pooled_when_asked(store, tmp_path):
    text = (
        "strain,value,sd,interaction,batch,replicate,who,environment\n"
        "RAD51+RAD52,0.8,0.3,0.1,A,1,Ada,\n"
        "rad52Δ+rad51Δ,0.6,,0.3,A,2,Bob,\n"
        "RAD51+RAD52,0.4,,,A,7,Ada,\n"
        "RAD51,0.9,0.05,,B,1,,\n"
        "RAD51,0.5,,,B,1,,hot\n"
    )
    ledger = loaded(store, tmp_path / "own.csv", text, replicates="pool")
    assert ledger.examples["repeated measurements pooled"] == ["line 2: 3 lines"]
    columns = ("value", "sd", "interaction", "interaction_sd", "batch", "n", "attributes")
    found = experiments(store, tmp_path.name, *columns)
    assert set(found) == {"YER095WxYML032C", "YER095W", "YER095W@hot"}
    assert found["YER095WxYML032C"][:2] == pytest.approx((0.6, 0.2))
    assert found["YER095WxYML032C"][2:4] == pytest.approx((0.2, 0.02**0.5))
    assert found["YER095WxYML032C"][4:] == ("A", 3, ["who=Ada", "who=Bob"])
    assert found["YER095W"][:2] == (0.9, 0.05)
    assert found["YER095W"][5] is None
    with pytest.raises(SourceError, match="option replicates is 'mean', wanted keep or pool"):
        loaded(store, tmp_path / "own.csv", text, replicates="mean")


def test_a_replicate_number_that_another_line_has_is_a_bad_line(store, tmp_path):
    text = "strain,value,replicate\nRAD51,0.9,1\nRAD51,0.8,1\nRAD51,0.7,2\n"
    with pytest.raises(SourceError, match="line 3, column replicate: got 1, wanted another than"):
        loaded(store, tmp_path / "own.csv", text)
    assert loaded(store, tmp_path / "own.csv", text, unknown="reject").rejected == {
        "a line that cannot be used": 1
    }


# ---------------------------------------------------------------- templates and the page


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_loads_as_it_is(store, tmp_path, kind, monkeypatch, capsys):
    import shlex

    monkeypatch.setattr("sys.argv", ["genograph", "template", kind])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    printed = capsys.readouterr()
    (tmp_path / "my.csv").write_text(printed.out, "utf-8")
    words = shlex.split(re.search(r"genograph load (\S+) FILE (.*)", printed.err)[0])
    options = dict(zip((w[2:] for w in words[4::2]), words[5::2], strict=True))
    options["study"] = kind
    ledger = load(store, words[2], tmp_path / "my.csv", **options)
    assert ledger.rejected == {}
    assert ledger.written > 5


def test_the_page_has_every_column_and_the_file_to_copy():
    text = PAGE.read_text("utf-8")
    for name, holds in experiments_csv.COLUMNS.items():
        assert f"| `{name}` | {holds} |" in text
    assert TEMPLATES["fitness"].text in text


@pytest.mark.parametrize("words", [["experiments_csv", "--help"], ["-h", "experiments_csv"]])
def test_the_help_of_a_loader_shows_its_columns_and_options(words, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["genograph", "load", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    for name, holds in experiments_csv.COLUMNS.items():
        assert f"{name} {holds}" in printed
    assert "--replicates repeated measurements" in printed


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RAD5l", "RAD51"),
        ("rad51", "RAD51"),
        ("YAL0O1C", "YAL001C"),
        ("xyz", ""),
    ],
)
def test_the_name_that_is_meant_is_the_closest(name, meant):
    assert guess(name, ["RAD50", "RAD51", "TFC3", "YAL001C"]) == meant
