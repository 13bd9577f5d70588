"""Runs of different recipes that answer together, each in its own crop and features.

Seeds of one recipe are one network (`engine.ensemble`), which can be exported. Networks that hear differently are not,
and often err differently, so that their mean is worth more.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from add4rsc.engine.loading import TrainedRun, seed_folders
from add4rsc.errors import PredictionsError, WrongUsageError
from add4rsc.metrics.runs import mean_answers
from add4rsc.predictions import Predictions

COMMITTEE = "committee"
"""Name in tables of predictions of the folders of the other runs that answered."""


def fellow_of(run: Path, other: Path) -> Path:
    """The run beside which another one answers: itself; of several seeds, the one that is named as the first is.

    So each fold of a cross-validation answers together with the network that held back the same patients.

    Raises:
        WrongUsageError: if the other run has several seeds, and none of that name.
    """
    seeds = seed_folders(other).values()
    if other in seeds or not seeds:
        return other
    found = [each for each in seeds if each.name == run.name]
    if not found:
        raise WrongUsageError(
            f"{other} has no {run.name} to answer together with {run}. Name one of {', '.join(map(str, seeds))}."
        )
    return found[0]


def join_runs(run: TrainedRun, fellows: Sequence[TrainedRun]) -> TrainedRun:
    """The run with answers that are the mean of its own probabilities and of those of its fellows.

    Raises:
        WrongUsageError: if one is named twice, tells other classes apart, or has learnt by another task or split, so
            that it may know the other's test.
    """
    named = [run.folder.resolve()]
    for each in fellows:
        if each.folder.resolve() in named:
            raise WrongUsageError(f"{each.folder} would answer twice. Name it once.")
        named.append(each.folder.resolve())
        for what in ("dataset", "task", "split"):
            if getattr(each.recipe, what) != getattr(run.recipe, what):
                raise WrongUsageError(
                    f"{each.folder} has another {what} than {run.folder}. Answer together with runs of one task and "
                    "split, or leave out --with."
                )
        if each.classes != run.classes:
            raise WrongUsageError(f"{each.folder} tells apart other classes than {run.folder}. Leave it out of --with.")
    return replace(run, fellows=tuple(fellows))


def answer_together(tables: Sequence[Predictions]) -> Predictions:
    """The first run's cycles with the mean of the probabilities that all runs give them; of one run as they are.

    Whoever answered in one of the tables is named in what comes of them.

    Raises:
        WrongUsageError: if the tables are of other cycles or classes, such as those of other validation patients.
    """
    if len(tables) == 1:
        return tables[0]
    try:
        found = mean_answers(tables, "one run")
    except PredictionsError as error:
        raise WrongUsageError(
            "Runs that answer together held back different patients, so that nothing can be fitted on what they "
            "say of them. Name runs of one validation_seed, or seed by seed of the same folds."
        ) from error
    others = dict.fromkeys(filter(None, (each.constant(COMMITTEE) for each in tables)))
    return replace(found, table=found.table.assign(**{COMMITTEE: ",".join(others)})) if others else found
