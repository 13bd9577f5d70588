"""Co-tuning: the classifier of the pretraining stays and learns what its classes have to do with ours.

Row A5 of METHODS; spectrum correction and augmentation to balance the classes are in its recipes.
"""

from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.backbones._base import AbstractBackbone, AbstractSourceBackbone
from add4rsc.errors import MissingExtraError, RecipeError
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractPreparedMethod, Batch, Losses, TrainingCycles, codes_of
from add4rsc.methods._nguyen2022 import NGUYEN_PAPER, NOT_FOUND, published_settings, small_recipe
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Recipe, Reported
from add4rsc.terms import Paper, Settings

BATCH_SIZE = 64
"""Training cycles in one pass before the first step."""

HELD_OUT_SHARE = 0.2
"""Of the training cycles, for the calibration of the linear map."""

LOG_TEMPERATURES = (-5.0, 5.0)
"""Bounds of the calibration's search."""


def direct_relationship(
    source: Float[ndarray, "cycle source"], labels: Int[ndarray, " cycle"], n_classes: int
) -> Float[ndarray, "class source"]:
    """p(y_s | y_t): the mean of p(y_s | x) over the cycles x of class y_t; over all of them for a class without any.

    Args:
        source: probabilities of the classes of the pretraining.
        labels: our classes.
        n_classes: how many of ours there are.
    """
    members = [source[labels == label] for label in range(n_classes)]
    return np.stack([(each if len(each) else source).mean(axis=0) for each in members])


def inverted_relationship(
    source: Float[ndarray, "cycle source"],
    labels: Int[ndarray, " cycle"],
    n_classes: int,
    held_out: Bool[ndarray, " cycle"],
    strength: float,
) -> Float[ndarray, "class source"]:
    """p(y_s | y_t) by Bayes: proportional to p(y_t | y_s) p(y_s), whose first factor is a calibrated linear map.

    You et al., NeurIPS 2020, section 3.2. The map is multinomial logistic regression from p(y_s | x) to y_t without an
    intercept, its temperature that of the least log loss on cycles that it was not fitted to; p(y_t | y_s) is what it
    makes of a cycle that is certainly y_s, and p(y_s) the mean of p(y_s | x).

    Args:
        source: probabilities of the classes of the pretraining.
        labels: our classes; a class without any cycle to fit to has p(y_s).
        n_classes: how many of ours there are.
        held_out: cycles for the calibration.
        strength: inverse of the weight of the map's L2 term.
    """
    prior = source.mean(axis=0)  # p(y_s)
    fitted = np.unique(labels[~held_out])
    relationship = np.tile(prior, (n_classes, 1))
    if len(fitted) < 2:
        return relationship
    weights = _fit_linear_map(source[~held_out], labels[~held_out], strength)
    calibrates = held_out & np.isin(labels, fitted)
    places = np.searchsorted(fitted, labels[calibrates])
    temperature = _fit_temperature(source[calibrates] @ weights.T, places)
    of_source = _softmax(weights.T / temperature)  # p(y_t | y_s), a row for every y_s
    joint = of_source.T * prior
    relationship[fitted] = joint / joint.sum(axis=1, keepdims=True)
    return relationship


def _fit_linear_map(
    source: Float[ndarray, "cycle source"], labels: Int[ndarray, " cycle"], strength: float
) -> Float[ndarray, "class source"]:
    """Logits of our classes, those that there are, for every class of the pretraining.

    Raises:
        MissingExtraError: if scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError("Co-tuning with relationship 'inverted'", "train") from error
    weights = LogisticRegression(C=strength, fit_intercept=False, max_iter=10_000).fit(source, labels).coef_
    return weights if len(weights) > 1 else np.concatenate([np.zeros_like(weights), weights])  # of two classes, one row


def _fit_temperature(logits: Float[ndarray, "cycle class"], labels: Int[ndarray, " cycle"]) -> float:
    """What logits are divided by for the least log loss; 1 without any."""
    from scipy.optimize import minimize_scalar

    if not len(labels):
        return 1.0

    def log_loss(log_temperature: float) -> float:
        probabilities = _softmax(logits / np.exp(log_temperature))
        chosen = np.take_along_axis(probabilities, labels[:, None], axis=1)
        return float(-np.log(np.maximum(chosen, 1e-300)).mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=LOG_TEMPERATURES, method="bounded").x))


def _softmax(logits: Float[ndarray, "row class"]) -> Float[ndarray, "row class"]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def draw_held_out(patients: Int[Tensor, " cycle"], share: float, generator: Generator) -> Bool[Tensor, " cycle"]:
    """Cycles of some patients, together about a share of all; a cycle of an unknown patient stands for itself.

    Args:
        patients: codes; below 0 if unknown.
        share: that is wanted.
        generator: decides who.
    """
    alone = torch.arange(len(patients)) + int(patients.max().clamp_min(0)) + 1
    groups = torch.where(patients < 0, alone, patients)
    known, members = groups.unique(return_inverse=True)
    order = torch.randperm(len(known), generator=generator)
    before = torch.bincount(members)[order].cumsum(0) - torch.bincount(members)[order]
    chosen = torch.zeros(len(known), dtype=torch.bool)
    chosen[order] = before < share * len(patients)
    return chosen[members]


@methods.register("co_tuning")
class CoTuning(AbstractPreparedMethod):
    """Cross-entropy of our classes, and that of the pretraining's with what they are for a cycle of our class.

    You et al., NeurIPS 2020; Nguyen and Pernkopf 2022 (arXiv:2108.01991): L = CE(g_t(x), y_t) + lambda CE(p(y_s | y_t),
    softmax(g_s(x))). p(y_s | y_t) is estimated before the first step; until then all y_s are as likely. g_s is the
    classifier that the backbone was pretrained with; one that has none gets a random one.
    """

    paper: ClassVar[Paper] = NGUYEN_PAPER
    relationship: Tensor
    """p(y_s | y_t), a row for every y_t."""

    class Options(Settings):
        """Settings of co-tuning."""

        relationship: Literal["direct", "inverted"] = "direct"
        """How p(y_s | y_t) is estimated: `direct_relationship` or `inverted_relationship`."""
        source_weight: float = Field(default=0.3, ge=0)
        """lambda; 0.3 in the third-party setting of METHODS A5, the paper's own was not found."""
        map_strength: float = Field(default=10.0, gt=0)
        """For `inverted`: inverse of the weight of the linear map's L2 term."""
        n_source_classes: int = Field(default=100, gt=1)
        """Of a backbone without a classifier of its own."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Before our linear layer."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.options = options
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(backbone.n_features, n_classes))
        self.source_head = _take_source_head(backbone) or nn.Linear(backbone.n_features, options.n_source_classes)
        n_source = self.source_head.out_features
        self.register_buffer("relationship", torch.full((n_classes, n_source), 1 / n_source))

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "CoTuning":
        """Build the method around a backbone, whose classifier it takes.

        Raises:
            RecipeError: if the backbone could keep its classifier but was not told to.
        """
        return cls(backbone, n_classes, options)

    def prepare(self, training: TrainingCycles, generator: Generator) -> None:
        """Estimate p(y_s | y_t) with the network as it was pretrained."""
        source, labels = self._source_probabilities(training), training.labels.cpu().numpy()
        n_classes = len(self.relationship)
        if self.options.relationship == "direct":
            found = direct_relationship(source, labels, n_classes)
        else:
            patients = codes_of(training, "patient").cpu()
            held_out = draw_held_out(patients, HELD_OUT_SHARE, generator).numpy()
            found = inverted_relationship(source, labels, n_classes, held_out, self.options.map_strength)
        self.relationship.copy_(torch.from_numpy(found))

    @torch.no_grad()
    def _source_probabilities(self, training: TrainingCycles) -> Float[ndarray, "cycle source"]:
        """p(y_s | x) of every training cycle."""
        was_training = self.training
        self.eval()
        places = range(len(training.labels))
        batches = [places[first : first + BATCH_SIZE] for first in places[::BATCH_SIZE]]
        rows = [self.source_head(self.backbone(training.load(batch))).double().softmax(dim=1) for batch in batches]
        self.train(was_training)
        return torch.cat(rows).cpu().numpy()

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.backbone(log_mel))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of either head."""
        features = self.backbone(batch.log_mel)
        source = self.source_head(features).log_softmax(dim=1)
        return {
            "classification": functional.cross_entropy(self.head(features), batch.labels, reduction="none"),
            "source": -self.options.source_weight * (self.relationship[batch.labels] * source).sum(dim=1),
        }


def _take_source_head(backbone: AbstractBackbone) -> nn.Linear | None:
    """The classifier of a backbone's pretraining, which it then has no more; None if it never has one.

    Raises:
        RecipeError: if it could have one, but its option is off.
    """
    if not isinstance(backbone, AbstractSourceBackbone):
        return None
    head, backbone.source_head = backbone.source_head, None
    if head is None:
        raise RecipeError(
            "Co-tuning needs the classifier with which the backbone was pretrained. "
            "Use --set backbone_options.source_head=true."
        )
    return head


@recipes.register("co_tuning/resnet50")
def co_tuning_resnet50() -> Recipe:
    """ResNet-50 and its 1000 classes of ImageNet, row A5 of METHODS."""
    return Recipe(
        name="co_tuning/resnet50",
        method="co_tuning",
        backbone="resnet50",
        backbone_options={"source_head": True},
        weights="resnet50/imagenet",
        paper_selection=Selection.LAST,
        reported=Reported(specificity=0.7934, sensitivity=0.3724, score=0.5829),
        deviations=(
            *NOT_FOUND,
            "lambda 0.3 of a third-party setting; the direct estimate of p(y_s | y_t), of the two that are described",
            "no calibration of ImageNet's classes, for which cycles of ImageNet would be needed",
        ),
        **published_settings(),
    )


@recipes.register("co_tuning/mn04-small")
def co_tuning_mn04_small() -> Recipe:
    """EfficientAT's mn04 and its 527 tags of AudioSet, 2.5 s cycles: minutes on two cores."""
    small = small_recipe("co_tuning", backbone_options={"source_head": True})
    tags = "AudioSet's tags, which may be true together, are taken for classes of which one is"
    return small.model_copy(update={"deviations": (*small.deviations, tags)})
