"""Cohorts: Cypher selects experiments; a Cohort carries them with the genome as arrays."""

from genograph.cohorts.data import (
    FOLDS,
    RELATIONS,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    Cohort,
    Edges,
    Fitness,
    Genome,
    Strains,
    Vectors,
)
from genograph.cohorts.folder import load_cohort, save_cohort
from genograph.cohorts.folds import Folds
from genograph.cohorts.genome import WHOLE, Subgraph, read_genome
from genograph.cohorts.query import CohortQuery, explain_empty, name_ids
from genograph.cohorts.select import list_experiments, select
from genograph.cohorts.strains import make_strains, read_strains

__all__ = [
    "FOLDS",
    "RELATIONS",
    "SPLITS",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "WHOLE",
    "Cohort",
    "CohortQuery",
    "Edges",
    "Fitness",
    "Folds",
    "Genome",
    "Strains",
    "Subgraph",
    "Vectors",
    "explain_empty",
    "list_experiments",
    "load_cohort",
    "make_strains",
    "name_ids",
    "read_genome",
    "read_strains",
    "save_cohort",
    "select",
]
