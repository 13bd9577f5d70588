"""The Vision Transformer of Masked Modeling Duo, which hears a cycle in chunks.

Niizumi et al., IEEE/ACM TASLP 2024 (arXiv:2404.06095). Parameters are named as in the published checkpoints.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractPatchBackbone, Converter, State
from add4rsc.backbones._transformer import (
    LAYER_NORM_EPS,
    Block,
    PatchEmbedding,
    initialise_blocks,
    sine_positions,
    take_places,
)
from add4rsc.errors import CheckpointError, RecipeError

PRETRAINING_MEAN, PRETRAINING_STD = -7.1, 4.2
"""Of AudioSet's log-mel values, with which the released networks standardise where their file has none."""


def convert_released(state: State) -> State | None:
    """A released checkpoint: of pretraining, of which predictor and target are left out, or of fine-tuning."""
    bare = {re.sub(r"^module\.ar\.runtime\.backbone\.", "", name): tensor for name, tensor in state.items()}
    if "dist_token" in bare or "cls_token" not in bare or "blocks.0.attn.qkv.weight" not in bare:
        return None
    return {
        name: bare[name] for name in bare if re.match(r"(cls_token$|pos_embed$|patch_embed\.|blocks\.|norm\.)", name)
    }


def fit_positions(
    table: Float[Tensor, "1 position dim"], positions: Float[Tensor, "1 own width"]
) -> Float[Tensor, "1 own width"]:
    """The network's own table, which is a formula, in place of one of another length.

    Raises:
        CheckpointError: if the table is of another width.
    """
    if table.shape[-1] != positions.shape[-1]:
        raise CheckpointError(
            f"The table of positions is {table.shape[-1]} wide, that of this network {positions.shape[-1]}. "
            "Give the backbone the dim that the checkpoint was trained with."
        )
    return table if table.shape == positions.shape else positions.clone()


@backbones.register("m2d_vit")
class MaskedDuoTransformer(AbstractPatchBackbone):
    """ViT-base on patches that do not overlap; features are those of all bands side by side, their mean over time.

    Frames are encoded `n_frames` at a time, as many as it was pretrained with; the last chunk may be shorter, and is
    filled with zeros up to a whole patch. The class token takes part, and is not read.
    """

    forms: ClassVar[Mapping[str, Converter]] = {"released": convert_released}
    tiny: ClassVar[Mapping[str, Any]] = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_frames": 64}

    def __init__(
        self,
        *,
        patch_size: Sequence[int] = (16, 4),
        dim: int = 768,
        n_layers: int = 12,
        n_heads: int = 12,
        n_mels: int = 80,
        n_frames: int = 200,
    ) -> None:
        super().__init__()
        self.patch_size = (patch_size[0], patch_size[1])
        self.grid = (n_mels // self.patch_size[0], n_frames // self.patch_size[1])
        if min(self.grid) < 1 or n_frames % self.patch_size[1]:
            raise RecipeError(
                f"A chunk of {n_mels} bands and {n_frames} frames has no whole number of patches of "
                f"{self.patch_size[0]} x {self.patch_size[1]}. "
                "Change n_mels, n_frames or patch_size of backbone_options."
            )
        self.n_features = dim * self.grid[0]
        self.n_patch_features = dim
        self.n_chunk_frames = n_frames
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed: Float[Tensor, "1 position dim"]
        self.register_buffer("pos_embed", sine_positions(dim, self.grid))
        self.patch_embed = PatchEmbedding(dim, self.patch_size, self.patch_size)
        self.blocks = nn.Sequential(*(Block(dim, n_heads) for _ in range(n_layers)))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.resizers: Mapping[str, Callable[[Tensor], Tensor]] = {
            "pos_embed": partial(fit_positions, positions=self.pos_embed)
        }
        nn.init.normal_(self.cls_token, std=0.02)
        initialise_blocks(self.blocks)

    @staticmethod
    def front_end() -> FrontEnd:
        """80 bands from 50 to 8000 Hz, as M2D was pretrained."""
        return FrontEnd(
            n_mels=80,
            n_fft=400,
            f_min=50.0,
            f_max=8000.0,
            pre_emphasis=0.0,
            framing="centred",
            mel_scale="slaney",
            log_offset=torch.finfo(torch.float32).eps,
            mean=PRETRAINING_MEAN,
            scale=PRETRAINING_STD,
        )

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        missing = -log_mel.shape[1] % self.patch_size[1]
        chunks = functional.pad(log_mel, (0, 0, 0, missing)).split(self.n_chunk_frames, dim=1)
        return torch.cat([self._columns(self.patch_embed(chunk)) for chunk in chunks], dim=1).mean(dim=1)

    def encode(self, patches: Float[Tensor, "batch dim mel_patch time_patch"]) -> Float[Tensor, "batch feature"]:
        """Summarise patches that `patch_embed` has made, and that a method may have changed since."""
        chunks = patches.split(self.grid[1], dim=-1)
        return torch.cat([self._columns(chunk) for chunk in chunks], dim=1).mean(dim=1)

    def _columns(
        self, patches: Float[Tensor, "batch dim mel_patch time_patch"]
    ) -> Float[Tensor, "batch time_patch feature"]:
        """What a chunk's patches become, all bands of a moment side by side."""
        encoded = self.norm(self._encode_all(patches, None)[:, 1:])
        return encoded.unflatten(1, patches.shape[-2:]).transpose(1, 2).flatten(-2)

    def encode_places(
        self, patches: Float[Tensor, "batch dim mel_patch time_patch"], places: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch kept dim"]:
        """What the patches at these places, counted along time first, become where no others are.

        Raises:
            RecipeError: if they are of more than one chunk.
        """
        if patches.shape[-1] > self.grid[1]:
            raise RecipeError(
                f"Patches are masked within a chunk of {self.n_chunk_frames} frames, and the cycles are longer. "
                "Make crop.duration shorter."
            )
        return self.norm(self._encode_all(patches, places)[:, 1:])

    def _encode_all(
        self, patches: Float[Tensor, "batch dim mel_patch time_patch"], places: Int[Tensor, "batch kept"] | None
    ) -> Float[Tensor, "batch position dim"]:
        """The class token and the patches of a chunk, or those at the given places, behind the last block."""
        n_columns = patches.shape[-1]
        table = self.pos_embed[:, 1:].unflatten(1, self.grid)[:, :, :n_columns].flatten(1, 2)
        embedded = patches.flatten(-2).mT + table
        kept = embedded if places is None else take_places(embedded, places)
        token = (self.cls_token + self.pos_embed[:, :1]).expand(patches.shape[0], -1, -1)
        return self.blocks(torch.cat([token, kept], dim=1))
