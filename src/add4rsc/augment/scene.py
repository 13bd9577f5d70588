"""Where and with what a training cycle is heard: among noise, by another stethoscope."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Generator, Tensor

from add4rsc.audio.frontend import FrontEnd, levelled, with_offset, without_offset
from add4rsc.augment.noise import NoiseMixer
from add4rsc.augment.response import ResponseAugmentation, change_response


@dataclass(frozen=True)
class Scene:
    """Noise first, which the stethoscope then colours as it does the cycle."""

    mixer: NoiseMixer
    response: ResponseAugmentation

    @property
    def is_off(self) -> bool:
        """Whether no cycle would ever change, nor have a twin."""
        return self.mixer.settings.is_off and self.response.is_off

    def hear(
        self, log_mel: Float[Tensor, "time mel"], draw: Callable[[str], Generator]
    ) -> list[Float[Tensor, "time mel"]]:
        """The cycle as it is heard; and, where twins are asked for, as the same stethoscope hears it without noise.

        Args:
            log_mel: standardised frames of the mixer's front-end.
            draw: gives a fresh generator for each kind of change.
        """
        noisy = self.mixer.mix(log_mel, draw("noise"))
        front_end = self.mixer.front_end
        views = [noisy, log_mel] if self.mixer.settings.twin else [noisy]
        heard = [change_response(view, self.response, front_end, draw("response")) for view in views]
        return [relevelled(view, front_end) for view in heard]


def relevelled(log_mel: Float[Tensor, "time mel"], front_end: FrontEnd) -> Float[Tensor, "time mel"]:
    """Frames at the front-end's level again, as it would bring the changed sound to it."""
    if front_end.level is None:
        return log_mel
    return with_offset(levelled(without_offset(log_mel, front_end), front_end), front_end)
