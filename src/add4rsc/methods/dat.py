"""Domain adversarial training: features from which the stethoscope cannot be told."""

from typing import Any, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses, codes_of
from add4rsc.methods._reversal import STETHOSCOPE_PAPER, Strength, reversal_strength, reverse_gradient
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe, mn04_recipe
from add4rsc.protocol.groups import UNKNOWN
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import AS_RELEASED, Recipe, Reported, patch_mix_recipe
from add4rsc.terms import N_STETHOSCOPE_CODES, Paper, Settings


@methods.register("dat")
class DomainAdversarialTraining(AbstractMethod):
    """Cross-entropy on the classes, and on the stethoscopes behind a reversed gradient.

    The comparison that Kim et al. 2024 (arXiv:2312.09603) make with Ganin et al. 2016 (arXiv:1505.07818): one linear
    layer tells the stethoscope; the backbone learns to mislead it (METHODS A13). Cycles of unknown stethoscopes take no
    part in that.
    """

    paper: ClassVar[Paper] = STETHOSCOPE_PAPER

    class Options(Settings):
        """Settings of domain adversarial training."""

        domain: float = Field(default=1.0, ge=0)
        """Weight of the stethoscopes' cross-entropy."""
        strength: Strength = "schedule"
        """Of the reversal; `full` is the released code's."""
        head_norm: bool = False
        """A LayerNorm before the classes' linear layer, as in the AST's own classifier."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.head_norm = nn.LayerNorm(backbone.n_features) if options.head_norm else nn.Identity()
        self.head = nn.Linear(backbone.n_features, n_classes)
        self.stethoscope_head = nn.Linear(backbone.n_features, N_STETHOSCOPE_CODES)
        self.options = options

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "DomainAdversarialTraining":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.head_norm(self.backbone(log_mel)))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of the classes and, reversed for the backbone, of the stethoscopes."""
        features = self.backbone(batch.log_mel)
        logits = self.head(self.head_norm(features))
        strength = reversal_strength(self.options.strength, batch.progress)
        stethoscope_logits = self.stethoscope_head(reverse_gradient(features, strength))
        codes = codes_of(batch, "stethoscope")
        adversarial = functional.cross_entropy(stethoscope_logits, codes, reduction="none", ignore_index=UNKNOWN)
        return {
            "classification": functional.cross_entropy(logits, batch.labels, reduction="none"),
            "domain": self.options.domain * adversarial,
        }


ROW: dict[str, Any] = {
    "paper": STETHOSCOPE_PAPER.key,
    "reported": Reported(specificity=0.7711, sensitivity=0.4250, score=0.5981),
}
"""Mean of five seeds, epochs chosen on the test set (METHODS A13); the cross-entropy has no class weights."""


@recipes.register("dat/ast")
def dat_ast() -> Recipe:
    """Domain adversarial training, row A13 of METHODS, mended."""
    deviations = (
        "the strength of the reversal follows training, where the released schedule is 1 from the first step",
        f"{N_STETHOSCOPE_CODES} outputs for stethoscopes, not 4, so that other corpora fit",
        "positions of the patches in AudioSet's order, not exchanged",
        "no halving of every step",
        "SpecAugment on every cycle, not on 84 % of them",
        "epoch chosen on validation patients, who are kept out of training",
    )
    return patch_mix_recipe("dat/ast", "dat", "ast", **ROW, options={"head_norm": True}, deviations=deviations)


@recipes.register("dat/ast-as-released")
def dat_ast_as_released() -> Recipe:
    """Domain adversarial training with every quirk of its code base; its epoch is chosen on the test set."""
    options = {"head_norm": True, "strength": "full"}
    return patch_mix_recipe(
        "dat/ast-as-released", "dat", "ast", AS_RELEASED, split="icbhi2017/official", options=options, **ROW,
        deviations=(f"{N_STETHOSCOPE_CODES} outputs for stethoscopes, not 4",),
    )  # fmt: skip


@recipes.register("dat/mn04-small")
def dat_mn04_small() -> Recipe:
    """The same loss on EfficientAT's mn04 and 3 s cycles, for a CPU."""
    return mn04_recipe(
        "dat/mn04-small",
        "dat",
        paper=STETHOSCOPE_PAPER.key,
        paper_selection=Selection.TEST,
        deviations=(
            "EfficientAT's mn04 on 3 s in place of the AST on 8 s, with the recipe of fine_tuning/mn04",
            "a corpus of one stethoscope has none to tell apart",
        ),
    )


@recipes.register("dat/ast-small")
def dat_ast_small() -> Recipe:
    """The same loss on the small transformer, for a CPU."""
    return ast_recipe(
        "dat/ast-small",
        "dat",
        options={"head_norm": True},
        paper=STETHOSCOPE_PAPER.key,
        paper_selection=Selection.TEST,
        deviations=(SMALL_TRANSFORMER, "a corpus of one stethoscope has none to tell apart"),
    )
