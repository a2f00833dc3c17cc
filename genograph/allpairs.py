"""All pairs, all triples: every combination of deletions of a list of genes, scored by a run.

Combinations are walked in tiles of neighbouring genes. What a deletion does alone to each node it
reaches is computed once a tile and shared by thousands of strains; what two or three do together
adds over them before the first non-linearity, and only nodes that several reach are corrected, so
every number is the one that `predict` gives. Shards are Parquet files, renamed into place when
whole: the same call resumes after a kill, and of several processes each makes its own.
"""

import heapq
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int64
from numpy.typing import NDArray
from pydantic import BaseModel

from genograph.cohorts import Cohort, Strains, make_strains
from genograph.cohorts.strains import find_genes
from genograph.engine.topology import threads
from genograph.errors import RunError, SourceError
from genograph.files import RECORD, clear_drafts, is_draft, read_record, write_file, write_record
from genograph.prediction import Ensemble, Moments, choose_device, require_complete
from genograph.run import Run
from genograph.schema import Perturbation

Array = NDArray[Any]
By = Literal["interaction", "negative", "positive", "fitness"]
TILE = {2: 64, 3: 16}
"""Genes along each side of a tile, by the number of genes deleted: 4,096 strains."""
TILES_PER_SHARD, SHARDS = 64, 32
"""The most tiles of a shard; where that makes fewer shards than SHARDS, they are smaller, so that
several processes can share them out."""
PATIENCE = 3600.0
"""Seconds that one process waits for what another makes."""
QUANTITIES = ("fitness", "interaction")
NUMBERS = tuple(name + end for name in QUANTITIES for end in ("", "_sd"))
SCHEMA = pa.schema([("strain", pa.string()), *((name, pa.float32()) for name in NUMBERS)])
"""Columns of a shard; the s.d. are null with one member."""


class Scored(NamedTuple):
    """What was scored.

    Attributes:
        folder: of the shards.
        n_strain: over all shards.
        n_made: strains scored by this call; the others were there.
        seconds: that it took.
        top: the best, one row a strain: strain, fitness, fitness_sd, interaction, interaction_sd;
            None in processes but the first.
    """

    folder: Path
    n_strain: int
    n_made: int
    seconds: float
    top: pa.Table | None


class _Plan(BaseModel):
    """plan.json: what a folder's shards are of."""

    model_config = RECORD
    run: str
    genes: tuple[str, ...]
    size: int
    tile: int
    tiles_per_shard: int
    shards: int


class _Work(NamedTuple):
    run: Run
    cohort: Cohort
    gene: Int64[np.ndarray, " listed"]
    single: Int64[np.ndarray, " listed"]
    size: int
    tiles: list[tuple[int, ...]]

    @property
    def tiles_per_shard(self) -> int:
        """Tiles of a shard."""
        return min(TILES_PER_SHARD, max(len(self.tiles) // SHARDS, 1))


def score_all(
    run: Run | Path | str,
    out: Path | str,
    *,
    genes: Sequence[str] | None = None,
    size: Literal[2, 3] = 2,
    top: int = 100,
    by: By = "interaction",
    cohort: Cohort | Path | str | None = None,
    device: str = "auto",
    rank: int = 0,
    world: int = 1,
    report: Callable[[float, str], None] | None = None,
) -> Scored:
    """Predict the fitness and interaction of every double, or triple, deletion of some genes.

    Shards that are there are kept: the same call resumes.

    Args:
        run: the run or its folder; its training is complete and it learned fitness.
        out: folder of plan.json and shard-*.parquet, one row a strain.
        genes: systematic names; None: all genes of the cohort.
        size: how many genes a strain deletes, 2 or 3.
        top: how many of the best strains to return.
        by: interaction (largest magnitude first), negative or positive (the most negative or
            positive interaction first), or fitness (the lowest first).
        cohort: the one the run was trained on, or its folder where it is now; None: where it was.
        device: auto, cpu or cuda.
        rank: which of several processes this is, 0-based.
        world: how many processes share the work; each makes every world-th shard.
        report: told the fraction done, 0 to 1, and a few words.

    Returns:
        What was scored, and in process 0 the best strains.

    Raises:
        RunError: the training is not complete, `out` holds another scoring, fewer genes than
            `size`, a gene that the cohort lacks, or a prediction that is not finite.
        CohortError: the cohort cannot be read.

    Example:
        >>> found = genograph.score_all("run", "all-pairs", top=3, by="negative")
        >>> found.n_strain, found.top.num_rows
        (7140, 3)
    """
    began, out = time.perf_counter(), Path(out)
    run = Run.open(run)
    held = require_complete(run, cohort)
    run.require_head("fitness")
    work = _work(run, held, genes, size)
    n_shard = math.ceil(len(work.tiles) / work.tiles_per_shard)
    n_strain = math.comb(len(work.gene), size)
    _begin(out, work, n_shard, first=rank == 0)
    mine = [s for s in range(rank, n_shard, world) if not _shard(out, s).is_file()]
    tell = report or (lambda fraction, words: None)
    n_made = 0
    if mine:
        with threads(run.config.training.threads, held.genome):
            ensemble = Ensemble(run, held, choose_device(device))
            start = time.perf_counter()
            for number, shard in enumerate(mine):
                tables = []
                for tile in _tiles_of(work, shard):
                    strains = _strains(work, tile)
                    if not len(strains):
                        continue
                    plan = ensemble.inputs.plan_combinations(strains, work.size)
                    found = ensemble.combine(plan, "fitness")
                    _check_finite(run, found, strains.ids)
                    values = [v for name in QUANTITIES for v in found[name]]
                    columns = [pa.array(v, mask=np.isnan(v)) for v in values]
                    tables.append(pa.table([strains.ids, *columns], schema=SCHEMA))
                    n_made += len(strains)
                _write(_shard(out, shard), tables)
                pace = n_made / max(time.perf_counter() - start, 1e-9)
                tell(
                    (number + 1) / len(mine),
                    f"{n_made:,} strains, {pace:,.0f} a second, shard {number + 1} of {len(mine)}",
                )
    best = None
    if rank == 0:
        _wait(out, n_shard)
        best = find_best((_shard(out, s) for s in range(n_shard)), top, by)
    return Scored(out, n_strain, n_made, time.perf_counter() - began, best)


def _check_finite(run: Run, found: Mapping[str, Moments], ids: pa.StringArray) -> None:
    for name in QUANTITIES:
        wrong = ~np.isfinite(found[name].mean)
        if wrong.any():
            msg = (
                f"run {run.id} predicts no finite {name} of {ids[int(np.argmax(wrong))]}; its "
                f"files are not written; train again, without labels far outside of their "
                f"phenotype's range"
            )
            raise RunError(msg)


def read_genes(path: Path | str, cohort: Cohort) -> list[str]:
    r"""Systematic names of the genes that a text file lists, one a line.

    Args:
        path: the file, UTF-8; a name is systematic or a symbol, in any case; `#` begins a comment.
        cohort: whose genes they are.

    Returns:
        The systematic names, in the file's order.

    Raises:
        SourceError: no such file, no gene in it, or a gene that the cohort lacks; the message has
            the line, 1-based.

    Example:
        >>> from pathlib import Path
        >>> Path("genes.txt").write_text("YAL001C  # a comment\nyal002c\n")
        29
        >>> genograph.read_genes("genes.txt", genograph.load_cohort("cohort"))
        ['YAL001C', 'YAL002C']
    """
    path, found = Path(path), []
    find = find_genes(cohort)
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise SourceError(msg) from None
    except (UnicodeDecodeError, OSError) as error:
        msg = f"{path}: cannot be read as text: {error}"
        raise SourceError(msg) from error
    for number, line in enumerate(lines, 1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        gene = find(name)
        if gene is None:
            raise SourceError.at(path, number, None, name, "a gene of the cohort")
        found.append(gene)
    if not found:
        msg = f"{path}: lists no genes"
        raise SourceError(msg)
    return found


class _Ranked(NamedTuple):
    key: float
    strain: str
    numbers: tuple[float | None, ...]


def find_best(shards: Iterator[Path], top: int, by: By) -> pa.Table:
    """The best rows of some shards, read a row group at a time; ties go by the strain's name."""
    kept: list[_Ranked] = []
    for path in shards:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                kept = _merged(kept, file.read_row_group(number), top, by)
    rows = [{"strain": name, **dict(zip(NUMBERS, line, strict=True))} for _, name, line in kept]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _merged(kept: list["_Ranked"], rows: pa.Table, top: int, by: By) -> list["_Ranked"]:
    values = rows["fitness" if by == "fitness" else "interaction"].to_numpy().astype(float)
    # the smallest key is the best
    key = {"interaction": -np.abs(values), "positive": -values}.get(by, values)
    if len(kept) >= top:
        candidates = np.flatnonzero(key <= kept[-1][0]) if top else np.zeros(0, np.int64)
    else:
        candidates = np.arange(len(key))
    if len(candidates) > top:
        limit = np.partition(key[candidates], top - 1)[top - 1] if top else -np.inf
        candidates = candidates[key[candidates] <= limit]
    part = rows.take(pa.array(candidates))
    lines = zip(*(part[name].to_pylist() for name in NUMBERS), strict=True)
    new = map(_Ranked, key[candidates].tolist(), part["strain"].to_pylist(), lines)
    return heapq.nsmallest(top, itertools.chain(kept, new), key=lambda row: row[:2])


def _work(run: Run, cohort: Cohort, genes: Sequence[str] | None, size: int) -> _Work:
    if size not in TILE:
        msg = f"{size} genes at a time: wanted {' or '.join(map(str, TILE))}"
        raise RunError(msg)
    row = cohort.genome.gene_row
    names = sorted(set(cohort.genome.gene_ids if genes is None else genes))
    lacking = [name for name in names if name not in row]
    if lacking:
        msg = f"{lacking[0]} is not one of the cohort's {len(row)} genes; leave it out"
        raise RunError(msg)
    if len(names) < size:
        msg = f"got {len(names)} genes, a strain perturbs {size}; list more"
        raise RunError(msg)
    singles = make_strains([[Perturbation.of(name, "deletion")] for name in names], cohort)
    n_block = math.ceil(len(names) / TILE[size])
    tiles = list(itertools.combinations_with_replacement(range(n_block), size))
    gene = np.array([row[name] for name in names], np.int64)
    return _Work(run, cohort, gene, singles.single, size, tiles)


def _tiles_of(work: _Work, shard: int) -> list[tuple[int, ...]]:
    n = work.tiles_per_shard
    return work.tiles[shard * n : (shard + 1) * n]


def _strains(work: _Work, tile: tuple[int, ...]) -> Strains:
    """The strains of a tile: one gene of each of its blocks, in ascending order."""
    side, n = TILE[work.size], len(work.gene)
    blocks = [np.arange(b * side, min((b + 1) * side, n)) for b in tile]
    listed = np.stack([g.ravel() for g in np.meshgrid(*blocks, indexing="ij")], 1)
    listed = listed[(np.diff(listed, axis=1) > 0).all(1)]
    gene = work.gene[listed]
    ids = pa.array(work.cohort.genome.gene_ids)
    columns = [ids.take(pa.array(gene[:, k])) for k in range(work.size)]
    return Strains(
        pc.binary_join_element_wise(*columns, "+"),
        np.arange(len(listed) + 1, dtype=np.int64) * work.size,
        gene.ravel(),
        np.zeros(gene.size, np.float32),
        work.single[listed].ravel(),
    )


def _begin(out: Path, work: _Work, n_shard: int, *, first: bool) -> None:
    """Write plan.json, or check that the one there is of this scoring.

    Raises:
        RunError: it is of another, the folder holds something else, or cannot be written.
    """
    plan = _Plan(
        run=work.run.id,
        genes=tuple(work.cohort.genome.gene_ids[int(g)] for g in work.gene),
        size=work.size,
        tile=TILE[work.size],
        tiles_per_shard=work.tiles_per_shard,
        shards=n_shard,
    )
    path = out / "plan.json"
    since = time.monotonic()
    while not first and not path.is_file() and time.monotonic() - since < PATIENCE:
        time.sleep(0.1)
    if path.is_file():
        begun = read_record(
            path, _Plan, error=RunError, kind="plan", advice="choose another folder"
        )
        different = [n for n in _Plan.model_fields if getattr(begun, n) != getattr(plan, n)]
        if different:
            msg = (
                f"{out}: holds a scoring with another {', '.join(different)}; choose another folder"
            )
            raise RunError(msg)
        # of a shard that is in its place the draft is nobody's to clear
        clear_drafts(out)
        return
    if out.exists() and (not out.is_dir() or not all(map(is_draft, out.iterdir()))):
        msg = f"{out}: exists and holds no scoring; choose another folder"
        raise RunError(msg)
    out.mkdir(parents=True, exist_ok=True)
    write_record(path, plan, error=RunError)


def _shard(out: Path, number: int) -> Path:
    return out / f"shard-{number:05d}.parquet"


def _write(path: Path, tables: list[pa.Table]) -> None:
    with write_file(path, error=RunError) as draft:
        pq.write_table(pa.concat_tables([SCHEMA.empty_table(), *tables]), draft, compression="zstd")


def _wait(out: Path, n_shard: int) -> None:
    """Until every shard is there.

    Raises:
        RunError: none came for an hour.
    """
    since, before = time.monotonic(), -1
    while lacking := [s for s in range(n_shard) if not _shard(out, s).is_file()]:
        if len(lacking) != before:
            since, before = time.monotonic(), len(lacking)
        elif time.monotonic() - since > PATIENCE:
            msg = f"{out}: {len(lacking)} shards of other processes are lacking; run them again"
            raise RunError(msg)
        time.sleep(0.2)
