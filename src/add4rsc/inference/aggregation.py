"""From cycles to recordings, and from recordings to patients."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from add4rsc.inference.calibration import choose_thresholds, decide
from add4rsc.inference.result import N_DIGITS, CycleResult, RecordingResult, in_words
from add4rsc.terms import RESEARCH_USE_ONLY


class Totals:
    """Counts and sums of cycles, which grow with what is added and take the same memory whatever it is.

    Probabilities are means over judged cycles, weighted by nothing: overlapping windows count as the cycles they are.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.n_recordings = 0
        self.duration = 0.0
        self.n_cycles = self.n_judged = self.n_abstained = 0
        self.n_decided = dict.fromkeys(classes, 0)
        self.sums = np.zeros(len(classes))
        self.highest = 0.0
        """Largest probability of any abnormal class in a cycle."""
        self.quality: dict[str, None] = {}

    def add(self, result: RecordingResult) -> None:
        """Count a recording's cycles."""
        self.n_recordings += 1
        self.duration += result.duration
        self.quality |= dict.fromkeys(result.quality)
        for cycle in result.cycles:
            self._add_cycle(cycle)

    def _add_cycle(self, cycle: CycleResult) -> None:
        self.n_cycles += 1
        self.n_judged += cycle.is_judged
        self.n_abstained += cycle.abstains
        if cycle.decision in self.n_decided:
            self.n_decided[cycle.decision] += 1
        if cycle.is_judged:
            self.sums += cycle.probabilities
            self.highest = max(self.highest, 1 - cycle.probabilities[0])

    def row(self) -> dict[str, Any]:
        """Counts, mean probabilities, and the class that has half of them or more; empty where nothing was judged."""
        means = np.round(self.sums / max(self.n_judged, 1), N_DIGITS)
        decision = decide(means, choose_thresholds(self.classes, {})) if self.n_judged else "abstain"
        shown = map(float, means) if self.n_judged else (None,) * len(self.classes)
        return {
            "duration": round(self.duration, N_DIGITS),
            "n_cycles": self.n_cycles,
            "n_judged": self.n_judged,
            "n_abstained": self.n_abstained,
            **{f"n_{name}": number for name, number in self.n_decided.items()},
            **{f"p_{name}": value for name, value in zip(self.classes, shown, strict=True)},
            "highest_p_abnormal": round(self.highest, N_DIGITS) if self.n_judged else None,
            "decision": decision,
            "heard": in_words(decision) if self.n_judged else "not judged",
            "abstain": decision == "abstain",
            "quality": ";".join(self.quality),
            "notice": RESEARCH_USE_ONLY,
        }


def recording_row(result: RecordingResult) -> dict[str, Any]:
    """One recording in one row."""
    totals = Totals(result.classes)
    totals.add(result)
    return {"file": result.file, "patient": result.patient, "cycles_from": result.cycles_from, **totals.row()}


def patient_rows(results: Iterable[RecordingResult]) -> list[dict[str, Any]]:
    """One patient in one row, in order; recordings whose patient is not known are left out."""
    totals: dict[str, Totals] = {}
    for result in results:
        if result.patient:
            totals.setdefault(result.patient, Totals(result.classes)).add(result)
    return [
        {"patient": patient, "n_recordings": totals[patient].n_recordings, **totals[patient].row()}
        for patient in sorted(totals)
    ]
