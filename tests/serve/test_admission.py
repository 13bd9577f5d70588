"""Bodies that are wrong, too large, or lie."""

import io
import struct
import zipfile

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from add4rsc.serve.admission import admit, sound_suffix
from add4rsc.serve.limits import Limits
from add4rsc.serve.sounds import as_file, safe_name
from add4rsc.serve.uploads import Upload

KINDS = [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")]
KINDS += [("AU", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16"), ("RF64", "PCM_16"), ("OGG", "OPUS")]


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_sounds_of_every_kind_are_taken(client, sound, breath, kind, subtype):
    content = sound(breath(3.0, 16_000), 16_000, kind, subtype=subtype)
    answer = client.post("/v1/predict", content=content)
    assert answer.status_code == 200, answer.text
    assert answer.json()["recordings"][0]["duration"] == pytest.approx(3.0, abs=0.1)


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("breath.wav", b"RIFF")
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"hello", _zip(), b"#!/bin/sh\n", b"<svg/>", b"\xff\xd8\xff\xe0", bytes(999)]
)
def test_what_is_no_sound(client, content):
    answer = client.post("/v1/predict", content=content)
    assert answer.status_code == 415
    assert answer.json()["problem"]
    assert answer.json()["remedy"]


def test_hours_of_silence_in_a_small_file_are_not_decoded(serve, classifier, monkeypatch):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(3 * 3600 * 4000, np.int16), 4000, format="FLAC")
    assert len(file.getvalue()) < 1_000_000
    monkeypatch.setattr("add4rsc.audio.io._read_frames", lambda *_: pytest.fail("it was decoded"))
    answer = serve().post("/v1/predict", content=file.getvalue())
    assert answer.status_code == 413
    assert "lasts 10800 s, more than 7200 s" in answer.json()["problem"]


def _with_rate(content: bytes, channels: int, rate: int) -> bytes:
    """A WAV whose header says something else."""
    return content[:22] + struct.pack("<HI", channels, rate) + content[28:]


@pytest.mark.parametrize(
    ("channels", "rate"),
    [(1, 2**31 - 1), (1024, 8000), (16, 192_000), (1, 200_000), (1, 0), (0, 4000), (65535, 2**32 - 1)],
)
def test_headers_that_ask_for_too_much_memory(client, sound, channels, rate):
    answer = client.post("/v1/predict", content=_with_rate(sound(subtype="PCM_16"), channels, rate))
    assert answer.status_code in (413, 415, 422)


def test_headers_that_promise_more_than_there_is(client, sound):
    wav = bytearray(sound(subtype="PCM_16"))
    wav[40:44] = struct.pack("<I", 2**31)
    flac = bytearray(sound(kind="FLAC"))
    flac[21] |= 0x0F  # STREAMINFO's number of samples: 36 bits, of which these are the highest
    flac[22:26] = b"\xff\xff\xff\xff"
    late = bytearray(sound(kind="FLAC"))
    late[22:26] = struct.pack(">I", 2 * 24_000)  # twice as long as it is
    answers = [client.post("/v1/predict", content=bytes(each)) for each in (wav, flac, late)]
    assert [each.status_code for each in answers] == [422, 413, 422]
    told = [each.json()["problem"] for each in answers]
    for text, expected in zip(told, ("is cut off", "lasts", "cannot be decoded"), strict=True):
        assert expected in text or "is cut off" in text


def test_too_large_bodies_are_refused_before_they_are_there(serve, sound):
    client = serve(max_upload_bytes=10_000)
    answer = client.post("/v1/predict", content=sound())
    assert answer.status_code == 413
    pieces = (b"x" * 1000 for _ in range(1000))
    assert client.post("/v1/predict", content=pieces).status_code == 413
    form = client.post("/v1/recordings", files={"f": ("a.wav", sound())})
    assert form.status_code == 413
    assert client.app.state.service.memory.n_bytes == 0


def test_too_many_files(serve, sound):
    client = serve(max_files=2)
    three = [("f", (f"{name}.wav", sound())) for name in "abc"]
    answer = client.post("/v1/predict", files=three).json()
    assert [each["file"] for each in answer["recordings"]] == ["a.wav", "b.wav"]
    assert [each["file"] for each in answer["errors"]] == ["c.wav"]
    assert client.post("/v1/predict", files=three * 2).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n",
        b"no boundary at all",
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.wav"\r\n\r\nRIFF',
        b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\ntext\r\n--x--\r\n',
        b"--x\r\n" + b"A: b\r\n" * 1000,
        b"--x\r\nContent-Disposition: " + b"y" * 100_000,
    ],
)
def test_forms_that_are_none(client, body):
    answer = client.post("/v1/predict", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 422
    assert answer.json()["remedy"]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xe9"]
)
def test_forms_without_a_boundary(client, sound, kind):
    answer = client.post("/v1/predict", content=sound(), headers={"Content-Type": kind.encode("latin-1")})
    assert answer.status_code == 422


def test_annotations_that_are_too_long(client, sound):
    rows = b"0.1\t0.2\t0\t0\n" * 30_000
    answer = client.post("/v1/predict", files=[("f", ("a.wav", sound())), ("f", ("a.txt", rows))])
    assert answer.status_code == 413
    assert "a.txt" in answer.text


@given(st.text(max_size=300))
def test_names_are_harmless(name):
    safe = safe_name(name)
    assert safe
    assert not set(safe) & set("/\\\0\r\n\t\u202e\u200b")
    assert safe not in (".", "..")
    assert len(safe) <= 120


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_are_taken_or_refused(content):
    admitted = admit([Upload("x", content)], Limits())
    assert len(admitted.sounds) + len(admitted.problems) == 1


def test_other_systems_use_a_private_folder(sound, monkeypatch):
    monkeypatch.setattr("add4rsc.serve.sounds.MEMORY_FOLDER", __import__("pathlib").Path("/no/such/folder"))
    (one,) = admit([Upload("x.mp3", sound(kind="MP3", sample_rate=16_000))], Limits()).sounds
    with as_file(one) as path:
        assert path.read_bytes() == one.content
        assert path.suffix == ".mp3"
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()


def test_on_linux_nothing_of_a_sound_is_on_any_disk(sound):
    (one,) = admit([Upload("x.wav", sound())], Limits()).sounds
    with as_file(one) as path:
        assert path.is_symlink()
        assert str(path.readlink()).startswith("/proc/self/fd/")
        assert path.read_bytes() == one.content
        assert soundfile.info(path).frames == one.info.n_frames
    assert not path.parent.exists()


def test_suffixes():
    assert sound_suffix(b"ID3\x04") == ".mp3"
    assert sound_suffix(b"\xff\xfb\x90") == ".mp3"
    assert sound_suffix(b"RIFF") == ""
    assert sound_suffix(b"\xff\xff\xff") is None or sound_suffix(b"\xff\xff\xff") == ".mp3"
