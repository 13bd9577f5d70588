"""From the released code's flags to a recipe and its changes."""

import json
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from add4rsc.cli._legacy_flags import SILENT, SPECAUGMENT_POLICIES, STETHOSCOPES
from add4rsc.errors import WrongUsageError
from add4rsc.methods import recipes
from add4rsc.recipe import Recipe

SPLITS = {"official": "icbhi2017/official", "random-file-seed1": "icbhi2017/random-file-seed1"}
RANDOM_SPLIT_NOTE = (
    "random-file-seed1 is what the released code really uses under the name 'official': the 920 recordings shuffled "
    "with Python's seed 1, the first 552 for training. Of the complete corpus' 93 test patients 76 are also trained "
    "on, and 2,520 of the 2,685 test cycles are theirs. Scores on it are not comparable with the official split."
)
STRETCHED = (1024, 256)
"""Frames and mel columns of the released pipeline."""


@dataclass
class Translation:
    """A recipe by name, and what the flags change of it."""

    recipe: Recipe
    changes: dict[str, Any] = field(default_factory=dict)
    """Dotted key -> value."""
    notes: list[str] = field(default_factory=list)
    """What the user should know of the choice."""

    def set(self, **changes: Any) -> None:
        """Add changes; two underscores stand for a dot."""
        self.changes |= {key.replace("__", "."): value for key, value in changes.items() if value is not None}

    @property
    def settings(self) -> list[str]:
        """The changes in the form of `--set`."""
        return [f"{key}={_yaml(value)}" for key, value in self.changes.items()]

    @property
    def split(self) -> str | None:
        """The split that comes out; None is the corpus' first."""
        return self.changes.get("split", self.recipe.split)


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def translate(flags: Namespace) -> Translation:
    """Find the recipe that the flags mean.

    Raises:
        UnknownNameError: if there is no recipe for that backbone and preset.
        WrongUsageError: if flags exclude each other, or ask for what is not there.
    """
    if flags.method != "ce":
        raise WrongUsageError(
            f"--method {flags.method}: this command runs ce alone, all that the released code of ADD4RSC has kept of "
            "Patch-Mix's methods. Its contrastive learning has a recipe of its own: `add4rsc train patch_mix_cl/ast`."
        )
    suffix = "" if flags.preset == "fixed" else f"-{flags.preset}"
    found = Translation(recipes.get(f"add4rsc/{flags.model}{suffix}")())
    for rule in (_network, _weights, _data, _classes, _front_end, _training, _schedule, _selection, _augmentation):
        rule(flags, found)
    given = [name for name in SILENT if getattr(flags, name) is not None]
    found.notes += [f"--{name} changes nothing here: {SILENT[name]}." for name in given]
    return found


def _network(flags: Namespace, found: Translation) -> None:
    found.set(
        options__add__n_heads=flags.denoise_num_heads,
        options__add__depth=flags.denoise_depth,
        options__add__loss_beta=flags.loss_beta,
    )
    if flags.denoise_d_model is None and flags.resz is None:
        return
    if flags.resz is not None and flags.resz <= 0:
        raise WrongUsageError(f"--resz {flags.resz}: expected a number above 0.")
    n_frames, n_mels = found.recipe.options.get("input_size") or STRETCHED
    factor = 1.0 if flags.resz is None else flags.resz
    size = [round(factor * n_frames), round(factor * (flags.denoise_d_model or n_mels))]
    found.set(options__input_size=size)
    if found.recipe.backbone == "ast":
        found.set(backbone_options__n_frames=size[0], backbone_options__n_mels=size[1])


def _weights(flags: Namespace, found: Translation) -> None:
    """Where the backbone starts; `none` leaves it random."""
    is_ast = found.recipe.backbone == "ast"
    others = {"from_sl_official": flags.from_sl_official} if is_ast else {
        "audioset_pretrained": flags.audioset_pretrained, "audioset_ckpt": flags.audioset_ckpt
    }  # fmt: skip
    given = [name for name, value in others.items() if value is not None]
    found.notes += [f"--{name} changes nothing with --model {found.recipe.backbone}." for name in given]
    wanted = flags.audioset_pretrained if is_ast else flags.from_sl_official
    if is_ast and flags.audioset_ckpt is not None:
        found.set(weights=str(flags.audioset_ckpt))
    if wanted is False:
        found.set(weights="none", weights_left_out=[])
    elif wanted is True and ("audioset" if is_ast else "imagenet") not in (found.recipe.weights or ""):
        found.set(weights="ast/audioset-10-10" if is_ast else f"{found.recipe.backbone}/imagenet")
    if flags.pretrained_ckpt is not None and not flags.eval:
        found.set(start_from=str(run_folder_of(flags.pretrained_ckpt)))


def run_folder_of(path: Path) -> Path:
    """The run folder that a path is, or lies in.

    Raises:
        WrongUsageError: if it is in none.
    """
    for folder in (path, *path.parents[:2]):
        if (folder / "recipe.json").is_file() or (folder / "model.safetensors").is_file():
            return folder
    raise WrongUsageError(
        f"{path} is no run folder and lies in none. A checkpoint of the released code is made into one by "
        "`add4rsc weights import FILE`."
    )


def _data(flags: Namespace, found: Translation) -> None:
    if flags.split is not None and flags.test_fold is not None:
        raise WrongUsageError("--split and --test_fold both name a division. Keep one of them.")
    if flags.test_fold is not None:
        fold = flags.test_fold
        found.set(split=SPLITS["official"] if fold == "official" else f"icbhi2017/five-fold/{int(fold) + 1}")
    if flags.split is not None:
        found.set(split=SPLITS.get(flags.split, flags.split))
    if found.split == SPLITS["random-file-seed1"]:
        found.notes.append(RANDOM_SPLIT_NOTE)
    if flags.dataset != "icbhi":
        found.set(dataset=flags.dataset)
    if flags.stetho_id >= 0:
        found.set(stethoscopes=[STETHOSCOPES[flags.stetho_id]])


def _classes(flags: Namespace, found: Translation) -> None:
    from add4rsc.datasets import datasets

    if flags.dataset != "icbhi" and flags.class_split == "lungsound" and flags.n_cls in (None, 4):
        return
    kind, largest = ("cycle", 4) if flags.class_split == "lungsound" else ("diagnosis", 3)
    name = f"{kind}-{flags.n_cls or largest}"
    dataset = datasets.get("icbhi2017" if flags.dataset == "icbhi" else flags.dataset)
    if name not in dataset.tasks:
        raise WrongUsageError(
            f"--class_split {flags.class_split} --n_cls {flags.n_cls}: {dataset.name} has no task '{name}'. "
            f"Known: {', '.join(dataset.tasks)}."
        )
    if name != next(iter(dataset.tasks)):
        found.set(task=name)


def _front_end(flags: Namespace, found: Translation) -> None:
    from add4rsc.audio.frontend import FrontEnd
    from add4rsc.engine.model import resolve_front_end

    asked = {
        "sample_rate": flags.sample_rate, "n_mels": flags.n_mels, "n_fft": flags.nfft, "f_min": flags.f_min,
        "f_max": flags.f_max,
    }  # fmt: skip
    wanted = {key: value for key, value in asked.items() if value is not None}
    if not wanted:
        return
    usual = resolve_front_end(found.recipe)
    if found.recipe.front_end is None:
        wanted = {key: value for key, value in usual if value != getattr(FrontEnd(), key)} | wanted
    frame_length = usual.model_copy(update=wanted).frame_length
    n_fft = wanted.get("n_fft", usual.n_fft)
    if n_fft < frame_length:
        if flags.nfft is not None:
            raise WrongUsageError(f"--nfft {n_fft}: a frame has {frame_length} samples. Give at least as many.")
        wanted["n_fft"] = 1 << (frame_length - 1).bit_length()
    found.set(**{f"front_end__{key}": value for key, value in wanted.items()})
    if flags.n_mels is not None and found.recipe.backbone == "ast" and "input_size" not in found.recipe.options:
        found.set(backbone_options__n_mels=flags.n_mels)


def _training(flags: Namespace, found: Translation) -> None:
    found.set(
        epochs=flags.epochs,
        batch_size=flags.batch_size,
        optimiser__name=flags.optimizer,
        optimiser__learning_rate=flags.learning_rate,
        optimiser__weight_decay=flags.weight_decay,
        optimiser__momentum=flags.momentum,
    )
    if flags.weighted_loss is not None:
        found.set(class_weights="inverse" if flags.weighted_loss else "none")
    if flags.weighted_sampler is not None:
        found.set(sampler="balanced" if flags.weighted_sampler else "shuffled")
    if flags.ma_update is not None:
        found.set(averaging__kind="half-step" if flags.ma_update else "none")
        if flags.ma_update:
            found.set(averaging__decay=0.5)
    found.set(averaging__decay=flags.ma_beta)
    kind = found.changes.get("averaging.kind", found.recipe.averaging.kind)
    if flags.ma_beta is not None and kind == "none":
        found.notes.append("--ma_beta changes nothing without --ma_update.")


def _schedule(flags: Namespace, found: Translation) -> None:
    stepwise = {"lr_decay_epochs": flags.lr_decay_epochs, "lr_decay_rate": flags.lr_decay_rate}
    if flags.cosine is False:
        text = flags.lr_decay_epochs or "120,160"
        try:
            epochs = [int(each) for each in text.split(",")]
        except ValueError as error:
            raise WrongUsageError(f"--lr_decay_epochs {text}: expected whole numbers with commas.") from error
        found.set(schedule__shape="step", schedule__decay_epochs=epochs, schedule__decay_factor=flags.lr_decay_rate)
    elif flags.cosine:
        found.set(schedule__shape="cosine", schedule__per_epoch=True)
    if flags.cosine is not False:
        unused = [name for name, value in stepwise.items() if value is not None]
        found.notes += [f"--{name} changes nothing without --no-cosine." for name in unused]
    if flags.warm is not None:
        found.set(schedule__warmup_epochs=flags.warm_epochs if flags.warm else 0.0)
        found.set(schedule__initial_share=0.1 if flags.warm else None)


def _selection(flags: Namespace, found: Translation) -> None:
    if flags.selection is not None:
        found.set(selection=flags.selection, validation_share=0.2 if flags.selection == "validation" else 0.0)
    if found.changes.get("selection", found.recipe.selection) == "test":
        found.notes.append("The epoch is chosen on the test set, as the released code does: scores are too good.")


def _augmentation(flags: Namespace, found: Translation) -> None:
    found.set(waveform__copies=flags.raw_augment or None, waveform__joined_scale=flags.concat_aug_scale or None)
    padding = "changed" if flags.pad_types == "aug" else flags.pad_types
    found.set(crop__duration=flags.desired_length, crop__padding=padding, augmentation__fill=flags.specaug_mask)
    if flags.butterworth_filter is not None:
        found.set(crop__band_pass__order=flags.butterworth_filter)
    if flags.specaug_policy is not None:
        n_mel, mel_width, n_time, time_width = SPECAUGMENT_POLICIES[flags.specaug_policy]
        found.set(
            augmentation__n_mel_masks=n_mel,
            augmentation__max_mel_mask=mel_width,
            augmentation__n_time_masks=n_time,
            augmentation__max_time_mask=time_width,
        )
