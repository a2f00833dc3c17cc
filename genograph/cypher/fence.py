"""The fence lets one reading statement through and refuses anything else.

Every word in a place where a clause may begin must be on the list of clauses. The engine's own read
mode stops writes as well; the fence gives the clear message, and also stops what read mode lets
through (LOAD CSV, procedures, two statements).
"""

from collections.abc import Mapping, Sequence

from genograph.cypher.functions import FUNCTIONS, OF_GRAPH
from genograph.cypher.growth import check_growth
from genograph.cypher.patterns import find_matched_names, plain_name
from genograph.cypher.tokens import (
    CLAUSES,
    Clause,
    Statement,
    Token,
    cut,
    ends_operand,
    is_name,
)
from genograph.errors import CohortError
from genograph.tables import Value

ALLOWED = "MATCH, OPTIONAL MATCH, WHERE, WITH, UNWIND, RETURN, ORDER BY, SKIP, LIMIT, UNION"
_START = {"MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN"}
_INFIX = {
    *("AND", "OR", "XOR", "IN", "IS", "STARTS", "ENDS", "CONTAINS", "AS", "NOT"),
    *("WHEN", "THEN", "ELSE", "END", "ASC", "DESC", "ASCENDING", "DESCENDING", "BY"),
}
_WRITES = {
    *("CREATE", "MERGE", "DELETE", "DETACH", "SET", "REMOVE", "INSERT", "FOREACH", "DROP"),
    *("ALTER", "COPY", "RENAME", "GRANT", "DENY", "REVOKE", "NEXTVAL", "SETVAL"),
}
_OTHER = {
    *("CALL", "YIELD", "LOAD", "EXPORT", "IMPORT", "USE", "INSTALL", "UNINSTALL", "ATTACH"),
    *("BEGIN", "COMMIT", "ROLLBACK", "CHECKPOINT", "PROFILE", "EXPLAIN", "CYPHER", "SHOW"),
    "TERMINATE",
}
# before a bracket these are words of the language, not functions
_WORDS = {
    *("MATCH", "WHERE", "WITH", "UNWIND", "RETURN", "BY", "SKIP", "LIMIT", "UNION", "DISTINCT"),
    *("AND", "OR", "XOR", "NOT", "IN", "STARTS", "ENDS", "CONTAINS", "CASE", "WHEN", "THEN"),
    *("ELSE", "AS", "OPTIONAL", "ORDER"),
}
TAKEN = frozenset({"store", "cypher", "timeout", "limit_rows", "rows", "path", "self", "cls"})
"""Names that a $parameter cannot have: functions that pass parameters on have arguments of them."""
DEEPEST = 50
LONGEST = 20_000


def fence(cypher: str) -> Statement:
    """Return the query as a statement, if it is a single one that only reads.

    Raises:
        CohortError: the query is anything else; the message has the word and its place.
    """
    if len(cypher) > LONGEST:
        msg = (
            f"the query has {len(cypher):,} characters, wanted {LONGEST:,} at most; use parameters"
        )
        raise CohortError(msg)
    tokens, text = cut(cypher)
    if not tokens:
        msg = "the query is empty"
        raise CohortError(msg)
    if tokens[0].kind != "word":
        _refuse(tokens[0], f"cannot begin a query; the clauses are {ALLOWED}")
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else None
        if token.kind == "quoted" and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            _refuse(token, "a function cannot be called by a quoted name")
        if token.kind != "word":
            continue
        if is_name(tokens, i):
            if before and before.text == "." and i + 1 < len(tokens) and tokens[i + 1].text == "(":
                _refuse(token, "functions of a namespace are not for cohort queries")
            continue
        if i + 1 < len(tokens) and tokens[i + 1].text == "(":
            _check_function(tokens[i])
        if token.key in _WRITES:
            _refuse(token, "a query only reads; quote it with backticks if it is a name")
        if token.key in _OTHER:
            _refuse(token, f"is not for queries; the clauses are {ALLOWED}")
        begins = before is None or before.key == "UNION" or _stand_at(tokens, i - 2, "UNION", "ALL")
        if begins and token.key not in _START and (token.key != "ALL" or before is None):
            _refuse(token, f"cannot begin a query; the clauses are {ALLOWED}")
        if (
            before is not None
            and ends_operand(tokens, i - 1)
            and token.key not in _INFIX
            and token.key not in CLAUSES
            and token.key != "UNION"
        ):
            _refuse(token, f"is not a clause of a query; the clauses are {ALLOWED}")
    statement = Statement(text, tokens)
    _check_brackets(tokens)
    _check_graph_functions(tokens)
    _check_clauses(statement.clauses, tokens[0])
    return statement


def check_parameters(statement: Statement, parameters: Mapping[str, Value]) -> None:
    """Refuse a query whose $parameters are not the given ones, or make a value too large.

    Raises:
        CohortError: naming those that are missing or not used, or the place.
    """
    missing = sorted(statement.parameters - set(parameters))
    unused = sorted(set(parameters) - statement.parameters)
    if missing:
        msg = f"the query's parameter ${missing[0]} has no value; give {missing[0]}=..."
        raise CohortError(msg)
    if unused:
        names = ", ".join(f"${n}" for n in sorted(statement.parameters)) or "none"
        msg = f"the query does not use the parameter {unused[0]}; it has {names}"
        raise CohortError(msg)
    check_growth(statement.tokens, parameters)


def _refuse(token: Token, reason: str) -> None:
    msg = f"{token.place}: {token.text}: {reason}"
    raise CohortError(msg)


def _stand_at(tokens: Sequence[Token], i: int, first: str, second: str) -> bool:
    return i >= 0 and tokens[i].key == first and tokens[i + 1].key == second


def _check_function(token: Token) -> None:
    """Refuse a function that is not listed."""
    if token.key in _WORDS or token.key in _WRITES or token.key in _OTHER:
        return
    if token.key not in FUNCTIONS:
        _refuse(token, "is not a function for queries; docs/cohorts.md lists them")


def _check_graph_functions(tokens: tuple[Token, ...]) -> None:
    """Refuse functions of nodes and paths for anything but a variable of a pattern.

    The embedded engine ends the whole process at nodes(null), so no value may reach them.
    """
    matched = find_matched_names(tokens)
    for i, token in enumerate(tokens[:-1]):
        if token.key not in OF_GRAPH or tokens[i + 1].text != "(" or is_name(tokens, i):
            continue
        inside = tokens[i + 2 : i + 4]
        if len(inside) < 2 or inside[1].text != ")" or plain_name(inside[0]) not in matched:
            _refuse(token, "takes one variable that MATCH binds and nothing binds again")


def _innermost(stack: Sequence[Token]) -> str:
    return stack[-1].text if stack else ""


def _check_brackets(tokens: tuple[Token, ...]) -> None:
    closing = {"(": ")", "[": "]", "{": "}"}
    stack: list[Token] = []
    for i, token in enumerate(tokens):
        if token.kind == "parameter":
            if token.text[1:] in TAKEN or token.text.endswith("__"):
                _refuse(token, "the name is taken; choose another for the parameter")
            named = i and tokens[i - 1].text in (":", "|", "&", "!") and _innermost(stack) != "{"
            if named or (i + 1 < len(tokens) and tokens[i + 1].text == "("):
                _refuse(token, "a label, type or function is never a parameter")
        if token.text in closing and token.kind == "sign":
            stack.append(token)
            if len(stack) > DEEPEST:
                _refuse(token, f"is nested more than {DEEPEST} deep")
        elif token.kind == "sign" and token.text in closing.values():
            opened = stack.pop().text if stack else ""
            if closing.get(opened) != token.text:
                _refuse(token, "closes nothing")
    if stack:
        _refuse(stack[-1], "is never closed")
    cases = [token for token in tokens if token.key == "CASE"]
    if len(cases) > DEEPEST:
        _refuse(cases[DEEPEST], f"stands more than {DEEPEST} times")


def _check_clauses(clauses: tuple[Clause, ...], first: Token) -> None:
    branch_returns = False
    for clause in clauses:
        if len(clause.tokens) == len(clause.keyword.split()) and "UNION" not in clause.keyword:
            _refuse(clause.tokens[-1], "is followed by nothing")
        if clause.keyword == "OPTIONAL":
            _refuse(clause.tokens[0], "is followed by MATCH")
        if clause.keyword == "ORDER":
            _refuse(clause.tokens[0], "is followed by BY")
        if clause.keyword.startswith("UNION"):
            if not branch_returns:
                _refuse(clause.tokens[0], "joins two queries that RETURN")
            branch_returns = False
        elif branch_returns and clause.keyword not in ("ORDER BY", "SKIP", "LIMIT"):
            _refuse(clause.tokens[0], "stands after RETURN, which ends a query")
        branch_returns |= clause.keyword == "RETURN"
    if not branch_returns:
        msg = f"{first.place}: the query returns nothing; end it with RETURN"
        raise CohortError(msg)
