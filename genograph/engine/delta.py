"""The delta engine: walks only the nodes whose state a perturbation changes. Exact.

Messages are linear in the states that send them, so a node's pre-activation is that of the wild
type plus what its changed sources add; everything else keeps the wild type's state. The integers
come from genograph.engine.reachable, the sums from the fused C++ kernel or, without one, from bags.
"""

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import layer_norm, silu

from genograph.engine import native
from genograph.engine.bags import bag_sum, make_bag
from genograph.engine.base import (
    Degree,
    Engine,
    Layer,
    Perturbed,
    States,
    WildType,
    still_heard,
)
from genograph.engine.reachable import ChangedNodes, Reachable
from genograph.engine.shared import SharedEngine
from genograph.engine.topology import KINDS, PASSING, Topology, find_ends

EPSILON = 1e-5
"""Of LayerNorm, torch's default."""

SENDS = tuple(
    tuple(
        n
        for n, (name, reverse) in enumerate(PASSING)
        if find_ends(name, reverse=reverse)[0] == kind
    )
    for kind in KINDS
)
"""Relations by which each kind of node sends."""


class _Graph(NamedTuple):
    """The genome's edges by source, as tensors of the device; see reachable.Outgoing."""

    segment_offsets: Tensor
    relation: Tensor
    start: Tensor
    target: Tensor
    share: Tensor
    offsets: Tensor
    by_edge: Tensor
    kind: Tensor
    slot: Tensor


class DeltaEngine(Engine):
    """Changed nodes only; the wild type runs once over the whole genome."""

    name = "delta"

    def __init__(
        self,
        topology: Topology,
        *,
        degree: Degree = "wild-type",
        fused: bool | None = None,
    ) -> None:
        """`fused` chooses the kernels of a layer: C++, torch, or (None) C++ where it can be had."""
        super().__init__(topology, degree=degree)
        self.reachable = Reachable(topology)
        self._whole = SharedEngine(topology)
        self._fused = fused
        self._graph = _graph(topology, self.reachable)

    def wild_type(self, layers: Sequence[Layer], inputs: Float[Tensor, "node d"]) -> WildType:
        """See Engine."""
        return self._whole.wild_type(layers, inputs)

    def encode(
        self,
        layers: Sequence[Layer],
        wild: WildType,
        perturbed: Perturbed,
        wanted: Int64[Tensor, " wanted"] | None,
    ) -> States:
        """See Engine; lists the wanted nodes that differ."""
        start = wild.states[0]
        rows = self.reachable.rows(
            perturbed.n_strain,
            perturbed.strain.cpu().numpy(),
            perturbed.gene.cpu().numpy(),
            perturbed.dose.detach().to(layers[0].scale.dtype).cpu().numpy(),
            len(layers),
            wanted=None if wanted is None else wanted.cpu().numpy(),
            device=start.device,
        )
        fused = self._fused
        if fused is None:
            fused = native.suits(start.device, layers[0].scale.dtype)
        fused = fused and self.degree == "wild-type"
        change = start[rows[0].node] * (rows[0].dose - 1.0)[:, None]
        for depth, layer in enumerate(layers):
            last = depth == len(layers) - 1
            step = self._fused_layer if fused else self._layer
            change = step(layer, wild, depth, rows, change, last=last)
        return States(change, rows[-1].strain, rows[-1].node, perturbed.n_strain, rows[-1].offsets)

    def _fused_layer(
        self,
        layer: Layer,
        wild: WildType,
        depth: int,
        rows: list[ChangedNodes],
        change: Tensor,
        *,
        last: bool,
    ) -> Tensor:
        """See _layer; one kernel after the products with the weights."""
        assert wild.pre is not None
        sent, base = self._sent(layer, rows[depth].node, change)
        rest = None if last else wild.states[depth + 1]
        plan = _Plan(self._graph, rows[depth], rows[depth + 1], base, self.topology.n_node)
        pre, state = wild.pre[depth], wild.states[depth]
        numbers = (sent, change, pre, state, layer.scale, layer.shift, rest)
        # under autocast products come in half precision; sums are taken in that of the parameters
        full = layer.scale.dtype
        out: Tensor = _FusedLayer.apply(  # type: ignore[no-untyped-call]
            *(None if x is None else x.to(full) for x in numbers), plan, torch.is_grad_enabled()
        )
        return out

    def _sent(self, layer: Layer, node: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """What changed nodes send, a block of rows a node: its own, then one a relation."""
        kind, width = self._graph.kind[node], change.shape[1]
        blocks, base, n = [], torch.empty_like(node), 0
        for number, relations in enumerate(SENDS):
            mine = torch.nonzero(kind == number)[:, 0]
            weight = torch.cat([layer.own[number], *(layer.weight[r] for r in relations)], 1)
            blocks.append((change.index_select(0, mine) @ weight).view(-1, width))
            size = 1 + len(relations)
            base[mine] = n + torch.arange(len(mine), device=node.device) * size
            n += len(mine) * size
        return torch.cat(blocks), base

    def _layer(
        self,
        layer: Layer,
        wild: WildType,
        depth: int,
        rows: list[ChangedNodes],
        change: Tensor,
        *,
        last: bool,
    ) -> Tensor:
        """The rows that differ after a layer: their states, or before the last layer what these,
        times their doses, differ by from the wild type's."""
        assert wild.pre is not None
        graph, source, found = self._graph, rows[depth], rows[depth + 1]
        n_node, width = self.topology.n_node, change.shape[1]
        device = source.node.device
        table = torch.full(((len(found.offsets) - 1) * n_node,), -1, device=device)
        table[found.strain * n_node + found.node] = torch.arange(len(found.node), device=device)
        start = graph.offsets[source.node]
        count = graph.offsets[source.node + 1] - start
        row = torch.repeat_interleave(torch.arange(len(source.node), device=device), count)
        shift = start - (torch.cumsum(count, 0) - count)
        edge = shift[row] + torch.arange(len(row), device=device)
        place = table[source.strain[row] * n_node + graph.target[edge].long()]
        stays = torch.nonzero(table[source.strain * n_node + source.node] >= 0)[:, 0]
        own = table[(source.strain * n_node + source.node)[stays]]
        here = place >= 0
        row, edge, place = row[here], edge[here], place[here]
        sent, base = self._sent(layer, source.node, change)
        index = torch.cat([base[row] + graph.slot[graph.by_edge[edge]].long(), base[stays]])
        weight = torch.cat([graph.share[edge], graph.share.new_ones(len(stays))])
        state, pre = wild.states[depth], wild.pre[depth]
        extra = None
        if self.degree == "exact":
            heard = self._heard(rows[0], table, state.dtype)
            at = place * len(PASSING) + graph.by_edge[edge]
            weight = weight.to(state.dtype)
            weight[: len(row)] *= heard[at]
            extra = self._silenced(layer, state, heard, found)
        added = bag_sum(
            sent, make_bag(torch.cat([place, own]), index, weight, len(found.node), len(sent))
        )
        if extra is not None:
            added = added + extra
        pre = pre.index_select(0, found.node) + added
        ones = graph.share.new_ones(len(stays))
        kept = make_bag(own, stays, ones, len(found.node), len(source.node))
        kind = graph.kind[found.node].long()
        answer = state.index_select(0, found.node) + bag_sum(change, kept)
        normal = layer_norm(pre, (width,), eps=EPSILON)
        answer = answer + silu(normal * layer.scale[kind] + layer.shift[kind])
        if last:
            return answer
        rest = wild.states[depth + 1].index_select(0, found.node)
        return answer * found.dose[:, None] - rest

    def _heard(self, perturbed: ChangedNodes, table: Tensor, dtype: torch.dtype) -> Tensor:
        """The factor by which each found row's mean over each relation's sources grows when only
        sources that still send are counted, [row * relation]."""
        graph, n_node, n_relation = self._graph, self.topology.n_node, len(PASSING)
        n_found = int((table >= 0).sum())
        start = graph.offsets[perturbed.node]
        count = graph.offsets[perturbed.node + 1] - start
        device = table.device
        row = torch.repeat_interleave(torch.arange(len(perturbed.node), device=device), count)
        edge = (start - (torch.cumsum(count, 0) - count))[row] + torch.arange(
            len(row), device=device
        )
        place = table[perturbed.strain[row] * n_node + graph.target[edge].long()]
        row, edge, place = row[place >= 0], edge[place >= 0], place[place >= 0]
        lost = graph.share[edge].to(dtype) * (perturbed.dose[row] - 1.0)
        by = graph.by_edge[edge]
        loss = torch.zeros(n_found * n_relation, dtype=dtype, device=device)
        loss.index_add_(0, place * n_relation + by, lost)
        whole = torch.ones_like(loss)
        total = self._totals(dtype)
        whole[place * n_relation + by] = total[by, graph.target[edge].long()]
        return still_heard(whole, whole + loss)

    def _totals(self, dtype: torch.dtype) -> Tensor:
        """The sum of shares over the sources of each node, [relation, node]."""
        out = torch.zeros(
            (len(PASSING), self.topology.n_node), dtype=dtype, device=self._graph.share.device
        )
        for number, (name, reverse) in enumerate(PASSING):
            bag = self.topology.passing[number]
            ones = torch.ones((bag.shape[1], 1), dtype=dtype, device=out.device)
            out[number, self.topology.rows(find_ends(name, reverse=reverse)[1])] = bag_sum(
                ones, bag
            )[:, 0]
        return out

    def _silenced(self, layer: Layer, state: Tensor, heard: Tensor, found: ChangedNodes) -> Tensor:
        """What the unchanged sources add to found rows because fewer of them are counted."""
        added = state.new_zeros(len(found.node), state.shape[1])
        factor = heard.view(-1, len(PASSING)) - 1.0
        for number, (name, reverse) in enumerate(PASSING):
            rows = torch.nonzero(factor[:, number])[:, 0]
            if not len(rows):
                continue
            source, target = (self.topology.rows(k) for k in find_ends(name, reverse=reverse))
            bag = self.topology.passing[number]
            node = found.node[rows] - target.start
            start, count = bag.offsets[node], bag.offsets[node + 1] - bag.offsets[node]
            row = torch.repeat_interleave(torch.arange(len(rows), device=node.device), count)
            entry = (start - (torch.cumsum(count, 0) - count))[row] + torch.arange(
                len(row), device=node.device
            )
            weight = bag.weight[entry].to(state.dtype) * factor[rows, number][row]
            column = bag.column[entry]
            part = make_bag(row, column, weight, len(rows), bag.shape[1], presorted=True)
            added = added.index_add(0, rows, bag_sum(state[source], part) @ layer.weight[number])
        return added


class _Plan(NamedTuple):
    """The integers of one call of the kernel."""

    graph: _Graph
    source: ChangedNodes
    found: ChangedNodes
    base: Tensor
    n_node: int


class _FusedLayer(torch.autograd.Function):
    """Edges, LayerNorm, SiLU, doses and the difference from the wild type in one pass a strain."""

    # Any: torch has no type for the context
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        sent: Tensor,
        change: Tensor,
        pre: Tensor,
        state: Tensor,
        scale: Tensor,
        shift: Tensor,
        rest: Tensor | None,
        plan: _Plan,
        keep: bool,
    ) -> Tensor:
        numbers = [
            None if t is None else t.detach().contiguous()
            for t in (sent, change, pre, state, scale, shift, rest)
        ]
        out = change.new_empty(len(plan.found.node), change.shape[1])
        normal = torch.empty_like(out) if keep else None
        spread = out.new_empty(len(out)) if keep else None
        call = _call(plan, change, rest is not None)
        for name, tensor in zip(_NUMBERS, numbers, strict=True):
            _point(call, name, tensor)
        for name, tensor in (("out", out), ("normal", normal), ("spread", spread)):
            _point(call, name, tensor)
        native.function("forward", out.dtype)(ctypes.byref(call))
        if keep:
            ctx.save_for_backward(scale, shift, normal, spread)
            ctx.plan, ctx.shapes = plan, [None if t is None else t.shape for t in numbers]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:  # noqa: ANN401
        scale, shift, normal, spread = ctx.saved_tensors
        plan, given = ctx.plan, grads[0].contiguous()
        call = _call(plan, given, ctx.shapes[-1] is not None)
        answers = [None if s is None else given.new_zeros(s) for s in ctx.shapes]
        numbers = {"scale": scale.detach().contiguous(), "shift": shift.detach().contiguous()}
        numbers |= {"normal": normal, "spread": spread, "d_out": given}
        if ctx.shapes[-1] is not None:
            # only whether it is there is asked
            numbers["rest"] = given
        for name, tensor in numbers.items():
            _point(call, name, tensor)
        for name, answer in zip(_NUMBERS, answers, strict=True):
            _point(call, f"d_{name}", answer)
        native.function("backward", given.dtype)(ctypes.byref(call))
        return *answers, None, None


_NUMBERS = ("sent", "change", "pre", "state", "scale", "shift", "rest")


def _point(call: native.LayerCall, name: str, tensor: Tensor | None) -> None:
    setattr(call, name, None if tensor is None else tensor.data_ptr())


def _call(plan: _Plan, like: Tensor, middle: bool) -> native.LayerCall:
    graph, source, found = plan.graph, plan.source, plan.found
    call = native.LayerCall(
        n_strain=len(found.offsets) - 1,
        n_node=plan.n_node,
        d=like.shape[1],
        n_thread=torch.get_num_threads(),
        epsilon=EPSILON,
    )
    tensors = {
        "segment_offsets": graph.segment_offsets,
        "segment_relation": graph.relation,
        "segment_start": graph.start,
        "target": graph.target,
        "share": graph.share,
        "kind": graph.kind,
        "slot": graph.slot,
        "source_offsets": source.offsets,
        "source_node": source.node,
        "source_base": plan.base,
        "found_offsets": found.offsets,
        "found_node": found.node,
    }
    if middle:
        tensors["dose"] = found.dose
    for name, tensor in tensors.items():
        _point(call, name, tensor)
    return call


def _graph(topology: Topology, reachable: Reachable) -> _Graph:
    device, edges = topology.features.device, reachable.edges
    slot = torch.zeros(len(PASSING), dtype=torch.int32)
    for relations in SENDS:
        for place, number in enumerate(relations):
            slot[number] = 1 + place
    sizes = torch.tensor([topology.n_gene, topology.n_term, topology.n_complex])
    kind = torch.repeat_interleave(torch.arange(len(KINDS), dtype=torch.int32), sizes)
    start = torch.from_numpy(edges.start)
    relation = torch.from_numpy(edges.relation)
    tensors = (
        torch.from_numpy(edges.segment_offsets),
        relation,
        start,
        torch.from_numpy(edges.target),
        torch.from_numpy(edges.share),
        torch.from_numpy(edges.offsets),
        torch.repeat_interleave(relation, start.diff()).long(),
        kind,
        slot,
    )
    return _Graph(*(t.contiguous().to(device) for t in tensors))
