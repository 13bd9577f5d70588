"""The network that CycleGuardian looks at a group of 20 frames with; Chu et al. 2025 (arXiv:2502.00734)."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone

CHANNELS = (1, 2, 4, 8, 16)
"""Channels of the layers by the first one's."""


def layer(n_in: int, n_out: int, **shape: Any) -> nn.Sequential:
    """A convolution with batch normalisation and ReLU."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, **shape), nn.BatchNorm2d(n_out), nn.ReLU())


@backbones.register("group_cnn")
class GroupCnn(AbstractBackbone):
    """Five convolutions over bands and time of one group of frames, and a linear layer over all that they leave.

    Bands of several channels lie side by side in the input. Other sizes than the group's, of which nothing is
    published, are brought to it by means over the last map.
    """

    tiny: ClassVar[Mapping[str, Any]] = {"width": 4, "n_features": 64}

    def __init__(
        self, *, width: int = 16, n_features: int = 1024, n_channels: int = 3, n_mels: int = 84, n_frames: int = 20
    ) -> None:
        super().__init__()
        widths = [width * factor for factor in CHANNELS]
        self.n_parts, self.n_features = n_channels, n_features
        self.layers = nn.Sequential(
            layer(n_channels, widths[0], kernel_size=1),
            layer(widths[0], widths[1], kernel_size=3, stride=2),
            layer(widths[1], widths[2], kernel_size=1),
            layer(widths[2], widths[3], kernel_size=3, stride=2),
            layer(widths[3], widths[4], kernel_size=3, stride=2, padding=1, padding_mode="circular"),
        )
        self.map_size = (_map_length(n_mels), _map_length(n_frames))
        self.project = nn.Linear(widths[-1] * self.map_size[0] * self.map_size[1], n_features)
        self.norm = nn.BatchNorm1d(n_features)

    @staticmethod
    def front_end() -> FrontEnd:
        """Constant-Q, gammatone and mel bands, 84 each, of 22 kHz (METHODS A19)."""
        return FrontEnd(
            sample_rate=22_000,
            n_mels=84,
            frame_length_ms=1000 / 22,
            frame_shift_ms=256 / 22,
            n_fft=1024,
            f_min=32.7,
            f_max=3_000.0,
            pre_emphasis=0.0,
            framing="centred",
            log_offset=1e-10,
            channels=("constant-q", "gammatone", "mel"),
            mean=-6.0,
            scale=6.0,
        )

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each group, or each cycle."""
        image = log_mel.unflatten(-1, (self.n_parts, -1)).permute(0, 2, 3, 1)
        found = self.layers(image.clone(memory_format=torch.channels_last))
        if found.shape[2:] != self.map_size:
            found = functional.adaptive_avg_pool2d(found, self.map_size)
        return self.norm(self.project(found.flatten(1))).relu()


def _map_length(length: int) -> int:
    """What the strides leave of so many bands or frames.

    >>> _map_length(84), _map_length(20)
    (10, 2)
    """
    for padding in (0, 0, 1):
        length = (length + 2 * padding - 3) // 2 + 1
    return length
