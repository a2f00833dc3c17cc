"""Rows of the database by id, in parts: experiments and the perturbations of strains.

Tens of millions of them are never held as rows: what repeats is a code into a small vocabulary,
and where a strain belongs is a number.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int32, Int64

from genograph.errors import CohortError
from genograph.schema import Perturbation
from genograph.store import Store
from genograph.store.stream import Part, of_nodes

NUMBERS = ("value", "sd", "interaction", "interaction_sd")
CODED = ("phenotype", "unit", "study")
AT_ONCE = 500_000
"""Ids of one query: an engine holds a whole answer in memory."""


def experiment_rows(store: Store, ids: pa.Array, timeout: float | None) -> pa.Table:
    """The experiments with these sorted ids, in their order: id, strain, codes and the numbers.

    Columns phenotype, unit and study are dictionary-encoded; `store` holds the numbers as float64.

    Raises:
        CohortError: an id is none of an experiment, or one has no strain or study, or several.
    """
    columns = ", ".join(f"n.{name} AS {name}" for name in ("phenotype", "unit", *NUMBERS))
    rest = (
        "MATCH (n)-[:TESTS]->(s:Strain) MATCH (n)-[:FROM_STUDY]->(u:Study) "
        f"RETURN n.id AS id, s.id AS strain, u.id AS study, {columns}"
    )
    parts, odd = [], []
    for some, found in _of_nodes(store, "Experiment", rest, ids, timeout):
        row = _row(found, some)
        times = np.bincount(row, minlength=len(some))
        if (times != 1).any():
            odd += some.take(pa.array(np.flatnonzero(times != 1))).to_pylist()
            continue
        found = found.take(pa.array(np.argsort(row)))
        part = {"id": some, "strain": found["strain"].combine_chunks().cast(pa.string())}
        for name in CODED:
            part[name] = found[name].combine_chunks().cast(pa.string()).dictionary_encode()
        part |= {name: found[name].combine_chunks().cast(pa.float64()) for name in NUMBERS}
        parts.append(pa.table(part))
    if odd:
        raise _not_one(store, odd)
    out = pa.concat_tables(parts).unify_dictionaries()
    for name in ("phenotype", "unit"):
        if out[name].null_count:
            at = pc.index(pc.is_null(out[name]), True).as_py()
            msg = f"{store.uri}: experiment {out['id'][at]} has no {name}; load it again"
            raise CohortError(msg)
    return out


def _not_one(store: Store, odd: list[str]) -> CohortError:
    """What is wrong with ids that do not give one row each."""
    known = store.query(
        "MATCH (e:Experiment {id: in_id}) RETURN in_id AS id", rows=pa.table({"in_id": odd})
    )
    if len(known) < len(odd):
        missing = set(odd) - set(known["id"].to_pylist())
        msg = (
            f"the query's column experiment holds {len(missing):,} values that are no id of an "
            f"experiment, first {min(missing)}; return e.id AS experiment"
        )
        return CohortError(msg)
    msg = (
        f"{store.uri}: {len(odd)} experiments, first {odd[0]}, do not have exactly one strain "
        f"and one study; load their source again"
    )
    return CohortError(msg)


class Carried(NamedTuple):
    """Which perturbations strains carry, one entry each.

    Attributes:
        ids: of the strains, sorted, each once.
        strain: row of `ids`.
        gene: row of `genes`, of all that are perturbed.
        dose: fraction of wild-type function left.
        name: row of `names`, the perturbations as strain ids spell them.
    """

    ids: pa.StringArray
    strain: Int32[np.ndarray, " perturbation"]
    gene: Int32[np.ndarray, " perturbation"]
    dose: Float32[np.ndarray, " perturbation"]
    name: Int32[np.ndarray, " perturbation"]
    genes: pa.StringArray
    names: pa.StringArray


def carried(store: Store, strain_ids: pa.Array, timeout: float | None) -> Carried:
    """The perturbations of the strains with these ids.

    Raises:
        CohortError: a perturbation lacks its kind, allele or dose.
    """
    ids = strain_ids.take(pc.sort_indices(strain_ids))
    rest = (
        "MATCH (n)-[p:PERTURBS]->(g:Gene) "
        "RETURN n.id AS id, g.id AS gene, p.kind AS kind, p.allele AS allele, p.dose AS dose"
    )
    rows: list[Any] = []
    genes, names, doses = [], [], []
    begin = 0
    for some, found in _of_nodes(store, "Strain", rest, ids, timeout):
        begin += len(some)
        if not len(found):
            continue
        rows.append(_row(found, some).astype(np.int32) + np.int32(begin - len(some)))
        columns = {n: found[n].combine_chunks() for n in ("gene", "kind", "allele", "dose")}
        columns["dose"] = columns["dose"].cast(pa.float64())
        for name in ("kind", "allele", "dose"):
            if columns[name].null_count:
                at = pc.index(pc.is_null(columns[name]), True).as_py()
                msg = f"{store.uri}: strain {found['id'][at]} has a perturbation without {name}"
                raise CohortError(msg)
        genes.append(columns["gene"].cast(pa.string()).dictionary_encode())
        names.append(_spelled(columns))
        doses.append(columns["dose"].to_numpy(zero_copy_only=False).astype(np.float32))
    gene, spelled = _coded(genes), _coded(names)
    return Carried(
        ids,
        np.concatenate([np.empty(0, np.int32), *rows]),
        gene.codes,
        np.concatenate([np.empty(0, np.float32), *doses]),
        spelled.codes,
        gene.vocabulary,
        spelled.vocabulary,
    )


def joined(one: Carried, other: Carried) -> Carried:
    """The perturbations of both, of different strains."""
    ids = pa.concat_arrays([one.ids, other.ids])
    order = _numbers(pc.sort_indices(ids))
    place = np.empty(len(ids), np.int32)
    place[order] = np.arange(len(ids), dtype=np.int32)
    strain = np.concatenate([one.strain, other.strain + np.int32(len(one.ids))])
    genes = _coded([_dictionary(part.gene, part.genes) for part in (one, other)])
    names = _coded([_dictionary(part.name, part.names) for part in (one, other)])
    return Carried(
        ids.take(pa.array(order)),
        place[strain],
        genes.codes,
        np.concatenate([one.dose, other.dose]),
        names.codes,
        genes.vocabulary,
        names.vocabulary,
    )


def _spelled(columns: dict[str, pa.Array]) -> pa.DictionaryArray:
    """The perturbations as strain ids spell them; each is spelled once, there are few of them."""
    parts = [*(columns[n] for n in ("gene", "kind", "allele")), columns["dose"].cast(pa.string())]
    key = pc.binary_join_element_wise(*parts, "\n").dictionary_encode()
    _, first = np.unique(_numbers(key.indices), return_index=True)
    one = [columns[n].take(pa.array(first)).to_pylist() for n in ("gene", "kind", "allele", "dose")]
    spelled = [str(Perturbation(*values)) for values in zip(*one, strict=True)]
    return pa.DictionaryArray.from_arrays(key.indices, pa.array(spelled, pa.string()))


class Coded(NamedTuple):
    """A column of few different values: rows of its vocabulary."""

    codes: Int32[np.ndarray, " row"]
    vocabulary: pa.StringArray


def _coded(parts: Sequence[pa.DictionaryArray]) -> Coded:
    """Parts with vocabularies of their own as one column."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return Coded(np.empty(0, np.int32), pa.array([], pa.string()))
    vocabulary = pc.unique(pa.chunked_array([part.dictionary for part in filled]))
    codes = [
        _numbers(pc.index_in(part.dictionary, value_set=vocabulary))[_numbers(part.indices)]
        for part in filled
    ]
    return Coded(np.concatenate(codes).astype(np.int32), vocabulary)


def _dictionary(codes: Int32[np.ndarray, " row"], vocabulary: pa.StringArray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), vocabulary)


def _numbers(column: pa.Array | pa.ChunkedArray) -> Int64[np.ndarray, " row"]:
    out: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return out


def _of_nodes(
    store: Store, label: str, rest: str, ids: pa.Array, timeout: float | None
) -> Iterator[Part]:
    held = store.query(f"MATCH (n:{label}) RETURN count(*) AS n")["n"][0].as_py()
    return of_nodes(store, label, rest, ids, held=held, at_once=AT_ONCE, timeout=timeout)


def _row(found: pa.Table, ids: pa.Array) -> Int64[np.ndarray, " row"]:
    """Where the id of each row is among these; all are."""
    return _numbers(pc.index_in(found["id"].combine_chunks().cast(pa.string()), value_set=ids))
