"""What a batch folder keeps of how its batch is done, so that it goes on, and joins with others, in one way only."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from add4rsc.errors import RunFolderError
from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference.illustration import Draw
from add4rsc.inference.listing import Source
from add4rsc.inference.pipeline import Choices
from add4rsc.inference.result import FileProblem
from add4rsc.storage import write_json
from add4rsc.terms import RESEARCH_USE_ONLY

SETTINGS = "batch.json"
FORMAT = 1
"""Of the batch folder."""


@dataclass(frozen=True)
class Plan:
    """How a batch is done; all but `resume` and `draw` is kept in its folder, and compared when the batch goes on."""

    model: str
    """Fingerprint of the model."""
    formats: tuple[str, ...] = ("csv",)
    choices: Choices = field(default_factory=Choices)
    shard: tuple[int, int] = (1, 1)
    resume: bool = False
    """Go on with what is in the folder."""
    denoised: bool = False
    """Write the denoised view of each recording too."""
    draw: Draw | None = None
    """Draws it; None leaves the picture out."""


def settings_of(
    classifier: AbstractClassifier, sources: Sequence[Source], plan: Plan, unlisted: Sequence[FileProblem]
) -> dict[str, Any]:
    """What a batch folder keeps of its batch."""
    listing = "\n".join(source.name for source in sources)
    choices = plan.choices
    return {
        "format": FORMAT,
        "notice": RESEARCH_USE_ONLY,
        "model": plan.model,
        "model_name": classifier.name,
        "classes": list(classifier.classes),
        "notes": classifier.notes,
        "cycles": choices.cycles,
        "threshold": choices.threshold,
        "patient": choices.patient_pattern,
        "smoothing": choices.smoothing or None,
        "formats": list(plan.formats),
        "denoised": plan.denoised,
        "shard": list(plan.shard),
        "n_listed": len(sources),
        "listing": hashlib.sha256(listing.encode()).hexdigest(),
        "unlisted": [problem.row() for problem in unlisted],
    }


def open_folder(folder: Path, settings: dict[str, Any], resume: bool) -> None:
    """Make a batch folder, or check that it holds this batch.

    Raises:
        RunFolderError: if it holds another one, or one that was not asked to go on.
    """
    path = folder / SETTINGS
    if path.is_file():
        if not resume:
            raise RunFolderError(f"{folder} holds a batch already. Go on with --resume, or choose another folder.")
        earlier = read_settings(folder)
        may_grow = {"n_listed", "listing", "unlisted"} if settings["shard"] == [1, 1] else set()
        changed = [key for key in settings if key not in may_grow and earlier.get(key) != settings[key]]
        if changed:
            raise RunFolderError(
                f"{folder} holds a batch with another {', '.join(changed)}. --resume goes on with the same command; "
                "choose another folder for a new one."
            )
    write_json(path, settings)


def read_settings(folder: Path) -> dict[str, Any]:
    """What `settings_of` gave, as a folder has kept it.

    Raises:
        RunFolderError: if the folder holds no batch.
    """
    path = folder / SETTINGS
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{folder} holds no batch ({path.name} cannot be read). Pass a folder of `predict -o`."
        ) from error
