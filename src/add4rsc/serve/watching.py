"""A classifier that tells how far it is, and stops when it is told to."""

from collections.abc import Callable

from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.crop import Crop
from add4rsc.inference._base import AbstractClassifier


class Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """Whoever asked for the result does not want it any more."""


class WatchedClassifier(AbstractClassifier):
    """Another classifier, watched at every pass of its network.

    Args:
        classifier: that does the work.
        watch: told the number of cycles of each pass before it begins; it may raise `Cancelled`.
    """

    def __init__(self, classifier: AbstractClassifier, watch: Callable[[int], object]) -> None:
        self._classifier, self._watch = classifier, watch

    @property
    def name(self) -> str:
        """As the other's."""
        return self._classifier.name

    @property
    def classes(self) -> tuple[str, ...]:
        """As the other's."""
        return self._classifier.classes

    @property
    def sample_rate(self) -> int:
        """As the other's."""
        return self._classifier.sample_rate

    @property
    def crop(self) -> Crop:
        """As the other's."""
        return self._classifier.crop

    @property
    def temperature(self) -> float:
        """As the other's."""
        return self._classifier.temperature

    @property
    def thresholds(self) -> dict[str, float]:
        """As the other's."""
        return self._classifier.thresholds

    @property
    def notes(self) -> dict[str, str]:
        """As the other's."""
        return self._classifier.notes

    def logits(self, waveforms: Float[ndarray, "cycle sample"]) -> Float[ndarray, "cycle class"]:
        """The other's, of cropped waveforms.

        Raises:
            Cancelled: if the watcher does not want them any more.
        """
        self._watch(len(waveforms))
        return self._classifier.logits(waveforms)
