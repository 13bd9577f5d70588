"""The Audio Spectrogram Transformer.

Gong, Chung, Glass, Interspeech 2021 (arXiv:2104.01778); blocks of DeiT, Touvron et al. 2021 (arXiv:2012.12877).
Parameters are named as in the published checkpoints, without their prefix.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractRecutBackbone, AdaptablePart, Converter, State
from add4rsc.backbones._transformer import LAYER_NORM_EPS, Block, Grid, PatchEmbedding, initialise_blocks, take_places
from add4rsc.errors import CheckpointError, RecipeError

PositionTable = Literal["interpolated", "cut", "transposed"]

Pooling = Literal["tokens", "patches"]

N_TOKENS = 2
"""Class token and distillation token, before the patches."""

PUBLISHED_GRIDS = {1212: (12, 101), 512: (8, 64), 576: (24, 24), 196: (14, 14)}
"""By their number of patches: AudioSet at strides 10 and 16 (128 mels, 1024 frames); DeiT at 384 and 224 pixels."""

HUGGING_FACE_NAMES = (
    (r"^audio_spectrogram_transformer\.", ""),
    (r"^embeddings\.(cls_token)$", r"\1"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^layernorm\.", "norm."),
    (r"^(?:encoder\.layer|layers)\.(\d+)\.", r"blocks.\1."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.q_proj\.", ".attn.query."),
    (r"\.attention\.k_proj\.", ".attn.key."),
    (r"\.attention\.v_proj\.", ".attn.value."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
)
"""Names in hub files (and transformers 4), and in memory since transformers 5, to ours; applied in this order."""


def convert_original(state: State) -> State | None:
    """The authors' checkpoint: prefix `module.v.` or `v.`, and heads that we do not have."""
    bare = {re.sub(r"^(module\.)?(v\.)?", "", name): tensor for name, tensor in state.items()}
    if "dist_token" not in bare:
        return None
    return {name: tensor for name, tensor in bare.items() if not re.match(r"(head|head_dist|mlp_head)\.", name)}


def convert_hugging_face(state: State) -> State | None:
    """A checkpoint of transformers, whose query, key and value are three matrices."""
    renamed = {_rename_hugging_face(name): tensor for name, tensor in state.items() if "classifier." not in name}
    if "dist_token" not in renamed or "dist_token" in state:
        return None
    for name in [name for name in renamed if ".attn.query." in name]:
        parts = [renamed.pop(name.replace(".query.", f".{part}."), None) for part in ("query", "key", "value")]
        found = [part for part in parts if part is not None]
        renamed[name.replace(".query.", ".qkv.")] = torch.cat(found)
    return renamed


def _rename_hugging_face(name: str) -> str:
    for pattern, replacement in HUGGING_FACE_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def resize_positions(
    table: Float[Tensor, "1 position dim"], source: Grid, target: Grid, *, cuts: bool = False
) -> Float[Tensor, "1 resized dim"]:
    """Bring a table of positions, tokens first, from one grid to another, bilinearly.

    With `cuts`, an axis that shrinks keeps its middle instead, as in the release of the AST.
    """
    image = table[:, N_TOKENS:].mT.unflatten(-1, source)
    if cuts:
        for axis, n_patches in zip((-2, -1), target, strict=True):
            n_kept = min(n_patches, image.shape[axis])
            image = image.narrow(axis, image.shape[axis] // 2 - n_kept // 2, n_kept)
    if image.shape[-2:] != target:
        image = functional.interpolate(image, size=target, mode="bilinear", align_corners=False)
    return torch.cat([table[:, :N_TOKENS], image.flatten(-2).mT], dim=1)


def fit_published_positions(
    table: Float[Tensor, "1 position dim"], grid: Grid, position_table: PositionTable
) -> Float[Tensor, "1 resized dim"]:
    """Bring a pretrained table of positions to a network's grid.

    Raises:
        CheckpointError: if the grid of the table cannot be told from its length.
    """
    n_patches = table.shape[1] - N_TOKENS
    source = PUBLISHED_GRIDS.get(n_patches, (grid[0], n_patches // grid[0]))
    if source[0] * source[1] != n_patches:
        raise CheckpointError(
            f"A table of {n_patches} positions is of no known grid; known are {sorted(PUBLISHED_GRIDS)} and multiples "
            f"of {grid[0]}. Give the backbone the n_mels, patch_size and stride that the checkpoint was trained with."
        )
    target = table_grid(grid, position_table)
    return resize_positions(table, source, target, cuts=position_table != "interpolated")


def table_grid(grid: Grid, position_table: PositionTable) -> Grid:
    """The grid that a table of positions is made for, which may have mel and time exchanged."""
    return (grid[1], grid[0]) if position_table == "transposed" else grid


def resize_kernel(kernel: Float[Tensor, "dim 1 mel time"], patch_size: Grid) -> Float[Tensor, "dim 1 mel2 time2"]:
    """Bring the kernel of patches to another shape: means along an axis that shrinks, bilinearly along one that grows.

    Scaled so that a flat spectrogram gives what it gave before, if one size is a multiple of the other.
    """
    source = (kernel.shape[-2], kernel.shape[-1])
    if source == patch_size:
        return kernel
    shrunk = functional.adaptive_avg_pool2d(kernel, (min(source[0], patch_size[0]), min(source[1], patch_size[1])))
    resized = functional.interpolate(shrunk, size=patch_size, mode="bilinear", align_corners=False)
    return resized * (source[0] * source[1] / (patch_size[0] * patch_size[1]))


@backbones.register("ast")
class AudioSpectrogramTransformer(AbstractRecutBackbone):
    """The AST: DeiT-base-distilled on overlapping patches; its features are the mean of the two tokens.

    The table of positions belongs to `n_mels` and `n_frames`; for inputs of another length it is resized as they come.

    `position_table` says how a pretrained table gets to another grid: `"interpolated"` bilinearly; `"cut"` as in the
    AST's release, where an axis that shrinks keeps its middle; `"transposed"` as in Patch-Mix (Bae et al. 2023) and all
    that built on it, whose table is made for mel and time exchanged, so that positions are scrambled.

    `pooling="patches"` takes the mean of all patches in place of the two tokens, for weights whose pretraining had no
    use for these.
    """

    forms: ClassVar[Mapping[str, Converter]] = {"original": convert_original, "hugging-face": convert_hugging_face}
    tiny: ClassVar[Mapping[str, Any]] = {"dim": 32, "n_layers": 2, "n_heads": 4, "n_frames": 256}

    def __init__(
        self,
        *,
        patch_size: Sequence[int] = (16, 16),
        stride: Sequence[int] = (10, 10),
        dim: int = 768,
        n_layers: int = 12,
        n_heads: int = 12,
        n_mels: int = 128,
        n_frames: int = 1024,
        position_table: PositionTable = "interpolated",
        pooling: Pooling = "tokens",
    ) -> None:
        super().__init__()
        self.n_features = self.n_patch_features = dim
        self.position_table: PositionTable = position_table
        self.pooling: Pooling = pooling
        patch, step = (patch_size[0], patch_size[1]), (stride[0], stride[1])
        self.grid = ((n_mels - patch[0]) // step[0] + 1, (n_frames - patch[1]) // step[1] + 1)
        if min(self.grid) < 1:
            raise RecipeError(
                f"Patches of {patch[0]} bands and {patch[1]} frames do not fit into {n_mels} bands and {n_frames} "
                "frames. Make them smaller, or n_mels and n_frames of backbone_options larger."
            )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, N_TOKENS + self.grid[0] * self.grid[1], dim))
        self.patch_embed = PatchEmbedding(dim, patch, step)
        self.blocks = nn.Sequential(*(Block(dim, n_heads) for _ in range(n_layers)))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.resizers: Mapping[str, Callable[[Tensor], Tensor]] = {
            "pos_embed": partial(fit_published_positions, grid=self.grid, position_table=position_table),
            "patch_embed.proj.weight": partial(resize_kernel, patch_size=patch),
        }
        self.adaptable: Mapping[str, AdaptablePart] = {
            f"blocks.{index}.{name}": part
            for index in range(n_layers)
            for name, part in (("attn", AdaptablePart("attention", dim)), ("mlp", AdaptablePart("feed-forward", dim)))
        }
        self._form: dict[str, Any] = {"dim": dim, "n_layers": n_layers, "n_heads": n_heads, "n_mels": n_mels}
        self._form |= {"n_frames": n_frames, "position_table": position_table, "pooling": pooling}
        self._initialise()

    @staticmethod
    def front_end() -> FrontEnd:
        """The AST's features."""
        return FrontEnd()

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        """Summarise each cycle."""
        return self.encode(self.patch_embed(log_mel))

    def encode(self, patches: Float[Tensor, "batch dim mel_patch time_patch"]) -> Float[Tensor, "batch feature"]:
        """Summarise patches that `patch_embed` has made, and that a method may have changed since."""
        encoded = self._encode_all(patches, None)
        kept = encoded[:, :N_TOKENS] if self.pooling == "tokens" else encoded[:, N_TOKENS:]
        return self.norm(kept).mean(dim=1)

    def encode_places(
        self, patches: Float[Tensor, "batch dim mel_patch time_patch"], places: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch kept dim"]:
        """What the patches at these places, counted along time first, become where no others are."""
        return self.norm(self._encode_all(patches, places)[:, N_TOKENS:])

    def _encode_all(
        self, patches: Float[Tensor, "batch dim mel_patch time_patch"], places: Int[Tensor, "batch kept"] | None
    ) -> Float[Tensor, "batch position dim"]:
        """Both tokens and the patches, or those at the given places, behind the last block."""
        positions = self.positions((patches.shape[-2], patches.shape[-1]))
        embedded = patches.flatten(-2).mT + positions[:, N_TOKENS:]
        kept = embedded if places is None else take_places(embedded, places)
        tokens = torch.cat([self.cls_token, self.dist_token], dim=1) + positions[:, :N_TOKENS]
        return self.blocks(torch.cat([tokens.expand(patches.shape[0], -1, -1), kept], dim=1))

    def positions(self, grid: Grid) -> Float[Tensor, "1 position dim"]:
        """The table of positions for a grid of patches."""
        if grid == self.grid:
            return self.pos_embed
        source, target = (table_grid(a_grid, self.position_table) for a_grid in (self.grid, grid))
        return resize_positions(self.pos_embed, source, target, cuts=self.position_table != "interpolated")

    def with_patch(self, patch_size: Grid, *, resizes: bool = True) -> AbstractRecutBackbone:
        """A copy with patches of so many bands and frames, which do not overlap.

        Args:
            patch_size: bands and frames of a patch.
            resizes: bring kernel and positions to their new shapes; without, those that would change keep a random
                start, as in the released code of MVST (He et al. 2024, arXiv:2311.09655).
        """
        copy = type(self)(patch_size=patch_size, stride=patch_size, **self._form)
        state, fresh, kernel = self.state_dict(), copy.state_dict(), "patch_embed.proj.weight"
        if resizes:
            resized = {"pos_embed": self.positions(copy.grid), kernel: resize_kernel(state[kernel], patch_size)}
        else:
            resized = {"pos_embed": fresh["pos_embed"]} if copy.grid != self.grid else {}
            resized |= {kernel: fresh[kernel]} if fresh[kernel].shape != state[kernel].shape else {}
        copy.load_state_dict(state | resized)
        return copy

    def _initialise(self) -> None:
        for table in (self.cls_token, self.dist_token, self.pos_embed):
            nn.init.trunc_normal_(table, std=0.02)
        initialise_blocks(self.blocks)
