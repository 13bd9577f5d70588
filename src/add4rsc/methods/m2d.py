"""Masked Modeling Duo: a network learns what is masked from what is not, without labels, then the classes."""

import copy
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.augment.noise import NoiseAugmentation
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone, AbstractPatchBackbone
from add4rsc.backbones._transformer import LAYER_NORM_EPS, Block, Grid, initialise_blocks, sine_positions
from add4rsc.errors import RecipeError
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.methods._contrast import gather_cycles, own_places
from add4rsc.methods._small import ast_recipe
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Optimiser, Recipe, Reported, Schedule
from add4rsc.terms import Paper, Settings

HEAD_STD = 2e-5
"""Of the head's first weights, so small that all classes are alike at first; as released."""


def draw_places(
    n_cycles: int, n_patches: int, mask_share: float, generator: Generator
) -> tuple[Int[Tensor, "cycle visible"], Int[Tensor, "cycle masked"]]:
    """Which patches of every cycle are seen, and which are to be told from those; at least one of each."""
    n_visible = min(max(round(n_patches * (1 - mask_share)), 1), n_patches - 1)
    order = torch.rand(n_cycles, n_patches, generator=generator).argsort(dim=1)
    return order[:, :n_visible], order[:, n_visible:]


def standardise(
    targets: Float[Tensor, "batch masked dim"], groups: Int[Tensor, "batch masked"]
) -> Float[Tensor, "batch masked dim"]:
    """Bring every dimension to mean 0 and variance 1 over all patches of a group, numbered from 0."""
    flat, of = targets.flatten(0, 1).float(), groups.flatten()
    n_groups = int(of.max()) + 1
    counts = torch.bincount(of, minlength=n_groups).clamp_min(1)[:, None]
    means = flat.new_zeros(n_groups, flat.shape[1]).index_add(0, of, flat) / counts
    squares = (flat - means[of]).square()
    variances = flat.new_zeros(n_groups, flat.shape[1]).index_add(0, of, squares) / counts
    return ((flat - means[of]) / (variances[of] + LAYER_NORM_EPS).sqrt()).view_as(targets)


class Predictor(nn.Module):
    """Guesses what masked patches are from those that are visible: a narrower transformer over all places."""

    def __init__(self, n_patch_features: int, dim: int, n_layers: int, n_heads: int) -> None:
        super().__init__()
        self.enter = nn.Linear(n_patch_features, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.blocks = nn.Sequential(*(Block(dim, n_heads) for _ in range(n_layers)))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.leave = nn.Linear(dim, n_patch_features)
        nn.init.normal_(self.mask_token, std=0.02)
        initialise_blocks(self.blocks)

    def forward(
        self,
        visible: Float[Tensor, "batch seen dim"],
        seen: Int[Tensor, "batch seen"],
        masked: Int[Tensor, "batch masked"],
        grid: Grid,
    ) -> Float[Tensor, "batch masked dim"]:
        """What the masked places hold."""
        table = sine_positions(self.mask_token.shape[-1], grid)[0, 1:].to(visible)
        guesses = self.mask_token.expand(*masked.shape, -1) + table[masked]
        mixed = self.blocks(torch.cat([self.enter(visible) + table[seen], guesses], dim=1))
        return self.leave(self.norm(mixed[:, seen.shape[1] :]))


@methods.register("m2d")
class MaskedModelingDuo(AbstractMethod):
    """Two stages, each a run: masked modelling without labels, and fine-tuning from what that has found.

    *Pretraining*. The network sees some patches of a cycle, and a predictor tells from them what a second network makes
    of the others, which sees those alone. The second network follows the first as a moving average of its weights. The
    loss is the squared distance of directions: 2 - 2 cos of the prediction and of the target, standardised over the
    batch. Where the recipe mixes noise into cycles and asks for their twins (`noise.twin`), the second network hears
    the clean ones. A linear probe learns beside this from features that pass no gradient back, and tells how far it is;
    or the classes are a second task, told from the mean of what is seen (M2D-X has a second task for small corpora).

    *Fine-tuning*. Batch normalisation without weights and a linear head; the embedding of patches stays as it is.
    """

    paper: ClassVar[Paper] = Paper(
        key="niizumi2024m2d",
        title="Masked Modeling Duo: Towards a Universal Audio Pre-Training Framework",
        authors="Niizumi, Daisuke and Takeuchi, Daiki and Ohishi, Yasunori and Harada, Noboru and Kashino, Kunio",
        venue="IEEE/ACM Transactions on Audio, Speech, and Language Processing",
        year=2024,
        arxiv="2404.06095",
    )

    class Options(Settings):
        """Settings of both stages."""

        stage: Literal["pretraining", "fine-tuning"] = "fine-tuning"
        mask_share: float = Field(default=0.7, gt=0, lt=1)
        """Of the patches, those that are masked."""
        momentum: float = Field(default=0.99995, ge=0, lt=1)
        """Of the second network's average, a step."""
        standardised: Literal["batch", "place"] = "batch"
        """Whether targets are standardised over all masked patches, or over those of each place: what is always the
        same there then counts for nothing, which a short pretraining would learn first."""
        predictor_dim: int = Field(default=512, gt=0, multiple_of=4)
        predictor_layers: int = Field(default=8, gt=0)
        predictor_heads: int = Field(default=16, gt=0)
        second_task: float = Field(default=0.0, ge=0)
        """Weight, in pretraining, of the cross-entropy of the class told from the patches that are seen; 0 leaves the
        classes to a probe that does not teach the network."""
        freeze_patches: bool = True
        """Leave the embedding of patches as it is in fine-tuning."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.head_norm = nn.BatchNorm1d(backbone.n_features, affine=False)
        self.head = nn.Linear(backbone.n_features, n_classes)
        nn.init.trunc_normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)
        self.options = options
        if options.stage == "pretraining":
            patched = _require_patches(backbone)
            if options.second_task and patched.n_patch_features != patched.n_features:
                raise RecipeError(
                    f"{type(backbone).__name__} puts bands side by side, so that its features cannot be told from some "
                    "patches. Take --set options.second_task=0 or --set backbone=ast."
                )
            sizes = (options.predictor_dim, options.predictor_layers, options.predictor_heads)
            self.predictor = Predictor(patched.n_patch_features, *sizes)
            self.target = copy.deepcopy(patched).requires_grad_(False)
        elif options.freeze_patches and isinstance(backbone, AbstractPatchBackbone):
            backbone.patch_embed.requires_grad_(False)

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "MaskedModelingDuo":
        """Build the method around a backbone.

        Raises:
            RecipeError: in pretraining, if the backbone has no patches, or none that a second task could be told from.
        """
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self._classify(self.backbone(log_mel), is_alone=self.training and log_mel.shape[0] == 1)

    def _classify(self, features: Float[Tensor, "batch feature"], *, is_alone: bool) -> Float[Tensor, "batch class"]:
        """Logits; a batch of one cycle, which has no statistics, is normalised as in use."""
        norm = self.head_norm
        if is_alone:
            return self.head(functional.batch_norm(features, norm.running_mean, norm.running_var, eps=norm.eps))
        return self.head(norm(features))

    def _entropy(self, features: Float[Tensor, "batch feature"], batch: Batch) -> Float[Tensor, " batch"]:
        """Cross-entropy of the class."""
        logits = self._classify(features, is_alone=self.training and len(gather_cycles(batch.labels)) == 1)
        return functional.cross_entropy(logits, batch.labels, reduction="none")

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy in fine-tuning; in pretraining that of the probe, and the distance at the masked patches."""
        if self.options.stage == "fine-tuning":
            return {"classification": self._entropy(self.backbone(batch.log_mel), batch)}
        distance, features = self._model_masked(batch, generator)
        weight = self.options.second_task
        if not weight:
            with torch.no_grad():
                features = self.backbone(batch.log_mel)
        entropy = self._entropy(features, batch)
        return {"masked_modelling": distance, "classification": entropy * weight if weight else entropy}

    def _model_masked(
        self, batch: Batch, generator: Generator
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch dim"]]:
        """Mean over the masked patches of 2 - 2 cos(prediction, target), and the mean of what the seen ones became."""
        self._follow()
        backbone = _require_patches(self.backbone)
        patches = backbone.patch_embed(batch.log_mel)
        grid = (patches.shape[-2], patches.shape[-1])
        n_cycles = len(gather_cycles(batch.labels))
        drawn = draw_places(n_cycles, grid[0] * grid[1], self.options.mask_share, generator)
        seen, masked = (places[own_places(len(batch.labels))].to(patches.device) for places in drawn)
        visible = backbone.encode_places(patches, seen)
        predicted = self.predictor(visible, seen, masked, grid)
        with torch.no_grad():
            clean = batch.log_mel if batch.clean is None else batch.clean
            targets = self.target.encode_places(self.target.patch_embed(clean), masked)
            targets = self._standardise(targets, masked)
        distance = 2 - 2 * functional.cosine_similarity(predicted.float(), targets.float(), dim=-1)
        return distance.mean(dim=1), visible.mean(dim=1)

    def _standardise(
        self, targets: Float[Tensor, "batch masked dim"], masked: Int[Tensor, "batch masked"]
    ) -> Float[Tensor, "batch masked dim"]:
        """Over all masked patches of the whole batch, or over those of the same place in it."""
        everyone, places = gather_cycles(targets), gather_cycles(masked)
        groups = places if self.options.standardised == "place" else torch.zeros_like(places)
        return standardise(everyone, groups)[own_places(len(targets)).to(targets.device)]

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the second network towards the first, which has taken a step since."""
        for own, leader in zip(self.target.parameters(), self.backbone.parameters(), strict=True):
            own.lerp_(leader, 1 - self.options.momentum)


def _require_patches(backbone: AbstractBackbone) -> AbstractPatchBackbone:
    """The same backbone.

    Raises:
        RecipeError: if it does not cut the spectrogram into patches.
    """
    if isinstance(backbone, AbstractPatchBackbone):
        return backbone
    raise RecipeError(
        f"Method m2d masks patches, and {type(backbone).__name__} has none. "
        "Take --set backbone=ast or backbone=m2d_vit."
    )


PUBLISHED_WEIGHTS = "m2d_vit/audioset-80x200-16x4"

PRETRAINING: dict[str, Any] = {
    "paper": "niizumi2024m2d",
    "selection": Selection.LAST,
}

ONE_TARGET = "no second loss by a network that stays as it is (offline, of weight 1): its target is not described"


@recipes.register("m2d/m2d_vit-pretraining")
def m2d_m2d_vit_pretraining() -> Recipe:
    """Further pretraining of M2D from AudioSet on the training cycles, row A12 of METHODS."""
    return Recipe(
        name="m2d/m2d_vit-pretraining",
        method="m2d",
        backbone="m2d_vit",
        weights=PUBLISHED_WEIGHTS,
        options={"stage": "pretraining"},
        crop=Crop(duration=2.0),
        noise=NoiseAugmentation(probability=1.0, highest_snr_db=20.0, twin=True),
        optimiser=Optimiser(name="adamw", learning_rate=1.5e-4, weight_decay=0.05),
        schedule=Schedule(warmup_epochs=24, final_share=0.0),
        epochs=600,
        batch_size=128,
        drop_last=True,
        **PRETRAINING,
        deviations=(
            "cycles of the training part, not all of its recordings; validation patients are kept out",
            "noise is made, not taken from FSD50K, and its level drawn from -5 to 20 dB, not a ratio of 0.3",
            "warm-up and weight decay not found: M2D's own",
            ONE_TARGET,
        ),
    )


@recipes.register("m2d/m2d_vit")
def m2d_m2d_vit() -> Recipe:
    """Fine-tuning of M2D in chunks of 2 s, row A12 of METHODS; give `m2d/m2d_vit-pretraining`'s run as `weights`."""
    return Recipe(
        name="m2d/m2d_vit",
        method="m2d",
        backbone="m2d_vit",
        weights=PUBLISHED_WEIGHTS,
        crop=Crop(duration=8.0),
        augmentation=SpectrogramAugmentation(n_time_masks=2, max_time_mask=160, n_mel_masks=2, max_mel_mask=30),
        optimiser=Optimiser(name="adam", learning_rate=5e-5, weight_decay=0.0),
        schedule=Schedule(per_epoch=True),
        epochs=150,
        batch_size=64,
        drop_last=True,
        class_weights="inverse",
        paper="niizumi2024m2d",
        paper_selection=Selection.TEST,
        reported=Reported(specificity=0.8151, sensitivity=0.4508, score=0.6329),
        deviations=(
            "starts from AudioSet alone unless the run of m2d/m2d_vit-pretraining is given as weights",
            "standardised as in pretraining (mean -7.1, sd 4.2), not by the statistics of each data set",
            "frames through a symmetric Hann window, not a periodic one: log-mel values move by about 0.005",
            "weight decay not found: none; SpecAugment's masks are as large as the Patch-Mix code base's, for 80 bands",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("m2d/ast-small-pretraining")
def m2d_ast_small_pretraining() -> Recipe:
    """Masked modelling by a transformer of 4 blocks from random weights: how `ast/small-m2d` was made."""
    return ast_recipe(
        "m2d/ast-small-pretraining",
        "m2d",
        options={
            "stage": "pretraining",
            "mask_share": 0.5,
            "second_task": 1.0,
            "momentum": 0.9995,
            "standardised": "place",
            "predictor_dim": 96,
            "predictor_layers": 2,
            "predictor_heads": 3,
        },
        augmentation=SpectrogramAugmentation(time_shift=0.5, level_shift=0.2),
        optimiser=Optimiser(name="adamw", learning_rate=7e-4, weight_decay=0.05),
        schedule=Schedule(warmup_epochs=2),
        weights=None,
        epochs=50,
        batch_size=64,
        **PRETRAINING,
        deviations=(
            "a small transformer, whose features are the mean of its patches, from random weights",
            "the classes of the training cycles are a second task: twenty epochs without them gained nothing",
            "half of the patches masked, not 70 %",
            "targets standardised place by place",
            "no noise, so that the second network hears what the first one does",
        ),
    )


@recipes.register("m2d/ast-small")
def m2d_ast_small() -> Recipe:
    """Fine-tuning of the small transformer that masked modelling has pretrained: for a CPU."""
    return ast_recipe(
        "m2d/ast-small",
        "m2d",
        class_weights="inverse",
        paper="niizumi2024m2d",
        deviations=(
            "a transformer of 4 blocks and 192 dimensions; features are the mean of its patches: one chunk of 2 s",
            "pretrained on respiratory sounds alone, not on AudioSet first",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )
