"""CycleGuardian: groups, standardised bands, mixtures and every loss term, against loops and numpy."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.backbones import backbones
from add4rsc.engine.model import build_method, resolve_front_end
from add4rsc.export.graph import to_onnx
from add4rsc.methods import methods, recipes
from add4rsc.methods._base import Batch, read_options
from add4rsc.methods._mixture import Mixture, draw_mixture
from add4rsc.methods.cycle_guardian import mix_groups, standardise_bands

N_CYCLES, N_FRAMES, N_BANDS = 4, 65, 64


def make(**options) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind = methods.get("cycle_guardian")
        small = {"n_groups": 4, "group_dim": 12, "cluster_dim": 6} | options
        return kind.create(backbones.get("small_cnn")(), N_BANDS, 4, read_options(kind, small)).eval()


def cycles(generator: torch.Generator) -> Batch:
    return Batch(torch.randn(N_CYCLES, N_FRAMES, N_BANDS, generator=generator), torch.tensor([0, 2, 1, 0]))


def test_bands_are_standardised_each_by_itself(generator):
    log_mel = 3 * torch.randn(2, 30, 5, generator=generator) + torch.arange(5.0)
    log_mel[1, :, 3] = -15.0  # silence
    found = standardise_bands(log_mel).numpy()
    for cycle in range(2):
        for band in range(5):
            row = log_mel[cycle, :, band].double().numpy()
            expected = np.zeros(30) if (cycle, band) == (1, 3) else (row - row.mean()) / row.std(ddof=1)
            assert_allclose(found[cycle, :, band], expected, atol=1e-5)


def test_groups_are_20_frames_every_15(generator):
    """65 frames have four of them, and 688 frames, 8 s at 22 kHz, have the published 45."""
    network, batch = make(), cycles(generator)
    with torch.no_grad():
        found = network._groups(batch.log_mel)
        assert found.shape == (N_CYCLES, 4, 12)
        for group in range(4):
            frames = batch.log_mel[:, 15 * group : 15 * group + 20]
            torch.testing.assert_close(found[:, group], network.embed(network.backbone(frames)), rtol=1e-4, atol=1e-5)
    recipe = recipes.get("cycle_guardian/group_cnn")()
    front_end = resolve_front_end(recipe)
    n_frames = front_end.n_frames(recipe.crop.n_samples(front_end.sample_rate))
    assert (n_frames, 1 + (n_frames - 20) // 15) == (688, 45)


def test_mixtures_take_groups_of_the_partner_at_their_places(generator):
    groups = torch.randn(3, 5, 2, generator=generator)
    mixed = mix_groups(groups, Mixture(torch.tensor([2, 0, 1]), torch.tensor([4, 1]), 0.6))
    for cycle, partner in enumerate((2, 0, 1)):
        for place in range(5):
            source = partner if place in (1, 4) else cycle
            assert mixed[cycle, place].equal(groups[source, place])


def expected_terms(network: Any, batch: Batch, mixture: Mixture) -> dict[str, np.ndarray]:
    """Every term before its weight, in numpy loops, from the groups' features on."""
    clean = network._groups(standardise_bands(batch.log_mel))
    terms = {name: np.zeros(N_CYCLES) for name in ("clustering", "similarity", "reconstruction")}
    vectors = []
    for groups in (clean, mix_groups(clean, mixture)):
        codes = network.clustering.encode(groups)
        shares = _shares(codes.double().numpy(), network.clustering.centres.double().numpy())
        fused = network.fusion.fuse_groups(groups, torch.from_numpy(shares).float())
        vectors.append(network.fusion.fuse_clusters(fused))
        for cycle in range(N_CYCLES):
            q = shares[cycle]
            p = q**2 / q.sum(axis=0)
            p /= p.sum(axis=1, keepdims=True)
            terms["clustering"][cycle] += (p * np.log(p / q)).sum() / len(q)
            directions = functional.normalize(fused[cycle], dim=-1).numpy()
            terms["similarity"][cycle] += np.abs(np.triu(directions @ directions.T, k=1)).sum()
        if network.clustering.decoder is not None:
            rebuilt = network.clustering.decoder(codes).relu()
            terms["reconstruction"] += (rebuilt - groups).square().mean(dim=(1, 2)).numpy()
    keys, queries = (functional.normalize(network.projector(each), dim=1).double().numpy() for each in vectors)
    terms["contrast"] = _contrast(queries, keys, mixture)
    terms["classification"] = functional.cross_entropy(network.head(vectors[0]), batch.labels, reduction="none").numpy()
    return terms


def _shares(codes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    nearness = 1 / (1 + ((codes[:, :, None] - centres) ** 2).sum(axis=-1))
    return nearness / nearness.sum(axis=-1, keepdims=True)


def _contrast(queries: np.ndarray, keys: np.ndarray, mixture: Mixture) -> np.ndarray:
    """Eq. of Patch-Mix CL with groups for patches, tau 0.06."""
    found = []
    for cycle, query in enumerate(queries):
        chances = np.exp(keys @ query / 0.06)
        chances /= chances.sum()
        partner = mixture.partners[cycle].item()
        own_share = mixture.own_share
        found.append(-own_share * np.log(chances[cycle]) - (1 - own_share) * np.log(chances[partner]))
    return np.array(found)


WEIGHTS = {"classification": 1.0, "clustering": 1.0, "similarity": 0.2, "contrast": 0.5, "reconstruction": 1.0}


def test_losses_equal_loops_in_numpy(generator):
    network, batch = make(), cycles(generator)
    with torch.no_grad():
        found = network.losses(batch, torch.Generator().manual_seed(5))
        mixture = draw_mixture(N_CYCLES, 4, 1.0, torch.Generator().manual_seed(5))
        expected = expected_terms(network, batch, mixture)
    assert 0 < mixture.own_share < 1
    assert found.keys() == expected.keys() == WEIGHTS.keys()
    for name, weight in WEIGHTS.items():
        assert_allclose(found[name].numpy(), weight * expected[name], rtol=1e-3, atol=1e-6, err_msg=name)


def test_released_clustering_is_a_sum_over_batch_groups_and_clusters(generator):
    batch = cycles(generator)
    mended, released = make(), make(clustering_sum=True, reconstruction=0.0)
    released.load_state_dict(mended.state_dict(), strict=False)
    with torch.no_grad():
        terms = [each.losses(batch, torch.Generator().manual_seed(5)) for each in (mended, released)]
    assert "reconstruction" not in terms[1]
    # the loop takes the mean over cycles: of 4 cycles with 4 groups each, a sum is 16 means
    assert_allclose(terms[1]["clustering"].mean(), 16 * terms[0]["clustering"].mean(), rtol=1e-4)


@pytest.mark.parametrize("target_learns", [False, True])
def test_target_follows_the_gradient_only_as_released(target_learns, generator):
    """The gradient by finite differences: with the target held fixed, and with it moving along."""
    network, groups = make(target_learns=target_learns).double(), torch.rand(2, 4, 12, generator=generator).double()
    centres = network.clustering.centres
    fixed = _target(network, groups)
    network._spread(network._summarise(groups).shares).sum().backward()
    assert centres.grad is not None

    def loss() -> Tensor:
        shares = network.clustering.assign(network.clustering.encode(groups))
        target = _target(network, groups) if target_learns else fixed
        return (target * (target / shares).log()).sum() / 4

    with torch.no_grad():
        for place in ((0, 0), (3, 5)):
            values = []
            for step in (1e-5, -1e-5):
                centres[place] += step
                values.append(loss())
                centres[place] -= step
            assert centres.grad[place].item() == pytest.approx(
                ((values[0] - values[1]) / 2e-5).item(), rel=1e-3, abs=1e-8
            )


def _target(network: Any, groups: Tensor) -> Tensor:
    with torch.no_grad():
        shares = network.clustering.assign(network.clustering.encode(groups))
        sharpened = shares.square() / shares.sum(dim=1, keepdim=True)
        return sharpened / sharpened.sum(dim=2, keepdim=True)


def test_masks_are_drawn_for_each_kind_of_bands(generator):
    """Over standardised bands, in training alone: a stretch of 0 frames or bands is not shared by all channels."""
    masks = {"n_time_masks": 1, "max_time_mask": 30, "mask_rule": "patch-mix", "fill": "zero"}
    network = make(masks=masks, n_channels=2)
    frames = torch.ones(20, N_FRAMES, N_BANDS)
    first, second = (network._mask(frames, len(frames), generator) == 0).unflatten(2, (2, -1)).unbind(dim=2)
    for part in (first, second):
        assert part.any(dim=1).any(dim=1).float().mean() > 0.8
        assert part.any(dim=2).equal(part.all(dim=2))
    assert not first.equal(second)
    assert make()._mask(frames, len(frames), generator) is frames


def test_projector_that_does_not_learn_is_frozen(generator):
    network = make(projector_learns=False).train()
    sum(network.losses(cycles(generator), generator).values(), torch.zeros(N_CYCLES)).sum().backward()
    assert all(weight.grad is None for weight in network.projector.parameters())
    assert network.embed[0].weight.grad is not None


class FromWaveform(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        recipe = recipes.get(name)()
        self.front_end, self.network = LogMelFilterBank(resolve_front_end(recipe)), build_method(recipe, 4)

    def forward(self, waveform: Tensor) -> Tensor:
        return self.network(self.front_end(waveform))


def test_exports_with_its_front_end(generator):
    """Constant-Q, gammatone and mel bands, groups, clusters: one graph, which onnxruntime computes alike."""
    network = FromWaveform("cycle_guardian/group_cnn-small").eval()
    waveform = 0.1 * torch.randn(3, 16_000, generator=generator)
    session = onnxruntime.InferenceSession(to_onnx(network, 16_000), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: waveform.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), network(waveform), rtol=1e-4, atol=1e-4)
