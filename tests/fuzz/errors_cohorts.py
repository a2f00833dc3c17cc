"""Errors of cohorts, queries, heterographs and promoters: cause, cure, and what provokes them."""

from fuzz.case import Case

CASES: tuple[Case, ...] = ()
