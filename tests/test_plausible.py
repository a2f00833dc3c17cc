"""Numbers far outside of what they can be: noted with their line, never refused; units of time."""

import math
from collections import Counter

import numpy as np
import pytest
from test_ingest import GENES

from genograph.database.ingest import load
from genograph.errors import SourceError
from genograph.measurements import RELATIVE, Axis, Measurement, Study, plausible, tables
from genograph.schema import Perturbation, graph_schema
from genograph.store import open_store

STRAIN = (Perturbation.of("YAL001W"),)
FAR = "fitness over 50 median deviations from the median (z-score)"


class Heard(list):
    """Every note."""

    def __call__(self, reason, line, detail, count):
        self.append((reason, line, detail, count))


def notes_of(measurements, **options):
    heard = Heard()
    list(tables(measurements, [Study("mine")], source="mine.csv", note=heard, **options))
    return heard


def fitness(values, unit=RELATIVE, **columns):
    return [
        Measurement(
            "mine",
            "fitness",
            unit,
            STRAIN,
            value,
            line=line,
            **{name: column[line - 2] for name, column in columns.items()},
        )
        for line, value in enumerate(values, 2)
    ]


def along(rows, phenotype, unit, names):
    axis = Axis("mine", phenotype, unit, tuple(names))
    return [
        Measurement("mine", phenotype, unit, STRAIN, values=np.float32(row), axis=axis, line=line)
        for line, row in enumerate(rows, 2)
    ]


def test_a_number_outside_its_range_is_noted_with_its_line_and_strain():
    heard = notes_of(fitness([0.9, 1e30, None, 5.0, -0.1, 0.0], sd=[0.1, 0.1, None, 6.0, 0.1, 0.1]))
    outside = f"fitness value outside 0 to 5 ({RELATIVE})"
    assert sorted(heard) == [
        (f"fitness sd over 5 ({RELATIVE})", 5, "YAL001W sd 6", 1),
        (outside, 3, "YAL001W value 1e+30", 1),
        (outside, 6, "YAL001W value -0.1", 1),
    ]


def test_of_many_the_first_are_named_and_the_others_counted():
    heard = notes_of(fitness([100.0] * 30))
    assert [line for _, line, _, _ in heard] == [2, 3, 4, 5, 6, 7]
    assert sum(count for *_, count in heard) == 30


def test_expression_has_a_range_in_log2_only():
    rows = [[0.0, 16.0], [math.nan, -15.0]]
    (only,) = notes_of(along(rows, "expression", "log2 fold change", ("YAL001W", "YAL002W")))
    assert only == (
        "expression value outside -15 to 15 (log2)",
        2,
        "YAL001W YAL002W 16",
        1,
    )
    assert notes_of(along(rows, "expression", "counts", ("YAL001W", "YAL002W"))) == []


def test_without_a_range_a_number_is_compared_with_its_table():
    draw = np.random.default_rng(0).normal(size=200)
    draw[7], draw[8] = 300.0, 10.0
    assert notes_of(fitness(draw.tolist(), "z-score")) == [(FAR, 9, "YAL001W value 300", 1)]
    # whatever the chunks, so long as one before has enough numbers
    assert notes_of(fitness(draw.tolist()[::-1], "z-score"), chunk=60) == [
        (FAR, 194, "YAL001W value 300", 1)
    ]
    # few numbers, or equal ones, say nothing
    assert notes_of(fitness([*draw[:10].tolist(), 1e6], "z-score")) == []
    assert notes_of(fitness([0.0] * 60 + [1.0, 1e6], "z-score")) == []


def test_each_parameter_is_compared_with_itself_and_genes_with_each_other():
    draw = np.random.default_rng(0).normal(size=(40, 2)) * [1.0, 1000.0]
    draw[3, 0] = 900.0
    draw[4:9, 1] = math.nan
    (one,) = notes_of(along(draw, "morphology", "px", ("size", "area")))
    assert one[1:] == (5, "YAL001W size 900", 1)
    # on one scale, a column of much smaller numbers is no reason to note those of the other
    draw = np.random.default_rng(0).normal(size=(40, 2)) * [2.0, 30.0]
    assert notes_of(along(draw, "expression", "counts", ("YAL001W", "YAL002W"))) == []
    draw[3, 1] = 4_000.0
    (one,) = notes_of(along(draw, "expression", "counts", ("YAL001W", "YAL002W")))
    assert one[1:] == (5, "YAL001W YAL002W 4000", 1)


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        *((unit, True) for unit in ("min", "Minutes", "h", "hours", "(min)", "s", "days")),
        *((unit, True) for unit in ("min doubling time", "doubling time (h)", "generation time")),
        *(
            (unit, False)
            for unit in (RELATIVE, "1/h", "per hour", "h-1", "z-score", "min-max scaled")
        ),
        *((unit, False) for unit in ("relative doubling time", "log2 time ratio", "mg", "AU")),
    ],
)
def test_units_of_time_are_told_from_others(unit, time):
    assert plausible.is_time(unit) is time


def test_a_doubling_time_is_no_fitness(tmp_path):
    with pytest.raises(SourceError, match=r"line 2, column unit: got min, a time, wanted fitness"):
        notes_of(fitness([92.0], "min"))
    (tmp_path / "m.csv").write_text("strain,value,unit\nYAL001W,0.9,\nYAL001W,92,min\n")
    with open_store(tmp_path / "x.db") as store:
        load(store, "sgd_features", GENES)
        with pytest.raises(SourceError, match=r"m.csv, line 3, column unit: .*convert it"):
            load(store, "experiments_csv", tmp_path / "m.csv", study="mine")
        assert store.counts()["Experiment"] == 0
        (tmp_path / "m.csv").write_text("strain,value\nYAL001W,0.9\nYAL001W,1e30\n")
        ledger = load(store, "experiments_csv", tmp_path / "m.csv", study="mine")
    reason = f"fitness value outside 0 to 5 ({RELATIVE})"
    assert ledger.notes == Counter({reason: 1})
    assert ledger.examples[reason] == ["line 3: YAL001W value 1e+30"]
    assert (ledger.rejected, ledger.rows_read) == ({}, 2)


def test_every_range_says_where_it_is_from():
    ranges = [r for p in graph_schema().phenotypes.values() for r in p.ranges]
    assert {r.of for r in ranges} == {"value", "interaction", "values"}
    assert all(r.min < r.max and r.source for r in ranges)
