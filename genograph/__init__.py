"""genograph: a graph database of a genome and its perturbation experiments, and models on it.

The verbs of the command line are functions of this module and take the same words. What stands in
`__all__` is public; everything else may change. Nothing heavy is imported until a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genograph.allpairs import Scored, read_genes, score_all
    from genograph.cohorts import (
        Cohort,
        CohortQuery,
        Edges,
        Fitness,
        Folds,
        Genome,
        Strains,
        Subgraph,
        Vectors,
        list_experiments,
        load_cohort,
        read_strains,
        save_cohort,
        select,
    )
    from genograph.config import TrainConfig, TrainingConfig, format_config, read_config
    from genograph.database.check import Finding, check
    from genograph.database.dump import Dump, DumpFile, dump, neo4j_import, restore
    from genograph.database.embed import embed
    from genograph.database.ingest import build, load
    from genograph.database.ledger import Ledger, status
    from genograph.database.names import find
    from genograph.database.query import query
    from genograph.demonstration import Demonstration, demo
    from genograph.errors import (
        CohortError,
        GenographError,
        RunError,
        SchemaError,
        SourceError,
        StoreError,
    )
    from genograph.evaluation import (
        Calibration,
        Evaluation,
        Score,
        evaluate,
        load_evaluation,
    )
    from genograph.exporting import export
    from genograph.heterograph import to_dgl, to_networkx, to_pyg
    from genograph.models import ModelConfig
    from genograph.prediction import predict
    from genograph.reporting import report
    from genograph.run import Predicted, Prediction, Run, RunRecord
    from genograph.schema import (
        Node,
        Phenotype,
        Property,
        Range,
        Relationship,
        Schema,
        graph_schema,
    )
    from genograph.simulation import Simulation, simulate
    from genograph.store import Store, Written, open_store
    from genograph.store.offline import Neo4jImport
    from genograph.tables import Table
    from genograph.training import train
    from genograph.writeback import WrittenBack, write_predictions

_HOMES = {
    "Calibration": "evaluation",
    "Cohort": "cohorts",
    "CohortError": "errors",
    "CohortQuery": "cohorts",
    "Demonstration": "demonstration",
    "Dump": "database.dump",
    "DumpFile": "database.dump",
    "Edges": "cohorts",
    "Evaluation": "evaluation",
    "Finding": "database.check",
    "Fitness": "cohorts",
    "Folds": "cohorts",
    "GenographError": "errors",
    "Genome": "cohorts",
    "Ledger": "database.ledger",
    "ModelConfig": "models",
    "Neo4jImport": "store.offline",
    "Node": "schema",
    "Phenotype": "schema",
    "Predicted": "run",
    "Prediction": "run",
    "Property": "schema",
    "Range": "schema",
    "Relationship": "schema",
    "Run": "run",
    "RunError": "errors",
    "RunRecord": "run",
    "Schema": "schema",
    "SchemaError": "errors",
    "Score": "evaluation",
    "Scored": "allpairs",
    "Simulation": "simulation",
    "SourceError": "errors",
    "Store": "store",
    "StoreError": "errors",
    "Strains": "cohorts",
    "Subgraph": "cohorts",
    "Table": "tables",
    "TrainConfig": "config",
    "TrainingConfig": "config",
    "Vectors": "cohorts",
    "Written": "store",
    "WrittenBack": "writeback",
    "build": "database.ingest",
    "check": "database.check",
    "demo": "demonstration",
    "dump": "database.dump",
    "embed": "database.embed",
    "find": "database.names",
    "evaluate": "evaluation",
    "export": "exporting",
    "format_config": "config",
    "graph_schema": "schema",
    "list_experiments": "cohorts",
    "load": "database.ingest",
    "load_cohort": "cohorts",
    "load_evaluation": "evaluation",
    "neo4j_import": "database.dump",
    "open_store": "store",
    "predict": "prediction",
    "predict_baseline": "evaluation",
    "query": "database.query",
    "read_config": "config",
    "read_genes": "allpairs",
    "read_strains": "cohorts",
    "report": "reporting",
    "restore": "database.dump",
    "save_cohort": "cohorts",
    "score_all": "allpairs",
    "select": "cohorts",
    "simulate": "simulation",
    "status": "database.ledger",
    "to_dgl": "heterograph",
    "to_networkx": "heterograph",
    "to_pyg": "heterograph",
    "train": "training",
    "write_predictions": "writeback",
}

__all__ = [
    "Calibration",
    "Cohort",
    "CohortError",
    "CohortQuery",
    "Demonstration",
    "Dump",
    "DumpFile",
    "Edges",
    "Evaluation",
    "Finding",
    "Fitness",
    "Folds",
    "GenographError",
    "Genome",
    "Ledger",
    "ModelConfig",
    "Neo4jImport",
    "Node",
    "Phenotype",
    "Predicted",
    "Prediction",
    "Property",
    "Range",
    "Relationship",
    "Run",
    "RunError",
    "RunRecord",
    "Schema",
    "SchemaError",
    "Score",
    "Scored",
    "Simulation",
    "SourceError",
    "Store",
    "StoreError",
    "Strains",
    "Subgraph",
    "Table",
    "TrainConfig",
    "TrainingConfig",
    "Vectors",
    "Written",
    "WrittenBack",
    "build",
    "check",
    "demo",
    "dump",
    "embed",
    "evaluate",
    "export",
    "find",
    "format_config",
    "graph_schema",
    "list_experiments",
    "load",
    "load_cohort",
    "load_evaluation",
    "neo4j_import",
    "open_store",
    "predict",
    "predict_baseline",
    "query",
    "read_config",
    "read_genes",
    "read_strains",
    "report",
    "restore",
    "save_cohort",
    "score_all",
    "select",
    "simulate",
    "status",
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
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
