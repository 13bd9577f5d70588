"""Tables of docs/denoising.md, from the results of results/experiments.py."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from add4rsc.metrics.calibration import mean_log_likelihood
from add4rsc.metrics.ranking import area_under_roc
from add4rsc.predictions import Predictions, read_predictions

RESULTS = Path(__file__).resolve().parents[1] / "results"
SPRSOUND = RESULTS / "sprsound2022"
EVENTS = SPRSOUND / "task-1-2" / "inter"
ICBHI = RESULTS / "icbhi2017-subset" / "cycle-4" / "official"
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
    "fine_tuning-mn04-noisy-louder": "no layer, every recording 20 dB louder",
    "add4rsc-mn04-noisy-louder": "ADD, `fixed`, every recording 20 dB louder",
    "add4rsc-mn04-gain-twins": "a gain for each band and frame, trained on noisy cycles and their twins without noise",
    "fine_tuning-mn04-noisy-wiener": "no layer, test cycles cleaned by a Wiener filter",
    "fine_tuning-mn04-noisy-spectral-subtraction": "no layer, test cycles cleaned by spectral subtraction",
    "fine_tuning-mn04-below-2000-noisy": "no layer, bands below 2 kHz",
    "fine_tuning-mn04-started-jointly": "no layer, started from a network of both corpora (the teacher's pupils below)",
    "fine_tuning-mn04-below-2000-coloured-noisy": "no layer, bands below 2 kHz, each cycle through another response",
}
"""Folder of a result -> what stands in front of the network."""
RULES = ("-wiener", "-spectral-subtraction")
"""Ends of the names of what no training of its own stands behind."""
LEVELS: tuple[float | None, ...] = (None, 10.0, 0.0)
"""Of noise, in dB; None is without."""
MAIN, FOLDS, TAUGHT = "fine_tuning-mn04-noisy", "fine_tuning-mn04-folds", "fine_tuning-mn04-taught"
LOUDER, FINER, FINEST = f"{FOLDS}-louder", f"{FOLDS}-finer", f"{FOLDS}-finest"
TAUGHT_IN_FOLDS, TAUGHT_ADD = f"{TAUGHT}-in-folds", "add4rsc-mn04-taught"
TAUGHT_LOUDER, TAUGHT_FINER = f"{TAUGHT}-louder-in-folds", f"{TAUGHT}-finer-in-folds"
COMMITTEE = "committee-mn04"
IN_FOLDS = {
    FOLDS: "as recorded",
    LOUDER: "20 dB louder",
    FINER: "20 dB louder, a frame every 5 ms",
    FINEST: "20 dB louder, a frame every 2.5 ms",
    TAUGHT_IN_FOLDS: "among noise, taught",
    TAUGHT_LOUDER: "20 dB louder, among noise, taught",
    TAUGHT_FINER: "20 dB louder, a frame every 5 ms, among noise, taught",
    COMMITTEE: "the five with the gain together",
}
"""Results whose seeds are the folds of a cross-validation -> how they were trained."""
IN_CONTEXT = "-in-context"
"""End of the name of what is judged with the other events of its recording."""
OF_RECORDINGS, TAUGHT_BY_RECORDINGS = "fine_tuning-mn04-recordings-louder", "fine_tuning-mn04-recordings-taught"
MATCHED, SMOOTHED = "-matched", "-smoothed-matched"
"""How folders of results end whose answers were moved."""
HELD_BACK = "training-patients-held-back"
SHIFTED = "-shifted"
"""End of the names of what is heard from several starts."""
AGAINST_PLAIN = "against-plain.json"
TASKS = {
    "task-1-1": ("1-1, events, 2 classes", "PASA, ensemble of 5 folds"),
    "task-1-2": ("1-2, events, 7 classes", "PASA, ensemble of 5 folds"),
    "task-2-1": ("2-1, recordings, 3 classes", "Ngo et al."),
    "task-2-2": ("2-2, recordings, 5 classes", "Shuvo and Hasan"),
}
"""Task -> its name, and whose published result stands beside ours."""
EVENT_TASKS, RECORD_TASKS = ("task-1-1", "task-1-2"), ("task-2-1", "task-2-2")
TESTS = ("inter", "intra", "union")


def percent(value: float | None) -> str:
    """A share in per cent."""
    return "-" if value is None else f"{100 * value:.1f}"


def with_interval(value: float, interval: Sequence[float]) -> str:
    """A share in per cent, and its interval."""
    low, high = interval
    return f"{percent(value)} ({percent(low)} to {percent(high)})"


def _spread(values: list[float]) -> str:
    return percent(mean(values)) + (f" ± {percent(stdev(values))}" if len(values) > 1 else "")


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _seeds(place: Path) -> list[Path]:
    return sorted(place.glob("seed-*"), key=lambda folder: int(folder.name.removeprefix("seed-")))


def heard(folder: Path, level: float | None, measure: str = "sprsound_average") -> float:
    """A score of one seed or ensemble, clean or as the mean over the classes of noise at a level."""
    rows = [
        float(row[measure])
        for row in rows_of(folder / "robustness.csv")
        if (row["corruption"] == "clean") == (level is None) and (level is None or float(row["level"]) == level)
    ]
    return mean(rows)


def denoising() -> str:
    """Every form of the layer: parameters, cost and AS without and with noise."""
    lines = [
        "| in front of the network | seeds | parameters | a training step | one cycle | clean | 10 dB | 0 dB |",
        "|" + "---|" * 8,
    ]
    costs = {row["form"]: row for row in json.loads((RESULTS / "benchmarks" / "forms.json").read_text())["rows"]}
    for name, title in FORMS.items():
        trained = next((name.removesuffix(rule) for rule in RULES if name.endswith(rule)), name)
        seeds, measured = _seeds(EVENTS / trained), _seeds(EVENTS / name / "robustness")
        if not seeds or (name != trained and not measured):
            continue
        runs = [json.loads((folder / "run.json").read_text()) for folder in seeds]
        cells = _heard_at_all(measured) if measured else ["-"] * 3
        cost = costs.get(_form_of(trained))
        times = [f"x {cost[f'{what}_ratio']:.2f}" if cost else "-" for what in ("step", "cycle")]
        of = f"{len(seeds)}" + (f" ({len(measured)} under noise)" if len(measured) != len(seeds) else "")
        lines.append(f"| {title} | {of} | {runs[0]['n_parameters']:,} | {' | '.join(times + cells)} |")
        ensemble = EVENTS / name / "robustness" / "ensemble"
        if ensemble.exists():
            lines.append(f"| {title}: ensemble | {len(measured)} | | | | {' | '.join(_heard_at_all([ensemble]))} |")
    return "\n".join(lines)


def _heard_at_all(folders: list[Path]) -> list[str]:
    """AS on clean cycles and at two levels of noise."""
    return [_spread([heard(folder, level) for folder in folders]) for level in LEVELS]


def _form_of(name: str) -> str:
    """The name in results/experiments.py of what stands in front of the network of a result."""
    special = {MAIN: "plain", "add4rsc-mn04-noisy": "fixed", "add4rsc-mn04-gain-twins": "gain"}
    return special.get(name, name.removeprefix("add4rsc-mn04-").removesuffix("-noisy"))


def denoising_difference() -> str:
    """What each form adds to the network without it: second minus first, with its interval."""
    lines = ["| minus no layer | seeds | clean | 10 dB | 0 dB |", "|---|---|---|---|---|"]
    for name, title in FORMS.items():
        lines += _pair(title, name, MAIN, "against-plain.csv", with_draws=False)
    pair = "add4rsc-mn04-noisy-louder", "fine_tuning-mn04-noisy-louder"
    lines += _pair("ADD, `fixed`, minus no layer, both 20 dB louder", *pair, "against-no-layer.csv", with_draws=False)
    return "\n".join(lines)


def _pair(title: str, other: str, base: str, file: str, *, with_draws: bool) -> list[str]:
    """A row of what one training has more than another, over the seeds that both have; none if it was not measured."""
    places = [EVENTS / each / "robustness" for each in (other, base)]
    if not (places[0] / file).exists():
        return []
    rows = rows_of(places[0] / file)
    cells = [difference_of(row, row) for row in (cell_of(rows, level) for level in LEVELS)]
    counts = [min(len(_seeds(place)) for place in places)] + [min(map(_draws, places))] * with_draws
    return [f"| {' | '.join((title, *map(str, counts), *cells))} |"]


TEACHERS = {
    FOLDS: "A: no noise, all bands, 6 epochs; each of five seeds holds back another fifth of the patients",
    "fine_tuning-mn04-untaught": "B: noise in 70 % of the cycles, all bands, 6 epochs",
    TAUGHT: "B with a teacher: the network of A that had not heard the patient",
    TAUGHT_IN_FOLDS: "B with the teacher A, in five folds: each seed holds back another fifth of the patients",
    f"{TAUGHT}-again": "B taught by these folds in their turn, in five folds",
    f"{TAUGHT}-in-recordings": "B taught by them, each answer moved towards its recording's, in five folds",
    TAUGHT_ADD: "B with the teacher A and the ADD layer, `fixed`",
    TAUGHT_LOUDER: "B with the teacher A, both 20 dB louder, in five folds",
    TAUGHT_FINER: "the same with a frame every 5 ms, both",
    MAIN: "C: noise in 70 % of the cycles, bands below 4 kHz, 4 epochs (the first section)",
    "fine_tuning-mn04-taught-by-seeds": "C with a teacher: the five seeds of C, which had heard every patient",
}
"""Folder of a result -> how its networks were trained, and by whom they were taught."""


def teachers() -> str:
    """AS of networks with and without a teacher, clean and under noise."""
    lines = ["| training | seeds | draws of noise | clean | 10 dB | 0 dB |", "|" + "---|" * 6]
    for name, title in TEACHERS.items():
        place = EVENTS / name / "robustness"
        measured = _seeds(place)
        if not measured:
            continue
        told = f"{len(measured)} | {_draws(place)}"
        lines.append(f"| {title} | {told} | {' | '.join(_heard_at_all(measured))} |")
        if (place / "ensemble").exists():
            cells = _heard_at_all([place / "ensemble"])
            lines.append(f"| {_short(title)}: ensemble | {told} | {' | '.join(cells)} |")
    differences = {
        "B with a teacher, minus B": (TAUGHT, "fine_tuning-mn04-untaught", "against-untaught.csv"),
        "B with a teacher and the ADD layer, minus B with a teacher": (TAUGHT_ADD, TAUGHT, "against-no-layer.csv"),
    }
    for title, pair in differences.items():
        lines += _pair(title, *pair, with_draws=True)
    return "\n".join(lines)


def _draws(place: Path) -> int:
    """How often the noise of every cycle was drawn."""
    return len({row["noise_seed"] for row in rows_of(_seeds(place)[0] / "robustness.csv")} - {""})


def _short(title: str) -> str:
    """A title of `TEACHERS` up to its explanation; whole where two would be the same."""
    start = title.partition(":")[0]
    return start if sum(each.partition(":")[0] == start for each in TEACHERS.values()) == 1 else title


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


MADE_NOISE = SPRSOUND / "task-1-2" / "validation-among-made-noise" / "forms" / "scores.csv"


def made_noise() -> str:
    """Every form on validation patients, under noise of the kind that training made."""
    lines = ["| in front of the network | seeds | clean | 10 dB | 0 dB |", "|" + "---|" * 5]
    rows = rows_of(MADE_NOISE)
    for name, title in FORMS.items():
        of_form = [row for row in rows if row["form"] == _form_of(name)]
        cells = (
            percent(float(row["score"])) + (f", {difference_of(row, row)}" if row["difference"] else "")
            for row in of_form
        )
        if of_form:
            lines.append(f"| {title} | {of_form[0]['seeds']} | {' | '.join(cells)} |")
    return "\n".join(lines)


KINDS = {
    "recorded": "recorded, six classes",
    "white": "white",
    "pink": "pink",
    "heart": "heart sounds",
    "stethoscope": "low-pass",
    "response": "other responses",
    "clipping": "clipping",
}


def all_kinds() -> str:
    """Every kind of corruption as a mean over its levels, with and without the layer, on one seed."""
    rows = rows_of(EVENTS / "robustness-all-kinds" / "differences.csv")
    lines = ["| | no layer | ADD, `fixed` | difference |", "|---|---|---|---|"]
    for kind, title in KINDS.items():
        of_kind = [row for row in rows if row["corruption"] == kind and row["measure"] == "score"]
        whole = [row for row in of_kind if row["quantity"] != "level" and row["noise_class"] in ("", "all")]
        for row in whole or of_kind:
            told = title if whole else f"{title}, {float(row['level']):g} {row['unit']}"
            values = [percent(float(row[key])) for key in ("value_first", "value_second")]
            lines.append(f"| {told} | {' | '.join(values)} | {difference_of(row, row)} |")
    return "\n".join(lines)


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
        seeds = _summaries(root / path)
        if not seeds:
            continue
        cells = [*_three_scores(seeds), _of_ensemble(root / path), *_moved(root / path)]
        lines.append(f"| {test} | {title} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


BOXES = {
    "fine_tuning-mn04-joint": "the model in the box",
    "fine_tuning-mn04-joint-louder": "the same, every recording 20 dB louder",
}


def boxes() -> str:
    """Score under noise of networks of both corpora, on SPRSound's inter-patient test, with and without the gain."""
    lines = ["| networks of both corpora | seeds | clean | 10 dB | 0 dB |", "|" + "---|" * 5]
    for name, title in BOXES.items():
        place = SPRSOUND / "cycle-4" / "inter" / name / "robustness"
        for told, folders in ((title, _seeds(place)), (f"{title}: ensemble", [place / "ensemble"])):
            scores = [_spread([heard(folder, level, "score") for folder in folders]) for level in LEVELS]
            lines.append(f"| {told} | {len(_seeds(place))} | {' | '.join(scores)} |")
    return "\n".join(lines)


def _moved(place: Path) -> list[str]:
    """Score after each way of moving answers, of the seeds and of their ensemble; nothing where there is no result."""
    cells: list[str] = []
    for told in (MATCHED, SMOOTHED):
        moved = place.with_name(f"{place.name}{told}")
        seeds = _summaries(moved)
        cells += [_three_scores(seeds)[-1], _of_ensemble(moved)] if seeds else ["-", "-"]
    return cells


def icbhi_noise() -> str:
    """Score under noise on the official test of the ICBHI subset, with and without a layer."""
    lines = ["| in front of the network | answers | seeds | clean | 10 dB | 0 dB |", "|" + "---|" * 6]
    for told, way in (("", "as they are"), (MATCHED, "shares matched")):
        for name, title in FORMS.items():
            place = ICBHI / f"{name}{told}" / "robustness"
            if measured := _seeds(place):
                scores = [_spread([heard(folder, level, "score") for folder in measured]) for level in LEVELS]
                lines.append(f"| {title} | {way} | {len(measured)} | {' | '.join(scores)} |")
            if (place / "against-plain.csv").exists():
                rows = rows_of(place / "against-plain.csv")
                cells = [difference_of(row, row) for row in (cell_of(rows, level) for level in LEVELS)]
                lines.append(f"| {title}: minus no layer | {way} | {len(measured)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def stethoscopes_matched() -> str:
    """Scores on every stethoscope of the ICBHI subset's official test, before and after answers are moved."""
    first = next(path.partition("/")[2] for path in ELSEWHERE if path.startswith("official/"))
    counts = {name: each["n_cycles"] for name, each in sorted(_summaries(ICBHI / first)[0]["per_stethoscope"].items())}
    columns = [f"{name} ({count})" for name, count in counts.items()]
    lines = [
        f"| trained on | answers | seeds | all cycles | {' | '.join(columns)} | ensemble | its lowest stethoscope |",
        "|" + "---|" * (6 + len(columns)),
    ]
    ways = {"": "as they are", MATCHED: "shares matched", SMOOTHED: "smoothed, shares matched"}
    for path, title in ELSEWHERE.items():
        for told, way in ways.items() if path.startswith("official/") else ():
            place = ICBHI / f"{path.partition('/')[2]}{told}"
            if seeds := _summaries(place):
                cells = _by_stethoscope(place, seeds)
                lines.append(f"| {title} | {way} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_stethoscope(place: Path, seeds: list[dict[str, Any]]) -> list[str]:
    """Score on all cycles and on each stethoscope's; of the ensemble on all, and the lowest."""
    names = sorted(seeds[0]["per_stethoscope"])
    of_each = [_spread([each["per_stethoscope"][name]["score"] for each in seeds]) for name in names]
    together = json.loads((place / "ensemble" / "summary.json").read_text())
    lowest = min(each["score"] for each in together["per_stethoscope"].values())
    return [_three_scores(seeds)[-1], *of_each, _of_ensemble(place), f"{100 * lowest:.1f}"]


def _of_ensemble(place: Path) -> str:
    """Score of the ensemble with its interval; nothing where there is one seed."""
    if not (place / "ensemble").exists():
        return "-"
    found = json.loads((place / "ensemble" / "summary.json").read_text())
    return with_interval(found["score"], found["intervals"]["score"])


def _summaries(place: Path) -> list[dict[str, Any]]:
    """The scores of every seed."""
    return [json.loads((folder / "summary.json").read_text()) for folder in _seeds(place)]


def _three_scores(seeds: list[dict[str, Any]]) -> list[str]:
    """Sp, Se and Score: mean and spread of seeds."""
    return [_spread([each[key] for each in seeds]) for key in ("specificity", "sensitivity", "score")]


def icbhi_forms() -> str:
    """Every form on the official test of the ICBHI subset."""
    lines = [
        "| in front of the network | seeds | Sp | Se | Score | minus no layer | Score, shares matched "
        "| smoothed, shares matched |",
        "|" + "---|" * 8,
    ]
    for name, title in FORMS.items():
        place = ICBHI / name
        scores = _summaries(place)
        if not scores:
            continue
        cells = [*_three_scores(scores), _against_plain(place / AGAINST_PLAIN), *_moved(place)[::2]]
        lines.append(f"| {title} | {len(scores)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _against_plain(path: Path) -> str:
    """What a form changes in the Score; nothing for the network without it."""
    if not path.exists():
        return "-"
    found = json.loads(path.read_text())["scores"]["score"]
    return difference_of(found, found["interval"])


def sprsound_tasks(name: str = FOLDS) -> str:
    """Official Score of every task and test: means of seeds, and their ensemble."""
    table: list[dict[str, str]] = []
    rows = [(task, name, *told) for task, told in TASKS.items()]
    rows.insert(3, ("task-2-1", f"{name}-from-finer", "2-1, read from the answer to 2-2", TASKS["task-2-1"][1]))
    for task, result, title, system in rows:
        for test in TESTS:
            place = SPRSOUND / task / test / result
            if not (place / "ensemble").exists():
                continue
            of_seeds, average, of_ensemble, both = _of_seeds_and_ensemble(place)
            table.append(
                {
                    "task": title,
                    "test": test,
                    "mean of seeds ± sd": f"{of_seeds} ({len(_seeds(place))})",
                    "their AS": average,
                    "ensemble (95 % over patients)": of_ensemble,
                    "its SE / SP": both,
                    "mean, weighed": _mean_score(place.with_name(f"{result}-weighed")),
                    "mean, in context": _mean_score(place.with_name(f"{result}{IN_CONTEXT}")),
                    "ensemble, in context": _ensemble_score(place.with_name(f"{result}{IN_CONTEXT}")),
                    "mean, in context, weighed": _mean_score(place.with_name(f"{result}{IN_CONTEXT}-weighed")),
                    "mean, smoothed": _mean_score(place.with_name(f"{result}-smoothed")),
                    "ensemble, smoothed": _ensemble_score(place.with_name(f"{result}-smoothed")),
                    "mean, shares matched": _mean_score(place.with_name(f"{result}{MATCHED}")),
                    "published": _published(system, task, test),
                }
            )
    return _without_empty_columns(table)


def _without_empty_columns(table: list[dict[str, str]]) -> str:
    """Rows as a table of those columns that any row has something in."""
    columns = [column for column in table[0] if any(row[column] != "-" for row in table)]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *(f"| {' | '.join(row[column] for column in columns)} |" for row in table)])


def cross_validation() -> str:
    """Official Score on the training patients, each heard by the network that held them back, and on two tests."""
    lines = ["| networks | task | training patients, held back | intra | inter |", "|" + "---|" * 5]
    ways = {
        "": "alone",
        "-smoothed": "smoothed",
        IN_CONTEXT: "in context",
        f"{IN_CONTEXT}-weighed": "in context, weighed",
    }
    events = [(end, told, task) for end, told in ways.items() for task in EVENT_TASKS]
    recordings = [
        ("", "whole recordings", "task-2-1"),
        ("-from-finer", "read from the answer to 2-2", "task-2-1"),
        ("", "whole recordings", "task-2-2"),
        ("-weighed", "whole recordings, weighed", "task-2-1"),
        ("-from-finer-weighed", "read from the answer to 2-2, weighed", "task-2-1"),
        ("-weighed", "whole recordings, weighed", "task-2-2"),
    ]
    for name, title in IN_FOLDS.items():
        for end, told, task in (*events, *recordings):
            place = SPRSOUND / task / HELD_BACK / f"{name}{end}"
            if not place.exists():
                continue
            tests = (_ensemble_score(SPRSOUND / task / test / f"{name}{end}") for test in ("intra", "inter"))
            cells = [f"{title}, {told}", TASKS[task][0], _with_both(_official(place)), *tests]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


BEST = {
    "task-1-1": (f"{COMMITTEE}{IN_CONTEXT}", "events in their recording, five networks a fold"),
    "task-1-2": (f"{COMMITTEE}{IN_CONTEXT}", "events in their recording, five networks a fold"),
    "task-2-1": (f"{COMMITTEE}-recordings", "recordings, three networks a fold"),
    "task-2-2": (f"{COMMITTEE}-recordings", "recordings, three networks a fold"),
}
"""Task -> what all networks with the gain answer together: folder of a result, and what it hears."""


def best() -> str:
    """Official Score of the committees on the inter-patient test, and what is published."""
    lines = ["| task | heard | mean of five ± sd | ensemble (95 % over patients) | published |", "|" + "---|" * 5]
    for task, (name, heard_so) in BEST.items():
        title, system = TASKS[task]
        of_seeds, _, ensemble, _ = _of_seeds_and_ensemble(SPRSOUND / task / TESTS[0] / name)
        lines.append(f"| {title} | {heard_so} | {of_seeds} | {ensemble} | {_published(system, task, TESTS[0])} |")
    return "\n".join(lines)


def of_recordings() -> str:
    """Official Score of tasks of recordings, by judges of events' windows and by networks of recordings."""
    columns = ("training patients, held back", "test", "mean of seeds", "their AS", "ensemble (95 % over patients)")
    lines = [f"| task | answered by | {' | '.join(columns)} | its SE / SP | published |", "|" + "---|" * 9]
    ways = {
        LOUDER: "a judge of events' windows",
        f"{LOUDER}-weighed": "the same, weighed",
        OF_RECORDINGS: "a network of recordings",
        TAUGHT_BY_RECORDINGS: "the same, taught by those that had not heard the patient",
        f"{TAUGHT_BY_RECORDINGS}-again": "the same for 6 epochs, taught by these in their turn",
        f"{COMMITTEE}-recordings": "the three networks of recordings of a fold together",
    }
    for task, (name, way), test in product(RECORD_TASKS, ways.items(), TESTS):
        (title, system), place = TASKS[task], SPRSOUND / task / test / name
        if not (place / "ensemble").exists():
            continue
        held_back = _with_both(_official(SPRSOUND / task / HELD_BACK / name))
        cells = [held_back, test, *_of_seeds_and_ensemble(place), _published(system, task, test)]
        lines.append(f"| {title} | {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def easy_normals() -> str:
    """How many normal events are right where nothing in the recording is adventitious, and where something is."""
    lines = ["| events of | in recordings without adventitious events | in the others |", "|---|---|---|"]
    places = {"training patients, held back": EVENTS.parent / HELD_BACK / TAUGHT_IN_FOLDS}
    places |= {test: EVENTS.parent / test / TAUGHT_IN_FOLDS / "ensemble" for test in ("intra", "inter")}
    for title, place in places.items():
        found = read_predictions(place / "predictions.csv")
        is_normal, recordings = found.labels == 0, found.table["recording"].to_numpy(dtype=str)
        mixed = np.isin(recordings, recordings[~is_normal])
        shares = ((found.decisions[rows] == 0).mean() for rows in (is_normal & ~mixed, is_normal & mixed))
        lines.append(f"| {title} | {' | '.join(percent(float(share)) for share in shares)} |")
    return "\n".join(lines)


def hard_patients() -> str:
    """How many patients the errors of the ensemble of folds come from, on the inter-patient test of task 1-2."""
    table = read_predictions(EVENTS / FOLDS / "ensemble" / "predictions.csv")
    is_normal, is_wrong = table.labels == 0, table.decisions != table.labels
    lines = [
        "| events | right | wrong | patients with an error | errors of the worst patient | of the worst three "
        "| right without the worst patient |",
        "|" + "---|" * 7,
    ]
    for title, rows in (("normal", is_normal), ("adventitious", ~is_normal)):
        errors = Counter(table.patients[rows & is_wrong])
        (worst, most), *_ = errors.most_common(1)
        rest = rows & (table.patients != worst)
        cells = [
            title,
            percent(1 - is_wrong[rows].mean()),
            str(errors.total()),
            str(len(errors)),
            f"{most} of {errors.total()}",
            f"{sum(count for _, count in errors.most_common(3))}",
            percent(1 - is_wrong[rest].mean()),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean_score(place: Path) -> str:
    """Mean of the seeds' official Scores; nothing where there is no such result."""
    values = [_official(folder)["score"] for folder in _seeds(place)]
    return percent(mean(values)) if values else "-"


def _of_seeds_and_ensemble(place: Path) -> tuple[str, str, str, str]:
    """Official Score and AS of the seeds; of their ensemble the Score with its interval, and SE and SP."""
    seeds, ensemble = [_official(folder) for folder in _seeds(place)], _official(place / "ensemble")
    return (
        _spread([each["score"] for each in seeds]),
        percent(mean(each["average"] for each in seeds)),
        _ensemble_score(place),
        f"{percent(ensemble['sensitivity'])} / {percent(ensemble['specificity'])}",
    )


def _ensemble_score(place: Path) -> str:
    """Official Score of the ensemble with its interval; nothing where there is no such result."""
    if not (place / "ensemble").exists():
        return "-"
    found = _official(place / "ensemble")
    return with_interval(found["score"], found["interval"])


def _with_both(found: dict[str, Any]) -> str:
    """A Score, and the sensitivity and specificity that it is made of."""
    return f"{percent(found['score'])} (SE {percent(found['sensitivity'])}, SP {percent(found['specificity'])})"


def _official(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())["sprsound"]


def _published(system: str, task: str, test: str) -> str:
    """A published Score, and whose; of another or an unknown test it says so."""
    table = rows_of(RESULTS.parent / "src" / "add4rsc" / "metrics" / "published.csv")
    of_task = [row for row in table if (row["system"], row["task"], row["metric"]) == (system, task, "S")]
    for row in of_task:
        if row["test"] in (test, "unknown"):
            told = "" if row["test"] == test else ", test not stated"
            return f"{row['score_percent']} ({system}{told})"
    return "-"


PROBES = {
    EVENTS / MAIN: "70 % of the training cycles among noise",
    SPRSOUND / "task-1-2" / "probes" / "less-noise": "40 %",
    SPRSOUND / "task-1-2" / "probes" / "levelled": "40 %, every cycle brought to one level (`front_end.level=0.1`)",
}


def probes() -> str:
    """AS of the validation patients after the last epoch, of seed 1."""
    lines = ["| training | Sp | Se | AS |", "|---|---|---|---|"]
    for place, title in PROBES.items():
        last = rows_of(place / "seed-1" / "history.csv")[-1]
        cells = (percent(float(last[f"validation_{name}"])) for name in ("specificity", "sensitivity", "score"))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


LEVERS = {
    "co-tuning": "AudioSet's 527 tags as a second task (co-tuning)",
    "splice": "abnormal pieces spliced into normal events",
    "unweighted": "no weights for the classes",
    "louder": "every recording 20 dB louder before the offset of mn04's front-end",
    "louder-35": "35 dB louder",
}


LOUDER_LEVERS = {
    "finer": "a frame every 5 ms in place of 10",
    "finest": "a frame every 2.5 ms",
    "short-masks": "masks of at most 100 ms in training in place of 400",
    "finer-windows": "a frame of 12.5 ms every 5 ms in place of one of 25 every 10",
    "zoomed": "the 128 bands between 0 and 4 kHz",
}


def levers(of: Mapping[str, str] = LEVERS) -> str:
    """What a change of the folds' training does on patients that they hold back."""
    lines = [
        "| change | folds | 1-1, AS | minus unchanged | 1-2, AS | minus unchanged | 1-2, log likelihood |",
        "|" + "---|" * 7,
    ]
    for name, title in of.items():
        place = SPRSOUND / "task-1-2" / "probes" / name
        if not (place / f"task-1-2-{AGAINST_PLAIN}").exists():
            continue
        found = {task: json.loads((place / f"{task}-{AGAINST_PLAIN}").read_text()) for task in EVENT_TASKS}
        cells = [", ".join(map(str, found[EVENT_TASKS[0]]["folds"]))]
        for task in EVENT_TASKS:
            cells += [
                percent(found[task]["scores"]["score"]["second"]),
                _against_plain(place / f"{task}-{AGAINST_PLAIN}"),
            ]
        unchanged, changed = found["task-1-2"]["log_likelihood"]
        lines.append(f"| {title} | {' | '.join(cells)} | {changed:.3f} ({unchanged:.3f} unchanged) |")
    return "\n".join(lines)


def starts() -> str:
    """Official Score of the louder folds' networks that hear each event once, and from several starts."""
    columns = ("mean of seeds", "ensemble", "mean, in context", "ensemble, in context")
    lines = [f"| task | patients | starts | {' | '.join(columns)} |", "|" + "---|" * 7]
    for task, test in product(EVENT_TASKS, (HELD_BACK, "intra", "inter")):
        for end, told in (("", "one"), (SHIFTED, "six")):
            place = SPRSOUND / task / test / f"{LOUDER}{end}"
            context = place.with_name(f"{place.name}{IN_CONTEXT}")
            if not context.exists():
                continue
            if test == HELD_BACK:
                cells = [cell for each in (place, context) for cell in (percent(_official(each)["score"]), "-")]
                if (place / "predictions.csv").exists():
                    heard_so = read_predictions(place / "predictions.csv")
                    likelihood = mean_log_likelihood(heard_so.labels, heard_so.probabilities)
                    cells[0] += f" (log likelihood {likelihood:.3f})"
            else:
                cells = [cell for each in (place, context) for cell in (_mean_score(each), _ensemble_score(each))]
            lines.append(f"| {TASKS[task][0]} | {test.replace('-', ' ')} | {told} | {' | '.join(cells)} |")
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
    "denoising": denoising,
    "denoising-difference": denoising_difference,
    "teachers": teachers,
    "made-noise": made_noise,
    "all-kinds": all_kinds,
    "icbhi-forms": icbhi_forms,
    "transfer": transfer,
    "boxes": boxes,
    "sprsound-tasks": sprsound_tasks,
    "hard-patients": hard_patients,
    "sprsound-tasks-louder": partial(sprsound_tasks, LOUDER),
    "sprsound-tasks-finer": partial(sprsound_tasks, FINER),
    "sprsound-tasks-finest": partial(sprsound_tasks, FINEST),
    "sprsound-tasks-taught-finer": partial(sprsound_tasks, TAUGHT_FINER),
    "sprsound-tasks-committee": partial(sprsound_tasks, COMMITTEE),
    "of-recordings": of_recordings,
    "best": best,
    "sprsound-tasks-noisy": partial(sprsound_tasks, MAIN),
    "sprsound-tasks-taught": partial(sprsound_tasks, TAUGHT),
    "sprsound-tasks-louder-again": partial(sprsound_tasks, f"{LOUDER}-again"),
    "sprsound-tasks-taught-louder": partial(sprsound_tasks, TAUGHT_LOUDER),
    "sprsound-tasks-taught-in-folds": partial(sprsound_tasks, TAUGHT_IN_FOLDS),
    "cross-validation": cross_validation,
    "easy-normals": easy_normals,
    "stethoscope-auc": stethoscope_auc,
    "stethoscopes-matched": stethoscopes_matched,
    "icbhi-noise": icbhi_noise,
    "probes": probes,
    "levers": levers,
    "levers-louder": partial(levers, LOUDER_LEVERS),
    "starts": starts,
}
