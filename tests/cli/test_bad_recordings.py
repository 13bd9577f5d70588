"""Every bad recording that a folder may hold, through the command: named with a remedy, or judged, and never a stop."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from add4rsc.audio.io import read_info, read_waveform
from add4rsc.inference import listing
from add4rsc.terms import RESEARCH_USE_ONLY

RATE = 8000
GIGABYTE = 2**30


def breath(duration: float = 5.0, rate: int = RATE) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(round(duration * rate))
    swell = 0.05 + np.clip(np.sin(2 * np.pi * np.arange(len(noise)) / (3 * rate)), 0, None)
    return (0.1 * noise * swell).astype(np.float32)


def promise(path: Path, n_bytes: int) -> None:
    """Let a WAV file's header promise so many bytes of samples."""
    with path.open("r+b") as file:
        for place, length in ((4, n_bytes + 36), (40, n_bytes)):
            file.seek(place)
            file.write(length.to_bytes(4, "little"))


def write(path: Path, waveform: np.ndarray, rate: int = RATE, **how: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, rate, **how)
    return path


def lying_header(path: Path) -> None:
    promise(write(path, breath()), 2 * GIGABYTE - 100)


def unclosed_header(path: Path) -> None:
    promise(write(path, breath()), 0)


def not_numbers(path: Path) -> None:
    waveform = breath()
    waveform[[7, 9]] = np.nan, np.inf
    write(path, waveform, subtype="FLOAT")


UNREADABLE = {
    "empty.wav": (Path.touch, "is empty (0 bytes)"),
    "text.wav": (lambda path: path.write_text("Dear colleague,\n" * 99), "is not a sound file"),
    "picture.wav": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(999)), "is not a sound file"),
    "nan.wav": (not_numbers, "holds 2 samples that are not finite"),
    "two gigabytes promised.wav": (lying_header, "is cut off: 2147403548 bytes"),
    "never closed.wav": (unclosed_header, "holds no samples"),
    "zeros.wav": (lambda path: write(path, np.zeros(4 * RATE)), "cannot be judged"),
    "constant.wav": (lambda path: write(path, np.full(4 * RATE, 0.3)), "cannot be judged"),
    "blink.wav": (lambda path: write(path, breath(0.05)), "cannot be judged"),
    "blink at 192 kHz.wav": (lambda path: write(path, breath(0.05, 192_000), 192_000), "cannot be judged"),
    "Lungengeräusch « 肺音 (1).wav": (Path.touch, "is empty (0 bytes)"),
}
READABLE = {
    "mulaw.wav": {"subtype": "ULAW"},
    "alaw.wav": {"subtype": "ALAW"},
    "mulaw.au": {"subtype": "ULAW"},
    "alaw raw header.aiff": {"subtype": "ALAW"},
    "eight bits.wav": {"subtype": "PCM_U8"},
    "gsm.wav": {"subtype": "GSM610"},
    "really flac.wav": {"format": "FLAC"},
    "really wav.mp3": {"format": "WAV"},
    "SHOUTING.WAV": {"format": "WAV"},
    "ward 3/пациент № 7 «é» 呼吸.wav": {},
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return Path("in")


def predict(cli, folder: Path, *more: str):
    return cli("predict", folder, "-o", "out", "--cycles", "windows", *more)


def test_what_cannot_be_read_or_judged_is_named_with_a_remedy_and_the_rest_is_judged(cli, folder):
    for name, (make, _) in UNREADABLE.items():
        make(folder / name)
    for name, how in READABLE.items():
        write(folder / name, breath(), **how)
    write(folder / "fast.wav", breath(2.0, 192_000), 192_000)
    done = predict(cli, folder)
    assert done.code == 3
    assert "Traceback" not in done.text
    errors = pd.read_csv("out/errors.csv").set_index("file")
    assert set(errors.index) == {f"in/{name}" for name in UNREADABLE}
    for name, (_, problem) in UNREADABLE.items():
        assert problem in errors.loc[f"in/{name}", "problem"]
    assert errors["remedy"].str.len().min() > 10
    assert (errors["notice"] == RESEARCH_USE_ONLY).all()
    table = pd.read_csv("out/predictions.csv")
    judged = set(table.loc[table["p_normal"].notna(), "file"])
    assert judged == {f"in/{name}" for name in (*READABLE, "fast.wav")}


def test_one_bad_recording_alone_is_named_too(cli, folder):
    for name, (make, problem) in UNREADABLE.items():
        make(folder / name)
        printed = json.loads(cli("predict", folder / name, "--json").out)
        assert [problem in each["problem"] for each in printed["errors"]] == [True]
        assert printed["notice"] == RESEARCH_USE_ONLY


def test_the_end_of_two_gigabytes_is_read_without_the_rest(tmp_path):
    """A true WAV of 2 GB, a hole on the disk but for its last second, read within a limit of memory."""
    path = write(tmp_path / "huge.wav", np.zeros(100, np.int16), 44_100)
    size = 2 * GIGABYTE - 2
    with path.open("r+b") as file:
        file.truncate(44 + size)
        file.seek(44 + size - 2 * 44_100)
        file.write(np.full(44_100, 8192, "<i2").tobytes())
    promise(path, size)
    info = read_info(path)
    assert info.n_frames == size // 2
    last = read_waveform(path, 44_100, info.duration - 2.0)
    assert len(last) == pytest.approx(88_200, abs=1)
    assert last[-44_100:].tolist() == [0.25] * 44_100
    assert not last[:40_000].any()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * GIGABYTE // 1024
    assert path.stat().st_blocks * 512 < 10_000_000


def test_a_folder_that_may_not_be_read_is_named_and_the_rest_is_judged(cli, folder, monkeypatch):
    """The superuser may read everything, so the refusal is made here."""
    write(folder / "open" / "a.wav", breath())
    write(folder / "locked" / "b.wav", breath())
    real = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(listing.os, "scandir", refuse)
    done = predict(cli, folder)
    assert done.code == 3
    errors = pd.read_csv("out/errors.csv")
    assert errors[["file", "problem"]].to_numpy().tolist() == [
        ["in/locked", "cannot be listed (Permission denied)"],
    ]
    assert pd.read_csv("out/predictions.csv")["file"].unique().tolist() == ["in/open/a.wav"]


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="needs another user")
def test_a_folder_that_this_user_may_not_read_is_named(tmp_path):
    """The same without a stand-in, and by a superuser who has laid down the right to read everything."""
    write(tmp_path / "in" / "locked" / "a.wav", breath())
    write(tmp_path / "in" / "b.wav", breath())
    (tmp_path / "in" / "locked").chmod(0o000)
    words = [sys.executable, "-m", "add4rsc", "predict", "in", "--cycles", "windows", "--json"]
    if os.geteuid() == 0:
        words = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *words]
    try:
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=180)
    finally:
        (tmp_path / "in" / "locked").chmod(0o700)
    assert done.returncode == 3, done.stderr
    printed = json.loads(done.stdout)
    assert [each["problem"] for each in printed["errors"]] == ["cannot be listed (Permission denied)"]
    assert [each["file"] for each in printed["recordings"]] == ["in/b.wav"]


def shell(line: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "250"}
    words = ["sh", "-c", line, "sh", sys.executable, *map(str, arguments)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=180)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_full_device_on_standard_output(folder, more):
    write(folder / "a.wav", breath())
    done = shell('"$@" >/dev/full', "-m", "add4rsc", "predict", folder / "a.wav", *more)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no disk of its own can be mounted")
def test_a_full_disk_stops_with_a_remedy_and_the_batch_goes_on(cli, folder):
    """On a disk of 48 kB, which fills in the middle of the batch."""
    for number in range(12):
        write(folder / f"{number}.wav", breath(10.0))
    mount = 'mkdir disk && mount -t tmpfs -o size=48k tmpfs disk && shift && "$0" "$@"; code=$?; cp -r disk/out out'
    inner = f"shift; {mount}; exit $code"
    words = ("-m", "add4rsc", "predict", "in", "-o", "disk/out", "--cycles", "windows", "--format", "csv,json,html")
    done = shell(f'unshare -rm sh -c \'{inner}\' "$1" x "$@"', *words)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no disk can be mounted here: {done.stderr}")
    assert done.returncode == 1, done.stderr
    assert "could not be written (No space left on device)" in done.stderr
    assert "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path("out").rglob(".*"))
    assert predict(cli, folder, "--resume", "--format", "csv,json,html").code == 0
    assert pd.read_csv("out/predictions.csv")["file"].nunique() == 12
