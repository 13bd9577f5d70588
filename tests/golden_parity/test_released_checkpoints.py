"""Training checkpoints of the released code, made here with its key names, as runs of ours."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from add4rsc.backbones import backbones
from add4rsc.engine.explanation import explain_cycle
from add4rsc.engine.loading import load_run
from add4rsc.engine.released import import_training_checkpoint, read_training_checkpoint
from add4rsc.errors import CheckpointError, RunFolderError

AST = {"dim": 64, "n_layers": 2, "n_heads": 1}
CLASSIFIERS = {
    "ast": lambda width, n: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n)),
    "resnet50": lambda width, n: nn.Linear(width, n),
}


def released_backbone(name: str, *, with_add: bool):
    """A backbone of ours, and its tensors under the names that the released code gives them."""
    torch.manual_seed(3)
    if name == "resnet50":
        network = backbones.get(name)()
        return network, dict(network.state_dict())
    sizes = {"stride": (16, 16), "n_mels": 256, "n_frames": 1024} if with_add else {"n_frames": 798}
    network = backbones.get(name)(**AST, **sizes, position_table="transposed")
    state = {f"v.{key}": value for key, value in network.state_dict().items()}
    return network, state | {"v.head.weight": torch.zeros(7, 64), "mlp_head.0.weight": torch.ones(64)}


@pytest.fixture
def write(tmp_path: Path, golden: Path):
    """Write a checkpoint as the released training does; returns it and the parts that are in it."""

    def make(name: str, *, add: str | None = None, n_classes: int = 4, prefix: str = "", **more):
        network, state = released_backbone(name, with_add=add is not None)
        classifier = CLASSIFIERS[name](network.n_features, n_classes)
        content = {
            "args": argparse.Namespace(model=name, batch_size=8),
            "model": {prefix + key: value for key, value in state.items()},
            "optimizer": {"state": {}, "param_groups": []},
            "epoch": 17,
            "classifier": {prefix + key: value for key, value in classifier.state_dict().items()},
        }
        if add is not None:
            layer = load_file(golden / "add_layer_state.safetensors")
            content["bias_denoise_encoder"] = {
                prefix + key.replace("aff.", "fft_filter." if add == "2025-02" else "aff."): value
                for key, value in layer.items()
            }
        path = tmp_path / "best.pth"
        torch.save(content | more, path)
        return path, network, classifier

    return make


@pytest.mark.parametrize("commit", ["2025-02", "2025-08"])
def test_add4rsc_with_ast_computes_what_the_released_layer_did(write, golden, tmp_path, commit) -> None:
    path, backbone, classifier = write("ast", add=commit, prefix="module.")
    found = import_training_checkpoint(path, tmp_path / "run")
    assert found.recipe.name == f"add4rsc/ast-released-{commit}"
    run = load_run(tmp_path / "run")
    assert run.classes == ("normal", "crackle", "wheeze", "both")
    assert run.recipe.split == "icbhi2017/random-file-seed1"
    case = load_file(golden / "add_layer_n64.safetensors")
    features, logits = ("z_fp32", "s_fp32") if commit == "2025-08" else ("z_old_fp32", "s_old_fp32")
    with torch.inference_mode():
        denoised = run.network.add(case["x"])
    torch.testing.assert_close(denoised.features, case[features], rtol=1e-5, atol=1e-5)
    if logits in case:
        torch.testing.assert_close(denoised.bias_logits, case[logits], rtol=1e-5, atol=1e-5)
    cycle = torch.randn(1, 798, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = classifier(backbone.eval()(run.network.denoise(cycle).features))
        torch.testing.assert_close(run.network(cycle), expected, rtol=1e-5, atol=1e-6)


def test_resnet_in_a_wrapper(write, tmp_path) -> None:
    path, backbone, classifier = write("resnet50", n_classes=2, prefix="encoder.")
    content = torch.load(path, weights_only=False)
    content["classifier"] = classifier.state_dict()
    torch.save(content, path)
    found = import_training_checkpoint(path, tmp_path / "run")
    assert found.classes == ("normal", "adventitious")
    assert found.recipe.task == "cycle-2"
    run = load_run(tmp_path / "run")
    cycle = torch.randn(1, 64, 128)
    with torch.inference_mode():
        torch.testing.assert_close(run.network(cycle), classifier(backbone.eval()(cycle)))


def test_patch_mix_ast_keeps_its_scrambled_positions(write, tmp_path) -> None:
    path, backbone, classifier = write("ast")
    found = import_training_checkpoint(path, tmp_path / "run")
    assert found.recipe.name == "fine_tuning/ast-as-released"
    run = load_run(tmp_path / "run")
    torch.testing.assert_close(run.network.state_dict()["backbone.pos_embed"], backbone.pos_embed)
    cycle = torch.randn(1, 798, 128)
    with torch.inference_mode():
        torch.testing.assert_close(run.network(cycle), classifier(backbone.eval()(cycle)), rtol=1e-5, atol=1e-6)


def test_command_says_what_it_is_and_the_run_can_be_explained(cli, write, tmp_path, monkeypatch, made_corpus) -> None:
    monkeypatch.chdir(tmp_path)
    path, _, _ = write("ast", add="2025-08")
    outcome = cli("weights", "import", path)
    assert outcome.code == 0, outcome.err
    assert "ADD4RSC (released-2025-08) with ast, 4 classes" in outcome.text
    folder = tmp_path / "runs" / "imported" / "best"
    assert json.loads((folder / "recipe.json").read_text())["options"]["preset"] == "released-2025-08"
    again = cli("weights", "import", path)
    assert again.code == 1
    assert "--run-folder" in again.text
    recording = sorted((made_corpus / "ICBHI_final_database").glob("*.wav"))[0]
    explanation = explain_cycle(load_run(folder), recording, 0.5, 2.5)
    assert explanation.log_mel.shape == (1024, 256)
    assert explanation.difference.shape == (8, 1024, 1024)


def test_what_does_not_fit_is_listed(write, tmp_path) -> None:
    path, _, _ = write("ast", add="2025-08")
    content = torch.load(path, weights_only=False)
    del content["model"]["v.norm.weight"]
    content["model"]["v.extra"] = torch.zeros(1)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"backbone.norm.weight missing; backbone.extra unknown"):
        import_training_checkpoint(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    content["classifier"] = {"a": torch.zeros(4, 4), "b": torch.zeros(4, 4)}
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="is not one linear layer"):
        import_training_checkpoint(path, tmp_path / "run")


class Trap:
    def __reduce__(self):
        return (Path.touch, (Path("sprung"),))


def test_no_code_of_a_file_is_run(cli, write, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, _, _ = write("ast", trap=Trap())
    assert read_training_checkpoint(path) is None
    outcome = cli("weights", "import", path)
    assert outcome.code == 1
    assert "would run code" in outcome.text
    assert not (tmp_path / "sprung").exists()


def test_a_folder_with_a_run_is_left_alone(write, tmp_path) -> None:
    path, _, _ = write("ast")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    with pytest.raises(RunFolderError, match="--run-folder"):
        import_training_checkpoint(path, tmp_path / "run")
