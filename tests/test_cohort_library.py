"""The library of queries: on both databases each answers what pandas works out from the tables."""

import io
import json
import re

import pyarrow.csv
import pytest
from click.testing import CliRunner
from library_oracle import ORACLES, differences, fixture_tables, frames_of_tables

from genograph.cli import cli
from genograph.cohorts import CohortQuery, list_experiments
from genograph.cypher import fence, library, lint, query_file
from genograph.database.query import query
from genograph.errors import CohortError
from genograph.store import open_store

# query, parameters beside its defaults, how many rows there are
CASES = (
    ("strains_of_pathway", {"go": "GO:2"}, 12),
    ("strains_of_pathway", {"go": "GO:2", "every": False}, 14),
    ("strains_of_pathway", {"go": "GO:6"}, 0),
    ("strains_of_pathway", {"go": "GO:404"}, 0),
    ("strains_of_complex", {"complex": "cyc:one"}, 6),
    ("strains_of_complex", {"complex": "cyc:one", "every": False}, 11),
    ("strains_near_gene", {"gene": "GEN1", "k": 0}, 3),
    ("strains_near_gene", {"gene": "YAL001C", "k": 1}, 6),
    ("strains_near_gene", {"gene": "YAL001C", "k": 2}, 6),
    ("strains_near_gene", {"gene": "YAL001C", "k": 3, "min_score": 0.0, "every": False}, 11),
    ("strains_near_gene", {"gene": "nobody", "k": 3}, 0),
    ("pairs_across_terms", {"go_a": "GO:3", "go_b": "GO:2"}, 9),
    ("pairs_across_terms", {"go_a": "GO:5", "go_b": "GO:5"}, 4),
    ("pairs_across_terms", {"go_a": "GO:6", "go_b": "GO:2"}, 0),
    ("pairs_with_singles", {"study": "costanzo2010"}, 7),
    ("pairs_with_singles", {"study": "late2016"}, 5),
    ("suppressors", {"min_interaction": 0.2}, 2),
    ("suppressors", {"min_interaction": 0.0, "max_p": 1.0}, 4),
    ("synthetic_sick", {}, 3),
    ("synthetic_sick", {"max_interaction": -0.05, "max_p": 0.015}, 4),
    ("strains_with_all_phenotypes", {}, 2),
    ("unmeasured_genes", {"go": "GO:1"}, 3),
    ("unmeasured_genes", {"go": "GO:2", "phenotype": "morphology"}, 1),
    ("unmeasured_genes", {"go": "GO:2", "phenotype": "fitness"}, 0),
    ("unmeasured_pairs", {"go": "GO:1"}, 9),
    ("unmeasured_pairs", {"go": "GO:1", "limit": 4}, 4),
    ("predictions", {}, 13),
    ("predictions", {"min_perturbed": 2}, 10),
    ("predicted_and_measured", {"run": "first", "split": "all"}, 13),
    ("predicted_and_measured", {"run": "first", "split": "test"}, 2),
    ("predicted_and_measured", {"run": "nobody"}, 0),
    ("runs_disagree", {"run_a": "first", "run_b": "second"}, 11),
    ("runs_disagree", {"run_a": "first", "run_b": "second", "min_difference": 0.5}, 1),
    ("embeddings", {"study": "kemmeren2014"}, 6),
    ("embeddings", {"study": "late2016", "phenotype": "fitness", "model": "other"}, 2),
    ("embeddings", {"study": "late2016"}, 0),
)


def answer(store, name, parameters):
    """What a query of the library gives."""
    held = CohortQuery.read(query_file(name), **parameters)
    return query(store, held.cypher, **held.parameters)


def worked_out(frames, name, parameters):
    """What its oracle gives."""
    entry = next(e for e in library() if e.name == name)
    return ORACLES[name](frames, **{**entry.defaults, **parameters})


def test_every_query_of_the_library_is_asked():
    assert {name for name, _, _ in CASES} == {e.name for e in library()} == set(ORACLES)


@pytest.mark.slow
def test_both_databases_answer_what_pandas_works_out(db):
    tables = fixture_tables()
    frames = frames_of_tables(tables)
    wrong = []
    with open_store(db) as store:
        for table in tables:
            store.write(table)
        for name, parameters, n_row in CASES:
            wanted = worked_out(frames, name, parameters)
            found = differences(answer(store, name, parameters), wanted)
            if found or len(wanted) != n_row:
                wrong.append((name, parameters, len(wanted), found))
    assert wrong == []


@pytest.mark.parametrize("entry", library(), ids=lambda e: e.name)
def test_a_query_is_portable_and_says_what_it_is(entry):
    text = entry.path.read_text("utf-8")
    statement = fence(text)
    assert lint(statement) == ()
    head = [line for line in text.splitlines() if line.startswith("//")]
    words = " ".join(line.removeprefix("//").strip() for line in head if ":param" not in line)
    told = re.findall(r"\$(\w+)", words)
    assert set(told) == statement.parameters == {*entry.defaults, *entry.required}
    given = words.split("Gives: ")[1]
    returned = [c for c in statement.clauses if c.keyword == "RETURN"][-1]
    columns = []
    depth = 0
    for i, token in enumerate(returned.tokens[1:], 1):
        depth += (token.text in "([{") - (token.text in ")]}")
        if depth == 0 and token.text == ",":
            columns.append(returned.tokens[i - 1].text)
    columns.append(returned.tokens[-1].text)
    for column in columns:
        assert re.search(rf"\b{column}\b", given), f"{entry.name}: {column} is not explained"
    assert entry.title
    assert len(entry.title) < 80


def test_the_index_lists_every_query_with_its_title():
    folder = library()[0].path.parent
    index = (folder / "README.md").read_text("utf-8")
    for entry in library():
        assert f"[{entry.name}]({entry.name}.cypher)" in index
        assert entry.title in index


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "yeast.db"
    with open_store(path) as store:
        for table in fixture_tables():
            store.write(table)
    return str(path)


def test_a_query_that_gives_strains_or_experiments_selects_a_cohort(filled):
    with open_store(filled, read_only=True) as store:
        pairs = CohortQuery.read(query_file("pairs_with_singles"), study="late2016")
        found = list_experiments(store, pairs)
        assert set(found["strain"].to_pylist()) == set(
            query(store, pairs.cypher, **pairs.parameters)["strain"].to_pylist()
        )
        sick = list_experiments(store, CohortQuery.read(query_file("synthetic_sick")))
        assert len(sick) == 3


def test_the_command_line_runs_a_query_by_its_name_or_its_file(filled, tmp_path):
    words = ["query", "suppressors", "-p", "min_interaction=0.2", "--db", filled, "--format", "csv"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    file = tmp_path / "mine.cypher"
    file.write_text(query_file("suppressors").read_text("utf-8"), "utf-8")
    again = CliRunner().invoke(cli, ["query", str(file), *words[2:]])
    assert again.stdout == done.stdout
    table = pyarrow.csv.read_csv(io.BytesIO(done.stdout_bytes))
    assert len(table) == 2


def test_the_command_line_lists_the_library():
    done = CliRunner().invoke(cli, ["query", "--list", "--format", "json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [r["name"] for r in rows] == [e.name for e in library()]
    run = next(r for r in rows if r["name"] == "runs_disagree")
    assert run["parameters"] == "run_a run_b min_difference=0.1"


def test_an_unknown_name_is_an_error_with_the_names(filled):
    with pytest.raises(CohortError, match="no such query; it has embeddings, pairs_across"):
        query_file("strains_of_pathways")
    assert query_file("MATCH (g:Gene) RETURN g.id") is None


def test_a_parameter_without_default_must_be_given(filled):
    with pytest.raises(CohortError, match=r"parameter \$run has no value"):
        CohortQuery.read(query_file("predicted_and_measured"))
