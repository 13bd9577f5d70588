"""Recordings that are held: uploaded, asked for, judged again, deleted, forgotten."""

import time

import numpy as np
import pytest


def test_a_recording_tells_all_that_is_known_of_it(client, uploaded, sound):
    facts = uploaded()
    assert facts["status"] == "done"
    assert facts["progress"]["share"] == 1.0
    assert (facts["patient"], facts["chest_location"], facts["chest_location_words"]) == ("101", "Al", "anterior left")
    assert (facts["duration"], facts["sample_rate"], facts["n_channels"]) == (6.0, 4000, 1)
    assert facts["size"] == len(sound())
    assert facts["problem"] is None
    direct = client.post("/v1/predict", files={"f": ("101_1b1_Al_sc_Meditron.wav", sound())}).json()
    assert facts["result"] == direct["recordings"][0]
    for link in facts["links"].values():
        assert client.get(link).status_code == 200


def test_names_lose_their_folders_and_control_characters(client, uploaded):
    assert uploaded(name="../../etc/pass\u202ewd.wav")["file"] == "passwd.wav"
    assert uploaded(name="C:\\ward\\breath.wav")["file"] == "breath.wav"
    assert uploaded(name="..")["file"] == "recording"
    assert len(uploaded(name="b" * 500 + ".wav")["file"]) <= 120


def test_several_at_once_with_a_bad_one(client, sound):
    files = [("f", ("one.wav", sound())), ("f", ("two.txt", b"a note")), ("f", ("three.wav", sound()))]
    answer = client.post("/v1/recordings", files=files)
    assert answer.status_code == 201
    assert [each["file"] for each in answer.json()["recordings"]] == ["one.wav", "three.wav"]
    assert [each["file"] for each in answer.json()["errors"]] == ["two.txt"]


def test_silence_is_done_but_not_judged(uploaded, sound):
    facts = uploaded(sound(np.zeros(16_000)))
    assert facts["status"] == "done"
    assert "no sound" in facts["problem"]["problem"]
    assert all(cycle["probabilities"] is None for cycle in facts["result"]["cycles"])


def test_what_cannot_be_decoded_has_failed(client, uploaded, sound):
    content = bytearray(sound(kind="FLAC"))
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    facts = uploaded(bytes(content), "broken.flac")
    assert facts["status"] == "failed"
    assert facts["result"] is None
    assert facts["problem"]["remedy"]
    assert client.get(facts["links"]["predictions"]).status_code == 422


def test_deleting_forgets_everything_at_once(client, uploaded):
    facts = uploaded()
    assert client.delete(facts["links"]["self"]).status_code == 204
    for link in facts["links"].values():
        assert client.get(link).status_code == 404
    assert client.delete(facts["links"]["self"]).status_code == 404
    assert client.app.state.service.memory.n_bytes == 0


def test_a_deleted_recording_leaves_the_queue(serve, classifier, sound):
    client = serve(n_workers=1)
    classifier.may_go_on.clear()
    first, second = (client.post("/v1/recordings", content=sound()).json()["recordings"][0] for _ in "ab")
    assert classifier.has_begun.wait(10)
    assert client.get(second["links"]["self"]).json()["status"] == "waiting"
    client.delete(second["links"]["self"])
    assert client.get("/v1/health").json()["n_waiting"] == 0
    assert client.get(first["links"]["self"]).json()["status"] == "running"


def test_judged_again_with_other_choices(client, uploaded):
    facts = uploaded()
    assert facts["result"]["cycles_from"] == "envelope"
    own = facts["links"]["self"]
    assert client.post(f"{own}/judge?cycles=windows&threshold=1").status_code == 202
    client.get(f"{own}/events")
    result = client.get(own).json()["result"]
    assert result["cycles_from"] == "windows"
    assert result["n_abstained"] == result["n_cycles"]
    assert client.post(f"{own}/judge?cycles=nonsense").status_code == 422


def test_not_judged_again_while_it_is_judged(serve, classifier, sound):
    client = serve()
    classifier.may_go_on.clear()
    own = client.post("/v1/recordings", content=sound()).json()["recordings"][0]["links"]["self"]
    assert client.post(f"{own}/judge").status_code == 409
    assert client.get(f"{own}/predictions").status_code == 409


def test_recordings_are_forgotten_after_their_time_but_not_while_they_wait(serve, classifier, sound):
    client = serve(keep=0.2)
    classifier.may_go_on.clear()
    own = client.post("/v1/recordings", content=sound()).json()["recordings"][0]["links"]["self"]
    service = client.app.state.service
    time.sleep(0.3)
    service.recordings.sweep()
    assert client.get(own).json()["expires_in"] == 0.2
    classifier.may_go_on.set()
    client.get(f"{own}/events")
    time.sleep(0.3)
    service.recordings.sweep()
    assert client.get(own).status_code == 404
    assert service.memory.n_bytes == 0


def test_memory_is_bounded_and_given_back(serve, sound):
    size = len(sound())
    client = serve(max_memory_bytes=3 * size)
    first = client.post("/v1/recordings", content=sound()).json()["recordings"][0]
    client.get(first["links"]["events"])
    client.post("/v1/recordings", content=sound())
    refused = client.post("/v1/recordings", content=sound())
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert "memory" in refused.json()["problem"]
    client.delete(first["links"]["self"])
    assert client.post("/v1/recordings", content=sound()).status_code == 201


def test_the_number_of_recordings_is_bounded(serve, sound):
    client = serve(max_held=2)
    answers = [client.post("/v1/recordings", content=sound()) for _ in range(3)]
    assert [each.status_code for each in answers] == [201, 201, 503]
    files = [("f", ("a.wav", sound()))] * 2
    assert client.post("/v1/recordings", files=files).status_code == 503


@pytest.mark.parametrize("part", ["", "/events", "/peaks", "/spectrogram", "/audio", "/predictions", "/report"])
def test_ids_that_are_none(client, part):
    assert client.get(f"/v1/recordings/{'0' * 32}{part}").status_code == 404
    assert client.get(f"/v1/recordings/x{part}").status_code == 422


def test_examples_can_be_tried(client):
    examples = client.get("/v1/examples").json()["examples"]
    assert len(examples) >= 3
    facts = client.post(f"/v1/examples/{examples[0]['file']}").json()["recordings"][0]
    assert facts["duration"] == examples[0]["duration"]
    assert facts["patient"] == "901"
    assert client.post("/v1/examples/passwd").status_code == 404


def test_progress_is_told_and_ends(serve, classifier, sound, events):
    client = serve()
    own = client.post("/v1/recordings", content=sound()).json()["recordings"][0]["links"]["self"]
    told = events(client.get(f"{own}/events").text)
    assert told[-1] == ("end", '{"status": "done"}')
    assert all(name == "progress" for name, _ in told[:-1])
    assert events(client.get(f"{own}/events").text) == told[-1:]
