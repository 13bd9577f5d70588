"""Batch normalisation over all processes, on any device (torch's own works on GPUs alone)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.methods._contrast import SumOverProcesses


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose mean and variance are those of the whole batch, wherever its cycles are."""

    def forward(
        self,
        input: Float[Tensor, "batch channel height width"],  # noqa: A002
    ) -> Float[Tensor, "batch channel height width"]:
        """Normalise with the moments of all processes in training, with the moving ones otherwise."""
        return _normalise_together(self, input) if self.training else super().forward(input)


class SharedBatchNorm1d(nn.BatchNorm1d):
    """The same for feature vectors."""

    def forward(
        self,
        input: Float[Tensor, "batch channel"],  # noqa: A002
    ) -> Float[Tensor, "batch channel"]:
        """Normalise with the moments of all processes in training, with the moving ones otherwise."""
        if not self.training:
            return super().forward(input)
        return _normalise_together(self, input[:, :, None, None])[:, :, 0, 0]


def _normalise_together(
    layer: nn.BatchNorm1d | nn.BatchNorm2d, maps: Float[Tensor, "batch channel height width"]
) -> Float[Tensor, "batch channel height width"]:
    """Normalise with the moments of all processes, first the mean, then the variance around it.

    Both from sums at once would spare a round, but the difference of two large numbers is not exact enough.
    Half precision is widened: sums of squares would leave its range.
    """
    n_channels, wide = maps.shape[1], maps.float()
    count = torch.full((1,), maps.numel() / n_channels, device=maps.device)
    total, number = SumOverProcesses.apply(torch.cat([wide.sum(dim=(0, 2, 3)), count])).split([n_channels, 1])
    mean = total / number
    centred = wide - mean[:, None, None]
    variance = SumOverProcesses.apply(centred.square().sum(dim=(0, 2, 3))) / number
    _update_moving(layer, mean.detach(), (variance * number / (number - 1)).detach())
    normalised = centred * (variance + layer.eps).rsqrt()[:, None, None]
    if layer.affine:
        normalised = normalised * layer.weight[:, None, None] + layer.bias[:, None, None]
    return normalised.to(maps.dtype)


def _update_moving(
    layer: nn.BatchNorm1d | nn.BatchNorm2d, mean: Float[Tensor, " channel"], variance: Float[Tensor, " channel"]
) -> None:
    if layer.running_mean is None or layer.running_var is None or layer.momentum is None:
        return
    layer.running_mean.lerp_(mean, layer.momentum)
    layer.running_var.lerp_(variance, layer.momentum)
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked += 1


SHARED: dict[type[nn.Module], type[SharedBatchNorm1d] | type[SharedBatchNorm2d]] = {
    nn.BatchNorm1d: SharedBatchNorm1d,
    nn.BatchNorm2d: SharedBatchNorm2d,
}


def share_batch_norm(module: nn.Module) -> None:
    """Replace every batch normalisation of maps or feature vectors inside a module by a shared one with its state."""
    for name, child in module.named_children():
        kind = SHARED.get(type(child))
        if kind is not None and isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            shared = kind(child.num_features, child.eps, child.momentum, affine=child.affine)
            shared.load_state_dict(child.state_dict())
            shared.train(child.training)
            for weight, own in zip(shared.parameters(), child.parameters(), strict=True):
                weight.requires_grad_(own.requires_grad)
            setattr(module, name, shared)
        else:
            share_batch_norm(child)
