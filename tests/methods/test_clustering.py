"""Deep clustering and soft cosine: against loops, scipy and numpy."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import special, stats
from torch.nn import functional

from add4rsc.methods._clustering import (
    ClusterFusion,
    DeepClustering,
    SoftCosine,
    divergence,
    soft_assignment,
    target_distribution,
)


def test_clustering_equals_a_loop_over_cycles_groups_and_clusters(generator):
    """Xie et al. 2016, Eq. 1 to 3, with scipy's density of Student's t and its relative entropy."""
    points = torch.randn(3, 5, 2, generator=generator).double()
    centres = torch.randn(4, 2, generator=generator).double()
    shares = soft_assignment(points, centres)
    target = target_distribution(shares)
    found = divergence(target, shares)
    for cycle in range(3):
        q = np.empty((5, 4))
        for group in range(5):
            for cluster in range(4):
                distance = np.linalg.norm((points[cycle, group] - centres[cluster]).numpy())
                q[group, cluster] = stats.t.pdf(distance, df=1)
            q[group] /= q[group].sum()
        p = np.empty_like(q)
        for group in range(5):
            weights = [q[group, cluster] ** 2 / q[:, cluster].sum() for cluster in range(4)]
            p[group] = np.array(weights) / sum(weights)
        assert_allclose(shares[cycle].numpy(), q, rtol=1e-7)
        assert_allclose(target[cycle].numpy(), p, rtol=1e-7)
        assert_allclose(found[cycle].numpy(), special.rel_entr(p, q).sum(axis=1), rtol=1e-6, atol=1e-9)


def test_descent_on_the_divergence_draws_groups_to_centres(generator):
    """Two clouds and two centres that are between them and too close: both clouds are sorted out."""
    clouds = torch.cat(
        [torch.randn(1, 20, 2, generator=generator) - 3, torch.randn(1, 20, 2, generator=generator) + 3], 1
    )
    centres = torch.tensor([[-0.5, -0.4], [0.5, 0.6]], requires_grad=True)
    optimiser = torch.optim.SGD([centres], lr=5.0)
    before = divergence(target_distribution(soft_assignment(clouds, centres)), soft_assignment(clouds, centres)).mean()
    for _ in range(200):
        optimiser.zero_grad()
        shares = soft_assignment(clouds, centres)
        divergence(target_distribution(shares).detach(), shares).mean().backward()
        optimiser.step()
    assert before > 0
    assert_allclose(centres.detach().numpy(), clouds.reshape(2, 20, 2).mean(dim=1).numpy(), atol=1.0)


def test_rebuilding_error_equals_numpy_and_leaves_features_alone(generator):
    network = DeepClustering(6, 3, 2, rebuilds=True)
    features = torch.rand(2, 4, 6, generator=generator, requires_grad=True)
    error = network.rebuilding_error(features)
    values = {name: value.detach().numpy() for name, value in network.named_parameters()}
    codes = np.maximum(features.detach().numpy() @ values["encoder.weight"].T + values["encoder.bias"], 0)
    rebuilt = np.maximum(codes @ values["decoder.weight"].T + values["decoder.bias"], 0)
    assert_allclose(error.detach().numpy(), ((rebuilt - features.detach().numpy()) ** 2).mean(axis=(1, 2)), rtol=1e-5)
    error.sum().backward()
    assert features.grad is None
    assert network.encoder.weight.grad is not None
    assert DeepClustering(6, 3, 2, rebuilds=False).rebuilding_error(features).tolist() == [0, 0]


@pytest.mark.parametrize("is_mixed", [False, True])
def test_soft_cosine_equals_numpy(is_mixed, generator):
    layer = SoftCosine(5, is_mixed=is_mixed)
    with torch.no_grad():
        layer.similarity.copy_(torch.eye(5) + 0.3 * torch.randn(5, 5, generator=generator))
    vectors = torch.randn(2, 4, 5, generator=generator)
    turn = layer.similarity.detach().double().numpy()
    for found, cycle in zip(layer(vectors), vectors.double().numpy(), strict=True):
        expected = 0.0
        for first in range(4):
            for second in range(first + 1, 4):
                x, y = cycle[first], cycle[second]
                if is_mixed:
                    expected += abs(x @ turn.T @ y) / np.linalg.norm(x @ turn) / np.linalg.norm(y @ turn)
                else:
                    likeness = turn @ turn.T
                    expected += abs(x @ likeness @ y) / np.sqrt((x @ likeness @ x) * (y @ likeness @ y))
        assert found.item() == pytest.approx(expected, rel=1e-4)


def test_soft_cosine_begins_as_the_cosine(generator):
    vectors = torch.randn(3, 2, 8, generator=generator)
    expected = functional.cosine_similarity(vectors[:, 0], vectors[:, 1]).abs()
    for is_mixed in (False, True):
        torch.testing.assert_close(SoftCosine(8, is_mixed=is_mixed)(vectors), expected, rtol=1e-4, atol=1e-6)


def test_fusion_equals_a_convolution_over_masked_groups(generator):
    """As it was published: a 1x1 convolution whose channels are the groups, over features of others set to 0."""
    fusion = ClusterFusion(6, 3, 8, 5)
    with torch.no_grad():
        fusion.place_weights.normal_(generator=generator)
        fusion.place_offset.fill_(0.2)
    features = torch.rand(2, 6, 8, generator=generator)
    shares = torch.rand(2, 6, 3, generator=generator)
    kernel = fusion.place_weights.reshape(1, 6, 1, 1)
    with torch.no_grad():
        found = fusion.fuse_groups(features, shares)
        for cluster in range(3):
            kept = torch.where((shares.argmax(dim=2) == cluster)[..., None], features, 0.0)
            whole = functional.gelu(functional.conv2d(kept[..., None], kernel, fusion.place_offset))[:, 0, :, 0]
            torch.testing.assert_close(found[:, cluster], fusion.project(functional.layer_norm(whole, (8,))))


def test_fusion_of_fewer_groups_takes_means_of_weights():
    fusion = ClusterFusion(6, 2, 4, 3)
    with torch.no_grad():
        fusion.place_weights.copy_(torch.arange(6.0))
    features = torch.ones(1, 3, 4)
    shares = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    seen = []
    fusion.norm.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    fusion.fuse_groups(features, shares)
    expected = functional.gelu(torch.tensor([2 * 0.5, 2 * 2.5 + 2 * 4.5]))
    torch.testing.assert_close(seen[0][0, :, 0], expected)
