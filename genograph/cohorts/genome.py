"""The genome of a cohort: genes, terms, complexes, features and edges, read from the database.

Everything is sorted by id and built by array operations, so that the same database gives the same
bytes from either store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int64
from numpy.typing import NDArray

from genograph.cohorts.data import RELATIONS, Edges, Genome
from genograph.errors import CohortError, guess
from genograph.store import Store


@dataclass(frozen=True)
class Subgraph:
    """Which part of the genome a cohort carries; with neither genes nor terms the whole.

    Attributes:
        genes: ids or symbols to begin from.
        hops: how many steps over INTERACTS_WITH and REGULATES, either way, to go from `genes`.
        terms: ids or names of terms; genes under them belong too, and are not walked from.
    """

    genes: tuple[str, ...] = ()
    hops: int = 0
    terms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            CohortError: hops without genes, or fewer than none.
        """
        if self.hops < 0 or (self.hops and not self.genes):
            msg = f"hops {self.hops}: wanted a number >= 0, with genes to begin from"
            raise CohortError(msg)


WHOLE = Subgraph()


class Read(NamedTuple):
    """A genome, and what was counted when it was read."""

    genome: Genome
    database_genes: tuple[str, ...]
    counts: Mapping[str, int]


def read_genome(
    store: Store,
    *,
    embedding: str | Sequence[str] | None = None,
    subgraph: Subgraph = WHOLE,
    timeout: float | None = None,
) -> Read:
    """The genome that a database holds, or a part of it.

    `embedding` names the models of CRE embeddings whose vectors become features, in that order;
    None takes the only one there is, an empty sequence none. A term's specificity is that of the
    whole database, also in a part.

    Raises:
        CohortError: no genes, unknown genes, terms or models, vectors that differ in length.
    """
    genes = store.query("MATCH (g:Gene) RETURN g.id AS id, g.symbol AS symbol", timeout=timeout)
    if not len(genes):
        msg = f"{store.uri}: holds no genes; load them first (genograph load sgd_features ...)"
        raise CohortError(msg)
    genes = genes.sort_by("id")
    gene_ids = _column(genes["id"])
    symbols = _column(pc.coalesce(genes["symbol"].cast(pa.string()), genes["id"]))
    terms = store.query("MATCH (t:Term) RETURN t.id AS id, t.name AS name", timeout=timeout)
    terms = terms.sort_by("id")
    term_ids = _column(terms["id"])
    term_names = _column(pc.coalesce(terms["name"].cast(pa.string()), terms["id"]))
    models = _models(store, embedding)
    complexes = store.query("MATCH (c:Complex) RETURN c.id AS id", timeout=timeout).sort_by("id")
    complex_ids = _column(complexes["id"])

    up = {
        name: _edges(store, name, "Term", term_ids, "Term", term_ids)
        for name in ("IS_A", "PART_OF")
    }
    said = _edges(
        store, "ANNOTATED_WITH", "Gene", gene_ids, "Term", term_ids,
        where="WHERE coalesce(r.negated, false) = false",
    )  # fmt: skip
    annotated, direct = _closed(said, up, len(gene_ids), len(term_ids))
    edges = {
        "gene:annotated_with:term": annotated,
        "term:is_a:term": up["IS_A"],
        "term:part_of:term": up["PART_OF"],
        "gene:member_of:complex": _edges(
            store, "MEMBER_OF", "Gene", gene_ids, "Complex", complex_ids
        ),
        "gene:regulates:gene": _edges(
            store, "REGULATES", "Gene", gene_ids, "Gene", gene_ids, score=True
        ),
    }
    counts = {}
    for name in ("INTERACTS_WITH", "PARALOG_OF"):
        found = _edges(store, name, "Gene", gene_ids, "Gene", gene_ids, score=True)
        both, n_self = _both_ways(found)
        edges[f"gene:{name.lower()}:gene"] = both
        counts[f"{name.lower()}_with_itself_left_out"] = n_self
    kept = _kept(subgraph, gene_ids, symbols, term_ids, term_names, edges)
    features, has, names = _features(store, models, gene_ids, timeout)
    counts |= {"genes": int(kept.sum()), "genes_in_database": len(gene_ids)}
    whole = Genome(
        tuple(gene_ids), tuple(symbols), tuple(term_ids), tuple(term_names), tuple(complex_ids),
        names, features, has, {r: edges[r] for r in RELATIONS}, direct,
    )  # fmt: skip
    return Read(_part(whole, kept), whole.gene_ids, counts)


def _column(column: pa.ChunkedArray) -> list[str]:
    out: list[str] = column.to_pylist()
    return out


def _rows_of(ids: pa.ChunkedArray, vocabulary: Sequence[str]) -> Int64[np.ndarray, " row"]:
    """The row of each id in a sorted vocabulary that has it."""
    found = pc.index_in(ids.combine_chunks(), value_set=pa.array(vocabulary, pa.string()))
    out: NDArray[Any] = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return out


def _edges(
    store: Store,
    relation: str,
    from_label: str,
    from_ids: Sequence[str],
    to_label: str,
    to_ids: Sequence[str],
    *,
    where: str = "",
    score: bool = False,
) -> Edges:
    """The edges of a relationship by rows, sorted, each pair once with its highest score."""
    weight = "coalesce(r.score, 1.0)" if score else "1.0"
    found = store.query(
        f"MATCH (a:{from_label})-[r:{relation}]->(b:{to_label}) {where} "
        f"RETURN a.id AS a_id, b.id AS b_id, {weight} AS weight"
    )
    if not len(found):
        return Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    source, target = _rows_of(found["a_id"], from_ids), _rows_of(found["b_id"], to_ids)
    return _merged(source, target, found["weight"].to_numpy().astype(np.float32))


def _merged(
    source: Int64[np.ndarray, " edge"],
    target: Int64[np.ndarray, " edge"],
    weight: Float32[np.ndarray, " edge"],
) -> Edges:
    """Edges sorted by source and target; of parallel ones the heaviest."""
    order = np.lexsort((-weight, target, source))
    source, target, weight = source[order], target[order], weight[order]
    first = np.ones(len(source), bool)
    first[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
    return Edges(source[first], target[first], weight[first])


def _both_ways(edges: Edges) -> tuple[Edges, int]:
    """Undirected edges in both directions; self-loops are left out and counted."""
    loop = edges.source == edges.target
    a, b, w = (array[~loop] for array in edges)
    both = _merged(np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([w, w]))
    return both, int(loop.sum())


def _closed(
    said: Edges, up: Mapping[str, Edges], n_gene: int, n_term: int
) -> tuple[Edges, Bool[np.ndarray, " edge"]]:
    """Annotations to each term and all its ancestors, weighted by specificity; which are direct.

    Specificity is 1 - log(genes under the term) / log(all genes): 1 for a term with one gene, 0 for
    one with all (information content scaled to [0, 1]; Resnik 1995).
    """
    parent = _pairs(
        np.concatenate([e.source for e in up.values()]),
        np.concatenate([e.target for e in up.values()]),
        n_term,
    )
    stated = _pairs(said.source, said.target, n_term)
    known = frontier = stated
    while len(frontier):
        frontier = np.setdiff1d(_composed(frontier, parent, n_term), known, assume_unique=True)
        known = _distinct(np.concatenate([known, frontier]))
    source, target = known // max(n_term, 1), known % max(n_term, 1)
    size = np.bincount(target, minlength=n_term)
    weight = np.ones(n_term)
    if n_gene > 1:
        weight = 1.0 - np.log(np.maximum(size, 1)) / np.log(n_gene)
    direct = np.isin(known, stated, assume_unique=True)
    return Edges(source, target, weight[target].astype(np.float32)), direct


def _pairs(
    first: Int64[np.ndarray, " pair"], second: Int64[np.ndarray, " pair"], width: int
) -> Int64[np.ndarray, " pair"]:
    """Pairs of rows as single numbers, sorted, each once."""
    return _distinct(first * width + second)


def _composed(
    pairs: Int64[np.ndarray, " pair"], step: Int64[np.ndarray, " step"], width: int
) -> Int64[np.ndarray, " new"]:
    """Every (a, c) for a pair (a, b) and a step (b, c)."""
    a, b = pairs // width, pairs % width
    start = np.searchsorted(step, b * width)
    n = np.searchsorted(step, (b + 1) * width) - start
    within = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    reached = step[np.repeat(start, n) + within] % width
    return _distinct(np.repeat(a, n) * width + reached)


def _distinct(numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " distinct"]:
    """The distinct numbers, sorted; several times faster than np.unique, which hashes first."""
    ordered = np.sort(numbers)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    found: NDArray[Any] = ordered[first]
    return found


def _kept(
    subgraph: Subgraph,
    gene_ids: Sequence[str],
    symbols: Sequence[str],
    term_ids: Sequence[str],
    term_names: Sequence[str],
    edges: Mapping[str, Edges],
) -> Bool[np.ndarray, " gene"]:
    if not subgraph.genes and not subgraph.terms:
        return np.ones(len(gene_ids), bool)
    kept = np.zeros(len(gene_ids), bool)
    row = {s: i for i, s in enumerate(symbols)} | {g: i for i, g in enumerate(gene_ids)}
    unknown = [g for g in subgraph.genes if g not in row]
    if unknown:
        msg = f"{len(unknown)} of the genes are not in the database, first {unknown[0]}"
        close = guess(unknown[0], [*symbols, *gene_ids])
        msg += f"; did you mean {close}?" if close else ""
        raise CohortError(msg)
    kept[[row[g] for g in subgraph.genes]] = True
    ways = [edges["gene:interacts_with:gene"], edges["gene:regulates:gene"]]
    for _ in range(subgraph.hops):
        near = kept.copy()
        for way in ways:
            near[way.target[kept[way.source]]] = True
            near[way.source[kept[way.target]]] = True
        kept = near
    term_row = {t.upper(): i for names in (term_names, term_ids) for i, t in enumerate(names)}
    for term in subgraph.terms:
        if term.upper() not in term_row:
            msg = f"term {term} is not in the database"
            close = guess(term, [*term_names, *term_ids])
            msg += f"; did you mean {close}?" if close else ""
            raise CohortError(msg)
        annotated = edges["gene:annotated_with:term"]
        under = annotated.source[annotated.target == term_row[term.upper()]]
        if not len(under):
            msg = f"term {term} has no genes under it"
            raise CohortError(msg)
        kept[under] = True
    return kept


def _part(whole: Genome, kept: Bool[np.ndarray, " gene"]) -> Genome:
    """The genes that are kept, with the terms and complexes that have one of them."""
    annotated = whole.edges["gene:annotated_with:term"]
    has_term = np.zeros(len(whole.term_ids), bool)
    has_term[annotated.target[kept[annotated.source]]] = True
    member = whole.edges["gene:member_of:complex"]
    has_complex = np.zeros(len(whole.complex_ids), bool)
    has_complex[member.target[kept[member.source]]] = True
    keep = {"gene": kept, "term": has_term, "complex": has_complex}
    new_row = {kind: np.cumsum(mask) - 1 for kind, mask in keep.items()}
    edges, direct = {}, whole.direct
    for relation, (source, target, weight) in whole.edges.items():
        a, _, b = relation.split(":")
        inside = keep[a][source] & keep[b][target]
        edges[relation] = Edges(
            new_row[a][source[inside]].astype(np.int64),
            new_row[b][target[inside]].astype(np.int64),
            weight[inside],
        )
        if relation == "gene:annotated_with:term":
            direct = direct[inside]

    def chosen(names: Sequence[str], kind: str) -> tuple[str, ...]:
        return tuple(name for name, stays in zip(names, keep[kind].tolist(), strict=True) if stays)

    return Genome(
        chosen(whole.gene_ids, "gene"),
        chosen(whole.gene_symbols, "gene"),
        chosen(whole.term_ids, "term"),
        chosen(whole.term_names, "term"),
        chosen(whole.complex_ids, "complex"),
        whole.feature_names,
        np.ascontiguousarray(whole.features[kept]),
        whole.has_features[kept],
        edges,
        direct,
    )


def _models(store: Store, embedding: str | Sequence[str] | None) -> tuple[str, ...]:
    """The models whose embeddings are the features."""
    found = store.query("MATCH (v:Embedding) RETURN DISTINCT v.model AS model")
    models = sorted(_column(found["model"]))
    if embedding is None:
        if len(models) == 1:
            return (models[0],)
        what = f"several models: {', '.join(models)}; name one" if models else "no embeddings"
        how = "make them (genograph cre embed), load them, or ask for a cohort without"
        msg = f"{store.uri}: holds {what}" + ("" if models else f"; {how}")
        raise CohortError(msg)
    wanted = (embedding,) if isinstance(embedding, str) else tuple(embedding)
    for model in wanted:
        if model not in models:
            there = ", ".join(models) or "none"
            msg = f"{store.uri}: no embeddings of model {model}; there are {there}"
            raise CohortError(msg)
    return wanted


def _features(
    store: Store, models: Sequence[str], gene_ids: Sequence[str], timeout: float | None
) -> tuple[Float32[np.ndarray, "gene feature"], Bool[np.ndarray, " gene"], tuple[str, ...]]:
    """Vectors of each model, upstream then downstream; zero where a gene has none."""
    has = np.zeros(len(gene_ids), bool)
    blocks, names = [], []
    for model in models:
        for kind in ("upstream", "downstream"):
            found = store.query(
                "MATCH (g:Gene)-[:HAS_CRE]->(c:CRE)-[:EMBEDDED_AS]->(v:Embedding) "
                "WHERE v.model = $model AND c.kind = $kind RETURN g.id AS id, v.vector AS vector",
                timeout=timeout,
                model=model,
                kind=kind,
            )
            if not len(found):
                continue
            vectors = found["vector"].combine_chunks()
            lengths = pc.unique(pc.list_value_length(vectors)).to_pylist()
            if len(lengths) != 1 or not lengths[0]:
                msg = (
                    f"{store.uri}: vectors of model {model}, {kind}, have the lengths "
                    f"{', '.join(map(str, sorted(lengths, key=str)))}; a model has one"
                )
                raise CohortError(msg)
            rows = _rows_of(found["id"], gene_ids)
            block = np.zeros((len(gene_ids), lengths[0]), np.float32)
            flat = vectors.flatten().cast(pa.float32())
            block[rows] = flat.to_numpy(zero_copy_only=False).reshape(-1, lengths[0])
            has[rows] = True
            blocks.append(block)
            names.append(f"{model}:{kind}")
        if not names or not names[-1].startswith(f"{model}:"):
            msg = (
                f"{store.uri}: no vector of model {model} belongs to a gene's upstream or "
                f"downstream window; load the windows (cre), then the vectors"
            )
            raise CohortError(msg)
    if not blocks:
        return np.zeros((len(gene_ids), 0), np.float32), has, ()
    return np.concatenate(blocks, axis=1), has, tuple(names)
