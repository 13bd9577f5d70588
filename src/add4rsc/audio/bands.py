"""Frequency scales and the weights that gather FFT bins in bands along them."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Channel = Literal["mel", "linear", "gammatone", "constant-q"]
"""A kind of frequency bands."""

GAMMATONE_ORDER = 4
GAMMATONE_BANDWIDTH = 1.019
"""Decay of a gammatone filter of order 4 in equivalent rectangular bandwidths; Patterson et al. 1992."""

SLANEY_HERTZ_PER_MEL = 200 / 3
SLANEY_BREAK = 1000.0
SLANEY_LOG_STEP = math.log(6.4) / 27
"""Slaney's Auditory Toolbox (1998): linear up to 1 kHz, then 27 steps for a factor of 6.4."""


def hertz_to_mel(frequency: float) -> float:
    """HTK's mel scale.

    >>> round(hertz_to_mel(1000.0))
    1000
    """
    return 1127.0 * math.log(1.0 + frequency / 700.0)


def mel_to_hertz(mel: float) -> float:
    """The inverse of `hertz_to_mel`."""
    return 700.0 * (math.exp(mel / 1127.0) - 1.0)


def hertz_to_slaney(frequency: float) -> float:
    """Slaney's mel scale.

    >>> round(hertz_to_slaney(1000.0)), round(hertz_to_slaney(6400.0))
    (15, 42)
    """
    if frequency < SLANEY_BREAK:
        return frequency / SLANEY_HERTZ_PER_MEL
    return SLANEY_BREAK / SLANEY_HERTZ_PER_MEL + math.log(frequency / SLANEY_BREAK) / SLANEY_LOG_STEP


def slaney_to_hertz(mel: float) -> float:
    """The inverse of `hertz_to_slaney`."""
    above = mel - SLANEY_BREAK / SLANEY_HERTZ_PER_MEL
    return mel * SLANEY_HERTZ_PER_MEL if above < 0 else SLANEY_BREAK * math.exp(above * SLANEY_LOG_STEP)


def hertz_to_erb_rate(frequency: float) -> float:
    """Equivalent rectangular bandwidths below a frequency; Glasberg and Moore 1990.

    >>> round(hertz_to_erb_rate(1000.0), 1)
    15.6
    """
    return 21.4 * math.log10(1.0 + 4.37e-3 * frequency)


def erb_rate_to_hertz(erb_rate: float) -> float:
    """The inverse of `hertz_to_erb_rate`."""
    return (10 ** (erb_rate / 21.4) - 1.0) / 4.37e-3


class Scale(NamedTuple):
    """A scale along which bands are evenly spaced."""

    of_hertz: Callable[[float], float]
    to_hertz: Callable[[float], float]

    def edges(self, low: float, high: float, n_bands: int) -> Float[Tensor, " edge"]:
        """Hertz of the `n_bands` centres and, before and behind them, of the two ends."""
        first = self.of_hertz(low)
        step = (self.of_hertz(high) - first) / (n_bands + 1)
        return torch.tensor([self.to_hertz(first + edge * step) for edge in range(n_bands + 2)])


HTK, SLANEY = Scale(hertz_to_mel, mel_to_hertz), Scale(hertz_to_slaney, slaney_to_hertz)
ERB_RATE, LINEAR = Scale(hertz_to_erb_rate, erb_rate_to_hertz), Scale(float, float)


def triangles_in_mel(low: float, high: float, n_bands: int, bins: tuple[int, int]) -> Float[Tensor, "band bin"]:
    """Triangles that are linear in HTK's mel; as in Kaldi, the Nyquist bin has no weight.

    Args:
        low: hertz at which the lowest triangle begins.
        high: hertz at which the highest one ends.
        n_bands: how many.
        bins: sample rate in hertz, and length of the FFT.
    """
    sample_rate, n_fft = bins
    first, last = hertz_to_mel(low), hertz_to_mel(high)
    step = (last - first) / (n_bands + 1)
    band = torch.arange(n_bands)[:, None]
    left, centre, right = (first + (band + i) * step for i in (0.0, 1.0, 2.0))
    mel = 1127.0 * (1.0 + sample_rate / n_fft * torch.arange(n_fft // 2) / 700.0).log()[None]
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)  # rounds as Kaldi's code does
    return functional.pad(torch.minimum(rising, falling).clamp_min(0), (0, 1))


def triangles_in_hertz(edges: Float[Tensor, " edge"], frequencies: Float[Tensor, " bin"]) -> Float[Tensor, "band bin"]:
    """Triangles of height 1 that are linear in hertz, each from one edge over the next to the one after."""
    left, centre, right = (edges[i : len(edges) - 2 + i, None] for i in range(3))
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    return torch.minimum(rising, falling).clamp_min(0)


def slaney_triangles(edges: Float[Tensor, " edge"], frequencies: Float[Tensor, " bin"]) -> Float[Tensor, "band bin"]:
    """The same, but each of area 1 over hertz, as Slaney's Auditory Toolbox has them."""
    return triangles_in_hertz(edges, frequencies) * (2 / (edges[2:] - edges[:-2]))[:, None]


def gammatone_responses(
    centres: Float[Tensor, " band"], frequencies: Float[Tensor, " bin"]
) -> Float[Tensor, "band bin"]:
    """Power responses of gammatone filters of order 4, 1 at their centres: (1 + ((f - c) / b)^2)^-4.

    b is 1.019 times the equivalent rectangular bandwidth 24.7 (4.37 c / 1000 + 1) of Glasberg and Moore 1990.
    """
    bandwidth = GAMMATONE_BANDWIDTH * 24.7 * (4.37e-3 * centres + 1)
    distance = (frequencies - centres[:, None]) / bandwidth[:, None]
    return (1 + distance.square()) ** -GAMMATONE_ORDER


def butterworth_response(
    frequencies: Float[Tensor, " bin"], band: tuple[float, float], order: int, sample_rate: int
) -> Float[Tensor, " bin"]:
    """Power response of a digital Butterworth band pass (bilinear transform) at frequencies in hertz."""
    low, high = (math.tan(math.pi * corner / sample_rate) for corner in band)
    turn = (math.pi / sample_rate * frequencies.double()).tan()
    offset = (turn.square() - low * high) / (turn * (high - low)).clamp_min(torch.finfo(torch.float64).tiny)
    return (1 / (1 + offset ** (2 * order))).float()
