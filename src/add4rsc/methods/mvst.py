"""MVST: several views of one spectrogram, each cut into patches of another shape, and gates that weigh them."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.add.layer import resize_log_mel
from add4rsc.backbones._base import AbstractBackbone, AbstractRecutBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import (
    AbstractHead,
    AbstractPreparedMethod,
    AbstractTwoStageMethod,
    Batch,
    Losses,
    TrainingCycles,
)
from add4rsc.methods._contrast import gather_cycles
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe
from add4rsc.recipe import AS_RELEASED, HeadTraining, Optimiser, Recipe, Reported, Schedule, patch_mix_recipe
from add4rsc.terms import Paper, Settings

PatchShape = tuple[int, int]
"""Bands and frames of a patch."""

PUBLISHED_PATCHES: tuple[PatchShape, ...] = ((16, 16), (32, 8), (64, 4), (128, 2), (256, 1))


def coarsened(log_mel: Float[Tensor, "batch time mel"], n_frames: int, n_bands: int) -> Float[Tensor, "batch time mel"]:
    """The same picture with every block of so many frames and bands replaced by its mean."""
    if n_frames == n_bands == 1:
        return log_mel
    means = functional.avg_pool2d(log_mel[:, None], (n_frames, n_bands), ceil_mode=True)
    blocks = means.repeat_interleave(n_frames, dim=2).repeat_interleave(n_bands, dim=3)
    return blocks[:, 0, : log_mel.shape[1], : log_mel.shape[2]]


class Views(nn.Module):
    """A network a view.

    Networks that cut the spectrogram into patches are made again for patches of each shape. Others are copied, and see
    the spectrogram through the mean of as many bands and frames as the patches are larger than those of the first view.
    """

    def __init__(self, backbone: AbstractBackbone, patches: Sequence[PatchShape], *, resizes: bool) -> None:
        super().__init__()
        if isinstance(backbone, AbstractRecutBackbone):
            self.networks = nn.ModuleList(backbone.with_patch(patch, resizes=resizes) for patch in patches)
            self.blocks = [(1, 1) for _ in patches]
        else:
            self.networks = nn.ModuleList(copy.deepcopy(backbone) for _ in patches)
            bands, frames = patches[0]
            self.blocks = [(max(1, patch[1] // frames), max(1, patch[0] // bands)) for patch in patches]

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch view feature"]:
        """What every view says of each cycle."""
        pairs = zip(self.networks, self.blocks, strict=True)
        return torch.stack([network(coarsened(log_mel, *block)) for network, block in pairs], dim=1)


class GatedFusion(AbstractHead):
    """F = sum_i sigmoid(W_i x_i) * x_i over the views i, and a linear layer on it; initial values as released."""

    def __init__(self, n_views: int, n_features: int, n_classes: int, *, frequency_weights: bool = False) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(n_features, n_features, bias=False) for _ in range(n_views))
        self.head = nn.Linear(n_features, n_classes)
        for gate in self.gates:
            nn.init.kaiming_normal_(gate.get_parameter("weight"))
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.frequency: Float[Tensor, " class"]
        self.register_buffer("frequency", torch.full((n_classes,), 1 / n_classes))
        self.frequency_weights = frequency_weights

    def forward(self, features: Float[Tensor, "batch view feature"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        gated = [gate(view).sigmoid() * view for gate, view in zip(self.gates, features.unbind(dim=1), strict=True)]
        return self.head(torch.stack(gated).sum(dim=0))

    def losses(self, features: Float[Tensor, "batch view feature"], labels: Int[Tensor, " batch"]) -> Losses:
        """Cross-entropy of the fusion."""
        entropies = functional.cross_entropy(self(features), labels, reduction="none")
        return {"classification": self._weights(labels) * entropies}

    def _weights(self, labels: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Weight of every cycle in the cross-entropy, of mean 1 over the batch of all processes."""
        if not self.frequency_weights:
            return torch.ones_like(labels, dtype=torch.float32)
        weights = self.frequency[labels]
        return weights / gather_cycles(weights).mean()


@methods.register("mvst")
class MultiViewSpectrogramTransformer(AbstractTwoStageMethod, AbstractPreparedMethod):
    """One transformer a view, each with a head and a cross-entropy of its own; gated fusion of their features decides.

    The views learn first, and the epoch of each is chosen. Then they store their features, on which the fusion learns.
    """

    paper: ClassVar[Paper] = Paper(
        key="he2024mvst",
        title="Multi-View Spectrogram Transformer for Respiratory Sound Classification",
        authors="He, Wentao and Yan, Yuchen and Ren, Jianfeng and Bai, Ruibin and Jiang, Xudong",
        venue="ICASSP",
        year=2024,
        doi="10.1109/ICASSP48485.2024.10445825",
        arxiv="2311.09655",
    )

    class Options(Settings):
        """Settings of MVST."""

        patches: tuple[PatchShape, ...] = Field(default=PUBLISHED_PATCHES, min_length=1)
        """Bands and frames of a patch of each view; patches do not overlap."""
        input_size: tuple[int, int] | None = None
        """Frames and mel columns to which log-mel frames are stretched first; None leaves them as they are."""
        fusion: HeadTraining = HeadTraining()
        """How the fusion learns on the stored features."""
        released_start: bool = False
        """Kernels of the patches and tables of positions start at random where their shape is not that of the
        pretrained ones, as the released code skips them; off, they are resized."""
        frequency_weights: bool = False
        """The fusion weighs a class by its frequency, so that rare ones count less, as the released code does."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        width = backbone.n_features
        self.backbone = Views(backbone, options.patches, resizes=not options.released_start)
        self.view_heads = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_classes)) for _ in options.patches
        )
        self.fusion = GatedFusion(len(options.patches), width, n_classes, frequency_weights=options.frequency_weights)
        self.options = options

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "MultiViewSpectrogramTransformer":
        """Build the method around a backbone, which it copies for every view."""
        return cls(backbone, n_classes, options)

    def prepare(self, training: TrainingCycles, generator: Generator) -> None:
        """Count the classes."""
        counts = torch.bincount(training.labels, minlength=len(self.fusion.frequency))
        self.fusion.frequency.copy_(counts / counts.sum())

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.fusion(self.features(log_mel))

    def features(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch view feature"]:
        """What every view says of each cycle."""
        size = self.options.input_size
        return self.backbone(log_mel if size is None else resize_log_mel(log_mel, *size))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of every view."""
        logits = self.part_logits(batch.log_mel).unbind(dim=1)
        return {
            name: functional.cross_entropy(each, batch.labels, reduction="none")
            for name, each in zip(self.parts(), logits, strict=True)
        }

    def parts(self) -> Mapping[str, Sequence[str]]:
        """The views, by their patches."""
        return {
            f"view_{bands}x{frames}": (f"backbone.networks.{view}.", f"view_heads.{view}.")
            for view, (bands, frames) in enumerate(self.options.patches)
        }

    def part_logits(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch view class"]:
        """What every view says by itself."""
        views = self.features(log_mel).unbind(dim=1)
        return torch.stack([head(view) for head, view in zip(self.view_heads, views, strict=True)], dim=1)

    def head(self) -> GatedFusion:
        """The fusion."""
        return self.fusion

    def head_training(self) -> HeadTraining:
        """How the fusion learns."""
        return self.options.fusion


AST_OPTIONS: dict[str, Any] = {"stride": [16, 16], "n_mels": 256, "n_frames": 1024}
"""16 x 64 patches of 16 x 16 on the stretched input; 1,024 patches of every other shape too."""

ROW: dict[str, Any] = {
    "backbone_options": AST_OPTIONS,
    "weights": "ast/audioset-16-16",
    "optimiser": Optimiser(name="adamw", learning_rate=5e-5, weight_decay=1e-6, decay_all=True),
    "paper": "he2024mvst",
    "reported": Reported(specificity=0.8060, sensitivity=0.4439, score=0.6250),
}
"""A single run on the random division of files, chosen on its test set twice (METHODS A17)."""

FUSION = HeadTraining(schedule=Schedule(wave_epochs=5, per_epoch=True, final_share=1e-12))
"""As released: 100 epochs of AdamW at 1e-3, in batches of 8; the rate falls to 0 in 5 epochs and rises again in 5."""

METHOD_OPTIONS: dict[str, Any] = {"input_size": [1024, 256], "fusion": FUSION.model_dump(mode="json")}

WAVE = "the wave of the fusion's learning rate is one epoch further on than torch's own"


@recipes.register("mvst/ast")
def mvst_ast() -> Recipe:
    """MVST on five ASTs, row A17 of METHODS, mended: kernels and positions resized, the official split."""
    return patch_mix_recipe(
        "mvst/ast",
        "mvst",
        "ast",
        **ROW,
        options=METHOD_OPTIONS,
        deviations=(
            "kernels and positions of the patches are resized; the released code leaves them random",
            "the fusion's cross-entropy has no class weights; in the released code frequent classes weigh more",
            "the official split, not a random one over files",
            "no halving of every step",
            "SpecAugment on every cycle, not on 84 % of them; none on those whose features are stored",
            WAVE,
            "epochs chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("mvst/ast-as-released")
def mvst_ast_as_released() -> Recipe:
    """MVST with the slips of its code, on its random division of files; all epochs are chosen on the test set."""
    return patch_mix_recipe(
        "mvst/ast-as-released",
        "mvst",
        "ast",
        **ROW,
        **AS_RELEASED.changes(),
        weights_left_out=("pos_embed",),
        options=METHOD_OPTIONS
        | {
            "released_start": True,
            "frequency_weights": True,
            "fusion": FUSION.model_copy(update={"augmented": True}).model_dump(mode="json"),
        },
        split="icbhi2017/random-file-seed1",
        deviations=(
            WAVE,
            "random tables of positions start as they are drawn, not stretched over mel and time exchanged",
            "where no epoch has a sensitivity above 5 %, the best of them counts",
        ),
    )


SMALL_FUSION = HeadTraining(epochs=20, batch_size=32)


@recipes.register("mvst/ast-small")
def mvst_ast_small() -> Recipe:
    """Three views by the small transformer, for a CPU."""
    return ast_recipe(
        "mvst/ast-small",
        "mvst",
        options={"patches": [[16, 16], [32, 8], [64, 4]], "fusion": SMALL_FUSION.model_dump(mode="json")},
        epochs=4,
        paper="he2024mvst",
        deviations=(
            SMALL_TRANSFORMER,
            "three views of 16 x 16, 32 x 8 and 64 x 4 patches, not stretched",
            "the fusion learns for 20 epochs in batches of 32, at a rate that falls once; classes are weighed by the "
            "square root of their rarity",
            "epochs chosen on validation patients, who are kept out of training",
        ),
    )
