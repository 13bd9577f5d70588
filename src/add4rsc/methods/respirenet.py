"""RespireNet: pictures of cycles, filled and joined cleverly, and a network fine-tuned for each stethoscope."""

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.waveform import WaveformAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractPreparedMethod, Batch, Losses, TrainingCycles
from add4rsc.methods._contrast import gather_cycles, own_places
from add4rsc.methods._pictures import ColourMap, clip_blank_bands, to_levels
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import DeviceFineTuning, Optimiser, Recipe, Reported, Schedule
from add4rsc.terms import Paper, Settings

N_FOR_STATISTICS = 1000
"""Training cycles, drawn at random, from which mean and deviation of the colours are taken."""
BATCH_SIZE = 64


@methods.register("respirenet")
class RespireNet(AbstractPreparedMethod):
    """A cycle's picture in the colours of magma, without its blank bands, through a trunk and three linear layers.

    Gairola et al. 2021 (arXiv:2011.00196), as METHODS A2 has their code. A trunk with three channels is shown colours;
    one with a single channel the levels from 0 to 1 that the colours stand for.
    """

    paper: ClassVar[Paper] = Paper(
        key="gairola2021respirenet",
        title="RespireNet: A Deep Neural Network for Accurately Detecting Abnormal Lung Sounds in Limited Data Setting",
        authors="Gairola, Siddhartha and Tom, Francis and Kwatra, Nipun and Jain, Mohit",
        venue="Annual International Conference of the IEEE Engineering in Medicine and Biology Society (EMBC)",
        year=2021,
        arxiv="2011.00196",
    )

    class Options(Settings):
        """Settings of RespireNet."""

        hidden: int = Field(default=128, gt=0)
        """Width of both hidden layers of the head."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Behind the first of them; 0.5 in the paper's code."""
        flip: float = Field(default=0.5, ge=0, le=1)
        """Share of the training cycles that are shown from their end to their beginning."""
        clips_blank: bool = True
        """Cut off bands at the top that are nearly empty, as those of some stethoscopes are."""
        blank_level: float = Field(default=0.06, gt=0, lt=1)
        """Blank is what lies below, on the picture's scale from 0 to 1."""
        blank_share: float = Field(default=0.8, gt=0, le=1)
        """A band is nearly empty if at least this share of it is blank."""
        dynamic_range: float = Field(default=80.0, gt=0)
        """How far below a cycle's greatest value the picture reaches; decibels if the front-end gives decibels."""
        enlargement: int = Field(default=1, gt=0)
        """Factor by which the picture is enlarged, linearly, for the trunk; 3 in the paper's code."""

    mean: Tensor
    deviation: Tensor
    is_prepared: Tensor

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.options = options
        self.colour_map = ColourMap() if backbone.n_channels > 1 else None
        self.head = nn.Sequential(
            nn.Linear(backbone.n_features, options.hidden),
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(options.hidden, options.hidden),
            nn.ReLU(),
            nn.Linear(options.hidden, n_classes),
        )
        self.register_buffer("mean", torch.full((backbone.n_channels,), 0.4))
        self.register_buffer("deviation", torch.full((backbone.n_channels,), 0.25))
        self.register_buffer("is_prepared", torch.tensor(False))

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "RespireNet":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def prepare(self, training: TrainingCycles, generator: Generator) -> None:
        """Take mean and deviation of every colour; a network that was trained before keeps those it has learnt with."""
        if self.is_prepared:
            return
        indices = torch.randperm(len(training.labels), generator=generator)[:N_FOR_STATISTICS].tolist()
        self.mean.copy_(self._mean_of_pictures(training, indices, 1))
        squares = self._mean_of_pictures(training, indices, 2)
        self.deviation.copy_((squares - self.mean.square()).clamp_min(1e-6).sqrt())
        self.is_prepared.fill_(True)

    def _mean_of_pictures(self, training: TrainingCycles, indices: list[int], power: int) -> Float[Tensor, " channel"]:
        """Mean of a power of the colours over the pictures of some cycles."""
        sums = torch.zeros_like(self.mean, dtype=torch.float64)
        with torch.no_grad():
            for batch in _batches(indices):
                pictures = self._picture(training.load(batch)).double() ** power
                sums += pictures.mean(dim=(2, 3)).sum(dim=0)
        return (sums / len(indices)).to(self.mean.dtype)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        picture = (self._picture(log_mel) - self.mean[:, None, None]) / self.deviation[:, None, None]
        if self.options.enlargement > 1:
            size = [side * self.options.enlargement for side in picture.shape[2:]]
            picture = functional.interpolate(picture, size=size, mode="bilinear", align_corners=False)
        return self.head(self.backbone(picture if self.colour_map is not None else picture[:, 0]))

    def _picture(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch channel time mel"]:
        levels = to_levels(log_mel, self.options.dynamic_range)
        if self.options.clips_blank:
            levels = clip_blank_bands(levels, self.options.blank_level, self.options.blank_share)
        return levels[:, None] if self.colour_map is None else self.colour_map(levels)

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy; some cycles run backwards."""
        draws = torch.rand(len(gather_cycles(batch.labels)), generator=generator)[own_places(len(batch.labels))]
        is_flipped = (draws < self.options.flip).to(batch.log_mel.device)[:, None, None]
        logits = self(torch.where(is_flipped, batch.log_mel.flip(1), batch.log_mel))
        return {"classification": functional.cross_entropy(logits, batch.labels, reduction="none")}


def _batches(indices: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(indices), BATCH_SIZE):
        yield indices[first : first + BATCH_SIZE]


DECIBELS = math.log(10) / 10
"""Scale that makes decibels of natural logarithms."""

FRONT_END = FrontEnd(
    sample_rate=4_000,
    n_mels=64,
    frame_length_ms=64.0,
    frame_shift_ms=32.0,
    n_fft=256,
    f_min=0.0,
    f_max=2_000.0,
    pre_emphasis=0.0,
    framing="centred",
    log_offset=1e-10,
    mel_scale="slaney",
    mean=0.0,
    scale=DECIBELS,
)

CHANGES: dict[str, Any] = {
    "one_of": ("noise", "speed", "loudness", "vocal-tract", "pitch"),
    "gain_db": 20 * math.log10(2),
    "padding": "smart",
}
"""Loudness by factors from 0.5 to 2."""

ROW: dict[str, Any] = {
    "method": "respirenet",
    "backbone": "resnet34",
    "sampler": "balanced",
    "paper": "gairola2021respirenet",
}


@recipes.register("respirenet/resnet34")
def respirenet_resnet34() -> Recipe:
    """RespireNet, row A2 of METHODS: ImageNet weights, pictures, joined cycles, a network a stethoscope."""
    return Recipe(
        name="respirenet/resnet34",
        weights="resnet34/imagenet",
        backbone_options={"n_channels": 3},
        options={"dropout": 0.5, "enlargement": 3},
        front_end=FRONT_END,
        crop=Crop(duration=8.0, windows="majority"),
        waveform=WaveformAugmentation(copies=4, joined_scale=1.0, **CHANGES),
        optimiser=Optimiser(name="sgd", learning_rate=1e-3, weight_decay=5e-4, decay_all=True),
        schedule=Schedule(shape="constant"),
        epochs=200,
        batch_size=64,
        class_weights=(1.0, 3.0),
        device_fine_tuning=DeviceFineTuning(epochs=50, learning_rate=1e-4),
        paper_selection=Selection.TEST,
        reported=Reported(specificity=0.723, sensitivity=0.401, score=0.562),
        deviations=(
            "epoch chosen on validation patients, who are kept out of training, for each stethoscope too",
            "settings of the 60/40 runs not found: those of the 80/20 runs, without the optional Butterworth filter",
            "changes of waveforms and smart padding are drawn for four copies of each cycle, not anew in every epoch",
            "bounds of speed, noise and vocal tract, and the share of changed cycles, not found",
            "scale of the joined cycles not found: as many of every class as normal ones; they are filled by "
            "repetition and stay unchanged",
            "smart padding takes cycles of the same class from the same recording",
            "threshold of blank points not found: 0.06 of the picture's range; decibels end 80 below the greatest",
            "the last window of a long cycle ends where the cycle does",
            "loss weights 'derived from [3, 1, 1, 1]': taken as 1 for normal to 3 for every other class",
            "mean and deviation of the colours from 1,000 training cycles",
        ),
        **ROW,
    )


@recipes.register("respirenet/resnet34-small")
def respirenet_resnet34_small() -> Recipe:
    """RespireNet with a sixteenth of the weights, from random ones, on windows of 2 s: minutes on two cores."""
    return Recipe(
        name="respirenet/resnet34-small",
        backbone_options={"n_channels": 3, "width": 16},
        options={"dropout": 0.5},
        front_end=FRONT_END.model_copy(update={"frame_shift_ms": 16.0}),
        crop=Crop(duration=2.0, windows="majority"),
        waveform=WaveformAugmentation(copies=1, **CHANGES),
        optimiser=Optimiser(name="adamw", learning_rate=2e-3, weight_decay=1e-2),
        schedule=Schedule(warmup_epochs=0.5),
        epochs=6,
        batch_size=32,
        class_weights=(3.0, 1.0),
        device_fine_tuning=DeviceFineTuning(epochs=1, learning_rate=1e-4),
        deviations=(
            "width 16 instead of 64, from random weights",
            "windows of 2 s; frames every 16 ms in place of a picture that is enlarged",
            "no joined cycles; one changed copy of each cycle",
            "AdamW, 6 epochs, and 1 for each stethoscope",
            "loss weights 3 for normal to 1 for every other class: normal against all others is then balanced",
            "epoch chosen on validation patients, who are kept out of training",
        ),
        **ROW,
    )
