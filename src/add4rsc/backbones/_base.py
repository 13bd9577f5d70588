"""What every backbone is."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from jaxtyping import Float, Int
from torch import Tensor, nn

from add4rsc.audio.frontend import FrontEnd

State = dict[str, Tensor]
"""A network's tensors by their names."""

Converter = Callable[[State], State | None]
"""Renames a published checkpoint's tensors to ours and drops its classifier; None if it is of another kind."""


class AdaptablePart(NamedTuple):
    """A part of a network whose output an adapter may change."""

    role: Literal["attention", "feed-forward", "convolution"]
    n_channels: int
    """Of its output: along the last axis, or along the second for a convolution; of its input too but for that one."""


class AbstractBackbone(nn.Module):
    """A network from log-mel frames to one feature vector a cycle.

    A final class takes its options as keyword arguments with defaults, so that a recipe can name them.
    """

    n_features: int
    """Length of the feature vector."""

    n_channels: int = 1
    """Channels of the input; with more than one it is `batch channel time mel`."""

    forms: ClassVar[Mapping[str, Converter]] = {}
    """The published forms of its checkpoints; each converter leaves a checkpoint that is in our names as it is."""

    tiny: ClassVar[Mapping[str, Any]] = {}
    """Options that make a small network of the same code, for tests."""

    resizers: Mapping[str, Callable[[Tensor], Tensor]] = {}
    """Pretrained tensors whose shape follows the options: how to bring each to the shape of this network."""

    adaptable: Mapping[str, AdaptablePart] = {}
    """Its parts that adapters can stand beside, by the names of the modules; none where it is not made for them."""

    @staticmethod
    @abc.abstractmethod
    def front_end() -> FrontEnd:
        """The features that this network was made for: sample rate, filter bank, standardisation."""

    @abc.abstractmethod
    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""


class AbstractMapBackbone(AbstractBackbone):
    """A convolutional backbone whose last map of features a method may summarise in a way of its own."""

    @abc.abstractmethod
    def feature_map(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature row column"]:
        """The features of every place in the cycle, `n_features` each, before they are summarised."""


class AbstractSourceBackbone(AbstractBackbone):
    """A backbone that can keep the classifier with which it was pretrained.

    Its option `source_head=True` makes a place for it, which pretrained weights must then fill.
    """

    source_heads: ClassVar[Mapping[str, str]]
    """Form of a checkpoint (`forms`) -> what the tensors of the classifier's linear layer begin with there."""

    source_head: nn.Linear | None
    """From features to the logits of the classes of the pretraining; None if the option is off."""


class AbstractPatchBackbone(AbstractBackbone):
    """A backbone that cuts the spectrogram into patches first, which a method may change before it goes on."""

    patch_embed: nn.Module
    """Log-mel frames -> patches on their grid, `batch dim mel_patch time_patch`."""

    n_patch_features: int
    """Length of what a single patch becomes."""

    @abc.abstractmethod
    def encode(self, patches: Float[Tensor, "batch dim mel_patch time_patch"]) -> Float[Tensor, "batch feature"]:
        """Summarise patches that `patch_embed` has made, and that a method may have changed since."""

    @abc.abstractmethod
    def encode_places(
        self, patches: Float[Tensor, "batch dim mel_patch time_patch"], places: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch kept dim"]:
        """What the patches at these places, counted along time first, become where no others are."""


class AbstractRecutBackbone(AbstractPatchBackbone):
    """A patch backbone that can be made again for patches of another shape."""

    @abc.abstractmethod
    def with_patch(self, patch_size: tuple[int, int], *, resizes: bool = True) -> "AbstractRecutBackbone":
        """A copy with patches of so many bands and frames, which do not overlap.

        Args:
            patch_size: bands and frames of a patch.
            resizes: bring the kernel of the patches and the table of positions to their new shapes; without, those
                that would change keep a random start.
        """
