"""What was measured, on disk: settings, the cycles, and every condition's predictions. Needs no torch.

A folder holds `settings.json`, `cycles.csv` (one row a test cycle) and `predictions/CONDITION.npz` with the rows in the
same order: `decisions` (class index) and `probabilities` (half precision).
"""

import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray
from pydantic import Field, ValidationError

from add4rsc.errors import PredictionsError, RunFolderError
from add4rsc.metrics.runs import ONLY
from add4rsc.predictions import Predictions
from add4rsc.robustness.conditions import Condition
from add4rsc.storage import write_atomically, write_text
from add4rsc.terms import Settings

SETTINGS, CYCLES, PREDICTIONS = "settings.json", "cycles.csv", "predictions"
TABLES = ("robustness.csv", "summary.csv", "differences.csv")
FORMAT = 1
DEFAULT_FOLDER = "robustness"
CYCLE_COLUMNS = ("cycle_id", "recording", "patient", "start", "end", "label", "stethoscope", "chest_location")


class MeasuredSettings(Settings):
    """What the predictions of a folder have in common."""

    format: int = FORMAT
    recipe: str
    model: str
    """SHA-256 of the network's file."""
    dataset: str
    split: str
    task: str
    classes: tuple[str, ...]
    selection: str
    sample_rate: int
    """In hertz: the front-end's, at which noise is mixed."""
    enhancement: str = "none"
    noise_band: str = "front-end"
    noise: dict[str, str] = Field(default_factory=dict)
    """Noise class -> SHA-256 of its clips."""


@dataclass(frozen=True)
class Measured:
    """One folder of measured predictions, opened."""

    folder: Path
    settings: MeasuredSettings
    cycles: pd.DataFrame
    conditions: tuple[Condition, ...]

    def arrays(self, condition: Condition) -> tuple[Int[ndarray, " cycle"], Float[ndarray, "cycle class"]]:
        """Decisions and probabilities of every cycle under a condition.

        Raises:
            PredictionsError: if the file is damaged, or of other cycles.
        """
        path = self.folder / PREDICTIONS / f"{condition.stem}.npz"
        try:
            with np.load(io.BytesIO(path.read_bytes())) as file:
                decisions, probabilities = file["decisions"].astype(np.int64), file["probabilities"].astype(np.float64)
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise PredictionsError(f"{path}: cannot be read ({error}). Delete it and measure again.") from error
        if probabilities.shape != (len(self.cycles), len(self.settings.classes)) or len(decisions) != len(self.cycles):
            raise PredictionsError(f"{path}: is of other cycles than {CYCLES}. Delete it and measure again.")
        return decisions, probabilities

    def predictions(self, condition: Condition) -> Predictions:
        """The table of predictions under a condition, as `add4rsc evaluate` reads them; probabilities sum to 1."""
        decisions, probabilities = self.arrays(condition)
        shares = probabilities / probabilities.sum(axis=1, keepdims=True)
        classes = self.settings.classes
        columns = {"decision": np.array(classes)[decisions]}
        columns |= {f"p_{name}": shares[:, index] for index, name in enumerate(classes)}
        constants = {"split": self.settings.split, "selection": self.settings.selection}
        return Predictions(self.cycles.assign(**columns, **constants), classes)


def measured_conditions(folder: Path) -> tuple[Condition, ...]:
    """The conditions that a folder has predictions of, in order."""
    return tuple(sorted(Condition.of_stem(path.stem) for path in (folder / PREDICTIONS).glob("[!.]*.npz")))


def open_measured(folder: Path) -> Measured:
    """Open a folder of measured predictions.

    Raises:
        RunFolderError: if there are none, or their settings cannot be read.
    """
    try:
        settings = MeasuredSettings.model_validate_json((folder / SETTINGS).read_text())
        cycles = pd.read_csv(folder / CYCLES, dtype=dict.fromkeys(CYCLE_COLUMNS[:3], str), keep_default_na=False)
    except (OSError, ValidationError, ValueError) as error:
        raise RunFolderError(
            f"{folder}: its {SETTINGS} or {CYCLES} cannot be read ({str(error).splitlines()[0]}). "
            "Measure again with --overwrite."
        ) from error
    return Measured(folder, settings, cycles, measured_conditions(folder))


def measured_home(path: Path) -> Path:
    """Where a run's measurements are: the folder itself, or `robustness` in it.

    Raises:
        RunFolderError: if nothing was measured there.
    """
    for folder in (path, path / DEFAULT_FOLDER):
        if (folder / SETTINGS).is_file() or any(folder.glob(f"seed-*/{SETTINGS}")):
            return folder
    raise RunFolderError(
        f"{path}: nothing was measured there. Run: add4rsc robustness {path} --data-folder FOLDER --noise-folder FOLDER"
    )


def open_seeds(home: Path) -> dict[int, Measured]:
    """Training seed -> what was measured of it; of one run, itself.

    Raises:
        RunFolderError: if something cannot be read.
    """
    if (home / SETTINGS).is_file():
        return {ONLY: open_measured(home)}
    seeds = {each.parent.name.removeprefix("seed-"): each.parent for each in home.glob(f"seed-*/{SETTINGS}")}
    return {int(seed): open_measured(seeds[seed]) for seed in sorted(filter(str.isdecimal, seeds), key=int)}


def claim_measured(
    folder: Path, settings: MeasuredSettings, cycles: pd.DataFrame, *, resume: bool, overwrite: bool
) -> Measured:
    """Make a folder ours, or say why not; noise classes may be added to those that were measured before.

    Raises:
        RunFolderError: if it holds measurements and neither flag was given, or those of something else.
    """
    if overwrite:
        _clear(folder)
    if (folder / SETTINGS).is_file():
        before = open_measured(folder)
        if not resume:
            raise RunFolderError(
                f"{folder} holds {len(before.conditions)} measured conditions. Add to them with --resume, "
                "replace them with --overwrite, or choose another folder with -o."
            )
        settings = _joined(before, settings, cycles)
    _remove(folder, f".*.{'?' * 32}")
    if not (folder / SETTINGS).is_file():
        write_text(folder / CYCLES, cycles.to_csv(index=False))
    write_text(folder / SETTINGS, settings.model_dump_json(indent=2) + "\n")
    return open_measured(folder)


def _joined(before: Measured, settings: MeasuredSettings, cycles: pd.DataFrame) -> MeasuredSettings:
    """The settings with the noise classes of both.

    Raises:
        RunFolderError: if they differ otherwise, in a class' clips, or in the cycles.
    """
    differing = [
        name for name in MeasuredSettings.model_fields if getattr(before.settings, name) != getattr(settings, name)
    ]
    both = before.settings.noise.keys() & settings.noise.keys()
    differing = [name for name in differing if name != "noise"]
    differing += [
        f"the clips of '{name}'" for name in sorted(both) if before.settings.noise[name] != settings.noise[name]
    ]
    if list(before.cycles["cycle_id"]) != list(cycles["cycle_id"]):
        differing.append("cycles")
    if differing:
        raise RunFolderError(
            f"{before.folder} holds measurements of something else (different: {', '.join(differing)}). "
            "Replace them with --overwrite, or choose another folder with -o."
        )
    return settings.model_copy(update={"noise": dict(sorted((before.settings.noise | settings.noise).items()))})


def store_predictions(folder: Path, condition: Condition, probabilities: Float[ndarray, "cycle class"]) -> None:
    """Write a condition's predictions in one piece; the same bytes for the same values."""
    buffer = io.BytesIO()
    decisions = probabilities.argmax(axis=1).astype(np.uint8)
    np.savez_compressed(buffer, decisions=decisions, probabilities=probabilities.astype(np.float16))
    path = folder / PREDICTIONS / f"{condition.stem}.npz"
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def _clear(folder: Path) -> None:
    """Delete what was measured, and what was made of it."""
    for name in (SETTINGS, CYCLES, *TABLES, f"{PREDICTIONS}/*__*.npz"):
        for path in folder.glob(name):
            path.unlink()


def _remove(folder: Path, pattern: str) -> None:
    """Delete what a killed process was writing: files under the temporary names of `write_atomically`."""
    for place in ("", f"{PREDICTIONS}/"):
        for path in folder.glob(place + pattern):
            path.unlink()
