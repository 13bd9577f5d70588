"""Bottleneck adapters: small branches that learn beside parts of a network which do not.

Houlsby et al. 2019 (arXiv:1902.00751) put them after a part, He et al. 2022 (arXiv:2110.04366) beside it as well.
"""

from collections.abc import Collection
from functools import partial
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.backbones._base import AbstractBackbone

Placement = Literal["parallel", "after"]


class BottleneckAdapter(nn.Module):
    """Down to a few channels, GELU, and up again; starts at 0, so that the network begins as it was pretrained."""

    def __init__(self, n_channels: int, bottleneck: int, scale: float, *, convolves: bool = False) -> None:
        super().__init__()
        self.scale = scale
        layer = partial(nn.Conv2d, kernel_size=1) if convolves else nn.Linear
        self.down = layer(n_channels, bottleneck)
        self.up = layer(bottleneck, n_channels)
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """What is to be added."""
        return self.scale * self.up(functional.gelu(self.down(x)))


class AdaptedPart(nn.Module):
    """A part of a network with an adapter that sees its input (`parallel`) or its output (`after`)."""

    def __init__(self, part: nn.Module, adapter: BottleneckAdapter, placement: Placement) -> None:
        super().__init__()
        self.part = part
        self.adapter = adapter
        self.placement: Placement = placement

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The part's output, and the adapter's."""
        output = self.part(x)
        return output + self.adapter(x if self.placement == "parallel" else output)


def freeze_and_adapt(
    backbone: AbstractBackbone, bottleneck: int, *, scale: float, placement: Placement, roles: Collection[str]
) -> nn.Module:
    """Freeze a backbone, and put adapters beside its parts of these roles; it is changed in place, and returned.

    A convolution changes shape, so its adapter always comes after it. Without any such part there is one adapter after
    the whole backbone, on the features.
    """
    backbone.requires_grad_(False)
    parts = {name: part for name, part in backbone.adaptable.items() if part.role in roles}
    for name, part in parts.items():
        convolves = part.role == "convolution"
        adapter = BottleneckAdapter(part.n_channels, bottleneck, scale, convolves=convolves)
        place: Placement = "after" if convolves else placement
        backbone.set_submodule(name, AdaptedPart(backbone.get_submodule(name), adapter, place))
    if parts:
        return backbone
    return AdaptedPart(backbone, BottleneckAdapter(backbone.n_features, bottleneck, scale), "after")
