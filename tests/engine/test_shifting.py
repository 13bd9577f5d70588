"""A network that hears every cycle from several starts."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.cli import testing
from add4rsc.cli._app import app
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.engine.loading import TrainedRun, load_run
from add4rsc.engine.run import RunSettings, train
from add4rsc.engine.shifting import Shifted, shift_run
from add4rsc.engine.testing import predict_validation_subset
from add4rsc.errors import WrongUsageError
from add4rsc.export.exporting import ExportSettings, export_run
from add4rsc.inference.onnx_model import OnnxClassifier
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe


class FirstFrame(nn.Module):
    """A network whose logits are the first frame."""

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        return log_mel[:, 0]


@pytest.fixture(scope="module")
def trained(made_corpus, tmp_path_factory):
    """A run of one seed."""
    folder = tmp_path_factory.mktemp("shifted") / "run"
    recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), {"epochs": 2, "validation_share": 0.5})
    train(recipe, [1], RunSettings(made_corpus, folder, accelerator="cpu", show_progress=False))
    return folder


def test_logits_are_means_over_starts_at_equal_distances():
    frames = torch.arange(12.0).reshape(1, 6, 2) ** 2
    found = Shifted(FirstFrame(), 3)(torch.cat([frames, -frames]))
    expected = frames[0, [0, 2, 4]].mean(dim=0)
    torch.testing.assert_close(found, torch.stack([expected, -expected]))


def test_one_start_is_the_run_itself(trained):
    run = load_run(trained)
    assert shift_run(run, 1) is run
    with pytest.raises(WrongUsageError, match="from 0 starts"):
        shift_run(run, 0)


def test_a_network_with_parts_for_each_stethoscope_is_refused(trained):
    run = load_run(trained)
    recipe = change_recipe(run.recipe, {"device_fine_tuning": {"epochs": 1, "learning_rate": 1e-3}})
    with pytest.raises(WrongUsageError, match="Leave out --shifts"):
        shift_run(TrainedRun(run.folder, recipe, run.classes, run.network), 2)


def test_command_hears_the_test_and_the_validation_patients_alike(trained, made_corpus, tmp_path):
    assert testing.predict_and_score in [command.callback for command in app.registered_commands]

    def test(name, *flags):
        arguments = ["test", str(trained), "--data-folder", str(made_corpus), "-o", str(tmp_path / name), *flags]
        outcome = CliRunner().invoke(app, arguments)
        assert outcome.exit_code == 0, outcome.output
        return pd.read_csv(tmp_path / name / "predictions.csv")

    own, shifted = test("own"), test("shifted", "--shifts", "4")
    chances = [name for name in own if name.startswith("p_")]
    assert not np.allclose(own[chances], shifted[chances], atol=1e-6)
    assert set(shifted["shifts"]) == {4}
    network = shift_run(load_run(trained), 4)
    heard = predict_validation_subset(network, made_corpus).table
    said = pd.read_csv(trained / "validation.csv")
    assert list(heard["cycle_id"]) == list(said["cycle_id"])
    assert not np.allclose(heard[chances], said[chances], atol=1e-6)
    assert set(heard["subset"]) == {"validation"}
    smoothed = test("smoothed", "--shifts", "4", "--smooth")
    assert {"smoothing", "shifts"} <= set(smoothed)


def test_validation_patients_are_those_of_the_own_corpus(trained, tmp_path):
    with pytest.raises(WrongUsageError, match="holds nobody of"):
        predict_validation_subset(load_run(trained), SprSound2022.fake(tmp_path))


def test_file_hears_the_same_starts(trained, tmp_path):
    run = load_run(trained)
    report = export_run(trained, tmp_path / "model.onnx", ExportSettings(n_shifts=3))
    assert report.description.notes["shifts"] == "3"
    assert not [name for name in report.description.notes if name.startswith("test_")]
    waveforms = np.random.default_rng(0).normal(
        0, 0.1, (3, report.description.crop.n_samples(run.front_end.sample_rate))
    )
    found = OnnxClassifier(report.path).logits(waveforms.astype(np.float32))
    with torch.inference_mode():
        frames = LogMelFilterBank(run.front_end)(torch.from_numpy(waveforms.astype(np.float32)))
        expected = shift_run(run, 3).network(frames).numpy()
        own = run.network(frames).numpy()
    assert np.abs(found - expected).max() < 0.2 * np.abs(found - own).max()
