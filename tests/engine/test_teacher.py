"""Networks that teach another: whom they answer, and what is learnt from them."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from add4rsc.audio.crop import Crop
from add4rsc.backbones import backbones
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine import teacher
from add4rsc.engine.loading import load_run
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.run import resolve_recipe
from add4rsc.engine.subsets import own_split
from add4rsc.engine.teacher import taught
from add4rsc.engine.testing import predict_cycles
from add4rsc.errors import RecipeError, RunFolderError, SplitError
from add4rsc.methods._base import Batch, read_options
from add4rsc.methods._teaching import divergence_from_answers
from add4rsc.methods.add4rsc import Add4Rsc
from add4rsc.methods.fine_tuning import FineTuning
from add4rsc.metrics.smoothing import smooth_recordings
from add4rsc.recipe import change_recipe


@pytest.fixture
def pupil(small_recipe, made_corpus, feature_cache):
    """Its recipe, resolved, and what `taught` needs to know."""

    def prepare(folder, **changes):
        dataset = open_dataset(made_corpus)
        recipe = resolve_recipe(small_recipe(options__teacher=str(folder), **changes), dataset)
        split = own_split(recipe, dataset)
        return prepare_data(recipe, split, shown=False), recipe, split, (dataset,)

    return prepare


@pytest.fixture
def small_cnn():
    """A backbone; its features do not matter here."""
    return backbones.get("small_cnn")()


def answers_of(prepared) -> np.ndarray:
    """What the training cycles of a pupil are told."""
    answers = taught(*prepared).train.answers
    assert answers is not None
    return answers.numpy()


def test_divergence_worked_by_hand():
    """At T = 2 answers 0.9 and 0.1 become 3 to 1; the network's logits 0 and 0 stay 1 to 1."""
    found = divergence_from_answers(torch.zeros(1, 2), torch.tensor([[0.9, 0.1]]), 2.0)
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert found.tolist() == pytest.approx([expected], rel=1e-5)
    assert torch.isfinite(divergence_from_answers(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), 2.0)).all()


def test_answers_equal_to_the_logits_leave_nothing_to_learn():
    logits = torch.randn(3, 4)
    assert divergence_from_answers(logits, logits.softmax(dim=1), 3.0).abs().max() < 1e-5


@pytest.mark.parametrize(("method_class", "scale"), [(FineTuning, 1.0), (Add4Rsc, 0.7)])
def test_twins_learn_from_one_answer(small_cnn, method_class, scale):
    """In ADD4RSC within the share of the cross-entropy."""
    beta = {"add": {"loss_beta": 0.3, "n_heads": 4}} if method_class is Add4Rsc else {}
    options = read_options(method_class, {"teacher": "somewhere", "teacher_weight": 0.25} | beta)
    method = method_class.create(small_cnn, 64, 2, options)
    cycles = torch.zeros(2, 60, 64)
    answers = torch.tensor([[0.9, 0.1], [0.5, 0.5]])
    with torch.no_grad():
        for weight in method.parameters():
            weight.zero_()
    single = method.losses(Batch(cycles, torch.tensor([0, 1]), answers=answers), torch.Generator())
    twins = method.losses(Batch(cycles, torch.tensor([0, 1]), clean=cycles, answers=answers), torch.Generator())
    assert single["classification"].tolist() == pytest.approx([scale * 0.75 * math.log(2)] * 2)
    assert single["teacher"][1].item() == pytest.approx(0.0, abs=1e-6)
    assert single["teacher"][0].item() > 0.05
    for name, term in single.items():
        torch.testing.assert_close(twins[name], term)


def test_answers_are_the_mean_of_the_seeds(pupil, small_recipe, run, tmp_path):
    run(small_recipe(epochs=1), tmp_path / "teacher", (1, 2))
    prepared = pupil(tmp_path / "teacher")
    found, split = answers_of(prepared), prepared[2]
    members = [load_run(tmp_path / "teacher" / f"seed-{seed}") for seed in (1, 2)]
    expected = sum(predict_cycles(member, split.train) for member in members) / 2
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_answers_are_moved_towards_those_of_the_recording(pupil, small_recipe, run, tmp_path):
    run(small_recipe(epochs=1), tmp_path / "teacher")
    alone, smoothed = (pupil(tmp_path / "teacher", options__teacher_smoothing=share) for share in (0.0, 0.6))
    recordings = [str(cycle.recording.path) for cycle in alone[2].train]
    assert len(set(recordings)) < len(recordings)
    expected = smooth_recordings(answers_of(alone), recordings, 0.6)
    np.testing.assert_allclose(answers_of(smoothed), expected, atol=1e-6)


def test_cycles_are_answered_by_networks_that_are_new_to_them(pupil, small_recipe, run, tmp_path):
    """Of two networks that held back different patients."""
    for seed, held_back in ((1, 0), (2, 1)):
        recipe = change_recipe(small_recipe(epochs=1), {"validation_seed": held_back})
        run(recipe, tmp_path / "teacher" / f"seed-{seed}", (seed,))
    prepared = pupil(tmp_path / "teacher", validation_seed=0)
    found, split = answers_of(prepared), prepared[2]
    first, second = (load_run(tmp_path / "teacher" / f"seed-{seed}") for seed in (1, 2))
    table = pd.read_csv(second.folder / "validation.csv", dtype=str)
    is_new = np.array([cycle.cycle_id in set(table["cycle_id"]) for cycle in split.train])
    assert is_new.sum() > 0
    one, two = (predict_cycles(each, split.train) for each in (first, second))
    np.testing.assert_allclose(found, np.where(is_new[:, None], two, (one + two) / 2), atol=1e-6)


def test_pupil_learns_what_its_teacher_says(small_recipe, run, tmp_path, monkeypatch):
    """A teacher that swaps the classes makes a pupil that does, if the labels have no say."""
    run(small_recipe(epochs=1), tmp_path / "teacher")
    changes = {"options__teacher": str(tmp_path / "teacher"), "options__teacher_weight": 1.0, "epochs": 8}
    honest = run(small_recipe(**changes), tmp_path / "honest")
    monkeypatch.setattr(teacher, "predict_cycles", swapped)
    contrary = run(small_recipe(**changes), tmp_path / "contrary")
    assert contrary["score"] < 0.4
    assert contrary["score"] < honest["score"]
    course = pd.read_csv(tmp_path / "contrary" / "history.csv")
    assert course["loss_teacher"].iloc[-1] < course["loss_teacher"].iloc[0]


def swapped(run, cycles):
    """The label's opposite, of two classes."""
    labels = np.array([run.classes.index(cycle.annotation) for cycle in cycles])
    return np.eye(len(run.classes))[(labels + 1) % len(run.classes)]


def test_teacher_of_the_test_is_refused(pupil, small_recipe, run, tmp_path):
    run(small_recipe(epochs=1, split="patient-folds-2/1"), tmp_path / "teacher")
    with pytest.raises(SplitError, match=r"has learnt from .* recordings of this run's test subset"):
        taught(*pupil(tmp_path / "teacher", split="patient-folds-2/2"))


def test_teacher_of_a_coarser_task_is_refused(pupil, small_recipe, run, tmp_path):
    run(small_recipe(epochs=1, task="cycle-2"), tmp_path / "teacher")
    with pytest.raises(
        RecipeError, match=r"Name a teacher of the same or a finer task with --set options\.teacher=RUN"
    ):
        taught(*pupil(tmp_path / "teacher"))


def test_classes_that_become_one_are_added_up(pupil, small_recipe, run, tmp_path):
    run(small_recipe(epochs=1, task="cycle-4"), tmp_path / "teacher")
    prepared = pupil(tmp_path / "teacher", task="cycle-2")
    of_four = predict_cycles(load_run(tmp_path / "teacher"), prepared[2].train)
    expected = np.stack([of_four[:, 0], of_four[:, 1:].sum(axis=1)], axis=1)
    np.testing.assert_allclose(answers_of(prepared), expected, atol=1e-6)


def test_cycles_of_a_corpus_that_is_new_to_the_teacher_have_their_labels(
    pupil, small_recipe, run, tmp_path, made_corpus
):
    run(small_recipe(epochs=1), tmp_path / "teacher")
    data, recipe, split, corpora = pupil(tmp_path / "teacher")
    elsewhere = [
        replace(cycle, recording=replace(cycle.recording, path=tmp_path / cycle.recording.path.name))
        for cycle in split.train[1::2]
    ]
    mixed = list(split.train)
    mixed[1::2] = elsewhere
    found = answers_of((data, recipe, replace(split, train=tuple(mixed)), corpora))
    known = answers_of((data, recipe, split, corpora))
    np.testing.assert_array_equal(found[1::2], np.eye(len(data.classes))[data.train.labels[1::2]])
    np.testing.assert_allclose(found[::2], known[::2], atol=1e-6)
    with pytest.raises(RecipeError, match="Name a teacher of the same corpus"):
        taught(data, recipe, split, ())


def test_joined_cycles_have_no_answers(pupil, small_recipe, run, tmp_path):
    run(small_recipe(epochs=1), tmp_path / "teacher")
    with pytest.raises(RecipeError, match=r"waveform\.joined_scale=0"):
        taught(*pupil(tmp_path / "teacher", waveform__joined_scale=3.0))


def test_folder_without_a_network_is_refused(pupil, tmp_path):
    with pytest.raises(RunFolderError, match=r"holds no model\.safetensors"):
        taught(*pupil(tmp_path / "nothing"))


def test_windows_of_long_cycles_are_answered_each(pupil, small_recipe, run, tmp_path):
    run(small_recipe(epochs=1), tmp_path / "teacher")
    crop = Crop(duration=0.5, windows="mean")
    prepared = pupil(tmp_path / "teacher", crop=crop.model_dump())
    data, _, split, _ = prepared
    assert len(answers_of(prepared)) == len(data.train.labels) > len(split.train)
