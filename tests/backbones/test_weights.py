import dataclasses
import errno
import hashlib
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from add4rsc.backbones import backbones, weights
from add4rsc.backbones.mobilenet import MobileNet
from add4rsc.backbones.resnet import ResNet18
from add4rsc.backbones.small_cnn import SmallCnn
from add4rsc.backbones.weights import (
    WEIGHTS,
    extract_backbone,
    file_sha256,
    import_weights,
    load_weights,
    read_state,
    verify_weights,
    weights_file,
    weights_folder,
)
from add4rsc.errors import CheckpointError, StorageError, WrongUsageError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def checkpoint(tmp_path, monkeypatch) -> Path:
    """A file like EfficientAT's, with the published hash set to its own."""
    state = MobileNet().state_dict()
    state |= {"classifier.5.weight": torch.zeros(527, 512), "classifier.5.bias": torch.zeros(527)}
    path = tmp_path / "mn04.pt"
    torch.save(state, path)
    publish(monkeypatch, "mn04/audioset", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def publish(monkeypatch, name: str, sha256: str) -> None:
    monkeypatch.setitem(WEIGHTS, name, dataclasses.replace(WEIGHTS[name], sha256=sha256))


def test_every_source_is_of_a_backbone_and_a_form_that_exist():
    for name, source in WEIGHTS.items():
        assert name.split("/")[0] == source.backbone
        if source.packaged:
            continue
        assert source.form in backbones.get(source.backbone).forms
        assert source.url.startswith("https://")
        assert re.fullmatch(r"[0-9a-f]{0,64}", source.sha256)


def test_packaged_weights_are_there_and_are_those_described(home):
    packaged = {name: source for name, source in WEIGHTS.items() if source.packaged}
    assert packaged
    for name, source in packaged.items():
        assert file_sha256(weights_file(name)) == source.sha256
        assert weights_file(name).stat().st_size < 10_000_000
        with pytest.raises(WrongUsageError, match="comes with the package"):
            import_weights(weights_file(name), name)


def test_folder_follows_the_environment(home, monkeypatch):
    assert weights_folder() == home / "weights"
    monkeypatch.delenv("ADD4RSC_HOME")
    assert weights_folder() == Path.home() / ".cache" / "add4rsc" / "weights"


@pytest.mark.parametrize("name", [None, "mn04/audioset"])
def test_imported_weights_load_by_name(checkpoint, home, name):
    report = import_weights(checkpoint, name)
    assert report.path == home / "weights" / "mn04-audioset.safetensors"
    assert report.is_verified
    assert (report.keys.missing, report.keys.extra, report.keys.mis_shaped) == ((), (), ())
    backbone, expected = MobileNet(), torch.load(checkpoint, weights_only=True)
    loaded = load_weights(backbone, "mn04/audioset")
    assert set(loaded.matched) == set(backbone.state_dict())
    assert all(torch.equal(value, expected[key]) for key, value in backbone.state_dict().items())
    assert [file.name for file in report.path.parent.iterdir()] == ["mn04-audioset.safetensors"]


@pytest.mark.data
def test_published_mn04_is_verified(shared_weights):
    report = import_weights(shared_weights / "mn04_as_mAP_432.pt")
    assert report.name == "mn04/audioset"
    assert report.is_verified


def test_the_backbone_is_recognised_among_its_sisters(tmp_path):
    state = backbones.get("resnet34")().state_dict() | {"fc.weight": torch.zeros(1000, 512)}
    torch.save(state, tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match="resnet34/imagenet has b627a593"):
        import_weights(tmp_path / "file.pth")


def test_published_hash_may_be_known_by_its_first_digits(tmp_path, monkeypatch):
    torch.save(ResNet18().state_dict(), tmp_path / "file.pth")
    publish(monkeypatch, "resnet18/imagenet", file_sha256(tmp_path / "file.pth")[:8])
    assert import_weights(tmp_path / "file.pth").is_verified


def test_another_hash_is_refused_and_both_are_named(checkpoint, monkeypatch):
    publish(monkeypatch, "mn04/audioset", "0" * 64)
    with pytest.raises(CheckpointError, match=f"is {file_sha256(checkpoint)}, but mn04/audioset has {'0' * 64}"):
        import_weights(checkpoint)
    assert not weights_file("mn04/audioset").exists()


def test_a_checkpoint_that_lacks_a_tensor_is_not_imported(tmp_path, monkeypatch):
    state = MobileNet().state_dict()
    del state["features.16.0.weight"]
    torch.save(state, tmp_path / "file.pt")
    publish(monkeypatch, "mn04/audioset", "")
    with pytest.raises(CheckpointError, match=r"1 tensors are missing \(features.16.0.weight\)"):
        import_weights(tmp_path / "file.pt")


def test_a_file_of_nothing_we_know_is_refused(tmp_path):
    save_file({"some.weight": torch.zeros(3)}, tmp_path / "file.safetensors")
    with pytest.raises(CheckpointError, match=r"are not those of ast or .*mn04"):
        import_weights(tmp_path / "file.safetensors")


def test_an_interrupted_import_keeps_the_old_file(checkpoint, monkeypatch):
    path = import_weights(checkpoint).path
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        import_weights(checkpoint)
    assert [file.read_bytes() for file in path.parent.iterdir()] == [before]


def test_weights_that_were_not_imported_name_the_command():
    with pytest.raises(CheckpointError, match=r"Get https://.*mn04_as.* then run: add4rsc weights import FILE"):
        load_weights(MobileNet(), "mn04/audioset")


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(WrongUsageError, match="Did you mean 'mn04/audioset'"):
        load_weights(MobileNet(), "mn04/audoset")
    with pytest.raises(WrongUsageError, match="Known: ast/audioset-10-10"):
        import_weights(Path("x"), "qqqqqqq")


def test_other_shapes_are_refused_unless_allowed(checkpoint):
    with pytest.raises(CheckpointError, match="have another shape"):
        load_weights(MobileNet(width=0.5), checkpoint)
    state = torch.load(checkpoint, weights_only=True)
    state["classifier.2.bias"] = torch.zeros(7)
    del state["classifier.2.weight"]
    torch.save(state, checkpoint)
    backbone = MobileNet()
    bias, weight = backbone.classifier[2].bias.clone(), backbone.classifier[2].weight.clone()
    with pytest.raises(CheckpointError, match=r"1 tensors are missing .* and 1 have another shape"):
        load_weights(backbone, checkpoint)
    report = load_weights(backbone, checkpoint, allowed=["classifier.2.weight", "classifier.2.bias"])
    assert report.mis_shaped == ("classifier.2.bias",)
    assert report.missing == ("classifier.2.weight",)
    assert torch.equal(backbone.classifier[2].bias, bias)
    assert torch.equal(backbone.classifier[2].weight, weight)
    assert torch.equal(backbone.features[0][0].weight, state["features.0.0.weight"])


def test_weights_of_another_backbone_are_refused(checkpoint):
    with pytest.raises(CheckpointError, match=r"in SmallCnn: .* tensors are missing"):
        load_weights(SmallCnn(), checkpoint)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(1), "path": tmp_path}, tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match=r"would run code from the file .* safetensors"):
        read_state(tmp_path / "file.pth")


@pytest.mark.parametrize("content", [b"", b"PK half an archive", b"\x80\x02}q\x00half", b"<html>not found</html>"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"Download or copy it again|holds more than tensors"):
        read_state(tmp_path / "file.pth")


def test_nested_and_empty_states(tmp_path):
    torch.save({"epoch": 3, "state_dict": {"a": torch.ones(2)}}, tmp_path / "nested.pth")
    assert read_state(tmp_path / "nested.pth").keys() == {"a"}
    torch.save([1, 2], tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read_state(tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="does not exist"):
        read_state(tmp_path / "absent.pth")


def test_verify_finds_changed_strange_and_damaged_files(checkpoint):
    path = import_weights(checkpoint).path
    assert [(check.name, check.problem) for check in verify_weights()] == [("mn04/audioset", "")]
    metadata = weights.read_metadata(path)
    state = load_file(path)
    state["classifier.2.bias"][0] += 1
    save_file(state, path, metadata)
    save_file(state, path.with_name("strange.safetensors"))
    path.with_name("wrong.safetensors").write_bytes(b"wrong")
    problems = {check.path.stem: check.problem for check in verify_weights()}
    assert "its tensors have SHA-256" in problems["mn04-audioset"]
    assert "not written by an import" in problems["strange"]
    assert "damaged" in problems["wrong"]
    assert all(check.remedy for check in verify_weights())


@pytest.mark.parametrize("halved", [False, True])
def test_backbone_of_a_network_is_kept_alone(tmp_path, halved):
    made = backbones.get("small_cnn")()
    rest = {"head.weight": torch.zeros(4, made.n_features), "target.norm.weight": torch.zeros(1)}
    own = {f"backbone.{name}": tensor.clone() for name, tensor in made.state_dict().items()}
    save_file(own | rest, tmp_path / "model.safetensors")
    extract_backbone(tmp_path / "model.safetensors", tmp_path / "kept.safetensors", halved=halved)
    assert load_file(tmp_path / "kept.safetensors").keys() == own.keys()
    other = backbones.get("small_cnn")()
    load_weights(other, tmp_path / "kept.safetensors")
    for name, tensor in other.state_dict().items():
        assert torch.allclose(tensor, made.state_dict()[name], rtol=1e-3 if halved else 0, atol=1e-4 if halved else 0)
    save_file(rest, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds no backbone"):
        extract_backbone(tmp_path / "model.safetensors", tmp_path / "kept.safetensors")
