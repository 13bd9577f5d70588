"""Fit the network that finds breaths, on the training patients of ICBHI 2017 and SPRSound 2022.

Usage: python benchmarks/fit_segmenter.py ICBHI_FOLDER SPRSOUND_FOLDER [--epochs N] [--seed N] [--out FILE.safetensors]

Validation patients (a fifth, the same that every recipe holds out) are not fitted but watched; test patients are never
read. The constants of `add4rsc.inference.segment` were chosen on the validation patients. Two minutes on one core.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from safetensors.numpy import save_file
from torch import Tensor, nn

from add4rsc.audio.io import read_info, read_waveform
from add4rsc.datasets.opening import open_dataset
from add4rsc.inference._breath_network import (
    DILATIONS,
    FLOOR,
    FRAME,
    HEADS,
    KERNEL,
    N_BANDS,
    SHIFT,
    STEP,
    STEP_TIME,
    WEIGHTS,
    adapt,
    breath_levels,
)
from add4rsc.protocol.split import make_split
from add4rsc.terms import RespiratoryCycle

N_CHANNELS = 32
BUMP = 0.08
"""Standard deviation of the target about a boundary: annotators agree no better."""
NEAR, FAR_WEIGHT = 1.0, 0.3
"""SPRSound leaves breaths unmarked: what is far from any event counts less as none."""
ABNORMAL_MARGIN, ABNORMAL_WEIGHT = 0.4, 2.5
"""A fifth of the events are abnormal, and a missed one costs more."""
N_CROP, BATCH_SIZE, PEAK_RATE, WEIGHT_DECAY, WARM_UP = 500, 16, 4e-3, 1e-3, 0.15
REPEATS = {"sprsound2022": 1, "icbhi2017": 3}
"""How often a recording is seen in an epoch: ICBHI's are few."""
NO_BREATH = {"icbhi2017": (1, 2, 3), "sprsound2022": (0,)}
"""Heads that a corpus cannot teach."""


@dataclass(frozen=True)
class Example:
    """One recording: its levels, and what the heads should say of every step."""

    corpus: str
    levels: Float[ndarray, "frame band"]
    targets: Float[ndarray, "head step"]
    weights: Float[ndarray, "head step"]


class BreathNetwork(nn.Module):
    """The network of `add4rsc.inference._breath_network`, for fitting."""

    def __init__(self) -> None:
        super().__init__()
        half = KERNEL // 2
        self.inlet = nn.Conv1d(N_BANDS, N_CHANNELS, KERNEL, stride=STEP, padding=half)
        self.layers = nn.ModuleList(
            nn.Conv1d(N_CHANNELS, N_CHANNELS, KERNEL, dilation=dilation, padding=half * dilation)
            for dilation in DILATIONS
        )
        self.outlet = nn.Conv1d(N_CHANNELS, len(HEADS), 1)

    def forward(self, levels: Float[Tensor, "batch band frame"]) -> Float[Tensor, "batch head step"]:
        """Logits of adapted levels."""
        hidden = self.inlet(levels).relu()
        for layer in self.layers:
            hidden = hidden + layer(hidden).relu()
        return self.outlet(hidden)


def read_examples(folder: Path) -> dict[str, list[Example]]:
    """The training and the validation recordings of a corpus."""
    dataset = open_dataset(folder)
    split = make_split(dataset, next(iter(dataset.tasks.values())), dataset.split_names[0])
    of_recording: dict[str, list[RespiratoryCycle]] = defaultdict(list)
    for cycle in sorted(dataset.cycles(), key=lambda each: each.start):
        of_recording[cycle.recording.recording_id].append(cycle)
    members = {"train": split.train, "validation": split.validation}
    return {
        name: [
            read_example(dataset.name, of_recording[each])
            for each in sorted({cycle.recording.recording_id for cycle in cycles})
        ]
        for name, cycles in members.items()
    }


def read_example(corpus: str, cycles: Sequence[RespiratoryCycle]) -> Example:
    """Levels and targets of one recording."""
    path = cycles[0].recording.path
    rate = read_info(path).sample_rate
    levels = breath_levels(read_waveform(path, rate), rate)
    times = np.arange(-(-len(levels) // STEP)) * STEP_TIME + FRAME / 2
    starts, ends = (np.array([getattr(cycle, side) for cycle in cycles]) for side in ("start", "end"))
    outside = np.maximum(0, np.maximum(starts - times[:, None], times[:, None] - ends))
    targets = np.stack([_bumps(times, starts), _bumps(times, starts), _bumps(times, ends), (outside == 0).any(axis=1)])
    weights = np.ones_like(targets)
    if corpus == "icbhi2017":
        weights[:] = (times > starts[0] - 0.6) & (times < ends[-1] - 0.3)
    else:
        weights[:] = np.where(outside.min(axis=1) < NEAR, 1.0, FAR_WEIGHT)
        is_abnormal = np.array([cycle.annotation != "normal" for cycle in cycles])
        near = ((outside < ABNORMAL_MARGIN) & is_abnormal).any(axis=1)
        weights[:, near] = ABNORMAL_WEIGHT
    weights[list(NO_BREATH[corpus])] = 0
    return Example(corpus, levels, targets.astype(np.float32), weights.astype(np.float32))


def _bumps(times: Float[ndarray, " step"], marks: Float[ndarray, " mark"]) -> Float[ndarray, " step"]:
    return np.exp(-(((times[:, None] - marks) / BUMP) ** 2) / 2).max(axis=1)


def disturb(levels: Float[ndarray, "frame band"], generator: np.random.Generator) -> Float[ndarray, "frame band"]:
    """Background noise, heart beats, a narrow stethoscope, another response: what other recordings have."""
    power = 10 ** (levels / 10)
    n_frames = len(power)
    if generator.random() < 0.5:
        noise = np.median(power, axis=0) * 10 ** generator.uniform(-1, 0.7)
        power = power + noise * generator.gamma(3, 1 / 3, power.shape)
    if generator.random() < 0.4:
        period = generator.uniform(0.4, 1.1) / SHIFT
        phase = (np.arange(n_frames) + generator.uniform(0, period)) % period
        first, second = (np.exp(-(((phase - 3 - later) / 2) ** 2) / 2) for later in (0, 0.35 * period))
        roll_off = np.exp(-np.arange(N_BANDS) * generator.uniform(0.4, 1.2))
        loudness = np.quantile(power, 0.95) * 10 ** generator.uniform(-1, 1.5)
        power = power + (first + 0.6 * second)[:, None] * roll_off * loudness
    if generator.random() < 0.3:
        power[:, generator.integers(12, N_BANDS) :] = 0
    if generator.random() < 0.3:
        power = power * 10 ** generator.uniform(-1, 1, N_BANDS)
    return 10 * np.log10(power + FLOOR)


def cut(example: Example, generator: np.random.Generator) -> tuple[ndarray, ndarray, ndarray]:
    """A random part of an example, disturbed, and in half of the cases played faster or slower."""
    levels = adapt(disturb(example.levels, generator))
    targets, weights = example.targets, example.weights
    if generator.random() < 0.5:
        stretch = generator.uniform(0.8, 1.25)
        levels = levels[_resampled(len(levels), stretch)]
        steps = _resampled(targets.shape[1], stretch)
        targets, weights = targets[:, steps], weights[:, steps]
    first = int(generator.integers(0, max(1, (len(levels) - N_CROP) // STEP + 1)))
    part = slice(first, first + N_CROP // STEP)
    n_steps = N_CROP // STEP
    levels = _fill(levels[first * STEP :][:N_CROP].T, N_CROP)
    return levels, _fill(targets[:, part], n_steps), _fill(weights[:, part], n_steps)


def _resampled(length: int, stretch: float) -> ndarray:
    return np.minimum((np.arange(int(length * stretch)) / stretch).astype(int), length - 1)


def _fill(values: Float[ndarray, "row column"], n_columns: int) -> Float[ndarray, "row n_columns"]:
    return np.pad(values, ((0, 0), (0, n_columns - values.shape[1]))).astype(np.float32)


def head_losses(network: nn.Module, batch: Sequence[tuple[ndarray, ndarray, ndarray]]) -> tuple[Tensor, Tensor]:
    """Sums over the batch, per head, of the weighted cross-entropy and of the weights."""
    levels, targets, weights = (torch.from_numpy(np.stack(parts)) for parts in zip(*batch, strict=True))
    losses = nn.functional.binary_cross_entropy_with_logits(network(levels), targets, reduction="none")
    return (losses * weights).sum(dim=(0, 2)), weights.sum(dim=(0, 2))


def fit(examples: Sequence[Example], watched: Sequence[Example], epochs: int, seed: int) -> BreathNetwork:
    """Fit a network, printing what it makes of the watched recordings."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    network = BreathNetwork()
    seen = [example for example in examples for _ in range(REPEATS[example.corpus])]
    n_steps = epochs * (len(seen) // BATCH_SIZE)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=n_steps, pct_start=WARM_UP)
    for epoch in range(1, epochs + 1):
        order = generator.permutation(len(seen))
        for first in range(0, len(seen) - BATCH_SIZE + 1, BATCH_SIZE):
            batch = [cut(seen[index], generator) for index in order[first : first + BATCH_SIZE]]
            sums, weights = head_losses(network, batch)
            optimiser.zero_grad()
            (sums / (weights + 1)).mean().backward()
            optimiser.step()
            schedule.step()
        if epoch % 4 == 0 or epoch == epochs:
            print(f"epoch {epoch}: {describe(network, watched)}", flush=True)
    return network


def describe(network: BreathNetwork, examples: Sequence[Example]) -> str:
    """The mean loss of every head, on undisturbed recordings."""
    with torch.no_grad():
        parts = [
            head_losses(network, [(adapt(example.levels).T.astype(np.float32), example.targets, example.weights)])
            for example in examples
        ]
    sums, weights = torch.tensor([[side.tolist() for side in part] for part in parts]).sum(dim=0)
    return "  ".join(f"{head} {value:.4f}" for head, value in zip(HEADS, sums / weights, strict=True))


def save(network: BreathNetwork, path: Path) -> None:
    """Write kernels as tap x channel in x channel out, in half precision."""
    weights = {name: values.detach().numpy() for name, values in network.named_parameters()}
    turned = {name: values.transpose(2, 1, 0) if values.ndim == 3 else values for name, values in weights.items()}
    save_file({name: np.ascontiguousarray(values.astype(np.float16)) for name, values in turned.items()}, path)


def main() -> None:
    """Read both corpora, fit, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    parts = [read_examples(folder) for folder in arguments.folders]
    fitted, watched = ([example for part in parts for example in part[name]] for name in ("train", "validation"))
    print(f"{len(fitted)} recordings to fit, {len(watched)} to watch")
    save(fit(fitted, watched, arguments.epochs, arguments.seed), arguments.out)


if __name__ == "__main__":
    main()
