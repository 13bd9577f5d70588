"""What decisions rest on, as a picture."""

import base64

import numpy as np
import pytest

from add4rsc.inference._base import Stretch
from add4rsc.inference.occlusion import occlude


def picture_of(answer) -> np.ndarray:
    view = answer.json()
    return np.frombuffer(base64.b64decode(view["data"]), np.uint8).reshape(view["n_frames"], view["n_mels"])


@pytest.fixture
def recording(client, uploaded) -> dict:
    return uploaded()


def test_weights_are_those_of_the_cycle_that_lies_there(client, recording, classifier, sound, tmp_path):
    assert client.get("/v1/models").json()["views"]["explanation"] is True
    link = recording["links"]["self"]
    cycles = client.get(link).json()["result"]["cycles"]
    cycle = cycles[0]
    answer = client.get(f"{link}/explanation?frames=200&mels=32")
    view, shown = answer.json(), picture_of(answer)
    assert view["method"] == "occlusion"
    assert "not a medical device" in view["caption"]
    assert shown.max() == 255
    (tmp_path / "a.wav").write_bytes(sound())
    found = [occlude(classifier, tmp_path / "a.wav", Stretch(each["start"], each["end"])) for each in cycles]
    largest = max(float(each.weights.max()) for each in found)
    assert view["largest"] == pytest.approx(largest, abs=1e-6)
    middle = (cycle["start"] + cycle["end"]) / 2
    frame = int(middle / view["end"] * 200)
    time = (frame + 0.5) * view["end"] / 200
    expected = found[0].at(np.array([time]), np.array(view["hertz"]))[0] / largest
    assert np.allclose(shown[frame] / 255, expected, atol=0.01)


def test_too_much_at_once_and_a_wrong_span_are_refused(client, uploaded, sound):
    link = uploaded(sound(np.zeros(70 * 4000, np.float32)))["links"]["self"]
    assert client.get(f"{link}/explanation?start=0&end=69").status_code == 422
    assert client.get(f"{link}/explanation?start=80").status_code == 422
