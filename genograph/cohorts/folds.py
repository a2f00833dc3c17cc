"""Folds: which genes and strains a model may learn from, by hash, so that they never move.

A gene's fold comes from the hash of its paralog component, a strain's from the folds of its genes
and else from the hash of their components. Adding experiments to a database moves no strain, and
paralogous pairs, the two orders of a pair and its other alleles always stand together.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int8, Int64
from numpy.typing import NDArray

from genograph.cohorts.data import TEST, TRAIN, VALIDATION, Edges, Strains
from genograph.errors import CohortError

AT_ONCE = 500_000
"""Strains."""
LARGEST_COMPONENT = 0.25
"""The largest share of the genes that paralogy may join; one more edge is cut instead."""


@dataclass(frozen=True)
class Folds:
    """How genes and strains are divided; fractions of genes, and of strains of training genes.

    Attributes:
        seed: another seed gives other, independent folds.
        test_genes, validation_genes: fraction of genes that training never perturbs.
        test_strains, validation_strains: fraction of the strains whose genes are all seen.
    """

    seed: int = 0
    test_genes: float = 0.15
    validation_genes: float = 0.08
    test_strains: float = 0.10
    validation_strains: float = 0.05

    def __post_init__(self) -> None:
        """Check the fractions.

        Raises:
            CohortError: a fraction is negative, or two leave nothing to train on.
        """
        for what in ("genes", "strains"):
            test, validation = getattr(self, f"test_{what}"), getattr(self, f"validation_{what}")
            if not (test >= 0 and validation >= 0 and test + validation < 1):
                msg = (
                    f"folds: {test:g} of the {what} for test and {validation:g} for validation; "
                    f"wanted fractions >= 0 that leave some for training"
                )
                raise CohortError(msg)


class Components(NamedTuple):
    """Genes joined by paralogy.

    Attributes:
        root: for each gene the smallest row of its component.
        n_cut: edges left out, weakest first, because they would have joined too many genes.
    """

    root: Int64[np.ndarray, " gene"]
    n_cut: int


def join_paralogs(n_gene: int, edges: Edges) -> Components:
    """Join genes by their paralogy, strongest first, never more than a quarter of all genes."""
    root = list(range(n_gene))
    size = [1] * n_gene

    def top(gene: int) -> int:
        while root[gene] != gene:
            root[gene] = root[root[gene]]
            gene = root[gene]
        return gene

    largest = max(2, int(LARGEST_COMPONENT * n_gene))
    once = edges.source < edges.target
    source, target, weight = (array[once] for array in edges)
    n_cut = 0
    for i in np.lexsort((target, source, -weight)).tolist():
        a, b = sorted((top(int(source[i])), top(int(target[i]))))
        if a == b:
            continue
        if size[a] + size[b] > largest:
            n_cut += 1
            continue
        root[b] = a
        size[a] += size[b]
    return Components(np.array([top(g) for g in range(n_gene)], np.int64), n_cut)


def assign_gene_folds(
    gene_ids: tuple[str, ...], components: Components, folds: Folds
) -> Int8[np.ndarray, " gene"]:
    """TRAIN, VALIDATION or TEST for each gene; the genes of a component have one fold."""
    keys = [f"gene\n{gene_ids[r]}" for r in components.root.tolist()]
    place = _fractions(keys, len(keys), folds.seed)
    return _fold(place, folds.test_genes, folds.validation_genes)


def assign_strain_folds(
    strains: Strains,
    gene_ids: tuple[str, ...],
    gene_fold: Int8[np.ndarray, " gene"],
    components: Components,
    folds: Folds,
) -> Int8[np.ndarray, " strain"]:
    """TEST where a perturbed gene is TEST, else VALIDATION where one is, else by hash.

    What is hashed is the sorted set of paralog components, so neither kind, allele nor order
    matters. The wild type is in TRAIN: it is no perturbation to be told.
    """
    fold = np.empty(len(strains), np.int8)
    names = np.array(gene_ids, object)
    for begin in range(0, len(strains), AT_ONCE):
        bounds = strains.offsets[begin : begin + AT_ONCE + 1]
        gene = strains.gene[int(bounds[0]) : int(bounds[-1])]
        n_perturbed = np.diff(bounds)
        owner = np.repeat(np.arange(len(n_perturbed)), n_perturbed)
        keys = _strain_keys(owner, components.root[gene], len(n_perturbed), names)
        place = _fractions(keys, len(n_perturbed), folds.seed)
        part = _fold(place, folds.test_strains, folds.validation_strains)
        part[n_perturbed == 0] = TRAIN
        for unseen in (VALIDATION, TEST):
            part[owner[gene_fold[gene] == unseen]] = unseen
        fold[begin : begin + len(part)] = part
    return fold


def _strain_keys(
    owner: Int64[np.ndarray, " perturbation"],
    root: Int64[np.ndarray, " perturbation"],
    n: int,
    names: NDArray[Any],
) -> Iterator[str]:
    """The components that each of n strains perturbs, sorted."""
    order = np.lexsort((root, owner))
    mine, of = root[order], owner[order]
    new = np.ones(len(mine), np.bool_)
    new[1:] = (mine[1:] != mine[:-1]) | (of[1:] != of[:-1])
    told = names[mine[new]].tolist()
    at = 0
    for count in np.bincount(of[new], minlength=n).tolist():
        yield "strain\n" + "\n".join(told[at : at + count])
        at += count


def _fractions(keys: Iterable[str], n: int, seed: int) -> Float64[np.ndarray, " key"]:
    """A number in [0, 1) for each of n keys: the first 52 bits of SHA-256 of seed and key."""
    begun, hashed = f"{seed}\n", hashlib.sha256
    first = bytearray()
    for key in keys:
        first += hashed((begun + key).encode()).digest()[:8]
    assert len(first) == 8 * n
    out: NDArray[Any] = (np.frombuffer(first, ">u8") >> 12) / 2.0**52
    return out


def _fold(
    place: Float64[np.ndarray, " key"], test: float, validation: float
) -> Int8[np.ndarray, " key"]:
    fold = np.full(len(place), TRAIN, np.int8)
    fold[place < test + validation] = VALIDATION
    fold[place < test] = TEST
    return fold
