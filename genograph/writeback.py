"""Predictions into the database: (:Run)-[:PREDICTED]->(:Strain), and properties of the strain.

What a run predicts goes in as one transaction. Which run is promoted is one property of one node,
`Database.promoted_run`, so a reader that starts there reads one run's predictions, all of them.
Strains also carry the promoted run's predictions as properties, and the run that they are of. Where
a reader sees transactions whole and strains are few enough, these change in the same transaction.
Else they follow after the promotion: first other runs' are taken off, then this run's are put on.
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from genograph.cohorts import FOLDS, Cohort
from genograph.database.spool import Spool
from genograph.errors import RunError
from genograph.files import scratch
from genograph.run import Prediction, Run, say_missing, to_lists
from genograph.schema import graph_schema, names_sha256, parse_strain
from genograph.store import Store
from genograph.store.stream import ASTRAL, compare
from genograph.tables import Table

ROWS_AT_ONCE, VALUES_AT_ONCE = 1_000_000, 20_000_000
PROMOTED_AT_ONCE, PROMOTED_VALUES = 1_000_000, 50_000_000
"""Strains, and numbers of theirs, whose properties change in one transaction: an engine holds what
changes until it ends."""


def promoted_properties() -> dict[str, str]:
    """From each property of PREDICTED that is a number or a vector to that of Strain."""
    numbers = ("DOUBLE", "FLOAT[]")
    properties = graph_schema().relationships["PREDICTED"].properties
    return {n: f"predicted_{n}" for n, each in properties.items() if each.type in numbers}


class WrittenBack(NamedTuple):
    """Counts of a write-back.

    Attributes:
        predicted: predictions that are new or changed.
        strains_created: strains that the database did not have.
        unchanged: predictions that were there, equal.
        promoted: whether the strains carry the predictions as properties.
    """

    predicted: int
    strains_created: int
    unchanged: int
    promoted: bool


def hash_genes(store: Store) -> str:
    """Hash of the database's gene vocabulary: all gene ids, sorted."""
    ids = store.query("MATCH (g:Gene) RETURN g.id AS id")["id"].to_pylist()
    return names_sha256(sorted(ids))


def write_predictions(
    store: Store,
    run: Run | Path | str,
    prediction: Prediction,
    cohort: Cohort,
    *,
    metrics: Mapping[str, float] = MappingProxyType({}),
    promote: bool = True,
) -> WrittenBack:
    """Write what a run predicts into a database; all of it or nothing. Twice changes nothing.

    Strains that were never measured are created. Predictions that the same run wrote for other
    strains stay. Into a server, and of very many strains (over PROMOTED_AT_ONCE), the properties of
    strains follow in transactions of their own; where that is interrupted, some strains carry none,
    or another run's, until the run is written again.

    Args:
        store: the database, open for writing.
        run: the run or its folder.
        prediction: what it predicts.
        cohort: the one it was trained on.
        metrics: numbers to keep with the run, such as `Evaluation.headline_numbers`.
        promote: make the run the promoted one (Database.promoted_run), and let the strains carry
            its predictions as properties (predicted_fitness, ...), in place of other runs'.

    Returns:
        How many predictions were written, unchanged, and strains created.

    Raises:
        RunError: no run there, the database's genes are not those the run was trained on, or a
            number that the run owes a strain is not finite.
        StoreError: the database refuses; it is as it was.

    Example:
        >>> cohort = genograph.load_cohort("cohort")
        >>> prediction = genograph.predict("run", genograph.read_strains("pairs.csv", cohort))
        >>> with genograph.open_store("yeast.db") as store:
        ...     done = genograph.write_predictions(store, "run", prediction, cohort)
        >>> done.predicted, done.promoted
        (2, True)
    """
    opened = Run.open(run)
    with store.writing():
        return _write(store, opened, prediction, cohort, metrics, promote=promote)


def _write(
    store: Store,
    run: Run,
    prediction: Prediction,
    cohort: Cohort,
    metrics: Mapping[str, float],
    *,
    promote: bool,
) -> WrittenBack:
    trained = cohort.provenance.get("database_genes_sha256", cohort.genome.genes_sha256)
    found = hash_genes(store)
    if found != trained or prediction.genes_sha256 != run.genes_sha256:
        msg = (
            f"run {run.id} was trained on a database with other genes (vocabulary hash "
            f"{trained[:12]}, {store.uri} has {found[:12]}); export and train again from this "
            f"database, or write to the one it came from"
        )
        raise RunError(msg)
    if said := say_missing(prediction.find_missing(cohort), prediction.strain_ids):
        msg = (
            f"run {run.id} predicts {said}; nothing is written; train again, without labels far "
            f"outside of their phenotype's range"
        )
        raise RunError(msg)
    place = _places(prediction.strain_ids, cohort)
    n, source = len(prediction.strain_ids), f"run {run.id}"
    most = _most(prediction, PROMOTED_AT_ONCE, PROMOTED_VALUES)
    at_once = n <= most and store.whole_reads
    columns = _columns(prediction, slice(0, 0))
    held = {r: name for r, name in promoted_properties().items() if r in columns}
    there = len(store.query("MATCH (r:Run {id: $run}) RETURN r.id AS id", run=run.id)) > 0
    with scratch() as folder:
        spool = Spool(folder, source)
        spool.put(_run_row(run, metrics, found))
        for kind, vectors in cohort.vectors.items():
            if kind not in prediction.quantities:
                continue
            names = prediction[kind].names or ()
            axis = f"{kind}:{names_sha256([vectors.unit, *names])[:16]}"
            words: dict[str, list[object]] = {
                "id": [axis],
                "phenotype": [kind],
                "unit": [vectors.unit],
                "names": [list(names)],
            }
            spool.put(Table.of("Axis", words))
            spool.put(Table.of("PREDICTS_ALONG", {"from_id": [run.id], "to_id": [axis]}))
        created = unchanged = 0
        step = _most(prediction, ROWS_AT_ONCE, VALUES_AT_ONCE)
        # looked for before the transaction: within one an engine keeps what it has joined
        for start in range(0, n, step):
            part = slice(start, start + step)
            ids = prediction.strain_ids[part]
            new = _missing(store, ids)
            created += len(new)
            for table in _strains(new, source):
                spool.put(table, certain=True)
            rows = {
                "from_id": pa.repeat(run.id, len(ids)),
                "to_id": ids,
                "split": pa.array(place[part]),
            }
            table = Table("PREDICTED", pa.table(rows | _columns(prediction, part)), source)
            if not there:
                spool.put(table, certain=True)
                continue
            found_rows = compare(store, table, run.id)
            spool.put(found_rows.new, certain=True)
            spool.put(found_rows.changed)
            unchanged += found_rows.unchanged
        # each is written, and carried to its strain
        with store.transaction(rows=2 * n if at_once else n):
            spool.write(store)
            if promote and at_once:
                _promote(store, run.id)
                _take_off(store, run.id)
                _put_on(store, run.id, held)
    if promote and not at_once:
        _promote(store, run.id)
        ranges = list(_ranges(prediction.strain_ids, most))
        for first, last in ranges:
            _take_off(store, run.id, first, last)
        for first, last in ranges:
            _put_on(store, run.id, held, first, last)
    return WrittenBack(n - unchanged, created, unchanged, promote)


def _most(prediction: Prediction, rows: int, values: int) -> int:
    """How many strains go at a time, when no more than so many rows and numbers do."""
    width = sum(len(each.names or ()) for each in prediction.quantities.values())
    return max(1, min(rows, values // max(1, width)))


def _run_row(run: Run, metrics: Mapping[str, float], genes: str) -> Table:
    record = run.record
    columns: dict[str, list[object]] = {
        "id": [run.id],
        "version": [record.version],
        "config_sha256": [record.config_sha256],
        "checkpoint_sha256": [names_sha256(sorted(record.checkpoints.values()))],
        "cohort_sha256": [record.cohort_sha256],
        "genes_sha256": [record.genes_sha256],
        "database_genes_sha256": [genes],
        "created": [record.created],
        "metrics": [[f"{name}={value:.4f}" for name, value in metrics.items()] or None],
    }
    return Table.of("Run", columns)


def _places(ids: pa.StringArray, cohort: Cohort) -> list[str]:
    """Where each strain stands in the cohort's folds; unmeasured where it is not in the cohort."""
    rows = pc.index_in(ids, value_set=cohort.strains.ids)
    folds = [*FOLDS, "unmeasured"]
    fold = cohort.strain_fold[pc.fill_null(rows, 0).to_numpy()]
    return [folds[f] for f in np.where(rows.is_null().to_numpy(False), 3, fold)]


def _columns(prediction: Prediction, part: slice) -> dict[str, pa.Array]:
    """Arrow columns; a number that is not there is null, a column that is not there NaN."""
    out = {}
    for name, found in prediction.quantities.items():
        if found.names is not None:
            out[name] = to_lists(found.mean[part])
            continue
        for column, values in ((name, found.mean), (f"{name}_sd", found.sd)):
            block = values[part].astype(np.float64)
            out[column] = pa.array(block, mask=np.isnan(block))
    return out


def _missing(store: Store, ids: pa.StringArray) -> pa.StringArray:
    """The strains that the database does not have."""
    held = store.query("MATCH (s:Strain {id: in_id}) RETURN in_id", rows=pa.table({"in_id": ids}))
    there = held["in_id"].combine_chunks().cast(pa.string())
    return ids.filter(pc.invert(pc.is_in(ids, value_set=there)))


def _strains(ids: pa.StringArray, source: str) -> Iterator[Table]:
    """Strains by their ids, and what they perturb."""
    names = ids.to_pylist()
    genotypes = [parse_strain(name) for name in names]
    columns: dict[str, list[object]] = {"id": names, "n_perturbed": [len(g) for g in genotypes]}
    yield Table.of("Strain", columns, source=source)
    pairs = [(name, p) for name, g in zip(names, genotypes, strict=True) for p in g]
    columns = {
        "from_id": [name for name, _ in pairs],
        "to_id": [p.gene_id for _, p in pairs],
        "kind": [p.kind for _, p in pairs],
        "allele": [p.allele for _, p in pairs],
        "dose": [p.dose for _, p in pairs],
    }
    yield Table.of("PERTURBS", columns, source=source)


def _promote(store: Store, run_id: str) -> None:
    """Say which run is the database's promoted one."""
    store.write(Table.of("Database", {"id": ["genograph"], "promoted_run": [run_id]}))


def _take_off(store: Store, run_id: str, first: str | None = None, last: str | None = None) -> None:
    """Take other runs' predictions off the strains with ids from `first` to before `last`."""
    within, bounds = _bounds("n", first, last)
    where = f"n.predicted_run IS NOT NULL AND n.predicted_run <> $run{within}"
    names = (*promoted_properties().values(), "predicted_run")
    store.erase("Strain", names, where, run=run_id, **bounds)


def _put_on(
    store: Store,
    run_id: str,
    names: Mapping[str, str],
    first: str | None = None,
    last: str | None = None,
) -> None:
    """Make a run's predictions properties of its strains with ids from `first` to before `last`."""
    within, bounds = _bounds("b", first, last)
    where = f"a.id = $predicted_run{within}"
    store.carry("PREDICTED", names, where, "predicted_run", predicted_run=run_id, **bounds)


def _bounds(strain: str, first: str | None, last: str | None) -> tuple[str, dict[str, str]]:
    """The predicate of a range of ids, and its parameters."""
    words = {"first": f" AND $first <= {strain}.id", "last": f" AND {strain}.id < $last"}
    bounds = {n: v for n, v in (("first", first), ("last", last)) if v is not None}
    return "".join(words[name] for name in bounds), bounds


def _ranges(ids: pa.StringArray, most: int) -> Iterator[tuple[str | None, str | None]]:
    """Ranges that divide all ids there can be, with about `most` of these in each."""
    # what bounds a range must stand in the same order everywhere
    plain = ids.filter(pc.invert(pc.match_substring_regex(ids, ASTRAL)))
    ends = plain.take(pc.sort_indices(plain))[most::most].to_pylist()
    yield from itertools.pairwise([None, *ends, None])
