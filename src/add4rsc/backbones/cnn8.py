"""CNN-8: four blocks of two convolutions over log-mel frames and how they change.

Chang et al. 2022 (arXiv:2203.16141) and their released code; the network has no pretrained weights.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractMapBackbone

N_BLOCKS = 4


def differences(frames: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch time mel"]:
    """What follows a frame less the frame itself; 0 for the last.

    >>> differences(torch.tensor([[[1.0], [3.0], [2.0]]])).flatten().tolist()
    [2.0, -1.0, 0.0]
    """
    return functional.pad(frames[:, 1:] - frames[:, :-1], (0, 0, 0, 1))


class Block(nn.Module):
    """Two convolutions with batch normalisation, the maximum of 2x2, and dropout."""

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        shape = {"kernel_size": kernel, "padding": kernel // 2 * dilation, "dilation": dilation, "bias": False}
        self.conv1 = nn.Conv2d(n_in, n_out, **shape)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, **shape)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.dropout = nn.Dropout(dropout)
        for convolution in (self.conv1, self.conv2):
            nn.init.xavier_uniform_(convolution.weight)

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch out time2 mel2"]:
        """Return the block's output, half as long and half as wide."""
        hidden = self.bn1(self.conv1(image)).relu()
        return self.dropout(functional.max_pool2d(self.bn2(self.conv2(hidden)).relu(), 2))


@backbones.register("cnn8")
class Cnn8(AbstractMapBackbone):
    """CNN-8 with 3x3 kernels; `kernel=5, is_dilated=True` is its dilated form, with dilations 1, 2, 4 and 8.

    Its channels are the frames, their differences in time, and the differences of these. The features are the maximum
    over all places (the code's decision-level maximum pooling). Inputs have at least 16 frames and 16 bands.
    """

    tiny: ClassVar[Mapping[str, Any]] = {"width": 8}

    def __init__(
        self, *, width: int = 64, kernel: int = 3, is_dilated: bool = False, n_mels: int = 128, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(n_mels)
        n_channels = (3, *(width * 2**block for block in range(N_BLOCKS)))
        dilations = [2**block if is_dilated else 1 for block in range(N_BLOCKS)]
        self.blocks = nn.Sequential(
            *(
                Block(n_in, n_out, kernel, dilation, dropout)
                for n_in, n_out, dilation in zip(n_channels[:-1], n_channels[1:], dilations, strict=True)
            )
        )
        self.n_features = n_channels[-1]

    @staticmethod
    def front_end() -> FrontEnd:
        """4 kHz, frames of 64 ms every 32 ms, and a band pass from 100 to 1800 Hz (METHODS A6)."""
        return FrontEnd(
            sample_rate=4_000,
            n_mels=128,
            frame_length_ms=64.0,
            frame_shift_ms=32.0,
            n_fft=256,
            f_min=20.0,
            f_max=2_000.0,
            pre_emphasis=0.0,
            framing="centred",
            log_offset=1e-10,
            mel_scale="slaney",
            band_pass=(100.0, 1_800.0),
            mean=-13.0,
            scale=4.0,
        )

    def feature_map(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature row column"]:
        """The features of every place, a sixteenth as many along time and mel."""
        first = differences(log_mel)
        image = torch.stack([log_mel, first, differences(first)], dim=1)
        image = self.bn0(image.transpose(1, 3)).transpose(1, 3)
        return self.blocks(image.clone(memory_format=torch.channels_last))

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        return self.feature_map(log_mel).amax(dim=(2, 3))
