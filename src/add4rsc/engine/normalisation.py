"""Batch normalisation over all processes, on any device (torch's own works on GPUs alone)."""

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function


class _SumOverProcesses(Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_context: object, local: Float[Tensor, " entry"]) -> Float[Tensor, " entry"]:
        """Add up."""
        total = local.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: object, gradient: Float[Tensor, " entry"]) -> Float[Tensor, " entry"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add up the gradients."""
        return _SumOverProcesses.forward(_context, gradient)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose mean and variance are those of the whole batch, wherever its cycles are."""

    def forward(
        self,
        input: Float[Tensor, "batch channel height width"],  # noqa: A002
    ) -> Float[Tensor, "batch channel height width"]:
        """Normalise with the moments of all processes in training, with the moving ones otherwise.

        Half precision is widened: a sum of squares would leave its range.
        """
        if not self.training:
            return super().forward(input)
        n_channels, wide = input.shape[1], input.float()
        count = torch.full((1,), input.numel() / n_channels, device=input.device)
        local = torch.cat([wide.sum(dim=(0, 2, 3)), wide.square().sum(dim=(0, 2, 3)), count])
        total, squares, number = _SumOverProcesses.apply(local).split([n_channels, n_channels, 1])
        mean = total / number
        variance = (squares / number - mean.square()).clamp_min(0)
        self._update_moving(mean.detach(), (variance * number / (number - 1)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        return (wide * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]).to(input.dtype)

    def _update_moving(self, mean: Float[Tensor, " channel"], variance: Float[Tensor, " channel"]) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1


def share_batch_norm(module: nn.Module) -> None:
    """Replace every two-dimensional batch normalisation inside a module by a shared one with the same state."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            shared = SharedBatchNorm2d(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            setattr(module, name, shared)
        else:
            share_batch_norm(child)
