"""Patient-consistent multi-cycle learning: joined cycles, three bits, and whether one patient breathed both."""

from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses, codes_of
from add4rsc.methods._contrast import gather_cycles, own_places
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe, mn04_recipe
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Recipe, Reported, patch_mix_recipe
from add4rsc.terms import CYCLE_CLASSES, Paper, Settings


@methods.register("pc_mcl")
class PatientConsistentMultiCycleLearning(AbstractMethod):
    """Sigmoids for normal, crackle and wheeze on joined cycles, and a second task: is it one patient?

    Published with BEATs at ICASSP 2026 (arXiv:2601.17080, METHODS 5.2); known from its abstract, so that much is our
    choice: which cycles are joined with which, and how (see `Options`).

    Each class is a pattern of bits: normal 100, crackle 010, wheeze 001, both 011. A cycle's class is the most probable
    of these patterns, its bits taken as independent: the logit of a class is the sum of the logits of its bits, and
    softmax gives the probability of each pattern among the four. (Where a task has not four classes, each is a bit of
    its own.)
    """

    paper: ClassVar[Paper] = Paper(
        key="pcmcl2026",
        title="PC-MCL: Patient-Consistent Multi-Cycle Learning with Multi-Label Bias Correction for Respiratory Sound "
        "Classification",
        authors="Kim, Seong-Eun and others",
        venue="ICASSP",
        year=2026,
        arxiv="2601.17080",
    )

    class Options(Settings):
        """Settings of multi-cycle learning."""

        joined_share: float = Field(default=0.5, ge=0, le=1)
        """Share of the cycles that another one follows; the others stay alone, as cycles are when they are judged."""
        same_patient_share: float = Field(default=0.5, ge=0, le=1)
        """Share of the joined cycles whose follower is of the same patient, if the batch has one."""
        length: Literal["halves", "pooled"] = "halves"
        """How two cycles become as long as one: the first half of either's frames, so that short cycles, which are
        repeated to fill their frames, stay whole; or the means of every two frames of both."""
        same_patient: float = Field(default=0.1, ge=0)
        """Weight of the second task."""
        head_norm: bool = False
        """A LayerNorm before the bits' linear layer, as in the AST's own classifier."""

    patterns: Float[Tensor, "class bit"]

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("patterns", class_patterns(n_classes), persistent=False)
        self.head_norm = nn.LayerNorm(backbone.n_features) if options.head_norm else nn.Identity()
        self.head = nn.Linear(backbone.n_features, self.patterns.shape[1])
        self.patient_head = nn.Linear(backbone.n_features, 1)
        self.options = options

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "PatientConsistentMultiCycleLearning":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class: the sums of those of its bits."""
        return self._bits(self.backbone(log_mel)) @ self.patterns.T

    def _bits(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch bit"]:
        return self.head(self.head_norm(features))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Binary cross-entropies of the bits, their mean, and of the second task for joined cycles."""
        patients = gather_cycles(codes_of(batch, "patient"))
        drawn = draw_pairs(patients.cpu(), self.options.joined_share, self.options.same_patient_share, generator)
        places = own_places(len(batch.labels))
        partners, joined = drawn.partners[places], drawn.joined[places].to(batch.labels.device)

        features = self.backbone(self._join(batch.log_mel, partners, joined))
        own, other = self.patterns[batch.labels], self.patterns[gather_cycles(batch.labels)[partners]]
        bits = torch.where(joined[:, None], torch.maximum(own, other), own)
        classification = functional.binary_cross_entropy_with_logits(self._bits(features), bits, reduction="none")

        whose, others = patients[places], patients[partners]
        same = functional.binary_cross_entropy_with_logits(
            self.patient_head(features)[:, 0], (whose == others).to(features.dtype), reduction="none"
        )
        counted = joined & (whose >= 0) & (others >= 0)
        return {
            "classification": classification.mean(dim=1),
            "same_patient": self.options.same_patient * same * counted,
        }

    def _join(
        self, log_mel: Float[Tensor, "batch time mel"], partners: Int[Tensor, " batch"], joined: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch time mel"]:
        """The cycles of this process, those that are joined followed by their partner, at the same length."""
        longer = torch.cat([log_mel, gather_cycles(log_mel)[partners]], dim=1)
        return torch.where(joined[:, None, None], shorten(longer, self.options.length), log_mel)


def class_patterns(n_classes: int) -> Float[Tensor, "class bit"]:
    """Which bits each class has: normal, crackle and wheeze for the four classes of cycles, else one bit a class."""
    if n_classes != len(CYCLE_CLASSES):
        return torch.eye(n_classes)
    return torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]])


class Pairs(NamedTuple):
    """Who follows whom in a whole batch."""

    partners: Int[Tensor, " batch"]
    """The cycle that would follow each."""
    joined: Bool[Tensor, " batch"]
    """Whether it does."""


def draw_pairs(
    patients: Int[Tensor, " batch"], joined_share: float, same_patient_share: float, generator: Generator
) -> Pairs:
    """Draw a follower for every cycle of a batch: one of the same patient, if it is to be and there is one, or any.

    No cycle follows itself, so that one alone is followed by none.
    """
    n_cycles = len(patients)
    draws = torch.rand(2, n_cycles, generator=generator)
    others = ~torch.eye(n_cycles, dtype=torch.bool)
    kin = others & (patients[:, None] == patients) & (patients >= 0)
    wanted = (draws[0] < same_patient_share) & kin.any(dim=1)
    chances = torch.where(wanted[:, None], kin, others).float()
    if n_cycles == 1:
        return Pairs(torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.bool))
    partners = torch.multinomial(chances, 1, generator=generator)[:, 0]
    return Pairs(partners, draws[1] < joined_share)


def shorten(joined: Float[Tensor, "batch double mel"], how: Literal["halves", "pooled"]) -> Tensor:
    """Half as many frames: the first half of either part, or the means of every two frames."""
    n_frames = joined.shape[1] // 2
    if how == "pooled":
        return joined.unflatten(1, (n_frames, 2)).mean(dim=2)
    n_first = (n_frames + 1) // 2
    return torch.cat([joined[:, :n_first], joined[:, n_frames : 2 * n_frames - n_first]], dim=1)


@recipes.register("pc_mcl/ast")
def pc_mcl_ast() -> Recipe:
    """Patient-consistent multi-cycle learning on the AST, from METHODS 5.2; the figures are those of BEATs."""
    deviations = (
        "AST in place of BEATs, with which the reported figures were reached",
        "not found, so as in PAFA (METHODS 5.2): 5 s, batches of 32, Adam at 5e-5, no masks; and the 50 epochs of its "
        "script for the AST",
        "not found: half of the cycles are joined, half of these with one of the same patient if the batch has one",
        "frames are joined, not waveforms: the first half of either cycle's",
        "not found: the class is the most probable pattern of bits among the four that a class has",
        "epoch chosen on validation patients, who are kept out of training",
    )
    return patch_mix_recipe(
        "pc_mcl/ast",
        "pc_mcl",
        "ast",
        options={"head_norm": True},
        crop=Crop(duration=5.0, recording_fade=0.0625, repeat_fade=0.0625),
        backbone_options={"n_frames": 498, "position_table": "interpolated"},
        augmentation=SpectrogramAugmentation(),
        batch_size=32,
        paper="pcmcl2026",
        reported=Reported(specificity=0.7904, sensitivity=0.5171, score=0.6537),
        deviations=deviations,
    )


@recipes.register("pc_mcl/mn04-small")
def pc_mcl_mn04_small() -> Recipe:
    """The same losses on EfficientAT's mn04 and 3 s cycles, for a CPU."""
    return mn04_recipe(
        "pc_mcl/mn04-small",
        "pc_mcl",
        paper="pcmcl2026",
        paper_selection=Selection.TEST,
        deviations=("EfficientAT's mn04 on 3 s in place of BEATs, with the recipe of fine_tuning/mn04",),
    )


@recipes.register("pc_mcl/ast-small")
def pc_mcl_ast_small() -> Recipe:
    """The same losses on the small transformer, for a CPU."""
    return ast_recipe(
        "pc_mcl/ast-small",
        "pc_mcl",
        paper="pcmcl2026",
        paper_selection=Selection.TEST,
        deviations=(SMALL_TRANSFORMER,),
    )
