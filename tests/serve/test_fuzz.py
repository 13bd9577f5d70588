"""Bodies that were broken on purpose: each is answered, none breaks the server."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SIGNATURES = [b"RIFF\x24\0\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"FORM\0\0\0\x10AIFF", b".snd\0\0\0\x18"]
SIGNATURES += [
    b"caff\0\x01\0\0desc",
    b"ID3\x04\0\0",
    b"\xff\xfb\x90\x64",
    b"RF64\xff\xff\xff\xffWAVEds64",
    b"RIFX\0\0\0\x24",
]
SIGNATURES += [b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", b""]
KINDS = ("WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64", "RF64")
EXPECTED = {200, 413, 415, 422}
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="session")
def sounds(sound, breath) -> list[bytes]:
    return [sound(breath(1.5, 8000), 8000, kind) for kind in KINDS]


@st.composite
def broken(draw, sounds: list[bytes]) -> bytes:
    """A sound with some bytes changed, cut out, doubled or cut off; or noise behind a signature."""
    if draw(st.booleans()):
        return draw(st.sampled_from(SIGNATURES)) + draw(st.binary(max_size=400))
    content = bytearray(draw(st.sampled_from(sounds)))
    for _ in range(draw(st.integers(1, 6))):
        reach = 120 if draw(st.booleans()) else len(content)
        at = draw(st.integers(0, max(0, min(reach, len(content)) - 1)))
        how = draw(st.integers(0, 3))
        if how == 0:
            content[at : at + 4] = draw(st.binary(min_size=4, max_size=4))
        elif how == 1:
            content[at : at + 4] = draw(
                st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
            )
        elif how == 2:
            del content[at : at + draw(st.integers(1, 50))]
        else:
            del content[at + 1 :]
    return bytes(content)


def check(client, content: bytes, path: str) -> None:
    answer = client.post(path, content=content)
    assert answer.status_code in EXPECTED | {201}, answer.text
    if answer.status_code >= 400:
        body = answer.json()
        assert body["problem"]
        assert body["remedy"]
        assert "add4rsc-" not in answer.text


@given(data=st.data())
@FEW
def test_broken_sounds(client, sounds, data):
    check(client, data.draw(broken(sounds)), "/v1/predict?job=false")
    assert client.get("/v1/health").status_code == 200


@given(data=st.data())
@FEW
def test_pictures_of_broken_sounds(client, sounds, data):
    answer = client.post("/v1/recordings", content=data.draw(broken(sounds)))
    if answer.status_code == 201:
        links = answer.json()["recordings"][0]["links"]
        for part in ("peaks", "spectrogram"):
            assert client.get(links[part]).status_code in (200, 422)
        client.delete(links["self"])


@given(name=st.text(max_size=40), headers=st.binary(max_size=60), content=st.binary(max_size=200))
@FEW
def test_broken_forms(client, name, headers, content):
    head = f'--b\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n'.encode("utf-8", "replace")
    for body in (
        head + b"\r\n" + content + b"\r\n--b--\r\n",
        head + headers + b"\r\n\r\n" + content,
        headers + content,
    ):
        answer = client.post("/v1/predict", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert answer.status_code in EXPECTED


@pytest.mark.slow
def test_a_thousand_broken_sounds_leave_memory_as_it_was(client, sounds):
    @given(data=st.data())
    @settings(MANY, max_examples=100)
    def warm_up(data):
        check(client, data.draw(broken(sounds)), "/v1/predict?job=false")

    @given(data=st.data())
    @MANY
    def attack(data):
        check(client, data.draw(broken(sounds)), "/v1/predict?job=false")

    warm_up()
    before, n_files = resident(), n_open()
    attack()
    gc.collect()
    assert n_open() <= n_files + 5
    assert resident() - before < 100, "MiB"
    assert client.app.state.service.memory.n_bytes == 0


def n_open() -> int:
    """Descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
