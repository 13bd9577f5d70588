"""Gains of mel bands -> sound: the recording's own short-time spectrum, turned down and added up again."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.inference._base import MelFrames
from add4rsc.inference._filtered_frames import Heard

SHIFT = 0.008
"""Seconds from one frame of the recording's own spectrum to the next."""
N_OVERLAPPING = 4
"""Frames of that spectrum that hold each sample: they are 32 ms long."""


def gain_of(log_mel: Float[ndarray, "time mel"], filtered: Float[ndarray, "time mel"]) -> Float[ndarray, "time mel"]:
    """The square root of the ratio of energies, at most 1; both are natural logarithms.

    >>> gain_of(np.log([[4.0, 1.0]]), np.log([[1.0, 4.0]])).tolist()
    [[0.5, 1.0]]
    """
    return np.exp(np.minimum(filtered - log_mel, 0) / 2)


def band_centres(frames: MelFrames) -> Float[ndarray, " mel"]:
    """Centres of the mel bands in hertz."""
    low, high = _mel(np.array([frames.f_min, frames.f_max]))
    return 700 * (np.exp(np.linspace(low, high, frames.n_mels + 2)[1:-1] / 1127) - 1)


def bin_weights(frames: MelFrames, frequencies: Float[ndarray, " bin"]) -> Float[ndarray, "bin mel"]:
    """How much of each band's gain is in the gain at a frequency: its triangle by the sum of all triangles there.

    Triangles that are linear in mel and reach from centre to centre make this an interpolation between two bands.
    Above the highest band, where the network hears nothing, there is none of any.
    """
    centres = _mel(band_centres(frames))
    weights = np.stack([np.interp(_mel(frequencies), centres, row) for row in np.eye(frames.n_mels)], axis=1)
    return (weights * (frequencies <= frames.f_max)[:, None]).astype(np.float32)


@dataclass(frozen=True)
class GainAt:
    """The gain at any time and frequency, interpolated between frames and between bands."""

    frames: MelFrames
    first_frame: int
    """Index in the recording of the first row of `gain`."""
    gain: Float[ndarray, "time mel"]

    def __call__(
        self, times: Float[ndarray, " moment"], frequencies: Float[ndarray, " bin"]
    ) -> Float[ndarray, "moment bin"]:
        """Times in seconds from the recording's start, frequencies in hertz. Above the highest band it is 1."""
        samples = times * self.frames.sample_rate - self.frames.first_centre
        places = np.clip(samples / self.frames.frame_shift - self.first_frame, 0, len(self.gain) - 1)
        before = places.astype(int)
        after = np.minimum(before + 1, len(self.gain) - 1)
        share = (places - before)[:, None].astype(np.float32)
        of_bands = (1 - share) * self.gain[before] + share * self.gain[after]
        weights = bin_weights(self.frames, frequencies)
        return of_bands @ weights.T + (1 - weights.sum(axis=1))


def apply_gain(sound: Heard, sample_rate: int, first: int, last: int, gain_at: GainAt) -> Float[ndarray, " out"]:
    """The samples from one index to before another, with the gain applied to the short-time spectrum (overlap-add).

    Square roots of Hann windows before and after add up to 1, so that a gain of 1 gives the samples back.
    """
    shift = max(2, round(SHIFT * sample_rate))
    size = N_OVERLAPPING * shift
    low, high = (first - size // 2) // shift + 1, (last - 1 + size // 2) // shift
    begin = low * shift - size // 2
    samples = sound.cut(begin, (high - low) * shift + size)
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::shift] * window
    times = np.arange(low, high + 1) * shift / sample_rate
    spectrum = np.fft.rfft(frames, axis=1) * gain_at(times, np.fft.rfftfreq(size, 1 / sample_rate))
    pieces = (np.fft.irfft(spectrum, size, axis=1) * window).reshape(len(frames), N_OVERLAPPING, shift)
    added = np.zeros((len(frames) + N_OVERLAPPING - 1, shift))
    for index in range(N_OVERLAPPING):
        added[index : index + len(frames)] += pieces[:, index]
    return (added.reshape(-1)[first - begin : last - begin] * 2 / N_OVERLAPPING).astype(np.float32)


def _mel(frequencies: Float[ndarray, " frequency"]) -> Float[ndarray, " frequency"]:
    """HTK's mel scale, as the front-end has it."""
    return 1127 * np.log1p(frequencies / 700)
