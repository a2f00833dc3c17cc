"""How fast predictions go back into the embedded database: time, strains/s, peak memory, by size.

    python benchmarks/writeback.py --quick       # 10^4 and 10^5 strains, under a minute
    python benchmarks/writeback.py               # 10^4 to 10^6

Every size is loaded in one process; another one writes fitness and interaction of every strain,
each with its s.d., as a run's, with `genograph.writeback`, and reads them again with Cypher. The
run is made up, its numbers are random: what is measured is the way into the database. The last line
is JSON.
"""

import json
import shutil
from pathlib import Path

import load
import screen

TARGETS = {1_000_000: (60.0, None)}
"""Strains: seconds and MB."""


def child(folder: Path) -> None:
    """Write predictions for every strain of the database of a folder, twice, and read them."""
    import numpy as np
    import pyarrow.compute as pc

    from genograph.config import TrainConfig
    from genograph.exporting import export
    from genograph.run import FORMAT, Predicted, Prediction, Run, RunRecord
    from genograph.schema import graph_schema
    from genograph.store import open_store
    from genograph.writeback import write_predictions

    clock = screen.Clock()
    path = folder / "written.db"
    shutil.copyfile(folder / "bench.db", path)
    with open_store(path, read_only=True) as store:
        cohort = export(store, folder / "cohort", force=True)
    n, draw = len(cohort.strains), np.random.default_rng(0)
    quantities = {}
    for name in ("fitness", "interaction"):
        mean, sd = draw.uniform(size=(2, n)).astype(np.float32)
        quantities[name] = Predicted(mean, sd, None)
    genes = cohort.genome.genes_sha256
    prediction = Prediction(cohort.strains.ids, quantities, genes)
    config, digest = TrainConfig(), "0" * 64
    record = RunRecord(
        format=FORMAT,
        version="made up",
        schema_version=graph_schema().version,
        **config.model_dump(mode="json"),
        config_sha256=digest,
        cohort=None,
        cohort_sha256=cohort.sha256,
        genes_sha256=genes,
        terms_sha256=cohort.genome.terms_sha256,
        seeds=(0,),
        device="cpu",
        processes=1,
        status="complete",
        created="made up",
        checkpoints={"member-0/model.safetensors": digest},
        examples={},
        validation_left_out={},
        heads_left_out=(),
        facts={},
    )
    run = Run(folder / "run", config, record)
    with open_store(path) as store:
        done = clock.time("write", lambda: write_predictions(store, run, prediction, cohort))
        assert done.predicted == n, done
        again = clock.time("write again", lambda: write_predictions(store, run, prediction, cohort))
        assert (again.predicted, again.unchanged) == (0, n), again
        found = clock.time(
            "read",
            lambda: store.query(
                "MATCH (s:Strain) RETURN s.id AS id, s.predicted_interaction AS interaction"
            ),
        )
        size = store.size()
    path.unlink()
    row = pc.index_in(cohort.strains.ids, value_set=found["id"].combine_chunks()).to_numpy()
    assert np.array_equal(found["interaction"].to_numpy()[row], quantities["interaction"].mean)
    screen.tell(stages=clock.seconds, strains=n, disk_mb=round((size or 0) / 1e6, 1))


def main() -> None:
    """Measure every size."""
    given = screen.wanted(__doc__, "strains", child)
    print(f"load {screen.load_average()}")
    print(
        f"{'strains':>12} {'write s':>9} {'strains/s':>10} {'again s':>8} {'read s':>7} {'MB':>7} "
        f"{'disk MB':>8}"
    )
    results = []
    for n in given.sizes:
        with given.screen(n) as folder:
            if not (folder / "bench.db").exists():
                screen.measured(load.__file__, "--child", str(folder))
            done = screen.measured(__file__, "--child", str(folder))
        said = done.said | {"peak_mb": done.peak_mb}
        seconds = said["stages"]
        print(
            f"{said['strains']:>12,} {seconds['write']:>9.1f} "
            f"{said['strains'] / seconds['write']:>10,.0f} {seconds['write again']:>8.1f} "
            f"{seconds['read']:>7.1f} {done.peak_mb:>7,.0f} {said['disk_mb']:>8,.1f}",
            flush=True,
        )
        if n in TARGETS:
            said["target"] = dict(zip(("seconds", "peak_mb"), TARGETS[n], strict=True))
        results.append(said)
    if given.plot is not None:
        lines = {
            "seconds": [(r["strains"], r["stages"]["write"]) for r in results],
            "peak memory, MB": [(r["strains"], r["peak_mb"]) for r in results],
        }
        screen.growth(given.plot, "Writing predictions back", "strains", lines)
    print(json.dumps({"benchmark": "writeback", "load": screen.load_average(), "sizes": results}))


if __name__ == "__main__":
    main()
