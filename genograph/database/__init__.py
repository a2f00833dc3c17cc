"""Database: the verbs on a graph database: load, build, query, check, dump and embed."""
