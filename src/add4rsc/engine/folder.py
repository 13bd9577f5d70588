"""The run folder: the names in it, and whose it is."""

import json
from collections.abc import Sequence
from pathlib import Path

from add4rsc.errors import RunFolderError, WrongUsageError
from add4rsc.recipe import Recipe
from add4rsc.storage import write_json, write_text

SUMMARY, RECIPE, RUN, PREDICTIONS = "summary.json", "recipe.json", "run.json", "predictions.csv"
VALIDATION = "validation.csv"
"""Predictions of the validation patients, by the weights that were chosen: what may be tuned on is in this table."""


SECOND_STAGE = "second-stage-*"
"""Stored features and checkpoint of the second stage of a method of two, by the rule of selection."""


def claim_folder(folder: Path, recipe: Recipe, seeds: Sequence[int], *, resume: bool, overwrite: bool) -> None:
    """Make the run folder ours, or say why not; writes `recipe.json`, and the seeds to `run.json`.

    Raises:
        RunFolderError: if it holds a run and neither `resume` nor `overwrite` was asked for, or one of another recipe
            or of other seeds.
        WrongUsageError: if both were asked for.
    """
    stored = folder / RECIPE
    if overwrite and resume:
        raise WrongUsageError("--resume and --overwrite exclude each other. Keep the one that you mean.")
    if overwrite or resume:
        _remove_unfinished(folder)
    if overwrite:
        _clear(folder)
    elif stored.exists() and not resume:
        state = "a finished run" if (folder / SUMMARY).exists() else "an unfinished run"
        raise RunFolderError(
            f"{folder} holds {state}. Go on with --resume, replace it with --overwrite, or choose another."
        )
    elif stored.exists() and (differences := _differences(folder, recipe, seeds)):
        raise RunFolderError(
            f"{folder} holds a run of another recipe (different: {', '.join(differences)}). "
            "Resume with the same settings, replace it with --overwrite, or choose another folder."
        )
    write_text(stored, recipe.model_dump_json(indent=2) + "\n")
    if not (folder / SUMMARY).exists() or len(seeds) > 1:
        write_json(folder / RUN, {"seeds": list(seeds)})


def _differences(folder: Path, recipe: Recipe, seeds: Sequence[int]) -> list[str]:
    """What the run in a folder was started with that is not asked for now; seeds may be added to several.

    Raises:
        RunFolderError: if its files cannot be read.
    """
    try:
        other = Recipe.model_validate_json((folder / RECIPE).read_text())
        run = json.loads((folder / RUN).read_text()) if (folder / RUN).exists() else {}
        stored = run.get("seeds") or [run.get("seed", seeds[0])]
    except (ValueError, OSError, AttributeError) as error:
        raise RunFolderError(
            f"{folder}: its {RECIPE} or {RUN} cannot be read ({str(error).splitlines()[0]}). "
            "Replace the run with --overwrite, or choose another folder."
        ) from error
    changed = [key for key in Recipe.model_fields if getattr(other, key) != getattr(recipe, key)]
    several = min(len(stored), len(seeds)) > 1
    same_seeds = set(stored) <= set(seeds) if several else list(stored) == list(seeds)
    return changed if same_seeds else [*changed, f"seeds {','.join(map(str, stored))}"]


def _clear(folder: Path) -> None:
    """Delete what a run has written, and nothing else."""
    inner = [f"{part}/**/*.{kind}" for part in ("device-*", SECOND_STAGE) for kind in ("safetensors", "csv", "npy")]
    for pattern in ("checkpoint/*.safetensors", "*.json", "*.csv", "model.safetensors", *inner):
        _remove(folder, pattern)


def _remove_unfinished(folder: Path) -> None:
    """Delete what a killed process was writing: files under the temporary names of `write_atomically`."""
    for place in ("", "checkpoint/", "device-*/**/", f"{SECOND_STAGE}/**/"):
        _remove(folder, f"{place}.*.{'?' * 32}")


def _remove(folder: Path, pattern: str) -> None:
    """Delete the files of a name in the run folder and in those of its seeds and folds."""
    for place in ("", "seed-*/", "fold-*/", "seed-*/fold-*/"):
        for path in folder.glob(place + pattern):
            path.unlink()
