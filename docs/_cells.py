"""Where results are, and cells of the documents' tables."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"
SPRSOUND = RESULTS / "sprsound2022"
EVENTS = SPRSOUND / "task-1-2" / "inter"
ICBHI = RESULTS / "icbhi2017-subset" / "cycle-4" / "official"
LEVELS: tuple[float | None, ...] = (None, 10.0, 0.0)
"""Of noise, in dB; None is without."""
FORMS = {
    "fine_tuning-mn04-clean": "no layer, trained without noise",
    "fine_tuning-mn04-noisy": "no layer",
    "add4rsc-mn04-noisy": "ADD, `fixed`",
    "add4rsc-mn04-no-loss-noisy": "ADD, `fixed`, without the bias denoising loss",
    "add4rsc-mn04-attention-noisy": "its attention alone",
    "add4rsc-mn04-filter-noisy": "its filters alone",
    "add4rsc-mn04-paper-noisy": "ADD, `paper`",
    "add4rsc-mn04-released-noisy": "ADD, `released-2025-08`",
    "fine_tuning-mn04-twins": "no layer, trained to say the same of each noisy cycle and of its twin without noise",
    "fine_tuning-mn04-folds": "no layer; no noise in training, all bands, 6 epochs",
    "fine_tuning-mn04-folds-noisy": "no layer; noise in half of the training cycles, all bands, 6 epochs",
    "fine_tuning-mn04-folds-noisier": "no layer; noise down to -10 dB in 70 % of them, all bands, 6 epochs",
    "add4rsc-mn04-gain-twins": "a gain for each band and frame, trained on noisy cycles and their twins without noise",
    "fine_tuning-mn04-noisy-wiener": "no layer, test cycles cleaned by a Wiener filter",
    "fine_tuning-mn04-noisy-spectral-subtraction": "no layer, test cycles cleaned by spectral subtraction",
    "fine_tuning-mn04-below-2000-noisy": "no layer, bands below 2 kHz",
    "fine_tuning-mn04-started-jointly": "no layer, started from a network of both corpora (the teacher's pupils below)",
    "fine_tuning-mn04-below-2000-coloured-noisy": "no layer, bands below 2 kHz, each cycle through another response",
}
"""Folder of a result -> what stands in front of the network."""
MAIN, FOLDS, TAUGHT = "fine_tuning-mn04-noisy", "fine_tuning-mn04-folds", "fine_tuning-mn04-taught"
LOUDER, FINER, FINEST = f"{FOLDS}-louder", f"{FOLDS}-finer", f"{FOLDS}-finest"
TAUGHT_IN_FOLDS, TAUGHT_ADD = f"{TAUGHT}-in-folds", "add4rsc-mn04-taught"
TAUGHT_LOUDER, TAUGHT_FINER = f"{TAUGHT}-louder-in-folds", f"{TAUGHT}-finer-in-folds"
COMMITTEE = "committee-mn04"
MATCHED, SMOOTHED = "-matched", "-smoothed-matched"
"""How folders of results end whose answers were moved."""
AGAINST_PLAIN = "against-plain.json"


def percent(value: float | None) -> str:
    """A share in per cent."""
    return "-" if value is None else f"{100 * value:.1f}"


def with_interval(value: float, interval: Sequence[float]) -> str:
    """A share in per cent, and its interval."""
    low, high = interval
    return f"{percent(value)} ({percent(low)} to {percent(high)})"


def spread(values: list[float]) -> str:
    """The mean of shares in per cent, and the deviation of several."""
    return percent(mean(values)) + (f" ± {percent(stdev(values))}" if len(values) > 1 else "")


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def seeds_of(place: Path) -> list[Path]:
    """Folders of the seeds of a result, in their order."""
    return sorted(place.glob("seed-*"), key=lambda folder: int(folder.name.removeprefix("seed-")))


def heard(folder: Path, level: float | None, measure: str = "sprsound_average") -> float:
    """A score of one seed or ensemble, clean or as the mean over the classes of noise at a level."""
    rows = [
        float(row[measure])
        for row in rows_of(folder / "robustness.csv")
        if (row["corruption"] == "clean") == (level is None) and (level is None or float(row["level"]) == level)
    ]
    return mean(rows)


def heard_at_all(folders: list[Path], measure: str = "sprsound_average") -> list[str]:
    """A score of seeds, or of an ensemble, on clean cycles and at two levels of noise."""
    return [spread([heard(folder, level, measure) for folder in folders]) for level in LEVELS]


def cell_of(rows: list[dict[str, str]], level: float | None) -> dict[str, str]:
    """The Score (of SPRSound its AS) over all noise classes at a level, or without noise."""
    wanted = ("clean", "", "") if level is None else ("recorded", "all", str(level))
    keys = ("corruption", "noise_class", "level")
    return next(
        row
        for row in rows
        if tuple(row[key] for key in keys) == wanted and row["measure"] == "score" and row["quantity"] == "level"
    )


def difference_of(row: Mapping[str, Any], interval: Mapping[str, Any]) -> str:
    """A difference in points with the ends of its interval."""
    difference, low, high = (100 * float(value) for value in (row["difference"], interval["low"], interval["high"]))
    return f"{difference:+.1f} ({low:+.1f} to {high:+.1f})"


def differences_at_all(path: Path) -> list[str]:
    """Differences of a file, with their intervals, on clean cycles and at two levels of noise."""
    rows = rows_of(path)
    return [difference_of(row, row) for row in (cell_of(rows, level) for level in LEVELS)]


def summaries_of(place: Path) -> list[dict[str, Any]]:
    """The scores of every seed."""
    return [json.loads((folder / "summary.json").read_text()) for folder in seeds_of(place)]


def against_plain(path: Path) -> str:
    """What a form changes in the Score; nothing for the network without it."""
    if not path.exists():
        return "-"
    found = json.loads(path.read_text())["scores"]["score"]
    return difference_of(found, found["interval"])
