"""A trained network on the test of another corpus than its own."""

from pathlib import Path

import numpy as np
import pytest

from add4rsc.datasets.opening import open_dataset
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.engine import decision
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.testing import predict_test_subset
from add4rsc.errors import WrongUsageError
from add4rsc.methods import recipes
from add4rsc.protocol.split import make_split
from add4rsc.recipe import change_recipe

SHARES = np.arange(1.0, 8.0) / 28
"""Of seven classes, all different."""


@pytest.fixture
def trained(unmoved):
    """A network of a task of SPRSound."""

    def make(task):
        changes = {"dataset": "sprsound2022", "task": task, "split": "sprsound2022/inter", "crop.duration": 1.0}
        classes = SprSound2022.tasks[task].classes
        network = unmoved(*np.log(SHARES[: len(classes)] / SHARES[: len(classes)].sum()).tolist())
        return TrainedRun(Path("run"), change_recipe(recipes.get("fine_tuning/small_cnn")(), changes), classes, network)

    return make


def test_finer_classes_answer_those_that_both_corpora_have(trained, made_corpus, feature_cache):
    found = predict_test_subset(trained("task-1-2"), made_corpus)
    assert found.classes == ("normal", "crackle", "wheeze", "both")
    of = dict(zip(SprSound2022.tasks["task-1-2"].classes, SHARES, strict=True))
    merged = {
        "normal": of["normal"],
        "crackle": of["fine_crackle"] + of["coarse_crackle"],
        "wheeze": of["wheeze"] + of["rhonchi"] + of["stridor"],
        "both": of["wheeze_crackle"],
    }
    np.testing.assert_allclose(found.probabilities, [list(merged.values())] * len(found.table), atol=1e-6)
    assert set(found.labels) > {0}


def test_tasks_of_other_names_with_the_same_classes(trained, made_corpus, feature_cache):
    found = predict_test_subset(trained("task-1-1"), made_corpus)
    np.testing.assert_allclose(found.probabilities, [[1 / 3, 2 / 3]] * len(found.table), atol=1e-6)
    assert found.classes == ("normal", "adventitious")


def test_no_shared_task(trained, made_corpus, feature_cache):
    with pytest.raises(WrongUsageError, match="answers no task of icbhi2017"):
        predict_test_subset(trained("task-2-2"), made_corpus)


def test_class_shares_are_those_of_the_training_cycles_or_ones_own(trained, made_corpus, feature_cache, monkeypatch):
    monkeypatch.setattr(decision, "FEWEST", 1)
    found = predict_test_subset(trained("task-1-1"), made_corpus, class_shares={})
    dataset = open_dataset(made_corpus)
    split = make_split(dataset, dataset.tasks["cycle-2"], dataset.split_names[0], validation_share=0.0)
    shares = [split.class_shares()[name] for name in found.classes]
    assert sum(shares) == pytest.approx(1)
    np.testing.assert_allclose(found.probabilities, [shares] * len(found.table), atol=1e-5)
    own = predict_test_subset(trained("task-1-1"), made_corpus, class_shares={"adventitious": 0.1, "normal": 0.9})
    assert set(own.table["class_shares"]) == {"normal=0.900,adventitious=0.100"}


@pytest.mark.parametrize(
    "shares",
    [
        {"normal": 0.5, "crackle": 0.5},
        {"normal": 0.5, "adventitious": 0.6},
        {"normal": 1.5, "adventitious": -0.5},
        {"normal": float("nan"), "adventitious": 0.5},
    ],
)
def test_shares_that_cannot_be(trained, made_corpus, feature_cache, shares):
    with pytest.raises(WrongUsageError, match="from 0 to 1 for each of normal, adventitious"):
        predict_test_subset(trained("task-1-1"), made_corpus, class_shares=shares)
