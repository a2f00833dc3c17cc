"""Features of two genes for the gradient-boosting baseline.

Hides the sparse algebra behind shared terms, partners and regulators; order of a pair is nothing.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.sparse import csr_matrix

from genograph.cohorts import Edges, Genome

CHUNK = 20_000
"""Pairs whose rows are multiplied at a time; bounds memory."""

PAIR_FEATURES = (
    "single_low",
    "single_high",
    "single_product",
    "dose_low",
    "dose_high",
    "go_cosine",
    "shared_terms_specificity",
    "shared_term_most_specific",
    "same_complex",
    "interacts",
    "shared_partners",
    "partners_cosine",
    "regulates",
    "shared_regulators",
    "regulators_cosine",
    "shared_targets",
    "targets_cosine",
    "paralogs",
    "n_paralog_low",
    "n_paralog_high",
    "n_term_low",
    "n_term_high",
    "n_partner_low",
    "n_partner_high",
    "n_complex_low",
    "n_complex_high",
    "n_regulator_low",
    "n_regulator_high",
    "n_target_low",
    "n_target_high",
)
"""Columns of `make_pair_features`; `low` and `high` are the smaller and larger of two."""

Single = Float32[np.ndarray, "pair 2"]


class Networks:
    """A genome's relations as sparse matrices with a row for each gene; parallel edges are one.

    Attributes:
        term: [gene, term], specificity of the term, closure over the ontology.
        complex: [gene, complex], 1 for a member.
        partner: [gene, gene], confidence of an interaction, symmetric.
        target: [regulator, target], confidence.
        regulator: its transpose.
        paralog: [gene, gene], similarity, symmetric.
    """

    def __init__(self, genome: Genome) -> None:
        n_gene = len(genome.gene_ids)
        edges = genome.edges
        self.n_gene = n_gene
        self.term = _matrix(edges["gene:annotated_with:term"], n_gene, len(genome.term_ids))
        self.complex = _matrix(edges["gene:member_of:complex"], n_gene, len(genome.complex_ids))
        self.partner = _matrix(edges["gene:interacts_with:gene"], n_gene, n_gene)
        self.target = _matrix(edges["gene:regulates:gene"], n_gene, n_gene)
        self.regulator = self.target.T.tocsr()
        self.paralog = _matrix(edges["gene:paralog_of:gene"], n_gene, n_gene)

    @cached_property
    def counts(self) -> Float32[np.ndarray, "gene 6"]:
        """Numbers of paralogs, terms, partners, complexes, regulators and targets of each gene."""
        parts = (
            self.paralog,
            self.term,
            self.partner,
            self.complex,
            self.regulator,
            self.target,
        )
        return np.stack([np.diff(m.indptr) for m in parts], axis=1).astype(np.float32)


class _Overlap(NamedTuple):
    n_shared: Float64[np.ndarray, " pair"]
    weight: Float64[np.ndarray, " pair"]
    largest: Float64[np.ndarray, " pair"]
    cosine: Float64[np.ndarray, " pair"]


def make_pair_features(
    networks: Networks,
    genes: Int64[np.ndarray, "pair 2"],
    dose: Float32[np.ndarray, "pair 2"],
    single: Single,
) -> Float32[np.ndarray, "pair feature"]:
    """One row of PAIR_FEATURES for each pair; equal for both orders of a pair.

    Args:
        networks: of the genome.
        genes: gene rows of the two perturbations.
        dose: fraction of wild-type function left of each.
        single: measured fitness of each single mutant, NaN where there is none.
    """
    out = np.empty((len(genes), len(PAIR_FEATURES)), dtype=np.float32)
    for start in range(0, len(genes), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = _chunk(networks, genes[part], dose[part], single[part])
    return out


def _chunk(
    networks: Networks,
    genes: Int64[np.ndarray, "pair 2"],
    dose: Float32[np.ndarray, "pair 2"],
    single: Single,
) -> Float32[np.ndarray, "pair feature"]:
    a, b = genes[:, 0], genes[:, 1]
    terms = _overlap(networks.term, a, b)
    partners = _overlap(networks.partner, a, b)
    regulators = _overlap(networks.regulator, a, b)
    targets = _overlap(networks.target, a, b)
    counts = np.sort(networks.counts[genes], axis=1)
    columns = [
        *_low_high(single),
        single[:, 0] * single[:, 1],
        *_low_high(dose),
        terms.cosine,
        terms.weight,
        terms.largest,
        _overlap(networks.complex, a, b).n_shared,
        _entry(networks.partner, a, b),
        partners.n_shared,
        partners.cosine,
        np.maximum(_entry(networks.target, a, b), _entry(networks.target, b, a)),
        regulators.n_shared,
        regulators.cosine,
        targets.n_shared,
        targets.cosine,
        _entry(networks.paralog, a, b),
        *(counts[:, side, kind] for kind in range(counts.shape[2]) for side in (0, 1)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _low_high(
    values: Float32[np.ndarray, "pair 2"],
) -> tuple[Float32[np.ndarray, " pair"], Float32[np.ndarray, " pair"]]:
    """The smaller and the larger; a missing one counts as the larger."""
    ordered = np.sort(values, axis=1)
    return ordered[:, 0], ordered[:, 1]


def _overlap(
    matrix: csr_matrix, a: Int64[np.ndarray, " pair"], b: Int64[np.ndarray, " pair"]
) -> _Overlap:
    """What the rows of two genes share: how many columns, and by weight."""
    left, right = matrix[a], matrix[b]
    both = left.multiply(right).tocsr()
    dot = _total(both)
    norm = np.sqrt(_total(left.multiply(left)) * _total(right.multiply(right)))
    largest = np.zeros(len(a))
    if both.nnz:
        largest = np.sqrt(np.asarray(both.max(axis=1).todense()).ravel().astype(np.float64))
    cosine = np.divide(dot, norm, out=np.zeros(len(a)), where=norm > 0)
    # entries are w_a * w_b; the root of each is the weight where both genes have the same one
    weight = _total(both.sqrt())
    return _Overlap(np.diff(both.indptr).astype(np.float64), weight, largest, cosine)


def _total(matrix: csr_matrix) -> Float64[np.ndarray, " pair"]:
    return np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()


def _entry(
    matrix: csr_matrix, a: Int64[np.ndarray, " pair"], b: Int64[np.ndarray, " pair"]
) -> Float64[np.ndarray, " pair"]:
    return np.asarray(matrix[a, b], dtype=np.float64).ravel()


def _matrix(edges: Edges, n_row: int, n_column: int) -> csr_matrix:
    """Edges as a matrix; of parallel edges the heaviest stays."""
    order = np.lexsort((-edges.weight, edges.target, edges.source))
    source, target, weight = (array[order] for array in edges)
    first = np.ones(len(source), dtype=bool)
    first[1:] = (np.diff(source) != 0) | (np.diff(target) != 0)
    kept = first & (weight != 0)
    return csr_matrix(
        (weight[kept].astype(np.float64), (source[kept], target[kept])), shape=(n_row, n_column)
    )


def neighbour_mean(
    links: csr_matrix, known: Float64[np.ndarray, " gene"]
) -> Float64[np.ndarray, " gene"]:
    """Weighted mean of what is known of each gene's neighbours, itself left out.

    Args:
        links: [gene, gene] weights, or [gene, group] where genes of one group are neighbours with
            the product of their weights.
        known: NaN for genes of which nothing is known. The mean is NaN without a known neighbour.
    """
    present = np.isfinite(known)
    value = np.where(present, known, 0.0)
    if links.shape[0] == links.shape[1]:
        own = links.diagonal()
        total, weight = links @ value, links @ present.astype(np.float64)
    else:
        own = _total(links.multiply(links))
        total = links @ (links.T @ value)
        weight = links @ (links.T @ present.astype(np.float64))
    total, weight = total - own * value, weight - own * present
    mean = np.full(len(known), np.nan)
    np.divide(total, weight, out=mean, where=weight > 1e-9)
    return mean
