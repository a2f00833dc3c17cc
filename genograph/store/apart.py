"""Run a user's query in a process of its own, which may crash, swell or run on without harm.

The parent watches it: a process that outlasts its time, or takes more memory than it may, is
killed, and every way in which it ends is one line of StoreError.
"""

import json
import os
import select
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Never

import pyarrow as pa

from genograph.ahead import take_process
from genograph.errors import StoreError
from genograph.store import child
from genograph.store.child import HEAD
from genograph.tables import Value

ROWS_OF_PART = 250_000
START_SECONDS = 60.0
GRACE_SECONDS = 1.0
"""How long the engine may take to notice that the time is over, before its process is killed."""
WATCH_SECONDS = 0.05
ROOM = 1 << 30
"""Bytes that a query may take besides the engine's pool."""
LARGE = 512 << 20
"""Bytes that a process may keep while it waits for the next query."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Asked(NamedTuple):
    """A query as the process is told it.

    Attributes:
        cypher, parameters: the statement and the values of its $parameters.
        first: how many of its rows are wanted; None: all.
        limit: how many rows it may have; None: any number.
        timeout: seconds; None: no limit.
    """

    cypher: str
    parameters: Mapping[str, Value]
    first: int | None
    limit: int | None
    timeout: float | None

    @property
    def line(self) -> str:
        """The end of a message."""
        return f"; the query was: {' '.join(self.cypher.split())}"


class EngineError(Exception):
    """The engine refuses a query; the message is the engine's.

    Attributes:
        late: because its time is over.
        damaged: because it cannot read the database.
    """

    def __init__(self, said: str, *, damaged: bool = False) -> None:
        """Keep what the engine said, and whether it could not read."""
        super().__init__(said)
        self.late = said.startswith("Interrupted")
        self.damaged = damaged


class QueryProcess:
    """A process that has a database open for reading and runs one query at a time."""

    def __init__(self, uri: str, path: Path, pool: int) -> None:
        """Start it; it gets ready while the caller goes on.

        Args:
            uri: the database in messages.
            path: its file.
            pool: bytes of the engine's pool.
        """
        self._uri = uri
        self._most = pool + ROOM
        self._ready = False
        self._process = take_process()
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._waited = 0.0
        with suppress(BrokenPipeError):
            self._put({"database": str(path), "pool": pool})

    def _put(self, told: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        child.put(self._process.stdin, child.ASK, json.dumps(told).encode())  # type: ignore[arg-type]

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    @property
    def is_large(self) -> bool:
        """Whether it holds so much memory that it had better not be kept."""
        return self._memory() > LARGE

    def ask(self, asked: Asked) -> Iterator[pa.Table]:
        """Run a query and yield its rows in parts, at least one.

        The process is closed where the query fails, or the parts are not read to the end.

        Raises:
            EngineError: by the engine.
            StoreError: the query ran out of time or memory, has too many rows, or ended the engine.
        """
        finished = False
        try:
            if not self._ready:
                self._wait_ready(asked)
            seconds = None if asked.timeout is None else asked.timeout + GRACE_SECONDS
            told = asked._asdict() | {
                "parameters": dict(asked.parameters),
                "rows_of_part": ROWS_OF_PART,
                "milliseconds": 0 if asked.timeout is None else max(1, int(asked.timeout * 1000)),
            }
            self._waited = 0.0
            try:
                self._put(told)
            except BrokenPipeError:
                self._explain_end(asked)
            while True:
                kind, raw = self._get(asked, seconds)
                if kind == child.END:
                    finished = True
                    return
                if kind == child.PART:
                    yield pa.ipc.open_stream(pa.py_buffer(raw)).read_all()
                    continue
                finished = kind != child.DAMAGED
                said = raw.decode("utf-8", "replace")
                if kind == child.TOO_MANY:
                    msg = f"{self._uri}: {say_many(f'{int(said):,}', asked.limit)}{asked.line}"
                    raise StoreError(msg)
                raise EngineError(said, damaged=kind == child.DAMAGED)
        finally:
            if not finished:
                self.close()

    def _wait_ready(self, asked: Asked) -> None:
        kind, raw = self._get(asked, START_SECONDS)
        if kind != child.READY:
            raise EngineError(raw.decode("utf-8", "replace"), damaged=True)
        self._ready = True

    def _get(self, asked: Asked, seconds: float | None) -> tuple[bytes, bytes]:
        """The next frame; only what the parent waits for it counts as time."""
        kind, length = HEAD.unpack(self._read(HEAD.size, asked, seconds))
        return kind, self._read(length, asked, seconds)

    def _read(self, length: int, asked: Asked, seconds: float | None) -> bytes:
        """So many bytes of the process."""
        raw = bytearray(length)
        view, at = memoryview(raw), 0
        while at < length:
            since = time.monotonic()
            found = self._poll.poll(1000 * WATCH_SECONDS)
            self._waited += time.monotonic() - since
            n = os.readv(self._out, [view[at:]]) if found else 0
            if found and not n:
                self._explain_end(asked)
            at += n
            if self._memory() > self._most:
                msg = (
                    f"{self._uri}: the query took more than {self._most >> 20:,} MiB of memory and "
                    f"was ended; ask for less at a time{asked.line}"
                )
                raise StoreError(msg)
            if seconds is not None and self._waited > seconds:
                msg = say_late(self._uri, asked)
                raise StoreError(msg)
        return bytes(raw)

    def _explain_end(self, asked: Asked) -> Never:
        status = self._process.wait()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        what = f"the query ended the database engine ({how}); ask in another way"
        if status == -signal.SIGKILL:
            what = "the query's process was killed, as for want of memory; ask for less at a time"
        msg = f"{self._uri}: {what}{asked.line}"
        raise StoreError(msg)

    def _memory(self) -> int:
        """Bytes of memory that the process has; 0 where the system does not say."""
        try:
            text = Path(f"/proc/{self._process.pid}/statm").read_text("ascii")
        except OSError:
            return 0
        return int(text.split()[1]) * _PAGE

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


def say_late(uri: str, asked: Asked) -> str:
    """The message of a query whose time is over."""
    return (
        f"{uri}: ran out of time after {asked.timeout:g} s; select less or allow more{asked.line}"
    )


def say_many(n: str, limit: int | None) -> str:
    """What to say of an answer of too many rows."""
    return (
        f"the answer has {n} rows, and the limit is {limit:,}; select less, or allow more with "
        f"limit_rows (--limit-rows)"
    )
