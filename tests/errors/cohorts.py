"""Errors of cohorts, queries, heterographs and promoters: cause, cure, and what provokes them."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import small_yeast
from errors.case import Case, written
from model_cohort import cohort_of
from safetensors.numpy import load_file, save_file

from genograph.cli.cohort import build_query
from genograph.cli.load import load as load_command
from genograph.cohorts import (
    CohortQuery,
    Edges,
    Folds,
    Subgraph,
    load_cohort,
    read_genome,
    read_strains,
    save_cohort,
    select,
)
from genograph.cohorts.data import unpack
from genograph.cohorts.strains import make_strains
from genograph.cypher import fence, query_file
from genograph.database.embed import embed
from genograph.database.names import find
from genograph.demonstration import demo
from genograph.heterograph import import_dgl, load_dgl, measure_term_depth, save_dgl, to_pyg
from genograph.loaders._templates import template
from genograph.schema import parse_strain
from genograph.store import Store, open_store
from genograph.tables import Table

RELATIVE = "relative to wild type"
FULL = (28, "No space left on device")
WITHOUT_DOSE = {"from_id": ["YCL009C"], "to_id": ["YBL004C"], "kind": ["damp"], "allele": [""]}

Tables = dict[str, dict[str, list[object]]]

TWO_STUDIES: Tables = {
    "FROM_STUDY": {"from_id": ["costanzo2010:fitness:YAL002C"], "to_id": ["usaj2020"]}
}


def _in(
    run: Callable[[Store], object], more: Tables | None = None, *, empty: bool = False
) -> Callable[[Path], object]:
    """Run on the small yeast, or an empty database, with some more rows."""

    def provoke(folder: Path) -> object:
        with open_store(folder / "x.db") as store:
            if not empty:
                small_yeast.write(store)
            for name, rows in (more or {}).items():
                store.write(Table.of(name, rows))
            return run(store)

    return provoke


def _selected(more: Tables | None = None, **flags: object) -> Callable[[Path], object]:
    return _in(lambda store: select(store, CohortQuery.of(**flags)), more)


def _by(cypher: str, more: Tables | None = None) -> Callable[[Path], object]:
    return _in(lambda store: select(store, CohortQuery(cypher)), more)


def _within(**subgraph: object) -> Callable[[Path], object]:
    return _in(lambda store: select(store, subgraph=Subgraph(**subgraph)))


def _one(
    name: str, strain: str = "YAL001C", study: str | None = "costanzo2010", **columns: object
) -> Tables:
    """The tables of one more experiment."""
    columns = {"phenotype": "fitness", "unit": RELATIVE} | columns
    kept = {n: [value] for n, value in columns.items() if value is not None}
    found: Tables = {
        "Experiment": {"id": [name]} | kept,
        "TESTS": {"from_id": [name], "to_id": [strain]},
    }
    if study:
        found["FROM_STUDY"] = {"from_id": [name], "to_id": [study]}
    return found


def _untested(name: str) -> Tables:
    return {"Strain": {"id": [name], "n_perturbed": [1]}}


def _vector(identity: str, model: str, numbers: list[float]) -> Tables:
    columns = {"id": [identity], "model": [model], "dim": [len(numbers)], "vector": [numbers]}
    return {"Embedding": columns}


def _small():
    return cohort_of(n_gene=6, n_pair=3)


def _manifest(change: Callable[[dict], object]) -> Callable[[Path], object]:
    """Read a cohort of which the manifest was changed."""

    def provoke(folder: Path) -> object:
        path = save_cohort(_small(), folder / "cohort")
        manifest = json.loads((path / "manifest.json").read_text("utf-8"))
        written(path, json.dumps(change(manifest)), "manifest.json")
        return load_cohort(path)

    return provoke


def _outside(folder: Path) -> object:
    cohort = _small()
    moved = replace(cohort, gene_fold=cohort.gene_fold + np.int8(7))
    return load_cohort(save_cohort(moved, folder / "c"))


def _cut_arrays(folder: Path) -> object:
    path = save_cohort(_small(), folder / "cohort")
    file = path / "labels.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    return load_cohort(path)


def _no_room(folder: Path) -> object:
    with patch("genograph.cohorts.sorting.Sorting.put", side_effect=OSError(*FULL)):
        return _selected()(folder)


def _lacking_array(folder: Path) -> object:
    path = save_cohort(_small(), folder / "cohort")
    file = path / "genome.safetensors"
    arrays = load_file(file)
    del arrays["direct"]
    save_file(arrays, file)
    return load_cohort(path)


def _lacking_file(folder: Path) -> object:
    path = save_cohort(_small(), folder / "cohort")
    (path / "genome.safetensors").unlink()
    return load_cohort(path)


def _query(text: str | bytes) -> Callable[[Path], object]:
    return lambda folder: CohortQuery.read(written(folder, text, "query.cypher"))


def _strains(text: str | bytes) -> Callable[[Path], object]:
    return lambda folder: read_strains(written(folder, text, "strains.csv"), _small())


def _no_dgl(folder: Path) -> object:
    with patch.dict(sys.modules, {"dgl": None}):
        return import_dgl()


def _no_pyg(folder: Path) -> object:
    with patch.dict(sys.modules, {"torch_geometric": None, "torch_geometric.data": None}):
        return to_pyg(_small())


def _no_file(folder: Path) -> object:
    refused = import_dgl().DGLError("[12:00:00] dmlc-core: No space left on device\nStack trace:")
    with patch("dgl.save_graphs", side_effect=refused):
        return save_dgl(_small(), folder / "genome.dgl")


def _full_after_graph(folder: Path) -> object:
    with patch("genograph.heterograph.hashlib.file_digest", side_effect=OSError(*FULL)):
        return save_dgl(_small(), folder / "genome.dgl")


def _unreadable_graph(folder: Path) -> object:
    file = written(folder, "x", "genome.dgl")
    with patch.object(Path, "open", side_effect=OSError(5, "Input/output error")):
        return load_dgl(file)


def _no_graph(folder: Path) -> object:
    content = b"no graph" * 99
    digest = hashlib.sha256(content).hexdigest().encode()
    return load_dgl(written(folder, content + b"\ngenograph sha256 " + digest + b"\n", "x.dgl"))


def _circle(folder: Path) -> object:
    genome = _small().genome
    edges = Edges(np.array([0, 1]), np.array([1, 0]), np.ones(2, np.float32))
    return measure_term_depth(replace(genome, edges=genome.edges | {"term:is_a:term": edges}))


_SELECTION = (
    Case(
        "CohortError",
        "--phenotype .*: choose one of|--kind .*: choose one of",
        "A flag names a phenotype or kind of perturbation that the schema does not know.",
        "Choose one of the message.",
        lambda folder: CohortQuery.of(phenotype=["colour"]),
    ),
    Case(
        "CohortError",
        "--study .*: there is none in",
        "A flag names a study, term, gene, complex or environment that the database lacks.",
        "Mend the name, or load the source that has it.",
        _selected(study=["nobody1999"]),
    ),
    Case(
        "CohortError",
        "have that name; choose one of",
        "A flag names a term or complex by a name that several have.",
        "Give the id, one of those in the message.",
        "test_names.py::test_a_name_that_nothing_has_is_answered_by_what_is_close",
        site="genograph/cohorts/query.py:_one_id",
    ),
    Case(
        "SchemaError",
        "template .*: there is none; choose from",
        "A table to fill in was asked for of a kind that there is none of.",
        "Choose one of the message.",
        lambda folder: template("colour"),
    ),
    Case(
        "SchemaError",
        "kind .*: there is none; choose from",
        "find was asked for a kind of thing that has no names.",
        "Choose one of the message.",
        _in(lambda store: find(store, "x", kind=["colour"])),
    ),
    Case(
        "CohortError",
        "the cohort is empty: .* leaves none of|the cohort is empty: .* leaves nothing",
        "No experiment meets all conditions; the message names the one that left none.",
        "Loosen that condition.",
        _selected(min_perturbed=3),
    ),
    Case(
        "CohortError",
        "rows reach RETURN .*, which returns no id",
        "The end of the query, such as LIMIT 0, returns no row or only null.",
        "Mend the RETURN that is shown.",
        _by("MATCH (s:Strain) RETURN s.id AS strain ORDER BY strain LIMIT 0"),
    ),
    Case(
        "CohortError",
        "a cohort needs a column of ids named experiment or strain",
        "The query returns columns of other names.",
        "End it with RETURN e.id AS experiment, or s.id AS strain.",
        _by("MATCH (e:Experiment) RETURN e.id AS id"),
    ),
    Case(
        "CohortError",
        "the query's column .* holds .*; wanted ids",
        "The column experiment or strain holds numbers or nodes.",
        "Return the id, e.g. e.id AS experiment.",
        _by("MATCH (e:Experiment) RETURN e.value AS experiment"),
    ),
    Case(
        "CohortError",
        "values that name no experiment, first",
        "The column experiment holds ids of something else.",
        "Return e.id AS experiment, or name the column strain if it holds strains.",
        _by("MATCH (g:Gene) RETURN g.id AS experiment"),
    ),
    Case(
        "CohortError",
        "the query selects .*, none of which was measured",
        "The strains that the query returns have no experiment.",
        "Select other strains, or load their measurements.",
        _by("MATCH (s:Strain {id: 'YCL009C'}) RETURN s.id AS strain", _untested("YCL009C")),
    ),
    Case(
        "CohortError",
        "without exactly one strain and one study; load their source again",
        "A load was cut off, or the experiments were edited.",
        "Load the source of the experiments again.",
        _selected(_one("x1", study=None)),
    ),
    Case(
        "CohortError",
        "experiment .*first: .*without exactly one strain and one study",
        "The experiment of a single mutant, which is added to its pairs, has two studies.",
        "Load its source again, or export with --no-singles.",
        _selected(TWO_STUDIES, study=["costanzo2010"], min_perturbed=2),
    ),
    Case(
        "CohortError",
        "experiment .* has no .*; load it again",
        "An experiment lacks its phenotype or unit.",
        "Load its source again.",
        _selected(_one("x1", unit=None)),
    ),
    Case(
        "CohortError",
        "strain .* has a perturbation without",
        "A perturbation lacks its kind, allele or dose.",
        "Load the source of the strain again.",
        _selected(_untested("YCL009C") | {"PERTURBS": WITHOUT_DOSE} | _one("x1", "YCL009C")),
    ),
    Case(
        "CohortError",
        "strains, first .*, have no PERTURBS edge; load them again",
        "A strain other than the wild type perturbs no gene.",
        "Load the source of the strain again.",
        _selected(_untested("YCL009C") | _one("x1", "YCL009C")),
    ),
    Case(
        "CohortError",
        "experiments perturbs a gene outside the subgraph of",
        "The genes of the subgraph have none of the selected strains.",
        "Take more genes or hops, or select other experiments.",
        _in(
            lambda store: select(
                store, CohortQuery.of(gene=["GEN5"]), subgraph=Subgraph(genes=("GEN11",))
            )
        ),
    ),
    Case(
        "CohortError",
        "the cohort is empty: all .* experiments are of .*, and a cohort carries",
        "Only experiments of phenotypes that a cohort does not carry are selected.",
        "Select others too, or read these with `genograph query`.",
        _selected(_one("x1", phenotype="traits"), phenotype=["traits"]),
    ),
    Case(
        "CohortError",
        "the cohort pools .* units of .*; select one with --unit .*, or the studies of one unit",
        "The studies measured one phenotype in units that cannot be compared.",
        "Give --unit with the unit of each phenotype, or --study for the studies of one unit.",
        _selected(_one("x1", unit="robust z-score")),
    ),
    Case(
        "CohortError",
        "does not have exactly one axis",
        "An experiment that measured a vector does not say along which axis.",
        "Load its source again.",
        _selected(
            _one("x1", phenotype="morphology", unit="z-score", values=[1.0, 2.0]),
            phenotype=["morphology"],
        ),
    ),
    Case(
        "CohortError",
        "experiments of .* lie along the axis .*; load their source again",
        "The unit of the experiments is not that of their axis.",
        "Load their source again.",
        _selected({"Axis": {"id": ["kemmeren2014:expression"], "unit": ["robust z-score"]}}),
    ),
    Case(
        "CohortError",
        "experiment .* has .* values, its axis .* has .* names",
        "A vector is longer or shorter than its axis.",
        "Load its source again.",
        _selected({"Experiment": {"id": ["usaj2020:morphology:YAL001C"], "values": [[1.0]]}}),
    ),
    Case(
        "CohortError",
        "rows of the cohort cannot be put down: .*; make room there, or set TMPDIR",
        "The folder of temporary files is full, or cannot be written.",
        "Make room there, or set TMPDIR to a folder with more.",
        _no_room,
    ),
    Case(
        "CohortError",
        "wanted fractions >= 0 that leave some for training",
        "The fractions for test and validation are negative or come to 1 or more.",
        "Choose smaller ones.",
        lambda folder: Folds(test_genes=0.6, validation_genes=0.4),
    ),
    Case(
        "CohortError",
        "cannot be joined with a .cypher file",
        "Flags that select experiments were given beside a file.",
        "Write the conditions into the file's query.",
        lambda folder: build_query(folder / "q.cypher", (), {"study": ("costanzo2010",)}),
    ),
)

_GENOME = (
    Case(
        "CohortError",
        "holds no genes; load them first",
        "The database has no Gene.",
        "Load sgd_features first.",
        _in(read_genome, empty=True),
    ),
    Case(
        "CohortError",
        "holds several models: .*; name one",
        "The database has embeddings of more than one model.",
        "Name the model, or several.",
        _in(read_genome, _vector("YAL001C:upstream@other", "other", [1.0, 2.0])),
    ),
    Case(
        "CohortError",
        "holds no embeddings; make them",
        "The database has no embeddings of promoters.",
        "Run `genograph cre embed`, load embeddings, or export without them.",
        _in(read_genome, {"Gene": {"id": ["YAL001C"]}}, empty=True),
    ),
    Case(
        "CohortError",
        "no embeddings of model .*; there are",
        "The model that was named has no embeddings in the database.",
        "Choose one of the message, or load its embeddings.",
        _in(lambda store: read_genome(store, embedding="esm")),
    ),
    Case(
        "CohortError",
        "vectors of model .* have the lengths .*; a model has one",
        "Embeddings of different models or versions were loaded under one name.",
        "Load them again, each model under its own name.",
        _in(read_genome, _vector("YAL001C:upstream@kmer", "kmer", [1.0, 2.0])),
    ),
    Case(
        "CohortError",
        "no vector of model .* belongs to a gene's upstream or downstream window",
        "The vectors belong to windows that are not loaded.",
        "Load the windows (cre), then the vectors.",
        _in(
            lambda store: read_genome(store, embedding="other"),
            _vector("w@other", "other", [1.0]),
        ),
    ),
    Case(
        "CohortError",
        "of the genes are not in the database, first",
        "A gene of the subgraph is neither an id nor a symbol of the database.",
        "Mend the name.",
        _within(genes=("GEN77",)),
    ),
    Case(
        "CohortError",
        "term .* is not in the database",
        "A term of the subgraph is not loaded.",
        "Mend its id, or load the ontology that has it.",
        _within(terms=("GO:9",)),
    ),
    Case(
        "CohortError",
        "term .* has no genes under it",
        "No gene is annotated with the term or one below it.",
        "Choose another term, or load annotations.",
        _within(terms=("GO:6",)),
    ),
    Case(
        "CohortError",
        "wanted a number >= 0, with genes to begin from",
        "Hops are negative, or were given without genes.",
        "Give genes to begin from, and hops of 0 or more.",
        lambda folder: Subgraph(hops=1),
    ),
)

_FOLDER = (
    Case(
        "CohortError",
        "the cohort has no experiments of .*; it has",
        "The phenotype is unknown, or none of its experiments was selected.",
        "Choose one of the message.",
        lambda folder: _small().to_pandas("colour"),
    ),
    Case(
        "CohortError",
        "damaged cohort .*; export it again",
        "A file of the cohort was cut or is no JSON or safetensors.",
        "Copy it again, or export it again.",
        _cut_arrays,
    ),
    Case(
        "CohortError",
        "manifest.json: damaged cohort .*holds no record",
        "manifest.json was replaced by other JSON.",
        "Copy it again, or export it again.",
        _manifest(lambda manifest: []),
    ),
    Case(
        "CohortError",
        "manifest.json: damaged cohort .*genes is missing",
        "manifest.json lacks a part, or has one of another kind.",
        "Copy it again, or export it again.",
        _manifest(lambda manifest: {n: v for n, v in manifest.items() if n != "genes"}),
    ),
    Case(
        "CohortError",
        "damaged cohort, .* is missing; export it again",
        "An array file is missing from the folder.",
        "Copy it again, or export it again.",
        _lacking_file,
    ),
    Case(
        "CohortError",
        "damaged cohort .*KeyError",
        "An array file lacks an array.",
        "Copy it again, or export it again.",
        _lacking_array,
    ),
    Case(
        "CohortError",
        "does not match its hash, it was changed or damaged",
        "A name or an array was changed after the export.",
        "Export it again, or copy it again.",
        _manifest(lambda manifest: manifest | {"genes": manifest["genes"][::-1]}),
    ),
    Case(
        "CohortError",
        "damaged cohort: .* holds .* to .*, wanted",
        "The arrays do not fit each other, though the hash does: another program wrote them.",
        "Export it again.",
        _outside,
    ),
    Case(
        "CohortError",
        "bytes of strain ids, a cohort takes",
        "So many strains are selected that their ids pass 2 GB.",
        "Select less.",
        lambda folder: unpack(np.zeros(0, np.uint8), np.array([0, 2**31])),
    ),
)

_STRAINS = (
    Case(
        "SchemaError",
        "is not in the cohort's .* genes; export a cohort that has it",
        "A strain perturbs a gene that the cohort does not carry.",
        "Export a cohort whose genome has the gene, or leave the strain out.",
        lambda folder: make_strains([parse_strain("YBR999W")], _small()),
    ),
    Case(
        "SourceError",
        "wanted a column named strain",
        "The CSV of strains has no header with that name.",
        "Write strain into the first line.",
        _strains("name\nYAL001C\n"),
    ),
    Case(
        "SourceError",
        "column strain: got .*, wanted a strain",
        "A strain of the CSV is not spelled as strains are.",
        "Write YAL001C+YBL003C, YAL001C(damp) or WT.",
        _strains("strain\nYAL001C(\n"),
    ),
    Case(
        "SourceError",
        "column strain: got .*, wanted a gene of the cohort",
        "A strain of the CSV names a gene that the cohort does not carry.",
        "Mend the name, or export a cohort that has the gene.",
        _strains("strain\nYBR999W\n"),
    ),
    Case(
        "SourceError",
        "strains.csv: no such file",
        "The file of strains does not exist.",
        "Check the path.",
        lambda folder: read_strains(folder / "strains.csv", _small()),
    ),
    Case(
        "SourceError",
        "cannot be read as CSV",
        "The file of strains is not UTF-8 text, or may not be read.",
        "Save it as CSV in UTF-8.",
        _strains(b"strain\n\xff\xfe\n"),
    ),
    Case(
        "SourceError",
        "holds no strains",
        "The file of strains has nothing below its header.",
        "List strains, one a line.",
        _strains("strain\n"),
    ),
)

_CYPHER = (
    Case(
        "CohortError",
        ".cypher: cannot be read",
        "The file of the query does not exist, may not be read or is not UTF-8.",
        "Check the path, or save it as UTF-8.",
        lambda folder: CohortQuery.read(folder / "none.cypher"),
    ),
    Case(
        "CohortError",
        "wanted // :param NAME => JSON",
        "A line of a .cypher file declares a parameter in another form.",
        "Write `// :param low => 0.5`; texts stand in double quotes.",
        _query("// :param low = 1\nRETURN $low AS experiment"),
    ),
    Case(
        "CohortError",
        ".cypher: .* has no value; give",
        "The query of a file is refused; the message goes on with the reason.",
        "Mend the file as the rest of the message says.",
        _query("RETURN $high AS experiment"),
    ),
    Case(
        "CohortError",
        "the query returns nothing; end it with RETURN",
        "The query has no RETURN.",
        "Say what to return.",
        lambda folder: fence("MATCH (g:Gene)"),
    ),
    Case(
        "CohortError",
        "the library has no such query; it has",
        "A single word is taken for the name of a query of the library.",
        "Choose one of the message, or name a file that ends in .cypher.",
        lambda folder: query_file("nothing"),
    ),
    Case(
        "CohortError",
        "a unicode escape is refused|the character .* is refused; write the character itself",
        "The query has a control character or an escape by code point.",
        "Write the character itself, or hand it over in a parameter.",
        lambda folder: fence("RETURN '\\u0041' AS x"),
    ),
    Case(
        "CohortError",
        "the quote .* is never closed|the comment is never closed",
        "A quote or a comment is open.",
        "Close it.",
        lambda folder: fence("RETURN 'a AS x"),
    ),
    Case(
        "CohortError",
        "stands outside of quotes|a number runs into a word|is followed by a parameter's name",
        "The query has a character or number that Cypher does not have there.",
        "Quote it, or take it out.",
        lambda folder: fence("RETURN # AS x"),
    ),
    Case(
        "CohortError",
        "two statements; a query is one",
        "Something follows a semicolon.",
        "Give one statement at a time.",
        lambda folder: fence("RETURN 1 AS x; RETURN 2 AS x"),
    ),
    Case(
        "CohortError",
        "the escape .* is refused; the escapes are",
        "A text in the query has a backslash before another letter.",
        "Double the backslash.",
        lambda folder: fence("RETURN '\\d' AS x"),
    ),
)

_HETEROGRAPH = (
    Case(
        "CohortError",
        "dgl cannot be imported",
        "dgl is not installed, or does not load on this machine.",
        "Install dgl 2.1.0 under Python 3.11 or 3.12, or use an engine that does not need it.",
        _no_dgl,
    ),
    Case(
        "CohortError",
        "torch_geometric cannot be imported",
        "PyG is not installed.",
        "Install it: pip install 'genograph[pyg]'.",
        _no_pyg,
    ),
    Case(
        "CohortError",
        "genome.dgl: cannot be written",
        "DGL was refused the file by the disk.",
        "Make room, or choose another folder.",
        _no_file,
    ),
    Case(
        "CohortError",
        "genome.dgl: cannot be written: No space left on device",
        "The disk filled up while the heterograph was written.",
        "Make room and export again.",
        _full_after_graph,
    ),
    Case(
        "CohortError",
        "no such file; `genograph export` writes it",
        "The heterograph does not exist.",
        "Name genome.dgl of an exported folder.",
        lambda folder: load_dgl(folder / "genome.dgl"),
    ),
    Case(
        "CohortError",
        "genome.dgl: cannot be read",
        "The heterograph may not be read, or the disk fails.",
        "Check its permissions, or copy it again.",
        _unreadable_graph,
    ),
    Case(
        "CohortError",
        "does not end with the hash of a heterograph",
        "Another program wrote the file, or it was changed or cut.",
        "Copy it again, or export the cohort again.",
        lambda folder: load_dgl(written(folder, "x", "genome.dgl")),
    ),
    Case(
        "CohortError",
        "is no graph that dgl.save_graphs wrote",
        "The file has a right hash, and no graph of DGL before it.",
        "Export the cohort again.",
        _no_graph,
    ),
    Case(
        "CohortError",
        "is_a and part_of run in a circle among the terms",
        "The ontology has a term that stands above itself.",
        "Mend the ontology and load it again.",
        _circle,
    ),
)

_OTHERS = (
    Case(
        "SourceError",
        "got a second file, .*; load one file at a time",
        "Two files were given, or a value without its option.",
        "Load them one after the other, or give `genograph build` a list of sources.",
        lambda folder: load_command.main(["cyc2008", "a", "b"], standalone_mode=False),
    ),
    Case(
        "SourceError",
        "no provider is called .*; choose one of",
        "The provider's name is not known.",
        "Choose one of the message; load the vectors of other models with `embeddings`.",
        _in(lambda store: embed(store, "esm"), empty=True),
    ),
    Case(
        "SourceError",
        "model .*: wanted a name without @",
        "The name of the model is empty or has an @, which parts it from the window's id.",
        "Choose another name.",
        _in(lambda store: embed(store, "kmer", model="a@b"), empty=True),
    ),
    Case(
        "SourceError",
        "the database has no CRE; load cre first",
        "There are no windows to embed.",
        "Load them with `genograph load cre`.",
        _in(lambda store: embed(store, "kmer"), empty=True),
    ),
    Case(
        "SourceError",
        "provider kmer has dimensions .*; got",
        "The k-mer spectra do not come in this dimension.",
        "Choose one of the message.",
        _in(lambda store: embed(store, "kmer", dim=5)),
    ),
    Case(
        "SourceError",
        "provider random needs a dimension >= 1",
        "The dimension is 0 or negative.",
        "Choose a larger one.",
        _in(lambda store: embed(store, "random", dim=0)),
    ),
    Case(
        "SourceError",
        "CRE .* has no sequence of nucleotides; load it again",
        "A window was written without its sequence.",
        "Load the genome's windows again with the loader cre.",
        _in(lambda store: embed(store, "kmer")),
    ),
    Case(
        "RunError",
        "exists and is not empty; choose another folder .-o",
        "The folder for the demonstration holds something.",
        "Choose another.",
        lambda folder: (written(folder, "x"), demo(folder)),
    ),
)

CASES: tuple[Case, ...] = (
    *_SELECTION,
    *_GENOME,
    *_FOLDER,
    *_STRAINS,
    *_CYPHER,
    *_HETEROGRAPH,
    *_OTHERS,
)
