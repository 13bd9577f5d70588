"""Optimiser, schedule and averages of the weights."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from add4rsc.recipe import Averaging, Optimiser, Schedule


def build_optimiser(module: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser over all weights that learn; those with one axis (biases, normalisation) decay if asked for."""
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in learning if weight.ndim > 1], "weight_decay": settings.weight_decay},
        {
            "params": [weight for weight in learning if weight.ndim <= 1],
            "weight_decay": settings.weight_decay if settings.decay_all else 0.0,
        },
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
        return _share_after_warmup(schedule, step / steps_per_epoch, n_epochs)
    if schedule.initial_share is None:
        return (step + 1) / (n_rising + 1)
    last = schedule.warmup_epochs - (1 if schedule.per_epoch else 0)  # epoch e = 1..E lies between e - 1 and e
    summit = _share_after_warmup(schedule, last, n_epochs)
    return schedule.initial_share + (summit - schedule.initial_share) * step / n_rising


def _share_after_warmup(schedule: Schedule, epoch: float, n_epochs: int) -> float:
    """The share when so many epochs, and parts of one, are behind."""
    if schedule.shape == "constant":
        return 1.0
    if schedule.shape == "step":
        return schedule.decay_factor ** sum(epoch >= each for each in schedule.decay_epochs)
    if schedule.per_epoch:
        progress = (int(epoch) + 1) / n_epochs
    else:
        progress = (epoch - schedule.warmup_epochs) / max(n_epochs - schedule.warmup_epochs, 1e-9)
    return schedule.final_share + (1 - schedule.final_share) * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group of weights that learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate


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
