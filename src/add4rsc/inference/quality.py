"""Whether a recording can be judged at all: flags from its samples, before any network sees it.

Every function takes a mono waveform in [-1, 1] at the recording's own rate, and no less than a second of it. Each
threshold says why it is what it is; docs/predict.md has how often each flag is raised on real recordings.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.inference._spectra import Sound, band_power, voiced_frames

MIN_DURATION = 1.0
"""Seconds: less than the shortest whole breath at rest, an infant's (60 a minute)."""
SILENCE_DBFS = -75.0
"""Root mean square of 16-bit dither is -98 dB of full scale; the quietest real recordings at hand are near -60."""
MAX_CLIPPED_SHARE = 1e-3
"""One sample in a thousand in a flat top: below that, single loud knocks."""
HOPELESS_CLIPPED_SHARE = 0.25
"""A quarter of all samples are flat: the spectrum is that of the clipping. The worst at hand, 0.19, is still heard."""
MIN_FLAT_TOP = 4
"""Samples in a row at the very largest value: chance makes two or three, a limiter makes more."""
MAX_DC_SHARE = 0.5
"""Offset against the root mean square of the rest; half of it bends every level that is measured."""
MIN_DC = 0.002
"""Offset in full scale that is worth a word: 66 steps of 16 bits."""
LOWEST_UPPER_EDGE = 2100.0
"""Hertz. Crackles and wheezes lie up to 2 kHz, and what is recorded at 4 kHz ends there."""
EDGE_FALL_DB = 20.0
"""How far the spectrum falls at the edge of a filter or a codec; that of breathing falls by 3 to 8 dB in its place."""
EDGE_INNER, EDGE_OUTER = 2 ** (1 / 24), 2 ** (1 / 6)
"""Ratios of frequencies: what lies between them on either side of an edge is compared."""
LOWEST_LOOKED_AT = 500.0
"""Hertz: below it, heart sounds make edges of their own."""
HUM_PROMINENCE_DB = 15.0
"""How far a mains line stands out of the 10 Hz around it, in at least two of its first three multiples."""
HEART_SHARE_DB = 25.0
"""Power at 20-120 Hz above that at 150-1000 Hz; tracheal and lung recordings without loud hearts are below it."""
HEART_PERIODICITY = 0.35
"""Peak of the low band's autocorrelation at 40-180 beats a minute: a regular beat, not rumble."""
MIN_BREATH_DB = 3.0
"""Loud tenth against quiet tenth of the smoothed power at 150-1000 Hz; steady noise has about 1 dB."""
MIN_VOICED_SHARE = 0.15
"""Share of frames with many harmonics of one pitch; speech has a third to a half, wheezes have one or two lines."""


def is_silent(sound: Sound) -> bool:
    """Whether nothing but the converter's own noise is there, offset apart."""
    return _dbfs(float(np.std(sound.waveform, dtype=np.float64))) < SILENCE_DBFS


def is_clipped(sound: Sound) -> bool:
    """Whether peaks are flat, at whatever level."""
    return clipped_share(sound.waveform) > MAX_CLIPPED_SHARE


def has_offset(sound: Sound) -> bool:
    """Whether the waveform does not swing around zero."""
    offset = abs(float(np.mean(sound.waveform, dtype=np.float64)))
    return offset > MIN_DC and offset > MAX_DC_SHARE * float(np.std(sound.waveform, dtype=np.float64))


def is_band_limited(sound: Sound) -> bool:
    """Whether nothing above 2 kHz was recorded."""
    return upper_edge(sound) < LOWEST_UPPER_EDGE


def has_mains_hum(sound: Sound) -> bool:
    """Whether lines stand at multiples of 50 or of 60 Hz."""
    return any(_n_hum_lines(*sound.long_spectrum, base) >= 2 for base in (50.0, 60.0))


def is_heart_dominated(sound: Sound) -> bool:
    """Whether a regular beat below 120 Hz drowns the breath."""
    spectra = sound.short
    low, breath = band_power(spectra, 20.0, 120.0), band_power(spectra, 150.0, 1000.0)
    if _decibel(float(low.mean() / breath.mean())) < HEART_SHARE_DB:
        return False
    return _periodicity(np.sqrt(low), spectra.frame_rate, 60 / 180, 60 / 40) > HEART_PERIODICITY


def has_little_breath(sound: Sound) -> bool:
    """Whether breathing does not rise above the steady background."""
    return breath_to_background_db(sound) < MIN_BREATH_DB


def has_speech(sound: Sound) -> bool:
    """Whether somebody speaks (or cries): many frames hold many harmonics of one pitch."""
    return float(voiced_frames(sound).mean()) > MIN_VOICED_SHARE


CHECKS: dict[str, Callable[[Sound], bool]] = {
    "clipping": is_clipped,
    "dc": has_offset,
    "band_limited": is_band_limited,
    "mains_hum": has_mains_hum,
    "heart_dominated": is_heart_dominated,
    "low_breath": has_little_breath,
    "speech": has_speech,
}
"""Flags of a recording that is long and loud enough to have any others than `too_short` and `silence`."""

FLAGS = {
    "too_short": "shorter than one breath",
    "silence": "no sound",
    "hopeless_clipping": "clipped throughout",
    "clipping": "clipped peaks",
    "dc": "constant offset",
    "band_limited": "nothing above 2 kHz",
    "mains_hum": "mains hum",
    "heart_dominated": "heart sounds louder than the breath",
    "low_breath": "breath hardly above the background",
    "speech": "speech or crying",
}
"""Every flag, in words."""

UNJUDGEABLE = frozenset({"too_short", "silence", "hopeless_clipping"})
"""With one of these a recording is not classified at all."""


def assess(waveform: Float[ndarray, " sample"], sample_rate: int) -> tuple[str, ...]:
    """All flags of a recording, or of one part of a long one."""
    sound = Sound(waveform, sample_rate)
    if len(waveform) < MIN_DURATION * sample_rate:
        return ("too_short",)
    if is_silent(sound):
        return ("silence",)
    hopeless = ("hopeless_clipping",) if clipped_share(waveform) > HOPELESS_CLIPPED_SHARE else ()
    return hopeless + tuple(name for name, check in CHECKS.items() if check(sound))


def clipped_share(waveform: Float[ndarray, " sample"]) -> float:
    """Share of samples in flat tops or bottoms: runs at the largest or smallest value."""
    n_flat = 0
    for extreme in (waveform.max(), waveform.min()):
        at_extreme = np.concatenate([[False], waveform == extreme, [False]])
        changes = np.flatnonzero(np.diff(at_extreme))
        lengths = changes[1::2] - changes[::2]
        n_flat += int(lengths[lengths >= MIN_FLAT_TOP].sum())
    return n_flat / len(waveform)


def upper_edge(sound: Sound) -> float:
    """Frequency in hertz at which the spectrum breaks off; half the sample rate where it does not."""
    frequencies = sound.short.frequencies
    level = 10 * np.log10(np.median(sound.short.power, axis=0) + 1e-20)
    top = min(LOWEST_UPPER_EDGE, 0.8 * sound.sample_rate / 2)
    for edge in frequencies[(frequencies >= LOWEST_LOOKED_AT) & (frequencies <= top)]:
        below = level[(frequencies >= edge / EDGE_OUTER) & (frequencies <= edge / EDGE_INNER)]
        above = level[(frequencies >= edge * EDGE_INNER) & (frequencies <= edge * EDGE_OUTER)]
        if below.mean() - above.mean() > EDGE_FALL_DB:
            return float(edge)
    return sound.sample_rate / 2


def breath_to_background_db(sound: Sound) -> float:
    """Loud tenth against quiet tenth of the power at 150-1000 Hz, smoothed over 0.3 s."""
    spectra = sound.short
    power = band_power(spectra, 150.0, 1000.0)
    n_smooth = max(1, round(0.3 * spectra.frame_rate))
    smooth = np.convolve(power, np.ones(n_smooth) / n_smooth, mode="valid")
    quiet, loud = np.percentile(smooth, (10, 90))
    return _decibel(float(loud / max(quiet, 1e-20)))


def _n_hum_lines(frequencies: Float[ndarray, " bin"], power: Float[ndarray, " bin"], base: float) -> int:
    """How many of the first three multiples of `base` stand out."""
    count = 0
    for line in (base, 2 * base, 3 * base):
        distance = np.abs(frequencies - line)
        around = (distance > 2) & (distance <= 10)
        inside = distance <= 1
        if inside.any() and around.any():
            count += _decibel(float(power[inside].max() / max(power[around].max(), 1e-20))) > HUM_PROMINENCE_DB
    return count


def _periodicity(envelope: Float[ndarray, " frame"], frame_rate: float, shortest: float, longest: float) -> float:
    """Largest value of the normalised autocorrelation between two periods (seconds)."""
    centred = envelope - envelope.mean()
    n_fft = 2 * len(centred)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(centred, n_fft)) ** 2)[: len(centred)]
    first, last = int(shortest * frame_rate), min(int(longest * frame_rate) + 1, len(centred))
    if last <= first or correlation[0] <= 0:
        return 0.0
    return float(correlation[first:last].max() / correlation[0])


def _decibel(ratio: float) -> float:
    return float(10 * np.log10(max(ratio, 1e-20)))


def _dbfs(amplitude: float) -> float:
    return float(20 * np.log10(max(amplitude, 1e-12)))
