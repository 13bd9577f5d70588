"""Measure a small run on made recordings."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from add4rsc.audio.crop import Crop
from add4rsc.audio.enhancement import Enhancement
from add4rsc.engine.loading import load_run
from add4rsc.errors import RunFolderError, WrongUsageError
from add4rsc.predictions import read_predictions
from add4rsc.robustness import hearing
from add4rsc.robustness.conditions import CLEAN, Condition, Grid
from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import noise_generator
from add4rsc.robustness.measuring import MeasureSettings, find_test_cycles, measure, measure_run
from add4rsc.robustness.sounds import read_test_cycles
from add4rsc.robustness.stored import open_measured

GRID = Grid(("white", "clipping"), snr_db=(10.0, -5.0), levels={"clipping": (0.2,)}, n_noise_seeds=2)


@pytest.fixture
def settings(made_corpus) -> MeasureSettings:
    return MeasureSettings(made_corpus, GRID, accelerator="cpu")


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_clean_sound_gives_the_predictions_of_the_run(trained, settings, tmp_path):
    measure(load_run(trained / "seed-1"), tmp_path, replace(settings, grid=Grid((CLEAN,), n_noise_seeds=1)))
    expected = read_predictions(trained / "seed-1" / "predictions.csv")
    found = open_measured(tmp_path).predictions(Condition(CLEAN))
    assert list(found.table["cycle_id"]) == list(expected.table["cycle_id"])
    np.testing.assert_array_equal(found.decisions, expected.decisions)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-3)
    shared = ["recording", "patient", "start", "end", "label", "stethoscope", "chest_location"]
    pd.testing.assert_frame_equal(found.table[shared], expected.table[shared])


def test_every_seed_is_measured_on_every_condition(trained, settings, tmp_path):
    told = []
    measure_run(trained, tmp_path, replace(settings, on_condition=lambda *each: told.append(each)))
    for seed in (1, 2):
        measured = open_measured(tmp_path / f"seed-{seed}")
        assert len(measured.conditions) == 1 + 2 * 2 + 1
        clean, noisy = (
            measured.predictions(each).probabilities for each in (Condition(CLEAN), Condition("white", "", -5.0, 1))
        )
        assert np.abs(clean - noisy).max() > 0.01
    assert [each[1:] for each in told] == [(done, 6) for done in range(7)] * 2
    assert told[1][0] == "white 10 dB SNR, seed 1"


def test_a_killed_measurement_goes_on_to_the_same_files(trained, settings, tmp_path):
    run = load_run(trained / "seed-1")
    measure(run, tmp_path / "whole", settings)

    def kill(_what, done, _total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(run, tmp_path / "killed", replace(settings, on_condition=kill))
    assert len(open_measured(tmp_path / "killed").conditions) == 3
    told = []
    with pytest.raises(RunFolderError, match="--resume"):
        measure(run, tmp_path / "killed", settings)
    measure(run, tmp_path / "killed", replace(settings, resume=True, on_condition=lambda *each: told.append(each[1])))
    assert told == [3, 4, 5, 6]
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    measure(run, tmp_path / "killed", replace(settings, resume=True, on_condition=kill))  # nothing is left to do


def test_kept_frames_serve_the_next_network(trained, settings, tmp_path, feature_cache, monkeypatch):
    keeping = replace(settings, keep_frames=True)
    measure(load_run(trained / "seed-1"), tmp_path / "heard", settings)
    measure(load_run(trained / "seed-1"), tmp_path / "kept", keeping)
    assert files_of(tmp_path / "heard") == files_of(tmp_path / "kept")

    def refuse(*_cycles):
        raise AssertionError("the cycles were read again")

    monkeypatch.setattr(hearing, "read_test_cycles", refuse)
    measure(load_run(trained / "seed-2"), tmp_path / "next", keeping)
    assert len(open_measured(tmp_path / "next").conditions) == 6
    wiener = replace(keeping, enhancement=Enhancement.WIENER)
    with pytest.raises(AssertionError, match="read again"):  # cleaned frames are others
        measure(load_run(trained / "seed-2"), tmp_path / "cleaned", wiener)


def test_noise_is_the_same_whatever_the_run_and_the_order(trained, settings, clips):
    first = load_run(trained / "seed-1")
    split = find_test_cycles(first, settings.data_folder)
    rate = first.front_end.sample_rate
    heard = []
    for crop, cycles in ((first.recipe.crop, split.test), (Crop(duration=4.0, padding="zero"), split.test[::-1])):
        made = {
            name: corruptions.get(name)(rate, clips) for name in ("white", "pink", "recorded", "heart", "background")
        }
        read = read_test_cycles(cycles, rate, crop)
        heard.append(
            {
                (cycle.sound.cycle_id, name): corruption.corrupt(
                    cycle.sound,
                    0.0,
                    corruption.noise_classes[-1],
                    noise_generator(2, name, corruption.noise_classes[-1], cycle.sound.cycle_id),
                )
                for name, corruption in made.items()
                for cycle in read
            }
        )
    assert heard[0].keys() == heard[1].keys()
    for key, waveform in heard[0].items():
        np.testing.assert_array_equal(waveform, heard[1][key])


def test_enhancement_changes_what_is_heard(trained, settings, tmp_path):
    run = load_run(trained / "seed-1")
    only_clean = replace(settings, grid=Grid((CLEAN,)))
    tables = []
    for rule in Enhancement:
        measure(run, tmp_path / rule.value, replace(only_clean, enhancement=rule))
        measured = open_measured(tmp_path / rule.value)
        assert measured.settings.enhancement == rule.value
        tables.append(measured.arrays(Condition(CLEAN))[1])
    plain, *others = tables
    assert all(np.abs(plain - other).max() > 1e-3 for other in others)


def test_another_network_is_not_mixed_in(trained, settings, tmp_path):
    only_clean = replace(settings, grid=Grid((CLEAN,)), resume=True)
    measure(load_run(trained / "seed-1"), tmp_path, only_clean)
    with pytest.raises(RunFolderError, match="different: model"):
        measure(load_run(trained / "seed-2"), tmp_path, only_clean)


def test_wrong_asks_are_told(trained, settings, tmp_path):
    run = load_run(trained / "seed-1")
    with pytest.raises(WrongUsageError, match="--accelerator nonsense"):
        measure(run, tmp_path / "a", replace(settings, accelerator="nonsense"))
    with pytest.raises(WrongUsageError, match="no task of icbhi2017"):
        measure(replace(run, classes=("normal", "adventitious")), tmp_path / "b", settings)
    with pytest.raises(RunFolderError, match=r"holds no model\.safetensors"):
        measure_run(tmp_path, tmp_path / "c", settings)
    empty = shutil.copytree(trained / "seed-1", tmp_path / "d")
    (empty / "model.safetensors").unlink()
    with pytest.raises(RunFolderError, match=r"holds no model\.safetensors"):
        measure_run(empty, tmp_path / "e", settings)
