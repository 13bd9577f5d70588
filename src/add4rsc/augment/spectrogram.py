"""What training may do to one cycle's log-mel frames."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor

from add4rsc.augment._draws import uniform
from add4rsc.terms import Settings

Stretch = tuple[int, int]
"""First index of a mask, and the one after its last."""


class SpectrogramAugmentation(Settings):
    """SpecAugment masks (Park et al. 2019), circular time shift and level. All off by default."""

    n_time_masks: int = Field(default=0, ge=0)
    max_time_mask: int = Field(default=0, ge=0)
    """Widest time mask, in frames."""
    n_mel_masks: int = Field(default=0, ge=0)
    max_mel_mask: int = Field(default=0, ge=0)
    """Widest frequency mask, in mel bands."""
    time_shift: float = Field(default=0.0, ge=0, le=1)
    """Largest circular shift in time, as a share of the cycle's length."""
    level_shift: float = Field(default=0.0, ge=0)
    """Largest change added to all standardised log-mel values: a louder or fainter recording."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """Share of the cycles that are changed at all."""
    mask_rule: Literal["park", "patch-mix"] = "park"
    """`park`: widths up to the widest one, every mask filled with one value. `patch-mix`: widths int(U(0, widest)), mel
    masks first, and time masks filled with the mean that those leave, as in the Patch-Mix code base (METHODS 1.3)."""
    fill: Literal["mean", "zero"] = "mean"
    """What masks are filled with: the mean of the cycle, or 0, which is the mean of the front-end's statistics."""
    accumulates: bool = False
    """Every epoch changes what the epochs before left of the cycle, as where masks are written into cached features
    (METHODS 1.3, 4.5); off, every epoch begins with the cycle itself."""

    @property
    def is_off(self) -> bool:
        """Whether no cycle would ever change."""
        widest = self.n_time_masks * self.max_time_mask + self.n_mel_masks * self.max_mel_mask
        return self.probability == 0 or (widest == 0 and self.time_shift == 0 and self.level_shift == 0)


def augment_spectrogram(
    log_mel: Float[Tensor, "time mel"], settings: SpectrogramAugmentation, generator: Generator
) -> Float[Tensor, "time mel"]:
    """Change one cycle at random; the input itself is left as it is."""
    if settings.is_off or uniform(generator) >= settings.probability:
        return log_mel
    n_frames, n_mels = log_mel.shape
    shift = round((2 * uniform(generator) - 1) * settings.time_shift * n_frames)
    changed = torch.roll(log_mel, shift, dims=0) + (2 * uniform(generator) - 1) * settings.level_shift
    if settings.mask_rule == "patch-mix":
        mel_masks = [_stretch_below(n_mels, settings.max_mel_mask, generator) for _ in range(settings.n_mel_masks)]
        time_masks = [_stretch_below(n_frames, settings.max_time_mask, generator) for _ in range(settings.n_time_masks)]
        return mask_mel_then_time(changed, mel_masks, time_masks, settings.fill)
    fill = float(changed.mean()) if settings.fill == "mean" else 0.0
    for _ in range(settings.n_time_masks):
        first, last = _stretch(n_frames, settings.max_time_mask, generator)
        changed[first:last] = fill
    for _ in range(settings.n_mel_masks):
        first, last = _stretch(n_mels, settings.max_mel_mask, generator)
        changed[:, first:last] = fill
    return changed


def mask_mel_then_time(
    log_mel: Float[Tensor, "time mel"],
    mel_masks: Sequence[Stretch],
    time_masks: Sequence[Stretch],
    fill: Literal["mean", "zero"] = "mean",
) -> Float[Tensor, "time mel"]:
    """Blank stretches of mel bands, then stretches of frames; a changed copy.

    The mean that fills is taken anew before each of the two kinds, so that time masks see the mel masks' work.
    """
    masked = log_mel.clone()
    for axis, stretches in ((1, mel_masks), (0, time_masks)):
        value = float(masked.mean()) if fill == "mean" else 0.0
        for first, last in stretches:
            masked.narrow(axis, first, last - first).fill_(value)
    return masked


def _stretch_below(length: int, bound: int, generator: Generator) -> Stretch:
    """A stretch of the width int(U(0, bound)), at a random place; the place is any at which it fits."""
    width = min(int(uniform(generator) * bound), length)
    first = int(uniform(generator) * (length - width + 1))
    return first, first + width


def _stretch(length: int, widest: int, generator: Generator) -> Stretch:
    """A stretch of random width, at most `widest` and `length`, at a random place."""
    width = int(uniform(generator) * (min(widest, length) + 1))
    first = int(uniform(generator) * (length - width + 1))
    return first, first + width
