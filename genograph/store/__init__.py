"""Graph databases behind one interface: `open_store` gives the embedded one or Neo4j.

The only room that imports database drivers.
"""

from pathlib import Path

from genograph.store.base import Store, Written
from genograph.tables import Value

__all__ = ["Store", "Value", "Written", "open_store"]

NEO4J_SCHEMES = ("neo4j://", "neo4j+s://", "neo4j+ssc://", "bolt://", "bolt+s://", "bolt+ssc://")


def open_store(db: str | Path, *, read_only: bool = False) -> Store:
    """Open a graph database: the embedded store in a file, or a Neo4j server.

    Neo4j's credentials come from the environment (GENOGRAPH_NEO4J_USER and
    GENOGRAPH_NEO4J_PASSWORD) or from the file that GENOGRAPH_NEO4J_AUTH_FILE names, never from the
    address.

    Args:
        db: a path, which is made where it is not there; or an address such as
            neo4j://localhost:7687/neo4j (neo4j, bolt, and either with +s or +ssc).
        read_only: refuse writes; the file must be there.

    Returns:
        The open database, a context manager that closes it.

    Raises:
        StoreError: it cannot be opened: in use, unreachable, of another schema version.

    Example:
        >>> with genograph.open_store("yeast.db") as store:
        ...     store.counts()["Gene"]
        0
    """
    if str(db).startswith(NEO4J_SCHEMES):
        from genograph.store.neo4j import Neo4jStore

        return Neo4jStore(str(db), read_only=read_only)
    from genograph.store.embedded import EmbeddedStore

    return EmbeddedStore(Path(db), read_only=read_only)
