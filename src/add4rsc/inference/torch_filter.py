"""The first filter of an ADD layer, to be looked at: log-mel frames before and after it."""

from typing import cast

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from add4rsc.add.frequency_filter import AbstractFrequencyFilter
from add4rsc.add.layer import AddLayer, resize_log_mel
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.engine.ensemble import Ensemble
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.shifting import Shifted
from add4rsc.inference._base import AbstractMelFilter, FilteredFrames, MelFrames
from add4rsc.methods._base import centre_bands
from add4rsc.methods.add4rsc import Add4Rsc

BATCH_SIZE = 16
"""Cycles in one pass."""


class FilterView(nn.Module):
    """Standardised log-mel frames -> natural logarithms of mel energies before and after an ADD layer's first filter.

    A network that stretches its frames (`input_size`) filters the stretched ones; what the filter changes is then
    stretched back. Where a norm follows the filter, as in the paper's form, it takes level and spread of each frame
    away, and the filter's output has none of its own: each filtered frame is given those of its input.
    """

    def __init__(self, network: Add4Rsc, first: AbstractFrequencyFilter, front_end: FrontEnd) -> None:
        super().__init__()
        self.filter = first
        self.input_size = cast("tuple[int, int] | None", network.input_size)
        self.is_normed = isinstance(cast(AddLayer, network.add).filter_norm, nn.LayerNorm)
        self.is_centred = cast(bool, network.is_centred)
        self.mean, self.scale = front_end.mean, front_end.scale

    def forward(
        self, log_mel: Float[Tensor, "batch time mel"]
    ) -> tuple[Float[Tensor, "batch time mel"], Float[Tensor, "batch time mel"]]:
        """Log energies before and after."""
        return self.compare(log_mel, self.filter(self._stretched(log_mel)))

    def compare(
        self, log_mel: Float[Tensor, "batch time mel"], filtered: Float[Tensor, "batch frame dim"]
    ) -> tuple[Float[Tensor, "batch time mel"], Float[Tensor, "batch time mel"]]:
        """The same where the filter's output is known."""
        seen = self._stretched(log_mel)
        if self.is_normed:
            filtered = _with_moments(filtered, seen)
        change = filtered - seen
        if self.input_size is not None:
            change = resize_log_mel(change, log_mel.shape[1], log_mel.shape[2])
        before = log_mel * self.scale + self.mean
        return before, before + change * self.scale

    def _stretched(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch frame dim"]:
        frames = centre_bands(log_mel) if self.is_centred else log_mel
        return frames if self.input_size is None else resize_log_mel(frames, *self.input_size)


class TorchMelFilter(AbstractMelFilter):
    """The first stage of a run's ADD layer.

    Args:
        view: of its filter.
        front_end: that its frames come from.
    """

    def __init__(self, view: FilterView, front_end: FrontEnd) -> None:
        self._view, self._filter_bank = view.eval(), LogMelFilterBank(front_end)

    @property
    def frames(self) -> MelFrames:
        """Where its frames lie."""
        return describe_frames(self._filter_bank.front_end)

    def apply(self, waveforms: Float[ndarray, "cycle sample"]) -> FilteredFrames:
        """Frames of cropped waveforms before and after the filter."""
        with torch.inference_mode():
            batches = torch.from_numpy(waveforms).split(BATCH_SIZE)
            pairs = [self._view(self._filter_bank(batch)) for batch in batches]
            before, after = (torch.cat(each).numpy() for each in zip(*pairs, strict=True))
        return FilteredFrames(before, after)


def filter_view(network: nn.Module, front_end: FrontEnd) -> FilterView | None:
    """The view of a network's first filter; None without an ADD layer, a filter in it, or plain mel bands.

    Of an ensemble, whose members have filters of their own, that of the first.
    """
    shown = network.network if isinstance(network, Shifted) else network
    shown = shown.networks[0] if isinstance(shown, Ensemble) else shown
    if not isinstance(shown, Add4Rsc) or not front_end.is_plain_mel:
        return None
    first = cast(AddLayer, shown.add).filter
    return None if first is None else FilterView(shown, first, front_end)


def open_mel_filter(run: TrainedRun) -> TorchMelFilter | None:
    """The first stage of a run's ADD layer; None if it has none."""
    view = filter_view(run.network, run.front_end)
    return None if view is None else TorchMelFilter(view, run.front_end)


def describe_frames(front_end: FrontEnd) -> MelFrames:
    """Where the frames of a front-end lie."""
    is_centred = front_end.framing == "centred"
    return MelFrames(
        sample_rate=front_end.sample_rate,
        frame_shift=front_end.frame_shift,
        first_centre=int(front_end.pre_emphasis > 0) if is_centred else front_end.frame_length // 2,
        n_mels=front_end.n_mels,
        f_min=front_end.f_min,
        f_max=front_end.f_max or front_end.sample_rate / 2,
    )


def _with_moments(
    frames: Float[Tensor, "batch time dim"], like: Float[Tensor, "batch time dim"]
) -> Float[Tensor, "batch time dim"]:
    """The frames with mean and spread over the columns as in `like`."""
    spread, wanted = (each.std(dim=-1, keepdim=True, correction=0) for each in (frames, like))
    centred = frames - frames.mean(dim=-1, keepdim=True)
    return centred * (wanted / spread.clamp_min(1e-6)) + like.mean(dim=-1, keepdim=True)
