"""`add4rsc export`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_json
from add4rsc.terms import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from add4rsc.export.exporting import ExportReport


class Rule(StrEnum):
    """How probabilities are calibrated; the values are those of `CalibrationRule`, which needs torch."""

    NONE = "none"
    TEMPERATURE = "temperature"
    VECTOR = "vector"


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder; of several seeds, one of theirs, or see --ensemble.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("model.onnx"),
    data_folder: Annotated[
        Path | None, typer.Option(help="The run's corpus: to check on real cycles, calibrate, and score int8.")
    ] = None,
    calibration: Annotated[
        Rule, typer.Option(help="Fitted on the run's validation patients; needs --data-folder.")
    ] = Rule.TEMPERATURE,
    int8: Annotated[
        bool, typer.Option("--int8", help="Eight-bit weights and activations: smaller, less exact.")
    ] = False,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="RUN has several seeds: write them as one network.")
    ] = False,
    shifts: Annotated[
        int, typer.Option(help="Hear every cycle from so many starts, one after another, and take the mean.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a run's front-end and network as one ONNX file that needs no torch, with its labels and provenance."""
    from add4rsc.engine.calibrate import CalibrationRule
    from add4rsc.export.exporting import ExportSettings, export_run

    settings = ExportSettings(data_folder, CalibrationRule(calibration.value), int8, ensemble, shifts)
    report = export_run(run, out, settings)
    if as_json:
        print_json(_as_object(report))
    else:
        for line in _lines(report):
            typer.echo(line)


def _as_object(report: "ExportReport") -> dict[str, Any]:
    scores = report.int8_scores
    return {
        "path": str(report.path),
        "n_bytes": report.n_bytes,
        "largest_difference": report.largest_difference,
        "n_checked": report.n_checked,
        "on_real_cycles": report.on_real_cycles,
        "model": report.description.model_dump(),
        "int8": None if scores is None else {"score_float32": scores[0].score, "score_int8": scores[1].score},
    }


def _lines(report: "ExportReport") -> list[str]:
    description = report.description
    kind = "real" if report.on_real_cycles else "made"
    lines = [
        f"{report.path}: {report.n_bytes / 1e6:.1f} MB, {description.name}, classes {', '.join(description.classes)}, "
        f"{description.crop.duration:g} s at {description.sample_rate} Hz",
        f"Logits of {report.n_checked} {kind} cycles differ from the run's by at most "
        f"{report.largest_difference:.1e} of the largest.",
        f"Calibration: {description.notes['calibration']}.",
    ]
    if report.calibration is not None:
        lines.append(f"Temperature {description.temperature:.3f}; thresholds {_listed(description.thresholds)}.")
    if report.int8_scores is not None:
        before, after = (each.score for each in report.int8_scores)
        lines.append(f"Test score {before:.4f} in float32, {after:.4f} in int8: {after - before:+.4f}.")
    elif "quantisation" in description.notes:
        lines.append("The score of int8 was not measured: pass --data-folder.")
    return [*lines, RESEARCH_USE_ONLY]


def _listed(thresholds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in thresholds.items()) or "none"
