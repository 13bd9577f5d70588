"""The adaptive frequency filter: a mask that each cycle makes for its own spectrum, or for its own frames."""

import abc

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.add.spectrum import Spectrum, mel_signal, mel_spectrum, time_signal, time_spectrum


class AbstractFrequencyFilter(nn.Module):
    """A filter of log-mel frames in the frequency domain; `dim` counts mel columns."""

    @abc.abstractmethod
    def forward(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Filter; any number of frames."""

    @abc.abstractmethod
    def mask(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch bin dim"]:
        """The gain of each modulation frequency (`bin`, along time) of each column, for plots.

        Of `GainFilter` it is that of each frame.
        """


class PaperFrequencyFilter(AbstractFrequencyFilter):
    """The filter as the paper has it: a shrunk mask times the two-dimensional spectrum, without a residual path.

    ADD4RSC (Dong et al. 2025, arXiv:2506.02505): F^-1[ S_a(M(F(X))) F(X) ] with M = Linear-ReLU-Linear, a = 0.02.

    Differs: nothing known. The paper leaves open how M reads complex numbers (here: real and imaginary parts side by
    side, giving those of a complex mask), how wide M is (here: `dim` inside) and how F is scaled (here: unitary).
    """

    def __init__(self, dim: int, threshold: float = 0.02) -> None:
        super().__init__()
        self.threshold = threshold
        self.mask_hidden, self.mask_output = nn.Linear(2 * dim, dim), nn.Linear(dim, 2 * dim)

    def forward(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Filter; any number of frames."""
        spectrum = mel_spectrum(time_spectrum(x))  # F(X)
        mask = self._complex_mask(spectrum, x.dtype)
        masked = Spectrum(
            mask.real * spectrum.real - mask.imaginary * spectrum.imaginary,
            mask.real * spectrum.imaginary + mask.imaginary * spectrum.real,
        )
        return time_signal(mel_signal(masked), x)

    def mask(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch bin dim"]:
        """Magnitude of the complex mask; `dim` counts frequencies along the mel axis, from 0 up and then negative."""
        return self._complex_mask(mel_spectrum(time_spectrum(x)), x.dtype).magnitude()

    def _complex_mask(self, spectrum: Spectrum, dtype: torch.dtype) -> Spectrum:
        mask = self.mask_output(self.mask_hidden(torch.cat(spectrum, dim=-1).to(dtype)).relu())  # M(F(X))
        return Spectrum(*functional.softshrink(mask, self.threshold).chunk(2, dim=-1))  # S_a


class ReleasedFrequencyFilter(AbstractFrequencyFilter):
    """The filter as released: a block-diagonal complex network makes a new spectrum, which is added to the input.

    ADD4RSC commits 4ed7905 (`fft_filter`) and 8a0384a (`aff`), after AFNO (Guibas et al. 2022, arXiv:2111.13587), along
    time only. Nothing multiplies the spectrum. At the start nearly all of the new spectrum lies below the threshold,
    where soft shrinkage passes neither signal nor gradient: the reason for `FixedFrequencyFilter`.

    Differs: columns that do not divide into `n_blocks` are filled up with zeros, where the original fails.
    """

    def __init__(self, dim: int, threshold: float = 0.01, n_blocks: int = 8) -> None:
        super().__init__()
        self.threshold, self.n_blocks = threshold, n_blocks
        self.n_filled = -dim % n_blocks
        block_dim = (dim + self.n_filled) // n_blocks
        self.hidden_weight = nn.Parameter(torch.empty(2, n_blocks, block_dim, block_dim))
        self.hidden_bias = nn.Parameter(torch.zeros(2, n_blocks, block_dim))
        self.output_weight = nn.Parameter(torch.empty(2, n_blocks, block_dim, block_dim))
        self.output_bias = nn.Parameter(torch.zeros(2, n_blocks, block_dim))
        for weight in (self.hidden_weight, self.output_weight):
            nn.init.kaiming_uniform_(weight)  # takes n_blocks * block_dim**2 for the fan-in, as released

    def forward(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Filter; any number of frames."""
        return x + time_signal(self.branch(time_spectrum(x)), x)

    def mask(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch bin dim"]:
        """The gain that the filter amounts to: magnitude of the output spectrum by that of the input."""
        spectrum = time_spectrum(x)
        branch = self.branch(spectrum)
        output = Spectrum(spectrum.real + branch.real, spectrum.imaginary + branch.imaginary)
        return output.magnitude() / spectrum.magnitude()

    def branch(self, spectrum: Spectrum) -> Spectrum:
        """The spectrum of what the filter adds to its input."""
        n_columns = spectrum.real.shape[-1]
        parts = (part.to(self.hidden_weight.dtype) for part in spectrum)
        filled = (functional.pad(part, (0, self.n_filled)) for part in parts)
        blocks = Spectrum(*(part.unflatten(-1, (self.n_blocks, -1)) for part in filled))
        hidden = Spectrum(*(part.relu() for part in _complex_linear(blocks, self.hidden_weight, self.hidden_bias)))
        output = _complex_linear(hidden, self.output_weight, self.output_bias)
        shrunk = (functional.softshrink(part, self.threshold) for part in output)
        return Spectrum(*(part.flatten(-2)[..., :n_columns] for part in shrunk))


class FixedFrequencyFilter(AbstractFrequencyFilter):
    """The paper's filter made trainable: a real gain for each modulation frequency of each mel column, starting at 1.

    After ADD4RSC (Dong et al. 2025, arXiv:2506.02505): F^-1[ S_a(M(log(1 + |F(X)|))) F(X) ], a = 0.02, no residual.

    Differs: F runs along time only, since the mel axis is one of frequency already; M reads log magnitudes, because a
    spectrum's values span decades; the mask is real, so that it shifts no phase; and M's last bias starts at 1 + a with
    small weights, so that the filter starts as a pass-through, outside the dead zone of S_a, with a gradient for each
    of its weights.
    """

    def __init__(self, dim: int, threshold: float = 0.02) -> None:
        super().__init__()
        self.threshold = threshold
        self.mask_hidden, self.mask_output = nn.Linear(dim, dim), nn.Linear(dim, dim)
        nn.init.ones_(self.mask_hidden.bias)  # from 0, a tenth of the units is silent on a whole cycle
        nn.init.normal_(self.mask_output.weight, std=2e-4)  # real cycles of 8 s pass with less than 1 % change
        nn.init.constant_(self.mask_output.bias, 1 + threshold)

    def forward(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Filter; any number of frames."""
        spectrum = time_spectrum(x)  # F(X)
        mask = self._spectrum_mask(spectrum, x.dtype)
        return time_signal(Spectrum(mask * spectrum.real, mask * spectrum.imaginary), x)

    def mask(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch bin dim"]:
        """The gain, 1 where the filter passes and 0 where it blocks; it may be negative."""
        return self._spectrum_mask(time_spectrum(x), x.dtype)

    def _spectrum_mask(self, spectrum: Spectrum, dtype: torch.dtype) -> Float[Tensor, "batch bin dim"]:
        gain = self.mask_output(self.mask_hidden(spectrum.magnitude().log1p().to(dtype)).relu())  # M(log(1 + |F(X)|))
        return functional.softshrink(gain, self.threshold)  # S_a


class GainFilter(AbstractFrequencyFilter):
    """Our own form: a gain for each frame of each column, as if before the logarithm, where it is a product.

    A mask on energies is a difference on their logarithms: X - d * sigmoid(M(X)), so that nothing is amplified, and
    nothing loses more than d. M is two convolutions along time, over all columns at once, with the mean of the first
    one's output over the whole cycle added to it: what does not change is what noise is known by. Masks in this plane
    are the rule in speech (Wang and Chen 2018, arXiv:1708.07524).

    Differs: from ADD4RSC (Dong et al. 2025, arXiv:2506.02505) in the plane of the mask, which there is that of
    modulation frequencies; without soft shrinkage. It starts as nearly a pass-through.

    Args:
        dim: mel columns.
        deepest: d, in units of the standardised logarithms: 1 is 22 dB for mn04, whose scale is 5 (natural logarithm).
    """

    def __init__(self, dim: int, deepest: float = 1.0) -> None:
        super().__init__()
        self.deepest = deepest
        kernel = 5  # frames: 50 ms at a shift of 10 ms, longer than a fine crackle; our choice
        self.mask_input = nn.Conv1d(dim, dim, kernel, padding="same")
        self.mask_context = nn.Linear(dim, dim)
        self.mask_hidden = nn.Conv1d(dim, dim, kernel, padding="same")
        self.mask_output = nn.Linear(dim, dim)
        nn.init.normal_(self.mask_output.weight, std=2e-2)  # not 0, so that all weights learn at once
        nn.init.constant_(self.mask_output.bias, -3.0)  # 5 % of the deepest loss

    def forward(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Filter; any number of frames."""
        return x - self._attenuation(x)

    def mask(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """The gain of each frame and column, whose logarithm is in the units of `x`: from exp(-deepest) to 1."""
        return (-self._attenuation(x)).exp()

    def _attenuation(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """What is taken off the logarithms."""
        seen = self.mask_input(x.mT).relu()
        whole = self.mask_context(seen.mean(dim=-1)).unsqueeze(-1)
        return self.deepest * self.mask_output(self.mask_hidden(seen + whole).relu().mT).to(x.dtype).sigmoid()


def _complex_linear(
    spectrum: Spectrum, weight: Float[Tensor, "2 block channel channel"], bias: Float[Tensor, "2 block channel"]
) -> Spectrum:
    """The spectrum times weight[0] + i weight[1], block by block, plus the bias."""
    (real_a, imaginary_a), (real_b, imaginary_b) = (
        [torch.einsum("btni,nio->btno", part, factor) for part in spectrum] for factor in weight
    )
    return Spectrum(real_a - imaginary_b + bias[0], imaginary_a + real_b + bias[1])
