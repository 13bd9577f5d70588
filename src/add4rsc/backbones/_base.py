"""What every backbone is."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.audio.frontend import FrontEnd

State = dict[str, Tensor]
"""A network's tensors by their names."""

Converter = Callable[[State], State | None]
"""Renames a published checkpoint's tensors to ours and drops its classifier; None if it is of another kind."""


class AbstractBackbone(nn.Module):
    """A network from log-mel frames to one feature vector a cycle.

    A final class takes its options as keyword arguments with defaults, so that a recipe can name them.
    """

    n_features: int
    """Length of the feature vector."""

    forms: ClassVar[Mapping[str, Converter]] = {}
    """The published forms of its checkpoints; each converter leaves a checkpoint that is in our names as it is."""

    tiny: ClassVar[Mapping[str, Any]] = {}
    """Options that make a small network of the same code, for tests."""

    resizers: Mapping[str, Callable[[Tensor], Tensor]] = {}
    """Pretrained tensors whose shape follows the options: how to bring each to the shape of this network."""

    @staticmethod
    @abc.abstractmethod
    def front_end() -> FrontEnd:
        """The features that this network was made for: sample rate, filter bank, standardisation."""

    @abc.abstractmethod
    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""


class AbstractPatchBackbone(AbstractBackbone):
    """A backbone that cuts the spectrogram into patches first, which a method may change before it goes on."""

    patch_embed: nn.Module
    """Log-mel frames -> patches on their grid, `batch dim mel_patch time_patch`."""

    @abc.abstractmethod
    def encode(self, patches: Float[Tensor, "batch dim mel_patch time_patch"]) -> Float[Tensor, "batch feature"]:
        """Summarise patches that `patch_embed` has made, and that a method may have changed since."""
