"""What a decision rests on: how much less likely it gets when a part of the sound is taken away.

After the occlusion of Zeiler and Fergus (2014, arXiv:1311.2901, Section 4.2), in time and frequency. It asks the
network and nothing in it, so that it works for every classifier, without torch.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import signal

from add4rsc.audio.crop import crop_cycle
from add4rsc.audio.io import read_waveform
from add4rsc.inference._base import AbstractClassifier, Stretch
from add4rsc.inference.calibration import to_probabilities

N_SLICES = 8
"""Equal parts of a cycle in time."""
BAND_EDGES = (0.0, 150.0, 300.0, 600.0, 1200.0, 2400.0)
"""Hertz; the last band is open."""
ATTENUATION = 10 ** (-30 / 20)
"""What is left of a part's amplitude: silence would be a sound that no recording has."""
WINDOW = 0.064
"""Seconds of the short-time spectra, as those that are shown."""


@dataclass(frozen=True)
class Occlusion:
    """The weights of one cycle's parts."""

    stretch: Stretch
    probability: float
    """Of the most likely class, with nothing taken away."""
    weights: Float[ndarray, "slice band"]
    """How much that probability falls without the part; 0 where it does not fall."""

    def at(self, times: Float[ndarray, " frame"], hertz: Float[ndarray, " mel"]) -> Float[ndarray, "frame mel"]:
        """The weights at some places of a picture; 0 outside of the cycle."""
        place = (times - self.stretch.start) / self.stretch.duration
        rows = np.clip((place * len(self.weights)).astype(int), 0, len(self.weights) - 1)
        columns = np.searchsorted(BAND_EDGES, hertz, side="right") - 1
        return np.where(((place >= 0) & (place < 1))[:, None], self.weights[rows][:, columns], 0.0)


def occlude(classifier: AbstractClassifier, path: Path, stretch: Stretch) -> Occlusion:
    """Take every part of a cycle away in turn.

    Args:
        classifier: any.
        path: the recording.
        stretch: the cycle.

    Raises:
        AudioError: if the recording cannot be read there.
    """
    cycle = read_waveform(path, classifier.sample_rate, stretch.start, stretch.end)
    sounds = [cycle, *(cycle - (1 - ATTENUATION) * part for part in _parts(cycle, classifier.sample_rate))]
    whole = (len(cycle) + 0.5) / classifier.sample_rate
    waveforms = np.stack([crop_cycle(each, classifier.sample_rate, 0.0, whole, classifier.crop) for each in sounds])
    chances = to_probabilities(classifier.logits(waveforms.astype(np.float32)), classifier.temperature)
    decided = int(chances[0].argmax())
    falls = np.maximum(chances[0, decided] - chances[1:, decided], 0.0)
    return Occlusion(stretch, float(chances[0, decided]), falls.reshape(N_SLICES, len(BAND_EDGES)))


def _parts(cycle: Float[ndarray, " sample"], sample_rate: int) -> list[Float[ndarray, " sample"]]:
    """What each slice and band adds to the sound; together they are the sound."""
    n_window = min(len(cycle), max(4, 2 * round(WINDOW * sample_rate / 2)))
    frequencies, times, spectrum = signal.stft(cycle, sample_rate, nperseg=n_window)
    slices = np.minimum((times / (len(cycle) / sample_rate) * N_SLICES).astype(int), N_SLICES - 1)
    bands = np.searchsorted(BAND_EDGES, frequencies, side="right") - 1
    parts = []
    for index in range(N_SLICES):
        for band in range(len(BAND_EDGES)):
            kept = np.where((bands == band)[:, None] & (slices == index)[None], spectrum, 0)
            part = signal.istft(kept, sample_rate, nperseg=n_window)[1][: len(cycle)]
            parts.append(np.pad(part, (0, len(cycle) - len(part))).astype(np.float32))
    return parts
