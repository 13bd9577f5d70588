"""CLAP's two towers, of sound (HTSAT) and of text (RoBERTa), as `transformers` has them.

Wu et al., ICASSP 2023 (arXiv:2211.06687); HTSAT: Chen et al., ICASSP 2022 (arXiv:2202.00874). What is heard here are
the projections to the space that both towers share, before they are brought to length 1.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone, Converter, State
from add4rsc.errors import MissingExtraError, RecipeError

NATS_PER_DB = math.log(10) / 10
LEAST_POWER = 1e-10
SILENCE = math.log(LEAST_POWER) / NATS_PER_DB
"""-100 dB: what CLAP's feature extractor makes of silence."""

COMPUTED = ("relative_position_index", "position_ids", "token_type_ids")
"""Ends of the names of tensors that the towers compute by themselves; some checkpoints carry them, others do not."""

FUSION = ("fusion_model", "mel_conv2d")
"""Parts of the fused form of CLAP, whose input is another."""


def convert_transformers(state: State) -> State | None:
    """A checkpoint of transformers with both towers."""
    if not any("audio_projection." in name for name in state) or any(part in name for name in state for part in FUSION):
        return None
    return {
        _rename(name): tensor
        for name, tensor in state.items()
        if not name.endswith(COMPUTED) and not name.startswith("logit_scale")
    }


def _rename(name: str) -> str:
    if name.startswith(("audio_model.", "audio_projection.")):
        return f"audio.{name}"
    return f"text_tower.text.{name}" if name.startswith(("text_model.", "text_projection.")) else name


def _keep_out_computed(module: nn.Module) -> None:
    """Leave tensors that are computed anyway out of the module's state."""
    for each in module.modules():
        for name, buffer in list(each.named_buffers(recurse=False)):
            if name in COMPUTED:
                each.register_buffer(name, buffer, persistent=False)


class TextTower(nn.Module):
    """CLAP's text tower; its features are the projection of the first token.

    Args:
        options: of `transformers.ClapTextConfig`; by default those of the published network.

    Raises:
        MissingExtraError: if transformers is not installed.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        try:
            from transformers import ClapTextConfig, ClapTextModelWithProjection
        except ImportError as error:
            raise MissingExtraError("CLAP", "hf") from error
        config = ClapTextConfig(**options)
        self.text = ClapTextModelWithProjection(config)
        _keep_out_computed(self.text)
        self.n_features: int = config.projection_dim
        self.n_words: int = config.vocab_size
        """Token numbers lie below it."""
        self.padding: int = config.pad_token_id or 0
        """The token that fills shorter sentences up."""

    def forward(self, tokens: Int[Tensor, "batch token"]) -> Float[Tensor, "batch feature"]:
        """Summarise each sentence."""
        return self.text(input_ids=tokens, attention_mask=tokens.ne(self.padding).long()).text_embeds


class AbstractTextBackbone(AbstractBackbone):
    """A backbone that may bring a text tower, which was pretrained together with it."""

    text_tower: TextTower | None
    """None if its options ask for none."""


@backbones.register("clap")
class Clap(AbstractTextBackbone):
    """CLAP's audio tower, HTSAT-tiny of 28 million weights, on 48 kHz; with `text` its text tower stands beside it.

    The spectrogram is stretched to `spec_size`^2 / `n_mels` frames, folded to a square image and cut into patches.
    Cycles of fewer than `n_frames` frames are filled up with silence, as CLAP's feature extractor does.
    """

    forms: ClassVar[Mapping[str, Converter]] = {"transformers": convert_transformers}
    tiny: ClassVar[Mapping[str, Any]] = {
        "dim": 16,
        "depths": [1, 2],
        "n_heads": [2, 4],
        "patch_size": 16,
        "window_size": 4,
        "spec_size": 256,
        "n_features": 32,
        "text_options": {
            "vocab_size": 96,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 80,
            "projection_dim": 32,
        },
    }

    def __init__(
        self,
        *,
        dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        n_heads: Sequence[int] = (4, 8, 16, 32),
        patch_size: int = 4,
        window_size: int = 8,
        spec_size: int = 256,
        n_mels: int = 64,
        n_features: int = 512,
        n_frames: int = 1001,
        text: bool = False,
        text_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        try:
            from transformers import ClapAudioConfig, ClapAudioModelWithProjection
        except ImportError as error:
            raise MissingExtraError("Backbone 'clap'", "hf") from error
        config = ClapAudioConfig(
            patch_embeds_hidden_size=dim,
            hidden_size=dim * 2 ** (len(depths) - 1),
            depths=list(depths),
            num_attention_heads=list(n_heads),
            num_hidden_layers=len(depths),
            patch_size=patch_size,
            patch_stride=[patch_size, patch_size],
            window_size=window_size,
            spec_size=spec_size,
            num_mel_bins=n_mels,
            projection_dim=n_features,
        )
        self.audio = ClapAudioModelWithProjection(config)
        _keep_out_computed(self.audio)
        self.text_tower = TextTower(**(text_options or {})) if text else None
        self.n_features = n_features
        self.n_frames = n_frames
        self.most_frames = spec_size**2 // n_mels

    @staticmethod
    def front_end() -> FrontEnd:
        """Decibels of 64 bands, every 10 ms: CLAP's feature extractor where it does not fuse."""
        return FrontEnd(
            sample_rate=48_000,
            n_mels=64,
            frame_length_ms=1024 / 48,
            frame_shift_ms=10.0,
            n_fft=1024,
            f_min=50.0,
            f_max=14_000.0,
            pre_emphasis=0.0,
            framing="centred",
            log_floor=LEAST_POWER,
            window="periodic",
            mean=0.0,
            scale=NATS_PER_DB,
            mel_scale="slaney",
        )

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle.

        Raises:
            RecipeError: if the cycles are longer than the network can hear.
        """
        n_frames = log_mel.shape[1]
        if n_frames > self.most_frames:
            raise RecipeError(
                f"CLAP hears {self.most_frames} frames at most, these cycles have {n_frames}. "
                "Make crop.duration shorter, or backbone_options.spec_size larger."
            )
        if n_frames < self.n_frames:
            log_mel = functional.pad(log_mel, (0, 0, 0, self.n_frames - n_frames), value=SILENCE)
        return self.audio(input_features=log_mel[:, None]).audio_embeds
