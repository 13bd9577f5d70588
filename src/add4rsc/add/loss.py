"""The bias denoising loss: the filtered features alone must tell the class, softly."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

Smoothing = Literal["paper", "released"]


class BiasDenoisingLoss(nn.Module):
    """Divergence of the predicted from the smoothed label.

    ADD4RSC (Dong et al. 2025, arXiv:2506.02505): L_BD = - sum_c [ y_c (1 - eps) + eps / C ] log p_c with eps = 0.2.

    `smoothing="paper"` is that sum (0.85 for the true class of four, 0.05 for the others). `"released"` is what commits
    4ed7905 and 8a0384a compute: 1 - eps for the true class, eps / (C - 1) for the others (0.8 and 0.067), and the
    Kullback-Leibler divergence, which is the cross-entropy less the constant entropy of the smoothed label.
    """

    def __init__(
        self,
        smoothing: Smoothing = "paper",
        epsilon: float = 0.2,
        ignore_index: int = -100,
        reduction: Literal["mean", "none"] = "mean",
    ) -> None:
        super().__init__()
        self.smoothing, self.epsilon = smoothing, epsilon
        self.ignore_index, self.reduction = ignore_index, reduction

    def forward(
        self, bias_logits: Float[Tensor, "batch class"], labels: Int[Tensor, " batch"]
    ) -> Float[Tensor, " batch"] | Float[Tensor, ""]:
        """Mean over the cycles whose label is not `ignore_index`, or one term a cycle, 0 where it is ignored."""
        counted = labels != self.ignore_index
        target = self.smoothed(labels.where(counted, 0), bias_logits.shape[-1], bias_logits.dtype)
        terms = -(target * bias_logits.log_softmax(dim=-1)).sum(dim=-1)  # L_BD
        if self.smoothing == "released":
            terms = terms + torch.xlogy(target, target).sum(dim=-1)
        terms = terms.where(counted, 0)
        return terms if self.reduction == "none" else terms.sum() / counted.sum().clamp_min(1)

    def smoothed(
        self, labels: Int[Tensor, " batch"], n_classes: int, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "batch class"]:
        """The target distribution of each label.

        >>> BiasDenoisingLoss("paper").smoothed(torch.tensor([1]), 4)
        tensor([[0.0500, 0.8500, 0.0500, 0.0500]])
        """
        spread = self.epsilon / (n_classes if self.smoothing == "paper" else n_classes - 1)
        peak = 1 - self.epsilon + (spread if self.smoothing == "paper" else 0)
        return functional.one_hot(labels, n_classes).to(dtype) * (peak - spread) + spread
