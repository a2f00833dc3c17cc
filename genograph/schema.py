"""The graph schema, parsed from schema/graph.toml: labels, relationships, types, units and limits.

Hides how the schema becomes DDL for the embedded store, constraints for Neo4j and the data-model
page, and how perturbations are spelled in strain ids.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import pyarrow as pa

from genograph.errors import SchemaError

ARROW: Mapping[str, pa.DataType] = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOL": pa.bool_(),
    "FLOAT[]": pa.list_(pa.float32()),
    "DOUBLE[]": pa.list_(pa.float64()),
    "STRING[]": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class Property:
    """One property of a node or relationship.

    Attributes:
        name: its name.
        type: STRING, INT64, DOUBLE, BOOL, or a list of one: FLOAT[], DOUBLE[], STRING[].
        description: one line.
        unit: of its numbers; None where there is none.
        min, max: limits of its numbers, inclusive; None: none.
        choices: the texts it may be; None: any.
    """

    name: str
    type: str
    description: str
    unit: str | None = None
    min: int | float | None = None
    max: int | float | None = None
    choices: tuple[str, ...] | None = None

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of a column of this property."""
        return ARROW[self.type]


@dataclass(frozen=True)
class Node:
    """A node label.

    Attributes:
        name: the label.
        description: one line.
        properties: by name; the first is the key, `id`.
    """

    name: str
    description: str
    properties: Mapping[str, Property]

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return ("id",)

    @property
    def columns(self) -> Mapping[str, Property]:
        """Every column a table of this type may have."""
        return self.properties


@dataclass(frozen=True)
class Relationship:
    """A relationship type; a row is keyed by `from_id`, `to_id` and the properties in `own_key`.

    Attributes:
        name: the type.
        description: one line.
        from_label, to_label: labels of the nodes at which it begins and ends.
        own_key: properties that tell two relationships between the same nodes apart.
        properties: by name.
        in_graph: whether it is an edge of the heterograph.
    """

    name: str
    description: str
    from_label: str
    to_label: str
    own_key: tuple[str, ...]
    properties: Mapping[str, Property]
    in_graph: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return ("from_id", "to_id", *self.own_key)

    @property
    def columns(self) -> Mapping[str, Property]:
        """Every column a table of this type may have."""
        return {
            "from_id": Property("from_id", "STRING", f"id of the {self.from_label}"),
            "to_id": Property("to_id", "STRING", f"id of the {self.to_label}"),
            **self.properties,
        }


class Range(NamedTuple):
    """What a number of a phenotype can plausibly be, in one unit.

    Attributes:
        of: the property that has the number: value, interaction or values.
        unit: of value or values; the range holds for units that begin with it.
        min, max: limits, inclusive.
        source: why these.
    """

    of: str
    unit: str
    min: float
    max: float
    source: str


class Phenotype(NamedTuple):
    """What a strain is measured for.

    Attributes:
        name: as Experiment.phenotype spells it.
        description: one line.
        axis: of a vector, what its values follow: gene or parameter; of one number, empty.
        modelled: whether a cohort carries it and models may learn it.
        quantities: what a model predicts of it, and the fewest perturbations that each needs.
        ranges: what its numbers can plausibly be; loaders note what is outside.
    """

    name: str
    description: str
    axis: str
    modelled: bool
    quantities: Mapping[str, int]
    ranges: tuple[Range, ...] = ()


@dataclass(frozen=True)
class Schema:
    """Everything graph.toml declares.

    Attributes:
        version: raised with every change of what a database holds.
        nodes: node labels by name.
        relationships: relationship types by name.
        doses: by kind of perturbation, the default fraction of wild-type function left, 0 to 2.
        dose_descriptions: by kind of perturbation, one line.
        phenotypes: by name, in their order.
    """

    version: int
    nodes: Mapping[str, Node]
    relationships: Mapping[str, Relationship]
    doses: Mapping[str, float]
    dose_descriptions: Mapping[str, str] = field(default_factory=dict)
    phenotypes: Mapping[str, Phenotype] = field(default_factory=dict)

    @property
    def modelled(self) -> tuple[Phenotype, ...]:
        """The phenotypes that cohorts carry and models may learn, in their order."""
        return tuple(each for each in self.phenotypes.values() if each.modelled)

    def type(self, name: str) -> Node | Relationship:
        """The node label or relationship of a name.

        Args:
            name: as the schema spells it.

        Raises:
            SchemaError: there is none; the message lists the choices.
        """
        found = self.nodes.get(name) or self.relationships.get(name)
        if found is None:
            choices = ", ".join([*self.nodes, *self.relationships])
            msg = f"{name} is no label or relationship of the graph; choose one of {choices}"
            raise SchemaError(msg)
        return found

    def embedded_ddl(self) -> list[str]:
        """The statements that create the embedded store's tables, nodes first."""
        statements = []
        for node in self.nodes.values():
            columns = ", ".join(f"{p.name} {p.type}" for p in node.properties.values())
            statements.append(
                f"CREATE NODE TABLE IF NOT EXISTS {node.name}({columns}, PRIMARY KEY(id))"
            )
        for rel in self.relationships.values():
            columns = "".join(f", {p.name} {p.type}" for p in rel.properties.values())
            statements.append(
                f"CREATE REL TABLE IF NOT EXISTS {rel.name}"
                f"(FROM {rel.from_label} TO {rel.to_label}{columns})"
            )
        return statements

    def neo4j_constraints(self) -> list[str]:
        """The statements that create Neo4j's uniqueness constraints and look-up indexes."""
        statements = [
            f"CREATE CONSTRAINT {name.lower()}_id IF NOT EXISTS "
            f"FOR (n:{name}) REQUIRE n.id IS UNIQUE"
            for name in self.nodes
        ]
        for label, name in INDEXED:
            statements.append(
                f"CREATE INDEX {label.lower()}_{name} IF NOT EXISTS FOR (n:{label}) ON (n.{name})"
            )
        return statements

    def markdown(self) -> str:
        """The data-model page: a table a label and a relationship."""
        lines = [f"Schema version {self.version}.", "", "## Nodes", ""]
        for node in self.nodes.values():
            lines += [f"### {node.name}", "", node.description, "", *_rows(node.properties), ""]
        lines += ["## Relationships", ""]
        for rel in self.relationships.values():
            arrow = f"`(:{rel.from_label})-[:{rel.name}]->(:{rel.to_label})`"
            lines += [f"### {rel.name}", "", f"{arrow} {rel.description}", ""]
            if rel.own_key:
                lines += [f"Keyed by both ends and {', '.join(rel.own_key)}.", ""]
            if rel.properties:
                lines += [*_rows(rel.properties), ""]
        lines += ["## Perturbations", "", "| kind | default dose | meaning |", "|---|---|---|"]
        for kind, dose in self.doses.items():
            lines.append(f"| {kind} | {dose:g} | {self.dose_descriptions[kind]} |")
        lines += ["", "## Phenotypes", "", "| phenotype | values | predicted | meaning |"]
        lines.append("|---|---|---|---|")
        for each in self.phenotypes.values():
            values = f"one number a {each.axis}" if each.axis else "one number"
            predicted = ", ".join(each.quantities) or "no"
            lines.append(f"| {each.name} | {values} | {predicted} | {each.description} |")
        lines += ["", "Numbers outside of these ranges are loaded, and noted:", ""]
        lines += ["| phenotype | property | unit | plausible | source |", "|---|---|---|---|---|"]
        for each in self.phenotypes.values():
            for r in each.ranges:
                limits = f"{r.min:g} to {r.max:g}"
                lines.append(f"| {each.name} | {r.of} | {r.unit} | {limits} | {r.source} |")
        return "\n".join(lines) + "\n"


INDEXED = (("Gene", "symbol"), ("Experiment", "phenotype"), ("Embedding", "model"))


def _rows(properties: Mapping[str, Property]) -> Iterable[str]:
    yield "| property | type | unit, limits | meaning |"
    yield "|---|---|---|---|"
    for p in properties.values():
        limits = [p.unit] if p.unit else []
        limits += [f">= {p.min:g}"] if p.min is not None else []
        limits += [f"<= {p.max:g}"] if p.max is not None else []
        limits += ["one of " + " ".join(p.choices)] if p.choices else []
        yield f"| {p.name} | {p.type} | {', '.join(limits)} | {p.description} |"


@cache
def graph_schema() -> Schema:
    """The schema that this version of genograph works with, as schema/graph.toml declares it.

    Returns:
        Labels, relationships, phenotypes and kinds of perturbation.

    Example:
        >>> schema = genograph.graph_schema()
        >>> schema.type("Experiment").properties["sd"].min
        0.0
        >>> [phenotype.name for phenotype in schema.modelled]
        ['fitness', 'expression', 'morphology']
    """
    raw = tomllib.loads(files("genograph._schema").joinpath("graph.toml").read_text("utf-8"))
    nodes = {
        name: Node(name, spec["description"], _properties(spec["properties"]))
        for name, spec in raw["node"].items()
    }
    relationships = {
        name: Relationship(
            name,
            spec["description"],
            spec["from"],
            spec["to"],
            tuple(spec.get("key", ())),
            _properties(spec.get("properties", {})),
            spec.get("graph", False),
        )
        for name, spec in raw["relationship"].items()
    }
    doses = {kind: spec["dose"] for kind, spec in raw["perturbation"].items()}
    words = {kind: spec["description"] for kind, spec in raw["perturbation"].items()}
    phenotypes = {
        name: Phenotype(
            name,
            spec["description"],
            spec.get("axis", ""),
            spec["modelled"],
            spec.get("quantities", {}),
            tuple(Range(**each) for each in spec.get("ranges", ())),
        )
        for name, spec in raw["phenotype"].items()
    }
    return Schema(raw["version"], nodes, relationships, doses, words, phenotypes)


def _properties(raw: Mapping[str, Mapping[str, object]]) -> dict[str, Property]:
    out = {}
    for name, spec in raw.items():
        fields = dict(spec)
        if isinstance(choices := fields.get("choices"), list):
            fields["choices"] = tuple(choices)
        out[name] = Property(name=name, **fields)  # type: ignore[arg-type]
    return out


class Perturbation(NamedTuple):
    """One perturbation of one gene; `dose` is the fraction of wild-type function left, 0 to 2."""

    gene_id: str
    kind: str = "deletion"
    allele: str = ""
    dose: float = 0.0

    @classmethod
    def of(
        cls, gene_id: str, kind: str = "deletion", allele: str = "", dose: float | None = None
    ) -> "Perturbation":
        """Return the perturbation with the dose that the schema gives its kind by default.

        Raises:
            SchemaError: unknown kind, a dose outside 0 to 2, or a gene or allele that a strain id
                cannot spell.
        """
        doses = graph_schema().doses
        if kind not in doses:
            msg = f"unknown kind of perturbation {kind!r}; choose one of {', '.join(doses)}"
            raise SchemaError(msg)
        value = doses[kind] if dose is None else dose
        if not 0.0 <= value <= 2.0:
            msg = f"{gene_id}: dose {value:g} is outside 0 to 2 (fraction of wild-type function)"
            raise SchemaError(msg)
        if kind == "deletion" and value != 0.0:
            msg = f"{gene_id}: a deletion has dose 0, got {value:g}; use kind knockdown"
            raise SchemaError(msg)
        if not can_spell(gene_id):
            msg = f"a strain id cannot spell the gene {gene_id!r}; wanted {GENE_ID}"
            raise SchemaError(msg)
        if not _ALLELE.fullmatch(allele):
            msg = f"{gene_id}: a strain id cannot spell the allele {allele!r}; wanted none of ()@+"
            raise SchemaError(msg)
        return cls(gene_id, kind, allele, value)

    def __str__(self) -> str:
        """Return the perturbation as it stands in a strain id."""
        inner = self.kind
        if self.allele:
            inner += f":{self.allele}"
        if self.dose != graph_schema().doses[self.kind]:
            short = f"{self.dose:g}"
            inner += f"@{short if float(short) == self.dose else repr(float(self.dose))}"
        return self.gene_id if inner == "deletion" else f"{self.gene_id}({inner})"


WILD_TYPE = "WT"
GENE_ID = "a name without blanks, + or @ that does not end with a bracket"
"""What `can_spell` asks of a gene id, in words."""

# a bracket in a gene's name is followed by more of the name, as in tY(GUA)J2; a last one is a kind
_GENE = r"(?:[^()+@\s]|\([^()+@\s]*\)(?=[^()+@\s]))+"
_NAME = re.compile(_GENE)
_ALLELE = re.compile(r"[^()@+]*")
_PART = re.compile(rf"({_GENE})(?:\((\w+)(?::([^()@+]*))?(?:@([0-9.eE+-]+))?\))?")


def can_spell(gene_id: str) -> bool:
    """Whether strain ids can spell a gene: what they spell, `parse_strain` reads back."""
    return gene_id != WILD_TYPE and _NAME.fullmatch(gene_id) is not None


def strain_id(perturbations: Iterable[Perturbation]) -> str:
    """The canonical id of the strain with these perturbations, sorted; WT for none.

    `YAL001C+YBL003C` deletes two genes; `YAL001C(ts:tsq508)`, `YAL001C(damp)` and
    `YAL001C(overexpression@1.5)` state kind, allele and a dose that is not the kind's default.

    Raises:
        SchemaError: the same perturbation stands twice.
    """
    parts = sorted(str(p) for p in perturbations)
    if len(set(parts)) != len(parts):
        msg = f"strain {'+'.join(parts)} names the same perturbation twice"
        raise SchemaError(msg)
    return "+".join(parts) or WILD_TYPE


def split_strain(text: str) -> list[str]:
    """The parts of a strain id that + joins, without blanks around them.

    A plus sign in brackets joins nothing: it is that of a dose's exponent.
    """
    return [part.strip() for part in re.split(r"\+(?![^(]*\))", text)]


def parse_strain(text: str) -> tuple[Perturbation, ...]:
    """The perturbations that a strain id spells, in its order; gene names are not resolved.

    Raises:
        SchemaError: `text` is not a strain id.
    """
    if text.strip() == WILD_TYPE:
        return ()
    out = []
    for part in split_strain(text):
        match = _PART.fullmatch(part)
        if match is None:
            msg = f"{text!r} is no strain; wanted genes joined by +, e.g. YAL001C+YBL003C(damp)"
            raise SchemaError(msg)
        gene, kind, allele, dose = match.groups()
        try:
            amount = None if dose is None else float(dose)
        except ValueError:
            msg = f"{text!r}: dose {dose!r} is not a number"
            raise SchemaError(msg) from None
        out.append(Perturbation.of(gene, kind or "deletion", allele or "", amount))
    return tuple(out)


def names_sha256(names: Sequence[str]) -> str:
    """Hash of a vocabulary: names in order, one a line."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
