"""Selection: from a database and a query to a Cohort.

Ids go to the database as rows and come back as Arrow columns; nothing is done row by row in
Python. All is sorted by id, so that both stores give the same bytes.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from genograph.cohorts.data import Cohort, Fitness, Genome, Strains, Vectors, names_sha256
from genograph.cohorts.folds import Folds, gene_folds, paralog_components, strain_folds
from genograph.cohorts.genome import WHOLE, Read, Subgraph, read_genome
from genograph.cohorts.query import CohortQuery, experiment_ids
from genograph.errors import CohortError
from genograph.experiments import RELATIVE
from genograph.schema import WILD_TYPE, Perturbation
from genograph.store import Store

EVERYTHING = CohortQuery.of()
NUMBERS = ("value", "sd", "interaction", "interaction_sd")
AT_ONCE, MOST_AT_ONCE = 500_000, 2_000_000
CARRIED = ("fitness", "expression", "morphology")
"""The phenotypes that a cohort carries; experiments of others are left out and counted."""


def select(
    store: Store,
    query: CohortQuery = EVERYTHING,
    *,
    singles: bool = True,
    embedding: str | Sequence[str] | None = None,
    subgraph: Subgraph = WHOLE,
    folds: Folds = Folds(),  # noqa: B008  (frozen)
    timeout: float | None = 600.0,
) -> Cohort:
    """The cohort of the experiments that a query selects, on the genome of the database.

    With `singles`, the fitness experiments of the single mutants of the selected strains are added,
    in the unit of the fitness that is selected: what a model of pairs is told. Experiments of
    strains with a perturbed gene outside `subgraph`, and of phenotypes that a cohort does not carry
    (traits), are left out; all are counted in the provenance. `embedding`: see `read_genome`.
    `timeout` is in seconds, for each query.

    Raises:
        CohortError: the query is refused, empty, or pools two units of one phenotype; or the
            genome cannot be read.
        StoreError: the database refuses the query or it ran out of time.
    """
    ids = experiment_ids(store, query, timeout=timeout)
    n_selected = len(ids)
    read = read_genome(store, embedding=embedding, subgraph=subgraph, timeout=timeout)
    experiments, n_other = _carried(_experiments(store, ids, timeout))
    carried = _perturbations(store, pc.unique(experiments["strain"]), timeout)
    n_single = n_single_other = 0
    if singles:
        more, n_single_other = _single_experiments(store, carried, experiments, timeout)
        n_single = len(more)
        if n_single:
            added = _experiments(store, more, timeout)
            new = pc.unique(added["strain"])
            new = new.filter(pc.invert(pc.is_in(new, value_set=pc.unique(experiments["strain"]))))
            experiments = pa.concat_tables([experiments, added])
            carried = _joined([carried, _perturbations(store, new, timeout)])
    strains, outside = _strains(carried, pc.unique(experiments["strain"]), read)
    inside = pc.is_in(experiments["strain"], value_set=strains.ids)
    n_outside = len(experiments) - pc.sum(inside).as_py()
    experiments = experiments.filter(inside).sort_by("id")
    if not len(experiments):
        msg = (
            f"the cohort is empty: each of {n_outside:,} experiments perturbs a gene outside the "
            f"subgraph of {len(read.genome.gene_ids):,} genes"
        )
        raise CohortError(msg)
    _check_units(experiments)
    studies = tuple(sorted(pc.unique(experiments["study"]).to_pylist()))
    genome = read.genome
    components = paralog_components(len(genome.gene_ids), genome.edges["gene:paralog_of:gene"])
    gene_fold = gene_folds(genome.gene_ids, components, folds)
    counts = dict(read.counts) | {
        "experiments_selected": n_selected,
        "experiments_of_phenotypes_not_carried_left_out": n_other,
        "experiments_of_single_mutants_added": n_single,
        "experiments_of_single_mutants_in_another_unit_left_out": n_single_other,
        "experiments_outside_subgraph_left_out": n_outside,
        "strains_outside_subgraph_left_out": outside,
        "experiments": len(experiments),
        "strains": len(strains),
        "paralog_edges_cut": components.n_cut,
    }
    provenance = {
        "cypher": query.cypher,
        "parameters": json.dumps(dict(query.parameters), sort_keys=True),
        "singles": singles,
        "embedding": ", ".join(dict.fromkeys(n.rsplit(":", 1)[0] for n in genome.feature_names)),
        "subgraph_genes": " ".join(subgraph.genes),
        "subgraph_hops": subgraph.hops,
        "subgraph_terms": " ".join(subgraph.terms),
        "seed": folds.seed,
        "test_genes": folds.test_genes,
        "validation_genes": folds.validation_genes,
        "test_strains": folds.test_strains,
        "validation_strains": folds.validation_strains,
        "database": store.uri,
        "database_genes_sha256": names_sha256(read.database_genes),
        "version": version("genograph"),
        "sources": _sources(store),
        **counts,
    }
    return Cohort(
        genome,
        strains,
        studies,
        _fitness(experiments, strains, studies),
        _vectors(store, experiments, strains, studies, genome, "expression", timeout),
        _vectors(store, experiments, strains, studies, genome, "morphology", timeout),
        gene_fold,
        strain_folds(strains, genome.gene_ids, gene_fold, components, folds),
        provenance,
    )


def members(
    store: Store, query: CohortQuery = EVERYTHING, *, timeout: float | None = 600.0
) -> pa.Table:
    """The experiments that a query selects, sorted by id, with strain, study and the numbers.

    Raises:
        CohortError: the query is refused or empty.
        StoreError: the database refuses the query or it ran out of time.
    """
    ids = experiment_ids(store, query, timeout=timeout)
    return _experiments(store, ids, timeout).sort_by("id")


def export(
    store: Store,
    folder: Path | str,
    query: CohortQuery = EVERYTHING,
    *,
    force: bool = False,
    singles: bool = True,
    embedding: str | Sequence[str] | None = None,
    subgraph: Subgraph = WHOLE,
    folds: Folds = Folds(),  # noqa: B008  (frozen)
    timeout: float | None = 600.0,
) -> Cohort:
    """Select a cohort and write its directory, the heterograph `genome.dgl` included; see `select`.

    Raises:
        CohortError: as `select`; or the folder is not empty, unless `force` and it is a cohort.
        StoreError: as `select`.
    """
    cohort = select(
        store, query, singles=singles, embedding=embedding, subgraph=subgraph, folds=folds,
        timeout=timeout,
    )  # fmt: skip
    cohort.save(folder, force=force, heterograph=True)
    return cohort


def _experiments(store: Store, ids: pa.Array, timeout: float | None) -> pa.Table:
    """The experiments with these ids: columns id, phenotype, strain, study and the numbers.

    Raises:
        CohortError: an id is none of an experiment, or one has no strain or study, or several.
    """
    parts, odd = [], []
    for some in _slices(ids):
        found = store.query(
            "MATCH (e:Experiment {id: in_id}) MATCH (e)-[:TESTS]->(s:Strain) "
            "MATCH (e)-[:FROM_STUDY]->(u:Study) "
            "RETURN in_id AS id, e.phenotype AS phenotype, e.unit AS unit, s.id AS strain, "
            "u.id AS study, " + ", ".join(f"e.{n} AS {n}" for n in NUMBERS),
            rows=pa.table({"in_id": some}),
            timeout=timeout,
        )
        if len(found) != len(some) or len(pc.unique(found["id"])) != len(some):
            both = pa.chunked_array([*found["id"].chunks, some]).cast(pa.string())
            counts = pc.value_counts(both)
            wrong = counts.filter(pc.not_equal(counts.field("counts"), 2)).field("values")
            odd += wrong.to_pylist()
        columns = {n: found[n].combine_chunks().cast(pa.string()) for n in found.column_names[:5]}
        columns |= {n: found[n].combine_chunks().cast(pa.float64()) for n in NUMBERS}
        parts.append(pa.table(columns))
    if odd:
        raise _not_one(store, odd)
    out = pa.concat_tables(parts)
    for name in ("phenotype", "unit"):
        if out[name].null_count:
            at = pc.index(pc.is_null(out[name]), True).as_py()
            msg = f"{store.uri}: experiment {out['id'][at]} has no {name}; load it again"
            raise CohortError(msg)
    return out


def _not_one(store: Store, odd: list[str]) -> CohortError:
    """What is wrong with ids that do not give one row each."""
    known = store.query(
        "MATCH (e:Experiment {id: in_id}) RETURN in_id AS id", rows=pa.table({"in_id": odd})
    )
    if len(known) < len(odd):
        missing = set(odd) - set(known["id"].to_pylist())
        msg = (
            f"the query's column experiment holds {len(missing):,} values that are no id of an "
            f"experiment, first {min(missing)}; return e.id AS experiment"
        )
        return CohortError(msg)
    msg = (
        f"{store.uri}: {len(odd)} experiments, first {odd[0]}, do not have exactly one strain "
        f"and one study; load their source again"
    )
    return CohortError(msg)


def _slices(ids: pa.Array) -> Iterator[pa.Array]:
    """The ids in parts: an engine holds a whole answer in memory, and may read a table for each."""
    step = min(MOST_AT_ONCE, max(AT_ONCE, len(ids) // 8))
    return (ids.slice(start, step) for start in range(0, len(ids), step))


class Carried(NamedTuple):
    """Perturbations of strains, one row each; `name` is the perturbation as strain ids spell it."""

    strain: pa.Array
    gene: pa.Array
    dose: pa.Array
    name: pa.Array


def _perturbations(store: Store, strain_ids: pa.Array, timeout: float | None) -> Carried:
    return _joined([_some_perturbations(store, some, timeout) for some in _slices(strain_ids)])


def _joined(parts: Sequence[Carried]) -> Carried:
    filled = [part for part in parts if len(part.strain)]
    if not filled:
        none = pa.array([], pa.string())
        return Carried(none, none, pa.array([], pa.float64()), none)
    return Carried(*(pa.concat_arrays(columns) for columns in zip(*filled, strict=True)))


def _some_perturbations(store: Store, strain_ids: pa.Array, timeout: float | None) -> Carried:
    found = store.query(
        "MATCH (s:Strain {id: in_id}) MATCH (s)-[p:PERTURBS]->(g:Gene) "
        "RETURN in_id AS strain, g.id AS gene, p.kind AS kind, p.allele AS allele, p.dose AS dose",
        rows=pa.table({"in_id": strain_ids}),
        timeout=timeout,
    )
    if not len(found):
        return _joined([])
    found = found.combine_chunks()
    columns = {n: found[n].combine_chunks() for n in found.column_names}
    columns["dose"] = columns["dose"].cast(pa.float64())
    for name in ("kind", "allele", "dose"):
        if columns[name].null_count:
            at = pc.index(pc.is_null(columns[name]), True).as_py()
            msg = f"{store.uri}: strain {columns['strain'][at]} has a perturbation without {name}"
            raise CohortError(msg)
    # each spelling is made once: there are far fewer of them than rows
    parts = [columns["gene"], columns["kind"], columns["allele"], columns["dose"].cast(pa.string())]
    key = pc.binary_join_element_wise(*parts, "\n").dictionary_encode()
    _, first = np.unique(key.indices.to_numpy(), return_index=True)
    one = [columns[n].take(pa.array(first)).to_pylist() for n in ("gene", "kind", "allele", "dose")]
    spelled = [str(Perturbation(*values)) for values in zip(*one, strict=True)]
    name = pa.array(spelled, pa.string()).take(key.indices)
    return Carried(columns["strain"], columns["gene"], columns["dose"], name)


def _single_experiments(
    store: Store, carried: Carried, selected: pa.Table, timeout: float | None
) -> tuple[pa.Array, int]:
    """The fitness experiments of single mutants that are not selected yet, sorted by id.

    Only those in the unit of the selected fitness, or relative to the wild type where none is
    selected; the second is how many there are in another unit.
    """
    found = store.query(
        "MATCH (s:Strain {id: in_id}) MATCH (e:Experiment)-[:TESTS]->(s) "
        "WHERE e.phenotype = 'fitness' RETURN e.id AS id, e.unit AS unit",
        rows=pa.table({"in_id": pc.unique(carried.name)}),
        timeout=timeout,
    )
    if not len(found):
        return pa.array([], pa.string()), 0
    fitness = selected.filter(pc.equal(selected["phenotype"], "fitness"))
    units = pc.unique(fitness["unit"]) if len(fitness) else pa.array([RELATIVE])
    # one without a unit stays, for `_experiments` to refuse it by name
    fits = pc.or_(pc.is_in(found["unit"].cast(pa.string()), units), pc.is_null(found["unit"]))
    ids = pc.unique(found["id"].filter(fits).combine_chunks().cast(pa.string()))
    others = len(pc.unique(found["id"].filter(pc.invert(fits))))
    ids = ids.filter(pc.invert(pc.is_in(ids, value_set=selected["id"].combine_chunks())))
    return ids.take(pc.sort_indices(ids)), others


def _carried(experiments: pa.Table) -> tuple[pa.Table, int]:
    """The experiments of phenotypes that a cohort carries, and how many are of others.

    Raises:
        CohortError: none is left.
    """
    kept = pc.is_in(experiments["phenotype"], value_set=pa.array(CARRIED))
    n_other = len(experiments) - (pc.sum(kept).as_py() or 0)
    if n_other == len(experiments):
        names = ", ".join(sorted(pc.unique(experiments["phenotype"]).to_pylist()))
        msg = (
            f"the cohort is empty: all {n_other:,} experiments are of {names}, and a cohort "
            f"carries {', '.join(CARRIED)}; read them with `genograph query`"
        )
        raise CohortError(msg)
    return experiments.filter(kept), n_other


def _strains(carried: Carried, strain_ids: pa.Array, read: Read) -> tuple[Strains, int]:
    """The strains whose genes are all in the genome, sorted by id, and how many are not."""
    genes = pa.array(read.genome.gene_ids, pa.string())
    gene = pc.fill_null(pc.index_in(carried.gene, value_set=genes), -1)
    lost = pc.unique(carried.strain.filter(pc.equal(gene, -1)))
    ids = strain_ids if isinstance(strain_ids, pa.Array) else strain_ids.combine_chunks()
    ids = ids.filter(pc.invert(pc.is_in(ids, value_set=lost)))
    ids = ids.take(pc.sort_indices(ids))
    owner = pc.fill_null(pc.index_in(carried.strain, value_set=ids), -1)
    rows = _whole_numbers(owner)
    kept = np.flatnonzero(rows >= 0)
    names = carried.name.take(pa.array(kept))
    # a screen has few spellings and millions of rows: the spellings are sorted, not the rows
    spelled = names.dictionary_encode()
    place = _whole_numbers(pc.rank(spelled.dictionary, tiebreaker="dense")) if len(names) else kept
    rank = place[_whole_numbers(spelled.indices)] if len(names) else kept
    order = kept[np.lexsort((rank, rows[kept]))]
    rows = rows[order]
    n_perturbed = np.bincount(rows, minlength=len(ids))
    _check_bare(ids, n_perturbed)
    single = pc.index_in(carried.name.take(pa.array(order)), value_set=ids)
    return (
        Strains(
            ids,
            np.concatenate([[0], np.cumsum(n_perturbed)]).astype(np.int64),
            _whole_numbers(gene)[order],
            carried.dose.to_numpy(zero_copy_only=False).astype(np.float32)[order],
            _whole_numbers(pc.fill_null(single, -1)),
        ),
        len(lost),
    )


def _check_bare(ids: pa.Array, n_perturbed: Int64[np.ndarray, " strain"]) -> None:
    bare = [ids[int(i)].as_py() for i in np.flatnonzero(n_perturbed == 0)]
    bare = [name for name in bare if name != WILD_TYPE]
    if bare:
        msg = f"{len(bare)} strains, first {bare[0]}, have no PERTURBS edge; load them again"
        raise CohortError(msg)


def _whole_numbers(column: pa.Array) -> Int64[np.ndarray, " row"]:
    out: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return out


def _check_units(experiments: pa.Table) -> None:
    """Refuse to pool two units of one phenotype."""
    units = experiments.group_by(["phenotype", "unit"], use_threads=False).aggregate(
        [("study", "distinct"), ([], "count_all")]
    )
    for phenotype in sorted(set(units["phenotype"].to_pylist())):
        mine = units.filter(pc.equal(units["phenotype"], phenotype)).sort_by("unit").to_pylist()
        if len(mine) > 1:
            each = "; ".join(
                f"{r['unit']} ({r['count_all']:,} of {', '.join(sorted(r['study_distinct']))})"
                for r in mine
            )
            msg = (
                f"the cohort pools {len(mine)} units of {phenotype}: {each}; select the studies "
                f"of one unit"
            )
            raise CohortError(msg)


def _rows(column: pa.ChunkedArray, names: pa.Array | Sequence[str]) -> Int64[np.ndarray, " row"]:
    vocabulary = names if isinstance(names, pa.Array) else pa.array(names, pa.string())
    return _whole_numbers(pc.index_in(column.combine_chunks(), value_set=vocabulary))


def _fitness(experiments: pa.Table, strains: Strains, studies: Sequence[str]) -> Fitness | None:
    mine = experiments.filter(pc.equal(experiments["phenotype"], "fitness"))
    if not len(mine):
        return None
    numbers = (
        mine[name].to_numpy().astype(np.float32)
        for name in ("value", "sd", "interaction", "interaction_sd")
    )
    return Fitness(_rows(mine["strain"], strains.ids), _rows(mine["study"], studies), *numbers)


def _vectors(
    store: Store,
    experiments: pa.Table,
    strains: Strains,
    studies: Sequence[str],
    genome: Genome,
    phenotype: str,
    timeout: float | None,
) -> Vectors | None:
    """The experiments of a vector phenotype, on the sorted union of their axes."""
    mine = experiments.filter(pc.equal(experiments["phenotype"], phenotype))
    if not len(mine):
        return None
    found = store.query(
        "MATCH (e:Experiment {id: in_id}) MATCH (e)-[:ALONG]->(x:Axis) "
        "RETURN in_id AS id, x.id AS axis, e.values AS numbers",
        rows=pa.table({"in_id": mine["id"].combine_chunks()}),
        timeout=timeout,
    )
    rows = _rows(found["id"], mine["id"].combine_chunks()) if len(found) else np.empty(0, np.int64)
    if not np.array_equal(np.sort(rows), np.arange(len(mine))):
        at = int(np.flatnonzero(np.bincount(rows, minlength=len(mine)) != 1)[0])
        msg = f"{store.uri}: experiment {mine['id'][at]} does not have exactly one axis"
        raise CohortError(msg)
    axes = store.query(
        "MATCH (x:Axis) RETURN x.id AS id, x.names AS names, x.unit AS unit", timeout=timeout
    )
    along = dict(zip(axes["id"].to_pylist(), axes["unit"].to_pylist(), strict=True))
    columns = {i: n for i, n in zip(axes["id"].to_pylist(), axes["names"].to_pylist(), strict=True)}
    used = sorted(pc.unique(found["axis"]).to_pylist())
    unit = mine["unit"][0].as_py()
    for axis in used:
        if along[axis] not in (None, unit):
            msg = (
                f"{store.uri}: experiments of {phenotype} in {unit} lie along the axis {axis} in "
                f"{along[axis]}; load their source again"
            )
            raise CohortError(msg)
    names = sorted(set().union(*(columns[axis] for axis in used)))
    values = np.full((len(mine), len(names)), np.nan, np.float32)
    for axis in used:
        here = pc.equal(found["axis"], axis)
        lists = found["numbers"].filter(here).combine_chunks()
        _check_lengths(lists, found["id"].filter(here), len(columns[axis]), axis)
        block = lists.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
        column = _rows(pa.chunked_array([pa.array(columns[axis], pa.string())]), names)
        values[np.ix_(rows[here.to_numpy()], column)] = block.reshape(-1, len(column))
    gene = np.empty(0, np.int64)
    if phenotype == "expression":
        known = pc.index_in(pa.array(names), value_set=pa.array(genome.gene_ids, pa.string()))
        gene = _whole_numbers(pc.fill_null(known, -1))
    return Vectors(
        _rows(mine["strain"], strains.ids),
        _rows(mine["study"], studies),
        values,
        tuple(names),
        unit,
        gene,
    )


def _check_lengths(lists: pa.Array, ids: pa.ChunkedArray, wanted: int, axis: str) -> None:
    wrong = pc.fill_null(pc.not_equal(pc.list_value_length(lists), wanted), True)
    if pc.any(wrong).as_py():
        at = pc.index(wrong, True).as_py()
        got = len(lists[at]) if lists[at].is_valid else "no"
        msg = f"experiment {ids[at]} has {got} values, its axis {axis} has {wanted} names"
        raise CohortError(msg)


def _sources(store: Store) -> list[str]:
    """The files the database was loaded from: loader, name and hash."""
    found = store.query(
        "MATCH (f:Source) RETURN f.loader AS loader, f.file AS name, f.sha256 AS sha256"
    )
    rows = found.to_pylist()
    return sorted(f"{r['loader']} {r['name']} {r['sha256']}" for r in rows)
