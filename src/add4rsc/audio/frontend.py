"""The front-end: waveforms -> standardised log-mel frames, as a module that exports with the network."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.terms import Settings

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
    """Added before the logarithm; 0 floors at the smallest float32 step above 1 instead, as Kaldi does."""
    mean: float = AUDIOSET_MEAN
    scale: float = Field(default=2 * AUDIOSET_STD, gt=0)
    """Log-mel values leave as (value - mean) / scale."""

    @property
    def frame_length(self) -> int:
        """Samples in a frame."""
        return round(self.sample_rate * self.frame_length_ms / 1000)

    @property
    def frame_shift(self) -> int:
        """Samples from one frame to the next."""
        return round(self.sample_rate * self.frame_shift_ms / 1000)

    def below(self, frequency: float) -> "FrontEnd":
        """The same mel bands, without those that reach above a frequency (hertz)."""
        low, high = hertz_to_mel(self.f_min), hertz_to_mel(self.f_max or self.sample_rate / 2)
        step = (high - low) / (self.n_mels + 1)
        n_mels = min(self.n_mels, int((hertz_to_mel(frequency) - low) / step + 1e-9) - 1)
        return self.model_copy(update={"n_mels": n_mels, "f_max": mel_to_hertz(low + (n_mels + 1) * step)})

    def n_frames(self, n_samples: int) -> int:
        """Frames that a waveform gives."""
        if self.framing == "centred":
            return 1 + (n_samples - bool(self.pre_emphasis)) // self.frame_shift
        return 1 + (n_samples - self.frame_length) // self.frame_shift


class LogMelFilterBank(nn.Module):
    """Standardised log-mel filter bank energies, after Kaldi's `compute-fbank-feats` without dither.

    Differentiable, batched, on any device. Equal to torchaudio's Kaldi compliance code to float32 rounding. Frames use
    a symmetric Hann window, power spectra, HTK's mel scale and triangles that are linear in mel.
    """

    window: Tensor
    mel_weights: Tensor

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        self.front_end = front_end
        self.register_buffer("window", torch.hann_window(front_end.frame_length, periodic=False), persistent=False)
        self.register_buffer("mel_weights", mel_filters(front_end), persistent=False)

    def forward(self, waveform: Float[Tensor, "batch sample"]) -> Float[Tensor, "batch time mel"]:
        """Turn waveforms in [-1, 1] into standardised log-mel frames.

        Raises:
            ValueError: if the waveforms are shorter than one frame.
        """
        settings = self.front_end
        if waveform.shape[-1] < settings.frame_length:
            raise ValueError(f"a waveform of {waveform.shape[-1]} samples is shorter than a frame")
        frames = self._kaldi_frames(waveform) if settings.framing == "kaldi" else self._centred_frames(waveform)
        spectrum = torch.fft.rfft(frames * self.window, n=settings.n_fft)
        energies = spectrum.abs().square() @ self.mel_weights.T
        floored = energies + settings.log_offset if settings.log_offset else energies.clamp_min(KALDI_FLOOR)
        return to_log_mel(floored, settings)

    def _kaldi_frames(self, waveform: Float[Tensor, "batch sample"]) -> Float[Tensor, "batch time frame"]:
        frames = waveform.unfold(-1, self.front_end.frame_length, self.front_end.frame_shift)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        return frames - self.front_end.pre_emphasis * previous

    def _centred_frames(self, waveform: Float[Tensor, "batch sample"]) -> Float[Tensor, "batch time frame"]:
        emphasised = waveform
        if self.front_end.pre_emphasis:
            emphasised = waveform[:, 1:] - self.front_end.pre_emphasis * waveform[:, :-1]
        half = self.front_end.n_fft // 2
        padded = functional.pad(emphasised[:, None], (half, half), mode="reflect")[:, 0]
        margin = (self.front_end.n_fft - self.front_end.frame_length) // 2  # the window sits in the middle of the FFT
        n_used = padded.shape[-1] - 2 * margin
        return padded[:, margin : margin + n_used].unfold(-1, self.front_end.frame_length, self.front_end.frame_shift)


def mel_filters(front_end: FrontEnd) -> Float[Tensor, "mel bin"]:
    """Triangular weights from FFT bins to mel bands, linear in HTK's mel; as in Kaldi, the Nyquist bin has none."""
    n_bins = front_end.n_fft // 2
    f_max = front_end.f_max if front_end.f_max is not None else front_end.sample_rate / 2
    low, high = hertz_to_mel(front_end.f_min), hertz_to_mel(f_max)
    step = (high - low) / (front_end.n_mels + 1)
    band = torch.arange(front_end.n_mels)[:, None]
    left, centre, right = (low + (band + i) * step for i in (0.0, 1.0, 2.0))
    mel = 1127.0 * (1.0 + front_end.sample_rate / front_end.n_fft * torch.arange(n_bins) / 700.0).log()[None]
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)  # rounds as Kaldi's code does
    return functional.pad(torch.minimum(rising, falling).clamp_min(0), (0, 1))


def to_energies(log_mel: Float[Tensor, "*batch time mel"], front_end: FrontEnd) -> Float[Tensor, "*batch time mel"]:
    """Mel energies of standardised log-mel frames, the front-end's offset among them."""
    return (log_mel * front_end.scale + front_end.mean).exp()


def to_log_mel(energies: Float[Tensor, "*batch time mel"], front_end: FrontEnd) -> Float[Tensor, "*batch time mel"]:
    """Undo `to_energies`."""
    return (energies.log() - front_end.mean) / front_end.scale


def band_centres(front_end: FrontEnd) -> Float[Tensor, " mel"]:
    """Frequency in hertz at which each mel band's triangle peaks."""
    f_max = front_end.f_max if front_end.f_max is not None else front_end.sample_rate / 2
    low, high = hertz_to_mel(front_end.f_min), hertz_to_mel(f_max)
    step = (high - low) / (front_end.n_mels + 1)
    return torch.tensor([mel_to_hertz(low + band * step) for band in range(1, front_end.n_mels + 1)])


def hertz_to_mel(frequency: float) -> float:
    """HTK's mel scale.

    >>> round(hertz_to_mel(1000.0))
    1000
    """
    return 1127.0 * math.log(1.0 + frequency / 700.0)


def mel_to_hertz(mel: float) -> float:
    """The inverse of `hertz_to_mel`."""
    return 700.0 * (math.exp(mel / 1127.0) - 1.0)
