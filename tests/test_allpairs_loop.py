"""All pairs as a user runs them: under torchrun, killed and resumed, the best ones written."""

import os
import re
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import genograph
from genograph.allpairs import score_all
from genograph.config import read_config
from genograph.run import Run

pytestmark = pytest.mark.slow

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


@pytest.fixture(scope="module")
def yeast(tmp_path_factory):
    """A small simulated yeast: database, cohort, and a run of two members."""
    folder = tmp_path_factory.mktemp("pairs")
    genograph.simulate(folder / "sources", genes=120, seed=0)
    with genograph.open_store(folder / "yeast.db") as store:
        genograph.build(store, folder / "sources" / "sources.toml")
        cohort = genograph.export(store, folder / "cohort")
    config = read_config(members=2, epochs=1, steps_per_epoch=3, heads=("fitness",), threads=1)
    genograph.train(cohort, config, folder / "run", cohort_folder=folder / "cohort")
    return folder


def started(*words, launcher=()):
    """A process of its own group, with its streams."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, *(launcher or ("-m",)), "genograph", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def finished(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    return out, err


def made_now(stderr):
    """How many strains each process says it scored."""
    found = re.findall(r"[\d,]+ strains, ([\d,]+) of them now", stderr)
    return [int(n.replace(",", "")) for n in found]


def shards(folder):
    return sorted(folder.glob("shard-*.parquet"))


def rows(folder):
    return pa.concat_tables(pq.read_table(path) for path in shards(folder)).sort_by("strain")


def test_two_processes_under_torchrun_make_what_one_makes(yeast, tmp_path):
    words = ("predict", yeast / "run", "--all-pairs", "-o", tmp_path / "two", "--top", 5)
    out, err = finished(started(*words, "--format", "csv", launcher=TORCHRUN))
    alone = score_all(Run.open(yeast / "run"), tmp_path / "one", top=5)
    n_gene = len(Run.open(yeast / "run").cohort().genome.gene_ids)
    shares = made_now(err)
    assert len(shares) == 2
    assert min(shares) > 0
    assert sum(shares) == alone.n_strain == n_gene * (n_gene - 1) // 2
    assert rows(tmp_path / "two").equals(rows(tmp_path / "one"))
    # the first process alone prints
    names = [line.split(",")[0] for line in out.splitlines()]
    assert names == ["strain", *alone.top["strain"].to_pylist()]


def test_triples_killed_under_torchrun_go_on_where_they_were(yeast, tmp_path):
    run = Run.open(yeast / "run")
    some = run.cohort().genome.gene_ids[::3]
    (tmp_path / "genes.txt").write_text("\n".join(some))
    out = tmp_path / "two"
    words = ("predict", yeast / "run", "--all-triples", "--genes", tmp_path / "genes.txt")
    words = (*words, "-o", out, "--quiet", "--format", "csv")
    killed = started(*words, launcher=TORCHRUN)
    deadline = time.monotonic() + 120
    while not shards(out) and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    # each worker leads a session of its own, so all are named
    workers = _below(killed.pid)
    for process in (killed.pid, *workers):
        os.kill(process, signal.SIGKILL)
    killed.communicate(timeout=60)
    assert len(workers) >= 2
    before = {path.name: path.stat().st_mtime_ns for path in shards(out)}
    assert before
    _, err = finished(started(*words, launcher=TORCHRUN))
    alone = score_all(run, tmp_path / "one", genes=some, size=3)
    assert 0 < sum(made_now(err)) < alone.n_strain
    assert all((out / name).stat().st_mtime_ns == when for name, when in before.items())
    assert rows(out).equals(rows(tmp_path / "one"))
    assert not list(out.glob(".*.part"))


def _below(process):
    """The processes that a process started, and theirs."""
    path = f"/proc/{process}/task/{process}/children"
    with open(path) as text:  # noqa: PTH123
        children = [int(word) for word in text.read().split()]
    return [*children, *(grand for child in children for grand in _below(child))]


def test_of_all_pairs_only_the_best_are_written(yeast, tmp_path):
    db = yeast / "yeast.db"
    words = ("predict", yeast / "run", "--all-pairs", "-o", tmp_path / "out", "--top", 7)
    _, err = finished(started(*words, "--by", "interaction", "--write", "--db", db))
    assert "7 predictions written" in err
    everything = rows(tmp_path / "out").to_pylist()
    best = sorted(everything, key=lambda row: (-abs(row["interaction"]), row["strain"]))[:7]
    with genograph.open_store(db, read_only=True) as store:
        found = store.query(
            "MATCH (r:Run)-[p:PREDICTED]->(s:Strain) "
            "RETURN s.id AS strain, p.fitness AS fitness, s.predicted_fitness AS promoted"
        ).to_pylist()
    assert sorted(row["strain"] for row in found) == sorted(row["strain"] for row in best)
    fitness = {row["strain"]: row["fitness"] for row in best}
    for row in found:
        assert row["fitness"] == pytest.approx(fitness[row["strain"]], rel=2e-5)
        assert row["promoted"] == row["fitness"]
