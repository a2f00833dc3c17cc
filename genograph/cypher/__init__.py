"""User Cypher: a fence that lets one reading statement through, and a lint for two engines."""

from genograph.cypher.fence import TAKEN, check_parameters, fence
from genograph.cypher.library import Entry, library, query_file
from genograph.cypher.lint import Warned, lint
from genograph.cypher.tokens import Clause, Statement, Token, predicates

__all__ = [
    "TAKEN",
    "Clause",
    "Entry",
    "Statement",
    "Token",
    "Warned",
    "check_parameters",
    "fence",
    "library",
    "lint",
    "predicates",
    "query_file",
]
