"""Stochastic normalisation: fine-tuning whose channels are normalised now by the batch, now by what was pretrained.

Row A4 of METHODS; spectrum correction and augmentation to balance the classes are in its recipes.
"""

from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.backbones._base import AbstractBackbone
from add4rsc.backbones._stochastic_norm import drawing_from, normalise_stochastically
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.methods._nguyen2022 import NGUYEN_PAPER, NOT_FOUND, published_settings, small_recipe
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Recipe, Reported
from add4rsc.terms import Paper, Settings


@methods.register("stochastic_normalisation")
class StochasticNormalisationFineTuning(AbstractMethod):
    """A backbone with stochastic normalisation and one linear layer, all of it trained by cross-entropy.

    Nguyen and Pernkopf 2022 (arXiv:2108.01991), after Kou et al., NeurIPS 2020. Where the backbone has no
    two-dimensional batch normalisation this is fine-tuning.
    """

    paper: ClassVar[Paper] = NGUYEN_PAPER

    class Options(Settings):
        """Settings of stochastic normalisation."""

        moving_share: float = Field(default=0.5, ge=0, le=1)
        """p: how often a channel is normalised by the moving statistics in training."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Before the linear layer."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        normalise_stochastically(backbone, options.moving_share)
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(backbone.n_features, n_classes))

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "StochasticNormalisationFineTuning":
        """Build the method around a backbone, whose layers are replaced."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.backbone(log_mel))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy; the same channels are drawn in every process."""
        with drawing_from(self.backbone, generator):
            logits = self(batch.log_mel)
        return {"classification": functional.cross_entropy(logits, batch.labels, reduction="none")}


@recipes.register("stochastic_normalisation/resnet50")
def stochastic_normalisation_resnet50() -> Recipe:
    """ResNet-50 from ImageNet weights, row A4 of METHODS."""
    return Recipe(
        name="stochastic_normalisation/resnet50",
        method="stochastic_normalisation",
        backbone="resnet50",
        weights="resnet50/imagenet",
        paper_selection=Selection.LAST,
        reported=Reported(specificity=0.7886, sensitivity=0.3640, score=0.5763),
        deviations=NOT_FOUND,
        **published_settings(),
    )


@recipes.register("stochastic_normalisation/mn04-small")
def stochastic_normalisation_mn04_small() -> Recipe:
    """EfficientAT's mn04 from AudioSet weights, 2.5 s cycles: minutes on two cores."""
    return small_recipe("stochastic_normalisation", epochs=5)
