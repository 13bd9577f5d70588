"""Run the command as a shell would, in this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from add4rsc.cli import main

WIDE = {"COLUMNS": "250", "NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Outcome:
    """What a shell sees."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything, with the line breaks of tables and boxes taken out."""
        return " ".join((self.out + self.err).replace("│", " ").split())


@pytest.fixture
def cli(monkeypatch, capsys, feature_cache) -> Callable[..., Outcome]:
    """Run the command in this process."""
    for name, value in WIDE.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["add4rsc", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        caught = capsys.readouterr()
        return Outcome(stop.value.code or 0, caught.out, caught.err)

    return run


SHORT = ("--set", "epochs=1", "--set", "crop.duration=1.0", "--set", "validation_share=0.5", "--accelerator", "cpu")


@pytest.fixture
def train(cli, made_corpus) -> Callable[..., Outcome]:
    """Train for one short epoch on made recordings."""

    def run(folder: Path, *more: str, recipe: str = "fine_tuning/small_cnn", corpus: Path = made_corpus) -> Outcome:
        return cli("train", recipe, "--data-folder", corpus, "--run-folder", folder, *SHORT, *more)

    return run
