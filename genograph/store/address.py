"""The address and credentials of a Neo4j server; an address never holds a password."""

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from genograph.errors import StoreError

USER, PASSWORD = "GENOGRAPH_NEO4J_USER", "GENOGRAPH_NEO4J_PASSWORD"
AUTH_FILE = "GENOGRAPH_NEO4J_AUTH_FILE"


def parse_address(uri: str) -> tuple[str, str | None]:
    """The server's address, and the database that its path names, None for the default.

    Raises:
        StoreError: it is not one, or holds credentials; what it holds is not repeated.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        # what stands for the port may be a password
        msg = "the address has no valid port; wanted e.g. neo4j://localhost:7687"
        raise StoreError(msg) from None
    if "@" in parts.netloc or "@" in parts.path or parts.query or parts.fragment:
        msg = (
            f"{parts.scheme}://…: an address is host, port and database, e.g. "
            f"neo4j://localhost:7687/neo4j; credentials belong in {USER} and {PASSWORD}, or in "
            f"the file {AUTH_FILE} names"
        )
        raise StoreError(msg)
    if not parts.hostname or port == 0:
        msg = f"{uri}: names no server; wanted e.g. neo4j://localhost:7687"
        raise StoreError(msg)
    database = parts.path.strip("/") or None
    return urlunsplit((parts.scheme, parts.netloc, "", "", "")), database


def read_credentials() -> tuple[str, str] | None:
    """User and password from the environment, or from the file it names; None where unset.

    Raises:
        StoreError: half of them, both ways at once, or a file that everyone may read.
    """
    file, password = os.environ.get(AUTH_FILE), os.environ.get(PASSWORD)
    user = os.environ.get(USER)
    if file and (password or user):
        msg = f"both {AUTH_FILE} and {USER} or {PASSWORD} are set; unset one"
        raise StoreError(msg)
    if file:
        try:
            mode = Path(file).stat().st_mode
            text = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "is not text"
            msg = f"{AUTH_FILE}={file}: cannot be read: {said}"
            raise StoreError(msg) from None
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            msg = f"{AUTH_FILE}={file}: everyone may read it; run `chmod 600 {file}`"
            raise StoreError(msg)
        user, colon, password = text.partition(":")
        if not (user and colon and password) or "\n" in text:
            msg = f"{AUTH_FILE}={file}: wanted one line, user:password"
            raise StoreError(msg)
        return user, password
    if user and not password:
        msg = f"{USER} is set and {PASSWORD} is not; set both"
        raise StoreError(msg)
    return (user or "neo4j", password) if password else None
