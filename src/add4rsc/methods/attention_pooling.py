"""CNN-8 with attention pooling: every place of a cycle votes, and the classes say whose votes count.

The paper's own subject, prototypes and criticisms found by adversarial attacks, works for a run of any method:
`add4rsc explain RUN --examples` (`engine/examples.py`).
"""

from typing import Any, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone, AbstractMapBackbone
from add4rsc.backbones.cnn8 import Cnn8
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Optimiser, Recipe, Reported, Schedule
from add4rsc.terms import Paper, Settings

N_STRETCHES = 4
"""Half-overlapping stretches of a cycle that take turns before a backbone without a map of features."""


class AttentionHead(nn.Module):
    """Class logits of a map of features: the mean over its places of log-probabilities, weighted by class.

    A place's weight for a class is 0.1 + sigmoid(a), at most 0.9, divided by the sum over all places; so no place is
    ever shut out. The convolution that gives a starts at 0: all places count the same.
    """

    def __init__(self, n_features: int, n_classes: int, floor: float) -> None:
        super().__init__()
        self.attention = nn.Conv2d(n_features, n_classes, 1)
        self.classification = nn.Conv2d(n_features, n_classes, 1)
        self.floor = floor
        nn.init.zeros_(self.attention.weight)
        nn.init.xavier_uniform_(self.classification.weight)
        for convolution in (self.attention, self.classification):
            nn.init.zeros_(convolution.bias)  # pyright: ignore[reportArgumentType]

    def weights(self, features: Float[Tensor, "batch feature row column"]) -> Float[Tensor, "batch class place"]:
        """How much each place counts for each class; they add up to 1."""
        open_share = (self.attention(features).sigmoid() + self.floor).clamp_max(1 - self.floor).flatten(2)
        return open_share / open_share.sum(dim=2, keepdim=True)

    def forward(self, features: Float[Tensor, "batch feature row column"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        votes = self.classification(features).log_softmax(dim=1).flatten(2)
        return (self.weights(features) * votes).sum(dim=2)


@methods.register("attention_pooling")
class AttentionPooling(AbstractMethod):
    """Cross-entropy on attention-weighted votes of all places in a cycle; Chang et al. 2022 (arXiv:2203.16141).

    A backbone that gives no map of features shows half-overlapping stretches of the cycle instead of places.

    Differs: the weighted mean of log-probabilities is normalised over the classes, which the code does in some
    versions and leaves out in others.
    """

    paper: ClassVar[Paper] = Paper(
        key="chang2022example",
        title="Example-based Explanations with Adversarial Attacks for Respiratory Sound Analysis",
        authors='Chang, Yi and Ren, Zhao and Nguyen, Thanh Tam and Nejdl, Wolfgang and Schuller, Bj{\\"o}rn W.',
        venue="Interspeech",
        year=2022,
        doi="10.21437/Interspeech.2022-11355",
        arxiv="2203.16141",
    )

    class Options(Settings):
        """Settings of attention pooling."""

        floor: float = Field(default=0.1, ge=0, lt=0.5)
        """Least weight of a place before the weights are divided by their sum; the greatest is 1 less this."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = AttentionHead(backbone.n_features, n_classes, options.floor)

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "AttentionPooling":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.feature_map(log_mel))

    def feature_map(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature row column"]:
        """The features of every place, or of every stretch."""
        if isinstance(self.backbone, AbstractMapBackbone):
            return self.backbone.feature_map(log_mel)
        stretches = cut_stretches(log_mel)
        features = self.backbone(stretches.flatten(0, 1)).unflatten(0, (-1, N_STRETCHES))
        return features.mT[..., None]

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy."""
        return {"classification": functional.cross_entropy(self(batch.log_mel), batch.labels, reduction="none")}


def cut_stretches(log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch stretch frame mel"]:
    """Four stretches, each beginning in the middle of the one before; a frame or two at the end may be left over."""
    half = log_mel.shape[1] // (N_STRETCHES + 1)
    stretches = log_mel.unfold(1, 2 * half, half)[:, :N_STRETCHES]
    return stretches.mT


DEVIATIONS = (
    "epoch: 58 passes over the official training part without development subjects, which are 10,000 iterations",
    "the tested network has not seen the development subjects; the released one is trained again on all training "
    "subjects (--set validation_share=0)",
    "class-balanced by drawing with replacement, not exactly balanced in every batch",
    "how the code weighs the classes is not in it: inverse frequencies",
    "the band pass is its power response in front of the filter bank; how the code filters is not in it",
    "attention pooling of log-probabilities is normalised over the classes",
)

PUBLISHED: dict[str, Any] = {
    "method": "attention_pooling",
    "backbone": "cnn8",
    "crop": Crop(duration=4.0),
    "optimiser": Optimiser(name="adam", learning_rate=1e-3),
    "schedule": Schedule(shape="exponential", decay_factor=0.9, decay_steps=200),
    "epochs": 58,
    "batch_size": 16,
    "class_weights": "inverse",
    "sampler": "balanced",
    "validation_share": 0.3,
    "selection": Selection.LAST,
    "paper": "chang2022example",
    "deviations": DEVIATIONS,
}
"""METHODS A6 and the released code: 4 s filled by repetition, from random weights, last iteration tested."""

DILATED = {"kernel": 5, "is_dilated": True}


@recipes.register("attention_pooling/cnn8")
def attention_pooling_cnn8() -> Recipe:
    """CNN-8 with dilated 5x5 convolutions and attention pooling, row A6 of METHODS."""
    return Recipe(
        name="attention_pooling/cnn8",
        backbone_options=DILATED,
        paper_selection=Selection.LAST,
        reported=Reported(specificity=0.6992, sensitivity=0.3585, score=0.5289),
        **PUBLISHED,
    )


@recipes.register("attention_pooling/cnn8-plain")
def attention_pooling_cnn8_plain() -> Recipe:
    """CNN-8 with plain 3x3 convolutions and attention pooling."""
    return Recipe(name="attention_pooling/cnn8-plain", **PUBLISHED)


@recipes.register("attention_pooling/cnn8-small")
def attention_pooling_cnn8_small() -> Recipe:
    """A narrow dilated CNN-8 with attention pooling on 2 s of 64 bands, for a CPU."""
    recipe = attention_pooling_cnn8()
    changes = {
        "name": "attention_pooling/cnn8-small",
        "backbone_options": DILATED | {"width": 16, "n_mels": 64},
        "front_end": Cnn8.front_end().model_copy(update={"n_mels": 64}),
        "crop": Crop(duration=2.0),
        "augmentation": SpectrogramAugmentation(time_shift=0.5, level_shift=0.2),
        "optimiser": Optimiser(name="adam", learning_rate=2e-3),
        "schedule": Schedule(shape="exponential", decay_factor=0.9, decay_steps=60),
        "epochs": 7,
        "class_weights": "none",
        "validation_share": 0.2,
        "selection": Selection.VALIDATION,
        "paper_selection": None,
        "reported": None,
        "deviations": (
            "a quarter as wide, 64 bands, 2 s of every cycle, 7 epochs whose rate falls every 60 iterations",
            "cycles shifted in time and level",
            "classes balanced by the draw alone, not weighed a second time",
            "epoch chosen on validation patients",
            *DEVIATIONS[4:],
        ),
    }
    return recipe.model_copy(update=changes)
