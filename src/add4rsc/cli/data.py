"""`add4rsc data`: obtain, verify, split and synthesise corpora."""

from pathlib import Path
from typing import Annotated, Any

import typer

from add4rsc.cli._app import PARTLY_DONE, app
from add4rsc.cli._output import print_json, print_table

data = typer.Typer(help="Obtain, verify, divide and synthesise corpora.", no_args_is_help=True)
app.add_typer(data, name="data")

JSON = typer.Option("--json", help="Print one JSON object.")
FOLDER = typer.Argument(help="The corpus, in its publisher's layout.")


@data.command()
def obtain(
    name: Annotated[str, typer.Argument(help="Name of a corpus: `add4rsc list datasets`.")],
    download: Annotated[bool, typer.Option("--download", help="Fetch it; an earlier try is resumed.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where to put it; default NAME.")] = None,
) -> None:
    """Say where a corpus is to be had, its terms, citation and size; with --download, fetch it."""
    from add4rsc.datasets import datasets
    from add4rsc.datasets.obtaining import describe
    from add4rsc.datasets.obtaining import download as fetch_all

    dataset = datasets.get(name)
    typer.echo(describe(dataset))
    if download:
        for path in fetch_all(dataset, folder or Path(name), ByteBars()):
            typer.echo(f"fetched {path}")


class ByteBars:
    """One bar a file, in bytes."""

    def __init__(self) -> None:
        from rich.progress import DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns)
        self._tasks: dict[str, Any] = {}

    def __call__(self, file: str, n_present: int, n_bytes: int | None) -> None:
        """Show how much of a file is there."""
        self._bars.start()
        if file not in self._tasks:
            self._tasks[file] = self._bars.add_task(file, total=n_bytes)
        self._bars.update(self._tasks[file], completed=n_present, total=n_bytes)
        if n_present == n_bytes:
            self._bars.refresh()
            self._bars.stop()


@data.command()
def verify(
    folder: Annotated[Path, FOLDER],
    dataset: Annotated[str | None, typer.Option(help="Name of the corpus; default: recognise it.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Read every file of a corpus and list what is wrong, each with its remedy. Exit code 3 if it is not complete."""
    from add4rsc.datasets.opening import open_dataset
    from add4rsc.datasets.verification import verify as verify_dataset

    report = verify_dataset(open_dataset(folder, dataset))
    if as_json:
        print_json(report.to_dict())
    else:
        rows = [[problem.file, problem.problem, problem.remedy] for problem in report.problems]
        if rows:
            print_table("problems", ["file", "problem", "remedy"], rows)
        classes = ", ".join(f"{name} {count}" for name, count in report.cycles_per_class.items())
        counts = f"{report.n_recordings} recordings, {report.n_patients} patients, {report.n_cycles} cycles"
        typer.echo(f"{report.dataset}: {counts} ({classes})")
        share = ", ".join(f"{part} {value:.1%}" for part, value in report.share.items())
        typer.echo(
            "This is the complete corpus." if report.complete else f"This is a part of the published corpus: {share}."
        )
    if not report.complete:
        raise typer.Exit(PARTLY_DONE)


@data.command()
def split(
    folder: Annotated[Path, FOLDER],
    split_name: Annotated[str | None, typer.Option("--split", help="Name of a split: `add4rsc list splits`.")] = None,
    task: Annotated[str | None, typer.Option(help="Task of the corpus; default: its first.")] = None,
    validation_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share carved out of training.")] = 0.2,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Divide a corpus and count: cycles and patients per subset, class and stethoscope; who is on both sides."""
    from add4rsc.datasets.opening import open_dataset
    from add4rsc.errors import UnknownNameError
    from add4rsc.protocol.split import fold_names, make_split

    dataset = open_dataset(folder)
    task = task or next(iter(dataset.tasks))
    if task not in dataset.tasks:
        raise UnknownNameError("task", task, dataset.tasks)
    names = fold_names(split_name or dataset.split_names[0])
    reports = [
        make_split(dataset, dataset.tasks[task], name, validation_share=validation_share).report() for name in names
    ]
    if as_json:
        print_json(reports[0] if len(reports) == 1 else {"folds": reports})
        return
    for report in reports:
        _print_split(report)


def _print_split(report: dict[str, Any]) -> None:
    subsets = report["subsets"]
    counts = ("n_recordings", "n_patients", "n_cycles")
    rows = [
        [name, *(str(subset[key]) for key in counts), *map(str, subset["cycles_per_class"].values())]
        for name, subset in subsets.items()
    ]
    columns = ["subset", "recordings", "patients", "cycles", *subsets["train"]["cycles_per_class"]]
    print_table(f"{report['split']}, {report['task']}", columns, rows)
    stethoscopes = sorted({key for subset in subsets.values() for key in subset["cycles_per_stethoscope"]})
    rows = [
        [name, *(str(subset["cycles_per_stethoscope"].get(key, 0)) for key in stethoscopes)]
        for name, subset in subsets.items()
    ]
    print_table("cycles per stethoscope", ["subset", *stethoscopes], rows)
    shared = report["patients_in_two_subsets"]
    if shared:
        listed = ", ".join(shared) if len(shared) <= 10 else f"{', '.join(shared[:10])} and {len(shared) - 10} more"
        n_cycles = report["test_cycles_of_training_patients"]
        typer.echo(f"Patients on both sides, as this split is known for: {listed} ({n_cycles} test cycles).")
    else:
        typer.echo("No patient is in two subsets.")


@data.command()
def synthesize(
    out: Annotated[Path, typer.Argument(help="Folder to write; made if missing.")],
    recordings: Annotated[int, typer.Option(min=8, help="How many recordings.")] = 24,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
) -> None:
    """Write made breath sounds with known crackles and wheezes, in the layout of ICBHI 2017."""
    from add4rsc.datasets.synthetic import synthesise

    synthesise(out, recordings, seed)
    typer.echo(f"{recordings} made recordings in {out}; use them as a corpus, such as `add4rsc data split {out}`.")
