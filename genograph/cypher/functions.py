"""The functions that a query may call: those that both engines answer alike, and the others.

The fence refuses any other function. Engines have functions that change their state, raise an error
with any text, or end the process when their argument is null; with reduce, which only Neo4j has, a
text doubles at every step.
"""

PORTABLE = {
    *("COALESCE", "COUNT", "COLLECT", "MIN", "MAX", "SUM", "AVG", "SIZE", "RANGE"),
    *("ABS", "SIGN", "SQRT", "FLOOR", "CEIL", "LOG10", "PI", "SIN", "COS", "TAN", "DEGREES"),
    *("RADIANS", "LEFT", "RIGHT", "TRIM", "LTRIM", "RTRIM", "REPLACE", "REVERSE", "TOUPPER"),
    *("TOLOWER", "UPPER", "LOWER", "LENGTH", "NODES", "RELATIONSHIPS", "ANY", "NONE", "SINGLE"),
    "ALL",
}
# function: what the two engines do with it
DIFFERENT = {
    "LOG": "is log10 on the embedded store and the natural logarithm on Neo4j",
    "SUBSTRING": "counts from 1 on the embedded store and from 0 on Neo4j; use left or right",
    "ROUND": "rounds -2.5 to -3 on the embedded store and to -2 on Neo4j; use floor(x + 0.5)",
    "LABELS": "is a string on the embedded store and a list on Neo4j",
    "ID": "is internal and differs; use the property id",
    "KEYS": "names unset properties too on the embedded store",
    "PROPERTIES": "has unset properties too on the embedded store",
}
ONLY_NEO4J = {
    *("TOSTRING", "TOINTEGER", "TOFLOAT", "TOBOOLEAN", "HEAD", "LAST", "TAIL", "SPLIT"),
    *("EXP", "E", "ISEMPTY", "STDEV", "STDEVP", "TYPE", "ELEMENTID", "STARTNODE"),
    *("ENDNODE", "RAND", "SHORTESTPATH", "ALLSHORTESTPATHS"),
    "EXISTS",
}
ONLY_EMBEDDED = {
    *("LN", "LABEL", "RELS", "CAST", "OFFSET", "STRING_SPLIT", "LIST_CONTAINS", "LIST_DISTINCT"),
    *("LIST_EXTRACT", "LIST_REVERSE_SORT", "LIST_SLICE", "LIST_SORT", "LIST_UNIQUE"),
}
# functions of a node, a relationship or a path
OF_GRAPH = {
    *("NODES", "RELATIONSHIPS", "RELS", "ID", "ELEMENTID", "PROPERTIES", "KEYS", "LABELS"),
    *("LABEL", "TYPE", "OFFSET", "STARTNODE", "ENDNODE"),
}
FUNCTIONS = frozenset(PORTABLE | DIFFERENT.keys() | ONLY_NEO4J | ONLY_EMBEDDED)
