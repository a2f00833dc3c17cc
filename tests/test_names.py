"""Things by their names: found by any part of them, in flags as well as ids, and what was meant."""

import re

import pytest

from genograph.cli import main
from genograph.cohorts import CohortQuery, Subgraph, list_experiments, read_genome, select
from genograph.database.names import find
from genograph.errors import CohortError, SchemaError
from genograph.measurements import Measurement, Study, tables
from genograph.schema import Perturbation
from genograph.store import open_store
from genograph.tables import Table

pytestmark = pytest.mark.slow

GENES = {"YER095W": ("RAD51", ["MUT5"]), "YML032C": ("RAD52", []), "YAL001C": ("TFC3", ["FUN24"])}
TERMS = {
    "GO:0006281": "DNA repair",
    "GO:0000724": "DSB repair via HR",
    "GO:1": "same",
    "GO:2": "same",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "n.db"
    with open_store(path) as store:
        symbols, aliases = zip(*GENES.values(), strict=True)
        store.write(Table.of("Gene", {"id": list(GENES), "symbol": symbols, "aliases": aliases}))
        spaces = ["biological_process"] * len(TERMS)
        terms = {"id": list(TERMS), "name": list(TERMS.values()), "namespace": spaces}
        store.write(Table.of("Term", terms))
        store.write(
            Table.of("Complex", {"id": ["c:26S"], "name": ["26S proteasome"], "source": ["c"]})
        )
        members = {"from_id": ["YER095W", "YML032C"], "to_id": ["c:26S"] * 2}
        store.write(Table.of("MEMBER_OF", members))
        linked = {"from_id": ["YER095W"], "to_id": ["GO:0006281"], "evidence": ["IDA"]}
        store.write(Table.of("ANNOTATED_WITH", linked | {"qualifier": [""], "negated": [False]}))
        unit = "relative to wild type"
        rows = [
            Measurement(study, "fitness", unit, (Perturbation.of(gene),), 0.9)
            for study, gene in (("ours2026", "YER095W"), ("theirs2020", "YML032C"))
        ]
        studies = [Study("ours2026", "Ours (2026)"), Study("theirs2020")]
        for table in tables(rows, studies, source="x", note=lambda *_, **__: None):
            store.write(table)
    return path


@pytest.fixture(scope="module")
def store(database):
    with open_store(database, read_only=True) as opened:
        yield opened


def strains(store, **flags):
    return sorted(list_experiments(store, CohortQuery.of(**flags))["strain"].to_pylist())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rad5", [("gene", "YER095W", "RAD51"), ("gene", "YML032C", "RAD52")]),
        ("mut5", [("gene", "YER095W", "MUT5")]),
        (
            "REPAIR",
            [("term", "GO:0000724", "DSB repair via HR"), ("term", "GO:0006281", "DNA repair")],
        ),
        ("proteasome", [("complex", "c:26S", "26S proteasome")]),
        ("2026", [("study", "ours2026", "ours2026")]),
        ("nothing like it", []),
    ],
)
def test_a_part_of_a_name_finds_what_has_it(store, text, found):
    rows = find(store, text).to_pylist()
    assert [(r["kind"], r["id"], r["match"]) for r in rows] == found


def test_what_is_equal_comes_before_what_only_holds_the_text(store):
    assert find(store, "yml032c")["id"].to_pylist() == ["YML032C"]
    assert find(store, "", kind=["gene"], limit=2)["id"].to_pylist() == ["YAL001C", "YER095W"]
    with pytest.raises(SchemaError, match="kind colour: there is none; choose from gene, term"):
        find(store, "x", kind=["colour"])


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({"gene": ["rad51"]}, ["YER095W"]),
        ({"gene": ["MUT5", "YML032C"]}, ["YER095W", "YML032C"]),
        ({"go": ["dna repair"]}, ["YER095W"]),
        ({"complex": ["26s Proteasome"]}, ["YER095W", "YML032C"]),
        ({"study": ["Ours (2026)"]}, ["YER095W"]),
        ({"exclude_study": ["ours2026"]}, ["YML032C"]),
        ({"study": ["OURS2026", "theirs2020"], "exclude_study": ["theirs2020"]}, ["YER095W"]),
    ],
)
def test_a_flag_takes_names_as_well_as_ids(store, flags, found):
    assert strains(store, **flags) == found


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"gene": ["RAD5l"]}, r"--gene RAD5l: there is none in .*; did you mean RAD51\?"),
        ({"complex": ["proteasome"]}, r"did you mean 26S proteasome \(c:26S\)\?"),
        ({"go": ["DNA repiar"]}, r"did you mean DNA repair \(GO:0006281\)\?"),
        ({"go": ["same"]}, "--go same: 2 have that name; choose one of GO:1, GO:2"),
        ({"go": ["zzzz qqq"]}, "there is none in .*; genograph find 'zzzz' lists"),
        ({"study": ["ours2025"]}, r"did you mean Ours \(2026\) \(ours2026\)\?"),
        (
            {"exclude_study": ["nobody"]},
            "--exclude-study nobody: .* choose one of ours2026, theirs2",
        ),
    ],
)
def test_a_name_that_nothing_has_is_answered_by_what_is_close(store, flags, message):
    with pytest.raises(CohortError, match=message):
        strains(store, **flags)


def test_a_cohort_keeps_the_ids_that_names_stand_for(store):
    made = select(store, CohortQuery.of(complex=["26S proteasome"]), embedding=())
    assert made.provenance["parameters"] == '{"complex": ["c:26S"]}'


def test_a_part_of_the_genome_goes_by_names_too(store):
    found = read_genome(store, embedding=(), subgraph=Subgraph(terms=("dna repair",)))
    assert found.genome.gene_ids == ("YER095W",)
    with pytest.raises(CohortError, match=r"first RAD5l; did you mean RAD51\?"):
        read_genome(store, embedding=(), subgraph=Subgraph(genes=("RAD5l",)))
    with pytest.raises(CohortError, match=r"is not in the database; did you mean DNA repair\?"):
        read_genome(store, embedding=(), subgraph=Subgraph(terms=("DNA repiar",)))


def test_find_and_a_printed_query_of_names_on_the_command_line(
    database, store, monkeypatch, capsys
):
    for words, wanted in (
        (["find", "proteasome"], "complex,c:26S,26S proteasome"),
        (["find", "rad", "--kind", "gene", "--limit", "1"], "gene,YER095W,RAD51,RAD51"),
        (["cohort", "--go", "DNA repair", "--print-cypher"], '"GO:0006281"'),
    ):
        style = [] if words[0] == "cohort" else ["--format", "csv"]
        monkeypatch.setattr("sys.argv", ["genograph", *words, *style, "--db", str(database)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == 0, printed.err
        assert re.search(re.escape(wanted), printed.out.replace('"', "") if style else printed.out)
