"""What every backbone is."""

import abc

from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.audio.frontend import FrontEnd


class AbstractBackbone(nn.Module):
    """A network from log-mel frames to one feature vector a cycle.

    A final class takes its options as keyword arguments with defaults, so that a recipe can name them.
    """

    n_features: int
    """Length of the feature vector."""

    @staticmethod
    @abc.abstractmethod
    def front_end() -> FrontEnd:
        """The features that this network was made for: sample rate, filter bank, standardisation."""

    @abc.abstractmethod
    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
