"""A run folder -> what its exported network says of itself."""

import json
from pathlib import Path
from typing import Any

from add4rsc.engine.calibrate import Calibration
from add4rsc.engine.folder import RUN, SUMMARY
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.shifting import SHIFTS, count_shifts
from add4rsc.inference.onnx_model import ModelDescription
from add4rsc.inference.torch_filter import describe_frames, open_mel_filter
from add4rsc.recipe import Recipe
from add4rsc.storage import last_parts

SCORES = ("specificity", "sensitivity", "score", "score_binary")


def describe(
    run: TrainedRun, calibration: Calibration | None, tested: dict[str, Any] | None = None
) -> ModelDescription:
    """Classes, rates, calibration and provenance of a run.

    Args:
        run: one, or an ensemble.
        calibration: of its probabilities.
        tested: scores of its test, as `metrics.evaluation` has them; None for those in the run folder, which are not of
            a network that hears cycles from several starts.
    """
    return ModelDescription(
        name=run.recipe.name,
        classes=run.classes,
        sample_rate=run.front_end.sample_rate,
        crop=run.recipe.crop,
        temperature=calibration.temperature if calibration else 1.0,
        thresholds=calibration.thresholds if calibration else {},
        notes=_provenance(run, tested) | {"calibration": describe_calibration(calibration)},
        mel_frames=None if open_mel_filter(run) is None else describe_frames(run.front_end),
    )


def describe_calibration(calibration: Calibration | None) -> str:
    """How the probabilities were calibrated, in a line."""
    if calibration is None:
        return "none: probabilities are as the network learnt them"
    before, after = calibration.calibration_error
    return (
        f"{calibration.rule.value} scaling on {calibration.n_cycles} cycles of validation patients; "
        f"expected calibration error {before:.4f} before, {after:.4f} after"
    )


def _provenance(run: TrainedRun, tested: dict[str, Any] | None) -> dict[str, str]:
    """Data, split, commit and test scores, as far as the run folder, or those of its members, have them."""
    recipe, is_shifted = run.recipe, count_shifts(run) > 1
    summary = tested or ({} if is_shifted else _read_json(run.folder / SUMMARY))
    of_runs = [_read_json(each.folder / RUN) for each in run.members or (run,)]
    notes = {
        "recipe": recipe.name,
        "dataset": recipe.dataset,
        "task": recipe.task,
        "split": recipe.split,
        "selection": recipe.selection.description,
        "members": str(len(run.members) or ""),
        SHIFTS: count_shifts(run) if is_shifted else None,
        **{key: _of_members(of_runs, key) for key in ("seed", "epoch", "commit", "data_checksum")},
        **{f"test_{key}": summary.get(key) for key in ("n_cycles", "n_patients")},
        **{f"test_{name}": _with_interval(summary, name) for name in SCORES},
        "recipe_json": without_places(recipe).model_dump_json(),
    }
    return {key: str(value) for key, value in notes.items() if value not in (None, "")}


def without_places(recipe: Recipe) -> Recipe:
    """A recipe whose folders are named by their last two parts: a model goes to others, whose disks are other ones."""
    options = {key: last_parts(value) if key == "teacher" else value for key, value in recipe.options.items()}
    noise = recipe.noise.model_copy(update={"folder": last_parts(recipe.noise.folder)})
    of_weights = {"weights": last_parts(recipe.weights), "start_from": last_parts(recipe.start_from)}
    return recipe.model_copy(update={"options": options, "noise": noise, **of_weights})


def _of_members(of_runs: list[dict[str, Any]], key: str) -> str:
    """One value where all have the same, all of them otherwise."""
    values = [str(each[key]) for each in of_runs if key in each]
    return values[0] if len(set(values)) == 1 else ", ".join(values)


def _with_interval(summary: dict[str, Any], name: str) -> str:
    value, interval = summary.get(name), summary.get("intervals", {}).get(name)
    if not isinstance(value, float):
        return ""
    if interval is None or None in interval:
        return f"{value:.4f}"
    return f"{value:.4f} (95 % interval over patients {interval[0]:.4f} to {interval[1]:.4f})"


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}
