"""Look inside the ADD layer: what one cycle's filter and attention do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from add4rsc.add.attention import DifferentialAttention
from add4rsc.add.layer import AddLayer, resize_log_mel
from add4rsc.audio.bands import hertz_to_mel
from add4rsc.audio.crop import crop_cycle, fade_recording
from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.audio.io import read_info, read_waveform
from add4rsc.datasets._icbhi_files import read_annotation as read_icbhi
from add4rsc.datasets._sprsound_files import read_annotation as read_sprsound
from add4rsc.engine.loading import TrainedRun
from add4rsc.errors import WrongUsageError
from add4rsc.methods.add4rsc import Add4Rsc

Stretch = tuple[float, float]
"""Start and end in seconds."""


@dataclass(frozen=True)
class MelAxis:
    """Where the mel bands lie, in hertz."""

    f_min: float
    f_max: float

    def position(self, frequency: float) -> float:
        """Where a frequency lies from the lowest (0) to the highest (1) edge of the filter bank.

        >>> MelAxis(0.0, 8000.0).position(8000.0)
        1.0
        """
        low, high = hertz_to_mel(self.f_min), hertz_to_mel(self.f_max)
        return (hertz_to_mel(frequency) - low) / (high - low)


@dataclass(frozen=True)
class Explanation:
    """What the network made of one cycle, as arrays to draw."""

    title: str
    classes: tuple[str, ...]
    probabilities: Float[ndarray, " class"]
    duration: float
    """Length of the network's input in seconds."""
    cycle_duration: float
    """Seconds of it that are the cycle; after them it is filled."""
    mel_axis: MelAxis
    log_mel: Float[ndarray, "time mel"]
    """As the ADD layer sees it, standardised."""
    filtered: Float[ndarray, "time mel"] | None
    """After the first filter; None if the layer has none."""
    mask: Float[ndarray, "bin mel"] | None
    """Gain of the first filter at each modulation frequency, from 0 to half the frame rate; of the form `gain`, at each
    frame."""
    mask_form: str
    """As `AddSettings.filter_form`. The mask's columns are mel bands; in the paper's form, frequencies along them."""
    attention: Float[ndarray, "2 head time time"] | None
    """Signal and noise map of each head; None if the layer has no attention."""
    noise_weight: Float[ndarray, " head"] | None
    """lambda of each head, by which the noise map is multiplied before it is subtracted."""

    @property
    def difference(self) -> Float[ndarray, "head time time"] | None:
        """The map by which values are mixed: A1 - lambda A2."""
        if self.attention is None or self.noise_weight is None:
            return None
        return self.attention[0] - self.noise_weight[:, None, None] * self.attention[1]


def cycles_beside(path: Path) -> list[Stretch]:
    """The cycles or events that an annotation beside a recording names, ICBHI's (.txt) or SPRSound's (.json).

    Raises:
        AnnotationError: if it does not parse.
    """
    if (text := path.with_suffix(".txt")).is_file():
        return [(row.start, row.end) for row in read_icbhi(text)]
    if (events := path.with_suffix(".json")).is_file():
        return [(event.start, event.end) for event in read_sprsound(events).stretches]
    return []


def choose_stretch(path: Path, cycle: int | None, start: float | None, end: float | None) -> Stretch:
    """The stretch of a recording that is asked for: by times, by the number of a cycle (from 1), or all of it.

    Raises:
        WrongUsageError: if both are given, or there is no such stretch.
        AudioError: if the recording cannot be read.
        AnnotationError: if the annotation beside it does not parse.
    """
    duration = read_info(path).duration
    if start is not None or end is not None:
        if cycle is not None:
            raise WrongUsageError("--cycle and --start/--end exclude each other. Keep one of them.")
        stretch = (start or 0.0, duration if end is None else end)
        if not 0 <= stretch[0] < min(stretch[1], duration):
            raise WrongUsageError(
                f"{path} is {duration:.2f} s long and has nothing from {stretch[0]} to {stretch[1]} s."
            )
        return stretch
    cycles = cycles_beside(path)
    if not cycles and cycle is None:
        return 0.0, duration
    number = 1 if cycle is None else cycle
    if not 1 <= number <= len(cycles):
        raise WrongUsageError(
            f"{path} has {len(cycles)} annotated cycles beside it, so there is no cycle {number}. "
            "Count from 1, or give --start and --end in seconds."
        )
    return cycles[number - 1]


def explain_cycle(run: TrainedRun, path: Path, start: float, end: float) -> Explanation:
    """Follow one cycle through the ADD layer of a run.

    Raises:
        WrongUsageError: if the run's method has no ADD layer.
        AudioError: if the recording cannot be read.
    """
    network = run.network
    if not isinstance(network, Add4Rsc):
        raise WrongUsageError(
            f"{run.folder} is a run of {run.recipe.method}, which has no ADD layer to look into. "
            "Pass a run of an add4rsc recipe."
        )
    layer, size = cast(AddLayer, network.add), cast("tuple[int, int] | None", network.input_size)
    crop, front_end = run.recipe.crop, run.front_end
    recording = fade_recording(read_waveform(path, front_end.sample_rate), front_end.sample_rate, crop)
    waveform = crop_cycle(recording, front_end.sample_rate, start, end, crop)
    with torch.inference_mode():
        log_mel = LogMelFilterBank(front_end)(torch.from_numpy(np.ascontiguousarray(waveform))[None])
        probabilities = network(log_mel).double().softmax(dim=-1)[0]
        seen = log_mel if size is None else resize_log_mel(log_mel, *size)
        inside = _look_inside(layer, seen)
    return Explanation(
        title=f"{path.stem}, {start:.2f} to {end:.2f} s",
        classes=run.classes,
        probabilities=probabilities.numpy(),
        duration=crop.duration,
        cycle_duration=min(end - start, crop.duration),
        mel_axis=MelAxis(front_end.f_min, front_end.f_max or front_end.sample_rate / 2),
        log_mel=seen[0].numpy(),
        mask_form=layer.settings.filter_form,
        **inside,
    )


def _look_inside(layer: AddLayer, log_mel: Float[Tensor, "1 time mel"]) -> dict[str, Any]:
    """Mask, filtered frames, attention maps and lambda, as far as the layer has them."""
    inside: dict[str, ndarray | None] = dict.fromkeys(("mask", "filtered", "attention", "noise_weight"))
    if layer.filter is not None:
        inside |= {"mask": layer.filter.mask(log_mel)[0].numpy(), "filtered": layer.filter(log_mel)[0].numpy()}
    if layer.denoise is not None:
        inside["attention"] = layer.attention_maps(log_mel)[0].numpy()
        inside["noise_weight"] = _noise_weight(layer.denoise.attention).numpy()
    return inside


def _noise_weight(attention: DifferentialAttention) -> Float[Tensor, " head"]:
    """lambda, Ye et al. 2024 (arXiv:2410.05258), Eq. (2)."""
    first, second = (attention.lambda_query * attention.lambda_key).sum(dim=-1).exp()
    return first - second + attention.lambda_start
