"""BTS: what is known of the recording, in a sentence beside the sound."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.backbones.clap import AbstractTextBackbone, TextTower
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import AbstractInformedMethod, AbstractPreparedMethod, Batch, Losses, TrainingCycles
from add4rsc.methods._contrast import gather_cycles, own_places
from add4rsc.methods._metadata_text import (
    FIELDS,
    NOTHING_KNOWN,
    MetadataField,
    published_tokens,
    sentence_numbers,
    vocabulary,
    word_tokens,
)
from add4rsc.methods._small import SMALL_TRANSFORMER, ast_recipe
from add4rsc.protocol.groups import UNKNOWN
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Recipe, Reported, patch_mix_recipe
from add4rsc.terms import Paper, Settings

N_PUBLISHED_TOKENS = 48
"""Room for a sentence in tokens of RoBERTa, which are shorter than words."""

SMALL_TEXT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "projection_dim": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
"""The text tower beside a backbone that brings none; it knows the words of our sentences alone."""


@methods.register("bts")
class BridgingTextAndSound(AbstractInformedMethod, AbstractPreparedMethod):
    """One linear layer on the features of the sound and of a sentence on its recording; all weights learn.

    Kim et al., Interspeech 2024 (arXiv:2406.06786; METHODS A16). The sentence names age group, sex, place and
    stethoscope where they are known; where nothing is, it is the same for all. Tokens of all sentences stay with the
    network, so that its use takes no tokenizer. A backbone without a text tower gets a small one from random weights.
    """

    paper: ClassVar[Paper] = Paper(
        key="kim2024bts",
        title="BTS: Bridging Text and Sound Modalities for Metadata-Aided Respiratory Sound Classification",
        authors="Kim, June-Woo and Toikkanen, Miika and Choi, Yera and Moon, Seoung-Eun and Jung, Ho-Young",
        venue="Interspeech",
        year=2024,
        arxiv="2406.06786",
    )
    tokens: Tensor
    """Of every sentence, at its number."""

    class Options(Settings):
        """Settings of BTS."""

        fields: tuple[MetadataField, ...] = FIELDS
        """What the sentence may name."""
        drop_fields: float = Field(default=0.0, ge=0, le=1)
        """Probability with which a training cycle's sentence leaves a field out, each by itself, so that the network
        learns to do without."""
        tokenizer: str | None = None
        """Folder of the tokenizer that the text tower was pretrained with, or its name in the folder of pretrained
        weights; None numbers the words of our sentences."""

    def __init__(self, backbone: AbstractBackbone, n_classes: int, options: Options) -> None:
        super().__init__()
        self.options = options
        self.backbone = backbone
        self.text_tower = _take_text_tower(backbone) or TextTower(
            **SMALL_TEXT, vocab_size=max(vocabulary().values()) + 1
        )
        self.head = nn.Linear(backbone.n_features + self.text_tower.n_features, n_classes)
        tokens = word_tokens(None if options.tokenizer is None else N_PUBLISHED_TOKENS)
        self.register_buffer("tokens", tokens)

    @classmethod
    def create(
        cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Options
    ) -> "BridgingTextAndSound":
        """Build the method around a backbone, whose text tower it takes where there is one.

        Raises:
            MissingExtraError: if transformers is not installed.
        """
        return cls(backbone, n_classes, options)

    def prepare(self, training: TrainingCycles, generator: Generator) -> None:
        """Keep the tokens of the published tokenizer, if there is to be one.

        Raises:
            CheckpointError, RecipeError: if it is missing or not the text tower's.
        """
        if self.options.tokenizer is None:
            return
        n_words, padding = self.text_tower.n_words, self.text_tower.padding
        self.tokens.copy_(published_tokens(self.options.tokenizer, N_PUBLISHED_TOKENS, n_words, padding))

    def forward(
        self, log_mel: Float[Tensor, "batch time mel"], groups: Mapping[str, Int[Tensor, " batch"]] | None = None
    ) -> Float[Tensor, "batch class"]:
        """Logits of every class; without `groups`, as of recordings of which nothing is known."""
        if groups is None:
            text = self.text_tower(self.tokens[NOTHING_KNOWN : NOTHING_KNOWN + 1]).expand(log_mel.shape[0], -1)
        else:
            numbers, members = sentence_numbers(self._codes(groups, log_mel)).unique(return_inverse=True)
            text = self.text_tower(self.tokens[numbers])[members]
        return self.head(torch.cat([self.backbone(log_mel), text], dim=1))

    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """Cross-entropy; each sentence is read by itself, so that dropout changes each in its own way."""
        numbers = sentence_numbers(self._drop(self._codes(batch.groups, batch.log_mel), generator))
        text = self.text_tower(self.tokens[numbers])
        logits = self.head(torch.cat([self.backbone(batch.log_mel), text], dim=1))
        return {"classification": functional.cross_entropy(logits, batch.labels, reduction="none")}

    def _codes(
        self, groups: Mapping[str, Int[Tensor, " batch"]], log_mel: Float[Tensor, "batch time mel"]
    ) -> dict[str, Int[Tensor, " batch"]]:
        """Codes of all fields; of those that the sentence is not to name, or that are not given, unknown."""
        unknown = torch.full((len(log_mel),), UNKNOWN, device=log_mel.device)
        return {name: groups.get(name, unknown) if name in self.options.fields else unknown for name in FIELDS}

    def _drop(self, codes: dict[str, Int[Tensor, " batch"]], generator: Generator) -> dict[str, Int[Tensor, " batch"]]:
        """The codes, some of them unknown."""
        if not self.options.drop_fields:
            return codes
        own = codes[FIELDS[0]]
        draws = torch.rand(len(FIELDS), len(gather_cycles(own)), generator=generator)[:, own_places(len(own))]
        drawn = draws < self.options.drop_fields
        return {
            name: torch.where(is_dropped.to(codes[name].device), UNKNOWN, codes[name])
            for name, is_dropped in zip(FIELDS, drawn, strict=True)
        }


def _take_text_tower(backbone: AbstractBackbone) -> TextTower | None:
    """The text tower of a backbone, which then has none any more."""
    if not isinstance(backbone, AbstractTextBackbone):
        return None
    tower, backbone.text_tower = backbone.text_tower, None
    return tower


WEIGHTS = "clap/laion-unfused"

SHARED_SETTINGS: dict[str, Any] = {
    "weights": WEIGHTS,
    "augmentation": SpectrogramAugmentation(),
    "paper": BridgingTextAndSound.paper.key,
}

SHARED_DEVIATIONS = (
    "no halving of every step",
    "epoch chosen on validation patients, who are kept out of training",
    "where the 8 s end, frames hear them mirrored, not the silence with which CLAP's feature extractor goes on to 10 s",
    "not found: whether there is SpecAugment, and whether features are brought to length 1; here neither",
)


@recipes.register("bts/clap")
def bts_clap() -> Recipe:
    """CLAP's two towers on 8 s and on what is known of the recording, row A16 of METHODS."""
    deviations = ("sentences of our own, on the same four fields", *SHARED_DEVIATIONS)
    return patch_mix_recipe(
        "bts/clap",
        "bts",
        "clap",
        backbone_options={"text": True},
        options={"tokenizer": "clap-htsat-unfused"},
        reported=Reported(specificity=0.8140, sensitivity=0.4567, score=0.6354),
        deviations=deviations,
        **SHARED_SETTINGS,
    )


@recipes.register("fine_tuning/clap")
def fine_tuning_clap() -> Recipe:
    """CLAP's audio tower alone: what the authors of BTS compare it with."""
    printed = "printed are 80.85, 44.67 and 62.56, of which the last is not the mean of the others (METHODS A16)"
    return patch_mix_recipe(
        "fine_tuning/clap", "fine_tuning", "clap", deviations=(*SHARED_DEVIATIONS, printed), **SHARED_SETTINGS
    )


@recipes.register("bts/clap-small")
def bts_clap_small() -> Recipe:
    """Two small towers of the same code from random weights on 2 s of 8 kHz, for a CPU."""
    front_end = backbones.get("small_cnn").front_end().model_copy(update={"frame_shift_ms": 8.0})
    return ast_recipe(
        "bts/clap-small",
        "bts",
        backbone="clap",
        weights=None,
        backbone_options={
            "dim": 48,
            "depths": [1, 2, 2],
            "n_heads": [3, 6, 12],
            "patch_size": 8,
            "window_size": 4,
            "spec_size": 128,
            "n_features": 192,
            "n_frames": 247,
        },
        front_end=front_end,
        augmentation=SpectrogramAugmentation(
            n_time_masks=1, max_time_mask=24, n_mel_masks=1, max_mel_mask=8, time_shift=0.5, level_shift=0.2
        ),
        paper=BridgingTextAndSound.paper.key,
        paper_selection=Selection.TEST,
        deviations=(
            "towers of 5 and 2 blocks from random weights in place of CLAP, 2 s of 8 kHz in place of 8 s of 48 kHz",
            "words of our sentences in place of RoBERTa's tokens",
            "SpecAugment, shifts and class weights, as in all small recipes of transformers",
        ),
    )


@recipes.register("bts/ast-small")
def bts_ast_small() -> Recipe:
    """The small transformer for the sound and a small text tower from random weights, for a CPU."""
    return ast_recipe(
        "bts/ast-small",
        "bts",
        paper=BridgingTextAndSound.paper.key,
        paper_selection=Selection.TEST,
        deviations=(
            SMALL_TRANSFORMER,
            "a text tower of two blocks from random weights, with words of our sentences in place of RoBERTa's tokens",
        ),
    )
