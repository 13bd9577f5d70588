"""What the README says holds: its tables come from results/, and its commands run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from add4rsc.datasets.synthetic import synthesise

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip().removeprefix(".venv/bin/")
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in map(str.strip, block.splitlines())
    if line.startswith(".venv/bin/add4rsc")
]


def run(command: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", *shlex.split(command)]
    environment = os.environ | {"ADD4RSC_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_tables_are_those_that_the_results_give() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "docs" / "render_tables.py", "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr


def test_it_opens_with_the_two_commands() -> None:
    first_block = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert first_block is not None
    assert [line.split("#")[0].strip() for line in first_block[1].splitlines()] == ["make demo", "make test"]
    assert README.index("make demo") < 40


def test_its_commands_run_as_they_stand(tmp_path: Path, shared_weights: Path) -> None:
    synthesise(tmp_path / "YOUR_ICBHI_FOLDER", n_recordings=12, seed=0)
    synthesise(tmp_path / "YOUR_RECORDINGS", n_recordings=8, seed=1)
    (tmp_path / "mn04_as_mAP_432.pt").symlink_to(shared_weights / "mn04_as_mAP_432.pt")
    verbs = []
    for command in COMMANDS:
        done = run(command, tmp_path, tmp_path / "home")
        expected = 3 if " data verify " in command else 0  # made recordings are no complete corpus
        assert done.returncode == expected, f"{command}\n{done.stdout}\n{done.stderr}"
        verbs.append(command.split()[1])
    assert verbs == ["predict", "data", "data", "weights", "train", "evaluate", "report"]
    assert (tmp_path / "runs" / "first" / "predictions.csv").exists()


@pytest.mark.parametrize("kind", ["recipes", "methods", "backbones", "datasets", "splits"])
def test_what_it_says_can_be_listed_is(kind: str, tmp_path: Path) -> None:
    assert kind in README
    assert run(f"add4rsc list {kind}", tmp_path, tmp_path).returncode == 0
