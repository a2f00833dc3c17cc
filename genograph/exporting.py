"""Export: a selection of the database as a cohort directory, its heterograph included."""

from collections.abc import Sequence
from pathlib import Path

from genograph.cohorts import WHOLE, Cohort, CohortQuery, Folds, Subgraph, save_cohort, select
from genograph.cohorts.select import EVERYTHING
from genograph.heterograph import save_dgl
from genograph.store import Store


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
    """Select a cohort and write its directory, the heterograph `genome.dgl` included.

    The directory holds manifest.json, genome.safetensors, labels.safetensors and genome.dgl; it is
    all that training needs.

    Args:
        store: an open database.
        folder: the directory to write, whole or not at all.
        query: which experiments; by default every one.
        force: replace a cohort that is there.
        singles: add the selected strains' single mutants; see `select`.
        embedding: embedding models of the windows; see `select`.
        subgraph: the part of the genome to carry; by default all of it.
        folds: how genes and strains are divided.
        timeout: seconds for each query to the database; None: no limit.

    Returns:
        The cohort that was written.

    Raises:
        CohortError: as `select`; or the folder is not empty, unless `force` and it is a cohort.
        StoreError: as `select`.

    Example:
        >>> with genograph.open_store("yeast.db", read_only=True) as store:
        ...     cohort = genograph.export(store, "cohort", folds=genograph.Folds(seed=0))
        >>> cohort
        Cohort(120 genes, ... strains; ... fitness, ... expression, ... morphology; simulated_...)
    """
    cohort = select(
        store, query, singles=singles, embedding=embedding, subgraph=subgraph, folds=folds,
        timeout=timeout,
    )  # fmt: skip
    save_cohort(cohort, folder, force=force, also=_save_heterograph)
    return cohort


def _save_heterograph(cohort: Cohort, folder: Path) -> None:
    save_dgl(cohort, folder / "genome.dgl")
