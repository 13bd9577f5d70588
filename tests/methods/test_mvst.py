"""MVST: views, gates and who learns from what."""

import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.engine.model import build_method
from add4rsc.engine.optimise import build_optimiser, learning_rate_share
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch, TrainingCycles
from add4rsc.methods.mvst import GatedFusion, MultiViewSpectrogramTransformer, Views, coarsened

SHAPES = ((16, 16), (32, 8), (64, 4))


def tiny_ast():
    torch.manual_seed(0)
    return backbones.get("ast")(dim=16, n_layers=1, n_heads=2, n_mels=64, n_frames=64, stride=(16, 16))


def build(**options) -> MultiViewSpectrogramTransformer:
    kind = MultiViewSpectrogramTransformer
    return kind.create(tiny_ast(), 64, 4, kind.Options(patches=SHAPES, **options))


def batch(n_cycles: int = 4) -> Batch:
    log_mel = torch.randn(n_cycles, 64, 64, generator=torch.Generator().manual_seed(1))
    return Batch(log_mel, torch.tensor([0, 0, 1, 3])[:n_cycles])


def gradients(network: MultiViewSpectrogramTransformer, term: str) -> set[str]:
    """Beginnings of the names of the parameters that a term reaches."""
    network.zero_grad()
    network.losses(batch(), torch.Generator())[term].sum().backward()
    return {
        ".".join(name.split(".")[:3])
        for name, value in network.named_parameters()
        if value.grad is not None and value.grad.any()
    }


def test_fusion_is_the_formula(generator):
    fusion = GatedFusion(2, 3, 4)
    views = torch.randn(5, 2, 3, generator=generator)
    logits = fusion(views).tolist()
    for cycle in range(5):
        fused = [0.0] * 3
        for gate, view in zip(fusion.gates, views[cycle], strict=True):
            for i in range(3):
                x = sum(float(gate.weight[i, j].detach()) * float(view[j]) for j in range(3))
                fused[i] += float(view[i]) / (1 + 2.718281828459045**-x)
        for k in range(4):
            row = fusion.head.weight[k].tolist()
            expected = sum(a * b for a, b in zip(row, fused, strict=True)) + float(fusion.head.bias[k].detach())
            assert logits[cycle][k] == pytest.approx(expected, abs=1e-6)


def test_every_view_has_patches_of_its_shape():
    backbone = tiny_ast()
    views = Views(backbone, SHAPES, resizes=True)
    assert [network.grid for network in views.networks] == [(4, 4), (2, 8), (1, 16)]
    log_mel = batch().log_mel
    expected = torch.stack([backbone.with_patch(shape)(log_mel) for shape in SHAPES], dim=1)
    torch.testing.assert_close(views(log_mel), expected)
    owners = [{id(value) for value in network.parameters()} for network in views.networks]
    assert not owners[0] & owners[1]
    assert not owners[1] & owners[2]


def test_coarsening_is_the_mean_of_blocks(generator):
    log_mel = torch.randn(2, 7, 6, generator=generator)
    coarse = coarsened(log_mel, 3, 2)
    for frame in range(7):
        for band in range(6):
            rows, columns = slice(frame // 3 * 3, frame // 3 * 3 + 3), slice(band // 2 * 2, band // 2 * 2 + 2)
            block = log_mel[1, rows, columns]
            assert coarse[1, frame, band].item() == pytest.approx(block.mean().item(), abs=1e-6)


def test_other_networks_see_coarser_pictures():
    views = Views(backbones.get("small_cnn")().eval(), ((16, 16), (32, 8), (4, 64)), resizes=True)
    assert views.blocks == [(1, 1), (1, 2), (4, 1)]
    log_mel = batch().log_mel
    seen = views(log_mel)
    torch.testing.assert_close(seen[:, 0], views.networks[1](log_mel))  # copies, and the first sees all
    torch.testing.assert_close(seen[:, 1], views.networks[0](coarsened(log_mel, 1, 2)))
    assert not torch.allclose(seen[:, 0], seen[:, 1])


def test_every_view_learns_from_its_own_term_alone():
    network = build()
    own = {name.rstrip(".") for name in network.parts()["view_32x8"]}
    assert own == {"backbone.networks.1", "view_heads.1"}
    assert gradients(network, "view_32x8") == {"backbone.networks.1", "view_heads.1.0", "view_heads.1.1"}
    reached = set[str]().union(*(gradients(network, term) for term in network.losses(batch(), torch.Generator())))
    assert not any(name.startswith("fusion") for name in reached)


def test_parts_are_all_but_the_fusion():
    network = build()
    of_parts = [
        name for part in network.parts().values() for name in network.state_dict() if name.startswith(tuple(part))
    ]
    assert sorted(of_parts) == sorted(name for name in network.state_dict() if not name.startswith("fusion."))


def test_losses_are_cross_entropies_of_what_the_views_say():
    network = build().eval()
    given = batch()
    losses = network.losses(given, torch.Generator())
    assert list(losses) == ["view_16x16", "view_32x8", "view_64x4"]
    rows = torch.arange(4)
    features = network.features(given.log_mel)
    said = network.view_heads[2](features[:, 2])
    torch.testing.assert_close(losses["view_64x4"], -said.softmax(dim=1)[rows, given.labels].log())
    torch.testing.assert_close(network.part_logits(given.log_mel)[:, 2], said)
    fused = network.head().losses(features, given.labels)["classification"]
    torch.testing.assert_close(fused, -network(given.log_mel).softmax(dim=1)[rows, given.labels].log())


def test_frequency_weights_are_torchs_weighted_mean():
    network, given = build(frequency_weights=True).eval(), batch()
    labels = torch.tensor([0] * 6 + [1] * 3 + [3])
    network.prepare(TrainingCycles(labels, {}, lambda indices: given.log_mel), torch.Generator())
    weighted = network.head().losses(network.features(given.log_mel), given.labels)["classification"].mean()
    expected = torch.nn.functional.cross_entropy(
        network(given.log_mel), given.labels, weight=torch.tensor([0.6, 0.3, 0.0, 0.1])
    )
    torch.testing.assert_close(weighted, expected)


def test_fusion_learns_as_released():
    """In batches of 8 at 1e-3, in waves of ten epochs: torch's own rates, one epoch further on."""
    recipe = recipes.get("mvst/ast")()
    with torch.device("meta"):
        network = build_method(recipe, 4, pretrained=False)
    assert [each.grid for each in network.backbone.networks] == [(16, 64), (8, 128), (4, 256), (2, 512), (1, 1024)]
    training = network.head_training()
    assert (training.epochs, training.batch_size) == (100, 8)
    optimiser = build_optimiser(torch.nn.Linear(2, 2), training.optimiser)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [1e-4, 1e-4]
    published = torch.optim.AdamW(torch.nn.Linear(2, 2).parameters(), lr=1e-3)
    wave = torch.optim.lr_scheduler.CosineAnnealingLR(published, T_max=5, eta_min=1e-15)
    for epoch in range(25):
        published.step()
        wave.step()
        rate = training.optimiser.learning_rate * learning_rate_share(training.schedule, 7 * epoch + 3, 100, 7)
        assert rate == pytest.approx(published.param_groups[0]["lr"], abs=1e-9)


def test_released_start_leaves_kernels_and_positions_at_random():
    network = build(released_start=True)
    reference = tiny_ast()
    first, second = network.backbone.networks[:2]
    assert torch.equal(first.patch_embed.proj.weight, reference.patch_embed.proj.weight)
    assert not torch.allclose(second.pos_embed, reference.with_patch((32, 8)).pos_embed, atol=1e-3)
    assert torch.equal(second.blocks[0].mlp.fc1.weight, reference.blocks[0].mlp.fc1.weight)
