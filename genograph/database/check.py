"""Integrity: compare a database with its ledger and the schema, and list the findings.

Every check is a few counting queries, so that memory does not grow with the database.
"""

import graphlib
import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genograph.database.ledger import list_loads
from genograph.measurements import Axis
from genograph.schema import Node, Property, Relationship, graph_schema, names_sha256
from genograph.store import Store

DEEP = "bytes"
_REBUILD = "build the database again"


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        check: the name of the check that found it.
        what: what is wrong, with the numbers and the first of the ids.
        remedy: what to do.
    """

    check: str
    what: str
    remedy: str


def check(
    store: Store, *, deep: bool = False, report: Callable[[str], None] = lambda name: None
) -> list[Finding]:
    """Check a whole database; the findings are empty where it is sound.

    Loads that are unfinished, counts against the ledgers, keys, dangling ends, vocabulary hashes,
    vector lengths, circles in the ontology, limits of values, numbers that are not finite,
    promoted predictions.

    Args:
        store: an open database.
        deep: compare the file's bytes with the hash that its last writer left as well, first.
        report: told the name of each check before it runs.

    Returns:
        The findings, in the order of the checks.

    Raises:
        StoreError: the database refuses a query; or a deep check of a server is asked for.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     genograph.check(store)
        []
    """
    out = []
    if deep:
        report(DEEP)
        # with other bytes than were written, no answer of the engine means anything
        if damage := store.find_damage():
            return [Finding(DEEP, damage, "restore it from a dump")]
    for name, run in CHECKS.items():
        report(name)
        out += [Finding(name, what, remedy) for what, remedy in run(store)]
    return out


Found = Iterator[tuple[str, str]]


def _number(store: Store, cypher: str) -> int:
    found = store.query(cypher)
    return int(found.column(0)[0].as_py() or 0) if len(found) else 0


def _first(store: Store, cypher: str) -> str:
    """The smallest id that a query returns as `id`."""
    ids = store.query(f"{cypher} RETURN min(id) AS id")["id"].to_pylist()
    return f"{ids[0]!s:.80}" if ids else ""


def _unfinished(store: Store) -> Found:
    for load in list_loads(store):
        if load.loaded is None:
            began = f", begun {load.started}" if load.started else ""
            what = f"the load of {load.file} by {load.loader} is not finished{began}"
            yield what, "run the same load again: it finishes what is there"
    dumps = store.query("MATCH (d:Database) RETURN d.restoring AS dump")["dump"].to_pylist()
    if len(dumps) != 1:
        yield f"{len(dumps)} Database nodes, wanted 1", _REBUILD
    if any(dumps):
        yield "a restore is not finished", "run the same restore again, or use a new database"


# rows that predictions and their write-back create besides the loads
_ALSO_WRITTEN = ("Strain", "PERTURBS", "Axis")
_NOT_LOADED = ("Database", "Source", "LOADED_FROM", "Run", "PREDICTED", "PREDICTS_ALONG")


def _counted(store: Store) -> Found:
    """Counts against ledgers: every row was created by a load that says so."""
    held = list_loads(store)
    if any(load.loaded is None for load in held):
        # which of its rows are there is only known when it is finished
        return
    old = [load for load in held if load.added is None]
    if old:
        what = f"{len(old)} loads, first {old[0].file}, did not count what they created"
        yield what, f"{_REBUILD} to have its counts checked"
        return
    counts = store.counts()
    for name, n in counts.items():
        if name in _NOT_LOADED:
            continue
        said = sum((load.added or {}).get(name, 0) for load in held)
        if n < said:
            what = f"{name}: {n:,} rows, but the ledgers account for {said:,}"
            yield what, f"{said - n:,} are lost; load the sources that give {name} again"
        elif n > said and not (name in _ALSO_WRITTEN and counts["Run"]):
            what = f"{name}: {n:,} rows, but the ledgers account for {said:,}"
            yield what, f"{n - said:,} were not written by a load; {_REBUILD} to be without them"


def _keyed(store: Store) -> Found:
    """Keys: every node has an id of its own, every relationship is there once."""
    schema = graph_schema()
    counts = store.counts()
    for name in schema.nodes:
        if not counts[name]:
            continue
        n = _number(store, f"MATCH (n:{name}) WHERE n.id IS NULL OR n.id = '' RETURN count(*) AS n")
        if n:
            yield f"{n:,} {name} without id", _REBUILD
        distinct = _number(store, f"MATCH (n:{name}) RETURN count(DISTINCT n.id) AS n")
        if distinct + n < counts[name]:
            yield f"{counts[name] - distinct - n:,} {name} have the id of another one", _REBUILD
    for rel in schema.relationships.values():
        if not counts[rel.name]:
            continue
        match = f"MATCH (a:{rel.from_label})-[r:{rel.name}]->(b:{rel.to_label})"
        joined = _number(store, f"{match} RETURN count(*) AS n")
        if joined != counts[rel.name]:
            n = counts[rel.name] - joined
            what = f"{n:,} {rel.name} do not lead from {rel.from_label} to {rel.to_label}"
            yield what, _REBUILD
        own = "".join(f", r.{key} AS {key}" for key in rel.own_key)
        twice = f"{match} WITH a, b{own}, count(*) AS n_same WHERE n_same > 1"
        n = _number(store, f"{twice} RETURN sum(n_same - 1) AS n")
        if n:
            first = _first(store, f"{twice} WITH a.id AS id")
            yield f"{n:,} {rel.name} are there twice, first from {first}", _REBUILD


# what every node of a label must have: (label, pattern of one relationship, how many)
_ENDS = (
    ("Experiment", "(n)-[:TESTS]->(:Strain)", "strain"),
    ("Experiment", "(n)-[:FROM_STUDY]->(:Study)", "study"),
    ("CRE", "(:Gene)-[:HAS_CRE]->(n)", "gene"),
    ("Embedding", "(:CRE)-[:EMBEDDED_AS]->(n)", "CRE"),
)


def _joined(store: Store) -> Found:
    """Dangling ends: a node that needs another node has exactly one."""
    counts = store.counts()
    for label, pattern, end in _ENDS:
        if not counts[label]:
            continue
        match = f"MATCH (n:{label}) MATCH {pattern}"
        with_one = _number(store, f"{match} RETURN count(DISTINCT n.id) AS n")
        if with_one < counts[label]:
            lone = f"MATCH (n:{label}) WHERE NOT EXISTS {{ MATCH {pattern} }} WITH n.id AS id"
            what = (
                f"{counts[label] - with_one:,} {label} without {end}, first {_first(store, lone)}"
            )
            yield what, "load their source again"
        several = f"{match} WITH n.id AS id, count(*) AS n_end WHERE n_end > 1"
        n = _number(store, f"{several} RETURN count(*) AS n")
        if n:
            what = f"{n:,} {label} with more than one {end}, first {_first(store, several)}"
            yield what, _REBUILD
    strays = (
        "MATCH (n:Strain) OPTIONAL MATCH (n)-[p:PERTURBS]->(:Gene) "
        "WITH n.id AS id, n.n_perturbed AS n_said, count(p) AS n_has WHERE n_said <> n_has"
    )
    n = _number(store, f"{strays} RETURN count(*) AS n")
    if n:
        what = f"{n:,} Strain do not perturb as many genes as they say, first "
        yield what + _first(store, strays), "load their source again"
    bare = (
        "MATCH (n:Experiment) WHERE n.values IS NOT NULL "
        "AND NOT EXISTS { MATCH (n)-[:ALONG]->(:Axis) } WITH n.id AS id"
    )
    n = _number(store, f"{bare} RETURN count(*) AS n")
    if n:
        what = f"{n:,} Experiment with values but no Axis, first {_first(store, bare)}"
        yield what, "load their source again"


def _hashed(store: Store) -> Found:
    """Vocabulary hashes: axes, windows and the genes of runs match their hashes."""
    found = store.query("MATCH (a:Axis) RETURN a.id AS id, a.unit AS unit, a.names AS names, "
                        "a.phenotype AS phenotype").to_pylist()  # fmt: skip
    for row in found:
        names, unit = row["names"] or [], row["unit"] or ""
        study = row["id"].rpartition(f":{row['phenotype']}:")[0]
        loaded = Axis(study, row["phenotype"], unit, tuple(names)).id
        written = f"{row['phenotype']}:{names_sha256([unit, *names])[:16]}"
        if row["id"] not in (loaded, written):
            what = f"the names or the unit of the Axis {row['id']!s:.80} are not those of its hash"
            yield what, _REBUILD
    wrong = []
    match = "MATCH (c:CRE) WHERE c.sequence IS NOT NULL"
    for row in store.query(
        f"{match} RETURN c.id AS id, c.sequence AS sequence, c.sha256 AS sha256, c.length AS n"
    ).to_pylist():
        digest = hashlib.sha256(row["sequence"].encode()).hexdigest()
        if row["sha256"] not in (None, digest) or row["n"] not in (None, len(row["sequence"])):
            wrong.append(row["id"])
    if wrong:
        what = f"{len(wrong):,} CRE have not the sequence of their hash, first {min(wrong)}"
        yield what, "load cre again"
    genes = names_sha256(sorted(store.query("MATCH (g:Gene) RETURN g.id AS id")["id"].to_pylist()))
    for row in store.query(
        "MATCH (r:Run) RETURN r.id AS id, r.database_genes_sha256 AS genes"
    ).to_pylist():
        if row["genes"] is None:
            yield f"run {row['id']} does not say which genes the database had", "predict it again"
        elif row["genes"] != genes:
            what = f"run {row['id']} was trained when the database had other genes"
            yield what, "export, train and predict again"


def _long(store: Store) -> Found:
    """Vector lengths: every vector is as long as its model or axis says."""
    found = store.query(
        "MATCH (e:Embedding) WITH e.model AS model, e.dim AS dim, size(e.vector) AS n, "
        "count(*) AS n_vector RETURN model, dim, n, n_vector"
    ).to_pylist()
    dims: dict[str, set[int]] = {}
    for row in found:
        if row["dim"] != row["n"]:
            what = f"{row['n_vector']:,} Embedding of {row['model']} say {row['dim']} and have "
            yield what + f"{row['n']} numbers", "embed or load them again"
        dims.setdefault(row["model"], set()).add(row["n"])
    for model, lengths in dims.items():
        if len(lengths) > 1:
            said = ", ".join(map(str, sorted(lengths, key=str)))
            yield f"Embedding of {model} have {said} numbers", "embed or load them again"
    pairs = (
        "MATCH (n:Experiment)-[:ALONG]->(a:Axis) "
        "WITH n.id AS id, size(n.values) AS n_value, size(a.names) AS n_name "
        "WHERE n_value IS NULL OR n_value <> n_name"
    )
    n = _number(store, f"{pairs} RETURN count(*) AS n")
    if n:
        what = f"{n:,} Experiment have not one value a name of their axis, first "
        yield what + _first(store, pairs), "load their source again"
    for kind in ("expression", "morphology"):
        match = (
            "MATCH (r:Run)-[:PREDICTS_ALONG]->(a:Axis) "
            f"WHERE a.phenotype = '{kind}' "
            f"MATCH (r)-[p:PREDICTED]->(s:Strain) WHERE p.{kind} IS NOT NULL "
            f"WITH r.id AS id, size(p.{kind}) AS n_value, size(a.names) AS n_name "
            "WHERE n_value <> n_name"
        )
        n = _number(store, f"{match} RETURN count(*) AS n")
        if n:
            what = f"{n:,} predictions of {kind} have not the length of their run's axis"
            yield what, "predict and write again"


def _acyclic(store: Store) -> Found:
    """No term is an ancestor of itself."""
    above: dict[str, set[str]] = {}
    for relation in ("IS_A", "PART_OF"):
        found = store.query(
            f"MATCH (a:Term)-[:{relation}]->(b:Term) RETURN a.id AS a_id, b.id AS b_id"
        )
        for term, parent in zip(found["a_id"].to_pylist(), found["b_id"].to_pylist(), strict=True):
            above.setdefault(term, set()).add(parent)
    try:
        graphlib.TopologicalSorter(above).prepare()
    except graphlib.CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        yield f"the ontology goes in a circle: {circle:.200}", "load a valid ontology"


def _within(store: Store) -> Found:
    """Values: every value is within the schema's limits and choices."""
    schema = graph_schema()
    counts = store.counts()
    types: list[Node | Relationship] = [*schema.nodes.values(), *schema.relationships.values()]
    for spec in types:
        match = (
            f"MATCH (x:{spec.name})" if isinstance(spec, Node) else f"MATCH ()-[x:{spec.name}]->()"
        )
        if not counts[spec.name]:
            continue
        for prop in spec.properties.values():
            wrong = _outside(prop)
            if wrong is None:
                continue
            n = _number(store, f"{match} WHERE {wrong} RETURN count(*) AS n")
            if n:
                yield f"{n:,} {spec.name}.{prop.name} outside the schema's limits", _REBUILD


def _outside(prop: Property) -> str | None:
    words = []
    if prop.min is not None:
        words.append(f"x.{prop.name} < {prop.min}")
    if prop.max is not None:
        words.append(f"x.{prop.name} > {prop.max}")
    if prop.choices:
        words.append(f"NOT x.{prop.name} IN {list(prop.choices)}")
    return " OR ".join(words) or None


_VALUES_AT_ONCE = 10_000_000
_BEYOND = 1.7e308


def _finite(store: Store) -> Found:
    """Numbers: what was measured or predicted is finite, and every prediction holds a number."""
    schema, counts = graph_schema(), store.counts()
    again = {
        "Experiment": "mend their source and load it again",
        "Strain": "train again and write the predictions",
        "PREDICTED": "train again and write the predictions",
    }
    for name, remedy in again.items():
        spec = schema.type(name)
        if not counts[name]:
            continue
        match = f"MATCH (x:{name})" if isinstance(spec, Node) else f"MATCH ()-[x:{name}]->()"
        for prop in spec.properties.values():
            if prop.type != "DOUBLE":
                continue
            # an engine may order what is no number before or after all numbers
            it = f"x.{prop.name}"
            wrong = f"{it} <> {it} OR {it} > $most OR {it} < -$most"
            found = store.query(f"{match} WHERE {wrong} RETURN count(*) AS n", most=_BEYOND)
            n = found["n"][0].as_py()
            if n:
                yield f"{n:,} {name}.{prop.name} are no finite numbers", remedy
    numbers = [p for p in schema.type("PREDICTED").properties.values() if p.type != "STRING"]
    nothing = " AND ".join(f"p.{p.name} IS NULL" for p in numbers)
    empty = f"MATCH (r:Run)-[p:PREDICTED]->(s:Strain) WHERE {nothing}"
    for row in store.query(
        f"{empty} RETURN r.id AS run, count(*) AS n, min(s.id) AS id"
    ).to_pylist():
        what = f"{row['n']:,} predictions of run {row['run']} hold no number, first of {row['id']}"
        yield what, again["PREDICTED"]
    for prop in numbers:
        if prop.type == "FLOAT[]":
            yield from _finite_vectors(store, prop.name, again["PREDICTED"])
    ids = store.query("MATCH (n:Experiment) WHERE n.values IS NOT NULL RETURN n.id AS id")["id"]
    read = "MATCH (n:Experiment {id: in_id}) RETURN in_id AS id, n.values AS numbers"
    # a value that was not measured is NaN
    n, first = _count_wrong(ids, lambda rows: store.query(read, rows=rows), _find_infinite)
    if n:
        yield f"{n:,} Experiment.values are infinite, first {first:.80}", again["Experiment"]


def _finite_vectors(store: Store, name: str, remedy: str) -> Found:
    """Predicted vectors: a column that the genome lacks is NaN, but never all of them."""
    runs = store.query("MATCH (r:Run) RETURN r.id AS id")["id"].to_pylist()
    for run in sorted(runs):
        match = "MATCH (r:Run {id: $run})-[p:PREDICTED]->(s:Strain"
        ids = store.query(f"{match}) WHERE p.{name} IS NOT NULL RETURN s.id AS id", run=run)["id"]
        read = f"{match} {{id: in_id}}) RETURN in_id AS id, p.{name} AS numbers"

        def ask(rows: pa.Table, read: str = read, run: str = run) -> pa.Table:
            return store.query(read, rows=rows, run=run)

        n, first = _count_wrong(ids, ask, lambda some: _find_infinite(some) + _find_empty(some))
        if n:
            what = f"{n:,} predictions of {name} of run {run} are not finite, first of {first}"
            yield what, remedy


def _count_wrong(
    ids: pa.ChunkedArray,
    ask: Callable[[pa.Table], pa.Table],
    find: Callable[[pa.Table], list[str]],
) -> tuple[int, str]:
    """How many ids `find` finds in what `ask` gives of them, and the first of the first part."""
    n, first = 0, ""
    for some in _read_vectors(ids, ask):
        found = find(some)
        n, first = n + len(found), first or min(found, default="")
    return n, first


def _read_vectors(ids: pa.ChunkedArray, ask: Callable[[pa.Table], pa.Table]) -> Iterator[pa.Table]:
    """The columns id and numbers that `ask` gives of ids, in parts that fit in memory."""
    begin, step = 0, 1
    while begin < len(ids):
        rows = pa.table({"in_id": ids.slice(begin, step).combine_chunks()})
        some = ask(rows)
        yield some
        begin += step
        lengths = pc.max(pc.list_value_length(some["numbers"])).as_py() or 1
        step = max(1, _VALUES_AT_ONCE // lengths)


def _find_infinite(some: pa.Table) -> list[str]:
    """The ids of which any number is infinite."""
    return _where(some, np.isinf, np.logical_or)


def _find_empty(some: pa.Table) -> list[str]:
    """The ids of which no number is there."""
    return _where(some, np.isnan, np.logical_and)


def _where(some: pa.Table, what: np.ufunc, how: np.ufunc) -> list[str]:
    """The ids whose numbers are so, any or all of them."""
    lists = some["numbers"].combine_chunks()
    flat = lists.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    length = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    full = np.flatnonzero(length)
    starts = np.concatenate([[0], np.cumsum(length[full])[:-1]]).astype(np.int64)
    wrong = full[how.reduceat(what(flat), starts)] if len(full) else full
    found: list[str] = some["id"].take(pa.array(wrong)).to_pylist()
    return found


def _promoted(store: Store) -> Found:
    """The promoted run is there, and strains carry its predictions, all of them and no others."""
    said = store.query("MATCH (d:Database) RETURN d.promoted_run AS run")["run"].to_pylist()
    promoted = said[0] if said else None
    again = "write the predictions of the promoted run again"
    predicted = store.query(
        "MATCH (r:Run {id: $run}) OPTIONAL MATCH (r)-[p:PREDICTED]->() "
        "RETURN r.id AS run, count(p) AS n",
        run=promoted or "",
    )
    if promoted is not None and not len(predicted):
        yield f"the promoted run {promoted} is not there", "write the predictions of a run"
    carried = store.query(
        "MATCH (s:Strain) WHERE s.predicted_run IS NOT NULL "
        "RETURN s.predicted_run AS run, count(*) AS n"
    )
    for run, n in zip(carried["run"].to_pylist(), carried["n"].to_pylist(), strict=True):
        if run != promoted:
            what = f"{n:,} Strain carry predictions of {run}, which is not the promoted run"
            yield what, again
    of_run = dict(zip(carried["run"].to_pylist(), carried["n"].to_pylist(), strict=True))
    for wanted in predicted["n"].to_pylist():
        if of_run.get(promoted, 0) != wanted:
            what = (
                f"{of_run.get(promoted, 0):,} Strain carry the {wanted:,} predictions of {promoted}"
            )
            yield what, again


CHECKS: dict[str, Callable[[Store], Found]] = {
    "loads": _unfinished,
    "ledger": _counted,
    "keys": _keyed,
    "ends": _joined,
    "hashes": _hashed,
    "vectors": _long,
    "ontology": _acyclic,
    "limits": _within,
    "numbers": _finite,
    "predictions": _promoted,
}


def tabulate(findings: list[Finding]) -> pa.Table:
    """The findings as rows."""
    columns = {n: [getattr(f, n) for f in findings] for n in Finding._fields}
    return pa.table({n: pa.array(v, pa.string()) for n, v in columns.items()})
