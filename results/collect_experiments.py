"""Bring the experiments on SPRSound into this folder: every task, every test, every noise; what the tables read.

Usage: python results/collect_experiments.py RUNS --sprsound FOLDER [--icbhi FOLDER] [--robustness FOLDER]

RUNS is what results/experiments.py wrote; the folder of robustness holds GROUP/NAME/seed-N, and GROUP/NAME-RULE/seed-N
for what was heard through a rule of `add4rsc robustness --enhance`. Networks that tell seven classes of events apart
answer task 1-2, and with their classes put together task 1-1 (tasks of recordings: collect_folds.py).
With the folder of ICBHI, networks of either corpus are tested on the other too, by the four classes that both have.
Folders named -weighed have the weight of the normal class that was found on each seed's validation patients, or, where
the seeds are the folds of a cross-validation, on all of them together. Nothing is chosen on a test.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import pandas as pd
from collect import summarise, write_scored
from experiments import Corpus, list_experiments
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.enhancement import Enhancement
from add4rsc.cli._coarse import read_as
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.context import best_smoothing, read_validation, smoothed
from add4rsc.engine.decision import OFFSET, best_offset, match_shares, shift_normal
from add4rsc.engine.loading import load_run
from add4rsc.engine.testing import predict_test_subset
from add4rsc.metrics.compare import compare_runs
from add4rsc.metrics.runs import Run, read_run, tables_of_seeds
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.protocol.split import make_split
from add4rsc.robustness.results import difference_rows
from add4rsc.robustness.scoring import MeasuredRun, compare_cells, find_run, tidy_table
from add4rsc.robustness.stored import claim_measured, store_predictions
from add4rsc.storage import write_json, write_text

RESULTS = Path(__file__).parent
TAUGHT, UNTAUGHT = "sprsound-taught/folds", "sprsound-taught/alone"
LOUDER, PLAIN_LOUDER, FIXED_LOUDER = "sprsound-folds/louder", "sprsound-louder/plain", "sprsound-louder/fixed"
TAUGHT_IN_FOLDS, TAUGHT_ADD = "sprsound-taught/in-folds", "sprsound-taught/fixed"
TAUGHT_LOUDER = "sprsound-taught/louder-in-folds"
PLAIN_AGAIN, FIXED_AGAIN, ATTENTION_AGAIN, UNTAUGHT_AGAIN = (
    f"sprsound-again/{name}" for name in ("plain", "fixed", "attention", "alone")
)
PLAIN_LONGER, FIXED_LONGER = "sprsound-longer/plain", "sprsound-longer/fixed"
FINER, FINEST = "sprsound-folds/finer", "sprsound-folds/finest"
TAUGHT_FINER = "sprsound-taught/finer-in-folds"
NAMES = {
    "sprsound-noisy/plain": "fine_tuning-mn04-noisy",
    "sprsound-noisy/fixed": "add4rsc-mn04-noisy",
    **{
        f"sprsound-noisy/{form}": f"add4rsc-mn04-{form}-noisy"
        for form in ("paper", "released", "filter", "attention", "no-loss")
    },
    "sprsound-clean/plain": "fine_tuning-mn04-clean",
    "sprsound-folds/plain": "fine_tuning-mn04-folds",
    PLAIN_LOUDER: "fine_tuning-mn04-noisy-louder",
    FIXED_LOUDER: "add4rsc-mn04-noisy-louder",
    PLAIN_AGAIN: "fine_tuning-mn04-noisy-again",
    FIXED_AGAIN: "add4rsc-mn04-noisy-again",
    ATTENTION_AGAIN: "add4rsc-mn04-attention-noisy-again",
    UNTAUGHT_AGAIN: "fine_tuning-mn04-untaught-again",
    PLAIN_LONGER: "fine_tuning-mn04-noisy-longer",
    FIXED_LONGER: "add4rsc-mn04-noisy-longer",
    LOUDER: "fine_tuning-mn04-folds-louder",
    FINER: "fine_tuning-mn04-folds-finer",
    FINEST: "fine_tuning-mn04-folds-finest",
    "sprsound-folds/noisy": "fine_tuning-mn04-folds-noisy",
    "sprsound-folds/noisier": "fine_tuning-mn04-folds-noisier",
    TAUGHT: "fine_tuning-mn04-taught",
    TAUGHT_IN_FOLDS: "fine_tuning-mn04-taught-in-folds",
    TAUGHT_LOUDER: "fine_tuning-mn04-taught-louder-in-folds",
    TAUGHT_FINER: "fine_tuning-mn04-taught-finer-in-folds",
    "sprsound-taught/again": "fine_tuning-mn04-taught-again",
    "sprsound-taught/in-recordings": "fine_tuning-mn04-taught-in-recordings",
    TAUGHT_ADD: "add4rsc-mn04-taught",
    UNTAUGHT: "fine_tuning-mn04-untaught",
    "sprsound-taught/same": "fine_tuning-mn04-taught-by-seeds",
    "sprsound-twins/plain": "fine_tuning-mn04-twins",
    "sprsound-twins/gain": "add4rsc-mn04-gain-twins",
}
"""Experiment -> folder of its results."""
OF_RECORDINGS = {
    "sprsound-recordings/louder": "fine_tuning-mn04-recordings-louder",
    "sprsound-recordings/taught": "fine_tuning-mn04-recordings-taught",
    "sprsound-recordings/again": "fine_tuning-mn04-recordings-taught-again",
}
"""What is trained on whole recordings (collect_folds.py)."""
COMMITTEES = {
    "sprsound-committees/events": (LOUDER, TAUGHT_LOUDER, FINER, TAUGHT_FINER, FINEST),
    "sprsound-committees/recordings": tuple(OF_RECORDINGS),
}
"""What answers together, fold by fold (collect_folds.py): a folder beside the experiments -> experiments."""
PLAIN = "sprsound-noisy/plain"
"""With what every form is compared."""
JOINT = {
    "joint/plain": "fine_tuning-mn04-joint",
    "joint/filter": "add4rsc-mn04-filter-joint",
    "joint/louder": "fine_tuning-mn04-joint-louder",
    "joint/taught": "fine_tuning-mn04-joint-taught",
}
"""What is trained on both corpora, and tested on both."""
TO_ICBHI = ("sprsound-folds/plain", "sprsound-folds/noisier", PLAIN)
TO_SPRSOUND = {"icbhi-noisy/plain": "fine_tuning-mn04-noisy"}
"""What is tested on the corpus that it was not trained on."""
ON_ICBHI = {
    "below-2000": "fine_tuning-mn04-below-2000-noisy",
    "coloured": "fine_tuning-mn04-below-2000-coloured-noisy",
    "joint-taught": "fine_tuning-mn04-started-jointly",
}
"""What is tried on the ICBHI subset alone."""
PLAIN_ON_ICBHI = "icbhi-noisy/plain"
MEASURED_ON_ICBHI = {
    PLAIN_ON_ICBHI: "fine_tuning-mn04-noisy",
    "icbhi-noisy/fixed": "add4rsc-mn04-noisy",
    "icbhi-started/joint-taught": ON_ICBHI["joint-taught"],
}
"""What is heard among noise there."""
WHOLE = (PLAIN, "sprsound-folds/plain", LOUDER, FINER, FINEST, TAUGHT, TAUGHT_IN_FOLDS, TAUGHT_LOUDER, TAUGHT_FINER)
"""What is tested on the events of all tests."""
COMPARED = (
    (TAUGHT, UNTAUGHT, "untaught"),
    (TAUGHT_LOUDER, UNTAUGHT_AGAIN, "untaught"),
    (TAUGHT_ADD, TAUGHT, "no-layer"),
    (FIXED_AGAIN, PLAIN_AGAIN, "no-layer"),
    (ATTENTION_AGAIN, PLAIN_AGAIN, "no-layer"),
    (FIXED_LOUDER, PLAIN_LOUDER, "no-layer"),
    (FIXED_LONGER, PLAIN_LONGER, "no-layer"),
    (PLAIN_LONGER, PLAIN_AGAIN, "shorter"),
    (FIXED_LONGER, FIXED_AGAIN, "shorter"),
    (PLAIN_LOUDER, PLAIN_AGAIN, "as-recorded"),
    (FIXED_LOUDER, FIXED_AGAIN, "as-recorded"),
)
"""Under noise: an experiment, the one that it is compared with, and what that one is."""
FOUR_CLASSES: dict[Corpus, Path] = {
    "sprsound": RESULTS / "sprsound2022" / "cycle-4" / "inter",
    "icbhi": RESULTS / "icbhi2017-subset" / "cycle-4" / "official",
}
"""Where results on the four classes of either corpus are."""
PROBED = ("sprsound-probes", "sprsound-levers", "sprsound-louder-levers")
"""Groups that were tried on validation patients alone."""
IN_FOLDS = {each.path for each in list_experiments() if each.in_folds}
OfSeeds = TypeVar("OfSeeds", Run, MeasuredRun)
AGAINST_PLAIN = "against-plain.json"
MATCHED, SMOOTHED = "-matched", "-smoothed-matched"
"""What the folders are named for whose answers were moved."""
RECIPE = "recipe.json"
SHIFTED = "-shifted"
"""End of the names of what is heard from several starts."""
OF_A_RUN = ("run.json", "history.csv")
EVENT_TASKS = ("task-1-2", "task-1-1")
TESTS = ("inter", "intra", "union")
"""Those of the events; every network is tested on the first one."""
PARTS_OF = {"inter": ("inter",), "intra": ("intra",), "union": ("inter", "intra")}
"""Test -> the tests that it is made of."""
COMMAND = (
    "python results/experiments.py --sprsound SPRSOUND --icbhi ICBHI --only {path}\n"
    "python results/collect_experiments.py runs/experiments --sprsound SPRSOUND --icbhi ICBHI --robustness ROBUSTNESS\n"
)


def finished_seeds(run: Path) -> dict[int, Path]:
    """Seed -> folder of every training that came to its end."""
    return {seed: table.parent for seed, table in tables_of_seeds(run).items()}


def path_of(run: Path) -> str:
    """GROUP/NAME of the experiment that a folder of runs is of; of a committee those of its members, by comma."""
    path = "/".join(run.parts[-2:]).removesuffix(SHIFTED)
    return ",".join(COMMITTEES.get(path, (path,)))


def weighed(of_test: Predictions, *of_validation: Predictions) -> Predictions:
    """Predictions with the weight of the normal class that serves the validation patients best."""
    labels, probabilities = ([getattr(each, name) for each in of_validation] for name in ("labels", "probabilities"))
    offset = best_offset(np.concatenate(labels), np.concatenate(probabilities))
    found = of_test.answered(shift_normal(of_test.probabilities, offset))
    return Predictions(found.table.assign(**{OFFSET: f"{offset:.3f}"}), found.classes)


def collect_events(run: Path, name: str, corpus: Path) -> None:
    """Tasks of events; on the inter-patient test beside them with a weight of the normal class."""
    finished, path = finished_seeds(run), path_of(run)
    tests = TESTS if path in WHOLE else TESTS[:1]
    held_back = {seed: read_validation(folder) for seed, folder in finished.items()}
    for seed, folder in finished.items():
        for test in tests:
            score_events(tested(folder, corpus, test), test, name, seed)
        validation = list(held_back.values()) if path in IN_FOLDS else [held_back[seed]]
        score_weighed(tested(folder, corpus, TESTS[0]), validation, name, seed)
        copy_run(folder, place_of(EVENT_TASKS[0], "inter", name) / f"seed-{seed}")
    finish_events(run, name, tests)
    finish_events(run, f"{name}-weighed", TESTS[:1])
    for task in EVENT_TASKS:
        drop_tables(place_of(task, "inter", f"{name}-weighed"))


def finish_events(run: Path, name: str, tests: Sequence[str], command: str = COMMAND) -> None:
    """Means over seeds and ensembles of both tasks; the tables of a union are those of the two other tests."""
    for task in EVENT_TASKS:
        for test in tests:
            finish(place_of(task, test, name), run, command)
        drop_tables(place_of(task, "union", name))


def score_events(table: Predictions, test: str, name: str, seed: int) -> None:
    """Both tasks of events of one seed on one test."""
    for task in EVENT_TASKS:
        write_scored(place_of(task, test, name) / f"seed-{seed}", read_as(table, task))


def score_weighed(table: Predictions, validation: Sequence[Predictions], name: str, seed: int) -> None:
    """Both tasks of one seed on the inter-patient test, with the weight that serves some validation patients best."""
    for task in EVENT_TASKS:
        place = place_of(task, "inter", f"{name}-weighed") / f"seed-{seed}"
        write_scored(place, weighed(read_as(table, task), *(read_as(each, task) for each in validation)))


def place_of(task: str, test: str, name: str) -> Path:
    """Folder of a result."""
    return RESULTS / "sprsound2022" / task / test / name


def copy_files(names: tuple[str, ...], source: Path, place: Path) -> None:
    """Copy files as they are."""
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, place / name)


def copy_run(folder: Path, place: Path) -> None:
    """Copy what a run says of itself; its teacher is named as `results/experiments.py` does by default."""
    copy_files(OF_A_RUN, folder, place)
    told = (folder / RECIPE).read_text().replace(f'"{folder.parents[2]}/', '"runs/experiments/')
    write_text(place / RECIPE, told)


def drop_tables(place: Path) -> None:
    """Keep the scores of what can be made again from other tables."""
    for table in place.rglob("predictions.csv"):
        table.unlink()


def tested(folder: Path, corpus: Path, test: str) -> Predictions:
    """Predictions of the run's own test, or of another one, of its corpus or of the other corpus, made once."""
    path = folder / ("predictions.csv" if test == "inter" else f"tested-on-{test}.csv")
    if not path.exists():
        parts = PARTS_OF.get(test, (test,))
        if len(parts) > 1:
            found = joined([tested(folder, corpus, part) for part in parts], test)
        else:
            split = f"sprsound2022/{test}" if test in TESTS else None
            found = predict_test_subset(load_run(folder), corpus, split)
        write_text(path, found.table.to_csv(index=False))
    return read_predictions(path)


def joined(parts: Sequence[Predictions], test: str = "") -> Predictions:
    """Several tables of the same classes as one; of a test, if it is named."""
    table = pd.concat([each.table for each in parts], ignore_index=True)
    return Predictions(table.assign(split=f"sprsound2022/{test}") if test else table, parts[0].classes)


def collect_probe(run: Path) -> None:
    """How trainings went on their validation patients; their test is left alone."""
    for seed, folder in finished_seeds(run).items():
        copy_run(folder, place_of_probe(run) / f"seed-{seed}")
        note_command(place_of_probe(run), run)


def place_of_probe(run: Path) -> Path:
    """Folder of what was tried on validation patients."""
    return place_of(EVENT_TASKS[0], "probes", run.name)


def collect_icbhi(run: Path, corpus: Path) -> None:
    """Every seed of a form on the official test of the ICBHI subset, and what the form changes, over common seeds."""
    name = ON_ICBHI.get(run.name) or NAMES[f"sprsound-noisy/{run.name}"]
    place = FOUR_CLASSES["icbhi"] / name
    collect_seeds(run, place)
    collect_matched(run, place, corpus)
    plain = run.parents[1] / "icbhi-noisy" / "plain"
    if run != plain and finished_seeds(plain).keys() & finished_seeds(run).keys():
        first, second = on_common_seeds(*(replace(read_run(each), name=each.name) for each in (plain, run)))
        write_json(place / AGAINST_PLAIN, asdict(compare_runs(first, second)))


def collect_seeds(run: Path, place: Path) -> None:
    """Every seed on the run's own test."""
    for seed, folder in finished_seeds(run).items():
        write_scored(place / f"seed-{seed}", read_predictions(folder / "predictions.csv"))
        copy_run(folder, place / f"seed-{seed}")
    finish(place, run)


def collect_matched(run: Path, place: Path, corpus: Path) -> None:
    """The same with the mean of each stethoscope's cycles brought to the shares of classes in the corpus' training.

    Beside it the same once more, of cycles that were moved towards their recordings before, as far as serves the
    validation patients of the seed best, or, where the seeds are folds, of all.
    """
    finished = finished_seeds(run)
    shares = shares_of_training(corpus)
    held_back = {seed: read_validation(folder) for seed, folder in finished.items()}
    together = best_smoothing(*held_back.values()) if path_of(run) in IN_FOLDS else None
    for seed in finished:
        of_test = read_predictions(place / f"seed-{seed}" / "predictions.csv")
        smoothing = best_smoothing(held_back[seed]) if together is None else together
        for told, probabilities in ((MATCHED, of_test.probabilities), (SMOOTHED, smoothed(of_test, smoothing))):
            found = of_test.answered(match_shares(probabilities, of_test.table["stethoscope"].tolist(), shares))
            write_scored(place.with_name(f"{place.name}{told}") / f"seed-{seed}", found)
        write_json(place.with_name(f"{place.name}{SMOOTHED}") / f"seed-{seed}" / "smoothing.json", smoothing)
    for told in (MATCHED, SMOOTHED):
        finish(place.with_name(f"{place.name}{told}"), run)
        drop_tables(place.with_name(f"{place.name}{told}"))


def shares_of_training(corpus: Path) -> Float[ndarray, " class"]:
    """Of the four classes, among the training cycles of the corpus' first split."""
    dataset = open_dataset(corpus)
    task = dataset.tasks["cycle-4"]
    found = make_split(dataset, task, dataset.split_names[0], validation_share=0.0).class_shares()
    return np.array([found[name] for name in task.classes])


def collect_joint(run: Path, name: str, other: Path | None) -> None:
    """Every seed of what was trained on both corpora, on the four classes of both tests."""
    collect_seeds(run, FOUR_CLASSES["sprsound"] / name)
    if other is not None:
        on_other = FOUR_CLASSES["icbhi"] / name
        collect_elsewhere(run, on_other, other, "icbhi")
        collect_matched(run, on_other, other)


def collect_transfer(run: Path, name: str, other: Path, corpus: Corpus) -> None:
    """Every seed of what was trained on one corpus, on the test of the other."""
    test = FOUR_CLASSES[corpus]
    collect_elsewhere(run, test.with_name(f"{test.name}-from-another-corpus") / name, other, corpus)


def collect_elsewhere(run: Path, place: Path, folder: Path, corpus: Corpus) -> None:
    """Every seed on the test of a corpus that is not the run's own."""
    for seed, trained in finished_seeds(run).items():
        write_scored(place / f"seed-{seed}", tested(trained, folder, corpus))
    finish(place, run)


def on_common_seeds(first: OfSeeds, second: OfSeeds) -> tuple[OfSeeds, OfSeeds]:
    """Two runs without the seeds that only one of them has."""
    seeds = [seed for seed in first.of_seed if seed in second.of_seed]
    one, two = (replace(each, of_seed={seed: each.of_seed[seed] for seed in seeds}) for each in (first, second))
    return one, two


def finish(place: Path, run: Path, command: str = COMMAND) -> None:
    """Mean and spread over seeds, the ensemble, and the command."""
    summarise(place)
    note_command(place, run, command)


def note_command(place: Path, run: Path, command: str = COMMAND) -> None:
    """Say by what a result was made."""
    write_text(place / "command.txt", command.format(path=path_of(run)))


def collect_robustness(measured: Path) -> None:
    """Tables of scores under noise, of every seed; the stored predictions stay where they are, for their size."""
    for experiment, name in JOINT.items():
        copy_measured(measured / experiment, FOUR_CLASSES["sprsound"] / name / "robustness")
    for experiment, name in NAMES.items():
        for rule in ("", *(f"-{each}" for each in Enhancement if each is not Enhancement.NONE)):
            folder = measured / f"{experiment}{rule}"
            place = place_of(EVENT_TASKS[0], "inter", name + rule) / "robustness"
            copy_measured(folder, place)
            if folder.exists() and (measured / PLAIN).exists() and folder != measured / PLAIN:
                write_text(place / "against-plain.csv", compare_heard(measured / PLAIN, folder).to_csv(index=False))
    for other, base, told in COMPARED:
        if (measured / other).exists() and (measured / base).exists():
            place = place_of(EVENT_TASKS[0], "inter", NAMES[other]) / "robustness"
            found = compare_heard(measured / base, measured / other)
            write_text(place / f"against-{told}.csv", found.to_csv(index=False))


def collect_icbhi_robustness(measured: Path, corpus: Path) -> None:
    """Scores under noise on the ICBHI subset, with shares matched under each as well, beside the form without a layer.

    Which threshold a stethoscope needs is another question than what noise does, and on this corpus the louder one.
    """
    shares = shares_of_training(corpus)
    with TemporaryDirectory() as temporary:
        for told, home in (("", measured), (MATCHED, Path(temporary))):
            for path, name in MEASURED_ON_ICBHI.items():
                if not (measured / path).exists():
                    continue
                if told:
                    match_measured(measured / path, home / path, shares)
                place = FOUR_CLASSES["icbhi"] / f"{name}{told}" / "robustness"
                copy_measured(home / path, place)
                if path != PLAIN_ON_ICBHI:
                    found = compare_heard(home / PLAIN_ON_ICBHI, home / path)
                    write_text(place / "against-plain.csv", found.to_csv(index=False))


def match_measured(folder: Path, place: Path, shares: Float[ndarray, " class"]) -> None:
    """What was measured of every seed, with the shares of each stethoscope matched in each condition by itself."""
    for seed, measured in find_run(folder).of_seed.items():
        claim_measured(place / f"seed-{seed}", measured.settings, measured.cycles, resume=False, overwrite=False)
        stethoscopes = measured.cycles["stethoscope"].tolist()
        for condition in measured.conditions:
            probabilities = measured.predictions(condition).probabilities
            store_predictions(place / f"seed-{seed}", condition, match_shares(probabilities, stethoscopes, shares))


def copy_measured(folder: Path, place: Path) -> None:
    """Scores of every seed that was measured, under every noise that all of them have heard, and of their ensemble."""
    sources = {path.parent.name: path.parent for path in sorted(folder.glob("seed-*/settings.json"))}
    if not sources:
        return
    table = tidy_table(find_run(folder))
    for name, source in sources.items():
        copy_files(("settings.json",), source, place / name)
        of_seed = table[table["seed"] == int(name.removeprefix("seed-"))].drop(columns="seed")
        write_text(place / name / "robustness.csv", of_seed.to_csv(index=False))
    collect_ensemble(folder, place)


def collect_ensemble(folder: Path, place: Path) -> None:
    """Scores of one decision by the mean probabilities of all seeds, under every noise that all of them have heard."""
    if sum(1 for _ in folder.glob("seed-*/settings.json")) < 2:
        return
    run = find_run(folder)
    with TemporaryDirectory() as temporary:
        together = Path(temporary)
        claim_measured(together, run.first.settings, run.first.cycles, resume=False, overwrite=False)
        for condition in run.conditions:
            members = [each.arrays(condition)[1] for each in run.of_seed.values()]
            store_predictions(together, condition, np.mean(members, axis=0))
        write_text(place / "ensemble" / "robustness.csv", tidy_table(find_run(together)).to_csv(index=False))


def compare_heard(plain: Path, other: Path) -> pd.DataFrame:
    """Differences of a form from the network without it in every condition, as means over the seeds that both have."""
    first, second = on_common_seeds(find_run(plain), find_run(other))
    conditions = sorted(set(first.conditions) & set(second.conditions))
    return pd.DataFrame(difference_rows(plain.name, other.name, compare_cells(first, second, conditions)))


def main() -> None:
    """Collect whatever is finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--sprsound", type=Path, required=True)
    parser.add_argument("--icbhi", type=Path)
    parser.add_argument("--robustness", type=Path)
    arguments = parser.parse_args()
    collect_own(arguments.runs, arguments.sprsound, arguments.icbhi)
    collect_across(arguments.runs, arguments.sprsound, arguments.icbhi)
    if arguments.robustness is not None:
        collect_robustness(arguments.robustness)
        if arguments.icbhi is not None:
            collect_icbhi_robustness(arguments.robustness, arguments.icbhi)


def collect_own(runs: Path, sprsound: Path, icbhi: Path | None) -> None:
    """What is tested on the corpus that it was trained on."""
    for probe in (each for group in PROBED for each in sorted(runs.glob(f"{group}/*"))):
        collect_probe(probe)
    if icbhi is not None:
        for run in filter(finished_seeds, sorted(runs.glob("icbhi-*/*"))):
            collect_icbhi(run, icbhi)
    for path, name in NAMES.items():
        if not finished_seeds(runs / path):
            continue
        collect_events(runs / path, name, sprsound)


def collect_across(runs: Path, sprsound: Path, icbhi: Path | None) -> None:
    """What is trained on both corpora, or tested on the other one."""
    for path, name in JOINT.items():
        if finished_seeds(runs / path):
            collect_joint(runs / path, name, icbhi)
    for path in TO_ICBHI:
        if icbhi is not None and finished_seeds(runs / path):
            collect_transfer(runs / path, NAMES[path], icbhi, "icbhi")
    for path, name in TO_SPRSOUND.items():
        if finished_seeds(runs / path):
            collect_transfer(runs / path, name, sprsound, "sprsound")


if __name__ == "__main__":
    main()
