"""RepAugment: augmentation of the feature vector, so that the backbone may hear whatever it likes."""

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractMethod, Batch, Losses
from add4rsc.methods._contrast import gather_cycles, own_places
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe
from add4rsc.recipe import Optimiser, Recipe, Reported, Schedule, patch_mix_recipe
from add4rsc.terms import Paper, Settings


class Generation(NamedTuple):
    """Of which cycles of the batch new features are made: share * first + (1 - share) * second, one entry each."""

    firsts: Int[Tensor, " generated"]
    seconds: Int[Tensor, " generated"]
    shares: Float[Tensor, " generated"]


def draw_mask(n_cycles: int, n_features: int, ratio: float, generator: Generator) -> Float[Tensor, "batch feature"]:
    """Rep-Mask: 0 for round(ratio * n_features) features of every cycle, drawn for each of them, and 1 for the rest."""
    order = torch.rand(n_cycles, n_features, generator=generator).argsort(dim=1)
    return torch.ones(n_cycles, n_features).scatter(1, order[:, : round(ratio * n_features)], 0.0)


def draw_generation(labels: Int[Tensor, " batch"], balance: float, alpha: float, generator: Generator) -> Generation:
    """Rep-Gen: pairs of cycles of one class, so many that every class of the batch becomes as frequent as its largest.

    Args:
        labels: of the batch, in memory.
        balance: share of what is missing that is made.
        alpha: shares are drawn from Beta(alpha, alpha).
        generator: the source of all draws.
    """
    counts = torch.bincount(labels)
    firsts, seconds = [labels[:0]], [labels[:0]]
    for label in counts.nonzero().flatten():
        members = (labels == label).nonzero().flatten()
        n_new = round(balance * int(counts.max() - counts[label]))
        turns = members[torch.randperm(len(members), generator=generator)]
        firsts.append(turns[torch.arange(n_new) % len(turns)])
        seconds.append(members[torch.randint(len(members), (n_new,), generator=generator)])
    draws = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    first, second = torch.cat(firsts), torch.cat(seconds)
    return Generation(first, second, torch.from_numpy(draws.beta(alpha, alpha, len(first))).float())


def to_sources(values: Float[Tensor, " generated"], generation: Generation, n_cycles: int) -> Float[Tensor, " batch"]:
    """Hand the loss of what was generated back to the cycles that it came from, in their shares."""
    shares = generation.shares.to(values.device)
    back = values.new_zeros(n_cycles).index_add(0, generation.firsts.to(values.device), shares * values)
    return back.index_add(0, generation.seconds.to(values.device), (1 - shares) * values)


@methods.register("rep_augment")
class RepAugment(AbstractMethod):
    """Cross-entropy on masked features (Rep-Mask) and on features generated for smaller classes (Rep-Gen).

    Both see nothing but the backbone's feature vector and the labels. The batch is that of all processes together, so
    that they are the same on one device or on many. What counts is the mean over real and generated features.
    """

    paper: ClassVar[Paper] = Paper(
        key="kim2024repaugment",
        title="RepAugment: Input-Agnostic Representation-Level Augmentation for Respiratory Sound Classification",
        authors="Kim, June-Woo and Toikkanen, Miika and Bae, Sangmin and Kim, Minseok and Jung, Ho-Young",
        venue="EMBC",
        year=2024,
        arxiv="2405.02996",
    )

    class Options(Settings):
        """Settings of RepAugment, all of them guesses: METHODS A15 found none."""

        mask_ratio: float = Field(default=0.1, ge=0, lt=1)
        """Share of a cycle's features that are set to 0; a later code base of the authors masks 10 %."""
        balance: float = Field(default=1.0, ge=0, le=1)
        """Share of the features that a class lacks to be as frequent as the largest that are made; 0 makes none."""
        mix_alpha: float = Field(default=1.0, gt=0)
        """Two features of a class are mixed with shares from Beta(alpha, alpha)."""
        noise: float = Field(default=0.1, ge=0)
        """Standard deviation of what is added to generated features, as a share of that of the feature in the batch."""
        head_norm: bool = False
        """A LayerNorm before the linear layer, as in the AST's own classifier."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        width = backbone.n_features
        self.backbone = backbone
        self.head = nn.Sequential(
            nn.LayerNorm(width) if options.head_norm else nn.Identity(), nn.Linear(width, n_classes)
        )
        self.options = options

    @classmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options) -> "RepAugment":
        """Build the method around a backbone."""
        return cls(backbone, n_classes, options)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(self.backbone(log_mel))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy of masked features, and of generated ones, handed back to the cycles that they came from."""
        own = self.backbone(batch.log_mel)
        places = own_places(len(own)).to(own.device)
        features, labels = gather_cycles(own), gather_cycles(batch.labels)
        n_cycles, options = len(features), self.options
        mask = draw_mask(n_cycles, own.shape[1], options.mask_ratio, generator).to(own.device)
        generation = draw_generation(labels.cpu(), options.balance, options.mix_alpha, generator)
        logits = self.head(own * mask[places])
        classification = functional.cross_entropy(logits, batch.labels, reduction="none")
        made = self.head(generate(features, generation, options.noise, generator))
        entropy = functional.cross_entropy(made, labels[generation.firsts.to(own.device)], reduction="none")
        share = n_cycles / (n_cycles + len(made))
        return {
            "classification": share * classification,
            "generated": share * to_sources(entropy, generation, n_cycles)[places],
        }


def generate(
    features: Float[Tensor, "batch feature"], generation: Generation, noise: float, generator: Generator
) -> Float[Tensor, "generated feature"]:
    """Mix the features of pairs, and perturb them."""
    firsts, seconds, shares = (each.to(features.device) for each in generation)
    mixed = features[seconds].lerp(features[firsts], shares[:, None].to(features.dtype))
    draws = torch.randn(mixed.shape, generator=generator).to(mixed)
    return mixed + noise * features.detach().std(dim=0, correction=0) * draws


GUESSES = (
    "share of the masked features not found: 10 %",
    "rule and amount of the generation not found: two features of a class are mixed, with noise of a tenth of the "
    "batch's standard deviation, until all classes of the batch are as frequent",
    "class weights not found: none, since generation balances the batch",
)


@recipes.register("rep_augment/ast")
def rep_augment_ast() -> Recipe:
    """RepAugment on the AST, row A15 of METHODS, under Patch-Mix's recipe without its SpecAugment."""
    return patch_mix_recipe(
        "rep_augment/ast",
        "rep_augment",
        "ast",
        options={"head_norm": True},
        augmentation=SpectrogramAugmentation(),
        paper="kim2024repaugment",
        reported=Reported(specificity=0.8247, sensitivity=0.4055, score=0.6151),
        deviations=(
            *GUESSES,
            "no SpecAugment, which RepAugment is compared with; whether the two were joined was not found",
            "positions of the patches in AudioSet's order, not exchanged",
            "no halving of every step",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("rep_augment/mn04-small")
def rep_augment_mn04_small() -> Recipe:
    """The same on mn04 from AudioSet weights, with cycles of 2 s: about two minutes on one core."""
    return Recipe(
        name="rep_augment/mn04-small",
        method="rep_augment",
        backbone="mn04",
        weights="mn04/audioset",
        crop=Crop(duration=2.0),
        augmentation=SpectrogramAugmentation(time_shift=0.5, level_shift=0.2),
        optimiser=Optimiser(name="adamw", learning_rate=6e-4, weight_decay=1e-3),
        schedule=Schedule(warmup_epochs=0.5),
        epochs=4,
        batch_size=32,
        paper="kim2024repaugment",
        deviations=(
            *GUESSES,
            "backbone mn04 in place of the AST, cycles of 2 s, 4 epochs, other optimiser settings",
            "cycles are shifted in time and in level, which the paper does not mention",
            "epoch chosen on validation patients, who are kept out of training",
        ),
    )


@recipes.register("rep_augment/ast-small")
def rep_augment_ast_small() -> Recipe:
    """The same on the small transformer, for a CPU."""
    return ast_recipe(
        "rep_augment/ast-small",
        "rep_augment",
        class_weights="none",
        paper="kim2024repaugment",
        deviations=(*GUESSES, f"{SMALL_TRANSFORMER}, which generation replaces here"),
    )
