"""Patch-Mix contrastive learning: a cycle's features against those of a mixture of its patches with another's."""

from typing import Any, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.backbones._base import AbstractBackbone, AbstractPatchBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.methods._contrast import build_projector, gather_cycles, own_places
from add4rsc.methods._mixture import Mixture, draw_mixture, mixture_contrast
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import AS_RELEASED, PATCH_MIX_PAPER, Recipe, Reported, patch_mix_recipe
from add4rsc.terms import Paper, Settings


def mix_patches(
    patches: Float[Tensor, "batch dim row column"], mixture: Mixture
) -> Float[Tensor, "batch dim row column"]:
    """Every cycle of this process with some patches of its partner's."""
    mixed, n_columns = patches.clone(), patches.shape[-1]
    rows, columns = mixture.replaced // n_columns, mixture.replaced % n_columns
    donors = gather_cycles(patches[:, :, rows, columns])[mixture.partners[own_places(len(patches))]]
    mixed[:, :, rows, columns] = donors
    return mixed


@methods.register("patch_mix_cl")
class PatchMixContrastiveLearning(AbstractMethod):
    """Cross-entropy on the cycle, and a contrast that finds in a mixture's features both cycles that it is made of.

    Bae et al. 2023 (arXiv:2305.14032), as released: the keys are the features of the clean pass, without gradient and
    not projected. A backbone without patches of its own is shown a mixture of 16 x 16 blocks of the log-mel frames.

    Partners and keys are those of the whole batch, however many processes share it.
    """

    paper: ClassVar[Paper] = PATCH_MIX_PAPER

    class Options(Settings):
        """Settings of Patch-Mix contrastive learning."""

        temperature: float = Field(default=0.06, gt=0)
        """tau: what cosines are divided by."""
        contrast: float = Field(default=1.0, ge=0)
        """Weight of the contrastive loss."""
        mix_alpha: float = Field(default=1.0, gt=0)
        """The share of own patches is drawn from Beta(alpha, alpha)."""
        head_norm: bool = False
        """A LayerNorm before the linear layer, as in the AST's own classifier."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        width = backbone.n_features
        self.backbone = backbone
        self.head_norm = nn.LayerNorm(width) if options.head_norm else nn.Identity()
        self.head = nn.Linear(width, n_classes)
        self.projector = build_projector(width)
        self.options = options

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "PatchMixContrastiveLearning":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self._classify(self.backbone(log_mel))

    def _classify(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch class"]:
        return self.head(self.head_norm(features))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of the clean pass, and the contrast of the mixed pass with it."""
        features = self.backbone(batch.log_mel)
        classification = functional.cross_entropy(self._classify(features), batch.labels, reduction="none")
        keys = gather_cycles(features.detach())
        mixed, mixture = self._mixed_features(batch.log_mel, len(keys), generator)
        queries = self.projector(mixed) if len(keys) > 1 else mixed * 0  # one cycle alone has no statistics
        contrast = mixture_contrast(queries, keys, mixture, self.options.temperature)
        return {"classification": classification, "contrast": self.options.contrast * contrast}

    def _mixed_features(
        self, log_mel: Float[Tensor, "batch time mel"], n_cycles: int, generator: Generator
    ) -> tuple[Float[Tensor, "batch feature"], Mixture]:
        """Features of cycles whose patches were mixed: after the embedding, before positions are added.

        The mixture is that of all `n_cycles` of the batch, which every process draws alike.
        """
        alpha, backbone = self.options.mix_alpha, self.backbone
        if isinstance(backbone, AbstractPatchBackbone):
            patches = backbone.patch_embed(log_mel)
            mixture = draw_mixture(n_cycles, patches.shape[-2] * patches.shape[-1], alpha, generator)
            return backbone.encode(mix_patches(patches, mixture)), mixture
        blocks = _to_blocks(log_mel)
        mixture = draw_mixture(n_cycles, blocks.shape[-2] * blocks.shape[-1], alpha, generator)
        return backbone(_from_blocks(mix_patches(blocks, mixture), log_mel)), mixture


BLOCK = 16
"""Frames and mel bands of a block, as those of the AST's patches."""


def _to_blocks(log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch dim row column"]:
    """Whole blocks of the frames, each flattened."""
    n_rows, n_columns = max(1, log_mel.shape[1] // BLOCK), max(1, log_mel.shape[2] // BLOCK)
    high, wide = min(BLOCK, log_mel.shape[1]), min(BLOCK, log_mel.shape[2])
    whole = log_mel[:, : n_rows * high, : n_columns * wide]
    return whole.unflatten(1, (n_rows, high)).unflatten(3, (n_columns, wide)).permute(0, 2, 4, 1, 3).flatten(1, 2)


def _from_blocks(
    blocks: Float[Tensor, "batch dim row column"], log_mel: Float[Tensor, "batch time mel"]
) -> Float[Tensor, "batch time mel"]:
    """Undo `_to_blocks`; what is left over at the edges stays that of the cycle itself."""
    high, wide = min(BLOCK, log_mel.shape[1]), min(BLOCK, log_mel.shape[2])
    whole = blocks.unflatten(1, (high, wide)).permute(0, 3, 1, 4, 2).flatten(3, 4).flatten(1, 2)
    result = log_mel.clone()
    result[:, : whole.shape[1], : whole.shape[2]] = whole
    return result


ROW: dict[str, Any] = {
    "options": {"head_norm": True},
    "paper": "bae2023patchmix",
    "reported": Reported(specificity=0.8166, sensitivity=0.4307, score=0.6237),
}
"""Mean of five seeds, epochs chosen on the test set (METHODS A11); the cross-entropy has no class weights."""


@recipes.register("patch_mix_cl/ast")
def patch_mix_cl_ast() -> Recipe:
    """Patch-Mix CL, row A11 of METHODS, mended."""
    deviations = (
        "positions of the patches in AudioSet's order, not exchanged",
        "no halving of every step",
        "SpecAugment on every cycle, not on 84 % of them",
        "epoch chosen on validation patients, who are kept out of training",
    )
    return patch_mix_recipe("patch_mix_cl/ast", "patch_mix_cl", "ast", **ROW, deviations=deviations)


@recipes.register("patch_mix_cl/ast-as-released")
def patch_mix_cl_ast_as_released() -> Recipe:
    """Patch-Mix CL with every quirk of its code base; its epoch is chosen on the test set."""
    name = "patch_mix_cl/ast-as-released"
    return patch_mix_recipe(name, "patch_mix_cl", "ast", AS_RELEASED, split="icbhi2017/official", **ROW)


@recipes.register("patch_mix_cl/ast-small")
def patch_mix_cl_ast_small() -> Recipe:
    """The same loss on the small transformer, for a CPU."""
    return ast_recipe(
        "patch_mix_cl/ast-small",
        "patch_mix_cl",
        options={"head_norm": True},
        paper="bae2023patchmix",
        paper_selection=Selection.TEST,
        deviations=(SMALL_TRANSFORMER,),
    )
