"""`add4rsc benchmark`: many methods, one protocol, one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from add4rsc.cli._app import PARTLY_DONE, app
from add4rsc.cli._output import print_json, print_table
from add4rsc.errors import RunFolderError

if TYPE_CHECKING:
    from add4rsc.report.leaderboard import Leaderboard

NAME = "benchmark"
SHOWN = ("rank", "recipe", "specificity", "sensitivity", "score", "same", "n_parameters", "training_seconds")


@app.command()
def benchmark(
    data_folder: Annotated[Path, typer.Option(help="The corpus, in its publisher's layout.")],
    methods: Annotated[
        list[str] | None,
        typer.Argument(metavar="[METHOD]...", help="Methods, or recipes; default: the small recipe of every method."),
    ] = None,
    run_folder: Annotated[
        Path | None, typer.Option("--run-folder", "-o", help="Where to write; default runs/benchmark/CORPUS.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="One run a seed, such as 1,2,3.")] = "1,2,3",
    split: Annotated[str | None, typer.Option(help="Default: the corpus' first.")] = None,
    task: Annotated[str | None, typer.Option(help="Default: the corpus' first.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key of every recipe.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes to train on together.")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Further processes that load batches.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on; finished rows are kept.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the runs in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train many methods on the same cycles by the same rules, and rank them with intervals.

    A row that fails is named and does not stop the others; the exit code is then 3.
    """
    from add4rsc.cli._recipes import change_by_options, read_seeds
    from add4rsc.datasets.opening import open_dataset
    from add4rsc.engine.benchmarking import Protocol, choose_recipes, run_benchmark
    from add4rsc.engine.processes import is_first_process
    from add4rsc.engine.run import RunSettings

    corpus = open_dataset(data_folder).name
    folder = run_folder or Path("runs") / NAME / corpus
    _refuse_to_mix(folder, resume=resume, overwrite=overwrite)
    chosen = [change_by_options(recipe, changes or []) for recipe in choose_recipes(methods or [])]
    settings = RunSettings(data_folder, folder, devices, accelerator, workers, resume, overwrite, not as_json)
    protocol = Protocol(tuple(read_seeds(seeds)), split, task)
    entries = run_benchmark(chosen, protocol, settings, lambda line: typer.echo(line, err=True))
    if not is_first_process():
        return
    from add4rsc.report.evidence import read_evidence
    from add4rsc.report.leaderboard import make_leaderboard

    evidence = read_evidence([Path(entry.folder) for entry in entries if not entry.problem])
    board = make_leaderboard(entries, evidence, f"Benchmark on {corpus}")
    _write(board, folder)
    _tell(board, folder, as_json=as_json)
    if board.problems:
        raise typer.Exit(PARTLY_DONE)


def _refuse_to_mix(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise RunFolderError if the folder holds rows, and nobody said what is to become of them."""
    if folder.is_dir() and any(folder.iterdir()) and not (resume or overwrite):
        raise RunFolderError(
            f"{folder} holds rows already. Go on with --resume, replace them with --overwrite, or name another "
            "--run-folder."
        )


def _write(board: "Leaderboard", folder: Path) -> None:
    from add4rsc.report.leaderboard import WRITERS
    from add4rsc.storage import write_text

    for name, render in WRITERS.items():
        write_text(folder / f"{NAME}.{name}", render(board))


def _tell(board: "Leaderboard", folder: Path, *, as_json: bool) -> None:
    from add4rsc.report.leaderboard import as_values
    from add4rsc.terms import RESEARCH_USE_ONLY

    if as_json:
        print_json(as_values(board))
        return
    keys = [column.key for column in board.ranking.columns]
    places = [keys.index(name) for name in SHOWN]
    headings = ["", "recipe", "Sp", "Se", "Score", "not different from", "parameters", "s a seed"]
    print_table(board.title, headings, [[row[place] for place in places] for row in board.ranking.shown()])
    for recipe, problem in board.problems:
        typer.echo(f"{recipe} has no score: {problem}")
    typer.echo(
        f"{board.subtitle}; epochs chosen on validation patients. Always answering the normal class scores 50.0."
    )
    typer.echo(f"Page, tables and runs: {folder}. {RESEARCH_USE_ONLY}")
