"""A run folder gives what its own predictions say."""

import numpy as np
import pandas as pd
import pytest

from add4rsc.engine.run import RunSettings, train
from add4rsc.inference.opening import fingerprint, open_classifier
from add4rsc.inference.pipeline import Choices, classify_file
from add4rsc.methods import recipes


@pytest.fixture(scope="module")
def run(made_corpus, tmp_path_factory, shared_home):
    folder = tmp_path_factory.mktemp("torch") / "run"
    recipe = recipes.get("fine_tuning/small_cnn")().model_copy(update={"epochs": 1, "validation_share": 0.5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADD4RSC_HOME", str(shared_home))
        train(recipe, [1], RunSettings(made_corpus, folder, accelerator="cpu"))
    return folder


def test_a_run_predicts_files_as_it_predicted_the_test_subset(run, made_corpus):
    classifier = open_classifier(run)
    expected = pd.read_csv(run / "predictions.csv")
    name = expected["recording"][0]
    path = next(path for path in made_corpus.rglob(f"{name}.*") if path.suffix in (".wav", ".flac"))
    result = classify_file(classifier, path, path.name, Choices("auto"))
    rows = expected[expected["recording"] == name]
    columns = [f"p_{each}" for each in classifier.classes]
    assert result.cycles_from == "annotation"
    assert np.allclose([cycle.start for cycle in result.cycles], rows["start"])
    assert np.abs(np.array([cycle.probabilities for cycle in result.cycles]) - rows[columns].to_numpy()).max() < 1e-4


def test_the_fingerprint_is_of_the_weights(run, hand_model):
    assert fingerprint(run) == fingerprint(run)
    assert fingerprint(run) != fingerprint(hand_model)
