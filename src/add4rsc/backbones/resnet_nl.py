"""A residual network on pictures of sound with non-local blocks between its residual blocks.

The network of LungRN+NL (Ma et al., Interspeech 2020), as it stands in the code that its authors published for their
system before (SJTU-YONGFU-RESEARCH-GRP/Lung-Sound-Classification-System-LungSys-I, Bi-Resnet/model/bnn.py at 6450040):
one width throughout, normalisation by groups before each convolution. Non-local blocks are those of Wang et al. 2018
(arXiv:1711.07971), embedded Gaussian.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.errors import RecipeError

N_SHRINKING = 2
"""The first residual blocks halve the picture."""

MOST_GROUPS = 32

NormKind = Literal["group", "batch"]


def normalisation(kind: NormKind, n_channels: int) -> nn.Module:
    """Normalise a picture by 32 groups of its channels, each channel alone where there are no more, or the batch."""
    if kind == "batch":
        return nn.BatchNorm2d(n_channels)
    return nn.GroupNorm(min(MOST_GROUPS, n_channels), n_channels)


class NonLocalBlock(nn.Module):
    """Every place of a picture sees all others: z_i = x_i + W sum_j softmax_j(theta(x_i) . phi(x_j)) g(x_j).

    No convolution has a bias: one of phi would change no softmax, and one of g adds a constant. `zero_start` makes W
    zero, so that the block begins as the identity. `as_released` divides by the sum over all pairs of places in place
    of one softmax for each, and lays the sum down with time and frequency exchanged, as the authors' code does.
    """

    def __init__(self, n_channels: int, *, zero_start: bool, as_released: bool) -> None:
        super().__init__()
        n_inner = max(1, n_channels // 2)
        self.theta = nn.Conv2d(n_channels, n_inner, 1, bias=False)
        self.phi = nn.Conv2d(n_channels, n_inner, 1, bias=False)
        self.g = nn.Conv2d(n_channels, n_inner, 1, bias=False)
        self.output = nn.Conv2d(n_inner, n_channels, 1, bias=False)
        if zero_start:
            nn.init.zeros_(self.output.weight)
        self.as_released = as_released

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch channel time mel"]:
        """Return the block's output."""
        query, key, value = (embed(image).flatten(2).mT[:, None] for embed in (self.theta, self.phi, self.g))
        if self.as_released:
            weights = (query @ key.mT).flatten(1).softmax(dim=1).view(len(image), 1, query.shape[2], -1)
            return image + self.output((weights @ value)[:, 0].mT.unflatten(2, image.shape[2:]).mT)
        gathered = functional.scaled_dot_product_attention(query, key, value, scale=1.0)
        return image + self.output(gathered[:, 0].mT.unflatten(2, image.shape[2:]))


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each behind a normalisation and a ReLU, beside a shortcut (He et al. 2016)."""

    def __init__(self, n_channels: int, stride: int, dropout: float, norm: NormKind) -> None:
        super().__init__()
        self.norm1 = normalisation(norm, n_channels)
        self.conv1 = nn.Conv2d(n_channels, n_channels, 3, stride, padding=1, bias=False)
        self.norm2 = normalisation(norm, n_channels)
        self.conv2 = nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.downsample = nn.Conv2d(n_channels, n_channels, 1, stride, bias=False) if stride > 1 else None

    def forward(self, image: Float[Tensor, "batch channel time mel"]) -> Float[Tensor, "batch channel time2 mel2"]:
        """Return the block's output."""
        active = self.norm1(image).relu()
        shortcut = image if self.downsample is None else self.downsample(active)
        hidden = self.norm2(self.dropout(self.conv1(active))).relu()
        return shortcut + self.dropout(self.conv2(hidden))


@backbones.register("resnet_nl")
class ResNetNL(AbstractBackbone):
    """Nine residual blocks of 64 channels, and non-local blocks behind the third, fifth, seventh and eighth.

    Args:
        picture: frames and bands that the features are brought to, by averaging; the non-local blocks see a sixteenth
            of their product in places.
        width: channels throughout.
        n_blocks: residual blocks; the first two halve the picture.
        places: behind which residual blocks, counted from 1, a non-local block stands.
        dropout: behind every convolution of a residual block.
        norm: by groups of channels, cycle by cycle, as in the authors' code; or by the batch, which learns in far fewer
            steps.
        zero_start: non-local blocks begin as the identity; the authors' begin at random.
        as_released: non-local blocks as the authors' code has them (`NonLocalBlock`); the picture must be square.

    Raises:
        RecipeError: if there is no block behind which a non-local one is asked for, or the picture is not square.
    """

    tiny: ClassVar[Mapping[str, Any]] = {"width": 8, "picture": (32, 32), "zero_start": False}

    def __init__(
        self,
        *,
        picture: Sequence[int] = (128, 128),
        width: int = 64,
        n_blocks: int = 9,
        places: Sequence[int] = (3, 5, 7, 8),
        dropout: float = 0.1,
        norm: NormKind = "group",
        zero_start: bool = True,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        _check(picture, n_blocks, places, as_released)
        self.picture = (picture[0], picture[1])
        self.n_features = width
        self.conv = nn.Conv2d(1, width, 3)
        self.blocks = nn.ModuleList(
            PreActivationBlock(width, 2 if index < N_SHRINKING else 1, dropout, norm) for index in range(n_blocks)
        )
        self.non_local = nn.ModuleDict(
            {str(place): NonLocalBlock(width, zero_start=zero_start, as_released=as_released) for place in places}
        )
        self.norm = normalisation(norm, width)

    @staticmethod
    def front_end() -> FrontEnd:
        """Linear bands below 4 kHz, windows of 20 ms every 10 ms, as the authors' code draws them.

        Values leave as they are: the method brings every picture to [0, 1].
        """
        return FrontEnd(
            sample_rate=8_000,
            channels=("linear",),
            n_mels=128,
            frame_length_ms=20.0,
            frame_shift_ms=10.0,
            n_fft=512,
            f_min=0.0,
            pre_emphasis=0.0,
            framing="centred",
            log_offset=1e-8,
            mean=0.0,
            scale=1.0,
        )

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        image = self.conv(functional.adaptive_avg_pool2d(log_mel[:, None], self.picture))
        for number, block in enumerate(self.blocks, start=1):
            image = block(image)
            if str(number) in self.non_local:
                image = self.non_local[str(number)](image).relu()
        return self.norm(image).relu().mean(dim=(2, 3))


def _check(picture: Sequence[int], n_blocks: int, places: Sequence[int], as_released: bool) -> None:
    missing = [place for place in places if not 1 <= place <= n_blocks]
    if missing:
        raise RecipeError(
            f"A non-local block cannot stand behind residual block {missing[0]}: they are numbered 1 to {n_blocks}. "
            "Change backbone_options.places or backbone_options.n_blocks."
        )
    if as_released and picture[0] != picture[1]:
        raise RecipeError(
            f"A picture of {picture[0]} x {picture[1]} cannot be turned as the released code does. "
            "Give backbone_options.picture two equal numbers, or leave as_released out."
        )
