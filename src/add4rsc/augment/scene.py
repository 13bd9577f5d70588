"""Where and with what a training cycle is heard: among noise, by another stethoscope."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Generator, Tensor

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
        views = [noisy, log_mel] if self.mixer.settings.twin else [noisy]
        return [change_response(view, self.response, self.mixer.front_end, draw("response")) for view in views]
