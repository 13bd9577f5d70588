"""Made heart sounds."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import AdditiveNoise, CycleSound

BEATS_A_MINUTE = (60.0, 140.0)
SYSTOLE = 0.32
"""Seconds from the first to the second sound at 60 beats a minute; it shortens with the root of the beat's length."""
UNSTEADINESS = 0.03
"""Standard deviation of a beat's length, as a share."""
FIRST, SECOND = (0.030, 30.0, 80.0), (0.020, 45.0, 120.0)
"""Half width in seconds, and the lowest and highest pitch in hertz, of the two sounds: most of the first one's energy
lies at 30 to 80 Hz, the second one is shorter and higher."""
N_TONES = 3


@corruptions.register("heart")
class HeartSounds(AdditiveNoise):
    """Made heart sounds: a first and a second burst a beat, 60 to 140 beats a minute."""

    def noise(self, cycle: CycleSound, noise_class: str, generator: Generator) -> Float[ndarray, " sample"]:  # noqa: ARG002
        """The beats of one heart, at least one of them in the cycle."""
        duration = len(cycle.waveform) / self.sample_rate
        beat = 60.0 / generator.uniform(*BEATS_A_MINUTE)
        systole = SYSTOLE * beat**0.5
        voices = [_voice(shape, generator) for shape in (FIRST, SECOND)]
        second_loudness = generator.uniform(0.4, 0.9)
        sound = np.zeros(len(cycle.waveform), dtype=np.float32)
        for onset in _beats(duration, beat, generator):
            self._add(sound, onset, voices[0], generator.uniform(0.9, 1.1))
            self._add(sound, onset + systole, voices[1], second_loudness * generator.uniform(0.9, 1.1))
        return sound

    def _add(self, sound: Float[ndarray, " sample"], centre: float, voice: "Voice", loudness: float) -> None:
        """Add one burst where it lies inside."""
        width, tones = voice
        first, last = (round((centre + side * 4 * width) * self.sample_rate) for side in (-1, 1))
        inside = slice(max(first, 0), min(max(last, 0), len(sound)))
        time = np.arange(inside.start, inside.stop) / self.sample_rate - centre
        waves = sum(part * np.sin(2 * np.pi * pitch * time + phase) for pitch, part, phase in tones)
        sound[inside] += (loudness * np.exp(-((time / width) ** 2)) * waves).astype(np.float32)


Voice = tuple[float, list[tuple[float, float, float]]]
"""Half width of a burst in seconds, and pitch, loudness and phase of its tones."""


def _voice(shape: tuple[float, float, float], generator: Generator) -> Voice:
    width, low, high = shape
    tones = [
        (
            float(generator.uniform(low, high)),
            float(generator.uniform(0.5, 1.0)),
            float(generator.uniform(0, 2 * np.pi)),
        )
        for _ in range(N_TONES)
    ]
    return width * float(generator.uniform(0.8, 1.2)), tones


def _beats(duration: float, beat: float, generator: Generator) -> list[float]:
    """Times of the first sounds: one of them anywhere in the cycle, the others before and behind it."""
    anchor = float(generator.uniform(0, duration))
    behind, before = [anchor], []
    while behind[-1] < duration:
        behind.append(behind[-1] + beat * (1 + UNSTEADINESS * float(generator.standard_normal())))
    time = anchor
    while time > -beat:
        time -= beat * (1 + UNSTEADINESS * float(generator.standard_normal()))
        before.append(time)
    return [*before, *behind]
