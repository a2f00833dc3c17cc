"""Measurements: what loaders build tables with, a row a measurement or a block of pairs."""
