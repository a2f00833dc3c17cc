"""Graph databases behind one interface: `open_store` gives the embedded one or Neo4j.

The only room that imports database drivers.
"""

from pathlib import Path

from genograph.store.base import Store, Written
from genograph.tables import Value

__all__ = ["Store", "Value", "Written", "open_store"]

NEO4J_SCHEMES = ("neo4j://", "neo4j+s://", "neo4j+ssc://", "bolt://", "bolt+s://", "bolt+ssc://")


def open_store(db: str | Path, *, read_only: bool = False) -> Store:
    """Open a graph database: a path for the embedded store, or a neo4j:// or bolt:// address.

    Neo4j's credentials come from the environment or a file, never from the address.

    Raises:
        StoreError: it cannot be opened; the message says why and what to do.
    """
    if str(db).startswith(NEO4J_SCHEMES):
        from genograph.store.neo4j import Neo4jStore

        return Neo4jStore(str(db), read_only=read_only)
    from genograph.store.embedded import EmbeddedStore

    return EmbeddedStore(Path(db), read_only=read_only)
