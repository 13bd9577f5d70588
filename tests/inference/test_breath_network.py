import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.nn import functional

from add4rsc.inference._breath_network import (
    ADAPTATION,
    DILATIONS,
    FLOOR,
    FRAME,
    HEADS,
    N_BANDS,
    SHIFT,
    STEP,
    WEIGHTS,
    adapt,
    breath_levels,
    n_level_frames,
    track_breaths,
)


def noise(duration, rate, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal((round(duration * rate),))).astype(np.float32)


@pytest.mark.parametrize("n_frames", [1, 7, 400, 901])
def test_network_is_the_one_that_torch_computes(n_frames):
    levels = np.random.default_rng(n_frames).normal(-60, 6, (n_frames, N_BANDS)).astype(np.float32)
    weights = {name: torch.from_numpy(each).float() for name, each in load_file(WEIGHTS).items()}

    def convolve(signal, layer, **options):
        return functional.conv1d(
            signal, weights[f"{layer}.weight"].permute(2, 1, 0), weights[f"{layer}.bias"], **options
        )

    hidden = convolve(torch.from_numpy(adapt(levels).T[None]), "inlet", stride=STEP, padding=2).relu()
    for layer, dilation in enumerate(DILATIONS):
        hidden = hidden + convolve(hidden, f"layers.{layer}", dilation=dilation, padding=2 * dilation).relu()
    expected = convolve(hidden, "outlet")[0].numpy()
    tracks = track_breaths(levels)
    for head, row in zip(HEADS, expected, strict=True):
        np.testing.assert_allclose(getattr(tracks, head), row, atol=1e-4)


@pytest.mark.parametrize("rate", [1_500, 4_000, 11_025, 44_100])
@pytest.mark.parametrize("n_samples", [0, 10, 96, 705, 5_000, 9_999])
def test_frames_are_as_many_as_fit(rate, n_samples):
    n_frame, n_fit = round(FRAME * rate), 0
    while round(n_fit * SHIFT * rate) + n_frame <= n_samples:
        n_fit += 1
    assert n_level_frames(n_samples, rate) == n_fit
    assert len(breath_levels(np.zeros(n_samples, dtype=np.float32), rate)) == n_fit


def test_frames_do_not_drift():
    rate = 11_025  # a shift of 20 ms is 220.5 samples
    waveform = np.zeros(120 * rate, dtype=np.float32)
    waveform[110 * rate] = 1.0
    loudest = int(np.argmax(breath_levels(waveform, rate).mean(axis=1)))
    assert loudest * SHIFT + FRAME / 2 == pytest.approx(110.0, abs=SHIFT)


def test_part_has_the_levels_of_the_whole():
    waveform = noise(30, 4_000)
    np.testing.assert_array_equal(breath_levels(waveform, 4_000, 300, 1_200), breath_levels(waveform, 4_000)[300:1_200])


def test_tone_is_in_its_band():
    rate = 8_000
    tone = np.sin(2 * np.pi * 300 * np.arange(rate) / rate).astype(np.float32)
    levels = breath_levels(tone, rate).mean(axis=0)
    edges = np.geomspace(100, 1_800, N_BANDS + 1)
    assert edges[np.argmax(levels)] <= 300 < edges[np.argmax(levels) + 1]
    softer = breath_levels(tone / 10, rate).mean(axis=0)
    assert (levels - softer).max() == pytest.approx(20.0, abs=0.1)


def test_band_that_the_rate_lacks_says_nothing():
    levels = breath_levels(noise(20, 2_000), 2_000)
    assert np.allclose(levels[:, -1], 10 * np.log10(FLOOR))
    assert not adapt(levels)[:, -1].any()
    assert adapt(levels)[:, 0].any()


def test_adapted_levels_know_no_loudness_and_no_slow_drift():
    levels = breath_levels(noise(60, 4_000), 4_000)
    drifting = levels + np.linspace(-10, 10, len(levels))[:, None].astype(np.float32)
    inner = slice(round(ADAPTATION / SHIFT), -round(ADAPTATION / SHIFT))
    assert np.abs(adapt(levels + 30) - adapt(levels)).max() < 1e-3
    assert np.abs(adapt(drifting) - adapt(levels))[inner].max() < 0.25
