"""Selection: from a database and a query to a Cohort.

Ids go to the database as rows and come back as Arrow columns; nothing is done row by row in
Python. All is sorted by id, so that both stores give the same bytes. Rows pass through memory in
parts, in order of experiments, then of strains, and the arrays that they make lie on disk: what is
held does not grow with the experiments.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64
from numpy.typing import NDArray

from genograph.cohorts.data import Cohort, Fitness, Genome, Strains, Vectors, pack, unpack
from genograph.cohorts.folds import Folds, assign_gene_folds, assign_strain_folds, join_paralogs
from genograph.cohorts.genome import WHOLE, Read, Subgraph, read_genome
from genograph.cohorts.mapped import Columns
from genograph.cohorts.query import CohortQuery, name_ids, read_experiment_ids
from genograph.cohorts.rows import (
    NUMBERS,
    Vocabularies,
    read_experiments,
    read_perturbations,
    read_single_experiments,
    read_single_perturbations,
    to_integers,
)
from genograph.cohorts.sorting import AT_ONCE, Sorting, find_changes
from genograph.errors import CohortError, format_count
from genograph.files import scratch
from genograph.measurements import RELATIVE
from genograph.schema import WILD_TYPE, Phenotype, graph_schema, names_sha256
from genograph.store import Store
from genograph.store.stream import VALUES_AT_ONCE

EVERYTHING = CohortQuery.of()
_LOG = logging.getLogger("genograph")


def _carried() -> tuple[str, ...]:
    """The phenotypes that a cohort carries; experiments of others are left out and counted."""
    return tuple(phenotype.name for phenotype in graph_schema().modelled)


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

    Experiments of strains with a perturbed gene outside `subgraph`, and of phenotypes that a cohort
    does not carry (traits), are left out; all are counted in the provenance. Loads that the ledger
    has as unfinished, of which only a part is there, are logged and named in the provenance. The
    arrays of strains and experiments are mapped from files of the temporary folder, whose room is
    given back with the cohort.

    Args:
        store: an open database.
        query: which experiments; by default every one.
        singles: add the fitness experiments of the single mutants of the selected strains, in the
            unit of the fitness that is selected: what a model of pairs is told.
        embedding: models of the CRE embeddings that become the genes' features, in this order;
            None: the only one there is; an empty sequence: none.
        subgraph: the part of the genome to carry; by default all of it.
        folds: how genes and strains are divided.
        timeout: seconds for each query to the database; None: no limit.

    Returns:
        The cohort, sorted by id: the same database and query give the same bytes.

    Raises:
        CohortError: the query is refused, empty, or pools two units of one phenotype; the genome
            cannot be read; or the temporary folder takes no more.
        StoreError: the database refuses the query or it ran out of time.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     cohort = genograph.select(store, genograph.CohortQuery.of(phenotype=["expression"]))
        >>> sorted(cohort.measured)
        ['expression', 'fitness']
    """
    # what is unfinished now may be finished at the end, and the other way round
    unfinished = _warn_of_unfinished(store)
    query = name_ids(store, query)
    with _spill_folder() as folder:
        ids = read_experiment_ids(store, query, folder / "ids", timeout=timeout)
        read = read_genome(store, embedding=embedding, subgraph=subgraph, timeout=timeout)
        found = _read_found(store, ids, folder, singles=singles, timeout=timeout)
        placed = _place(found, folder)
        strains = _strains(found, read, folder)
        _join(placed, strains)
        groups, n_outside = _groups(placed, found.said)
        if not groups:
            msg = (
                f"the cohort is empty: each of {n_outside:,} experiments perturbs a gene outside "
                f"the subgraph of {len(read.genome.gene_ids):,} genes"
            )
            raise CohortError(msg)
        _check_units(groups)
        studies = tuple(sorted({group.study for group in groups}))
        measured: dict[str, Fitness | Vectors] = {}
        each: Fitness | Vectors | None
        for phenotype in graph_schema().modelled:
            if phenotype.axis:
                place = (placed, groups, found.said, studies, read.genome, folder)
                each = _vectors(store, phenotype, *place, timeout)
            else:
                each = _scalars(phenotype.name, placed, found.said, studies, folder)
            if each is not None:
                measured[phenotype.name] = each
    genome = read.genome
    components = join_paralogs(len(genome.gene_ids), genome.edges["gene:paralog_of:gene"])
    gene_fold = assign_gene_folds(genome.gene_ids, components, folds)
    counts = dict(read.counts) | {
        "experiments_selected": found.n_selected,
        "experiments_of_phenotypes_not_carried_left_out": found.n_other,
        "experiments_of_single_mutants_added": placed.n + found.n_other - found.n_selected,
        "experiments_of_single_mutants_in_another_unit_left_out": found.n_single_other,
        "experiments_outside_subgraph_left_out": n_outside,
        "strains_outside_subgraph_left_out": strains.n_outside,
        "experiments": placed.n - n_outside,
        "strains": len(strains.strains),
        "paralog_edges_cut": components.n_cut,
    }
    sources, still_unfinished = _read_ledger(store)
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
        "sources": sources,
        "unfinished_loads": sorted({*unfinished, *still_unfinished}),
        **counts,
    }
    return Cohort(
        genome,
        strains.strains,
        studies,
        measured,
        gene_fold,
        assign_strain_folds(strains.strains, genome.gene_ids, gene_fold, components, folds),
        provenance,
    )


def list_experiments(
    store: Store, query: CohortQuery = EVERYTHING, *, timeout: float | None = 600.0
) -> pa.Table:
    """The experiments that a query selects, as rows sorted by id.

    Args:
        store: an open database.
        query: which experiments; by default every one.
        timeout: seconds for each query to the database; None: no limit.

    Returns:
        Columns id, phenotype, unit, strain, study, then the scalars: value (fitness relative to the
        wild type, 1), sd, p, interaction and interaction_sd; null where not reported.

    Raises:
        CohortError: the query is refused or empty; the message names the clause or flag that
            empties it.
        StoreError: the database refuses the query or it ran out of time.

    Example:
        >>> singles = genograph.CohortQuery.of(study=["simulated_smf"])
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     rows = genograph.list_experiments(store, singles)
        >>> rows["study"][0].as_py(), rows["strain"][0].as_py()
        ('simulated_smf', 'YAL001C')
    """
    said = Vocabularies()
    _warn_of_unfinished(store)
    query = name_ids(store, query)
    with _spill_folder() as folder:
        ids = read_experiment_ids(store, query, folder / "ids", timeout=timeout)
        found = pa.concat_tables(read_experiments(store, ids, said, timeout)).combine_chunks()
    plain = {
        name: getattr(said, name).texts.take(found[name].combine_chunks())
        for name in ("phenotype", "unit", "study")
    }
    plain = {"id": found["id"], **plain, "strain": found["strain"]}
    columns = ("id", "phenotype", "unit", "strain", "study")
    return pa.table({n: plain[n] for n in columns} | {n: found[n] for n in NUMBERS})


@contextmanager
def _spill_folder() -> Iterator[Path]:
    """A folder for rows beyond memory; mapped files stay readable after it is removed."""
    with scratch() as folder:
        try:
            yield folder
        except OSError as refused:
            msg = (
                f"{folder}: rows of the cohort cannot be put down: {refused.strerror or refused}; "
                f"make room there, or set TMPDIR to a folder with more"
            )
            raise CohortError(msg) from refused


class _Found(NamedTuple):
    """The rows of a cohort, by id of the experiment and by id of the strain."""

    experiments: Sorting
    strains: Sorting
    said: Vocabularies
    n_selected: int
    n_other: int
    n_single_other: int


def _read_found(
    store: Store, ids: Sorting, folder: Path, *, singles: bool, timeout: float | None
) -> _Found:
    """Read the selected experiments, their strains and their single mutants.

    Raises:
        CohortError: none is of a phenotype that a cohort carries.
    """
    said = Vocabularies()
    experiments = Sorting(folder / "experiments", "id")
    strain_ids = Sorting(folder / "strain_ids", "id")
    n_selected = n_other = 0
    units: set[int] = set()
    for rows in read_experiments(store, ids, said, timeout):
        phenotypes = said.phenotype.texts.to_pylist()
        phenotype = rows["phenotype"].to_numpy()
        carried = np.isin(phenotype, [k for k, name in enumerate(phenotypes) if name in _carried()])
        n_selected += len(rows)
        n_other += int((~carried).sum())
        kept = rows if carried.all() else rows.filter(pa.array(carried))
        fit = np.isin(phenotype, [k for k, name in enumerate(phenotypes) if name == "fitness"])
        units |= set(np.unique(rows["unit"].to_numpy()[fit]).tolist())
        experiments.put(kept)
        strain_ids.put(pa.table({"id": pc.unique(kept["strain"])}))
    if not experiments.rows:
        names = ", ".join(sorted(said.phenotype.texts.to_pylist()))
        msg = (
            f"the cohort is empty: all {n_other:,} experiments are of {names}, and a cohort "
            f"carries {', '.join(_carried())}; read them with `genograph query`"
        )
        raise CohortError(msg)
    strains = Sorting(folder / "strains", "id")
    for rows in read_perturbations(store, strain_ids, said, timeout):
        strains.put(rows)
    n_single_other = 0
    if singles:
        # what is there already comes twice, and goes again where rows are read in order
        more, n_single_other = _single_experiments(store, said, units, timeout)
        experiments.put(more)
        new = pc.unique(more["strain"].combine_chunks())
        new = new.take(pc.sort_indices(new))
        strains.put(read_single_perturbations(store, new, said, timeout))
    return _Found(experiments, strains, said, n_selected, n_other, n_single_other)


def _single_experiments(
    store: Store, said: Vocabularies, units: set[int], timeout: float | None
) -> tuple[pa.Table, int]:
    """The fitness experiments of the single mutants of all perturbations, sorted by id.

    Only those in the units of the selected fitness, or relative to the wild type where none is
    selected; the second is how many there are in another unit.
    """
    found = read_single_experiments(store, "fitness", said, timeout)
    texts = said.unit.texts.to_pylist()
    wanted = sorted(units) if units else [k for k, unit in enumerate(texts) if unit == RELATIVE]
    fits = np.isin(found["unit"].to_numpy(), wanted)
    return found.filter(pa.array(fits)), int((~fits).sum())


@dataclass
class _Measured:
    """Experiments that measured a vector: their ids and their places among all."""

    ids: list[pa.StringArray] = field(default_factory=list)
    place: list[Int64[np.ndarray, " experiment"]] = field(default_factory=list)


class _Placed(NamedTuple):
    """Experiments in the order of their ids.

    Attributes:
        columns: phenotype, unit and study (int32, numbers of the vocabularies), NUMBERS (float32);
            `_join` adds strain (int32, the strain's row in the cohort, -1 where it is left out).
        links: the same experiments by id of the strain.
        vectors: those that measured one, by phenotype.
        n: how many there are.
    """

    columns: Columns
    links: Sorting
    vectors: Mapping[str, _Measured]
    n: int


def _place(found: _Found, folder: Path) -> _Placed:
    columns = Columns(folder / "every")
    links = Sorting(folder / "links", "strain")
    vectors = {each.name: _Measured() for each in graph_schema().modelled if each.axis}
    phenotypes = found.said.phenotype.texts.to_pylist()
    n = 0
    for part in found.experiments.parts(distinct=True):
        place = np.arange(n, n + len(part))
        n += len(part)
        columns.append(**{name: part[name].to_numpy() for name in ("phenotype", "unit", "study")})
        columns.append(**{name: part[name].to_numpy().astype(np.float32) for name in NUMBERS})
        links.put(pa.table({"strain": part["strain"], "place": place}))
        phenotype = part["phenotype"].to_numpy()
        for name in set(vectors) & set(phenotypes):
            mine = phenotype == phenotypes.index(name)
            if mine.any():
                vectors[name].ids.append(part["id"].filter(pa.array(mine)).combine_chunks())
                vectors[name].place.append(place[mine])
    return _Placed(columns, links, vectors, n)


class _Kept(NamedTuple):
    """The strains of a cohort, and how many are outside of its genome."""

    strains: Strains
    columns: Columns
    n_outside: int


def _strains(found: _Found, read: Read, folder: Path) -> _Kept:
    """The strains whose genes are all in the genome, sorted by id.

    The column `place` has the row of every strain in the order of ids, -1 where it is outside.

    Raises:
        CohortError: a strain other than the wild type perturbs nothing.
    """
    columns = Columns(folder / "carried")
    names = found.said.perturbation.texts
    gene_row = _rows(found.said.gene.texts, pa.array(read.genome.gene_ids, pa.string()))
    # a screen has few spellings and millions of rows: the spellings are sorted, not the rows
    rank = to_integers(pc.rank(names, tiebreaker="dense"))
    single = np.full(len(names), -1, np.int64)
    columns.append(offsets=np.zeros(1, np.int64), id_offsets=np.zeros(1, np.int64))
    n = n_outside = n_perturbation = n_byte = 0
    bare: list[str] = []
    n_bare = 0
    for part in found.strains.parts(distinct=True):
        count = to_integers(pc.list_value_length(part["gene"]))
        owner = np.repeat(np.arange(len(part)), count)
        gene, name, dose = (
            part[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            for column in ("gene", "perturbation", "dose")
        )
        gene = gene_row[gene]
        inside = np.ones(len(part), np.bool_)
        inside[owner[gene < 0]] = False
        columns.append(place=np.where(inside, n + np.cumsum(inside) - 1, -1))
        order = np.lexsort((rank[name], owner))
        order = order[inside[owner[order]]]
        columns.append(gene=gene[order], dose=dose[order], perturbation=name[order])
        columns.append(offsets=n_perturbation + np.cumsum(count[inside]))
        ids = part["id"].combine_chunks().filter(pa.array(inside))
        text, ends = pack(ids)
        columns.append(id=text, id_offsets=n_byte + ends[1:])
        row = _rows(names, ids)
        single[row >= 0] = n + row[row >= 0]
        none = ids.filter(pa.array(count[inside] == 0))
        none = none.filter(pc.not_equal(none, WILD_TYPE))
        bare, n_bare = bare or none[:1].to_pylist(), n_bare + len(none)
        n, n_outside = n + len(ids), n_outside + int((~inside).sum())
        n_perturbation, n_byte = n_perturbation + len(order), n_byte + len(text)
    if bare:
        msg = f"{n_bare} strains, first {bare[0]}, have no PERTURBS edge; load them again"
        raise CohortError(msg)
    for (number,) in columns.parts(["perturbation"], AT_ONCE):
        columns.append(single=single[number])
    strains = Strains(
        unpack(columns.mapped("id", np.uint8), columns.mapped("id_offsets", np.int64)),
        columns.mapped("offsets", np.int64),
        columns.mapped("gene", np.int64),
        columns.mapped("dose", np.float32),
        columns.mapped("single", np.int64),
    )
    return _Kept(strains, columns, n_outside)


def _join(placed: _Placed, kept: _Kept) -> None:
    """Give every experiment the row of its strain, by one pass over both in the order of strains.

    Each strain of `kept` has an experiment, so that the k-th that is met is the k-th of them.
    """
    strain = placed.columns.full("strain", placed.n, np.int32(-1))
    met = 0
    for part in placed.links.parts():
        number = np.cumsum(find_changes(part["strain"])) - 1
        n = int(number[-1]) + 1
        strain[part["place"].to_numpy()] = kept.columns.read("place", met, n)[number]
        met += n


class _Group(NamedTuple):
    """Experiments of one phenotype in one unit from one study, and how many they are."""

    phenotype: str
    unit: str
    study: str
    n: int


def _groups(placed: _Placed, said: Vocabularies) -> tuple[list[_Group], int]:
    """Group the experiments whose strain is in the cohort, and count those left out."""
    size = (len(said.phenotype), len(said.unit), len(said.study))
    count: NDArray[Any] = np.zeros(size, np.int64)
    n_outside = 0
    names = ("phenotype", "unit", "study", "strain")
    for *numbers, strain in placed.columns.parts(names, AT_ONCE):
        inside = strain >= 0
        n_outside += int((~inside).sum())
        group = np.ravel_multi_index([each[inside] for each in numbers], size)
        count += np.bincount(group, minlength=count.size).reshape(size)
    phenotypes, units, studies = (
        texts.texts.to_pylist() for texts in (said.phenotype, said.unit, said.study)
    )
    found = [
        _Group(phenotypes[p], units[u], studies[s], int(count[p, u, s]))
        for p, u, s in np.argwhere(count).tolist()
    ]
    return found, n_outside


def _check_units(groups: Sequence[_Group]) -> None:
    """Refuse to pool two units of one phenotype."""
    for phenotype in sorted({group.phenotype for group in groups}):
        mine = [group for group in groups if group.phenotype == phenotype]
        units = sorted({group.unit for group in mine})
        if len(units) > 1:
            each = []
            for unit in units:
                total = sum(group.n for group in mine if group.unit == unit)
                of = ", ".join(sorted({group.study for group in mine if group.unit == unit}))
                each.append(f"{unit} ({total:,} of {of})")
            msg = (
                f"the cohort pools {len(units)} units of {phenotype}: {'; '.join(each)}; select "
                f"one with --unit (once a phenotype), or the studies of one unit"
            )
            raise CohortError(msg)


def _rows(
    column: pa.Array | pa.ChunkedArray, names: pa.Array | Sequence[str]
) -> Int64[np.ndarray, " row"]:
    """Where the values of a column are among names, -1 where they are not."""
    vocabulary = names if isinstance(names, pa.Array) else pa.array(names, pa.string())
    found = pc.index_in(column, value_set=vocabulary)
    return to_integers(pc.fill_null(found, -1))


def _scalars(
    phenotype: str, placed: _Placed, said: Vocabularies, studies: Sequence[str], folder: Path
) -> Fitness | None:
    """The experiments of a phenotype that is one number."""
    columns = Columns(folder / phenotype)
    study_row = _rows(said.study.texts, studies)
    names = said.phenotype.texts.to_pylist()
    number = names.index(phenotype) if phenotype in names else -1
    n = 0
    every = placed.columns.parts(("phenotype", "study", "strain", *NUMBERS), AT_ONCE)
    for kind, study, strain, *numbers in every:
        mine = (kind == number) & (strain >= 0)
        n += int(mine.sum())
        columns.append(strain=strain[mine].astype(np.int64), study=study_row[study[mine]])
        columns.append(
            **{name: values[mine] for name, values in zip(NUMBERS, numbers, strict=True)}
        )
    if not n:
        return None
    return Fitness(
        columns.mapped("strain", np.int64),
        columns.mapped("study", np.int64),
        *(columns.mapped(name, np.float32) for name in NUMBERS),
    )


def _vectors(
    store: Store,
    kind: Phenotype,
    placed: _Placed,
    groups: Sequence[_Group],
    said: Vocabularies,
    studies: Sequence[str],
    genome: Genome,
    folder: Path,
    timeout: float | None,
) -> Vectors | None:
    """The experiments of a vector phenotype, on the sorted union of their axes."""
    phenotype = kind.name
    units = {group.unit for group in groups if group.phenotype == phenotype}
    if not units:
        return None
    (unit,) = units
    place = np.concatenate(placed.vectors[phenotype].place)
    strain = placed.columns.mapped("strain", np.int32)[place].astype(np.int64)
    inside = strain >= 0
    ids = pa.concat_arrays(placed.vectors[phenotype].ids).filter(pa.array(inside))
    study = placed.columns.mapped("study", np.int32)[place[inside]]
    found = store.query(
        "MATCH (e:Experiment {id: in_id}) MATCH (e)-[:ALONG]->(x:Axis) "
        "RETURN in_id AS id, x.id AS axis",
        rows=pa.table({"in_id": ids}),
        timeout=timeout,
    )
    rows = _rows(found["id"], ids) if len(found) else np.empty(0, np.int64)
    if not np.array_equal(np.sort(rows), np.arange(len(ids))):
        at = int(np.flatnonzero(np.bincount(rows, minlength=len(ids)) != 1)[0])
        msg = f"{store.uri}: experiment {ids[at]} does not have exactly one axis"
        raise CohortError(msg)
    axes = store.query(
        "MATCH (x:Axis) RETURN x.id AS id, x.names AS names, x.unit AS unit", timeout=timeout
    )
    along = dict(zip(axes["id"].to_pylist(), axes["unit"].to_pylist(), strict=True))
    columns = {i: n for i, n in zip(axes["id"].to_pylist(), axes["names"].to_pylist(), strict=True)}
    used = sorted(pc.unique(found["axis"]).to_pylist())
    for axis in used:
        if along[axis] not in (None, unit):
            msg = (
                f"{store.uri}: experiments of {phenotype} in {unit} lie along the axis {axis} in "
                f"{along[axis]}; load their source again"
            )
            raise CohortError(msg)
    names = sorted(set().union(*(columns[axis] for axis in used)))
    axis_of = np.empty(len(ids), np.int64)
    axis_of[rows] = _rows(found["axis"], used)
    arrays = Columns(folder / phenotype)
    values = arrays.full("values", len(ids) * len(names), np.float32("nan"))
    values = values.reshape(len(ids), len(names))
    step = max(1, VALUES_AT_ONCE // max(len(columns[axis]) for axis in used))
    for begin in range(0, len(ids), step):
        some = ids.slice(begin, step)
        found = store.query(
            "MATCH (e:Experiment {id: in_id}) RETURN in_id AS id, e.values AS numbers",
            rows=pa.table({"in_id": some}),
            timeout=timeout,
        )
        rows = begin + _rows(found["id"], some)
        for number, axis in enumerate(used):
            here = axis_of[rows] == number
            lists = found["numbers"].filter(pa.array(here)).combine_chunks()
            ids_here = found["id"].filter(pa.array(here))
            _check_lengths(lists, ids_here, len(columns[axis]), axis)
            block = lists.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
            column = _rows(pa.chunked_array([pa.array(columns[axis], pa.string())]), names)
            values[np.ix_(rows[here], column)] = block.reshape(-1, len(column))
    gene = np.empty(0, np.int64)
    if kind.axis == "gene":
        gene = _rows(pa.array(names), genome.gene_ids)
    return Vectors(
        strain[inside],
        _rows(said.study.texts, studies)[study],
        arrays.mapped("values", np.float32).reshape(len(ids), len(names)),
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


def _read_ledger(store: Store) -> tuple[list[str], list[str]]:
    """The files the database was loaded from: loader, name and hash; and those not to their end."""
    found = store.query(
        "MATCH (f:Source) "
        "RETURN f.loader AS loader, f.file AS name, f.sha256 AS sha256, f.loaded AS loaded"
    ).to_pylist()
    files = sorted(f"{r['loader']} {r['name']} {r['sha256']}" for r in found)
    return files, sorted(f"{r['loader']} {r['name']}" for r in found if r["loaded"] is None)


def _warn_of_unfinished(store: Store) -> list[str]:
    """Say which loads are unfinished, and return them."""
    _, unfinished = _read_ledger(store)
    if unfinished:
        _LOG.warning(
            "%s: %s unfinished (%s): only a part of the data is here; load again for all of it",
            store.uri,
            f"{format_count(len(unfinished), 'load')} {'is' if len(unfinished) == 1 else 'are'}",
            ", ".join(unfinished),
        )
    return unfinished
