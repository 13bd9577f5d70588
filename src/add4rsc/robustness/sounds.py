"""The test cycles of a run as sound: read once, corrupted often."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.crop import Crop, cut_cycle, fade_recording, fit_length
from add4rsc.audio.io import read_info, read_waveform
from add4rsc.audio.windows import window_times
from add4rsc.errors import AnnotationError
from add4rsc.robustness.corruptions._base import CycleSound
from add4rsc.robustness.corruptions.background import quiet_stretches
from add4rsc.terms import RespiratoryCycle


class NoiseBand(StrEnum):
    """Up to which frequency noise is mixed in."""

    FRONT_END = "front-end"
    """Half the network's sample rate."""
    RECORDING = "recording"
    """Half the recording's own rate: what its recorder could have picked up."""


CONTEXT = 0.5
"""Seconds of the recording kept on either side of a cycle where its crop filters or fades the whole recording."""


@dataclass(frozen=True)
class TestCycle:
    """A cycle's sound, and what its recording sounds like around it (nothing where the crop does not look there)."""

    __test__ = False  # or pytest takes it for a test

    sound: CycleSound
    before: Float[ndarray, " before"]
    after: Float[ndarray, " after"]

    def windows(
        self, changed: Float[ndarray, " sample"], sample_rate: int, crop: Crop
    ) -> list[Float[ndarray, " crop"]]:
        """What the network hears if the cycle's samples are replaced by others: faded, filtered, and of full length.

        One waveform, or as many as the crop has windows in a cycle of this length.
        """
        if _looks_around(crop):
            stretch = fade_recording(np.concatenate([self.before, changed, self.after]), sample_rate, crop)
            changed = stretch[len(self.before) : len(self.before) + len(changed)]
        times = window_times(0.0, len(changed) / sample_rate, crop)
        return [fit_length(changed[int(start * sample_rate) :], sample_rate, crop) for start, _ in times]


def read_test_cycles(
    cycles: Sequence[RespiratoryCycle], sample_rate: int, crop: Crop, noise_band: NoiseBand = NoiseBand.FRONT_END
) -> list[TestCycle]:
    """Read the sound of every cycle, in the order of the cycles.

    Raises:
        AudioError: if a recording cannot be read.
        AnnotationError: if a cycle lies outside its recording.
    """
    found: dict[int, TestCycle] = {}
    order = sorted(range(len(cycles)), key=lambda index: (str(cycles[index].recording.path), cycles[index].start))
    for path, members in groupby(order, key=lambda index: cycles[index].recording.path):
        recording = read_waveform(path, sample_rate)
        quiet = quiet_stretches(recording, sample_rate)
        band = read_info(path).sample_rate / 2 if noise_band is NoiseBand.RECORDING else float("inf")
        for index in members:
            before, waveform, after = _cut(recording, cycles[index], sample_rate, crop)
            sound = CycleSound(cycles[index].cycle_id, waveform, quiet, band)
            found[index] = TestCycle(sound, before, after)
    return [found[index] for index in range(len(cycles))]


def _cut(
    recording: Float[ndarray, " sample"], cycle: RespiratoryCycle, sample_rate: int, crop: Crop
) -> tuple[Float[ndarray, " before"], Float[ndarray, " cycle"], Float[ndarray, " after"]]:
    """A cycle and what is around it, as copies, so that the rest of the recording need not be kept.

    Raises:
        AnnotationError: if the cycle lies outside the recording.
    """
    try:
        waveform = cut_cycle(recording, sample_rate, cycle.start, cycle.end)
    except ValueError as error:
        raise AnnotationError(
            cycle.recording.path, f"has a cycle with {error}", "Correct its annotation (`add4rsc data verify`)"
        ) from error
    first = int(cycle.start * sample_rate)
    last = first + len(waveform)
    n_context = round(max(CONTEXT, crop.recording_fade) * sample_rate) if _looks_around(crop) else 0
    before, after = recording[max(0, first - n_context) : first], recording[last : last + n_context]
    return before.copy(), waveform.copy(), after.copy()


def _looks_around(crop: Crop) -> bool:
    return crop.band_pass is not None or crop.recording_fade > 0
