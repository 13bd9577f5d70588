"""`add4rsc predict --denoised` as a shell sees it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.checkpoint import save_tensors
from add4rsc.engine.model import build_method
from add4rsc.engine.run import resolve_recipe
from add4rsc.inference.result import ILLUSTRATIVE
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe


@pytest.fixture(scope="module")
def run(made_corpus, tmp_path_factory) -> Path:
    return untrained("add4rsc/small_cnn", made_corpus, tmp_path_factory)


@pytest.fixture(scope="module")
def run_without_filter(made_corpus, tmp_path_factory) -> Path:
    return untrained("fine_tuning/small_cnn", made_corpus, tmp_path_factory)


def untrained(name: str, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {"crop.duration": 1.0, "validation_share": 0.5}
    recipe = resolve_recipe(change_recipe(recipes.get(name)(), changes), open_dataset(corpus))
    with torch.random.fork_rng(devices=[]):
        network = build_method(recipe, 4, pretrained=False)
    folder = tmp_path_factory.mktemp("run")
    about = {"recipe": recipe.model_dump_json(), "classes": "normal,crackle,wheeze,both"}
    save_tensors(folder / "model.safetensors", network.state_dict(), about)
    return folder


@pytest.fixture
def sound(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).standard_normal(24_000)
    soundfile.write("a b.wav", 0.1 * noise * (0.1 + np.clip(np.sin(np.arange(24_000) / 4000), 0, None)), 8000)
    return "a b.wav"


def predict(cli, *arguments: str | Path):
    return cli("predict", "--cycles", "windows", *arguments)


def test_sound_frames_and_picture_are_written_and_called_illustrative(cli, run, sound):
    done = predict(cli, sound, "-o", "out", "--model", run, "--denoised", "--format", "json")
    assert done.code == 0
    assert ILLUSTRATIVE in done.text
    names = {f"a b.denoised-illustrative{suffix}" for suffix in (".wav", ".npz", ".png")}
    assert {path.name for path in Path("out/files").iterdir()} == names | {"a b.json"}
    (recording,) = json.loads(Path("out/files/a b.json").read_text())["recordings"]
    assert set(recording["denoised"]["files"]) == {f"files/{name}" for name in names}
    again = predict(cli, sound, "-o", "two", "--model", run, "--denoised", "--json")
    assert json.loads(again.out)["denoised"] == {"note": ILLUSTRATIVE, "folder": "two/files"}


def test_the_batch_goes_on_with_the_same_wish_only(cli, run, sound):
    assert predict(cli, sound, "-o", "out", "--model", run, "--denoised").code == 0
    assert predict(cli, sound, "-o", "out", "--model", run, "--denoised", "--resume").code == 0
    refused = predict(cli, sound, "-o", "out", "--model", run, "--resume")
    assert refused.code == 1
    assert "another denoised" in refused.text


def test_wrong_usage_is_named_with_its_remedy(cli, run, run_without_filter, sound):
    printed = predict(cli, sound, "--model", run, "--denoised")
    assert printed.code == 2
    assert "Add -o FOLDER" in printed.text
    without = predict(cli, sound, "-o", "out", "--model", run_without_filter, "--denoised")
    assert without.code == 2
    assert "no ADD layer" in without.text
    assert "add4rsc/mn04" in without.text
    assert not Path("out").exists()
