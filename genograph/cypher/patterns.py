"""What a statement's patterns and predicates say: nodes, relationships, variables, labels, aliases.

The fence, the lint, the search for what empties a cohort and the stores' types all read Cypher
here. Tokens that are not well formed are read as far as they go; the fence or an engine refuses
them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from genograph.cypher.tokens import Clause, Token

_OPENING = ("(", "[", "{")
_CLOSING = (")", "]", "}")
_OF_LABELS = ("|", ":", "&", "!", "%")
_VALUES = ("NULL", "TRUE", "FALSE")


def within(tokens: Sequence[Token], opening: int) -> Sequence[Token]:
    """The tokens between a bracket and the bracket that closes it."""
    depth = 0
    for i in range(opening, len(tokens)):
        depth += (tokens[i].key in _OPENING) - (tokens[i].key in _CLOSING)
        if depth == 0:
            return tokens[opening + 1 : i]
    return tokens[opening + 1 :]


@dataclass(frozen=True)
class Element:
    """A node `(name:Label {key: value})` or a relationship `[name:TYPE*1..3 {key: value}]`.

    Attributes:
        bracket: its opening token.
        name: its variable; None without one.
        labels: the names of its label expression, without backticks.
        excludes: whether the expression has ! or %, so that other labels may stand there.
        labelled: whether a label expression begins, well formed or not.
        after: the key of the token behind the variable and the labels: where the brackets hold
            anything but a pattern, that is none of `) ] { *` and WHERE.
        star: the tokens from the star of a variable length on; empty without one.
        keys: the properties that braces state.
        called: whether a name stands before the bracket, which then opens a call or an index.
    """

    bracket: Token
    name: Token | None
    labels: tuple[str, ...]
    excludes: bool
    labelled: bool
    after: str
    star: tuple[Token, ...]
    keys: tuple[str, ...]
    called: bool


def read_element(tokens: Sequence[Token], opening: int) -> Element:
    """Read the brackets that open at a place as a node or a relationship of a pattern."""
    inner = within(tokens, opening)
    at = 0
    name = None
    if inner and inner[0].kind in ("word", "quoted") and inner[0].key not in ("WHERE", *_VALUES):
        name, at = inner[0], 1
    labels: list[str] = []
    excludes = False
    labelled = at < len(inner) and inner[at].key == ":"
    if labelled:
        at += 1
        while at < len(inner) and inner[at].key != "WHERE":
            if inner[at].kind in ("word", "quoted"):
                labels.append(_unquoted(inner[at]))
            elif inner[at].key in _OF_LABELS:
                excludes |= inner[at].key in ("!", "%")
            else:
                break
            at += 1
    closing = opening + len(inner) + 1
    end = tokens[closing].key if closing < len(tokens) else ""
    star = [n for n, token in enumerate(inner) if token.key == "*"]
    brace = next((n for n, token in enumerate(inner) if token.key == "{"), None)
    before = tokens[opening - 1] if opening else None
    return Element(
        tokens[opening],
        name,
        tuple(labels),
        excludes,
        labelled,
        inner[at].key if at < len(inner) else end,
        tuple(inner[star[0] :]) if star else (),
        () if brace is None else tuple(_keys(within(inner, brace))),
        before is not None
        and before.kind in ("word", "quoted")
        and before.key not in ("MATCH", "WHERE", "AND", "OR", "NOT"),
    )


def read_elements(tokens: Sequence[Token]) -> Iterator[Element]:
    """Yield what every round or square bracket holds, read as a node or a relationship."""
    for i, token in enumerate(tokens):
        if token.key in ("(", "["):
            yield read_element(tokens, i)


def _unquoted(token: Token) -> str:
    return token.text.strip("`")


def _keys(inner: Sequence[Token]) -> Iterator[str]:
    """Yield the keys of a map from the tokens within its braces."""
    depth = 0
    for token, following in pairwise(inner):
        depth += (token.key in _OPENING) - (token.key in _CLOSING)
        if depth == 0 and following.key == ":" and token.kind in ("word", "quoted"):
            yield _unquoted(token)


@dataclass(frozen=True)
class PathStep:
    """A relationship of a path.

    Attributes:
        types: its types in capitals; empty for any type.
        source, target: the names of the nodes at its ends.
        directed: whether it has an arrow.
        star: the tokens of its variable length; empty without one.
        token: where it begins.
        name: its variable; empty without one.
        mapped: whether it states properties in braces.
    """

    types: frozenset[str]
    source: str
    target: str
    directed: bool
    star: tuple[Token, ...]
    token: Token
    name: str
    mapped: bool


class Path(NamedTuple):
    """One path of a MATCH: the variables of its nodes, and its relationships."""

    variables: tuple[Token, ...]
    steps: tuple[PathStep, ...]


def read_paths(clause: Clause) -> tuple[Path, ...]:
    """The paths of a MATCH clause; a node without a variable has a name of its own."""
    tokens = clause.tokens
    out, depth, first = [], 0, 1
    for i, token in enumerate(tokens):
        depth += (token.key in _OPENING) - (token.key in _CLOSING)
        if depth == 0 and token.key == "," and i:
            out.append(_path(tokens[first:i]))
            first = i + 1
    out.append(_path(tokens[first:]))
    return tuple(out)


def _path(tokens: Sequence[Token]) -> Path:
    variables: list[Token] = []
    names: list[str] = []
    steps: list[PathStep] = []
    i, leftwards = 0, False
    relationship: Element | None = None
    at: Token | None = None
    while i < len(tokens):
        token = tokens[i]
        if token.key == "(":
            node = read_element(tokens, i)
            names.append(node.name.text if node.name else f"({token.start}")
            variables += [node.name] if node.name else []
            if at is not None and len(names) > 1:
                rightwards = tokens[i - 1].key in ("->", ">")
                ends = (names[-1], names[-2]) if leftwards else (names[-2], names[-1])
                steps.append(_step(relationship, ends, leftwards != rightwards, at))
            leftwards, relationship, at = False, None, None
            i += len(within(tokens, i)) + 2
            continue
        if token.key in ("-", "<-") and at is None:
            leftwards, at = token.key == "<-", token
        elif token.key == "[" and at is not None:
            relationship = read_element(tokens, i)
            i += len(within(tokens, i)) + 2
            continue
        i += 1
    return Path(tuple(variables), tuple(steps))


def _step(element: Element | None, ends: tuple[str, str], directed: bool, at: Token) -> PathStep:
    if element is None:
        return PathStep(frozenset(), *ends, directed, (), at, "", mapped=False)
    labels = () if element.excludes else element.labels
    types = frozenset(label.upper() for label in labels)
    name = element.name.text if element.name else ""
    return PathStep(types, *ends, directed, element.star, at, name, mapped=bool(element.keys))


class Predicate(NamedTuple):
    """A predicate of a WHERE clause: its text, and the names of its $parameters, sorted."""

    text: str
    parameters: tuple[str, ...]


def read_predicates(where: Clause) -> tuple[Predicate, ...]:
    """The predicates that a WHERE clause joins by AND; all of it as one where it has an OR."""
    depth = 0
    cuts = [1]
    for i, token in enumerate(where.tokens[1:], 1):
        depth += (token.key in (*_OPENING, "CASE")) - (token.key in (*_CLOSING, "END"))
        if depth == 0 and token.key in ("OR", "XOR"):
            cuts = cuts[:1]
            break
        if depth == 0 and token.key == "AND":
            cuts.append(i)
    out = []
    for first, last in pairwise([*cuts, len(where.tokens)]):
        tokens = where.tokens[first:last]
        tokens = tokens[1:] if tokens and tokens[0].key == "AND" else tokens
        out.append(Predicate(_text(where, tokens), find_parameters(tokens)))
    return tuple(out)


def _text(clause: Clause, tokens: Sequence[Token]) -> str:
    """The text of some neighbouring tokens of a clause."""
    if not tokens:
        return ""
    start = clause.tokens[0].start
    return clause.text[tokens[0].start - start : tokens[-1].start + len(tokens[-1].text) - start]


def find_parameters(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The names of the $parameters among some tokens, sorted."""
    return tuple(sorted({token.text[1:] for token in tokens if token.kind == "parameter"}))


def read_distinct_pairs(where: Clause) -> frozenset[frozenset[str]]:
    """The pairs of variables that a WHERE clause says to be different: a.id < b.id."""
    found = set()
    texts = [token.text for token in where.tokens]
    for i in range(1, len(texts) - 1):
        if texts[i] in ("<", ">", "<>"):
            left = texts[i - 3] if i >= 3 and texts[i - 2] == "." else texts[i - 1]
            found.add(frozenset({left, texts[i + 1]}))
    return frozenset(found)


class Access(NamedTuple):
    """A property that is read of a variable: `variable.name`."""

    variable: str
    name: str


def read_accesses(tokens: Sequence[Token]) -> Iterator[Access]:
    """Yield every property that is read of a variable; not those of the value of a property."""
    for i in range(1, len(tokens) - 1):
        before, after = tokens[i - 1], tokens[i + 1]
        if tokens[i].text != "." or before.kind != "word" or after.kind != "word":
            continue
        beyond = tokens[i + 2].text if i + 2 < len(tokens) else ""
        inside = i > 1 and tokens[i - 2].text == "."
        if not inside and beyond not in ("(", "."):
            yield Access(before.text, after.text)


class Binding(NamedTuple):
    """A name that AS or IN gives to a value; `carried` where it was that value's name before."""

    name: Token
    carried: bool


def read_bindings(tokens: Sequence[Token]) -> Iterator[Binding]:
    """Yield the names of `... AS name` and `name IN ...`."""
    for i, token in enumerate(tokens):
        if i == 0 or token.kind not in ("word", "quoted"):
            continue
        before = tokens[i - 1].key
        if i + 1 < len(tokens) and tokens[i + 1].key == "IN":
            yield Binding(token, carried=False)
        if before == "AS":
            carried = (
                i > 2
                and plain_name(tokens[i - 2]) == plain_name(token)
                and tokens[i - 3].key in ("WITH", "DISTINCT", ",")
            )
            yield Binding(token, carried)


def plain_name(token: Token) -> str:
    """A name as every engine may compare it: without backticks and case."""
    return _unquoted(token).lower() if token.kind in ("word", "quoted") else ""


def find_matched_names(tokens: Sequence[Token]) -> frozenset[str]:
    """The plain names that stand for nodes, relationships or paths and for nothing else."""
    matched = {
        plain_name(element.name)
        for element in read_elements(tokens)
        if element.name
        and not element.called
        and (element.labelled or element.after in (")", "{", "]", "*"))
    }
    for i in range(1, len(tokens) - 2):
        if tokens[i - 1].key in ("MATCH", ",") and tokens[i + 1].key == "=":
            matched |= {plain_name(tokens[i])} if tokens[i + 2].key == "(" else set()
    again = {plain_name(binding.name) for binding in read_bindings(tokens) if not binding.carried}
    return frozenset(matched - again - {""})


class Alias(NamedTuple):
    """What `... AS name` names: `value` is `variable`, `variable.property` or `*`, else empty.

    `function` is collect, count or size where the value is its argument.
    """

    name: str
    function: str
    value: str


def read_aliases(tokens: Sequence[Token]) -> Iterator[Alias]:
    """Yield every alias of the text, in its order."""
    for i in range(1, len(tokens)):
        if tokens[i].kind != "word" or tokens[i - 1].key != "AS":
            continue
        name, last = tokens[i].text, i - 2
        function, value, before = _value(tokens, last)
        starts = before >= 0 and tokens[before].key in ("WITH", "RETURN", "DISTINCT", ",")
        yield Alias(name, function, value) if starts else Alias(name, "", "")


def _value(tokens: Sequence[Token], last: int) -> tuple[str, str, int]:
    """The function and value that end at a place, and the place before them."""
    if last >= 0 and tokens[last].text == ")":
        first, value = _variable(tokens, last - 1)
        first -= tokens[first].key == "DISTINCT" if first >= 0 else 0
        call = tokens[first - 1] if first >= 1 and tokens[first].text == "(" else None
        if call and call.key in ("COLLECT", "COUNT", "SIZE"):
            return call.text.lower(), value, first - 2
        return "", "", -1
    first, value = _variable(tokens, last)
    return "", value, first


def _variable(tokens: Sequence[Token], last: int) -> tuple[int, str]:
    """The place before a variable or a property that ends at a place, and its text."""
    if last < 0 or (tokens[last].kind not in ("word", "number") and tokens[last].text != "*"):
        return last, ""
    if last >= 2 and tokens[last - 1].text == "." and tokens[last - 2].kind == "word":
        return last - 3, f"{tokens[last - 2].text}.{tokens[last].text}"
    return last - 1, tokens[last].text
