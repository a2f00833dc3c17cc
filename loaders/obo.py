"""Terms of the Gene Ontology and what they are to each other, from an OBO file.

Format: OBO 1.2 and 1.4 (http://owlcollab.github.io/oboformat/doc/obo-syntax.html). A first pass
checks every line, so that a fault has its line number; obonet parses the clauses.
"""

import io
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import obonet

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, opened
from genograph.tables import Table

SOURCE = Source(
    name="obo",
    title="Gene Ontology terms, is_a, part_of and regulates",
    format="OBO 1.2 or 1.4; rows are the terms and their is_a and relationship clauses",
    version=2,
    gives=("Term", "IS_A", "PART_OF", "REGULATES_TERM"),
    citation="The Gene Ontology Consortium (2023) Genetics 224:iyad031",
    doi="10.1093/genetics/iyad031",
    licence="CC BY 4.0",
)

NAMESPACES = ("biological_process", "molecular_function", "cellular_component")
SIGNS = {
    "regulates": "any",
    "positively_regulates": "positive",
    "negatively_regulates": "negative",
}
_CLAUSE = re.compile(r"([\w.-]+):\s*(.*)")
_STANZAS = ("[Term]", "[Typedef]", "[Instance]")
_SHAPE = {
    "id": re.compile(r"\S+"),
    "alt_id": re.compile(r"\S+"),
    "is_a": re.compile(r"\S+"),
    "relationship": re.compile(r"\S+ \S+"),
    "is_obsolete": re.compile(r"true|false"),
    "namespace": re.compile(r"\S+"),
}


class Outline(NamedTuple):
    """What the first pass keeps of an OBO file.

    Attributes:
        text: the file with a blank line before every stanza, as obonet wants it.
        terms: line of each term's id.
        edges: line of each (term, relation, other term), first one if it is there twice.
        namespace: the header's default-namespace.
    """

    text: str
    terms: dict[str, int]
    edges: dict[tuple[str, str, str], int]
    namespace: str | None


def read(path: Path, reading: Reading) -> Iterator[Table]:
    """Yield Term, IS_A, PART_OF and REGULATES_TERM tables; obsolete terms are kept, marked."""
    outline = _outline(path, reading)
    try:
        graph = obonet.read_obo(io.StringIO(outline.text), ignore_obsolete=False)
    except ValueError as error:
        wanted = "clauses as OBO 1.4 has them, with a blank before each comment"
        raise SourceError.at(path, None, None, error, wanted) from error
    nodes = dict(graph.nodes(data=True))
    kept: dict[str, tuple[str, str | None, str, bool, list[str]]] = {}
    for term, line in outline.terms.items():
        data = nodes.get(term)
        if data is None:
            # obonet takes what follows a ! or a { as a comment only behind a blank
            raise SourceError.at(path, line, "id", term, "an id, and a blank before any comment")
        space = data.get("namespace", outline.namespace)
        if space not in NAMESPACES:
            reading.reject(f"namespace {space} is not the Gene Ontology's", line, term)
            continue
        obsolete = data.get("is_obsolete") == "true"
        alternatives = sorted(set(data.get("alt_id", ())))
        kept[term] = (term, data.get("name"), space, obsolete, alternatives)
    for old, new in _successors(nodes, set(kept)).items():
        kept[new] = (*kept[new][:4], sorted({*kept[new][4], old}))
    if not kept:
        raise SourceError.at(path, None, "namespace", "no usable term", " or ".join(NAMESPACES))
    names = ("id", "name", "namespace", "obsolete", "alt_ids")
    columns = dict(zip(names, zip(*kept.values(), strict=True), strict=True))
    yield Table.of("Term", columns, source=str(path))

    edges: dict[str, list[tuple[str, str]]] = {"is_a": [], "part_of": [], **{s: [] for s in SIGNS}}
    for (term, relation, other), line in outline.edges.items():
        if relation not in edges:
            reading.reject(f"relationship {relation}", line, f"{term} {other}")
        elif term not in kept:
            reading.reject("edge of a term that is not used", line, f"{term} {relation} {other}")
        elif other not in kept:
            reading.reject("edge to an unknown term", line, f"{term} {relation} {other}")
        elif term == other:
            reading.reject("edge of a term to itself", line, f"{term} {relation}")
        else:
            edges[relation].append((term, other))
    _check_acyclic(path, edges["is_a"] + edges["part_of"], outline)
    for relation, type_name in (("is_a", "IS_A"), ("part_of", "PART_OF")):
        if edges[relation]:
            ends = dict(zip(("from_id", "to_id"), zip(*edges[relation], strict=True), strict=True))
            yield Table.of(type_name, ends, source=str(path))
    signed = [(a, b, sign) for relation, sign in SIGNS.items() for a, b in edges[relation]]
    if signed:
        columns = dict(zip(("from_id", "to_id", "sign"), zip(*signed, strict=True), strict=True))
        yield Table.of("REGULATES_TERM", columns, source=str(path))


def _successors(nodes: Mapping[str, Mapping[str, Any]], kept: Collection[str]) -> dict[str, str]:
    """The term that alone replaces each obsolete term, and is not obsolete itself.

    Args:
        nodes: clauses of every term, values are the file's.
        kept: terms that are used.
    """

    def follow(term: str) -> str | None:
        seen = set()
        while nodes[term].get("is_obsolete") == "true":
            replaced = set(nodes[term].get("replaced_by", ()))
            seen.add(term)
            if len(replaced) != 1:
                return None
            (term,) = replaced
            if term in seen or term not in kept:
                return None
        return term

    obsolete = (term for term in kept if nodes[term].get("is_obsolete") == "true")
    return {old: new for old in obsolete if (new := follow(old)) is not None}


def _outline(path: Path, reading: Reading) -> Outline:
    text: list[str] = []
    terms: dict[str, int] = {}
    edges: dict[tuple[str, str, str], int] = {}
    namespace = None
    stanza, term, opened_at = "", "", 0
    with opened(path) as raw:
        for line, content in enumerate(raw, 1):
            try:
                clause = content.decode("utf-8").strip()
            except UnicodeDecodeError:
                raise SourceError.at(path, line, None, content[:20], "UTF-8 text") from None
            if clause.startswith("["):
                if clause not in _STANZAS:
                    raise SourceError.at(path, line, None, clause, f"one of {', '.join(_STANZAS)}")
                if stanza == "[Term]" and not term:
                    raise SourceError.at(path, opened_at, "id", "a term without one", "id: GO:…")
                stanza, term, opened_at = clause, "", line
                text += ["", clause]
                continue
            if not clause or clause.startswith("!"):
                continue
            text.append(clause)
            match = _CLAUSE.fullmatch(clause)
            if match is None:
                raise SourceError.at(path, line, None, clause, "tag: value")
            tag = match[1]
            value = re.sub(r"(\s*\{[^{}]*\})?(\s*!.*)?$", "", match[2]).strip()
            if tag == "default-namespace" and not stanza:
                namespace = value
            if stanza != "[Term]":
                continue
            if tag in _SHAPE and not _SHAPE[tag].fullmatch(value):
                raise SourceError.at(path, line, tag, value or "nothing", _wanted(tag))
            if tag == "id":
                if term or value in terms:
                    got = f"{value} a second time" if value in terms else f"a second id, {value}"
                    raise SourceError.at(path, line, "id", got, "one id a term, each once")
                term = value
                terms[term] = line
                reading.rows_read += 1
            elif not term:
                raise SourceError.at(path, line, tag, f"{tag} before the id", "id: first")
            elif tag in ("is_a", "relationship"):
                reading.rows_read += 1
                relation, other = ("is_a", value) if tag == "is_a" else value.split(" ")
                if (term, relation, other) in edges:
                    reading.reject("duplicate edge", line, f"{term} {relation} {other}")
                else:
                    edges[term, relation, other] = line
    if stanza == "[Term]" and not term:
        raise SourceError.at(path, opened_at, "id", "a term without one", "id: GO:…")
    if not terms:
        raise SourceError.at(path, None, None, "no [Term]", "an OBO file")
    return Outline("\n".join(text) + "\n", terms, edges, namespace)


def _wanted(tag: str) -> str:
    return {"relationship": "a relation and a term", "is_obsolete": "true or false"}.get(tag, "one")


def _check_acyclic(path: Path, edges: list[tuple[str, str]], outline: Outline) -> None:
    """Refuse circles of is_a and part_of: ancestors, depth and closure would have no meaning."""
    graph = nx.DiGraph(edges)
    if not nx.is_directed_acyclic_graph(graph):
        circle = [a for a, _ in nx.find_cycle(graph)]
        line = outline.terms[circle[0]]
        got = "a circle: " + " ".join(circle)
        raise SourceError.at(path, line, "is_a, part_of", got, "an acyclic ontology")
