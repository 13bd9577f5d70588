import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from add4rsc.audio.io import read_info, read_waveform
from add4rsc.datasets.opening import open_dataset
from add4rsc.inference import segment
from add4rsc.inference._base import Stretch
from add4rsc.inference._breath_network import STEP_TIME, BreathTracks
from add4rsc.inference.cycles import windows
from add4rsc.inference.segment import BLOCK, CONTEXT, find_cycles


def breathe(starts, duration, rate, *, heart=0.0, noise=1e-4, seed=0):
    """Band-limited noise that swells for 1 s from each start and fades slowly, with heart beats of 80 Hz."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(duration * rate)) / rate
    loudness = np.full(len(time), 0.0)
    for start in starts:
        since = time - start
        loudness += np.where(since > 0, np.minimum(since / 0.15, 1) * np.exp(-np.maximum(since - 0.6, 0) / 0.3), 0)
    air = sosfilt(
        butter(2, [150, min(1500, 0.45 * rate)], "bandpass", fs=rate, output="sos"),
        generator.standard_normal(len(time)),
    )
    beats = np.exp(-((time % 0.83) ** 2) / 0.002) * np.sin(2 * np.pi * 80 * time)
    return (0.05 * loudness * air + heart * beats + noise * generator.standard_normal(len(time))).astype(np.float32)


def regular(period, duration, first=0.7):
    return np.arange(first, duration - 1, period)


def worst(found, starts):
    """Largest distance from a start to the nearest one found."""
    return max(min(abs(each.start - start) for each in found) for start in starts)


@pytest.mark.parametrize("rate", [2_000, 4_000, 44_100])
@pytest.mark.parametrize("period", [1.6, 2.5, 4.0])
def test_breaths_are_found_at_any_rate(rate, period):
    starts = regular(period, 24.0)
    found = find_cycles(breathe(starts, 24.0, rate), rate)
    assert worst(found, starts) < 0.12
    assert len(starts) <= len(found) <= len(starts) + 1


@pytest.mark.parametrize("heart", [0.05, 0.2, 0.5])
def test_heart_beats_are_no_breaths(heart):
    starts = regular(2.5, 30.0)
    found = find_cycles(breathe(starts, 30.0, 4_000, heart=heart), 4_000)
    assert worst(found, starts) < 0.12
    assert len(found) <= len(starts) + 1


def test_loudness_does_not_matter():
    waveform = breathe(regular(2.5, 20.0), 20.0, 4_000)
    starts = [each.start for each in find_cycles(waveform, 4_000)]
    assert [each.start for each in find_cycles(waveform * 0.05, 4_000)] == pytest.approx(starts, abs=0.05)


def test_stretches_follow_each_other_to_the_end():
    found = find_cycles(breathe(regular(2.2, 40.0, first=3.0), 40.0, 4_000), 4_000)
    assert found[0].start == 0.0  # what is before the first breath is too long to be left out
    assert found[-1].end == 40.0
    assert all(left.end == right.start for left, right in itertools.pairwise(found))
    assert all(each.duration > 0.5 for each in found)


def test_long_pause_is_divided():
    starts = np.concatenate([regular(2.0, 15.0), 30 + regular(2.0, 15.0)])
    found = find_cycles(breathe(starts, 45.0, 4_000), 4_000)
    assert max(each.duration for each in found) < 5.5


@pytest.mark.parametrize("unit", ["cycle", "event"])
@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros(10), np.zeros(40_000), np.full(40_000, 0.5)])
def test_where_nothing_breathes(waveform, unit):
    assert find_cycles(waveform.astype(np.float32), 4_000, unit) == []


def test_result_is_the_same_twice():
    waveform = breathe(regular(2.5, 20.0), 20.0, 4_000)
    assert find_cycles(waveform, 4_000) == find_cycles(waveform.copy(), 4_000)


def test_place_depends_on_its_surroundings_alone():
    generator = np.random.default_rng(1)
    starts = np.cumsum(generator.uniform(2.0, 3.5, 260))
    waveform = breathe(starts, 600.0, 2_000)
    changed = waveform.copy()
    changed[(500 * 2_000) :] = 0.1 * generator.standard_normal(100 * 2_000)
    unaffected = 3 * BLOCK  # the block before the one that sees second 500 with its context
    assert unaffected + CONTEXT < 500
    before, after = (
        [each.start for each in find_cycles(each_waveform, 2_000) if each.start < unaffected - 10]
        for each_waveform in (waveform, changed)
    )
    assert before == after
    assert len(before) > 100


def test_seams_of_blocks_lose_nothing():
    starts = regular(2.5, 3 * BLOCK)
    found = find_cycles(breathe(starts, 3 * BLOCK, 2_000), 2_000)
    assert worst(found, starts) < 0.12
    assert len(found) <= len(starts) + 1


def test_memory_beside_the_waveform_is_small():
    waveform = breathe(regular(2.5, 300.0), 300.0, 8_000)
    tracemalloc.start()
    find_cycles(waveform, 8_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < waveform.nbytes


def tracks_of(generator, n_frames):
    return BreathTracks(*generator.normal(-1.0, 2.5, (4, n_frames)).astype(np.float32))


def gain_of(tracks, events):
    """What a choice of events gains, straight from the definition."""
    gain = 0.0
    for start, end in events:
        length = (end - start) * STEP_TIME
        if not segment.SHORTEST_EVENT <= length <= segment.LONGEST_EVENT:
            return -np.inf
        gain += tracks.event_start[start] + tracks.event_end[end] - segment.EVENT_COST
        gain += segment.INSIDE_WEIGHT * STEP_TIME * tracks.event_inside[start:end].sum()
        gain -= segment.LENGTH_WEIGHT * (np.log(length / segment.USUAL_EVENT) / segment.EVENT_SPREAD) ** 2
    return gain


@pytest.mark.parametrize("seed", range(6))
def test_chosen_events_gain_most_of_all_choices(seed):
    tracks = tracks_of(np.random.default_rng(seed), 30)
    starts = sorted({0, *segment._peaks(tracks.event_start, segment.LEAST_EVENT_LOGIT)})
    ends = sorted({29, *segment._peaks(tracks.event_end, segment.LEAST_EVENT_LOGIT)})
    single = [(start, end) for start in starts for end in ends if end > start]
    choices = [
        each
        for n_events in range(4)
        for each in itertools.combinations(single, n_events)
        if all(left[1] <= right[0] for left, right in itertools.pairwise(each))
    ]
    found = segment._best_events(tracks)
    assert gain_of(tracks, found) == pytest.approx(max(gain_of(tracks, each) for each in choices), abs=1e-4)


@pytest.mark.parametrize("rate", [4_000, 44_100])
def test_events_begin_with_the_sound_and_end_with_it(rate):
    starts = regular(2.5, 24.0)
    found = find_cycles(breathe(starts, 24.0, rate, noise=0.01), rate, "event")
    assert worst(found, starts) < 0.2
    near = [min(found, key=lambda each: abs(each.start - start)) for start in starts]
    assert all(0.7 < each.duration < 2.1 for each in near)  # 14 dB down after 1.1 s, in the noise soon after


def test_events_never_overlap():
    waveform = breathe(np.cumsum(np.random.default_rng(2).uniform(1.2, 3.0, 130)), 300.0, 4_000)
    found = find_cycles(waveform, 4_000, "event")
    assert len(found) > 100
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))
    assert all(0.15 < each.duration < 6.1 for each in found)
    assert found[-1].end <= 300.0


def test_events_of_two_blocks_that_disagree():
    found = [Stretch(0.0, 2.0)]
    segment._add_event(found, Stretch(1.5, 3.0))
    segment._add_event(found, Stretch(1.6, 3.0))
    assert found == [Stretch(0.0, 1.5), Stretch(1.5, 3.0)]


def test_seams_of_blocks_lose_no_event():
    starts = regular(2.5, 3 * BLOCK)
    found = find_cycles(breathe(starts, 3 * BLOCK, 2_000), 2_000, "event")
    at_seams = [start for start in starts if min(start % BLOCK, BLOCK - start % BLOCK) < 6.0]
    assert len(at_seams) > 8
    assert worst(found, at_seams) < 0.2


@pytest.mark.data
def test_real_breaths_are_found_better_than_by_windows(shared_data: Path):
    starts: dict[Path, list[float]] = {}
    for cycle in open_dataset(shared_data / "icbhi2017_subset").cycles():
        starts.setdefault(cycle.recording.path, []).append(cycle.start)
    hits = {"envelope": 0, "windows": 0}
    n_cycles = 0
    for path in sorted(starts)[::20]:
        annotated = np.array(starts[path])
        found = np.array([each.start for each in find_cycles(read_waveform(path, 4_000), 4_000)])
        n_cycles += len(annotated)
        hits["envelope"] += int((np.abs(annotated[:, None] - found).min(axis=1) <= 0.2).sum())
        grid = np.arange(0, annotated.max() + 3, 1.5)
        hits["windows"] += int((np.abs(annotated[:, None] - grid).min(axis=1) <= 0.2).sum())
    assert hits["envelope"] > 1.5 * hits["windows"]
    assert hits["envelope"] > 0.5 * n_cycles


@pytest.mark.data
def test_real_events_are_overlapped_more_than_by_windows(shared_data: Path):
    dataset = open_dataset(shared_data / "sprsound2022")
    events: dict[Path, list[tuple[float, float]]] = {}
    for event in dataset.cycles():
        events.setdefault(event.recording.path, []).append((event.start, event.end))
    shares = {"found": 0.0, "windows": 0.0}
    n_events = 0
    for path in sorted(events)[::60]:
        rate = read_info(path).sample_rate
        found = find_cycles(read_waveform(path, rate), rate, "event")
        for start, end in events[path]:
            n_events += 1
            for name, stretches in (("found", found), ("windows", windows(16.0, 1.5))):
                shares[name] += max(
                    (max(0, min(end, each.end) - max(start, each.start)))
                    / (max(end, each.end) - min(start, each.start))
                    for each in stretches
                )
    assert shares["found"] > 0.55 * n_events
    assert shares["found"] > shares["windows"] + 0.05 * n_events
