"""Features of joined training cycles, computed once and kept on disk beside those of the cycles themselves."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.audio.crop import Crop, cut_cycle, fade_recording, fit_length, shorten
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.audio.spectrum_correction import read_recording
from add4rsc.augment.joining import JoinedCycle, draw_joined, joining_rules
from add4rsc.engine.features import FORMAT, FeatureStore, by_recording
from add4rsc.recipe import Recipe
from add4rsc.storage import write_atomically
from add4rsc.terms import Recording, RespiratoryCycle

CYCLES_PER_FILE = 64
"""26 MB of 8 s at 128 mel bands."""


def joined_cycles(recipe: Recipe, labels: Int[ndarray, " cycle"], classes: Sequence[str]) -> list[JoinedCycle]:
    """The joined cycles that a recipe asks for: the same ones for every seed of training, so that they are kept."""
    return draw_joined(labels, recipe.waveform.joined_scale, joining_rules(classes), np.random.default_rng(0))


def append_joined(
    store: FeatureStore,
    cycles: Sequence[RespiratoryCycle],
    joined: Sequence[JoinedCycle],
    settings: tuple[Crop, FrontEnd],
    folder: Path,
) -> FeatureStore:
    """A store of training cycles with the joined ones behind them, in its changed copies too.

    Every copy holds the joined cycles as they are.

    Args:
        store: of the training cycles.
        cycles: the same ones.
        joined: pairs of them.
        settings: how waveforms are cropped and become features.
        folder: where the files are.

    Raises:
        AudioError: if a recording cannot be read.
    """
    files, rows = prepare_joined(cycles, joined, settings, folder)
    extended = (replace(each, files=each.files + files, rows=each.rows + rows) for each in (store, *store.copies))
    plain, *copies = extended
    return replace(plain, copies=tuple(copies))


def prepare_joined(
    cycles: Sequence[RespiratoryCycle], joined: Sequence[JoinedCycle], settings: tuple[Crop, FrontEnd], folder: Path
) -> tuple[tuple[Path, ...], tuple[int, ...]]:
    """Compute what is not on disk yet; returns the file and the row of every joined cycle.

    The cycles that are joined are all in memory for that while: 0.7 GB for the whole ICBHI 2017 at 16 kHz.
    """
    groups = [joined[first : first + CYCLES_PER_FILE] for first in range(0, len(joined), CYCLES_PER_FILE)]
    contents = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in _paths(cycles, joined)}
    paths = [folder / f"{_key(cycles, group, settings, contents)}.npy" for group in groups]
    missing = [(path, group) for path, group in zip(paths, groups, strict=True) if not path.exists()]
    parts = sorted({index for _, group in missing for pair in group for index in (pair.first, pair.second)})
    waveforms = _read_cycles([cycles[index] for index in parts], settings)
    sounds = dict(zip(parts, waveforms, strict=True))
    filter_bank = LogMelFilterBank(settings[1])
    for path, group in missing:
        features = _join(group, sounds, settings[0], filter_bank)
        write_atomically(path, lambda file, array=features: np.save(file, array))
    files = tuple(path for path, group in zip(paths, groups, strict=True) for _ in group)
    return files, tuple(row for group in groups for row in range(len(group)))


def _join(
    group: Sequence[JoinedCycle],
    sounds: dict[int, Float[ndarray, " cut"]],
    crop: Crop,
    filter_bank: LogMelFilterBank,
) -> Float[ndarray, "cycle time mel"]:
    sample_rate = filter_bank.front_end.sample_rate
    joined = [np.concatenate([sounds[pair.first], sounds[pair.second]]) for pair in group]
    with torch.inference_mode():
        return filter_bank(torch.from_numpy(np.stack([fit_length(each, sample_rate, crop) for each in joined]))).numpy()


def _read_cycles(cycles: Sequence[RespiratoryCycle], settings: tuple[Crop, FrontEnd]) -> list[Float[ndarray, " cut"]]:
    """The sound of every cycle, no longer than a crop, since no more of it is heard."""
    crop, sample_rate = settings[0], settings[1].sample_rate
    sounds: dict[int, Float[ndarray, " cut"]] = {}

    def read(group: tuple[Recording, list[int]]) -> None:
        recording, members = group
        waveform = fade_recording(read_recording(recording, sample_rate), sample_rate, crop)
        for index in members:
            cycle = cut_cycle(waveform, sample_rate, cycles[index].start, cycles[index].end)
            sounds[index] = shorten(cycle, crop.n_samples(sample_rate), crop).copy()

    with ThreadPoolExecutor() as pool:
        list(pool.map(read, by_recording(cycles)))
    return [sounds[index] for index in range(len(cycles))]


def _paths(cycles: Sequence[RespiratoryCycle], joined: Sequence[JoinedCycle]) -> set[Path]:
    return {cycles[index].recording.path for pair in joined for index in (pair.first, pair.second)}


def _key(
    cycles: Sequence[RespiratoryCycle],
    group: Sequence[JoinedCycle],
    settings: tuple[Crop, FrontEnd],
    contents: dict[Path, str],
) -> str:
    """Hash of everything that the features depend on."""
    crop, front_end = settings
    parts = [
        [contents[cycle.recording.path], cycle.start, cycle.end, *cycle.recording.gains]
        for pair in group
        for cycle in (cycles[pair.first], cycles[pair.second])
    ]
    stated = ["joined", FORMAT, parts, crop.model_dump(exclude_none=True, exclude={"windows"}), front_end.stated()]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:40]
