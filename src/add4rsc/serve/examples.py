"""Made breaths to try the page with: nothing in them is of a person."""

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import soundfile

from add4rsc.datasets._icbhi_files import CycleRow
from add4rsc.datasets.synthetic import STETHOSCOPES, Voice, make_recording
from add4rsc.terms import CycleLabel

PATIENT = 901
BREATH = 2.6
"""Seconds of each."""
VOICE = Voice(wheeze_pitch=260.0, corner=350.0, heart_rate=1.2, loudness=0.7)
STETHOSCOPE = STETHOSCOPES[0]
_N, _C, _W, _B = CycleLabel


@dataclass(frozen=True)
class Example:
    """A made recording; `labels` are those of its breaths."""

    name: str
    location: str
    labels: tuple[CycleLabel, ...]
    seed: int

    @property
    def file(self) -> str:
        """Its name, of the form of ICBHI 2017's."""
        return f"{PATIENT}_1b1_{self.location}_sc_Made.wav"

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return soundfile.info(io.BytesIO(self.content)).duration

    @cached_property
    def content(self) -> bytes:
        """A WAV file."""
        rows = [CycleRow(at * BREATH, (at + 1) * BREATH, label) for at, label in enumerate(self.labels)]
        waveform = make_recording(rows, STETHOSCOPE, VOICE, np.random.default_rng((PATIENT, self.seed)))
        file = io.BytesIO()
        soundfile.write(file, waveform, STETHOSCOPE.sample_rate, format="WAV", subtype="PCM_16")
        return file.getvalue()


EXAMPLES = (
    Example("normal breaths", "Al", (_N, _N, _N, _N, _N), 1),
    Example("breaths with crackles", "Pr", (_C, _C, _N, _C, _C), 2),
    Example("breaths with wheezes", "Ar", (_W, _N, _W, _W, _W), 3),
    Example("all four kinds of breaths", "Tc", (_N, _C, _W, _B, _N), 4),
)
