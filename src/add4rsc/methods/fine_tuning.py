"""Fine-tuning: cross-entropy on a backbone. The baseline of every comparison."""

from typing import Any, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import (
    AbstractMethod,
    Batch,
    Losses,
    both_views,
    centre_bands,
    divergence_of_views,
)
from add4rsc.methods._robust import robust
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe, mn04_recipe, small
from add4rsc.methods._teaching import TaughtOptions, classification_losses
from add4rsc.recipe import (
    AS_RELEASED,
    PATCH_MIX_PAPER,
    Averaging,
    Optimiser,
    Recipe,
    Reported,
    Schedule,
    patch_mix_recipe,
)
from add4rsc.terms import Paper


@methods.register("fine_tuning")
class FineTuning(AbstractMethod):
    """A backbone and one linear layer, all of it trained by cross-entropy, and by a teacher if there is one."""

    paper: ClassVar[Paper] = PATCH_MIX_PAPER

    class Options(TaughtOptions):
        """Settings of fine-tuning."""

        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Before the linear layer."""
        label_smoothing: float = Field(default=0.0, ge=0, lt=1)
        head_norm: bool = False
        """A LayerNorm before the linear layer, as in the AST's own classifier."""
        consistency: float = Field(default=0.0, ge=0)
        """Weight of the divergence between predictions for a noisy cycle and for its twin without (`noise.twin`)."""
        centred: bool = False
        """Take every band's mean over the cycle away first, so that stethoscopes sound more alike."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.head_norm = nn.LayerNorm(backbone.n_features) if options.head_norm else nn.Identity()
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(backbone.n_features, n_classes))
        self.options = options

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "FineTuning":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        frames = centre_bands(log_mel) if self.options.centred else log_mel
        return self.head(self.head_norm(self.backbone(frames)))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy; on both views and with their divergence where there are twins."""
        logits, n_cycles = self(both_views(batch)), len(batch.labels)
        labels = batch.labels.repeat(len(logits) // n_cycles)
        smoothing = self.options.label_smoothing
        entropy = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        terms = classification_losses(entropy, logits, batch, self.options)
        if self.options.consistency:
            terms["consistency"] = self.options.consistency * divergence_of_views(logits, n_cycles)
        return terms


@recipes.register("fine_tuning/mn04")
def fine_tuning_mn04() -> Recipe:
    """EfficientAT MobileNet mn04 from AudioSet weights, 3 s cycles: minutes on two cores."""
    return mn04_recipe("fine_tuning/mn04", "fine_tuning")


@recipes.register("fine_tuning/mn04-small")
def fine_tuning_mn04_small() -> Recipe:
    """The same on shorter cycles for fewer epochs: the baseline of `add4rsc benchmark`."""
    return small(fine_tuning_mn04())


@recipes.register("fine_tuning/mn04-robust")
def fine_tuning_mn04_robust() -> Recipe:
    """The same for recordings of any stethoscope: bands below 4 kHz, made noise, moved boundaries."""
    return robust(fine_tuning_mn04())


@recipes.register("fine_tuning/mn04-sprsound")
def fine_tuning_mn04_sprsound() -> Recipe:
    """For the seven classes of SPRSound's events: its faint recordings 20 dB louder, a frame every 5 ms."""
    recipe = small(fine_tuning_mn04())
    front_end = backbones.get(recipe.backbone).front_end()
    changes = {
        "name": "fine_tuning/mn04-sprsound",
        "task": "task-1-2",
        "front_end": front_end.model_copy(update={"frame_shift_ms": 5.0}).louder(20.0),
        "epochs": 6,
        "averaging": Averaging(kind="ema", decay=0.99),
    }
    return recipe.model_copy(update=changes)


@recipes.register("fine_tuning/ast")
def fine_tuning_ast() -> Recipe:
    """AST fine-tuning, row A10 of METHODS: the Patch-Mix code base's recipe with weighted cross-entropy, mended."""
    return patch_mix_recipe(
        "fine_tuning/ast",
        "fine_tuning",
        "ast",
        **AST_ROW,
        deviations=(
            "positions of the patches in AudioSet's order, not exchanged",
            "no halving of every step",
            "SpecAugment on every cycle, not on 84 % of them",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("fine_tuning/ast-as-released")
def fine_tuning_ast_as_released() -> Recipe:
    """AST fine-tuning with every quirk of the Patch-Mix code base; its epoch is chosen on the test set."""
    return patch_mix_recipe(
        "fine_tuning/ast-as-released",
        "fine_tuning",
        "ast",
        AS_RELEASED,
        split="icbhi2017/official",
        **AST_ROW,
        deviations=("where no epoch has a sensitivity above 5 %, the best of them counts",),
    )


AST_ROW: dict[str, Any] = {
    "options": {"head_norm": True},
    "class_weights": "inverse",
    "paper": "bae2023patchmix",
    "reported": Reported(specificity=0.7714, sensitivity=0.4197, score=0.5955),
}


@recipes.register("fine_tuning/resnet50")
def fine_tuning_resnet50() -> Recipe:
    """ResNet-50 from ImageNet weights under the same recipe."""
    return patch_mix_recipe(
        "fine_tuning/resnet50", "fine_tuning", "resnet50", class_weights="inverse", paper="bae2023patchmix",
        paper_selection=None, deviations=("ResNet-50 in place of the AST",),
    )  # fmt: skip


@recipes.register("fine_tuning/small_cnn")
def fine_tuning_small_cnn() -> Recipe:
    """A small network from random weights: for the demo, tests and a first look."""
    return Recipe(
        name="fine_tuning/small_cnn",
        method="fine_tuning",
        backbone="small_cnn",
        crop=Crop(duration=3.0),
        augmentation=SpectrogramAugmentation(time_shift=0.5, level_shift=0.2),
        optimiser=Optimiser(name="adamw", learning_rate=3e-3, weight_decay=1e-3),
        epochs=30,
        batch_size=16,
        class_weights="square-root",
        validation_share=0.25,
    )


@recipes.register("fine_tuning/ast-sam")
def fine_tuning_ast_sam() -> Recipe:
    """AST fine-tuning by sharpness-aware minimisation (arXiv:2512.22564, METHODS 5.2)."""
    return patch_mix_recipe(
        "fine_tuning/ast-sam",
        "fine_tuning",
        "ast",
        options={"head_norm": True, "label_smoothing": 0.1},
        crop=Crop(duration=8.0),
        augmentation=SpectrogramAugmentation(),
        optimiser=Optimiser(name="adamw", learning_rate=1e-5, weight_decay=1e-4, decay_all=True, sharpness_radius=0.05),
        schedule=Schedule(shape="constant"),
        sampler="balanced",
        epochs=20,
        drop_last=False,
        paper="isik2025sam",
        deviations=(
            "no figures of the paper: its sensitivity of 68.31 % is binary (any abnormal class counts), so that its "
            "Score of 68.10 % is to be compared with two-class scores alone (METHODS 5.1)",
            "cycles of fewer than 100 samples are kept",
            "not found: the precision, and whether biases decay; here they do",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("fine_tuning/mn04-sam-small")
def fine_tuning_mn04_sam_small() -> Recipe:
    """Sharpness-aware minimisation on EfficientAT's mn04 and 3 s cycles, for a CPU."""
    changes = {
        "name": "fine_tuning/mn04-sam-small",
        "options": {"label_smoothing": 0.1},
        "optimiser": Optimiser(name="adamw", learning_rate=6e-4, weight_decay=1e-3, sharpness_radius=0.05),
        "epochs": 4,
        "paper": "isik2025sam",
        "deviations": (
            "EfficientAT's mn04 on 3 s in place of the AST on 8 s, with the recipe of fine_tuning/mn04",
            "weighted loss and falling rate, not a balanced sampler and a constant one",
        ),
    }
    return fine_tuning_mn04().model_copy(update=changes)


@recipes.register("fine_tuning/ast-small")
def fine_tuning_ast_small() -> Recipe:
    """A transformer of 4 blocks that comes with the package, on cycles of 2 s: minutes on two cores."""
    return ast_recipe(
        "fine_tuning/ast-small",
        "fine_tuning",
        options={"head_norm": True},
        paper="bae2023patchmix",
        deviations=(SMALL_TRANSFORMER,),
    )


@recipes.register("fine_tuning/ast-sam-small")
def fine_tuning_ast_sam_small() -> Recipe:
    """Sharpness-aware minimisation of the small transformer, for a CPU."""
    return ast_recipe(
        "fine_tuning/ast-sam-small",
        "fine_tuning",
        options={"head_norm": True, "label_smoothing": 0.1},
        optimiser=Optimiser(name="adamw", learning_rate=5e-4, weight_decay=1e-2, sharpness_radius=0.05),
        epochs=4,
        paper="isik2025sam",
        deviations=(
            SMALL_TRANSFORMER,
            "weighted loss and falling rate, not a balanced sampler and a constant one; 4 epochs",
        ),
    )
