"""What a classifier promises to everything that uses one."""

import abc
from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.crop import Crop


@dataclass(frozen=True, order=True)
class Stretch:
    """A part of a recording, from `start` to `end` (seconds): one breath, one event, or one window."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


class AbstractClassifier(abc.ABC):
    """A trained network with its front-end: cropped waveforms in, logits out.

    One object may be used by several threads at once.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What the network is, in a word: the recipe's name, or the file's."""

    @property
    @abc.abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits, the normal one first."""

    @property
    @abc.abstractmethod
    def sample_rate(self) -> int:
        """Of the waveforms that `logits` takes, in hertz."""

    @property
    @abc.abstractmethod
    def crop(self) -> Crop:
        """How a stretch of a recording becomes a waveform of fixed length."""

    @property
    def duration(self) -> float:
        """Length of a cropped waveform in seconds."""
        return self.crop.duration

    @property
    @abc.abstractmethod
    def temperature(self) -> float:
        """What logits are divided by before the softmax, fitted on validation patients; 1 where nothing was fitted."""

    @property
    @abc.abstractmethod
    def thresholds(self) -> dict[str, float]:
        """Per class, the probability from which it is decided, as fitted; a class that is missing needs none."""

    @property
    @abc.abstractmethod
    def notes(self) -> dict[str, str]:
        """Provenance, as text: what the network was trained on, and its model card's line."""

    @abc.abstractmethod
    def logits(self, waveforms: Float[ndarray, "cycle sample"]) -> Float[ndarray, "cycle class"]:
        """Logits of cropped waveforms: float32 in [-1, 1], `crop.n_samples(sample_rate)` samples each."""
