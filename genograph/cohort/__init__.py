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

__all__ = [
    "FOLDS",
    "RELATIONS",
    "SPLITS",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Cohort",
    "Edges",
    "Fitness",
    "Genome",
    "Strains",
    "Vectors",
    "load_cohort",
    "names_sha256",
]
