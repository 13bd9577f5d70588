"""Recorded noise for training: sound files -> log-mel frames, kept in memory."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.audio.io import AUDIO_SUFFIXES, read_waveform
from add4rsc.augment.noise import NoiseAugmentation
from add4rsc.errors import RecipeError


def prepare_noise(settings: NoiseAugmentation, front_end: FrontEnd) -> tuple[Float[Tensor, "clip_time mel"], ...]:
    """Log-mel frames of every noise recording that the settings name; none if they name no folder.

    Raises:
        RecipeError: if the folder, or one of the classes, has no sound file.
        AudioError: if a file cannot be read.
    """
    if settings.folder is None or settings.is_off:
        return ()
    filter_bank = LogMelFilterBank(front_end)
    clips = []
    for path in _sound_files(settings):
        waveform = torch.from_numpy(read_waveform(path, front_end.sample_rate))
        with torch.inference_mode():
            clips.append(filter_bank(waveform[None])[0].clone())
    return tuple(clips)


def _sound_files(settings: NoiseAugmentation) -> list[Path]:
    """The files in order of their names, so that every machine draws the same."""
    folder = Path(settings.folder or "")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    by_class = {name: [path for path in files if name in (path.stem, path.parent.name)] for name in settings.classes}
    empty = [name for name, members in by_class.items() if not members]
    if not files or empty:
        missing = f"no sound file of the class {empty[0]}" if files else "no sound file"
        raise RecipeError(
            f"{folder}: has {missing} to mix in as noise. Classes are sub-folders or file names without their ending; "
            "correct --set noise.folder= or noise.classes=, or leave them out: training makes noise of its own."
        )
    return files if not settings.classes else sorted({path for members in by_class.values() for path in members})
