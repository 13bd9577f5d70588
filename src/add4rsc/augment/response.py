"""Other stethoscopes: what their frequency response would have made of a cycle, on its mel energies."""

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd, band_centres, with_offset, without_offset
from add4rsc.augment._draws import uniform
from add4rsc.terms import Settings


class ResponseAugmentation(Settings):
    """A random low-pass and a random smooth colour; off by default.

    Of ICBHI's stethoscopes one passes nothing above 2 kHz, and hardly a training cycle is from it: without this a
    network takes the silence up there for a sign.
    """

    probability: float = Field(default=0.0, ge=0, le=1)
    """Share of the cycles that are heard by another stethoscope."""
    lowest_cutoff: float = Field(default=1000.0, gt=0)
    highest_cutoff: float = Field(default=8000.0, gt=0)
    """Hertz. The cutoff is drawn between the two, evenly in octaves; one above the band leaves it as it is."""
    colour_db: float = Field(default=6.0, ge=0)
    """Standard deviation of the colour at five places of the band, with straight lines between them."""

    @property
    def is_off(self) -> bool:
        """Whether no cycle would ever change."""
        return self.probability == 0


def change_response(
    log_mel: Float[Tensor, "time mel"], settings: ResponseAugmentation, front_end: FrontEnd, generator: Generator
) -> Float[Tensor, "time mel"]:
    """A cycle as another stethoscope might have recorded it; the input itself is left as it is."""
    if settings.is_off or uniform(generator) >= settings.probability:
        return log_mel
    gain = draw_response(settings, front_end, generator)
    return with_offset(without_offset(log_mel, front_end) * 10 ** (gain / 10), front_end)


N_PLACES = 5


def draw_response(settings: ResponseAugmentation, front_end: FrontEnd, generator: Generator) -> Float[Tensor, " mel"]:
    """Gain of every band in decibels: a colour, and beyond the cutoff a fall of 24 to 120 dB an octave."""
    places = settings.colour_db * torch.randn(1, 1, N_PLACES, generator=generator)
    colour = functional.interpolate(places, front_end.n_bands, mode="linear", align_corners=True)[0, 0]
    span = settings.highest_cutoff / settings.lowest_cutoff
    cutoff = settings.lowest_cutoff * span ** uniform(generator)
    slope = 24 + 96 * uniform(generator)
    octaves_above = (band_centres(front_end) / cutoff).clamp_min(1.0).log2()
    return colour - slope * octaves_above
