"""Errors of training, prediction, evaluation and reports: cause, cure, what provokes them."""

from fuzz.case import Case

CASES: tuple[Case, ...] = ()
