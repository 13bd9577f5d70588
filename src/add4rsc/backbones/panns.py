"""PANNs: convolutional networks that learnt AudioSet's 527 tags.

Kong et al., IEEE/ACM TASLP 2020 (arXiv:1912.10211), Table I. Parameters are named as in the published checkpoints.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone, Converter, State

LEFT_OUT = ("spectrogram_extractor.", "logmel_extractor.", "fc_audioset.")
"""What a checkpoint has beside the network: its front-end, and the layer of the tags."""

NATS_PER_DB = math.log(10) / 10


def convert_panns(state: State) -> State | None:
    """A published checkpoint without its front-end and its layer of 527 tags."""
    if "conv_block1.conv1.weight" not in state:
        return None
    return {name: tensor for name, tensor in state.items() if not name.startswith(LEFT_OUT)}


class WideBlock(nn.Module):
    """One 5x5 convolution, batch normalisation and ReLU."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch out time mel"]:
        """Return the block's output, before it is pooled."""
        return self.bn1(self.conv1(image)).relu()


class DoubleBlock(nn.Module):
    """Two 3x3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch out time mel"]:
        """Return the block's output, before it is pooled."""
        return self.bn2(self.conv2(self.bn1(self.conv1(image)).relu())).relu()


class AbstractPanns(AbstractBackbone):
    """What these networks share: blocks with the mean of 2x2 after each, and both the mean and the maximum over time.

    The code of SCL (Moummad and Farrugia 2023) drops both ends of a network, `input_norm` and `embedding`, and shows it
    spectrograms with mel and time exchanged, which is `exchanged_axes`; the published weights have seen none such.
    """

    forms: ClassVar[Mapping[str, Converter]] = {"panns": convert_panns}
    tiny: ClassVar[Mapping[str, Any]] = {"width": 8}

    block: ClassVar[type[WideBlock] | type[DoubleBlock]]
    n_blocks: ClassVar[int]
    n_pooled: ClassVar[int]
    """Blocks that are followed by the mean of 2x2."""

    def __init__(
        self,
        *,
        width: int = 64,
        n_mels: int = 64,
        input_norm: bool = True,
        embedding: bool = True,
        exchanged_axes: bool = False,
        dropout: float = 0.2,
        embedding_dropout: float = 0.5,
    ) -> None:
        """Build the network.

        Args:
            width: channels of the first block; each further block has twice as many.
            n_mels: of the front-end, which `input_norm` must know.
            input_norm: standardise every mel band first.
            embedding: end with a linear layer and ReLU.
            exchanged_axes: show it the mel bands where it expects the time.
            dropout: after every block.
            embedding_dropout: before and after the linear layer.
        """
        super().__init__()
        self.bn0 = nn.BatchNorm2d(n_mels) if input_norm else nn.Identity()
        n_channels = (1, *(width * 2**index for index in range(self.n_blocks)))
        for index in range(self.n_blocks):
            block = self.block(n_channels[index], n_channels[index + 1])
            self.add_module(f"conv_block{index + 1}", block)
        self.n_features = n_channels[-1]
        self.has_embedding = embedding
        self.fc1 = nn.Linear(self.n_features, self.n_features) if embedding else nn.Identity()
        self.dropout, self.embedding_dropout = nn.Dropout(dropout), nn.Dropout(embedding_dropout)
        self.exchanged_axes = exchanged_axes
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    @staticmethod
    def front_end() -> FrontEnd:
        """The features that AudioSet was learnt from, in decibels: 32 kHz, 64 bands from 50 Hz to 14 kHz."""
        return FrontEnd(
            sample_rate=32_000,
            n_mels=64,
            frame_length_ms=32.0,
            frame_shift_ms=10.0,
            n_fft=1024,
            f_min=50.0,
            f_max=14_000.0,
            pre_emphasis=0.0,
            framing="centred",
            log_offset=1e-10,
            mel_scale="slaney",
            mean=0.0,
            scale=NATS_PER_DB,
        )

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        image = self.bn0(log_mel.mT[..., None])[..., 0]
        image = image[:, None] if self.exchanged_axes else image.mT[:, None]
        image = image.clone(memory_format=torch.channels_last)
        for index in range(self.n_blocks):
            image = self.get_submodule(f"conv_block{index + 1}")(image)
            image = functional.avg_pool2d(image, 2) if index < self.n_pooled else image
            image = self.dropout(image)
        frames = image.mean(dim=3)
        features = frames.amax(dim=2) + frames.mean(dim=2)
        if not self.has_embedding:
            return features
        return self.embedding_dropout(self.fc1(self.embedding_dropout(features)).relu())


@backbones.register("panns_cnn6")
class PannsCnn6(AbstractPanns):
    """CNN6: four blocks of one 5x5 convolution; 512 features."""

    block = WideBlock
    n_blocks = 4
    n_pooled = 4


@backbones.register("panns_cnn10")
class PannsCnn10(AbstractPanns):
    """CNN10: four blocks of two 3x3 convolutions; 512 features."""

    block = DoubleBlock
    n_blocks = 4
    n_pooled = 4


@backbones.register("panns_cnn14")
class PannsCnn14(AbstractPanns):
    """CNN14: six blocks of two 3x3 convolutions, the last of which is not pooled; 2048 features."""

    block = DoubleBlock
    n_blocks = 6
    n_pooled = 5
