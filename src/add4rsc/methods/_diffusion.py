"""Diffusion of log-mel frames: noise is taken away step by step until a cycle of the wanted class is left."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional

from add4rsc.methods._base import TrainingCycles

DILATION_CYCLE = 8
"""Dilations are 1, 2, 4, ... 128, and then 1 again; in DiffWave, whose samples are shorter, they go up to 512."""

N_FREQUENCIES = 64
"""Of the diffusion step's sine and cosine each, as in DiffWave."""

CHUNK = 64
"""Cycles that are looked at, or generated, at a time."""

BOUND = 1e6
"""Beyond any frame: before frames were seen, the estimate of the clean ones is left as it is."""


def noise_schedule(n_steps: int) -> Float[Tensor, " step"]:
    """Share of the clean frames' variance that is left after each step (alpha-bar), 1 at step 0.

    Betas rise linearly from 1e-4 to 0.02 over 1000 steps (Ho et al. 2020); for n steps both are 1000 / n times as
    large, so that hardly anything is left at the last one, where sampling starts from noise alone.
    """
    scale = 1000 / n_steps
    betas = torch.linspace(1e-4 * scale, 0.02 * scale, n_steps, dtype=torch.float64).clamp(max=0.999)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)]).float()


def step_embedding(steps: Int[Tensor, " batch"]) -> Float[Tensor, "batch frequency"]:
    """Sine and cosine of 10^(4 i / 63) t, i = 0..63 (Kong et al. 2021, section 3.1)."""
    exponents = torch.arange(N_FREQUENCIES, device=steps.device) * 4 / (N_FREQUENCIES - 1)
    angles = steps[:, None] * 10.0**exponents
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResidualBlock(nn.Module):
    """A dilated convolution of three frames with a gate; to its input are added step, to its output the class."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.of_step = nn.Linear(width, width)
        self.of_class = nn.Linear(width, 2 * width)
        self.dilated = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(
        self,
        frames: Float[Tensor, "batch width time"],
        step: Float[Tensor, "batch width"],
        kind: Float[Tensor, "batch width"],
    ) -> tuple[Float[Tensor, "batch width time"], Float[Tensor, "batch width time"]]:
        """What goes on to the next block, and what is handed to the end."""
        hidden = self.dilated(frames + self.of_step(step)[:, :, None]) + self.of_class(kind)[:, :, None]
        content, gate = hidden.chunk(2, dim=1)
        onward, skipped = self.out(content.tanh() * gate.sigmoid()).chunk(2, dim=1)
        return (frames + onward) / math.sqrt(2), skipped


@dataclass(frozen=True)
class _Moments:
    """What is to be known of some cycles."""

    labels: Int[Tensor, " cycle"]
    centres: Float[Tensor, "cycle mel"]
    """Mean of each over time."""
    around: Float[Tensor, "mel mel"]
    """Sum of the covariances of their frames around that."""
    n_frames: int
    lowest: Float[Tensor, " mel"]
    highest: Float[Tensor, " mel"]


def _moments(log_mel: Float[Tensor, "cycle time mel"], labels: Int[Tensor, " cycle"]) -> _Moments:
    frames = log_mel.cpu().double()
    centres = frames.mean(dim=1)
    around = (frames - centres[:, None]).flatten(0, 1)
    covariance = around.T @ around / frames.shape[1]
    return _Moments(labels.cpu(), centres, covariance, frames.shape[1], frames.amin((0, 1)), frames.amax((0, 1)))


class FrameDiffusion(nn.Module):
    """Generates log-mel frames of a class: denoising diffusion (Ho et al. 2020) with DiffWave's network.

    Kong et al. 2021 (arXiv:2009.09761) denoise a waveform on the condition of its mel bands. Here the bands are the
    channels of what is denoised, and the condition is the class. The network corrects the best linear estimate of the
    clean frames, which knows the covariance of bands, of cycles' means and of what is around them (Wiener's filter):
    at the start, cycles are those of a Gaussian, and thousands of steps are spared. Bands are standardised, by the
    means of a class.
    """

    mean: Tensor
    """Of every class."""
    deviation: Tensor
    lowest: Tensor
    """Of all frames in each band, as they are; estimates of clean frames are kept within."""
    highest: Tensor
    variances: Tensor
    """Along each axis of the cycles' means, then of what is around them; standardised."""
    axes: Tensor
    """Of either, one a column."""
    left: Tensor
    """alpha-bar of every step, from 0."""

    def __init__(self, n_mels: int, n_classes: int, width: int, n_layers: int, n_steps: int) -> None:
        super().__init__()
        self.n_mels, self.n_steps, self.n_layers = n_mels, n_steps, n_layers
        self.enter = nn.Conv1d(2 * n_mels, width, 1)
        self.embed_step = nn.Sequential(
            nn.Linear(2 * N_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.embed_class = nn.Embedding(n_classes, width)
        self.blocks = nn.ModuleList([ResidualBlock(width, 2 ** (i % DILATION_CYCLE)) for i in range(n_layers)])
        last = nn.Conv1d(width, n_mels, 1)
        nn.init.zeros_(last.weight)
        self.leave = nn.Sequential(nn.Conv1d(width, width, 1), nn.ReLU(), last)
        self.register_buffer("mean", torch.zeros(n_classes, n_mels))
        self.register_buffer("deviation", torch.ones(n_mels))
        self.register_buffer("lowest", torch.full((n_mels,), -BOUND))
        self.register_buffer("highest", torch.full((n_mels,), BOUND))
        self.register_buffer("variances", torch.ones(2, n_mels))
        self.register_buffer("axes", torch.eye(n_mels).repeat(2, 1, 1))
        self.register_buffer("left", noise_schedule(n_steps), persistent=False)

    def observe(self, chunks: Iterable[tuple[Float[Tensor, "_ _ mel"], Int[Tensor, " _"]]]) -> None:
        """Keep every band's means, deviation and range, and the bands' covariance, over all chunks of cycles.

        A class without cycles has the mean of all of them.
        """
        seen = [_moments(*chunk) for chunk in chunks]
        labels, centres = torch.cat([each.labels for each in seen]), torch.cat([each.centres for each in seen])
        for label in range(len(self.mean)):
            self.mean[label] = (centres[labels == label] if (labels == label).any() else centres).mean(dim=0)
        around = torch.stack([each.around for each in seen]).sum(dim=0) / len(labels)
        centres = centres - self.mean.cpu().double()[labels]
        of_centres = centres.T @ centres / len(labels)
        deviation = (of_centres + around).diagonal().clamp_min(1e-6).sqrt()
        # around a mean that is of the same frames, all is smaller by a frame: so is the noise that is compared with it
        covariances = torch.stack([of_centres, around * seen[0].n_frames / max(seen[0].n_frames - 1, 1)])
        variances, axes = torch.linalg.eigh(covariances / (deviation[:, None] * deviation))
        self.deviation.copy_(deviation)
        self.lowest.copy_(torch.stack([each.lowest for each in seen]).amin(dim=0))
        self.highest.copy_(torch.stack([each.highest for each in seen]).amax(dim=0))
        self.variances.copy_(variances.clamp_min(0))
        self.axes.copy_(axes)

    def noised(
        self,
        clean: Float[Tensor, "batch time mel"],
        steps: Int[Tensor, " batch"],
        noise: Float[Tensor, "batch time mel"],
    ) -> Float[Tensor, "batch time mel"]:
        """Standardised frames after so many steps: sqrt(alpha-bar) x_0 + sqrt(1 - alpha-bar) noise."""
        left = self.left[steps][:, None, None]
        return left.sqrt() * clean + (1 - left).sqrt() * noise

    def forward(
        self, noised: Float[Tensor, "batch time mel"], steps: Int[Tensor, " batch"], labels: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time mel"]:
        """The noise in standardised frames of these steps (1..n) and classes."""
        step, kind = self.embed_step(step_embedding(steps)), self.embed_class(labels)
        left = self.left[steps][:, None, None]
        estimate = self._linear_estimate(noised, left)
        frames = self.enter(torch.cat([noised, estimate], dim=2).transpose(1, 2)).relu()
        total = torch.zeros_like(frames)
        for block in self.blocks:
            frames, skipped = block(frames, step, kind)
            total = total + skipped
        correction = self.leave(total / math.sqrt(self.n_layers)).transpose(1, 2)
        return (noised - left.sqrt() * estimate) / (1 - left).sqrt() + left.sqrt() * correction

    def _linear_estimate(
        self, noised: Float[Tensor, "batch time mel"], left: Float[Tensor, "batch 1 1"]
    ) -> Float[Tensor, "batch time mel"]:
        """The clean frames as far as a linear map can tell: along every axis, Wiener's share of what is seen."""
        centre = noised.mean(dim=1, keepdim=True)
        estimate = torch.zeros_like(noised)
        noises = ((1 - left) / noised.shape[1], 1 - left)  # the mean of n frames has a n-th of their noise
        for seen, noise, variance, axes in zip(
            (centre, noised - centre), noises, self.variances, self.axes, strict=True
        ):
            share = left.sqrt() * variance / (left * variance + noise)
            estimate = estimate + (seen @ axes * share) @ axes.T
        return estimate

    def loss(
        self, frames: Float[Tensor, "batch time mel"], labels: Int[Tensor, " batch"], generator: Generator
    ) -> Float[Tensor, ""]:
        """Mean squared error of the noise, at a step that is drawn for each cycle."""
        clean = self._standardised(frames, labels)
        steps = torch.randint(1, self.n_steps + 1, (len(frames),), generator=generator).to(frames.device)
        noise = torch.randn(frames.shape, generator=generator).to(frames.device)
        return functional.mse_loss(self(self.noised(clean, steps, noise), steps, labels), noise)

    @torch.no_grad()
    def sample(
        self, labels: Int[Tensor, " batch"], n_frames: int, generator: Generator, n_sampling_steps: int | None = None
    ) -> Float[Tensor, "batch time mel"]:
        """Log-mel frames of these classes, one cycle each.

        Args:
            labels: on the network's device.
            n_frames: length of the cycles.
            generator: of the CPU, whatever the device, so that draws are the same on all.
            n_sampling_steps: None takes every step back with fresh noise (Ho et al. 2020, Algorithm 2, with the
                posterior's variance); a number takes so many without (Song et al. 2021, DDIM, eta = 0).
        """
        n_taken = min(n_sampling_steps or self.n_steps, self.n_steps)
        steps = torch.linspace(self.n_steps, 0, n_taken + 1, dtype=torch.float64).round().long().tolist()
        shape = (len(labels), n_frames, self.n_mels)
        frames = torch.randn(shape, generator=generator).to(labels.device)
        for now, then in pairwise(steps):
            fresh = None
            if n_sampling_steps is None and then > 0:
                fresh = torch.randn(shape, generator=generator).to(labels.device)
            frames = self._step_back(frames, labels, (now, then), fresh)
        return frames * self.deviation + self.mean[labels][:, None]

    def _standardised(
        self, frames: Float[Tensor, "batch time mel"], labels: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time mel"]:
        return (frames - self.mean[labels][:, None]) / self.deviation

    def _step_back(
        self,
        frames: Float[Tensor, "batch time mel"],
        labels: Int[Tensor, " batch"],
        steps: tuple[int, int],
        fresh: Float[Tensor, "batch time mel"] | None,
    ) -> Float[Tensor, "batch time mel"]:
        """From one step to an earlier one (Song et al. 2021, Eq. 12; eta is 1 with fresh noise, 0 without)."""
        now, then = self.left[steps[0]], self.left[steps[1]]
        noise = self(frames, torch.full_like(labels, steps[0]), labels)
        clean = (frames - (1 - now).sqrt() * noise) / now.sqrt()
        lowest, highest = (
            self._standardised(bound.expand(len(labels), 1, -1), labels) for bound in (self.lowest, self.highest)
        )
        clean = clean.clamp(lowest, highest)
        noise = (frames - now.sqrt() * clean) / (1 - now).sqrt()
        if fresh is None:
            return then.sqrt() * clean + (1 - then).sqrt() * noise
        variance = (1 - then) / (1 - now) * (1 - now / then)
        return then.sqrt() * clean + (1 - then - variance).clamp_min(0).sqrt() * noise + variance.sqrt() * fresh


@dataclass(frozen=True)
class DiffusionTraining:
    """How long, on how many cycles a step, and how fast."""

    n_steps: int
    batch_size: int
    learning_rate: float
    """Of Adam; it falls to 0 along a cosine."""


def train_diffusion(
    diffusion: FrameDiffusion, training: TrainingCycles, how: DiffusionTraining, generator: Generator
) -> None:
    """Train a frozen network on the training cycles, every class as often; it is frozen again afterwards."""
    diffusion.observe((training.load(chunk), training.labels[list(chunk)]) for chunk in _chunks(len(training.labels)))
    diffusion.requires_grad_(True)
    optimiser = torch.optim.Adam(diffusion.parameters(), lr=how.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.n_steps)
    labels = training.labels.cpu()
    rarity = 1 / torch.bincount(labels)[labels]
    for _ in range(how.n_steps):
        drawn = torch.multinomial(rarity, how.batch_size, replacement=True, generator=generator)
        kinds = labels[drawn].to(training.labels.device)
        loss = diffusion.loss(training.load(drawn.tolist()), kinds, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    optimiser.zero_grad()
    diffusion.requires_grad_(False)


def _chunks(number: int) -> list[Sequence[int]]:
    places = range(number)
    return [places[first : first + CHUNK] for first in places[::CHUNK]]


def sample_cycles(
    diffusion: FrameDiffusion,
    labels: Int[Tensor, " cycle"],
    n_frames: int,
    n_sampling_steps: int | None,
    generator: Generator,
) -> Float[Tensor, "cycle time mel"]:
    """Cycles of these classes, some at a time; they end on the CPU and in half precision."""
    with torch.autocast(labels.device.type, enabled=False):
        chunks = [diffusion.sample(chunk, n_frames, generator, n_sampling_steps) for chunk in labels.split(CHUNK)]
        return torch.cat([chunk.cpu().half() for chunk in chunks])
