"""Stethoscope-guided supervised contrastive learning: which cycles were heard through the same stethoscope."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses, codes_of, mean_of_views
from add4rsc.methods._contrast import build_projector, gather_cycles, own_places, supervised_contrast
from add4rsc.methods._reversal import STETHOSCOPE_PAPER, Strength, reversal_strength, reverse_gradient
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe, mn04_recipe
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import AS_RELEASED, Recipe, Reported, patch_mix_recipe
from add4rsc.terms import Paper, Settings


@methods.register("sg_scl")
class StethoscopeGuidedContrast(AbstractMethod):
    """Cross-entropy on the first view, and a contrast of two views by which stethoscope they were heard through.

    Kim et al. 2024 (arXiv:2312.09603, METHODS A14). Their idea is that the backbone gets the contrast's gradient
    reversed, so that stethoscopes become alike; the released code has no reversal there, so that it pulls cycles of the
    same stethoscope together. The stethoscopes of the whole batch are contrasted, however many processes share it;
    cycles of unknown ones are left out.
    """

    paper: ClassVar[Paper] = STETHOSCOPE_PAPER

    class Options(Settings):
        """Settings of stethoscope-guided contrast."""

        contrast: float = Field(default=1.0, ge=0)
        """Weight of the contrastive loss."""
        temperature: float = Field(default=0.06, gt=0)
        """What cosines are divided by."""
        reversal: bool = True
        """Whether the backbone gets the contrast's gradient reversed; not so in the released code."""
        strength: Strength = "schedule"
        """Of the reversal."""
        second_view_learns: bool = False
        """Whether the contrast's gradient reaches the second view too; not so in the released code."""
        head_norm: bool = False
        """A LayerNorm before the classes' linear layer, as in the AST's own classifier."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        width = backbone.n_features
        self.backbone = backbone
        self.head_norm = nn.LayerNorm(width) if options.head_norm else nn.Identity()
        self.head = nn.Linear(width, n_classes)
        self.projector = build_projector(width)
        self.options = options

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "StethoscopeGuidedContrast":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.head_norm(self.backbone(log_mel)))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of the first view, and the contrast of both."""
        features = self.backbone(batch.log_mel)
        logits = self.head(self.head_norm(features))
        contrast = self._contrast(features, batch)
        return {
            "classification": functional.cross_entropy(logits, batch.labels, reduction="none"),
            "contrast": self.options.contrast * contrast,
        }

    def _contrast(self, features: Float[Tensor, "batch feature"], batch: Batch) -> Float[Tensor, " batch"]:
        """The mean of what either view of a cycle has as its contrast to the views of all others."""
        codes = gather_cycles(codes_of(batch, "stethoscope"))
        if len(codes) == 1:
            return features.sum(dim=1) * 0  # one cycle alone has no statistics to normalise with
        first = self._project(features, batch.progress)
        with torch.set_grad_enabled(self.options.second_view_learns and torch.is_grad_enabled()):
            again = self.backbone(batch.log_mel if batch.second is None else batch.second)
            second = self._project(again, batch.progress)
        views = torch.cat([gather_cycles(first), gather_cycles(second)])
        found = supervised_contrast(views, codes.repeat(2), self.options.temperature)
        return mean_of_views(found, len(codes))[own_places(len(features))]

    def _project(self, features: Float[Tensor, "batch feature"], progress: float) -> Float[Tensor, "batch feature"]:
        """What is contrasted; its gradient is turned round on its way back into the backbone."""
        if self.options.reversal:
            features = reverse_gradient(features, reversal_strength(self.options.strength, progress))
        return self.projector(features)


ROW: dict[str, Any] = {
    "views": 2,
    "paper": STETHOSCOPE_PAPER.key,
    "reported": Reported(specificity=0.7987, sensitivity=0.4355, score=0.6171),
}
"""Mean of five seeds, epochs chosen on the test set (METHODS A14); the cross-entropy has no class weights."""


@recipes.register("sg_scl/ast")
def sg_scl_ast() -> Recipe:
    """Stethoscope-guided contrast, row A14 of METHODS, as the paper means it and mended."""
    deviations = (
        "the contrast's gradient is reversed for the backbone, as the paper says and the released code does not",
        "the strength of the reversal follows training, as it is meant to for the paper's adversarial training",
        "positions of the patches in AudioSet's order, not exchanged",
        "no halving of every step",
        "SpecAugment on every cycle, not on 84 % of them",
        "epoch chosen on validation patients, who are kept out of training",
    )
    return patch_mix_recipe("sg_scl/ast", "sg_scl", "ast", **ROW, options={"head_norm": True}, deviations=deviations)


@recipes.register("sg_scl/ast-as-released")
def sg_scl_ast_as_released() -> Recipe:
    """Stethoscope-guided contrast with every quirk of its code base, no reversal among them."""
    return patch_mix_recipe(
        "sg_scl/ast-as-released", "sg_scl", "ast", AS_RELEASED, split="icbhi2017/official", **ROW,
        options={"head_norm": True, "reversal": False},
    )  # fmt: skip


@recipes.register("sg_scl/mn04-small")
def sg_scl_mn04_small() -> Recipe:
    """The same losses on EfficientAT's mn04 and 3 s cycles, for a CPU."""
    return mn04_recipe(
        "sg_scl/mn04-small",
        "sg_scl",
        paper=STETHOSCOPE_PAPER.key,
        paper_selection=Selection.TEST,
        epochs=6,
        views=2,
        deviations=(
            "EfficientAT's mn04 on 3 s in place of the AST on 8 s, with the recipe of fine_tuning/mn04",
            "a corpus of one stethoscope has none to tell apart",
        ),
    )


@recipes.register("sg_scl/ast-small")
def sg_scl_ast_small() -> Recipe:
    """The same losses on the small transformer, for a CPU."""
    return ast_recipe(
        "sg_scl/ast-small",
        "sg_scl",
        options={"head_norm": True},
        views=2,
        paper=STETHOSCOPE_PAPER.key,
        paper_selection=Selection.TEST,
        deviations=(SMALL_TRANSFORMER, "a corpus of one stethoscope has none to tell apart"),
    )
