"""Shape: what the text of a query says of its variables, hence of properties and column types.

The embedded engine knows from its tables which properties a label has and which type a column is,
of an empty result too. Neo4j knows neither: a property that is not there is null. This reads both
off the query and the schema, so that the two stores answer alike. Where the text does not say, it
claims nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from genograph.errors import SchemaError
from genograph.schema import Node, Relationship, graph_schema

_QUIET = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|//[^\n]*|/\*.*?\*/", re.DOTALL)
_PATTERN = re.compile(
    r"([(\[])\s*(\w*)\s*:\s*([`\w|:&!%\s]+?)\s*(?=[)\]{*]|\bWHERE\b)", re.IGNORECASE
)
_PROPERTY = re.compile(r"(?<![\w.`$])([A-Za-z_]\w*)\.([A-Za-z_]\w*)\b(?!\s*[(.])")
_REBOUND = re.compile(r"\bAS\s+(\w+)|(?<![\w.])(\w+)\s+IN\b", re.IGNORECASE)
_ITEM = re.compile(
    r"(?:\bWITH|\bRETURN|\bDISTINCT|,)\s*"
    r"(?:(?P<call>collect|count|size)\s*\(\s*(?:DISTINCT\s+)?(?P<inner>[\w.*]+)\s*\)"
    r"|(?P<plain>\w+(?:\.\w+)?))\s+AS\s+(?P<alias>\w+)",
    re.IGNORECASE,
)
_ALIAS = re.compile(r"\bAS\s+(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Shape:
    """Types that a query's text gives away.

    Attributes:
        variables: the labels or relationship types of each variable that the text gives any and
            that keeps its meaning throughout.
        rebound: variables that do not, which may be anything.
        columns: the Arrow type of each alias and each column of the rows it runs over.
    """

    variables: Mapping[str, tuple[Node | Relationship, ...]]
    rebound: frozenset[str]
    columns: Mapping[str, pa.DataType]

    @classmethod
    def of(cls, cypher: str, rows: pa.Schema | None = None) -> "Shape":
        """Read a query that runs over `rows`.

        Raises:
            SchemaError: it names a label, relationship type or property that is not declared.
        """
        text = _QUIET.sub(lambda match: " " * len(match[0]), cypher)
        rebound = {a or b for a, b in _REBOUND.findall(text)}
        found: dict[str, list[Node | Relationship]] = defaultdict(list)
        for match in _PATTERN.finditer(text):
            bracket, variable, expression = match.groups()
            specs = [_spec(bracket, n) for n in re.findall(r"\w+", expression)]
            if "!" in expression or "%" in expression:
                rebound.add(variable)
                continue
            for key in _keys(text, match.end()):
                _check(specs, key)
            if text[match.end()] == "*":
                # a path of relationships, not one
                rebound.add(variable)
            elif variable:
                found[variable] += specs
        variables = {v: tuple(specs) for v, specs in found.items() if v not in rebound}
        for variable, name in _PROPERTY.findall(text):
            if variable in variables:
                _check(variables[variable], name)
        shape = cls(variables, frozenset(rebound), {f.name: f.type for f in rows or ()})
        return replace(shape, columns=shape._aliases(text))

    def type_of(self, column: str) -> pa.DataType | None:
        """The type of a returned column: an alias, a column of the rows or `variable.property`."""
        if column in self.columns:
            return self.columns[column]
        variable, dot, name = column.partition(".")
        if not dot or variable in self.rebound:
            return None
        specs = self.variables.get(variable) or _everything()
        types = {s.columns[name].arrow for s in specs if name in s.columns}
        return types.pop() if len(types) == 1 else None

    def _aliases(self, text: str) -> dict[str, pa.DataType]:
        """The types of the aliases whose every definition gives the same one."""
        columns = dict(self.columns)
        seen: dict[str, list[pa.DataType | None]] = defaultdict(list)
        for match in _ITEM.finditer(text):
            known = replace(self, columns=columns)
            inner = match["inner"] or match["plain"]
            kind = known.type_of(inner)
            match (match["call"] or "").lower():
                case "collect" if kind is not None:
                    kind = pa.list_(kind)
                case "count" | "size":
                    kind = pa.int64()
                case "collect":
                    kind = None
            seen[match["alias"]].append(kind)
            if kind is not None:
                columns[match["alias"]] = kind
        spelled = _ALIAS.findall(text)
        for alias in set(spelled):
            kinds = seen.get(alias, [])
            if len(kinds) < spelled.count(alias) or len(set(kinds)) != 1:
                columns.pop(alias, None)
        return columns


def _everything() -> tuple[Node | Relationship, ...]:
    schema = graph_schema()
    return (*schema.nodes.values(), *schema.relationships.values())


def _spec(bracket: str, name: str) -> Node | Relationship:
    schema = graph_schema()
    choices: Mapping[str, Node | Relationship]
    choices = schema.nodes if bracket == "(" else schema.relationships
    if name not in choices:
        kind = "label" if bracket == "(" else "relationship type"
        msg = f"{name} is no {kind} of the graph; choose one of {', '.join(choices)}"
        raise SchemaError(msg)
    return choices[name]


def _check(specs: "list[Node | Relationship] | tuple[Node | Relationship, ...]", name: str) -> None:
    if specs and not any(name in spec.properties for spec in specs):
        names = " or ".join(spec.name for spec in specs)
        has = ", ".join(p for spec in specs for p in spec.properties) or "none"
        msg = f"{names} has no property {name}; it has {has}"
        raise SchemaError(msg)


def _keys(text: str, start: int) -> Iterator[str]:
    """The keys of the map of properties that begins at `start`, if one does."""
    if not text.startswith("{", start):
        return
    depth = 0
    for match in re.finditer(r"[{(\[\])}]|(\w+)\s*:", text[start:]):
        if match[1]:
            if depth == 1:
                yield match[1]
        elif match[0] in "{([":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return
