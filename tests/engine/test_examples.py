"""Prototypes and criticisms of a run on made recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from add4rsc.datasets.opening import open_dataset
from add4rsc.datasets.synthetic import synthesise
from add4rsc.engine.attack import is_changed
from add4rsc.engine.examples import Example, Kind, _of_several_patients, examples_table, find_examples
from add4rsc.engine.loading import TrainedRun, load_run
from add4rsc.engine.run import RunSettings, train
from add4rsc.errors import WrongUsageError
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe
from add4rsc.terms import Recording, RespiratoryCycle

N_WANTED = 2


@pytest.fixture(scope="module")
def trained(made_corpus, tmp_path_factory, shared_home) -> TrainedRun:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADD4RSC_HOME", str(shared_home))
        changes = {"epochs": 16, "crop.duration": 1.0, "selection": "last", "validation_share": 0.0}
        recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), changes)
        folder = tmp_path_factory.mktemp("examples") / "run"
        train(recipe, (1,), RunSettings(made_corpus, folder, accelerator="cpu", show_progress=False))
    return load_run(folder)


@pytest.fixture(scope="module")
def found(trained, made_corpus, shared_home) -> list[Example]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADD4RSC_HOME", str(shared_home))
        return find_examples(trained, made_corpus, per_class=N_WANTED)


def test_examples_are_training_cycles_of_their_class(trained, found, made_corpus):
    test = {each.recording.recording_id for each in open_dataset(made_corpus).cycles()} - {
        stem
        for stem, subset in open_dataset(made_corpus).published_split("icbhi2017/official").subset_of.items()
        if subset.value == "train"
    }
    assert found
    assert not {example.cycle.recording.recording_id for example in found} & test
    for example in found:
        assert example.label == example.cycle.annotation
        assert (example.decision == example.label) == (example.kind is not Kind.MISTAKE)
        assert (example.epsilon == 0) == (example.kind is Kind.MISTAKE)
    cycles = [example.cycle.cycle_id for example in found]
    assert len(set(cycles)) == len(cycles)


def test_an_attack_of_the_found_size_changes_the_decision_and_half_of_it_does_not(trained, found):
    attacked = [example for example in found if np.isfinite(example.epsilon) and example.epsilon > 0]
    assert attacked
    log_mel = torch.from_numpy(np.stack([example.log_mel for example in attacked]))
    labels = torch.tensor([trained.classes.index(example.label) for example in attacked])
    sizes = torch.tensor([example.epsilon for example in attacked])
    rivals = [[each for each in range(4) if each != label] for label in labels.tolist()]

    def flips(share: float) -> torch.Tensor:
        towards = [torch.tensor([line[column] for line in rivals]) for column in range(3)]
        return torch.stack([is_changed(trained.network, log_mel, labels, each, sizes * share) for each in towards])

    assert flips(1.0).any(dim=0).all()
    assert flips(0.3).float().mean() < 0.5


def test_prototypes_are_harder_to_change_than_criticisms(trained, found):
    for label in trained.classes:
        sizes = {
            kind: [example.epsilon for example in found if example.label == label and example.kind is kind]
            for kind in Kind
        }
        assert all(len(values) <= N_WANTED for values in sizes.values())
        assert sizes[Kind.PROTOTYPE] == sorted(sizes[Kind.PROTOTYPE], reverse=True)
        assert sizes[Kind.CRITICISM] == sorted(sizes[Kind.CRITICISM])
        if sizes[Kind.CRITICISM]:
            assert min(sizes[Kind.PROTOTYPE]) >= max(sizes[Kind.CRITICISM])


def test_table_has_a_row_an_example(trained, found):
    table = examples_table(found)
    assert table["cycle_id"].tolist() == [example.cycle.cycle_id for example in found]
    assert set(table["kind"]) <= {kind.value for kind in Kind}
    decibels = table["epsilon"] * trained.front_end.scale * 10 / np.log(10)
    assert table["epsilon_db"].to_numpy() == pytest.approx(decibels.to_numpy(), rel=2e-3)


def test_progress_counts_every_training_cycle(trained, made_corpus, feature_cache):
    seen: list[tuple[int, int]] = []
    find_examples(trained, made_corpus, 1, lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_another_corpus_is_refused(trained, tmp_path):
    stranger = replace(trained, recipe=trained.recipe.model_copy(update={"dataset": "sprsound2022"}))
    folder = synthesise(tmp_path / "corpus", n_recordings=4, seed=1)
    with pytest.raises(WrongUsageError, match="pass the folder of the run's own corpus"):
        find_examples(stranger, folder)


def test_a_second_cycle_of_a_patient_comes_after_all_patients():
    cycles = [RespiratoryCycle(Recording(f"r{n}", Path("x.wav"), who), 0.0, 1.0, "") for n, who in enumerate("aabac")]
    assert _of_several_patients([1, 0, 3, 2, 4], cycles, 3) == [1, 2, 4]
    assert _of_several_patients([1, 0, 3, 2, 4], cycles, 4) == [1, 0, 2, 4]
    assert _of_several_patients([1, 0], cycles, 3) == [1, 0]
    assert _of_several_patients([], cycles, 3) == []
