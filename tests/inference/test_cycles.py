"""Where stretches come from, and that long files are walked through in parts."""

import itertools

import numpy as np
import pytest

from add4rsc.audio.io import read_info
from add4rsc.errors import AnnotationError
from add4rsc.inference import cycles
from add4rsc.inference._base import Stretch
from add4rsc.inference.cycles import part_length, survey_recording, unit_of, windows


@pytest.mark.parametrize("duration", [0.3, 2.0, 2.4, 3.0, 10.1, 61.7])
def test_windows_cover_everything_and_overlap_by_half(duration):
    found = windows(duration, 2.0)
    assert found[0].start == 0
    assert found[-1].end >= duration - 0.25
    assert all(each.end <= duration + 1e-6 for each in found)
    assert all(0 < b.start - a.start <= 1.0 for a, b in itertools.pairwise(found))
    assert all(each.duration == pytest.approx(min(2.0, duration)) for each in found)


def test_an_annotation_beside_is_used(write):
    path = write("a.wav")
    path.with_suffix(".txt").write_text("0.5\t2.0\t1\t0\n2.0\t5.5\t0\t0\n")
    survey = survey_recording(path, read_info(path), "auto", 2.0)
    assert survey.cycles_from == "annotation"
    assert survey.stretches == (Stretch(0.5, 2.0), Stretch(2.0, 5.5))
    assert survey_recording(path, read_info(path), "windows", 2.0).cycles_from == "windows"


def test_without_an_annotation_annotation_means_windows(write):
    path = write("a.wav")
    assert survey_recording(path, read_info(path), "annotation", 2.0).cycles_from == "windows"


def test_an_annotation_past_the_end_is_an_error(write):
    path = write("a.wav")
    path.with_suffix(".txt").write_text("0.5\t2.0\t1\t0\n9.0\t9.5\t0\t0\n")
    with pytest.raises(AnnotationError, match="another recording's"):
        survey_recording(path, read_info(path), "auto", 2.0)


def test_an_annotation_that_reaches_over_the_end_is_cut(write):
    path = write("a.wav")
    path.with_suffix(".txt").write_text("4.0\t6.5\t1\t0\n")
    assert survey_recording(path, read_info(path), "auto", 2.0).stretches == (Stretch(4.0, 6.0),)


def test_parts_tile_the_recording_and_each_has_its_own_flags(write, monkeypatch, breath):
    monkeypatch.setattr(cycles, "LONGEST_PART", 10.0)
    monkeypatch.setattr(cycles, "SHORTEST_PART", 1.0)
    waveform = breath(34.5)
    waveform[40_000:80_000] = 0
    path = write("long.wav", waveform)
    survey = survey_recording(path, read_info(path), "windows", 2.0)
    assert [(part.start, part.end) for part in survey.parts] == [(0, 10), (10, 20), (20, 30), (30, 34.5)]
    assert ["silence" in part.quality for part in survey.parts] == [False, True, False, False]
    assert "silence" in survey.quality_at(10.0)
    assert "silence" not in survey.quality_at(20.0)
    assert "silence" not in survey.quality
    assert "band_limited" in survey.quality


def test_the_last_part_takes_a_small_rest(write, monkeypatch, breath):
    monkeypatch.setattr(cycles, "LONGEST_PART", 10.0)
    monkeypatch.setattr(cycles, "SHORTEST_PART", 1.0)
    path = write("rest.wav", breath(20.5))
    parts = survey_recording(path, read_info(path), "windows", 2.0).parts
    assert [(part.start, part.end) for part in parts] == [(0, 10), (10, 20.5)]


@pytest.mark.parametrize(("rate", "channels"), [(4000, 1), (44_100, 2), (192_000, 8)])
def test_a_part_never_holds_many_samples(write, rate, channels):
    info = read_info(write("x.wav", np.zeros((rate, channels), np.float32), rate))
    length = part_length(info)
    assert 30 <= length <= 600
    assert length * rate * channels <= 2 * 2**24 or length == 30


def test_breaths_are_found_where_there_is_no_annotation(write, breath):
    path = write("a.wav", breath(60.0))
    survey = survey_recording(path, read_info(path), "auto", 2.0)
    assert survey.cycles_from == "envelope"
    assert 15 <= len(survey.stretches) <= 25
    distances = np.diff([each.start for each in survey.stretches])
    assert np.median(distances) == pytest.approx(3.0, abs=0.1)


def test_breaths_over_the_edges_of_parts_are_neither_lost_nor_doubled(write, breath, monkeypatch):
    path = write("a.wav", breath(100.0))
    whole = survey_recording(path, read_info(path), "envelope", 2.0).stretches
    monkeypatch.setattr(cycles, "LONGEST_PART", 31.0)
    monkeypatch.setattr(cycles, "SHORTEST_PART", 1.0)
    in_parts = survey_recording(path, read_info(path), "envelope", 2.0).stretches
    assert all(a.end <= b.start for a, b in itertools.pairwise(in_parts))
    assert abs(len(whole) - len(in_parts)) <= 1
    starts = np.array([each.start for each in whole])
    near = [np.abs(starts - each.start).min() for each in in_parts]
    assert np.mean(np.array(near) < 0.3) > 0.9


def test_noise_without_breaths_becomes_windows(write):
    path = write("a.wav", np.zeros(40_000, np.float32))
    assert survey_recording(path, read_info(path), "auto", 2.0).cycles_from == "windows"


def test_unit_is_that_of_the_task_that_a_network_learnt():
    assert unit_of({"dataset": "sprsound2022", "task": "cycle-4"}) == "event"
    assert unit_of({"dataset": "sprsound2022", "task": "task-2-1"}) == "cycle"
    assert unit_of({"dataset": "icbhi2017", "task": "cycle-4"}) == "cycle"
    assert unit_of({"dataset": "a corpus of tomorrow", "task": "cycle-4"}) == "cycle"
    assert unit_of({}) == "cycle"


def test_events_are_searched_for_if_they_are_asked_for(write):
    time = np.arange(30 * 4_000) / 4_000
    loudness = np.exp(-(((time % 3.0 - 1.0) / 0.3) ** 2))
    sound = 0.2 * loudness * np.random.default_rng(0).standard_normal(len(time))
    path = write("a.wav", sound.astype(np.float32))
    cycles = survey_recording(path, read_info(path), "envelope", 2.0).stretches
    events = survey_recording(path, read_info(path), "envelope", 2.0, "event").stretches
    assert sum(each.duration for each in events) < sum(each.duration for each in cycles)
    assert all(any(each.start < peak < each.end for each in events) for peak in np.arange(1.0, 30.0, 3.0))
