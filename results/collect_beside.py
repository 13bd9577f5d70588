"""Bring into this folder what is judged by networks of events and networks of recordings together.

Usage: python results/collect_beside.py RUNS --sprsound FOLDER

RUNS is what results/experiments.py wrote, with the folds of either kind, which divide the training patients otherwise:
each recording is new to one network of each. Judges are fitted on what these say of it (`add4rsc test --beside`): those
of recordings on the pooled windows of both, those of events on the events of a recording and on what is said of it as a
whole. What the networks of recordings answer by themselves is collected too. Nothing is chosen on a test.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from collect import write_scored
from collect_experiments import (
    EVENT_TASKS,
    LOUDER,
    NAME_OF_RECORDINGS,
    NAMES,
    OF_RECORDINGS,
    TAUGHT_LOUDER,
    TESTS,
    copy_run,
    drop_tables,
    finish,
    finish_events,
    finished_seeds,
    note_command,
    place_of,
    score_events,
    tested,
)
from collect_folds import HELD_BACK, IN_CONTEXT, RECORD_TASKS, collect_recordings, joined

from add4rsc.cli._coarse import read_as
from add4rsc.engine.context import ContextJudge, read_validation
from add4rsc.engine.decision import never_answered
from add4rsc.engine.recordings import NOT_JUDGED
from add4rsc.predictions import Predictions

BESIDE = "-beside-recordings"
"""End of the names of what is judged by both kinds of networks."""
JUDGED_SO = (LOUDER, TAUGHT_LOUDER)
"""Networks of events that are judged beside those of recordings."""
COMMAND = (
    f"python results/experiments.py --sprsound SPRSOUND --only {{path}},{OF_RECORDINGS}\n"
    "python results/collect_beside.py runs/experiments --sprsound SPRSOUND\n"
)


def collect_answers(run: Path, name: str, corpus: Path) -> None:
    """Both tasks of recordings as the networks that were trained on them answer, but for poor quality."""
    coarse, fine = RECORD_TASKS
    for seed, folder in finished_seeds(run).items():
        for test in TESTS:
            answers = never_answered(tested(folder, corpus, test), [NOT_JUDGED])
            for task in RECORD_TASKS:
                write_scored(place_of(task, test, name) / f"seed-{seed}", read_as(answers, task))
        copy_run(folder, place_of(fine, TESTS[0], name) / f"seed-{seed}")
    held_back = never_answered(
        joined([read_validation(folder) for folder in finished_seeds(run).values()]), [NOT_JUDGED]
    )
    for task in RECORD_TASKS:
        for test in TESTS:
            finish(place_of(task, test, name), run, COMMAND)
        write_scored(place_of(task, HELD_BACK, name), read_as(held_back, task))
        note_command(place_of(task, HELD_BACK, name), run, COMMAND)
        drop_tables(place_of(task, "union", name))
    for test in (*TESTS, HELD_BACK):
        drop_tables(place_of(coarse, test, name))  # the finer task has them


def collect_in_context(run: Path, recordings: Path, name: str, corpus: Path) -> None:
    """Events of every test and of the training patients, by judges who are told of the recordings.

    Each seed on a test is told by the network of recordings of the same seed.
    """
    events, of_recordings = finished_seeds(run), finished_seeds(recordings)
    held_back = [read_validation(folder) for folder in events.values()]
    beside = [read_validation(folder) for folder in of_recordings.values()]
    judge = ContextJudge.fit(*held_back, beside=beside)
    told = f"{name}{IN_CONTEXT}{BESIDE}"
    for seed in sorted(events.keys() & of_recordings.keys()):
        for test in TESTS:
            of_test = (tested(folders[seed], corpus, test) for folders in (events, of_recordings))
            score_events(judge.judge(*of_test), test, told, seed)
    finish_events(run, told, TESTS, COMMAND)
    together = joined(judge_others(held_back, beside))
    for task in EVENT_TASKS:
        write_scored(place_of(task, HELD_BACK, told), read_as(together, task))
        note_command(place_of(task, HELD_BACK, told), run, COMMAND)
        drop_tables(place_of(task, HELD_BACK, told))
    for test in TESTS:
        drop_tables(place_of(EVENT_TASKS[1], test, told))  # task 1-2 has them


def judge_others(held_back: Sequence[Predictions], beside: Sequence[Predictions]) -> list[Predictions]:
    """The events of every fold, judged by judges that are fitted on the other folds."""
    found = []
    for each in held_back:
        others = [other for other in held_back if other is not each]
        found.append(ContextJudge.fit(*others, beside=beside).judge(each, joined(beside)))
    return found


def main() -> None:
    """Collect whatever is finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--sprsound", type=Path, required=True)
    arguments = parser.parse_args()
    recordings = arguments.runs / OF_RECORDINGS
    collect_answers(recordings, NAME_OF_RECORDINGS, arguments.sprsound)
    for path in JUDGED_SO:
        run = arguments.runs / path
        if finished_seeds(run):
            collect_in_context(run, recordings, NAMES[path], arguments.sprsound)
            collect_recordings(run, f"{NAMES[path]}{BESIDE}", arguments.sprsound, recordings)


if __name__ == "__main__":
    main()
