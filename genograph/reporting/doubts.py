"""When not to trust a run: sentences that follow from its numbers, worst first."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Num

from genograph.evaluation.scores import (
    CANARY,
    QUANTITIES,
    SPLIT_WORDS,
    Calibration,
    Evaluation,
    Score,
)

FEW = 100
"""Scored strains below which a correlation says little."""

LOW = 0.3
"""Pearson below which predictions rank strains hardly better than chance for a single choice."""

EXACT = 1e-6
"""Largest departure of the predicted wild type from 1."""


class Doubt(NamedTuple):
    """One reason for caution.

    Attributes:
        grave: true where a use of the model should be given up, false where it needs care.
        text: one or two sentences with the numbers.
    """

    grave: bool
    text: str


def doubts(evaluation: Evaluation, columns: Mapping[str, Num[np.ndarray, " epoch"]]) -> list[Doubt]:
    """Reasons for caution, grave ones first.

    Args:
        evaluation: scores of the run.
        columns: of metrics.csv.
    """
    found: list[Doubt] = []
    for quantity in QUANTITIES:
        if quantity == "expression_profile":
            continue
        for split in SPLIT_WORDS:
            row = evaluation.find(quantity, split)
            if row is not None:
                found += _of_row(evaluation, row)
        found += _of_gap(evaluation, quantity)
    for each in evaluation.calibration:
        found += _of_calibration(each)
    if not evaluation.calibration and any(row.head == "fitness" for row in evaluation.rows):
        found.append(
            Doubt(
                False,
                "The run gives no usable s.d. with its fitness predictions (one member, or too few "
                "test strains): nothing says how sure a single prediction is.",
            )
        )
    if evaluation.find("interaction_pairs", "one_gene_unseen") is None:
        found.append(
            Doubt(
                True,
                "No pair with one gene unseen was scored: nothing is known about interactions of "
                "genes that training never perturbed.",
            )
        )
    if "wild_type_fitness" in columns:
        off = float(np.nanmax(np.abs(columns["wild_type_fitness"] - 1.0), initial=0.0))
        if off > EXACT:
            found.append(Doubt(True, f"The predicted wild type departs from 1 by {off:.1e}."))
    return sorted(found, key=lambda doubt: not doubt.grave)


def interval(row: Score) -> tuple[float, float]:
    """95 % interval of a Pearson correlation by Fisher's z transform; NaN where undefined."""
    if np.isnan(row.pearson) or row.n < 4:
        return float("nan"), float("nan")
    z, half = np.arctanh(np.clip(row.pearson, -0.999999, 0.999999)), 1.96 / np.sqrt(row.n - 3)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def _of_row(evaluation: Evaluation, row: Score) -> list[Doubt]:
    where = f"{QUANTITIES[row.quantity]}, {SPLIT_WORDS[row.split]}"
    if np.isnan(row.pearson):
        return [Doubt(True, f"{_upper(where)}: the predictions or the measurements do not vary.")]
    out = []
    best = evaluation.best_baseline(row.quantity, row.split)
    if best is not None and best.pearson > row.pearson:
        out.append(
            Doubt(
                True,
                f"{_upper(where)}: {best.model} is better (r {best.pearson:.3f}, the model "
                f"{row.pearson:.3f}). Use that baseline, or train longer, before believing the "
                f"model there.",
            )
        )
    if row.pearson < LOW:
        out.append(
            Doubt(
                True,
                f"{_upper(where)}: r is {row.pearson:.3f}; the ranking of single strains is mostly "
                f"noise. Use averages over many strains only.",
            )
        )
    if row.n < FEW:
        scalar = row.head == "fitness"
        low, high = interval(row)
        range_ = f" (95 % interval {low:.2f} to {high:.2f})" if scalar and row.n > 3 else ""
        out.append(Doubt(False, f"{_upper(where)}: only {row.n} strains were scored{range_}."))
    random = evaluation.find(row.quantity, row.split, "ridge on random embeddings")
    if row.split == "random" and random is not None and random.pearson > row.pearson - 0.05:
        out.append(
            Doubt(
                True,
                f"{_upper(where)}: ridge on random embeddings reaches {random.pearson:.3f}; which "
                f"genes were seen explains the score, not what they do.",
            )
        )
    canary = evaluation.find(row.quantity, row.split, CANARY)
    if canary is not None and canary.pearson > max(0.05, 0.5 * row.pearson):
        out.append(
            Doubt(
                canary.pearson >= row.pearson,
                f"{_upper(where)}: a running median in {CANARY} reaches {canary.pearson:.3f}, the "
                f"model {row.pearson:.3f}; position on a plate may carry the signal.",
            )
        )
    return out


def _of_gap(evaluation: Evaluation, quantity: str) -> list[Doubt]:
    seen = evaluation.find(quantity, "random")
    unseen = evaluation.find(quantity, "one_gene_unseen")
    if seen is None or unseen is None or not seen.pearson - unseen.pearson > 0.15:
        return []
    text = (
        f"{_upper(QUANTITIES[quantity])}: r falls from {seen.pearson:.3f} to {unseen.pearson:.3f} "
        f"when a gene is unseen; the first number does not hold for new genes."
    )
    return [Doubt(False, text)]


def _of_calibration(each: Calibration) -> list[Doubt]:
    where = f"{QUANTITIES[each.quantity]}, {SPLIT_WORDS[each.split]}"
    if each.within_2 < 0.90:
        return [
            Doubt(
                False,
                f"{_upper(where)}: the predicted s.d. is too small, {100 * each.within_2:.1f} % of "
                f"the strains lie within two of them (95.4 % expected); multiply it by "
                f"{each.z_sd:.1f}.",
            )
        ]
    if each.within_1 > 0.85:
        return [
            Doubt(
                False,
                f"{_upper(where)}: the expected error is too large, {100 * each.within_1:.1f} % of "
                f"the strains lie within one s.d. (68.3 % expected).",
            )
        ]
    return []


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
