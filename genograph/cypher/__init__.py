"""Cypher as text: tokens, patterns, the fence for reading statements, the lint, the library."""

from genograph.cypher.fence import TAKEN, check_parameters, fence
from genograph.cypher.library import (
    LibraryQuery,
    library,
    query_file,
    read_parameters,
    without_parameters,
)
from genograph.cypher.lint import Warned, lint
from genograph.cypher.patterns import Predicate, read_predicates
from genograph.cypher.tokens import Clause, Statement, Token

__all__ = [
    "TAKEN",
    "Clause",
    "LibraryQuery",
    "Predicate",
    "Statement",
    "Token",
    "Warned",
    "check_parameters",
    "fence",
    "library",
    "lint",
    "query_file",
    "read_parameters",
    "read_predicates",
    "without_parameters",
]
