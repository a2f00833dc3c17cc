"""Shape: what a query's text says of its variables, and what it cannot say."""

import pyarrow as pa
import pytest

from genograph.errors import SchemaError
from genograph.store.shape import Shape


@pytest.mark.parametrize(
    ("cypher", "column", "kind"),
    [
        ("MATCH (g:Gene) RETURN g.start_pos", "g.start_pos", pa.int64()),
        ("MATCH (g:Gene) RETURN DISTINCT g.id AS a, g.start_pos AS b", "b", pa.int64()),
        ("MATCH (g:Gene) WITH g.id AS a RETURN a AS b", "b", pa.string()),
        ("MATCH (e:Embedding) RETURN e.vector AS v", "v", pa.list_(pa.float32())),
        ("MATCH (e:Embedding) RETURN collect(e.dim) AS v", "v", pa.list_(pa.int64())),
        ("MATCH (g:Gene) RETURN count(DISTINCT g.id) AS n", "n", pa.int64()),
        ("MATCH (g:Gene)\nRETURN g.id AS a UNION MATCH (g:CRE) RETURN g.id AS a", "a", pa.string()),
        ("MATCH (n) RETURN n.start_pos AS a", "a", pa.int64()),
        # the text does not say: an expression, two types under one name, a variable bound anew
        ("MATCH (g:Gene) RETURN 2 * g.start_pos AS a", "a", None),
        ("MATCH (g:Gene) RETURN f(g.id, g.start_pos) AS a", "a", None),
        ("RETURN 1 AS a UNION MATCH (g:Gene) RETURN g.id AS a", "a", None),
        ("MATCH (n) RETURN n.sign AS a", "a", None),
        ("MATCH (g:Gene) WITH {id: 1} AS g RETURN g.id AS a", "a", None),
        ("MATCH (g:Gene) RETURN [x IN g.aliases | x.id] AS a", "a", None),
        ("RETURN 'MATCH (g:Gene) RETURN g.id AS b' AS a", "a", None),
    ],
)
def test_types_are_read_off_the_text_or_not_claimed(cypher, column, kind):
    assert Shape.of(cypher).type_of(column) == kind


def test_columns_of_the_rows_keep_their_types():
    shape = Shape.of(
        "RETURN in_row, in_id AS id", pa.schema([("in_row", "int64"), ("in_id", "string")])
    )
    assert shape.type_of("in_row") == pa.int64()
    assert shape.type_of("id") == pa.string()


@pytest.mark.parametrize(
    "cypher",
    [
        "MATCH (g:Gen) RETURN g",
        "MATCH (:Gene:Gen) RETURN 1",
        "MATCH (g:Gene|Gen) RETURN g",
        "MATCH ()-[:IS_A|IS_B]->() RETURN 1",
        "MATCH ()-[r:IS_B*1..3]->() RETURN r",
        "MATCH (g:Gene) RETURN g.name",
        "MATCH (g:`Gene`) RETURN g.name",
        "MATCH (g:Gene {id: 'x', name: {id: 1}}) RETURN g",
        "MATCH (g:Gene WHERE g.name = 'x') RETURN g",
        "MATCH ()-[r:IS_A {weight: 1}]->() RETURN r",
        "match (s:Strain)-[p:PERTURBS]->(g:Gene) return p.id",
    ],
)
def test_undeclared_names_are_refused(cypher):
    with pytest.raises(SchemaError, match=r"choose one of|has no property"):
        Shape.of(cypher)


@pytest.mark.parametrize(
    "cypher",
    [
        "MATCH (g:Gene|CRE) RETURN g.sequence",
        "MATCH (g:Gene) WHERE g.id = '(x:Nothing) g.nothing' RETURN g.id // (x:Nothing)",
        "MATCH (g:Gene {id: $nothing}) /* g.nothing */ RETURN g.id",
        "MATCH p = (a:Term)-[:IS_A*1..3]->(b:Term) RETURN b.name, length(p)",
        "MATCH (g:Gene) WITH g.id AS g RETURN g.anything",
        "MATCH (e:Experiment) RETURN e.values[0], toUpper(e.unit), 1.5e3",
        "MATCH (g:!Gene) RETURN g.anything",
        "MATCH (g:Gene) WHERE any(g IN [1] WHERE g.anything = 1) RETURN g",
    ],
)
def test_what_may_be_right_passes(cypher):
    Shape.of(cypher)


def test_a_text_that_cannot_be_cut_says_nothing_and_is_left_to_the_engine():
    shape = Shape.of("MATCH (g:Gen) RETURN g.start_pos, 'open", pa.schema([("in_id", "string")]))
    assert shape.type_of("g.start_pos") is None
    assert shape.type_of("in_id") == pa.string()
