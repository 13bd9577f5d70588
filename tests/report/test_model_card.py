"""Model cards say what a run cannot show."""

import json

import pandas as pd
import pytest

from add4rsc.metrics.evaluation import evaluate
from add4rsc.predictions import read_predictions
from add4rsc.report.evidence import read_evidence
from add4rsc.report.model_card import limits, model_card, write_model_card
from add4rsc.terms import RESEARCH_USE_ONLY

SECTIONS = (
    "What it is",
    "Data and licence",
    "Protocol",
    "Scores",
    "Subgroups",
    "Limits",
    "Intended use",
    "Out-of-scope use",
    "What was run",
)


@pytest.fixture
def folder(run_folder):
    return run_folder()


def test_card_has_all_sections_and_the_notice_at_both_ends(folder, tmp_path):
    path = write_model_card(folder, tmp_path / "card" / "model_card.md")
    text = path.read_text()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(SECTIONS)
    assert text.index(RESEARCH_USE_ONLY) < 100
    assert text.rstrip().endswith(f"**{RESEARCH_USE_ONLY}**")


def test_card_has_the_scores_of_the_run_and_the_terms_of_the_corpus(folder):
    text = model_card(read_evidence([folder])[0])
    wanted = evaluate(read_predictions(folder / "predictions.csv"))
    low, high = wanted["intervals"]["sensitivity"]
    assert f"{100 * wanted['sensitivity']:.2f} ({100 * low:.2f} to {100 * high:.2f})" in text
    assert "freely available for research" in text
    assert "fine_tuning on backbone small_cnn" in text


def test_limits_name_subset_overlap_shift_seed_and_small_groups(folder):
    told = " ".join(limits(read_evidence([folder])[0]))
    for words in (
        "a subset: 72 of the 2,756",
        "101: 8 of the 72",
        "distance 0.40",
        "one training run",
        "stethoscope Litt3200",
    ):
        assert words in told
    assert "epoch was chosen on the test set" not in told


def test_limits_leave_out_what_does_not_hold(folder):
    record = json.loads((folder / "run.json").read_text())
    record["split"] |= {"patients_in_two_subsets": [], "stethoscope_shift": 0.0}
    (folder / "run.json").write_text(json.dumps(record))
    told = " ".join(limits(read_evidence([folder])[0]))
    assert "in training and in test" not in told
    assert "Stethoscopes differ" not in told


def test_card_of_a_run_chosen_on_the_test_set_says_so_first(run_folder):
    text = model_card(read_evidence([run_folder(selection="test")])[0])
    assert text.index("Epoch chosen on the test set") < text.index("## What it is")
    assert "The epoch was chosen on the test set: all scores are too good" in text


def test_card_of_a_bare_table_says_what_is_not_known(other_csv):
    text = model_card(read_evidence([other_csv])[0])
    assert "method and weights are not known" in text
    assert "its licence are not known" in text
    assert "Whether test patients were in training is not known." in text


def test_score_at_the_floor_is_a_limit(other_csv):
    table = pd.read_csv(other_csv, dtype={"patient": str})
    table["decision"] = "normal"
    table.to_csv(other_csv, index=False)
    assert "not shown to be better" in " ".join(limits(read_evidence([other_csv])[0]))
