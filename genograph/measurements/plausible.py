"""Plausible: which numbers of a table are far outside of what their phenotype can be.

They are noted, not refused: a number may be right. The schema declares ranges by phenotype and
unit; where it has none, a number is compared with the others of its table.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genograph.schema import Range, graph_schema

Note = Callable[[str, int | None, str, int], None]
"""Told a reason, the 1-based line of a row, what stands there, and how many rows it is said of."""

DEVIATIONS = 50.0
"""Median absolute deviations from the median beyond which a number is noted: 34 s.d. of a normal
distribution, so that long tails are left alone."""
FEWEST = 20
"""Numbers that a median is taken of, at least."""
SAMPLED = 2_000
"""Rows that a median is taken of, at most, evenly spaced."""
SHOWN = 5

_TIME = re.compile(r"[\s(]*(s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|days?)[\s).]*")
_OF_TIME = re.compile(r"\btimes?\b")
_RATIO = re.compile(r"\b(relative|ratio|log\d*|score|fraction)\b|/|\bper\b|-1")


def is_time(unit: str) -> bool:
    """Whether a unit is one of time, as that of a doubling time; ratios and rates are none."""
    words = unit.lower()
    if _RATIO.search(words):
        return False
    return bool(_TIME.fullmatch(words) or _OF_TIME.search(words))


class _Spread(NamedTuple):
    """The median of each column, and how far from it a number may be; infinite where unknown."""

    median: NDArray[Any]
    most: NDArray[Any]


class Outliers:
    """Notes the numbers of one load that are far outside; a chunk at a time."""

    def __init__(self, note: Note) -> None:
        """Tell `note` of them."""
        self._note = note
        self._spreads: dict[tuple[str, ...], _Spread] = {}

    def check_numbers(
        self,
        phenotype: str,
        unit: str,
        columns: Mapping[str, NDArray[Any]],
        lines: Callable[[int], int | None],
        strains: Callable[[int], str],
    ) -> None:
        """Look at scalars by the property that has them, NaN where there is none.

        `lines` and `strains` give a row's 1-based line and its strain.
        """
        for name, numbers in columns.items():
            of = name.removesuffix("sd").removesuffix("_") or "value"
            limits = _find_range(phenotype, of, unit)
            if name.endswith("sd"):
                if limits is None:
                    continue
                wrong, reason = numbers > limits.max - limits.min, _say_sd(phenotype, name, limits)
            elif limits is not None:
                wrong = (numbers < limits.min) | (numbers > limits.max)
                reason = _say_range(phenotype, name, limits)
            elif name == "value":
                wrong = self._find_far(numbers[:, None], (phenotype, unit, name))[:, 0]
                reason = _say_far(phenotype, unit)
            else:
                continue

            def place(
                row: int, name: str = name, numbers: NDArray[Any] = numbers
            ) -> tuple[int | None, str]:
                return lines(row), f"{strains(row)} {name} {numbers[row]:.6g}"

            self._tell(reason, np.flatnonzero(wrong), place)

    def check_vectors(
        self,
        axis: str,
        phenotype: str,
        unit: str,
        names: Sequence[str],
        values: NDArray[Any],
        lines: Callable[[int], int | None],
        strains: Callable[[int], str],
    ) -> None:
        """Look at rows of values along an axis of that id; NaN where not measured."""
        limits = _find_range(phenotype, "values", unit)
        if limits is not None:
            wrong = (values < limits.min) | (values > limits.max)
            reason = _say_range(phenotype, "value", limits)
        else:
            reason = _say_far(phenotype, unit)
            along = graph_schema().phenotypes[phenotype].axis
            # values of genes share one scale; a parameter has its own
            flat = values.reshape(-1, 1) if along == "gene" else values
            wrong = self._find_far(flat, (phenotype, unit, axis)).reshape(values.shape)

        def place(at: int) -> tuple[int | None, str]:
            row, column = divmod(at, len(names))
            return lines(row), f"{strains(row)} {names[column]} {values[row, column]:.6g}"

        self._tell(reason, np.flatnonzero(wrong), place)

    def _find_far(self, values: NDArray[Any], key: tuple[str, ...]) -> NDArray[np.bool_]:
        """Where a number is far from its column's median in this chunk, or in one before it."""
        spread = _measure_spread(values)
        before = self._spreads.get(key)
        if before is not None:
            known = np.isfinite(spread.most)
            spread = _Spread(*(np.where(known, *pair) for pair in zip(spread, before, strict=True)))
        self._spreads[key] = spread
        far: NDArray[np.bool_] = np.abs(values - spread.median) > spread.most
        return far

    def _tell(
        self, reason: str, rows: NDArray[Any], place: Callable[[int], tuple[int | None, str]]
    ) -> None:
        """Note some rows: the first few by what stands there, the others by their number."""
        for row in rows[:SHOWN].tolist():
            self._note(reason, *place(row), 1)
        if len(rows) > SHOWN:
            self._note(reason, *place(int(rows[SHOWN])), len(rows) - SHOWN)


def _find_range(phenotype: str, of: str, unit: str) -> Range | None:
    """The range that the schema declares for a property of a phenotype in a unit."""
    declared = graph_schema().phenotypes[phenotype].ranges
    return next((r for r in declared if r.of == of and unit.startswith(r.unit)), None)


def _say_range(phenotype: str, name: str, limits: Range) -> str:
    return f"{phenotype} {name} outside {limits.min:g} to {limits.max:g} ({limits.unit})"


def _say_sd(phenotype: str, name: str, limits: Range) -> str:
    return f"{phenotype} {name} over {limits.max - limits.min:g} ({limits.unit})"


def _say_far(phenotype: str, unit: str) -> str:
    return f"{phenotype} over {DEVIATIONS:g} median deviations from the median ({unit})"


def _measure_spread(values: NDArray[Any]) -> _Spread:
    """Of each column; nothing is far where there are few numbers or most of them are equal."""
    sample = values[:: max(1, -(-len(values) // SAMPLED))]
    median, count = _find_median(sample)
    deviation, _ = _find_median(np.abs(sample - median))
    known = (count >= FEWEST) & (deviation > 0)
    return _Spread(np.where(known, median, 0.0), np.where(known, DEVIATIONS * deviation, np.inf))


def _find_median(sample: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The lower median of each column without NaN, and how many numbers it is of."""
    count = np.isfinite(sample).sum(0)
    # numbers that are none are sorted to the end
    rank = np.maximum(count - 1, 0) // 2
    median: NDArray[Any] = np.take_along_axis(np.sort(sample, axis=0), rank[None, :], 0)[0]
    return median, count
