"""Sounds in, predictions out."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from starlette.testclient import TestClient

from add4rsc.inference.opening import open_classifier
from add4rsc.serve.app import create_app


@pytest.fixture(scope="module")
def real_client():
    with TestClient(create_app(open_classifier()), base_url="http://127.0.0.1") as client:
        yield client


SOUNDS = {
    "101_1b1_Al_sc_Meditron.wav": ("WAV", 4000, {"subtype": "PCM_16"}),
    "breath.flac": ("FLAC", 16_000, {}),
    "Breath 1.mp3": ("MP3", 16_000, {}),
    "wheeze.ogg": ("OGG", 8000, {}),
    "marked.wav": ("WAV", 4000, {}),
}
MARKS = b"0.100\t2.000\t0\t0\n2.000\t4.500\t1\t0\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory, breath, sound):
    """What the command writes of some sounds, one of which has an annotation beside it."""
    folder = tmp_path_factory.mktemp("written")
    for name, (kind, sample_rate, how) in SOUNDS.items():
        (folder / name).write_bytes(sound(breath(7.0, sample_rate), sample_rate, kind, **how))
    (folder / "marked.txt").write_bytes(MARKS)
    command = [sys.executable, "-m", "add4rsc", "predict", *SOUNDS, "-o", "out", "--format", "json,csv,textgrid"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return folder


@pytest.mark.parametrize("name", SOUNDS)
def test_json_is_what_the_command_writes(real_client, written, name):
    for form, suffix in (("json", ".json"), ("csv", ".csv"), ("textgrid", ".TextGrid")):
        files = [("file", (name, (written / name).read_bytes()))]
        files += [("file", ("marked.txt", MARKS))] if name == "marked.wav" else []
        answer = real_client.post(f"/v1/predict?format={form}", files=files)
        assert answer.status_code == 200
        expected = (written / "out" / "files" / name).with_suffix(suffix).read_bytes()
        assert answer.content == expected, f"{form} differs"
    facts = real_client.post("/v1/predict", files=files).json()["recordings"][0]
    assert (facts["cycles_from"] == "annotation") == (name == "marked.wav")


def test_many_at_once_are_what_the_command_writes(real_client, written):
    files = [("file", (name, (written / name).read_bytes())) for name in reversed(SOUNDS)]
    answer = real_client.post("/v1/predict", files=[*files, ("file", ("marked.txt", MARKS))])
    assert answer.content == (written / "out" / "predictions.json").read_bytes()


def test_a_wrong_annotation_is_named_by_its_own_name(client, sound):
    files = [("file", ("breath.wav", sound())), ("file", ("breath.txt", b"0\t99\t0\t0\n90\t99\t0\t0\n"))]
    answer = client.post("/v1/predict", files=files)
    assert answer.status_code == 422
    assert "breath.txt marks 90.0 to 99.0 s" in answer.json()["problem"]
    assert "sound.txt" not in answer.text


def test_raw_bytes_and_a_form_give_the_same(client, sound):
    raw = client.post(
        "/v1/predict", content=sound(), headers={"Content-Disposition": "attachment; filename*=UTF-8''caf%C3%A9.wav"}
    )
    form = client.post("/v1/predict", files={"x": ("café.wav", sound())})
    assert raw.content == form.content
    assert raw.json()["recordings"][0]["file"] == "café.wav"


def test_bytes_without_a_name(client, sound):
    assert client.post("/v1/predict", content=sound()).json()["recordings"][0]["file"] == "recording"


def test_many_are_in_order_of_their_names_and_bad_ones_among_the_errors(client, sound):
    files = [("a", ("b.wav", sound())), ("a", ("c.wav", b"no sound")), ("a", ("a.wav", sound(np.zeros(8000))))]
    body = client.post("/v1/predict", files=files).json()
    assert [each["file"] for each in body["recordings"]] == ["a.wav", "b.wav"]
    assert [(each["file"], "no sound" in each["problem"]) for each in body["errors"]] == [
        ("a.wav", True),
        ("c.wav", False),
    ]
    assert body["recordings"][0]["abstain"]


def test_files_of_one_name_stay_apart(client, sound):
    files = [("a", ("left/x.wav", sound())), ("a", ("right/x.wav", sound()))]
    names = [each["file"] for each in client.post("/v1/predict", files=files).json()["recordings"]]
    assert names == ["x (2).wav", "x.wav"]


def test_choices_are_followed(client, sound):
    answer = client.post("/v1/predict?cycles=windows&threshold=1", content=sound()).json()["recordings"][0]
    assert answer["cycles_from"] == "windows"
    assert answer["n_abstained"] == answer["n_cycles"] == 5  # windows of 2 s, 1 s apart, in 6 s


@pytest.mark.parametrize("query", ["cycles=nonsense", "threshold=2", "threshold=x", "format=nonsense", "job=perhaps"])
def test_wrong_choices_are_refused_with_a_remedy(client, sound, query):
    answer = client.post(f"/v1/predict?{query}", content=sound())
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["remedy"]


def test_what_is_accepted_is_answered(client, sound):
    def kind(accept: str) -> str:
        answer = client.post("/v1/predict", content=sound(), headers={"Accept": accept})
        assert answer.status_code == 200, answer.text
        return answer.headers["content-type"]

    assert kind("text/csv") == "text/csv; charset=utf-8"
    assert kind("application/fhir+json") == "application/fhir+json"
    assert kind("text/html;q=0.9, */*") == "application/json"
    refused = client.post("/v1/predict", content=sound(), headers={"Accept": "image/png"})
    assert refused.status_code == 406


def test_long_sounds_become_jobs_whose_result_is_fetched_once(serve, sound, events):
    client = serve(long=3.0)
    direct = client.post("/v1/predict?job=false", content=sound())
    accepted = client.post("/v1/predict", content=sound())
    assert (direct.status_code, accepted.status_code) == (200, 202)
    own = accepted.headers["location"]
    assert accepted.json()["links"]["self"] == own
    told = events(client.get(f"{own}/events").text)
    assert told[-1] == ("end", '{"status": "done"}')
    assert client.get(own).json()["progress"]["share"] == 1.0
    assert client.get(f"{own}/result").content == direct.content
    assert client.get(f"{own}/result").status_code == 404
    assert client.get(own).status_code == 404


def test_a_running_job_has_no_result_yet_and_can_be_cancelled(serve, classifier, sound):
    client = serve()
    classifier.may_go_on.clear()
    own = client.post("/v1/predict?job=true", content=sound()).headers["location"]
    assert classifier.has_begun.wait(10)
    assert client.get(f"{own}/result").status_code == 409
    service = client.app.state.service
    job = next(iter(service.jobs._items.values()))[0].job
    assert client.delete(own).status_code == 204
    assert client.get(own).status_code == 404
    classifier.may_go_on.set()
    wait_until(lambda: service.line.n_running == 0)
    assert job.status in ("cancelled", "done")  # one pass was under way


def test_a_cancelled_job_stops_at_the_next_pass(serve, classifier, sound, breath):
    client = serve()
    classifier.may_go_on.clear()
    long_sound = sound(breath(90.0))  # more than 64 windows: several passes
    own = client.post("/v1/predict?job=true&cycles=windows", content=long_sound).headers["location"]
    assert classifier.has_begun.wait(10)
    client.delete(own)
    classifier.may_go_on.set()
    wait_until(lambda: client.app.state.service.line.n_running == 0)
    assert classifier.n_calls == 1


def test_results_are_forgotten_after_their_time(serve, sound):
    client = serve(keep_results=0.05)
    own = client.post("/v1/predict?job=true", content=sound()).headers["location"]
    service = client.app.state.service
    wait_until(lambda: service.line.n_running + service.line.n_waiting == 0)
    time.sleep(0.1)
    service.jobs.sweep()
    assert client.get(own).status_code == 404


def test_beyond_the_queue_clients_are_told_to_come_again(serve, classifier, sound):
    client = serve(n_workers=1, max_waiting=2)
    classifier.may_go_on.clear()
    answers = []
    first = threading.Thread(target=lambda: answers.append(client.post("/v1/predict", content=sound())))
    first.start()
    assert classifier.has_begun.wait(10)
    others = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/predict", content=sound()))) for _ in "ab"
    ]
    for each in others:
        each.start()
    wait_until(lambda: client.app.state.service.line.n_waiting == 2)
    refused = client.post("/v1/predict", content=sound())
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    classifier.may_go_on.set()
    for each in (first, *others):
        each.join(20)
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert len({each.content for each in answers}) == 1


def test_a_failing_model_is_no_lost_answer(serve, classifier, sound, monkeypatch):
    def fail(_waveforms):
        raise KeyError("patient 101")

    monkeypatch.setattr(classifier, "logits", fail)
    answer = serve().post("/v1/predict", content=sound())
    assert answer.status_code == 422
    assert "KeyError" in answer.json()["problem"]
    assert "patient 101" not in answer.text


def test_many_threads_get_what_one_gets(serve, sound, breath):
    client = serve(n_workers=3)
    sounds = [sound(breath(3.0, seed=seed)) for seed in range(6)]
    alone = [client.post("/v1/predict", content=each).content for each in sounds]
    together: dict[int, bytes] = {}

    def ask(index: int) -> None:
        together[index] = client.post("/v1/predict", content=sounds[index % 6]).content

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(18)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert [together[index] for index in range(18)] == alone * 3


def test_a_page_has_a_picture_of_the_sound(client, sound):
    page = client.post("/v1/predict?format=html", files={"a": ("<b>x.wav", sound())}).text
    assert "data:image/png;base64," in page
    assert "<b>x.wav" not in page


def wait_until(is_so, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.01)


def test_the_number_of_cycles_is_that_of_json(client, sound):
    body = client.post("/v1/predict", content=sound()).json()
    rows = client.post("/v1/predict?format=csv", content=sound()).text.strip().splitlines()
    assert len(rows) - 1 == body["recordings"][0]["n_cycles"]
    assert json.loads(json.dumps(body)) == body
