"""What training may do to one cycle's waveform, before the features (METHODS 4.2): changed copies, joined cycles."""

from typing import Literal

from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from pydantic import Field

from add4rsc.audio.variation import GAIN_DB, LOWEST_SNR_DB, SPEED, vary_waveform
from add4rsc.augment.warping import change_vocal_tract, shift_pitch
from add4rsc.terms import Settings

Change = Literal["noise", "speed", "loudness", "vocal-tract", "pitch"]

VOCAL_TRACT = (0.9, 1.1)
"""Factors of vocal tract length perturbation (Jaitly and Hinton 2013)."""
PITCH = (-1.0, 3.0)
"""Semitones, as in RespireNet's code (METHODS A2)."""


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
    one_of: tuple[Change, ...] = ()
    """Each copy undergoes one of these alone, drawn at random; empty for speed, loudness and noise together."""
    padding: Literal["crop", "smart"] = "crop"
    """How a short cycle's copy is filled up: as the crop says, or `smart`, by its repetition, a changed copy or another
    cycle of its class in the same recording, in front or behind (`add4rsc.augment.padding`)."""
    boundary_jitter: float = Field(default=0.0, ge=0)
    """Standard deviation of what is added to the start and the end of a cycle's copy, in seconds: a network that is to
    judge cycles that a segmenter found should not depend on where exactly they begin."""
    joined_scale: float = Field(default=0.0, ge=0)
    """Fill every class up to this multiple of the normal cycles by joining two training cycles end to end, as
    `concat_aug_scale` of RespireNet's code (`add4rsc.augment.joining`); 0 for none."""


def augment_waveform(
    waveform: Float[ndarray, " sample"], settings: WaveformAugmentation, generator: Generator, sample_rate: int = 16_000
) -> Float[ndarray, " changed"]:
    """Change one cycle at random; longer or shorter than before by what the speed makes of it."""
    bounds = {"speed": settings.speed, "gain_db": settings.gain_db, "lowest_snr_db": settings.lowest_snr_db}
    if not settings.one_of:
        return vary_waveform(waveform, generator, **bounds)
    change = settings.one_of[int(generator.integers(len(settings.one_of)))]
    if change == "vocal-tract":
        return change_vocal_tract(waveform, sample_rate, generator.uniform(*VOCAL_TRACT))
    if change == "pitch":
        return shift_pitch(waveform, sample_rate, generator.uniform(*PITCH))
    kept = {"noise": "lowest_snr_db", "speed": "speed", "loudness": "gain_db"}[change]
    return vary_waveform(waveform, generator, **(STILL | {kept: bounds[kept]}))


STILL = {"speed": 0.0, "gain_db": 0.0, "lowest_snr_db": 200.0}
"""Bounds that leave a waveform as it is, to float32 rounding."""
