"""A recording's own background."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import AdditiveNoise, CycleSound

STRETCH = 0.2
"""Seconds: shorter than the pause between two breaths."""
STEP = 0.05
N_STRETCHES = 6
SILENCE = 1e-6
"""Where the power is below this share of the median, there is no background but silence that was put there later."""


@corruptions.register("background")
class OwnBackground(AdditiveNoise):
    """The recording's own background, amplified: its quietest stretches, between the breaths, laid over one another."""

    def noise(self, cycle: CycleSound, noise_class: str, generator: Generator) -> Float[ndarray, " sample"]:  # noqa: ARG002
        """Quiet stretches in random order, each fading into the next at constant power."""
        n_samples = len(cycle.waveform)
        sound = np.zeros(n_samples, dtype=np.float32)
        if not cycle.quiet.size:
            return sound
        n_quiet = cycle.quiet.shape[1]
        step = max(1, n_quiet // 2)
        fade = np.sin(np.pi * (np.arange(n_quiet, dtype=np.float32) + 0.5) / n_quiet)  # squares of two halves sum to 1
        for first in range(-int(generator.integers(step)), n_samples, step):
            stretch = cycle.quiet[generator.integers(len(cycle.quiet))] * fade
            begin, end = max(first, 0), min(first + n_quiet, n_samples)
            sound[begin:end] += stretch[begin - first : end - first]
        return sound


def quiet_stretches(recording: Float[ndarray, " sample"], sample_rate: int) -> Float[ndarray, "stretch quiet"]:
    """The quietest stretches of a recording that do not overlap, without silence; its whole if it is shorter than one.

    None if there is nothing but silence.
    """
    n_block = max(1, round(sample_rate * STEP))
    n_blocks = round(STRETCH / STEP)
    if len(recording) < n_blocks * n_block:
        return _centred(recording[None]) if recording.any() else np.zeros((0, 0), dtype=np.float32)
    blocks = recording[: len(recording) // n_block * n_block].reshape(-1, n_block)
    of_block = np.lib.stride_tricks.sliding_window_view(blocks.var(axis=1, dtype=np.float64), n_blocks)
    typical = np.median(of_block[of_block > 0]) if of_block.any() else np.inf
    chosen: list[int] = []
    for first in np.argsort(of_block.sum(axis=1), kind="stable").tolist():
        is_heard = of_block[first].min() > SILENCE * typical
        if is_heard and len(chosen) < N_STRETCHES and all(abs(first - each) >= n_blocks for each in chosen):
            chosen.append(first)
    if not chosen:
        return np.zeros((0, 0), dtype=np.float32)
    return _centred(np.stack([blocks[each : each + n_blocks].ravel() for each in chosen]))


def _centred(stretches: Float[ndarray, "stretch quiet"]) -> Float[ndarray, "stretch quiet"]:
    return (stretches - stretches.mean(axis=1, keepdims=True, dtype=np.float64)).astype(np.float32)
