"""The graph schema as data: graph.toml is the source of truth, constraints.cypher is generated."""
