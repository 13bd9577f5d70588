"""`add4rsc test`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_evaluation, print_json

if TYPE_CHECKING:
    from add4rsc.engine.loading import TrainedRun
    from add4rsc.predictions import Predictions


@app.command("test")
def predict_and_score(
    run: Annotated[Path, typer.Argument(help="A run folder; of several seeds, one of theirs, or see --ensemble.")],
    data_folder: Annotated[Path, typer.Option(help="The corpus to test on: the run's own, or another.")],
    split: Annotated[str, typer.Option(help="Whose test subset; default: the run's split, or another's first.")] = "",
    without_metadata: Annotated[
        bool, typer.Option("--without-metadata", help="Tell a network that uses metadata nothing of the recordings.")
    ] = False,
    hide: Annotated[
        list[str] | None,
        typer.Option(help="Do not tell it this: stethoscope, chest_location, sex, age_group; may be repeated."),
    ] = None,
    recordings: Annotated[
        str, typer.Option(metavar="TASK", help="Judge whole recordings by the network's windows: task-2-1 or task-2-2.")
    ] = "",
    in_context: Annotated[
        bool,
        typer.Option("--in-context", help="Judge every cycle together with the others of its recording."),
    ] = False,
    fit_on: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="With --recordings, --in-context and --smooth: fit on the validation patients of this run too, such "
            "as another fold; may be repeated.",
        ),
    ] = None,
    weighed: Annotated[
        bool,
        typer.Option(
            "--weighed",
            help="With --recordings and --in-context: let what is normal weigh as much as all else in the judge, as it "
            "does in the official score.",
        ),
    ] = False,
    smooth: Annotated[
        bool,
        typer.Option(
            "--smooth",
            help="Move every cycle towards the mean of its recording, as far as serves the run's validation patients.",
        ),
    ] = False,
    class_shares: Annotated[
        str,
        typer.Option(
            metavar="SHARES",
            help="What to expect of each stethoscope's cycles, whose answers are moved until their mean is this: "
            "'training', for the shares of the split's training cycles, or normal=0.6,crackle=0.25,... No label is "
            "looked at.",
        ),
    ] = "",
    never: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Never answer this class; its probability goes to the others. SPRSound's official score takes "
            "'poor_quality' for an error wherever it counts. May be repeated.",
        ),
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="RUN has several seeds: test them as one network.")
    ] = False,
    together_with: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="RUN",
            help="Answer by the mean of this run's probabilities and the first one's, each with the features that it "
            "was trained on; of several seeds, the one named as the first run's is. May be repeated.",
        ),
    ] = None,
    shifts: Annotated[
        int,
        typer.Option(
            help="Let the network hear every cycle from so many starts, as if it began later and its beginning came "
            "last, and take the mean of its logits."
        ),
    ] = 1,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default RUN/tested-on-SPLIT...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Predict the test subset of a corpus, also one that the network was not trained on, and score it."""
    from add4rsc.engine.committee import answer_together
    from add4rsc.engine.context import ContextJudge, best_smoothing
    from add4rsc.engine.decision import never_answered
    from add4rsc.engine.recordings import predict_recordings
    from add4rsc.engine.testing import predict_test_subset
    from add4rsc.metrics.evaluation import evaluate
    from add4rsc.storage import write_json, write_text
    from add4rsc.terms import GROUPS

    hidden = GROUPS if without_metadata else tuple(hide or ())
    shares = _read_shares(class_shares) if class_shares else None
    _check_known(hidden)
    _check_classes(never or (), data_folder)
    _check_alone(recordings, in_context, bool(hidden or together_with), smooth or shares is not None)
    _check_fitted(bool(in_context or recordings), smooth, others=bool(fit_on), weighed=weighed)
    others, with_runs = tuple(fit_on or ()), tuple(together_with or ())
    trained = _load_together(run, with_runs, shifts, ensemble=ensemble)
    if recordings:
        folds = [_load_together(each, (), shifts) for each in others]
        predictions = predict_recordings(
            trained, data_folder, recordings, folds, split_name=split or None, weighed=weighed
        )
        told = f"-{recordings}"
    else:
        own = tuple(each.folder for each in trained.members or (trained,))
        known = (*own, *others) if smooth or in_context else ()
        held_back = [_of_validation(each, with_runs, data_folder, shifts) for each in known]
        smoothing = best_smoothing(*held_back) if smooth else None
        if in_context:  # the judge knows what single networks say, so it hears them one by one
            judge = ContextJudge.fit(*held_back, weighed=weighed)
            members = [_load_together(each, with_runs, shifts) for each in own] if ensemble else [trained]
            heard = (predict_test_subset(each, data_folder, split or None, hidden) for each in members)
            predictions = answer_together([judge.judge(each) for each in heard])
        else:
            predictions = predict_test_subset(trained, data_folder, split or None, hidden, smoothing, shares)
        told = "-without-metadata" if without_metadata else "".join(f"-without-{name}" for name in hidden)
        told += "-smooth" * smooth + "-class-shares" * (shares is not None) + "-in-context" * in_context
    if never:
        predictions = never_answered(predictions, never)
    told += "".join(f"-never-{name}" for name in never or ())
    told += "-weighed" * weighed + f"-{shifts}-shifts" * (shifts > 1)
    told += "".join(f"-with-{'-'.join(each.folder.parts[-2:])}" for each in trained.fellows)
    folder = out or run / f"tested-on-{predictions.constant('split').replace('/', '-')}{told}"
    result = evaluate(predictions)
    write_text(folder / "predictions.csv", predictions.table.to_csv(index=False))
    write_json(folder / "summary.json", result)
    if as_json:
        print_json(result)
    else:
        print_evaluation(result, str(folder))


def _load_together(run: Path, others: Sequence[Path], n_shifts: int, *, ensemble: bool = False) -> "TrainedRun":
    """A run, or all its seeds as one network, that answers with others and hears every cycle from so many starts.

    Raises:
        WrongUsageError: if another run has no seed of the name of this one's, or they cannot answer together.
        RunFolderError, CheckpointError: as their messages say.
    """
    from add4rsc.engine.committee import fellow_of, join_runs
    from add4rsc.engine.ensemble import load_ensemble
    from add4rsc.engine.loading import load_run
    from add4rsc.engine.shifting import shift_run

    if ensemble:
        loaded = [load_ensemble(each) for each in (run, *others)]
    else:
        loaded = [load_run(run), *(load_run(fellow_of(run, each)) for each in others)]
    first, *fellows = (shift_run(each, n_shifts) for each in loaded)
    return join_runs(first, fellows)


def _of_validation(run: Path, others: Sequence[Path], data_folder: Path, n_shifts: int) -> "Predictions":
    """What a run, with others if there are any, said of its validation patients.

    Or says of them now, if it hears them from several starts.

    Raises:
        WrongUsageError: if it has none, hears them anew and `data_folder` is another corpus than its own, or the others
            held back other patients.
    """
    from add4rsc.engine.committee import answer_together, fellow_of
    from add4rsc.engine.context import read_validation
    from add4rsc.engine.loading import load_run
    from add4rsc.engine.shifting import shift_run
    from add4rsc.engine.testing import predict_validation_subset

    folders = [run, *(fellow_of(run, each) for each in others)]
    if n_shifts == 1:
        return answer_together([read_validation(each) for each in folders])
    return answer_together(
        [predict_validation_subset(shift_run(load_run(each), n_shifts), data_folder) for each in folders]
    )


def _check_alone(recordings: str, in_context: bool, hides: bool, moved: bool) -> None:
    """Let whole recordings be judged by themselves, and cycles by one rule.

    Args:
        recordings: their task, if they are judged.
        in_context: whether a judge decides on cycles.
        hides: whether something is hidden from the network, or another run answers with it.
        moved: whether answers are moved towards those of a recording or a stethoscope.

    Raises:
        WrongUsageError: if what is asked for does not go together.
    """
    from add4rsc.errors import WrongUsageError

    if recordings and (in_context or hides or moved):
        raise WrongUsageError(
            "--recordings judges by sound alone, and whole recordings, by one network. Leave out --hide, --with, "
            "--in-context, --smooth and --class-shares."
        )
    if in_context and moved:
        raise WrongUsageError(
            "--in-context decides by a judge of its own, --smooth and --class-shares by the network's answers. "
            "Leave out one or the others."
        )


def _check_fitted(judges: bool, smooth: bool, *, others: bool, weighed: bool) -> None:
    """Let a fit be changed where something is fitted.

    Args:
        judges: whether a judge is.
        smooth: whether the share of the recording is.
        others: whether further runs are to be fitted on.
        weighed: whether the judge is to be weighed.

    Raises:
        WrongUsageError: where nothing is.
    """
    from add4rsc.errors import WrongUsageError

    if others and not (judges or smooth):
        raise WrongUsageError("--fit-on is for what is fitted. Ask for --in-context, --smooth or --recordings TASK.")
    if weighed and not judges:
        raise WrongUsageError("--weighed is for a judge. Ask for --in-context or --recordings TASK.")


def _read_shares(text: str) -> dict[str, float]:
    """Class -> share; nothing for those of the training cycles.

    Raises:
        WrongUsageError: if that is not what the text says.
    """
    from add4rsc.errors import WrongUsageError

    if text == "training":
        return {}
    try:
        return {name.strip(): float(share) for name, share in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise WrongUsageError(
            f"--class-shares cannot be read from '{text}'. Write 'training', or a share for every class, as in "
            "normal=0.6,crackle=0.25,wheeze=0.1,both=0.05."
        ) from error


def _check_known(hidden: Sequence[str]) -> None:
    """Let the names of groups pass.

    Raises:
        WrongUsageError: for any other name.
    """
    from add4rsc.errors import WrongUsageError
    from add4rsc.terms import GROUPS

    unknown = [name for name in hidden if name not in GROUPS]
    if unknown:
        raise WrongUsageError(f"--hide does not know '{unknown[0]}'. Known: {', '.join(GROUPS)}.")


def _check_classes(names: Sequence[str], data_folder: Path) -> None:
    """Let the names of classes of any task of a corpus pass, before anything is heard.

    Raises:
        WrongUsageError: for any other name.
    """
    from add4rsc.datasets.opening import open_dataset
    from add4rsc.errors import WrongUsageError

    if not names:
        return
    known = dict.fromkeys(name for task in open_dataset(data_folder).tasks.values() for name in task.classes)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise WrongUsageError(f"--never {unknown[0]}: there is no such class. Known: {', '.join(known)}.")
