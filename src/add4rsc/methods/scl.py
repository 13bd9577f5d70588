"""Supervised contrastive learning on classes and on what is known of the patients, with a linear probe on the side."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field, field_validator
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.backbones.panns import NATS_PER_DB
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import (
    AbstractPacedMethod,
    AbstractPreparedMethod,
    Batch,
    Losses,
    TrainingCycles,
    codes_of,
    mean_of_views,
)
from add4rsc.methods._contrast import gather_cycles, own_places, supervised_contrast
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import NORMAL_BELOW_ONE, Optimiser, Recipe, Reported, Schedule
from add4rsc.terms import GROUPS, Paper, Settings

CLASS = "class"
"""The name of the contrast between classes, beside those of `GROUPS`."""


@methods.register("scl")
class SupervisedContrastiveLearning(AbstractPreparedMethod, AbstractPacedMethod):
    """Two views of every cycle; views of one class, and of one kind of patient, are drawn together.

    Moummad and Farrugia 2023 (arXiv:2210.16192). A linear probe learns the classes from the features, of which it lets
    nothing through: so one loop does what the code does in two, contrast first and probe last. The hybrid form lets
    cross-entropy reach the trunk.

    Differs: the probe sees the training views, masks included; its class weights have mean 1 over all training cycles,
    not over each batch; minimum and maximum are those of each cycle, not of the batch, unless `scaling` says so.
    """

    paper: ClassVar[Paper] = Paper(
        key="moummad2023pretraining",
        title="Pretraining Respiratory Sound Representations using Metadata and Contrastive Learning",
        authors="Moummad, Ilyass and Farrugia, Nicolas",
        venue="IEEE Workshop on Applications of Signal Processing to Audio and Acoustics (WASPAA)",
        year=2023,
        arxiv="2210.16192",
    )

    class Options(Settings):
        """Settings of supervised contrastive learning."""

        contrast: dict[str, float] = Field(default={CLASS: 1.0}, min_length=1)
        """Weight of each contrast by what is alike: `class`, a name of `terms.GROUPS`, or several joined by `+`, such
        as `age_group+sex`. Each has a projector of its own. A cycle of which one of them is not known is like its own
        other view alone."""
        temperature: float = Field(default=0.06, gt=0)
        """tau: what cosines are divided by."""
        n_projected: int = Field(default=128, gt=0)
        """Length of the projected features that are compared."""
        classification: float = Field(default=1.0, gt=0)
        """Weight of the cross-entropy."""
        is_hybrid: bool = False
        """Let cross-entropy reach the trunk."""
        weighs_classes: bool = True
        """Weigh the cross-entropy, and nothing else, by 1 / frequency of the class."""
        probe_rate: float = Field(default=1.0, gt=0)
        """Learning rate of the probe as a multiple of the recipe's."""
        scaling: str = Field(default="none", pattern="^(none|cycle|batch)$")
        """Bring minimum and maximum of each cycle to 0 and 1 before `mean` and `deviation` count; `batch` takes those
        of the batch, as the code does: then what a network says of a cycle depends on its neighbours."""
        mean: float = 0.0
        """Subtracted after scaling."""
        deviation: float = Field(default=1.0, gt=0)
        """What the scaled frames are divided by."""

        @field_validator("contrast")
        @classmethod
        def _check_names(cls, contrast: dict[str, float]) -> dict[str, float]:
            for name, weight in contrast.items():
                if name != CLASS and not set(name.split("+")) <= set(GROUPS):
                    raise ValueError(f"'{name}' is neither {CLASS} nor made of {', '.join(GROUPS)}, joined by +")
                if weight <= 0:
                    raise ValueError(f"the weight of '{name}' must be above 0")
            return contrast

    class_weights: Tensor

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        width = backbone.n_features
        self.backbone = backbone
        self.head = nn.Linear(width, n_classes)
        self.projectors = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, options.n_projected))
                for name in options.contrast
            }
        )
        self.register_buffer("class_weights", torch.ones(n_classes))
        self.options = options

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "SupervisedContrastiveLearning":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def prepare(self, training: TrainingCycles, generator: Generator) -> None:
        """Weigh the classes, with mean 1 over the training cycles; a class without any has 0."""
        if not self.options.weighs_classes:
            return
        counts = torch.bincount(training.labels, minlength=len(self.class_weights))
        present = counts > 0
        self.class_weights.copy_(torch.where(present, counts.sum() / (present.sum() * counts.clamp_min(1)), 0.0))

    def learning_rate_factors(self) -> Mapping[str, float]:
        """The probe's."""
        return {"head.": self.options.probe_rate}

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class, by the probe."""
        return self.head(self._features(log_mel))

    def _features(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch feature"]:
        scaled = scale_frames(log_mel, self.options.scaling)
        return self.backbone((scaled - self.options.mean) / self.options.deviation)

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """The probe's cross-entropy, the mean of both views, and every contrast."""
        second = batch.log_mel if batch.second is None else batch.second
        views = torch.stack([self._features(batch.log_mel), self._features(second)])
        seen, labels = views.flatten(0, 1), batch.labels.repeat(2)
        entropy = functional.cross_entropy(
            self.head(seen if self.options.is_hybrid else seen.detach()), labels, reduction="none"
        )
        entropy = mean_of_views(entropy * self.class_weights[labels], len(batch.labels))
        contrasts = {
            f"contrast_{name}": weight * self._contrast(views, batch, name)
            for name, weight in self.options.contrast.items()
        }
        return {"classification": self.options.classification * entropy, **contrasts}

    def _contrast(self, views: Float[Tensor, "2 batch feature"], batch: Batch, name: str) -> Float[Tensor, " batch"]:
        """How poorly a cycle's views are told from cycles unlike it, in all processes together; mean of both views."""
        projected = gather_cycles(self.projectors[name](views).transpose(0, 1))
        groups = alike_codes(gather_cycles(known_of(name, batch)))
        terms = supervised_contrast(projected.flatten(0, 1), groups.repeat_interleave(2), self.options.temperature)
        return terms.unflatten(0, (-1, 2)).mean(dim=1)[own_places(len(batch.labels))]


def scale_frames(log_mel: Float[Tensor, "batch time mel"], scaling: str) -> Float[Tensor, "batch time mel"]:
    """Bring minimum and maximum of each cycle, or of the batch, to 0 and 1."""
    if scaling == "none":
        return log_mel
    lowest, highest = log_mel.amin(dim=(1, 2), keepdim=True), log_mel.amax(dim=(1, 2), keepdim=True)
    if scaling == "batch":
        lowest, highest = lowest.amin(dim=0), highest.amax(dim=0)
    return (log_mel - lowest) / (highest - lowest).clamp_min(1e-6)


def known_of(name: str, batch: Batch) -> Int[Tensor, "batch part"]:
    """What a contrast's name is made of, as codes: of the class, or of each group; -1 is unknown."""
    parts = [batch.labels if part == CLASS else codes_of(batch, part) for part in name.split("+")]
    return torch.stack(parts, dim=1)


def alike_codes(known: Int[Tensor, "batch part"]) -> Int[Tensor, " batch"]:
    """Codes that are equal for cycles that have all parts in common; one of its own where a part is not known.

    >>> alike_codes(torch.tensor([[2, 0], [2, 1], [2, 0], [-1, 0], [-1, 0]])).tolist()
    [1, 2, 1, 8, 9]
    """
    codes = torch.unique(known, dim=0, return_inverse=True)[1]
    own = len(known) + torch.arange(len(known), device=known.device)
    return torch.where((known < 0).any(dim=1), own, codes)


SCL_FRONT_END = FrontEnd(
    sample_rate=16_000,
    n_mels=64,
    frame_length_ms=64.0,
    frame_shift_ms=32.0,
    n_fft=1024,
    f_min=50.0,
    f_max=2_000.0,
    pre_emphasis=0.0,
    framing="centred",
    log_offset=1e-10,
    mean=0.0,
    scale=NATS_PER_DB,
)
"""64 mel bands from 50 to 2000 Hz in decibels, frames of 64 ms every 32 ms (METHODS A7)."""

PUBLISHED: dict[str, Any] = {
    "method": "scl",
    "crop": Crop(duration=8.0, recording_fade=0.0625, repeat_fade=0.0625),
    "front_end": SCL_FRONT_END,
    "augmentation": SpectrogramAugmentation(
        n_time_masks=2, max_time_mask=40, n_mel_masks=2, max_mel_mask=20, mask_rule="patch-mix"
    ),
    "views": 2,
    "optimiser": Optimiser(name="adam", learning_rate=1e-4, weight_decay=1e-4, decay_all=True),
    "schedule": Schedule(per_epoch=True, final_share=0.01),
    "epochs": 400,
    "batch_size": 128,
    "paper": "moummad2023pretraining",
    "paper_selection": Selection.TEST,
}
"""METHODS A7 and the released code, for every network; weights and reported scores are a recipe's own."""

TRUNK = {"input_norm": False, "embedding": False, "dropout": 0.0}
"""What the code takes of a PANNs network."""

SCALED = {"scaling": "cycle", "mean": 0.44, "deviation": 0.17}
"""Mean and standard deviation of 400 training cycles of ICBHI's official split under this front-end."""

CONTRAST_FIRST = SCALED | {"probe_rate": 1000.0}
"""The probe's 0.1 is a thousand times the trunk's rate."""

HYBRID = SCALED | {"is_hybrid": True, "contrast": {CLASS: 0.5}, "classification": 0.5}

DEVIATIONS = (
    "epoch chosen on validation patients, who are kept out of training",
    "minimum and maximum of every cycle, not of the batch, to 0 and 1; then statistics that were measured so",
    "the cosine falls once; the code's has 40 epochs and swings ten times in 400",
    "time and mel as the pretrained weights know them; the code exchanges them",
    "SpecAugment on every cycle, not on 84 % of them, and with the cycle's mean, not its minimum",
    "the recording fades in and out; in the code every cycle does",
)

PROBE_DEVIATIONS = (
    "the probe learns alongside the trunk, from the same views and for as long; the code's has 50 epochs",
)


@recipes.register("scl/panns_cnn6")
def scl_panns_cnn6() -> Recipe:
    """Contrast between classes, then a linear probe, on PANNs CNN6: row A7 of METHODS, mended."""
    return Recipe(
        name="scl/panns_cnn6",
        backbone="panns_cnn6",
        weights="panns_cnn6/audioset",
        backbone_options=TRUNK,
        options=CONTRAST_FIRST,
        reported=Reported(specificity=0.7595, sensitivity=0.3915, score=0.5755),
        deviations=(*DEVIATIONS, *PROBE_DEVIATIONS),
        **PUBLISHED,
    )


@recipes.register("scl/panns_cnn6-as-released")
def scl_panns_cnn6_as_released() -> Recipe:
    """The same with the slips of its code; its epoch is chosen on the test set."""
    masks = {"probability": NORMAL_BELOW_ONE}
    changes = {
        "name": "scl/panns_cnn6-as-released",
        "backbone_options": TRUNK | {"exchanged_axes": True},
        "options": CONTRAST_FIRST | {"mean": 0.3690, "deviation": 0.0255},
        "augmentation": PUBLISHED["augmentation"].model_copy(update=masks),
        "schedule": Schedule(per_epoch=True, final_share=0.01, wave_epochs=40),
        "split": "icbhi2017/official",
        "selection": Selection.TEST,
        "validation_share": 0.0,
        "deviations": (
            "minimum and maximum of every cycle, not of the batch (--set options.scaling=batch)",
            "masks have the cycle's mean, not its minimum",
            "the recording fades in and out; in the code every cycle does",
            *PROBE_DEVIATIONS,
        ),
    }
    return scl_panns_cnn6().model_copy(update=changes)


@recipes.register("scl/panns_cnn6-metadata")
def scl_panns_cnn6_metadata() -> Recipe:
    """A second contrast, between patients of one sex and age group."""
    more = (
        "classes and patients count the same, each with a projector of its own: what the paper does was not found",
        "age groups are children and adults (from 19 years)",
    )
    changes = {
        "name": "scl/panns_cnn6-metadata",
        "options": CONTRAST_FIRST | {"contrast": {CLASS: 0.5, "age_group+sex": 0.5}},
        "paper_selection": None,
        "reported": None,
    }
    recipe = scl_panns_cnn6()
    return recipe.model_copy(update=changes | {"deviations": (*recipe.deviations, *more)})


@recipes.register("scl/panns_cnn6-hybrid")
def scl_panns_cnn6_hybrid() -> Recipe:
    """Half contrast, half weighted cross-entropy, on PANNs CNN6."""
    changes = {
        "name": "scl/panns_cnn6-hybrid",
        "options": HYBRID,
        "reported": Reported(specificity=0.7047, sensitivity=0.4329, score=0.5689),
        "deviations": DEVIATIONS,
    }
    return scl_panns_cnn6().model_copy(update=changes)


@recipes.register("scl/panns_cnn10-hybrid")
def scl_panns_cnn10_hybrid() -> Recipe:
    """Half contrast, half weighted cross-entropy, on a CNN10 from random weights."""
    return Recipe(
        name="scl/panns_cnn10-hybrid",
        backbone="panns_cnn10",
        backbone_options=TRUNK,
        options=HYBRID,
        reported=Reported(specificity=0.7812, sensitivity=0.3307, score=0.5560),
        deviations=DEVIATIONS,
        **PUBLISHED | {"optimiser": PUBLISHED["optimiser"].model_copy(update={"learning_rate": 1e-3})},
    )


@recipes.register("scl/panns_cnn14-hybrid")
def scl_panns_cnn14_hybrid() -> Recipe:
    """Half contrast, half weighted cross-entropy, on PANNs CNN14."""
    return Recipe(
        name="scl/panns_cnn14-hybrid",
        backbone="panns_cnn14",
        weights="panns_cnn14/audioset",
        backbone_options=TRUNK,
        options=HYBRID,
        reported=Reported(specificity=0.8073, sensitivity=0.3496, score=0.5785),
        deviations=DEVIATIONS,
        **PUBLISHED,
    )


@recipes.register("scl/mn04-small")
def scl_mn04_small() -> Recipe:
    """The same contrast and probe on a MobileNet that knows AudioSet, for a CPU."""
    return Recipe(
        name="scl/mn04-small",
        method="scl",
        backbone="mn04",
        weights="mn04/audioset",
        options={"probe_rate": 10.0},
        crop=Crop(duration=2.0),
        augmentation=SpectrogramAugmentation(
            n_time_masks=2, max_time_mask=24, n_mel_masks=2, max_mel_mask=16, time_shift=0.5, level_shift=0.2
        ),
        views=2,
        optimiser=Optimiser(name="adamw", learning_rate=6e-4, weight_decay=1e-3),
        schedule=Schedule(warmup_epochs=0.5),
        epochs=4,
        batch_size=64,
        paper="moummad2023pretraining",
        deviations=(
            "EfficientAT's mn04 with its own front-end in place of PANNs CNN6",
            "2 s of every cycle, 4 epochs of batches of 64, AdamW with a probe ten times as fast",
            "cycles shifted in time and level beside SpecAugment",
        ),
    )
