"""User Cypher: the fence that lets one reading statement through, and the parts it is made of.

A query is cut into tokens, comments fall away, and every word that stands where a clause could
begin must be on the list. What is sent to the engine is the text that was checked. That a query
reads only is also up to the engine's own read mode; this fence gives the clear message, and stops
what read mode lets through (LOAD CSV, procedures, two statements).
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pyarrow as pa

from genograph.errors import CohortError
from genograph.store import Store, Value

LOG = logging.getLogger("genograph")

CLAUSES = ("MATCH", "OPTIONAL", "WHERE", "WITH", "UNWIND", "RETURN", "ORDER", "SKIP", "LIMIT")
ALLOWED = "MATCH, OPTIONAL MATCH, WHERE, WITH, UNWIND, RETURN, ORDER BY, SKIP, LIMIT, UNION"
_START = {"MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN"}
_INFIX = {
    *("AND", "OR", "XOR", "IN", "IS", "STARTS", "ENDS", "CONTAINS", "AS", "NOT"),
    *("WHEN", "THEN", "ELSE", "END", "ASC", "DESC", "ASCENDING", "DESCENDING", "BY"),
}
# words after which an operand has still to come
_OPEN = {
    *("MATCH", "OPTIONAL", "WHERE", "WITH", "UNWIND", "RETURN", "SKIP", "LIMIT", "BY", "UNION"),
    *("AND", "OR", "XOR", "NOT", "IN", "IS", "STARTS", "ENDS", "CONTAINS", "AS", "DISTINCT"),
    *("CASE", "WHEN", "THEN", "ELSE", "ORDER"),
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
_ESCAPES = frozenset("\\'\"bfnrt")
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<string>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<quoted>`(?:[^`]|``)+`)"
    r"|(?P<parameter>\$[A-Za-z_]\w*)"
    r"|(?P<number>(?:\d+\.(?!\.)\d+|\d+|\.\d+)(?:[eE][+-]?\d+)?(?![\w]))"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>\.\.|<=|>=|<>|=~|->|<-|\|\||[-+*/%^=<>()\[\]{},.:|!&;])",
    re.ASCII | re.DOTALL,
)


class Token(NamedTuple):
    """A piece of a query: `kind` string, quoted, parameter, number, word or sign; 1-based place."""

    kind: str
    text: str
    start: int
    line: int
    column: int

    @property
    def key(self) -> str:
        """The word in capitals, a sign as it is, nothing for what is quoted."""
        return self.text.upper() if self.kind in ("word", "sign") else ""

    @property
    def place(self) -> str:
        """Where the token stands."""
        return f"line {self.line}, column {self.column}"


class Clause(NamedTuple):
    """A clause: its keyword (OPTIONAL MATCH, ORDER BY, UNION ALL ... in full) and its text."""

    keyword: str
    text: str
    tokens: tuple[Token, ...]


class Warned(NamedTuple):
    """What a lint says of one place of a query, 1-based."""

    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """Return place and message."""
        return f"line {self.line}, column {self.column}: {self.message}"


@dataclass(frozen=True)
class Statement:
    """One reading statement that has passed the fence.

    Attributes:
        text: what is sent: the query with comments and the last semicolon blanked out.
        tokens: its tokens.
    """

    text: str
    tokens: tuple[Token, ...]

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The names of the $parameters."""
        return frozenset(t.text[1:] for t in self.tokens if t.kind == "parameter")

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The clauses of the statement itself, not those of its subqueries."""
        starts: list[int] = []
        depth = 0
        for i, token in enumerate(self.tokens):
            depth += (token.key in ("(", "[", "{")) - (token.key in (")", "]", "}"))
            begins = token.key in CLAUSES or token.key == "UNION"
            if depth or not begins or not _is_keyword(self.tokens, i):
                continue
            if starts and self.tokens[starts[-1]].key == "OPTIONAL" and token.key == "MATCH":
                continue
            starts.append(i)
        ends = [*starts[1:], len(self.tokens)]
        out = []
        for first, last in zip(starts, ends, strict=True):
            tokens = self.tokens[first:last]
            stop = tokens[-1].start + len(tokens[-1].text)
            keyword = tokens[0].key
            second = tokens[1].key if len(tokens) > 1 else ""
            if (keyword, second) in (("OPTIONAL", "MATCH"), ("ORDER", "BY"), ("UNION", "ALL")):
                keyword = f"{keyword} {second}"
            out.append(Clause(keyword, self.text[tokens[0].start : stop], tokens))
        return tuple(out)


def fence(cypher: str) -> Statement:
    """The statement, where it is one and only reads.

    Raises:
        CohortError: it is anything else; the message has the word and its place.
    """
    tokens, text = _tokens(cypher)
    if not tokens:
        msg = "the query is empty"
        raise CohortError(msg)
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else None
        if token.kind == "quoted" and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            _refuse(token, "a function cannot be called by a quoted name")
        if token.kind != "word":
            continue
        if _is_name(tokens, i):
            if before and before.text == "." and i + 1 < len(tokens) and tokens[i + 1].text == "(":
                _refuse(token, "functions of a namespace are not for cohort queries")
            continue
        if token.key in _WRITES:
            _refuse(token, "a query only reads; quote it with backticks if it is a name")
        if token.key in _OTHER:
            _refuse(token, f"is not for queries; the clauses are {ALLOWED}")
        begins = before is None or before.key == "UNION" or _pair(tokens, i - 2, "UNION", "ALL")
        if begins and token.key not in _START and token.key != "ALL":
            _refuse(token, f"cannot begin a query; the clauses are {ALLOWED}")
        if (
            before is not None
            and _ends_operand(tokens, i - 1)
            and token.key not in _INFIX
            and token.key not in CLAUSES
            and token.key != "UNION"
        ):
            _refuse(token, f"is no clause of a query; the clauses are {ALLOWED}")
    statement = Statement(text, tokens)
    _check_brackets(tokens)
    _check_clauses(statement.clauses, tokens[0])
    return statement


def run_query(
    store: Store, cypher: str, *, timeout: float | None = 60.0, **parameters: Value
) -> pa.Table:
    """Run a reading query of a user and return its rows; what the lint says goes to the log.

    `timeout` is in seconds.

    Raises:
        CohortError: the fence refuses the query, or a parameter is missing or not used.
        StoreError: the database refuses it or it ran out of time.
    """
    statement = fence(cypher)
    check_parameters(statement, parameters)
    for warned in lint(statement):
        LOG.warning("%s", warned)
    return store.query(statement.text, timeout=timeout, **parameters)


def check_parameters(statement: Statement, parameters: Mapping[str, Value]) -> None:
    """Refuse a query whose $parameters are not the given ones.

    Raises:
        CohortError: naming those that are missing or not used.
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


def predicates(where: Clause) -> tuple[str, ...]:
    """The predicates that a WHERE clause joins by AND; the whole where an OR stands beside."""
    depth = 0
    cuts = [where.tokens[0].start + len("WHERE")]
    for token in where.tokens[1:]:
        depth += (token.key in ("(", "[", "{", "CASE")) - (token.key in (")", "]", "}", "END"))
        if depth == 0 and token.key in ("OR", "XOR"):
            cuts = cuts[:1]
            break
        if depth == 0 and token.key == "AND":
            cuts.append(token.start)
    start = where.tokens[0].start
    cuts = [c - start for c in cuts]
    parts = [where.text[a:b] for a, b in zip(cuts, [*cuts[1:], len(where.text)], strict=True)]
    return tuple(re.sub(r"^AND\b", "", p.strip(), flags=re.IGNORECASE).strip() for p in parts)


def _tokens(cypher: str) -> tuple[tuple[Token, ...], str]:
    """The tokens, and the text with comments and a last semicolon blanked out."""
    cypher = cypher.replace("\r\n", "\n")
    # engines resolve \uXXXX before they look for the end of a string, so it could end one
    for match in re.finditer(r"\\[uU]|[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]", cypher):
        what = "a unicode escape" if match[0][0] == "\\" else f"the character {match[0]!r}"
        msg = f"{_place(cypher, match.start())}: {what} is refused; write the character itself"
        raise CohortError(msg)
    out: list[Token] = []
    text = list(cypher)
    at = 0
    semicolon: Token | None = None
    while at < len(cypher):
        match = _TOKEN.match(cypher, at)
        if match is None or match.lastgroup is None:
            msg = f"{_place(cypher, at)}: {_wrong(cypher, at)}"
            raise CohortError(msg)
        kind, piece = match.lastgroup, match[0]
        line = cypher.count("\n", 0, at) + 1
        token = Token(kind, piece, at, line, at - cypher.rfind("\n", 0, at))
        at = match.end()
        if kind == "space":
            continue
        if kind == "comment":
            text[token.start : at] = [c if c == "\n" else " " for c in piece]
            continue
        if semicolon is not None:
            msg = f"{semicolon.place}: two statements; a query is one"
            raise CohortError(msg)
        if piece == ";":
            semicolon = token
            text[token.start] = " "
            continue
        if kind == "string":
            for escape in re.finditer(r"\\(.)", piece, re.DOTALL):
                if escape[1] not in _ESCAPES:
                    msg = (
                        f"{_place(cypher, token.start + escape.start())}: the escape {escape[0]} "
                        f"is refused; the escapes are \\\\ \\' \\\" \\b \\f \\n \\r \\t"
                    )
                    raise CohortError(msg)
        out.append(token)
    return tuple(out), "".join(text).rstrip()


def _place(text: str, at: int) -> str:
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _wrong(text: str, at: int) -> str:
    """Why no token begins at a place."""
    if text[at] in "'\"`":
        return f"the quote {text[at]} is never closed"
    if text.startswith("/*", at):
        return "the comment is never closed"
    if text[at] == "$":
        return "$ is followed by a parameter's name"
    if text[at].isdigit():
        return "a number runs into a word"
    return f"the character {text[at]!r} stands outside of quotes"


def _refuse(token: Token, reason: str) -> None:
    msg = f"{token.place}: {token.text}: {reason}"
    raise CohortError(msg)


def _is_name(tokens: tuple[Token, ...], i: int) -> bool:
    """Whether a word is a property, a label or a relationship type for sure."""
    if i == 0:
        return False
    before = tokens[i - 1]
    if before.text == ".":
        # after a number a dot belongs to it, and the word could begin a clause
        return i >= 2 and tokens[i - 2].kind != "number" and _ends_operand(tokens, i - 2)
    return before.text == ":"


def _is_keyword(tokens: tuple[Token, ...], i: int) -> bool:
    """Whether a clause word begins a clause: no name, alias or half of STARTS WITH."""
    if _is_name(tokens, i):
        return False
    before = tokens[i - 1].key if i else ""
    if tokens[i].key == "WITH" and before in ("STARTS", "ENDS"):
        return False
    return before != "AS"


def _ends_operand(tokens: tuple[Token, ...], i: int) -> bool:
    """Whether an expression, pattern or clause could be complete with this token."""
    token = tokens[i]
    if token.kind in ("string", "quoted", "parameter", "number"):
        return True
    if token.kind == "sign":
        if token.text == "*":
            return i > 0 and tokens[i - 1].key in ("RETURN", "WITH", "DISTINCT")
        return token.text in (")", "]", "}")
    return token.key not in _OPEN or _is_name(tokens, i) or (i > 0 and tokens[i - 1].key == "AS")


def _pair(tokens: tuple[Token, ...], i: int, first: str, second: str) -> bool:
    return i >= 0 and tokens[i].key == first and tokens[i + 1].key == second


def _check_brackets(tokens: tuple[Token, ...]) -> None:
    closing = {"(": ")", "[": "]", "{": "}"}
    stack: list[Token] = []
    for token in tokens:
        if token.text in closing and token.kind == "sign":
            stack.append(token)
        elif token.kind == "sign" and token.text in (")", "]", "}"):
            if not stack or closing[stack.pop().text] != token.text:
                _refuse(token, "closes nothing")
    if stack:
        _refuse(stack[-1], "is never closed")


def _check_clauses(clauses: tuple[Clause, ...], first: Token) -> None:
    branch_returns = False
    for clause in clauses:
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


def lint(statement: Statement) -> Iterator[Warned]:
    """What the two engines would answer differently."""
    yield from ()
