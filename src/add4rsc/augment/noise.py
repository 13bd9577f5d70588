"""Noise that training mixes into cycles, made anew each time, as mel energies.

Energies of independent sounds add up in expectation, so that a mixture's log-mel frames follow from those of its parts
without a waveform: log(P + g N). What differs from a mixture of waveforms is the cross term, whose mean is 0.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor

from add4rsc.audio.frontend import FrontEnd, band_centres, to_energies, to_log_mel
from add4rsc.augment._draws import uniform
from add4rsc.terms import Settings

DECIBEL = math.log(10) / 10
"""One decibel of energy as a natural logarithm."""


class NoiseAugmentation(Settings):
    """Noise in training cycles; off by default. No recording of noise is needed."""

    probability: float = Field(default=0.0, ge=0, le=1)
    """Share of the cycles that get noise."""
    lowest_snr_db: float = -5.0
    highest_snr_db: float = 25.0
    """The signal-to-noise ratio is drawn between the two, over the whole cycle and the front-end's band."""
    folder: str | None = None
    """Sound files of noise to mix in beside the made ones; searched with its sub-folders."""
    classes: tuple[str, ...] = ()
    """Sub-folders or file names (without ending) of `folder` to take; empty for all."""
    recorded_share: float = Field(default=0.5, ge=0, le=1)
    """Share of noise from `folder`, where there is one; the rest is made."""
    twin: bool = False
    """Hand the method each cycle without its noise too."""

    @property
    def is_off(self) -> bool:
        """Whether no cycle would ever change."""
        return self.probability == 0


@dataclass(frozen=True)
class NoiseMixer:
    """Mixes noise into standardised log-mel frames of one front-end."""

    settings: NoiseAugmentation
    front_end: FrontEnd
    clips: tuple[Float[Tensor, "clip_time mel"], ...] = ()
    """Standardised log-mel frames of the recorded noises."""

    def mix(self, log_mel: Float[Tensor, "time mel"], generator: Generator) -> Float[Tensor, "time mel"]:
        """Add noise at a random ratio, or none; the input itself is left as it is."""
        settings = self.settings
        if settings.is_off or uniform(generator) >= settings.probability:
            return log_mel
        snr_db = settings.lowest_snr_db + (settings.highest_snr_db - settings.lowest_snr_db) * uniform(generator)
        is_recorded = bool(self.clips) and uniform(generator) < settings.recorded_share
        noise = self._recorded(len(log_mel), generator) if is_recorded else self._made(len(log_mel), generator)
        return mix_energies(log_mel, noise, snr_db, self.front_end)

    def _recorded(self, n_frames: int, generator: Generator) -> Float[Tensor, "time mel"]:
        """Energies of a random clip from a random frame on, repeated where it is too short."""
        clip = self.clips[int(uniform(generator) * len(self.clips))]
        first = int(uniform(generator) * len(clip))
        index = (first + torch.arange(n_frames)) % len(clip)
        return to_energies(clip[index], self.front_end)

    def _made(self, n_frames: int, generator: Generator) -> Float[Tensor, "time mel"]:
        return make_noise(n_frames, self.front_end, generator) * emphasis(self.front_end)


def mix_energies(
    log_mel: Float[Tensor, "time mel"], noise: Float[Tensor, "time mel"], snr_db: float, front_end: FrontEnd
) -> Float[Tensor, "time mel"]:
    """Log-mel frames of a cycle with noise at a ratio of energies.

    Args:
        log_mel: standardised frames of the cycle.
        noise: mel energies, of any level.
        snr_db: energy of the cycle by that of the noise, before pre-emphasis, in the front-end's band.
        front_end: that of both.
    """
    energies = to_energies(log_mel, front_end)
    flat = 1 / emphasis(front_end)
    gain = (energies * flat).sum() / (noise * flat).sum().clamp_min(1e-30) * 10 ** (-snr_db / 10)
    return to_log_mel(energies + gain * noise, front_end)


def emphasis(front_end: FrontEnd) -> Float[Tensor, " mel"]:
    """What pre-emphasis multiplies the energy of each band by: |1 - c exp(-i w)|^2 at its centre."""
    c = front_end.pre_emphasis
    turn = 2 * math.pi * band_centres(front_end) / front_end.sample_rate
    return 1 + c * c - 2 * c * turn.cos()


def make_noise(n_frames: int, front_end: FrontEnd, generator: Generator) -> Float[Tensor, "time mel"]:
    """Mel energies of a noise that sounds like nothing in particular: a random spectrum with a random course.

    Steady, wavering, beating or bursting; of any colour, with up to three broad peaks; or with the harmonics of a
    gliding tone, as voices and engines have.
    """
    centres = band_centres(front_end)
    level = _colour(centres, generator)[None] + _course(n_frames, front_end, generator)[:, None]
    if uniform(generator) < 0.3:
        level = level + _harmonics(n_frames, centres, generator)
    width = front_end.n_fft / front_end.sample_rate * centres.diff(append=2 * centres[-1:] - centres[-2:-1])
    return (level * DECIBEL).exp() * _speckle(n_frames, width.clamp_min(1.0), generator)


def _speckle(n_frames: int, n_bins: Float[Tensor, " mel"], generator: Generator) -> Float[Tensor, "time mel"]:
    """How energies of Gaussian noise scatter about their mean: gamma, of as many degrees as a band has FFT bins.

    By the approximation of Wilson and Hilferty (1931), by which the cube root is nearly normal.
    """
    root = torch.randn(n_frames, len(n_bins), generator=generator) / (3 * n_bins.sqrt()) + 1 - 1 / (9 * n_bins)
    return root.clamp_min(0.05) ** 3


def _colour(centres: Float[Tensor, " mel"], generator: Generator) -> Float[Tensor, " mel"]:
    """A spectrum in decibels: a slope of -9 to 3 dB an octave and up to three peaks; the bands widen upwards."""
    octaves = (centres.clamp_min(50.0) / 1000).log2()
    level = (uniform(generator) * 12 - 9) * octaves + 10 * (centres.clamp_min(50.0) + 700).log10()
    for _ in range(int(uniform(generator) * 4)):
        centre, width = uniform(generator) * len(centres), 3 + 20 * uniform(generator)
        height = 25 * (uniform(generator) - 0.3)
        level = level + height * (-0.5 * ((torch.arange(len(centres)) - centre) / width).square()).exp()
    return level


def _course(n_frames: int, front_end: FrontEnd, generator: Generator) -> Float[Tensor, " time"]:
    """A level over time in decibels."""
    time = torch.arange(n_frames) * front_end.frame_shift_ms / 1000
    kind = uniform(generator)
    if kind < 0.3:
        return torch.zeros(n_frames)
    depth, phase = 20 * uniform(generator), 2 * math.pi * uniform(generator)
    if kind < 0.5:
        rate = 0.2 * 100 ** uniform(generator)  # 0.2 to 20 Hz
        return depth * (2 * math.pi * rate * time + phase).sin()
    if kind < 0.75:
        knots = torch.randn(1, 1, 4 + n_frames // 20, generator=generator)
        return depth / 2 * torch.nn.functional.interpolate(knots, n_frames, mode="linear")[0, 0]
    return _bursts(n_frames, front_end, generator)


def _bursts(n_frames: int, front_end: FrontEnd, generator: Generator) -> Float[Tensor, " time"]:
    """Clicks, knocks and bangs: each starts at once and dies away; at random or like a clock."""
    shift = front_end.frame_shift_ms / 1000
    period = 0.1 * 15 ** uniform(generator) / shift
    first = uniform(generator) * period
    starts = torch.arange(first, max(first, n_frames), period)  # none where the first lies behind the end
    if uniform(generator) < 0.5:
        starts = torch.rand(len(starts) + 1, generator=generator) * n_frames
    decay = 60 / (0.03 * 15 ** uniform(generator)) * shift  # dB a frame: 60 dB in 0.03 to 0.45 s
    floor = -50 * uniform(generator)
    age = torch.arange(n_frames)[:, None] - starts.round()[None]
    levels = torch.where(age >= 0, -decay * age, -100.0)
    return torch.cat([levels, torch.full((n_frames, 1), floor)], dim=1).amax(dim=1)


def _harmonics(n_frames: int, centres: Float[Tensor, " mel"], generator: Generator) -> Float[Tensor, "time mel"]:
    """Decibels that lift the multiples of a gliding tone out of what is between them."""
    base = 80 * 8 ** uniform(generator)
    knots = torch.randn(1, 1, 3 + n_frames // 30, generator=generator)
    glide = torch.nn.functional.interpolate(knots, n_frames, mode="linear")[0, 0]
    tone = base * (glide * 0.15 * uniform(generator)).exp()
    distance = (centres[None] / tone[:, None] + 0.5).remainder(1.0) - 0.5
    lift = (10 + 20 * uniform(generator)) * (-0.5 * (distance / 0.15).square()).exp()
    return torch.where(centres[None] > base / 2, lift, 0.0)
