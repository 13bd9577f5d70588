import json

import pytest

from add4rsc.cli._recipes import find_recipe
from add4rsc.engine.model import build_method
from add4rsc.errors import WrongUsageError
from add4rsc.methods import recipes
from add4rsc.methods._ablation import ROWS, ablation_recipe
from add4rsc.recipe import Recipe

QUICK = ("--set", "epochs=1", "--set", "crop.duration=0.6", "--set", "validation_share=0.5", "--accelerator", "cpu")


@pytest.mark.parametrize("backbone", ["ast", "resnet50", "mn04", "small_cnn"])
def test_rows_have_the_papers_parts(backbone: str) -> None:
    recipe = recipes.get(f"add4rsc/{backbone}")()
    made = {row.name: ablation_recipe(recipe, row) for row in ROWS}
    parts = {
        name: (
            each.options["add"]["use_filter"],
            each.options["add"]["use_attention"],
            "loss_beta" not in each.options["add"],
        )
        for name, each in made.items()
    }
    assert parts == {
        "baseline": (False, False, False),
        "filter": (True, False, False),
        "attention": (False, True, False),
        "filter + attention": (True, True, False),
        "filter + loss": (True, False, True),
        "attention + loss": (False, True, True),
        "filter + attention + loss": (True, True, True),
    }
    for each in made.values():
        changed = {key for key in Recipe.model_fields if getattr(each, key) != getattr(recipe, key)}
        assert changed <= {"name", "options", "reported"}
        assert Recipe.model_validate_json(each.model_dump_json()) == each


def test_rows_are_networks_with_just_those_parts() -> None:
    recipe = recipes.get("add4rsc/small_cnn")()
    for row in ROWS:
        network = build_method(ablation_recipe(recipe, row, "released-2025-02"), 4)
        kinds = {type(module).__name__ for module in network.modules()}
        assert ("ReleasedFrequencyFilter" in kinds) == row.use_filter
        assert ("DifferentialAttention" in kinds) == row.use_attention
        assert (network.loss_weights.bias_denoising > 0) == row.use_loss


def test_reported_scores_are_means_of_their_parts() -> None:
    for row in ROWS:
        if row.reported is not None:
            mean = (row.reported.specificity + row.reported.sensitivity) / 2
            assert mean == pytest.approx(row.reported.score, abs=6e-5)


def test_another_method_cannot_be_ablated() -> None:
    with pytest.raises(WrongUsageError, match="fine_tuning/mn04 is of the method fine_tuning"):
        ablation_recipe(find_recipe("fine_tuning/mn04", None, []), ROWS[0])


def test_command_runs_every_row_and_prints_the_table(cli, made_corpus, tmp_path) -> None:
    folder = tmp_path / "ablation"
    command = ("ablate", "small_cnn", "--data-folder", made_corpus, "--run-folder", folder, "--seeds", "1,2", *QUICK)
    outcome = cli(*command)
    assert outcome.code == 0, outcome.err
    for row in ROWS:
        assert row.name in outcome.out
    assert "±" in outcome.out
    assert "not a complete official test" in outcome.text
    assert "Research use only" in outcome.text
    result = json.loads((folder / "ablation.json").read_text())
    assert [row["row"] for row in result["rows"]] == [row.name for row in ROWS]
    for row in result["rows"]:
        summary = json.loads((folder / row["folder"] / "summary.json").read_text())
        assert row["score"]["mean"] == pytest.approx(sum(summary["score"]["values"]) / 2)
        assert row["reported"] is None  # the paper has no row for this backbone
    refused = cli(*command)
    assert refused.code == 1
    assert "--resume" in refused.text
    resumed = cli(*command, "--resume", "--json")
    assert resumed.code == 0
    assert json.loads(resumed.out) == result


def test_unknown_backbone(cli, made_corpus) -> None:
    outcome = cli("ablate", "mn05", "--data-folder", made_corpus)
    assert outcome.code == 2
    assert "Did you mean 'add4rsc/mn04'?" in outcome.text
