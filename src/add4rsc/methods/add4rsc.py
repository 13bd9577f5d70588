"""ADD4RSC: an adaptive differential denoising layer in front of a backbone, and a bias denoising loss beside it.

Dong et al., Interspeech 2025 (arXiv:2506.02505). The layer's forms are in `add4rsc.add.presets`.
"""

from typing import Any, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field, ValidationError
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.add.layer import AddLayer, AddSettings, DenoisedFeatures, resize_log_mel
from add4rsc.add.presets import PRESETS
from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.errors import RecipeError
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Optimiser, Recipe, Reported, Schedule, nearest
from add4rsc.terms import Paper, Settings


@methods.register("add4rsc")
class Add4Rsc(AbstractMethod):
    """ADD layer, backbone, linear head; L = beta L_BD + (1 - beta) L_CE."""

    paper: ClassVar[Paper] = Paper(
        key="dong2025add4rsc",
        title="Adaptive Differential Denoising for Respiratory Sounds Classification",
        authors="Dong, G. and Zhang, Z. and Sun, P. and Zhang, M.",
        venue="Interspeech",
        year=2025,
        arxiv="2506.02505",
    )

    class Options(Settings):
        """Settings of ADD4RSC."""

        preset: Literal["paper", "released-2025-02", "released-2025-08", "fixed"] = "fixed"
        """Which form of the layer; `fixed` is our recommendation."""
        add: dict[str, Any] = Field(default_factory=dict)
        """Settings of the layer that differ from the preset."""
        input_size: tuple[int, int] | None = None
        """Frames and mel columns to which log-mel frames are stretched first; None leaves them as they are."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Before the linear head."""

        def layer(self) -> AddSettings:
            """The layer's settings.

            Raises:
                RecipeError: if `add` has a key that the layer has not, or a value that does not fit.
            """
            try:
                return AddSettings.model_validate(PRESETS[self.preset].model_dump() | self.add)
            except ValidationError as error:
                first = error.errors()[0]
                key = str(first["loc"][-1])
                raise RecipeError(
                    f"Recipe key 'options.add.{key}' does not fit: {first['msg']}. "
                    + nearest(key, list(AddSettings.model_fields))
                ) from error

    def __init__(self, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> None:
        super().__init__()
        settings = options.layer()
        self.input_size = options.input_size
        self.add = AddLayer(settings, options.input_size[1] if options.input_size else n_mels, n_classes)
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(backbone.n_features, n_classes))
        self.loss_weights = settings.loss_weights
        self.bias_denoising_loss = settings.bias_denoising_loss(reduction="none")

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "Add4Rsc":
        """Build the method around a backbone."""
        return cls(backbone, n_mels, n_classes, options)

    def denoise(self, log_mel: Float[Tensor, "batch time mel"]) -> DenoisedFeatures:
        """What the ADD layer makes of log-mel frames."""
        return self.add(log_mel if self.input_size is None else resize_log_mel(log_mel, *self.input_size))

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.backbone(self.denoise(log_mel).features))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy and the bias denoising loss, each with its weight."""
        denoised = self.denoise(batch.log_mel)
        logits = self.head(self.backbone(denoised.features))
        classification = functional.cross_entropy(logits, batch.labels, reduction="none")
        bias_denoising = self.bias_denoising_loss(denoised.bias_logits, batch.labels)
        weights = self.loss_weights
        return {
            "classification": weights.classification * classification,
            "bias_denoising": weights.bias_denoising * bias_denoising,
        }


@recipes.register("add4rsc/mn04")
def add4rsc_mn04() -> Recipe:
    """The ADD layer (`fixed`, heads 32 wide as released) before EfficientAT's mn04; otherwise as `fine_tuning/mn04`."""
    return Recipe(
        name="add4rsc/mn04",
        method="add4rsc",
        backbone="mn04",
        weights="mn04/audioset",
        options={"preset": "fixed", "add": {"n_heads": 4}},
        crop=Crop(duration=3.0),
        augmentation=SpectrogramAugmentation(
            n_time_masks=1, max_time_mask=40, n_mel_masks=1, max_mel_mask=16, time_shift=0.5, level_shift=0.2
        ),
        optimiser=Optimiser(name="adamw", learning_rate=6e-4, weight_decay=1e-3),
        schedule=Schedule(warmup_epochs=0.5),
        epochs=8,
        batch_size=32,
        class_weights="square-root",
        paper="dong2025add4rsc",
        deviations=("backbone mn04 in place of AST or ResNet-50", "the ADD layer in its fixed form"),
    )


@recipes.register("add4rsc/ast")
def add4rsc_ast() -> Recipe:
    """The paper's main row: ADD layer before the Audio Spectrogram Transformer."""
    return Recipe(
        name="add4rsc/ast",
        method="add4rsc",
        backbone="ast",
        weights="ast/audioset-10-10",
        backbone_options={"stride": (16, 16), "n_mels": 256, "n_frames": 1024},
        options={"preset": "fixed", "input_size": (1024, 256)},
        crop=Crop(duration=8.0, recording_fade=0.0625, repeat_fade=0.0625),
        augmentation=SpectrogramAugmentation(n_time_masks=2, max_time_mask=160, n_mel_masks=2, max_mel_mask=48),
        optimiser=Optimiser(name="adamw", learning_rate=5e-5, weight_decay=1e-6),
        schedule=Schedule(per_epoch=True),
        epochs=50,
        batch_size=8,
        drop_last=True,
        paper="dong2025add4rsc",
        paper_selection=Selection.TEST,
        reported=Reported(specificity=0.8513, sensitivity=0.4594, score=0.6553),
        deviations=(
            "the ADD layer in its fixed form",
            "the official split, not a random one over files",
            "position table interpolated, not random",
            "no halving of every step",
        ),
    )


@recipes.register("add4rsc/resnet50")
def add4rsc_resnet50() -> Recipe:
    """The paper's row with ResNet-50."""
    return add4rsc_ast().model_copy(
        update={
            "name": "add4rsc/resnet50",
            "backbone": "resnet50",
            "backbone_options": {},
            "weights": "resnet50/imagenet",
            "reported": Reported(specificity=0.8376, sensitivity=0.3418, score=0.5897),
        }
    )


@recipes.register("add4rsc/small_cnn")
def add4rsc_small_cnn() -> Recipe:
    """The ADD layer before a small network: for the demo, tests and a first look."""
    return Recipe(
        name="add4rsc/small_cnn",
        method="add4rsc",
        backbone="small_cnn",
        options={"preset": "fixed", "add": {"n_heads": 4}},
        crop=Crop(duration=3.0),
        augmentation=SpectrogramAugmentation(time_shift=0.5, level_shift=0.2),
        optimiser=Optimiser(name="adamw", learning_rate=3e-3, weight_decay=1e-3),
        epochs=20,
        batch_size=16,
        class_weights="square-root",
        validation_share=0.25,
        paper="dong2025add4rsc",
        deviations=("a small network in place of AST or ResNet-50", "the ADD layer in its fixed form"),
    )
