"""Tables on noise: what stands in front of a network, teachers and gains, on SPRSound's events and four classes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from _cells import (
    EVENTS,
    FOLDS,
    FORMS,
    MAIN,
    RESULTS,
    SPRSOUND,
    TAUGHT,
    TAUGHT_ADD,
    TAUGHT_FINER,
    TAUGHT_IN_FOLDS,
    TAUGHT_LOUDER,
    difference_of,
    differences_at_all,
    heard_at_all,
    percent,
    rows_of,
    seeds_of,
)

RULES = ("-wiener", "-spectral-subtraction")
"""Ends of the names of what no training of its own stands behind."""


def denoising() -> str:
    """Every form of the layer: parameters, cost and AS without and with noise."""
    lines = [
        "| in front of the network | seeds | parameters | a training step | one cycle | clean | 10 dB | 0 dB |",
        "|" + "---|" * 8,
    ]
    costs = {row["form"]: row for row in json.loads((RESULTS / "benchmarks" / "forms.json").read_text())["rows"]}
    for name, title in FORMS.items():
        trained = next((name.removesuffix(rule) for rule in RULES if name.endswith(rule)), name)
        seeds, measured = seeds_of(EVENTS / trained), seeds_of(EVENTS / name / "robustness")
        if not seeds or (name != trained and not measured):
            continue
        runs = [json.loads((folder / "run.json").read_text()) for folder in seeds]
        cells = heard_at_all(measured) if measured else ["-"] * 3
        cost = costs.get(_form_of(trained))
        times = [f"x {cost[f'{what}_ratio']:.2f}" if cost else "-" for what in ("step", "cycle")]
        of = f"{len(seeds)}" + (f" ({len(measured)} under noise)" if len(measured) != len(seeds) else "")
        lines.append(f"| {title} | {of} | {runs[0]['n_parameters']:,} | {' | '.join(times + cells)} |")
        ensemble = EVENTS / name / "robustness" / "ensemble"
        if ensemble.exists():
            lines.append(f"| {title}: ensemble | {len(measured)} | | | | {' | '.join(heard_at_all([ensemble]))} |")
    return "\n".join(lines)


def _form_of(name: str) -> str:
    """The name in results/experiments.py of what stands in front of the network of a result."""
    special = {MAIN: "plain", "add4rsc-mn04-noisy": "fixed", "add4rsc-mn04-gain-twins": "gain"}
    return special.get(name, name.removeprefix("add4rsc-mn04-").removesuffix("-noisy"))


def denoising_difference() -> str:
    """What each form adds to the network without it: second minus first, with its interval."""
    lines = ["| minus no layer | seeds | clean | 10 dB | 0 dB |", "|---|---|---|---|---|"]
    for name, title in FORMS.items():
        lines += _pair(title, name, MAIN, "against-plain.csv", with_draws=False)
    return "\n".join(lines)


def _pair(title: str, other: str, base: str, file: str, *, with_draws: bool) -> list[str]:
    """A row of what one training has more than another, over the seeds that both have; none if it was not measured."""
    places = [EVENTS / each / "robustness" for each in (other, base)]
    if not (places[0] / file).exists():
        return []
    cells = differences_at_all(places[0] / file)
    counts = [min(len(seeds_of(place)) for place in places)] + [min(map(_draws, places))] * with_draws
    return [f"| {' | '.join((title, *map(str, counts), *cells))} |"]


UNTAUGHT_AGAIN = "fine_tuning-mn04-untaught-again"
TEACHERS = {
    FOLDS: "A: no noise, all bands, 6 epochs; each of five seeds holds back another fifth of the patients",
    "fine_tuning-mn04-untaught": "B: noise in 70 % of the cycles, all bands, 6 epochs",
    UNTAUGHT_AGAIN: "B, trained once more on another processor",
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
TAUGHT_MINUS = {
    "B with a teacher, minus B": (TAUGHT, "fine_tuning-mn04-untaught", "untaught"),
    "B with a teacher, both 20 dB louder, in five folds, minus B, trained once more": (
        TAUGHT_LOUDER,
        UNTAUGHT_AGAIN,
        "untaught",
    ),
    "B with a teacher and the ADD layer, minus B with a teacher": (TAUGHT_ADD, TAUGHT, "no-layer"),
}
"""What is compared -> the folders of two results, and what the second is to the first."""


def teachers() -> str:
    """AS of networks with and without a teacher, clean and under noise."""
    return _among_noise(TEACHERS, TAUGHT_MINUS)


MAIN_AGAIN, ADD_AGAIN, ATTENTION_AGAIN = (
    f"{MAIN}-again",
    "add4rsc-mn04-noisy-again",
    "add4rsc-mn04-attention-noisy-again",
)
MAIN_LOUDER, ADD_LOUDER = f"{MAIN}-louder", "add4rsc-mn04-noisy-louder"
MAIN_LONGER, ADD_LONGER = f"{MAIN}-longer", "add4rsc-mn04-noisy-longer"
AGAIN = {
    MAIN_AGAIN: "no layer",
    ADD_AGAIN: "ADD, `fixed`",
    ATTENTION_AGAIN: "its attention alone",
    MAIN_LOUDER: "no layer, every recording 20 dB louder",
    ADD_LOUDER: "ADD, `fixed`, every recording 20 dB louder",
    MAIN_LONGER: "no layer, 12 epochs in place of 4",
    ADD_LONGER: "ADD, `fixed`, 12 epochs in place of 4",
}
"""Folder of a result -> what stands in front of the network, and whether recordings have a gain."""
AGAIN_MINUS = {
    "ADD, `fixed`, minus no layer": (ADD_AGAIN, MAIN_AGAIN, "no-layer"),
    "its attention alone, minus no layer": (ATTENTION_AGAIN, MAIN_AGAIN, "no-layer"),
    "ADD, `fixed`, minus no layer, both 20 dB louder": (ADD_LOUDER, MAIN_LOUDER, "no-layer"),
    "ADD, `fixed`, minus no layer, both 12 epochs": (ADD_LONGER, MAIN_LONGER, "no-layer"),
    "no layer, 20 dB louder minus as recorded": (MAIN_LOUDER, MAIN_AGAIN, "as-recorded"),
    "ADD, `fixed`, 20 dB louder minus as recorded": (ADD_LOUDER, ADD_AGAIN, "as-recorded"),
    "no layer, 12 epochs minus 4": (MAIN_LONGER, MAIN_AGAIN, "shorter"),
    "ADD, `fixed`, 12 epochs minus 4": (ADD_LONGER, ADD_AGAIN, "shorter"),
}
"""As `TAUGHT_MINUS`."""


def again() -> str:
    """AS with and without the layer and a gain, of five seeds, clean and under three draws of noise."""
    return _among_noise(AGAIN, AGAIN_MINUS)


def _among_noise(titles: Mapping[str, str], differences: Mapping[str, tuple[str, str, str]]) -> str:
    """AS of seeds and ensembles, clean and under noise, and what some have more than others."""
    lines = ["| training | seeds | draws of noise | clean | 10 dB | 0 dB |", "|" + "---|" * 6]
    for name, title in titles.items():
        place = EVENTS / name / "robustness"
        measured = seeds_of(place)
        if not measured:
            continue
        told = f"{len(measured)} | {_draws(place)}"
        lines.append(f"| {title} | {told} | {' | '.join(heard_at_all(measured))} |")
        if (place / "ensemble").exists():
            cells = heard_at_all([place / "ensemble"])
            lines.append(f"| {_short(title, titles.values())}: ensemble | {told} | {' | '.join(cells)} |")
    for title, (name, base, told) in differences.items():
        lines += _pair(title, name, base, f"against-{told}.csv", with_draws=True)
    return "\n".join(lines)


def _draws(place: Path) -> int:
    """How often the noise of every cycle was drawn."""
    return len({row["noise_seed"] for row in rows_of(seeds_of(place)[0] / "robustness.csv")} - {""})


def _short(title: str, titles: Iterable[str]) -> str:
    """A title up to its explanation; whole where two would be the same."""
    start = title.partition(":")[0]
    return start if sum(each.partition(":")[0] == start for each in titles) == 1 else title


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


BOXES = {
    "fine_tuning-mn04-joint": "the model in the box",
    "fine_tuning-mn04-joint-louder": "the same, every recording 20 dB louder",
}


def boxes() -> str:
    """Score under noise of networks of both corpora, on SPRSound's inter-patient test, with and without the gain."""
    lines = ["| networks of both corpora | seeds | clean | 10 dB | 0 dB |", "|" + "---|" * 5]
    for name, title in BOXES.items():
        place = SPRSOUND / "cycle-4" / "inter" / name / "robustness"
        for told, folders in ((title, seeds_of(place)), (f"{title}: ensemble", [place / "ensemble"])):
            lines.append(f"| {told} | {len(seeds_of(place))} | {' | '.join(heard_at_all(folders, 'score'))} |")
    return "\n".join(lines)


TABLES = {
    "denoising": denoising,
    "denoising-difference": denoising_difference,
    "teachers": teachers,
    "among-noise-again": again,
    "made-noise": made_noise,
    "all-kinds": all_kinds,
    "boxes": boxes,
}
