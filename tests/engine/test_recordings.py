"""Whole recordings judged by a network of their events."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from typer.testing import CliRunner

from add4rsc.cli import testing
from add4rsc.cli._app import app
from add4rsc.datasets._sprsound_files import write_annotation
from add4rsc.datasets.sprsound import PARTS
from add4rsc.datasets.verification import Stretch
from add4rsc.engine import decision, loading, recordings
from add4rsc.engine.context import best_smoothing, read_validation
from add4rsc.engine.judge import fit_judge
from add4rsc.engine.loading import load_run
from add4rsc.engine.recordings import hear_recordings, judge_recordings, pool_windows, predict_recordings
from add4rsc.engine.run import RunSettings, train
from add4rsc.engine.testing import predict_test_subset
from add4rsc.errors import WrongUsageError
from add4rsc.methods import recipes
from add4rsc.metrics.smoothing import LEAST_PROBABILITY, smooth_recordings
from add4rsc.predictions import read_predictions
from add4rsc.recipe import change_recipe
from add4rsc.terms import Subset

N_TRAINING_PATIENTS = 8


def write_recording(folder, part, patient, number, label, draw):
    audio, annotation = (folder / "BioCAS2022" / each for each in PARTS[part])
    audio.mkdir(parents=True, exist_ok=True)
    annotation.mkdir(parents=True, exist_ok=True)
    stem = f"9000{patient:04d}_5.0_0_p{number + 1}_{patient * 4 + number}"
    waveform = 0.02 * draw.standard_normal(24_000)
    if label == "cas":
        waveform += 0.1 * np.sin(2 * np.pi * 500 * np.arange(24_000) / 8000)
    soundfile.write(audio / f"{stem}.wav", waveform, 8000, subtype="PCM_16")
    word = "wheeze" if label == "cas" else "normal"
    events = [Stretch(0.2, 1.2, word), Stretch(1.4, 2.6, word)] if label != "poor_quality" else []
    write_annotation(annotation / f"{stem}.json", label, events)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Recordings of 3 s in SPRSound's layout: noise where all is normal, a tone in it where there are wheezes."""
    folder = tmp_path_factory.mktemp("recordings") / "corpus"
    draw = np.random.default_rng(0)
    for patient in range(N_TRAINING_PATIENTS + 2):
        part = "train" if patient < N_TRAINING_PATIENTS else "inter"
        for number, label in enumerate(("normal", "cas", "poor_quality")):
            write_recording(folder, part, patient, number, label, draw)
        if part == "train":
            write_recording(folder, "intra", patient, 3, "cas", draw)
    return folder


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory, shared_home):
    """Train a small network on the corpus, with half of its patients held back: changes of the recipe -> run folder."""

    def train_once(**changes):
        folder = tmp_path_factory.mktemp("run")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ADD4RSC_HOME", str(shared_home))
            recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), {"validation_share": 0.5, **changes})
            train(recipe, [1], RunSettings(corpus, folder, accelerator="cpu", show_progress=False))
        return folder

    return train_once


@pytest.fixture(scope="module")
def run(trained):
    return trained(task="task-1-1", epochs=4, crop={"duration": 1.0}, batch_size=8)


@pytest.fixture(scope="module")
def other_run(trained):
    """The same with other patients held back."""
    return trained(task="task-1-1", epochs=4, crop={"duration": 1.0}, batch_size=8, validation_seed=1)


@pytest.fixture(scope="module")
def of_recordings(trained):
    """A network that was trained on recordings."""
    return trained(task="task-2-2", epochs=2, crop={"duration": 3.0}, batch_size=4)


def test_verb_is_known():
    assert testing.predict_and_score in [command.callback for command in app.registered_commands]


def test_windows_are_pooled_class_by_class():
    windows = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [1.0, 0.0]])

    def log_odds(value):
        inside = min(max(value, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
        return np.log(inside) - np.log(1 - inside)

    expected = []
    for summary in (np.mean, max, lambda column: np.mean(sorted(column)[-3:])):
        expected += [log_odds(summary(list(windows[:, label]))) for label in range(2)]
    np.testing.assert_allclose(pool_windows(windows), expected)


def test_test_recordings_are_judged_and_poor_quality_is_never_answered(run, corpus, feature_cache):
    done = CliRunner().invoke(app, ["test", str(run), "--data-folder", str(corpus), "--recordings", "task-2-1"])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(run / "tested-on-sprsound2022-inter-task-2-1" / "predictions.csv")
    assert sorted(table["label"]) == ["adventitious"] * 2 + ["normal"] * 2 + ["poor_quality"] * 2
    assert (table["p_poor_quality"] == 0).all()
    judged = table[table["label"] != "poor_quality"]
    assert (judged["label"] == judged["decision"]).all()
    assert set(table["patient"].astype(str)) == {f"9000{N_TRAINING_PATIENTS + each:04d}" for each in (0, 1)}


def test_another_test_of_the_corpus_is_judged_too(run, corpus, feature_cache, tmp_path):
    ask = ["test", str(run), "--data-folder", str(corpus), "--recordings", "task-2-1", "--split", "sprsound2022/intra"]
    done = CliRunner().invoke(app, [*ask, "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert set(table["split"]) == {"sprsound2022/intra"}
    assert set(table["patient"].astype(str)) == {f"9000{patient:04d}" for patient in range(N_TRAINING_PATIENTS)}
    assert (table["decision"] == "adventitious").all()


def test_no_judge_has_seen_a_test_recording_of_the_patients_it_is_fitted_on(run, corpus, feature_cache):
    heard = hear_recordings(load_run(run), corpus, Subset.VALIDATION)
    assert len({each.recording.patient_id for each in heard.recordings}) == N_TRAINING_PATIENTS // 2
    assert len(heard.recordings) == 3 * N_TRAINING_PATIENTS // 2
    assert all(
        each.recording.path.is_relative_to(corpus / "BioCAS2022" / PARTS["train"][0]) for each in heard.recordings
    )


def test_the_judge_is_fitted_on_the_patients_of_every_fold(run, corpus, feature_cache, monkeypatch, shared_home):
    """Two folds: each recording is heard by the network that held it back."""
    monkeypatch.setenv("ADD4RSC_HOME", str(shared_home))
    first = load_run(run)
    other = replace(first, recipe=first.recipe.model_copy(update={"validation_seed": 1}))
    heard = [hear_recordings(each, corpus, Subset.VALIDATION) for each in (first, other)]
    asked = hear_recordings(first, corpus, Subset.TEST)
    seen = []
    monkeypatch.setattr(
        recordings, "fit_judge", lambda *given, weighed: seen.append(given) or fit_judge(*given, weighed=weighed)
    )
    judge_recordings(asked, "task-2-1", heard)
    values, labels, patients = seen[0]
    known = [each for one in heard for each in one.recordings if each.annotation != "poor_quality"]
    assert patients == [each.recording.patient_id for each in known]
    of_first, of_other = ({each.recording.patient_id for each in one.recordings} for one in heard)
    assert of_first != of_other
    assert labels.tolist() == [int(each.annotation != "normal") for each in known]
    assert len(values) == len(known)
    monkeypatch.undo()
    monkeypatch.setenv("ADD4RSC_HOME", str(shared_home))
    both = predict_recordings(first, corpus, "task-2-1", [other])
    pd.testing.assert_frame_equal(both.table, judge_recordings(asked, "task-2-1", heard).table)


def test_a_judge_is_not_fitted_on_networks_of_other_classes(run, corpus, feature_cache):
    heard = hear_recordings(load_run(run), corpus, Subset.VALIDATION)
    other = replace(heard, run=replace(heard.run, classes=("normal", "crackle")))
    with pytest.raises(WrongUsageError, match="other classes or another split"):
        judge_recordings(heard, "task-2-1", [heard, other])


def test_poor_quality_can_be_left_unanswered(of_recordings, corpus, feature_cache):
    done = CliRunner().invoke(
        app, ["test", str(of_recordings), "--data-folder", str(corpus), "--never", "poor_quality"]
    )
    assert done.exit_code == 0, done.output
    found = read_predictions(of_recordings / "tested-on-sprsound2022-inter-never-poor_quality" / "predictions.csv")
    assert (found.probabilities[:, -1] == 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-4)
    assert "poor_quality" in set(found.table["label"])


def test_seeds_are_judged_in_context_one_by_one(run, other_run, corpus, tmp_path, feature_cache):
    seeds = []
    for index, each in enumerate((run, other_run), 1):
        seeds.append(tmp_path / "seeds" / f"seed-{index}")
        shutil.copytree(each, seeds[-1])

    def judged(folder, *flags):
        ask = ["test", str(folder), "--data-folder", str(corpus), "--in-context", "-o", str(tmp_path / "out"), *flags]
        outcome = CliRunner().invoke(app, ask)
        assert outcome.exit_code == 0, outcome.output
        return read_predictions(tmp_path / "out" / "predictions.csv")

    alone = [judged(each, "--fit-on", str(other)) for each, other in (seeds, seeds[::-1])]
    expected = np.mean([each.probabilities for each in alone], axis=0)
    assert np.abs(alone[0].probabilities - alone[1].probabilities).max() > 1e-3
    np.testing.assert_allclose(judged(tmp_path / "seeds", "--ensemble").probabilities, expected, atol=1e-5)


def test_a_mistyped_class_is_told_before_anything_is_heard(of_recordings, corpus, monkeypatch):
    monkeypatch.setattr(loading, "load_run", lambda folder: pytest.fail("the network was loaded"))
    done = CliRunner().invoke(app, ["test", str(of_recordings), "--data-folder", str(corpus), "--never", "poor"])
    assert "--never poor: there is no such class. Known: normal, " in str(done.exception)


def test_cycles_are_smoothed_before_shares_are_matched(run, corpus, feature_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(decision, "FEWEST", 1)
    ask = ["test", str(run), "--data-folder", str(corpus), "--smooth", "--class-shares", "normal=0.8,adventitious=0.2"]
    assert CliRunner().invoke(app, [*ask, "-o", str(tmp_path)]).exit_code == 0
    alone, found = predict_test_subset(load_run(run), corpus), read_predictions(tmp_path / "predictions.csv")
    smoothing = best_smoothing(read_validation(run))
    assert set(found.table["smoothing"]) == {smoothing}
    smoothed = smooth_recordings(alone.probabilities, alone.table["recording"].tolist(), smoothing)
    expected = decision.match_shares(smoothed, alone.table["stethoscope"].tolist(), np.array([0.8, 0.2]))
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(found.probabilities.mean(axis=0), [0.8, 0.2], atol=1e-4)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--recordings", "task-1-2"], "one of events"),
        (["--recordings", "task-9"], "no task 'task-9'|task-2-1"),
        (["--recordings", "task-2-1", "--in-context"], "Leave out --hide"),
        (["--recordings", "task-2-1", "--smooth"], "Leave out --hide"),
        (["--in-context", "--class-shares", "training"], "Leave out one or the others"),
        (["--class-shares", "normal"], "cannot be read from 'normal'"),
        (["--class-shares", "normal=much"], "a share for every class"),
        (["--smooth", "--weighed"], "Ask for --in-context or --recordings"),
        (["--fit-on", "."], "Ask for --in-context, --smooth or --recordings"),
        (["--smooth", "--fit-on", "."], "no validation patients"),
        (["--in-context", "--fit-on", "."], "no validation patients"),
    ],
)
def test_wrong_asks_are_told(run, corpus, feature_cache, extra, told):
    done = CliRunner().invoke(app, ["test", str(run), "--data-folder", str(corpus), *extra])
    assert done.exit_code != 0
    assert done.exception is not None
    with pytest.raises(type(done.exception), match=told):
        raise done.exception
