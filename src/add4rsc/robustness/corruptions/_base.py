"""What every corruption is, and how noise is mixed into a cycle."""

import abc
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.robustness.corruptions._spectrum import apply_gain

SNR_UNIT = "dB SNR"
SNR_LEVELS = (20.0, 10.0, 5.0, 0.0, -5.0)
"""Decibels; METHODS 5.5 without its 15."""
EDGE = 0.05
"""Share of a band over which its upper end falls to nothing, as a recorder's filter has it fall."""
ONLY_CLASS = ""
"""Noise class of a corruption that has no classes."""


@dataclass(frozen=True)
class CycleSound:
    """The samples of one test cycle, as recorded, before any padding."""

    cycle_id: str
    waveform: Float[ndarray, " sample"]
    quiet: Float[ndarray, "stretch quiet"]
    """The quietest stretches of the whole recording; none if it is silent."""
    band: float = float("inf")
    """Hertz above which no noise is mixed in."""


class AbstractCorruption(abc.ABC):
    """One thing that happens to a cycle, in levels from mild to severe. All that it draws comes from the generator."""

    unit: ClassVar[str]
    """Of the levels: dB SNR, Hz, dB or share."""
    levels: ClassVar[tuple[float, ...]]
    """What is measured unless others are asked for, the mildest first."""
    is_random: ClassVar[bool] = True
    """Whether noise seeds make a difference."""
    needs_noise_folder: ClassVar[bool] = False

    def __init__(self, sample_rate: int, noise_folder: Path | None = None) -> None:
        self.sample_rate = sample_rate
        self.noise_folder = noise_folder

    @property
    def noise_classes(self) -> tuple[str, ...]:
        """The kinds that are measured one by one."""
        return (ONLY_CLASS,)

    def digest(self, noise_class: str) -> str:  # noqa: ARG002
        """SHA-256 of the files that a class is made of; empty without files."""
        return ""

    @abc.abstractmethod
    def corrupt(
        self, cycle: CycleSound, level: float, noise_class: str, generator: Generator
    ) -> Float[ndarray, " sample"]:
        """The cycle's samples, changed; as many as before."""


class AdditiveNoise(AbstractCorruption):
    """Noise at an exact signal-to-noise ratio; a cycle's noise is the same at every level but for its loudness."""

    unit = SNR_UNIT
    levels = SNR_LEVELS

    @abc.abstractmethod
    def noise(self, cycle: CycleSound, noise_class: str, generator: Generator) -> Float[ndarray, " sample"]:
        """Noise of any loudness, as long as the cycle."""

    def corrupt(
        self, cycle: CycleSound, level: float, noise_class: str, generator: Generator
    ) -> Float[ndarray, " sample"]:
        """Add the noise, without what lies above the cycle's band."""
        noise = self.noise(cycle, noise_class, generator)
        if cycle.band < self.sample_rate / 2:
            noise = apply_gain(noise, self.sample_rate, lambda f: np.clip((cycle.band - f) / (EDGE * cycle.band), 0, 1))
        return mix_at_snr(cycle.waveform, noise, level)


def mix_at_snr(
    waveform: Float[ndarray, " sample"], noise: Float[ndarray, " sample"], snr_db: float
) -> Float[ndarray, " sample"]:
    """Add noise so that the powers of the two, each about its own mean, have the wanted ratio.

    A constant offset, which some stethoscopes record, is no sound and counts for neither. A silent cycle, or silent
    noise, has no ratio, and the cycle is left as it is.

    >>> mixed = mix_at_snr(np.float32([1, -1, 1, -1]), np.float32([3, 3, -3, -3]), 0.0)
    >>> mixed.tolist()
    [2.0, 0.0, 0.0, -2.0]
    """
    signal_power, noise_power = (float(np.var(each, dtype=np.float64)) for each in (waveform, noise))
    if not (signal_power and noise_power):
        return waveform
    gain = (signal_power / noise_power * 10 ** (-snr_db / 10)) ** 0.5
    return (waveform + gain * (noise - noise.mean(dtype=np.float64))).astype(np.float32)


def noise_generator(noise_seed: int, corruption: str, noise_class: str, cycle_id: str) -> Generator:
    """A generator whose stream depends on these alone: every network is tested on the same noisy cycles."""
    digest = hashlib.sha256(repr((noise_seed, corruption, noise_class, cycle_id)).encode()).digest()
    return np.random.default_rng(list(digest))
