"""Spliced cycles: abnormal pieces in normal cycles of other patients, so that backgrounds do not tell the class."""

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.augment.splicing import Splices, draw_splices, splice_cycles
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses, codes_of
from add4rsc.methods._contrast import gather_cycles, own_places
from add4rsc.recipe import Optimiser, Recipe, Reported, Schedule, patch_mix_recipe
from add4rsc.terms import Paper, Settings


@methods.register("splice")
class Splice(AbstractMethod):
    """Cross-entropy of the cycles, and of spliced cycles that are made of them anew in every batch.

    Wang and Wang, ICASSP 2022, as far as it is known (METHODS A3): abnormal cycles are spliced from several recordings.
    Here every abnormal cycle lends a piece to a normal cycle of another patient in the batch. The label is that of the
    abnormal one, for a normal cycle with an adventitious sound in it is abnormal in just that way; so the rule fits any
    task whose first class is the normal one. A spliced cycle counts for the cycle that lent the piece, with its weight.

    Differs: the paper's rule of splicing is not known. Several processes splice their own share of a batch only.
    """

    paper: ClassVar[Paper] = Paper(
        key="wang2022splice",
        title="A Domain Transfer Based Data Augmentation Method for Automated Respiratory Classification",
        authors="Wang, Zijie and Wang, Zhao",
        venue="IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)",
        year=2022,
        doi="10.1109/ICASSP43922.2022.9746941",
    )

    class Options(Settings):
        """Settings of splicing."""

        weight: float = Field(default=1.0, gt=0)
        """Of the spliced cycles' loss beside that of the cycles themselves."""
        least_share: float = Field(default=0.5, gt=0, le=1)
        """A piece is at least this share of a cycle: in a short one, the adventitious sound may be missing."""
        fade: int = Field(default=4, ge=0)
        """Frames at either end of a piece over which host and piece cross."""
        match_level: bool = True
        """Bring a piece's mean to that of the frames which it replaces."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Before the linear layer."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(backbone.n_features, n_classes))
        self.options = options

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "Splice":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.backbone(log_mel))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of the cycles, and of what was spliced from them; 0 for those that lent no piece."""
        options, n_cycles = self.options, len(batch.labels)
        everyone, patients = gather_cycles(batch.log_mel), gather_cycles(codes_of(batch, "patient"))
        drawn = draw_splices(gather_cycles(batch.labels), patients, everyone.shape[1], options.least_share, generator)
        places = own_places(n_cycles)
        splices = Splices(*(part[torch.isin(drawn.donors, places)] for part in drawn))
        spliced = splice_cycles(everyone, splices, options.fade, match_level=options.match_level)
        donors = torch.searchsorted(places, splices.donors).to(batch.labels.device)
        labels = torch.cat([batch.labels, batch.labels[donors]])
        entropy = functional.cross_entropy(self(torch.cat([batch.log_mel, spliced])), labels, reduction="none")
        of_splices = entropy.new_zeros(n_cycles).index_copy(0, donors, entropy[n_cycles:])
        return {"classification": entropy[:n_cycles], "splice": options.weight * of_splices}


UNKNOWN = (
    "approximate: the paper's rule of splicing is not known, and this one is ours",
    "mel settings, optimiser, epochs and batch size are those of the Patch-Mix code base, the paper's are not known",
    "how the paper chose its epoch is not known; the field's habit, the test set, is taken for it",
    "epoch chosen on validation patients, who are kept out of training",
)


@recipes.register("splice/resnest50")
def splice_resnest50() -> Recipe:
    """Wang and Wang, row A3 of METHODS: ResNeSt-50 from ImageNet weights and spliced cycles."""
    return patch_mix_recipe(
        "splice/resnest50",
        "splice",
        "resnest50",
        weights="resnest50/imagenet",
        batch_size=32,
        paper="wang2022splice",
        reported=Reported(specificity=0.704, sensitivity=0.402, score=0.553),
        deviations=UNKNOWN,
    )


@recipes.register("splice/mn04-small")
def splice_mn04_small() -> Recipe:
    """Spliced cycles for the EfficientAT MobileNet mn04 from AudioSet weights: minutes on two cores."""
    return Recipe(
        name="splice/mn04-small",
        method="splice",
        backbone="mn04",
        weights="mn04/audioset",
        crop=Crop(duration=2.0),
        augmentation=SpectrogramAugmentation(
            n_time_masks=1, max_time_mask=40, n_mel_masks=1, max_mel_mask=16, time_shift=0.5, level_shift=0.2
        ),
        optimiser=Optimiser(name="adamw", learning_rate=6e-4, weight_decay=1e-3),
        schedule=Schedule(warmup_epochs=0.5),
        epochs=6,
        batch_size=32,
        drop_last=True,
        class_weights="square-root",
        paper="wang2022splice",
        deviations=(
            "approximate: the paper's rule of splicing is not known, and this one is ours",
            "MobileNet mn04 from AudioSet weights in place of ResNeSt-50 from ImageNet weights",
            "2 s of a cycle, 6 epochs; classes weighed",
        ),
    )
