"""WAV that is made while it is sent, against libsndfile."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from add4rsc.audio.io import AudioInfo, read_info
from add4rsc.serve import playback
from add4rsc.serve.playback import Playback, read_range


@pytest.fixture
def recorded(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32767, (44_100 * 2, 1), dtype=np.int16)
    soundfile.write(tmp_path / "noise.flac", samples, 44_100)
    return tmp_path / "noise.flac", samples[:, 0]


def test_every_sample_is_as_it_was(recorded, monkeypatch):
    path, samples = recorded
    monkeypatch.setattr(playback, "FRAMES_AT_ONCE", 7001)
    whole = Playback(read_info(path), 0.0, 2.0)
    content = b"".join(whole.stream(path, 0, whole.n_bytes))
    heard, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    assert rate == 44_100
    assert np.array_equal(heard, samples)


def test_what_a_decoder_owes_is_silent(recorded):
    path, samples = recorded
    longer = Playback(AudioInfo(44_100, 1, 3 * 44_100, ""), 1.5, 2.5)
    content = b"".join(longer.stream(path, 0, longer.n_bytes))
    heard, _ = soundfile.read(io.BytesIO(content), dtype="int16")
    assert len(heard) == 44_100
    assert np.array_equal(heard[:22_050], samples[66_150:])
    assert not heard[22_050:].any()


@given(first=st.integers(0, 2000), last=st.integers(0, 2000), n_bytes=st.integers(1, 1000))
def test_ranges(first, last, n_bytes):
    if last < first:
        assert read_range(f"bytes={first}-{last}", n_bytes) is None or first < n_bytes
    elif first >= n_bytes:
        with pytest.raises(ValueError, match="are not among"):
            read_range(f"bytes={first}-{last}", n_bytes)
    else:
        assert read_range(f"bytes={first}-{last}", n_bytes) == (first, min(last + 1, n_bytes))


@pytest.mark.parametrize("header", ["", "bytes", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=5-4"])
def test_what_is_no_range_asks_for_all(header):
    assert read_range(header, 100) is None


def test_nothing_at_the_end():
    with pytest.raises(ValueError, match="are not among"):
        read_range("bytes=-0", 100)
