"""What is wrong with a corpus is named, with its remedy, by training and by `data verify`; nothing is left behind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def corpus(made_corpus, tmp_path) -> Path:
    """A copy of the made corpus, to be spoilt."""
    return shutil.copytree(made_corpus, tmp_path / "corpus")


def first_sound(corpus: Path) -> Path:
    return sorted(corpus.rglob("*.wav"))[0]


def empty_file(corpus):
    first_sound(corpus).write_bytes(b"")
    return first_sound(corpus)


def cut_in_the_middle(corpus):
    path = first_sound(corpus)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def not_a_number(corpus):
    path = first_sound(corpus)
    waveform, rate = soundfile.read(path, dtype="float32")
    waveform[5000] = np.nan
    soundfile.write(path, waveform, rate, subtype="FLOAT")
    return path


def text_for_sound(corpus):
    first_sound(corpus).write_text("This is no sound.")
    return first_sound(corpus)


def comma_for_tab(corpus):
    path = first_sound(corpus).with_suffix(".txt")
    path.write_text(path.read_text().replace("\t", ",", 3))
    return path


def past_the_end(corpus):
    path = first_sound(corpus).with_suffix(".txt")
    path.write_text(path.read_text() + "500.0\t501.0\t0\t0\n")
    return path.with_suffix(".wav")


@pytest.mark.parametrize(
    ("spoil", "problem", "remedy"),
    [
        (empty_file, "is empty (0 bytes)", "Copy the file again"),
        (cut_in_the_middle, "is cut off", "Copy the file again"),
        (not_a_number, "holds 1 samples that are not finite numbers", "Export it again as 16-bit PCM"),
        (text_for_sound, "is not a sound file", "Copy the file again"),
        (comma_for_tab, "tab-separated values where 4 are expected", "separated by tabs"),
        (past_the_end, "500.0", "Correct"),
    ],
)
def test_training_stops_at_a_bad_file_and_verify_finds_it(cli, train, corpus, tmp_path, spoil, problem, remedy):
    path = spoil(corpus)
    outcome = train(tmp_path / "run", corpus=corpus)
    assert outcome.code == 1, outcome
    assert "Traceback" not in outcome.text
    assert outcome.text.count("Error: ") == 1
    for part in (path.name, problem, remedy):
        assert part in outcome.text
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    found = cli("data", "verify", corpus, "--json")
    assert found.code == 3
    (reported,) = json.loads(found.out)["problems"]
    assert Path(reported["file"]).stem == path.stem
    assert reported["remedy"]
    assert path.stem in cli("data", "verify", corpus).out


@pytest.mark.parametrize("content", ["nothing", "texts", "missing", "a file"])
def test_folders_without_recordings_are_refused(cli, train, tmp_path, content):
    folder = tmp_path / "corpus"
    if content == "a file":
        folder.write_text("x")
    elif content != "missing":
        folder.mkdir()
    if content == "texts":
        for name in ("notes.txt", "readme.txt", "101_1b1_Al_sc_Meditron.txt"):
            (folder / name).write_text("some words\n")
    for outcome in (
        train(tmp_path / "run", corpus=folder),
        cli("data", "verify", folder),
        cli("data", "split", folder),
    ):
        assert outcome.code == 1
        assert "no recordings in" in outcome.text
        assert str(folder) in outcome.text
        assert "add4rsc data obtain" in outcome.text
        assert outcome.out == ""
    assert not (tmp_path / "run").exists()


def test_run_folder_that_cannot_be_made_is_named(train, tmp_path):
    (tmp_path / "file").write_text("x")
    outcome = train(tmp_path / "file" / "run")
    assert outcome.code == 1
    assert "could not be written" in outcome.text
    assert "choose another folder" in outcome.text


def test_feature_cache_that_cannot_be_written_is_named(train, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "file"))
    outcome = train(tmp_path / "run")
    assert outcome.code == 1
    assert "features" in outcome.text
    assert "could not be written" in outcome.text


def test_missing_weights_say_where_to_get_them(train, monkeypatch, tmp_path):
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "empty"))
    outcome = train(tmp_path / "run", recipe="fine_tuning/mn04")
    assert outcome.code == 1
    assert "https://" in outcome.text
    assert "add4rsc weights import" in outcome.text
