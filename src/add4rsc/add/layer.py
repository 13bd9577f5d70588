"""The ADD layer: filter, attend differentially, transform; and what it can be set to."""

from typing import Literal, NamedTuple

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.add.attention import DifferentialAttention
from add4rsc.add.feed_forward import SwiGLU
from add4rsc.add.frequency_filter import (
    AbstractFrequencyFilter,
    FixedFrequencyFilter,
    GainFilter,
    PaperFrequencyFilter,
    ReleasedFrequencyFilter,
)
from add4rsc.add.loss import BiasDenoisingLoss, Smoothing
from add4rsc.errors import WrongUsageError
from add4rsc.terms import Settings


class DenoisedFeatures(NamedTuple):
    """What the ADD layer hands on."""

    features: Float[Tensor, "batch time dim"]
    bias_logits: Float[Tensor, "batch class"]


class LossWeights(NamedTuple):
    """Factors of the two losses."""

    classification: float
    bias_denoising: float


class AddSettings(Settings):
    """Which ADD layer: `paper`, `released` and our own choices, part by part. The defaults are the preset `fixed`."""

    filter_form: Literal["paper", "released", "fixed", "gain"] = "fixed"
    """`gain` is a mask of frames and bands in place of modulation frequencies and bands, without shrinkage."""
    threshold: float = Field(default=0.02, ge=0)
    """a of the soft shrinkage: 0.02 in the paper, 0.01 as released."""
    n_blocks: int = Field(default=8, ge=1)
    """Blocks of the released filter; the other forms have none."""
    second_filter: Literal["own", "shared", "none"] = "own"
    """The filter after the differential denoise layer: with weights of its own, with the first one's, or none."""
    use_filter: bool = True
    """False leaves both filters out, each with the norm after it (the paper's ablation)."""
    use_attention: bool = True
    """False leaves out the differential denoise layer, attention and feed-forward, with the norm after it (same)."""
    norms: Literal["paper", "released"] = "released"
    """`paper`: LayerNorm after each filter and after the differential denoise layer, and inside the latter. `released`:
    root-mean-square norms inside the latter only."""
    bias_input: Literal["output", "first_frames"] = "output"
    """What the bias head sees: the mean of the layer's output over time, or that of the first two frames after the
    first filter, as released (there its gradient reaches nothing but that filter)."""
    smoothing: Smoothing = "paper"
    epsilon: float = Field(default=0.2, ge=0, lt=1)
    """Label smoothing of the bias denoising loss."""
    loss_beta: float | None = Field(default=0.5, ge=0, le=1)
    """beta of L = beta L_BD + (1 - beta) L_CE; 0 leaves the bias denoising loss out; None is the plain sum of both."""
    n_heads: int = Field(default=8, ge=1)
    depth: int = Field(default=6, ge=0)
    """Sets lambda's start, and nothing else: there is one layer."""
    zero_init: bool = True
    """Whether the output projections of attention and feed-forward start at 0, so that both start as pass-throughs."""

    @property
    def loss_weights(self) -> LossWeights:
        """Factors of the cross-entropy and of the bias denoising loss."""
        return LossWeights(1.0, 1.0) if self.loss_beta is None else LossWeights(1 - self.loss_beta, self.loss_beta)

    def bias_denoising_loss(self, reduction: Literal["mean", "none"] = "mean") -> BiasDenoisingLoss:
        """The loss on `DenoisedFeatures.bias_logits`, before its factor."""
        return BiasDenoisingLoss(self.smoothing, self.epsilon, reduction=reduction)

    def frequency_filter(self, dim: int) -> AbstractFrequencyFilter:
        """A new filter of this form for `dim` mel columns."""
        match self.filter_form:
            case "paper":
                return PaperFrequencyFilter(dim, self.threshold)
            case "released":
                return ReleasedFrequencyFilter(dim, self.threshold, self.n_blocks)
            case "fixed":
                return FixedFrequencyFilter(dim, self.threshold)
            case "gain":
                return GainFilter(dim)


class DifferentialDenoiseLayer(nn.Module):
    """Differential attention and SwiGLU, each after a norm and around a residual path; ADD4RSC (arXiv:2506.02505)."""

    def __init__(self, settings: AddSettings, dim: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim) if settings.norms == "paper" else nn.RMSNorm(dim, eps=1e-5)
        self.attention = DifferentialAttention(dim, settings.n_heads, settings.depth)
        self.feed_forward_norm = nn.LayerNorm(dim) if settings.norms == "paper" else nn.RMSNorm(dim, eps=1e-5)
        self.feed_forward = SwiGLU(dim)
        if settings.zero_init:
            nn.init.zeros_(self.attention.to_output.weight)
            nn.init.zeros_(self.feed_forward.output.weight)
            nn.init.zeros_(self.feed_forward.output.bias)

    def forward(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Mix frames, then transform each."""
        attended = x + self.attention(self.attention_norm(x))  # y = MHDA(LN(x)) + x
        return attended + self.feed_forward(self.feed_forward_norm(attended))  # z = SwiGLU(LN(y)) + y


class AddLayer(nn.Module):
    """Adaptive differential denoising of log-mel frames, in front of a backbone; ADD4RSC (arXiv:2506.02505).

    Filter - norm - differential denoise layer - norm - filter - norm, of which the settings leave out some. Frames are
    tokens and mel columns their width `dim`.

    Differs: see `add4rsc.add.presets` for what each form does otherwise than the paper.
    """

    def __init__(self, settings: AddSettings, dim: int, n_classes: int) -> None:
        super().__init__()
        self.settings = settings
        has_own = settings.use_filter and settings.second_filter == "own"
        has_norms = settings.norms == "paper"
        self.filter = settings.frequency_filter(dim) if settings.use_filter else None
        self.filter_norm = nn.LayerNorm(dim) if self.filter and has_norms else nn.Identity()
        self.denoise = DifferentialDenoiseLayer(settings, dim) if settings.use_attention else None
        self.denoise_norm = nn.LayerNorm(dim) if self.denoise and has_norms else nn.Identity()
        self.second_filter = settings.frequency_filter(dim) if has_own else None
        has_second = settings.use_filter and settings.second_filter != "none"
        self.output_norm = nn.LayerNorm(dim) if has_second and has_norms else nn.Identity()
        self.bias_head = nn.Linear(dim, n_classes)

    def forward(self, log_mel: Float[Tensor, "batch time dim"]) -> DenoisedFeatures:
        """Filter, attend, transform; predict labels from the filtered features."""
        filtered = self._filtered(log_mel)
        denoised = filtered if self.denoise is None else self.denoise(filtered)
        second = self.filter if self.settings.second_filter == "shared" else self.second_filter
        normed = self.denoise_norm(denoised)
        features = self.output_norm(normed if second is None else second(normed))
        seen = features if self.settings.bias_input == "output" else filtered[:, :2]
        return DenoisedFeatures(features, self.bias_head(seen.mean(dim=1)))  # phi(Norm(p)): pooling and phi commute

    def attention_maps(self, log_mel: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch 2 head time time"]:
        """Signal and noise map of each head, for plots.

        Raises:
            WrongUsageError: if the layer has no attention.
        """
        if self.denoise is None:
            raise WrongUsageError("This ADD layer has no attention to show. Build it with use_attention=true.")
        return self.denoise.attention.attention_maps(self.denoise.attention_norm(self._filtered(log_mel)))

    def _filtered(self, log_mel: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        return self.filter_norm(log_mel if self.filter is None else self.filter(log_mel))


def resize_log_mel(
    log_mel: Float[Tensor, "batch time mel"], n_frames: int, n_mels: int
) -> Float[Tensor, "batch frame dim"]:
    """Stretch log-mel frames to a size, bilinearly; 798 x 128 to 1024 x 256 in the released pipeline.

    Corners are not aligned, as in torchvision's Resize. Nothing is smoothed before a reduction.
    """
    size = (n_frames, n_mels)
    return functional.interpolate(log_mel[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
