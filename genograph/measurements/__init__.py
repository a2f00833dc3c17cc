"""Measurements: what loaders build tables with, a row a measurement or a block of pairs."""

from genograph.measurements.pairs import Pairs, PairTables, Seen
from genograph.measurements.rows import (
    MISSING,
    RELATIVE,
    Axis,
    Measurement,
    Study,
    read_number,
    read_screened,
    read_vector,
    tables,
)
from genograph.measurements.strains import Spelled, read_strain

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
    "read_number",
    "read_screened",
    "read_strain",
    "read_vector",
    "tables",
]
