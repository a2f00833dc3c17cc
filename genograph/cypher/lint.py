"""The lint warns of what the embedded store and Neo4j answer differently, and says where.

Both engines (Ladybug 0.22, Neo4j 5.26) were asked about every difference, and the tests ask them
again. `docs/cohorts.md` lists these differences, and those that a text does not show.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from genograph.cypher.functions import DIFFERENT, ONLY_EMBEDDED, ONLY_NEO4J
from genograph.cypher.patterns import (
    PathStep,
    read_accesses,
    read_distinct_pairs,
    read_paths,
    within,
)
from genograph.cypher.tokens import CLAUSES, Clause, Statement, Token, ends_operand, is_name
from genograph.schema import graph_schema

# words that the embedded store does not take as the name of a variable or column
_RESERVED = {
    *("ACYCLIC", "ALL", "AND", "ANY", "ASC", "CASE", "CAST", "COLUMN", "DEFAULT", "DESC"),
    *("DISTINCT", "ELSE", "END", "EXISTS", "FALSE", "GROUP", "HINT", "IN", "MACRO", "NONE"),
    *("NOT", "NULL", "ON", "ONLY", "OPTIONAL", "OR", "ORDER", "SHORTEST", "SINGLE"),
    *("STARTS", "TABLE", "THEN", "TRAIL", "TRUE", "UNION", "WHEN", "WHERE", "WITH", "XOR"),
}
_ACYCLIC = frozenset({"IS_A", "PART_OF"})
_LONGEST = 30
# every relationship of a MATCH is compared with every other one
_COMPARED = 200
_COMPARISONS = frozenset({"=", "<>", "<", ">", "<=", ">="})


class Warned(NamedTuple):
    """A warning about one place of a query; line and column are 1-based."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """Return place and message."""
        return f"line {self.line}, column {self.column}: {self.message}"


def lint(statement: Statement) -> tuple[Warned, ...]:
    """Warn of all that the two engines answer differently, in the order of the text."""
    found = [
        *_check_functions(statement.tokens),
        *_check_lists(statement.tokens),
        *_check_names(statement.tokens),
        *_check_expressions(statement.tokens),
        *_check_orders(statement.clauses),
        *_check_patterns(statement.clauses),
        *_check_filters(statement.clauses),
    ]
    return tuple(sorted(set(found)))


def _warn(token: Token, message: str) -> Warned:
    return Warned(token.line, token.column, message)


def _check_functions(tokens: tuple[Token, ...]) -> Iterator[Warned]:
    for i, (token, following) in enumerate(pairwise(tokens)):
        if token.kind != "word" or following.text != "(" or is_name(tokens, i):
            continue
        if token.key in DIFFERENT:
            yield _warn(token, f"{token.text} {DIFFERENT[token.key]}")
        elif token.key in ONLY_NEO4J:
            yield _warn(token, f"{token.text} is a function of Neo4j only")
        elif token.key in ONLY_EMBEDDED:
            yield _warn(token, f"{token.text} is a function of the embedded store only")
        elif token.key in ("ALL", "ANY", "NONE", "SINGLE"):
            for inner in within(tokens, i + 1):
                if inner.kind == "parameter":
                    yield _warn(
                        inner,
                        f"{inner.text} inside {token.text}(...) fails on the embedded store; "
                        f"bind it before: WITH {inner.text} AS name",
                    )


def _check_lists(tokens: tuple[Token, ...]) -> Iterator[Warned]:
    for i, token in enumerate(tokens):
        if token.key != "[":
            continue
        inside = within(tokens, i)
        if i and ends_operand(tokens, i - 1):
            slicing = any(t.key in ("..", ":") for t in inside)
            what = "a slice" if slicing else "an index"
            yield _warn(token, f"{what} counts from 1 on the embedded store and from 0 on Neo4j")
        elif len(inside) > 1 and inside[0].kind == "word" and inside[1].key == "IN":
            yield _warn(token, "a list comprehension is for Neo4j only; UNWIND the list")


def _check_names(tokens: tuple[Token, ...]) -> Iterator[Warned]:
    schema = graph_schema()
    exact = {*schema.nodes, *schema.relationships}
    spelled = {name.upper(): name for name in exact}
    for i, token in enumerate(tokens):
        if token.kind != "word" or i == 0:
            continue
        before = tokens[i - 1].key
        named = before == "AS" or (
            before == "(" and i + 1 < len(tokens) and tokens[i + 1].key in (":", ")")
        )
        if named and token.key in _RESERVED:
            yield _warn(
                token, f"{token.text} is a reserved word of the embedded store; choose another name"
            )
        if before in (":", "|") and token.text not in exact and token.key in spelled:
            yield _warn(token, f"{token.text}: Neo4j tells case apart; write {spelled[token.key]}")


def _check_expressions(tokens: tuple[Token, ...]) -> Iterator[Warned]:
    stack: list[str] = []
    compared: list[Token | None] = [None]
    for i, token in enumerate(tokens):
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        if token.key in ("(", "[", "{"):
            if token.key == "{" and not stack and i and ends_operand(tokens, i - 1):
                yield from _check_braces(tokens, i)
            stack.append(token.key)
            compared.append(None)
        elif token.key in (")", "]", "}"):
            stack.pop()
            compared.pop()
        elif token.key in _COMPARISONS:
            if compared[-1] is not None:
                yield _warn(token, "a chain of comparisons is for Neo4j only; join two by AND")
            compared[-1] = token
        elif token.key == "," or (
            token.kind == "word"
            and token.key in {*CLAUSES, "AND", "OR", "XOR", "NOT", "THEN", "ELSE"}
            and not is_name(tokens, i)
        ):
            compared[-1] = None
        if token.key == "||":
            yield _warn(token, "|| is for Neo4j only; join strings by +")
        if token.key == "+" and following is not None and i:
            around = (following.kind, tokens[i - 1].kind)
            if "string" in around:
                yield _warn(
                    token,
                    "a null added to a string counts as empty on the embedded store and gives null "
                    "on Neo4j; use coalesce",
                )
        if token.key == "CONTAINS" and following is not None and len(following.text) == 2:
            yield _warn(token, "CONTAINS '' is false on the embedded store and true on Neo4j")
        if token.key == ":" and following is not None:
            yield from _check_labels(tokens, i, stack)


def _check_braces(tokens: Sequence[Token], i: int) -> Iterator[Warned]:
    """Warn of braces outside of a pattern: subqueries and map projections."""
    before, following = tokens[i - 1], tokens[i + 1]
    if before.key == "COLLECT":
        yield _warn(before, "COLLECT { } is for Neo4j only; use collect in a WITH")
    elif before.key in ("EXISTS", "COUNT"):
        if following.key != "MATCH":
            yield _warn(following, f"{before.text} {{ }} needs MATCH on the embedded store")
    elif before.kind == "word":
        yield _warn(tokens[i], "a map projection is for Neo4j only")


def _check_labels(tokens: tuple[Token, ...], i: int, stack: Sequence[str]) -> Iterator[Warned]:
    if not stack and ends_operand(tokens, i - 1):
        yield _warn(tokens[i], "a label as a predicate is for Neo4j only; put it in the MATCH")
    if tokens[i - 1].key == "|":
        yield _warn(tokens[i], "|: is refused by Neo4j; write | alone")
    if stack and stack[-1] == "(" and i >= 2 and tokens[i - 2].key == ":":
        yield _warn(tokens[i], "two labels mean either on the embedded store and both on Neo4j")


def _check_orders(clauses: Sequence[Clause]) -> Iterator[Warned]:
    variables = {
        inside.text
        for clause in clauses
        if clause.keyword.endswith("MATCH")
        for part in read_paths(clause)
        for inside in part.variables
    }
    for i, clause in enumerate(clauses):
        if clause.keyword not in ("WITH", "RETURN"):
            continue
        tail = []
        for later in clauses[i + 1 :]:
            if later.keyword not in ("ORDER BY", "SKIP", "LIMIT"):
                break
            tail.append(later)
        words = [later.keyword for later in tail]
        if "ORDER BY" in words:
            if clause.keyword == "WITH" and len(words) == 1:
                yield _warn(
                    tail[0].tokens[0],
                    "ORDER BY after WITH needs SKIP or LIMIT on the embedded store",
                )
            for j, token in enumerate(clause.tokens[:-1]):
                alias = clause.tokens[j + 1]
                same = alias.text in variables and not _keeps_name(clause.tokens, j)
                if token.key == "AS" and same:
                    yield _warn(
                        alias,
                        f"the alias {alias.text} is also a variable, which ORDER BY takes for "
                        f"one or the other; choose another alias",
                    )
        elif words:
            yield _warn(
                tail[0].tokens[0],
                f"{words[0]} without ORDER BY takes any rows, on each store others",
            )


def _keeps_name(tokens: Sequence[Token], j: int) -> bool:
    """Whether AS keeps the name of a variable: WITH g AS g."""
    return tokens[j - 1].text == tokens[j + 1].text and tokens[j - 2].key in ("WITH", ",", "RETURN")


def _check_patterns(clauses: Sequence[Clause]) -> Iterator[Warned]:
    for i, clause in enumerate(clauses):
        if not clause.keyword.endswith("MATCH"):
            continue
        where = clauses[i + 1] if i + 1 < len(clauses) else None
        apart = read_distinct_pairs(where) if where and where.keyword == "WHERE" else frozenset()
        parts = read_paths(clause)
        steps = [step for part in parts for step in part.steps]
        for step in steps:
            yield from _check_length(step)
        if len(steps) > _COMPARED or len(parts) > _COMPARED:
            yield _warn(
                clause.tokens[0],
                f"more than {_COMPARED} relationships in one MATCH: they are not compared",
            )
            continue
        for one, two in combinations(steps, 2):
            if _may_be_one(one, two, apart):
                shared = " or ".join(sorted(one.types & two.types or one.types | two.types))
                yield _warn(
                    two.token,
                    f"{shared or 'a relationship'} twice in one MATCH: the embedded store may take "
                    f"one relationship for both, Neo4j does not; add WHERE a.id < b.id, or use two "
                    f"MATCH",
                )
        bound = {t.text for c in clauses[:i] for t in c.tokens if t.kind == "word"}
        named = [{t.text for t in part.variables} for part in parts]
        for (one_names, _), (two_names, right) in combinations(zip(named, parts, strict=True), 2):
            if not one_names & two_names and not (one_names | two_names) & bound:
                yield _warn(
                    right.variables[0] if right.variables else clause.tokens[0],
                    "two unconnected patterns in one MATCH are slow on the embedded store; use two "
                    "MATCH clauses",
                )


def _check_filters(clauses: Sequence[Clause]) -> Iterator[Warned]:
    """Warn of a predicate on a relationship where the pattern goes on before the next WITH.

    Ladybug 0.22 applies them to the wrong rows where a node has more than 2,048 such relationships.
    """
    steps: list[PathStep] = []
    used: set[str] = set()
    for clause in clauses:
        if clause.keyword.endswith("MATCH"):
            steps += [step for part in read_paths(clause) for step in part.steps]
        elif clause.keyword == "WHERE":
            used |= {access.variable for access in read_accesses(clause.tokens)}
        else:
            for step in steps[:_COMPARED]:
                ends = {step.source, step.target}
                goes_on = any(ends & {s.source, s.target} for s in steps if s is not step)
                if (step.mapped or step.name in used) and goes_on:
                    what = " or ".join(sorted(step.types)) or "a relationship"
                    yield _warn(
                        step.token,
                        f"a predicate on {what}, where the pattern goes on: the embedded store "
                        f"answers wrongly for a node with more than 2,048 of them; put WITH "
                        f"between: MATCH ... WITH * WHERE ... MATCH",
                    )
            steps, used = [], set()


def _check_length(step: PathStep) -> Iterator[Warned]:
    """Warn of what differs in a relationship of variable length."""
    if not step.star:
        return
    numbers = [int(t.text) for t in step.star if t.kind == "number" and t.text.isdigit()]
    dots = [n for n, t in enumerate(step.star) if t.key == ".."]
    open_end = (not numbers) or (bool(dots) and step.star[-1].key == "..")
    if open_end:
        yield _warn(
            step.star[0],
            f"without an upper bound the embedded store stops at {_LONGEST}; write one, at most "
            f"{_LONGEST}",
        )
    elif numbers[-1] > _LONGEST:
        yield _warn(step.star[0], f"the embedded store goes {_LONGEST} steps at most")
    if not step.directed or not step.types or not step.types <= _ACYCLIC:
        yield _warn(
            step.star[0],
            "on the embedded store a path may take a relationship twice, on Neo4j not; counts of "
            "paths differ, RETURN DISTINCT nodes do not",
        )


def _may_be_one(one: PathStep, two: PathStep, apart: frozenset[frozenset[str]]) -> bool:
    """Whether two relationships of a MATCH could be the same one."""
    if one.types and two.types and not one.types & two.types:
        return False
    ends = [{one.source, two.source}, {one.target, two.target}]
    if one.directed and two.directed:
        if one.target == two.source or two.target == one.source:
            return False
        return not any(frozenset(pair) in apart for pair in ends)
    others = [{a, b} for a in (one.source, one.target) for b in (two.source, two.target)]
    return not any(frozenset(pair) in apart for pair in others if len(pair) == 2)
