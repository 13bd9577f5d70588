"""A server around a model that is worked out by hand, and sounds to send to it."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient

from add4rsc.audio.crop import Crop
from add4rsc.inference._base import AbstractClassifier
from add4rsc.serve.app import create_app
from add4rsc.serve.limits import Limits

BASE = "http://127.0.0.1:8000"


class HandClassifier(AbstractClassifier):
    """Logits from loudness and roughness; it can be made to wait."""

    name = "by-hand"
    classes = ("normal", "crackle", "wheeze", "both")
    sample_rate = 4000
    crop = Crop(duration=2.0)
    temperature = 2.0
    thresholds: dict[str, float] = {}  # noqa: RUF012
    notes = {"origin": "worked out by hand"}  # noqa: RUF012

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.has_begun = threading.Event()
        self.n_calls = 0

    def logits(self, waveforms):
        self.n_calls += 1
        self.has_begun.set()
        assert self.may_go_on.wait(20)
        size, largest = np.abs(waveforms).mean(axis=1), waveforms.max(axis=1)
        roughness = np.abs(np.diff(waveforms, axis=1)).mean(axis=1)
        return np.stack([0.2 + 0 * size, 20 * size, 4 * largest, 20 * roughness], axis=1).astype(np.float32)


def make_breath(duration: float = 6.0, sample_rate: int = 4000, seed: int = 0) -> np.ndarray:
    """Noise below 1 kHz that swells and fades every 3 s."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(duration * sample_rate)) / sample_rate
    spectrum = np.fft.rfft(generator.standard_normal(len(time)))
    spectrum /= 1 + (np.fft.rfftfreq(len(time), 1 / sample_rate) / 200) ** 2
    noise = np.fft.irfft(spectrum, len(time))
    return (0.1 * noise / noise.std() * (0.05 + np.clip(np.sin(2 * np.pi * time / 3), 0, None))).astype(np.float32)


def encode(waveform: np.ndarray | None = None, sample_rate: int = 4000, kind: str = "WAV", **how: str) -> bytes:
    """A sound file's bytes."""
    file = io.BytesIO()
    soundfile.write(file, make_breath() if waveform is None else waveform, sample_rate, format=kind, **how)
    return file.getvalue()


def events_of(text: str) -> list[tuple[str, str]]:
    """Names and data of server-sent events."""
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":") for block in text.split("\n\n")
    ]
    return [(block["event"], block["data"]) for block in blocks if block]


@pytest.fixture(scope="session")
def breath() -> Callable[..., np.ndarray]:
    return make_breath


@pytest.fixture(scope="session")
def sound() -> Callable[..., bytes]:
    return encode


@pytest.fixture(scope="session")
def events() -> Callable[[str], list[tuple[str, str]]]:
    return events_of


@pytest.fixture
def classifier() -> Iterator[HandClassifier]:
    classifier = HandClassifier()
    yield classifier
    classifier.may_go_on.set()


@pytest.fixture
def serve(classifier) -> Iterator[Callable[..., TestClient]]:
    """A client of a server of its own, with limits and a token as wanted."""
    opened: list[TestClient] = []

    def start(token: str = "", hosts: frozenset[str] = frozenset({"127.0.0.1"}), **limits: float) -> TestClient:
        app = create_app(classifier, Limits(**{"n_workers": 2, **limits}), token=token, hosts=hosts)
        opened.append(TestClient(app, base_url=BASE, raise_server_exceptions=False))
        return opened[-1].__enter__()

    yield start
    classifier.may_go_on.set()
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve) -> TestClient:
    return serve()


@pytest.fixture
def uploaded(client, sound) -> Callable[..., dict]:
    """Upload a sound and wait for its result; the recording's facts."""

    def upload(content: bytes | None = None, name: str = "101_1b1_Al_sc_Meditron.wav", **choices: str) -> dict:
        files = {"file": (name, sound() if content is None else content)}
        answer = client.post("/v1/recordings", files=files, params=choices)
        assert answer.status_code == 201, answer.text
        own = answer.json()["recordings"][0]["links"]["self"]
        client.get(f"{own}/events")
        return client.get(own).json()

    return upload


class Running:
    """A server that listens on a port of its own, in a thread."""

    def __init__(self, classifier: AbstractClassifier, limits: Limits, token: str = "") -> None:
        from add4rsc.serve.server import Place, make_server

        self.server = make_server(classifier, Place(port=0, token=token), limits)
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> "Running":
        self.thread.start()
        end = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture
def listen(classifier) -> Iterator[Callable[..., Running]]:
    """A real server with limits as wanted; it listens on a port."""
    with ExitStack() as stack:

        def start(**limits: float) -> Running:
            return stack.enter_context(Running(classifier, Limits(**{"n_workers": 2, **limits})))

        yield start
        classifier.may_go_on.set()
