"""Shape: the labels of a query's variables and the types of its columns, read from its text.

The embedded engine knows from its tables which properties a label has, and the type of every
column, also of an empty result. Neo4j knows neither: a missing property is null. The shape is read
from the query and the schema, so that the two stores answer alike. Where the text does not say a
type, the shape has none.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from genograph.cypher.patterns import read_accesses, read_aliases, read_bindings, read_elements
from genograph.cypher.tokens import Token, cut
from genograph.errors import CohortError, SchemaError
from genograph.schema import Node, Relationship, graph_schema


@dataclass(frozen=True)
class Shape:
    """The types that the text of a query implies.

    Attributes:
        variables: the labels or relationship types of each variable that has some in the text and
            keeps its meaning throughout.
        rebound: variables that get another meaning, so that they may be anything.
        columns: the Arrow type of each alias and each column of the rows it runs over.
        readable: false where the text cannot be cut into tokens, so that it says nothing.
    """

    variables: Mapping[str, tuple[Node | Relationship, ...]]
    rebound: frozenset[str]
    columns: Mapping[str, pa.DataType]
    readable: bool = True

    @classmethod
    def of(cls, cypher: str, rows: pa.Schema | None = None) -> "Shape":
        """Read a query that runs over `rows`.

        Raises:
            SchemaError: it names a label, relationship type or property that is not declared.
        """
        columns = {field.name: field.type for field in rows or ()}
        try:
            tokens, _ = cut(cypher)
        except CohortError:
            # the engine will say what is wrong with it
            return cls({}, frozenset(), columns, readable=False)
        rebound = {binding.name.text for binding in read_bindings(tokens)}
        found: dict[str, list[Node | Relationship]] = defaultdict(list)
        for element in read_elements(tokens):
            name = element.name.text if element.name else ""
            if not element.labels or element.after not in (")", "]", "{", "*", "WHERE"):
                continue
            specs = [_spec(element.bracket.text, label) for label in element.labels]
            if element.excludes:
                rebound.add(name)
                continue
            for key in element.keys:
                _check(specs, key)
            if element.star:
                # a path of relationships, not a single one
                rebound.add(name)
            elif name:
                found[name] += specs
        variables = {v: tuple(specs) for v, specs in found.items() if v not in rebound}
        for variable, name in read_accesses(tokens):
            if variable in variables:
                _check(variables[variable], name)
        shape = cls(variables, frozenset(rebound), columns)
        return replace(shape, columns=shape._aliases(tokens))

    def type_of(self, column: str) -> pa.DataType | None:
        """The type of a returned column: an alias, a column of the rows or `variable.property`."""
        if column in self.columns:
            return self.columns[column]
        variable, dot, name = column.partition(".")
        if not dot or not self.readable or variable in self.rebound:
            return None
        specs = self.variables.get(variable) or _everything()
        types = {s.columns[name].arrow for s in specs if name in s.columns}
        return types.pop() if len(types) == 1 else None

    def _aliases(self, tokens: Sequence[Token]) -> dict[str, pa.DataType]:
        """The types of the aliases whose every definition gives the same one."""
        columns = dict(self.columns)
        types: dict[str, list[pa.DataType | None]] = defaultdict(list)
        for alias in read_aliases(tokens):
            kind = replace(self, columns=columns).type_of(alias.value)
            match alias.function:
                case "collect" if kind is not None:
                    kind = pa.list_(kind)
                case "count" | "size":
                    kind = pa.int64()
            types[alias.name].append(kind)
            if kind is not None:
                columns[alias.name] = kind
        for name, kinds in types.items():
            if None in kinds or len(set(kinds)) != 1:
                columns.pop(name, None)
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
