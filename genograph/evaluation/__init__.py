"""Evaluation: a run's scores on strains it never saw, beside baselines, controls and ceilings."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from genograph.cohorts import Cohort
from genograph.errors import RunError
from genograph.evaluation.asking import calibrate, predict_baseline
from genograph.evaluation.predictions import (
    PREDICTIONS,
    Predictions,
    Truth,
    load_predictions,
    predict_measured,
    read_truth,
    save_predictions,
)
from genograph.evaluation.profiles import score_vectors
from genograph.evaluation.scalars import score_pairs, score_singles
from genograph.evaluation.scores import (
    MODEL,
    QUANTITIES,
    Calibration,
    Evaluation,
    Score,
    load_evaluation,
)
from genograph.evaluation.scoring import Bench, hides_singles
from genograph.run import Run
from genograph.schema import graph_schema

__all__ = [
    "EVALUATION",
    "MODEL",
    "PREDICTIONS",
    "QUANTITIES",
    "Calibration",
    "Evaluation",
    "Predictions",
    "Score",
    "calibrate",
    "evaluate",
    "load_evaluation",
    "load_predictions",
    "predict_baseline",
    "score",
]

EVALUATION = "evaluation.json"

Report = Callable[[float, str], None]
"""Told the fraction done, 0 to 1, and a few words."""


def score(
    cohort: Cohort,
    predictions: Predictions,
    *,
    truth: Truth | None = None,
    singles_hidden: bool = False,
    seed: int = 0,
    report: Report = lambda fraction, words: None,
) -> Evaluation:
    """Score predictions and every baseline on the test strains of each split.

    Args:
        cohort: measurements and folds.
        predictions: of all measured strains.
        truth: adds the ceiling that noise sets, the true values scored as if predicted.
        singles_hidden: gradient boosting does not see measured single mutants either.
        seed: of boosting and of random embeddings.
        report: told of progress.

    Raises:
        RunError: a prediction is missing or no number.
    """
    started = time.monotonic()
    bench = Bench(cohort, truth, singles_hidden, seed)
    rows: list[Score] = []
    calibrations: list[Calibration] = []
    if "fitness" in predictions and cohort.fitness is not None:
        report(0.0, "pairs")
        pairs = list(score_pairs(bench, predictions["fitness"]))
        report(0.5, "single mutants")
        for task in [*pairs, *score_singles(bench, predictions["fitness"])]:
            rows += task.rows
            calibrations += task.calibrations
    vectors = [p for p in graph_schema().modelled if p.name in cohort.vectors]
    for number, phenotype in enumerate(vectors):
        name = phenotype.name
        report(0.6 + 0.4 * number / len(vectors), name)
        if name in predictions:
            rows += score_vectors(bench, phenotype, cohort.vectors[name], predictions[name])
    report(1.0, "scored")
    return Evaluation(
        tuple(rows),
        tuple(calibrations),
        tuple(bench.notes),
        cohort.sha256,
        datetime.now(UTC).isoformat(timespec="seconds"),
        time.monotonic() - started,
    )


def evaluate(
    run: Run | Path | str,
    *,
    cohort: Cohort | Path | str | None = None,
    device: str = "auto",
    truth: Path | str | None = None,
    report: Report = lambda fraction, words: None,
) -> Evaluation:
    """Scores of a run on its test strains, beside baselines; they are also written into its folder.

    evaluation.json holds the table, predictions.safetensors what the run predicts for every
    measured strain.

    Args:
        run: the run or its folder; trained to its end.
        cohort: the one it was trained on, or its folder where it is now; None: where it was.
        device: auto, cpu or cuda.
        truth: folder truth/ of a simulation; adds the ceiling that noise sets.
        report: told the fraction done, 0 to 1, and a few words.

    Returns:
        The table of scores, the calibration of the predicted s.d., and notes.

    Raises:
        RunError: no run there, another cohort, no checkpoint, or predictions that are no numbers.
        CohortError: the cohort cannot be read.
        SourceError: no truth there.

    Example:
        >>> found = genograph.evaluate("run", truth="yeast/truth")
        >>> found.headline
        'interaction score of pairs, one gene unseen: Pearson ...'
    """
    started = time.monotonic()
    run = Run.open(run)
    held = run.cohort(cohort)
    true = None if truth is None else read_truth(truth, held)
    report(0.0, "predicting the measured strains")
    predictions = predict_measured(run, held, device=device)
    if not predictions:
        msg = f"{run.folder}: none of its heads has a measurement in the cohort; nothing to score"
        raise RunError(msg)
    save_predictions(predictions, held, run.folder / PREDICTIONS)
    found = score(
        held,
        predictions,
        truth=true,
        singles_hidden=hides_singles(run),
        seed=run.config.training.seed,
        report=lambda done, words: report(0.4 + 0.6 * done, words),
    )
    found = replace(found, seconds=time.monotonic() - started)
    found.save(run.folder / EVALUATION)
    return found
