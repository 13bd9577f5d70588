"""ResNeSt for one input channel: residual networks whose 3x3 convolutions are weighed by split attention.

Zhang et al. 2020 (arXiv:2004.08955): radix 2, cardinality 1, a deep stem, and average pooling wherever the picture
shrinks. Parameters are named as in the published checkpoints.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone, Converter, State

RADIX = 2
"""R: the splits of a feature map that compete for each channel."""

REDUCTION = 4
"""By which the attention narrows; but never below `LEAST_INNER` channels."""

LEAST_INNER = 32


def convert_resnest(state: State) -> State | None:
    """A published checkpoint without its classifier; the kernels of red, green and blue are summed."""
    if "layer1.0.conv2.fc1.weight" not in state:
        return None
    converted = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    if "conv1.0.weight" in converted:
        converted["conv1.0.weight"] = converted["conv1.0.weight"].sum(dim=1, keepdim=True)
    return converted


class SplitAttentionConvolution(nn.Module):
    """A grouped 3x3 convolution to R splits, and their mean with weights that a softmax over them gives each channel.

    Zhang et al. 2020, Eq. (1)-(2) for one cardinal group; the splits lie one after another along the channels.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        n_inner = max(n_in * RADIX // REDUCTION, LEAST_INNER)
        self.conv = nn.Conv2d(n_in, n_out * RADIX, 3, padding=1, groups=RADIX, bias=False)
        self.bn0 = nn.BatchNorm2d(n_out * RADIX)
        self.fc1 = nn.Conv2d(n_out, n_inner, 1)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.fc2 = nn.Conv2d(n_inner, n_out * RADIX, 1)

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch out time mel"]:
        """Return the weighed sum of the splits."""
        splits = self.bn0(self.conv(image)).relu().unflatten(1, (RADIX, -1))
        pooled = splits.sum(dim=1).mean(dim=(2, 3), keepdim=True)
        logits = self.fc2(self._normalise(self.fc1(pooled)).relu()).unflatten(1, (RADIX, -1))
        return (logits.softmax(dim=1) * splits).sum(dim=1)

    def _normalise(self, pooled: Float[Tensor, "batch inner 1 1"]) -> Float[Tensor, "batch inner 1 1"]:
        """Normalise over the batch; of a single cycle, which has no variance, nothing but the bias is left."""
        if self.training and len(pooled) == 1:
            return self.bn1(pooled.expand(2, -1, -1, -1))[:1]
        return self.bn1(pooled)


class SplitAttentionBottleneck(nn.Module):
    """Split attention between two 1x1 convolutions, beside a shortcut; where the picture shrinks, it is pooled."""

    expansion = 4

    def __init__(self, n_in: int, n_inner: int, stride: int) -> None:
        super().__init__()
        n_out = self.expansion * n_inner
        self.conv1 = nn.Conv2d(n_in, n_inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.conv2 = SplitAttentionConvolution(n_inner, n_inner)
        self.avd_layer = nn.AvgPool2d(3, stride, padding=1) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(n_inner, n_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.downsample = pooled_shortcut(n_in, n_out, stride)

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch out time2 mel2"]:
        """Return the block's output."""
        hidden = self.conv2(self.bn1(self.conv1(image)).relu())
        return (self.bn3(self.conv3(self.avd_layer(hidden))) + self.downsample(image)).relu()


def pooled_shortcut(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    """The identity where the shape stays, else an average over what the stride skips and a 1x1 convolution."""
    if stride == 1 and n_in == n_out:
        return nn.Sequential()
    return nn.Sequential(
        nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
        nn.Conv2d(n_in, n_out, 1, bias=False),
        nn.BatchNorm2d(n_out),
    )


def deep_stem(width: int) -> nn.Sequential:
    """Three 3x3 convolutions in place of one of 7x7; what normalises the last one is named outside."""
    half = width // 2
    return nn.Sequential(
        nn.Conv2d(1, half, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, half, 3, padding=1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
        nn.Conv2d(half, width, 3, padding=1, bias=False),
    )


@backbones.register("resnest50")
class ResNeSt50(AbstractBackbone):
    """ResNeSt-50 with one input channel; 2048 features.

    The image has time along its first axis, as for the other residual networks.

    Args:
        width: channels behind the stem; those of the stages follow it.
        n_blocks: in each of the four stages; `(1, 1, 1, 1)` is ResNeSt-14.
    """

    forms: ClassVar[Mapping[str, Converter]] = {"resnest": convert_resnest}
    tiny: ClassVar[Mapping[str, Any]] = {"width": 8, "n_blocks": (1, 1, 1, 1)}

    def __init__(self, *, width: int = 64, n_blocks: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.conv1 = deep_stem(width)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.n_features = width
        self.layer1 = self._stage(width, n_blocks[0], stride=1)
        self.layer2 = self._stage(2 * width, n_blocks[1], stride=2)
        self.layer3 = self._stage(4 * width, n_blocks[2], stride=2)
        self.layer4 = self._stage(8 * width, n_blocks[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, n_inner: int, n_blocks: int, stride: int) -> nn.Sequential:
        n_in, self.n_features = self.n_features, SplitAttentionBottleneck.expansion * n_inner
        first = SplitAttentionBottleneck(n_in, n_inner, stride)
        others = (SplitAttentionBottleneck(self.n_features, n_inner, 1) for _ in range(n_blocks - 1))
        return nn.Sequential(first, *others)

    @staticmethod
    def front_end() -> FrontEnd:
        """The AST's features, as for the other residual networks."""
        return FrontEnd()

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        image = log_mel[:, None].clone(memory_format=torch.channels_last)
        image = self.maxpool(self.bn1(self.conv1(image)).relu())
        return self.layer4(self.layer3(self.layer2(self.layer1(image)))).mean(dim=(2, 3))
