"""Masked Modeling Duo, against loops over patches and against what a moving average must be."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from add4rsc.backbones import backbones
from add4rsc.backbones.weights import load_weights
from add4rsc.errors import RecipeError
from add4rsc.methods._base import Batch
from add4rsc.methods.m2d import MaskedModelingDuo, draw_places, standardise

AST = {"patch_size": [8, 8], "stride": [8, 8], "dim": 16, "n_layers": 2, "n_heads": 2, "n_mels": 16, "n_frames": 32}
PRETRAINING = {"stage": "pretraining", "predictor_dim": 8, "predictor_layers": 1, "predictor_heads": 2}


def build(**options) -> MaskedModelingDuo:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        backbone = backbones.get("ast")(**AST, pooling="patches")
        return MaskedModelingDuo.create(backbone, 16, 4, MaskedModelingDuo.Options(**options))


def make_batch(generator, n_cycles: int = 5, **views) -> Batch:
    return Batch(torch.randn(n_cycles, 32, 16, generator=generator), torch.arange(n_cycles) % 4, **views)


def test_every_patch_is_either_seen_or_masked(generator):
    seen, masked = draw_places(50, 10, 0.7, generator)
    assert seen.shape == (50, 3)
    assert masked.shape == (50, 7)
    assert torch.equal(torch.cat([seen, masked], dim=1).sort(dim=1).values, torch.arange(10).expand(50, 10))
    counts = torch.bincount(seen.flatten(), minlength=10)
    assert counts.min() > 0
    assert len({tuple(row.sort().values.tolist()) for row in seen}) > 20


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_at_least_one_patch_of_each_kind(generator, share):
    seen, masked = draw_places(3, 4, share, generator)
    assert min(seen.shape[1], masked.shape[1]) == 1


def test_targets_are_standardised_as_numpy_does(generator):
    targets = torch.randn(4, 6, 3, generator=generator) * 5 + 2
    flat = targets.numpy().reshape(-1, 3)
    expected = (targets.numpy() - flat.mean(axis=0)) / flat.std(axis=0)
    assert torch.allclose(standardise(targets, torch.zeros(4, 6).long()), torch.from_numpy(expected), atol=1e-4)


def test_targets_are_standardised_place_by_place(generator):
    targets, places = torch.randn(4, 6, 3, generator=generator) * 5 + 2, torch.arange(24).view(4, 6) % 5
    found = standardise(targets, places).numpy()
    for place in range(5):
        those = targets[places == place].numpy()
        expected = (those - those.mean(axis=0)) / those.std(axis=0)
        assert np.allclose(found[places == place], expected, atol=1e-4)


def test_loss_is_the_distance_of_directions_patch_by_patch(generator):
    method, batch = build(**PRETRAINING, momentum=0.0).eval(), make_batch(generator)
    found = method.losses(batch, torch.Generator().manual_seed(9))["masked_modelling"]
    backbone = method.backbone
    patches = backbone.patch_embed(batch.log_mel)
    seen, masked = draw_places(5, 8, 0.7, torch.Generator().manual_seed(9))
    positions = backbone.pos_embed[0]

    def encode(cycle: int, places: torch.Tensor) -> torch.Tensor:
        """A cycle's patches, alone with both tokens."""
        tokens = [backbone.cls_token[0, 0] + positions[0], backbone.dist_token[0, 0] + positions[1]]
        tokens += [patches[cycle].flatten(1)[:, place] + positions[2 + place] for place in places]
        return backbone.norm(backbone.blocks(torch.stack(tokens)[None]))[0, 2:]

    targets = torch.stack([encode(cycle, masked[cycle]) for cycle in range(5)])
    flat = targets.flatten(0, 1)
    targets = (targets - flat.mean(dim=0)) / flat.std(dim=0, correction=0)
    for cycle in range(5):
        predicted = method.predictor(
            encode(cycle, seen[cycle])[None], seen[cycle][None], masked[cycle][None], backbone.grid
        )[0]
        distances = [
            (ours / ours.norm() - theirs / theirs.norm()).square().sum()
            for ours, theirs in zip(predicted, targets[cycle], strict=True)
        ]
        assert found[cycle].item() == pytest.approx(torch.stack(distances).mean().item(), abs=1e-4)


def test_what_is_not_among_the_places_is_not_heard(generator):
    backbone = backbones.get("ast")(**AST).eval()
    patches = backbone.patch_embed(torch.randn(2, 32, 16, generator=generator))
    places = torch.tensor([[0, 3], [5, 1]])
    changed = patches.flatten(2).clone()
    for cycle in range(2):
        others = [place for place in range(8) if place not in places[cycle]]
        changed[cycle][:, others] += 10
    before = backbone.encode_places(patches, places)
    assert torch.allclose(backbone.encode_places(changed.view_as(patches), places), before)
    assert torch.allclose(backbone.encode_places(patches, places.flip(1)).flip(1), before, atol=1e-6)


def test_second_network_is_a_moving_average(generator):
    method = build(**PRETRAINING, momentum=0.9).train()
    optimiser = torch.optim.SGD([each for each in method.parameters() if each.requires_grad], lr=0.5)
    expected = method.target.blocks[0].mlp.fc1.weight.clone()
    for step in range(3):
        before = method.backbone.blocks[0].mlp.fc1.weight.detach().clone()
        losses = method.losses(make_batch(generator), torch.Generator().manual_seed(step))
        expected = 0.9 * expected + 0.1 * before
        assert torch.allclose(method.target.blocks[0].mlp.fc1.weight, expected, atol=1e-6)
        optimiser.zero_grad()
        losses["masked_modelling"].mean().backward()
        optimiser.step()
        assert not torch.equal(method.backbone.blocks[0].mlp.fc1.weight, before)
    assert all(each.grad is None for each in method.target.parameters())


def test_probe_does_not_teach_the_network(generator):
    method = build(**PRETRAINING).train()
    method.losses(make_batch(generator), generator)["classification"].sum().backward()
    assert all(each.grad is None for each in method.backbone.parameters())
    assert method.head.weight.grad.abs().sum() > 0


def test_second_task_is_told_from_what_is_seen_and_teaches_the_network(generator):
    method, batch = build(**PRETRAINING, second_task=0.5).eval(), make_batch(generator)
    found = method.losses(batch, torch.Generator().manual_seed(4))["classification"]
    seen, _ = draw_places(5, 8, 0.7, torch.Generator().manual_seed(4))
    patches = method.backbone.patch_embed(batch.log_mel)
    features = method.backbone.encode_places(patches, seen).mean(dim=1)
    logits = method.head(features / (1 + method.head_norm.eps) ** 0.5)  # its running statistics are still 0 and 1
    expected = -logits.log_softmax(dim=1)[torch.arange(5), batch.labels] / 2
    assert torch.allclose(found, expected, atol=1e-6)
    found.sum().backward()
    assert method.backbone.blocks[0].attn.qkv.weight.grad.abs().sum() > 0


def test_second_task_needs_features_of_single_patches():
    side_by_side = backbones.get("m2d_vit")(dim=16, n_layers=1, n_heads=2)
    with pytest.raises(RecipeError, match="side by side"):
        MaskedModelingDuo.create(side_by_side, 80, 4, MaskedModelingDuo.Options(**PRETRAINING, second_task=1.0))


def test_second_network_hears_the_clean_twin(generator):
    method = build(**PRETRAINING).eval()
    batch = make_batch(generator)
    clean = Batch(batch.log_mel, batch.labels, clean=torch.randn(batch.log_mel.shape, generator=generator))
    same = Batch(batch.log_mel, batch.labels, clean=batch.log_mel)
    of = [method.losses(each, torch.Generator().manual_seed(2))["masked_modelling"] for each in (batch, clean, same)]
    assert torch.equal(of[0], of[2])
    assert not torch.allclose(of[0], of[1])


def test_fine_tuning_leaves_the_embedding_of_patches_alone(generator):
    method = build().train()
    sum(method.losses(make_batch(generator), generator).values()).sum().backward()
    learning = {name for name, each in method.named_parameters() if each.grad is not None}
    assert not any("patch_embed" in name for name in learning)
    assert "backbone.blocks.0.attn.qkv.weight" in learning
    assert all(each.requires_grad for each in build(freeze_patches=False).parameters())


def test_what_was_pretrained_is_where_fine_tuning_starts(generator, tmp_path):
    pretrained = build(**PRETRAINING)
    with torch.no_grad():
        for each in pretrained.parameters():
            each.add_(torch.randn(each.shape, generator=generator))
    save_file({name: each.clone() for name, each in pretrained.state_dict().items()}, tmp_path / "model.safetensors")
    backbone = backbones.get("ast")(**AST, pooling="patches")
    load_weights(backbone, tmp_path / "model.safetensors")
    for name, each in backbone.state_dict().items():
        assert torch.equal(each, pretrained.backbone.state_dict()[name]), name


def test_pretraining_needs_patches():
    with pytest.raises(RecipeError, match="has none"):
        MaskedModelingDuo.create(backbones.get("small_cnn")(), 64, 4, MaskedModelingDuo.Options(stage="pretraining"))
