"""What a run learns from and is judged on: its split; features, labels and what else is known of the three subsets."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.augment.scene import Scene
from add4rsc.datasets._base import AbstractDataset
from add4rsc.engine.features import FeatureStore
from add4rsc.protocol.split import Split, make_split
from add4rsc.recipe import Recipe


def own_split(recipe: Recipe, dataset: AbstractDataset) -> Split:
    """The split that a resolved recipe names, of its own corpus, with the validation patients that it holds back.

    Raises:
        SplitError: if the corpus cannot be divided so.
    """
    return make_split(
        dataset,
        dataset.tasks[recipe.task or ""],
        recipe.split or "",
        validation_share=recipe.validation_share,
        validation_seed=recipe.validation_seed,
    )


@dataclass(frozen=True)
class LabelledFeatures:
    """Features and labels of one subset."""

    store: FeatureStore
    labels: Int[ndarray, " cycle"]
    groups: dict[str, Int[torch.Tensor, " cycle"]] = field(default_factory=dict)
    """Codes of what is known of the recordings (`Batch.groups`)."""
    answers: Float[torch.Tensor, "cycle class"] | None = None
    """What a teacher says of the cycles (`Batch.answers`)."""


@dataclass(frozen=True)
class TrainingData:
    """The three subsets; `validation` may be empty."""

    classes: tuple[str, ...]
    train: LabelledFeatures
    validation: LabelledFeatures
    test: LabelledFeatures
    scene: Scene | None = None
    """Among what, and with what, the training cycles are heard."""
