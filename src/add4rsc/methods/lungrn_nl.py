"""LungRN+NL: a residual network with non-local blocks, learning from pictures and from mixtures of them."""

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.mixing import draw_mixup, mix_cycles, mix_labels
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.methods._contrast import gather_cycles, own_places
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Optimiser, Recipe, Reported, Schedule
from add4rsc.terms import Paper, Settings


@methods.register("lungrn_nl")
class LungRnNl(AbstractMethod):
    """Cross-entropy of a batch's pictures and of a mixup of them, half and half.

    Ma et al., Interspeech 2020. The paper's text was not at hand; what is done here stands in code of the same authors
    (`backbones.resnet_nl` says where): each picture is brought to [0, 1], one mixture is drawn a batch, and the batch
    is learnt together with its mixture.

    Differs: softmax cross-entropy in place of one sigmoid a class, unless `loss` says so; several processes mix their
    own share of a batch only.
    """

    paper: ClassVar[Paper] = Paper(
        key="ma2020lungrn",
        title="LungRN+NL: An Improved Adventitious Lung Sound Classification Using Non-Local Block ResNet Neural "
        "Network with Mixup Data Augmentation",
        authors="Ma, Yi and Xu, Xinzi and Li, Yongfu",
        venue="Interspeech",
        year=2020,
        doi="10.21437/Interspeech.2020-2487",
    )

    class Options(Settings):
        """Settings of LungRN+NL."""

        mix_alpha: float = Field(default=0.2, gt=0)
        """The share of a cycle's own picture is drawn from Beta(alpha, alpha), once a batch; 0.5 in the authors' code,
        from 0.1 to 0.4 where mixup comes from."""
        with_clean: bool = True
        """Half of the loss is that of the pictures as they are; off, all of it is that of the mixtures."""
        loss: Literal["softmax", "sigmoid"] = "softmax"
        """`sigmoid` is the mean binary cross-entropy over the classes, as in the authors' code."""
        logit_dropout: float = Field(default=0.0, ge=0, lt=1)
        """Dropout behind the last layer; 0.1 in the authors' code, where it blanks logits."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(nn.Linear(backbone.n_features, n_classes), nn.Dropout(options.logit_dropout))
        self.options = options

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "LungRnNl":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.backbone(to_unit_range(log_mel)))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """The loss of the mixtures, and that of the pictures themselves."""
        pictures, n_cycles = to_unit_range(batch.log_mel), len(batch.labels)
        places, labels = own_places(n_cycles), gather_cycles(batch.labels)
        mixup = draw_mixup(len(labels), self.options.mix_alpha, generator)
        mixed = mix_cycles(gather_cycles(pictures), mixup)[places]
        if not self.options.with_clean:
            logits = self.head(self.backbone(mixed))
            return {"classification": self._entropy(logits, mix_labels(labels, mixup, logits.shape[1])[places])}
        logits, mixed_logits = self.head(self.backbone(torch.cat([pictures, mixed]))).split(n_cycles)
        own = functional.one_hot(batch.labels, logits.shape[1]).float()
        shares = mix_labels(labels, mixup, logits.shape[1])[places]
        return {"classification": self._entropy(logits, own) / 2, "mixup": self._entropy(mixed_logits, shares) / 2}

    def _entropy(
        self, logits: Float[Tensor, "batch class"], shares: Float[Tensor, "batch class"]
    ) -> Float[Tensor, " batch"]:
        """For the softmax l CE(., y_a) + (1 - l) CE(., y_b), which is the cross-entropy with the mixed label."""
        if self.options.loss == "softmax":
            return functional.cross_entropy(logits, shares, reduction="none")
        return functional.binary_cross_entropy_with_logits(logits, shares, reduction="none").mean(dim=1)


def to_unit_range(log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch time mel"]:
    """Bring the smallest value of each cycle to 0 and its largest to 1; a cycle of one value is all 0."""
    low, high = log_mel.amin(dim=(1, 2), keepdim=True), log_mel.amax(dim=(1, 2), keepdim=True)
    return (log_mel - low) / (high - low).clamp_min(torch.finfo(log_mel.dtype).eps)


SOURCE = "settings from code of the same authors (LungSys-I), which does not say that they are those of the paper"

ROW: dict[str, Any] = {
    "crop": Crop(duration=5.0),
    "optimiser": Optimiser(name="adam", learning_rate=1e-4),
    "schedule": Schedule(shape="step", decay_epochs=(50, 100, 150), per_epoch=True),
    "epochs": 200,
    "batch_size": 32,
    "drop_last": True,
    "paper": "ma2020lungrn",
    "paper_selection": Selection.TEST,
    "reported": Reported(specificity=0.6320, sensitivity=0.4132, score=0.5226),
}
"""The code scores the test set after every epoch; which of them was printed is not said."""

SAME_IN_ALL = (
    SOURCE,
    "cycles cut or repeated to one length, not squeezed or stretched to one width",
    "bands evenly spaced below 4 kHz, not a drawn picture with a logarithmic axis up to a quarter of the sample rate",
    "no floor 80 dB below the loudest value",
)


@recipes.register("lungrn_nl/resnet_nl")
def lungrn_nl() -> Recipe:
    """LungRN+NL, row A1 of METHODS, with the non-local block as its paper of origin defines it."""
    return Recipe(
        name="lungrn_nl/resnet_nl",
        method="lungrn_nl",
        backbone="resnet_nl",
        options={"mix_alpha": 0.5},
        **ROW,
        deviations=(
            *SAME_IN_ALL,
            "one softmax for each place of the picture, and time and frequency not exchanged",
            "non-local blocks begin as the identity",
            "softmax cross-entropy, and no dropout of logits",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("lungrn_nl/resnet_nl-as-released")
def lungrn_nl_as_released() -> Recipe:
    """LungRN+NL with every quirk of the authors' code; its epoch is chosen on the test set."""
    return Recipe(
        name="lungrn_nl/resnet_nl-as-released",
        method="lungrn_nl",
        backbone="resnet_nl",
        backbone_options={"zero_start": False, "as_released": True},
        options={"mix_alpha": 0.5, "loss": "sigmoid", "logit_dropout": 0.1},
        split="icbhi2017/official",
        selection=Selection.TEST,
        validation_share=0.0,
        **ROW,
        deviations=SAME_IN_ALL,
    )


@recipes.register("lungrn_nl/resnet_nl-small")
def lungrn_nl_small() -> Recipe:
    """LungRN+NL on smaller pictures with 16 channels: minutes on two cores."""
    return Recipe(
        name="lungrn_nl/resnet_nl-small",
        method="lungrn_nl",
        backbone="resnet_nl",
        backbone_options={
            "picture": [64, 64],
            "width": 16,
            "n_blocks": 6,
            "places": [3, 5],
            "dropout": 0.0,
            "norm": "batch",
        },
        options={"with_clean": False},
        front_end=FrontEnd(
            sample_rate=8_000,
            channels=("linear",),
            n_mels=64,
            frame_length_ms=32.0,
            frame_shift_ms=16.0,
            n_fft=512,
            f_min=0.0,
            pre_emphasis=0.0,
            framing="centred",
            log_offset=1e-8,
            mean=0.0,
            scale=1.0,
        ),
        crop=Crop(duration=2.0),
        augmentation=SpectrogramAugmentation(time_shift=0.5),
        optimiser=Optimiser(name="adamw", learning_rate=3e-3, weight_decay=1e-3),
        schedule=Schedule(warmup_epochs=0.5),
        epochs=8,
        batch_size=32,
        class_weights="square-root",
        paper="ma2020lungrn",
        deviations=(
            *SAME_IN_ALL,
            "pictures of 64 x 64, 16 channels, six residual blocks and two non-local ones, batch normalisation",
            "AdamW, a cosine and 8 epochs; classes weighed",
            "mixtures alone, of Beta(0.2, 0.2)",
        ),
    )
