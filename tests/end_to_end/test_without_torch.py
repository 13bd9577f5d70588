"""The command in an environment with onnxruntime and without torch, as `pip install add4rsc` makes one.

The environment is made offline: what add4rsc needs at its core is linked from this one, and nothing else.
"""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from packaging.requirements import Requirement

import add4rsc
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.checkpoint import save_tensors
from add4rsc.engine.model import build_method
from add4rsc.engine.run import resolve_recipe
from add4rsc.export.exporting import ExportSettings, export_run
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe
from add4rsc.terms import RESEARCH_USE_ONLY

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links files")

ONLY_IN_EXTRAS = ("torch", "lightning_fabric", "sklearn", "matplotlib", "jinja2", "onnx", "onnxscript", "transformers")
CLASSES = ("normal", "crackle", "wheeze", "both")


def needed(name: str, found: dict[str, Distribution]) -> dict[str, Distribution]:
    """A distribution and all that it needs here, without extras."""
    try:
        here = distribution(name)
    except PackageNotFoundError:
        return found
    if here.metadata["Name"].lower() in found:
        return found
    found[here.metadata["Name"].lower()] = here
    for line in here.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name, found)
    return found


def top_level(each: Distribution) -> Iterator[Path]:
    """Files and folders of a distribution that lie in site-packages itself."""
    names = {file.parts[0] for file in each.files or () if file.parts[0] not in ("..", "__pycache__")}
    yield from (Path(str(each.locate_file(name))) for name in sorted(names) if not name.endswith(".pth"))


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> Path:
    """`add4rsc` as a script of the new environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for each in needed("add4rsc", {}).values():
        for path in top_level(each):
            if not (packages / path.name).exists():
                (packages / path.name).symlink_to(path)
    if not (packages / "add4rsc").exists():  # of an editable installation, site-packages hold a note alone
        (packages / "add4rsc").symlink_to(Path(add4rsc.__file__).parent)
    (entry,) = distribution("add4rsc").entry_points.select(group="console_scripts", name="add4rsc")
    script = folder / "bin" / "add4rsc"
    script.write_text(f"#!{folder / 'bin' / 'python'}\nfrom {entry.module} import {entry.attr}\n{entry.attr}()\n")
    script.chmod(0o755)
    return script


def run(program: str | Path, *arguments: str | Path, code: int = 0) -> str:
    """Run a program outside of this environment; what it printed."""
    kept = ("LANG", "LC_ALL", "HOME", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "COLUMNS": "250"}
    words = [str(program), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=180, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "101_1b1_Al_sc_Meditron.wav"
    noise = np.random.default_rng(0).standard_normal(48_000)
    soundfile.write(path, 0.1 * noise * (0.1 + np.clip(np.sin(np.arange(48_000) / 4000), 0, None)), 8000)
    return path


@pytest.fixture(scope="module")
def model(made_corpus, tmp_path_factory) -> Path:
    """What `add4rsc export` makes of a small network with an ADD layer."""
    changes = {"crop.duration": 1.0, "validation_share": 0.5}
    recipe = resolve_recipe(change_recipe(recipes.get("add4rsc/small_cnn")(), changes), open_dataset(made_corpus))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_method(recipe, len(CLASSES), pretrained=False)
    folder = tmp_path_factory.mktemp("run")
    about = {"recipe": recipe.model_dump_json(), "classes": ",".join(CLASSES)}
    save_tensors(folder / "model.safetensors", network.state_dict(), about)
    export_run(folder, folder / "model.onnx", ExportSettings())
    return folder / "model.onnx"


@pytest.mark.parametrize("name", ONLY_IN_EXTRAS)
def test_the_environment_lacks_what_extras_bring(command, name):
    looked = f"import importlib.util, onnxruntime; print(importlib.util.find_spec({name!r}))"
    assert run(command.parent / "python", "-c", looked) == "None\n"


def test_predict_with_an_exported_model(command, model, sound, tmp_path):
    arguments = ("predict", sound, "--model", model, "-o", tmp_path, "--cycles", "windows")
    printed = run(command, *arguments, "--format", "csv,json,html,textgrid")
    assert RESEARCH_USE_ONLY in printed
    table = pd.read_csv(tmp_path / "predictions.csv")
    here = add4rsc.load(model).predict(sound, cycles="windows").table
    shares = [f"p_{name}" for name in CLASSES]
    assert len(table) == len(here) > 1
    assert np.abs(table[shares] - here[shares]).to_numpy().max() < 1e-5


def test_the_denoised_view_of_an_exported_model(command, model, sound, tmp_path):
    printed = run(command, "predict", sound, "--model", model, "-o", tmp_path, "--denoised")
    assert "No pictures" in printed
    assert "pip install 'add4rsc[train]'" in printed
    assert {path.suffix for path in tmp_path.rglob("*denoised-illustrative*")} == {".wav", ".npz"}


def test_predict_with_the_model_in_the_box(command, sound):
    printed = run(command, "predict", sound)
    assert RESEARCH_USE_ONLY in printed
    assert "no added sound found" in printed or "-like sound" in printed or "not sure" in printed


def test_a_run_folder_needs_the_extra_and_says_so(command, model, sound):
    assert "pip install 'add4rsc[train]'" in run(command, "predict", sound, "--model", model.parent, code=1)


@pytest.fixture(scope="module")
def predictions(tmp_path_factory) -> Path:
    """A table of another program's predictions: 60 cycles of 6 patients."""
    draw = np.random.default_rng(0)
    shares = draw.dirichlet(np.ones(4), 60).round(6)
    columns = {f"p_{name}": shares[:, index] for index, name in enumerate(CLASSES)}
    table = pd.DataFrame(
        {
            "cycle_id": [f"c{index}" for index in range(60)],
            "recording": [f"r{index // 5}" for index in range(60)],
            "patient": [f"p{index // 10}" for index in range(60)],
            "start": 0.0,
            "end": 1.0,
            "label": [CLASSES[each] for each in draw.integers(0, 4, 60)],
            "decision": [CLASSES[each] for each in shares.argmax(axis=1)],
            **columns,
        }
    )
    path = tmp_path_factory.mktemp("table") / "predictions.csv"
    table.to_csv(path, index=False)
    return path


def test_evaluate(command, predictions):
    scores = json.loads(run(command, "evaluate", predictions, "--json"))
    table = pd.read_csv(predictions)
    is_normal = table["label"] == "normal"
    hits = table["label"] == table["decision"]
    assert scores["specificity"] == pytest.approx(hits[is_normal].mean())
    assert scores["sensitivity"] == pytest.approx(hits[~is_normal].mean())


def test_report(command, predictions, tmp_path):
    run(command, "report", predictions, "-o", tmp_path, "--format", "json,csv,md,tex")
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".csv", ".md", ".tex"}
    assert RESEARCH_USE_ONLY in (tmp_path / "report.md").read_text()


def test_this_environment_has_torch():
    """Or else the tests above would prove nothing."""
    assert "torch" in sys.modules
