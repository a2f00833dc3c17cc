"""Predictions into the database: (:Run)-[:PREDICTED]->(:Strain), and properties of the strain.

Knows databases, runs' names and arrays only as rows of the schema; one transaction a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from genograph.cohort import names_sha256
from genograph.errors import RunError
from genograph.schema import parse_strain
from genograph.store import Store
from genograph.tables import Table

CHUNK = 50_000
SCALARS = ("fitness", "fitness_sd", "interaction", "interaction_sd")
PROMOTED = (
    "predicted_fitness",
    "predicted_fitness_sd",
    "predicted_interaction",
    "predicted_interaction_sd",
    "predicted_expression",
    "predicted_morphology",
    "predicted_run",
)


@dataclass(frozen=True)
class Predicted:
    """What a run predicts for strains, as the database is to hold it.

    Attributes:
        strain_ids: canonical ids; strains that are not in the database are created.
        split: train, validation, test, excluded or unmeasured, aligned.
        scalars: fitness, fitness_sd, interaction, interaction_sd; NaN where there is none.
        vectors: expression, morphology; rows aligned with strain_ids.
        axes: for each vector its column names and unit.
    """

    strain_ids: Sequence[str]
    split: Sequence[str]
    scalars: Mapping[str, Float32[np.ndarray, " strain"]]
    vectors: Mapping[str, Float32[np.ndarray, "strain axis"]]
    axes: Mapping[str, tuple[Sequence[str], str]]


class WrittenBack(NamedTuple):
    """Counts of a write-back."""

    predicted: int
    strains_created: int
    unchanged: int
    promoted: bool


def database_genes_sha256(store: Store) -> str:
    """Hash of the database's gene vocabulary: all gene ids, sorted."""
    ids = store.query("MATCH (g:Gene) RETURN g.id AS id")["id"].to_pylist()
    return names_sha256(sorted(ids))


def write_predictions(
    store: Store,
    run: Mapping[str, object],
    predicted: Predicted,
    *,
    genes_sha256: str,
    promote: bool = True,
) -> WrittenBack:
    """Write what a run predicts; all of it or nothing. Writing it again changes nothing.

    `run` holds the properties of the Run node. Predictions that the same run wrote for other
    strains stay. With `promote` the strains also carry the predictions as properties, and those of
    a run that was promoted before are taken off.

    Raises:
        RunError: the database's genes are not those the run was trained on.
        StoreError: the database refuses; it is as it was.
    """
    found = database_genes_sha256(store)
    if found != genes_sha256:
        msg = (
            f"run {run['id']} was trained on a database with other genes (vocabulary hash "
            f"{genes_sha256[:12]}, the database has {found[:12]}); export and train again from "
            f"this database, or write to the one it came from"
        )
        raise RunError(msg)
    run_id = str(run["id"])
    created = unchanged = written = 0
    with store.transaction():
        node = {name: [value] for name, value in run.items()}
        store.write(Table.of("Run", node | {"promoted": [promote], "complete": [False]}))
        for kind, (names, unit) in predicted.axes.items():
            if kind not in predicted.vectors:
                continue
            axis = f"{kind}:{names_sha256([unit, *names])[:16]}"
            columns = {"id": [axis], "phenotype": [kind], "unit": [unit], "names": [list(names)]}
            store.write(Table.of("Axis", columns))
            store.write(Table.of("PREDICTS_ALONG", {"from_id": [run_id], "to_id": [axis]}))
        for start in range(0, len(predicted.strain_ids), CHUNK):
            part = slice(start, start + CHUNK)
            ids = list(predicted.strain_ids[part])
            created += _strains(store, ids)
            columns = {"from_id": [run_id] * len(ids), "to_id": ids, "split": predicted.split[part]}
            columns |= _columns(predicted, part)
            done = store.write(Table("PREDICTED", pa.table(columns), f"run {run_id}"))
            written += done.created + done.updated
            unchanged += done.unchanged
        if promote:
            _promote(store, run_id)
        store.write(Table.of("Run", {"id": [run_id], "complete": [True]}))
    return WrittenBack(written, created, unchanged, promote)


def _columns(predicted: Predicted, part: slice) -> dict[str, pa.Array]:
    """Arrow columns; a number that is not there is null, never NaN."""
    out = {}
    for name in SCALARS:
        if name in predicted.scalars:
            values = predicted.scalars[name][part].astype(np.float64)
            out[name] = pa.array(values, mask=np.isnan(values))
    for kind, values in predicted.vectors.items():
        block = np.ascontiguousarray(values[part], dtype=np.float32)
        offsets = np.arange(len(block) + 1, dtype=np.int32) * block.shape[1]
        out[kind] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(block.reshape(-1)))
    return out


def _strains(store: Store, ids: list[str]) -> int:
    """Create the strains that are not there, with what they perturb; return how many."""
    held = store.query("MATCH (s:Strain {id: in_id}) RETURN in_id", rows=pa.table({"in_id": ids}))
    new = sorted(set(ids) - set(held["in_id"].to_pylist()))
    if not new:
        return 0
    genotypes = [parse_strain(name) for name in new]
    store.write(Table.of("Strain", {"id": new, "n_perturbed": [len(g) for g in genotypes]}))
    pairs = [(name, p) for name, g in zip(new, genotypes, strict=True) for p in g]
    if pairs:
        columns = {
            "from_id": [name for name, _ in pairs],
            "to_id": [p.gene_id for _, p in pairs],
            "kind": [p.kind for _, p in pairs],
            "allele": [p.allele for _, p in pairs],
            "dose": [p.dose for _, p in pairs],
        }
        store.write(Table.of("PERTURBS", columns, source="predicted strains"))
    return len(new)


def _promote(store: Store, run_id: str) -> None:
    """Make a run's predictions the properties of its strains, and no other run's."""
    store.erase(
        "Strain", PROMOTED, "n.predicted_run IS NOT NULL AND n.predicted_run <> $run", run=run_id
    )
    others = store.query(
        "MATCH (r:Run) WHERE r.promoted AND r.id <> $run RETURN r.id AS id", run=run_id
    )
    for other in others["id"].to_pylist():
        store.write(Table.of("Run", {"id": [other], "promoted": [False]}))
    rows = store.query(
        "MATCH (r:Run {id: $run})-[p:PREDICTED]->(s:Strain) RETURN s.id AS id, "
        "p.fitness AS predicted_fitness, p.fitness_sd AS predicted_fitness_sd, "
        "p.interaction AS predicted_interaction, p.interaction_sd AS predicted_interaction_sd, "
        "p.expression AS predicted_expression, p.morphology AS predicted_morphology",
        run=run_id,
    )
    for start in range(0, len(rows), CHUNK):
        part = rows.slice(start, CHUNK)
        marks = pa.array([run_id] * len(part))
        store.write(Table("Strain", part.append_column("predicted_run", marks), f"run {run_id}"))
