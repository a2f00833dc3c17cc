"""Report: one self-contained HTML page about an evaluated run, for a geneticist."""

from pathlib import Path

from genograph.cohorts import Cohort
from genograph.errors import RunError
from genograph.evaluation import EVALUATION, PREDICTIONS, load_evaluation, load_predictions
from genograph.files import write_file
from genograph.reporting.caveats import find_caveats
from genograph.reporting.page import render_page
from genograph.reporting.pictures import draw_pictures, read_metrics
from genograph.run import Run

__all__ = ["report"]

REPORT = "report.html"


def report(run: Run | Path | str, *, cohort: Cohort | Path | str | None = None) -> Path:
    """Write the HTML report of an evaluated run into its folder, and return its path.

    The page loads nothing: its pictures are inside.

    Args:
        run: the run or its folder; evaluated.
        cohort: the one it was trained on, or its folder where it is now; None: where it was.

    Returns:
        The page, report.html of the run's folder.

    Raises:
        RunError: the run was not evaluated, or on another cohort; or the page cannot be written.
        CohortError: the cohort cannot be read.

    Example:
        >>> genograph.report("run")
        PosixPath('run/report.html')
    """
    run = Run.open(run)
    evaluation = load_evaluation(run.folder / EVALUATION)
    held = run.cohort(cohort)
    predictions = load_predictions(run.folder / PREDICTIONS, held)
    columns = read_metrics(run.folder / "metrics.csv")
    text = render_page(
        run,
        held,
        evaluation,
        find_caveats(evaluation, columns, held.provenance),
        draw_pictures(held, evaluation, predictions, columns),
    )
    path = run.folder / REPORT
    with write_file(path, error=RunError) as draft:
        draft.write_text(text, "utf-8")
    return path
