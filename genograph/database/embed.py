"""Embeddings of the loaded regulatory windows by a provider.

Hides how windows are read, embedded in chunks, written as Embedding nodes and put on the ledger.
"""

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from genograph.database.ledger import Ledger, LedgerEntry, make_source
from genograph.embeddings import Provider, Vectors, find_provider
from genograph.errors import SourceError
from genograph.loaders.embeddings import tables
from genograph.store import Store, Written
from genograph.tables import Table

_CHUNK = 2_000
_FILE = "CRE windows of the database"


def embed(
    store: Store, provider: str, *, model: str | None = None, seed: int = 0, dim: int = 768
) -> Ledger:
    """Embed every loaded regulatory window and return the ledger; a second call changes nothing.

    The vectors stand as Embedding nodes `CRE id@model`. If the database has these very vectors, of
    these windows, nothing is computed and the ledger says skipped.

    Args:
        store: the database, open for writing.
        provider: kmer, a summary of the sequence; or random, the control that carries none of it.
        model: the name to store the vectors under, without @; None: the provider's, with the seed
            where one other than 0 matters (random-1).
        seed: of a random provider; others ignore it.
        dim: length of a vector.

    Raises:
        SourceError: an unknown provider, a dimension that it does not have, a model name with @, or
            no window is loaded.
        StoreError: the database refuses.

    Returns:
        The ledger: windows read, vectors written, unchanged, and windows without a vector.

    Example:
        >>> with genograph.open_store("yeast.db") as store:
        ...     genograph.embed(store, "kmer").skipped
        True
    """
    spec = find_provider(provider)
    if model is None:
        model = f"{provider}-{seed}" if spec.seeded and seed else provider
    if not model or "@" in model:
        msg = f"model {model!r}: wanted a name without @"
        raise SourceError(msg)
    with store.writing():
        return _embed(store, spec, model, seed, dim)


def _embed(store: Store, spec: Provider, model: str, seed: int, dim: int) -> Ledger:
    started, provider = time.perf_counter(), spec.name
    windows = store.query("MATCH (c:CRE) RETURN c.id AS id, c.sequence AS sequence").sort_by("id")
    if not len(windows):
        msg = "the database has no CRE; load cre first"
        raise SourceError(msg)
    ids = windows["id"].to_pylist()
    job = _Job(spec, ids, windows["sequence"].to_pylist(), model, seed, dim)
    entry = LedgerEntry(store, job.source())
    if _has_all(store, entry, job):
        return Ledger(f"embed_{provider}", _FILE, 0, 0, 0, {}, {}, 0.0, skipped=True)

    done, rejected, examples = defaultdict[str, Written](Written), Counter[str](), list[str]()
    with store.transaction() if store.atomic_loads else nullcontext():
        entry.begin()
        for at in range(0, len(ids), _CHUNK):
            chunk = ids[at : at + _CHUNK]
            vectors = job.vectors(range(at, at + len(chunk)))
            used = np.flatnonzero(np.linalg.norm(vectors, axis=1) > 0)
            unused = sorted(set(range(len(chunk))) - set(used.tolist()))
            if unused:
                rejected["window without a k-mer"] += len(unused)
                examples += [chunk[i] for i in unused[: 5 - len(examples)]]
            for table in tables([chunk[i] for i in used], vectors[used], model, _FILE):
                done[table.type] += store.write(table)
        total = sum(done.values(), Written())
        ledger = Ledger(
            f"embed_{provider}",
            _FILE,
            len(ids),
            total.created + total.updated,
            total.unchanged,
            dict(rejected),
            {"window without a k-mer": examples} if examples else {},
            time.perf_counter() - started,
        )
        entry.end(ledger, done)
    return ledger


@dataclass(frozen=True)
class _Job:
    """The windows to embed, the provider and its settings."""

    spec: Provider
    ids: list[str]
    sequences: list[str | None]
    model: str
    seed: int
    dim: int

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """The vectors of some windows, [row, dim]; zero where a window has none."""
        ids, sequences = [self.ids[i] for i in rows], [self.sequences[i] for i in rows]
        return self.spec.vectors(ids, sequences, self.seed, self.dim)

    def source(self) -> Table:
        """Make the Source row; its hash is of the windows, since there is no file."""
        digest = hashlib.sha256()
        for name, sequence in zip(self.ids, self.sequences, strict=True):
            digest.update(f"{name}\t{sequence}\n".encode())
        settings = [f"dim={self.dim}", f"model={self.model}"]
        settings += [f"seed={self.seed}"] if self.spec.seeded else []
        loader = f"embed_{self.spec.name}"
        return make_source(loader, self.spec.version, _FILE, digest.hexdigest(), settings, "")


def _has_all(store: Store, entry: LedgerEntry, job: _Job) -> bool:
    """Whether the ledger has the load and the database still has its vectors.

    Three windows are looked at: a load under the same model name writes over all of them.
    """
    if not entry.finished:
        return False
    probes = sorted({0, len(job.ids) // 2, len(job.ids) - 1})
    names = [f"{job.ids[i]}@{job.model}" for i in probes]
    held = store.query(
        "MATCH (e:Embedding {id: in_id}) RETURN in_id AS id, e.vector AS vector",
        rows=pa.table({"in_id": names}),
    )
    found = dict(zip(held["id"].to_pylist(), held["vector"].to_pylist(), strict=True))
    for name, vector in zip(names, job.vectors(probes), strict=True):
        have = np.array(found.get(name, ()), dtype=np.float32)
        want = vector if vector.any() else vector[:0]
        # processors add in different orders, so the last bits of a vector may differ
        if have.shape != want.shape or not np.allclose(have, want, atol=1e-6):
            return False
    return True
