"""What every recipe must hold, whoever adds it."""

import json

import pytest
import torch
import yaml

from add4rsc.backbones import backbones
from add4rsc.backbones.weights import WEIGHTS
from add4rsc.cli._recipes import find_recipe
from add4rsc.engine.model import build_method, resolve_front_end
from add4rsc.engine.optimise import build_optimiser, learning_rate_share
from add4rsc.methods import methods, recipes
from add4rsc.recipe import Recipe

pytestmark = pytest.mark.parametrize("name", recipes.names())


def test_recipe_names_what_exists(name):
    recipe = recipes.get(name)()
    assert recipe.name == name
    assert name.startswith(f"{recipe.method}/{recipe.backbone}")
    assert recipe.method in methods.names()
    assert recipe.backbone in backbones.names()
    assert recipe.weights is None or WEIGHTS[recipe.weights].backbone == recipe.backbone
    assert (recipes.get(name).__doc__ or "").strip().endswith(".")


def test_recipe_comes_back_from_json_and_yaml(name, tmp_path):
    recipe = recipes.get(name)()
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    other = "fine_tuning/small_cnn" if name != "fine_tuning/small_cnn" else "add4rsc/small_cnn"
    for suffix, dump in (("json", json.dumps), ("yaml", yaml.safe_dump)):
        file = tmp_path / f"recipe.{suffix}"
        file.write_text(dump(recipe.model_dump(mode="json")))
        assert find_recipe(other, file, []) == recipe


def test_paper_of_a_recipe_can_be_cited_and_its_scores_are_fractions(name):
    recipe = recipes.get(name)()
    assert methods.get(recipe.method).paper.bibtex().startswith("@")
    if recipe.reported is None:
        return
    reported = recipe.reported
    assert recipe.paper
    assert recipe.paper_selection is not None
    assert 0 < reported.sensitivity < reported.specificity < 1
    assert reported.score == pytest.approx((reported.specificity + reported.sensitivity) / 2, abs=1.01e-4)


def test_network_of_a_recipe_is_as_large_as_its_options_say(name):
    """Built whole, without memory for its weights."""
    recipe = recipes.get(name)()
    with torch.device("meta"):
        network = build_method(recipe, 4, pretrained=False)
    optimiser = build_optimiser(network, recipe.optimiser)
    n_learning = sum(weight.numel() for group in optimiser.param_groups for weight in group["params"])
    assert n_learning == sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    assert n_learning > 10_000


def test_recipe_trains_on_a_tiny_form_of_its_backbone(name, generator):
    recipe = recipes.get(name)()
    tiny = dict(backbones.get(recipe.backbone).tiny)
    smaller = {"n_frames": 256} if "n_frames" in recipe.backbone_options else {}
    options = dict(recipe.options)
    if options.get("input_size"):
        options["input_size"] = (256, options["input_size"][1])
    changes = {"backbone_options": {**recipe.backbone_options, **tiny, **smaller}, "options": options}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_method(recipe.model_copy(update=changes), 4, pretrained=False)
        log_mel = torch.randn(2, 256, resolve_front_end(recipe).n_bands, generator=generator)
        logits = network.train()(log_mel)
    assert logits.shape == (2, 4)
    assert logits.isfinite().all()
    logits.sum().backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in network.backbone.parameters())


def test_learning_rate_ends_below_its_start(name):
    recipe = recipes.get(name)()
    n_per_epoch = recipe.schedule.decay_steps or 10
    n_steps = n_per_epoch * recipe.epochs
    rates = [learning_rate_share(recipe.schedule, step, recipe.epochs, n_per_epoch) for step in range(n_steps)]
    assert max(rates) <= 1
    assert min(rates) > 0
    if recipe.schedule.shape == "exponential":
        assert rates[-1] < rates[0]
    elif recipe.schedule.shape != "constant" and recipe.schedule.wave_epochs is None:
        assert rates[-1] < 0.2
