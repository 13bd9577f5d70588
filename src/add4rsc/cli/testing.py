"""`add4rsc test`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_evaluation, print_json


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
            help="With --recordings and --in-context: fit the judge on the validation patients of this run too, such "
            "as another fold; may be repeated.",
        ),
    ] = None,
    normal_share: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=0.99,
            help="Call this share of each stethoscope's cycles normal, such as that of the training cycles; no label "
            "is looked at.",
        ),
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="RUN has several seeds: test them as one network.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default RUN/tested-on-SPLIT...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Predict the test subset of a corpus, also one that the network was not trained on, and score it."""
    from add4rsc.engine.context import ContextJudge, read_validation
    from add4rsc.engine.ensemble import load_ensemble
    from add4rsc.engine.loading import load_run
    from add4rsc.engine.recordings import predict_recordings
    from add4rsc.engine.testing import predict_test_subset
    from add4rsc.metrics.evaluation import evaluate
    from add4rsc.storage import write_json, write_text
    from add4rsc.terms import GROUPS

    hidden = GROUPS if without_metadata else tuple(hide or ())
    _check_known(hidden)
    _check_alone(recordings, split, hidden, normal_share, in_context)
    others = tuple(fit_on or ())
    _check_judged(in_context, normal_share, others, recordings)
    trained = load_ensemble(run) if ensemble else load_run(run)
    if recordings:
        predictions = predict_recordings(trained, data_folder, recordings, [load_run(each) for each in others])
        told = f"-{recordings}"
    else:
        predictions = predict_test_subset(trained, data_folder, split or None, hidden, normal_share)
        told = "-without-metadata" if without_metadata else "".join(f"-without-{name}" for name in hidden)
        told += "" if normal_share is None else f"-normal-share-{normal_share:g}"
        if in_context:
            known = (*(each.folder for each in trained.members or (trained,)), *others)
            predictions = ContextJudge.fit(*map(read_validation, known)).judge(predictions)
            told += "-in-context"
    folder = out or run / f"tested-on-{predictions.constant('split').replace('/', '-')}{told}"
    folder.mkdir(parents=True, exist_ok=True)
    result = evaluate(predictions)
    write_text(folder / "predictions.csv", predictions.table.to_csv(index=False))
    write_json(folder / "summary.json", result)
    if as_json:
        print_json(result)
    else:
        print_evaluation(result, str(folder))


def _check_alone(
    recordings: str, split: str, hidden: Sequence[str], normal_share: float | None, in_context: bool
) -> None:
    """Let cycles be judged, and whole recordings by themselves.

    Raises:
        WrongUsageError: if something is asked for beside recordings that is of cycles alone.
    """
    from add4rsc.errors import WrongUsageError

    if recordings and (split or hidden or in_context or normal_share is not None):
        raise WrongUsageError(
            "--recordings judges the run's own test, by sound alone. Leave out --split, --hide, --in-context and "
            "--normal-share."
        )


def _check_judged(in_context: bool, normal_share: float | None, fit_on: Sequence[Path], recordings: str) -> None:
    """Let a judge be fitted where there is one, and decide alone.

    Raises:
        WrongUsageError: if not.
    """
    from add4rsc.errors import WrongUsageError

    if in_context and normal_share is not None:
        raise WrongUsageError("--in-context and --normal-share both decide what is normal. Leave one of them out.")
    if fit_on and not (in_context or recordings):
        raise WrongUsageError("--fit-on is for what a judge decides. Ask for --in-context or --recordings TASK.")


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
