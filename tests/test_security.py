"""What SECURITY.md promises: queries read, data stays data, nothing unpickles, passwords stay."""

import ast
import csv
import io
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import attacks
import ladybug
import neo4j as driver
import numpy as np
import pyarrow as pa
import pytest
import small_yeast
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from genograph.cli import cli
from genograph.cli.output import FORMULA, escape_controls
from genograph.cohorts import CohortQuery, load_cohort, read_strains
from genograph.config import read_config
from genograph.cypher import fence, lint
from genograph.database.ingest import build, load
from genograph.database.query import query as ask
from genograph.errors import CohortError, GenographError, StoreError
from genograph.evaluation import load_evaluation
from genograph.evaluation.predictions import load_predictions, read_truth
from genograph.exporting import export
from genograph.heterograph import load_dgl
from genograph.run import Run
from genograph.store import open_store
from genograph.tables import Table
from genograph.training.checkpoint import read_tensors

ROOT = Path(__file__).parents[1]
GROUPS = {**attacks.WRITES, **attacks.OTHERS, **attacks.FENCE_ONLY}
CORPUS = [query for queries in GROUPS.values() for query in queries]


def one_line(error):
    """Whether an error is what a user should see."""
    text = str(error.value if hasattr(error, "value") else error)
    return "\n" not in text and 0 < len(text) < 2_000


# ---------------------------------------------------------------- the fence


def test_the_corpus_is_large_and_has_no_attack_twice():
    assert len(CORPUS) >= 250
    assert len(set(CORPUS)) == len(CORPUS)
    assert len(GROUPS) >= 20


@pytest.mark.parametrize("group", GROUPS)
def test_the_fence_refuses_every_attack(group):
    for query in GROUPS[group]:
        with pytest.raises(CohortError) as caught:
            fence(query)
        assert one_line(caught), query


def values_of(query):
    """Values for the parameters of an attack."""
    held = {"map": "x", "list": ["x"], "label": "Gene", "all": "Gene", "p": None}
    return {name: value for name, value in held.items() if f"${name}" in query}


# with the fence off, these leave files behind or only look: what the fence alone refuses
ONLY_LOOK = {
    *("files", "exports", "attach", "procedures", "transactions", "plans", "unicode"),
    *("unfinished", "functions"),
}


def test_behind_the_fence_the_engine_refuses_writes_and_nothing_changes(db, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere" / "here"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    with open_store(db) as store:
        small_yeast.write(store)
        before = store.counts()
        genes = store.query("MATCH (g:Gene) RETURN g.id AS id, g.symbol AS s ORDER BY id")
    ran, left = [], {}
    with open_store(db, read_only=True) as store:
        for group, queries in {**attacks.WRITES, **attacks.OTHERS}.items():
            for query in queries:
                try:
                    store.query(query, timeout=20.0, **values_of(query))
                    ran.append((group, query))
                except StoreError:
                    continue
            files = {f for f in (tmp_path / "elsewhere").rglob("*") if f.is_file()}
            left[group] = files - set().union(*left.values())
    assert [query for group, query in ran if group in attacks.WRITES] == []
    assert {group for group, _ in ran} <= ONLY_LOOK
    assert {group for group, files in left.items() if files} <= {"exports"}
    with open_store(db) as store:
        assert store.counts() == before
        again = store.query("MATCH (g:Gene) RETURN g.id AS id, g.symbol AS s ORDER BY id")
    assert again.to_pylist() == genes.to_pylist()


def test_the_command_line_leaves_no_file_and_no_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_store("yeast.db") as store:
        small_yeast.write(store)
    before = {f.name: f.stat().st_mtime_ns for f in tmp_path.iterdir() if f.suffix != ".lock"}
    for query in CORPUS[::7]:
        done = CliRunner().invoke(cli, ["query", "--db", "yeast.db", "--", query])
        assert isinstance(done.exception, GenographError | SystemExit), query
        assert done.stdout == ""
    after = {f.name: f.stat().st_mtime_ns for f in tmp_path.iterdir() if f.suffix != ".lock"}
    assert after == before


@pytest.mark.parametrize("name", ["store", "cypher", "timeout", "rows", "path", "self", "cls"])
def test_a_parameter_cannot_stand_in_for_an_argument(tmp_path, name):
    query = ["query", f"RETURN ${name} AS x", "-p", f"{name}=1", "--db", str(tmp_path / "y.db")]
    done = CliRunner().invoke(cli, query)
    assert done.exit_code == 2
    assert "the name is taken" in done.output


PIECES = st.sampled_from(
    ["MATCH", "(", ")", "[", "]", "{", "}", "RETURN", "g", ":", "Gene", "-", "->", "<-", "*", "..",
     "1", ".5", "'", '"', "`", "\\", "$p", "$", ";", "//", "/*", "*/", "\n", " ", "CREATE", "SET",
     "WHERE", "WITH", "AS", "ORDER BY", "LIMIT", "UNION", "EXISTS", "nodes(", "CASE", "END", "AND",
     "OPTIONAL MATCH", "UNWIND", "IN", ",", "|", "=", "<", "é", "\u200b", "\x00", "0..3", "COUNT"]
)  # fmt: skip


@settings(max_examples=300, deadline=1_000)
@given(st.one_of(st.lists(PIECES, max_size=40).map(" ".join), st.text(max_size=200)))
def test_fence_and_lint_answer_or_refuse_whatever_the_text(text):
    try:
        statement = fence(text)
    except CohortError:
        return
    for warned in lint(statement):
        assert warned.line >= 1
        assert warned.column >= 1


@settings(max_examples=200, deadline=1_000)
@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from(CORPUS))
def test_no_text_before_or_after_makes_a_write_pass(text, attack):
    try:
        passed = fence(f"{text} {attack}")
    except CohortError:
        return
    # the attack can only have become a comment, a string or a name
    bare = {t.key for t in passed.tokens if t.kind == "word"}
    words = {"CREATE", "MERGE", "DELETE", "DETACH", "FOREACH", "DROP", "CALL", "LOAD", "COPY"}
    named = {t.key for i, t in enumerate(passed.tokens) if i and passed.tokens[i - 1].text in ":."}
    assert not (bare - named) & words


# ---------------------------------------------------------------- identifiers and data

# the pieces that a Cypher text may be put together from: names of the schema, and literal clauses
SCHEMA_NAMES = {
    *("spec.name", "spec.from_label", "spec.to_label", "rel.name", "rel.from_label"),
    *("rel.to_label", "from_label", "to_label", "label", "name", "n", "type", "relation", "kind"),
    "_LISTED[flag]",
}
LITERAL_PARTS = {
    *("match", "where", "returned", "sets", "merge", "key", "own", "names", "weight", "listed"),
    *("cypher", "text", "_seeking(cypher)", "DELETED_AT_ONCE", "prefix", "pattern", "several"),
    *("pairs", "strays", "twice", "wrong", "bare", "quoted", "within", "rest", "empty"),
    *("_EXPERIMENT", "_PERTURBATION"),
    "' AND '.join(pieces[:n_piece])",
}
CYPHER = re.compile(r"\b(MATCH|MERGE|CREATE|COPY|LOAD|RETURN|EXPLAIN|UNWIND|SET|WHERE|CALL)\b")
SENDS = {
    *("query", "_run", "_change", "execute", "run", "_check", "execute_write", "_answer"),
    *("ask", "query_parts", "read_nodes", "_of_nodes", "erase", "carry"),
}


def sent_texts(tree):
    """Every f-string that is an argument of a call that sends Cypher."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if called in SENDS:
                for argument in node.args:
                    yield from (n for n in ast.walk(argument) if isinstance(n, ast.JoinedStr))


def test_no_query_is_put_together_from_data():
    seen = 0
    for file in sorted((ROOT / "genograph").rglob("*.py")):
        for text in sent_texts(ast.parse(file.read_text("utf-8"))):
            if not CYPHER.search(ast.unparse(text)):
                continue
            for part in text.values:
                if isinstance(part, ast.FormattedValue):
                    seen += 1
                    spelled = ast.unparse(part.value)
                    assert spelled in SCHEMA_NAMES | LITERAL_PARTS, f"{file.name}: {{{spelled}}}"
    assert seen > 10


HOSTILE = (
    "MARK'}) DETACH DELETE (n) //",
    'MARK"}) DETACH DELETE (n) //',
    "MARK`]-() SET x.y = 1",
    "MARK\\",
    "MARK\\u0027",
    "MARK$rows",
    "MARK/../../etc/passwd",
    "MARK\n\r\t\x1b[31m\x07",
    "MARK,;\"'",
    "MARK\u202e\u200b\u2028",
    "=MARK(1)",
    "MARK%s{0}",
)


def test_hostile_ids_are_stored_found_and_never_part_of_a_query(db, monkeypatch):
    sent = []

    def recorded(owner, method):
        plain = getattr(owner, method)

        def record(self, query, *args, **kwargs):
            sent.append(str(getattr(query, "text", query)))
            return plain(self, query, *args, **kwargs)

        monkeypatch.setattr(owner, method, record)

    recorded(ladybug.Connection, "execute")
    for owner in (driver.Session, driver.Transaction, driver.ManagedTransaction):
        recorded(owner, "run")
    ids = sorted(HOSTILE)
    with open_store(db) as store:
        for _ in range(2):
            store.write(Table.of("Gene", {"id": ids, "symbol": ids, "aliases": [[i] for i in ids]}))
            store.write(Table.of("Complex", {"id": ids, "name": ids}))
            store.write(Table.of("MEMBER_OF", {"from_id": ids, "to_id": ids}))
            store.write(
                Table.of(
                    "REGULATES",
                    {"from_id": ids, "to_id": ids[::-1], "source": ids, "sign": [1] * len(ids)},
                )
            )
        assert store.counts()["Gene"] == store.counts()["MEMBER_OF"] == len(ids)
        for name in ids:
            found = ask(
                store,
                "MATCH (g:Gene {id: $id})-[r:REGULATES]->(h:Gene) "
                "RETURN g.symbol AS symbol, r.source AS source, h.id AS other",
                id=name,
            )
            assert found["symbol"].to_pylist() == [name]
            assert found["source"].to_pylist() == [name]
    assert len(sent) > 20
    assert [text for text in sent if "MARK" in text] == []


def test_exported_csv_has_no_formula_and_loses_nothing(tmp_path):
    cells = [*HOSTILE, *(f"{sign}cmd|' /C calc'!A0" for sign in FORMULA)]
    path = str(tmp_path / "genes.db")
    with open_store(path) as store:
        store.write(Table.of("Gene", {"id": cells}))
    query = "MATCH (g:Gene) RETURN g.id AS `=1+1` ORDER BY g.id"
    done = CliRunner().invoke(cli, ["query", query, "--db", path, "--format", "csv"])
    assert done.exit_code == 0, done.output
    rows = list(csv.reader(io.StringIO(done.stdout_bytes.decode(), newline="")))
    assert rows[0] == ["'=1+1"]
    assert not [row for row in rows if row[0].startswith(FORMULA)]
    assert {row[0].removeprefix("'") for row in rows[1:]} == set(cells)
    plain = CliRunner().invoke(cli, ["query", query, "--db", path, "--format", "json"])
    assert {row["=1+1"] for row in json.loads(plain.stdout)} == set(cells)


def test_a_terminal_obeys_nothing_that_data_or_file_names_hold(tmp_path):
    assert escape_controls("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\n\\u202eb"
    path = str(tmp_path / "genes.db")
    with open_store(path) as store:
        store.write(Table.of("Gene", {"id": ["\x1b]0;title\x07", "YAL001C"]}))
    query = "MATCH (g:Gene) RETURN g.id AS id"
    done = CliRunner().invoke(cli, ["query", query, "--db", path, "--format", "table"])
    assert "\x1b" not in done.stdout
    assert "\\x1b]0;title\\x07" in done.stdout
    name = "no\x1b[2Jsuch\nfile.cypher"
    command = [sys.executable, "-m", "genograph", "cohort", name, "--db", path]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert said.stderr.startswith("error: no\\x1b[2Jsuch\\nfile.cypher")
    assert "\x1b" not in said.stderr
    assert said.stderr.count("\n") == 1


NAMES = ("a'b", 'a"b', "a b;c", "a\\b", "a\nb", "a`b$(touch x)", "=-rf", "ä\u202e%00b")


@pytest.mark.parametrize("name", NAMES)
def test_odd_file_names_are_only_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    source = tmp_path / name / f"{name}.tab"
    source.write_bytes((ROOT / "tests" / "data" / "sgd_features" / "input.tab").read_bytes())
    path = tmp_path / name / f"{name}.db"
    with open_store(path) as store:
        load(store, "sgd_features", source)
        held = store.query("MATCH (s:Source) RETURN s.file AS file")["file"].to_pylist()
        assert held == [source.name]
        small_yeast.write(store)
    with open_store(path, read_only=True) as store:
        folder = tmp_path / name / "cohort"
        made = export(store, folder, CohortQuery.of(phenotype=["fitness"]))
    assert load_cohort(folder).sha256 == made.sha256
    assert [f.name for f in tmp_path.iterdir()] == [name]


# ---------------------------------------------------------------- pickles


class Malice:
    """Makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return Path.touch, (Path(self.mark),)


def disguises(mark, folder):
    """The same malicious object as each kind of file that some reader would unpickle."""
    torch.save({"weights": Malice(mark)}, folder / "torch.pt")
    np.save(folder / "array.npy", np.array([Malice(mark)], dtype=object), allow_pickle=True)
    np.savez(folder / "arrays.npz", **{n: np.array([Malice(mark)], dtype=object) for n in ARRAYS})
    return {
        "pickle": pickle.dumps(Malice(mark)),
        "old pickle": pickle.dumps(Malice(mark), protocol=0),
        "torch": (folder / "torch.pt").read_bytes(),
        "npy": (folder / "array.npy").read_bytes(),
        "npz": (folder / "arrays.npz").read_bytes(),
    }


ARRAYS = ("ids", "vectors", "single_strain", "single_fitness", "pair_strain", "pair_fitness")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("security")
    with open_store(folder / "yeast.db") as store:
        small_yeast.write(store)
        made = export(store, folder / "cohort")
    return folder / "cohort", made


def readers(folder, made, place, store):
    """Every reader of a file that another machine or person may hand over, by what it reads."""

    def in_cohort(name):
        def read(raw):
            copy = place / "cohort"
            copy.mkdir(exist_ok=True)
            for file in folder.iterdir():
                (copy / file.name).write_bytes(file.read_bytes())
            (copy / name).write_bytes(raw)
            return load_dgl(copy / name) if name == "genome.dgl" else load_cohort(copy)

        return read

    def at(name, read):
        def reader(raw):
            path = place / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(raw)
            return read(path)

        return reader

    def loading(name):
        return lambda path: load(store, name, path)

    files = ("manifest.json", "genome.safetensors", "labels.safetensors", "genome.dgl")
    out = {f"cohort/{name}": in_cohort(name) for name in files}
    out |= {
        "run/run.json": at("run/run.json", lambda p: Run.open(p.parent)),
        "run/model.safetensors": at("model.safetensors", read_tensors),
        "run/evaluation.json": at("evaluation.json", load_evaluation),
        "run/predictions": at("predictions.safetensors", lambda p: load_predictions(p, made)),
        "truth.npz": at("truth.npz", lambda p: read_truth(p, made)),
        "embeddings": at("e.npz", loading("embeddings")),
        "expression": at("e.tsv", loading("expression_matrix")),
        "workbook": at("w.xlsx", loading("smf_baryshnikova2010")),
        "experiments": at("e.csv", loading("experiments_csv")),
        "obo": at("e.obo", loading("obo")),
        "query": at("q.cypher", CohortQuery.read),
        "settings": at("c.toml", lambda p: read_config(p)),
        "sources": at("s.toml", lambda p: build(store, p)),
        "strains": at("strains.csv", lambda p: read_strains(p, made)),
        "database": at("y.db", open_store),
    }
    return out


def test_no_reader_unpickles_a_malicious_file(cohort, tmp_path):
    folder, made = cohort
    mark = tmp_path / "unpickled"
    wrong = []
    with open_store(tmp_path / "yeast.db") as store:
        small_yeast.write(store)
        for disguise, raw in disguises(mark, tmp_path).items():
            place = tmp_path / disguise
            place.mkdir()
            for what, read in readers(folder, made, place, store).items():
                try:
                    read(raw)
                    wrong.append((what, disguise, "was read"))
                except GenographError as error:
                    if not one_line(error):
                        wrong.append((what, disguise, str(error)))
                assert not mark.exists(), (what, disguise)
    assert wrong == []
    # the files are what they claim to be
    pickle.loads(pickle.dumps(Malice(mark)))
    assert mark.exists()


UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def test_no_module_can_unpickle():
    loads = 0
    for file in [*(ROOT / "genograph").rglob("*.py"), *(ROOT / "loaders").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                assert not {n.split(".")[0] for n in names} & UNPICKLERS, file
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in ("torch.load", "pd.read_pickle", "pandas.read_pickle"), file
            assert not called.endswith("load_info"), file
            if called in ("np.load", "numpy.load"):
                loads += 1
                allowed = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert allowed.get("allow_pickle") == "False", f"{file}:{node.lineno}"
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle":
                    assert ast.unparse(keyword.value) == "False", f"{file}:{node.lineno}"
    assert loads


# ---------------------------------------------------------------- passwords

MARKED = "marked-pass-word-5f1c"

# what the process is told on its command line while it works, and every log record of the driver
PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from pathlib import Path
print("cmdline", Path("/proc/self/cmdline").read_bytes())
from genograph.store import open_store
with open_store(sys.argv[1]) as store:
    print(store, vars(store))
    store.query("MATCH (g:Gene) RETURN count(*) AS n")
    1 / 0
"""


def run(command, environment):
    """All that a command says."""
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_password_is_in_no_output_log_traceback_ledger_or_manifest(neo4j, neo4j_server, tmp_path):
    held = neo4j_server.password
    genograph = [sys.executable, "-m", "genograph"]
    file = str(ROOT / "tests" / "data" / "sgd_features" / "input.tab")
    said = []
    code, text = run([*genograph, "load", "sgd_features", file, "--db", neo4j], {})
    assert code == 0, text
    said.append(text)
    for query in ("MATCH (g:Gene) RETURN g.id AS id", "MATCH (n:Nope) RETURN n.id"):
        code, text = run([*genograph, "query", query, "--db", neo4j], {})
        said.append(text)
    code, text = run([sys.executable, "-c", PROGRAM, neo4j], {})
    assert code == 1
    assert "ZeroDivisionError" in text
    assert "LOGON" in text or "HELLO" in text
    said.append(text)
    with open_store(neo4j) as store:
        small_yeast.write(store)
        export(store, tmp_path / "cohort", CohortQuery.of(phenotype=["fitness"]))
        ledger = store.query("MATCH (s:Source) RETURN s")
        said.append(json.dumps(ledger.to_pylist(), default=str))
    said += [f.read_text("utf-8") for f in (tmp_path / "cohort").glob("*.json")]
    assert neo4j in said[-1]
    assert [text for text in said if held in text] == []


def test_a_wrong_password_is_not_repeated(neo4j, tmp_path, monkeypatch):
    query = [sys.executable, "-m", "genograph", "query", "RETURN 1 AS x", "--db"]
    wrong = {"GENOGRAPH_NEO4J_USER": "neo4j", "GENOGRAPH_NEO4J_PASSWORD": MARKED}
    code, text = run([*query, neo4j], wrong)
    assert code == 1
    assert "wrong user or password" in text
    assert MARKED not in text
    file = tmp_path / "auth"
    file.write_text(f"neo4j:{MARKED}\n", "utf-8")
    file.chmod(0o600)
    told = {"GENOGRAPH_NEO4J_AUTH_FILE": str(file)}
    for name in ("GENOGRAPH_NEO4J_USER", "GENOGRAPH_NEO4J_PASSWORD"):
        monkeypatch.delenv(name)
    code, text = run([*query, neo4j], told)
    assert code == 1
    assert MARKED not in text
    # an address that holds one is refused before it is used, and not repeated
    for address in (
        f"neo4j://neo4j:{MARKED}@127.0.0.1:7687",
        f"bolt://127.0.0.1:{MARKED}",
        f"neo4j://127.0.0.1/?password={MARKED}",
    ):
        code, text = run([*query, address], {})
        assert code == 1
        assert MARKED not in text


def test_a_function_that_ends_the_process_takes_matched_variables_only(tmp_path):
    with open_store(tmp_path / "yeast.db") as store:
        small_yeast.write(store)
        for query in (
            "MATCH p = (a:Gene {id: 'YCL004C'})-[:INTERACTS_WITH]-(b:Gene) RETURN nodes(p) AS x",
            "MATCH (a:Gene {id: 'YCL004C'}) OPTIONAL MATCH p = (a)-[:INTERACTS_WITH]-(b:Gene) "
            "RETURN nodes(p) AS x, relationships(p) AS y, length(p) AS n",
            "MATCH (a:Gene {id: 'YCL004C'}) OPTIONAL MATCH (a)-[:INTERACTS_WITH]-(b:Gene) "
            "WITH b RETURN properties(b) AS x, id(b) AS y, labels(b) AS z",
        ):
            assert isinstance(ask(store, query), pa.Table)
