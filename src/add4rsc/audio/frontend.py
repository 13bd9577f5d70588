"""The front-end: waveforms -> standardised log-mel frames, as a module that exports with the network."""

import math
from functools import lru_cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.bands import (
    ERB_RATE,
    HTK,
    LINEAR,
    SLANEY,
    Channel,
    Scale,
    butterworth_response,
    gammatone_responses,
    slaney_triangles,
    triangles_in_hertz,
    triangles_in_mel,
)
from add4rsc.audio.constant_q import ConstantQ, constant_q_centres, constant_q_top
from add4rsc.terms import Settings

MEL_SCALES = {"htk": HTK, "slaney": SLANEY}

BAND_PASS_ORDER = 5
"""Of the Butterworth filter in front of the bands; Chang et al. 2022 have it so, from 100 to 1800 Hz."""

LEVEL_BAND = (150.0, 2000.0)
"""Hertz. Between heart sounds and rumble below, and what many stethoscopes no longer pass above."""
FAINTEST = 1e-9
"""The least mean energy that is brought to a level; below, there is nothing but the recorder itself, or silence."""

KALDI_FLOOR = torch.finfo(torch.float32).eps
AUDIOSET_MEAN, AUDIOSET_STD = -4.2677393, 4.5689974
"""AST, Gong et al. 2021: training statistics of AudioSet's log-mel values, released with the network."""


class FrontEnd(Settings):
    """What a log-mel frame is. The defaults are those of the Audio Spectrogram Transformer (Gong et al. 2021).

    `framing="kaldi"` takes whole frames only, removes each frame's mean and pre-emphasises within it, as Kaldi does;
    `"centred"` pre-emphasises the whole waveform and centres frames on multiples of the shift, with mirrored ends.
    """

    sample_rate: int = Field(default=16_000, gt=0)
    n_mels: int = Field(default=128, gt=0)
    frame_length_ms: float = Field(default=25.0, gt=0)
    frame_shift_ms: float = Field(default=10.0, gt=0)
    n_fft: int = Field(default=512, gt=0)
    f_min: float = Field(default=20.0, ge=0)
    f_max: float | None = None
    """Upper edge of the highest mel band in hertz; None is half the sample rate."""
    pre_emphasis: float = Field(default=0.97, ge=0, lt=1)
    framing: Literal["kaldi", "centred"] = "kaldi"
    log_offset: float = Field(default=0.0, ge=0)
    """Added before the logarithm; 0 raises what is below `log_floor` to it instead."""
    log_floor: float = Field(default=KALDI_FLOOR, gt=0)
    """The least energy where nothing is added; by default the smallest float32 step above 1, as in Kaldi."""
    level: float | None = Field(default=None, gt=0)
    """Mean energy of a band between the edges of `LEVEL_BAND` that every waveform is brought to, before the logarithm
    and its offset; None leaves loudness as recorded. Breath sounds are faint: what a network trained on louder sounds
    adds before the logarithm would else swallow most of what lies above some hundred hertz."""
    window: Literal["symmetric", "periodic"] = "symmetric"
    """Kind of the Hann window: symmetric as Kaldi has it, or periodic as librosa and torch have it."""
    mean: float = AUDIOSET_MEAN
    scale: float = Field(default=2 * AUDIOSET_STD, gt=0)
    """Log-mel values leave as (value - mean) / scale."""
    mel_scale: Literal["htk", "slaney"] = "htk"
    """HTK's with triangles that are linear in mel, as Kaldi has them; or Slaney's with triangles of equal area that are
    linear in hertz, as librosa has them."""
    band_pass: tuple[float, float] | None = None
    """Corner frequencies in hertz of a Butterworth filter of order 5 in front of the bands; None has no filter."""
    channels: tuple[Channel, ...] = Field(default=("mel",), min_length=1)
    """Kinds of bands that lie side by side along the last axis, `n_mels` bands each. All but those of `constant-q`,
    which are semitones from `f_min` upwards, lie between `f_min` and `f_max`."""

    @model_validator(mode="after")
    def _check(self) -> "FrontEnd":
        nyquist = self.sample_rate / 2
        if self.band_pass is not None and not 0 < self.band_pass[0] < self.band_pass[1] < nyquist:
            raise ValueError(f"band_pass {self.band_pass} must rise between 0 and half the sample rate, {nyquist:g} Hz")
        if "constant-q" not in self.channels:
            return self
        if self.framing != "centred" or self.f_min == 0:
            raise ValueError("channel constant-q needs framing='centred' and an f_min above 0")
        if constant_q_top(self.f_min, self.n_mels) > nyquist:
            raise ValueError(f"{self.n_mels} semitones above {self.f_min:g} Hz do not end below {nyquist:g} Hz")
        return self

    @property
    def n_bands(self) -> int:
        """Width of the features."""
        return self.n_mels * len(self.channels)

    @property
    def is_plain_mel(self) -> bool:
        """Whether the features are energies of HTK's mel bands and nothing else."""
        return self.channels == ("mel",) and self.mel_scale == "htk"

    @property
    def highest(self) -> float:
        """Upper edge in hertz of all bands but those of `constant-q`."""
        return self.f_max if self.f_max is not None else self.sample_rate / 2

    def stated(self) -> dict[str, Any]:
        """The settings by which stored features are known: younger ones are named only where they change something."""
        younger = ("mel_scale", "band_pass", "channels", "log_floor", "window", "level")
        fields = type(self).model_fields
        return self.model_dump(exclude={name for name in younger if getattr(self, name) == fields[name].default})

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        return round(self.sample_rate * self.frame_length_ms / 1000)

    @property
    def frame_shift(self) -> int:
        """Samples from one frame to the next."""
        return round(self.sample_rate * self.frame_shift_ms / 1000)

    def below(self, frequency: float) -> "FrontEnd":
        """The same mel bands, without those that reach above a frequency (hertz).

        Raises:
            ValueError: if there are other bands than mel bands.
        """
        if self.channels != ("mel",):
            raise ValueError(f"bands of {', '.join(self.channels)} cannot be cut at one frequency; use mel bands alone")
        scale = MEL_SCALES[self.mel_scale]
        low, high = scale.of_hertz(self.f_min), scale.of_hertz(self.f_max or self.sample_rate / 2)
        step = (high - low) / (self.n_mels + 1)
        n_mels = min(self.n_mels, int((scale.of_hertz(frequency) - low) / step + 1e-9) - 1)
        return self.model_copy(update={"n_mels": n_mels, "f_max": scale.to_hertz(low + (n_mels + 1) * step)})

    def louder(self, gain_db: float) -> "FrontEnd":
        """The front-end that gives for recordings what this one gives for them after a gain in decibels.

        What is added before the logarithm, or bounds it, is divided by the gain, since
        ln(g e + offset) = ln(e + offset / g) + ln g; the mean takes the rest.
        """
        gain = 10 ** (gain_db / 10)
        least = "log_offset" if self.log_offset else "log_floor"
        changes = {least: getattr(self, least) / gain, "mean": self.mean - math.log(gain)}
        return self.model_copy(update=changes)

    def n_frames(self, n_samples: int) -> int:
        """Frames that a waveform gives."""
        if self.framing == "centred":
            return 1 + (n_samples - bool(self.pre_emphasis)) // self.frame_shift
        return 1 + (n_samples - self.frame_length) // self.frame_shift


class LogMelFilterBank(nn.Module):
    """Standardised log-mel filter bank energies, after Kaldi's `compute-fbank-feats` without dither.

    Differentiable, batched, on any device. By default equal to torchaudio's Kaldi compliance code to float32 rounding.
    Frames use a Hann window and power spectra; further channels lie behind each other along the last axis.
    """

    window: Tensor

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        self.front_end = front_end
        self.register_buffer("window", hann_window(front_end), persistent=False)
        for channel in front_end.channels:
            if channel == "constant-q":
                self.constant_q = _constant_q(front_end)
            else:
                self.register_buffer(f"{channel}_weights", band_weights(front_end, channel), persistent=False)

    def forward(self, waveform: Float[Tensor, "batch sample"]) -> Float[Tensor, "batch time mel"]:
        """Turn waveforms in [-1, 1] into standardised log-mel frames.

        Raises:
            ValueError: if the waveforms are shorter than one frame.
        """
        settings = self.front_end
        if waveform.shape[-1] < settings.frame_length:
            raise ValueError(f"a waveform of {waveform.shape[-1]} samples is shorter than a frame")
        if settings.framing == "centred" and settings.pre_emphasis:
            waveform = waveform[:, 1:] - settings.pre_emphasis * waveform[:, :-1]
        frames = self._kaldi_frames(waveform) if settings.framing == "kaldi" else self._centred_frames(waveform)
        power = torch.fft.rfft(frames * self.window, n=settings.n_fft).abs().square()
        parts = [
            self.constant_q(waveform) if channel == "constant-q" else power @ self.get_buffer(f"{channel}_weights").T
            for channel in settings.channels
        ]
        energies = levelled(torch.cat(parts, dim=-1), settings)
        floored = energies + settings.log_offset if settings.log_offset else energies.clamp_min(settings.log_floor)
        return to_log_mel(floored, settings)

    def _kaldi_frames(self, waveform: Float[Tensor, "batch sample"]) -> Float[Tensor, "batch time frame"]:
        frames = waveform.unfold(-1, self.front_end.frame_length, self.front_end.frame_shift)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        return frames - self.front_end.pre_emphasis * previous

    def _centred_frames(self, waveform: Float[Tensor, "batch sample"]) -> Float[Tensor, "batch time frame"]:
        half = self.front_end.n_fft // 2
        padded = functional.pad(waveform[:, None], (half, half), mode="reflect")[:, 0]
        margin = (self.front_end.n_fft - self.front_end.frame_length) // 2  # the window sits in the middle of the FFT
        n_used = padded.shape[-1] - 2 * margin
        return padded[:, margin : margin + n_used].unfold(-1, self.front_end.frame_length, self.front_end.frame_shift)


def hann_window(front_end: FrontEnd) -> Float[Tensor, " frame"]:
    """The window of a frame."""
    return torch.hann_window(front_end.frame_length, periodic=front_end.window == "periodic")


def band_weights(front_end: FrontEnd, channel: Channel) -> Float[Tensor, "band bin"]:
    """Weights from FFT bins to the bands of any channel but `constant-q`, the band pass among them."""
    frequencies = _bin_frequencies(front_end)
    edges = _scale(front_end, channel).edges(front_end.f_min, front_end.highest, front_end.n_mels)
    if channel == "gammatone":
        weights = gammatone_responses(edges[1:-1], frequencies)
    elif channel == "linear":
        weights = triangles_in_hertz(edges, frequencies)
    else:
        weights = mel_filters(front_end)
    return weights if front_end.band_pass is None else weights * _pass_band(front_end, frequencies)


def mel_filters(front_end: FrontEnd) -> Float[Tensor, "mel bin"]:
    """Weights from FFT bins to mel bands, without a band pass."""
    if front_end.mel_scale == "slaney":
        edges = SLANEY.edges(front_end.f_min, front_end.highest, front_end.n_mels)
        return slaney_triangles(edges, _bin_frequencies(front_end))
    bins = (front_end.sample_rate, front_end.n_fft)
    return triangles_in_mel(front_end.f_min, front_end.highest, front_end.n_mels, bins)


def _bin_frequencies(front_end: FrontEnd) -> Float[Tensor, " bin"]:
    return front_end.sample_rate / front_end.n_fft * torch.arange(front_end.n_fft // 2 + 1)


def _constant_q(front_end: FrontEnd) -> ConstantQ:
    """Semitones, in which a pure tone has the energy of its FFT bin; of a band pass, each has what its centre has."""
    centres = constant_q_centres(front_end.f_min, front_end.n_mels)
    gain = hann_window(front_end).sum() * _pass_band(front_end, centres).sqrt()
    return ConstantQ(centres, gain, front_end.sample_rate, front_end.frame_shift)


def _scale(front_end: FrontEnd, channel: Channel) -> Scale:
    """Along which a channel's bands are evenly spaced."""
    return {"gammatone": ERB_RATE, "linear": LINEAR}.get(channel, MEL_SCALES[front_end.mel_scale])


def _pass_band(front_end: FrontEnd, frequencies: Float[Tensor, " bin"]) -> Float[Tensor, " bin"]:
    """Power response of the band pass, 1 everywhere where there is none."""
    if front_end.band_pass is None:
        return torch.ones_like(frequencies)
    return butterworth_response(frequencies, front_end.band_pass, BAND_PASS_ORDER, front_end.sample_rate)


def to_energies(log_mel: Float[Tensor, "*batch time mel"], front_end: FrontEnd) -> Float[Tensor, "*batch time mel"]:
    """Mel energies of standardised log-mel frames, the front-end's offset among them."""
    return (log_mel * front_end.scale + front_end.mean).exp()


def to_log_mel(energies: Float[Tensor, "*batch time mel"], front_end: FrontEnd) -> Float[Tensor, "*batch time mel"]:
    """Undo `to_energies`."""
    return (energies.log() - front_end.mean) / front_end.scale


def without_offset(log_mel: Float[Tensor, "*batch time mel"], front_end: FrontEnd) -> Float[Tensor, "*batch time mel"]:
    """Mel energies of standardised log-mel frames as they were before the front-end's offset was added."""
    return (to_energies(log_mel, front_end) - front_end.log_offset).clamp_min(0.0)


def with_offset(energies: Float[Tensor, "*batch time mel"], front_end: FrontEnd) -> Float[Tensor, "*batch time mel"]:
    """Undo `without_offset`; where a front-end adds nothing, the least float32 step keeps the logarithm finite."""
    return to_log_mel(energies + max(front_end.log_offset, torch.finfo(torch.float32).eps), front_end)


def levelled(energies: Float[Tensor, "*batch time mel"], front_end: FrontEnd) -> Float[Tensor, "*batch time mel"]:
    """Energies after the gain that brings them to the front-end's level; as they are where it has none."""
    if front_end.level is None:
        return energies
    low, high = LEVEL_BAND
    centres = band_centres(front_end)
    counted = ((centres >= low) & (centres <= high)).to(energies)
    mean = (energies * counted).mean(dim=(-2, -1), keepdim=True) / counted.mean()
    return energies * (front_end.level / mean.clamp_min(FAINTEST))


def band_centres(front_end: FrontEnd) -> Float[Tensor, " band"]:
    """Frequency in hertz at which each band peaks, in the order of the features. Not to be written to."""
    return _known_centres(front_end.model_dump_json())


@lru_cache
def _known_centres(settings: str) -> Float[Tensor, " band"]:
    """What `band_centres` finds, once for each front-end: training asks for it in every cycle."""
    front_end = FrontEnd.model_validate_json(settings)
    return torch.cat([_centres(front_end, channel) for channel in front_end.channels])


def _centres(front_end: FrontEnd, channel: Channel) -> Float[Tensor, " band"]:
    if channel == "constant-q":
        return constant_q_centres(front_end.f_min, front_end.n_mels)
    return _scale(front_end, channel).edges(front_end.f_min, front_end.highest, front_end.n_mels)[1:-1]
