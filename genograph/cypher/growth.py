"""Refuse a query whose values may grow beyond all bounds, before any engine sees it.

A server counts the memory of rows, not that of one value: a text that is doubled forty times ends
it. What a value can grow to is read off the text: each clause makes at most so many copies of the
largest value before it.
"""

from collections.abc import Iterator, Mapping, Sequence

from genograph.cypher.functions import FUNCTIONS
from genograph.cypher.patterns import within
from genograph.cypher.tokens import CLAUSES, Token, is_keyword, is_name
from genograph.errors import CohortError
from genograph.tables import Value

LARGEST = 100_000_000
"""Characters of a text or elements of a list."""
LONGEST_RANGE = 1_000_000
OF_PROPERTY = 10_000
"""What the text or list of a property is taken for."""
_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")
_ADDS = ("+", "||")
_JOINS = (*_ADDS, "[", "{")
"""What makes one value of several; in a pattern brackets do not."""
_BINDS = ("WITH", "UNWIND")
# words of an expression that are no values
_WORDS = frozenset(
    {"AND", "OR", "XOR", "NOT", "IN", "IS", "AS", "CASE", "WHEN", "THEN", "ELSE", "END", "NULL"}
    | {"TRUE", "FALSE", "DISTINCT", "STARTS", "ENDS", "CONTAINS", "BY", "ALL", "COUNT", "EXISTS"}
    | {"ASC", "DESC", "UNION", "COLLECT", *CLAUSES}
)


def check_growth(tokens: tuple[Token, ...], parameters: Mapping[str, Value]) -> None:
    """Refuse a query in which one value may grow larger than LARGEST.

    Raises:
        CohortError: with the place; or a range, a replacement or a list comprehension is not
            among those whose size can be told.
    """
    start = sum(len(token.text) for token in tokens) + OF_PROPERTY
    # a list that a value is looked for in becomes part of none
    joined = {
        t.text[1:] for i, t in enumerate(tokens) if t.kind == "parameter" and not _seeks(tokens, i)
    }
    start += sum(_measure(value) for name, value in parameters.items() if name in joined)
    for i, token in enumerate(tokens[:-1]):
        called = token.kind == "word" and tokens[i + 1].text == "(" and not is_name(tokens, i)
        if called and token.key == "RANGE":
            start += _measure_range(token, within(tokens, i + 1), parameters)
        if token.key == "[":
            _check_comprehension(within(tokens, i))
    size = start
    for segment in _cut_segments(tokens):
        if segment[0].key == "UNION":
            size = start
        grown = size
        signs = _ADDS if segment[0].key in ("MATCH", "OPTIONAL", "WHERE") else _JOINS
        for item in _cut_items(segment):
            copies = _count_copies(item, signs) * _count_replaced(item, parameters)
            if copies > 1 or any(token.key in signs for token in item):
                grown = max(grown, copies * size + sum(len(token.text) for token in item))
        if grown > max(LARGEST, size):
            msg = (
                f"{segment[0].place}: {segment[0].text}: a value may grow to more than "
                f"{LARGEST:,} characters or elements here; join fewer values"
            )
            raise CohortError(msg)
        if segment[0].key in _BINDS:
            size = grown


def _seeks(tokens: Sequence[Token], i: int) -> bool:
    return i > 0 and tokens[i - 1].key == "IN"


def _measure(value: Value) -> int:
    """The characters of a text, or of all texts of a list; one for a number."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Sequence):
        return sum(map(_measure, value))
    return 1


def _measure_range(token: Token, inner: Sequence[Token], parameters: Mapping[str, Value]) -> int:
    """How many numbers a range has; OF_PROPERTY where it counts the elements of a list."""
    ends = list(_cut_items(inner))
    numbers = [_read_number(end, parameters) for end in ends]
    sized = [n is None and _is_size(end) for n, end in zip(numbers, ends, strict=True)]
    if any(n is None and not s for n, s in zip(numbers, sized, strict=True)):
        msg = f"{token.place}: {token.text}: counts between numbers, $parameters and size(...) only"
        raise CohortError(msg)
    if len(numbers) < 2 or any(sized):
        # a list is as long as it is, and nothing of it is repeated
        return OF_PROPERTY
    first, last, *step = (n for n in numbers if n is not None)
    n = abs(last - first) // max(1, abs(step[0]) if step else 1) + 1
    if n > LONGEST_RANGE:
        msg = f"{token.place}: {token.text}: has {n:,} numbers, wanted {LONGEST_RANGE:,} at most"
        raise CohortError(msg)
    return n


def _read_number(tokens: Sequence[Token], parameters: Mapping[str, Value]) -> int | None:
    """A whole number or the value of a parameter, with a sign or without; else None."""
    sign = -1 if tokens and tokens[0].key == "-" else 1
    rest = tokens[1:] if sign < 0 else tokens
    if len(rest) != 1:
        return None
    if rest[0].kind == "parameter":
        value = parameters.get(rest[0].text[1:])
        # an engine refuses what is no number
        return sign * int(value) if isinstance(value, int | float) else 0
    return sign * int(rest[0].text) if rest[0].text.isdecimal() else None


def _is_size(tokens: Sequence[Token]) -> bool:
    """Whether this is size(...) or length(...), and perhaps a number added or subtracted."""
    if len(tokens) < 3 or tokens[0].key not in ("SIZE", "LENGTH") or tokens[1].key != "(":
        return False
    rest = tokens[len(within(tokens, 1)) + 3 :]
    small = len(rest) == 2 and rest[0].key in ("+", "-") and len(rest[1].text) < 5
    return not rest or (small and rest[1].kind == "number")


def _check_comprehension(inner: Sequence[Token]) -> None:
    """Refuse `[x IN xs | ...]` that puts anything but what it makes of x into the new list."""
    if len(inner) < 2 or inner[1].key != "IN" or inner[0].kind not in ("word", "quoted"):
        return
    depth = 0
    for i, token in enumerate(inner):
        depth += (token.key in _OPENING) - (token.key in _CLOSING)
        if depth == 0 and token.key == "|":
            body = tuple(inner[i + 1 :])
            other = next((t for t in _find_names(body) if t.text != inner[0].text), None)
            other = other or next((t for t in body if t.key == "[" or t.kind == "parameter"), None)
            long = next((t for t in body if t.kind == "string" and len(t.text) > 30), None)
            if other or long:
                wrong = other or long
                assert wrong is not None
                msg = (
                    f"{wrong.place}: {wrong.text}: a list comprehension puts only {inner[0].text} "
                    f"and short texts into its list; UNWIND the list"
                )
                raise CohortError(msg)


def _cut_segments(tokens: tuple[Token, ...]) -> Iterator[tuple[Token, ...]]:
    """Yield the clauses, those of subqueries as well, one after the other."""
    starts = [
        i
        for i, token in enumerate(tokens)
        if (token.key in CLAUSES or token.key == "UNION") and is_keyword(tokens, i)
    ]
    for first, last in zip(starts, [*starts[1:], len(tokens)], strict=True):
        yield tokens[first:last]


def _cut_items(tokens: Sequence[Token]) -> Iterator[tuple[Token, ...]]:
    """Yield what stands between the commas, not those within brackets."""
    depth, first = 0, 0
    for i, token in enumerate(tokens):
        depth += (token.key in _OPENING) - (token.key in _CLOSING)
        if depth == 0 and token.key == ",":
            yield tuple(tokens[first:i])
            first = i + 1
    yield tuple(tokens[first:])


def _find_names(tokens: tuple[Token, ...]) -> Iterator[Token]:
    """Yield the names that stand for a value."""
    for i, token in enumerate(tokens):
        if token.kind not in ("word", "quoted") or (token.kind == "word" and is_name(tokens, i)):
            continue
        called = i + 1 < len(tokens) and tokens[i + 1].text == "(" and token.key in FUNCTIONS
        if called or token.key in _WORDS or (i and tokens[i - 1].key == "AS"):
            continue
        yield token


def _count_copies(item: tuple[Token, ...], signs: tuple[str, ...]) -> int:
    """How many values an item may join into one by these signs."""
    if not any(token.key in signs for token in item):
        return 1
    put = sum(t.kind == "parameter" and not _seeks(item, i) for i, t in enumerate(item))
    return max(1, sum(1 for _ in _find_names(item)) + put)


def _count_replaced(item: tuple[Token, ...], parameters: Mapping[str, Value]) -> int:
    """How many times as long the calls of REPLACE may make a text, all together."""
    times = 1
    for i, token in enumerate(item[:-1]):
        if token.key != "REPLACE" or item[i + 1].text != "(" or is_name(item, i):
            continue
        put = (list(_cut_items(within(item, i + 1))) or [()])[-1]
        if len(put) != 1 or put[0].kind not in ("string", "parameter"):
            msg = f"{token.place}: {token.text}: puts in a quoted text or a $parameter only"
            raise CohortError(msg)
        if put[0].kind == "string":
            times *= max(1, len(put[0].text) - 2) + (len(put[0].text) > 3)
        else:
            times *= 1 + _measure(parameters.get(put[0].text[1:], 0))
    return times
