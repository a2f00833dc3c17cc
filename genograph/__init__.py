"""genograph: a graph database of a genome and its perturbation experiments, and models on it.

The verbs of the command line are functions of this module and take the same words. What stands in
`__all__` is public; everything else may change. Nothing heavy is imported until a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genograph.cohorts import (
        Cohort,
        CohortQuery,
        load_cohort,
        read_strains,
        save_cohort,
        select,
    )
    from genograph.database.embed import embed
    from genograph.database.ingest import Ledger, build, load
    from genograph.database.query import run_query as query
    from genograph.demonstration import demo
    from genograph.errors import (
        CohortError,
        GenographError,
        RunError,
        SchemaError,
        SourceError,
        StoreError,
    )
    from genograph.evaluation import evaluate
    from genograph.exporting import export
    from genograph.heterograph import to_dgl, to_networkx, to_pyg
    from genograph.prediction import predict
    from genograph.reporting import report
    from genograph.run import Prediction, Run
    from genograph.schema import graph_schema
    from genograph.simulation import simulate
    from genograph.store import Store, open_store
    from genograph.tables import Table
    from genograph.training import TrainConfig, train
    from genograph.writeback import write_predictions

_HOMES = {
    "Cohort": "cohorts",
    "CohortError": "errors",
    "CohortQuery": "cohorts",
    "GenographError": "errors",
    "Ledger": "database.ledger",
    "Prediction": "run",
    "Run": "run",
    "RunError": "errors",
    "SchemaError": "errors",
    "SourceError": "errors",
    "Store": "store",
    "StoreError": "errors",
    "Table": "tables",
    "TrainConfig": "training",
    "build": "database.ingest",
    "demo": "demonstration",
    "embed": "database.embed",
    "evaluate": "evaluation",
    "export": "exporting",
    "graph_schema": "schema",
    "load": "database.ingest",
    "load_cohort": "cohorts",
    "open_store": "store",
    "predict": "prediction",
    "query": "database.query",
    "read_strains": "cohorts",
    "report": "reporting",
    "save_cohort": "cohorts",
    "select": "cohorts",
    "simulate": "simulation",
    "to_dgl": "heterograph",
    "to_networkx": "heterograph",
    "to_pyg": "heterograph",
    "train": "training",
    "write_predictions": "writeback",
}

__all__ = [
    "Cohort",
    "CohortError",
    "CohortQuery",
    "GenographError",
    "Ledger",
    "Prediction",
    "Run",
    "RunError",
    "SchemaError",
    "SourceError",
    "Store",
    "StoreError",
    "Table",
    "TrainConfig",
    "build",
    "demo",
    "embed",
    "evaluate",
    "export",
    "graph_schema",
    "load",
    "load_cohort",
    "open_store",
    "predict",
    "query",
    "read_strains",
    "report",
    "save_cohort",
    "select",
    "simulate",
    "to_dgl",
    "to_networkx",
    "to_pyg",
    "train",
    "write_predictions",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import a public name when it is first used."""
    if name not in _HOMES:
        msg = f"module 'genograph' has no attribute {name!r}"
        raise AttributeError(msg)
    module = import_module(f"genograph.{_HOMES[name]}")
    value = getattr(module, "run_query" if name == "query" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
