"""EfficientAT's MobileNetV3: small convolutional networks that learnt AudioSet from transformers.

Schmid, Koutini, Widmer, ICASSP 2023 (arXiv:2211.04772); layers of MobileNetV3-Large, Howard et al. 2019
(arXiv:1905.02244), Table 1. Parameters are named as in the published checkpoints.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractSourceBackbone, AdaptablePart, Converter, State


class Stage(NamedTuple):
    """One inverted residual block at width 1."""

    kernel: int
    n_expanded: int
    n_out: int
    squeezes: bool
    activation: type[nn.Module]
    stride: int


FIRST_CHANNELS, HEAD_CHANNELS = 16, 1280
N_AUDIOSET_TAGS = 527
STAGES = (
    Stage(3, 16, 16, False, nn.ReLU, 1),
    Stage(3, 64, 24, False, nn.ReLU, 2),
    Stage(3, 72, 24, False, nn.ReLU, 1),
    Stage(5, 72, 40, True, nn.ReLU, 2),
    Stage(5, 120, 40, True, nn.ReLU, 1),
    Stage(5, 120, 40, True, nn.ReLU, 1),
    Stage(3, 240, 80, False, nn.Hardswish, 2),
    Stage(3, 200, 80, False, nn.Hardswish, 1),
    Stage(3, 184, 80, False, nn.Hardswish, 1),
    Stage(3, 184, 80, False, nn.Hardswish, 1),
    Stage(3, 480, 112, True, nn.Hardswish, 1),
    Stage(3, 672, 112, True, nn.Hardswish, 1),
    Stage(5, 672, 160, True, nn.Hardswish, 2),
    Stage(5, 960, 160, True, nn.Hardswish, 1),
    Stage(5, 960, 160, True, nn.Hardswish, 1),
)


def round_channels(n_channels: float) -> int:
    """The nearest multiple of 8 that is at least 8 and at least 90 % of the number.

    >>> [round_channels(n) for n in (6.4, 44.8, 268.8)]
    [8, 48, 272]
    """
    rounded = max(8, int(n_channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * n_channels else rounded + 8


def convolution(
    n_in: int, n_out: int, kernel: int, activation: type[nn.Module] | None, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution without bias, batch normalisation, and an activation where there is one."""
    layers = [
        nn.Conv2d(n_in, n_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([activation()] if activation is not None else []))


class SqueezeExcitation(nn.Module):
    """Scale channels by a gate that is computed from their means over time and frequency."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        n_squeezed = round_channels(n_channels / 4)
        self.fc1 = nn.Linear(n_channels, n_squeezed)
        self.fc2 = nn.Linear(n_squeezed, n_channels)

    def forward(self, image: Float[Tensor, "batch channel mel time"]) -> Float[Tensor, "batch channel mel time"]:
        """Return the scaled channels."""
        gate = self.fc2(self.fc1(image.mean(dim=(2, 3))).relu()).sigmoid()
        return image * gate[:, :, None, None]


class ConcurrentSqueezeExcitation(nn.Module):
    """EfficientAT's list of squeeze-and-excitation layers, of which the published networks have one, over channels."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([SqueezeExcitation(n_channels)])

    def forward(self, image: Float[Tensor, "batch channel mel time"]) -> Float[Tensor, "batch channel mel time"]:
        """Return the scaled channels."""
        return self.conc_se_layers[0](image)


class InvertedResidual(nn.Module):
    """Widen, filter each channel, squeeze and excite, narrow; the input is added where the shape allows it."""

    def __init__(self, n_in: int, stage: Stage, width: float) -> None:
        super().__init__()
        n_expanded, n_out = round_channels(stage.n_expanded * width), round_channels(stage.n_out * width)
        self.adds_input = stage.stride == 1 and n_in == n_out
        layers = [convolution(n_in, n_expanded, 1, stage.activation)] if n_expanded != n_in else []
        layers.append(convolution(n_expanded, n_expanded, stage.kernel, stage.activation, stage.stride, n_expanded))
        layers += [ConcurrentSqueezeExcitation(n_expanded)] if stage.squeezes else []
        self.block = nn.Sequential(*layers, convolution(n_expanded, n_out, 1, None))

    def forward(self, image: Float[Tensor, "batch channel mel time"]) -> Float[Tensor, "batch out mel2 time2"]:
        """Return the block's output."""
        return image + self.block(image) if self.adds_input else self.block(image)


def convert_efficientat(state: State) -> State | None:
    """The published checkpoint without its layer of 527 AudioSet tags."""
    if "features.1.block.0.0.weight" not in state:
        return None
    return {name: tensor for name, tensor in state.items() if not name.startswith("classifier.5.")}


@backbones.register("mn04")
class MobileNet(AbstractSourceBackbone):
    """MobileNetV3-Large for one input channel, 0.4 times as wide; 713,248 parameters, 512 features.

    The features are those of the hidden layer of EfficientAT's classifier. Inputs may have any length.
    """

    forms: ClassVar[Mapping[str, Converter]] = {"efficientat": convert_efficientat}
    source_heads: ClassVar[Mapping[str, str]] = {"efficientat": "classifier.5"}
    tiny: ClassVar[Mapping[str, Any]] = {"width": 0.1}

    def __init__(self, *, width: float = 0.4, dropout: float = 0.2, source_head: bool = False) -> None:
        super().__init__()
        n_channels = [round_channels(width * n) for n in (FIRST_CHANNELS, *(stage.n_out for stage in STAGES))]
        n_last = 6 * n_channels[-1]
        blocks = map(partial(InvertedResidual, width=width), n_channels, STAGES)
        self.features = nn.Sequential(
            convolution(1, n_channels[0], 3, nn.Hardswish, stride=2),
            *blocks,
            convolution(n_channels[-1], n_last, 1, nn.Hardswish),
        )
        self.n_features = round_channels(width * HEAD_CHANNELS)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(n_last, self.n_features),
            nn.Hardswish(),
            nn.Dropout(dropout),
        )
        self.source_head = nn.Linear(self.n_features, N_AUDIOSET_TAGS) if source_head else None

        self.adaptable: Mapping[str, AdaptablePart] = {
            f"features.{index}": AdaptablePart("convolution", n_channels[index]) for index in range(1, len(n_channels))
        }
        self._initialise()

    @staticmethod
    def front_end() -> FrontEnd:
        """EfficientAT's features. Its training drew the upper edge from 14 to 16 kHz; its evaluation takes 15 kHz."""
        return FrontEnd(
            sample_rate=32_000,
            n_mels=128,
            frame_length_ms=25.0,
            frame_shift_ms=10.0,
            n_fft=1024,
            f_min=0.0,
            f_max=16_000.0,
            pre_emphasis=0.97,
            framing="centred",
            log_offset=1e-5,
            mean=-4.5,
            scale=5.0,
        )

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        image = log_mel.mT[:, None].clone(memory_format=torch.channels_last)  # 1.6 times as fast to train on a CPU
        return self.classifier(self.features(image))

    def _initialise(self) -> None:
        """EfficientAT's initial values, for training without its weights."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
