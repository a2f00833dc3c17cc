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
    """Select a cohort and write its directory, the heterograph `genome.dgl` included; see `select`.

    Raises:
        CohortError: as `select`; or the folder is not empty, unless `force` and it is a cohort.
        StoreError: as `select`.
    """
    cohort = select(
        store, query, singles=singles, embedding=embedding, subgraph=subgraph, folds=folds,
        timeout=timeout,
    )  # fmt: skip
    save_cohort(cohort, folder, force=force, also=_save_heterograph)
    return cohort


def _save_heterograph(cohort: Cohort, folder: Path) -> None:
    save_dgl(cohort, folder / "genome.dgl")
