"""torchrun itself, and what processes that it has started must not do at once."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from lightning_fabric import Fabric

from add4rsc.engine import processes
from add4rsc.engine.processes import act_first, build_fabric
from add4rsc.errors import Add4rscError, RunFolderError, WrongUsageError


def torchrun(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`torchrun --nproc-per-node 2 -m add4rsc train fine_tuning/small_cnn ...` on any free port."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    line = [*command, "-m", "add4rsc", "train", "fine_tuning/small_cnn", "--accelerator", "cpu", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(line, capture_output=True, text=True, timeout=500, env=environment, check=False)


@pytest.mark.slow
def test_torchrun_gives_what_one_process_gives_and_replaces_a_run(run, small_recipe, made_corpus, tmp_path) -> None:
    """23 training cycles in batches of 22; then the same folder again, which both processes find finished."""
    changes = {"options.dropout": 0.0, "batch_size": 22, "epochs": 2}
    recipe = small_recipe(**changes)
    run(recipe, tmp_path / "one")
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    common = ["--config", tmp_path / "recipe.json", "--data-folder", made_corpus, "--run-folder", tmp_path / "two"]
    one = pd.read_csv(tmp_path / "one" / "predictions.csv")
    shares = [name for name in one if name.startswith("p_")]
    for more in ([], ["--overwrite"]):
        done = torchrun(*common, "--seeds", "1", *more)
        assert done.returncode == 0, done.stderr[-3000:]
        two = pd.read_csv(tmp_path / "two" / "predictions.csv")
        pd.testing.assert_frame_equal(one.drop(columns=shares), two.drop(columns=shares))
        assert float((one[shares] - two[shares]).abs().max(axis=None)) < 1e-4
        assert not list((tmp_path / "two").rglob(".*"))
    refused = torchrun(*common, "--seeds", "1")
    assert refused.returncode != 0
    assert "holds a finished run" in refused.stderr
    assert "RunFolderError" not in refused.stderr  # torchrun has a traceback of its own, ours would name it


@pytest.mark.parametrize(
    ("devices", "environment", "layout"),
    [
        (1, {}, (1, 1)),
        (3, {}, (3, 1)),
        (1, {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2"}, (2, 1)),
        (1, {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}, (4, 2)),
        (4, {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "4"}, (4, 1)),
    ],
)
def test_processes_are_as_many_as_torchrun_has_started(monkeypatch, devices, environment, layout) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes._layout(devices) == layout


def test_devices_that_contradict_torchrun_are_wrong_usage(monkeypatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongUsageError, match=r"--devices 3: torchrun has started 2"):
        build_fabric("32-true", "cpu", 3)


class Launched(Fabric):
    """Stands for the engine under a launcher: says to every process what the first has said."""

    def __init__(self, told: list) -> None:
        self.told = told

    def launch(self) -> None:
        """Nothing to start."""

    def broadcast(self, obj: object) -> object:
        """The first process fills the list; the others read it."""
        self.told += [obj] if not self.told else []
        return self.told[0]


def test_only_the_first_process_acts_and_its_error_is_everyones(monkeypatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    acted: list[str] = []

    def fail() -> None:
        acted.append("failed")
        raise WrongUsageError("No such thing. Do another.")

    for act, expected in ((lambda: acted.append("done"), None), (fail, WrongUsageError)):
        told: list = []
        for rank in ("0", "1"):
            monkeypatch.setenv("RANK", rank)
            if expected is None:
                act_first(Launched(told), act)
                continue
            with pytest.raises(expected if rank == "0" else Add4rscError, match=r"No such thing") as it:
                act_first(Launched(told), act)
            assert it.value.exit_code == 2
    assert acted == ["done", "failed"]


def test_without_a_launcher_nobody_waits(monkeypatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)

    def fail() -> None:
        raise RunFolderError("used")

    with pytest.raises(RunFolderError, match="used"):
        act_first(build_fabric("32-true", "cpu", 1), fail)
