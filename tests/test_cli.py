"""The command line, as a user meets it: the whole loop on a small yeast, and every bad input."""

import csv
import io
import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from click.testing import CliRunner
from errors.runs import lose_numbers

import genograph
from genograph.cli import VERBS, cli, main
from genograph.config import read_config

ROOT = Path(__file__).parents[1]


class Done(NamedTuple):
    """What a command wrote."""

    stdout: str
    stderr: str


def run(*words, env=None, code=0):
    """Run a command in this process and check its exit status; what it wrote."""
    status = None
    with (
        CliRunner().isolation(env=env) as (out, err, _),
        patch.object(sys, "argv", ["genograph", *map(str, words)]),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code
    done = Done(out.getvalue().decode("utf-8", "replace"), err.getvalue().decode())
    assert status == code, done.stderr
    return done


def run_process(*words, code=0):
    """Run a command in a process of its own, which has none of this one's imports and files."""
    done = subprocess.run(
        [sys.executable, "-m", "genograph", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def refused(*words, env=None, run=run):
    """The one line of an error."""
    done = run(*words, code=1) if env is None else run(*words, code=1, env=env)
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    return lines[-1]


@pytest.fixture(scope="module")
def yeast(tmp_path_factory):
    """A folder with sources and a database of a small simulated yeast."""
    folder = tmp_path_factory.mktemp("yeast")
    genograph.simulate(folder / "sources", genes=150, seed=0)
    with genograph.open_store(folder / "yeast.db") as store:
        genograph.build(store, folder / "sources" / "sources.toml")
    return folder


@pytest.fixture(scope="module")
def trained(yeast):
    """The same, with a cohort and a run of one epoch."""
    with genograph.open_store(yeast / "yeast.db", read_only=True) as store:
        cohort = genograph.export(store, yeast / "cohort")
    config = read_config(members=2, epochs=1, steps_per_epoch=3)
    genograph.train(cohort, config, yeast / "run", cohort_folder=yeast / "cohort")
    return yeast


def genes(folder):
    """Two gene ids of the yeast."""
    with genograph.open_store(folder / "yeast.db", read_only=True) as store:
        found = store.query("MATCH (g:Gene) RETURN g.id AS id ORDER BY id LIMIT 2")
    return found["id"].to_pylist()


def every_command():
    for verb in VERBS:
        yield [verb.name]
        for name in getattr(verb, "commands", {}):
            yield [verb.name, name]


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_command_has_help_that_ends_in_an_example(words):
    shown = CliRunner().invoke(cli, [*words, "--help"])
    assert shown.exit_code == 0
    # the last lines are commands, a long one may go on in the next line
    assert re.search(r"\n +Example:\n( +(\S.* )?genograph.*\n( {6,}.*\n)*)+\Z", shown.output)


def test_help_takes_less_than_half_a_second_of_the_processor():
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_process("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(times) < 0.5


def test_simulate_prints_its_list_of_sources(tmp_path):
    done = run("simulate", "-o", tmp_path / "y", "--genes", 120)
    assert done.stdout.strip() == str(tmp_path / "y" / "sources.toml")
    assert "not empty" in refused("simulate", "-o", tmp_path / "y", "--genes", 120)


def test_building_twice_loads_nothing_again(yeast):
    done = run("build", yeast / "sources" / "sources.toml", "--db", yeast / "yeast.db")
    assert "loaded already" in done.stderr
    assert "rows read" not in done.stderr


@pytest.mark.parametrize("style", ["csv", "json", "table", "parquet"])
def test_a_query_prints_rows_in_every_format(yeast, style):
    words = ["MATCH (g:Gene) WHERE g.id = $id RETURN g.id AS id, g.aliases AS a", "-p"]
    gene = genes(yeast)[0]
    command = ["query", *words, f"id={gene}", "--db", str(yeast / "yeast.db"), "--format", style]
    done = run(*command)
    if style == "json":
        assert json.loads(done.stdout)[0]["id"] == gene
    elif style == "csv":
        assert f"\n{gene}," in done.stdout
    else:
        assert gene in done.stdout


def test_flags_print_cypher_that_a_file_can_hold(yeast, tmp_path):
    flags = ["--study", "simulated_sga", "--max-sd", "0.03", "--kind", "deletion"]
    text = run("cohort", *flags, "--print-cypher").stdout
    file = tmp_path / "pairs.cypher"
    file.write_text(text, "utf-8")
    by_flags = run("cohort", *flags, "--db", yeast / "yeast.db", "--format", "csv").stdout
    by_file = run("cohort", file, "--db", yeast / "yeast.db", "--format", "csv").stdout
    assert by_flags == by_file
    assert len(by_file.splitlines()) > 100
    assert refused("cohort", file, "--study", "x", "--db", yeast / "yeast.db")


def test_predictions_go_into_the_database_and_are_read_back(trained, tmp_path):
    database = tmp_path / "copy.db"
    database.write_bytes((trained / "yeast.db").read_bytes())
    genome = genograph.load_cohort(trained / "cohort").genome
    gene, symbol = genome.gene_ids[0], genome.gene_symbols[5]
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(f"strain\n{gene}\n{symbol}+{gene}(overexpression@1.5)\nWT\n", "utf-8")
    command = ["predict", trained / "run", "--strains", pairs]
    printed = list(csv.DictReader(io.StringIO(run(*command, "--format", "csv").stdout)))
    assert len(printed) == 3
    wild = next(row for row in printed if row["strain"] == "WT")
    assert abs(float(wild["fitness"]) - 1) < 1e-6
    assert list(printed[0])[:5] == ["strain", "genes", "measured", "fitness", "fitness_sd"]
    # vectors are printed where they are asked for
    assert "expression" not in printed[0]
    assert "expression" in run(*command, "--vectors", "--format", "csv").stdout.partition("\n")[0]
    said = {row["strain"]: (row["genes"], row["measured"]) for row in printed}
    own = genome.gene_symbols[0]
    assert said[gene][0] == own
    assert re.fullmatch(r"measured \((train|validation|test)\)", said[gene][1])
    (other,) = said.keys() - {gene, "WT"}
    assert sorted(said[other][0].split("+")) == sorted((symbol, own))
    assert said[other][1] == "unmeasured"
    boosted = run(*command, "--baseline", "--format", "csv").stdout
    (by_trees,) = (r for r in csv.DictReader(io.StringIO(boosted)) if r["strain"] == gene)
    assert 0 < float(by_trees["fitness"]) < 1.5
    misused = run(*command, "--baseline", "--write", code=2)
    assert "for strains that are printed" in misused.stderr
    first = run(*command, "--write", "--db", database)
    assert "3 predictions written" in first.stderr
    again = run(*command, "--write", "--db", database)
    assert "0 predictions written, 3 unchanged, 0 strains created" in again.stderr
    cypher = (
        "MATCH (s:Strain)-[p:PERTURBS]->(g:Gene) WHERE p.kind = 'overexpression' "
        "RETURN s.id AS id, s.predicted_fitness AS f, s.predicted_run AS run, p.dose AS dose"
    )
    rows = json.loads(run("query", cypher, "--db", database, "--format", "json").stdout)
    assert len(rows) == 1
    mine = next(row for row in printed if row["strain"] == rows[0]["id"])
    assert abs(float(mine["fitness"]) - rows[0]["f"]) < 1e-6
    assert rows[0]["dose"] == 1.5


def test_a_run_without_numbers_is_printed_as_such_and_ends_with_1(trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    lose_numbers(tmp_path / "run")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("strain\n" + "\n".join(genes(trained)[:2]) + "\n", "utf-8")
    done = run("predict", tmp_path / "run", "--strains", pairs, "--format", "csv", code=1)
    assert [row["fitness"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["", ""]
    assert "predicts no finite fitness of 2 of 2 strains" in done.stderr
    database = trained / "yeast.db"
    assert "nothing is written" in refused(
        "predict", tmp_path / "run", "--strains", pairs, "--write", "--db", database
    )


@pytest.mark.parametrize(
    ("function", "words", "wanted"),
    [
        ("genograph.training.train", ("train", "cohort", "-o", "none"), "goes on after the last"),
        ("genograph.database.ingest.build", ("build", "x.toml", "--db", "none.db"), "goes on"),
        ("genograph.database.ingest.load", ("load", "obo", "x", "--db", "none.db"), "finishes it"),
    ],
)
def test_ctrl_c_says_what_the_same_command_does(
    trained, tmp_path, monkeypatch, function, words, wanted
):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(function, stop)
    words = [str(trained / "cohort") if word == "cohort" else word for word in words]
    assert f"interrupted; the same command {wanted}" in run(*words, code=130).stderr


def test_promoting_another_run_takes_the_first_ones_properties_off(trained, tmp_path):
    cohort = genograph.load_cohort(trained / "cohort")
    config = read_config(members=1, epochs=1, steps_per_epoch=1, seed=7)
    other = genograph.train(cohort, config, tmp_path / "run", cohort_folder=trained / "cohort")
    first = genograph.Run.open(trained / "run")
    database = tmp_path / "copy.db"
    database.write_bytes((trained / "yeast.db").read_bytes())
    first_gene, second_gene = genes(trained)
    some = genograph.read_strains(_strains(tmp_path, first_gene, second_gene), cohort)
    one = genograph.read_strains(_strains(tmp_path, first_gene), cohort)
    with genograph.open_store(database) as store:
        genograph.write_predictions(
            store, first, genograph.predict(first, some, cohort=cohort), cohort
        )
        genograph.write_predictions(
            store, other, genograph.predict(other, one, cohort=cohort), cohort
        )
        found = store.query(
            "MATCH (s:Strain) WHERE s.predicted_run IS NOT NULL "
            "RETURN s.id AS id, s.predicted_run AS run, s.predicted_fitness AS f"
        )
        kept = store.query("MATCH (:Run)-[p:PREDICTED]->(:Strain) RETURN count(*) AS n")
        promoted = store.query("MATCH (d:Database) RETURN d.promoted_run AS id")
    assert found["id"].to_pylist() == [first_gene]
    assert found["run"].to_pylist() == [other.id]
    assert kept["n"].to_pylist() == [3]
    assert promoted["id"].to_pylist() == [other.id]


def _strains(folder, *names):
    file = folder / "strains.csv"
    file.write_text("\n".join(["strain", *names]) + "\n", "utf-8")
    return file


def test_a_run_of_another_gene_vocabulary_is_refused(trained, tmp_path):
    database = tmp_path / "other.db"
    database.write_bytes((trained / "yeast.db").read_bytes())
    with genograph.open_store(database) as store:
        store.write(genograph.Table.of("Gene", {"id": ["YZZ999W"]}))
    pairs = _strains(tmp_path, genes(trained)[0])
    words = ["predict", trained / "run", "--strains", pairs, "--write"]
    line = refused(*words, "--db", database)
    assert "other genes" in line
    with genograph.open_store(database, read_only=True) as store:
        assert store.counts()["PREDICTED"] == 0


def test_a_failed_write_back_leaves_nothing(trained, tmp_path, monkeypatch):
    from genograph import writeback

    cohort = genograph.load_cohort(trained / "cohort")
    opened = genograph.Run.open(trained / "run")
    found = genograph.predict(
        opened,
        genograph.read_strains(_strains(tmp_path, genes(trained)[0]), cohort),
        cohort=cohort,
    )
    database = tmp_path / "copy.db"
    database.write_bytes((trained / "yeast.db").read_bytes())

    def broken(store, run_id, names, first=None, last=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(writeback, "_put_on", broken)
    with genograph.open_store(database) as store:
        before = dict(store.counts())
        with pytest.raises(KeyboardInterrupt):
            genograph.write_predictions(store, opened, found, cohort)
        assert dict(store.counts()) == before


BAD_CSV = {
    "no such column": ("gene\nYAL001C\n", "a column named strain"),
    "unknown gene": ("strain\nNOSUCH1\nNOSUCH2\n", "line 2"),
    "no strain": ("strain\nYAL001C+\n", "line 2"),
    "twice": ("strain\nYAL001C+YAL001C\n", "line 2"),
    "empty": ("strain\n", "holds no strains"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_list_of_strains_is_refused_with_its_line(trained, tmp_path, case):
    text, words = BAD_CSV[case]
    file = tmp_path / "bad.csv"
    file.write_text(text, "utf-8")
    assert words in refused("predict", trained / "run", "--strains", file)


@pytest.mark.parametrize(
    "more", [(), ("--write",), ("--baseline",)], ids=lambda more: "".join(more)
)
def test_a_row_of_strains_that_cannot_be_read_is_refused_and_the_others_go_on(
    trained, tmp_path, more
):
    database = tmp_path / "copy.db"
    database.write_bytes((trained / "yeast.db").read_bytes())
    (gene, _) = genes(trained)
    wrong = [f"NOSUCH{n}" for n in range(22)]
    file = _strains(tmp_path, gene, *wrong, f"{gene}+", "WT")
    done = run("predict", trained / "run", "--strains", file, "--db", database, *more)
    said = [line for line in done.stderr.splitlines() if line.startswith("refused: ")]
    assert len(said) == 21
    assert said[0].startswith(f"refused: {file}, line 3, column strain: got NOSUCH0, wanted a gene")
    assert said[-1] == "refused: 3 more"
    assert gene in done.stdout or "2 predictions written" in done.stderr


@pytest.mark.parametrize(
    ("cypher", "words"),
    [
        ("MATCH (g:Gen) RETURN g.id", "Gen"),
        ("MATCH (g:Gene) RETURN g.colour", "colour"),
        ("MATCH (g:Gene) SET g.symbol = 'x' RETURN g.id", "SET"),
        ("CREATE (g:Gene {id: 'x'})", "CREATE"),
        ("MATCH (g:Gene) RETURN g.id; MATCH (g:Gene) RETURN g.id", ";"),
        ("MATCH (g:Gene RETURN g", "("),
    ],
)
def test_a_bad_query_is_refused_in_one_line(yeast, cypher, words):
    assert words in refused("query", cypher, "--db", yeast / "yeast.db")


def test_an_empty_cohort_says_which_flag_emptied_it(yeast):
    line = refused(
        "cohort", "--study", "simulated_sga", "--max-sd", "0.000001", "--db", yeast / "yeast.db"
    )
    assert "--max-sd" in line


def test_missing_things_are_refused_in_one_line(tmp_path, trained):
    assert "no such database" in refused("query", "RETURN 1 AS x", "--db", tmp_path / "none.db")
    assert "no such file" in refused("build", tmp_path / "none.toml", "--db", tmp_path / "a.db")
    assert "no loader" in refused("load", "nope", "x", "--db", tmp_path / "a.db")
    assert "no such file" in refused("load", "sgd_features", "none.tab", "--db", tmp_path / "a.db")
    assert "run.json" in refused("evaluate", tmp_path)
    assert "cohort" in refused("train", tmp_path, "-o", tmp_path / "r")
    assert "not empty" in refused("export", "-o", trained / "sources", "--db", trained / "yeast.db")


def test_a_database_in_use_is_refused(yeast, tmp_path):
    database = tmp_path / "copy.db"
    database.write_bytes((yeast / "yeast.db").read_bytes())
    with genograph.open_store(database):
        assert "in use" in refused("query", "RETURN 1 AS x", "--db", database, run=run_process)


def test_a_dead_server_and_an_address_with_a_password_are_refused():
    env = {"GENOGRAPH_NEO4J_USER": "neo4j", "GENOGRAPH_NEO4J_PASSWORD": "sesame-xyz"}
    line = refused("query", "RETURN 1 AS x", "--db", "bolt://127.0.0.1:9", env=env)
    assert "127.0.0.1:9" in line
    assert "sesame-xyz" not in line
    line = refused("query", "RETURN 1 AS x", "--db", "bolt://neo4j:sesame-xyz@127.0.0.1:9")
    assert "sesame-xyz" not in line


def test_a_changed_cohort_or_checkpoint_is_refused(trained, tmp_path):
    import shutil

    shutil.copytree(trained / "run", tmp_path / "run")
    weights = tmp_path / "run" / "member-0" / "model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    pairs = _strains(tmp_path, genes(trained)[0])
    assert "changed or damaged" in refused("predict", tmp_path / "run", "--strains", pairs)
    shutil.copytree(trained / "cohort", tmp_path / "cohort")
    labels = tmp_path / "cohort" / "labels.safetensors"
    raw = bytearray(labels.read_bytes())
    raw[-1] ^= 1
    labels.write_bytes(raw)
    line = refused("predict", trained / "run", "--strains", pairs, "--cohort", tmp_path / "cohort")
    assert "changed or damaged" in line


def test_usage_errors_exit_2():
    assert run_process("query", code=2).stderr
    assert run("train", "x", "-o", "y", "--engine", "warp", code=2).stderr
