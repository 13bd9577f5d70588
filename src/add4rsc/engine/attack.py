"""How little of a cycle must change for the network to decide otherwise: attacks along the sign of the gradient."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

N_STEPS = 10
"""Steps of one attack; four reach the edge of the ball."""
N_DOUBLINGS = 12
"""How often a ball that is too small is doubled."""
N_HALVINGS = 7
"""Bisections of the last doubling: so a found size is at most 1.6 % of itself above what the attack needs."""


def estimate_change(
    network: nn.Module, log_mel: Float[Tensor, "batch time mel"], labels: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch class"], Float[Tensor, " batch"], Int[Tensor, " batch"]]:
    """First-order estimate of the least change, min_j (z_y - z_j) / |grad (z_y - z_j)|_1, and the class j it leads to.

    Exact for a linear network. Returns logits, estimates and classes; a negative estimate is of a wrong decision.
    """
    frames = log_mel.detach().requires_grad_(True)
    logits = network(frames)
    n_classes = logits.shape[1]
    others = (labels[:, None] + torch.arange(1, n_classes, device=labels.device)) % n_classes
    margins = logits.gather(1, labels[:, None]) - logits.gather(1, others)
    distances = []
    for margin in margins.unbind(dim=1):
        (slope,) = torch.autograd.grad(margin.sum(), frames, retain_graph=True)
        steepness = slope.abs().flatten(1).sum(dim=1).clamp_min(1e-12)
        distances.append((margin / steepness).detach())
    nearest = torch.stack(distances, dim=1).min(dim=1)
    return logits.detach(), nearest.values, others.gather(1, nearest.indices[:, None])[:, 0]


def least_change(
    network: nn.Module,
    log_mel: Float[Tensor, "batch time mel"],
    labels: Int[Tensor, " batch"],
    rivals: Int[Tensor, " batch"],
    start: Float[Tensor, " batch"],
) -> Float[Tensor, " batch"]:
    """Size of the smallest L-infinity ball in which an attack changes the decision, by doubling and bisection.

    Args:
        network: in evaluation mode.
        log_mel: rightly decided cycles.
        labels: their classes.
        rivals: towards which class each attack goes; any wrong decision counts.
        start: the size that is tried first.

    Returns:
        Sizes in the units of the frames; infinite where `N_DOUBLINGS` of the first size change nothing.
    """
    low, high = torch.zeros_like(start), start.clamp_min(1e-6)
    is_right = ~is_changed(network, log_mel, labels, rivals, high)
    for _ in range(N_DOUBLINGS):
        if not bool(is_right.any()):
            break
        low, high = torch.where(is_right, high, low), torch.where(is_right, 2 * high, high)
        is_right &= ~is_changed(network, log_mel, labels, rivals, high)
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        inside = is_changed(network, log_mel, labels, rivals, middle)
        low, high = torch.where(inside, low, middle), torch.where(inside, middle, high)
    return high.masked_fill(is_right, torch.inf)


def is_changed(
    network: nn.Module,
    log_mel: Float[Tensor, "batch time mel"],
    labels: Int[Tensor, " batch"],
    rivals: Int[Tensor, " batch"],
    size: Float[Tensor, " batch"],
) -> Bool[Tensor, " batch"]:
    """Whether steps along the sign of the gradient of z_rival - z_label, kept in the ball, change the decision.

    Projected gradient steps, as in the basic iterative method of Kurakin et al. 2016 (arXiv:1607.02533).
    """
    edge, changed = size.view(-1, *(1,) * (log_mel.ndim - 1)), log_mel
    found = torch.zeros_like(labels, dtype=torch.bool)
    for _ in range(N_STEPS):
        frames = changed.detach().requires_grad_(True)
        logits = network(frames)
        found |= logits.argmax(dim=1) != labels
        if bool(found.all()):
            return found
        gain = logits.gather(1, rivals[:, None]) - logits.gather(1, labels[:, None])
        (slope,) = torch.autograd.grad(gain.sum(), frames)
        stepped = changed + slope.sign() * edge / 4
        changed = torch.minimum(torch.maximum(stepped, log_mel - edge), log_mel + edge)
    with torch.no_grad():
        return found | (network(changed).argmax(dim=1) != labels)
