"""Topology: the genome heterograph as torch tensors, per-relation CSR and its transpose.

Hides how edges are normalised and how nodes of three kinds share one numbering.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from genograph.cohorts import Genome
from genograph.engine.bags import Bag, make_bag

KINDS = ("gene", "term", "complex")

PASSING = (
    ("gene:annotated_with:term", False),
    ("gene:annotated_with:term", True),
    ("term:is_a:term", False),
    ("term:is_a:term", True),
    ("term:part_of:term", False),
    ("term:part_of:term", True),
    ("gene:member_of:complex", False),
    ("gene:member_of:complex", True),
    ("gene:interacts_with:gene", False),
    ("gene:regulates:gene", False),
    ("gene:regulates:gene", True),
    ("gene:paralog_of:gene", False),
)
"""Relations that carry messages, and whether against the edge; undirected ones hold both ways."""

REACHING = (
    "self",
    "gene:annotated_with:term",
    "gene:member_of:complex",
    "gene:interacts_with:gene",
    "gene:regulates:gene",
    "rev gene:regulates:gene",
    "gene:paralog_of:gene",
)
"""How a perturbation reaches a node of the local readout, in the order of Reach.relation."""

N_NODE_FEATURE = 8


class Reach(NamedTuple):
    """What each gene reaches in one step: gene i has entries offsets[i] to offsets[i + 1].

    Sorted by gene, then node. A node may stand twice, by two relations.
    """

    offsets: Int64[np.ndarray, " gene_1"]
    node: Int64[np.ndarray, " entry"]
    relation: Int64[np.ndarray, " entry"]
    weight: Float32[np.ndarray, " entry"]


@dataclass(frozen=True)
class Topology:
    """The genome's graph, ready for message passing and for the local readout.

    Nodes share one numbering: genes, then terms, then complexes.

    Attributes:
        n_gene, n_term, n_complex: how many nodes of each kind.
        passing: one matrix per entry of PASSING, target rows by source columns, each in its own
            kind's numbering; weights are shares: they add to 1 over a target's sources.
        reach: one-step reach of each gene, with the edges' own weights.
        features: kind (one-hot), log size, depth / 10, log degrees (interaction, targets,
            regulators); sizes and degrees relative to the genome's, so in about [0, 1].
        n_general_terms: terms with more genes than the limit, left out of `reach`.
    """

    n_gene: int
    n_term: int
    n_complex: int
    passing: tuple[Bag, ...]
    reach: Reach
    features: Float32[Tensor, "node 8"]
    n_general_terms: int

    @classmethod
    def of(cls, genome: Genome, *, largest_term: float = 1.0) -> "Topology":
        """The topology of a genome; terms with more than this share of all genes reach nothing."""
        n = {kind: genome.n_node(kind) for kind in KINDS}
        bags = []
        for relation, reverse in PASSING:
            source_kind, _, target_kind = relation.split(":")
            edges = genome.edges[relation]
            source, target = (edges.target, edges.source) if reverse else edges[:2]
            if reverse:
                source_kind, target_kind = target_kind, source_kind
            total = np.bincount(target, weights=edges.weight, minlength=n[target_kind])
            share = edges.weight / np.maximum(total[target], 1e-12)
            bags.append(
                make_bag(
                    torch.from_numpy(target.astype(np.int64)),
                    torch.from_numpy(source.astype(np.int64)),
                    torch.from_numpy(share.astype(np.float32)),
                    n[target_kind],
                    n[source_kind],
                )
            )
        reach, n_general = _reach(genome, largest_term)
        features = torch.from_numpy(_features(genome))
        return cls(n["gene"], n["term"], n["complex"], tuple(bags), reach, features, n_general)

    @property
    def n_node(self) -> int:
        """How many nodes there are of all kinds."""
        return self.n_gene + self.n_term + self.n_complex

    def rows(self, kind: str) -> slice:
        """The rows of a kind in the common numbering."""
        start = {"gene": 0, "term": self.n_gene, "complex": self.n_gene + self.n_term}[kind]
        size = {"gene": self.n_gene, "term": self.n_term, "complex": self.n_complex}[kind]
        return slice(start, start + size)

    def to(self, device: torch.device | str) -> "Topology":
        """The same topology with its tensors on a device; `reach` stays with the planner."""
        moved = {
            "passing": tuple(bag.to(device) for bag in self.passing),
            "features": self.features.to(device),
        }
        return replace(self, **{k: v for k, v in moved.items() if k in _FIELDS})  # type: ignore[arg-type]


_FIELDS = {f.name for f in fields(Topology)}


SMALL = 4000
"""Nodes below which one thread is faster than several."""


@contextmanager
def threads(wanted: int, genome: Genome) -> Iterator[int]:
    """Run a block on so many CPU threads (0: chosen by size) and tell how many; then as before.

    The last digits of sums depend on how many there are, so all that a run computes is in a block.
    """
    before = torch.get_num_threads()
    n_node = sum(genome.n_node(kind) for kind in ("gene", "term", "complex"))
    chosen = wanted or (1 if n_node < SMALL else before)
    torch.set_num_threads(chosen)
    try:
        yield chosen
    finally:
        torch.set_num_threads(before)


def find_ends(relation: str, *, reverse: bool) -> tuple[str, str]:
    """Kinds of source and target of a passing relation."""
    source, _, target = relation.split(":")
    return (target, source) if reverse else (source, target)


def _reach(genome: Genome, largest_term: float) -> tuple[Reach, int]:
    n_gene, n_term = genome.n_node("gene"), genome.n_node("term")
    itself = np.arange(n_gene)
    parts = [(itself, itself, np.ones(n_gene))]
    annotated = genome.edges["gene:annotated_with:term"]
    size = np.bincount(annotated.target, minlength=n_term)
    specific = size <= largest_term * n_gene
    keep = specific[annotated.target]
    parts.append((annotated.source[keep], annotated.target[keep] + n_gene, annotated.weight[keep]))
    member = genome.edges["gene:member_of:complex"]
    parts.append((member.source, member.target + n_gene + n_term, member.weight))
    for name in REACHING[3:]:
        edges = genome.edges[name.removeprefix("rev ")]
        ends_ = (edges.target, edges.source) if name.startswith("rev ") else edges[:2]
        parts.append((*ends_, edges.weight))
    gene = np.concatenate([p[0] for p in parts])
    node = np.concatenate([p[1] for p in parts])
    relation = np.repeat(np.arange(len(parts)), [len(p[0]) for p in parts])
    weight = np.concatenate([p[2] for p in parts])
    order = np.lexsort((relation, node, gene))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(gene, minlength=n_gene))])
    reach = Reach(
        offsets.astype(np.int64),
        node[order].astype(np.int64),
        relation[order].astype(np.int64),
        weight[order].astype(np.float32),
    )
    return reach, int((~specific).sum())


def _features(genome: Genome) -> NDArray[np.float32]:
    n = [genome.n_node(kind) for kind in KINDS]
    out = np.zeros((sum(n), N_NODE_FEATURE), np.float32)
    gene, term = slice(0, n[0]), slice(n[0], n[0] + n[1])
    group = slice(n[0] + n[1], sum(n))
    for column, rows in enumerate((gene, term, group)):
        out[rows, column] = 1.0
    scale = np.log1p(max(n[0], 2))

    def log_count(rows: NDArray[Any], size: int) -> NDArray[Any]:
        return np.asarray(np.log1p(np.bincount(rows, minlength=size)) / scale)

    annotated = genome.edges["gene:annotated_with:term"]
    out[gene, 3] = log_count(annotated.source, n[0])
    out[term, 3] = log_count(annotated.target, n[1])
    out[group, 3] = log_count(genome.edges["gene:member_of:complex"].target, n[2])
    out[term, 4] = _depth(genome) / 10.0
    out[gene, 5] = log_count(genome.edges["gene:interacts_with:gene"].source, n[0])
    out[gene, 6] = log_count(genome.edges["gene:regulates:gene"].source, n[0])
    out[gene, 7] = log_count(genome.edges["gene:regulates:gene"].target, n[0])
    return out


def _depth(genome: Genome) -> NDArray[Any]:
    """Steps from a term to its nearest root, over is_a and part_of."""
    is_a, part_of = genome.edges["term:is_a:term"], genome.edges["term:part_of:term"]
    child = np.concatenate([is_a.source, part_of.source])
    parent = np.concatenate([is_a.target, part_of.target])
    depth = np.full(genome.n_node("term"), np.inf)
    depth[np.bincount(child, minlength=len(depth)) == 0] = 0.0
    while True:
        before = depth.copy()
        np.minimum.at(depth, child, depth[parent] + 1.0)
        if np.array_equal(before, depth):
            return np.where(np.isinf(depth), 0.0, depth)
