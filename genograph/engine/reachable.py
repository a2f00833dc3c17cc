"""Reachable: which nodes a perturbation changes, layer by layer, and those of whole strains.

The integer half of the delta engine. What one gene reaches is found once and kept as bits, so the
plan of a strain is the union of its genes' bits, and the plan of a batch takes under a millisecond.
"""

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from numpy.typing import NDArray
from torch import Tensor

from genograph.engine.topology import PASSING, Topology, find_ends

Array = NDArray[Any]
MOST_BYTES = 2**28
"""What the bits of genes may take before the longest unused are dropped."""


class Outgoing(NamedTuple):
    """The edges that carry messages, by source, as segments of one relation each.

    Node u has segments segment_offsets[u] to segment_offsets[u + 1]; a segment's edges ascend by
    target. Nodes are numbered over all kinds.
    """

    segment_offsets: Int64[np.ndarray, " node_1"]
    relation: Int32[np.ndarray, " segment"]
    start: Int64[np.ndarray, " segment_1"]
    target: Int32[np.ndarray, " edge"]
    share: Float32[np.ndarray, " edge"]

    @property
    def offsets(self) -> Int64[np.ndarray, " node_1"]:
        """First edge of each node."""
        first: Int64[np.ndarray, " node_1"] = self.start[self.segment_offsets]
        return first


def sort_by_source(topology: Topology) -> Outgoing:
    """The edges of a topology by source."""
    parts: list[tuple[Array, ...]] = []
    for number, (name, reverse) in enumerate(PASSING):
        from_kind, to_kind = find_ends(name, reverse=reverse)
        bag = topology.passing[number]
        source = bag.column.cpu().numpy() + topology.rows(from_kind).start
        target = np.repeat(np.arange(bag.shape[0]), np.diff(bag.offsets.cpu().numpy()))
        target = target + topology.rows(to_kind).start
        parts.append((source, np.full(len(source), number), target, bag.weight.cpu().numpy()))
    source, relation, target, share = (np.concatenate(p) for p in zip(*parts, strict=True))
    order = np.lexsort((target, relation, source))
    source, relation, target, share = source[order], relation[order], target[order], share[order]
    group = source * len(PASSING) + relation
    first = np.flatnonzero(np.diff(group, prepend=-1))
    counts = np.bincount(source[first], minlength=topology.n_node)
    return Outgoing(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        relation[first].astype(np.int32),
        np.append(first, len(source)).astype(np.int64),
        target.astype(np.int32),
        share.astype(np.float32),
    )


class ChangedNodes(NamedTuple):
    """The nodes of each strain that differ at one depth: by strain, then node.

    Attributes:
        offsets: rows of strain i: offsets[i] to offsets[i + 1].
        strain, node: of each row.
        dose: of each row, 1 where the node is no perturbed gene.
    """

    offsets: Int64[Tensor, " strain_1"]
    strain: Int64[Tensor, " row"]
    node: Int64[Tensor, " row"]
    dose: Tensor


class Reachable:
    """What each gene's perturbation changes, found when first asked for and kept."""

    def __init__(self, topology: Topology) -> None:
        self.edges = sort_by_source(topology)
        self.n_gene, self.n_node = topology.n_gene, topology.n_node
        self._degree = np.diff(self.edges.offsets)
        self._bits: OrderedDict[tuple[int, int], Array] = OrderedDict()
        self._bytes = 0

    def rows(
        self,
        n_strain: int,
        strain: Int64[np.ndarray, " p"],
        gene: Int64[np.ndarray, " p"],
        dose: Array,
        n_layer: int,
        *,
        wanted: Int64[np.ndarray, " wanted"] | None = None,
        device: torch.device | str = "cpu",
    ) -> list[ChangedNodes]:
        """The rows that differ before the first layer and after each.

        Perturbations of one gene of one strain (two alleles) act one on what the other leaves.
        `wanted` keeps only these nodes after the last layer.
        """
        key = np.asarray(strain) * self.n_node + gene
        distinct, place = np.unique(key, return_inverse=True)
        product = np.ones(len(distinct), np.asarray(dose).dtype)
        np.multiply.at(product, place, dose)
        layers = []
        for depth in range(n_layer + 1):
            found = self._merged(n_strain, strain, gene, depth)
            if depth == n_layer and wanted is not None:
                mask = np.zeros(self.n_node, bool)
                mask[wanted] = True
                found &= np.packbits(mask)
            bits = np.unpackbits(found, axis=1, count=self.n_node)
            flat = np.flatnonzero(bits.view(bool))
            of_strain, node = np.divmod(flat, self.n_node)
            doses = np.ones(len(flat), product.dtype)
            at = np.searchsorted(flat, distinct)
            there = at < len(flat)
            there[there] = flat[at[there]] == distinct[there]
            doses[at[there]] = product[there]
            offsets = np.searchsorted(of_strain, np.arange(n_strain + 1))
            arrays = (offsets.astype(np.int64), of_strain, node, doses)
            layers.append(ChangedNodes(*(torch.from_numpy(a).to(device) for a in arrays)))
        return layers

    def _merged(self, n_strain: int, strain: Array, gene: Array, depth: int) -> Array:
        merged = np.zeros((n_strain, -(-self.n_node // 8)), np.uint8)
        for row, one in zip(np.asarray(strain).tolist(), np.asarray(gene).tolist(), strict=True):
            merged[row] |= self._gene(one, depth)
        return merged

    def _gene(self, gene: int, depth: int) -> Array:
        """The nodes that differ after `depth` layers, as bits."""
        known = self._bits.get((gene, depth))
        if known is not None:
            self._bits.move_to_end((gene, depth))
            return known
        mask = np.zeros(self.n_node, bool)
        if depth == 0:
            mask[gene] = True
        else:
            before = np.unpackbits(self._gene(gene, depth - 1), count=self.n_node).astype(bool)
            mask |= before
            nodes = np.flatnonzero(before)
            start, count = self.edges.offsets[nodes], self._degree[nodes]
            shift = start - (np.cumsum(count) - count)
            mask[self.edges.target[np.repeat(shift, count) + np.arange(count.sum())]] = True
        bits = np.packbits(mask)
        self._bits[gene, depth] = bits
        self._bytes += bits.nbytes
        while self._bytes > MOST_BYTES:
            self._bytes -= self._bits.popitem(last=False)[1].nbytes
        return bits
