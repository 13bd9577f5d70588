"""Measure the segmenter against annotated cycles: where it puts their beginnings, and what it costs the score.

Usage: python benchmarks/segmenter.py --run RUN FOLDER [--run RUN FOLDER] [--subsets validation] [--out FILE.json]

RUN is a run folder, or the ONNX file that `add4rsc export` wrote of it, and FOLDER the corpus that it was trained on.
Its validation and test cycles are classified as annotated, as found in the sound, and in windows; each annotated cycle
is given the decision of the stretch that overlaps it most. The segmenter was fitted on the training patients, and its
constants were chosen on the validation patients of the recipes' own division: only test patients are new to it.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.crop import crop_cycle, fade_recording
from add4rsc.audio.io import read_info, read_waveform
from add4rsc.datasets.opening import open_dataset
from add4rsc.inference._base import AbstractClassifier, Stretch
from add4rsc.inference.cycles import Unit, unit_of, windows
from add4rsc.inference.opening import open_classifier
from add4rsc.inference.segment import find_cycles
from add4rsc.metrics.icbhi import icbhi_score
from add4rsc.protocol.split import make_split
from add4rsc.storage import write_json
from add4rsc.terms import RespiratoryCycle, Subset

TOLERANCES = (0.2, 0.5)
WINDOW = 3.0

Finder = Callable[[Path, Sequence[RespiratoryCycle], Unit], list[Stretch]]


def _by_envelope(path: Path, _: Sequence[RespiratoryCycle], unit: Unit) -> list[Stretch]:
    info = read_info(path)
    found = find_cycles(read_waveform(path, info.sample_rate), info.sample_rate, unit)
    return found or windows(info.duration, WINDOW)


def _as_annotated(_: Path, cycles: Sequence[RespiratoryCycle], __: Unit) -> list[Stretch]:
    return [Stretch(cycle.start, cycle.end) for cycle in cycles]


FINDERS: dict[str, Finder] = {
    "annotated": _as_annotated,
    "envelope": _by_envelope,
    "windows": lambda path, _, __: windows(read_info(path).duration, WINDOW),
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


def decide(classifier: AbstractClassifier, path: Path, stretches: Sequence[Stretch]) -> dict[Stretch, int]:
    """The most probable class of every stretch."""
    rate, crop = classifier.sample_rate, classifier.crop
    waveform = fade_recording(read_waveform(path, rate), rate, crop)
    cropped = [crop_cycle(waveform, rate, each.start, each.end, crop) for each in stretches]
    decisions = classifier.logits(np.stack(cropped)).argmax(axis=1) if cropped else ()
    return dict(zip(stretches, map(int, decisions), strict=True))


def match(stretches: Sequence[Stretch], cycles: Sequence[RespiratoryCycle]) -> list[Stretch | None]:
    """For every cycle the stretch that overlaps it most, if one does."""
    starts, ends = (np.array([getattr(each, side) for each in stretches]) for side in ("start", "end"))
    matched = []
    for cycle in cycles:
        overlaps = np.minimum(ends, cycle.end) - np.maximum(starts, cycle.start)
        best = int(np.argmax(overlaps))
        matched.append(stretches[best] if overlaps[best] > 0 else None)
    return matched


class Corpus:
    """The annotated recordings of a corpus, and in which subset of a run each of them is.

    Args:
        folder: of the corpus.
        notes: of the run's network.
    """

    def __init__(self, folder: Path, notes: Mapping[str, str]) -> None:
        dataset = open_dataset(folder)
        self.name, self.split = dataset.name, notes["split"]
        self.unit: Unit = unit_of(notes)
        self.task = dataset.tasks[notes["task"]]
        self.cycles: dict[str, list[RespiratoryCycle]] = defaultdict(list)
        for cycle in sorted(dataset.cycles(), key=lambda each: each.start):
            self.cycles[cycle.recording.recording_id].append(cycle)
        recipe = json.loads(notes.get("recipe_json", "{}"))
        share, seed = recipe.get("validation_share", 0.2), recipe.get("validation_seed", 0)
        split = make_split(dataset, self.task, self.split, validation_share=share, validation_seed=seed)
        self.subset_of = {cycle.recording.recording_id: subset for subset in Subset for cycle in split.subset(subset)}

    def judged(self, name: str) -> list[RespiratoryCycle]:
        """The cycles of a recording that have a class in the run's task."""
        return [cycle for cycle in self.cycles[name] if self.task.label(cycle.annotation) is not None]


def measure_boundaries(corpus: Corpus, subsets: Sequence[Subset]) -> list[dict[str, Any]]:
    """How near the beginnings of stretches are to those of annotated cycles."""
    boundaries: dict[tuple[str, str], Boundaries] = defaultdict(Boundaries)
    for name, cycles in corpus.cycles.items():
        subset = corpus.subset_of.get(name)
        if subset is None or subset not in subsets:
            continue
        for method in ("envelope", "windows"):
            found = FINDERS[method](cycles[0].recording.path, cycles, corpus.unit)
            times = np.unique([each.start for each in found]), np.unique([cycle.start for cycle in cycles])
            boundaries[method, subset.value].add(*times)
    order = [(method, subset.value) for subset in subsets for method in ("envelope", "windows")]
    return [{"method": key[0], "subset": key[1], **boundaries[key].row()} for key in order if key in boundaries]


def measure_scores(corpus: Corpus, classifier: AbstractClassifier, subset: Subset) -> list[dict[str, Any]]:
    """Scores of a subset's cycles by every finder."""
    labels: list[int] = []
    decisions: dict[str, list[int]] = {method: [] for method in FINDERS}
    for name in (name for name, of in corpus.subset_of.items() if of is subset):
        judged = corpus.judged(name)
        path = judged[0].recording.path
        labels += [corpus.task.classes.index(corpus.task.class_of[cycle.annotation]) for cycle in judged]
        matched = {method: match(find(path, judged, corpus.unit), judged) for method, find in FINDERS.items()}
        wanted = sorted({each for matches in matched.values() for each in matches if each is not None})
        decided = decide(classifier, path, wanted)
        for method, matches in matched.items():
            decisions[method] += [0 if each is None else decided[each] for each in matches]
    return [{"method": method, "subset": subset.value, **score_row(labels, each)} for method, each in decisions.items()]


def measure(run: Path, folder: Path, subsets: Sequence[Subset]) -> dict[str, Any]:
    """Boundaries of annotated recordings, and the scores of the held-out cycles, by every finder."""
    classifier = open_classifier(run)
    corpus = Corpus(folder, classifier.notes)
    held_out = [subset for subset in subsets if subset is not Subset.TRAIN]
    return {
        "corpus": corpus.name,
        "unit": corpus.unit,
        "n_recordings": len(corpus.cycles),
        "split": corpus.split,
        "model": classifier.name,
        "boundaries": measure_boundaries(corpus, subsets),
        "scores": [row for subset in held_out for row in measure_scores(corpus, classifier, subset)],
    }


def score_row(labels: Sequence[int], decisions: Sequence[int]) -> dict[str, Any]:
    """The ICBHI scores, and how many cycles they are of."""
    score = icbhi_score(np.array(labels), np.array(decisions))
    parts = ("specificity", "sensitivity", "score")
    return {part: getattr(score, part) for part in parts} | {"n_cycles": len(labels)}


def show(result: dict[str, Any]) -> None:
    """Print what was measured."""
    print(f"{result['corpus']}, {result['n_recordings']} annotated recordings, {result['model']}")
    for row in result["boundaries"]:
        shares = "  ".join(f"F1 at {each:g} s {row[f'f1_{each:g}']:.3f}" for each in TOLERANCES)
        found = f"{row['n_found']} found, {row['n_annotated']} annotated"
        print(f"  {row['method']:10} {row['subset']:10} {shares}  median error {row['median_error']:.3f} s  {found}")
    for row in result["scores"]:
        shares = "  ".join(f"{part} {row[part]:.4f}" for part in ("specificity", "sensitivity", "score"))
        print(f"  {row['method']:10} {row['subset']:10} {shares}  {row['n_cycles']} cycles")


def main() -> None:
    """Measure every run on its corpus, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs=2, type=Path, action="append", required=True, metavar=("RUN", "FOLDER"))
    parser.add_argument("--subsets", nargs="+", type=Subset, choices=list(Subset), default=list(Subset))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = []
    for run, folder in arguments.run:
        results.append(measure(run, folder, arguments.subsets))
        show(results[-1])
    if arguments.out:
        write_json(arguments.out, {"window": WINDOW, "corpora": results})


if __name__ == "__main__":
    main()
