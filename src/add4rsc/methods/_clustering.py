"""Deep clustering of a cycle's groups of frames, and one vector a cluster.

Xie et al. 2016 (arXiv:1511.06335), as CycleGuardian uses it (METHODS A19).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def soft_assignment(
    points: Float[Tensor, "batch group dim"], centres: Float[Tensor, "cluster dim"]
) -> Float[Tensor, "batch group cluster"]:
    """Student's t with one degree of freedom: q_ik = (1 + |z_i - m_k|^2)^-1, by its sum over k."""
    nearness = 1 / (1 + (points[:, :, None] - centres).square().sum(dim=-1))
    return nearness / nearness.sum(dim=-1, keepdim=True)


def target_distribution(shares: Float[Tensor, "batch group cluster"]) -> Float[Tensor, "batch group cluster"]:
    """p_ik = q_ik^2 / f_k, by its sum over k; f_k is the sum of q_ik over the groups of the same cycle."""
    sharpened = shares.square() / shares.sum(dim=1, keepdim=True)
    return sharpened / sharpened.sum(dim=-1, keepdim=True)


def divergence(
    target: Float[Tensor, "batch group cluster"], shares: Float[Tensor, "batch group cluster"]
) -> Float[Tensor, "batch group"]:
    """Kullback-Leibler divergence of q from p, of every group, in nats."""
    return (target * (target.clamp_min(1e-10) / (shares + 1e-10)).log()).sum(dim=-1)


class DeepClustering(nn.Module):
    """An encoder, centres among its codes, and a decoder where the codes are to be rebuilt from.

    Args:
        dim: of a group's features.
        code_dim: of their codes.
        n_clusters: how many centres.
        rebuilds: whether there is a decoder.
    """

    def __init__(self, dim: int, code_dim: int, n_clusters: int, *, rebuilds: bool) -> None:
        super().__init__()
        self.encoder = nn.Linear(dim, code_dim)
        self.decoder = nn.Linear(code_dim, dim) if rebuilds else None
        self.centres = nn.Parameter(torch.randn(n_clusters, code_dim))

    def encode(self, features: Float[Tensor, "batch group dim"]) -> Float[Tensor, "batch group code"]:
        """Codes of groups."""
        return self.encoder(features).relu()

    def assign(self, codes: Float[Tensor, "batch group code"]) -> Float[Tensor, "batch group cluster"]:
        """The share of every cluster in a group."""
        return soft_assignment(codes, self.centres)

    def rebuilding_error(self, features: Float[Tensor, "batch group dim"]) -> Float[Tensor, " batch"]:
        """Mean squared error of features that the decoder makes of their codes; 0 without one.

        Only encoder and decoder learn from it: features are not to become easier to rebuild.
        """
        given = features.detach()
        if self.decoder is None:
            return given.new_zeros(len(given))
        return (self.decoder(self.encode(given)).relu() - given).square().mean(dim=(1, 2))


class ClusterFusion(nn.Module):
    """One vector a cluster, made of the groups that belong to it, and one of all of these.

    A weight for every place among the cycle's groups (a 1x1 convolution over them), GELU, LayerNorm, and a linear layer
    with the same two behind it; groups of other clusters count as zeros. Then a weight for every cluster, GELU,
    LayerNorm. A cycle of another number of groups than `n_groups` takes means of its places' weights.

    Features are positive, so the weights of places begin at 1: random ones of both signs, as the released code's, add
    up to a negative sum in half of all starts, of which GELU leaves nothing to learn from.
    """

    def __init__(self, n_groups: int, n_clusters: int, dim: int, fused_dim: int) -> None:
        super().__init__()
        self.place_weights = nn.Parameter(torch.ones(n_groups))
        self.place_offset = nn.Parameter(torch.zeros(1))
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Sequential(nn.Linear(dim, fused_dim), nn.GELU(), nn.LayerNorm(fused_dim))
        self.cluster_weights = nn.Parameter(torch.randn(n_clusters) * 2**0.5)
        self.cluster_offset = nn.Parameter(torch.zeros(1))
        self.fused_norm = nn.LayerNorm(fused_dim)

    def fuse_groups(
        self, features: Float[Tensor, "batch group dim"], shares: Float[Tensor, "batch group cluster"]
    ) -> Float[Tensor, "batch cluster fused"]:
        """One vector a cluster; each group belongs to the cluster of its largest share."""
        belongs = functional.one_hot(shares.argmax(dim=-1), shares.shape[-1]).to(features.dtype)
        weighted = belongs * self._weights_of(features.shape[1])[:, None]
        sums = weighted.mT @ features + self.place_offset
        return self.project(self.norm(functional.gelu(sums)))

    def fuse_clusters(self, vectors: Float[Tensor, "batch cluster fused"]) -> Float[Tensor, "batch fused"]:
        """One vector a cycle."""
        return self.fused_norm(functional.gelu(self.cluster_weights @ vectors + self.cluster_offset))

    def _weights_of(self, n_groups: int) -> Float[Tensor, " group"]:
        n_places = len(self.place_weights)
        if n_groups == n_places:
            return self.place_weights
        return functional.adaptive_avg_pool1d(self.place_weights[None], n_groups)[0] * (n_places / n_groups)


class SoftCosine(nn.Module):
    """How alike the clusters of a cycle are, by a learned similarity A A^T of the dimensions.

    Soft cosine (Sidorov et al. 2014): x S y / sqrt(x S x * y S y), with S = A A^T, which is never negative: the cosine
    of x A and y A. `is_mixed` is the released code's: x A y / (|x A| |y A|), which is no cosine once A is not 1.
    """

    def __init__(self, dim: int, *, is_mixed: bool) -> None:
        super().__init__()
        self.similarity = nn.Parameter(torch.eye(dim))
        self.is_mixed = is_mixed

    def forward(self, vectors: Float[Tensor, "batch cluster dim"]) -> Float[Tensor, " batch"]:
        """Sum over all pairs of clusters of the absolute soft cosine."""
        turned = vectors @ self.similarity
        length = turned.norm(dim=-1).clamp_min(1e-6)
        left = vectors if self.is_mixed else turned
        likeness = (left @ turned.mT).abs() / (length[:, :, None] * length[:, None])
        first, second = torch.triu_indices(vectors.shape[1], vectors.shape[1], offset=1)
        return likeness[:, first, second].sum(dim=-1)
