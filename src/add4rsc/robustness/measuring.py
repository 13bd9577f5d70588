"""Run folder and corrupted test cycles -> stored predictions."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from numpy import ndarray

from add4rsc.audio.crop import Voting
from add4rsc.audio.enhancement import Enhancement
from add4rsc.audio.windows import vote
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.features import cache_folder
from add4rsc.engine.loading import TrainedRun, load_run, seed_folders
from add4rsc.engine.model import MODEL
from add4rsc.errors import WrongUsageError
from add4rsc.metrics.runs import ONLY
from add4rsc.protocol.split import Split, make_split
from add4rsc.protocol.stethoscopes import only_stethoscopes
from add4rsc.robustness.conditions import CLEAN, Condition, Grid
from add4rsc.robustness.corruptions._base import AbstractCorruption
from add4rsc.robustness.hearing import HeardCycles, Listener
from add4rsc.robustness.sounds import NoiseBand
from add4rsc.robustness.stored import CYCLE_COLUMNS, MeasuredSettings, claim_measured, store_predictions

BATCH_SIZE = 32


@dataclass(frozen=True)
class MeasureSettings:
    """How to measure."""

    data_folder: Path
    grid: Grid
    enhancement: Enhancement = Enhancement.NONE
    noise_band: NoiseBand = NoiseBand.FRONT_END
    resume: bool = False
    overwrite: bool = False
    accelerator: str = "auto"
    keep_frames: bool = False
    """Keep every condition's frames among the features on disk, so that further networks find them there."""
    on_condition: Callable[[str, int, int], None] = field(default=lambda _what, _done, _total: None)
    """Called with a condition in words, and how many are done of how many, before each and at the end."""


def measure_run(run: Path, target: Path, settings: MeasureSettings) -> None:
    """Measure a run, or every seed of it, and store the predictions in `target` (of several seeds, in `seed-N` there).

    Raises:
        RunFolderError: if there is no trained network, or the target holds other measurements.
        CheckpointError, WrongUsageError, DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    for seed, folder in (seed_folders(run) or {ONLY: run}).items():
        measure(load_run(folder), target if seed == ONLY else target / f"seed-{seed}", settings)


def measure(run: TrainedRun, target: Path, settings: MeasureSettings) -> None:
    """Predict the test cycles of a run under every condition that was not measured yet.

    Raises:
        RunFolderError: if the target holds other measurements.
        WrongUsageError: if the corpus has no task with the network's classes, or a corruption cannot be made.
        DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    sample_rate = run.front_end.sample_rate
    made = settings.grid.create(sample_rate)
    wanted = settings.grid.conditions(made)
    split = find_test_cycles(run, settings.data_folder)
    measured = claim_measured(
        target,
        _describe(run, split, settings, _digests(made, wanted)),
        _table_of_cycles(split),
        resume=settings.resume,
        overwrite=settings.overwrite,
    )
    missing = [each for each in wanted if each not in set(measured.conditions)]
    if not missing:
        return
    listener = Listener(
        split.test,
        run.recipe.crop,
        run.front_end,
        made,
        settings.enhancement,
        settings.noise_band,
        cache_folder() if settings.keep_frames else None,
    )
    network = _Network(run, settings.accelerator)
    n_before = len(wanted) - len(missing)
    for done, condition in enumerate(missing, start=n_before):
        settings.on_condition(str(condition), done, len(wanted))
        store_predictions(target, condition, network.predict(listener.hear(condition)))
    settings.on_condition("done", len(wanted), len(wanted))


def find_test_cycles(run: TrainedRun, data_folder: Path) -> Split:
    """The run's own split of its corpus, without validation patients.

    Raises:
        DatasetNotFoundError, SplitError: as their messages say.
        WrongUsageError: if the corpus has no task with the network's classes.
    """
    recipe = run.recipe
    dataset = open_dataset(data_folder, recipe.dataset)
    name = recipe.task or next(iter(dataset.tasks))
    if name not in dataset.tasks or dataset.tasks[name].classes != run.classes:
        raise WrongUsageError(
            f"{run.folder} tells apart {', '.join(run.classes)}, which is no task of {dataset.name} called '{name}'. "
            "Pass the corpus that it was trained on."
        )
    split = make_split(dataset, dataset.tasks[name], recipe.split or dataset.split_names[0], validation_share=0.0)
    return only_stethoscopes(split, recipe.stethoscopes)


def _digests(made: Mapping[str, AbstractCorruption], wanted: list[Condition]) -> dict[str, str]:
    classes = {(each.corruption, each.noise_class) for each in wanted if each.corruption != CLEAN}
    found = {noise_class: made[name].digest(noise_class) for name, noise_class in sorted(classes)}
    return {noise_class: digest for noise_class, digest in found.items() if digest}


def _describe(run: TrainedRun, split: Split, settings: MeasureSettings, noise: dict[str, str]) -> MeasuredSettings:
    return MeasuredSettings(
        recipe=run.recipe.name,
        model=hashlib.sha256((run.folder / MODEL).read_bytes()).hexdigest(),
        dataset=run.recipe.dataset or split.name.split("/", maxsplit=1)[0],
        split=split.name,
        task=split.task.name,
        classes=run.classes,
        selection=run.recipe.selection.value,
        sample_rate=run.front_end.sample_rate,
        enhancement=settings.enhancement.value,
        noise_band=settings.noise_band.value,
        noise=noise,
    )


def _table_of_cycles(split: Split) -> pd.DataFrame:
    rows = [
        (
            cycle.cycle_id,
            cycle.recording.recording_id,
            cycle.recording.patient_id,
            round(cycle.start, 6),
            round(cycle.end, 6),
            split.task.class_of[cycle.annotation],
            cycle.recording.stethoscope,
            cycle.recording.chest_location,
        )
        for cycle in split.test
    ]
    return pd.DataFrame(rows, columns=list(CYCLE_COLUMNS))


class _Network:
    """A run's network on one device."""

    def __init__(self, run: TrainedRun, accelerator: str) -> None:
        try:
            self._fabric = Fabric(accelerator=accelerator, devices=1)
        except (ValueError, RuntimeError) as error:
            raise WrongUsageError(f"--accelerator {accelerator}: {error}") from error
        self._network = self._fabric.to_device(run.network.eval())
        self._rule: Voting | None = run.recipe.crop.windows

    def predict(self, heard: HeardCycles) -> Float[ndarray, "cycle class"]:
        """Class probabilities of all cycles."""
        rows = []
        with torch.inference_mode():
            for part in torch.from_numpy(heard.log_mel).split(BATCH_SIZE):
                rows.append(self._network(self._fabric.to_device(part)).double().softmax(dim=-1).cpu().numpy())
        found = np.concatenate(rows)
        return found if self._rule is None else vote(found, heard.owners.tolist(), self._rule)
