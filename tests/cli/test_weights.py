import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from add4rsc.backbones import backbones
from add4rsc.backbones.weights import WEIGHTS


@pytest.fixture(autouse=True)
def home(monkeypatch, feature_cache, tmp_path):
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def checkpoint(tmp_path):
    """A mn04 of random weights, under our own names."""
    torch.manual_seed(0)
    path = tmp_path / "mine.safetensors"
    save_file({name: value.contiguous() for name, value in backbones.get("mn04")().state_dict().items()}, path)
    return path


def test_list_names_every_checkpoint_with_licence_and_address(cli):
    outcome = cli("weights", "list", "--json")
    assert outcome.code == 0
    rows = {row["name"]: row for row in json.loads(outcome.out)["weights"]}
    assert rows.keys() == WEIGHTS.keys()
    assert all(row["licence"] for row in rows.values())
    fetched = [row for row in rows.values() if not row["packaged"]]
    assert all(row["url"].startswith("https://") and not row["imported"] for row in fetched)
    text = cli("weights", "list")
    assert all(source.url in text.out for source in WEIGHTS.values())


def test_import_then_verify_then_damage(cli, checkpoint, home, monkeypatch):
    published = replace(WEIGHTS["mn04/audioset"], sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest())
    monkeypatch.setitem(WEIGHTS, "mn04/audioset", published)
    assert cli("weights", "verify").code == 0
    outcome = cli("weights", "import", checkpoint, "--name", "mn04/audioset")
    assert outcome.code == 0
    assert "tensors matched" in outcome.text
    assert "is the published file's" in outcome.text
    listed = json.loads(cli("weights", "list", "--json").out)["weights"]
    assert [row["name"] for row in listed if row["imported"] and not row["packaged"]] == ["mn04/audioset"]
    assert cli("weights", "verify").code == 0
    kept = next((home / "weights").rglob("*.safetensors"))
    kept.write_bytes(kept.read_bytes()[:-100])
    damaged = cli("weights", "verify")
    assert damaged.code == 3
    assert "add4rsc weights import" in damaged.text


def test_another_file_under_a_published_name_is_refused(cli, checkpoint, home):
    outcome = cli("weights", "import", checkpoint, "--name", "mn04/audioset")
    assert outcome.code == 1
    assert "SHA-256" in outcome.text
    assert not list(home.rglob("*.safetensors"))


@pytest.mark.parametrize("content", ["text", "other tensors", "cut"])
def test_file_that_is_no_checkpoint_of_ours(cli, checkpoint, tmp_path, content):
    path = tmp_path / "file.safetensors"
    if content == "text":
        path.write_text("no weights")
    elif content == "cut":
        path.write_bytes(checkpoint.read_bytes()[:10_000])
    else:
        save_file({"a": torch.zeros(2)}, path)
    outcome = cli("weights", "import", path)
    assert outcome.code == 1
    assert path.name in outcome.text
    assert "Traceback" not in outcome.text


def test_unknown_name_has_the_nearest(cli, checkpoint):
    outcome = cli("weights", "import", checkpoint, "--name", "mn04/audiset")
    assert outcome.code == 2
    assert "Did you mean 'mn04/audioset'?" in outcome.text


@pytest.mark.data
def test_the_published_checkpoint_is_recognised(cli, shared_weights, home):
    outcome = cli("weights", "import", shared_weights / "mn04_as_mAP_432.pt")
    assert outcome.code == 0
    assert "is the published file's" in outcome.text
    assert len(load_file(next((home / "weights").rglob("*.safetensors")))) > 100
