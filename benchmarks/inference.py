"""Measure how fast recordings are classified, as ratios within one run, and print a table.

Usage: python benchmarks/inference.py RUN DATA_FOLDER [--out results/benchmarks/inference.json]

RUN is the run that the models are exported from, DATA_FOLDER its corpus. `audio_seconds_per_second` counts the seconds
of cropped cycles, or of recordings, that one second of work gets through.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from jaxtyping import Float
from numpy import ndarray

from add4rsc.engine.loading import load_run
from add4rsc.engine.provenance import describe_environment
from add4rsc.export.exporting import ExportSettings, export_run
from add4rsc.export.graph import WaveformNetwork
from add4rsc.inference.onnx_model import OnnxClassifier
from add4rsc.storage import write_json

BATCH_SIZES = (1, 4, 16, 64)
N_CYCLES = 64
Row = dict[str, Any]

COLD_START = "import sys, add4rsc; print(len(add4rsc.load(sys.argv[1]).predict(sys.argv[2]).table))"
STAGES = """
import sys, time
from pathlib import Path
import numpy as np
from add4rsc.audio import io
from add4rsc.inference import cycles
from add4rsc.inference.onnx_model import OnnxClassifier
import add4rsc

spent = dict.fromkeys(("decoding", "resampling", "features and network"), 0.0)

def timed(owner, name, stage):
    inner = getattr(owner, name)
    def outer(*arguments, **named):
        began = time.perf_counter()
        try:
            return inner(*arguments, **named)
        finally:
            spent[stage] += time.perf_counter() - began
    setattr(owner, name, outer)

timed(io, "_read_frames", "decoding")
timed(io.soxr, "resample", "resampling")
timed(OnnxClassifier, "logits", "features and network")
model = add4rsc.load(sys.argv[1])
model.predict(sys.argv[2])
spent.update(dict.fromkeys(spent, 0.0))
began = time.perf_counter()
model.predict([sys.argv[2]] * 10)
whole = time.perf_counter() - began
spent["segmentation, quality, the rest"] = whole - sum(spent.values())
import json
print(json.dumps({"seconds": whole / 10, "shares": {stage: value / whole for stage, value in spent.items()}}))
"""


def seconds(action: Callable[[], object], repeats: int = 3) -> float:
    """Shortest time of an action, after one that does not count: other work on the machine only ever adds."""
    action()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def _all(engine: Callable[[ndarray], object], batches: list[ndarray]) -> None:
    for batch in batches:
        engine(batch)


def networks(run_folder: Path, models: dict[str, Path]) -> list[Row]:
    """Cropped cycles through front-end and network, by threads, batch size and engine."""
    run = load_run(run_folder)
    network = WaveformNetwork(run, None).eval()
    n_samples = run.recipe.crop.n_samples(run.front_end.sample_rate)
    waveforms = (0.1 * np.random.default_rng(0).standard_normal((N_CYCLES, n_samples))).astype(np.float32)
    rows: list[Row] = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        engines: dict[str, Callable[[Float[ndarray, "cycle sample"]], object]] = {
            "torch": lambda batch: network(torch.from_numpy(batch)),
            **{f"onnx {name}": OnnxClassifier(path, n_threads).logits for name, path in models.items()},
        }
        for batch_size in BATCH_SIZES:
            batches = np.split(waveforms, range(batch_size, N_CYCLES, batch_size))
            with torch.inference_mode():
                took = {name: seconds(partial(_all, engine, batches)) for name, engine in engines.items()}
            audio = N_CYCLES * run.recipe.crop.duration
            rows += [
                {
                    "engine": name,
                    "n_threads": n_threads,
                    "batch_size": batch_size,
                    "audio_seconds_per_second": audio / value,
                    "ratio_to_torch": took["torch"] / value,
                }
                for name, value in took.items()
            ]
    return rows


def run_python(program: str, *arguments: Path) -> tuple[str, float]:
    """What a program prints in a fresh process, and how long it took from start to end."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)  # noqa: S603
    return done.stdout, time.perf_counter() - began


def recordings(model: Path, folder: Path) -> list[Row]:
    """A file of 20 s: from a cold start, and the shares of the stages once all is loaded."""
    path = folder / "breath.wav"
    time_axis = np.arange(20 * 44_100) / 44_100
    noise = np.random.default_rng(0).standard_normal(len(time_axis))
    soundfile.write(path, 0.05 * noise * np.sin(np.pi * time_axis / 2.5) ** 2, 44_100, subtype="PCM_16")
    cold = [run_python(COLD_START, model, path)[1] for _ in range(4)][1:]
    stages = json.loads(run_python(STAGES, model, path)[0])
    bare = [run_python("import numpy")[1] for _ in range(3)]
    return [
        {"what": "import numpy, a fresh process", "seconds": min(bare)},
        {"what": "cold start to result, 20 s of 44.1 kHz", "seconds": min(cold), "median": statistics.median(cold)},
        {"what": "result, 20 s of 44.1 kHz, all loaded", "seconds": stages["seconds"], "shares": stages["shares"]},
    ]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--model", type=Path, nargs=2, help="exported float32 and int8 files, to save their making")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        paths = arguments.model or [Path(scratch) / f"{name}.onnx" for name in ("float32", "int8")]
        models = dict(zip(("float32", "int8"), paths, strict=True))
        for name, path in models.items():
            if not path.exists():
                export_run(arguments.run, path, ExportSettings(arguments.data_folder, int8=name == "int8"))
        by_engine, by_file = networks(arguments.run, models), recordings(models["float32"], Path(scratch))
    for row in by_engine:
        what = f"{row['engine']:14} {row['n_threads']} threads  batch {row['batch_size']:3}"
        print(f"{what}  {row['audio_seconds_per_second']:7.0f} s/s  {row['ratio_to_torch']:5.2f} x torch")
    for row in by_file:
        shares = "  ".join(f"{stage} {share:.0%}" for stage, share in row.get("shares", {}).items())
        print(f"{row['what']:42} {row['seconds']:.3f} s  {shares}")
    if arguments.out:
        write_json(arguments.out, {"environment": describe_environment(), "networks": by_engine, "files": by_file})


if __name__ == "__main__":
    main()
