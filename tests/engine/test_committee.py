"""Runs of different recipes that answer together."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from add4rsc.cli.testing import app
from add4rsc.engine.committee import COMMITTEE, answer_together, fellow_of, join_runs
from add4rsc.engine.context import best_smoothing, read_validation, smoothed
from add4rsc.engine.loading import load_run
from add4rsc.engine.run import RunSettings, train
from add4rsc.errors import WrongUsageError
from add4rsc.methods import recipes
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.recipe import change_recipe

SMALL = {"epochs": 1, "validation_share": 0.5}


def trained(made_corpus, folder, changes, seeds):
    """A run of a small network."""
    recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), SMALL | changes)
    train(recipe, seeds, RunSettings(made_corpus, folder, accelerator="cpu", show_progress=False))
    return folder


@pytest.fixture(scope="module")
def runs(made_corpus, tmp_path_factory):
    """Two runs of two seeds that hear frames of different lengths."""
    home = tmp_path_factory.mktemp("committee")
    coarse = trained(made_corpus, home / "coarse", {}, [1, 2])
    return coarse, trained(made_corpus, home / "fine", {"front_end.frame_shift_ms": 20.0}, [1, 2])


def heard(corpus, out, *arguments):
    """The table that `add4rsc test` writes."""
    outcome = CliRunner().invoke(app, ["test", *map(str, arguments), "--data-folder", str(corpus), "-o", str(out)])
    assert outcome.exit_code == 0, outcome.output
    return read_predictions(out / "predictions.csv")


@pytest.mark.parametrize("whole", [False, True])
def test_command_answers_with_the_mean_of_both(runs, made_corpus, tmp_path, feature_cache, whole):
    flags = ["--ensemble"] if whole else []
    one, other = (each if whole else each / "seed-1" for each in runs)
    alone = [heard(made_corpus, tmp_path / str(index), each, *flags) for index, each in enumerate((one, other))]
    together = heard(made_corpus, tmp_path / "both", one, "--with", runs[1], *flags)
    assert np.abs(alone[0].probabilities - alone[1].probabilities).max() > 1e-4
    expected = np.mean([each.probabilities for each in alone], axis=0)
    np.testing.assert_allclose(together.probabilities, expected, atol=2e-7)
    assert (together.decisions == expected.argmax(axis=1)).all()
    assert set(together.table[COMMITTEE]) == {"/".join(other.parts[-2:])}


def test_what_is_fitted_is_fitted_on_what_both_say_of_their_validation_patients(
    runs, made_corpus, tmp_path, feature_cache
):
    one, other = (each / "seed-2" for each in runs)
    found = heard(made_corpus, tmp_path / "smooth", one, "--with", other, "--smooth")
    smoothing = best_smoothing(answer_together([read_validation(each) for each in (one, other)]))
    assert set(found.table["smoothing"]) == {smoothing}
    plain = heard(made_corpus, tmp_path / "plain", one, "--with", other)
    np.testing.assert_allclose(found.probabilities, smoothed(plain, smoothing), atol=1e-6)
    shifted = heard(made_corpus, tmp_path / "shifted", one, "--with", other, "--smooth", "--shifts", "3")
    assert np.abs(shifted.probabilities - found.probabilities).max() > 1e-6


def test_answers_are_told_apart_by_their_cycles(runs):
    table = read_validation(runs[0] / "seed-1")
    turned = Predictions(table.table.iloc[::-1].reset_index(drop=True), table.classes)
    np.testing.assert_allclose(answer_together([table, turned]).probabilities, table.probabilities)
    assert answer_together([table]) is table
    fewer = Predictions(table.table.iloc[1:], table.classes)
    with pytest.raises(WrongUsageError, match="held back different patients"):
        answer_together([table, fewer])


def test_all_who_answered_in_any_of_the_tables_are_named(runs):
    table = read_validation(runs[0] / "seed-1")
    tables = [replace(table, table=table.table.assign(**{COMMITTEE: name})) for name in ("fine/seed-1", "fine/seed-2")]
    assert set(answer_together(tables).table[COMMITTEE]) == {"fine/seed-1,fine/seed-2"}


def test_each_seed_answers_with_the_seed_of_its_name(runs, tmp_path):
    coarse, fine = runs
    assert fellow_of(coarse / "seed-2", fine) == fine / "seed-2"
    assert fellow_of(coarse / "seed-2", fine / "seed-1") == fine / "seed-1"
    with pytest.raises(WrongUsageError, match="has no seed-7"):
        fellow_of(coarse / "seed-7", fine)


def test_runs_of_other_splits_and_recordings_are_refused(runs, made_corpus, tmp_path, feature_cache):
    other = trained(made_corpus, tmp_path / "folds", {"split": "patient-folds-3/1"}, [1])
    with pytest.raises(WrongUsageError, match="another split"):
        join_runs(load_run(runs[0] / "seed-1"), [load_run(other)])
    arguments = ["test", str(runs[0] / "seed-1"), "--with", str(runs[1]), "--recordings", "task-2-1"]
    outcome = CliRunner().invoke(app, [*arguments, "--data-folder", str(made_corpus)])
    assert outcome.exit_code != 0
    assert "Leave out --hide, --with" in str(outcome.exception)


def test_nobody_answers_twice(runs):
    one, other = (load_run(each / "seed-1") for each in runs)
    for fellows in ([one], [other, other]):
        with pytest.raises(WrongUsageError, match="would answer twice"):
            join_runs(one, fellows)


def test_a_run_alone_has_no_committee(runs):
    table = pd.read_csv(runs[0] / "seed-1" / "predictions.csv")
    assert COMMITTEE not in table
    assert join_runs(load_run(runs[0] / "seed-1"), []).fellows == ()
