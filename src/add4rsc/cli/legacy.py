"""What `python main.py` runs: the released code's flags, on our recipes."""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from add4rsc.cli._app import report_error
from add4rsc.cli._legacy_flags import build_parser
from add4rsc.errors import Add4rscError, WrongUsageError

if TYPE_CHECKING:
    from add4rsc.cli._legacy_translation import Translation


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the flags; the exit code is 0 done, 1 failed, 2 wrong usage."""
    flags = build_parser().parse_args(arguments)
    try:
        run(flags)
    except Add4rscError as error:
        report_error(error)
    except KeyboardInterrupt:
        typer.echo("Stopped. Go on with the same command and --resume RUN_FOLDER.", err=True)
        sys.exit(1)
    sys.exit(0)


def run(flags: Namespace) -> None:
    """Translate, say the equivalent line, and do it.

    Raises:
        Add4rscError: as the message says.
    """
    from add4rsc.cli._legacy_translation import translate

    if flags.eval:
        _test(flags)
        return
    found = translate(flags)
    _check(found)
    for note in found.notes:
        typer.echo(note, err=True)
    line = equivalent(flags, found)
    typer.echo(f"Equivalent: {shlex.join(line)}")
    if not flags.dry_run:
        _train(flags, found)


def _check(found: "Translation") -> None:
    """Let the recipe and its method look at the values before anything is read or trained.

    Raises:
        RecipeError: for a value that cannot be.
    """
    from add4rsc.cli._recipes import find_recipe
    from add4rsc.methods import methods
    from add4rsc.methods._base import read_options

    recipe = find_recipe(found.recipe.name, None, found.settings)
    read_options(methods.get(recipe.method), recipe.options)


def equivalent(flags: Namespace, found: "Translation") -> list[str]:
    """The `add4rsc train` command, word by word."""
    line = ["add4rsc", "train", found.recipe.name, "--data-folder", str(flags.data_folder)]
    line += ["--run-folder", str(_run_folder(flags, found)), "--seeds", str(flags.seed)]
    if flags.num_workers:
        line += ["--workers", str(flags.num_workers)]
    for setting in found.settings:
        line += ["--set", setting]
    return [*line, "--resume"] if flags.resume is not None else line


def _run_folder(flags: Namespace, found: "Translation") -> Path:
    from add4rsc.cli._legacy_translation import run_folder_of

    if flags.resume is not None:
        return run_folder_of(flags.resume)
    name = found.recipe.name.replace("/", "_")
    return flags.save_dir / "_".join(part for part in (name, flags.tag, f"seed{flags.seed}") if part)


def _train(flags: Namespace, found: "Translation") -> None:
    from add4rsc.cli._recipes import find_recipe
    from add4rsc.engine.run import RunSettings, train

    folder = _run_folder(flags, found)
    settings = RunSettings(flags.data_folder, folder, n_workers=flags.num_workers, resume=flags.resume is not None)
    recipe = find_recipe(found.recipe.name, None, found.settings)
    _show(train(recipe, [flags.seed], settings), folder, flags)


def _test(flags: Namespace) -> None:
    """`--eval`: the test subset through a network that is there already."""
    from add4rsc.cli._legacy_translation import run_folder_of
    from add4rsc.engine.loading import load_run
    from add4rsc.engine.testing import predict_test_subset
    from add4rsc.metrics.evaluation import evaluate
    from add4rsc.storage import write_text

    path = flags.pretrained_ckpt or flags.resume
    if path is None:
        raise WrongUsageError("--eval needs a network. Name its run folder with --pretrained_ckpt.")
    trained = load_run(run_folder_of(path))
    table = flags.save_dir / f"{trained.folder.name}_eval.csv"
    if flags.dry_run:
        typer.echo(f"Equivalent: {shlex.join(['add4rsc', 'evaluate', str(trained.folder)])}")
        return
    predictions = predict_test_subset(trained, flags.data_folder)
    write_text(table, predictions.table.to_csv(index=False))
    typer.echo(f"Equivalent: {shlex.join(['add4rsc', 'evaluate', str(table)])}")
    _show(evaluate(predictions), table, flags)


def _show(result: dict[str, Any], title: Path, flags: Namespace) -> None:
    from add4rsc.cli._output import print_evaluation

    print_evaluation(result, str(title))
    if flags.two_cls_eval:
        typer.echo(
            f"Normal against abnormal: Sp {result['specificity']:.4f}  Se {result['sensitivity_binary']:.4f}  "
            f"Score {result['score_binary']:.4f}"
        )
