"""Selection: from a database and a query to a Cohort.

Ids go to the database as rows and come back as Arrow columns; nothing is done row by row in
Python. All is sorted by id, so that both stores give the same bytes.
"""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from genograph.cohorts.data import Cohort, Fitness, Genome, Strains, Vectors, names_sha256
from genograph.cohorts.folds import Folds, gene_folds, paralog_components, strain_folds
from genograph.cohorts.genome import WHOLE, Read, Subgraph, read_genome
from genograph.cohorts.query import CohortQuery, experiment_ids
from genograph.cohorts.rows import NUMBERS, Carried, carried, experiment_rows, joined
from genograph.errors import CohortError
from genograph.experiments import RELATIVE
from genograph.schema import WILD_TYPE
from genograph.store import Store

EVERYTHING = CohortQuery.of()
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
    experiments, n_other = _of_phenotypes(experiment_rows(store, ids, timeout))
    del ids
    perturbed = carried(store, pc.unique(experiments["strain"]), timeout)
    n_single = n_single_other = 0
    if singles:
        more, n_single_other = _single_experiments(store, perturbed, experiments, timeout)
        n_single = len(more)
        if n_single:
            added = experiment_rows(store, more, timeout)
            new = pc.unique(added["strain"])
            new = new.filter(pc.invert(pc.is_in(new, value_set=perturbed.ids)))
            experiments = pa.concat_tables([experiments, added]).unify_dictionaries().sort_by("id")
            perturbed = joined(perturbed, carried(store, new, timeout))
    strains, outside = _strains(perturbed, read)
    del perturbed
    row = _rows(experiments["strain"], strains.ids)
    experiments = experiments.drop_columns("strain").append_column("strain", pa.array(row))
    n_outside = int((row < 0).sum())
    if n_outside:
        experiments = experiments.filter(pa.array(row >= 0))
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
        _fitness(experiments, studies),
        _vectors(store, experiments, studies, genome, "expression", timeout),
        _vectors(store, experiments, studies, genome, "morphology", timeout),
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
    found = experiment_rows(store, ids, timeout)
    plain = {n: found[n].cast(pa.string()) for n in ("id", "phenotype", "unit", "strain", "study")}
    return pa.table(plain | {n: found[n] for n in NUMBERS})


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


def _single_experiments(
    store: Store, perturbed: Carried, selected: pa.Table, timeout: float | None
) -> tuple[pa.Array, int]:
    """The fitness experiments of single mutants that are not selected yet, sorted by id.

    Only those in the unit of the selected fitness, or relative to the wild type where none is
    selected; the second is how many there are in another unit.
    """
    found = store.query(
        "MATCH (s:Strain {id: in_id}) MATCH (e:Experiment)-[:TESTS]->(s) "
        "WHERE e.phenotype = 'fitness' RETURN e.id AS id, e.unit AS unit",
        rows=pa.table({"in_id": perturbed.names}),
        timeout=timeout,
    )
    if not len(found):
        return pa.array([], pa.string()), 0
    units = pc.unique(selected["unit"].filter(pc.equal(selected["phenotype"], "fitness")))
    units = units.cast(pa.string()) if len(units) else pa.array([RELATIVE])
    # one without a unit stays, for `_experiments` to refuse it by name
    fits = pc.or_(pc.is_in(found["unit"].cast(pa.string()), units), pc.is_null(found["unit"]))
    ids = pc.unique(found["id"].filter(fits).combine_chunks().cast(pa.string()))
    others = len(pc.unique(found["id"].filter(pc.invert(fits))))
    # a hash of the few, not of all that are selected
    there = selected["id"].filter(pc.is_in(selected["id"], value_set=ids)).combine_chunks()
    ids = ids.filter(pc.invert(pc.is_in(ids, value_set=there)))
    return ids.take(pc.sort_indices(ids)), others


def _of_phenotypes(experiments: pa.Table) -> tuple[pa.Table, int]:
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
    return (experiments.filter(kept) if n_other else experiments), n_other


def _strains(perturbed: Carried, read: Read) -> tuple[Strains, int]:
    """The strains whose genes are all in the genome, sorted by id, and how many are not."""
    genes = pa.array(read.genome.gene_ids, pa.string())
    # 32 bits, for there may be tens of millions
    gene = _rows(perturbed.genes, genes).astype(np.int32)[perturbed.gene]
    inside = np.ones(len(perturbed.ids), np.bool_)
    inside[perturbed.strain[gene < 0]] = False
    ids = perturbed.ids.filter(pa.array(inside))
    place = np.where(inside, np.cumsum(inside, dtype=np.int32) - 1, np.int32(-1))
    row = place[perturbed.strain]
    # a screen has few spellings and millions of rows: the spellings are sorted, not the rows
    rank = _whole_numbers(pc.rank(perturbed.names, tiebreaker="dense")).astype(np.int32)
    spelled = rank[perturbed.name]
    order = np.lexsort((spelled, row))
    order = order[row[order] >= 0]
    n_perturbed = np.bincount(row[order], minlength=len(ids))
    _check_bare(ids, n_perturbed)
    single = _rows(perturbed.names, ids)
    return (
        Strains(
            ids,
            np.concatenate([[0], np.cumsum(n_perturbed)]).astype(np.int64),
            gene[order].astype(np.int64),
            perturbed.dose[order],
            single[perturbed.name[order]],
        ),
        int((~inside).sum()),
    )


def _check_bare(ids: pa.Array, n_perturbed: Int64[np.ndarray, " strain"]) -> None:
    bare = [ids[int(i)].as_py() for i in np.flatnonzero(n_perturbed == 0)]
    bare = [name for name in bare if name != WILD_TYPE]
    if bare:
        msg = f"{len(bare)} strains, first {bare[0]}, have no PERTURBS edge; load them again"
        raise CohortError(msg)


def _whole_numbers(column: pa.Array | pa.ChunkedArray) -> Int64[np.ndarray, " row"]:
    out: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return out


def _check_units(experiments: pa.Table) -> None:
    """Refuse to pool two units of one phenotype."""
    units = experiments.group_by(["phenotype", "unit"], use_threads=False).aggregate(
        [("study", "distinct"), ([], "count_all")]
    )
    for phenotype in sorted(set(units["phenotype"].to_pylist())):
        mine = units.filter(pc.equal(units["phenotype"], phenotype)).to_pylist()
        mine.sort(key=lambda row: row["unit"])
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


def _rows(
    column: pa.Array | pa.ChunkedArray, names: pa.Array | Sequence[str]
) -> Int64[np.ndarray, " row"]:
    """Where the values of a column are among names, -1 where they are not."""
    vocabulary = names if isinstance(names, pa.Array) else pa.array(names, pa.string())
    found = pc.index_in(column, value_set=vocabulary)
    return _whole_numbers(pc.fill_null(found, -1))


def _fitness(experiments: pa.Table, studies: Sequence[str]) -> Fitness | None:
    mine = experiments.filter(pc.equal(experiments["phenotype"], "fitness"))
    if not len(mine):
        return None
    numbers = (mine[name].to_numpy().astype(np.float32) for name in NUMBERS)
    return Fitness(mine["strain"].to_numpy(), _rows(mine["study"], studies), *numbers)


def _vectors(
    store: Store,
    experiments: pa.Table,
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
        gene = _rows(pa.array(names), genome.gene_ids)
    return Vectors(
        mine["strain"].to_numpy(),
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
