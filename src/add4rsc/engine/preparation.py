"""From a split to what a run learns from: features of the three subsets, and what is added to the training cycles."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.noise import NoiseMixer
from add4rsc.augment.scene import Scene
from add4rsc.engine.features import ChangedCopy, FeatureStore, cache_folder, prepare_features
from add4rsc.engine.joining import append_joined, joined_cycles
from add4rsc.engine.model import resolve_front_end
from add4rsc.engine.noise import prepare_noise
from add4rsc.engine.predict import known_groups
from add4rsc.engine.progress import counting_line
from add4rsc.engine.subsets import LabelledFeatures, TrainingData
from add4rsc.engine.windows import split_cycles, split_windows
from add4rsc.protocol.groups import UNKNOWN
from add4rsc.protocol.split import Split
from add4rsc.recipe import Recipe
from add4rsc.terms import RespiratoryCycle, Subset


def prepare_data(recipe: Recipe, split: Split, *, shown: bool) -> TrainingData:
    """Features of all three subsets; with the training cycles their changed copies, joined cycles, and noise.

    Raises:
        AudioError: if a recording cannot be read.
        AnnotationError: if a cycle lies outside its recording.
        RecipeError: if noise is asked for that is not there.
    """
    whole, split = split, split_windows(split, recipe.crop)
    everything = [cycle for subset in Subset for cycle in split.subset(subset)]
    progress = counting_line("features of recordings") if shown else None
    front_end = recipe.front_end or resolve_front_end(recipe)
    store = prepare_features(everything, recipe.crop, front_end, cache_folder(), progress)
    subsets, first = [], 0
    for subset in Subset:
        cycles = split.subset(subset)
        members = slice(first, first + len(cycles))
        labels = np.array([split.task.label(cycle.annotation) for cycle in cycles], dtype=np.int64)
        subsets.append(LabelledFeatures(FeatureStore(store.files[members], store.rows[members]), labels))
        first += len(cycles)
    copies = tuple(
        prepare_features(
            split.train, recipe.crop, front_end, cache_folder(), progress, ChangedCopy(recipe.waveform, number)
        )
        for number in range(1, recipe.waveform.copies + 1)
    )
    train = LabelledFeatures(replace(subsets[0].store, copies=copies), subsets[0].labels, known_groups(split.train))
    validation = _of_cycles(subsets[1], whole.validation, recipe.crop)
    test = _of_cycles(subsets[2], whole.test, recipe.crop)
    scene = Scene(NoiseMixer(recipe.noise, front_end, prepare_noise(recipe.noise, front_end)), recipe.response)
    train = _with_joined(train, recipe, split, front_end)
    return TrainingData(split.task.classes, train, validation, test, None if scene.is_off else scene)


def _of_cycles(subset: LabelledFeatures, cycles: Sequence[RespiratoryCycle], crop: Crop) -> LabelledFeatures:
    """What is known of the cycles; windows vote, with one label a cycle."""
    windows, groups = split_cycles(cycles, crop)[1], known_groups(cycles)
    if windows is None:
        return replace(subset, groups=groups)
    store = replace(subset.store, windows=windows)
    return LabelledFeatures(store, subset.labels[windows.firsts], groups)


def _with_joined(train: LabelledFeatures, recipe: Recipe, split: Split, front_end: FrontEnd) -> LabelledFeatures:
    """The training cycles, and behind them the joined ones that the recipe asks for."""
    joined = joined_cycles(recipe, train.labels, split.task.classes)
    if not joined:
        return train
    store = append_joined(train.store, split.train, joined, (recipe.crop, front_end), cache_folder())
    unknown = torch.full((len(joined),), UNKNOWN)
    groups = {name: torch.cat([codes, unknown]) for name, codes in train.groups.items()}
    return LabelledFeatures(store, np.concatenate([train.labels, [pair.label for pair in joined]]), groups)
