"""Scores of predictions: the metrics, and the table that an evaluation keeps.

Undefined is NaN, never 0 or 1: a constant has no correlation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Num
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainSerializer

from genograph.errors import RunError
from genograph.files import RECORD, read_record, write_record
from genograph.notebook import html_table, one_line
from genograph.schema import graph_schema

if TYPE_CHECKING:
    import pandas as pd

MODEL = "genograph"
"""Name of the trained model in the table; every other name is a baseline, control or ceiling."""

CEILINGS = ("true values", "repeat measurement")
"""Rows that are no opponents: what measured values would score against themselves."""

CANARY = "systematic-name order"
"""A control that knows nothing but where a strain stood; a model must owe nothing to it."""

VECTORS = tuple(phenotype for phenotype in graph_schema().modelled if phenotype.axis)

QUANTITIES = {
    "interaction_pairs": "interaction score of pairs",
    "fitness_pairs": "fitness of pairs",
    "fitness_singles": "fitness of single mutants",
}
"""What is scored, in the order of the table, and in words."""
UNCENTRED = frozenset(f"{each.name}_profile" for each in VECTORS if each.axis == "gene")
"""Quantities that are scored a second time without centring, for comparison with other work."""
for _each in VECTORS:
    if _each.axis == "gene":
        QUANTITIES[_each.name] = (
            f"{_each.name} of strains with signal, centred on the training mean"
        )
        QUANTITIES[f"{_each.name}_profile"] = f"{_each.name} of strains with signal, not centred"
    else:
        QUANTITIES[_each.name] = f"{_each.name}, mean over parameters"

HEADLINES = (
    ("interaction_pairs", "one_gene_unseen"),
    ("interaction_pairs", "all_genes_unseen"),
    ("interaction_pairs", "random"),
    ("fitness_pairs", "one_gene_unseen"),
    ("fitness_singles", "one_gene_unseen"),
    *((each.name, "one_gene_unseen") for each in VECTORS),
    ("fitness_singles", "random"),
    *((each.name, "random") for each in VECTORS),
    ("fitness_pairs", "random"),
)
"""Where the headline is looked for, best first."""

SPLIT_WORDS = {
    "random": "genes seen, strain unseen",
    "one_gene_unseen": "one gene unseen",
    "all_genes_unseen": "all genes unseen",
}

Numbers = Num[np.ndarray, " value"]


class Score(NamedTuple):
    """One row of the table.

    Attributes:
        head: the phenotype.
        quantity: a key of QUANTITIES.
        split: random, one_gene_unseen or all_genes_unseen.
        model: MODEL or a baseline, control or ceiling.
        pearson: of scalars across strains; of vectors along genes the mean over strains of the
            correlation across genes; along parameters the mean over parameters of that across
            strains.
        spearman: likewise.
        rmse: root mean squared error over all values, in the quantity's unit; along parameters in
            standard deviations of the training strains.
        n: strains scored.
    """

    head: str
    quantity: str
    split: str
    model: str
    pearson: float
    spearman: float
    rmse: float
    n: int


class Calibration(NamedTuple):
    """How honest the predicted s.d. is on one quantity and split.

    z = (measured - predicted) / sqrt(predicted s.d.² + measured s.d.²); a calibrated model has
    68.3 % of |z| below 1, 95.4 % below 2 and a standard deviation of z of 1.

    Attributes:
        quantity, split: what was scored, as in `Score`.
        within_1, within_2: fractions of strains with |z| below 1 and 2.
        z_sd: standard deviation of z; few wild errors make it large.
        stretch: what the s.d. must be multiplied by for 95.4 % of |z| below 2.
        sd_error_spearman: rank correlation of predicted s.d. and absolute error.
        n: strains with a predicted s.d.
    """

    quantity: str
    split: str
    within_1: float
    within_2: float
    z_sd: float
    stretch: float
    sd_error_spearman: float
    n: int


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run beside the baselines', on strains that training never saw.

    Attributes:
        rows: the table.
        calibration: of the predicted s.d., where the run has one.
        notes: what was left out, filled or counted, a sentence each.
        cohort_sha256: the cohort that was scored.
        created: UTC, ISO 8601.
        seconds: wall time of predicting and scoring.

    Example:
        >>> found = genograph.load_evaluation("run/evaluation.json")
        >>> found.find("fitness_pairs", "random").n > 0
        True
        >>> list(found.summary())
        ['quantity', 'test strains', 'n', 'genograph', 'best baseline', 'which']
    """

    rows: tuple[Score, ...]
    calibration: tuple[Calibration, ...]
    notes: tuple[str, ...]
    cohort_sha256: str
    created: str
    seconds: float

    def __repr__(self) -> str:
        """Return the number of scores and the headline, in one line."""
        return f"Evaluation({len(self.rows):,} scores; {one_line(self.headline)})"

    def _repr_html_(self) -> str:
        """Return `summary` as a table, for a notebook."""
        found = self.summary()
        rows = found.itertuples(index=False, name=None)
        return html_table(self.headline, [str(name) for name in found.columns], rows)

    def find(self, quantity: str, split: str, model: str = MODEL) -> Score | None:
        """The row of a quantity, split and model, None where there is none.

        Args:
            quantity: interaction_pairs, fitness_pairs, fitness_singles, or a vector phenotype.
            split: random, one_gene_unseen or all_genes_unseen.
            model: genograph, or the name of a baseline, control or ceiling.
        """
        for row in self.rows:
            if (row.quantity, row.split, row.model) == (quantity, split, model):
                return row
        return None

    @property
    def headline_row(self) -> Score | None:
        """The model's row that matters most: interaction score with one gene unseen, if scored."""
        for quantity, split in HEADLINES:
            row = self.find(quantity, split)
            if row is None or row.n == 0:
                continue
            # where opponents have a score and the model has none, that is the news
            if not np.isnan(row.pearson) or self.best_baseline(quantity, split) is not None:
                return row
        return None

    @property
    def headline(self) -> str:
        """The headline in one sentence, with the best baseline's number."""
        row = self.headline_row
        if row is None:
            return "nothing could be scored: no test strain has a measurement that varies"
        text = f"{QUANTITIES[row.quantity]}, {SPLIT_WORDS[row.split]}: "
        if np.isnan(row.pearson):
            text += f"the model predicts one number for all {row.n} strains, no correlation"
        else:
            text += f"Pearson {row.pearson:.3f} on {row.n} strains"
        best = self.best_baseline(row.quantity, row.split)
        if best is not None:
            text += f" (best baseline: {best.model}, {best.pearson:.3f})"
        if (row.quantity, row.split) != HEADLINES[0]:
            text += "; no pairs with one gene unseen could be scored, so this stands in"
        return text

    @property
    def headline_numbers(self) -> dict[str, float]:
        """The headline as named numbers, which the database keeps with the run."""
        row = self.headline_row
        if row is None:
            return {}
        name = f"{row.quantity}_{row.split}"
        numbers = {
            f"{name}_{metric}": getattr(row, metric)
            for metric in ("pearson", "spearman", "rmse")
            if not np.isnan(getattr(row, metric))
        }
        numbers[f"{name}_n"] = float(row.n)
        best = self.best_baseline(row.quantity, row.split)
        if best is not None:
            numbers[f"{name}_best_baseline_pearson"] = best.pearson
        return numbers

    def best_baseline(self, quantity: str, split: str) -> Score | None:
        """The opponent with the highest Pearson; ceilings and the canary are no opponents.

        Args:
            quantity: as for `find`.
            split: as for `find`.
        """
        rivals = [
            row
            for row in self.rows
            if (row.quantity, row.split) == (quantity, split)
            and row.model not in (MODEL, CANARY, *CEILINGS)
            and not np.isnan(row.pearson)
        ]
        return max(rivals, key=lambda row: row.pearson, default=None)

    def to_pandas(self) -> "pd.DataFrame":
        """The table, one line a row; NaN where a number is undefined."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(Score._fields))

    def summary(self) -> "pd.DataFrame":
        """Pearson of the model beside its strongest opponent, a line a quantity and split."""
        import pandas as pd

        lines = []
        for row in self.rows:
            if row.model == MODEL:
                best = self.best_baseline(row.quantity, row.split)
                lines.append(
                    {
                        "quantity": QUANTITIES[row.quantity],
                        "test strains": SPLIT_WORDS[row.split],
                        "n": row.n,
                        "genograph": row.pearson,
                        "best baseline": best.pearson if best else float("nan"),
                        "which": best.model if best else "",
                    }
                )
        return pd.DataFrame(lines)

    def save(self, path: Path) -> None:
        """Write the evaluation as JSON; undefined numbers are null.

        Args:
            path: the file, evaluation.json of a run.

        Raises:
            RunError: the file cannot be written.
        """
        record = _Record(
            rows=tuple(_ScoreRecord(**row._asdict()) for row in self.rows),
            calibration=tuple(_CalibrationRecord(**row._asdict()) for row in self.calibration),
            notes=self.notes,
            cohort_sha256=self.cohort_sha256,
            created=self.created,
            seconds=self.seconds,
            headline=self.headline_numbers,
            headline_text=self.headline,
        )
        write_record(path, record, error=RunError)


def _known(names: Mapping[str, str]) -> AfterValidator:
    """A check that a report has words for a name."""

    def check(name: str) -> str:
        if name not in names:
            msg = f"one of {', '.join(names)}"
            raise ValueError(msg)
        return name

    return AfterValidator(check)


_Quantity = Annotated[str, _known(QUANTITIES)]
_Split = Annotated[str, _known(SPLIT_WORDS)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
# JSON has no word for what is not a number
_Number = Annotated[
    float,
    BeforeValidator(lambda value: float("nan") if value is None else value),
    PlainSerializer(lambda value: None if np.isnan(value) else value),
]


class _ScoreRecord(BaseModel):
    """A `Score` in evaluation.json."""

    model_config = RECORD
    head: str
    quantity: _Quantity
    split: _Split
    model: str
    pearson: _Number
    spearman: _Number
    rmse: _Number
    n: _Count


class _CalibrationRecord(BaseModel):
    """A `Calibration` in evaluation.json."""

    model_config = RECORD
    quantity: _Quantity
    split: _Split
    within_1: _Number
    within_2: _Number
    z_sd: _Number
    stretch: _Number
    sd_error_spearman: _Number
    n: _Count


class _Record(BaseModel):
    """evaluation.json: an `Evaluation`, and its headline for other readers."""

    model_config = RECORD
    rows: tuple[_ScoreRecord, ...]
    calibration: tuple[_CalibrationRecord, ...]
    notes: tuple[str, ...]
    cohort_sha256: str
    created: str
    seconds: float
    headline: dict[str, _Number] = {}
    headline_text: str = ""


def load_evaluation(path: Path | str) -> Evaluation:
    """Read what `evaluate` wrote into the folder of a run.

    Args:
        path: the run's evaluation.json.

    Returns:
        The evaluation.

    Raises:
        RunError: missing or damaged.

    Example:
        >>> genograph.load_evaluation("run/evaluation.json")
        Evaluation(... scores; interaction score of pairs, one gene unseen: Pearson ...)
    """
    path = Path(path)
    record = read_record(
        path,
        _Record,
        error=RunError,
        kind="evaluation",
        advice="evaluate the run again",
        missing=f"{path.parent}: the run has not been evaluated; "
        f"run: genograph evaluate {path.parent}",
    )
    return Evaluation(
        tuple(Score(**dict(row)) for row in record.rows),
        tuple(Calibration(**dict(row)) for row in record.calibration),
        record.notes,
        record.cohort_sha256,
        record.created,
        record.seconds,
    )


def pearson(x: Numbers, y: Numbers) -> float:
    """Pearson's correlation; NaN where either is constant or there are fewer than three."""
    if len(x) < 3:
        return float("nan")
    dx, dy = x - np.mean(x, dtype=np.float64), y - np.mean(y, dtype=np.float64)
    scale = np.sqrt((dx @ dx) * (dy @ dy))
    if scale == 0 or _constant(x) or _constant(y):
        return float("nan")
    return float(np.clip((dx @ dy) / scale, -1.0, 1.0))


def _constant(values: Numbers) -> bool:
    """Whether the spread is of rounding errors, not of values."""
    return bool(np.ptp(values) <= 1e-7 * np.abs(values).max())


def spearman(x: Numbers, y: Numbers) -> float:
    """Spearman's rank correlation, ties shared; NaN as for `pearson`."""
    from scipy.stats import rankdata

    if np.isnan(pearson(x, y)):
        return float("nan")
    return pearson(rankdata(x), rankdata(y))


def rmse(x: Numbers, y: Numbers) -> float:
    """Root mean squared difference; NaN without values."""
    if len(x) == 0:
        return float("nan")
    return float(np.sqrt(np.mean(np.square(x.astype(np.float64) - y.astype(np.float64)))))


class Combined(NamedTuple):
    """Repeated measurements of strains as one each; NaN where a strain has none.

    Attributes:
        value: inverse-variance weighted mean.
        sd: standard deviation of that mean, NaN where no repeat reported one.
        n: measurements, copies counted once.
        copies: measurements that were copies of another.
    """

    value: Float64[np.ndarray, " strain"]
    sd: Float64[np.ndarray, " strain"]
    n: Int64[np.ndarray, " strain"]
    copies: int


def combine(
    strain: Int64[np.ndarray, " experiment"],
    value: Num[np.ndarray, " experiment"],
    sd: Num[np.ndarray, " experiment"],
    n_strain: int,
) -> Combined:
    """Average repeated experiments of a strain, weighted by 1 / s.d.².

    An s.d. that was not reported counts as the median of those that were (1 if none were), and one
    below a tenth of the median as that tenth: a repeat that claims to be exact decides nothing.
    The same value and s.d. of a strain again is a copy of a record (screens list a pair in both
    orders with one combined score), not a second measurement, and counts once.
    """
    found = np.flatnonzero(np.isfinite(value))
    order = found[np.lexsort((sd[found], value[found], strain[found]))]
    again = np.zeros(len(order), dtype=bool)
    if len(order):
        same_sd = (np.diff(sd[order]) == 0) | (np.isnan(sd[order][1:]) & np.isnan(sd[order][:-1]))
        again[1:] = (np.diff(strain[order]) == 0) & (np.diff(value[order]) == 0) & same_sd
    measured = order[~again]
    strain, value = strain[measured], value[measured].astype(np.float64)
    spread = sd[measured].astype(np.float64)
    reported = np.isfinite(spread)
    typical = float(np.median(spread[reported])) if reported.any() else 1.0
    typical = typical if typical > 0 else 1.0
    used = np.maximum(np.where(reported, spread, typical), typical / 10)
    weight = 1.0 / np.square(used)
    total = np.bincount(strain, weight, n_strain)
    count = np.bincount(strain, minlength=n_strain)
    mean = np.full(n_strain, np.nan)
    np.divide(np.bincount(strain, weight * value, n_strain), total, out=mean, where=count > 0)
    mean_sd = np.full(n_strain, np.nan)
    known = np.bincount(strain[reported], minlength=n_strain) > 0
    mean_sd[known] = 1.0 / np.sqrt(total[known])
    return Combined(mean, mean_sd, count, int(again.sum()))


def measure_calibration(
    quantity: str,
    split: str,
    measured: Numbers,
    measured_sd: Numbers,
    predicted: Numbers,
    predicted_sd: Numbers,
) -> Calibration | None:
    """How honest predicted s.d. are; None where there are fewer than ten.

    A missing s.d. of a measurement counts as the median of the others, 0 where there are none.
    """
    known = np.isfinite(predicted_sd) & np.isfinite(measured) & np.isfinite(predicted)
    if known.sum() < 10:
        return None
    error = (measured - predicted)[known].astype(np.float64)
    sd = predicted_sd[known].astype(np.float64)
    noise = measured_sd[known].astype(np.float64)
    typical = float(np.median(noise[np.isfinite(noise)])) if np.isfinite(noise).any() else 0.0
    noise = np.where(np.isfinite(noise), noise, typical)
    z = error / np.maximum(np.sqrt(sd**2 + noise**2), 1e-12)
    return Calibration(
        quantity,
        split,
        float((np.abs(z) < 1).mean()),
        float((np.abs(z) < 2).mean()),
        float(z.std()),
        float(np.quantile(np.abs(z), 0.9545) / 2),
        spearman(sd, np.abs(error)),
        int(known.sum()),
    )
