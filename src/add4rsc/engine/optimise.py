"""Optimiser, schedule and averages of the weights."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from add4rsc.methods._base import AbstractPacedMethod
from add4rsc.recipe import Averaging, Optimiser, Schedule

FACTOR = "learning_rate_factor"
"""Where a group of the optimiser keeps its factor of the learning rate."""


def build_optimiser(module: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser over all weights that learn; those with one axis (biases, normalisation) decay if asked for.

    Every group remembers its factor of the learning rate, which is 1 but for the parts of an `AbstractPacedMethod`.
    """
    factors = module.learning_rate_factors() if isinstance(module, AbstractPacedMethod) else {}
    by_group: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            prefix = max((each for each in factors if name.startswith(each)), key=len, default="")
            by_group.setdefault((factors.get(prefix, 1.0), weight.ndim > 1), []).append(weight)
    groups = [
        {
            "params": weights,
            "weight_decay": settings.weight_decay if is_matrix or settings.decay_all else 0.0,
            FACTOR: factor,
        }
        for (factor, is_matrix), weights in by_group.items()
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
    return kind(groups, lr=settings.learning_rate)


def learning_rate_share(schedule: Schedule, step: int, n_epochs: int, steps_per_epoch: int) -> float:
    """Share of the full learning rate at a step (counted from 0).

    With `per_epoch`, epoch e = 1..E has (1 + cos(pi e / E)) / 2 between the full rate and its final share, as in the
    Patch-Mix code base; otherwise the same half-wave runs over the steps after the warm-up.
    """
    n_rising = schedule.warmup_epochs * steps_per_epoch
    if step >= n_rising:
        return _share_after_warmup(schedule, step / steps_per_epoch, n_epochs, steps_per_epoch)
    if schedule.initial_share is None:
        return (step + 1) / (n_rising + 1)
    last = schedule.warmup_epochs - (1 if schedule.per_epoch else 0)  # epoch e = 1..E lies between e - 1 and e
    summit = _share_after_warmup(schedule, last, n_epochs, steps_per_epoch)
    return schedule.initial_share + (summit - schedule.initial_share) * step / n_rising


def _share_after_warmup(schedule: Schedule, epoch: float, n_epochs: int, steps_per_epoch: int) -> float:
    """The share when so many epochs, and parts of one, are behind."""
    if schedule.shape == "constant":
        return 1.0
    if schedule.shape == "step":
        return schedule.decay_factor ** sum(epoch >= each for each in schedule.decay_epochs)
    if schedule.shape == "exponential":
        return schedule.decay_factor ** (round(epoch * steps_per_epoch) // (schedule.decay_steps or 1))
    end = schedule.wave_epochs or n_epochs
    if schedule.per_epoch:
        progress = (int(epoch) + 1) / end
    else:
        progress = (epoch - schedule.warmup_epochs) / max(end - schedule.warmup_epochs, 1e-9)
    return schedule.final_share + (1 - schedule.final_share) * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group of weights that learning rate, times its factor."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group.get(FACTOR, 1.0)


def build_average(module: nn.Module, settings: Averaging) -> AveragedModel | None:
    """The moving average of weights and buffers that is evaluated in place of them; None unless the kind is `ema`."""
    if settings.kind != "ema":
        return None
    return AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(settings.decay), use_buffers=True)


def half_step(module: nn.Module, settings: Averaging) -> Callable[[], None]:
    """Remember the state before a step; the returned function moves it back by the share `decay` of what the step did.

    This is what the Patch-Mix and ADD4RSC code bases call a moving average (METHODS 1.3): weights, and buffers too.
    """
    if settings.kind != "half-step":
        return lambda: None
    before = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def move_back() -> None:
        with torch.no_grad():
            for name, value in module.state_dict().items():
                blended = settings.decay * before[name] + (1 - settings.decay) * value
                value.copy_(blended)

    return move_back


@contextmanager
def sharpest_nearby(module: nn.Module, radius: float) -> Iterator[None]:
    """Be, for that while, at w + rho g / |g|: where the loss is highest nearby, as far as the gradient g at w can tell.

    Sharpness-aware minimisation (Foret et al. 2021, arXiv:2010.01412, Eq. 2 with p = 2). Gradients are cleared, so that
    those found there are what is left when the weights are back. Buffers end as they began: only the pass at w counts
    for the statistics of batch normalisation. Where g is 0, or not finite, the weights stay.
    """
    found = [(weight, weight.grad) for weight in module.parameters() if weight.grad is not None]
    norm = float(torch.stack([torch.linalg.vector_norm(gradient.float()) for _, gradient in found]).norm())
    factor = radius / norm if math.isfinite(norm) and norm > 0 else None
    before = [(value, value.detach().clone()) for value in (*(weight for weight, _ in found), *module.buffers())]
    with torch.no_grad():
        for weight, gradient in found:
            if factor is not None:
                weight.add_(gradient, alpha=factor)
            weight.grad = None
    yield
    with torch.no_grad():
        for value, kept in before:
            value.copy_(kept)
