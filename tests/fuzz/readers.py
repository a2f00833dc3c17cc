"""Every reader of files from outside, as a function of bytes, with the good files to begin from.

`readers(folder)` builds what they need once: a database that has the loaders' needs, a cohort, the
files of a run. A reader returns or raises GenographError; whatever else it does is a defect.
"""

import hashlib
import json
import os
import shutil
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from model_cohort import cohort_of
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from genograph import loaders
from genograph.allpairs import read_genes
from genograph.cohorts import CohortQuery, load_cohort, save_cohort
from genograph.cohorts.folder import check_bounds
from genograph.cohorts.strains import read_strains
from genograph.config import read_config
from genograph.cypher import fence, lint
from genograph.database import dump
from genograph.database.ingest import load, read_gene_names, read_sources
from genograph.engine.topology import Topology
from genograph.evaluation.predictions import (
    MeasuredPrediction,
    load_predictions,
    read_truth,
    save_predictions,
)
from genograph.evaluation.scores import Calibration, Evaluation, Score, load_evaluation
from genograph.heterograph import load_dgl, save_dgl, to_networkx
from genograph.reporting.pictures import read_metrics
from genograph.run import FORMAT, JOINT, Predicted, Run, RunRecord
from genograph.schema import graph_schema
from genograph.store import open_store
from genograph.training.checkpoint import Progress, load_state, save_state

DATA = Path(__file__).parents[1] / "data"
COHORTS = Path(__file__).parents[2] / "docs" / "cohorts"
GIVERS = ("sgd_features", "cre", "obo", "smf_baryshnikova2010")


class Reader(NamedTuple):
    """What is fuzzed.

    Attributes:
        name: what the line of result calls it.
        good: files as they should be, and ones with the format's own traps.
        read: reads one file, given as bytes.
        file: where it is written to be read; nothing else in its folder may change.
    """

    name: str
    good: tuple[bytes, ...]
    read: Callable[[bytes], object]
    file: Path | None = None


def readers(folder: Path) -> list[Reader]:
    """All of them; `folder` is filled with what they read."""
    cohort = cohort_of(n_gene=12, n_pair=20)
    return [
        *_loaders(folder / "loaders"),
        *_cypher(folder / "cypher"),
        *_cohort_files(folder / "cohort", cohort),
        *_run_files(folder / "run", cohort),
        *_lists(folder / "lists", cohort),
        *_dump(folder / "dump"),
    ]


def case_of(name: str) -> dict:
    """What a loader's fixture says of itself."""
    return tomllib.loads((DATA / name / "case.toml").read_text("utf-8"))


def fixtures(name: str) -> tuple[bytes, ...]:
    """A loader's fixtures: the well formed one, then those with a trap."""
    folder = DATA / name
    files = [*sorted(folder.glob("input.*")), *sorted(folder.glob("bad_*"))]
    return tuple(file.read_bytes() for file in files)


def _loaders(folder: Path) -> Iterator[Reader]:
    """Every loader, up to the tables that it would write; a database answers its questions."""
    folder.mkdir(parents=True)
    with open_store(str(folder / "needs.db")) as store:
        for giver in GIVERS:
            (source,) = (DATA / giver).glob("input.*")
            load(store, giver, source, **case_of(giver).get("options", {}))
        genes, answers = read_gene_names(store), {}

        def query(cypher: str, **parameters: object) -> pa.Table:
            key = (cypher, str(parameters))
            if key not in answers:
                with open_store(str(folder / "needs.db")) as again:
                    answers[key] = again.query(cypher, **parameters)
            return answers[key]

    def reader(name: str, good: tuple[bytes, ...], label: str) -> Reader:
        spec, read = loaders.loader(name)
        settings = spec.settings(case_of(name).get("options", {}))
        path = folder / label / f"{name}{next((DATA / name).glob('input.*')).suffix}"
        path.parent.mkdir()

        def run(data: bytes) -> int:
            path.write_bytes(data)
            return sum(len(t) for t in read(path, loaders.Reading(genes, query), **settings))

        return Reader(label, good, run, path)

    for name in loaders.names():
        yield reader(name, fixtures(name), name)
    for kind, good in _vectors(folder, genes.ids):
        yield reader("embeddings", good, f"embeddings {kind}")
    good = (_workbook(folder),)
    yield reader("smf_baryshnikova2010", good, "smf_baryshnikova2010 xlsx")


def _vectors(folder: Path, genes: frozenset[str]) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    ids = [f"{gene}:{kind}" for gene in sorted(genes)[:4] for kind in ("upstream", "downstream")]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 3)).astype(np.float32)
    file = folder / "vectors"
    packed = np.frombuffer("\n".join(ids).encode(), np.uint8)
    save_file({"vectors": vectors}, file, metadata={"ids": "\n".join(ids)})
    in_metadata = file.read_bytes()
    save_file({"vectors": vectors, "ids": packed}, file)
    yield "safetensors", (in_metadata, file.read_bytes())
    pq.write_table(pa.table({"id": ids, "vector": vectors.tolist()}), file)
    yield "parquet", (file.read_bytes(),)
    file.unlink()


def _workbook(folder: Path) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (("YAL001C", 0.9, 0.1), ("YAL002W_damp", 0.5, None), ("YAL003W_tsq1", 1, 0.02)):
        book.active.append(row)
    book.save(folder / "book.xlsx")
    data = (folder / "book.xlsx").read_bytes()
    (folder / "book.xlsx").unlink()
    return data


def _cypher(folder: Path) -> Iterator[Reader]:
    folder.mkdir(parents=True)
    library = tuple(path.read_bytes() for path in sorted(COHORTS.glob("*.cypher")))
    path = folder / "query.cypher"

    def words(data: bytes) -> object:
        return lint(fence(data.decode("utf-8", "surrogateescape")))

    def file(data: bytes) -> object:
        path.write_bytes(data)
        return CohortQuery.read(path)

    yield Reader("fence and lint", library, words)
    yield Reader(".cypher file", library, file, path)


def _in_folder(name: str, folder: Path, file: str, read: Callable[[Path], object]) -> Reader:
    """A reader of a folder in which one file is broken and the others are as they should be."""
    copy = folder.with_name(f"{folder.name}-{file.replace('/', '-')}")
    shutil.copytree(folder, copy, copy_function=os.link)
    good = (folder / file).read_bytes()

    def run(data: bytes) -> object:
        # the others are links to the good ones, so the broken one is never written in place
        (copy / file).unlink()
        (copy / file).write_bytes(data)
        return read(copy)

    return Reader(name, (good,), run, copy / file)


def _cohort_files(folder: Path, cohort) -> Iterator[Reader]:
    save_cohort(cohort, folder)
    for file in ("manifest.json", "genome.safetensors", "labels.safetensors"):
        yield _in_folder(f"cohort {file}", folder, file, load_cohort)
    for file in ("genome.safetensors", "labels.safetensors"):
        yield _hashed_anew(folder, file)
    save_dgl(cohort, folder / "genome.dgl")
    yield _in_folder(
        "genome.dgl", folder, "genome.dgl", lambda place: load_dgl(place / "genome.dgl")
    )


def _hashed_anew(folder: Path, file: str) -> Reader:
    """A cohort whose hash was made again after its file was changed, and what makes use of it."""
    copy = folder.with_name(f"{folder.name}-hashed-{file}")
    shutil.copytree(folder, copy)
    good = (folder / file).read_bytes()
    record = json.loads((folder / "manifest.json").read_text("utf-8"))

    def run(data: bytes) -> object:
        (copy / file).unlink()
        (copy / file).write_bytes(data)
        parts = []
        for name in ("genome.safetensors", "labels.safetensors"):
            try:
                parts.append(load_file(copy / name))
            except (SafetensorError, AttributeError, TypeError, ValueError, OSError):
                # what is no safetensors has no hash that it could be given
                parts.append({})
        total = hashlib.sha256()
        others = ("sha256", "genes_sha256", "terms_sha256", "provenance")
        own = {name: value for name, value in record.items() if name not in others}
        total.update(json.dumps(own, sort_keys=True).encode())
        for arrays in parts:
            for name in sorted(arrays):
                total.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
                total.update(np.ascontiguousarray(arrays[name]).data)
        text = json.dumps(record | {"sha256": total.hexdigest()})
        (copy / "manifest.json").write_text(text, "utf-8")
        cohort = load_cohort(copy)
        check_bounds(cohort, copy)
        Topology.of(cohort.genome)
        tables = [cohort.to_pandas(phenotype) for phenotype in cohort.measured]
        return to_networkx(cohort), tables, cohort.test_strains("random")

    return Reader(f"cohort hashed anew, {file}", (good,), run)


def _run_files(folder: Path, cohort) -> Iterator[Reader]:
    (folder / "member-0").mkdir(parents=True)
    RunRecord(
        format=FORMAT,
        version="made up",
        schema_version=graph_schema().version,
        **read_config(device="cpu", members=1).model_dump(mode="json"),
        config_sha256="0" * 64,
        cohort=None,
        cohort_sha256=cohort.sha256,
        genes_sha256=cohort.genome.genes_sha256,
        terms_sha256=cohort.genome.terms_sha256,
        seeds=(0,),
        device="cpu",
        processes=1,
        status="complete",
        created="2026-01-01T00:00:00+00:00",
        checkpoints={"member-0/model.safetensors": "0" * 64},
        examples={"train": {"pairs": 9}, "validation": {"pairs": 3}},
        validation_left_out={"pairs": 0},
        heads_left_out=("expression",),
        facts={"engine": "delta", "terms_left_out": 0},
    ).write(folder)

    def run(place: Path) -> object:
        held = Run.open(place)
        return held.id, held.complete, held.genes_sha256, held.check(cohort)

    yield _in_folder("run run.json", folder, "run.json", run)

    score = Score("fitness", "fitness_pairs", "random", "genograph", 0.5, 0.4, 0.1, 20)
    honest = Calibration("fitness_pairs", "random", 0.6, 0.9, 1.0, 1.1, 0.2, 20)
    table = Evaluation((score,), (honest,), ("a note",), cohort.sha256, "2026-01-01", 1.0)
    table.save(folder / "evaluation.json")

    def evaluation(place: Path) -> object:
        held = load_evaluation(place / "evaluation.json")
        return held.headline, held.summary()

    yield _in_folder("run evaluation.json", folder, "evaluation.json", evaluation)

    text = "member,epoch,loss,seconds\n0,1,0.5,1\n0,2,0.25,2\n0,3,,3\n"
    (folder / "metrics.csv").write_text(text, "utf-8")
    yield _in_folder(
        "run metrics.csv", folder, "metrics.csv", lambda place: read_metrics(place / "metrics.csv")
    )

    n = len(cohort.strains)
    rows, ones, along = np.arange(n), np.ones(n, np.float32), np.ones((n, 3), np.float32)
    scalars = {name: Predicted(ones, ones, None) for name in ("fitness", "interaction")}
    vectors = {"morphology": Predicted(along, along, cohort.vectors["morphology"].names)}
    held = {
        "fitness": MeasuredPrediction(rows, scalars),
        "morphology": MeasuredPrediction(rows, vectors),
    }
    save_predictions(held, cohort, folder / "predictions.safetensors")

    def predictions(place: Path) -> object:
        return load_predictions(place / "predictions.safetensors", cohort)

    yield _in_folder("run predictions.safetensors", folder, "predictions.safetensors", predictions)

    model, average = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = folder / "member-0" / "state.safetensors"
    done = Progress(epoch=1, planned=4, seconds=2.0, best={JOINT: 0.1}, best_epoch={JOINT: 1})
    save_state(state, model, average, {JOINT: average.state_dict()}, optimizer, done)

    def resumed(place: Path) -> object:
        path = place / "member-0" / "state.safetensors"
        new = torch.nn.Linear(3, 2)
        steps = torch.optim.AdamW(new.parameters())
        return load_state(path, new, torch.nn.Linear(3, 2), steps)

    yield _in_folder("run state.safetensors", folder, "member-0/state.safetensors", resumed)

    simulated = {"single_strain": np.array(["YAL000C"]), "single_fitness": np.ones(1)}
    simulated |= {"pair_strain": cohort.strains.ids.to_numpy(zero_copy_only=False).astype(str)}
    simulated |= {"pair_fitness": np.ones(n), "pair_interaction": np.zeros(n)}
    simulated |= {"expression_strain": np.array(["YAL000C"]), "gene": np.array(["YAL001C"])}
    simulated |= {"expression": np.ones((1, 1)), "morphology_strain": np.array(["YAL000C"])}
    simulated |= {"morphology_parameter": np.array(["size"]), "morphology": np.ones((1, 1))}
    np.savez(folder / "truth.npz", **simulated)

    def truth(place: Path) -> object:
        return read_truth(place / "truth.npz", cohort)

    yield _in_folder("truth.npz", folder, "truth.npz", truth)


def _lists(folder: Path, cohort) -> Iterator[Reader]:
    """What a user writes: lists of sources, configurations, lists of strains and of genes."""
    folder.mkdir(parents=True)
    for name in ("genes.tab", "go.obo"):
        (folder / name).write_bytes(b"x")
    listed = """
[[source]]
loader = "sgd_features"
file = "../genes.tab"
[[source]]
loader = "obo"
file = "../go.obo"
[[embed]]
provider = "kmer"
seed = 1
"""
    config = """
[model]
name = "genome"
heads = ["fitness"]
[training]
members = 2
epochs = 10
learning_rate = 0.01
device = "cpu"
batch = { pairs = 64 }
"""
    strains = "strain\nYAL001C\nYAL001C+YAL002C\nYAL003C(damp)\nWT\n"
    genes = "# genes\nYAL001C\nYAL002C # a second\n"
    for name, text, read in (
        ("sources.toml", listed, read_sources),
        ("train.toml", config, read_config),
        ("pairs.csv", strains, lambda path: read_strains(path, cohort)),
        ("genes.txt", genes, lambda path: read_genes(path, cohort)),
    ):
        path = folder / f"{name} alone" / name
        path.parent.mkdir()
        path.write_text(text, "utf-8")

        def run(data: bytes, path: Path = path, read: Callable[[Path], object] = read) -> object:
            path.write_bytes(data)
            return read(path)

        run(text.encode())
        yield Reader(name, (text.encode(),), run)


def _dump(folder: Path) -> Iterator[Reader]:
    """The manifest of a dumped database; its files are checked by their hashes."""
    folder.mkdir(parents=True)
    with open_store(str(folder / "small.db")) as store:
        (source,) = (DATA / "sgd_features").glob("input.*")
        load(store, "sgd_features", source)
        dump.dump(store, folder / "dump")
    yield _in_folder("dump manifest.json", folder / "dump", "manifest.json", dump.open_dump)


def zipped(members: dict[str, bytes], path: Path) -> Path:
    """A zip of these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held:
        for name, content in members.items():
            held.writestr(name, content)
    return path
