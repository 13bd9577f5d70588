"""Spectrum correction in a run: estimated on training, applied everywhere, kept for later."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.audio.io import read_waveform
from add4rsc.audio.spectrum_correction import SpectrumCorrection, mean_spectrum
from add4rsc.augment.joining import JoinedCycle
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.correction import CORRECTION, correct_as_trained, correct_split
from add4rsc.engine.features import prepare_features
from add4rsc.engine.joining import prepare_joined
from add4rsc.engine.loading import load_run
from add4rsc.engine.testing import predict_test_subset
from add4rsc.errors import RunFolderError
from add4rsc.predictions import read_predictions
from add4rsc.protocol.split import Split, make_split
from add4rsc.recipe import Recipe

FRONT_END = FrontEnd(sample_rate=4_000, n_mels=16, n_fft=128)


@pytest.fixture
def split(made_corpus) -> Split:
    """Of every three recordings, one is of stethoscope A, one of B, one of an unknown one."""
    dataset = open_dataset(made_corpus)
    split = make_split(dataset, dataset.tasks["cycle-4"], dataset.split_names[0], validation_share=0.5)
    names = {each.path: name for each, name in zip(dataset.recordings(), 14 * ("A", "B", ""), strict=False)}

    def named(cycles):
        return tuple(
            replace(cycle, recording=replace(cycle.recording, stethoscope=names[cycle.recording.path]))
            for cycle in cycles
        )

    return replace(split, train=named(split.train), validation=named(split.validation), test=named(split.test))


@pytest.fixture
def recipe(small_recipe) -> Recipe:
    recipe = small_recipe()
    return recipe.model_copy(update={"spectrum_correction": SpectrumCorrection(), "front_end": FRONT_END})


def expected_gains(split: Split) -> dict[str, np.ndarray]:
    means = {}
    for name in ("A", "B"):
        paths = {each.recording.path for each in split.train if each.recording.stethoscope == name}
        means[name] = np.mean([mean_spectrum(read_waveform(path, 4_000), 128) for path in sorted(paths)], axis=0)
    return {name: np.clip((means["A"] + means["B"]) / 2 / mean, 0.1, 10) for name, mean in means.items()}


def test_gains_are_those_of_training_recordings_alone(recipe, split, feature_cache, tmp_path):
    corrected = correct_split(recipe, split, tmp_path, stores=True)
    expected = expected_gains(split)
    assert not np.allclose(expected["A"], 1)
    for subset in ("train", "validation", "test"):
        for cycle, before in zip(getattr(corrected, subset), getattr(split, subset), strict=True):
            stethoscope = before.recording.stethoscope
            np.testing.assert_allclose(cycle.recording.gains, expected.get(stethoscope, ()), rtol=1e-5)
            assert replace(cycle, recording=replace(cycle.recording, gains=())) == before
    stored = json.loads((tmp_path / CORRECTION).read_text())
    assert stored["sample_rate"] == 4_000
    assert stored["gains"].keys() == {"A", "B"}
    again = correct_as_trained(recipe, tmp_path, split.test)
    assert [each.recording.gains for each in again] == [each.recording.gains for each in corrected.test]


def test_only_training_recordings_are_read(recipe, split, feature_cache, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        "add4rsc.engine.correction._spectrum_of", lambda each, *_: read.append(each.path) or np.ones(65)
    )
    corrected = correct_split(recipe, split, tmp_path, stores=False)
    assert set(read) == {each.recording.path for each in split.train if each.recording.stethoscope}
    assert len(read) == len(set(read))
    assert not list(tmp_path.iterdir())
    assert all(each.recording.gains == () for each in corrected.train)  # both stethoscopes are equal


def test_recipe_without_correction_leaves_everything(recipe, split, tmp_path):
    plain = recipe.model_copy(update={"spectrum_correction": None})
    assert correct_split(plain, split, tmp_path, stores=True) is split
    assert correct_as_trained(plain, tmp_path, split.test) is split.test
    assert not list(tmp_path.iterdir())


def test_corrected_features_have_files_of_their_own(split, tmp_path):
    gains = tuple(np.linspace(0.5, 2.0, 65))
    cycles = split.train[:5]
    changed = [replace(each, recording=replace(each.recording, gains=gains)) for each in cycles]
    stores = [prepare_features(each, Crop(duration=0.5), FRONT_END, tmp_path) for each in (cycles, changed)]
    assert not set(stores[0].files) & set(stores[1].files)
    difference = stores[1].features(0) - stores[0].features(0)
    low, high = difference[:, :4].mean(), difference[:, -4:].mean()
    assert low < 0 < high
    pairs = [JoinedCycle(0, 4, 0)]
    files = [prepare_joined(each, pairs, (Crop(duration=1.5), FRONT_END), tmp_path)[0] for each in (cycles, changed)]
    assert files[0] != files[1]
    joined = np.load(files[1][0])[0, : FRONT_END.n_frames(2_000)]
    torch.testing.assert_close(torch.from_numpy(joined), torch.from_numpy(stores[1].features(0)))


def test_lost_gains_are_named_with_the_remedy(recipe, split, tmp_path):
    with pytest.raises(RunFolderError, match=r"spectrum_correction.json: cannot be read .*backup, or train again"):
        correct_as_trained(recipe, tmp_path, split.test)
    (tmp_path / CORRECTION).write_text('{"gains": [1]}')
    with pytest.raises(RunFolderError, match="cannot be read"):
        correct_as_trained(recipe, tmp_path, split.test)


def test_run_and_later_test_hear_the_same(run, small_recipe, made_corpus, tmp_path):
    recipe = small_recipe(epochs=1).model_copy(update={"spectrum_correction": SpectrumCorrection()})
    run(recipe, tmp_path / "run")
    trained = load_run(tmp_path / "run")
    names = json.loads((tmp_path / "run" / CORRECTION).read_text())["gains"]
    assert len(names) > 1
    stored = read_predictions(tmp_path / "run" / "predictions.csv")
    later = predict_test_subset(trained, made_corpus)
    np.testing.assert_allclose(later.probabilities, stored.probabilities, atol=1e-5)
    without = replace(trained, recipe=trained.recipe.model_copy(update={"spectrum_correction": None}))
    plain = predict_test_subset(without, made_corpus)
    assert np.abs(plain.probabilities - stored.probabilities).max() > 1e-3
