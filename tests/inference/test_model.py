"""The Python interface."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import soundfile

import add4rsc
from add4rsc.errors import AudioError, CheckpointError, UnknownNameError, WrongUsageError
from add4rsc.inference.model import Model

PROBABILITIES = ["p_normal", "p_crackle", "p_wheeze", "p_both"]


@pytest.fixture
def model(hand_model):
    return add4rsc.load(hand_model)


def test_a_path(model, write):
    result = model.predict(write("breath.wav"), cycles="windows")
    assert list(result.table.columns[:4]) == ["file", "start", "end", "decision"]
    assert len(result.table) == 5
    assert np.allclose(result.table[PROBABILITIES].sum(axis=1), 1, atol=1e-5)
    assert result.recordings_table["n_cycles"].tolist() == [5]
    assert result.errors_table.empty


def test_the_onnx_file_is_what_was_worked_out_by_hand(model, write, classifier):
    path = write("breath.wav")
    tables = [each.predict(path, cycles="windows").table for each in (model, Model(classifier))]
    pd.testing.assert_frame_equal(*tables, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("kind", ["FLAC", "WAV", "MP3", "OGG"])
def test_bytes_are_as_the_file(model, write, kind):
    path = write(f"breath.{kind.lower()}", sample_rate=8000)
    from_file = model.predict(str(path), cycles="windows").table[PROBABILITIES]
    from_bytes = model.predict(path.read_bytes(), cycles="windows").table[PROBABILITIES]
    pd.testing.assert_frame_equal(from_file, from_bytes)


def test_a_waveform_is_as_the_file(model, write, breath):
    path = write("breath.wav", breath(), subtype="FLOAT")
    stereo = np.stack([breath(), breath()], axis=1)
    whole = (32_767 * breath()).astype(np.int16)
    expected = model.predict(path, cycles="windows").table[PROBABILITIES]
    for waveform, tolerance in ((breath(), 0), (breath().astype(np.float64), 0), (stereo, 1e-6), (whole, 1e-3)):
        found = model.predict((waveform, 4000), cycles="windows").table[PROBABILITIES]
        pd.testing.assert_frame_equal(found, expected, atol=tolerance, rtol=0)


def test_an_iterator_of_anything(model, write, breath, tmp_path):
    file = io.BytesIO()
    soundfile.write(file, breath(), 4000, format="FLAC")
    (tmp_path / "bad.wav").write_text("no")
    sounds = (each for each in (write("a.wav"), tmp_path / "bad.wav", (breath(), 4000), file.getvalue(), b"rubbish"))
    result = model.predict(sounds, cycles="windows")
    assert [each.file.rsplit("/")[-1] for each in result.recordings] == ["a.wav", "recording-3", "recording-4"]
    assert [each.file.rsplit("/")[-1] for each in result.problems] == ["bad.wav", "recording-5"]


def test_a_folder(model, write, tmp_path):
    write("in/a.wav")
    write("in/b/c.flac")
    assert len(model.predict(tmp_path / "in").recordings) == 2


@pytest.mark.parametrize("sound", ["missing.wav", b"", b"rubbish"])
def test_one_bad_sound_is_an_error(model, sound):
    with pytest.raises(AudioError):
        model.predict(sound)


@pytest.mark.parametrize("values", [np.full(8000, np.nan), np.zeros(0)])
def test_a_waveform_without_numbers_is_an_error(model, values):
    with pytest.raises(AudioError, match=r"recording-1: holds"):
        model.predict((values.astype(np.float32), 4000))


@pytest.mark.parametrize("sound", [7, [7], (np.zeros((2, 3, 4)), 4000), (np.zeros(8000, bool), 4000)])
def test_what_is_no_sound_is_wrong_usage(model, sound):
    with pytest.raises((WrongUsageError, TypeError)):
        model.predict(sound)


def test_silence_is_in_the_result_and_among_the_problems(model):
    result = model.predict((np.zeros(20_000, np.float32), 4000))
    assert result.table["abstain"].all()
    assert result.table[PROBABILITIES].isna().all().all()
    assert result.errors_table["problem"].tolist() == ["cannot be judged (no sound)"]


def test_save_writes_what_the_command_writes(model, write, tmp_path):
    result = model.predict([write("a.wav"), write("b.wav")])
    paths = result.save(tmp_path / "out", formats=["csv", "TextGrid"])
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {path.name for path in paths} < names
    assert {"files/001-a.csv", "files/002-b.TextGrid", "predictions.csv", "recordings.csv", "errors.csv"} < names
    with pytest.raises(UnknownNameError, match="audacity"):
        result.save(tmp_path / "out", formats=["audacty"])


def test_the_result_is_frozen_and_the_names_are_checked(model, write):
    with pytest.raises(WrongUsageError, match="windows"):
        model.predict(write("a.wav"), cycles="window")
    with pytest.raises(WrongUsageError, match="from 0 to 1"):
        model.predict(write("a.wav"), smoothing=-0.1)
    with pytest.raises(CheckpointError, match="no such model"):
        add4rsc.load("nothing.onnx")


def test_many_threads_get_what_one_gets(model, write, breath):
    paths = [write(f"{number}.wav", breath(4.0 + number, seed=number)) for number in range(6)]
    alone = [model.predict(path).table for path in paths]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda path: model.predict(path).table, paths * 4))
    for number, table in enumerate(together):
        pd.testing.assert_frame_equal(table, alone[number % 6])


def test_neither_import_nor_prediction_needs_torch(hand_model, write):
    program = (
        "import sys, add4rsc; early = set(sys.modules); "
        f"print(len(add4rsc.load({str(hand_model)!r}).predict({str(write('a.wav'))!r}).table)); "
        "assert 'numpy' not in early, 'numpy'; assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
