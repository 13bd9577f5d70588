"""Spectra for the quality flags, in numpy alone: importing scipy's would take longer than classifying a file."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

SHORT_FRAME = 0.05
"""Seconds: resolves 20 Hz, and a heart beat in time."""
LONG_FRAME = 2.0
"""Seconds: resolves a mains line from its neighbours."""
VOICE_BAND = (150.0, 1800.0)
"""Hertz: where speech has its harmonics, and a recording at 4 kHz still has them."""
LOWEST_PITCH, HIGHEST_PITCH = 85.0, 350.0
"""Hertz: adult men to small children, speaking."""
MIN_RIPPLE_SHARE = 0.06
"""Share of the ripple's power in one wave; in noise of the same length 99 of 100 frames stay below."""
QUIETEST_VOICE = 0.01
"""Against the loud frames of the recording: 20 dB."""
MAX_PITCH_STEP = 0.1
"""Relative change of pitch within 25 ms."""


@dataclass(frozen=True)
class Spectrogram:
    """Power over time and frequency; `frame_rate` in frames a second."""

    power: Float[ndarray, "time bin"]
    frequencies: Float[ndarray, " bin"]
    frame_rate: float


class Sound:
    """A waveform with the spectra that several flags share, each computed when it is first asked for."""

    def __init__(self, waveform: Float[ndarray, " sample"], sample_rate: int) -> None:
        self.waveform = waveform
        self.sample_rate = sample_rate

    @cached_property
    def short(self) -> Spectrogram:
        """Power of Hann frames of 50 ms, half overlapping; offset removed."""
        return self._spectrogram(self.waveform, max(16, round(SHORT_FRAME * self.sample_rate)))

    @cached_property
    def long_spectrum(self) -> tuple[Float[ndarray, " bin"], Float[ndarray, " bin"]]:
        """Frequencies, and the median power over frames of 2 s of the first two minutes: what is there all the time."""
        part = self.waveform[: 120 * self.sample_rate]
        spectra = self._spectrogram(part, min(len(part), round(LONG_FRAME * self.sample_rate)))
        return spectra.frequencies, np.median(spectra.power, axis=0)

    def _spectrogram(self, waveform: Float[ndarray, " sample"], n_frame: int) -> Spectrogram:
        step = max(1, n_frame // 2)
        centred = waveform - np.mean(waveform, dtype=np.float64).astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(centred, n_frame)[::step]
        window = np.hanning(n_frame).astype(np.float32)
        power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / float((window**2).sum() * n_frame)
        frequencies = np.fft.rfftfreq(n_frame, 1 / self.sample_rate)
        return Spectrogram(power.astype(np.float32), frequencies, self.sample_rate / step)


def band_power(spectra: Spectrogram, low: float, high: float) -> Float[ndarray, " time"]:
    """Power between two frequencies in hertz, never quite zero."""
    inside = (spectra.frequencies >= low) & (spectra.frequencies <= high)
    return spectra.power[:, inside].sum(axis=1) + 1e-20


def voiced_frames(sound: Sound) -> Bool[ndarray, " time"]:
    """Which frames of 50 ms hold a voice: lines at equal distances, at a speaker's pitch that the next frame shares.

    The logarithm of the spectrum from 150 Hz to 1.8 kHz, freed of its slow course, is a wave along frequency where a
    voice sounds (the idea of the cepstrum, Noll 1967). A wheeze of one to three lines is none.
    """
    spectra = sound.short
    inside = (spectra.frequencies >= VOICE_BAND[0]) & (spectra.frequencies <= VOICE_BAND[1])
    level = np.log(spectra.power[:, inside] + 1e-14)
    level = level - _moving_mean(level, max(3, round(2 * HIGHEST_PITCH / spectra.frequencies[1])))
    ripple = np.abs(np.fft.rfft(level * np.hanning(level.shape[1]), 4 * level.shape[1], axis=1)) ** 2
    waves_per_hertz = np.arange(ripple.shape[1]) / (4 * level.shape[1] * spectra.frequencies[1])
    spoken = (waves_per_hertz >= 1 / HIGHEST_PITCH) & (waves_per_hertz <= 1 / LOWEST_PITCH)
    best = ripple[:, spoken].argmax(axis=1)
    share = ripple[:, spoken].max(axis=1) / (ripple.sum(axis=1) + 1e-20)
    pitch = 1 / waves_per_hertz[spoken][best]
    loudness = band_power(spectra, *VOICE_BAND)
    voiced = (share > MIN_RIPPLE_SHARE) & (loudness > QUIETEST_VOICE * np.percentile(loudness, 95))
    agrees = np.abs(np.diff(pitch) / pitch[1:]) < MAX_PITCH_STEP
    pairs = voiced[1:] & voiced[:-1] & agrees
    return np.concatenate([[False], pairs]) | np.concatenate([pairs, [False]])


def _moving_mean(level: Float[ndarray, "time bin"], width: int) -> Float[ndarray, "time bin"]:
    """Mean over `width` bins around each bin; fewer at the ends."""
    half = width // 2
    sums = np.cumsum(np.pad(level, ((0, 0), (1, 0))), axis=1)
    first = np.maximum(np.arange(level.shape[1]) - half, 0)
    last = np.minimum(np.arange(level.shape[1]) + half + 1, level.shape[1])
    return (sums[:, last] - sums[:, first]) / (last - first)
