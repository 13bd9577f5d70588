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
from add4rsc.methods._base import AbstractPacedMethod, AbstractPreparedMethod, Batch, Losses, TrainingCycles
from add4rsc.methods._contrast import gather_cycles
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe
from add4rsc.recipe import AS_RELEASED, Optimiser, Recipe, Reported, patch_mix_recipe
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

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "view batch feature"]:
        """What every view says of each cycle."""
        pairs = zip(self.networks, self.blocks, strict=True)
        return torch.stack([network(coarsened(log_mel, *block)) for network, block in pairs])


class GatedFusion(nn.Module):
    """F = sum_i sigmoid(W_i x_i) * x_i over the views i, and a linear layer on it; initial values as released."""

    def __init__(self, n_views: int, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(n_features, n_features, bias=False) for _ in range(n_views))
        self.head = nn.Linear(n_features, n_classes)
        for gate in self.gates:
            nn.init.kaiming_normal_(gate.get_parameter("weight"))
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, views: Float[Tensor, "view batch feature"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        gated = [gate(view).sigmoid() * view for gate, view in zip(self.gates, views, strict=True)]
        return self.head(torch.stack(gated).sum(dim=0))


@methods.register("mvst")
class MultiViewSpectrogramTransformer(AbstractPacedMethod, AbstractPreparedMethod):
    """One transformer a view, each with a head and a cross-entropy of its own; gated fusion of their features decides.

    The fusion learns on the views' features without sending a gradient back, as the published one, which is trained
    when the views are, on features that they have stored; here it goes along with them, epoch by epoch.
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
        joint: bool = False
        """Let the fusion's cross-entropy reach the views too."""
        fusion_rate: float = Field(default=1.0, gt=0)
        """Factor of the learning rate for the fusion; as released, 1e-3 against the views' 5e-5."""
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
        self.fusion = GatedFusion(len(options.patches), width, n_classes)
        self.frequency: Float[Tensor, " class"]
        self.register_buffer("frequency", torch.full((n_classes,), 1 / n_classes))
        self.options = options

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "MultiViewSpectrogramTransformer":
        """Build the method around a backbone, which it copies for every view."""
        return cls(backbone, n_classes, options)

    def prepare(self, training: TrainingCycles, generator: Generator) -> None:
        """Count the classes."""
        counts = torch.bincount(training.labels, minlength=len(self.frequency))
        self.frequency.copy_(counts / counts.sum())

    def learning_rate_factors(self) -> Mapping[str, float]:
        """The fusion's own rate."""
        return {"fusion.": self.options.fusion_rate}

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.fusion(self._views(log_mel))

    def _views(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "view batch feature"]:
        size = self.options.input_size
        return self.backbone(log_mel if size is None else resize_log_mel(log_mel, *size))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of the fusion, and of every view alone."""
        views = self._views(batch.log_mel)
        fused = self.fusion(views if self.options.joint else views.detach())
        terms = {
            "classification": self._fusion_weights(batch.labels)
            * functional.cross_entropy(fused, batch.labels, reduction="none")
        }
        for (bands, frames), head, view in zip(self.options.patches, self.view_heads, views, strict=True):
            terms[f"view_{bands}x{frames}"] = functional.cross_entropy(head(view), batch.labels, reduction="none")
        return terms

    def _fusion_weights(self, labels: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Weight of every cycle in the fusion's cross-entropy, of mean 1 over the batch of all processes."""
        if not self.options.frequency_weights:
            return torch.ones_like(labels, dtype=torch.float32)
        weights = self.frequency[labels]
        return weights / gather_cycles(weights).mean()


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

METHOD_OPTIONS: dict[str, Any] = {"input_size": [1024, 256], "fusion_rate": 20.0}

ONE_LOOP = (
    "the fusion learns along with the views on their features of the moment, not for 100 epochs more on features that "
    "were stored once the views were trained, and with the views' schedule and weight decay",
    "one epoch is chosen, by the fusion; not one for every view, and then one for the fusion",
)


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
            *ONE_LOOP,
            "kernels and positions of the patches are resized; the released code leaves them random",
            "the fusion's cross-entropy has no class weights; in the released code frequent classes weigh more",
            "the official split, not a random one over files",
            "no halving of every step",
            "SpecAugment on every cycle, not on 84 % of them",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("mvst/ast-as-released")
def mvst_ast_as_released() -> Recipe:
    """MVST with the slips of its code, on its random division of files; its epoch is chosen on the test set."""
    return patch_mix_recipe(
        "mvst/ast-as-released",
        "mvst",
        "ast",
        **ROW,
        **AS_RELEASED.changes(),
        weights_left_out=("pos_embed",),
        options=METHOD_OPTIONS | {"released_start": True, "frequency_weights": True},
        split="icbhi2017/random-file-seed1",
        deviations=(
            *ONE_LOOP,
            "the steps of the fusion are halved like those of the views",
            "random tables of positions start as they are drawn, not stretched over mel and time exchanged",
            "where no epoch has a sensitivity above 5 %, the best of them counts",
        ),
    )


@recipes.register("mvst/ast-small")
def mvst_ast_small() -> Recipe:
    """Three views by the small transformer, for a CPU."""
    return ast_recipe(
        "mvst/ast-small",
        "mvst",
        options={"patches": [[16, 16], [32, 8], [64, 4]]},
        epochs=4,
        paper="he2024mvst",
        deviations=(
            SMALL_TRANSFORMER,
            "three views of 16 x 16, 32 x 8 and 64 x 4 patches, not stretched",
            *ONE_LOOP,
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )
