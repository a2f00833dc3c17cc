"""Measurements: what loaders build tables with, a row a measurement or a block of pairs."""

from genograph.measurements.pairs import Pairs, PairTables, Seen
from genograph.measurements.rows import (
    MISSING,
    RELATIVE,
    Axis,
    Measurement,
    Spelled,
    Study,
    number,
    screened,
    spelled_strain,
    tables,
    vector,
)

__all__ = [
    "MISSING",
    "RELATIVE",
    "Axis",
    "Measurement",
    "PairTables",
    "Pairs",
    "Seen",
    "Spelled",
    "Study",
    "number",
    "screened",
    "spelled_strain",
    "tables",
    "vector",
]
