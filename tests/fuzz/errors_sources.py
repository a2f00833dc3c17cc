"""Errors of source files and their loaders: cause, cure, and what provokes them."""

from fuzz.case import Case

CASES: tuple[Case, ...] = ()
