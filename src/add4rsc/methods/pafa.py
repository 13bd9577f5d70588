"""Patient-aware feature alignment: a patient's cycles lie together, and no patient lies far out."""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses, codes_of
from add4rsc.methods._contrast import gather_cycles
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe, mn04_recipe
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Recipe, Reported, patch_mix_recipe
from add4rsc.terms import Paper, Settings


@methods.register("pafa")
class PatientAwareFeatureAlignment(AbstractMethod):
    """Cross-entropy on the features, and two losses on where their projections lie, patient by patient.

    Published with BEATs at Interspeech 2025 (arXiv:2505.23834, METHODS 5.2). The patients of the whole batch are
    compared, however many processes share it; cycles of unknown patients are left out, and a batch of one patient has
    nothing to compare.

    Differs: the projection's last layer has no bias, which neither loss would see. Frames are not pooled by a learnt
    attention: our backbones give one vector a cycle.
    """

    paper: ClassVar[Paper] = Paper(
        key="jeong2025pafa",
        title="Patient-Aware Feature Alignment for Robust Lung Sound Classification: Cohesion-Separation and Global "
        "Alignment Losses",
        authors="Jeong, Seung Gyu and Kim, Seong-Eun",
        venue="Interspeech",
        year=2025,
        arxiv="2505.23834",
    )

    class Options(Settings):
        """Settings of patient-aware feature alignment."""

        cohesion: float = Field(default=50.0, ge=0)
        """Weight of the ratio of scatter within patients to scatter between them (PCSL)."""
        alignment: float = Field(default=5e-4, ge=0)
        """Weight of the patients' distance from their common centre (GPAL)."""
        head_norm: bool = False
        """A LayerNorm before the classes' linear layer, as in the AST's own classifier."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        width = backbone.n_features
        self.backbone = backbone
        self.head_norm = nn.LayerNorm(width) if options.head_norm else nn.Identity()
        self.head = nn.Linear(width, n_classes)
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width, bias=False)
        )
        self.options = options

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "PatientAwareFeatureAlignment":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.head_norm(self.backbone(log_mel)))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy, and the two losses of the whole batch, which are the same for each of its cycles."""
        features = self.backbone(batch.log_mel)
        logits = self.head(self.head_norm(features))
        patients = gather_cycles(codes_of(batch, "patient"))
        found = align_patients(gather_cycles(self.projector(features)), patients)
        return {
            "classification": functional.cross_entropy(logits, batch.labels, reduction="none"),
            "cohesion": self.options.cohesion * found.cohesion.expand(len(features)),
            "alignment": self.options.alignment * found.alignment.expand(len(features)),
        }


class Alignment(NamedTuple):
    """How the patients of a batch lie."""

    cohesion: Float[Tensor, ""]
    """Scatter within patients by scatter between them."""
    alignment: Float[Tensor, ""]
    """Mean squared distance of a patient's centre from that of all patients' centres."""


def align_patients(features: Float[Tensor, "cycle dim"], patients: Int[Tensor, " cycle"]) -> Alignment:
    """Both losses of a batch; 0 where fewer than two patients are known.

    With c_p the mean feature of patient p and c that of all c_p: sum_p sum_i |f_i - c_p|^2 / (sum_(p<q) |c_p - c_q|^2 +
    10^-6), and mean_p |c_p - c|^2.
    """
    known = patients >= 0
    own, place = features.float()[known], patients[known]
    names, place = torch.unique(place, return_inverse=True)
    if len(names) < 2:
        nothing = (features * 0).sum()
        return Alignment(nothing, nothing)
    sums = torch.zeros(len(names), own.shape[1], device=own.device).index_add(0, place, own)
    centres = sums / torch.bincount(place)[:, None]
    within = (own - centres[place]).square().sum()
    apart = (centres - centres.mean(dim=0)).square().sum()
    # the squared distances of all pairs add up to their number of ends times the scatter around the mean
    return Alignment(within / (len(names) * apart + 1e-6), apart / len(names))


@recipes.register("pafa/ast")
def pafa_ast() -> Recipe:
    """Patient-aware feature alignment on the AST, from METHODS 5.2; the figures are those of BEATs."""
    deviations = (
        "AST in place of BEATs (iter3+), with which the reported figures were reached",
        "weights 50 and 0.0005 as for BEATs; the authors' script for the AST has 5 and 0.005",
        "50 epochs as in that script, where the one for BEATs has 100",
        "no halving of every step",
        "positions of the patches in AudioSet's order, not exchanged",
        "LayerNorm before the classes' linear layer, as in the other recipes for the AST",
        "the projection's last layer has no bias",
        "epoch chosen on validation patients, who are kept out of training",
    )
    return patch_mix_recipe(
        "pafa/ast",
        "pafa",
        "ast",
        options={"head_norm": True},
        crop=Crop(duration=5.0, recording_fade=0.0625, repeat_fade=0.0625),
        backbone_options={"n_frames": 498, "position_table": "interpolated"},
        augmentation=SpectrogramAugmentation(),
        batch_size=32,
        paper="jeong2025pafa",
        reported=Reported(specificity=0.8205, sensitivity=0.4763, score=0.6484),
        deviations=deviations,
    )


@recipes.register("pafa/mn04-small")
def pafa_mn04_small() -> Recipe:
    """The same losses on EfficientAT's mn04 and 3 s cycles, for a CPU."""
    return mn04_recipe(
        "pafa/mn04-small",
        "pafa",
        options={"cohesion": 1.0},
        paper="jeong2025pafa",
        paper_selection=Selection.TEST,
        deviations=(
            "EfficientAT's mn04 on 3 s in place of BEATs on 5 s, with the recipe of fine_tuning/mn04",
            "weight of the cohesion 1, not 50",
        ),
    )


@recipes.register("pafa/ast-small")
def pafa_ast_small() -> Recipe:
    """The same losses on the small transformer, for a CPU."""
    return ast_recipe(
        "pafa/ast-small",
        "pafa",
        options={"cohesion": 1.0},
        paper="jeong2025pafa",
        paper_selection=Selection.TEST,
        deviations=(SMALL_TRANSFORMER, "weight of the cohesion 1, not 50"),
    )
