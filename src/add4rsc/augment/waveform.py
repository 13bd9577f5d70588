"""What training may do to one cycle's waveform, before the features (METHODS 4.2): changed copies, joined cycles."""

from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from pydantic import Field

from add4rsc.audio.variation import GAIN_DB, LOWEST_SNR_DB, SPEED, vary_waveform
from add4rsc.terms import Settings


class WaveformAugmentation(Settings):
    """Speed, loudness and noise; joined cycles.

    `copies` changed waveforms stand beside each training cycle; each epoch draws one of them or the cycle itself, all
    as likely, as `raw_augment` does in the released code of Patch-Mix and ADD4RSC.
    """

    copies: int = Field(default=0, ge=0)
    speed: float = Field(default=SPEED, ge=0, lt=1)
    """Largest change of speed, and with it of pitch, as a share."""
    gain_db: float = Field(default=GAIN_DB, ge=0)
    """Largest change of loudness."""
    lowest_snr_db: float = LOWEST_SNR_DB
    """Loudest white noise; that of each copy lies up to 20 dB below it."""
    boundary_jitter: float = Field(default=0.0, ge=0)
    """Standard deviation of what is added to the start and the end of a cycle's copy, in seconds: a network that is to
    judge cycles that a segmenter found should not depend on where exactly they begin."""
    joined_scale: float = Field(default=0.0, ge=0)
    """Fill every class up to this multiple of the normal cycles by joining two training cycles end to end, as
    `concat_aug_scale` of RespireNet's code (`add4rsc.augment.joining`); 0 for none."""


def augment_waveform(
    waveform: Float[ndarray, " sample"], settings: WaveformAugmentation, generator: Generator
) -> Float[ndarray, " changed"]:
    """Change one cycle at random; longer or shorter than before by what the speed makes of it."""
    bounds = {"speed": settings.speed, "gain_db": settings.gain_db, "lowest_snr_db": settings.lowest_snr_db}
    return vary_waveform(waveform, generator, **bounds)
