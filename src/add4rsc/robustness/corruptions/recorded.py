"""Noise from a folder of recordings."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.audio.io import AUDIO_SUFFIXES, read_info, read_waveform
from add4rsc.errors import AudioError, WrongUsageError
from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import AdditiveNoise, CycleSound

LONGEST = 600.0
"""Seconds that are used of each clip."""
QUIET_END = 1e-4
"""A clip's ends are cut off where they stay below this share of its peak: published clips are padded with silence."""
FAINT = 0.01
"""A stretch of less power than this share of its clip's is drawn anew: amplified, it would be the recorder's hiss."""
N_DRAWS = 20


@corruptions.register("recorded")
class RecordedNoise(AdditiveNoise):
    """Recorded noise: clips of --noise-folder; the class is the name of a clip's folder, or its own at the top."""

    needs_noise_folder = True

    def __init__(self, sample_rate: int, noise_folder: Path | None = None) -> None:
        super().__init__(sample_rate, noise_folder)
        self._read: dict[Path, Float[ndarray, " sample"]] = {}

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """Class -> its clips in order of their names.

        Raises:
            WrongUsageError: if the folder is missing or holds no sound.
        """
        folder = self.noise_folder
        if folder is None or not folder.is_dir():
            raise WrongUsageError(f"Recorded noise needs --noise-folder, a folder of sound files; found {folder}.")
        found: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in AUDIO_SUFFIXES and path.name[0] != ".":
                name = path.stem if path.parent == folder else path.parent.name
                found.setdefault(name, []).append(path)
        if not found:
            raise WrongUsageError(f"--noise-folder {folder} holds no sound file. Put clips there, a folder a class.")
        return dict(sorted(found.items()))

    @property
    def noise_classes(self) -> tuple[str, ...]:
        """Names of the folders with clips in them, and of single clips."""
        return tuple(self.files)

    def digest(self, noise_class: str) -> str:
        """SHA-256 of a class' clips."""
        digest = hashlib.sha256()
        for path in self.files[noise_class]:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def noise(self, cycle: CycleSound, noise_class: str, generator: Generator) -> Float[ndarray, " sample"]:
        """A stretch of one clip of the class; a clip shorter than the cycle is looped."""
        paths = self.files[noise_class]
        clip = self._clip(paths[generator.integers(len(paths))])
        n_samples = len(cycle.waveform)
        power = float(np.var(clip))
        for _ in range(N_DRAWS):
            stretch = _stretch(clip, n_samples, generator.random())
            if np.var(stretch) >= FAINT * power:
                return stretch
        loudest = int(np.abs(clip).argmax())
        return np.take(clip, np.arange(loudest - n_samples // 2, loudest - n_samples // 2 + n_samples), mode="wrap")

    def _clip(self, path: Path) -> Float[ndarray, " sample"]:
        """A clip's samples at the wanted rate, without the silence at its ends.

        Raises:
            AudioError: if it cannot be read, or is silent.
        """
        if path not in self._read:
            duration = read_info(path).duration
            waveform = read_waveform(path, self.sample_rate, 0.0, LONGEST if duration > LONGEST else None)
            heard = np.flatnonzero(np.abs(waveform) > QUIET_END * np.abs(waveform).max())
            if not len(heard) or not np.var(waveform):
                raise AudioError(path, "is silent", "Take it out of the noise folder")
            self._read[path] = waveform[heard[0] : heard[-1] + 1]
        return self._read[path]


def _stretch(clip: Float[ndarray, " clip"], n_samples: int, place: float) -> Float[ndarray, " sample"]:
    """A stretch that begins at a place in [0, 1) of where it can, looped if the clip is too short."""
    if len(clip) >= n_samples:
        first = int(place * (len(clip) - n_samples + 1))
        return clip[first : first + n_samples]
    return np.resize(np.roll(clip, -int(place * len(clip))), n_samples)
