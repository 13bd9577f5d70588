"""One recording: the right samples reach the network, whatever its length, rate and channels."""

import tracemalloc

import numpy as np
import pytest
import soxr

from add4rsc.audio.crop import BandPass, Crop, crop_cycle, fade_recording
from add4rsc.audio.io import read_waveform
from add4rsc.inference import cycles, pipeline
from add4rsc.inference.calibration import to_probabilities
from add4rsc.inference.pipeline import Choices, classify_file, unjudged_problem
from add4rsc.metrics.smoothing import smooth_recordings

WINDOWS = Choices("windows")


def by_hand(classifier, path, stretches):
    """What training does: read the whole file, crop, and run all at once."""
    rate, crop = classifier.sample_rate, classifier.crop
    waveform = fade_recording(read_waveform(path, rate), rate, crop)
    cropped = np.stack([crop_cycle(waveform, rate, start, end, crop) for start, end in stretches])
    return to_probabilities(classifier.logits(cropped.astype(np.float32)), classifier.temperature)


CROPS = [
    Crop(duration=2.0),
    Crop(duration=1.5, kept="end"),
    Crop(duration=3.0, padding="zero", recording_fade=0.0625),
    Crop(duration=4.0, recording_fade=0.5, repeat_fade=0.0625, band_pass=BandPass(order=5, low=100.0, high=1800.0)),
]


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("rate", [4000, 44_100])
def test_cycles_are_cropped_as_in_training(write, crop, rate, breath, hand):
    path = write("a.wav", breath(9.0, rate), rate)
    rows = [(0.2, 1.7), (1.7, 6.9), (6.9, 8.95)]
    path.with_suffix(".txt").write_text("".join(f"{start}\t{end}\t0\t0\n" for start, end in rows))
    classifier = hand(crop)
    result = classify_file(classifier, path, "a.wav")
    found = np.array([cycle.probabilities for cycle in result.cycles])
    assert [(cycle.start, cycle.end) for cycle in result.cycles] == rows
    assert np.abs(found - by_hand(classifier, path, rows)).max() < 2e-6
    assert found.std(axis=0).max() > 0.01


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("rate", [4000, 11_025])
def test_the_edges_of_parts_change_nothing(write, monkeypatch, crop, rate, breath, hand):
    path = write("a.wav", breath(95.3, rate), rate)
    whole = classify_file(hand(crop), path, "a", WINDOWS)
    monkeypatch.setattr(cycles, "LONGEST_PART", 7.0)
    monkeypatch.setattr(cycles, "SHORTEST_PART", 7.0)
    in_parts = classify_file(hand(crop), path, "a", WINDOWS)
    rows = [np.array([cycle.probabilities for cycle in each.cycles]) for each in (whole, in_parts)]
    assert [cycle.start for cycle in whole.cycles] == [cycle.start for cycle in in_parts.cycles]
    assert np.abs(rows[0] - rows[1]).max() < 1e-5


def test_stereo_is_averaged_and_any_rate_is_resampled(write, breath, hand):
    waveform = breath(6.0, 22_050)
    stereo = write("s.flac", np.stack([waveform, np.zeros_like(waveform)], axis=1), 22_050, subtype="PCM_24")
    mono = write("m.wav", 0.5 * waveform, 22_050, subtype="FLOAT")
    first, second = (classify_file(hand(), path, "x", WINDOWS) for path in (stereo, mono))
    rows = [np.array([cycle.probabilities for cycle in each.cycles]) for each in (first, second)]
    assert np.abs(rows[0] - rows[1]).max() < 1e-4
    native = soxr.resample(0.5 * waveform, 22_050, 4000)
    expected = to_probabilities(hand().logits(native[None, :8000].astype(np.float32)), 2.0)
    assert np.abs(rows[1][0] - expected[0]).max() < 1e-4


@pytest.mark.parametrize(
    "how",
    [
        {"name": "a.WAV", "subtype": "ULAW"},
        {"name": "a.wav", "subtype": "ALAW"},
        {"name": "a.wav", "subtype": "IMA_ADPCM"},
        {"name": "a.wav", "subtype": "PCM_U8"},
        {"name": "a.wav", "subtype": "GSM610"},
        {"name": "a.mp3"},
        {"name": "a.ogg"},
        {"name": "a.opus", "format": "OGG", "subtype": "OPUS"},
        {"name": "a.au"},
        {"name": "a.caf"},
        {"name": "a.w64"},
        {"name": "a.AIFF"},
        {"name": "wrong.mp3", "format": "WAV"},
        {"name": "wrong.wav", "format": "FLAC"},
        {"name": "mit Leerzeichen und ümläut 呼吸.wav"},
    ],
    ids=str,
)
def test_every_format_gives_nearly_the_same(write, how, breath, hand):
    waveform = breath(6.0, 8000)
    name = how.pop("name")
    plain = classify_file(hand(), write("plain.wav", waveform, 8000, subtype="FLOAT"), "x", WINDOWS)
    coded = classify_file(hand(), write(name, waveform, 8000, **how), "x", WINDOWS)
    rows = [np.array([cycle.probabilities for cycle in each.cycles[:5]]) for each in (plain, coded)]
    assert np.abs(rows[0] - rows[1]).max() < 0.12
    assert coded.duration == pytest.approx(6.0, abs=0.1)


def test_192_khz(write, breath, hand):
    result = classify_file(hand(), write("a.wav", breath(3.0, 192_000), 192_000), "a", WINDOWS)
    assert result.is_judged
    assert result.sample_rate == 192_000


@pytest.mark.parametrize(
    ("waveform", "flag"),
    [
        (np.zeros(20_000, np.float32), "silence"),
        (0.1 * np.sin(np.arange(200)), "too_short"),
        (np.full(9000, 0.2), "silence"),
    ],
)
def test_what_cannot_be_judged_abstains_and_no_network_sees_it(write, classifier, waveform, flag):
    result = classify_file(classifier, write("a.wav", waveform), "a", WINDOWS)
    assert classifier.batches == []
    assert not result.is_judged
    assert all(cycle.abstains and flag in cycle.quality and cycle.probabilities == () for cycle in result.cycles)
    assert len(result.cycles) > 0
    assert result.quality == (flag,)
    assert "cannot be judged" in unjudged_problem(result)


def test_a_silent_stretch_of_a_good_recording_abstains(write, classifier, breath):
    waveform = breath(20.0)
    waveform[16_000:32_000] = 0
    result = classify_file(classifier, write("a.wav", waveform), "a", WINDOWS)
    silent = [cycle.start for cycle in result.cycles if "silence" in cycle.quality]
    assert silent == [4.0, 5.0, 6.0]
    assert sum(classifier.batches) == len(result.cycles) - 3
    assert unjudged_problem(result) == ""


def test_thresholds_of_the_model_and_of_the_user(write, hand):
    path = write("a.wav")
    never = classify_file(hand(thresholds=dict.fromkeys(hand.classes, 1.0)), path, "a", WINDOWS)
    always = classify_file(hand(), path, "a", Choices("windows", threshold=0.0))
    assert all(cycle.abstains and cycle.is_judged for cycle in never.cycles)
    assert not any(cycle.abstains for cycle in always.cycles)


def test_cycles_are_moved_towards_their_recording(write, hand, breath):
    waveform = breath(12.0)
    waveform[16_000:32_000] = 0
    path = write("a.wav", waveform)
    alone, moved = (classify_file(hand(), path, "a", Choices("windows", smoothing=share)) for share in (0.0, 0.5))
    rows, found = (
        np.array([cycle.probabilities for cycle in each.cycles if cycle.is_judged]) for each in (alone, moved)
    )
    assert 1 < len(rows) < len(alone.cycles)
    np.testing.assert_allclose(found, smooth_recordings(rows, ["a"] * len(rows), 0.5), atol=2e-6)
    assert found.std(axis=0).max() < rows.std(axis=0).max()
    again = classify_file(hand(), path, "a", Choices("windows", smoothing=0.0))
    assert again == alone


def test_batches_are_cut_but_never_mixed(write, classifier, monkeypatch, breath, hand):
    monkeypatch.setattr(pipeline, "N_AT_ONCE", 4)
    result = classify_file(classifier, write("a.wav", breath(12.0)), "a", WINDOWS)
    assert classifier.batches == [4, 4, 3]
    one = classify_file(hand(), write("b.wav", breath(12.0)), "b", WINDOWS)
    assert result.cycles == one.cycles


def test_the_patient_is_read_from_the_name(write, hand):
    path = write("101_1b1_Al_sc_Meditron.wav")
    assert classify_file(hand(), path, path.name, WINDOWS).patient == "101"
    assert classify_file(hand(), path, path.name, Choices("windows", None, r"_(\d+)b")).patient == "1"


def test_memory_does_not_grow_with_length(write, breath, hand):
    peaks = []
    for minutes in (12, 36):
        path = write(f"{minutes}.wav", np.tile(breath(60.0), minutes))
        tracemalloc.start()
        classify_file(hand(), path, "long", WINDOWS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("rule", ["mean", "majority"])
def test_windows_of_a_long_cycle_vote(write, breath, hand, rule):
    path = write("a.wav", breath(12.0))
    rows = [(0.2, 1.7), (1.7, 9.0), (9.0, 11.8)]
    path.with_suffix(".txt").write_text("".join(f"{start}\t{end}\t0\t0\n" for start, end in rows))
    classifier = hand(Crop(duration=2.0, windows=rule))
    found = np.array([cycle.probabilities for cycle in classify_file(classifier, path, "a.wav").cycles])
    starts = [0.2, 1.7, 2.7, 3.7, 4.7, 5.7, 6.7, 6.999, 9.0, 9.799]
    parts = [(start, 1.7 if start < 1 else 9.0 if start < 9 else 11.8) for start in starts]
    windows = by_hand(classifier, path, parts)
    assert np.abs(found[0] - windows[0]).max() < 2e-6
    for row, own in ((1, windows[1:8]), (2, windows[8:])):
        decisions = own.argmax(axis=1).tolist()
        winner = max(set(decisions), key=decisions.count)
        voting = own if rule == "mean" else own[own.argmax(axis=1) == winner]
        assert np.abs(found[row] - voting.mean(axis=0)).max() < 2e-6
    alone = classify_file(hand(Crop(duration=2.0)), path, "a.wav").cycles[1]
    assert np.abs(found[1] - np.array(alone.probabilities)).max() > 1e-3
