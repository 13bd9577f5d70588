"""Bring what is judged once more into this folder: events in context, whole recordings, and all training patients.

Usage: python results/collect_folds.py RUNS --sprsound FOLDER [--again]

RUNS is what results/experiments.py wrote. Of networks whose seeds are the folds of a cross-validation, each training
patient is new to one. What each says of its own is what the judges are fitted on (`add4rsc test --in-context` and
`--recordings`, with `--fit-on`), and how far events are moved towards their recording (`--smooth`); it is also what is
scored in folders named training-patients-held-back, where all this is fitted on the other folds. Nothing is chosen on a
test.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
from collect import write_scored
from collect_experiments import (
    AGAINST_PLAIN,
    COMMITTEES,
    EVENT_TASKS,
    FINER,
    FINEST,
    IN_FOLDS,
    LOUDER,
    MATCHED,
    NAMES,
    OF_A_RUN,
    OF_RECORDINGS,
    PARTS_OF,
    RECIPE,
    SHIFTED,
    TAUGHT_FINER,
    TESTS,
    WHOLE,
    collect_events,
    copy_files,
    copy_run,
    drop_tables,
    finish,
    finish_events,
    finished_seeds,
    joined,
    note_command,
    place_of,
    place_of_probe,
    score_events,
    tested,
)

from add4rsc.cli._coarse import read_as
from add4rsc.engine.committee import answer_together
from add4rsc.engine.context import ContextJudge, best_smoothing, read_validation, smoothed
from add4rsc.engine.decision import match_shares, never_answered
from add4rsc.engine.folder import VALIDATION
from add4rsc.engine.loading import load_run
from add4rsc.engine.recordings import NOT_JUDGED, hear_recordings, judge_recordings
from add4rsc.engine.shifting import shift_run
from add4rsc.engine.testing import predict_test_subset, predict_validation_subset
from add4rsc.metrics.calibration import mean_log_likelihood
from add4rsc.metrics.compare import compare_runs
from add4rsc.metrics.runs import ONLY, Run
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.storage import write_json, write_text
from add4rsc.terms import Subset

RECORD_TASKS = ("task-2-1", "task-2-2")
IN_CONTEXT, SMOOTHED, FROM_FINER = "-in-context", "-smoothed", "-from-finer"
"""Ends of the names of what is judged with the other events of the recording, of what is moved towards them, and of an
answer that is read from that to a task of more classes."""
JUDGES = ("", "-weighed")
"""Ends of what most likely classes decide, and of where what is normal weighs as in the score (`--weighed`)."""
RULES = (*(f"{IN_CONTEXT}{end}" for end in JUDGES), SMOOTHED, MATCHED)
"""What is decided with other events in sight, by the ends of the results' names."""
Rule = Callable[[Predictions], Predictions]
HELD_BACK = "training-patients-held-back"
"""In place of a test: all training patients, each of whom is heard by the one network that held them back."""
AGAIN = "-again"
"""End of the names of a second training of the same seeds."""
COMMITTEE = "committee-mn04"
"""Results of all networks with the gain that are of one fold, of events or of recordings: the mean of what they say."""
NOT_POOLED = (FINER, FINEST, TAUGHT_FINER)
"""Networks of events whose windows no judge of recordings has pooled: networks of recordings are better at those."""
N_SHIFTS = 6
"""Starts from which the best networks hear every event once more."""
LEVERS = {"sprsound-levers": "sprsound-folds/plain", "sprsound-louder-levers": LOUDER}
"""What was tried on held-back patients: groups, and what each of them changes."""
COMMAND = (
    "python results/experiments.py --sprsound SPRSOUND --only {path}\n"
    "python results/collect_folds.py runs/experiments --sprsound SPRSOUND\n"
)


def rules_fitted_on(held_back: Sequence[Predictions], ends: Sequence[str]) -> dict[str, Rule]:
    """End of a result's name -> what decides on events with the others of their recording, or of the test, in sight."""
    smoothing = best_smoothing(*held_back)
    labels = np.concatenate([each.labels for each in held_back])
    shares = np.bincount(labels, minlength=len(held_back[0].classes)) / len(labels)

    def smooth(predictions: Predictions) -> Predictions:
        return predictions.answered(smoothed(predictions, smoothing))

    def match(predictions: Predictions) -> Predictions:
        one_stethoscope = [""] * len(predictions.table)
        return predictions.answered(match_shares(predictions.probabilities, one_stethoscope, shares))

    by_one_number = {SMOOTHED: smooth, MATCHED: match}

    def rule_of(end: str) -> Rule:
        return by_one_number.get(end) or ContextJudge.fit(*held_back, weighed=end.endswith(JUDGES[1])).judge

    return {end: rule_of(end) for end in ends}


def hear_shifted(run: Path, corpus: Path) -> Path:
    """What the networks of a run say if they hear every event from several starts, in a folder as theirs beside it."""
    place = run.with_name(f"{run.name}{SHIFTED}")
    for seed, folder in finished_seeds(run).items():
        own = place / f"seed-{seed}"
        if (own / "predictions.csv").exists():
            continue
        network = shift_run(load_run(folder), N_SHIFTS)
        copy_files((*OF_A_RUN, RECIPE), folder, own)
        tables = {VALIDATION: predict_validation_subset(network, corpus)}
        inter, intra = (predict_test_subset(network, corpus, f"sprsound2022/{test}") for test in PARTS_OF["union"])
        tables |= {"tested-on-intra.csv": intra, "tested-on-union.csv": joined([inter, intra], "union")}
        for name, found in (*tables.items(), ("predictions.csv", inter)):  # when that is there, all is
            write_text(own / name, found.table.to_csv(index=False))
    return place


def hear_together(runs: Path, committee: str, corpus: Path) -> Path:
    """What the networks of a committee say, fold by fold, in a folder as theirs beside them."""
    place = runs / committee
    members = [finished_seeds(runs / each) for each in COMMITTEES[committee]]
    for seed in sorted(set.intersection(*map(set, members))):
        folders = [member[seed] for member in members]
        tables = {VALIDATION: answer_together([read_validation(each) for each in folders])}
        for test in TESTS:
            of_test = "predictions.csv" if test == TESTS[0] else f"tested-on-{test}.csv"
            tables[of_test] = answer_together([tested(each, corpus, test) for each in folders])
        for name, found in tables.items():
            write_text(place / f"seed-{seed}" / name, found.table.to_csv(index=False))
    return place


def collect_committees(runs: Path, corpus: Path) -> None:
    """Events of every test, alone and in context, and recordings, as all networks with the gain answer together."""
    events, recordings = (hear_together(runs, each, corpus) for each in COMMITTEES)
    if finished_seeds(recordings):
        score_answers(recordings, f"{COMMITTEE}-recordings", corpus)
    finished, ends = finished_seeds(events), (IN_CONTEXT, SMOOTHED)
    if not finished:
        return
    for (seed, folder), test in product(finished.items(), TESTS):
        score_events(tested(folder, corpus, test), test, COMMITTEE, seed)
    finish_events(events, COMMITTEE, TESTS, COMMAND)
    collect_in_context(events, COMMITTEE, corpus, ends)
    collect_held_back(events, COMMITTEE, ends)


def collect_in_context(run: Path, name: str, corpus: Path, ends: Sequence[str] = RULES) -> None:
    """Events of every test decided on together with others: those of their recording, or all."""
    finished = finished_seeds(run)
    for end, decide in rules_fitted_on([read_validation(folder) for folder in finished.values()], ends).items():
        for seed, folder in finished.items():
            for test in TESTS:
                score_events(decide(tested(folder, corpus, test)), test, f"{name}{end}", seed)
        finish_events(run, f"{name}{end}", TESTS, COMMAND)
    for end in {SMOOTHED, MATCHED} & set(ends):
        for test in TESTS:
            drop_tables(place_of(EVENT_TASKS[1], test, f"{name}{end}"))  # task 1-2 has them


def collect_held_back(run: Path, name: str, ends: Sequence[str] = RULES) -> None:
    """Both tasks of events on the training patients, alone and by every rule."""
    held_back = [read_validation(each) for each in finished_seeds(run).values()]
    decided: dict[str, list[Predictions]] = {"": held_back}
    for each in held_back:
        for end, decide in rules_fitted_on([other for other in held_back if other is not each], ends).items():
            decided.setdefault(end, []).append(decide(each))
    for end, tables in decided.items():
        together = joined(tables)
        for task in EVENT_TASKS:
            place = place_of(task, HELD_BACK, f"{name}{end}")
            write_scored(place, read_as(together, task))
            note_command(place, run, COMMAND)
            if end or task != EVENT_TASKS[0]:
                drop_tables(place)


def collect_again(run: Path, name: str, corpus: Path) -> None:
    """Events of the inter-patient test, alone and in context, beside those of the first training of the same seeds.

    Processors that add up in another order train other networks from one seed.
    """
    told, test = f"{name}{AGAIN}", TESTS[0]
    finished = finished_seeds(run)
    judge = ContextJudge.fit(*map(read_validation, finished.values())).judge
    for seed, folder in finished.items():
        alone = tested(folder, corpus, test)
        for end, answers in (("", alone), (IN_CONTEXT, judge(alone))):
            score_events(answers, test, f"{told}{end}", seed)
        copy_run(folder, place_of(EVENT_TASKS[0], test, told) / f"seed-{seed}")
    for end in ("", IN_CONTEXT):
        finish_events(run, f"{told}{end}", [test], COMMAND.strip() + " --again\n")


def collect_lever(run: Path, plain: Path) -> None:
    """What folds say of the patients that they held back, minus what the folds of the same seeds without a change do.

    Besides the scores the difference of the mean log likelihood of the labels, in nats, which asks for no threshold.
    """
    seeds = finished_seeds(run).keys() & finished_seeds(plain).keys()
    changed, unchanged = (
        joined([read_validation(finished_seeds(each)[seed]) for seed in sorted(seeds)]) for each in (run, plain)
    )
    for task in EVENT_TASKS:
        tables = {each.name: read_as(table, task) for each, table in ((plain, unchanged), (run, changed))}
        first, second = (Run(name, {ONLY: table}) for name, table in tables.items())
        likelihoods = [mean_log_likelihood(each.labels, each.probabilities) for each in tables.values()]
        told = asdict(compare_runs(first, second)) | {"log_likelihood": likelihoods, "folds": sorted(seeds)}
        write_json(place_of_probe(run) / f"{task}-{AGAINST_PLAIN}", told)


def collect_shifted(run: Path, name: str, corpus: Path) -> None:
    """Events that are heard from several starts, alone, in context and smoothed."""
    again, told, ends = hear_shifted(run, corpus), f"{name}{SHIFTED}", (IN_CONTEXT, SMOOTHED)
    collect_events(again, told, corpus)
    collect_in_context(again, told, corpus, ends)
    collect_held_back(again, told, ends)
    for test in TESTS:
        for task, end in product(EVENT_TASKS, ("", *ends)):
            if task != EVENT_TASKS[0] or end == SMOOTHED:
                drop_tables(place_of(task, test, f"{told}{end}"))  # task 1-2 alone and in context has them


def collect_recordings(run: Path, name: str, corpus: Path) -> None:
    """Tasks of whole recordings on every test and on the training patients.

    The task of fewer classes is answered by a judge of its own, and read from the answer to the finer one.
    """
    coarse, fine = RECORD_TASKS
    if not (run / judged_file(fine, JUDGES[-1])).exists():
        judge_all(run, corpus)
    for end in JUDGES:
        for task, told, asked in ((coarse, name, coarse), (fine, name, fine), (coarse, f"{name}{FROM_FINER}", fine)):
            score_recordings(run, task, f"{told}{end}", judged_file(asked, end))


def score_recordings(run: Path, task: str, name: str, file: str) -> None:
    """A task of recordings as a judge's decisions answer it: by every seed on tests, by all on training patients."""
    for test in TESTS:
        for seed, folder in finished_seeds(run).items():
            found = joined([read_predictions(folder / f"{part}-{file}") for part in PARTS_OF[test]], test)
            write_scored(place_of(task, test, name) / f"seed-{seed}", read_as(found, task))
        finish(place_of(task, test, name), run, COMMAND)
    drop_tables(place_of(task, "union", name))
    held_back = place_of(task, HELD_BACK, name)
    write_scored(held_back, read_as(read_predictions(run / file), task))
    drop_tables(held_back)
    note_command(held_back, run, COMMAND)


def collect_answers(run: Path, name: str, corpus: Path) -> None:
    """Both tasks of recordings as networks answer that were trained on them, and what the runs say of themselves."""
    for seed, folder in finished_seeds(run).items():
        copy_run(folder, place_of(RECORD_TASKS[1], TESTS[0], name) / f"seed-{seed}")
    score_answers(run, name, corpus)


def score_answers(run: Path, name: str, corpus: Path) -> None:
    """Both tasks of recordings as a run answers them, but for poor quality."""
    coarse, _ = RECORD_TASKS
    held_back = never_answered(joined([read_validation(each) for each in finished_seeds(run).values()]), [NOT_JUDGED])
    for seed, folder in finished_seeds(run).items():
        for test in TESTS:
            answers = never_answered(tested(folder, corpus, test), [NOT_JUDGED])
            for task in RECORD_TASKS:
                write_scored(place_of(task, test, name) / f"seed-{seed}", read_as(answers, task))
    for task in RECORD_TASKS:
        write_scored(place_of(task, HELD_BACK, name), read_as(held_back, task))
        note_command(place_of(task, HELD_BACK, name), run, COMMAND)
        for test in TESTS:
            finish(place_of(task, test, name), run, COMMAND)
        drop_tables(place_of(task, "union", name))
    for test in (*TESTS, HELD_BACK):
        drop_tables(place_of(coarse, test, name))  # the finer task has them


def judged_file(task: str, end: str) -> str:
    """Where a run keeps what a judge has decided of whole recordings."""
    return f"judged-{task}{end}.csv"


def judge_all(run: Path, corpus: Path) -> None:
    """Judge the recordings of both tests by every seed; and those that each held back, by the judge of the others."""
    finished = {seed: load_run(folder) for seed, folder in finished_seeds(run).items()}
    known = {seed: hear_recordings(network, corpus, Subset.VALIDATION) for seed, network in finished.items()}
    asked = {
        (seed, test): hear_recordings(network, corpus, Subset.TEST, f"sprsound2022/{test}")
        for seed, network in finished.items()
        for test in PARTS_OF["union"]
    }
    for task, end in product(RECORD_TASKS, JUDGES):
        for (seed, test), heard in asked.items():
            found = judge_recordings(heard, task, list(known.values()), weighed=bool(end))
            write_text(finished[seed].folder / f"{test}-{judged_file(task, end)}", found.table.to_csv(index=False))
        others = {seed: [other for other in known.values() if other is not known[seed]] for seed in known}
        held_back = [judge_recordings(known[seed], task, others[seed], weighed=bool(end)) for seed in known]
        write_text(run / judged_file(task, end), joined(held_back).table.to_csv(index=False))


def main() -> None:
    """Collect whatever is finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--sprsound", type=Path, required=True)
    parser.add_argument(
        "--again", action="store_true", help=f"{LOUDER} was trained anew: collect that beside the first, and no more"
    )
    arguments = parser.parse_args()
    if arguments.again:
        collect_again(arguments.runs / LOUDER, NAMES[LOUDER], arguments.sprsound)
        return
    collect_levers(arguments.runs)
    for path, name in OF_RECORDINGS.items():
        if finished_seeds(arguments.runs / path):
            collect_answers(arguments.runs / path, name, arguments.sprsound)
    collect_events_in_folds(arguments.runs, arguments.sprsound)
    collect_committees(arguments.runs, arguments.sprsound)


def collect_levers(runs: Path) -> None:
    """What single changes do on held-back patients."""
    levers = {runs / LOUDER: LEVERS["sprsound-levers"], runs / FINER: LOUDER, runs / FINEST: LOUDER}
    levers |= {run: plain for group, plain in LEVERS.items() for run in sorted(runs.glob(f"{group}/*"))}
    for run, plain in levers.items():
        if finished_seeds(run).keys() & finished_seeds(runs / plain).keys():
            collect_lever(run, runs / plain)


def collect_events_in_folds(runs: Path, corpus: Path) -> None:
    """Events in context, and recordings by their windows, of networks whose seeds are folds."""
    for path in WHOLE:
        run, name = runs / path, NAMES[path]
        if path not in IN_FOLDS or not finished_seeds(run):
            continue
        collect_in_context(run, name, corpus)
        collect_held_back(run, name)
        if path not in NOT_POOLED:
            collect_recordings(run, name, corpus)
        if path == LOUDER:
            collect_shifted(run, name, corpus)


if __name__ == "__main__":
    main()
