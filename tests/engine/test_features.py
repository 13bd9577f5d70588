import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.datasets.opening import open_dataset
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.engine.features import FeatureStore, cache_folder, prepare_features
from add4rsc.errors import AnnotationError, AudioError
from add4rsc.terms import Recording, RespiratoryCycle

FRONT_END = FrontEnd(sample_rate=4_000, n_mels=16, n_fft=128)
CROP = Crop(duration=0.5)


@pytest.fixture
def recording(tmp_path) -> Recording:
    """Two seconds of noise at 8 kHz."""
    path = tmp_path / "101_1b1_Al_sc_Meditron.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16_000), 8_000)
    return Recording(path.stem, path, "101")


@pytest.fixture
def cycles(recording) -> list[RespiratoryCycle]:
    """Out of order in time, one of them shorter than the crop."""
    times = [(1.2, 1.9), (0.1, 0.8), (0.8, 1.1)]
    return [RespiratoryCycle(recording, start, end, "normal") for start, end in times]


def modified(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def by_hand(path: Path, start: float, end: float) -> np.ndarray:
    """The cycle's samples, repeated to the crop's length, through the filter bank."""
    waveform, rate = soundfile.read(path, dtype="float32")
    waveform = soxr.resample(waveform, rate, 4_000, "HQ")
    cut = waveform[int(start * 4_000) : int(end * 4_000)]
    repeated = np.concatenate([cut] * 20)[:2_000]
    return LogMelFilterBank(FRONT_END)(torch.from_numpy(repeated)[None])[0].numpy()


def test_features_are_those_of_cycles_cut_by_hand(cycles, tmp_path):
    store = prepare_features(cycles, CROP, FRONT_END, tmp_path / "cache")
    assert len(store) == 3
    for index, cycle in enumerate(cycles):
        expected = by_hand(cycle.recording.path, cycle.start, cycle.end)
        np.testing.assert_allclose(store.features(index), expected, atol=1e-5)


def test_events_of_sprsound_are_cut_by_hand_too(tmp_path):
    dataset = SprSound2022(SprSound2022.fake(tmp_path / "corpus"))
    events = dataset.cycles()[::-1]
    store = prepare_features(events, CROP, FRONT_END, tmp_path / "cache")
    for index, event in enumerate(events):
        expected = by_hand(event.recording.path, event.start, event.end)
        np.testing.assert_allclose(store.features(index), expected, atol=2e-3)


def test_second_time_nothing_is_computed(cycles, tmp_path):
    cache = tmp_path / "cache"
    first = prepare_features(cycles, CROP, FRONT_END, cache)
    before = modified(cache)
    calls = []
    assert prepare_features(cycles, CROP, FRONT_END, cache, lambda *done: calls.append(done)) == first
    assert modified(cache) == before
    assert len(before) == 1
    assert calls == [(1, 1)]


@pytest.mark.parametrize("changed", ["sound", "crop", "front_end", "times"])
def test_whatever_changes_gives_new_features(cycles, tmp_path, changed):
    cache = tmp_path / "cache"
    first = prepare_features(cycles, CROP, FRONT_END, cache)
    crop, front_end = CROP, FRONT_END
    if changed == "sound":
        path = cycles[0].recording.path
        stat = path.stat()
        soundfile.write(path, 0.1 * np.random.default_rng(1).standard_normal(16_000), 8_000)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif changed == "crop":
        crop = Crop(duration=0.5, padding="zero")
    elif changed == "front_end":
        front_end = FRONT_END.model_copy(update={"mean": 0.0})
    else:
        cycles[0] = RespiratoryCycle(cycles[0].recording, 1.2, 1.5, "normal")
    second = prepare_features(cycles, crop, front_end, cache)
    assert not set(first.files) & set(second.files)
    changed_cycle = 2 if changed == "crop" else 0  # padding is of the short cycle alone
    assert not np.array_equal(first.features(changed_cycle), second.features(changed_cycle))


def test_renamed_corpus_keeps_its_features(cycles, recording, tmp_path):
    cache = tmp_path / "cache"
    first = prepare_features(cycles, CROP, FRONT_END, cache)
    moved = recording.path.rename(tmp_path / "102_1b1_Al_sc_Meditron.wav")
    cycles = [RespiratoryCycle(Recording("x", moved, "1"), cycle.start, cycle.end, "normal") for cycle in cycles]
    assert prepare_features(cycles, CROP, FRONT_END, cache) == first


def test_cycle_past_the_end_is_named(recording, tmp_path):
    cycle = RespiratoryCycle(recording, 2.5, 3.0, "normal")
    with pytest.raises(AnnotationError, match=r"101_1b1_Al_sc_Meditron.wav: has a cycle .* 2.5 and 3.0 s.*verify"):
        prepare_features([cycle], CROP, FRONT_END, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_lost_recording_is_named(cycles, recording, tmp_path):
    recording.path.unlink()
    with pytest.raises(AudioError, match=r"Meditron.wav: does not exist"):
        prepare_features(cycles, CROP, FRONT_END, tmp_path / "cache")


def test_cache_is_below_the_home_that_was_named(monkeypatch, tmp_path):
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "features"
    monkeypatch.delenv("ADD4RSC_HOME")
    assert cache_folder() == Path.home() / ".cache" / "add4rsc" / "features"


def test_different_rates_in_one_corpus_give_equal_shapes(made_corpus, tmp_path):
    cycles = open_dataset(made_corpus).cycles()[::9]
    store = prepare_features(cycles, CROP, FRONT_END, tmp_path)
    assert {store.features(index).shape for index in range(len(store))} == {(FRONT_END.n_frames(2_000), 16)}


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_are_read_one_by_one_also_of_a_file_that_was_written_anew(tmp_path, kind):
    path, draw = tmp_path / "stored.npy", np.random.default_rng(0)
    for moment, shape in enumerate([(3, 4, 5), (2, 6, 7)]):
        stored = draw.standard_normal(shape).astype(kind)
        np.save(path, stored)
        os.utime(path, ns=(moment, moment))
        store = FeatureStore((path,) * len(stored), tuple(range(len(stored))))
        for index in reversed(range(len(stored))):
            np.testing.assert_array_equal(store.features(index), stored[index])
