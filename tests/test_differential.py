"""Both engines answer drawn queries as pandas does: see the folder differential."""

import pytest
from differential.compare import compare, draw_queries

from genograph.cypher import fence, lint

QUERIES = 2_000
SEED = 11


def told(found):
    return "\n".join(map(str, found[:5]))


def test_drawn_queries_pass_the_fence_and_the_lint_and_are_repeated_by_their_seed():
    _, queries = draw_queries(24, SEED, each=2)
    again = draw_queries(24, SEED, each=2)[1]
    assert [q.text for q in queries] == [q.text for q in again]
    assert all(lint(fence(q.text)) == () for q in queries)
    # an answer of nothing would be right by chance
    assert sum(q.rows not in ([], [(0,)]) for q in queries) > 8


@pytest.mark.slow
def test_the_embedded_store_answers_as_pandas_does(tmp_path):
    found = compare(str(tmp_path / "graph.db"), *draw_queries(QUERIES, SEED, each=8))
    assert found == [], told(found)


@pytest.mark.slow
def test_neo4j_answers_as_pandas_does(neo4j):
    # it plans a shape once, which takes most of the time
    # it plans each shape, which takes most of the time: more of them by hand
    found = compare(neo4j, *draw_queries(QUERIES // 5, SEED, each=20), jobs=2)
    assert found == [], told(found)


@pytest.mark.slow
def test_a_wrong_answer_is_noticed(tmp_path):
    tables, queries = draw_queries(20, SEED)
    wrong = [q for q in queries if q.rows][:3]
    assert len(compare(str(tmp_path / "graph.db"), tables, [
        type(q)(q.text, q.parameters, q.rows[:-1], q.ordered) for q in wrong
    ])) == len(wrong)  # fmt: skip
