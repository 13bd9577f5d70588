"""Test cycles under a condition -> the frames that a network sees; kept on disk for further networks if asked."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.audio.crop import Crop
from add4rsc.audio.enhancement import Enhancement, enhance
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.robustness.conditions import CLEAN, Condition
from add4rsc.robustness.corruptions._base import AbstractCorruption, noise_generator
from add4rsc.robustness.sounds import NoiseBand, TestCycle, read_test_cycles
from add4rsc.storage import write_atomically
from add4rsc.terms import RespiratoryCycle

FRONT_END_BATCH = 4
"""Waveforms whose frames fit into a processor's cache together."""
FORMAT = 1
"""Part of every hash: raise it when the frames of the same settings change."""


@dataclass(frozen=True)
class HeardCycles:
    """Frames of every cycle, or of every window of one, and whose they are."""

    log_mel: Float[ndarray, "window time mel"]
    owners: Int[ndarray, " window"]


@dataclass(frozen=True)
class Listener:
    """Who hears the test cycles: everything that the frames depend on, but for the condition."""

    cycles: Sequence[RespiratoryCycle]
    crop: Crop
    front_end: FrontEnd
    made: Mapping[str, AbstractCorruption]
    enhancement: Enhancement = Enhancement.NONE
    noise_band: NoiseBand = NoiseBand.FRONT_END
    kept: Path | None = None
    """Where frames are kept; None keeps none."""

    @cached_property
    def sounds(self) -> list[TestCycle]:
        """The cycles as sound, read when they are first needed.

        Raises:
            AudioError: if a recording cannot be read.
            AnnotationError: if a cycle lies outside its recording.
        """
        return read_test_cycles(self.cycles, self.front_end.sample_rate, self.crop, self.noise_band)

    def hear(self, condition: Condition) -> HeardCycles:
        """The cycles under a condition.

        Raises:
            AudioError, AnnotationError: as `sounds`.
        """
        if self.kept is None:
            return self._heard(condition)
        path = self.kept / f"{self._key(condition)}.npz"
        if not path.exists():
            heard = self._heard(condition)
            write_atomically(path, lambda file: np.savez(file, log_mel=heard.log_mel, owners=heard.owners))
        with np.load(path) as file:
            return HeardCycles(file["log_mel"], file["owners"])

    def _heard(self, condition: Condition) -> HeardCycles:
        windows = [self._windows(each, condition) for each in self.sounds]
        owners = np.array([index for index, each in enumerate(windows) for _ in each], dtype=np.int64)
        crops = torch.from_numpy(np.stack([window for each in windows for window in each]))
        filter_bank = LogMelFilterBank(self.front_end)
        with torch.inference_mode():
            frames = [filter_bank(part) for part in crops.split(FRONT_END_BATCH)]
        return HeardCycles(torch.cat(frames).numpy(), owners)

    def _windows(self, cycle: TestCycle, condition: Condition) -> list[Float[ndarray, " crop"]]:
        """One cycle: corrupted, enhanced, then brought to the crop's length, or cut into windows of it."""
        sample_rate, changed = self.front_end.sample_rate, cycle.sound.waveform
        if condition.corruption != CLEAN:
            name, noise_class = condition.corruption, condition.noise_class
            generator = noise_generator(condition.noise_seed, name, noise_class, cycle.sound.cycle_id)
            changed = self.made[name].corrupt(cycle.sound, condition.level, noise_class, generator)
        changed = enhance(changed, sample_rate, self.enhancement)
        return cycle.windows(changed, sample_rate, self.crop)

    def _key(self, condition: Condition) -> str:
        """Hash of everything that the frames depend on."""
        name = condition.corruption
        noise = "" if name == CLEAN else self.made[name].digest(condition.noise_class)
        settings = [FORMAT, str(condition.stem), noise, self.enhancement.value, self.noise_band.value, self._content]
        settings += [self.crop.model_dump(exclude_none=True), self.front_end.stated()]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:40]

    @cached_property
    def _content(self) -> str:
        """Hash of the cycles and their recordings."""
        digest = hashlib.sha256(repr([(each.cycle_id, each.start, each.end) for each in self.cycles]).encode())
        for path in sorted({each.recording.path for each in self.cycles}):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()
