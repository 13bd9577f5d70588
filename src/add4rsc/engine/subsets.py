"""What a run learns from and is judged on: features, labels and what else is known of the three subsets."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from numpy import ndarray

from add4rsc.augment.scene import Scene
from add4rsc.engine.features import FeatureStore


@dataclass(frozen=True)
class LabelledFeatures:
    """Features and labels of one subset."""

    store: FeatureStore
    labels: Int[ndarray, " cycle"]
    groups: dict[str, Int[torch.Tensor, " cycle"]] = field(default_factory=dict)
    """Codes of what is known of the recordings (`Batch.groups`)."""


@dataclass(frozen=True)
class TrainingData:
    """The three subsets; `validation` may be empty."""

    classes: tuple[str, ...]
    train: LabelledFeatures
    validation: LabelledFeatures
    test: LabelledFeatures
    scene: Scene | None = None
    """Among what, and with what, the training cycles are heard."""
