"""Log-mel frames as a picture in colours: what networks that know photographs are shown.

RespireNet (Gairola et al. 2021, arXiv:2011.00196; METHODS A2): least to greatest value of the cycle from 0 to 1, blank
bands at the top cut off and the rest stretched, the colours of a map. All of it works cycle by cycle, hands gradients
on and exports.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

MAGMA_SAMPLES = """
000004 02020b 050416 090720 0e0b2b 140e36 1a1042 21114e 29115a 311165 390f6e 420f75 4a1079 52137c 5a167e 621980 6a1c81
721f81 792282 812581 892881 912b81 992d80 a1307e aa337d b2357b ba3878 c23b75 ca3e72 d2426f d9466b e04c67 e75263 ec5860
f1605d f4695c f7725c f97b5d fb8560 fc8e64 fd9869 fea16e feaa74 feb47b febd82 fec68a fecf92 fed89a fde2a3 fdebac fcf4b6
fcfdbf
"""
"""Every fifth of the 256 colours of matplotlib's map "magma" (public domain, CC0), dark to light, red, green and blue.
Between them, straight lines are within 0.003 of the map."""

LEAST_RANGE = 1e-6
"""Below it a cycle is one value, and is shown as 0."""


def magma_colours() -> Float[Tensor, "sample channel"]:
    """The sampled colours from 0 to 1."""
    return torch.tensor([[int(name[at : at + 2], 16) / 255 for at in (0, 2, 4)] for name in MAGMA_SAMPLES.split()])


class ColourMap(nn.Module):
    """Levels from 0 to 1 -> red, green and blue from 0 to 1, linear between the samples of magma."""

    colours: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("colours", magma_colours(), persistent=False)

    def forward(self, levels: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch channel time mel"]:
        """Colour every point."""
        last = len(self.colours) - 1
        place = levels.clamp(0, 1) * last
        below = place.detach().floor().clamp(0, last - 1).long()
        share = (place - below)[..., None]
        colour = torch.lerp(self.colours[below], self.colours[below + 1], share)
        return colour.movedim(-1, 1)


def to_levels(log_mel: Float[Tensor, "batch time mel"], dynamic_range: float) -> Float[Tensor, "batch time mel"]:
    """Each cycle from 0, its least value, to 1, its greatest; what is further below the greatest counts as least.

    Args:
        log_mel: frames on a logarithmic scale.
        dynamic_range: how far below the greatest, in units of the frames.
    """
    greatest = log_mel.amax(dim=(1, 2), keepdim=True)
    floored = log_mel.maximum(greatest - dynamic_range)
    least = floored.amin(dim=(1, 2), keepdim=True)
    return (floored - least) / (greatest - least).clamp_min(LEAST_RANGE)


def clip_blank_bands(
    levels: Float[Tensor, "batch time mel"], blank_level: float, blank_share: float
) -> Float[Tensor, "batch time mel"]:
    """Cut off the bands at the top that are nearly empty, and stretch the others, linearly, to as many as before.

    Args:
        levels: from 0 to 1.
        blank_level: a point below it is blank.
        blank_share: a band with at least this share of blank points is cut off, if all above it are. A cycle whose
            bands are all blank keeps them.
    """
    n_bands = levels.shape[-1]
    is_blank = (levels < blank_level).to(levels.dtype).mean(dim=1) >= blank_share
    n_told = (~is_blank).long().flip(-1).cumsum(dim=-1)  # bands with something to see, counted from the top
    n_cut = (n_told == 0).sum(dim=-1)
    return levels @ stretching(torch.where(n_cut == n_bands, n_bands, n_bands - n_cut), n_bands).to(levels.dtype)


def stretching(n_kept: Int[Tensor, " batch"], n_bands: int) -> Float[Tensor, "batch mel stretched"]:
    """Weights by which the lowest `n_kept` bands of each cycle are stretched over all, linearly between their centres.

    Outermost bands are continued, as in all libraries' resizing of pictures.
    """
    band = torch.arange(n_bands, device=n_kept.device)
    place = (band + 0.5) * n_kept[:, None] / n_bands - 0.5
    place = place.clamp_min(0).minimum((n_kept[:, None] - 1).to(place.dtype))
    return (1 - (place[:, None, :] - band[:, None]).abs()).clamp_min(0)
