"""A small convolutional network of our own, for the demonstration and for tests; it has no published weights."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone, AdaptablePart

CHANNELS = (16, 32, 48, 64)


def block(n_in: int, n_out: int) -> nn.Sequential:
    """A 3x3 convolution, batch normalisation, ReLU, and the mean of 2x2."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
        nn.AvgPool2d(2, ceil_mode=True),
    )


@backbones.register("small_cnn")
class SmallCnn(AbstractBackbone):
    """Four convolutional blocks; the features are the mean and the maximum over time of the mean over mel."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*map(block, (1, *CHANNELS[:-1]), CHANNELS))
        self.n_features = 2 * CHANNELS[-1]
        self.adaptable: Mapping[str, AdaptablePart] = {
            f"blocks.{index}": AdaptablePart("convolution", n) for index, n in enumerate(CHANNELS)
        }

    @staticmethod
    def front_end() -> FrontEnd:
        """Frames of 32 ms at 8 kHz."""
        return FrontEnd(
            sample_rate=8_000,
            n_mels=64,
            frame_length_ms=32.0,
            frame_shift_ms=16.0,
            n_fft=256,
            f_min=50.0,
            f_max=4_000.0,
            pre_emphasis=0.97,
            log_offset=1e-8,
            mean=-13.0,
            scale=4.0,
        )

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        frames = self.blocks(log_mel.mT[:, None]).mean(dim=2)
        return torch.cat([frames.mean(dim=2), frames.amax(dim=2)], dim=1)
