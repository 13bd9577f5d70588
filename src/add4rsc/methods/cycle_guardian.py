"""CycleGuardian: groups of frames, clustered as they are learnt, and a contrast of mixed groups."""

from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment._draws import uniform
from add4rsc.augment.spectrogram import SpectrogramAugmentation, augment_spectrogram
from add4rsc.augment.waveform import WaveformAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.methods._clustering import ClusterFusion, DeepClustering, SoftCosine, divergence, target_distribution
from add4rsc.methods._contrast import build_projector, gather_cycles, own_places
from add4rsc.methods._mixture import Mixture, draw_mixture, mixture_contrast
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Averaging, Optimiser, Recipe, Reported, Schedule
from add4rsc.terms import Paper, Settings


class Summary(NamedTuple):
    """What one pass makes of the groups of cycles."""

    vector: Float[Tensor, "batch fused"]
    shares: Float[Tensor, "batch group cluster"]
    likeness: Float[Tensor, " batch"]
    rebuilding_error: Float[Tensor, " batch"]


@methods.register("cycle_guardian")
class CycleGuardian(AbstractMethod):
    """Cross-entropy on vectors of clusters of groups of frames; clustering, unlike clusters and a group-mix contrast.

    Chu et al. 2025 (arXiv:2502.00734; METHODS A19). The backbone sees one group of 20 frames at a time; `group_cnn` is
    the one that was published.
    """

    paper: ClassVar[Paper] = Paper(
        key="chu2025cycleguardian",
        title="CycleGuardian: A Framework for Automatic Respiratory Sound Classification Based on Improved Deep "
        "Clustering and Contrastive Learning",
        authors="Chu, Y. and Wang, Q. and Zhou, E. and Fu, L. and Liu, Q. and Zheng, G.",
        venue="Complex and Intelligent Systems",
        year=2025,
        arxiv="2502.00734",
    )

    class Options(Settings):
        """Settings of CycleGuardian; the defaults mend what the released code does otherwise than it means."""

        group_frames: int = Field(default=20, gt=0)
        group_shift: int = Field(default=15, gt=0)
        n_groups: int = Field(default=45, gt=0)
        """Groups of a cycle: each place among them has a weight of its own."""
        group_dim: int = Field(default=128, gt=0)
        cluster_dim: int = Field(default=64, gt=0)
        """Published are 768 and 128."""
        n_clusters: int = Field(default=4, gt=1)
        clustering: float = Field(default=1.0, gt=0)
        """Weight of the divergence between assignments and their target, of the clean and of the mixed pass."""
        clustering_sum: bool = False
        """Sum the divergence over groups and the whole batch, as the released code; off, it is a mean."""
        target_learns: bool = False
        """Let the target follow the gradient, as the released code; off, only the assignments do."""
        reconstruction: float = Field(default=1.0, ge=0)
        """Weight of the autoencoder's error; 0 in the released code, which computes it for nothing."""
        similarity: float = Field(default=0.2, gt=0)
        """Weight of the clusters' soft cosines, of the clean and of the mixed pass."""
        soft_cosine: Literal["cosine", "mixed"] = "cosine"
        """`mixed` is the released code's, whose numerator and denominator belong to different similarities."""
        contrast: float = Field(default=0.5, gt=0)
        temperature: float = Field(default=0.06, gt=0)
        mix_alpha: float = Field(default=1.0, gt=0)
        """The share of own groups is drawn from Beta(alpha, alpha)."""
        projector_learns: bool = True
        """The released code leaves the projector out of the optimiser, so that it stays random."""
        n_channels: int = Field(default=3, gt=0)
        """Kinds of bands, which are masked each by themselves."""
        masks: SpectrogramAugmentation = SpectrogramAugmentation()
        """Masks over standardised bands, which is why they are the method's own."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        width, dim = options.cluster_dim, options.group_dim
        self.backbone = backbone
        self.embed = nn.Sequential(nn.Linear(backbone.n_features, dim), nn.Softplus())
        self.clustering = DeepClustering(dim, width, options.n_clusters, rebuilds=options.reconstruction > 0)
        self.fusion = ClusterFusion(options.n_groups, options.n_clusters, dim, width)
        self.soft_cosine = SoftCosine(width, is_mixed=options.soft_cosine == "mixed")
        self.head = nn.Linear(width, n_classes)
        self.projector = build_projector(width).requires_grad_(options.projector_learns)
        self.options = options

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "CycleGuardian":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self._summarise(self._groups(standardise_bands(log_mel))).vector)

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of the clean pass; clustering, likeness and rebuilding of both; the contrast between them."""
        options = self.options
        n_cycles = len(gather_cycles(batch.labels))
        frames = self._mask(standardise_bands(batch.log_mel), n_cycles, generator)
        groups = self._groups(frames)
        clean = self._summarise(groups)
        mixture = draw_mixture(n_cycles, groups.shape[1], options.mix_alpha, generator)
        mixed = self._summarise(mix_groups(groups, mixture))
        scale = n_cycles * groups.shape[1] if options.clustering_sum else 1
        spread = scale * (self._spread(clean.shares) + self._spread(mixed.shares))
        losses = {
            "classification": functional.cross_entropy(self.head(clean.vector), batch.labels, reduction="none"),
            "clustering": options.clustering * spread,
            "similarity": options.similarity * (clean.likeness + mixed.likeness),
            "contrast": options.contrast * self._contrast(clean.vector, mixed.vector, mixture),
        }
        if options.reconstruction:
            losses["reconstruction"] = options.reconstruction * (clean.rebuilding_error + mixed.rebuilding_error)
        return losses

    def _mask(
        self, frames: Float[Tensor, "batch time mel"], n_cycles: int, generator: Generator
    ) -> Float[Tensor, "batch time mel"]:
        """Mask each kind of bands by itself, in a share of the cycles; whichever process has a cycle draws the same."""
        if self.options.masks.is_off:
            return frames
        seeds = torch.randint(2**62, (n_cycles,), generator=generator)[own_places(len(frames))].tolist()
        return torch.stack(
            [self._mask_cycle(cycle, Generator().manual_seed(seed)) for cycle, seed in zip(frames, seeds, strict=True)]
        )

    def _mask_cycle(self, cycle: Float[Tensor, "time mel"], generator: Generator) -> Float[Tensor, "time mel"]:
        if uniform(generator) >= self.options.masks.probability:
            return cycle
        always = self.options.masks.model_copy(update={"probability": 1.0})
        parts = cycle.chunk(self.options.n_channels, dim=-1)
        return torch.cat([augment_spectrogram(part, always, generator) for part in parts], dim=-1)

    def _groups(self, frames: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch group dim"]:
        """Features of the groups of frames, which overlap."""
        cut = frames.mT.unfold(-1, self.options.group_frames, self.options.group_shift).permute(0, 2, 3, 1)
        return self.embed(self.backbone(cut.flatten(0, 1))).unflatten(0, cut.shape[:2])

    def _summarise(self, groups: Float[Tensor, "batch group dim"]) -> Summary:
        """Cluster the groups of each cycle, and fuse them."""
        codes = self.clustering.encode(groups)
        shares = self.clustering.assign(codes)
        vectors = self.fusion.fuse_groups(groups, shares)
        error = self.clustering.rebuilding_error(groups)
        return Summary(self.fusion.fuse_clusters(vectors), shares, self.soft_cosine(vectors), error)

    def _spread(self, shares: Float[Tensor, "batch group cluster"]) -> Float[Tensor, " batch"]:
        """How far the assignments are from their target; the mean over a cycle's groups."""
        target = target_distribution(shares)
        return divergence(target if self.options.target_learns else target.detach(), shares).mean(dim=1)

    def _contrast(
        self, clean: Float[Tensor, "own fused"], mixed: Float[Tensor, "own fused"], mixture: Mixture
    ) -> Float[Tensor, " own"]:
        """Find both cycles in a mixture of their groups, as Patch-Mix does (Bae et al. 2023); keys learn here too."""
        # one cycle alone has no statistics
        keys, queries = (self.projector(each) if len(each) > 1 else each * 0 for each in (clean, mixed))
        return mixture_contrast(queries, gather_cycles(keys), mixture, self.options.temperature)


def standardise_bands(log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch time mel"]:
    """Each band of each cycle with mean 0 and standard deviation 1 over time; a band that is silent throughout is 0."""
    centred = log_mel - log_mel.mean(dim=1, keepdim=True)
    return centred / centred.std(dim=1, keepdim=True).clamp_min(1e-4)


def mix_groups(groups: Float[Tensor, "batch group dim"], mixture: Mixture) -> Float[Tensor, "batch group dim"]:
    """Every cycle of this process with some groups of its partner's."""
    donors = gather_cycles(groups[:, mixture.replaced])[mixture.partners[own_places(len(groups))]]
    return groups.index_copy(1, mixture.replaced.to(groups.device), donors)


MASKS = {"n_time_masks": 10, "max_time_mask": 5, "n_mel_masks": 2, "max_mel_mask": 10} | {
    "mask_rule": "patch-mix",
    "probability": 0.5,
}

PUBLISHED: dict[str, Any] = {
    "method": "cycle_guardian",
    "backbone": "group_cnn",
    "options": {"group_dim": 768, "cluster_dim": 128, "masks": MASKS},
    "crop": Crop(duration=8.0, kept="end"),
    "augmentation": SpectrogramAugmentation(time_shift=1.0, probability=0.5),
    "waveform": WaveformAugmentation(copies=1, one_of=("noise", "speed", "loudness", "vocal-tract", "pitch")),
    "optimiser": Optimiser(name="adam", learning_rate=1e-3),
    "schedule": Schedule(shape="step", decay_epochs=(200, 350, 450, 550), decay_factor=0.33),
    "averaging": Averaging(kind="ema", decay=0.1),
    "epochs": 600,
    "batch_size": 128,
    "paper": "chu2025cycleguardian",
    "paper_selection": Selection.TEST,
    "reported": Reported(specificity=0.8206, sensitivity=0.4447, score=0.6326),
}
"""As the script of the repository trains (METHODS A19), whose README shows 88.92 / 33.33 / 61.12."""

OURS = (
    "mel triangles are linear in mel, constant-Q windows are exact at every octave, gammatone bands the textbook's",
    "one changed copy of each waveform instead of another one each time; it is rolled after its features are made",
    "the identity by wavelets and back, which changes nothing, is left out",
    "batch normalisation takes its statistics over all groups at once, not place by place",
    "features of groups are computed once for the clean and the mixed pass",
    "weights start as torch's do, not at 0.01 times a normal draw; those of the groups' places at 1, not of both signs",
)
"""Where every recipe departs from the released code."""

MENDED = (
    "official split: the code's own, by patient, has two whole patients on both sides",
    "epoch chosen on validation patients, who are kept out of training; the code's is the best on the test set",
    "clustering is a mean over groups with a fixed target, not a sum over the batch with one that learns",
    "the autoencoder's error counts; the code computes it for nothing",
    "soft cosine with one similarity, which is positive semidefinite",
    "the projector learns; the code leaves it out of the optimiser",
)


@recipes.register("cycle_guardian/group_cnn")
def cycle_guardian_group_cnn() -> Recipe:
    """CycleGuardian, row A19 of METHODS, mended."""
    return Recipe(name="cycle_guardian/group_cnn", deviations=(*MENDED, *OURS), **PUBLISHED)


@recipes.register("cycle_guardian/group_cnn-as-released")
def cycle_guardian_group_cnn_as_released() -> Recipe:
    """CycleGuardian with what its released code does otherwise than it means; its epoch is chosen on the test set."""
    slips = {"clustering_sum": True, "target_learns": True, "reconstruction": 0.0}
    options = PUBLISHED["options"] | slips | {"soft_cosine": "mixed", "projector_learns": False}
    changes = {"options": options, "split": "icbhi2017/official", "selection": Selection.TEST, "validation_share": 0.0}
    deviations = ("official split, not the code's own", "best score on the test set, not best accuracy", *OURS)
    return Recipe(name="cycle_guardian/group_cnn-as-released", deviations=deviations, **PUBLISHED | changes)


SMALL_FRONT_END = FrontEnd(
    sample_rate=8_000,
    n_mels=68,
    frame_length_ms=45.0,
    frame_shift_ms=16.0,
    n_fft=512,
    f_min=65.4,
    f_max=3_000.0,
    pre_emphasis=0.0,
    framing="centred",
    log_offset=1e-10,
    channels=("constant-q", "gammatone", "mel"),
    mean=-6.0,
    scale=6.0,
)


@recipes.register("cycle_guardian/group_cnn-small")
def cycle_guardian_group_cnn_small() -> Recipe:
    """The same losses on a narrow network, 2 s and 8 kHz, for a CPU."""
    small = {"width": 8, "n_features": 192, "n_mels": SMALL_FRONT_END.n_mels}
    changes: dict[str, Any] = {
        "backbone_options": small,
        "front_end": SMALL_FRONT_END,
        "options": {"n_groups": 8, "masks": MASKS | {"n_time_masks": 2}},
        "crop": Crop(duration=2.0, kept="end"),
        "waveform": WaveformAugmentation(),
        "optimiser": Optimiser(name="adamw", learning_rate=3e-3, weight_decay=1e-3),
        "schedule": Schedule(warmup_epochs=0.5),
        "averaging": Averaging(kind="ema", decay=0.99),
        "class_weights": "square-root",
        "epochs": 6,
        "batch_size": 32,
    }
    deviations = ("6 epochs of a narrow network on 2 s, 68 bands from 65 Hz; no changed waveforms; weighted classes",)
    return Recipe(
        name="cycle_guardian/group_cnn-small", deviations=deviations + MENDED[1:] + OURS, **PUBLISHED | changes
    )
