"""Recovery: mend what a killed writer left beside an embedded database, before it is opened.

The engine's log does not hold the rows that COPY put into the file. After a kill between a commit
and the end of its checkpoint, replaying the log would give half of the transaction, or crash. So
every transaction of ours ends with a checkpoint before it is acknowledged, and a log that does not
end with the record of one is that of a transaction nobody was told of: it is taken away, and the
database is as it was before it.
"""

from pathlib import Path

_LOGS = (".wal.checkpoint", ".wal")
_SHADOW = ".shadow"
# a log is a header of 16 + 1 + 8 bytes, and records: 8 bytes of length, that many, 8 of checksum
_HEADER = 25
_CHECKPOINT = 0xFE


def was_killed(path: Path) -> bool:
    """Whether a writer of this database was killed."""
    return any(Path(f"{path}{ending}").exists() for ending in (*_LOGS, _SHADOW))


def discard_unfinished(path: Path) -> None:
    """Remove the log of a transaction whose checkpoint is incomplete.

    A complete one stays, with its pages: the engine puts them into the file when it opens the
    database for writing. The caller holds the database's lock for itself alone.
    """
    logs = [Path(f"{path}{ending}") for ending in _LOGS]
    complete = [log for log in logs if log.exists() and _has_checkpoint(log)]
    for log in logs:
        if log not in complete:
            log.unlink(missing_ok=True)
    if not complete:
        Path(f"{path}{_SHADOW}").unlink(missing_ok=True)


def _has_checkpoint(log: Path) -> bool:
    """Whether the last whole record of a log is that of a checkpoint."""
    with log.open("rb") as raw:
        size = raw.seek(0, 2)
        at, last = _HEADER, b""
        while at + 8 <= size:
            raw.seek(at)
            length = int.from_bytes(raw.read(8), "little")
            if length == 0 or at + 8 + length + 8 > size:
                break
            last = raw.read(1)
            at += 8 + length + 8
    return last == bytes([_CHECKPOINT])
