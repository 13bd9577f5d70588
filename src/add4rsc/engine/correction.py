"""Spectrum correction in a run: estimated on its training recordings, applied to those of all subsets, and stored."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.frontend import FrontEnd
from add4rsc.audio.io import read_waveform
from add4rsc.audio.spectrum_correction import Gains, estimate_gains, mean_spectrum
from add4rsc.engine.features import FORMAT, cache_folder
from add4rsc.engine.model import resolve_front_end
from add4rsc.errors import RunFolderError
from add4rsc.protocol.split import Split
from add4rsc.recipe import Recipe
from add4rsc.storage import write_atomically, write_json
from add4rsc.terms import Recording, RespiratoryCycle

CORRECTION = "spectrum_correction.json"
"""Where a run folder keeps the gains of its stethoscopes."""


def correct_split(recipe: Recipe, split: Split, folder: Path, *, stores: bool) -> Split:
    """The same cycles, whose recordings know what they are to be multiplied by; unchanged if the recipe asks for none.

    Args:
        recipe: with or without spectrum correction.
        split: only the recordings of its training cycles are looked at.
        folder: of the run.
        stores: write the gains there.

    Raises:
        AudioError: if a recording cannot be read.
        RecipeError: if the recipe's reference is no stethoscope of the training cycles.
    """
    if recipe.spectrum_correction is None:
        return split
    front_end = resolve_front_end(recipe)
    spectra: dict[str, list[Float[ndarray, " bin"]]] = defaultdict(list)
    recordings = [each for each in _recordings(split.train) if each.stethoscope]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda each: _spectrum_of(each, front_end, cache_folder()), recordings)
        for recording, spectrum in zip(recordings, found, strict=True):
            spectra[recording.stethoscope].append(spectrum)
    gains = estimate_gains(spectra, recipe.spectrum_correction) if spectra else {}
    if stores:
        write_json(folder / CORRECTION, {"sample_rate": front_end.sample_rate, "gains": gains})
    train, validation, test = (_correct(each, gains) for each in (split.train, split.validation, split.test))
    return replace(split, train=train, validation=validation, test=test)


def correct_as_trained(recipe: Recipe, folder: Path, cycles: Sequence[RespiratoryCycle]) -> Sequence[RespiratoryCycle]:
    """Cycles of any recordings with the gains that a run has for their stethoscopes.

    Args:
        recipe: of the run.
        folder: of the run.
        cycles: those of stethoscopes that the run has not known stay as they are.

    Raises:
        RunFolderError: if the run's gains are missing or damaged.
    """
    if recipe.spectrum_correction is None:
        return cycles
    path = folder / CORRECTION
    try:
        gains = {name: tuple(values) for name, values in json.loads(path.read_text())["gains"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RunFolderError(
            f"{path}: cannot be read ({error}), but the run corrected its spectra by it. "
            "Take it from a backup, or train again."
        ) from error
    return _correct(cycles, gains)


def _recordings(cycles: Sequence[RespiratoryCycle]) -> list[Recording]:
    """Each recording once, in the order of their files, so that every machine adds in the same order."""
    by_path = {cycle.recording.path: cycle.recording for cycle in cycles}
    return [by_path[path] for path in sorted(by_path)]


def _correct(cycles: Sequence[RespiratoryCycle], gains: Gains) -> tuple[RespiratoryCycle, ...]:
    """Gains of 1 throughout, as of the only stethoscope of a corpus, are none."""
    kept = {name: each for name, each in gains.items() if not np.allclose(each, 1.0)}
    return tuple(
        replace(cycle, recording=replace(cycle.recording, gains=kept.get(cycle.recording.stethoscope, ())))
        for cycle in cycles
    )


def _spectrum_of(recording: Recording, front_end: FrontEnd, folder: Path) -> Float[ndarray, " bin"]:
    """A recording's mean spectrum, computed once and kept on disk beside the features."""
    stated = ["spectrum", FORMAT, front_end.sample_rate, front_end.n_fft]
    digest = hashlib.sha256(json.dumps(stated).encode())
    if recording.path.is_file():
        digest.update(recording.path.read_bytes())
    path = folder / f"{digest.hexdigest()[:40]}.npy"
    if not path.exists():
        spectrum = mean_spectrum(read_waveform(recording.path, front_end.sample_rate), front_end.n_fft)
        write_atomically(path, lambda file: np.save(file, spectrum))
    return np.load(path)
