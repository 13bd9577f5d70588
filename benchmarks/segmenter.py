"""Measure the segmenter against annotated cycles: where it puts their beginnings, and what it costs the score.

Usage: python benchmarks/segmenter.py --corpus FOLDER MODEL.onnx [--corpus FOLDER MODEL.onnx] [--out FILE.json]

A model is what `add4rsc export` wrote of a run on that corpus. Its test cycles are classified as annotated, as found by
the breath envelope, and in windows; each annotated cycle is given the decision of the stretch that overlaps it most.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.audio.crop import crop_cycle, fade_recording
from add4rsc.audio.io import read_info, read_waveform
from add4rsc.datasets.opening import open_dataset
from add4rsc.inference._base import Stretch
from add4rsc.inference.cycles import windows
from add4rsc.inference.onnx_model import OnnxClassifier
from add4rsc.inference.segment import find_cycles
from add4rsc.metrics.icbhi import icbhi_score
from add4rsc.storage import write_json
from add4rsc.terms import RespiratoryCycle, Subset

TOLERANCES = (0.2, 0.5)
WINDOW = 3.0

Finder = Callable[[Path, Sequence[RespiratoryCycle]], list[Stretch]]


def _by_envelope(path: Path, _: Sequence[RespiratoryCycle]) -> list[Stretch]:
    info = read_info(path)
    found = find_cycles(read_waveform(path, info.sample_rate), info.sample_rate)
    return found or windows(info.duration, WINDOW)


def _as_annotated(_: Path, cycles: Sequence[RespiratoryCycle]) -> list[Stretch]:
    return [Stretch(cycle.start, cycle.end) for cycle in cycles]


FINDERS: dict[str, Finder] = {
    "annotated": _as_annotated,
    "envelope": _by_envelope,
    "windows": lambda path, _: windows(read_info(path).duration, WINDOW),
}


@dataclass
class Boundaries:
    """Counts of beginnings over recordings."""

    n_found: int = 0
    n_annotated: int = 0
    hits: dict[float, int] = field(default_factory=lambda: dict.fromkeys(TOLERANCES, 0))
    distances: list[float] = field(default_factory=list)

    def add(self, found: Float[ndarray, " found"], annotated: Float[ndarray, " cycle"]) -> None:
        """Count one recording."""
        self.n_found += len(found)
        self.n_annotated += len(annotated)
        for tolerance in TOLERANCES:
            self.hits[tolerance] += count_hits(found, annotated, tolerance)
        self.distances.extend(np.abs(annotated[:, None] - found).min(axis=1))

    def row(self) -> dict[str, Any]:
        """F1 at every tolerance, and the median distance from an annotated beginning to the nearest one found."""
        f1 = {f"f1_{each:g}": 2 * self.hits[each] / (self.n_found + self.n_annotated) for each in TOLERANCES}
        counts = {"n_annotated": self.n_annotated, "n_found": self.n_found}
        return f1 | {"median_error": float(np.median(self.distances)), **counts}


def count_hits(found: Float[ndarray, " found"], annotated: Float[ndarray, " cycle"], tolerance: float) -> int:
    """Most pairs that can be formed of times no further apart than the tolerance; both sorted."""
    i = j = hits = 0
    while i < len(found) and j < len(annotated):
        distance = found[i] - annotated[j]
        is_hit = abs(distance) <= tolerance
        hits += is_hit
        i, j = i + (is_hit or distance < 0), j + (is_hit or distance > 0)
    return hits


def decide(classifier: OnnxClassifier, path: Path, stretches: Sequence[Stretch]) -> Int[ndarray, " stretch"]:
    """The most probable class of every stretch."""
    rate, crop = classifier.sample_rate, classifier.crop
    waveform = fade_recording(read_waveform(path, rate), rate, crop)
    cropped = [crop_cycle(waveform, rate, each.start, each.end, crop) for each in stretches]
    return classifier.logits(np.stack(cropped)).argmax(axis=1)


def hand_over(
    stretches: Sequence[Stretch], decisions: Int[ndarray, " stretch"], cycles: Sequence[RespiratoryCycle]
) -> list[int]:
    """For every cycle the decision of the stretch that overlaps it most; normal where none does."""
    starts, ends = (np.array([getattr(each, side) for each in stretches]) for side in ("start", "end"))
    handed = []
    for cycle in cycles:
        overlaps = np.minimum(ends, cycle.end) - np.maximum(starts, cycle.start)
        best = int(np.argmax(overlaps))
        handed.append(int(decisions[best]) if overlaps[best] > 0 else 0)
    return handed


def measure(folder: Path, model: Path) -> dict[str, Any]:
    """Boundaries of all annotated recordings, and the scores of the test cycles, by every finder."""
    dataset, classifier = open_dataset(folder), OnnxClassifier(model)
    task = dataset.tasks[classifier.notes["task"]]
    split = dataset.published_split(classifier.notes["split"])
    of_recording: dict[str, list[RespiratoryCycle]] = defaultdict(list)
    for cycle in sorted(dataset.cycles(), key=lambda each: each.start):
        of_recording[cycle.recording.recording_id].append(cycle)
    boundaries: dict[tuple[str, str], Boundaries] = defaultdict(Boundaries)
    labels: list[int] = []
    decisions: dict[str, list[int]] = defaultdict(list)
    for name, cycles in of_recording.items():
        path, subset = cycles[0].recording.path, split.subset_of.get(name)
        judged = [cycle for cycle in cycles if task.label(cycle.annotation) is not None]
        is_tested = subset is Subset.TEST and len(judged) > 0
        labels += [task.classes.index(task.class_of[cycle.annotation]) for cycle in judged] if is_tested else []
        for method, find in FINDERS.items():
            stretches = find(path, judged if method == "annotated" and is_tested else cycles)
            times = np.unique([each.start for each in stretches]), np.unique([cycle.start for cycle in cycles])
            for group in ("all", str(subset.value if subset else "neither")) if method != "annotated" else ():
                boundaries[method, group].add(*times)
            if is_tested:
                decisions[method] += hand_over(stretches, decide(classifier, path, stretches), judged)
    return {
        "corpus": dataset.name,
        "n_recordings": len(of_recording),
        "split": split.name,
        "model": classifier.name,
        "boundaries": [{"method": key[0], "subset": key[1], **each.row()} for key, each in boundaries.items()],
        "scores": [{"method": method, **score_row(labels, each)} for method, each in decisions.items()],
    }


def score_row(labels: Sequence[int], decisions: Sequence[int]) -> dict[str, Any]:
    """The ICBHI scores, and how many cycles they are of."""
    score = icbhi_score(np.array(labels), np.array(decisions))
    parts = ("specificity", "sensitivity", "score")
    return {part: getattr(score, part) for part in parts} | {"n_cycles": len(labels)}


def main() -> None:
    """Measure every corpus, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", nargs=2, type=Path, action="append", required=True, metavar=("FOLDER", "MODEL"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = [measure(folder, model) for folder, model in arguments.corpus]
    for result in results:
        print(f"{result['corpus']}, {result['n_recordings']} annotated recordings")
        for row in result["boundaries"]:
            shares = "  ".join(f"F1 at {each:g} s {row[f'f1_{each:g}']:.3f}" for each in TOLERANCES)
            found = f"{row['n_found']} found, {row['n_annotated']} annotated"
            print(f"  {row['method']:10} {row['subset']:6} {shares}  median error {row['median_error']:.3f} s  {found}")
        for row in result["scores"]:
            shares = "  ".join(f"{part} {row[part]:.4f}" for part in ("specificity", "sensitivity", "score"))
            print(f"  {row['method']:10} {shares}  {row['n_cycles']} test cycles")
    if arguments.out:
        write_json(arguments.out, {"window": WINDOW, "corpora": results})


if __name__ == "__main__":
    main()
