"""`add4rsc robustness`: test under noise, and tell what was measured."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from add4rsc.cli._app import PARTLY_DONE, app
from add4rsc.errors import WrongUsageError

if TYPE_CHECKING:
    from add4rsc.audio.enhancement import Enhancement
    from add4rsc.robustness.conditions import Grid
    from add4rsc.robustness.sounds import NoiseBand


Choice = TypeVar("Choice", bound=StrEnum)


@app.command()
def robustness(
    run: Annotated[Path, typer.Argument(help="A run folder; without --data-folder, one that was measured before.")],
    data_folder: Annotated[
        Path | None, typer.Option(help="The run's corpus, to measure on. Without it, what is stored is told.")
    ] = None,
    noise_folder: Annotated[
        Path | None, typer.Option(help="Sound files of recorded noise; the class is the folder that a clip is in.")
    ] = None,
    corruptions: Annotated[
        str, typer.Option(help="Such as white,recorded (`add4rsc list corruptions`); default all, and clean always.")
    ] = "",
    noise_classes: Annotated[str, typer.Option(help="Of recorded noise, such as rain,babble; default all.")] = "",
    snr: Annotated[str, typer.Option(help="Decibels, of everything that is mixed; default 20,10,5,0,-5.")] = "",
    levels: Annotated[
        list[str] | None, typer.Option(metavar="NAME=LEVELS", help="Of one corruption, such as clipping=0.01,0.1.")
    ] = None,
    noise_seeds: Annotated[
        int | None, typer.Option(min=1, help="Draws of every random corruption; default 3 to measure, all to tell.")
    ] = None,
    enhance: Annotated[str, typer.Option(help="Clean first: none, spectral-subtraction or wiener.")] = "none",
    noise_band: Annotated[
        str,
        typer.Option(
            help="Mix noise up to half the rate of the front-end, or of each recording: front-end, recording."
        ),
    ] = "front-end",
    against: Annotated[
        list[Path] | None, typer.Option(help="A measured run to compare with RUN; can be given several times.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder to write; default RUN/robustness, or robustness-ENHANCE.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    keep_frames: Annotated[
        bool,
        typer.Option("--keep-frames", help="Keep what is heard on disk, some 40 MB a condition, for further runs."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Add what is missing to what was measured.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Measure everything anew.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a run's test cycles under noise, muffling and clipping, with intervals over patients; compare runs."""
    from add4rsc.audio.enhancement import Enhancement
    from add4rsc.cli._robustness_output import tell
    from add4rsc.robustness.conditions import Grid
    from add4rsc.robustness.levels import read_levels, read_named_levels
    from add4rsc.robustness.sounds import NoiseBand
    from add4rsc.robustness.stored import measured_home

    grid = Grid(
        _names(corruptions),
        _names(noise_classes),
        read_levels(snr, "--snr") if snr else (),
        read_named_levels(levels or []),
        noise_seeds,
        noise_folder,
    )
    grid.check_names()
    rule = _read_member(Enhancement, "--enhance", enhance)
    band = _read_member(NoiseBand, "--noise-band", noise_band)
    if data_folder is not None:
        target = out or run / ("robustness" if rule.value == "none" else f"robustness-{rule.value}")
        _measure(run, target, (data_folder, grid, rule, band), (resume, overwrite, keep_frames), accelerator)
        first = target
    elif resume or overwrite or rule.value != "none":
        raise WrongUsageError("--resume, --overwrite and --enhance are for measuring. Pass --data-folder too.")
    else:
        first = run
    if tell(first, against or [], grid, out or measured_home(first), as_json=as_json):
        raise typer.Exit(PARTLY_DONE)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _read_member(kind: type[Choice], option: str, name: str) -> Choice:
    try:
        return kind(name)
    except ValueError as error:
        known = ", ".join(each.value for each in kind)
        raise WrongUsageError(f"{option} {name}: expected one of {known}.") from error


def _measure(
    run: Path,
    target: Path,
    what: tuple[Path, "Grid", "Enhancement", "NoiseBand"],
    flags: tuple[bool, bool, bool],
    accelerator: str,
) -> None:
    """Measure a run into a folder, with a bar.

    Raises:
        WrongUsageError: if --resume and --overwrite are both given.
    """
    from add4rsc.cli._robustness_output import ConditionProgress
    from add4rsc.robustness.measuring import MeasureSettings, measure_run

    resume, overwrite, keeps = flags
    if resume and overwrite:
        raise WrongUsageError("--resume and --overwrite exclude each other. Keep the one that you mean.")
    data_folder, grid, rule, band = what
    grid.chosen()
    with ConditionProgress() as progress:
        settings = MeasureSettings(data_folder, grid, rule, band, resume, overwrite, accelerator, keeps, progress)
        measure_run(run, target, settings)
