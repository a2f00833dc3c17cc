"""Rows of the database by id, in parts: experiments and the perturbations of strains.

Tens of millions of them are never held: one part is, and what repeats is a number of a small
vocabulary.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64
from numpy.typing import NDArray

from genograph.cohorts.sorting import Sorting
from genograph.errors import CohortError, format_count
from genograph.schema import Perturbation
from genograph.store import Store
from genograph.store.stream import FoundNodes, read_nodes

NUMBERS = ("value", "sd", "interaction", "interaction_sd")


class Vocabulary:
    """Distinct texts, numbered in the order of their first use."""

    def __init__(self) -> None:
        """Begin with none."""
        self._number: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._number)

    @property
    def texts(self) -> pa.StringArray:
        """All of them, by number."""
        return pa.array(list(self._number), pa.string())

    def numbers(self, texts: pa.Array | pa.DictionaryArray) -> Int32[np.ndarray, " row"]:
        """The numbers of texts without nulls; new texts get new numbers."""
        if not pa.types.is_dictionary(texts.type):
            texts = texts.dictionary_encode()
        known = [
            self._number.setdefault(text, len(self._number))
            for text in texts.dictionary.to_pylist()
        ]
        out: NDArray[Any] = np.array(known, np.int32)[to_integers(texts.indices)]
        return out


class Vocabularies:
    """What the numbers of experiments and perturbations stand for."""

    def __init__(self) -> None:
        """Begin with none."""
        self.phenotype, self.unit, self.study = Vocabulary(), Vocabulary(), Vocabulary()
        self.gene, self.perturbation = Vocabulary(), Vocabulary()


_EXPERIMENT = "n.id AS id, s.id AS strain, u.id AS study, " + ", ".join(
    f"n.{name} AS {name}" for name in ("phenotype", "unit", *NUMBERS)
)
_PERTURBATION = "n.id AS id, g.id AS gene, p.kind AS kind, p.allele AS allele, p.dose AS dose"


def read_experiments(
    store: Store, ids: Sorting, said: Vocabularies, timeout: float | None
) -> Iterator[pa.Table]:
    """The experiments with these ids (rows `id`), in their order, a table for each part.

    Columns id, strain, phenotype, unit and study (int32, numbers of `said`) and NUMBERS (float64).

    Raises:
        CohortError: an id names no experiment, or an experiment has no strain or study, or several.
    """
    rest = f"MATCH (n)-[:TESTS]->(s:Strain) MATCH (n)-[:FROM_STUDY]->(u:Study) RETURN {_EXPERIMENT}"
    odd: list[str] = []
    for some, found in _of_nodes(store, "Experiment", rest, ids, timeout):
        odd += _find_odd(some, found)
        if not odd:
            yield _experiments(store, some, found, said)
    if odd:
        raise _explain_odd(store, odd)


def read_single_experiments(
    store: Store, phenotype: str, said: Vocabularies, timeout: float | None
) -> pa.Table:
    """Every experiment of a phenotype that tests a strain with one of the perturbations in `said`.

    Sorted by id, as `read_experiments` gives them.

    Raises:
        CohortError: as `read_experiments`.
    """
    # looked up by their ids, the embedded engine would join all strains there are
    found = store.query(
        "MATCH (n:Experiment)-[:TESTS]->(s:Strain) "
        "WHERE coalesce(s.n_perturbed, 1) = 1 AND n.phenotype = $phenotype "
        f"OPTIONAL MATCH (n)-[:FROM_STUDY]->(u:Study) RETURN {_EXPERIMENT}",
        timeout=timeout,
        phenotype=phenotype,
    )
    strains = found["strain"].combine_chunks().cast(pa.string())
    found = found.filter(pc.is_in(strains, value_set=said.perturbation.texts))
    ids = pc.unique(found["id"].combine_chunks().cast(pa.string()))
    ids = ids.take(pc.sort_indices(ids))
    odd = _find_odd(ids, found)
    if odd:
        raise _explain_odd(store, odd)
    return _experiments(store, ids, found, said)


def _find_odd(ids: pa.StringArray, found: pa.Table) -> list[str]:
    """The ids that do not have exactly one row."""
    times = np.bincount(_row(found, ids), minlength=len(ids))
    odd: list[str] = ids.take(pa.array(np.flatnonzero(times != 1))).to_pylist()
    return odd


def _experiments(
    store: Store, ids: pa.StringArray, found: pa.Table, said: Vocabularies
) -> pa.Table:
    found = found.take(pa.array(np.argsort(_row(found, ids))))
    part = {"id": ids, "strain": found["strain"].combine_chunks().cast(pa.string())}
    for name in ("phenotype", "unit", "study"):
        texts = found[name].combine_chunks().cast(pa.string())
        if texts.null_count:
            at = pc.index(pc.is_null(texts), True).as_py()
            msg = f"{store.uri}: experiment {ids[at]} has no {name}; load it again"
            raise CohortError(msg)
        part[name] = pa.array(getattr(said, name).numbers(texts))
    part |= {name: found[name].combine_chunks().cast(pa.float64()) for name in NUMBERS}
    return pa.table(part)


def _explain_odd(store: Store, odd: list[str]) -> CohortError:
    """The message about ids that do not have exactly one row."""
    known = store.query(
        "MATCH (e:Experiment {id: in_id}) RETURN in_id AS id", rows=pa.table({"in_id": odd})
    )
    if len(known) < len(odd):
        missing = set(odd) - set(known["id"].to_pylist())
        msg = (
            f"the query's column experiment holds {len(missing):,} values that name no "
            f"experiment, first {min(missing)}; return e.id AS experiment"
        )
        return CohortError(msg)
    msg = (
        f"{store.uri}: {format_count(len(odd), 'experiment')} (first: {odd[0]}) without exactly "
        f"one strain and one study; load their source again"
    )
    return CohortError(msg)


def read_perturbations(
    store: Store, ids: Sorting, said: Vocabularies, timeout: float | None
) -> Iterator[pa.Table]:
    """The strains with these ids (rows `id`) and their perturbations, a table for each part.

    Columns id, and three lists with an entry for each perturbation: gene and perturbation (int32,
    numbers of `said`; a perturbation as strain ids spell it) and dose (float32, the fraction of
    wild-type function left). The wild type has empty ones.

    Raises:
        CohortError: a perturbation lacks its kind, allele or dose.
    """
    rest = f"MATCH (n)-[p:PERTURBS]->(g:Gene) RETURN {_PERTURBATION}"
    for some, found in _of_nodes(store, "Strain", rest, ids, timeout):
        yield _perturbations(store, some, found, said)


def read_single_perturbations(
    store: Store, ids: pa.StringArray, said: Vocabularies, timeout: float | None
) -> pa.Table:
    """What single mutants carry, as `read_perturbations` gives it for these sorted ids.

    Raises:
        CohortError: as `read_perturbations`.
    """
    found = store.query(
        "MATCH (n:Strain)-[p:PERTURBS]->(g:Gene) WHERE coalesce(n.n_perturbed, 1) = 1 "
        f"RETURN {_PERTURBATION}",
        timeout=timeout,
    )
    mine = pc.is_in(found["id"].combine_chunks().cast(pa.string()), value_set=ids)
    return _perturbations(store, ids, found.filter(mine), said)


def _perturbations(
    store: Store, ids: pa.StringArray, found: pa.Table, said: Vocabularies
) -> pa.Table:
    texts = ("gene", "kind", "allele")
    columns = {n: found[n].combine_chunks().cast(pa.string()) for n in texts}
    columns["dose"] = found["dose"].combine_chunks().cast(pa.float64())
    for name in ("kind", "allele", "dose"):
        if columns[name].null_count:
            at = pc.index(pc.is_null(columns[name]), True).as_py()
            msg = f"{store.uri}: strain {found['id'][at]} has a perturbation without {name}"
            raise CohortError(msg)
    row = _row(found, ids)
    order = np.argsort(row, kind="stable")
    ends = np.cumsum(np.bincount(row, minlength=len(ids)))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    lists = {
        "gene": said.gene.numbers(columns["gene"]),
        "perturbation": said.perturbation.numbers(_spelled(columns)),
        "dose": columns["dose"].to_numpy(zero_copy_only=False).astype(np.float32),
    }
    return pa.table(
        {"id": ids}
        | {
            name: pa.ListArray.from_arrays(offsets, pa.array(values[order]))
            for name, values in lists.items()
        }
    )


def _spelled(columns: dict[str, pa.Array]) -> pa.DictionaryArray:
    """The perturbations as strain ids spell them; each distinct one is spelled once."""
    parts = [*(columns[n] for n in ("gene", "kind", "allele")), columns["dose"].cast(pa.string())]
    key = pc.binary_join_element_wise(*parts, "\n").dictionary_encode()
    _, first = np.unique(to_integers(key.indices), return_index=True)
    one = [columns[n].take(pa.array(first)).to_pylist() for n in ("gene", "kind", "allele", "dose")]
    spelled = [str(Perturbation(*values)) for values in zip(*one, strict=True)]
    return pa.DictionaryArray.from_arrays(key.indices, pa.array(spelled, pa.string()))


def to_integers(column: pa.Array | pa.ChunkedArray) -> Int64[np.ndarray, " row"]:
    """A column of whole numbers, none of which is null."""
    out: NDArray[Any] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return out


def _of_nodes(
    store: Store, label: str, rest: str, ids: Sorting, timeout: float | None
) -> Iterator[FoundNodes]:
    held = store.query(f"MATCH (n:{label}) RETURN count(*) AS n")["n"][0].as_py()
    parts = (part["id"].combine_chunks() for part in ids.parts(distinct=True))
    return read_nodes(store, label, rest, parts, wanted=ids.rows, held=held, timeout=timeout)


def _row(found: pa.Table, ids: pa.Array) -> Int64[np.ndarray, " row"]:
    """The position of each row's id among these ids, which have all of them."""
    return to_integers(pc.index_in(found["id"].combine_chunks().cast(pa.string()), value_set=ids))
