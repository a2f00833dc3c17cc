"""Cypher cut into tokens and clauses.

An engine gets the very text that was cut, with its comments blanked out. Text that the two engines
may read in different ways is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import local
from typing import NamedTuple

from genograph.errors import CohortError

CLAUSES = ("MATCH", "OPTIONAL", "WHERE", "WITH", "UNWIND", "RETURN", "ORDER", "SKIP", "LIMIT")
_STARTS = {"MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN"}
_ENDS = {"END", "ASC", "DESC", "ASCENDING", "DESCENDING"}
# where an operand may stand these are keywords, after the words given (none: after any)
_PREFIXES = {
    "NOT": (),
    "DISTINCT": (),
    "CASE": (),
    "WHEN": ("CASE",),
    "BY": ("ORDER",),
    "WITH": ("STARTS", "ENDS"),
    "MATCH": ("OPTIONAL",),
    "ALL": ("UNION",),
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
        """A word in capitals or a sign as it is; empty for any other kind."""
        return self.text.upper() if self.kind in ("word", "sign") else ""

    @property
    def place(self) -> str:
        """The line and column of the token."""
        return f"line {self.line}, column {self.column}"


class Clause(NamedTuple):
    """A clause: its keyword (OPTIONAL MATCH, ORDER BY, UNION ALL ... in full) and its text."""

    keyword: str
    text: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Statement:
    """One reading statement that has passed the fence.

    Attributes:
        text: the query as an engine gets it: comments and the last semicolon are blanked out.
        tokens: the tokens of the query.
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
            if depth or not begins or not is_keyword(self.tokens, i):
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


def cut(cypher: str) -> tuple[tuple[Token, ...], str]:
    """Cut a query into tokens; return them, and the text without comments and last semicolon.

    Raises:
        CohortError: some text is no token, or the two engines may read it in different ways.
    """
    cypher = cypher.replace("\r\n", "\n")
    # engines resolve \uXXXX before they look for the end of a string, so it could end one
    for match in re.finditer(r"\\[uU]|[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]", cypher):
        what = "a unicode escape" if match[0][0] == "\\" else f"the character {match[0]!r}"
        msg = f"{_place(cypher, match.start())}: {what} is refused; write the character itself"
        raise CohortError(msg)
    out: list[Token] = []
    text = list(cypher)
    at, line, begin = 0, 1, 0
    semicolon: Token | None = None
    while at < len(cypher):
        found = _TOKEN.match(cypher, at)
        if found is None or found.lastgroup is None:
            msg = f"{_place(cypher, at)}: {_say_why(cypher, at)}"
            raise CohortError(msg)
        kind, piece = found.lastgroup, found[0]
        token = Token(kind, piece, at, line, at - begin + 1)
        if breaks := piece.count("\n"):
            line, begin = line + breaks, at + piece.rfind("\n") + 1
        at = found.end()
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


def _say_why(text: str, at: int) -> str:
    """Say why no token begins at a place."""
    if text[at] in "'\"`":
        return f"the quote {text[at]} is never closed"
    if text.startswith("/*", at):
        return "the comment is never closed"
    if text[at] == "$":
        return "$ is followed by a parameter's name"
    if text[at].isdigit():
        return "a number runs into a word"
    return f"the character {text[at]!r} stands outside of quotes"


def is_name(tokens: tuple[Token, ...], i: int) -> bool:
    """Whether a word is a property, a label or a relationship type for sure."""
    if i == 0:
        return False
    before = tokens[i - 1]
    if before.text == ".":
        # after a number a dot belongs to it, and the word could begin a clause
        return i >= 2 and tokens[i - 2].kind != "number" and ends_operand(tokens, i - 2)
    return before.text == ":"


def is_keyword(tokens: tuple[Token, ...], i: int) -> bool:
    """Whether a word begins a clause, so that it is no name, alias or part of STARTS WITH."""
    if is_name(tokens, i) or (i and tokens[i - 1].key == "AS"):
        return False
    return _begins(tokens, i) or ends_operand(tokens, i - 1)


def ends_operand(tokens: tuple[Token, ...], i: int) -> bool:
    """Whether an expression, pattern or clause could be complete with this token."""
    # by identity: to hash the tokens again for each of them would take the square of their number
    if _LAST.tokens is not tokens:
        _LAST.tokens, _LAST.complete = tokens, _complete(tokens)
    return _LAST.complete[i]


class _Last(local):
    """The last tokens of a thread that `ends_operand` looked at, and their `_complete`."""

    tokens: tuple[Token, ...] = ()
    complete: Sequence[bool] = ()


_LAST = _Last()


def _complete(tokens: tuple[Token, ...]) -> list[bool]:
    out: list[bool] = []
    for i, token in enumerate(tokens):
        before = tokens[i - 1].key if i else ""
        if token.kind != "word":
            star = token.text == "*" and before in ("RETURN", "WITH", "DISTINCT")
            out.append(star or token.kind != "sign" or token.text in (")", "]", "}"))
        elif before in (":", "AS") or (
            before == "." and i >= 2 and out[i - 2] and tokens[i - 2].kind != "number"
        ):
            out.append(True)
        elif i and out[-1]:
            # after an operand only an operator or a clause can follow
            out.append(token.key in _ENDS)
        elif token.key in _PREFIXES and (
            not _PREFIXES[token.key] or before in _PREFIXES[token.key]
        ):
            out.append(False)
        else:
            out.append(not (token.key in _STARTS and _begins(tokens, i)))
    return out


def _begins(tokens: tuple[Token, ...], i: int) -> bool:
    """Whether a query, a branch of a UNION or a subquery begins here."""
    if i == 0:
        return True
    before = tokens[i - 1].key
    union_all = before == "ALL" and i >= 2 and tokens[i - 2].key == "UNION"
    subquery = before == "{" and not (i + 1 < len(tokens) and tokens[i + 1].key == ":")
    return before in ("UNION", "OPTIONAL") or union_all or subquery
