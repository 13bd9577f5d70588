"""A run that was stopped, by whatever, and resumed ends as one that was not."""

import errno
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from add4rsc.engine import fit
from add4rsc.engine.checkpoint import load_tensors
from add4rsc.errors import CheckpointError, RunFolderError, StorageError, WrongUsageError

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from add4rsc import storage
from add4rsc.engine.run import RunSettings, train
from add4rsc.recipe import Recipe

n_written = 0

def fsync(handle):
    global n_written
    name = os.readlink(f"/proc/self/fd/{handle}")
    n_written += "state.safetensors" in name
    if n_written == 3:
        os.kill(os.getpid(), signal.SIGKILL)

storage.os.fsync = fsync
recipe = Recipe.model_validate_json(sys.argv[1])
train(recipe, [1], RunSettings(Path(sys.argv[2]), Path(sys.argv[3]), accelerator="cpu", show_progress=False))
"""


def assert_same_results(folder: Path, other: Path) -> None:
    assert (folder / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
    one, two = load_file(folder / "model.safetensors"), load_file(other / "model.safetensors")
    assert one.keys() == two.keys()
    assert all(one[name].equal(two[name]) for name in one)
    histories = [pd.read_csv(each / "history.csv").drop(columns="seconds") for each in (folder, other)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


def n_epochs_kept(folder: Path) -> int:
    metadata = load_tensors(folder / "checkpoint" / "state.safetensors")[1]
    return metadata["progress"].count('"epoch":')


@pytest.fixture
def whole(run, small_recipe, tmp_path) -> Path:
    """An uninterrupted run."""
    run(small_recipe(), tmp_path / "whole")
    return tmp_path / "whole"


@contextmanager
def interrupted_at(monkeypatch: pytest.MonkeyPatch, call: int) -> Iterator[None]:
    """Ctrl-C in the middle of one of the training steps."""
    taken, step = [], fit._step

    def stop(*arguments):
        taken.append(step(*arguments))
        if len(taken) == call:
            raise KeyboardInterrupt
        return taken[-1]

    with monkeypatch.context() as patch:
        patch.setattr(fit, "_step", stop)
        yield


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_run_killed_while_it_writes_a_checkpoint(run, small_recipe, made_corpus, whole, tmp_path):
    recipe, folder = small_recipe(), tmp_path / "killed"
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, recipe.model_dump_json(), str(made_corpus), str(folder)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert n_epochs_kept(folder) == 2
    assert not (folder / "predictions.csv").exists()
    assert len(list((folder / "checkpoint").glob(".state*"))) == 1
    run(recipe, folder, resume=True)
    assert_same_results(folder, whole)
    assert not list((folder / "checkpoint").glob(".*"))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_run_interrupted_within_an_epoch(run, small_recipe, tmp_path, monkeypatch, optimiser):
    recipe = small_recipe(optimiser__name=optimiser, sampler="balanced", selection="last")
    run(recipe, tmp_path / "whole")
    with interrupted_at(monkeypatch, call=5), pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "stopped")
    assert n_epochs_kept(tmp_path / "stopped") == 1
    run(recipe, tmp_path / "stopped", resume=True)
    assert_same_results(tmp_path / "stopped", tmp_path / "whole")


def test_resuming_without_the_averages_would_end_elsewhere(run, small_recipe, whole, tmp_path):
    run(small_recipe(averaging__decay=0.0), tmp_path / "other")
    with pytest.raises(AssertionError):
        assert_same_results(tmp_path / "other", whole)


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> Iterator[None]:
    """From the second checkpoint on, no file may grow beyond a size."""
    written, save = [], fit.save_state
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def save_on_full_disk(*arguments):
        written.append(1)
        if len(written) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
        try:
            save(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with monkeypatch.context() as patch:
        patch.setattr(fit, "save_state", save_on_full_disk)
        yield


def test_full_disk_leaves_the_previous_checkpoint_and_the_run_goes_on(run, small_recipe, whole, tmp_path, monkeypatch):
    recipe, folder = small_recipe(), tmp_path / "full"
    with full_disk(monkeypatch, 10_000), pytest.raises(StorageError, match=r"state.safetensors could not .* --resume"):
        run(recipe, folder)
    assert n_epochs_kept(folder) == 1
    assert not list((folder / "checkpoint").glob(".*"))
    run(recipe, folder, resume=True)
    assert_same_results(folder, whole)


def test_disk_that_is_full_only_when_flushed(run, small_recipe, whole, tmp_path, monkeypatch):
    recipe, folder, flushed = small_recipe(), tmp_path / "full", []

    def fsync(handle):
        if "checkpoint" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            flushed.append(handle)
        if len(flushed) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("add4rsc.storage.os.fsync", fsync)
        with pytest.raises(StorageError, match=r"No space left on device.*unharmed"):
            run(recipe, folder)
    assert n_epochs_kept(folder) == 1
    run(recipe, folder, resume=True)
    assert_same_results(folder, whole)


def test_used_folders_are_refused(run, small_recipe, whole, tmp_path, monkeypatch):
    recipe = small_recipe()
    with pytest.raises(
        RunFolderError, match=r"holds a finished run\. Go on with --resume, replace it with --overwrite"
    ):
        run(recipe, whole)
    before = (whole / "predictions.csv").read_bytes()
    with pytest.raises(RunFolderError, match=r"another recipe \(different: optimiser, batch_size\)"):
        run(small_recipe(optimiser__learning_rate=1.0, batch_size=4), whole, resume=True)
    with pytest.raises(RunFolderError, match=r"different: seeds 1\)"):
        run(recipe, whole, seeds=(2,), resume=True)
    with pytest.raises(RunFolderError, match=r"different: seeds 1\)"):
        run(recipe, whole, seeds=(1, 2), resume=True)
    with pytest.raises(WrongUsageError, match="exclude each other"):
        run(recipe, whole, resume=True, overwrite=True)
    assert (whole / "predictions.csv").read_bytes() == before
    with interrupted_at(monkeypatch, call=1), pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "stopped")
    with pytest.raises(RunFolderError, match="holds an unfinished run"):
        run(recipe, tmp_path / "stopped")


def test_finished_run_is_not_trained_again(run, small_recipe, whole, monkeypatch):
    monkeypatch.setattr(fit, "_step", None)
    assert run(small_recipe(), whole, resume=True)["n_cycles"] == 37


def test_overwriting_leaves_nothing_of_the_old_run_and_spares_other_files(run, small_recipe, whole, tmp_path):
    (whole / "notes.txt").write_text("mine")
    shorter = small_recipe(epochs=1, averaging__kind="none", options__dropout=0.0)
    run(shorter, whole, overwrite=True)
    run(shorter, tmp_path / "fresh")
    assert_same_results(whole, tmp_path / "fresh")
    assert (whole / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("file", "content"), [("recipe.json", "{"), ("recipe.json", '{"name": 1}'), ("run.json", "[]")]
)
def test_damaged_run_folder_is_refused(run, small_recipe, whole, file, content):
    (whole / file).write_text(content)
    with pytest.raises(RunFolderError, match=r"cannot be read .* --overwrite"):
        run(small_recipe(), whole, resume=True)


def test_damaged_checkpoint_is_refused(run, small_recipe, tmp_path, monkeypatch):
    with interrupted_at(monkeypatch, call=5), pytest.raises(KeyboardInterrupt):
        run(small_recipe(), tmp_path)
    state = tmp_path / "checkpoint" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"state.safetensors: cannot be read"):
        run(small_recipe(), tmp_path, resume=True)
