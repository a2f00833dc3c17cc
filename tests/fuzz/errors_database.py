"""Errors of schema, tables, stores, ledgers, loads and dumps: cause, cure, what provokes them."""

from fuzz.case import Case

CASES: tuple[Case, ...] = ()
