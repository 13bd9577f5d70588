"""Contrast between the cycles of a whole batch, wherever they are."""

import torch
import torch.distributed
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional


class SumOverProcesses(Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_context: object, local: Shaped[Tensor, " *shape"]) -> Shaped[Tensor, " *shape"]:
        """Add up."""
        total = local.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: object, gradient: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add up the gradients."""
        return SumOverProcesses.forward(_context, gradient)


def count_processes() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def gather_cycles(own: Shaped[Tensor, " own *shape"]) -> Shaped[Tensor, " batch *shape"]:
    """The values of all processes' cycles, in the order of the whole batch; what this process has where it is alone.

    Every process must call it at the same place. Gradients flow back to the process that a value is from: together with
    the loop, which averages the gradients of all processes, they are those of one process with the whole batch.

    Of a batch with fewer cycles than processes, those that a process has borrowed stand there a second time.

    Args:
        own: one entry a cycle of this process' share: every n-th cycle of the batch, from the process' number on.
    """
    n_processes = count_processes()
    if n_processes == 1:
        return own
    number = SumOverProcesses.apply(torch.tensor(len(own), device=own.device))
    # where the others' values belong are zeros, so that the sum over all processes puts the shares together
    whole = own.new_zeros((int(number), *own.shape[1:])).index_copy(0, own_places(len(own)).to(own.device), own)
    return SumOverProcesses.apply(whole)


def own_places(n_own: int) -> Int[Tensor, " own"]:
    """Where this process' cycles are in what `gather_cycles` returns."""
    n_processes = count_processes()
    first = torch.distributed.get_rank() if n_processes > 1 else 0
    return first + n_processes * torch.arange(n_own)


def build_projector(width: int) -> nn.Sequential:
    """The layers between features and what is contrasted, as wide as they are, in Patch-Mix CL and after it."""
    return nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))


def supervised_contrast(
    features: Float[Tensor, "item dim"], groups: Int[Tensor, " item"], temperature: float
) -> Float[Tensor, " item"]:
    """How poorly the items of the same group are found among all others, in nats (Khosla et al. 2020, their L_out).

    -1 / |P(i)| sum_p log(exp(s_ip) / sum_a exp(s_ia)), p over P(i), the other items of i's group, a over all others; s
    the cosine divided by the temperature. An item without another of its group gives 0. Items of unknown group (below
    0) give 0 and are no one's neighbours.

    The whole batch counts: pass what `gather_cycles` returns, and take the `own_places` of the result.
    """
    directions = functional.normalize(features.float(), dim=1)
    with torch.autocast(features.device.type, enabled=False):  # half precision is too coarse for a low temperature
        likeness = directions @ directions.T / temperature
    known = groups >= 0
    others = ~torch.eye(len(groups), dtype=torch.bool, device=groups.device) & known
    alike = others & (groups[:, None] == groups) & known[:, None]
    lowest = torch.finfo(likeness.dtype).min  # not -inf, whose gradient is not a number where nothing is left
    found = likeness.masked_fill(~others, lowest).log_softmax(dim=1)
    return -torch.where(alike, found, 0.0).sum(dim=1) / alike.sum(dim=1).clamp_min(1)
