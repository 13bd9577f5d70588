"""The pictures of RespireNet, piece by piece, and the network's head, statistics and flips."""

import logging
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.engine.calibrate import Calibration
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.model import build_method
from add4rsc.export.graph import WaveformNetwork, to_onnx
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch, TrainingCycles
from add4rsc.methods._pictures import ColourMap, clip_blank_bands, magma_colours, stretching, to_levels
from add4rsc.recipe import change_recipe


def network(**options):
    recipe = change_recipe(recipes.get("respirenet/resnet34-small")(), {"backbone_options.width": 8})
    recipe = recipe.model_copy(update={"options": recipe.options | options})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_method(recipe, 4)


def decibels(generator, n_cycles=3, n_frames=40):
    log_mel = 15 * torch.randn(n_cycles, n_frames, 64, generator=generator) - 40
    for cycle in range(n_cycles):
        log_mel[cycle, :, 64 - 9 * cycle :] -= 200.0  # an empty top, of another height for each
    return log_mel


def test_colours_are_those_of_matplotlib():
    matplotlib = pytest.importorskip("matplotlib")
    expected = np.array(matplotlib.colormaps["magma"].colors)
    levels = torch.linspace(0, 1, 256)
    found = ColourMap()(levels[None, None])[0, :, 0].T
    assert magma_colours().shape == (52, 3)
    assert np.abs(found.numpy() - expected).max() < 0.003


def test_colours_hand_gradients_on():
    levels = torch.rand(2, 5, 7, requires_grad=True)
    assert torch.autograd.gradcheck(ColourMap().double(), (levels.detach().double().requires_grad_(),))


def test_levels_are_min_max_of_each_cycle(generator):
    log_mel = decibels(generator)
    for found, each in zip(to_levels(log_mel, 80.0), log_mel.numpy(), strict=True):
        floored = np.maximum(each, each.max() - 80)
        np.testing.assert_allclose(
            found.numpy(), (floored - floored.min()) / (floored.max() - floored.min()), atol=1e-6
        )
    assert not to_levels(torch.full((1, 4, 5), -3.0), 80.0).any()


def clipped_by_hand(levels, blank_level, blank_share):
    """Rows from the top, one after the other, then a resize by torch itself."""
    n_kept = levels.shape[1]
    while n_kept and (levels[:, n_kept - 1] < blank_level).mean() >= blank_share:
        n_kept -= 1
    n_kept = n_kept or levels.shape[1]
    image = torch.from_numpy(levels[None, None, :, :n_kept])
    size = levels.shape
    return functional.interpolate(image, size=size, mode="bilinear", align_corners=False)[0, 0].numpy(), n_kept


def test_blank_bands_are_cut_off_the_top_of_each_cycle_and_the_rest_stretched(generator):
    levels = torch.rand(5, 40, 64, generator=generator)
    levels[1, :, 50:] *= 0.01
    levels[2, :, 30:] *= 0.01
    levels[2, 3:12, 41] = 0.5  # 9 of 40 points: this band is told, all above it are not
    levels[3, :, 20:30] = 0.0  # blank, but not at the top
    levels[4] *= 0.01  # nothing but blank
    found = clip_blank_bands(levels, 0.06, 0.8)
    kept = []
    for each, own in zip(levels.numpy(), found.numpy(), strict=True):
        expected, n_kept = clipped_by_hand(each, 0.06, 0.8)
        np.testing.assert_allclose(own, expected, atol=1e-5)
        kept.append(n_kept)
    assert kept == [64, 50, 42, 64, 64]
    torch.testing.assert_close(found[0], levels[0])


def test_stretching_weights_are_shares():
    weights = stretching(torch.tensor([64, 13, 1]), 64)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, 64))
    assert torch.equal(weights[0], torch.eye(64))
    assert not weights[1, 13:].any()


def test_head_is_the_one_of_the_paper():
    head = network().head
    shapes = [tuple(weight.shape) for weight in head.parameters() if weight.ndim == 2]
    assert shapes == [(128, 64), (128, 128), (4, 128)]  # from 8 times the width of 8
    assert [type(layer).__name__ for layer in head] == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"]
    assert head[2].p == 0.5 == recipes.get("respirenet/resnet34")().options["dropout"]


def test_preparation_takes_mean_and_deviation_of_the_colours_once(generator):
    log_mel = decibels(generator, n_cycles=7)
    cycles = TrainingCycles(torch.zeros(7, dtype=torch.long), {}, lambda indices: log_mel[list(indices)])
    method = network()
    method.prepare(cycles, torch.Generator().manual_seed(0))
    levels = np.stack([clipped_by_hand(each.numpy(), 0.06, 0.8)[0] for each in to_levels(log_mel, 80.0)])
    colours = ColourMap()(torch.from_numpy(levels)).numpy().astype(np.float64)
    np.testing.assert_allclose(method.mean.numpy(), colours.mean(axis=(0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(method.deviation.numpy(), colours.std(axis=(0, 2, 3)), atol=1e-5)
    before = method.mean.clone()
    others = TrainingCycles(cycles.labels, {}, lambda indices: log_mel[list(indices)].square())
    other = network()
    other.load_state_dict(method.state_dict())
    other.prepare(others, torch.Generator().manual_seed(0))
    assert torch.equal(other.mean, before)


def test_some_cycles_run_backwards_in_training(generator):
    """Without dropout and with a fixed batch norm, each loss is that of one of the two directions."""
    log_mel, labels = decibels(generator, n_cycles=16), torch.arange(16) % 4
    method = network(dropout=0.0).eval()
    with torch.no_grad():
        forwards, backwards = (
            functional.cross_entropy(method(each), labels, reduction="none") for each in (log_mel, log_mel.flip(1))
        )
        found = method.losses(Batch(log_mel, labels), torch.Generator().manual_seed(3))["classification"]
    is_forwards, is_backwards = ((found - each).abs() < 1e-4 for each in (forwards, backwards))
    assert (is_forwards ^ is_backwards).all()
    assert 3 < is_backwards.sum() < 13


def test_picture_is_enlarged_three_times_for_the_trunk(generator):
    method, sizes = network(enlargement=3).eval(), []
    method.backbone.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape)))
    with torch.no_grad():
        method(decibels(generator, n_cycles=2, n_frames=11))
    assert sizes == [(2, 3, 33, 192)]


def test_exports_with_its_front_end(generator, tmp_path):
    recipe = change_recipe(
        recipes.get("respirenet/resnet34-small")(), {"backbone_options.width": 8, "crop.duration": 0.5}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method = build_method(recipe, 4)
    with torch.no_grad():
        method.train()(LogMelFilterBank(recipe.front_end)(torch.randn(16, 2000, generator=generator)))
    run = TrainedRun(tmp_path, recipe, ("a", "b", "c", "d"), method.eval())
    none: Calibration | None = None
    module = WaveformNetwork(run, none).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = to_onnx(module, 2000)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    time = torch.arange(2000) / 4000
    for n_cycles in (1, 3):
        tones = torch.sin(2 * np.pi * 300 * time) * torch.rand(n_cycles, 1, generator=generator)
        waveforms = (tones + 1e-3 * torch.randn(n_cycles, 2000, generator=generator)).float()
        (found,) = session.run(None, {"waveform": waveforms.numpy()})
        with torch.no_grad():
            expected = module(waveforms).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())
