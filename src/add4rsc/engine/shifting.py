"""A trained network that hears every cycle from several starts."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.engine.loading import TrainedRun
from add4rsc.errors import WrongUsageError
from add4rsc.methods._base import AbstractInformedMethod

SHIFTS = "shifts"
"""Name in tables of predictions of how many starts a cycle was heard from."""


class Shifted(nn.Module):
    """The mean of a network's logits for a cycle and for circular shifts of it in time, at equal distances.

    A cycle that was filled by its own repetition is the same sound wherever it starts; a network that takes steps of
    several frames, as all that pool do, answers each start a little differently.
    """

    def __init__(self, network: nn.Module, n_shifts: int) -> None:
        super().__init__()
        self.network = network
        self.n_shifts = n_shifts

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        n_frames = log_mel.shape[1]
        starts = [round(n_frames * index / self.n_shifts) for index in range(self.n_shifts)]
        turned = torch.cat([log_mel, *(log_mel.roll(start, dims=1) for start in starts[1:])])
        return self.network(turned).unflatten(0, (self.n_shifts, -1)).mean(dim=0)


def count_shifts(run: TrainedRun) -> int:
    """From how many starts the network of a run hears every cycle."""
    return run.network.n_shifts if isinstance(run.network, Shifted) else 1


def shift_run(run: TrainedRun, n_shifts: int) -> TrainedRun:
    """The run with a network that hears every cycle from so many starts, its own among them; 1 changes nothing.

    Raises:
        WrongUsageError: if there is no start to hear from, or the network is told of the recordings, or has parts for
            each stethoscope.
    """
    if n_shifts < 1:
        raise WrongUsageError(f"A cycle cannot be heard from {n_shifts} starts. Give --shifts 1 or more.")
    if n_shifts == 1:
        return run
    if isinstance(run.network, AbstractInformedMethod) or run.recipe.device_fine_tuning:
        raise WrongUsageError(
            f"{run.folder}: its network is told of the recordings, or has parts for each stethoscope, and is not heard "
            "from several starts. Leave out --shifts."
        )
    return replace(run, network=Shifted(run.network, n_shifts).eval())
