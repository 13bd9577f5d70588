"""Tables on the four classes that both corpora have: the ICBHI subset, and from one corpus to the other."""

import json
from pathlib import Path
from typing import Any

from _cells import (
    AGAINST_PLAIN,
    FORMS,
    ICBHI,
    MATCHED,
    SMOOTHED,
    SPRSOUND,
    against_plain,
    differences_at_all,
    heard_at_all,
    seeds_of,
    spread,
    summaries_of,
    with_interval,
)

from add4rsc.metrics.ranking import area_under_roc
from add4rsc.predictions import Predictions, read_predictions

ELSEWHERE = {
    "official-from-another-corpus/fine_tuning-mn04-folds": "SPRSound, as it was recorded",
    "official-from-another-corpus/fine_tuning-mn04-noisy": "SPRSound, with noise",
    "official/fine_tuning-mn04-noisy": "ICBHI subset, with noise",
    "official/fine_tuning-mn04-joint": "both, with noise: the model in the box",
    "official/fine_tuning-mn04-joint-louder": "both, with noise, every recording 20 dB louder",
    "official/add4rsc-mn04-filter-joint": "both, with noise, the ADD layer's filters",
    "official/fine_tuning-mn04-joint-taught": "both, with noise, a teacher for SPRSound's events",
    "official/fine_tuning-mn04-started-jointly": "the same, then the ICBHI subset alone",
    "inter-from-another-corpus/fine_tuning-mn04-noisy": "ICBHI subset, with noise",
    "inter/fine_tuning-mn04-joint": "both, with noise: the model in the box",
    "inter/fine_tuning-mn04-joint-louder": "both, with noise, every recording 20 dB louder",
    "inter/add4rsc-mn04-filter-joint": "both, with noise, the ADD layer's filters",
    "inter/fine_tuning-mn04-joint-taught": "both, with noise, a teacher for SPRSound's events",
}
"""Where a result on the four classes is -> what its networks were trained on."""


def transfer() -> str:
    """Networks of one corpus, and of both, on the tests of both."""
    lines = [
        "| test | trained on | seeds | Sp | Se | Score | ensemble (95 % over patients) "
        "| Score, shares matched | its ensemble | smoothed, shares matched | its ensemble |",
        "|" + "---|" * 11,
    ]
    corpora = {"official": (ICBHI.parent, "ICBHI subset"), "inter": (SPRSOUND / "cycle-4", "SPRSound, inter")}
    for path, title in ELSEWHERE.items():
        root, test = corpora[path.partition("/")[0].partition("-")[0]]
        seeds = summaries_of(root / path)
        if not seeds:
            continue
        cells = [*_three_scores(seeds), _of_ensemble(root / path), *_moved(root / path)]
        lines.append(f"| {test} | {title} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _moved(place: Path) -> list[str]:
    """Score after each way of moving answers, of the seeds and of their ensemble; nothing where there is no result."""
    cells: list[str] = []
    for told in (MATCHED, SMOOTHED):
        moved = place.with_name(f"{place.name}{told}")
        seeds = summaries_of(moved)
        cells += [_three_scores(seeds)[-1], _of_ensemble(moved)] if seeds else ["-", "-"]
    return cells


def icbhi_noise() -> str:
    """Score under noise on the official test of the ICBHI subset, with and without a layer."""
    lines = ["| in front of the network | answers | seeds | clean | 10 dB | 0 dB |", "|" + "---|" * 6]
    for told, way in (("", "as they are"), (MATCHED, "shares matched")):
        for name, title in FORMS.items():
            place = ICBHI / f"{name}{told}" / "robustness"
            if measured := seeds_of(place):
                cells = heard_at_all(measured, "score")
                lines.append(f"| {title} | {way} | {len(measured)} | {' | '.join(cells)} |")
            if (place / "against-plain.csv").exists():
                cells = differences_at_all(place / "against-plain.csv")
                lines.append(f"| {title}: minus no layer | {way} | {len(measured)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def stethoscopes_matched() -> str:
    """Scores on every stethoscope of the ICBHI subset's official test, before and after answers are moved."""
    first = next(path.partition("/")[2] for path in ELSEWHERE if path.startswith("official/"))
    counts = {
        name: each["n_cycles"] for name, each in sorted(summaries_of(ICBHI / first)[0]["per_stethoscope"].items())
    }
    columns = [f"{name} ({count})" for name, count in counts.items()]
    lines = [
        f"| trained on | answers | seeds | all cycles | {' | '.join(columns)} | ensemble | its lowest stethoscope |",
        "|" + "---|" * (6 + len(columns)),
    ]
    ways = {"": "as they are", MATCHED: "shares matched", SMOOTHED: "smoothed, shares matched"}
    for path, title in ELSEWHERE.items():
        for told, way in ways.items() if path.startswith("official/") else ():
            place = ICBHI / f"{path.partition('/')[2]}{told}"
            if seeds := summaries_of(place):
                cells = _by_stethoscope(place, seeds)
                lines.append(f"| {title} | {way} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_stethoscope(place: Path, seeds: list[dict[str, Any]]) -> list[str]:
    """Score on all cycles and on each stethoscope's; of the ensemble on all, and the lowest."""
    names = sorted(seeds[0]["per_stethoscope"])
    of_each = [spread([each["per_stethoscope"][name]["score"] for each in seeds]) for name in names]
    together = json.loads((place / "ensemble" / "summary.json").read_text())
    lowest = min(each["score"] for each in together["per_stethoscope"].values())
    return [_three_scores(seeds)[-1], *of_each, _of_ensemble(place), f"{100 * lowest:.1f}"]


def _of_ensemble(place: Path) -> str:
    """Score of the ensemble with its interval; nothing where there is one seed."""
    if not (place / "ensemble").exists():
        return "-"
    found = json.loads((place / "ensemble" / "summary.json").read_text())
    return with_interval(found["score"], found["intervals"]["score"])


def _three_scores(seeds: list[dict[str, Any]]) -> list[str]:
    """Sp, Se and Score: mean and spread of seeds."""
    return [spread([each[key] for each in seeds]) for key in ("specificity", "sensitivity", "score")]


def icbhi_forms() -> str:
    """Every form on the official test of the ICBHI subset."""
    lines = [
        "| in front of the network | seeds | Sp | Se | Score | minus no layer | Score, shares matched "
        "| smoothed, shares matched |",
        "|" + "---|" * 8,
    ]
    for name, title in FORMS.items():
        place = ICBHI / name
        scores = summaries_of(place)
        if not scores:
            continue
        cells = [*_three_scores(scores), against_plain(place / AGAINST_PLAIN), *_moved(place)[::2]]
        lines.append(f"| {title} | {len(scores)} | {' | '.join(cells)} |")
    return "\n".join(lines)


NETWORKS = {
    "fine_tuning-mn04": "fine_tuning/mn04",
    "add4rsc-mn04": "add4rsc/mn04",
    "fine_tuning-mn04-robust": "fine_tuning/mn04-robust, both corpora",
    "add4rsc-mn04-robust": "add4rsc/mn04-robust, both corpora",
}


def stethoscope_auc() -> str:
    """How well cycles are ranked on each stethoscope of the ICBHI subset's official test."""
    lines = ["| network | stethoscope | test cycles | abnormal | crackle | wheeze |", "|---|---|---|---|---|---|"]
    for name, title in NETWORKS.items():
        table = read_predictions(ICBHI / name / "predictions.csv")
        stethoscopes = table.table["stethoscope"].astype(str)
        for stethoscope in sorted(stethoscopes.unique()):
            rows = (stethoscopes == stethoscope).to_numpy()
            cells = (f"{value:.2f}" for value in _areas(table, rows))
            lines.append(f"| {title} | {stethoscope} | {rows.sum()} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _areas(table: Predictions, rows: Any) -> list[float]:
    """Areas under the ROC curves of abnormal cycles, of those with crackles, and of those with wheezes."""
    normal, crackle, wheeze, both = (table.probabilities[rows, index] for index in range(4))
    labels = table.labels[rows]
    ranked = ((labels > 0, 1 - normal), (labels % 2 == 1, crackle + both), (labels >= 2, wheeze + both))
    return [area_under_roc(member, chance) for member, chance in ranked]


TABLES = {
    "icbhi-forms": icbhi_forms,
    "transfer": transfer,
    "stethoscope-auc": stethoscope_auc,
    "stethoscopes-matched": stethoscopes_matched,
    "icbhi-noise": icbhi_noise,
}
