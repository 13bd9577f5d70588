"""Tables on SPRSound's four tasks, and on what was tried to do them better."""

import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from _cells import (
    AGAINST_PLAIN,
    COMMITTEE,
    EVENTS,
    FINER,
    FINEST,
    FOLDS,
    LOUDER,
    MAIN,
    MATCHED,
    RESULTS,
    SPRSOUND,
    TAUGHT,
    TAUGHT_FINER,
    TAUGHT_IN_FOLDS,
    TAUGHT_LOUDER,
    against_plain,
    percent,
    rows_of,
    seeds_of,
    spread,
    with_interval,
)

from add4rsc.metrics.calibration import mean_log_likelihood
from add4rsc.predictions import read_predictions

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
HELD_BACK = "training-patients-held-back"
SHIFTED = "-shifted"
"""End of the names of what is heard from several starts."""
TASKS = {
    "task-1-1": ("1-1, events, 2 classes", "PASA, ensemble of 5 folds"),
    "task-1-2": ("1-2, events, 7 classes", "PASA, ensemble of 5 folds"),
    "task-2-1": ("2-1, recordings, 3 classes", "Ngo et al."),
    "task-2-2": ("2-2, recordings, 5 classes", "Shuvo and Hasan"),
}
"""Task -> its name, and whose published result stands beside ours."""
EVENT_TASKS, RECORD_TASKS = ("task-1-1", "task-1-2"), ("task-2-1", "task-2-2")
TESTS = ("inter", "intra", "union")


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
                    "mean of seeds ± sd": f"{of_seeds} ({len(seeds_of(place))})",
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
    values = [_official(folder)["score"] for folder in seeds_of(place)]
    return percent(mean(values)) if values else "-"


def _of_seeds_and_ensemble(place: Path) -> tuple[str, str, str, str]:
    """Official Score and AS of the seeds; of their ensemble the Score with its interval, and SE and SP."""
    seeds, ensemble = [_official(folder) for folder in seeds_of(place)], _official(place / "ensemble")
    return (
        spread([each["score"] for each in seeds]),
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
                against_plain(place / f"{task}-{AGAINST_PLAIN}"),
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


TABLES = {
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
    "probes": probes,
    "levers": levers,
    "levers-louder": partial(levers, LOUDER_LEVERS),
    "starts": starts,
}
