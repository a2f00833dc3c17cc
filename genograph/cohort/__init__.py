"""Cohorts: Cypher selects experiments; a Cohort carries them with the genome as arrays."""

from genograph.cohort.data import (
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
    load_cohort,
    names_sha256,
)
from genograph.cohort.folds import Folds
from genograph.cohort.genome import Subgraph, read_genome
from genograph.cohort.query import CohortQuery, why_empty
from genograph.cohort.select import export, members, select

__all__ = [
    "FOLDS",
    "RELATIONS",
    "SPLITS",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Cohort",
    "CohortQuery",
    "Edges",
    "Fitness",
    "Folds",
    "Genome",
    "Strains",
    "Subgraph",
    "Vectors",
    "export",
    "load_cohort",
    "members",
    "names_sha256",
    "read_genome",
    "select",
    "why_empty",
]
