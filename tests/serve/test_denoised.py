"""The denoised view, with a filter that is worked out by hand."""

import base64
import io

import numpy as np
import pytest
import soundfile

from add4rsc.inference._base import AbstractMelFilter, FilteredFrames, MelFrames


class Quieter(AbstractMelFilter):
    """A filter that takes a half of the amplitude away; its frames are mean squares in two bands."""

    frames = MelFrames(sample_rate=4000, frame_shift=40, first_centre=20, n_mels=2, f_min=0.0, f_max=2000.0)

    def apply(self, waveforms):
        power = np.square(waveforms.reshape(len(waveforms), -1, 40)).mean(axis=2)
        log_mel = np.log(np.stack([power, power], axis=-1) + 1e-10).astype(np.float32)
        return FilteredFrames(log_mel, (log_mel - 2 * np.log(2)).astype(np.float32))


@pytest.fixture
def links(classifier, uploaded):
    classifier.mel_filter = Quieter()
    return uploaded()["links"]


def test_models_without_a_filter_say_so(client, uploaded):
    answer = client.get(f"{uploaded()['links']['self']}/denoised")
    assert answer.status_code == 404
    assert "no ADD layer" in answer.json()["problem"]
    assert client.get("/v1/models").json()["views"]["denoised"] is False


def test_frames_before_and_after(client, links):
    assert client.get("/v1/models").json()["views"]["denoised"] is True
    view = client.get(f"{links['self']}/denoised?start=1&end=3").json()
    shape = (view["n_frames"], view["n_mels"])
    before, after, gain = (
        np.frombuffer(base64.b64decode(view[name]), np.uint8).reshape(shape) for name in ("before", "after", "gain")
    )
    assert shape[1] == len(view["hertz"]) == 2
    assert before.max() == 255
    loud = after > 0
    fall = (before.astype(float) - after)[loud] * view["range_db"] / 255
    assert fall == pytest.approx(np.full(loud.sum(), 20 * np.log10(2)), abs=0.3)
    assert np.abs(gain.astype(float) / 255 - 0.5).max() < 0.01
    assert "Illustrative" in view["note"]


def test_sound_after(client, links):
    content = client.get(f"{links['self']}/denoised/audio?start=1&end=3").content
    after, rate = soundfile.read(io.BytesIO(content))
    before, _ = soundfile.read(io.BytesIO(client.get(f"{links['audio']}?start=1&end=3").content))
    assert (rate, len(after)) == (4000, len(before))
    assert np.abs(after[200:-200] - before[200:-200] / 2).max() < 0.01
    part = client.get(f"{links['self']}/denoised/audio?start=1&end=3", headers={"Range": "bytes=40-99"})
    assert (part.status_code, part.content) == (206, content[40:100])
