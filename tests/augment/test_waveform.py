from dataclasses import replace

import numpy as np
import pytest
import torch

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.augment.waveform import WaveformAugmentation, augment_waveform
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.batches import CycleFeatures
from add4rsc.engine.features import ChangedCopy, prepare_features
from add4rsc.engine.run import RunSettings, train
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe

RATE = 8000
TONE = np.sin(2 * np.pi * 400 * np.arange(2 * RATE) / RATE).astype(np.float32)


def test_off_by_default_and_nothing_left_at_zero() -> None:
    assert WaveformAugmentation().copies == 0
    still = WaveformAugmentation(speed=0.0, gain_db=0.0, lowest_snr_db=200.0)
    np.testing.assert_allclose(augment_waveform(TONE, still, np.random.default_rng(0)), TONE, atol=1e-6)


def test_speed_changes_length_and_pitch_together() -> None:
    settings = WaveformAugmentation(speed=0.2, gain_db=0.0, lowest_snr_db=100.0)
    factors = []
    for seed in range(20):
        changed = augment_waveform(TONE, settings, np.random.default_rng(seed))
        spectrum = np.abs(np.fft.rfft(changed * np.hanning(len(changed))))
        factor = len(TONE) / len(changed)
        pitch = spectrum.argmax() * RATE / len(changed)
        assert pitch == pytest.approx(400 * factor, abs=1.5)
        factors.append(factor)
    assert 0.8 <= min(factors) < 0.95
    assert 1.05 < max(factors) <= 1.2


def test_noise_and_gain_lie_in_their_ranges() -> None:
    noisy = WaveformAugmentation(speed=0.0, gain_db=0.0, lowest_snr_db=10.0)
    ratios = []
    for seed in range(30):
        noise = augment_waveform(TONE, noisy, np.random.default_rng(seed)) - TONE
        ratios.append(10 * np.log10(np.mean(TONE**2) / np.mean(noise**2)))
    assert 9.7 < min(ratios) < 16 < 24 < max(ratios) < 30.3
    loud = WaveformAugmentation(speed=0.0, gain_db=6.0, lowest_snr_db=200.0)
    gains = [20 * np.log10(np.abs(augment_waveform(TONE, loud, np.random.default_rng(s))).max()) for s in range(30)]
    assert -6.01 < min(gains) < -3
    assert 3 < max(gains) < 6.01


def test_silence_stays_silent() -> None:
    changed = augment_waveform(np.zeros(100, dtype=np.float32), WaveformAugmentation(), np.random.default_rng(0))
    assert not changed.any()


def test_copies_are_drawn_evenly_and_the_same_again(made_corpus, tmp_path) -> None:
    cycles = open_dataset(made_corpus).cycles()[:4]
    front_end, crop = FrontEnd(), Crop(duration=1.0)
    settings = WaveformAugmentation(copies=2)

    def prepare(folder, copy=None):
        return prepare_features(cycles, crop, front_end, tmp_path / folder, None, copy)

    plain, copies = prepare("a"), [prepare("a", ChangedCopy(settings, number)) for number in (1, 2)]
    again = prepare("b", ChangedCopy(settings, 2))
    for index in range(4):
        arrays = [store.features(index) for store in (plain, *copies)]
        assert len({array.tobytes() for array in arrays}) == 3
        assert {array.shape for array in arrays} == {arrays[0].shape}
        np.testing.assert_array_equal(again.features(index), arrays[2])
    dataset = CycleFeatures(replace(plain, copies=tuple(copies)), SpectrogramAugmentation(), seed=1)
    assert len(dataset) == 4
    counts = np.zeros(3)
    for dataset.epoch in range(150):
        drawn = dataset[1][1]["log_mel"]
        same = [torch.equal(drawn, torch.from_numpy(store.features(1))) for store in (plain, *copies)]
        counts[same.index(True)] += 1
    assert counts.min() > 30


def test_training_with_copies(made_corpus, feature_cache, tmp_path) -> None:
    changes = {
        "epochs": 1, "crop.duration": 0.6, "selection": "last", "validation_share": 0.0, "waveform.copies": 1,
    }  # fmt: skip
    recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), changes)
    settings = {"accelerator": "cpu", "show_progress": False}
    plain = change_recipe(recipe, {"waveform.copies": 0})
    train(recipe, [1], RunSettings(made_corpus, tmp_path / "copies", **settings))
    train(plain, [1], RunSettings(made_corpus, tmp_path / "plain", **settings))
    one, other = ((tmp_path / name / "predictions.csv").read_text() for name in ("copies", "plain"))
    assert one != other
    assert len(one.splitlines()) == len(other.splitlines())


def test_boundaries_of_copies_move_by_the_jitter_and_stay_in_the_recording():
    copy = ChangedCopy(WaveformAugmentation(boundary_jitter=0.2), 1)
    moved = np.array([copy.move(5.0, 8.0, 15.0, f"r@{number}") for number in range(400)])
    assert moved[:, 0].mean() == pytest.approx(5.0, abs=0.03)
    assert moved[:, 0].std() == pytest.approx(0.2, rel=0.1)
    assert moved[:, 1].std() == pytest.approx(0.2, rel=0.1)
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.15
    assert copy.move(5.0, 8.0, 15.0, "r@1") == copy.move(5.0, 8.0, 15.0, "r@1")
    short = np.array([copy.move(0.1, 0.3, 0.35, f"r@{number}") for number in range(200)])
    assert (short >= 0).all()
    assert (short <= 0.35).all()
    assert (short[:, 1] - short[:, 0] >= 0.1 - 1e-9).all()
    assert ChangedCopy(WaveformAugmentation(), 1).move(5.0, 8.0, 15.0, "r") == (5.0, 8.0)


def test_one_of_the_changes_at_a_time_and_all_of_them_in_turn() -> None:
    names = ("noise", "speed", "loudness", "vocal-tract", "pitch")
    settings = WaveformAugmentation(one_of=names, speed=0.2, gain_db=6.02, lowest_snr_db=10.0)
    found = []
    for seed in range(200):
        changed = augment_waveform(TONE, settings, np.random.default_rng(seed), RATE)
        middle = changed[2000:-2000]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        moved = spectrum.argmax() * RATE / len(middle) - 400
        ratio = middle @ TONE[2000:-2000] / (TONE[2000:-2000] @ TONE[2000:-2000]) if len(changed) == len(TONE) else 0
        if len(changed) != len(TONE):
            found.append("speed")
        elif np.allclose(middle, ratio * TONE[2000:-2000], atol=1e-4) and abs(ratio - 1) > 0.01:
            assert 0.49 < ratio < 2.01
            found.append("loudness")
        elif abs(ratio - 1) <= 0.01:
            found.append("noise")
        else:
            assert -42 < moved < 400 * (2**0.25 - 1) + 2
            found.append("moved")
    assert all(found.count(name) > 20 for name in ("noise", "speed", "loudness"))
    assert 55 < found.count("moved") < 105  # two of the five
