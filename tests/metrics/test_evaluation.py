"""What `evaluate` says: the keys of the contract, and values computed elsewhere."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from add4rsc.metrics.evaluation import evaluate
from add4rsc.predictions import Predictions

Make = Callable[..., Predictions]

CONTRACT = {
    "n_cycles",
    "n_patients",
    "classes",
    "confusion_matrix",
    "specificity",
    "sensitivity",
    "score",
    "sensitivity_binary",
    "score_binary",
    "per_class",
    "intervals",
    "split",
    "selection",
    "is_official",
}


def test_every_key_of_the_contract_is_there_and_json_holds_all(made: Make) -> None:
    result = evaluate(made())
    assert result.keys() >= CONTRACT
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["n_patients"] == 12
    assert not result["is_official"]
    for name in ("specificity", "sensitivity", "score", "sensitivity_binary", "score_binary"):
        for kind in ("intervals", "intervals_bca"):
            low, high = result[kind][name]
            assert low < result[name] < high


def test_values_are_those_of_scikit_learn(made: Make) -> None:
    table = made()
    result = evaluate(table)
    labels, decisions = table.labels, table.decisions
    assert result["confusion_matrix"] == metrics.confusion_matrix(labels, decisions).tolist()
    assert result["macro_f1"] == pytest.approx(metrics.f1_score(labels, decisions, average="macro"))
    assert result["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, decisions))
    assert result["matthews_correlation"] == pytest.approx(metrics.matthews_corrcoef(labels, decisions))
    for index, name in enumerate(table.classes):
        row = result["per_class"][name]
        of_class = table.probabilities[:, index]
        assert row["auroc"] == pytest.approx(metrics.roc_auc_score(labels == index, of_class))
        assert row["auprc"] == pytest.approx(metrics.average_precision_score(labels == index, of_class))
        assert row["recall_wilson"][0] < row["recall"] < row["recall_wilson"][1]
    assert result["specificity"] == metrics.recall_score(labels == 0, decisions == 0)


def test_class_without_cycles_is_none_and_is_named(made: Make) -> None:
    table = made(classes=("normal", "crackle", "wheeze"))
    wider = Predictions(table.table.assign(p_both=0.0), (*table.classes, "both"))
    result = evaluate(wider)
    assert result["classes_without_cycles"] == ["both"]
    assert {key: value for key, value in result["per_class"]["both"].items() if value != 0} == {
        "recall": None,
        "precision": None,
        "f1": None,
        "recall_wilson": [None, None],
        "auroc": None,
        "auprc": None,
    }
    assert result["macro_f1"] == evaluate(table)["macro_f1"]
    assert result["score"] == evaluate(table)["score"]


def test_poor_quality_is_in_the_matrix_but_in_no_score(made: Make) -> None:
    classes = ("normal", "cas", "das", "cas_das", "poor_quality")
    table = made(classes=classes)
    kept = table.labels != 4
    result, without = evaluate(table), evaluate(Predictions(table.table[kept].reset_index(drop=True), classes))
    assert result["n_poor_quality"] == (~kept).sum()
    for key in ("specificity", "sensitivity", "score", "sprsound", "intervals", "intervals_bca", "subgroups"):
        assert result[key] == without[key]
    assert np.sum(result["confusion_matrix"]) == len(kept)
    assert result["sprsound_look_alikes"]["A4"] is None
    assert result["sprsound_look_alikes"]["M"]["score"] > result["sprsound"]["score"]


def test_events_of_seven_classes_have_a_four_class_average(made: Make) -> None:
    classes = ("normal", "rhonchi", "wheeze", "stridor", "coarse_crackle", "fine_crackle", "wheeze_crackle")
    result = evaluate(made(classes=classes))
    assert result["sprsound_look_alikes"]["A4"] > result["sprsound"]["average"]


WITHOUT_EXTRAS = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "sklearn", "lightning_fabric", "matplotlib"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
from add4rsc.cli import main

main()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "A", "--json"],
        ["compare", "A", "B", "--json"],
        ["check-published", "85.13", "45.94"],
        ["list", "published"],
    ],
)
def test_commands_need_neither_torch_nor_scikit_learn(made: Make, tmp_path: Path, arguments: list[str]) -> None:
    for name, seed in (("A", 1), ("B", 2)):
        made(seed=seed).table.to_csv(tmp_path / name, index=False)
    command = [sys.executable, "-c", WITHOUT_EXTRAS, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    if "--json" in arguments:
        assert json.loads(done.stdout)["n_patients"] == 12
