"""The `add4rsc` command: verbs, and errors without tracebacks."""

import signal
import sys
from importlib import import_module
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from add4rsc import __version__
from add4rsc.errors import Add4rscError

app = typer.Typer(
    name="add4rsc",
    help="Classify respiratory sounds: train, evaluate, predict. Research use only, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

VERBS = (
    "demo",
    "data",
    "listing",
    "training",
    "ablation",
    "benchmark",
    "evaluation",
    "testing",
    "prediction",
    "serving",
    "reporting",
    "exporting",
    "comparison",
    "robustness",
    "published",
    "explanation",
    "weights",
    "doctor",
)
"""Modules of this folder, in the order of the help page."""

PARTLY_DONE = 3
"""Exit code where a part could not be done."""

TYPER_INTERRUPTED = 130
"""What typer makes of a KeyboardInterrupt."""


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"add4rsc {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Classify respiratory sounds: train, evaluate, predict. Research use only, not a medical device."""


def main() -> NoReturn:
    """Run the command line; the exit code is 0 done, 1 failed, 2 wrong usage, 3 partly done."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, _interrupt)
    for verb in VERBS:
        import_module(f"add4rsc.cli.{verb}")
    try:
        app(standalone_mode=True)
    except Add4rscError as error:
        report_error(error)
    except SystemExit as stop:
        if stop.code != TYPER_INTERRUPTED:
            raise
        errors.print("Stopped. A training run or a batch goes on with the same command and --resume.")
        sys.exit(1)
    sys.exit(0)


def report_error(error: Add4rscError) -> NoReturn:
    """Print an error without its traceback, and exit with its code."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    errors.print(f"[bold red]Error:[/] {_escape(str(error))}")
    sys.exit(error.exit_code)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
