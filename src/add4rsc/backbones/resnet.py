"""Residual networks for one input channel, or for the three of a picture in colours.

He et al., CVPR 2016 (arXiv:1512.03385), with the stride in the 3x3 convolution of a bottleneck. Parameters are named as
in torchvision's checkpoints.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractSourceBackbone, Converter, State

N_IMAGENET_CLASSES = 1000

HUGGING_FACE_NAMES = (
    (r"^resnet\.", ""),
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.convolution\.", r"stage\1.\2.downsample.0."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.normalization\.", r"stage\1.\2.downsample.1."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.convolution\.", r"stage\1.\2.part\3.conv."),
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.(\d+)\.normalization\.", r"stage\1.\2.part\3.bn."),
)
"""Names of transformers to ours, but for the numbers, which begin at 0 there and at 1 here."""


def convert_torchvision(state: State) -> State | None:
    """A checkpoint of torchvision without its classifier."""
    if "layer1.0.conv1.weight" not in state:
        return None
    converted = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    counts = {re.sub("running_mean$", "num_batches_tracked", name) for name in state if name.endswith("running_mean")}
    missing = sorted(counts - converted.keys())  # checkpoints older than the counter lack it
    return converted | {name: torch.zeros((), dtype=torch.int64) for name in missing}


def fit_channels(
    kernels: Float[Tensor, "out channel row column"], n_channels: int
) -> Float[Tensor, "out channel2 row column"]:
    """Kernels for another number of channels: those of all channels summed, and shared out evenly."""
    if kernels.shape[1] == n_channels:
        return kernels
    return kernels.sum(dim=1, keepdim=True).expand(-1, n_channels, -1, -1) / n_channels


def convert_hugging_face(state: State) -> State | None:
    """A checkpoint of transformers."""
    return convert_torchvision({_rename(name): tensor for name, tensor in state.items() if "classifier." not in name})


def _rename(name: str) -> str:
    for pattern, replacement in HUGGING_FACE_NAMES:
        name = re.sub(pattern, replacement, name)
    name = re.sub(r"^stage(\d+)", lambda match: f"layer{int(match[1]) + 1}", name)
    return re.sub(r"part(\d+)\.(conv|bn)", lambda match: f"{match[2]}{int(match[1]) + 1}", name)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, n_in: int, n_inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_inner, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.conv2 = nn.Conv2d(n_inner, n_inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_inner)
        self.downsample = shortcut(n_in, n_inner, stride)

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch out time2 mel2"]:
        """Return the block's output."""
        hidden = self.bn1(self.conv1(image)).relu()
        return (self.bn2(self.conv2(hidden)) + self.downsample(image)).relu()


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions that narrow and widen, beside a shortcut."""

    expansion = 4

    def __init__(self, n_in: int, n_inner: int, stride: int) -> None:
        super().__init__()
        n_out = self.expansion * n_inner
        self.conv1 = nn.Conv2d(n_in, n_inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_inner)
        self.conv2 = nn.Conv2d(n_inner, n_inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_inner)
        self.conv3 = nn.Conv2d(n_inner, n_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.downsample = shortcut(n_in, n_out, stride)

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch out time2 mel2"]:
        """Return the block's output."""
        hidden = self.bn1(self.conv1(image)).relu()
        hidden = self.bn2(self.conv2(hidden)).relu()
        return (self.bn3(self.conv3(hidden)) + self.downsample(image)).relu()


def shortcut(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    """The identity where the shape stays, else a 1x1 convolution."""
    if stride == 1 and n_in == n_out:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))


class AbstractResNet(AbstractSourceBackbone):
    """What residual networks share; the image has time along its first axis, as ADD4RSC and Patch-Mix feed it.

    With `n_channels=3` they take pictures, `batch channel time mel`, and keep the kernels of pretrained weights for
    red, green and blue; with one channel those are summed.
    """

    forms: ClassVar[Mapping[str, Converter]] = {
        "torchvision": convert_torchvision,
        "hugging-face": convert_hugging_face,
    }
    source_heads: ClassVar[Mapping[str, str]] = {"torchvision": "fc", "hugging-face": "classifier.1"}
    tiny: ClassVar[Mapping[str, Any]] = {"width": 16}  # 8: torch 2.13's 1x1 stride-2 gradient writes past its memory

    block: ClassVar[type[BasicBlock] | type[Bottleneck]]
    n_blocks: ClassVar[tuple[int, int, int, int]]

    def __init__(self, *, width: int = 64, n_channels: int = 1, source_head: bool = False) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.resizers: Mapping[str, Callable[[Tensor], Tensor]] = {
            "conv1.weight": partial(fit_channels, n_channels=n_channels)
        }
        self.conv1 = nn.Conv2d(n_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.n_features = width
        self.layer1 = self._stage(width, self.n_blocks[0], stride=1)
        self.layer2 = self._stage(2 * width, self.n_blocks[1], stride=2)
        self.layer3 = self._stage(4 * width, self.n_blocks[2], stride=2)
        self.layer4 = self._stage(8 * width, self.n_blocks[3], stride=2)
        self.source_head = nn.Linear(self.n_features, N_IMAGENET_CLASSES) if source_head else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, n_inner: int, n_blocks: int, stride: int) -> nn.Sequential:
        n_in, self.n_features = self.n_features, self.block.expansion * n_inner
        first = self.block(n_in, n_inner, stride)
        return nn.Sequential(first, *(self.block(self.n_features, n_inner, 1) for _ in range(n_blocks - 1)))

    def forward(self, log_mel: Float[Tensor, "batch *channel time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        image = log_mel if log_mel.ndim == 4 else log_mel[:, None]
        image = image.clone(memory_format=torch.channels_last)
        image = self.maxpool(self.bn1(self.conv1(image)).relu())
        return self.layer4(self.layer3(self.layer2(self.layer1(image)))).mean(dim=(2, 3))


@backbones.register("resnet18")
class ResNet18(AbstractResNet):
    """ResNet-18 with one input channel; 512 features."""

    block = BasicBlock
    n_blocks = (2, 2, 2, 2)

    @staticmethod
    def front_end() -> FrontEnd:
        """The AST's features, which ADD4RSC and Patch-Mix feed to all networks."""
        return FrontEnd()


@backbones.register("resnet34")
class ResNet34(AbstractResNet):
    """ResNet-34 with one input channel; 512 features."""

    block = BasicBlock
    n_blocks = (3, 4, 6, 3)

    @staticmethod
    def front_end() -> FrontEnd:
        """The AST's features, which ADD4RSC and Patch-Mix feed to all networks."""
        return FrontEnd()


@backbones.register("resnet50")
class ResNet50(AbstractResNet):
    """ResNet-50 with one input channel; 2048 features."""

    block = Bottleneck
    n_blocks = (3, 4, 6, 3)

    @staticmethod
    def front_end() -> FrontEnd:
        """The AST's features, which ADD4RSC and Patch-Mix feed to all networks."""
        return FrontEnd()
