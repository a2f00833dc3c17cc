"""Errors with cause and cure, each provoked for real; docs/errors.md is generated from here.

`python -m errors.page` in tests/ writes the page; a test checks that it is fresh and that every
error comes with the message that the page promises.
"""

import gzip
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from errors import cohorts, database, runs, sources
from errors.case import Case, written
from fuzz.readers import DATA, Reader, fixtures, readers
from model_cohort import cohort_of

from genograph import loaders
from genograph.cohorts import load_cohort, save_cohort
from genograph.config import read_config
from genograph.cypher import check_parameters, fence
from genograph.database import dump, ingest
from genograph.errors import GenographError
from genograph.evaluation.predictions import load_predictions
from genograph.reporting.pictures import read_metrics
from genograph.run import FORMAT, Run
from genograph.schema import Perturbation, parse_strain
from genograph.store import open_store

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
KINDS = {
    "SourceError": "A source file: missing, truncated, malformed, out of range.",
    "SchemaError": "Data that does not fit the graph schema.",
    "StoreError": "The database or a dump of it.",
    "CohortError": "A selection of experiments, or the folder that holds one.",
    "RunError": "A training run, its files, or its configuration.",
}


def _rows(content: bytes) -> Callable[[Path], object]:
    return lambda folder: list(loaders.rows(written(folder, content), columns=(3,)))


def _cypher(text: str, **parameters: object) -> Callable[[Path], object]:
    return lambda folder: check_parameters(fence(text), parameters)


def _empty_database(folder: Path) -> object:
    with open_store(str(folder / "empty.db")) as store:
        return ingest.load(store, "cyc2008", next((DATA / "cyc2008").glob("input.*")))


def _wrong_property(folder: Path) -> object:
    with open_store(str(folder / "empty.db")) as store:
        return store.query("MATCH (g:Gene) RETURN g.colour AS colour")


def _small():
    return cohort_of(n_gene=6, n_pair=3)


def _changed_cohort(folder: Path) -> object:
    path = save_cohort(_small(), folder / "cohort")
    text = (path / "manifest.json").read_text("utf-8")
    (path / "manifest.json").write_text(
        text.replace("process", "PROCESS").replace("1", "2"), "utf-8"
    )
    return load_cohort(path)


def _no_weights(folder: Path) -> object:
    written(folder, runs.run_files()["run.json"], "run.json")
    return Run.open(folder).checkpoint(0)


_GENERAL = (
    Case(
        "SourceError",
        "no such file",
        "The path does not exist.",
        "Check the path; a relative one begins at the working folder, in a list "
        "of sources at the list.",
        lambda folder: list(loaders.rows(folder / "x.txt")),
    ),
    Case(
        "SourceError",
        "is a folder; wanted a file",
        "The path is a folder.",
        "Name the file in it.",
        lambda folder: list(loaders.rows(folder)),
    ),
    Case(
        "SourceError",
        "truncated or damaged gzip",
        "The download broke off, or the file was changed.",
        "Fetch it again.",
        _rows(gzip.compress(b"a\tb\tc\n" * 99)[:-9]),
    ),
    Case(
        "SourceError",
        "got a line of over 16 MB, wanted lines of at most 16 MB",
        "The file is no text table, or its lines are not ended.",
        "Fold the lines, or check that it is the right file.",
        _rows(b"x" * (17 << 20)),
    ),
    Case(
        "SourceError",
        "unpacks to .* over 200 times as much",
        "A small packed file that unpacks without end (a decompression bomb), or "
        "one value repeated over and over.",
        "If it is what it should be, unpack it yourself and load that.",
        _rows(gzip.compress((b"a\tb\tc" + b" " * 99999 + b"\n") * 800)),
    ),
    Case(
        "SourceError",
        "wanted UTF-8 text",
        "The file is in another encoding (often UTF-16 from a spreadsheet).",
        "Save it as UTF-8; `iconv -f UTF-16 -t UTF-8`.",
        _rows(b"\xff\xfea\tb\tc\n"),
    ),
    Case(
        "SourceError",
        "line 2: got 2 columns, wanted 3",
        "A row has another number of columns than the format.",
        "Mend the line that is named; look for lost or additional separators.",
        _rows(b"a\tb\tc\na\tb\n"),
    ),
    Case(
        "SourceError",
        "got no rows, wanted at least one",
        "The file is empty or has nothing but comments.",
        "Fetch it again.",
        _rows(b"\n\n"),
    ),
    Case(
        "SourceError",
        "no loader is called .*; choose one of",
        "The loader's name is not known.",
        "Choose one of the names in the message; docs/sources.md describes them.",
        lambda folder: loaders.loader("excel"),
    ),
    Case(
        "SourceError",
        "has no option .*; its options:",
        "The loader has no such option.",
        "Choose one of the options in the message.",
        lambda folder: loaders.loader("gff3")[0].settings({"x": 1}),
    ),
    Case(
        "SourceError",
        "needs the option",
        "An option without a default was not given.",
        "Give it.",
        lambda folder: loaders.loader("embeddings")[0].settings({}),
    ),
    Case(
        "SourceError",
        "needs Gene in the database; load .* first",
        "What the file refers to is not loaded.",
        "Load one of the named loaders' files first; a list of sources is put in order by itself.",
        _empty_database,
    ),
    Case(
        "SourceError",
        "not valid TOML",
        "The list of sources cannot be parsed.",
        "Mend the line that is named.",
        lambda folder: ingest.read_sources(written(folder, "[[source]\n")),
    ),
    Case(
        "SourceError",
        "lists no",
        "The list of sources is empty.",
        "List a [[source]].",
        lambda folder: ingest.read_sources(written(folder, "")),
    ),
    Case(
        "SchemaError",
        "strain|perturbation",
        "A strain is not spelled GENE+GENE or GENE(kind:allele).",
        "Write YAL001C+YBL003C, YAL001C(damp), YAL001C(ts:tsq1) or WT.",
        lambda folder: parse_strain("YAL001C("),
    ),
    Case(
        "SchemaError",
        "a strain id cannot spell the gene",
        "A gene's id has a blank, + or @, or ends with a bracket, so a strain id could not be read "
        "back.",
        "Give the gene another id.",
        lambda folder: Perturbation.of("tA(UGC)"),
    ),
    Case(
        "SchemaError",
        "a strain id cannot spell the allele",
        "An allele's name has a bracket, + or @.",
        "Give the allele another name.",
        lambda folder: Perturbation.of("YAL001C", "ts", "a+b"),
    ),
    Case(
        "StoreError",
        "colour",
        "A query names a label or property that the schema does not have.",
        "docs/data-model.md lists what there is.",
        _wrong_property,
    ),
    Case(
        "StoreError",
        "no dump is here",
        "The folder is not a dump of a database.",
        "Name a folder that `genograph db dump` wrote.",
        lambda folder: dump.open_dump(folder),
    ),
    Case("CohortError", "the query is empty", "No query was given.", "Give one.", _cypher(" ")),
    Case(
        "CohortError",
        "a query only reads",
        "User Cypher may select, never change.",
        "Leave the clause out; write with `genograph load`.",
        _cypher("MATCH (g:Gene) SET g.id = 'x' RETURN g"),
    ),
    Case(
        "CohortError",
        "cannot begin a query; the clauses are",
        "The statement does not begin with a reading clause.",
        "Begin with MATCH, OPTIONAL MATCH, WITH, UNWIND or RETURN.",
        _cypher("WHERE true RETURN 1 AS x"),
    ),
    Case(
        "CohortError",
        "is not for queries",
        "Procedures, LOAD CSV, transactions and settings are not let through.",
        "Use the clauses in the message.",
        _cypher("MATCH (g) CALL db.labels() RETURN g"),
    ),
    Case(
        "CohortError",
        "is not a function for queries",
        "The function is not on the portable list.",
        "docs/cohorts.md lists the functions.",
        _cypher("RETURN system('x') AS x"),
    ),
    Case(
        "CohortError",
        "a value may grow to more than 100,000,000 characters or elements here; join fewer values",
        "Clause by clause a text or a list is joined with itself, until it would end a server.",
        "Join fewer values; each WITH counts how many values it makes one of.",
        _cypher(f"WITH 'a' AS s {'WITH s + s AS s ' * 40} RETURN s"),
    ),
    Case(
        "CohortError",
        "range: has .* numbers, wanted 1,000,000 at most",
        "A list of so many numbers takes the memory of a server, or of this process.",
        "Count in smaller parts.",
        _cypher("RETURN size(range(1, 2000000000)) AS n"),
    ),
    Case(
        "CohortError",
        "range: counts between numbers, \\$parameters and size\\(...\\) only",
        "The ends of the range are computed, so that its length cannot be told.",
        "Give the ends as numbers or parameters.",
        _cypher("WITH 9 AS n RETURN range(1, n) AS r"),
    ),
    Case(
        "CohortError",
        "replace: puts in a quoted text or a \\$parameter only",
        "What is put in is computed, so that the length of the text cannot be told.",
        "Put in a quoted text or a $parameter.",
        _cypher("WITH 'a' AS s RETURN replace(s, 'a', s) AS s"),
    ),
    Case(
        "CohortError",
        "a list comprehension puts only .* and short texts into its list; UNWIND the list",
        "Elements that hold another list or text could make the list larger than any memory.",
        "UNWIND the list and collect what is wanted of it.",
        _cypher("WITH [1] AS xs RETURN [x IN xs | xs] AS n"),
    ),
    Case(
        "CohortError",
        "has no value; give",
        "A $parameter was not given.",
        "Give it with --param.",
        _cypher("MATCH (g:Gene {id: $gene}) RETURN g.id AS id"),
    ),
    Case(
        "CohortError",
        "does not use the parameter",
        "A parameter was given that the query has not.",
        "Leave it out, or mend its name.",
        _cypher("MATCH (g:Gene) RETURN g.id AS id", gene="x"),
    ),
    Case(
        "CohortError",
        "is never closed",
        "A bracket is open.",
        "Close it.",
        _cypher("MATCH (g:Gene RETURN g.id AS id"),
    ),
    Case(
        "CohortError",
        "wanted 20,000 at most; use parameters",
        "The query is too long, often by a list of names in it.",
        "Hand the list over as a parameter.",
        _cypher("RETURN 1 AS x" + " " * 20_000),
    ),
    Case(
        "CohortError",
        "no cohort is here",
        "The folder was not written by `genograph export`.",
        "Name the exported folder.",
        load_cohort,
    ),
    Case(
        "CohortError",
        "does not match its hash|damaged cohort|cohort format",
        "A file of the cohort was changed, cut or swapped after the export.",
        "Export it again, or copy it again.",
        _changed_cohort,
    ),
    Case(
        "CohortError",
        "exists and is not empty",
        "The folder for the export holds something.",
        "Choose another, or --force over a cohort.",
        lambda folder: (written(folder, "x"), save_cohort(_small(), folder)),
    ),
    Case(
        "CohortError",
        "no split is called",
        "The split's name is not known.",
        "Choose one of the message.",
        lambda folder: _small().test_strains("x"),
    ),
    Case(
        "RunError",
        "no run is here, run.json is missing; name a folder that genograph train wrote",
        "The folder was not written by `genograph train`.",
        "Name the run's folder.",
        Run.open,
    ),
    Case(
        "RunError",
        "damaged run",
        "run.json was changed or cut.",
        "Copy the run again, or train again.",
        lambda folder: (
            written(folder, f'{{"format": {FORMAT}}}', "run.json"),
            Run.open(folder),
        ),
    ),
    Case(
        "RunError",
        "this genograph reads .*; train again",
        "The run was written by another version of genograph.",
        "Use that version, or train again.",
        lambda folder: (written(folder, "{}", "run.json"), Run.open(folder)),
    ),
    Case(
        "RunError",
        "no such checkpoint",
        "The training did not come to its end.",
        "Run the same command again; it resumes. Where it says that all is done, train into a "
        "new folder.",
        _no_weights,
    ),
    Case(
        "RunError",
        "the run has not been evaluated",
        "evaluation or predictions are missing.",
        "Run `genograph evaluate`.",
        lambda folder: load_predictions(folder / "predictions.safetensors", _small()),
    ),
    Case(
        "RunError",
        "damaged metrics",
        "metrics.csv was edited.",
        "Delete the line, or train again.",
        lambda folder: read_metrics(written(folder, "epoch,loss\n1,much\n", "metrics.csv")),
    ),
    Case(
        "RunError",
        "no setting is called .*; choose from",
        "A configuration has an unknown key.",
        "Choose one of the message.",
        lambda folder: read_config(written(folder, "[training]\nlearning = 1\n")),
    ),
    Case(
        "RunError",
        "setting .*: got",
        "A setting is out of its range or of another kind.",
        "The message has the range.",
        lambda folder: read_config(written(folder, "[training]\nmembers = -1\n")),
    ),
    Case(
        "RunError",
        "cannot be read as TOML",
        "The configuration cannot be parsed.",
        "Mend the line that is named.",
        lambda folder: read_config(written(folder, "[training]\nmembers = \n")),
    ),
)

CASES = (
    *_GENERAL,
    *sources.CASES,
    *database.CASES,
    *cohorts.CASES,
    *runs.CASES,
)


def refused(reader: Reader, name: str) -> Iterator[tuple[str, str]]:
    """What is wrong with each bad fixture of a loader, in words, and the message it gives."""
    files = sorted((DATA / name).glob("bad_*"))
    for file, content in zip(files, fixtures(name)[1:], strict=True):
        words = re.sub(r"_line\d+$", "", file.stem).removeprefix("bad_").replace("_", " ")
        try:
            reader.read(content)
        except GenographError as error:
            said = re.sub(r"\S*/(?=[^/\s]+$|[^/\s]+[,:])", "", str(error))
            yield words, said


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def page(every: list[Reader]) -> str:
    """The page docs/errors.md."""
    lines = [
        "# Errors",
        "",
        "Every error that genograph raises on purpose is one printable line: where (file, line,",
        "column), what it got, what it wanted, what to do. On the command line it goes to stderr",
        "and the command exits with 1; anything else, above all a traceback, is a"
        " defect of genograph.",
        "A file that is refused has written nothing. This page is generated from the tests, which",
        "provoke every error on it (`python -m errors.page` in tests/).",
        "",
    ]
    for kind, words in KINDS.items():
        lines += [f"## {kind}", "", words, "", "| message | cause | cure |", "|---|---|---|"]
        for case in CASES:
            if case.kind == kind:
                message = case.message.replace(".*", "…").replace("|", " *or* ")
                lines.append(f"| {_cell(message)} | {_cell(case.cause)} | {_cell(case.cure)} |")
        lines.append("")
    lines += [
        "## Source files, format by format",
        "",
        "What the loaders say of the bad files that they are tested with. The cure stands after",
        "“wanted”: mend the line, or fetch the file again.",
        "",
    ]
    by_name = {reader.name: reader for reader in every}
    for name in loaders.names():
        lines += [f"### {name}", "", "| what is wrong | message |", "|---|---|"]
        lines += [f"| {w} | {_cell(said)} |" for w, said in refused(by_name[name], name)]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="genograph-") as place:
        PAGE.write_text(page(readers(Path(place))), "utf-8")
