"""Many clients at once: `python benchmarks/serving.py [--seconds 300] [--clients 64]` -> results/benchmarks/.

Starts `add4rsc serve` with the package's own model in a process of its own, asks it about every sound once, one client
alone, and then lets all clients ask without a pause. Every answer must be the one that the single client got. Clients
do as they are told by 503 and Retry-After; how often is counted. Times are those of answers, waiting included.
"""

import argparse
import io
import json
import os
import platform
import random
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks" / "serving.json"
N_SOUNDS = 16
DURATIONS = (5.0, 10.0, 15.0, 20.0)
"""Seconds: from a few breaths to a recording of ICBHI 2017."""
SAMPLE_RATES = (4000, 8000, 16_000, 44_100)
PATIENCE = 120.0


@dataclass
class Tally:
    """What one client saw."""

    seconds: list[float] = field(default_factory=list)
    audio: float = 0.0
    n_told_to_wait: int = 0
    errors: list[str] = field(default_factory=list)


def make_sound(index: int) -> tuple[bytes, float]:
    """A made breath sound as WAV, and its length in seconds."""
    duration = DURATIONS[index % len(DURATIONS)]
    rate = SAMPLE_RATES[index // len(DURATIONS) % len(SAMPLE_RATES)]
    generator = np.random.default_rng(index)
    time_axis = np.arange(round(duration * rate)) / rate
    noise = np.convolve(generator.standard_normal(len(time_axis)), np.ones(8) / 8, mode="same")
    breath = 0.1 * noise * (0.05 + np.clip(np.sin(2 * np.pi * time_axis / 2.6), 0, None))
    file = io.BytesIO()
    soundfile.write(file, breath, rate, format="WAV", subtype="PCM_16")
    return file.getvalue(), duration


def start_server() -> tuple[subprocess.Popen[bytes], str]:
    """The server's process and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "add4rsc", "serve", "--port", str(port)], stdout=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            httpx.get(f"{url}/v1/health")
            return process, url
        except httpx.TransportError:
            time.sleep(0.1)
    process.kill()
    raise SystemExit("the server did not start")


def ask(client: httpx.Client, url: str, content: bytes) -> httpx.Response:
    """The answer about one sound."""
    return client.post(f"{url}/v1/predict", files={"file": ("breath.wav", content)})


def run_client(url: str, sounds: list[tuple[bytes, float]], expected: list[bytes], until: float, tally: Tally) -> None:
    """Ask about one sound after the other until the time is over."""
    draw = random.Random(id(tally))
    with httpx.Client(timeout=PATIENCE) as client:
        while time.monotonic() < until:
            index = draw.randrange(len(sounds))
            begin = time.perf_counter()
            try:
                answer = ask(client, url, sounds[index][0])
            except httpx.HTTPError as error:
                tally.errors.append(type(error).__name__)
                continue
            if answer.status_code == 503:
                tally.n_told_to_wait += 1
                time.sleep(float(answer.headers["Retry-After"]))
            elif answer.status_code != 200:
                tally.errors.append(f"status {answer.status_code}")
            elif answer.content != expected[index]:
                tally.errors.append("another answer")
            else:
                tally.seconds.append(time.perf_counter() - begin)
                tally.audio += sounds[index][1]


def resident_mb(process: subprocess.Popen[bytes]) -> float | None:
    """Memory of the server in MB, where the system tells."""
    path = Path(f"/proc/{process.pid}/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if path.exists() else None


def measure(seconds: float, n_clients: int) -> dict[str, Any]:
    """Run everything; what is written."""
    sounds = [make_sound(index) for index in range(N_SOUNDS)]
    process, url = start_server()
    try:
        alone = Tally()
        with httpx.Client(timeout=PATIENCE) as client:
            expected = [ask(client, url, content).content for content, _ in sounds]
        begin = time.monotonic()
        run_client(url, sounds, expected, begin + min(10.0, seconds), alone)
        alone_for = time.monotonic() - begin
        before = resident_mb(process)
        tallies = [Tally() for _ in range(n_clients)]
        begin = time.monotonic()
        threads = [
            threading.Thread(target=run_client, args=(url, sounds, expected, begin + seconds, each)) for each in tallies
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed, after = time.monotonic() - begin, resident_mb(process)
        health = httpx.get(f"{url}/v1/health").json()
    finally:
        process.terminate()
        process.wait(60)
    return {
        "one_client": summarise([alone], alone_for),
        f"{n_clients}_clients": summarise(tallies, elapsed) | {"memory_mb": [before, after]},
        "left_in_the_queue": health["n_waiting"] + health["n_running"],
        "model": health["model"],
    }


def summarise(tallies: list[Tally], elapsed: float) -> dict[str, Any]:
    """Counts, times in seconds, and how much sound was done."""
    times = sorted(second for tally in tallies for second in tally.seconds)
    errors = [error for tally in tallies for error in tally.errors]
    p50, p95 = (round(float(np.percentile(times, share)), 3) if times else None for share in (50, 95))
    return {
        "seconds": round(elapsed, 1),
        "n_answers": len(times),
        "n_errors": len(errors),
        "errors": sorted(set(errors)),
        "n_told_to_wait": sum(tally.n_told_to_wait for tally in tallies),
        "fewest_answers_of_a_client": min(len(tally.seconds) for tally in tallies),
        "p50": p50,
        "p95": p95,
        "answers_per_second": round(len(times) / elapsed, 2),
        "audio_seconds_per_second": round(sum(tally.audio for tally in tallies) / elapsed, 1),
    }


def main() -> None:
    """Measure, write, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long all clients ask")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    result = {
        "command": f"python benchmarks/serving.py --seconds {options.seconds:g} --clients {options.clients}",
        "machine": {"processors": os.cpu_count(), "system": platform.platform(), "load_before": load},
        **measure(options.seconds, options.clients),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    crowd = result[f"{options.clients}_clients"]
    if crowd["n_errors"] or result["left_in_the_queue"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
