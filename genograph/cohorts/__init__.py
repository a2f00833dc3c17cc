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
    load_cohort,
    names_sha256,
)
from genograph.cohorts.folds import Folds
from genograph.cohorts.genome import Subgraph, read_genome
from genograph.cohorts.query import CohortQuery, why_empty
from genograph.cohorts.select import export, members, select
from genograph.cohorts.strains import read_strains, strains_of

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
    "read_strains",
    "select",
    "strains_of",
    "why_empty",
]
