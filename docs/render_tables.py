"""Fill the tables of the documents from the files under results/; `--check` only says whether they are up to date.

Usage: python docs/render_tables.py [--check]
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _four_classes
import _noise
import _tasks
from _cells import cell_of, difference_of, heard, percent, rows_of, with_interval

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
DOCUMENTS = (
    "README.md",
    "docs/segmenter.md",
    "docs/robustness.md",
    "docs/predict.md",
    "docs/benchmark.md",
    "docs/denoising.md",
)
BLOCK = re.compile(r"(<!-- table: ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
METHODS = {
    "fine_tuning-mn04": "fine_tuning/mn04",
    "add4rsc-mn04": "add4rsc/mn04",
    "add4rsc-mn04-again": "add4rsc/mn04, the same seed on two threads",
    "fine_tuning-mn04-robust": "fine_tuning/mn04-robust, trained on both corpora",
    "add4rsc-mn04-robust": "add4rsc/mn04-robust, trained on both corpora",
    "fine_tuning-mn04-joint/ensemble": "the model in the box: fine_tuning/mn04-robust, both corpora, three seeds",
    "add4rsc-mn04-filter-joint/ensemble": "the same with the ADD layer's filters",
    "add4rsc-resnet18": "add4rsc/resnet18, from random weights",
}
"""Folder of a result -> its name in a table; a test that lacks one has no such row."""
TESTS = {
    "sprsound2022/cycle-4/inter": "SPRSound 2022, complete inter-patient test",
    "icbhi2017-subset/cycle-4/official": "ICBHI 2017 **subset**, official split",
    "icbhi2017-subset/cycle-4/patient-folds-5": "ICBHI 2017 **subset**, five folds by patient",
}


def _read(place: str, method: str, name: str = "summary.json") -> dict[str, Any]:
    return json.loads((RESULTS / place / method / name).read_text())


def _methods(place: str) -> list[str]:
    return [method for method in METHODS if (RESULTS / place / method / "summary.json").exists()]


def scores() -> str:
    """One row a test and method; 95 % intervals from a bootstrap over patients."""
    lines = [
        "| test | method | cycles / patients | Sp | Se | Score (95 %) | Score, binary (95 %) |",
        "|---|---|---|---|---|---|---|",
    ]
    for place, title in TESTS.items():
        for method in _methods(place):
            found = _read(place, method)
            counts = f"{found['n_cycles']} / {found['n_patients']}"
            parts = [title, METHODS[method], counts, percent(found["specificity"])]
            parts += [
                percent(found["sensitivity"]),
                *(with_interval(found[name], found["intervals"][name]) for name in ("score", "score_binary")),
            ]
            lines.append(f"| {' | '.join(parts)} |")
        lines.append(f"| {title} | always normal | | 100.0 | 0.0 | 50.0 | 50.0 |")
    return "\n".join(lines)


def stethoscopes() -> str:
    """The official split of the subset, by stethoscope."""
    place = "icbhi2017-subset/cycle-4/official"
    training = _read(place, "fine_tuning-mn04", "run.json")["split"]["subsets"]["train"]["cycles_per_stethoscope"]
    lines = [
        "| stethoscope | training cycles | test cycles | method | Sp | Se | Score |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in _methods(place):
        for name, group in _read(place, method)["per_stethoscope"].items():
            shares = [percent(group[part]) for part in ("specificity", "sensitivity", "score")]
            counts = [str(training.get(name, 0)), str(group["n_cycles"])]
            lines.append(f"| {' | '.join([name, *counts, METHODS[method], *shares])} |")
    return "\n".join(lines)


def costs() -> str:
    """What each run took."""
    lines = ["| command | parameters | seconds, training and test |", "|---|---|---|"]
    for place in list(TESTS)[:2]:
        for method in _methods(place):
            if not (RESULTS / place / method / "run.json").exists():
                continue  # a network of another row, on another test
            run = _read(place, method, "run.json")
            command = (RESULTS / place / method / "command.txt").read_text().strip()
            lines.append(f"| `{command}` | {run['n_parameters']:,} | {run['seconds']:.0f} |")
    return "\n".join(lines)


LEVELS = (None, 20.0, 10.0, 0.0, -5.0)


def noise() -> str:
    """Score under recorded noise, the mean over its classes, and what each network gains on the first."""
    place = "sprsound2022/cycle-4/inter"
    told = ["clean" if level is None else f"{level:g} dB" for level in LEVELS]
    lines = [f"| network | {' | '.join(told)} | 0 dB, difference from the first |", "|" + "---|" * (len(LEVELS) + 2)]
    differences = rows_of(RESULTS / place / "robustness-compared" / "differences.csv")
    for method, name in METHODS.items():
        cells = _under_noise(RESULTS / place / method)
        if not cells:
            continue
        against = [row for row in differences if row["second"].endswith(method)]
        row = cell_of(against, 0.0) if against else None
        gain = "-" if row is None else difference_of(row, row)
        lines.append(f"| {name} | {' | '.join(cells)} | {gain} |")
    return "\n".join(lines)


def _under_noise(place: Path) -> list[str]:
    """The Score of a network, or of an ensemble of seeds, at every level; nothing where it was not measured."""
    table = place / "robustness" / "summary.csv"
    if table.exists():
        return [percent(float(cell_of(rows_of(table), level)["value"])) for level in LEVELS]
    of_ensemble = place.parent / "robustness" / place.name
    return [percent(heard(of_ensemble, level, "score")) for level in LEVELS] if of_ensemble.exists() else []


def noise_add() -> str:
    """What the ADD layer adds to the same recipe: second minus first, with its interval."""
    told = ["clean" if level is None else f"{level:g} dB" for level in LEVELS]
    lines = [f"| | {' | '.join(told)} |", "|" + "---|" * (len(LEVELS) + 1)]
    found = rows_of(RESULTS / "sprsound2022/cycle-4/inter" / "robustness-of-add" / "differences.csv")
    rows = (cell_of(found, level) for level in LEVELS)
    cells = (difference_of(row, row) for row in rows)
    return "\n".join([*lines, f"| add4rsc/mn04-robust - fine_tuning/mn04-robust | {' | '.join(cells)} |"])


def inference() -> str:
    """Seconds of sound that one second gets through, by engine, processors and batch."""
    found = json.loads((RESULTS / "benchmarks" / "inference.json").read_text())
    rows = {(row["engine"], row["n_threads"], row["batch_size"]): row for row in found["networks"]}
    sizes = sorted({size for _, _, size in rows})
    lines = [f"| engine | processors | {' | '.join(f'batch {size}' for size in sizes)} |"]
    lines.append("|" + "---|" * (len(sizes) + 2))
    for engine, n_threads in dict.fromkeys(key[:2] for key in rows):
        rates = (f"{rows[engine, n_threads, size]['audio_seconds_per_second']:.0f}" for size in sizes)
        lines.append(f"| {engine} | {n_threads} | {' | '.join(rates)} |")
    lines += ["", "| | seconds | of that |", "|---|---|---|"]
    for row in found["files"]:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in row.get("shares", {}).items())
        lines.append(f"| {row['what']} | {row['seconds']:.2f} | {shares} |")
    return "\n".join(lines)


def demo() -> str:
    """The first output that a user sees."""
    return "```text\n" + (RESULTS / "demo" / "output.txt").read_text().rstrip() + "\n```"


def boundaries() -> str:
    """How near the found boundaries are to the annotated ones."""
    head = "| corpus | method | recordings of | F1 at 0.2 s | F1 at 0.5 s | median error, s | found / annotated |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for corpus in _segmenter():
        for row in corpus["boundaries"]:
            parts = [corpus["corpus"], row["method"], row["subset"], f"{row['f1_0.2']:.3f}", f"{row['f1_0.5']:.3f}"]
            parts += [f"{row['median_error']:.3f}", f"{row['n_found']} / {row['n_annotated']}"]
            lines.append(f"| {' | '.join(parts)} |")
    return "\n".join(lines)


def segmenter_scores() -> str:
    """What the segmenter costs the score of the same network."""
    head = "| split | network | recordings of | cycles from | Sp | Se | Score |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for corpus in _segmenter():
        for row in corpus["scores"]:
            shares = [percent(row[part]) for part in ("specificity", "sensitivity", "score")]
            lines.append(f"| {' | '.join([corpus['split'], corpus['model'], row['subset'], row['method'], *shares])} |")
    return "\n".join(lines)


def _segmenter() -> list[dict[str, Any]]:
    return json.loads((RESULTS / "benchmarks" / "segmenter.json").read_text())["corpora"]


def _benchmark(place: str) -> str:
    """Every system under one protocol, the best first."""
    file = RESULTS / place / "benchmark.json"
    head = "| | recipe | Sp | Se | Score (95 %) | sd over seeds | ranks not significantly different "
    lines = [head + "| parameters | s a seed | ms a cycle |", "|" + "---|" * 10]
    for row in json.loads(file.read_text())["ranking"]:
        score = row["score"]
        interval = with_interval(score["value"], (score["low"], score["high"]))
        shares = [percent(row[part]["value"]) for part in ("specificity", "sensitivity")]
        costs = [f"{row['n_parameters']:,}", str(row["training_seconds"]), f"{row['latency_ms']:.1f}"]
        parts = [str(row["rank"]), row["recipe"], *shares, interval, f"{100 * row['sd']:.1f}", row["same"], *costs]
        lines.append(f"| {' | '.join(parts)} |")
    return "\n".join([*lines, "| | always normal | 100.0 | 0.0 | 50.0 | | | | | |"])


def benchmark_sprsound() -> str:
    """SPRSound's inter-patient test."""
    return _benchmark("sprsound2022/cycle-4/inter")


def benchmark_icbhi() -> str:
    """The official split of the ICBHI subset."""
    return _benchmark("icbhi2017-subset/cycle-4/official")


def small_transformer() -> str:
    """Plain fine-tuning of the small transformer from random and from its pretrained weights."""
    lines = ["| start | Sp | Se | Score | sd over seeds |", "|---|---|---|---|---|"]
    starts = {"random weights": "fine_tuning-ast-small-from-random", "ast/small-m2d": "fine_tuning-ast-small"}
    for title, name in starts.items():
        found = _read("sprsound2022/cycle-4/inter", name)
        shares = [percent(found[part]["mean"]) for part in ("specificity", "sensitivity", "score")]
        lines.append(f"| {title} | {' | '.join(shares)} | {100 * found['score']['sd']:.1f} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    "scores": scores,
    "stethoscopes": stethoscopes,
    "costs": costs,
    "inference": inference,
    "noise": noise,
    "noise-add": noise_add,
    "demo": demo,
    "benchmark-sprsound": benchmark_sprsound,
    "benchmark-icbhi": benchmark_icbhi,
    "small-transformer": small_transformer,
    "boundaries": boundaries,
    "segmenter-scores": segmenter_scores,
    **_noise.TABLES,
    **_tasks.TABLES,
    **_four_classes.TABLES,
}


def render(text: str) -> str:
    """The text with every table block filled anew."""
    return BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    checks_only = parser.parse_args().check
    for document in (ROOT / name for name in DOCUMENTS):
        rendered = render(document.read_text())
        if checks_only and rendered != document.read_text():
            sys.exit(f"{document.name} is not up to date. Run: python docs/render_tables.py")
        if not checks_only:
            document.write_text(rendered)
