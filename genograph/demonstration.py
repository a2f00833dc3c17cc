"""The whole loop on a simulated yeast, in one call: what `genograph demo` runs."""

import csv
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from genograph.cohorts import Cohort, Folds, read_strains
from genograph.config import TrainConfig, read_config
from genograph.database.ingest import build
from genograph.database.query import query
from genograph.errors import RunError
from genograph.evaluation import evaluate
from genograph.exporting import export
from genograph.files import write_file
from genograph.prediction import predict
from genograph.reporting import report
from genograph.schema import WILD_TYPE
from genograph.simulation import simulate
from genograph.store import open_store
from genograph.training import train
from genograph.writeback import write_predictions

READ_BACK = """
MATCH (s:Strain)-[:PERTURBS]->(a:Gene) MATCH (s)-[:PERTURBS]->(b:Gene)
WHERE a.id < b.id AND s.predicted_run = $run AND NOT EXISTS { MATCH (:Experiment)-[:TESTS]->(s) }
RETURN s.id AS strain, a.symbol AS gene_1, b.symbol AS gene_2,
       s.predicted_fitness AS predicted_fitness, s.predicted_interaction AS predicted_interaction,
       s.predicted_interaction_sd AS predicted_interaction_sd
ORDER BY predicted_interaction LIMIT 10
"""


class Demonstration(NamedTuple):
    """What the demo leaves.

    Attributes:
        scores: Pearson of the model beside its strongest opponent; see `Evaluation.summary`.
        headline: the headline in one sentence.
        strains: the strongest interactions that nobody measured, read back with Cypher.
        database: the database's file.
        report: the HTML page.
    """

    scores: pd.DataFrame
    headline: str
    strains: pa.Table
    database: Path
    report: Path


def demo(
    out: Path | str = "genograph-demo",
    *,
    genes: int = 600,
    seed: int = 0,
    config: TrainConfig | None = None,
    n_pairs: int = 5_000,
    tell: Callable[[float, str], None] = lambda fraction, words: None,
) -> Demonstration:
    """Simulate, build, export, train, evaluate, predict, write back and read back, in one call.

    Args:
        out: the folder to write, new or empty.
        genes: genes of the simulated yeast, 120 or more.
        seed: of everything.
        config: the model and how it is trained; None: the defaults.
        n_pairs: how many pairs that nobody measured to predict.
        tell: told the fraction done, 0 to 1, and a few words, at every step.

    Returns:
        The scores, the strains that Cypher reads back, and where things are.

    Raises:
        RunError: `out` is not empty.
        GenographError: a step fails.

    Example:
        >>> made = genograph.demo("genograph-demo")  # doctest: +SKIP
        >>> print(made.headline)  # doctest: +SKIP
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out}: exists and is not empty; choose another folder (-o)"
        raise RunError(msg)
    tell(0.0, "simulating a yeast")
    simulate(out / "sources", genes=genes, seed=seed)
    database = out / "yeast.db"
    with open_store(database) as store:
        tell(0.04, "building the database")
        build(store, out / "sources" / "sources.toml")
        tell(0.12, "selecting every experiment and exporting the cohort")
        cohort = export(store, out / "cohort", folds=Folds(seed=seed))
    run = train(
        cohort,
        config or read_config(seed=seed),
        out / "run",
        cohort_folder=out / "cohort",
        report=lambda done, words: tell(0.15 + 0.5 * done, f"training: {words}"),
    )
    scores = evaluate(
        run,
        truth=out / "sources" / "truth",
        report=lambda done, words: tell(0.65 + 0.2 * done, f"scoring: {words}"),
    )
    tell(0.85, f"predicting {n_pairs:,} pairs that nobody measured")
    pairs = out / "pairs.csv"
    with write_file(pairs) as draft, draft.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(["strain"])
        writer.writerows([pair] for pair in draw_unmeasured_pairs(cohort, n_pairs, seed=seed))
    found = predict(run, read_strains(pairs, cohort), cohort=cohort)
    with open_store(database) as store:
        tell(0.92, "writing the predictions into the database")
        write_predictions(store, run, found, cohort, metrics=scores.headline_numbers)
    with open_store(database, read_only=True) as store:
        tell(0.95, "reading them back with Cypher")
        strains = query(store, READ_BACK, run=run.id)
    tell(0.97, "drawing the report")
    page = report(run)
    tell(1.0, "done")
    return Demonstration(scores.summary(), scores.headline, strains, database, page)


def draw_unmeasured_pairs(cohort: Cohort, n: int, *, seed: int) -> list[str]:
    """Double deletions that no experiment of the cohort tests, n of them at random, sorted.

    They are of genes whose single deletion was measured, as such strains can be made.
    """
    measured = set(cohort.strains.ids.to_pylist())
    singles = sorted(
        name for name in measured if "+" not in name and "(" not in name and name != WILD_TYPE
    )
    candidates = len(singles) * (len(singles) - 1) // 2
    if candidates <= 4 * n + len(measured):
        free = [p for p in map("+".join, combinations(singles, 2)) if p not in measured]
        chosen = np.random.default_rng(seed).permutation(len(free))[:n]
        return sorted(free[i] for i in chosen)
    rng = np.random.default_rng(seed)
    out: set[str] = set()
    while len(out) < n:
        a, b = sorted(rng.choice(len(singles), 2, replace=False))
        pair = f"{singles[a]}+{singles[b]}"
        if pair not in measured:
            out.add(pair)
    return sorted(out)
