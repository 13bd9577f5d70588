"""What a classifier promises to everything that uses one."""

import abc
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float
from numpy import ndarray
from pydantic import Field

from add4rsc.audio.crop import Crop
from add4rsc.terms import Settings


@dataclass(frozen=True, order=True)
class Stretch:
    """A part of a recording, from `start` to `end` (seconds): one breath, one event, or one window."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


class MelFrames(Settings):
    """Where the log-mel frames of a network lie, in time and in frequency; what `FrontEnd` says to those with torch."""

    sample_rate: int = Field(gt=0)
    """Of the waveforms that frames are cut from, in hertz."""
    frame_shift: int = Field(gt=0)
    """Samples from one frame to the next."""
    first_centre: int = Field(ge=0)
    """Sample in the middle of a waveform's first frame."""
    n_mels: int = Field(gt=0)
    f_min: float = Field(ge=0)
    f_max: float = Field(gt=0)
    """Edges of the lowest and of the highest mel band in hertz."""


class FilteredFrames(NamedTuple):
    """Natural logarithms of mel energies, before and after the first filter of an ADD layer."""

    log_mel: Float[ndarray, "cycle time mel"]
    filtered: Float[ndarray, "cycle time mel"]


class AbstractMelFilter(abc.ABC):
    """The first stage of a network's ADD layer, to be looked at. Several threads may use one object at once."""

    @property
    @abc.abstractmethod
    def frames(self) -> MelFrames:
        """Where its frames lie."""

    @abc.abstractmethod
    def apply(self, waveforms: Float[ndarray, "cycle sample"]) -> FilteredFrames:
        """Frames of cropped waveforms, as `AbstractClassifier.logits` takes them, before and after the filter."""


class AbstractClassifier(abc.ABC):
    """A trained network with its front-end: cropped waveforms in, logits out.

    One object may be used by several threads at once.
    """

    mel_filter: AbstractMelFilter | None = None
    """The first stage of its ADD layer; None where the network has none, or its file does not give it."""

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
