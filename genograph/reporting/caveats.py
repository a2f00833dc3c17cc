"""When not to trust a run: sentences that follow from its numbers, worst first."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Num

from genograph.evaluation.scores import (
    CANARY,
    QUANTITIES,
    SPLIT_WORDS,
    UNCENTRED,
    Calibration,
    Evaluation,
    Score,
)

FEW = 100
"""Scored strains below which a correlation says little."""

TOO_FEW = 10
"""Scored strains below which nothing is compared."""

LOW = 0.3
"""Pearson below which predictions rank strains hardly better than chance for a single choice."""

APART = 0.3
"""Difference of Pearson and Spearman above which a few strains make the first."""

EXACT = 1e-6
"""Largest departure of the predicted wild type from 1."""


class Caveat(NamedTuple):
    """One reason for caution.

    Attributes:
        grave: true where a use of the model should be given up, false where it needs care.
        text: one or two sentences with the numbers.
    """

    grave: bool
    text: str


def find_caveats(
    evaluation: Evaluation,
    columns: Mapping[str, Num[np.ndarray, " epoch"]],
    provenance: Mapping[str, object],
) -> list[Caveat]:
    """List reasons for caution, gravest first, one for each quantity and kind.

    Args:
        evaluation: scores of the run.
        columns: of metrics.csv.
        provenance: of the cohort.
    """
    found: list[Caveat] = []
    if unfinished := provenance.get("unfinished_loads"):
        assert isinstance(unfinished, Sequence)
        found.append(
            Caveat(
                True,
                f"The cohort was exported while loads were unfinished ({', '.join(unfinished)}): "
                f"it has only a part of their data. Load them again and export again.",
            )
        )
    for quantity in QUANTITIES:
        if quantity in UNCENTRED:
            continue
        rows = [evaluation.find(quantity, split) for split in SPLIT_WORDS]
        held = [row for row in rows if row is not None]
        found += _check_quantity(evaluation, quantity, held)
        found += _check_calibration([c for c in evaluation.calibration if c.quantity == quantity])
    if not evaluation.calibration and any(row.head == "fitness" for row in evaluation.rows):
        found.append(
            Caveat(
                False,
                "The run gives no usable s.d. with its fitness predictions (one member, or too few "
                "test strains): nothing says how sure a single prediction is.",
            )
        )
    if evaluation.find("interaction_pairs", "one_gene_unseen") is None:
        found.append(
            Caveat(
                True,
                "No pair with one gene unseen was scored: nothing is known about interactions of "
                "genes that training never perturbed.",
            )
        )
    if "wild_type_fitness" in columns:
        off = float(np.nanmax(np.abs(columns["wild_type_fitness"] - 1.0), initial=0.0))
        if off > EXACT:
            found.append(Caveat(True, f"The predicted wild type departs from 1 by {off:.1e}."))
    return sorted(found, key=lambda caveat: not caveat.grave)


def find_interval(row: Score) -> tuple[float, float]:
    """95 % interval of a Pearson correlation by Fisher's z transform; NaN where undefined."""
    if np.isnan(row.pearson) or row.n < 4:
        return float("nan"), float("nan")
    z, half = np.arctanh(np.clip(row.pearson, -0.999999, 0.999999)), 1.96 / np.sqrt(row.n - 3)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def _check_quantity(evaluation: Evaluation, quantity: str, rows: list[Score]) -> list[Caveat]:
    worse, low, few, flat, random, canary, apart = (list[str]() for _ in range(7))
    overtaken = False
    for row in rows:
        words = SPLIT_WORDS[row.split]
        if row.n < FEW:
            few.append(f"{row.n} with {words}{_range(row)}")
        if row.n < TOO_FEW:  # too few to compare
            continue
        if np.isnan(row.pearson):
            flat.append(words)
            continue
        best = evaluation.best_baseline(quantity, row.split)
        if best is not None and best.pearson > row.pearson:
            worse.append(f"{words} ({best.model} {best.pearson:.3f}, the model {row.pearson:.3f})")
        if row.pearson < LOW:
            low.append(f"{row.pearson:.3f} with {words}")
        if abs(row.pearson - row.spearman) > APART:
            apart.append(f"{row.pearson:.2f} beside {row.spearman:.2f} with {words}")
        control = evaluation.find(quantity, row.split, "ridge on random embeddings")
        by_chance = np.nan if control is None or row.split != "random" else control.pearson
        if by_chance > row.pearson - 0.05:
            random.append(f"{by_chance:.3f}, the model {row.pearson:.3f}")
        order = evaluation.find(quantity, row.split, CANARY)
        if order is not None and order.pearson > max(0.05, 0.5 * row.pearson):
            canary.append(f"{order.pearson:.3f} with {words}, the model {row.pearson:.3f}")
            overtaken |= order.pearson >= row.pearson
    name = QUANTITIES[quantity]
    name = name[:1].upper() + name[1:]
    out = [
        (flat, True, "the predictions or the measurements do not vary: {}."),
        (worse, True, "a baseline has the higher r with {}. Rely on that baseline there."),
        (low, True, "r is {}; the ranking of single strains is mostly noise."),
        (
            random,
            True,
            "on seen genes ridge on random embeddings reaches {}; which genes were seen explains "
            "the score, not what they do.",
        ),
        (
            canary,
            overtaken,
            f"a running median in {CANARY} reaches {{}}; the position on a plate may carry the "
            f"signal.",
        ),
        (
            apart,
            False,
            "Pearson and Spearman are far apart ({}): a few strains with extreme values make the "
            "first, the second is how well all are ranked.",
        ),
        (few, False, "few strains were scored: {}."),
    ]
    found = [Caveat(grave, f"{name}: {text.format('; '.join(w))}") for w, grave, text in out if w]
    held = {row.split: row.pearson for row in rows if row.n >= TOO_FEW}
    seen, unseen = held.get("random", np.nan), held.get("one_gene_unseen", np.nan)
    if seen - unseen > 0.15:
        found.append(
            Caveat(
                False,
                f"{name}: r falls from {seen:.3f} to {unseen:.3f} when a gene is unseen; the first "
                f"number does not hold for new genes.",
            )
        )
    return found


def _range(row: Score) -> str:
    low, high = find_interval(row)
    if row.head != "fitness" or np.isnan(low):
        return ""
    return f" (95 % interval of r {low:.2f} to {high:.2f})"


def _check_calibration(rows: list[Calibration]) -> list[Caveat]:
    small, large = list[str](), list[str]()
    for each in rows:
        words = SPLIT_WORDS[each.split]
        if each.within_2 < 0.90:
            small.append(
                f"{100 * each.within_2:.1f} % with {words}, multiply it by {each.stretch:.1f}"
            )
        elif each.within_1 > 0.85:
            large.append(f"{100 * each.within_1:.1f} % with {words}")
    out = []
    for held, text in (
        (small, "the predicted s.d. is too small; within two of them lie (95.4 % expected) {}."),
        (large, "the expected error is too large; within one s.d. lie (68.3 % expected) {}."),
    ):
        if held:
            name = QUANTITIES[rows[0].quantity]
            out.append(
                Caveat(False, f"{name[:1].upper()}{name[1:]}: {text.format('; '.join(held))}")
            )
    return out
