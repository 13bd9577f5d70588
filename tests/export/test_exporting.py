import logging

import numpy as np
import onnx
import pytest
import torch
from scipy.special import softmax

from add4rsc.engine.calibrate import CalibrationRule
from add4rsc.engine.loading import load_run
from add4rsc.errors import CheckpointError, RunFolderError
from add4rsc.export.description import without_places
from add4rsc.export.exporting import ExportSettings, check_parity, export_run
from add4rsc.export.graph import WaveformNetwork
from add4rsc.inference.onnx_model import OnnxClassifier
from add4rsc.inference.torch_model import TorchClassifier
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory):
    """An exported small network and its run folder."""
    folder = run_folder()
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    return export_run(folder, path, ExportSettings()), folder


def torch_logits(folder, waveforms):
    run = load_run(folder)
    with torch.inference_mode():
        return WaveformNetwork(run, None).eval()(torch.from_numpy(waveforms)).numpy()


def made_waveforms(n_cycles, n_samples):
    return (0.1 * np.random.default_rng(0).standard_normal((n_cycles, n_samples))).astype(np.float32)


def test_file_gives_the_run_s_logits(exported):
    report, folder = exported
    classifier = OnnxClassifier(report.path)
    for n_cycles in (1, 5, 40):
        waveforms = made_waveforms(n_cycles, 8_000)
        np.testing.assert_allclose(classifier.logits(waveforms), torch_logits(folder, waveforms), atol=1e-4)
    assert report.largest_difference < 1e-4
    assert not report.on_real_cycles


def test_file_says_what_it_is(exported):
    description = OnnxClassifier(exported[0].path).description
    assert description.classes == ("normal", "crackle", "wheeze", "both")
    assert description.crop.duration == 1.0
    assert description.temperature == 1.0
    assert description.notes["test_score"] == "0.6250 (95 % interval over patients 0.5000 to 0.7500)"
    assert {"seed": "7", "commit": "abc", "split": "icbhi2017/official"}.items() <= description.notes.items()


def test_file_names_no_folder_of_this_machine(exported):
    report, folder = exported
    content = report.path.read_bytes()
    assert str(folder).encode() not in content
    assert b".py" not in content
    assert b"site-packages" not in content


def test_recipe_in_a_file_names_what_it_was_made_from_but_no_folder():
    changes = {
        "options.teacher": "/home/someone/runs/group/teacher",
        "noise.folder": "/media/noise",
        "start_from": "/home/someone/runs/first",
        "weights": "mn04/audioset",
    }
    recipe = change_recipe(recipes.get("fine_tuning/mn04")(), changes)
    told = without_places(recipe)
    assert told.options["teacher"] == "group/teacher"
    assert (told.noise.folder, told.start_from, told.weights) == ("media/noise", "runs/first", "mn04/audioset")
    assert recipe.options["teacher"] == changes["options.teacher"]


def test_file_passes_onnx_own_check(exported):
    onnx.checker.check_model(onnx.load(exported[0].path), full_check=True)


def test_calibrated_and_int8(run_folder, made_corpus, feature_cache, tmp_path):
    folder = run_folder()
    report = export_run(folder, tmp_path / "model.onnx", ExportSettings(made_corpus, CalibrationRule.VECTOR, int8=True))
    assert report.calibration is not None
    waveforms = made_waveforms(8, 8_000)
    expected = torch_logits(folder, waveforms) * report.calibration.scale + report.calibration.offset
    found = OnnxClassifier(report.path).logits(waveforms)
    assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    assert report.int8_scores is not None
    assert report.largest_difference < 1e-4
    assert report.on_real_cycles
    assert "vector scaling" in report.description.notes["calibration"]
    assert "int8" in report.description.notes["quantisation"]
    assert not logging.getLogger().filters


def test_seeds_become_one_network(run_folder, made_corpus, feature_cache, tmp_path):
    folders = [run_folder("add4rsc/small_cnn", folder=tmp_path / "run" / f"seed-{seed}", seed=seed) for seed in (1, 2)]
    report = export_run(tmp_path / "run", tmp_path / "model.onnx", ExportSettings(made_corpus, ensemble=True))
    waveforms = made_waveforms(4, 8_000)
    expected = np.mean([softmax(torch_logits(folder, waveforms), axis=1) for folder in folders], axis=0)
    exported = OnnxClassifier(report.path)
    np.testing.assert_allclose(np.exp(exported.logits(waveforms)), expected, rtol=1e-4, atol=1e-6)
    shown, own = (each.mel_filter.apply(waveforms) for each in (exported, TorchClassifier(folders[0])))
    np.testing.assert_allclose(shown.filtered, own.filtered, atol=1e-3)
    notes = report.description.notes
    assert {"members": "2", "seed": "7", "epoch": "3"}.items() <= notes.items()
    assert notes["test_score"] != "0.6250 (95 % interval over patients 0.5000 to 0.7500)"
    assert "test_n_cycles" in notes


def test_other_logits_are_refused(exported):
    report, folder = exported
    network = WaveformNetwork(load_run(folder), None).eval()
    network.offset += 0.001
    with pytest.raises(CheckpointError, match=r"differ by up to 1\.0e-03"):
        check_parity(OnnxClassifier(report.path), network, made_waveforms(3, 8_000))


def test_folder_without_network(tmp_path):
    with pytest.raises(RunFolderError, match="holds no model"):
        export_run(tmp_path, tmp_path / "model.onnx", ExportSettings())


@pytest.mark.data
def test_mn04_with_its_weights(run_folder, shared_weights, tmp_path):
    weights = shared_weights / "mn04_as_mAP_432.pt"
    folder = run_folder("fine_tuning/mn04", weights, **{"crop.duration": 3.0})
    report = export_run(folder, tmp_path / "model.onnx", ExportSettings())
    waveforms = made_waveforms(3, 96_000)
    np.testing.assert_allclose(
        OnnxClassifier(report.path).logits(waveforms), torch_logits(folder, waveforms), atol=1e-4
    )
    assert report.n_bytes < 4e6
