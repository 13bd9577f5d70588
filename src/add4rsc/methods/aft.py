"""Adversarial fine-tuning on real and generated cycles, from whose features the two cannot be told apart."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.distributed
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.augment.spectrogram import SpectrogramAugmentation, augment_spectrogram
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractPreparedMethod, Batch, Losses, TrainingCycles
from add4rsc.methods._contrast import SumOverProcesses, count_processes, gather_cycles
from add4rsc.methods._diffusion import DiffusionTraining, FrameDiffusion, sample_cycles, train_diffusion
from add4rsc.methods._reversal import Strength, reversal_strength, reverse_gradient
from add4rsc.methods._small import AST_SMALL, SMALL_TRANSFORMER, ast_recipe
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import AS_RELEASED, PATCH_MIX, PatchMixQuirks, Recipe, Reported, patch_mix_recipe
from add4rsc.terms import Paper, Settings

N_SEEDS = 2**24
"""Whole numbers up to here survive being averaged in single precision, as the half steps do with all buffers."""


@dataclass(frozen=True)
class Generated:
    """Generated cycles, and among how many real ones."""

    frames: Float[Tensor, "cycle time mel"]
    """On the CPU, in half precision."""
    labels: Int[Tensor, " cycle"]
    n_real: int
    """Training cycles; 0 before they were looked at."""

    def draw(self, n_cycles: int, generator: Generator) -> Int[Tensor, " cycle"]:
        """Which of them join a batch of so many real cycles: each is seen once an epoch, on average."""
        if not self.n_real or not len(self.labels):
            return torch.zeros(0, dtype=torch.long)
        expected = len(self.labels) * n_cycles / self.n_real
        number = int(expected + float(torch.rand((), generator=generator)))
        return torch.randperm(len(self.labels), generator=generator)[:number]


@methods.register("aft")
class AdversarialFineTuning(AbstractPreparedMethod):
    """Cross-entropy of the classes on real and generated cycles, and of real and generated behind a reversed gradient.

    Kim et al. 2023 (arXiv:2311.06480; METHODS A9). Before the first step a diffusion network learns the training
    cycles; it then generates what the rarer classes lack. Which generated cycles join a batch does not depend on the
    number of processes, and each process sees its part of them. Their loss is spread over the batch's real cycles, so
    that the mean over these is the mean over all. The recipe's class weights, which the loop multiplies by, weigh real
    cycles among each other and leave the generated ones at weight 1.

    A class without a single training cycle is not generated, for nothing is known of it.
    """

    paper: ClassVar[Paper] = Paper(
        key="kim2023aft",
        title="Adversarial Fine-tuning using Generated Respiratory Sound to Address Class Imbalance",
        authors="Kim, June-Woo and Yoon, Chihyeon and Toikkanen, Miika and Bae, Sangmin and Jung, Ho-Young",
        venue="NeurIPS Workshop on Deep Generative Models for Health",
        year=2023,
        arxiv="2311.06480",
    )
    missing: Tensor
    """Cycles of every class that are generated."""
    n_real: Tensor
    seed: Tensor
    """Of the generated cycles, which are made anew in a resumed run."""

    class Options(Settings):
        """Settings of adversarial fine-tuning."""

        fill_to: int = Field(default=500, ge=0, le=5000)
        """Classes with fewer training cycles are filled up to this number; 0 for plain fine-tuning."""
        domain: float = Field(default=0.2, ge=0)
        """Weight of the cross-entropy of real and generated."""
        strength: Strength = "schedule"
        """Of the reversal; `full` is the released code's."""
        head_norm: bool = False
        """A LayerNorm before the classes' linear layer, as in the AST's own classifier."""
        augmentation: SpectrogramAugmentation = SpectrogramAugmentation()
        """Of the generated cycles; that of the real ones is the recipe's."""
        generator_width: int = Field(default=256, gt=0)
        """Channels of the diffusion network."""
        generator_layers: int = Field(default=12, gt=0)
        """Residual blocks of the diffusion network."""
        diffusion_steps: int = Field(default=200, gt=0)
        """From a cycle to noise."""
        generator_steps: int = Field(default=20_000, gt=0)
        """Training steps of the diffusion network."""
        generator_batch: int = Field(default=16, gt=0)
        """Cycles in each; every class is drawn as often."""
        generator_learning_rate: float = Field(default=5e-4, gt=0)
        """Of Adam; it falls to 0 along a cosine."""
        sampling_steps: int | None = Field(default=50, gt=0)
        """From noise to a cycle, without further noise (DDIM); None for all diffusion steps, with noise."""

    def __init__(self, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> None:
        super().__init__()
        width = backbone.n_features
        self.options = options
        self.backbone = backbone
        self.head_norm = nn.LayerNorm(width) if options.head_norm else nn.Identity()
        self.head = nn.Linear(width, n_classes)
        self.domain_head = self.diffusion = None
        if options.fill_to:
            self.domain_head = nn.Linear(width, 2)
            sizes = (options.generator_width, options.generator_layers, options.diffusion_steps)
            self.diffusion = FrameDiffusion(n_mels, n_classes, *sizes).requires_grad_(False)
        self.register_buffer("missing", torch.zeros(n_classes, dtype=torch.long))
        self.register_buffer("n_real", torch.zeros((), dtype=torch.long))
        self.register_buffer("seed", torch.zeros((), dtype=torch.long))
        self._generated: Generated | None = None
        self.register_load_state_dict_post_hook(type(self)._forget_generated)

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "AdversarialFineTuning":
        """Build the method around a backbone."""
        return cls(backbone, n_mels, n_classes, options)

    def prepare(self, training: TrainingCycles, generator: Generator) -> None:
        """Count what is missing and, if anything is, train the diffusion network."""
        counts = torch.bincount(training.labels.cpu(), minlength=len(self.missing))
        lacking = torch.where(counts > 0, (self.options.fill_to - counts).clamp_min(0), 0)
        self.missing.copy_(lacking)
        self.n_real.fill_(len(training.labels))
        self.seed.fill_(int(torch.randint(N_SEEDS, (), generator=generator)))
        self._generated = None
        if self.diffusion is None or not lacking.any():
            return
        options = self.options
        how = DiffusionTraining(options.generator_steps, options.generator_batch, options.generator_learning_rate)
        train_diffusion(self.diffusion, training, how, generator)
        if count_processes() > 1:  # so that none goes by its own rounding errors
            for value in self.diffusion.state_dict().values():
                torch.distributed.broadcast(value, 0)

    def generated(self, n_frames: int) -> Generated:
        """The generated cycles, which are made when they are first asked for."""
        if self._generated is None or self._generated.frames.shape[1] != n_frames:
            labels = torch.repeat_interleave(self.missing)
            frames = torch.zeros(0, n_frames, 0, dtype=torch.half)
            if self.diffusion is not None and len(labels):
                generator = Generator().manual_seed(int(self.seed))
                frames = sample_cycles(self.diffusion, labels, n_frames, self.options.sampling_steps, generator)
            self._generated = Generated(frames, labels.cpu(), int(self.n_real))
        return self._generated

    def _forget_generated(self, _keys: object) -> None:
        """They are those of another state."""
        self._generated = None

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.head_norm(self.backbone(log_mel)))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of the classes and, reversed for the backbone, of real and generated."""
        if self.domain_head is None:
            entropy = functional.cross_entropy(self(batch.log_mel), batch.labels, reduction="none")
            return {"classification": entropy}
        n_own, n_all = len(batch.labels), len(gather_cycles(batch.labels))
        generated = self.generated(batch.log_mel.shape[1])
        chosen = generated.draw(n_all, generator)
        joining, labels = self._joining(generated, chosen, batch, generator)
        features = self.backbone(torch.cat([batch.log_mel, joining]))
        logits = self.head(self.head_norm(features))
        classification = functional.cross_entropy(logits, torch.cat([batch.labels, labels]), reduction="none")
        domain = self._domain(self.domain_head, features, n_own, batch.progress)
        # all cycles are real where no class is short: there is nothing to tell, but the head must not go unused
        weight = 0.0 if generated.n_real and not len(generated.labels) else self.options.domain
        terms = torch.stack([classification, weight * domain])
        united = _unite(terms, n_own, n_all, len(chosen))
        return {"classification": united[0], "domain": united[1]}

    def _joining(
        self, generated: Generated, chosen: Int[Tensor, " cycle"], batch: Batch, generator: Generator
    ) -> tuple[Float[Tensor, "own time mel"], Int[Tensor, " own"]]:
        """This process' part of the generated cycles that were chosen, with masks, and their classes."""
        seeds = torch.randint(2**62, (len(chosen),), generator=generator)
        first = torch.distributed.get_rank() if count_processes() > 1 else 0
        own, seeds = chosen[first :: count_processes()], seeds[first :: count_processes()].tolist()
        if not len(own):
            return batch.log_mel[:0], batch.labels[:0]
        frames = generated.frames[own].float()
        settings = self.options.augmentation
        masked = [
            augment_spectrogram(each, settings, Generator().manual_seed(seed))
            for each, seed in zip(frames, seeds, strict=True)
        ]
        return torch.stack(masked).to(batch.log_mel), generated.labels[own].to(batch.labels.device)

    def _domain(
        self, head: nn.Linear, features: Float[Tensor, "cycle feature"], n_real: int, progress: float
    ) -> Float[Tensor, " cycle"]:
        """Cross-entropy of real (the first ones) and generated."""
        is_generated = (torch.arange(len(features), device=features.device) >= n_real).long()
        logits = head(reverse_gradient(features, reversal_strength(self.options.strength, progress)))
        return functional.cross_entropy(logits, is_generated, reduction="none")


def _unite(terms: Float[Tensor, "term cycle"], n_own: int, n_all: int, n_generated: int) -> Float[Tensor, "term own"]:
    """One value a real cycle, whose mean over the whole batch is the mean over real and generated cycles.

    Args:
        terms: of this process' real cycles, then of its generated ones.
        n_own: real cycles of this process.
        n_all: real cycles of all processes.
        n_generated: generated cycles of all processes.
    """
    real = terms[:, :n_own] * n_all / (n_all + n_generated)
    if not n_generated:
        return real
    total = terms[:, n_own:].sum(dim=1)
    if count_processes() > 1:  # the same value for every cycle of every process: then class weights do not matter
        total = SumOverProcesses.apply(total)
    return real + total[:, None] / (n_all + n_generated)


REPORTED = Reported(specificity=0.8072, sensitivity=0.4286, score=0.6179)
"""Mean of five seeds, epochs chosen on the test set (METHODS A9)."""

GENERATOR = (
    "a generator of log-mel frames on the condition of the class, not of waveforms on that of mel bands; its network "
    "corrects a linear estimate of the frames"
)


def _published(name: str, quirks: PatchMixQuirks, **changes: Any) -> Recipe:
    """Mixed-500, row A9 of METHODS, with or without what its code does otherwise than it says."""
    masks: SpectrogramAugmentation = quirks.changes().get("augmentation", PATCH_MIX["augmentation"])
    strength: Strength = "full" if quirks == AS_RELEASED else "schedule"
    recipe = patch_mix_recipe(
        name,
        "aft",
        "ast",
        quirks,
        crop=PATCH_MIX["crop"].model_copy(update={"duration": 5.0}),
        batch_size=32,
        options={"head_norm": True, "strength": strength, "augmentation": masks.model_dump(mode="json")},
        paper=AdversarialFineTuning.paper.key,
        reported=REPORTED,
        **changes,
    )
    return recipe.model_copy(update={"backbone_options": {**recipe.backbone_options, "n_frames": 498}})


@recipes.register("aft/ast")
def aft_ast() -> Recipe:
    """Adversarial fine-tuning on Mixed-500, row A9 of METHODS, mended."""
    deviations = (
        GENERATOR,
        "20,000 steps of the generator, not 1,000,000; every class drawn as often",
        "generated cycles of 5 s, not of 4 s repeated",
        "the strength of the reversal follows training, where the released schedule is 1 from the first step",
        "positions of the patches in AudioSet's order, not exchanged",
        "no halving of every step",
        "SpecAugment on every cycle, not on 84 % of them",
        "epoch chosen on validation patients, who are kept out of training",
    )
    return _published("aft/ast", PatchMixQuirks(), deviations=deviations)


@recipes.register("aft/ast-as-released")
def aft_ast_as_released() -> Recipe:
    """Adversarial fine-tuning with the quirks of its code base; its epoch is chosen on the test set."""
    deviations = (
        GENERATOR,
        "20,000 steps of the generator, not 1,000,000; every class drawn as often",
        "generated cycles of 5 s, not of 4 s repeated",
    )
    return _published("aft/ast-as-released", AS_RELEASED, split="icbhi2017/official", deviations=deviations)


@recipes.register("aft/ast-small")
def aft_ast_small() -> Recipe:
    """The same on the small transformer, for a CPU."""
    return ast_recipe(
        "aft/ast-small",
        "aft",
        options={
            "fill_to": 300,
            "augmentation": AST_SMALL["augmentation"].model_dump(mode="json"),
            "generator_width": 96,
            "generator_layers": 6,
            "generator_steps": 1000,
            "generator_batch": 8,
            "generator_learning_rate": 1e-3,
            "sampling_steps": 20,
        },
        paper=AdversarialFineTuning.paper.key,
        paper_selection=Selection.TEST,
        deviations=(
            SMALL_TRANSFORMER,
            GENERATOR,
            "a generator that is trained for a minute, and classes filled to 300 cycles",
        ),
    )
