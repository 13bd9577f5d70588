import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from add4rsc.augment.spectrogram import SpectrogramAugmentation, augment_spectrogram, mask_mel_then_time
from add4rsc.backbones import backbones
from add4rsc.engine.batches import class_weights, seeded
from add4rsc.engine.model import build_method, resolve_front_end
from add4rsc.engine.optimise import build_optimiser, learning_rate_share
from add4rsc.errors import RecipeError
from add4rsc.methods import recipes
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import (
    AS_RELEASED,
    NORMAL_BELOW_ONE,
    Optimiser,
    PatchMixQuirks,
    Recipe,
    Schedule,
    change_recipe,
    patch_mix_recipe,
)

MASKS = patch_mix_recipe("x", "fine_tuning", "ast").augmentation


def reference_draws(seed: int, n_frames: int, n_mels: int):
    """What the released code draws, from its three generators and in its order; None where it leaves the cycle."""
    random.seed(seed)
    legacy = np.random.RandomState(seed)
    applied = float(torch.randn(1, generator=torch.Generator().manual_seed(seed))) <= 1.0
    if not applied:
        return None

    def stretch(length: int, bound: int) -> tuple[int, int]:
        width = int(legacy.uniform(0, bound))
        first = random.randint(0, length - width)
        return first, first + width

    mel = [stretch(n_mels, 48) for _ in range(2)]
    return mel, [stretch(n_frames, 160) for _ in range(2)]


def test_masks_are_the_released_codes(golden: Path) -> None:
    cases = json.loads((golden / "specaugment.json").read_text())["cases"]
    frames = torch.linspace(-1, 1, 798 * 128).reshape(798, 128)
    n_applied = 0
    for case in cases:
        draws = reference_draws(case["seed"], 798, 128)
        if draws is None:
            assert case["n_changed"] == 0
            continue
        masked = mask_mel_then_time(frames, *draws)
        changed = masked != frames
        assert int(changed.sum()) == case["n_changed"]
        assert torch.where(changed.all(dim=0))[0].tolist() == case["cols_masked"]
        rows = torch.where(changed.all(dim=1))[0].tolist()
        assert (rows[:1] + rows[-1:] if rows else []) == case["rows_masked"]
        assert float(masked.double().sum()) == pytest.approx(case["sum"], abs=2e-3)
        n_applied += 1
    assert 0 < n_applied < len(cases)


def test_released_masks_change_the_cached_spectrogram(golden: Path) -> None:
    """Why masks accumulate without loader processes: the code's own input is changed wherever it masks anything."""
    cases = json.loads((golden / "specaugment.json").read_text())["cases"]
    assert [case["input_mutated"] for case in cases] == [case["n_changed"] > 0 for case in cases]


def test_masks_leave_the_input_as_it_is() -> None:
    frames = torch.randn(20, 8)
    before = frames.clone()
    mask_mel_then_time(frames, [(0, 3)], [(4, 9)])
    augment_spectrogram(frames, MASKS, torch.Generator().manual_seed(1))
    assert torch.equal(frames, before)


def test_time_masks_see_the_work_of_mel_masks() -> None:
    frames = torch.zeros(4, 4)
    frames[:, 0] = 4.0  # mean 1, and 0.25 once the first column is filled with it
    masked = mask_mel_then_time(frames, [(0, 1)], [(0, 2)])
    assert masked[3].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert masked[0].tolist() == [0.25] * 4
    assert mask_mel_then_time(frames, [(0, 1)], [], "zero").abs().sum() == 0


def test_probability_is_that_of_a_normal_draw() -> None:
    assert pytest.approx(0.5 * (1 + math.erf(1 / math.sqrt(2))), abs=1e-15) == NORMAL_BELOW_ONE
    settings = patch_mix_recipe("x", "fine_tuning", "ast", AS_RELEASED).augmentation
    frames = torch.randn(400, 100)
    changed = [
        not torch.equal(augment_spectrogram(frames, settings, seeded("share", index)), frames) for index in range(2000)
    ]
    assert np.mean(changed) == pytest.approx(0.8413, abs=4 * math.sqrt(0.8413 * 0.1587 / 2000))


def test_widths_stay_below_the_bound() -> None:
    settings = SpectrogramAugmentation(n_mel_masks=1, max_mel_mask=4, mask_rule="patch-mix")
    frames = torch.randn(3, 6)
    widths = [
        int((augment_spectrogram(frames, settings, seeded("width", index)) != frames).all(dim=0).sum())
        for index in range(400)
    ]
    assert set(widths) == {0, 1, 2, 3}
    park = settings.model_copy(update={"mask_rule": "park"})
    assert (
        max(int((augment_spectrogram(frames, park, seeded("width", i)) != frames).all(dim=0).sum()) for i in range(400))
        == 4
    )


def test_fixed_form_has_no_quirk() -> None:
    recipe = patch_mix_recipe("x", "fine_tuning", "ast")
    assert recipe.augmentation.probability == 1.0
    assert recipe.averaging.kind == "none"
    assert recipe.selection is Selection.VALIDATION
    assert recipe.validation_share > 0
    assert recipe.backbone_options["position_table"] == "interpolated"
    assert recipe.least_sensitivity is None
    assert recipe.precision == "16-mixed"
    assert not recipe.augmentation.accumulates
    assert not any(PatchMixQuirks().model_dump().values())


@pytest.mark.parametrize(
    ("quirk", "keys"),
    [
        ("scrambled_positions", {"backbone_options"}),
        ("partial_augmentation", {"augmentation"}),
        ("half_steps", {"averaging"}),
        ("test_selection", {"selection", "validation_share"}),
        ("sensitive_epochs", {"least_sensitivity"}),
        ("unscaled_gradients", {"precision"}),
        ("accumulated_masks", {"augmentation"}),
    ],
)
def test_each_quirk_changes_its_own_keys(quirk: str, keys: set[str]) -> None:
    fixed = patch_mix_recipe("x", "fine_tuning", "ast")
    with_quirk = patch_mix_recipe("x", "fine_tuning", "ast", PatchMixQuirks(**{quirk: True}))
    assert {key for key in Recipe.model_fields if getattr(fixed, key) != getattr(with_quirk, key)} == keys


def test_shared_facts_are_those_of_the_code_base() -> None:
    recipe = patch_mix_recipe("x", "fine_tuning", "ast")
    assert recipe.crop.n_samples(16_000) == 128_000
    assert round(recipe.crop.recording_fade * 16_000) == round(recipe.crop.repeat_fade * 16_000) == 1000
    assert (recipe.batch_size, recipe.drop_last, recipe.epochs) == (8, True, 50)
    assert (recipe.optimiser.name, recipe.optimiser.learning_rate, recipe.optimiser.weight_decay) == (
        "adam",
        5e-5,
        1e-6,
    )
    assert (recipe.schedule.per_epoch, recipe.schedule.final_share) == (True, 1e-3)
    assert recipe.precision == "16-mixed"


def test_inverse_class_weights_give_torchs_weighted_mean(generator: torch.Generator) -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 3, 0])
    counts = np.array([20, 9, 5, 2])
    pm = torch.from_numpy((1 / counts) / (1 / counts).sum()).float()
    ours = class_weights(np.repeat(np.arange(4), counts), 4, "inverse")
    logits = torch.randn(8, 4, generator=generator)
    each = functional.cross_entropy(logits, labels, reduction="none")
    weighted = (each * ours[labels]).sum() / ours[labels].sum()
    torch.testing.assert_close(weighted, functional.cross_entropy(logits, labels, weight=pm))


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_decay_all_is_torchs_own_decay(name: str, generator: torch.Generator) -> None:
    ours, theirs = (nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 1)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    settings = Optimiser(name=name, learning_rate=1e-2, weight_decay=0.1, decay_all=True)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    steps = [(ours, build_optimiser(ours, settings)), (theirs, kind(theirs.parameters(), lr=1e-2, weight_decay=0.1))]
    inputs = torch.randn(5, 3, generator=generator)
    for _ in range(3):
        for module, optimiser in steps:
            optimiser.zero_grad()
            module(inputs).square().sum().backward()
            optimiser.step()
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)


def test_step_schedule_is_the_released_codes(golden: Path) -> None:
    expected = json.loads((golden / "lr.json").read_text())["step_200"]
    schedule = Schedule(shape="step", decay_epochs=(120, 160), decay_factor=0.1)
    for epoch, rate in expected.items():
        for step in (0, 6):  # the first and the last of seven steps
            share = learning_rate_share(schedule, 7 * (int(epoch) - 1) + step, 200, 7)
            assert 5e-5 * share == pytest.approx(rate, rel=1e-12)


def test_tensors_left_out_keep_their_start(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    small = {"dim": 32, "n_layers": 1, "n_heads": 2, "n_frames": 64}
    other = backbones.get("ast")(**small)
    save_file(other.state_dict(), tmp_path / "weights.safetensors")
    recipe = patch_mix_recipe("x", "fine_tuning", "ast", weights=str(tmp_path / "weights.safetensors")).model_copy(
        update={"backbone_options": small, "weights_left_out": ("pos_embed",)}
    )
    loaded = build_method(recipe, 4).state_dict()
    assert torch.equal(loaded["backbone.cls_token"], other.state_dict()["cls_token"])
    assert not torch.equal(loaded["backbone.pos_embed"], other.state_dict()["pos_embed"])
    with pytest.raises(RecipeError, match=r"pos_embe.*Did you mean 'pos_embed'"):
        build_method(recipe.model_copy(update={"weights_left_out": ("pos_embe",)}), 4)


@pytest.mark.parametrize("name", [name for name in recipes.names() if name.startswith(("add4rsc/", "fine_tuning/"))])
def test_a_recipe_read_back_is_the_same(name: str) -> None:
    recipe = recipes.get(name)()
    assert recipe.name == name
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert change_recipe(recipe, {"epochs": recipe.epochs}) == recipe


@pytest.mark.parametrize("backbone", ["ast", "resnet50"])
@pytest.mark.parametrize("commit", ["2025-02", "2025-08"])
def test_released_recipes_say_what_they_do(backbone: str, commit: str) -> None:
    recipe = recipes.get(f"add4rsc/{backbone}-released-{commit}")()
    assert recipe.options["preset"] == f"released-{commit}"
    assert recipe.split == "icbhi2017/random-file-seed1"
    assert recipe.selection is recipe.paper_selection is Selection.TEST
    assert recipe.validation_share == 0
    assert recipe.averaging.kind == "half-step"
    assert recipe.optimiser.name == "adamw"
    assert recipe.optimiser.decay_all
    assert recipe.precision == "16-mixed-unscaled"  # METHODS 4.2, item 8
    assert recipe.least_sensitivity == 0.05  # item 9
    assert recipe.augmentation.probability == NORMAL_BELOW_ONE


def test_patch_mix_code_scales_its_gradients() -> None:
    recipe = recipes.get("fine_tuning/ast-as-released")()
    assert recipe.precision == "16-mixed"
    assert recipe.least_sensitivity == 0.05


def test_only_released_recipes_have_quirks() -> None:
    for name in recipes.names():
        recipe = recipes.get(name)()
        if "released" not in name:
            assert recipe.least_sensitivity is None
            assert recipe.precision != "16-mixed-unscaled"
        assert not recipe.augmentation.accumulates  # not with the loader processes that the code starts


def test_only_released_recipes_choose_on_the_test_set() -> None:
    for name in recipes.names():
        if "released" not in name:
            assert recipes.get(name)().selection is not Selection.TEST
            assert recipes.get(name)().split in (None, "icbhi2017/official")


def test_paper_recipe_has_the_papers_frames() -> None:
    recipe = recipes.get("add4rsc/ast-paper")()
    assert recipe.front_end is not None
    assert (recipe.front_end.n_mels, recipe.front_end.n_fft, recipe.front_end.frame_length) == (64, 1024, 1024)
    assert (recipe.optimiser.name, recipe.optimiser.weight_decay) == ("adam", 0.1)
    assert recipe.backbone_options["n_frames"] == 1 + (128_000 - 1024) // 160


@pytest.mark.parametrize("name", ["add4rsc/resnet18", "add4rsc/ast-small", "fine_tuning/ast-as-released"])
def test_every_weight_of_a_network_learns(name: str, generator: torch.Generator) -> None:
    from add4rsc.methods._base import Batch

    recipe = recipes.get(name)()
    options = recipe.backbone_options | ({"n_layers": 1, "dim": 64, "n_heads": 2} if "ast" in name else {"width": 8})
    network = build_method(recipe.model_copy(update={"backbone_options": options, "weights": None}), 4)
    n_bands = resolve_front_end(recipe).n_bands
    batch = Batch(torch.randn(4, 96, n_bands, generator=generator), torch.tensor([0, 1, 2, 3]))
    torch.stack(list(network.losses(batch, generator).values())).sum().backward()
    silent = [key for key, weight in network.named_parameters() if weight.grad is None]
    assert not silent
    assert all(bool(weight.grad.isfinite().all()) for weight in network.parameters() if weight.grad is not None)
