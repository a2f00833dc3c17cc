"""Measurements: what loaders build tables with, a row a measurement or a block of pairs."""

from genograph.measurements.pairs import Pairs, PairTables, Seen
from genograph.measurements.rows import (
    MISSING,
    RELATIVE,
    Axis,
    Measurement,
    Spelled,
    Study,
    read_number,
    read_screened,
    read_strain,
    read_vector,
    tables,
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
    "read_number",
    "read_screened",
    "read_strain",
    "read_vector",
    "tables",
]
