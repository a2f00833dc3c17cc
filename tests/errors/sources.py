"""Errors of source files and their loaders: cause, cure, and what provokes them."""

import atexit
import functools
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from errors.case import Case, written
from fuzz.readers import DATA, case_of, zipped
from safetensors.numpy import save_file

from genograph import loaders
from genograph.database.ingest import load, read_gene_names
from genograph.measurements import RELATIVE
from genograph.store import open_store

Content = bytes | str | Callable[[Path], object]


@functools.cache
def _database() -> tuple[loaders.GeneNames, Callable[..., pa.Table]]:
    """The names of the genes of a small database, and its answers; it lasts as long as Python."""
    folder = tempfile.mkdtemp(prefix="genograph-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    db = f"{folder}/needs.db"
    with open_store(db) as store:
        for giver in ("sgd_features", "smf_baryshnikova2010"):
            load(store, giver, next((DATA / giver).glob("input.*")))
        names = read_gene_names(store)

    def query(cypher: str, **parameters: object) -> pa.Table:
        with open_store(db, read_only=True) as store:
            return store.query(cypher, **parameters)

    return names, query


def _proteomes(matrix: str, samples: str) -> Callable[[Path], object]:
    """A table of proteins is read with its table of samples."""

    def provoke(folder: Path) -> object:
        described = str(written(folder, samples, "samples.csv"))
        given = {"preset": "messner2023", "samples": described, "study": "", "unit": ""}
        return _reads("phenotypes_matrix", matrix, columns="traits", **given)(folder)

    return provoke


def _reads(name: str, content: Content, **options: loaders.Option) -> Callable[[Path], object]:
    """A loader reads a file: its content, or what writes it; options beside the fixture's."""

    def provoke(folder: Path) -> object:
        spec, read = loaders.loader(name)
        settings = spec.settings(case_of(name).get("options", {}) | options)
        path = folder / "table.txt"
        if callable(content):
            content(path)
        else:
            written(folder, content)
        return list(read(path, loaders.Reading(*_database()), **settings))

    return provoke


def _h5ad(change: Callable, **options: loaders.Option) -> Callable[[Path], object]:
    """The fixture of anndata with a change, which gets the open file."""

    def write(path: Path) -> None:
        import h5py

        shutil.copy(DATA / "anndata" / "input.h5ad", path)
        with h5py.File(path, "r+") as file:
            change(file)

    return _reads("anndata", write, **options)


def _other_shape(file) -> None:
    del file["X"]
    file["X"] = np.zeros((3, 5))


def _other_genes(file) -> None:
    file["var/_index"][:] = [f"YXX00{i}W" for i in range(5)]


def _other_batch(file) -> None:
    file["obs/batch/categories"][:] = ["a", "b\n"]


def _without_anndata(folder: Path) -> object:
    with mock.patch.dict(sys.modules, {"anndata": None}):
        return _reads("anndata", "")(folder)


def _npz(**arrays: object) -> Content:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **arrays)

    return write


def _safetensors(*names: str) -> Content:
    return lambda path: save_file(dict.fromkeys(names, np.ones((2, 3), np.float32)), path)


def _parquet(vectors: list, id: str = "id") -> Content:
    table = pa.table({id: [f"w{i}" for i in range(len(vectors))], "vector": vectors})
    return lambda path: pq.write_table(table, path)


def _workbook(*rows: tuple) -> Content:
    def write(path: Path) -> None:
        import openpyxl

        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(path)

    return write


def _deleteome(name: str, gene: str = "YAL001W", n: int = 3, cut: int | None = None) -> str:
    """One comparison: n columns, of which the second line has as many but for a cut."""
    header = ["reporterId", "systematicName", "geneSymbol"] + [name] * n
    kinds = ["dataType"] * 3 + ["M", "A", "p_value"][:n]
    row = ["1", gene, ""] + ["0"] * n
    return "".join("\t".join(x) + "\n" for x in (header, kinds[:cut], row))


_FEATURE = "S1\tORF\tVerified\tYAL001W\tAAA1\t\t\t\t1\t101\t160\tW\t\t\t\t\n"
_TERM = "[Term]\nid: GO:0000001\n"

_ROWS = (
    (
        "option .* is .*, wanted .*",
        "The value of an option is of another kind.",
        "Give a whole number for int, a number for float, true or false for bool.",
        lambda folder: loaders.loader("string_links")[0].settings({"min_score": "many"}),
    ),
    (
        "cannot be read: .*",
        "The path leads through a file, or the system does not let it be read.",
        "Check the path and who may read the file.",
        lambda folder: list(loaders.rows(written(folder, "") / "x.txt")),
    ),
    # anndata
    (
        "loader anndata: option by is .*, wanted group or cell",
        "The option by has another value.",
        "Give by=group or by=cell.",
        _reads("anndata", "", by="gene"),
    ),
    (
        "needs the package .*; pip install .*",
        "h5ad files need a package that is not installed.",
        "Install it as the message says.",
        _without_anndata,
    ),
    (
        "no such file",
        "The path of the h5ad file does not exist.",
        "Check the path.",
        _reads("anndata", lambda path: None),
    ),
    (
        "the matrix is .*, obs and var say .*; write it again",
        "The matrix has another number of cells or genes than the tables of them.",
        "Write the file again with anndata.",
        _h5ad(_other_shape, layer=""),
    ),
    (
        "has no X; name a layer by the option layer",
        "The h5ad file has layers only, and the option layer names none.",
        "Give the option layer.",
        _h5ad(lambda file: file.pop("X"), layer=""),
    ),
    (
        "option .*=.* is no column; there are .*",
        "The option strains, genes or batch names a column that the h5ad file lacks.",
        "Choose one of the columns in the message.",
        _h5ad(bool, strains="clone"),
    ),
    (
        "no cell has .* = .*, the control; there are .*",
        "The h5ad file calls its control cells otherwise than the option control.",
        "Give the option control as the file spells it.",
        _h5ad(bool, control="BY4741"),
    ),
    (
        "no strain of loaded genes but the control; wanted at least one",
        "Every strain of the h5ad file has unknown genes, or fewer cells than min_cells.",
        "Check the option strains, load the genes, or lower min_cells.",
        _h5ad(bool, min_cells=1000),
    ),
    (
        "no column is a loaded gene; wanted at least one .*option genes",
        "The names of the h5ad file's genes are those of no loaded gene.",
        "Name the column of var that has them by the option genes.",
        _h5ad(_other_genes),
    ),
    (
        "column .*: got .*, wanted a name without control characters",
        "The name of a batch has a line break or another control character.",
        "Rename the batch and write the file again.",
        _h5ad(_other_batch, batch="batch"),
    ),
    # biogrid
    (
        "option type is .*, wanted physical, genetic or both",
        "The loader of BioGRID was asked for another type of interaction.",
        "Choose one of the message.",
        _reads("biogrid", "", type="chemical"),
    ),
    (
        "option replicates is .*, wanted keep or pool",
        "One's own table cannot be loaded with its replicates so.",
        "Choose one of the message.",
        _reads("experiments_csv", "", replicates="mean"),
    ),
    # experiments_csv
    (
        "lines cannot be used: .*the option unknown=reject leaves them out",
        "Several lines of one's own table have faults; the message has the first 20.",
        "Mend them, or leave them out with unknown=reject.",
        _reads("experiments_csv", "strain,value\nAAA1,x\nAAA1,y\n", unknown="refuse"),
    ),
    (
        "got a workbook of old .*wanted xlsx or CSV",
        "The table is an Excel file of the format xls.",
        "Save it as xlsx, or as CSV UTF-8.",
        _reads("experiments_csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ),
    (
        "wanted UTF-16 text",
        "The text begins as UTF-16 does, and does not go on like it.",
        "Save the table as CSV UTF-8.",
        _reads("experiments_csv", b"\xff\xfea\x00\xd8\xd8"),
    ),
    (
        "did you mean value",
        "A column of one's own table has a name that is close to one that is read.",
        "Rename the column as the message says, or give it another name.",
        _reads("experiments_csv", "strain,vlaue\nAAA1,1\n"),
    ),
    (
        "wanted a name of its own for every column",
        "Two columns of one's own table have one name, or one has none.",
        "Name every column once.",
        _reads("experiments_csv", "strain,value,,b\nAAA1,1,2,3\n"),
    ),
    (
        "wanted a name without = and control characters",
        "The name of a column that is kept as an attribute has an =.",
        "Rename the column.",
        _reads("experiments_csv", "strain,value,a=b\nAAA1,1,2\n"),
    ),
    (
        "wanted a decimal point, as in line",
        "One's own table has decimal points and decimal commas.",
        "Use one of them in all lines.",
        _reads("experiments_csv", "strain;value\nAAA1;0.9\nAAA1;0,8\n", unknown="refuse"),
    ),
    (
        "wanted a loaded gene; did you mean",
        "The gene is not loaded, and another has a name that is spelled almost like it.",
        "Mend the name, or leave such lines out with unknown=reject.",
        _reads("experiments_csv", "strain,value\nAAAl1,1\n", unknown="refuse"),
    ),
    # genes that nobody knows
    (
        "names that no gene of the database has, such as .*, wanted genes such as",
        "The ids or strains of a column or of the header are of another organism, publisher or "
        "kind: accessions, proteins, numbers.",
        "Replace them by systematic names or symbols, or load the genes that the file is about.",
        _reads("yeastract_matrix", "gene;TF1;TF2\nYAL001C;0;1\n".replace(";", "\t")),
    ),
    (
        "rows with names that no gene of the database has, such as .*, wanted genes such as",
        "Most rows of the file name genes of another organism, publisher or kind.",
        "Replace the names by systematic names or symbols, or load the genes the file is about.",
        _reads("morphology_matrix", "strain\tsize\nENSG01\t1\nENSG02\t2\n"),
    ),
    (
        "such as .*, wanted systematic names .*the option id",
        "The genes of a GFF3 have ids of their own, which no other file knows.",
        "Name the tag that has the systematic names by the option id.",
        _reads("gff3", "##gff-version 3\nI\tx\tgene\t1\t9\t.\t+\t.\tID=gene1\n"),
    ),
    (
        "wanted the column weight",
        "The option leave_out names a column that the matrix does not have.",
        "Choose from the columns in the message.",
        _reads("phenotypes_matrix", "strain\tsize\nYAL001W\t1\n", leave_out="weight"),
    ),
    # cre
    (
        "column sequence: got nothing, wanted bases before this",
        "A FASTA header follows another without bases between them.",
        "Remove the empty sequence, or fetch the file again.",
        _reads("cre", ">chrI\n>chrII\nACGT\n"),
    ),
    (
        "got no sequence, wanted FASTA",
        "The FASTA file is empty, or its last header has no bases.",
        "Fetch it again.",
        _reads("cre", ">chrI\n"),
    ),
    # cyc2008
    (
        "got no rows, wanted at least one subunit",
        "The table of complexes has nothing but its header.",
        "Fetch it again.",
        _reads("cyc2008", (DATA / "cyc2008/input.tab").read_text("utf-8").partition("\n")[0]),
    ),
    # deleteome
    (
        "column 2 .*systematicName.*: got no loaded gene, wanted at least one",
        "No row of the table of the deleteome is a loaded gene.",
        "Load the genes of yeast, or check that it is the right file.",
        _reads("deleteome", _deleteome("aaa1-del vs. wt", gene="YXX999W")),
    ),
    (
        "got .* columns, wanted .* as in the first line",
        "The second line of the table of the deleteome has another number of columns.",
        "Fetch it again.",
        _reads("deleteome", _deleteome("aaa1-del vs. wt", cut=-1)),
    ),
    (
        "got .* columns, wanted three and then three a strain: M, A, p_value",
        "The number of columns of the table of the deleteome is no multiple of three.",
        "Take the table with M, A and p_value of every strain.",
        _reads("deleteome", _deleteome("aaa1-del vs. wt", n=2)),
    ),
    (
        "got no strain of loaded genes, wanted at least one",
        "No comparison in the header of the deleteome is a deletion of a loaded gene.",
        "Load the genes of yeast, or check that it is the right file.",
        _reads("deleteome", _deleteome("yxx999w-del vs. wt")),
    ),
    (
        "no strain of loaded genes, wanted at least one",
        "The header of the deleteome has names of genes alone, and none of them is down.",
        "Load the genes of yeast, or check that it is the right file.",
        _reads("deleteome", _deleteome("aaa1 vs. wt")),
    ),
    # embeddings
    (
        "loader embeddings: option model is .*, wanted a name without @",
        "The name of the sequence model is empty or has an @.",
        "Give another name.",
        _reads("embeddings", "", model="a@b"),
    ),
    (
        "column vector: got .* numbers in row .*, wanted .* as in the rows before",
        "A vector has another length than those before it.",
        "Write vectors of one model only.",
        _reads("embeddings", _parquet([[1.0, 2.0]] * 2000 + [[1.0]])),
    ),
    (
        "got no vector, wanted at least one",
        "The file of embeddings has no rows.",
        "Write it again.",
        _reads("embeddings", _npz(ids=np.array([], "U1"), vectors=np.ones((0, 3)))),
    ),
    (
        "damaged npz: ids and vectors are no arrays",
        "The zip has members ids and vectors that numpy did not write.",
        "Write the file with numpy.savez.",
        _reads("embeddings", lambda path: zipped({"ids": b"a", "vectors": b"b"}, path)),
    ),
    (
        "column ids: got .* of shape .*, wanted strings",
        "The ids of an npz are no strings, or no single row of them.",
        "Write ids as a one-dimensional array of strings.",
        _reads("embeddings", _npz(ids=np.arange(2), vectors=np.ones((2, 3)))),
    ),
    (
        "column vectors: got tensors .*, wanted a tensor vectors",
        "The safetensors file has no tensor of this name.",
        "Name the tensor vectors.",
        _reads("embeddings", _safetensors("embedding")),
    ),
    (
        "column ids: got none, wanted ids one a line, in the metadata or as a tensor of bytes",
        "The safetensors file does not say of which windows its vectors are.",
        "Write the ids into the metadata entry ids.",
        _reads("embeddings", _safetensors("vectors")),
    ),
    (
        "cannot be read as safetensors: .*",
        "The safetensors file is damaged, or its numbers are of a kind that numpy lacks "
        "(bfloat16).",
        "Write it again, with 32-bit floats.",
        _reads("embeddings", b"\x10\0\0\0\0\0\0\0{no such header}"),
    ),
    (
        "got columns .*, wanted id, vector",
        "The parquet file lacks the column id or vector.",
        "Name the columns id and vector.",
        _reads("embeddings", _parquet([[1.0]], id="window")),
    ),
    (
        "cannot be read as parquet: .*",
        "The parquet file is damaged, or its column vector has no lists of numbers.",
        "Write it again, with lists of 32-bit floats.",
        _reads("embeddings", _parquet(["one"])),
    ),
    (
        "damaged parquet: .*",
        "The parquet file was cut or changed.",
        "Fetch or write it again.",
        _reads("embeddings", b"PAR1, and then nothing of the kind"),
    ),
    (
        "column vector: got 0 numbers in row .*, wanted at least one",
        "The first vector of the parquet file is empty.",
        "Write it again with every vector filled.",
        _reads("embeddings", _parquet([[], [1.0]])),
    ),
    # experiments_csv
    (
        "loader experiments_csv: option unknown is .*, wanted refuse or reject",
        "The option unknown has another value.",
        "Give unknown=refuse or unknown=reject.",
        _reads("experiments_csv", "", unknown="ask"),
    ),
    (
        "column strain: got .*, wanted a loaded gene .*unknown=reject leaves such lines out",
        "A strain of your own measurements has a gene that is not loaded.",
        "Mend the name, load the genes, or give unknown=reject.",
        _reads("experiments_csv", "strain,value\nYXX999W,1\n", unknown="refuse"),
    ),
    (
        "wanted nothing where .* is empty",
        "A line has a standard deviation without the number that it belongs to.",
        "Fill in the number, or empty the cell.",
        _reads(
            "experiments_csv", "strain,sd,interaction\nYAL001W+BBB1,0.1,0.2\n", unknown="refuse"
        ),
    ),
    (
        "column study: got nothing, wanted a study, here or as option study",
        "Neither the line nor the option study says which study it is.",
        "Give the option study, or fill in the column study.",
        _reads("experiments_csv", "strain,value\nYAL001W,1\n", study="", unknown="refuse"),
    ),
    (
        "column unit: got .*, a time, wanted fitness, .*: convert it",
        "A doubling time is no fitness: it is smaller where growth is faster.",
        "Divide the wild type's time by the strain's and leave the unit empty.",
        _reads("experiments_csv", "strain,value,unit\nYAL001W,92,min\n"),
    ),
    (
        "line 1: got .*, wanted a line of CSV",
        "The first line of your own measurements cannot be parsed, often because lines end in a "
        "carriage return alone.",
        "Save the file again as CSV with usual line ends.",
        _reads("experiments_csv", "strain,value\rYAL001W,1\r"),
    ),
    (
        "got no rows, wanted at least one",
        "Your own measurements have nothing but a header.",
        "Check that it is the right file.",
        _reads("experiments_csv", "strain,value\n"),
    ),
    (
        "got no rows, wanted at least one$",
        "The table has nothing but empty lines.",
        "Check that it is the right file.",
        _reads("experiments_csv", "\n,\n"),
    ),
    (
        "line .*: got .*, wanted UTF-8 text",
        "Your own measurements have a character in another encoding.",
        "Save the file as CSV in UTF-8.",
        _reads("experiments_csv", b"strain,value,batch\nYAL001W,1,caf\xe9\n"),
    ),
    # gff3
    (
        "line .*: got .*, wanted UTF-8 text",
        "A line of the GFF3 file is in another encoding.",
        "Save it as UTF-8, or fetch it again.",
        _reads("gff3", b"##gff-version 3\n# caf\xe9\n"),
    ),
    (
        "got no rows, wanted at least one",
        "The GFF3 file has nothing but comments.",
        "Fetch it again.",
        _reads("gff3", "##gff-version 3\n"),
    ),
    (
        "column 3 .*type.*: got nothing, wanted a feature type",
        "A feature of the GFF3 file has no type.",
        "Mend the line, or fetch the file again.",
        _reads("gff3", "##gff-version 3\nchrI\tSGD\t\t1\t9\t.\t+\t.\tID=YAL001W\n"),
    ),
    # morphology_matrix
    (
        "got 1 column, wanted strains and parameters",
        "The header of the matrix of morphology is separated by neither tabs nor commas, or has "
        "no parameter.",
        "Save the table as tab- or comma-separated text.",
        _reads("morphology_matrix", "orf;size\nYAL001W;1\n"),
    ),
    # obo
    (
        "got .*, wanted clauses as OBO 1.4 has them",
        "The relationships of the OBO file cannot be parsed, often for a comment without a blank "
        "before its exclamation mark.",
        "Put a blank before the comment, or fetch the file again.",
        _reads("obo", f"ontology: go\n\n{_TERM}relationship: part_of GO:0000002!a second term\n"),
    ),
    (
        "column namespace: got no usable term, wanted biological_process or molecular_function or "
        "cellular_component",
        "The OBO file is of another ontology.",
        "Load the Gene Ontology.",
        _reads("obo", f"ontology: go\n\n{_TERM}namespace: chebi_ontology\n"),
    ),
    (
        "line .*: got .*, wanted UTF-8 text",
        "A line of the OBO file is in another encoding.",
        "Save it as UTF-8, or fetch it again.",
        _reads("obo", b"remark: caf\xe9\n"),
    ),
    (
        "got .*, wanted one of .*Term.*, .*Typedef.*, .*Instance.*",
        "The OBO file has a stanza of a kind that the format lacks.",
        "Mend the line that is named.",
        _reads("obo", f"{_TERM}\n[Terms]\n"),
    ),
    (
        "column id: got a term without one, wanted id: GO:",
        "A term of the OBO file ends before its id.",
        "Add the id, or fetch the file again.",
        _reads("obo", f"[Term]\n\n{_TERM}"),
    ),
    (
        "column id: got a term without one, wanted id: GO:",
        "The OBO file ends before the id of its last term.",
        "Fetch it again.",
        _reads("obo", f"{_TERM}\n[Term]\n"),
    ),
    (
        "got no .*Term.*, wanted an OBO file",
        "The OBO file has no terms.",
        "Fetch it again, or check that it is the right file.",
        _reads("obo", "format-version: 1.2\n"),
    ),
    # phenotypes_matrix
    (
        "loader phenotypes_matrix: option columns is .*, wanted traits or conditions",
        "The option columns has another value.",
        "Give columns=traits or columns=conditions.",
        _reads("phenotypes_matrix", "", columns="genes"),
    ),
    (
        "loader phenotypes_matrix: option phenotype is .*, wanted .* for columns=.*",
        "The option phenotype does not go with the option columns.",
        "Choose a phenotype of the message, or leave the option out.",
        _reads("phenotypes_matrix", "", phenotype="morphology"),
    ),
    (
        "loader phenotypes_matrix: options study and unit are not empty, unless preset names .*",
        "The option study or unit is missing or empty.",
        "Give both, or the preset of a published table.",
        _reads("phenotypes_matrix", "", unit=" "),
    ),
    (
        "loader phenotypes_matrix: option preset is .*, wanted mulleder2016 or messner2023",
        "The option preset names no published table.",
        "Choose one of the message, or give study and unit.",
        _reads("phenotypes_matrix", "", preset="messner"),
    ),
    (
        "loader phenotypes_matrix: the preset .* has a study of its own; leave it out",
        "A preset is given, and study or unit beside it.",
        "Leave out what the preset says already.",
        _reads("phenotypes_matrix", "", preset="mulleder2016"),
    ),
    (
        "loader phenotypes_matrix: option samples goes with a preset that has a table of samples",
        "The option samples is given without a preset.",
        "Give preset=messner2023, or leave samples out.",
        _reads("phenotypes_matrix", "", samples="samples.csv"),
    ),
    (
        "loader phenotypes_matrix: the preset messner2023 needs the option samples, .*",
        "The columns of the table are samples, which a second table describes.",
        "Give samples=yeast5k_metadata.csv.",
        _reads("phenotypes_matrix", "", preset="messner2023", study="", unit=""),
    ),
    (
        "got also .*, wanted the columns of mulleder2016: .*",
        "The table is not the published one that the preset names.",
        "Give study and unit of the table instead of the preset.",
        _reads(
            "phenotypes_matrix",
            "ORF\tage\nYAL001W\t1\n",
            preset="mulleder2016",
            study="",
            unit="",
            columns="traits",
        ),
    ),
    (
        "got .*, wanted Protein.Group",
        "The first column of the table of proteins is called otherwise.",
        "Give the table yeast5k_noimpute_wide.csv as it was published.",
        _proteomes("protein,a\nP1,1\n", "Filename,sampletype,ORF\na,ko,YAL001W\n"),
    ),
    (
        "got no line of values, wanted at least one",
        "The table of proteins has a header alone.",
        "Fetch it again.",
        _proteomes("Protein.Group,a\n", "Filename,sampletype,ORF\na,ko,YAL001W\n"),
    ),
    (
        "got .* twice, wanted every name once",
        "A sample or a protein stands twice in its table.",
        "Remove one, or fetch the table again.",
        _proteomes("Protein.Group,a,a\nP1,1,1\n", "Filename,sampletype,ORF\na,ko,YAL001W\n"),
    ),
    (
        "line .*, column Filename: got .* twice, wanted every name once",
        "The table of samples lists a sample twice.",
        "Remove one, or fetch the table again.",
        _proteomes(
            "Protein.Group,a\nP1,1\n",
            "Filename,sampletype,ORF\na,ko,YAL001W\na,ko,YAL001W\n",
        ),
    ),
    (
        "got .*, wanted a name without control characters",
        "A sample or a protein has no name, or one that cannot be shown.",
        "Mend the name.",
        _proteomes("Protein.Group,\nP1,1\n", "Filename,sampletype,ORF\na,ko,YAL001W\n"),
    ),
    (
        "got .*, wanted a column .*",
        "The table of samples lacks a column.",
        "Give the table yeast5k_metadata.csv as it was published.",
        _proteomes("Protein.Group,a\nP1,1\n", "Filename,ORF\na,YAL001W\n"),
    ),
    (
        "column sampletype: got .*, wanted ko, HIS3 or qc",
        "A sample is of a kind that is not known.",
        "Mend the line that is named.",
        _proteomes("Protein.Group,a\nP1,1\n", "Filename,sampletype,ORF\na,wt,YAL001W\n"),
    ),
    (
        "line .*: got .*, wanted a name without control characters",
        "The header of the matrix has a name with a control character.",
        "Mend the name.",
        _reads("phenotypes_matrix", "orf\tYPD\x01\nYAL001W\t1\n"),
    ),
    (
        "got tabs, wanted commas as in the header",
        "The header of the matrix is separated by commas, a line by tabs.",
        "Save the table with one separator.",
        _reads("phenotypes_matrix", "orf,YPD\nYAL001W\t1\n"),
    ),
    (
        "got .*, wanted a line of CSV",
        "A quotation mark in the matrix is never closed.",
        "Mend the line that is named.",
        _reads("phenotypes_matrix", 'orf,YPD\n"YAL001W,1\n'),
    ),
    (
        "got .*, wanted fitness >= 0",
        "A fitness relative to the wild type is negative.",
        "Mend the cell, or give the unit that the values have.",
        _reads("phenotypes_matrix", "orf\tYPD\nYAL001W\t-1\n", unit=RELATIVE),
    ),
    # scmd
    (
        "loader scmd: option view is .*, wanted parameters, ellipse or both",
        "The option view has another value.",
        "Give view=parameters, view=ellipse or view=both.",
        _reads("scmd", "", view="cells"),
    ),
    (
        "got 1 column, wanted a name and parameters",
        "The header of SCMD's table is separated by neither tabs nor commas, or has no parameter.",
        "Save the table as tab- or comma-separated text.",
        _reads("scmd", "ORF\nYAL001W\n"),
    ),
    # sga_costanzo2010
    (
        "the database has no single-mutant fitness of the study .*; load .* first or choose "
        "another study with the option singles",
        "The screen's fitness is derived from single mutants that are not loaded.",
        "Load smf_baryshnikova2010 first, or give the option singles.",
        _reads("sga_costanzo2010", "", singles="nobody2010"),
    ),
    (
        "got no rows, wanted at least one",
        "The table of the screen is empty.",
        "Fetch it again.",
        _reads("sga_costanzo2010", "\n"),
    ),
    (
        "line .*: got .*, wanted UTF-8 text",
        "A line of the screen is in another encoding.",
        "Save it as UTF-8, or fetch it again.",
        _reads("sga_costanzo2010", b"YAL001W\tcaf\xe9\tYBL002W\tEEE1\t-0.2\t0.03\t1e-5\n"),
    ),
    # sgd_features
    (
        "column 2 .*feature type.*: got nothing, wanted a feature type",
        "A line of SGD's features has no type.",
        "Mend the line, or fetch the file again.",
        _reads("sgd_features", _FEATURE.replace("ORF", "")),
    ),
    (
        "column 4 .*feature name.*: got nothing, wanted a name of the .*",
        "A gene of SGD's features has no systematic name.",
        "Mend the line, or fetch the file again.",
        _reads("sgd_features", _FEATURE.replace("YAL001W", "")),
    ),
    (
        "column 10-11 .*coordinates.*: got one, wanted both or none",
        "A gene of SGD's features has a start without a stop, or a stop without a start.",
        "Fill in the other, or empty both.",
        _reads("sgd_features", _FEATURE.replace("160", "")),
    ),
    # smf_baryshnikova2010
    (
        "line .*: got .* columns, wanted 3",
        "A row of the workbook has cells beside strain, fitness and standard deviation.",
        "Empty them, or fetch the workbook again.",
        _reads("smf_baryshnikova2010", _workbook(("YAL001W", 0.9, 0.1, "a note"))),
    ),
    (
        "got no rows, wanted at least one",
        "The first sheet of the workbook is empty.",
        "Put the table on the first sheet, or fetch the workbook again.",
        _reads("smf_baryshnikova2010", _workbook()),
    ),
    # string_links
    (
        "loader string_links: min_score is .*, wanted 0 to 1000",
        "The option min_score is out of its range.",
        "Give a whole number from 0 to 1000.",
        _reads("string_links", "", min_score=2000),
    ),
    (
        "got no rows, wanted at least one",
        "The links of STRING have nothing but a header.",
        "Fetch the file again.",
        _reads("string_links", "protein1 protein2 combined_score\n"),
    ),
    # yeastract_matrix
    (
        "got no rows, wanted at least one target",
        "The matrix of YEASTRACT has nothing but a header.",
        "Fetch the file again.",
        _reads("yeastract_matrix", "target\tYAL001W\n"),
    ),
)

CASES: tuple[Case, ...] = tuple(Case("SourceError", *row) for row in _ROWS)
