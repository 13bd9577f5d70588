"""Stochastic normalisation: batch normalisation whose channels sometimes use the moving statistics in training."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.nn import functional


class StochasticNormalisation(nn.Module):
    """In training each channel draws s ~ Bernoulli(p): batch statistics for s = 0, moving statistics for s = 1.

    Kou et al., NeurIPS 2020 (METHODS A4); our `moving_share` is their p. The affine parameters are shared. The moving
    statistics begin as those of the layer that is replaced and go on as they would in it; a channel that uses them is
    given what the batch at hand has made of them. Evaluation is that of the layer that is replaced.

    That layer stays inside, so that several processes share its batch statistics like those of any other.

    Args:
        batch_norm: the layer to replace, with its weights and its moving statistics.
        moving_share: p.
    """

    def __init__(self, batch_norm: nn.BatchNorm2d, moving_share: float) -> None:
        super().__init__()
        self.batch_norm = batch_norm
        self.moving_share = moving_share
        self.generator: Generator | None = None
        """What the draws are from (`drawing_from`); None is where torch's own dropout draws from."""

    def forward(
        self, image: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Return the normalised channels."""
        by_batch = self.batch_norm(image)
        if not self.training:
            return by_batch
        uses_moving = self._draw_channels(image.shape[1]).to(image.device)
        return torch.where(uses_moving[:, None, None], self._by_moving_statistics(image), by_batch)

    def _draw_channels(self, n_channels: int) -> Bool[Tensor, " channel"]:
        """Which channels use the moving statistics."""
        return torch.rand(n_channels, generator=self.generator) < self.moving_share

    def _by_moving_statistics(
        self, image: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """As in evaluation; with copies of the statistics, which a second pass moves before the gradient is taken."""
        layer = self.batch_norm
        mean, variance = (cast(Tensor, each).clone() for each in (layer.running_mean, layer.running_var))
        return functional.batch_norm(image, mean, variance, layer.weight, layer.bias, training=False, eps=layer.eps)


def normalise_stochastically(network: nn.Module, moving_share: float) -> None:
    """Replace every two-dimensional batch normalisation in a network that keeps moving statistics.

    Args:
        network: changed in place; its weights and statistics stay, under names that have `batch_norm` in them.
        moving_share: probability that a channel uses the moving statistics in training.
    """
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d) and child.track_running_stats:
            setattr(network, name, StochasticNormalisation(child, moving_share))
        elif not isinstance(child, StochasticNormalisation):
            normalise_stochastically(child, moving_share)


@contextmanager
def drawing_from(network: nn.Module, generator: Generator) -> Iterator[None]:
    """Let all stochastic normalisation in a network draw from a generator for a while.

    All processes of a training that pass generators of one seed draw the same channels.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, StochasticNormalisation)]
    for layer in layers:
        layer.generator = generator
    try:
        yield
    finally:
        for layer in layers:
            layer.generator = None
