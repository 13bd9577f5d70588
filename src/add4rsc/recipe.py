"""The recipe: everything that decides a training run, as one frozen value."""

import difflib
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.audio.spectrum_correction import SpectrumCorrection
from add4rsc.augment.noise import NoiseAugmentation
from add4rsc.augment.response import ResponseAugmentation
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.augment.waveform import WaveformAugmentation
from add4rsc.errors import RecipeError
from add4rsc.protocol.selection import Selection
from add4rsc.terms import Paper, Settings


class Optimiser(Settings):
    """The optimiser and its step."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled for `adamw`, an L2 term for the others; biases and normalisation weights are left out of it."""
    decay_all: bool = False
    """Let biases and normalisation weights decay too, as torch does unless told otherwise."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """For `sgd` alone."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of the whole gradient; None leaves it as it is."""
    sharpness_radius: float | None = Field(default=None, gt=0)
    """rho: step by the gradient at w + rho g / |g|, a second pass over the batch (sharpness-aware minimisation, Foret
    et al. 2021, arXiv:2010.01412); None steps by that at w."""


class Schedule(Settings):
    """The learning rate over the steps, as a share of the optimiser's."""

    shape: Literal["cosine", "constant", "step", "exponential"] = "cosine"
    decay_epochs: tuple[int, ...] = ()
    """For `step`: after each of these epochs the rate is multiplied by `decay_factor`."""
    decay_steps: int | None = Field(default=None, gt=0)
    """For `exponential`: after every so many steps the rate is multiplied by `decay_factor`."""
    decay_factor: float = Field(default=0.1, gt=0, le=1)
    wave_epochs: float | None = Field(default=None, gt=0)
    """For `cosine`: after so many epochs it is at its end and rises again, as torch's own does when training goes on;
    None is the end of training."""
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Linear rise from 0 to the full rate, or as `initial_share` says."""
    initial_share: float | None = Field(default=None, ge=0, le=1)
    """Rise from this share to where the rate would be at the end of the rise, as the Patch-Mix code base does from 0.1;
    None for a rise from 0 to the full rate."""
    final_share: float = Field(default=1e-3, ge=0, le=1)
    """Where the cosine ends."""
    per_epoch: bool = False
    """Change only between epochs, as the Patch-Mix code base does: cos(pi e / E) for epoch e = 1..E."""

    @model_validator(mode="after")
    def _check(self) -> "Schedule":
        if self.shape == "exponential" and self.decay_steps is None:
            raise ValueError("shape 'exponential' needs decay_steps")
        return self


class Averaging(Settings):
    """Averages of the weights."""

    kind: Literal["none", "ema", "half-step"] = "none"
    """`ema` evaluates a moving average of the weights; `half-step` puts (1 - decay) of every step into the weights
    themselves, as the Patch-Mix code base's "moving average" does, which halves each step at decay 0.5."""
    decay: float = Field(default=0.999, ge=0, lt=1)


class DeviceFineTuning(Settings):
    """After the shared training, the network goes on for each stethoscope by itself (`add4rsc.engine.devices`)."""

    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)


class HeadTraining(Settings):
    """How the head of a method of two stages learns, once its parts are chosen (`add4rsc.engine.second_stage`)."""

    epochs: int = Field(default=100, gt=0)
    batch_size: int = Field(default=8, gt=0)
    optimiser: Optimiser = Optimiser(name="adamw", learning_rate=1e-3, weight_decay=1e-4, decay_all=True)
    schedule: Schedule = Schedule()
    augmented: bool = False
    """Store the features of the training cycles as one look with augmentation finds them, not of the cycles as they
    are."""


class Reported(Settings):
    """What the paper printed, as fractions."""

    specificity: float
    sensitivity: float
    score: float


class Recipe(Settings):
    """Everything that decides a training run. Written beside every run; can be passed back with `--config`."""

    name: str
    method: str
    backbone: str
    weights: str | None = None
    """Pretrained weights by name (`add4rsc weights list`) or path; None starts from random ones."""
    weights_left_out: tuple[str, ...] = ()
    """Tensors of the backbone that keep their random start in spite of pretrained weights."""
    start_from: str | None = None
    """A run folder whose whole trained network is where this training starts; it replaces `weights`."""
    backbone_options: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    """The method's own settings."""
    dataset: str | None = None
    """None recognises the corpus from the folder."""
    task: str | None = None
    """None is the corpus' first task."""
    split: str | None = None
    """None is the corpus' first split."""
    more_corpora: tuple[str, ...] = ()
    """Further corpora whose training cycles join, as `--more-data` gave them; the test is that of `dataset` alone."""
    stethoscopes: tuple[str, ...] = ()
    """Train and test on recordings of these alone; empty for all."""
    crop: Crop = Crop()
    front_end: FrontEnd | None = None
    """None is what the backbone was made for."""
    augmentation: SpectrogramAugmentation = SpectrogramAugmentation()
    waveform: WaveformAugmentation = WaveformAugmentation()
    """Changed copies of the training cycles; none by default."""
    noise: NoiseAugmentation = NoiseAugmentation()
    """Noise in the training cycles; none by default."""
    spectrum_correction: SpectrumCorrection | None = None
    """Bring the recordings of all stethoscopes to one mean spectrum; None leaves them as they are."""
    response: ResponseAugmentation = ResponseAugmentation()
    """Other stethoscopes for the training cycles; none by default."""
    views: Literal[1, 2] = 1
    """2 gives each training cycle a second view, augmented with other draws (`Batch.second`)."""
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    averaging: Averaging = Averaging()
    device_fine_tuning: DeviceFineTuning | None = None
    """Go on for each stethoscope from the shared network, which then judges the others alone; None for one network."""
    epochs: int = Field(default=50, gt=0)
    batch_size: int = Field(default=32, gt=0)
    drop_last: bool = False
    """Leave out a last, smaller batch of an epoch."""
    steps_per_epoch: int | None = Field(default=None, gt=0)
    """Where an epoch ends, if before its last batch: for a look at a large network."""
    class_weights: Literal["none", "inverse", "square-root"] | Annotated[tuple[float, ...], Field(min_length=1)] = (
        "none"
    )
    """Weight of a cycle's loss by its class' frequency f: 1/f or 1/sqrt(f), with mean 1 over the training cycles. Or
    the ratios of the classes' weights in their order, the normal class first; the last one goes for all that follow."""
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    """`balanced` draws with replacement so that every class is as frequent."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "16-mixed-unscaled"] = "32-true"
    """`16-mixed` scales the loss so that small gradients survive half precision; `16-mixed-unscaled` forgets to, as the
    released code of ADD4RSC does (METHODS 4.5, item 10)."""
    validation_share: float = Field(default=0.2, ge=0, lt=1)
    validation_seed: int = 0
    selection: Selection = Selection.VALIDATION
    """The rule by which `predictions.csv` is made."""
    also_select: tuple[Selection, ...] = ()
    """Further rules; each gives a `predictions-RULE.csv` of the same training run."""
    decision_offset: Literal["none", "validation"] = "none"
    """`validation` adds to the normal class' logit what gives the validation patients the best Score."""
    least_sensitivity: float | None = Field(default=None, ge=0, lt=1)
    """Epochs whose sensitivity is no more than this are chosen only if there is no other; None looks at the score
    alone. 0.05 in the Patch-Mix code base."""
    paper: str = ""
    """Key of the publication (`add4rsc cite`)."""
    paper_selection: Selection | None = None
    """How the paper chose its epoch, where that is known."""
    reported: Reported | None = None
    deviations: tuple[str, ...] = ()
    """Where the recipe departs from the publication, or fills what it does not say."""

    @property
    def selections(self) -> tuple[Selection, ...]:
        """Every rule of selection that the run follows, its own first."""
        return tuple(dict.fromkeys((self.selection, *self.also_select)))


def change_recipe(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The same recipe with some keys changed; `changes` is nested like the recipe, or has dotted keys.

    Raises:
        RecipeError: for a key that does not exist, with the nearest one, or a value that it cannot hold.
    """
    values = recipe.model_dump()
    for key, value in changes.items():
        _place(values, key.split("."), value)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_explain(error.errors()[0], values)) from error


def _place(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a nested value; a mapping is merged into what is there."""
    head, *rest = path
    if rest:
        if not isinstance(values.get(head), dict):
            values[head] = {}
        _place(values[head], rest, value)
    elif isinstance(value, dict) and isinstance(values.get(head), dict) and head not in FREE_KEYS:
        for key, inner in value.items():
            _place(values[head], [key], inner)
    else:
        values[head] = value


FREE_KEYS = frozenset({"options", "backbone_options"})
"""Keys whose content another part checks; given whole, they replace what was there."""


def _explain(error: ErrorDetails, values: dict[str, Any]) -> str:
    """The first thing that is wrong, in words, with the nearest known key."""
    key = ".".join(str(part) for part in error["loc"] if "[" not in str(part))  # a choice of types names the one tried
    if error["type"] != "extra_forbidden":
        return f"Recipe key '{key}' cannot be {error['input']!r}: {error['msg']}. Change it with --set {key}=VALUE."
    *path, last = (str(part) for part in error["loc"])
    for part in path:
        values = values[part]
    known = [name for name in values if name != last] if path else list(Recipe.model_fields)
    return f"There is no recipe key '{key}'. {nearest(last, known)}"


def nearest(name: str, known: list[str]) -> str:
    """A hint for a mistyped name."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(sorted(known))}."


class PatchMixQuirks(Settings):
    """What the Patch-Mix code base does otherwise than it says (METHODS 1.3, 4.5); all off is the fixed form."""

    scrambled_positions: bool = False
    """The AST's table of positions is made for mel and time exchanged."""
    partial_augmentation: bool = False
    """SpecAugment happens if 1 >= a standard normal draw: for 84.1 % of the cycles."""
    half_steps: bool = False
    """Every step is averaged back into the weights, which halves it."""
    test_selection: bool = False
    """The epoch is chosen on the test set, and no patient is kept back for validation."""
    sensitive_epochs: bool = False
    """Epochs with a sensitivity of 5 % or less are passed over."""
    unscaled_gradients: bool = False
    """Half precision without a gradient scaler: ADD4RSC's code alone, where those lines are commented out."""
    accumulated_masks: bool = False
    """SpecAugment writes into the cached features, so that masks of former epochs stay. It comes about without loader
    processes only; with the default eight, every epoch begins with fresh copies."""

    def changes(self) -> dict[str, Any]:
        """The recipe keys that the quirks set, the table of positions excepted."""
        values: dict[str, Any] = {}
        masks = {"probability": NORMAL_BELOW_ONE} if self.partial_augmentation else {}
        masks |= {"accumulates": True} if self.accumulated_masks else {}
        if masks:
            values["augmentation"] = PATCH_MIX["augmentation"].model_copy(update=masks)
        if self.half_steps:
            values["averaging"] = Averaging(kind="half-step", decay=0.5)
        if self.test_selection:
            values |= {"selection": Selection.TEST, "validation_share": 0.0}
        if self.sensitive_epochs:
            values["least_sensitivity"] = LEAST_SENSITIVITY
        if self.unscaled_gradients:
            values["precision"] = "16-mixed-unscaled"
        return values


AS_RELEASED = PatchMixQuirks(
    scrambled_positions=True, partial_augmentation=True, half_steps=True, test_selection=True, sensitive_epochs=True
)
"""What the code base does with its own default arguments."""

LEAST_SENSITIVITY = 0.05

NORMAL_BELOW_ONE = 0.8413447460685429
"""Probability that a standard normal draw is at most 1."""

PATCH_MIX_PAPER = Paper(
    key="bae2023patchmix",
    title="Patch-Mix Contrastive Learning with Audio Spectrogram Transformer on Respiratory Sound Classification",
    authors="Bae, Sangmin and Kim, June-Woo and Cho, Won-Yang and Baek, Hyerim and Son, Soyoun and Lee, Byungjo "
    "and Ha, Changwan and Tae, Kyongpil and Kim, Sungnyun and Yun, Se-Young",
    venue="Interspeech",
    year=2023,
    arxiv="2305.14032",
)

PATCH_MIX: dict[str, Any] = {
    "crop": Crop(duration=8.0, recording_fade=0.0625, repeat_fade=0.0625),
    "augmentation": SpectrogramAugmentation(
        n_time_masks=2, max_time_mask=160, n_mel_masks=2, max_mel_mask=48, mask_rule="patch-mix"
    ),
    "optimiser": Optimiser(name="adam", learning_rate=5e-5, weight_decay=1e-6, decay_all=True),
    "schedule": Schedule(per_epoch=True),
    "epochs": 50,
    "batch_size": 8,
    "drop_last": True,
    "precision": "16-mixed",
    "paper_selection": Selection.TEST,
}
"""The recipe that Patch-Mix, ADD4RSC and half of the field share (Bae et al. 2023, arXiv:2305.14032; METHODS 1.3).

8 s of 16 kHz, filled by repetition; recordings and repeated cycles fade over 62.5 ms; SpecAugment; Adam with an L2 term
on all weights; a cosine that moves between epochs; batches without the last, smaller one; half precision with scaled
gradients. Class weights are those of a method.
"""


def patch_mix_recipe(
    name: str, method: str, backbone: str, quirks: PatchMixQuirks | None = None, **changes: Any
) -> Recipe:
    """The shared recipe `PATCH_MIX` for a method and a backbone.

    Args:
        name: of the new recipe.
        method: a registered method.
        backbone: a registered backbone; `ast` and the residual networks start from their public weights.
        quirks: what to repeat of the released code's; None for none.
        changes: other keys of the recipe.
    """
    quirks = quirks or PatchMixQuirks()
    values = PATCH_MIX | quirks.changes()
    if backbone == "ast":
        positions = "transposed" if quirks.scrambled_positions else "interpolated"
        values |= {"weights": "ast/audioset-10-10"}
        values |= {"backbone_options": {"n_frames": 798, "position_table": positions}}
    elif backbone.startswith("resnet"):
        values |= {"weights": f"{backbone}/imagenet"}
    return Recipe(name=name, method=method, backbone=backbone, **(values | changes))
