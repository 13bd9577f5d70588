"""The denoised view as files: named and marked illustrative, the same bytes each time, and part of a batch."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from add4rsc.errors import StorageError, WrongUsageError
from add4rsc.inference import illustration
from add4rsc.inference._base import AbstractMelFilter, FilteredFrames, MelFrames
from add4rsc.inference.batch import Plan, merge_batches, run_batch
from add4rsc.inference.denoise import denoise
from add4rsc.inference.illustration import write_denoised
from add4rsc.inference.listing import find_sources
from add4rsc.inference.pipeline import Choices
from add4rsc.inference.result import ILLUSTRATIVE
from add4rsc.terms import RESEARCH_USE_ONLY

FRAMES = MelFrames(sample_rate=4000, frame_shift=40, first_centre=0, n_mels=20, f_min=20.0, f_max=2000.0)
EVERY_FORMAT = ("csv", "json", "audacity", "raven", "textgrid", "html")


class EnvelopeFilter(AbstractMelFilter):
    """Log energies of the loudness in 10 ms, the same in all bands; 6 dB less after the filter."""

    frames = FRAMES

    def apply(self, waveforms):
        power = np.square(waveforms).reshape(len(waveforms), -1, 40).mean(axis=2) + 1e-6
        log_mel = np.repeat(np.log(power)[..., None], 20, axis=2).astype(np.float32)
        return FilteredFrames(log_mel, log_mel - np.float32(np.log(4)))


@pytest.fixture
def classifier(hand):
    made = hand()
    made.mel_filter = EnvelopeFilter()
    return made


@pytest.fixture
def cohort(write, breath, tmp_path, monkeypatch):
    for number in range(3):
        write(f"in/ward {number}/ä {number}.wav", breath(5.0, seed=number))
    write("in/silent.wav", np.zeros(20_000, np.float32))
    (tmp_path / "in" / "text.wav").write_text("a letter")
    monkeypatch.chdir(tmp_path)
    return find_sources(["in"])[0]


def plan(shard=(1, 1), formats=EVERY_FORMAT, **more) -> Plan:
    return Plan("abc", formats, Choices("windows"), shard, denoised=True, **more)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def draw(view, path: Path) -> None:
    path.write_text(f"{view.note} {view.waveform.shape} {view.log_mel.shape}")


@pytest.mark.parametrize("n_samples", [20_000, 20_001, 19_999, 20_041, 5000, 300_007])
def test_files_hold_what_the_view_is(classifier, write, breath, tmp_path, n_samples):
    path = write("a.wav", breath(76.0)[:n_samples])
    wav, npz = write_denoised(classifier, path, tmp_path / "out" / "a.denoised-illustrative")
    view = denoise(classifier, path)
    with soundfile.SoundFile(wav) as file:
        assert (file.samplerate, file.channels, file.subtype, file.frames) == (4000, 1, "PCM_16", n_samples)
        assert (file.comment, "illustrative" in file.title) == (ILLUSTRATIVE, True)
        assert np.abs(file.read() - view.waveform).max() < 2**-15
    with np.load(npz) as archive:
        assert str(archive["note"]) == ILLUSTRATIVE
        assert archive["log_mel"].shape == archive["filtered"].shape == view.log_mel.shape
        assert np.abs(archive["log_mel"] - view.log_mel).max() < 0.01
        assert np.allclose(archive["log_mel"] - archive["filtered"], np.log(4), atol=0.01)
        assert np.array_equal(archive["frequencies"], view.frequencies)
        assert archive["first_time"] + archive["frame_shift"] * (len(view.times) - 1) == pytest.approx(view.times[-1])
    assert RESEARCH_USE_ONLY.encode() in npz.read_bytes()


def test_a_recording_of_six_decibels_less(classifier, write, breath, tmp_path):
    waveform = breath(6.0)
    wav, _ = write_denoised(classifier, write("a.wav", waveform), tmp_path / "b")
    assert np.abs(soundfile.read(wav)[0] - waveform / 2).max() < 1e-3


def test_the_same_recording_gives_the_same_bytes(classifier, write, tmp_path):
    for name in ("one", "two"):
        write_denoised(classifier, write("a.wav"), tmp_path / name / "a", draw)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert set(contents(tmp_path / "one")) == {"a.wav", "a.npz", "a.png"}


def test_a_picture_shows_the_first_minute(classifier, write, breath, tmp_path):
    *_, png = write_denoised(classifier, write("a.wav", np.tile(breath(30.0), 4)), tmp_path / "a", draw)
    assert "(240000,) (6000, 20)" in png.read_text()


def test_a_batch_names_the_files_in_json_and_page(classifier, cohort, tmp_path):
    outcome = run_batch(classifier, cohort, tmp_path / "out", plan(draw=draw))
    assert outcome.n_problems == 2
    names = {name for name in contents(tmp_path / "out") if "denoised-illustrative" in name}
    stems = [f"files/ward {number}/ä {number}.denoised-illustrative" for number in range(3)]
    assert names == {stem + suffix for stem in stems for suffix in (".wav", ".npz", ".png")}
    recordings = json.loads((tmp_path / "out" / "predictions.json").read_text())["recordings"]
    views = {each["file"]: each.get("denoised") for each in recordings}
    assert views["in/silent.wav"] is None
    assert views["in/ward 1/ä 1.wav"] == {
        "note": ILLUSTRATIVE,
        "is_illustrative": True,
        "files": [f"{stems[1]}{suffix}" for suffix in (".wav", ".npz", ".png")],
    }
    page = (tmp_path / "out" / "predictions.html").read_text()
    assert page.count("Illustrative: ") == 3
    assert "ä 1.denoised-illustrative.wav" in page


def test_every_file_of_a_batch_carries_the_notice(classifier, cohort, tmp_path):
    """But a table without rows, for which NOTICE.txt says it."""
    run_batch(classifier, cohort, tmp_path / "out", plan(draw=draw))
    without = {name for name, body in contents(tmp_path / "out").items() if RESEARCH_USE_ONLY.encode() not in body}
    assert without == {"patients.csv"}
    assert (tmp_path / "out" / "patients.csv").read_text().count("\n") == 1
    errors = pd.read_csv(tmp_path / "out" / "errors.csv")
    assert list(errors.columns) == ["file", "problem", "remedy", "notice"]
    assert (errors["notice"] == RESEARCH_USE_ONLY).all()
    assert json.loads((tmp_path / "out" / "batch.json").read_text())["notice"] == RESEARCH_USE_ONLY


def test_a_stopped_batch_goes_on_and_shards_join_to_the_same_bytes(classifier, cohort, tmp_path):
    run_batch(classifier, cohort, tmp_path / "whole", plan())

    class Stopped(BaseException):
        pass

    def stop(entry) -> None:
        if entry.name == "in/ward 1/ä 1.wav":
            raise Stopped

    with pytest.raises(Stopped):
        run_batch(classifier, cohort, tmp_path / "out", plan(), watch=stop)
    run_batch(classifier, cohort, tmp_path / "out", plan(resume=True))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    for index in (1, 2):
        run_batch(classifier, cohort, tmp_path / f"part-{index}", plan((index, 2)))
    merge_batches([tmp_path / "part-2", tmp_path / "part-1"], tmp_path / "joined")
    assert contents(tmp_path / "joined") == contents(tmp_path / "whole")
    next((tmp_path / "part-1").rglob("*.npz")).unlink()
    with pytest.raises(StorageError, match="is missing"):
        merge_batches([tmp_path / "part-2", tmp_path / "part-1"], tmp_path / "again")


def test_a_model_without_a_filter_is_refused_before_anything_is_written(hand, cohort, tmp_path):
    with pytest.raises(WrongUsageError, match="no ADD layer"):
        run_batch(hand(), cohort, tmp_path / "out", plan())
    assert not (tmp_path / "out").exists()


def test_a_view_that_fails_leaves_the_predictions(classifier, cohort, tmp_path, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError("odd")

    monkeypatch.setattr(illustration, "write_denoised", fail)
    outcome = run_batch(classifier, cohort, tmp_path / "out", plan(formats=("csv",)))
    assert outcome.n_problems == 5
    assert pd.read_csv(tmp_path / "out" / "predictions.csv")["file"].nunique() == 4
    assert "no denoised view (odd)" in (tmp_path / "out" / "errors.csv").read_text()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 128 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.name != "posix", reason="mounts a disk")
def test_a_full_disk_is_named_and_nothing_half_written_stays(classifier, write, breath, small_disk):
    path = write("a.wav", np.tile(breath(30.0), 2))
    with pytest.raises(StorageError, match=r"could not be written.*Make room"):
        write_denoised(classifier, path, small_disk / "a")
    assert list(small_disk.iterdir()) == []
