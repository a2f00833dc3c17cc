"""Overlap: what the reaches of several perturbations have in common, and how large each is.

What gradient boosting on pairs of genes is told, for any number of perturbations: for every two
relations the sum, the largest entry and the cosine of what is reached by both. No perturbation that
leaves its gene as it was counts, and nothing is in common where no two perturbations meet.
"""

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from genograph.engine.bags import bag_sum
from genograph.engine.plans import SharedNodes
from genograph.engine.topology import N_NODE_FEATURE, REACHING, Reach

N_RELATION = len(REACHING)
N_OVERLAP = 3 * N_RELATION * (N_RELATION + 1) // 2
N_KIND = 3
"""The first node features say the kind, which all genes share."""
N_CONTEXT = 2 * (N_NODE_FEATURE - N_KIND + N_RELATION + 1)


def reach_norm(reach: Reach, n_gene: int) -> Float32[Tensor, "gene relation"]:
    """Length of each gene's reach by each relation: root of the sum of squared weights."""
    gene = torch.repeat_interleave(torch.arange(n_gene), torch.from_numpy(reach.offsets).diff())
    square = torch.from_numpy(reach.weight) ** 2
    key = gene * N_RELATION + torch.from_numpy(reach.relation)
    return torch.zeros(n_gene * N_RELATION).index_add(0, key, square).sqrt().view(-1, N_RELATION)


@torch.no_grad()
def overlap(
    plan: SharedNodes, norms: Float[Tensor, "gene relation"]
) -> Float[Tensor, "strain overlap"]:
    """Log sum, largest and cosine of what is reached in common, for each two relations.

    Of more than two perturbations the pairs' are added, of the largest entries the largest taken.
    """
    first, second = torch.triu_indices(N_RELATION, N_RELATION, device=norms.device)
    twice = torch.where(first == second, 2.0, 1.0).to(norms.dtype)
    lost = (1.0 - plan.p_dose.to(norms.dtype)).abs()
    unit = torch.eye(N_RELATION, device=norms.device, dtype=norms.dtype)

    def common(weight: Tensor) -> Tensor:
        # over pairs of perturbations i < j: (sum of all)² - sum of squares, halved
        ways = (unit * weight[:, None, :]).reshape(-1, N_RELATION)
        each = bag_sum(ways, plan.ways)
        total = bag_sum(each, plan.sums)
        own = bag_sum(each[:, first] * each[:, second], plan.sums)
        return (total[:, first] * total[:, second] - own) / twice

    plain = common(lost[:, None].expand(-1, N_RELATION))
    relative = common(lost[:, None] / norms[plan.p_gene].clamp(min=1e-6))
    zero = plain.new_zeros(plan.n_strain, len(first))
    place = plan.m_strain[:, None].expand_as(plain)
    return torch.cat(
        [
            torch.log1p(zero.index_add(0, plan.m_strain, plain)),
            zero.scatter_reduce(0, place, plain, "amax"),
            zero.index_add(0, plan.m_strain, relative),
        ],
        1,
    )


def lowest_and_highest(
    plan: SharedNodes,
    effect: Float[Tensor, " p"],
    features: Float[Tensor, "node feature"],
    norms: Float[Tensor, "gene relation"],
) -> Float[Tensor, "strain context"]:
    """The smallest and largest degree, reach norm and effect among a strain's perturbations."""
    degrees, lengths = features[plan.p_gene, N_KIND:], torch.log1p(norms[plan.p_gene])
    of_gene = torch.cat([degrees, lengths, effect[:, None]], 1)
    changed = (plan.p_dose != 1.0).nonzero()[:, 0]
    place = plan.p_strain[changed, None].expand(-1, of_gene.shape[1])
    zero = of_gene.new_zeros(plan.n_strain, of_gene.shape[1])
    return torch.cat(
        [
            zero.scatter_reduce(0, place, of_gene[changed], way, include_self=False)
            for way in ("amin", "amax")
        ],
        1,
    )
