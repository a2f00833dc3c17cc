"""CohortQuery: which experiments a cohort holds, as Cypher with parameters.

Flags write the query, or a .cypher file holds it. Where a query selects nothing, growing prefixes
of it are run; the first empty one names the clause or the flag.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from genograph.cohorts.sorting import Sorting
from genograph.cypher import (
    Clause,
    Predicate,
    check_parameters,
    fence,
    read_parameters,
    read_predicates,
    without_parameters,
)
from genograph.cypher.patterns import find_parameters
from genograph.database.names import find_close, find_ids, list_ids
from genograph.database.query import query_parts
from genograph.errors import CohortError, format_count
from genograph.schema import graph_schema
from genograph.store import Store
from genograph.tables import Value


@dataclass(frozen=True)
class CohortQuery:
    """A reading Cypher statement that returns a column `experiment` or `strain`, of ids.

    A query that returns strains selects all their experiments.

    Attributes:
        cypher: the statement.
        parameters: values of its $parameters.
        flags: by predicate of the statement, the flag that wrote it.

    Example:
        >>> query = genograph.CohortQuery.of(study=["simulated_sga"], max_sd=0.1)
        >>> print(query.cypher)
        MATCH (e:Experiment)
        WHERE coalesce(e.sd, e.interaction_sd) <= $max_sd
        MATCH (e)-[:FROM_STUDY]->(u:Study)
        WHERE u.id IN $study
        RETURN e.id AS experiment
    """

    cypher: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        study: Sequence[str] = (),
        phenotype: Sequence[str] = (),
        unit: Sequence[str] = (),
        go: Sequence[str] = (),
        gene: Sequence[str] = (),
        complex: Sequence[str] = (),
        kind: Sequence[str] = (),
        any_gene: bool = False,
        min_perturbed: int | None = None,
        max_perturbed: int | None = None,
        max_sd: float | None = None,
        max_p: float | None = None,
        min_fitness: float | None = None,
        max_fitness: float | None = None,
        environment: Sequence[str] = (),
        exclude_study: Sequence[str] = (),
    ) -> "CohortQuery":
        """Write the query of some flags: all flags hold, and any one value of each flag.

        `go`, `gene`, `complex` and `kind` say something of perturbations: it must hold for every
        perturbation of a strain, with `any_gene` for one at least. An experiment that has no s.d.,
        P value or fitness is not kept by the flag that limits it.

        Args:
            study: ids of studies.
            phenotype: as the schema spells them.
            unit: units of the measurement; a cohort takes one a phenotype.
            go: ids or names of terms; a gene counts that is annotated with one or with a term below
                it by is_a or part_of; NOT annotations do not count.
            gene: systematic names, symbols or aliases.
            complex: ids or names of complexes.
            kind: kinds of perturbation, e.g. deletion.
            any_gene: one perturbed gene is enough for the flags on perturbations.
            min_perturbed: least number of perturbations.
            max_perturbed: greatest number of perturbations.
            max_sd: greatest s.d. of fitness (wild type = 1), or of the interaction score where a
                fitness is missing.
            max_p: greatest P value.
            min_fitness: least fitness (wild type = 1).
            max_fitness: greatest fitness (wild type = 1).
            environment: ids of conditions.
            exclude_study: ids of studies whose experiments are left out.

        Raises:
            CohortError: a phenotype or kind that the schema does not know.
        """
        schema = graph_schema()
        _check_choice(
            "phenotype", phenotype, schema.nodes["Experiment"].properties["phenotype"].choices
        )
        _check_choice("kind", kind, tuple(schema.doses))
        given: dict[str, Value] = {}
        flags: dict[str, str] = {}
        lines: list[str] = []

        def add(name: str, value: Value, *wanted: str) -> str:
            # one predicate of the text a flag, so that the flag can be named when it empties
            given[name] = value
            shown = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            predicate = " ".join(wanted)
            flags[_on_one_line(predicate)] = f"--{name.replace('_', '-')} {shown}"
            return predicate

        def where(*found: str) -> None:
            if found:
                lines.append("WHERE " + "\n  AND ".join(found))

        if go:
            # terms first, each once: the ways up are many more than the terms
            lines.append("MATCH (top:Term)<-[:IS_A|PART_OF*0..30]-(t:Term)")
            where(add("go", list(go), "top.id IN $go"))
            lines.append("WITH DISTINCT t")
            lines.append("MATCH (t)<-[a:ANNOTATED_WITH]-(g:Gene)")
            where("coalesce(a.negated, false) = false")
            flags[lines[-2]] = flags["coalesce(a.negated, false) = false"] = (
                f"--go {' '.join(go)}: no gene is annotated with it or below; that"
            )
            lines.append("WITH DISTINCT g")
        if complex:
            lines.append("MATCH (g:Gene)-[:MEMBER_OF]->(c:Complex)" if not go else _MEMBER)
            where(add("complex", list(complex), "c.id IN $complex"))
            lines.append("WITH DISTINCT g")
        if gene or kind or go or complex:
            lines.append(f"MATCH (s:Strain)-[p:PERTURBS]->(g{'' if go or complex else ':Gene'})")
            found = []
            if gene:
                found.append(add("gene", list(gene), "(g.id IN $gene OR g.symbol IN $gene)"))
            if kind:
                found.append(add("kind", list(kind), "p.kind IN $kind"))
            where(*found)
            lines.append("WITH s, count(p) AS n_inside")
            if not any_gene:
                where("n_inside = s.n_perturbed")
                flags["n_inside = s.n_perturbed"] = " ".join(
                    ("every perturbation of a strain by", *(_list_flags(go, gene, complex, kind)))
                )
        if lines or min_perturbed is not None or max_perturbed is not None:
            lines.append(f"MATCH (e:Experiment)-[:TESTS]->(s{'' if lines else ':Strain'})")
        else:
            lines.append("MATCH (e:Experiment)")
        found = []
        if min_perturbed is not None:
            found.append(add("min_perturbed", min_perturbed, "s.n_perturbed >= $min_perturbed"))
        if max_perturbed is not None:
            found.append(add("max_perturbed", max_perturbed, "s.n_perturbed <= $max_perturbed"))
        if phenotype:
            found.append(add("phenotype", list(phenotype), "e.phenotype IN $phenotype"))
        if unit:
            found.append(add("unit", list(unit), "e.unit IN $unit"))
        if max_sd is not None:
            sd = "coalesce(e.sd, e.interaction_sd)"
            found.append(add("max_sd", float(max_sd), f"{sd} <= $max_sd"))
        if max_p is not None:
            found.append(add("max_p", float(max_p), "e.p <= $max_p"))
        if min_fitness is not None:
            found.append(add("min_fitness", float(min_fitness), "e.value >= $min_fitness"))
        if max_fitness is not None:
            found.append(add("max_fitness", float(max_fitness), "e.value <= $max_fitness"))
        where(*found)
        if study or exclude_study:
            lines.append("MATCH (e)-[:FROM_STUDY]->(u:Study)")
            found = [add("study", list(study), "u.id IN $study")] if study else []
            if exclude_study:
                wanted = "NOT u.id IN $exclude_study"
                found.append(add("exclude_study", list(exclude_study), wanted))
            where(*found)
        if environment:
            lines.append("MATCH (e)-[:IN_ENVIRONMENT]->(v:Environment)")
            where(add("environment", list(environment), "v.id IN $environment"))
        lines.append("RETURN e.id AS experiment")
        return cls("\n".join(lines), given, flags)

    @classmethod
    def read(cls, path: Path | str, **parameters: Value) -> "CohortQuery":
        """Read a .cypher file; lines `// :param NAME => JSON` give parameters.

        Args:
            path: the file, UTF-8.
            parameters: values that come before those of the file.

        Raises:
            CohortError: the file cannot be read, or is not one reading statement.
        """
        path = Path(path)
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            msg = f"{path}: cannot be read: {reason}"
            raise CohortError(msg) from error
        values = read_parameters(text, path)
        values |= parameters
        try:
            check_parameters(fence(text), values)
        except CohortError as error:
            msg = f"{path}: {error}"
            raise CohortError(msg) from error
        return cls(text, values)

    @property
    def text(self) -> str:
        """The query as a .cypher file: its parameters, then the statement."""
        lines = [
            f"// :param {name} => {json.dumps(value)}" for name, value in self.parameters.items()
        ]
        return "\n".join([*lines, without_parameters(self.cypher)]) + "\n"


_MEMBER = "MATCH (g)-[:MEMBER_OF]->(c:Complex)"


def read_experiment_ids(
    store: Store, query: CohortQuery, folder: Path, *, timeout: float | None
) -> Sorting:
    """The ids of the experiments that a query selects, as rows `id`; not looked up yet.

    They are sorted in a folder that is not there yet; one id may be there several times.

    Raises:
        CohortError: refused by the fence, of other columns, or empty, saying what emptied it.
        StoreError: the database refuses the query.
        OSError: the folder takes no more.
    """
    folder.mkdir()
    ids = Sorting(folder / "ids", "id")
    for part in query_parts(store, query.cypher, timeout=timeout, **query.parameters):
        name, found = _take_ids(part)
        ids.put(found)
    if not ids.rows:
        raise CohortError(explain_empty(store, query, timeout=timeout))
    if name == "experiment":
        return ids
    experiments = Sorting(folder / "experiments", "id")
    n_strain = 0
    for part in ids.parts(distinct=True):
        n_strain += len(part)
        found = store.query(
            "MATCH (s:Strain {id: in_id}) MATCH (n:Experiment)-[:TESTS]->(s) RETURN n.id AS id",
            rows=part.rename_columns(["in_id"]),
            timeout=timeout,
        )
        experiments.put(pa.table({"id": found["id"].cast(pa.string())}))
    if not experiments.rows:
        msg = f"the query selects {format_count(n_strain, 'strain')}, none of which was measured"
        raise CohortError(msg)
    return experiments


def _take_ids(found: pa.Table) -> tuple[str, pa.Table]:
    """Return the name of the column of ids in a query's rows, and its distinct values."""
    wanted = [name for name in ("experiment", "strain") if name in found.column_names]
    if not wanted:
        msg = (
            f"the query returns {', '.join(found.column_names)}; a cohort needs a column of ids "
            f"named experiment or strain: RETURN e.id AS experiment"
        )
        raise CohortError(msg)
    ids = found[wanted[0]].combine_chunks()
    if len(ids) and not pa.types.is_string(ids.type) and not pa.types.is_null(ids.type):
        msg = f"the query's column {wanted[0]} holds {ids.type}; wanted ids: {wanted[0][0]}.id"
        raise CohortError(msg)
    some = ids.drop_null() if len(ids) else pa.array([], pa.string())
    return wanted[0], pa.table({"id": pc.unique(some.cast(pa.string()))})


_KINDS = {
    "study": "study",
    "exclude_study": "study",
    "environment": "environment",
    "go": "term",
    "complex": "complex",
    "gene": "gene",
}
"""The kind of thing that a flag's values name."""


def name_ids(store: Store, query: CohortQuery) -> CohortQuery:
    """The query with ids in the place of names that its flags give: `--go "DNA repair"`.

    Raises:
        CohortError: the database has nothing of a name, or several; the message says what is close.
    """
    given = {
        flag: [str(name) for name in names]
        for flag in _KINDS
        if query.flags and isinstance(names := query.parameters.get(flag), list)
    }
    ids: dict[str, Value] = {}
    for flag, names in given.items():
        found = find_ids(store, _KINDS[flag], names)
        spelled = f"--{flag.replace('_', '-')}"
        ids[flag] = [_one_id(store, _KINDS[flag], spelled, name, found[name]) for name in names]
    return replace(query, parameters={**query.parameters, **ids})


def _one_id(store: Store, kind: str, flag: str, name: str, ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return ids[0]
    if ids:
        msg = f"{flag} {name}: {len(ids)} have that name; choose one of {', '.join(ids[:10])}"
        raise CohortError(msg)
    msg = f"{flag} {name}: there is none in {store.uri}"
    close = find_close(store, kind, name)
    if close:
        msg += f"; did you mean {' or '.join(close)}?"
    elif kind in ("study", "environment") and (held := list_ids(store, kind)):
        msg += f"; choose one of {', '.join(held)}"
    else:
        msg += f"; genograph find {name.split()[0]!r} lists what has such a name"
    raise CohortError(msg)


def explain_empty(store: Store, query: CohortQuery, *, timeout: float | None = 60.0) -> str:
    """Name the clause, predicate or flag that leaves no row of a query."""
    statement = fence(query.cypher)
    reasons = []
    branch: list[Clause] = []
    for clause in (*statement.clauses, None):
        if clause is not None and not clause.keyword.startswith("UNION"):
            branch.append(clause)
            continue
        reasons.append(_explain_branch(store, query, branch, timeout))
        branch = []
    return "the cohort is empty: " + "; and ".join(dict.fromkeys(reasons))


def _explain_branch(
    store: Store, query: CohortQuery, clauses: Sequence[Clause], timeout: float | None
) -> str:
    """Say why one branch of a UNION returns nothing."""

    def count(prefix: str) -> int:
        statement = fence(f"{prefix}\nRETURN count(*) AS n_row")
        used = {n: v for n, v in query.parameters.items() if n in statement.parameters}
        found = pa.concat_tables(
            store.ask(statement.text, limit_rows=None, timeout=timeout, **used)
        )
        return int(found["n_row"][0].as_py())

    prefix, before = "", None
    for k, clause in enumerate(clauses):
        if clause.keyword == "RETURN":
            break
        if clause.keyword == "ORDER BY":
            # in a prefix of its own it is not valid everywhere, and it empties nothing
            prefix += f"\n{clause.text}"
            continue
        following = clauses[k + 1]
        if following.keyword == "WHERE" and count(f"{prefix}\n{clause.text}\n{following.text}"):
            # both leave some, and a MATCH without its WHERE may be very large
            prefix += f"\n{clause.text}"
            continue
        pieces = read_predicates(clause)
        if clause.keyword != "WHERE":
            pieces = (Predicate(clause.text, find_parameters(clause.tokens)),)
        for n_piece in range(1, len(pieces) + 1):
            grown = f"{prefix}\n{clause.text}"
            if clause.keyword == "WHERE":
                kept = " AND ".join(piece.text for piece in pieces[:n_piece])
                grown = f"{prefix}\nWHERE {kept}"
            n_row = count(grown)
            if n_row == 0:
                return _explain_piece(query, clause, pieces[n_piece - 1], before)
            before = n_row
        prefix = f"{prefix}\n{clause.text}"
    tail = " ".join(c.text for c in clauses[_find_return(clauses) :])
    return f"{before or 0:,} rows reach {' '.join(tail.split())}, which returns no id"


def _explain_piece(query: CohortQuery, clause: Clause, piece: Predicate, before: int | None) -> str:
    values = ", ".join(
        f"${name} = {json.dumps(query.parameters[name])}"
        for name in piece.parameters
        if name in query.parameters
    )
    had = "nothing" if before is None else f"none of {before:,} rows"
    flag = query.flags.get(_on_one_line(piece.text))
    if flag is not None:
        return f"{flag} leaves {had}"
    words = _on_one_line(piece.text)
    spelled = words if clause.keyword != "WHERE" else f"WHERE {words}"
    place = clause.tokens[0].place
    return f"{spelled} ({place}{'; ' + values if values else ''}) leaves {had}"


def _find_return(clauses: Sequence[Clause]) -> int:
    return next(i for i, c in enumerate(clauses) if c.keyword == "RETURN")


def _on_one_line(predicate: str) -> str:
    return " ".join(predicate.split())


def _list_flags(*groups: Sequence[str]) -> list[str]:
    names = ("--go", "--gene", "--complex", "--kind")
    return [f"{name} {' '.join(group)}" for name, group in zip(names, groups, strict=True) if group]


def _check_choice(flag: str, given: Sequence[str], choices: Sequence[Any] | None) -> None:
    for value in given:
        if choices is not None and value not in choices:
            msg = f"--{flag} {value}: choose one of {', '.join(choices)}"
            raise CohortError(msg)
