"""LungAdapter: a frozen transformer in which small adapters alone learn."""

from typing import ClassVar, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._adapters import freeze_and_adapt
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe
from add4rsc.recipe import Optimiser, Recipe, Reported, Schedule, patch_mix_recipe
from add4rsc.terms import Paper, Settings

ROLES = {
    "both": ("attention", "feed-forward", "convolution"),
    "attention": ("attention", "convolution"),
    "feed-forward": ("feed-forward", "convolution"),
}
"""What each choice of places adapts; convolutional trunks have their own parts, which are always adapted."""


@methods.register("lung_adapter")
class LungAdapter(AbstractMethod):
    """Cross-entropy on a frozen backbone with bottleneck adapters in it, a LayerNorm and a linear head.

    A transformer has adapters beside attention and feed-forward of every block; a convolutional network that names its
    blocks (`AbstractBackbone.adaptable`) has 1 x 1 adapters after each; any other backbone has one, on its feature
    vector. What is frozen stays in evaluation mode, so that its batch normalisation keeps the pretrained statistics,
    and nothing is dropped out of it.
    """

    paper: ClassVar[Paper] = Paper(
        key="xiao2024lungadapter",
        title="LungAdapter: Efficient Adapting Audio Spectrogram Transformer for Lung Sound Classification",
        authors="Xiao, L. and others",
        venue="Interspeech",
        year=2024,
    )

    class Options(Settings):
        """Settings of the adapters; METHODS A18 has none but the share of 2.83 % of the parameters that learn."""

        bottleneck: int = Field(default=67, gt=0)
        """Channels inside an adapter: with 67 in two places of 12 blocks, 2.82 % of the AST's parameters learn."""
        placement: Literal["parallel", "after"] = "parallel"
        """Whether an adapter sees the input or the output of its part."""
        places: Literal["both", "attention", "feed-forward"] = "both"
        """Which parts of a transformer block have one."""
        scale: float = Field(default=1.0, gt=0)
        """Factor of what an adapter adds."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        width = backbone.n_features
        self.backbone = freeze_and_adapt(
            backbone,
            options.bottleneck,
            scale=options.scale,
            placement=options.placement,
            roles=ROLES[options.places],
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_classes))
        self.train()

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "LungAdapter":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def train(self, mode: bool = True) -> "LungAdapter":
        """Let the head train; frozen parts stay in evaluation mode, and adapters are the same in both."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.backbone(log_mel))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy."""
        return {"classification": functional.cross_entropy(self(batch.log_mel), batch.labels, reduction="none")}


@recipes.register("lung_adapter/ast")
def lung_adapter_ast() -> Recipe:
    """LungAdapter on the AST, row A18 of METHODS; what the paper does beyond freezing and adapting was not found."""
    return patch_mix_recipe(
        "lung_adapter/ast",
        "lung_adapter",
        "ast",
        optimiser=Optimiser(name="adam", learning_rate=1e-4, weight_decay=1e-6, decay_all=True),
        paper="xiao2024lungadapter",
        reported=Reported(specificity=0.8043, sensitivity=0.4437, score=0.6240),
        deviations=(
            "placement of the adapters not found: parallel to attention and to feed-forward",
            "bottleneck not found: 67, with which 2.82 % of the parameters learn (2.83 % published)",
            "learning rate, epochs and batch size not found: 1e-4, and otherwise Patch-Mix's",
            "class weights not found: none",
            "how the paper chose its epoch was not found; on the test set, as nearly all of the field did, is assumed",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("lung_adapter/mn04-small")
def lung_adapter_mn04_small() -> Recipe:
    """Adapters after the blocks of a frozen mn04 from AudioSet weights: about two minutes on one core."""
    return Recipe(
        name="lung_adapter/mn04-small",
        method="lung_adapter",
        backbone="mn04",
        weights="mn04/audioset",
        options={"bottleneck": 32},
        crop=Crop(duration=2.0),
        augmentation=SpectrogramAugmentation(
            n_time_masks=1, max_time_mask=30, n_mel_masks=1, max_mel_mask=16, time_shift=0.5, level_shift=0.2
        ),
        optimiser=Optimiser(name="adamw", learning_rate=3e-3, weight_decay=1e-3),
        schedule=Schedule(warmup_epochs=0.5),
        epochs=4,
        batch_size=32,
        class_weights="square-root",
        paper="xiao2024lungadapter",
        deviations=(
            "backbone mn04 in place of the AST, with 1 x 1 adapters after its inverted residual blocks",
            "bottleneck 32: the adapters of so small a network are a larger share of it",
            "cycles of 2 s, 4 epochs",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("lung_adapter/ast-small")
def lung_adapter_ast_small() -> Recipe:
    """Adapters in the frozen small transformer, for a CPU."""
    return ast_recipe(
        "lung_adapter/ast-small",
        "lung_adapter",
        options={"bottleneck": 17},
        optimiser=Optimiser(name="adamw", learning_rate=3e-3, weight_decay=1e-3),
        paper="xiao2024lungadapter",
        deviations=(SMALL_TRANSFORMER, "bottleneck 17: 3 % of the parameters learn"),
    )
