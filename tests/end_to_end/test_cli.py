"""The whole way on made recordings: train -> evaluate, one run, several seeds, folds, two forms of output."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, recall_score

from add4rsc.cli import main

CONTRACT = {
    "n_cycles", "n_patients", "classes", "confusion_matrix", "specificity", "sensitivity", "score",
    "sensitivity_binary", "score_binary", "per_class", "intervals", "split", "selection", "is_official",
}  # fmt: skip
COLUMNS = [
    "cycle_id", "recording", "patient", "start", "end", "label", "decision", "p_normal", "p_crackle", "p_wheeze",
    "p_both",
]  # fmt: skip
RUN_FILES = {"recipe.json", "run.json", "history.csv", "model.safetensors", "predictions.csv", "summary.json"}
CLASSES = ["normal", "crackle", "wheeze", "both"]
ENVIRONMENT = {"COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
SHORT = ("--set", "crop.duration=1.0", "--set", "validation_share=0.5", "--accelerator", "cpu")


def add4rsc(home: Path, *arguments: str | Path, code: int = 0) -> str:
    """Run the command in this process; its standard output."""
    out, err = io.StringIO(), io.StringIO()
    words = ["add4rsc", *map(str, arguments)]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", words)
        for name, value in (ENVIRONMENT | {"ADD4RSC_HOME": str(home)}).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as stop:
            main()
    assert (stop.value.code or 0) == code, err.getvalue()
    return out.getvalue()


def in_a_process_of_its_own(home: Path, *arguments: str | Path) -> str:
    command = [sys.executable, "-m", "add4rsc", *map(str, arguments)]
    environment = os.environ | ENVIRONMENT | {"ADD4RSC_HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run_folder(made_corpus, shared_home, tmp_path_factory) -> Path:
    """Two epochs of `fine_tuning/small_cnn`."""
    folder = tmp_path_factory.mktemp("run")
    arguments = ("train", "fine_tuning/small_cnn", "--data-folder", made_corpus, "--run-folder", folder, *SHORT)
    printed = json.loads(in_a_process_of_its_own(shared_home, *arguments, "--set", "epochs=2", "--json"))
    assert printed["n_cycles"] == 37
    return folder


def test_run_folder_holds_what_the_contract_says(run_folder):
    assert {path.name for path in run_folder.iterdir() if path.is_file()} >= RUN_FILES
    assert list((run_folder / "checkpoint").iterdir())
    table = pd.read_csv(run_folder / "predictions.csv")
    assert list(table)[: len(COLUMNS)] == COLUMNS
    assert {"stethoscope", "chest_location", "subset", "split", "selection"} <= set(table)
    assert len(table) == 37
    assert table["cycle_id"].is_unique
    shares = table[[f"p_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert [CLASSES[index] for index in shares.argmax(axis=1)] == table["decision"].tolist()
    run = json.loads((run_folder / "run.json").read_text())
    assert {"seed", "commit", "data_checksum", "device", "seconds", "packages", "epoch"} <= run.keys()
    recipe = json.loads((run_folder / "recipe.json").read_text())
    assert (recipe["split"], recipe["task"], recipe["dataset"]) == ("icbhi2017/official", "cycle-4", "icbhi2017")
    assert len(pd.read_csv(run_folder / "history.csv")) == 2


def test_labels_and_patients_are_those_of_the_official_list(run_folder, made_corpus):
    listed = (made_corpus / "ICBHI_challenge_train_test.txt").read_text().split()
    test = {stem for stem, subset in zip(listed[::2], listed[1::2], strict=True) if subset == "test"}
    table = pd.read_csv(run_folder / "predictions.csv", dtype={"patient": str})
    assert set(table["recording"]) == test
    bits = {("0", "0"): "normal", ("1", "0"): "crackle", ("0", "1"): "wheeze", ("1", "1"): "both"}
    for recording, rows in table.groupby("recording"):
        text = (made_corpus / "ICBHI_final_database" / f"{recording}.txt").read_text()
        expected = [line.split("\t") for line in text.splitlines()]
        assert rows["label"].tolist() == [bits[crackle, wheeze] for *_, crackle, wheeze in expected]
        np.testing.assert_allclose(rows["start"], [float(row[0]) for row in expected], atol=1e-6)
        assert set(rows["patient"]) == {str(recording)[:3]}


def test_evaluation_has_the_keys_of_the_contract_and_the_numbers_of_sklearn(run_folder, shared_home):
    printed = [
        json.loads(add4rsc(shared_home, "evaluate", path, "--json"))
        for path in (run_folder, run_folder / "predictions.csv")
    ]
    result = printed[0]
    assert result.keys() >= CONTRACT
    assert all(printed[1][key] == result[key] for key in CONTRACT)
    table = pd.read_csv(run_folder / "predictions.csv")
    labels, decisions = table["label"], table["decision"]
    assert result["classes"] == CLASSES
    assert result["confusion_matrix"] == confusion_matrix(labels, decisions, labels=CLASSES).tolist()
    assert result["specificity"] == pytest.approx((decisions == "normal")[labels == "normal"].mean())
    assert result["sensitivity"] == pytest.approx((decisions == labels)[labels != "normal"].mean())
    assert result["sensitivity_binary"] == pytest.approx((decisions != "normal")[labels != "normal"].mean())
    recalls = recall_score(labels, decisions, labels=CLASSES, average=None, zero_division=np.nan)
    assert [result["per_class"][name]["recall"] for name in CLASSES] == pytest.approx(list(recalls))
    assert (result["n_cycles"], result["n_patients"]) == (37, 2)
    assert (result["selection"], result["is_official"]) == ("validation", False)
    summary = json.loads((run_folder / "summary.json").read_text())
    assert summary["score"] == result["score"]


def test_evaluation_for_people_shows_scores_and_what_they_are(run_folder, shared_home):
    page = add4rsc(shared_home, "evaluate", run_folder)
    score = json.loads((run_folder / "summary.json").read_text())["score"]
    for part in (f"{score:.4f}", "37 cycles of 2 patients", "not a complete official test", "Research use only"):
        assert part in page


def test_recipe_of_a_run_repeats_it(run_folder, made_corpus, shared_home, tmp_path):
    arguments = ("--config", run_folder / "recipe.json", "--run-folder", tmp_path, "--accelerator", "cpu")
    add4rsc(shared_home, "train", "fine_tuning/small_cnn", "--data-folder", made_corpus, *arguments)
    assert (tmp_path / "predictions.csv").read_bytes() == (run_folder / "predictions.csv").read_bytes()
    add4rsc(shared_home, "train", "fine_tuning/small_cnn", "--data-folder", made_corpus, *arguments, code=1)


def test_seeds_have_folders_and_one_summary_that_evaluate_repeats(made_corpus, shared_home, tmp_path):
    arguments = ["train", "fine_tuning/small_cnn", "--data-folder", made_corpus, "--run-folder", tmp_path, *SHORT]
    printed = json.loads(add4rsc(shared_home, *arguments, "--set", "epochs=1", "--seeds", "1,2", "--json"))
    single = [json.loads((tmp_path / f"seed-{seed}" / "summary.json").read_text()) for seed in (1, 2)]
    tables = [(tmp_path / f"seed-{seed}" / "predictions.csv").read_bytes() for seed in (1, 2)]
    assert tables[0] != tables[1]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary == printed
    assert summary["seeds"] == [1, 2]
    scores = [each["score"] for each in single]
    assert summary["score"]["values"] == scores
    assert summary["score"]["mean"] == pytest.approx(np.mean(scores))
    assert summary["score"]["sd"] == pytest.approx(np.std(scores, ddof=1))
    evaluated = json.loads(add4rsc(shared_home, "evaluate", tmp_path, "--json"))
    assert evaluated["score"] == summary["score"]
    assert evaluated["seeds"] == [1, 2]
    assert "2 seeds" in " ".join(add4rsc(shared_home, "evaluate", tmp_path).split())
    more = json.loads(add4rsc(shared_home, *arguments, "--set", "epochs=1", "--seeds", "1,2,3", "--resume", "--json"))
    assert more["score"]["values"][:2] == scores
    assert (tmp_path / "seed-1" / "predictions.csv").read_bytes() == tables[0]


def test_folds_are_pooled_so_that_every_cycle_is_tested_once(made_corpus, shared_home, tmp_path):
    folds = ("--set", "split=patient-folds-3", "--set", "epochs=1", "--json")
    arguments = ("train", "add4rsc/small_cnn", "--data-folder", made_corpus, "--run-folder", tmp_path, *SHORT)
    result = json.loads(add4rsc(shared_home, *arguments, *folds))
    assert result["n_cycles"] == 84
    assert result["n_patients"] == 4
    assert result["split"] == "patient-folds-3"
    pooled = pd.read_csv(tmp_path / "predictions.csv")
    assert pooled["cycle_id"].is_unique
    assert set(pooled["fold"]) == {1, 2, 3}
    assert pooled.groupby("patient")["fold"].nunique().max() == 1
    for fold in (1, 2, 3):
        part = pd.read_csv(tmp_path / f"fold-{fold}" / "predictions.csv")
        assert part["cycle_id"].tolist() == pooled["cycle_id"][pooled["fold"] == fold].tolist()
    right = (pooled["label"] == pooled["decision"])[pooled["label"] == "normal"].mean()
    assert result["specificity"] == pytest.approx(right)
    assert json.loads(add4rsc(shared_home, "evaluate", tmp_path, "--json"))["score"] == result["score"]


@pytest.mark.slow
def test_demo_learns_what_the_made_sounds_hold(shared_home, tmp_path):
    page = add4rsc(shared_home, "demo", "--out", tmp_path)
    assert "Predictions of" in page
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["score"] > 0.6
