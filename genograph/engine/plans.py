"""Plans: which nodes the perturbations of each strain reach, as ragged integer arrays.

The sparse half of the local readout. Made once for all strains of a training, sliced per batch;
a slice is a few thousand integers, so hundreds of pairs cost milliseconds.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from genograph.cohorts import Strains
from genograph.cohorts.ragged import take_ragged
from genograph.engine.bags import Bag, make_bag
from genograph.engine.topology import REACHING, Reach

Array = NDArray[Any]
CHUNK = 8192
WORTH_SHARING = 0.8
"""Share of a batch's perturbations that may be distinct before finding the others costs more."""


class Plan(NamedTuple):
    """SharedNodes of perturbations at nodes, strain by strain.

    Ragged, four deep: strain → shared node (a node reached by enough of its perturbations) →
    incidence (one perturbation that reaches it) → way (one relation by which it does).

    Attributes:
        p_offsets: perturbations of strain i: p_offsets[i] to p_offsets[i + 1].
        gene, dose: of each perturbation.
        effect: log of the measured fitness of the perturbation alone; NaN where not known.
        m_offsets: shared nodes of each strain.
        node: of each shared node.
        i_offsets: incidences of each shared node.
        perturbation: of each incidence, 0-based within its strain.
        w_offsets: ways of each incidence.
        relation: of each way, index into REACHING.
        weight: of each way.
    """

    p_offsets: Int64[np.ndarray, " strain_1"]
    gene: Int64[np.ndarray, " perturbation"]
    dose: Float32[np.ndarray, " perturbation"]
    effect: Float32[np.ndarray, " perturbation"]
    m_offsets: Int64[np.ndarray, " strain_1"]
    node: Int64[np.ndarray, " shared"]
    i_offsets: Int64[np.ndarray, " shared_1"]
    perturbation: Int64[np.ndarray, " incidence"]
    w_offsets: Int64[np.ndarray, " incidence_1"]
    relation: Int64[np.ndarray, " way"]
    weight: Float32[np.ndarray, " way"]

    @property
    def n_strain(self) -> int:
        """How many strains are planned."""
        return len(self.p_offsets) - 1

    @classmethod
    def of(
        cls,
        strains: Strains,
        rows: Int64[np.ndarray, " strain"],
        effect: Float32[np.ndarray, " perturbation"],
        reach: Reach,
        n_node: int,
        *,
        at_least: int,
    ) -> "Plan":
        """The plan of some strains, by sorted intersection of what their perturbations reach.

        `effect` is aligned with strains.gene; a shared node needs `at_least` perturbations.
        """
        starts = range(0, max(len(rows), 1), CHUNK)
        parts = [
            _plan(strains, rows[i : i + CHUNK], effect, reach, n_node, at_least) for i in starts
        ]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def take(self, rows: Int64[np.ndarray, " strain"]) -> "Plan":
        """The plan of these strains, in this order."""
        p, p_offsets = take_ragged(self.p_offsets, rows)
        m, m_offsets = take_ragged(self.m_offsets, rows)
        i, i_offsets = take_ragged(self.i_offsets, m)
        w, w_offsets = take_ragged(self.w_offsets, i)
        return Plan(
            p_offsets,
            self.gene[p],
            self.dose[p],
            self.effect[p],
            m_offsets,
            self.node[m],
            i_offsets,
            self.perturbation[i],
            w_offsets,
            self.relation[w],
            self.weight[w],
        )

    def tensors(self, device: torch.device | str = "cpu") -> "SharedNodes":
        """The plan as tensors, numbered over the whole batch."""
        n_p = len(self.gene)
        strain_of_p = np.repeat(np.arange(self.n_strain), np.diff(self.p_offsets))
        strain_of_m = np.repeat(np.arange(self.n_strain), np.diff(self.m_offsets))
        n_reached = np.diff(self.i_offsets)
        shared_of_i = np.repeat(np.arange(len(self.node)), n_reached)
        p_of_i = self.perturbation + self.p_offsets[strain_of_m[shared_of_i]]
        i_of_w = np.repeat(np.arange(len(p_of_i)), np.diff(self.w_offsets))
        column = p_of_i[i_of_w] * len(REACHING) + self.relation
        ways = make_bag(
            torch.from_numpy(i_of_w),
            torch.from_numpy(column),
            torch.from_numpy(self.weight),
            len(p_of_i),
            n_p * len(REACHING),
            presorted=True,
        )
        n_i = len(p_of_i)
        sums = make_bag(
            torch.from_numpy(shared_of_i),
            torch.arange(n_i),
            torch.ones(n_i),
            len(self.node),
            n_i,
            presorted=True,
        )

        single = self._single_reach(p_of_i, shared_of_i, strain_of_m, ways, sums)

        def moved(array: Array) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        return SharedNodes(
            n_strain=self.n_strain,
            p_strain=moved(strain_of_p),
            p_gene=moved(self.gene),
            p_dose=moved(self.dose),
            p_effect=moved(self.effect),
            m_node=moved(self.node),
            m_strain=moved(strain_of_m),
            m_reached=moved(n_reached),
            i_node=moved(self.node[shared_of_i]),
            i_strain=moved(strain_of_m[shared_of_i]),
            ways=ways.to(device),
            sums=sums.to(device),
            single=single.to(device),
        )

    def _single_reach(
        self, p_of_i: Array, shared_of_i: Array, strain_of_m: Array, ways: Bag, sums: Bag
    ) -> "SingleReach":
        """What distinct perturbations do alone, and which strains share it."""
        n_p, n_i, n_m = len(self.gene), len(p_of_i), len(self.node)
        strain_of_i = strain_of_m[shared_of_i]
        dose, effect = self.dose.view(np.int32), self.effect.view(np.int32)
        order = np.lexsort((effect, dose, self.gene))
        new = np.ones(n_p, bool)
        for part in (self.gene, dose, effect):
            new[1:] &= part[order][1:] == part[order][:-1]
        new[1:] = ~new[1:]
        if new.sum() > WORTH_SHARING * n_p:
            node, strains = self.node[shared_of_i], torch.from_numpy(strain_of_i)
            ones = torch.ones(n_i)
            by_strain = make_bag(
                strains, torch.arange(n_i), ones, self.n_strain, n_i, presorted=True
            )
            return SingleReach(torch.arange(n_p), torch.from_numpy(node), ways, sums, by_strain)
        distinct_of_p = np.empty(n_p, np.int64)
        distinct_of_p[order] = np.cumsum(new) - 1
        first = order[new]
        node = self.node[shared_of_i]
        key = distinct_of_p[p_of_i] * (int(node.max(initial=0)) + 1) + node
        _, of_entry, entry = np.unique(key, return_index=True, return_inverse=True)
        n_entry = len(of_entry)
        w, w_offsets = take_ragged(self.w_offsets, of_entry)
        column = np.repeat(distinct_of_p[p_of_i[of_entry]], np.diff(w_offsets)) * len(REACHING)
        shared_ways = make_bag(
            torch.from_numpy(np.repeat(np.arange(n_entry), np.diff(w_offsets))),
            torch.from_numpy(column + self.relation[w]),
            torch.from_numpy(self.weight[w]),
            n_entry,
            len(first) * len(REACHING),
            presorted=True,
        )
        ones, columns = torch.ones(n_i), torch.from_numpy(entry)
        rows = torch.from_numpy(shared_of_i)
        return SingleReach(
            torch.from_numpy(first),
            torch.from_numpy(node[of_entry]),
            shared_ways,
            make_bag(rows, columns, ones, n_m, n_entry, presorted=True),
            make_bag(
                torch.from_numpy(strain_of_i),
                columns,
                ones,
                self.n_strain,
                n_entry,
                presorted=True,
            ),
        )


class SingleReach(NamedTuple):
    """Distinct perturbations of a batch and what each does alone, whatever strains it stands in.

    An entry is one such perturbation at one node. Where few perturbations recur, every one counts
    as distinct, and an entry is an incidence.

    Attributes:
        first: a perturbation p for each distinct one.
        node: of each entry.
        ways: entry by (distinct perturbation, relation).
        sums: shared node by entry.
        strains: strain by entry.
    """

    first: Int64[Tensor, " distinct"]
    node: Int64[Tensor, " entry"]
    ways: Bag
    sums: Bag
    strains: Bag

    def to(self, device: torch.device | str) -> "SingleReach":
        """The same on a device."""
        return SingleReach(
            self.first.to(device),
            self.node.to(device),
            self.ways.to(device),
            self.sums.to(device),
            self.strains.to(device),
        )


class SharedNodes(NamedTuple):
    """A plan as tensors: perturbations p, shared nodes m of them at nodes, incidences i.

    Attributes:
        n_strain: how many strains.
        p_strain, p_gene, p_dose, p_effect: of each perturbation; effect NaN where not known.
        m_node, m_strain, m_reached: node, strain and number of perturbations of each shared node.
        i_node, i_strain: of each incidence.
        ways: incidence by (perturbation, relation).
        sums: shared node by incidence.
        single: distinct perturbations, of which strains share what each does alone.
    """

    n_strain: int
    p_strain: Int64[Tensor, " p"]
    p_gene: Int64[Tensor, " p"]
    p_dose: Float32[Tensor, " p"]
    p_effect: Float32[Tensor, " p"]
    m_node: Int64[Tensor, " m"]
    m_strain: Int64[Tensor, " m"]
    m_reached: Int64[Tensor, " m"]
    i_node: Int64[Tensor, " i"]
    i_strain: Int64[Tensor, " i"]
    ways: Bag
    sums: Bag
    single: SingleReach


def _plan(
    strains: Strains,
    rows: Int64[np.ndarray, " strain"],
    effect: Float32[np.ndarray, " perturbation"],
    reach: Reach,
    n_node: int,
    at_least: int,
) -> Plan:
    p, p_offsets = take_ragged(strains.offsets, rows)
    gene = strains.gene[p]
    strain_of_p = np.repeat(np.arange(len(rows)), np.diff(p_offsets))
    entry, e_offsets = take_ragged(reach.offsets, gene)
    p_of_e = np.repeat(np.arange(len(gene)), np.diff(e_offsets))
    # one key orders by strain, then node; a stable sort keeps perturbations in order within
    key = strain_of_p[p_of_e] * n_node + reach.node[entry]
    order = np.argsort(key, kind="stable")
    key, p_of_e, entry = key[order], p_of_e[order], entry[order]
    new_m = np.ones(len(key), bool)
    new_m[1:] = key[1:] != key[:-1]
    new_i = new_m.copy()
    new_i[1:] |= p_of_e[1:] != p_of_e[:-1]
    i_start, m_of_e = np.flatnonzero(new_i), np.cumsum(new_m) - 1
    m_of_i = m_of_e[i_start]
    reached = np.bincount(m_of_i, minlength=int(new_m.sum()))
    keep_m = reached >= at_least
    keep_i, keep_e = keep_m[m_of_i], keep_m[m_of_e]
    m_start = np.flatnonzero(new_m)[keep_m]
    strain_of_m = key[m_start] // n_node
    ways = np.diff(np.append(i_start, len(key)))[keep_i]
    p_of_i = p_of_e[i_start[keep_i]]
    return Plan(
        p_offsets,
        gene,
        strains.dose[p],
        effect[p],
        _offsets(np.bincount(strain_of_m, minlength=len(rows))),
        key[m_start] % n_node,
        _offsets(reached[keep_m]),
        p_of_i - p_offsets[strain_of_p[p_of_i]],
        _offsets(ways),
        reach.relation[entry[keep_e]],
        reach.weight[entry[keep_e]],
    )


def _offsets(counts: Array) -> Int64[np.ndarray, " n_1"]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def _joined(parts: list[Plan]) -> Plan:
    arrays = []
    for name in Plan._fields:
        columns = [getattr(part, name) for part in parts]
        if name.endswith("_offsets"):
            counts = np.concatenate([np.diff(c) for c in columns])
            arrays.append(_offsets(counts))
        else:
            arrays.append(np.concatenate(columns))
    return Plan(*arrays)
