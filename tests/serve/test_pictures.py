"""Peaks, spectrograms and audio as the page asks for them."""

import base64
import io
import json

import numpy as np
import pytest
import soundfile


@pytest.fixture
def recording(uploaded):
    return uploaded()["links"]


def test_peaks_of_all_and_of_a_part(client, recording, sound):
    samples, _rate = soundfile.read(io.BytesIO(sound()))
    answer = client.get(recording["peaks"], params={"buckets": 60}).json()
    assert answer["min"] == pytest.approx(samples.reshape(60, -1).min(axis=1), abs=5e-5)
    assert answer["max"] == pytest.approx(samples.reshape(60, -1).max(axis=1), abs=5e-5)
    part = client.get(recording["peaks"], params={"start": 1.5, "end": 2.5, "buckets": 4}).json()
    assert part["max"] == pytest.approx(samples[6000:10_000].reshape(4, -1).max(axis=1), abs=5e-5)
    assert (part["start"], part["end"], part["duration"]) == (1.5, 2.5, 6.0)


@pytest.mark.parametrize(
    "query", ["start=6", "start=7", "start=3&end=2", "start=-1", "buckets=0", "buckets=9999", "end=nan"]
)
def test_parts_that_are_none(client, recording, query):
    answer = client.get(f"{recording['peaks']}?{query}")
    assert answer.status_code == 422
    assert answer.json()["remedy"]


def test_a_spectrogram_as_json_and_as_bytes(client, recording):
    params = {"frames": 40, "mels": 32, "start": 1.0, "end": 5.0}
    as_json = client.get(recording["spectrogram"], params=params).json()
    as_bytes = client.get(recording["spectrogram"], params=params, headers={"Accept": "application/octet-stream"})
    assert base64.b64decode(as_json.pop("data")) == as_bytes.content
    assert len(as_bytes.content) == 40 * 32
    assert json.loads(as_bytes.headers["x-spectrogram"]) == as_json
    assert len(as_json["hertz"]) == 32
    assert sorted(as_json["hertz"]) == as_json["hertz"]


def test_a_tone_is_drawn_at_its_frequency(client, uploaded, sound):
    tone = 0.5 * np.sin(2 * np.pi * 700 * np.arange(40_000) / 8000).astype(np.float32)
    answer = client.get(uploaded(sound(tone, 8000))["links"]["spectrogram"]).json()
    levels = np.frombuffer(base64.b64decode(answer["data"]), np.uint8).reshape(800, 96)
    loudest = np.array(answer["hertz"])[levels[10:-10].argmax(axis=1)]
    assert np.abs(loudest - 700).max() < 20


def test_audio_is_the_sound(client, recording, sound):
    answer = client.get(recording["audio"])
    assert answer.headers["content-type"] == "audio/wav"
    assert int(answer.headers["content-length"]) == len(answer.content)
    expected, _ = soundfile.read(io.BytesIO(sound()), dtype="int16")
    heard, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate == 4000
    assert np.array_equal(heard, expected)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 43), (30, 50), (44, 45), (45, 4444), (47_000, 48_043)])
def test_ranges_are_parts_of_the_whole(client, recording, first, last):
    whole = client.get(recording["audio"]).content
    answer = client.get(recording["audio"], headers={"Range": f"bytes={first}-{last}"})
    assert answer.status_code == 206
    assert answer.content == whole[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"


def test_ranges_outside_and_heads(client, recording):
    n_bytes = len(client.get(recording["audio"]).content)
    outside = client.get(recording["audio"], headers={"Range": f"bytes={n_bytes}-"})
    assert outside.status_code == 416
    head = client.head(recording["audio"])
    assert (head.content, int(head.headers["content-length"])) == (b"", n_bytes)
    assert head.headers["accept-ranges"] == "bytes"


def test_a_part_of_the_audio(client, recording):
    heard, _rate = soundfile.read(
        io.BytesIO(client.get(f"{recording['audio']}?start=1&end=2.5").content), dtype="int16"
    )
    whole, _ = soundfile.read(io.BytesIO(client.get(recording["audio"]).content), dtype="int16")
    assert np.array_equal(heard, whole[4000:10_000])


def test_slow_rates_are_raised_for_browsers(client, uploaded, sound, breath):
    heard, rate = soundfile.read(
        io.BytesIO(client.get(uploaded(sound(breath(3.0, 2000), 2000))["links"]["audio"]).content)
    )
    assert rate == 8000
    assert len(heard) == 24_000
