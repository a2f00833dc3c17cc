"""Draw queries of the portable subset from the schema, each with what pandas answers.

A condition is a text and a function of the rows to True, False or None, as three-valued logic has
it; so is an expression. Queries about which the lint warns are not drawn.
"""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from differential.graph import LABELS, draw_value
from genograph.cypher import fence, lint
from genograph.schema import Property, Relationship, graph_schema

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Part:
    """An expression or a condition: its text and its value for a row."""

    text: str
    value: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Query:
    """A query and its answer.

    Attributes:
        text, parameters: as an engine gets them.
        rows: the right answer.
        ordered: whether the order of the rows counts.
        thirds: for a count, the same with NOT (condition) and with (condition) IS NULL, and of all:
            the first three add up to the last.
    """

    text: str
    parameters: dict[str, Any]
    rows: list[tuple[Any, ...]]
    ordered: bool
    thirds: tuple[str, ...] = ()


def _is(a: Any, b: Any, test: Callable[[Any, Any], bool]) -> bool | None:
    return None if a is None or b is None else test(a, b)


def _and(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _not(a: bool | None) -> bool | None:
    return None if a is None else not a


def _xor(a: bool | None, b: bool | None) -> bool | None:
    return None if a is None or b is None else a != b


COMPARISONS = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
TEXT_TESTS = {
    "STARTS WITH": str.startswith,
    "ENDS WITH": str.endswith,
    "CONTAINS": lambda a, b: b in a,
}


class Drawer:
    """Draws queries over a graph."""

    def __init__(self, seed: int, frames: dict[str, pd.DataFrame]) -> None:
        """Keep the seed and the graph."""
        self.seed = seed
        self.frames = frames
        self.trials: dict[int, int] = {}
        self.matched: dict[str, list[dict[str, Any]]] = {}
        schema = graph_schema()
        self.types = [r for r in schema.relationships.values() if r.name in frames]

    def draw(self, shape: int, values: int) -> Query:
        """The query of a shape with some values, about which the lint has nothing to say.

        A server plans queries that differ in their values alone once.
        """
        for trial in itertools.count(self.trials.get(shape, 0)):
            self.rng = random.Random(f"{self.seed} {shape} {trial}")
            self.values = random.Random(f"{self.seed} {shape} {trial} {values}")
            query = self._draw()
            # no warning depends on a value
            if shape in self.trials or not lint(fence(query.text)):
                self.trials[shape] = trial
                return query
        raise AssertionError

    def _draw(self) -> Query:
        self.parameters: dict[str, Any] = {}
        self.variables: dict[str, dict[str, Property]] = {}
        self.labels: dict[str, str] = {}
        match, joins, optional = self._draw_pattern()
        if match not in self.matched:
            frame = self.frames[self.labels["a"]].add_prefix("a.")
            for join in joins:
                frame = join(frame)
            self.matched[match] = [
                {k: None if v is None or v != v else v for k, v in row.items()}
                for row in frame.to_dict("records")
            ]
        rows = self.matched[match]
        condition = self._draw_condition(2, optional) if self.rng.random() < 0.85 else None
        kept, where = rows, ""
        if condition is not None:
            kept = [row for row in rows if condition.value(row) is True]
            where = f" WITH * WHERE {condition.text}" if optional else f" WHERE {condition.text}"
        thirds: tuple[str, ...] = ()
        shape = self.rng.choice(("count", "ids", "page", "group", "aggregate", "rows", "case"))
        end, answer, ordered = getattr(self, f"_end_{shape}")(kept, optional)
        if shape == "count" and condition is not None:
            start = f"{match}{' WITH *' if optional else ''}"
            told = (condition.text, f"NOT ({condition.text})", f"({condition.text}) IS NULL")
            thirds = (
                *(f"{start} WHERE {text} RETURN count(*) AS n" for text in told),
                f"{match} RETURN count(*) AS n",
            )
        return Query(f"{match}{where} {end}", self.parameters, answer, ordered, thirds)

    def _bind(self, name: str, spec: Any) -> None:
        self.variables[name] = {
            n: p for n, p in spec.properties.items() if not p.type.endswith("[]")
        }
        self.labels[name] = spec.name

    def _draw_pattern(self) -> tuple[str, list[Callable[[pd.DataFrame], pd.DataFrame]], str]:
        """A chain of up to two relationships: text, joins, and a variable that may be null."""
        rng, schema = self.rng, graph_schema()
        label = rng.choice(LABELS)
        self._bind("a", schema.nodes[label])
        joins = []
        text, at, used, optional = f"MATCH (a:{label})", "a", set[str](), ""
        for n in range(rng.choice((0, 1, 1, 2))):
            ways = [
                (spec, forward)
                for spec in self.types
                for forward in (True, False)
                if (spec.from_label if forward else spec.to_label) == self.labels[at]
                and spec.name not in used
            ]
            if not ways:
                break
            spec, forward = rng.choice(ways)
            used.add(spec.name)
            name, edge = "bc"[n], f"r{n}"
            other = spec.to_label if forward else spec.from_label
            optional = name if rng.random() < 0.25 else ""
            arrow = f"-[{edge}:{spec.name}]->" if forward else f"<-[{edge}:{spec.name}]-"
            if n == 0 and not optional and rng.random() < 0.5:
                text = f"{text}{arrow}({name}:{other})"
            else:
                text += f" {'OPTIONAL ' if optional else ''}MATCH ({at}){arrow}({name}:{other})"
            joins.append(partial(self._join, at, spec, edge, name, other, forward, optional))
            self._bind(edge, spec)
            self._bind(name, schema.nodes[other])
            at = name
            if optional:
                break
        return text, joins, optional

    def _join(
        self,
        at: str,
        spec: Relationship,
        edge: str,
        name: str,
        other: str,
        forward: bool,
        optional: str,
        frame: pd.DataFrame,
    ) -> pd.DataFrame:
        near, far = ("from_id", "to_id") if forward else ("to_id", "from_id")
        edges = self.frames[spec.name].add_prefix(f"{edge}.")
        ends = self.frames[other].add_prefix(f"{name}.")
        found = edges.merge(ends, left_on=f"{edge}.{far}", right_on=f"{name}.id")
        how = "left" if optional else "inner"
        return frame.merge(found, left_on=f"{at}.id", right_on=f"{edge}.{near}", how=how)

    # expressions

    def _property(self, *kinds: str) -> tuple[str, Property] | None:
        found = [
            (f"{v}.{n}", p)
            for v, properties in self.variables.items()
            for n, p in properties.items()
            if p.type in kinds
        ]
        return self.rng.choice(found) if found else None

    def _draw_value(self, name: str, prop: Property) -> Any:
        """A value that the property has somewhere, or could have."""
        variable, column = name.split(".")
        held = self.frames[self.labels[variable]].get(column)
        some = [] if held is None else [v for v in held if v is not None]
        if some and self.values.random() < 0.7:
            return self.values.choice(some)
        return draw_value(self.values, prop, gaps=False)

    def _literal(self, value: Any) -> str:
        """A value as text or as a parameter."""
        if self.rng.random() < 0.3:
            name = f"p{len(self.parameters)}"
            self.parameters[name] = value
            return f"${name}"
        if isinstance(value, list):
            return f"[{', '.join(map(self._literal_text, value))}]"
        return self._literal_text(value)

    @staticmethod
    def _literal_text(value: Any) -> str:
        if isinstance(value, str):
            return f"'{value}'"
        return str(value).lower() if isinstance(value, bool) else str(value)

    def _draw_number(self) -> tuple[Part, str, Property] | None:
        """A number: a property, and perhaps something done to it."""
        chosen = self._property("INT64", "DOUBLE")
        if chosen is None:
            return None
        name, prop = chosen
        whole = prop.type == "INT64"
        n = self.values.randint(1, 4)
        forms: list[tuple[str, Callable[[Any], Any]]] = [
            (name, lambda x: x),
            (name, lambda x: x),
            (f"{name} + {n}", lambda x: x + n),
            (f"({name} - {n}) * 2", lambda x: (x - n) * 2),
            (f"abs({name})", abs),
            (f"-{name}", lambda x: -x),
        ]
        if whole:
            forms.append((f"{name} / {n}", lambda x: int(x / n)))
            forms.append((f"{name} % {n}", lambda x: int(math.fmod(x, n))))
        text, does = self.rng.choice(forms)
        if self.rng.random() < 0.15:
            text, does = f"coalesce({name}, {n})", lambda x: x
            return Part(text, lambda row: n if row[name] is None else row[name]), name, prop
        return Part(text, lambda row: None if row[name] is None else does(row[name])), name, prop

    def _draw_text(self) -> Part:
        chosen = self._property("STRING")
        assert chosen is not None
        name = chosen[0]
        text, does = self.rng.choice(
            [
                (name, str),
                (name, str),
                (f"toUpper({name})", str.upper),
                (f"trim({name})", str.strip),
            ]
        )
        return Part(text, lambda row: None if row[name] is None else does(row[name]))

    # conditions

    def _draw_condition(self, depth: int, optional: str) -> Part:
        rng = self.rng
        if depth and rng.random() < 0.6:
            one = self._draw_condition(depth - 1, optional)
            way = rng.choice(("AND", "OR", "XOR", "NOT"))
            if way == "NOT":
                return Part(f"NOT ({one.text})", lambda row: _not(one.value(row)))
            two = self._draw_condition(depth - 1, optional)
            does: Callable[[Any, Any], Any] = {
                "AND": _and,
                "OR": lambda a, b: _not(_and(_not(a), _not(b))),
                "XOR": _xor,
            }[way]
            return Part(
                f"({one.text}) {way} ({two.text})", lambda row: does(one.value(row), two.value(row))
            )
        draws = [self._compare_numbers, self._compare_texts, self._test_null, self._test_flag]
        draws += [self._compare_texts, self._find_in_list]
        if not optional:
            draws.append(self._find_pattern)
        while (condition := rng.choice(draws)()) is None:
            pass
        return condition

    def _compare_numbers(self) -> Part | None:
        left = self._draw_number()
        if left is None:
            return None
        part, name, prop = left
        sign = self.rng.choice(list(COMPARISONS))
        if self.rng.random() < 0.3 and (right := self._draw_number()) is not None:
            other = right[0]
            return Part(
                f"{part.text} {sign} {other.text}",
                lambda row: _is(part.value(row), other.value(row), COMPARISONS[sign]),
            )
        value = self._draw_value(name, prop)
        return Part(
            f"{part.text} {sign} {self._literal(value)}",
            lambda row: _is(part.value(row), value, COMPARISONS[sign]),
        )

    def _compare_texts(self) -> Part:
        part, chosen = self._draw_text(), self._property("STRING")
        assert chosen is not None
        if self.rng.random() < 0.2:
            n = self.values.randint(0, 3)
            return Part(
                f"size({part.text}) > {n}",
                lambda row: _is(part.value(row), n, lambda a, b: len(a) > b),
            )
        value = self._draw_value(*chosen)
        signs = COMPARISONS | TEXT_TESTS
        sign = self.rng.choice(list(signs))
        # CONTAINS '' is a difference that the lint knows
        value = value or "a" if sign in TEXT_TESTS else value
        return Part(
            f"{part.text} {sign} {self._literal(value)}",
            lambda row: _is(part.value(row), value, signs[sign]),
        )

    def _test_null(self) -> Part:
        chosen = self._property("STRING", "INT64", "DOUBLE", "BOOL")
        assert chosen is not None
        name = chosen[0]
        if self.rng.random() < 0.5:
            return Part(f"{name} IS NULL", lambda row: row[name] is None)
        return Part(f"{name} IS NOT NULL", lambda row: row[name] is not None)

    def _test_flag(self) -> Part | None:
        chosen = self._property("BOOL")
        if chosen is None:
            return None
        name = chosen[0]
        if self.rng.random() < 0.5:
            return Part(name, lambda row: row[name])
        return Part(f"{name} = false", lambda row: _not(row[name]))

    def _find_in_list(self) -> Part | None:
        chosen = self._property("STRING", "INT64", "DOUBLE")
        if chosen is None:
            return None
        name, prop = chosen
        values = [self._draw_value(name, prop) for _ in range(self.rng.randint(1, 3))]
        return Part(
            f"{name} IN {self._literal(values)}",
            lambda row: None if row[name] is None else row[name] in values,
        )

    def _find_pattern(self) -> Part | None:
        """Whether a node has a relationship, or how many."""
        nodes = [v for v in self.variables if v in "abc"]
        variable = self.rng.choice(nodes)
        ways = [
            (spec, forward)
            for spec in self.types
            for forward in (True, False)
            if (spec.from_label if forward else spec.to_label) == self.labels[variable]
        ]
        if not ways:
            return None
        spec, forward = self.rng.choice(ways)
        near = self.frames[spec.name]["from_id" if forward else "to_id"]
        degree = near.value_counts().to_dict()
        other = spec.to_label if forward else spec.from_label
        arrow = f"-[:{spec.name}]->" if forward else f"<-[:{spec.name}]-"
        pattern = f"({variable}){arrow}(:{other})"
        way = self.rng.choice(("EXISTS", "pattern", "COUNT"))
        if way == "COUNT":
            n = self.values.randint(0, 3)
            return Part(
                f"COUNT {{ MATCH {pattern} }} > {n}",
                lambda row: degree.get(row[f"{variable}.id"], 0) > n,
            )
        text = pattern if way == "pattern" else f"EXISTS {{ MATCH {pattern} }}"
        return Part(text, lambda row: row[f"{variable}.id"] in degree)

    # what is returned

    def _end_count(self, rows: Rows, optional: str) -> tuple[str, list[tuple[Any, ...]], bool]:
        return "RETURN count(*) AS n", [(len(rows),)], False

    def _end_ids(self, rows: Rows, optional: str) -> tuple[str, list[tuple[Any, ...]], bool]:
        name = self.rng.choice([v for v in self.variables if v in "abc" and v != optional])
        ids = sorted({row[f"{name}.id"] for row in rows}, reverse=(down := self.rng.random() < 0.3))
        end = f"RETURN DISTINCT {name}.id AS x ORDER BY x{' DESC' if down else ''}"
        return end, [(i,) for i in ids], True

    def _end_page(self, rows: Rows, optional: str) -> tuple[str, list[tuple[Any, ...]], bool]:
        end, ids, ordered = self._end_ids(rows, optional)
        skip, most = self.values.randint(0, 6), self.values.randint(0, 5)
        return f"{end} SKIP {skip} LIMIT {most}", ids[skip : skip + most], ordered

    def _end_rows(self, rows: Rows, optional: str) -> tuple[str, list[tuple[Any, ...]], bool]:
        names = [self._property("STRING", "INT64", "DOUBLE", "BOOL") for _ in range(2)]
        listed = [name for name, _ in filter(None, names)]
        columns = ", ".join(f"{name} AS c{n}" for n, name in enumerate(listed))
        distinct = self.rng.random() < 0.4
        answer = [tuple(row[name] for name in listed) for row in rows]
        answer = list(dict.fromkeys(answer)) if distinct else answer
        return f"RETURN {'DISTINCT ' if distinct else ''}{columns}", answer, False

    def _end_group(self, rows: Rows, optional: str) -> tuple[str, list[tuple[Any, ...]], bool]:
        chosen = self._property("STRING", "INT64", "BOOL")
        assert chosen is not None
        name = chosen[0]
        groups: dict[Any, int] = {}
        for row in rows:
            groups[row[name]] = groups.get(row[name], 0) + 1
        return f"RETURN {name} AS k, count(*) AS n", list(groups.items()), False

    def _end_aggregate(self, rows: Rows, optional: str) -> tuple[str, list[tuple[Any, ...]], bool]:
        chosen = self._property("INT64", "DOUBLE") or self._property("STRING")
        assert chosen is not None
        name, prop = chosen
        values = [row[name] for row in rows if row[name] is not None]
        calls: list[tuple[str, Any]] = [
            (f"count({name})", len(values)),
            (f"count(DISTINCT {name})", len(set(values))),
            (f"min({name})", min(values, default=None)),
            (f"max({name})", max(values, default=None)),
            (f"size(collect({name}))", len(values)),
        ]
        if prop.type != "STRING":
            # of nothing it is null on the embedded store
            calls.append((f"coalesce(sum({name}), 0)", sum(values)))
            calls.append((f"avg({name})", sum(values) / len(values) if values else None))
        some = self.rng.sample(calls, 3)
        end = ", ".join(f"{text} AS c{n}" for n, (text, _) in enumerate(some))
        return f"RETURN {end}", [tuple(value for _, value in some)], False

    def _end_case(self, rows: Rows, optional: str) -> tuple[str, list[tuple[Any, ...]], bool]:
        part = self._draw_condition(1, optional or "none")
        n = sum(part.value(row) is True for row in rows)
        end = f"RETURN count(CASE WHEN {part.text} THEN 1 END) AS n"
        return end, [(n,)], False
