"""All pairs and triples: each number is that of predict; resumable, shared out, the best ranked."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from model_cohort import cohort_of
from test_train import config_of

from genograph import allpairs
from genograph.allpairs import find_best, read_genes, score_all
from genograph.cli import cli
from genograph.cohorts import make_strains, save_cohort
from genograph.errors import RunError, SourceError
from genograph.prediction import predict
from genograph.run import Run
from genograph.schema import parse_strain
from genograph.training import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("allpairs")
    cohort = cohort_of()
    save_cohort(cohort, folder / "cohort")
    config = config_of(members=2, heads=("fitness",))
    return train(cohort, config, folder / "run", cohort_folder=folder / "cohort")


@pytest.fixture
def small_tiles(monkeypatch):
    """30 genes in several tiles and shards."""
    monkeypatch.setattr(allpairs, "TILE", {2: 7, 3: 4})
    monkeypatch.setattr(allpairs, "TILES_PER_SHARD", 4)


def shards(folder):
    return sorted(folder.glob("shard-*.parquet"))


def rows(folder):
    return pa.concat_tables(pq.read_table(path) for path in shards(folder)).sort_by("strain")


@pytest.mark.parametrize("size", [2, 3])
def test_every_number_is_the_one_that_predict_gives(trained, tmp_path, small_tiles, size):
    cohort = trained.cohort()
    names = cohort.genome.gene_ids if size == 2 else cohort.genome.gene_ids[::3]
    scored = score_all(trained, tmp_path / "out", genes=names, size=size)
    found = rows(tmp_path / "out")
    ids = ["+".join(genes) for genes in itertools.combinations(sorted(names), size)]
    assert found["strain"].to_pylist() == ids
    assert scored.n_strain == scored.n_made == len(ids)
    assert len(shards(tmp_path / "out")) > 2
    strains = make_strains(map(parse_strain, ids), cohort)
    expected = predict(trained, strains, cohort=cohort)
    for name in ("fitness", "interaction"):
        for mine, theirs in ((name, expected[name].mean), (f"{name}_sd", expected[name].sd)):
            np.testing.assert_allclose(found[mine].to_numpy(), theirs, rtol=2e-5, atol=2e-6)
    assert np.abs(found["interaction"].to_numpy()).max() > 1e-3


def test_a_scoring_that_was_cut_off_goes_on_and_whole_shards_are_not_made_again(
    trained, tmp_path, small_tiles
):
    out = tmp_path / "out"

    def stop(fraction, words):
        if fraction > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_all(trained, out, report=stop)
    before = {path.name: path.stat().st_mtime_ns for path in shards(out)}
    assert before
    lacking = f"shard-{len(before):05d}.parquet"
    draft = out / f".{lacking}.01234567.part"
    draft.mkdir()
    (draft / ".lock").touch()
    (draft / lacking).write_bytes(b"half a file")
    scored = score_all(trained, out)
    assert 0 < scored.n_made < scored.n_strain == 435
    assert all((out / name).stat().st_mtime_ns == when for name, when in before.items())
    score_all(trained, tmp_path / "whole")
    assert rows(out).equals(rows(tmp_path / "whole"))
    assert not draft.exists()
    again = score_all(trained, out)
    assert again.n_made == 0
    assert again.top.equals(scored.top)


def test_processes_share_out_the_shards(trained, tmp_path, small_tiles):
    out = tmp_path / "out"
    with ThreadPoolExecutor(2) as pool:
        # the second begins first, and waits for the first one's plan
        other = pool.submit(score_all, trained, out, rank=1, world=2)
        first = pool.submit(score_all, trained, out, rank=0, world=2).result(60)
        second = other.result(60)
    assert second.top is None
    assert first.n_made + second.n_made == first.n_strain
    assert min(first.n_made, second.n_made) > 0
    alone = score_all(trained, tmp_path / "alone")
    assert first.top.equals(alone.top)


@pytest.mark.parametrize("by", get_args(allpairs.By))
@pytest.mark.parametrize("top", [1, 7, 1000])
def test_the_best_are_those_of_sorting_everything(trained, tmp_path, small_tiles, by, top):
    scored = score_all(trained, tmp_path / "out", top=top, by=by)
    everything = rows(tmp_path / "out").to_pylist()
    keys = {
        "interaction": lambda r: -abs(r["interaction"]),
        "negative": lambda r: r["interaction"],
        "positive": lambda r: -r["interaction"],
        "fitness": lambda r: r["fitness"],
    }
    expected = sorted(everything, key=lambda r: (keys[by](r), r["strain"]))[:top]
    assert scored.top.to_pylist() == expected


def test_ties_go_by_name_wherever_they_stand(tmp_path):
    names = ["E", "B", "D", "A", "C"]
    for number, part in enumerate((names[:2], names[2:])):
        numbers = {n: pa.array([0.5] * len(part), pa.float32()) for n in allpairs.NUMBERS}
        table = pa.table({"strain": part, **numbers}, schema=allpairs.SCHEMA)
        pq.write_table(table, tmp_path / f"shard-{number}.parquet")
    found = find_best(iter(shards(tmp_path)), 3, "interaction")
    assert found["strain"].to_pylist() == ["A", "B", "C"]


def test_what_is_another_scoring_is_refused(trained, tmp_path, small_tiles):
    names = trained.cohort().genome.gene_ids
    score_all(trained, tmp_path / "out", genes=names[:9])
    with pytest.raises(RunError, match="another genes"):
        score_all(trained, tmp_path / "out", genes=names[:10])
    with pytest.raises(RunError, match="another size"):
        score_all(trained, tmp_path / "out", genes=names[:9], size=3)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds no scoring"):
        score_all(trained, tmp_path / "else")
    (tmp_path / "planned").mkdir()
    for plan in ("{", "[]", "[" * 100_000, "7"):
        (tmp_path / "planned" / "plan.json").write_text(plan)
        with pytest.raises(RunError, match="damaged"):
            score_all(trained, tmp_path / "planned", genes=names[:9])
    with pytest.raises(RunError, match="got 1 genes, a strain perturbs 2"):
        score_all(trained, tmp_path / "one", genes=names[:1])
    with pytest.raises(RunError, match="YZZ999W is not one of"):
        score_all(trained, tmp_path / "one", genes=["YZZ999W", names[0]])


def test_a_list_of_genes_is_read_by_name_and_a_wrong_one_is_refused_with_its_line(tmp_path):
    cohort = cohort_of()
    path = tmp_path / "genes.txt"
    path.write_text("# kinases\nyal003c\n\nYAL001C  # by name\n")
    assert read_genes(path, cohort) == ["YAL003C", "YAL001C"]
    path.write_text("YAL003C\nnonsense\n")
    with pytest.raises(SourceError, match=r"genes\.txt.*2.*nonsense"):
        read_genes(path, cohort)
    path.write_text("# nothing\n")
    with pytest.raises(SourceError, match="lists no genes"):
        read_genes(path, cohort)
    with pytest.raises(SourceError, match="no such file"):
        read_genes(tmp_path / "none", cohort)


def test_the_command_line_scores_prints_and_refuses(trained, tmp_path):
    genes = tmp_path / "genes.txt"
    genes.write_text("\n".join(Run.open(trained.folder).cohort().genome.gene_ids[:6]))
    run = str(trained.folder)

    def say(*words):
        return CliRunner().invoke(cli, ["predict", run, *words])

    done = say(
        *("--all-triples", "--genes", str(genes), "-o", str(tmp_path / "t")),
        *("--top", "3", "--by", "negative", "--format", "csv"),
    )
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "strain,fitness,fitness_sd,interaction,interaction_sd"
    assert len(lines) == 4
    assert "20 strains, 20 of them now" in done.stderr
    for words, message in (
        ((), "name one of"),
        (("--all-pairs", "--all-triples", "-o", "x"), "name one of"),
        (("--all-pairs",), "need -o"),
        (("--all-triples", "-o", "x"), "needs --genes"),
        (("--strains", "x.csv", "-o", "x"), "go with --all-pairs"),
    ):
        refused = say(*words)
        assert refused.exit_code == 2
        assert message in refused.stderr
