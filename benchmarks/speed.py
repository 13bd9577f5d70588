"""Measure how fast the parts are, as ratios within one run, and print a table.

Usage: python benchmarks/speed.py [--quick] [--data-folder FOLDER] [--out results/benchmarks/speed.json]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.backbones import backbones
from add4rsc.datasets.opening import open_dataset
from add4rsc.datasets.synthetic import synthesise
from add4rsc.engine.features import prepare_features
from add4rsc.engine.model import build_method
from add4rsc.engine.provenance import describe_environment
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch
from add4rsc.storage import write_json

STEPS = {
    "fine_tuning/mn04": (32, (300, 128)),
    "add4rsc/mn04": (32, (300, 128)),
    "add4rsc/resnet50": (8, (798, 128)),
    "add4rsc/ast": (8, (798, 128)),
}
"""Recipe -> batch size, and frames and mel bands of its input."""

Row = dict[str, Any]


def seconds(action: Callable[[], object], repeats: int) -> float:
    """Median time of an action, after one that does not count."""
    action()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def preparation(folder: Path) -> list[Row]:
    """Seconds of recordings that are read, resampled, cut and turned into features in one second."""
    dataset = open_dataset(folder)
    cycles = dataset.cycles()
    audio = sum({cycle.recording.path: _duration(cycle.recording.path) for cycle in cycles}.values())
    rows = []
    for backbone in ("mn04", "ast"):
        front_end = backbones.get(backbone).front_end()
        with tempfile.TemporaryDirectory() as cache:
            began = time.perf_counter()
            prepare_features(cycles, Crop(duration=8.0), front_end, Path(cache))
            first = time.perf_counter() - began
            began = time.perf_counter()
            prepare_features(cycles, Crop(duration=8.0), front_end, Path(cache))
            again = time.perf_counter() - began
        what = f"dataset preparation, {backbone} features, 8 s cycles"
        rows.append({"what": what, "audio_seconds_per_second": audio / first, "ratio": 1.0, "of": "first time"})
        rows.append(
            {
                "what": f"{what}, cached",
                "audio_seconds_per_second": audio / again,
                "ratio": first / again,
                "of": "first",
            }
        )
    return rows


def _duration(path: Path) -> float:
    from add4rsc.audio.io import read_info

    return read_info(path).duration


def filter_bank(repeats: int) -> list[Row]:
    """Time a clip of 8 s, in a batch of 16 and alone."""
    module = LogMelFilterBank(FrontEnd())
    clips = torch.randn(16, 128_000) / 10
    with torch.inference_mode():
        alone = seconds(lambda: [module(clip[None]) for clip in clips], repeats) / 16
        together = seconds(lambda: module(clips), repeats) / 16
    return [
        {"what": "filter bank, a clip of 8 s, alone", "seconds": alone, "ratio": 1.0, "of": "alone"},
        {
            "what": "filter bank, a clip of 8 s, in a batch of 16",
            "seconds": together,
            "ratio": alone / together,
            "of": "alone",
        },
    ]


def training_step(recipe_name: str, precision: str, repeats: int) -> Row:
    """Time one training step and the process' peak memory; run in a process of its own."""
    batch_size, (n_frames, n_mels) = STEPS[recipe_name]
    recipe = recipes.get(recipe_name)()
    torch.manual_seed(0)
    method = build_method(recipe, 4, pretrained=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-5)
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(batch_size, n_frames, n_mels), torch.randint(4, (batch_size,), generator=generator))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = torch.stack([term.mean() for term in method.losses(batch, generator).values()]).sum()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    took = seconds(step, repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    what = f"training step, {recipe_name}, batch {batch_size}, {precision}"
    return {"what": what, "seconds": took, "peak_mib_above_start": round(peak - before), "precision": precision}


def training_steps(names: list[str], repeats: int) -> list[Row]:
    """Every recipe in both precisions, each in a fresh process."""
    rows = []
    for name in names:
        pair = []
        for precision in ("32-true", "bf16-mixed"):
            command = [sys.executable, __file__, "--step", name, "--precision", precision, "--repeats", str(repeats)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
            pair.append(json.loads(answer.stdout))
        rows += [row | {"ratio": pair[0]["seconds"] / row["seconds"], "of": "32-true"} for row in pair]
    return rows


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="a corpus; default: made sounds")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true", help="small networks, few repeats")
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(training_step(arguments.step, arguments.precision, arguments.repeats)))
        return
    with tempfile.TemporaryDirectory() as folder:
        corpus = arguments.data_folder or synthesise(Path(folder), 24, 0)
        rows = preparation(corpus) + filter_bank(20)
    rows += training_steps(list(STEPS)[: 2 if arguments.quick else None], arguments.repeats)
    for row in rows:
        value = f"{row['seconds']:.4f} s" if "seconds" in row else f"{row['audio_seconds_per_second']:.0f} s/s"
        memory = f"  {row['peak_mib_above_start']} MiB" if "peak_mib_above_start" in row else ""
        print(f"{row['what']:64} {value:>12}  {row['ratio']:5.2f} x {row['of']}{memory}")
    if arguments.out:
        threads = torch.get_num_threads()
        write_json(arguments.out, {"threads": threads, "environment": describe_environment(), "rows": rows})


if __name__ == "__main__":
    main()
