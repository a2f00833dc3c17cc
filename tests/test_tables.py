"""Table: what is checked before a row can travel."""

import numpy as np
import pytest

from genograph.errors import SchemaError
from genograph.tables import Table, concat


def test_a_table_is_cast_to_the_schema_and_knows_its_length():
    table = Table.of("Gene", {"id": ["YAL001C"], "start_pos": [7], "aliases": [["TFC3"]]})
    assert len(table) == 1
    assert str(table.rows.schema.field("start_pos").type) == "int64"


@pytest.mark.parametrize(
    ("type_name", "columns", "words"),
    [
        ("Gene", {"id": ["a"], "colour": ["x"]}, "no property colour"),
        ("Gene", {"symbol": ["a"]}, "needs the column id"),
        ("Gene", {"id": ["a", None]}, "never missing"),
        ("Gene", {"id": ["a", "a"]}, "stands twice"),
        ("Gene", {"id": [""]}, "not empty"),
        ("Gene", {"id": ["a"], "start_pos": [0]}, ">= 1"),
        ("Gene", {"id": ["a"], "strand": ["W"]}, "one of"),
        ("Experiment", {"id": ["a"], "sd": [-0.1]}, "first -0.1 at row 1"),
        ("Experiment", {"id": ["a"], "value": [float("nan")]}, "finite"),
        ("Experiment", {"id": ["a"], "value": [np.inf]}, "finite"),
        ("Experiment", {"id": ["a"], "p": [1.5]}, "<= 1"),
        ("Experiment", {"id": ["a"], "value": ["x"]}, "Experiment.value"),
        ("Gene", {"id": ["a"], "start_pos": [-(2**60)]}, ">= 1"),
        ("Gene", {"id": ["a"], "start_pos": [2**63]}, "Gene.start_pos"),
        ("Gene", {"id": ["a"], "start_pos": [-(10**30)]}, "Gene.start_pos"),
        ("TESTS", {"from_id": ["a", "a"], "to_id": ["b", "b"]}, "stands twice"),
    ],
)
def test_bad_rows_are_refused_with_their_place(type_name, columns, words):
    with pytest.raises(SchemaError, match=words):
        Table.of(type_name, columns, source="file.tsv")


@pytest.mark.parametrize("value", [2**53 + 1, 2**60, 2**63 - 1])
def test_whole_numbers_beyond_those_of_a_double_are_kept_exactly(value):
    table = Table.of("Gene", {"id": ["a", "b"], "start_pos": [value, 1]})
    assert table.rows["start_pos"].to_pylist() == [value, 1]
    free = Table.of("REGULATES", {"from_id": ["a"], "to_id": ["b"], "source": ["x"], "sign": [-1]})
    assert free.rows["sign"].to_pylist() == [-1]
    with pytest.raises(SchemaError, match="<= 1"):
        Table.of("REGULATES", {"from_id": ["a"], "to_id": ["b"], "source": ["x"], "sign": [value]})


def test_a_null_is_a_value_that_is_not_given():
    assert Table.of("Experiment", {"id": ["a"], "sd": [None]}).rows["sd"].null_count == 1


def test_tables_join_and_their_keys_stay_unique():
    one = Table.of("Gene", {"id": ["a"], "symbol": ["x"]})
    two = Table.of("Gene", {"id": ["b"]})
    assert len(concat([one, two])) == 2
    with pytest.raises(SchemaError, match="twice"):
        concat([one, one])
