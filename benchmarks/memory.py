"""Peak memory of a training step of the ADD layer, against a plain form that stores both attention maps.

Run: python benchmarks/memory.py [--batch-size 8] [--frames 1024] [--columns 256]

Each form runs in a process of its own: two steps (forward, backward, AdamW), of which the highest resident set size is
taken, less what the process held before the first step. The plain form is the released layer's formula (Dong et al.
2025, arXiv:2506.02505; METHODS 4.2) written with matrix products and two softmax maps. Figures go to
results/benchmarks/memory.json.
"""

import argparse
import json
import math
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from add4rsc.add.attention import DifferentialAttention
from add4rsc.add.layer import AddLayer
from add4rsc.add.presets import build

RESULT = Path(__file__).resolve().parents[1] / "results" / "benchmarks" / "memory.json"
TARGET = 0.5
"""Share of the plain form's memory that ours may take at most."""


class StoredMaps(nn.Module):
    """Differential attention that computes both maps and keeps them for the backward pass."""

    def __init__(self, like: DifferentialAttention) -> None:
        super().__init__()
        self.like = like

    def forward(self, x: Tensor) -> Tensor:
        """O = (softmax(Q1 K1' / sqrt d) - lambda softmax(Q2 K2' / sqrt d)) V, normalised head by head."""
        like = self.like
        query, key = (
            project(x).unflatten(-1, (like.n_heads, 2, like.head_dim)).permute(0, 2, 3, 1, 4)
            for project in (like.to_query, like.to_key)
        )
        value = like.to_value(x).unflatten(-1, (like.n_heads, -1)).transpose(1, 2)
        first = torch.softmax(query[:, :, 0] @ key[:, :, 0].mT / math.sqrt(like.head_dim), dim=-1)
        second = torch.softmax(query[:, :, 1] @ key[:, :, 1].mT / math.sqrt(like.head_dim), dim=-1)
        dots = (like.lambda_query * like.lambda_key).sum(dim=-1).exp()
        weight = (dots[0] - dots[1] + like.lambda_start)[:, None, None]
        heads = like.head_norm((first - weight * second) @ value) * (1 - like.lambda_start)
        return like.to_output(heads.transpose(1, 2).flatten(-2))


def make_layer(form: str, columns: int) -> AddLayer:
    """The layer of commit 8a0384a, as we compute it or with stored maps; the same weights every time."""
    torch.manual_seed(0)
    layer = build("released-2025-08", dim=columns)
    if form == "stored maps" and layer.denoise is not None:
        layer.denoise.attention = StoredMaps(layer.denoise.attention)  # pyright: ignore[reportAttributeAccessIssue]
    return layer


def measure(form: str, batch_size: int, frames: int, columns: int) -> dict[str, float]:
    """Two training steps in this process: growth of the peak resident set in MB, seconds of the second step."""
    layer = make_layer(form, columns)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=5e-5)
    generator = torch.Generator().manual_seed(1)
    log_mel = torch.randn(batch_size, frames, columns, generator=generator)
    before, seconds, total = peak_mb(), 0.0, 0.0
    for _ in range(2):
        began = time.perf_counter()
        output = layer(log_mel)
        loss = output.features.square().mean() + output.bias_logits.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seconds, total = time.perf_counter() - began, float(loss.detach())
    return {"peak_mb": peak_mb() - before, "seconds_per_step": seconds, "loss": total}


def peak_mb() -> float:
    """Highest resident set size of this process so far."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run_apart(form: str, sizes: list[str]) -> dict[str, float]:
    """Measure in a new process."""
    command = [sys.executable, __file__, "--form", form, *sizes]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout)


def main() -> None:
    """Measure both forms, print the table and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--frames", type=int, default=1024)
    parser.add_argument("--columns", type=int, default=256)
    parser.add_argument("--form", choices=("ours", "stored maps"), help="measure in this process and print JSON")
    settings = parser.parse_args()
    if settings.form:
        print(json.dumps(measure(settings.form, settings.batch_size, settings.frames, settings.columns)))
        return
    sizes = [f"--batch-size={settings.batch_size}", f"--frames={settings.frames}", f"--columns={settings.columns}"]
    measured = {form: run_apart(form, sizes) for form in ("stored maps", "ours")}
    share = measured["ours"]["peak_mb"] / measured["stored maps"]["peak_mb"]
    print(f"ADD layer, batch of {settings.batch_size}, {settings.frames} x {settings.columns}, float32, CPU, two steps")
    for form, figures in measured.items():
        print(f"  {form:12} {figures['peak_mb']:8.0f} MB {figures['seconds_per_step']:8.2f} s a step")
    print(f"  ours takes {share:.2f} of the memory (target at most {TARGET})")
    result = {
        "command": "python benchmarks/memory.py " + " ".join(sizes),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "forms": measured,
        "share": share,
        "target": TARGET,
        "reached": share <= TARGET,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(0 if share <= TARGET else 1)


if __name__ == "__main__":
    main()
