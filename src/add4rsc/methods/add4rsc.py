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
from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.errors import RecipeError
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import (
    AbstractMethod,
    Batch,
    Losses,
    both_views,
    centre_bands,
    divergence_of_views,
    mean_of_views,
)
from add4rsc.methods._robust import robust
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe, mn04_recipe, small
from add4rsc.methods._teaching import TaughtOptions, classification_losses
from add4rsc.recipe import AS_RELEASED, PATCH_MIX, Optimiser, Recipe, Reported, nearest, patch_mix_recipe
from add4rsc.terms import Paper


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

    class Options(TaughtOptions):
        """Settings of ADD4RSC."""

        preset: Literal["paper", "released-2025-02", "released-2025-08", "fixed"] = "fixed"
        """Which form of the layer; `fixed` is our recommendation."""
        add: dict[str, Any] = Field(default_factory=dict)
        """Settings of the layer that differ from the preset."""
        input_size: tuple[int, int] | None = None
        """Frames and mel columns to which log-mel frames are stretched first; None leaves them as they are."""
        dropout: float = Field(default=0.0, ge=0, lt=1)
        """Before the linear head."""
        head_norm: bool = False
        """A LayerNorm before the linear head, as in the AST's own classifier."""
        consistency: float = Field(default=0.0, ge=0)
        """Weight of the divergence between predictions for a noisy cycle and for its twin without (`noise.twin`)."""
        centred: bool = False
        """Take every band's mean over the cycle away first, so that stethoscopes sound more alike."""
        denoising: float = Field(default=0.0, ge=0)
        """Weight of the mean absolute difference between what the layer makes of either twin and the clean frames."""

        def model_post_init(self, context: Any) -> None:
            """Check `add` at once, not when the layer is built."""
            self.layer()

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
        self.head_norm = nn.LayerNorm(backbone.n_features) if options.head_norm else nn.Identity()
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(backbone.n_features, n_classes))
        self.loss_weights = settings.loss_weights
        self.bias_denoising_loss = settings.bias_denoising_loss(reduction="none")
        self.is_centred = options.centred
        self.options = options

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "Add4Rsc":
        """Build the method around a backbone."""
        return cls(backbone, n_mels, n_classes, options)

    def denoise(self, log_mel: Float[Tensor, "batch time mel"]) -> DenoisedFeatures:
        """What the ADD layer makes of log-mel frames."""
        return self.add(self.stretched(log_mel))

    def stretched(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch frame dim"]:
        """What the ADD layer sees: the frames as they are, or centred, or stretched to the recipe's size."""
        frames = centre_bands(log_mel) if self.is_centred else log_mel
        return frames if self.input_size is None else resize_log_mel(frames, *self.input_size)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self._classify(self.denoise(log_mel))

    def _classify(self, denoised: DenoisedFeatures) -> Float[Tensor, "batch class"]:
        return self.head(self.head_norm(self.backbone(denoised.features)))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy and the bias denoising loss, each with its weight; where there are twins, on both views.

        A teacher's answers are learnt beside the labels within the weight of the cross-entropy (`TaughtOptions`).
        With twins, the two comparisons that the options weigh join them: the "augmented sample comparisons" that the
        paper's abstract names, and neither paper nor code describes (METHODS 4.4, row 15).
        """
        denoised, n_cycles = self.denoise(both_views(batch)), len(batch.labels)
        logits = self._classify(denoised)
        labels = batch.labels.repeat(len(logits) // n_cycles)
        classification = functional.cross_entropy(logits, labels, reduction="none")
        bias_denoising = self.bias_denoising_loss(denoised.bias_logits, labels)
        weights = self.loss_weights
        of_labels = classification_losses(classification, logits, batch, self.options)
        terms = {name: weights.classification * term for name, term in of_labels.items()}
        terms["bias_denoising"] = weights.bias_denoising * mean_of_views(bias_denoising, n_cycles)
        return terms | self._comparisons(batch, denoised, logits)

    def _comparisons(self, batch: Batch, denoised: DenoisedFeatures, logits: Float[Tensor, "view class"]) -> Losses:
        """The terms that compare a cycle with its twin; none without twins or weights."""
        n_cycles, options, terms = len(batch.labels), self.options, {}
        if options.consistency:
            terms["consistency"] = options.consistency * divergence_of_views(logits, n_cycles)
        if options.denoising and batch.clean is not None:
            target = self.stretched(batch.clean).repeat(2, 1, 1)
            difference = (denoised.features - target).abs().mean(dim=(1, 2))
            terms["denoising"] = options.denoising * mean_of_views(difference, n_cycles)
        return terms


@recipes.register("add4rsc/mn04")
def add4rsc_mn04() -> Recipe:
    """The ADD layer (`fixed`, heads 32 wide as released) before EfficientAT's mn04; otherwise as `fine_tuning/mn04`."""
    return mn04_recipe(
        "add4rsc/mn04",
        "add4rsc",
        options={"preset": "fixed", "add": {"n_heads": 4}},
        paper="dong2025add4rsc",
        deviations=("backbone mn04 in place of AST or ResNet-50", "the ADD layer in its fixed form"),
    )


@recipes.register("add4rsc/mn04-small")
def add4rsc_mn04_small() -> Recipe:
    """The same on shorter cycles for fewer epochs: its row in `add4rsc benchmark`."""
    return small(add4rsc_mn04())


@recipes.register("add4rsc/mn04-robust")
def add4rsc_mn04_robust() -> Recipe:
    """The same for recordings of any stethoscope: bands below 4 kHz, made noise, moved boundaries."""
    return robust(add4rsc_mn04())


AST_OPTIONS: dict[str, Any] = {"stride": [16, 16], "n_mels": 256, "n_frames": 1024}
"""16 x 64 patches of 16 x 16 on the stretched input."""

REPORTED = {
    "ast": Reported(specificity=0.8513, sensitivity=0.4594, score=0.6553),
    "resnet50": Reported(specificity=0.8376, sensitivity=0.3418, score=0.5897),
}
"""Table of the paper; METHODS 2.1 shows that it is of one run on the random division of files."""

FIXED_DEVIATIONS = (
    "the ADD layer in its fixed form (add4rsc.add.presets.DEPARTURES)",
    "the official split, not a random one over files",
    "epoch chosen on validation patients, who are kept out of training",
    "no halving of every step",
    "SpecAugment on every cycle, not on 84 % of them",
)
PAPER_DEVIATIONS = (
    "loudness as recorded: which normalisation of the amplitude is meant is not said",
    "frame shift of 10 ms and heads of the attention, which the paper does not say, as released",
    "SpecAugment, cosine schedule and fades, which the paper does not mention, as released",
    "epoch chosen on validation patients, who are kept out of training",
)
ADD4RSC_AS_RELEASED = AS_RELEASED.model_copy(update={"unscaled_gradients": True})
RELEASED_DEVIATIONS = (
    "where no epoch has a sensitivity above 5 %, the best of them counts (the released code then keeps none)",
)


def _fixed(backbone: str, **changes: Any) -> Recipe:
    """Our recommended form on the released pipeline's input of 1024 x 256."""
    is_ast = backbone == "ast"
    values: dict[str, Any] = {
        "options": {"preset": "fixed", "input_size": [1024, 256], "head_norm": is_ast},
        "optimiser": Optimiser(name="adamw", learning_rate=5e-5, weight_decay=1e-6, decay_all=True),
        "paper": "dong2025add4rsc",
        "reported": REPORTED.get(backbone),
        "deviations": FIXED_DEVIATIONS,
    }
    if is_ast:
        values |= {"backbone_options": AST_OPTIONS}
    return patch_mix_recipe(f"add4rsc/{backbone}", "add4rsc", backbone, **(values | changes))


def _paper(backbone: str) -> Recipe:
    """The paper's text: 64 mel filters of 1,024 samples, Adam with weight decay 0.1, its own order of the layer."""
    front_end = FrontEnd(n_mels=64, frame_length_ms=64.0, n_fft=1024)
    changes: dict[str, Any] = {
        "name": f"add4rsc/{backbone}-paper",
        "options": {"preset": "paper", "head_norm": backbone == "ast"},
        "front_end": front_end,
        "optimiser": Optimiser(name="adam", learning_rate=5e-5, weight_decay=0.1, decay_all=True),
        "split": "icbhi2017/official",
        "deviations": PAPER_DEVIATIONS,
    }
    if backbone == "ast":
        n_frames = front_end.n_frames(PATCH_MIX["crop"].n_samples(front_end.sample_rate))
        changes["backbone_options"] = {"n_mels": front_end.n_mels, "n_frames": n_frames}
    return _fixed(backbone).model_copy(update=changes)


def _released(backbone: str, commit: Literal["2025-02", "2025-08"]) -> Recipe:
    """A commit's pipeline with its quirks: the random division of files, and the epoch that is best on its test set."""
    is_ast = backbone == "ast"
    extra = ("starts from a table of positions of sd 0.020, not 0.0116",) if is_ast else ()
    changes: dict[str, Any] = {
        "name": f"add4rsc/{backbone}-released-{commit}",
        "options": {"preset": f"released-{commit}", "input_size": [1024, 256], "head_norm": is_ast},
        "weights_left_out": ("pos_embed",) if is_ast else ("conv1.weight",),  # of another shape there, hence skipped
        "split": "icbhi2017/random-file-seed1",
        "deviations": (*RELEASED_DEVIATIONS, *extra),
        **ADD4RSC_AS_RELEASED.changes(),
    }
    if is_ast:
        changes["backbone_options"] = AST_OPTIONS | {"position_table": "transposed"}
    elif commit == "2025-08":
        changes |= {"weights": None, "weights_left_out": ()}  # the refactored code lost their loading
    return _fixed(backbone).model_copy(update=changes)


@recipes.register("add4rsc/ast")
def add4rsc_ast() -> Recipe:
    """The paper's main row, mended: ADD layer before the Audio Spectrogram Transformer."""
    return _fixed("ast")


@recipes.register("add4rsc/ast-paper")
def add4rsc_ast_paper() -> Recipe:
    """The main row as the paper's text has it."""
    return _paper("ast")


@recipes.register("add4rsc/ast-released-2025-02")
def add4rsc_ast_released_2025_02() -> Recipe:
    """The main row as commit 4ed7905 computes it, on its random division of files, chosen on the test set."""
    return _released("ast", "2025-02")


@recipes.register("add4rsc/ast-released-2025-08")
def add4rsc_ast_released_2025_08() -> Recipe:
    """The main row as commit 8a0384a computes it, on its random division of files, chosen on the test set."""
    return _released("ast", "2025-08")


@recipes.register("add4rsc/ast-small")
def add4rsc_ast_small() -> Recipe:
    """The ADD layer before the small transformer, for a CPU."""
    return ast_recipe(
        "add4rsc/ast-small",
        "add4rsc",
        options={"preset": "fixed", "head_norm": True},
        paper="dong2025add4rsc",
        deviations=(*FIXED_DEVIATIONS, SMALL_TRANSFORMER, "frames as they are, not stretched"),
    )


@recipes.register("add4rsc/resnet50")
def add4rsc_resnet50() -> Recipe:
    """The paper's row with ResNet-50, mended."""
    return _fixed("resnet50")


@recipes.register("add4rsc/resnet50-paper")
def add4rsc_resnet50_paper() -> Recipe:
    """The row with ResNet-50 as the paper's text has it."""
    return _paper("resnet50")


@recipes.register("add4rsc/resnet50-released-2025-02")
def add4rsc_resnet50_released_2025_02() -> Recipe:
    """The row with ResNet-50 as commit 4ed7905 computes it: random division of files, chosen on the test set."""
    return _released("resnet50", "2025-02")


@recipes.register("add4rsc/resnet50-released-2025-08")
def add4rsc_resnet50_released_2025_08() -> Recipe:
    """As commit 8a0384a: ResNet-50 from random weights, random division of files, chosen on the test set."""
    return _released("resnet50", "2025-08")


@recipes.register("add4rsc/resnet18")
def add4rsc_resnet18() -> Recipe:
    """ResNet-18 from random weights, for a CPU."""
    return _fixed("resnet18", weights=None, options={"preset": "fixed"}, **SMALL)


@recipes.register("add4rsc/resnet18-small")
def add4rsc_resnet18_small() -> Recipe:
    """A narrow ResNet-18 from random weights on cycles of 2 s, for a CPU."""
    return ast_recipe(
        "add4rsc/resnet18-small",
        "add4rsc",
        backbone="resnet18",
        backbone_options={"width": 16},
        weights=None,
        options={"preset": "fixed"},
        optimiser=Optimiser(name="adamw", learning_rate=2e-3, weight_decay=1e-2),
        paper="dong2025add4rsc",
        deviations=(
            *FIXED_DEVIATIONS,
            "ResNet-18 of width 16 in place of ResNet-50 of width 64, from random weights, on 64 bands of 2 s as they "
            "are; 6 epochs, weighted loss",
        ),
    )


SMALL: dict[str, Any] = {
    "crop": PATCH_MIX["crop"].model_copy(update={"duration": 4.0}),
    "optimiser": Optimiser(name="adamw", learning_rate=3e-4, weight_decay=1e-3),
    "epochs": 6,
    "batch_size": 16,
    "class_weights": "square-root",
    "precision": "32-true",
    "deviations": (
        *FIXED_DEVIATIONS,
        "a smaller backbone from random weights, on cycles of 4 s, and frames as they are: minutes on two cores",
    ),
}


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
        epochs=30,
        batch_size=16,
        class_weights="square-root",
        validation_share=0.25,
        paper="dong2025add4rsc",
        deviations=("a small network in place of AST or ResNet-50", "the ADD layer in its fixed form"),
    )
