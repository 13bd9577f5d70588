"""Made breath sounds with known crackles and wheezes, for tests, the demo and sanity checks.

The corpus is in the layout of ICBHI 2017 and is opened as `icbhi2017`. Nothing in it is of a person: patients are
numbered from 901. Frequencies in hertz, times in seconds. Sounds follow the definitions of the CORSA guidelines
(Sovijarvi et al., Eur. Respir. Rev. 10:77, 2000): crackles are two-cycle deflections, fine ones of about 5 ms and
coarse ones of about 9 ms; wheezes are tones between 100 and 1000 Hz that last longer than 0.1 s.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.datasets._icbhi_files import (
    CHEST_LOCATIONS,
    DATABASE_FOLDER,
    CycleRow,
    write_patient_files,
    write_recording,
)
from add4rsc.errors import WrongUsageError
from add4rsc.terms import CycleLabel, Subset

FIRST_PATIENT = 901
RECORDINGS_PER_PATIENT = 3.5
TRAIN_SHARE = 0.6
CLASS_SHARES = (0.53, 0.27, 0.13, 0.07)
"""Of ICBHI 2017's 6,898 cycles."""
N_CYCLES = (5, 7)
"""Fewest and most cycles of a recording."""
CYCLE_DURATION = (2.4, 2.8)
DIAGNOSES = ("Healthy", "COPD", "Pneumonia", "Asthma")


@dataclass(frozen=True)
class Stethoscope:
    """What a stethoscope lets through: its rate, its pass band, and its own noise in dB below full scale."""

    name: str
    sample_rate: int
    low: float
    high: float
    noise_db: float


STETHOSCOPES = (
    Stethoscope("AKGC417L", 16_000, 30.0, 6000.0, -52.0),
    Stethoscope("Meditron", 10_000, 20.0, 3000.0, -46.0),
    Stethoscope("LittC2SE", 16_000, 60.0, 2500.0, -49.0),
    Stethoscope("Litt3200", 4_000, 40.0, 1200.0, -43.0),
)
"""The four of ICBHI 2017; only Litt3200's rate is the real one, the others are lowered to keep files small."""


def synthesise(folder: Path, n_recordings: int = 24, seed: int = 0) -> Path:
    """Write a corpus of made recordings, 12 to 20 s each, the same bytes for the same seed.

    Patients have three or four recordings and differ in pitch, heart rate and loudness; 60 % of them are for training.
    Every recording has all four classes.

    Args:
        folder: where to write; made if missing.
        n_recordings: two or more.
        seed: of everything that is drawn.

    Returns:
        The folder, to be opened as `icbhi2017`.

    Raises:
        WrongUsageError: if fewer than two recordings are asked for.
    """
    if n_recordings < 2:
        raise WrongUsageError(f"{n_recordings} recordings cannot be divided into train and test. Ask for 2 or more.")
    n_patients = max(2, round(n_recordings / RECORDINGS_PER_PATIENT))
    n_train = min(n_patients - 1, max(1, round(TRAIN_SHARE * n_patients)))
    (folder / DATABASE_FOLDER).mkdir(parents=True, exist_ok=True)
    subset_of: dict[str, Subset] = {}
    for index in range(n_recordings):
        nth, patient = divmod(index, n_patients)
        stethoscope = STETHOSCOPES[(patient + nth) % len(STETHOSCOPES)]
        location = CHEST_LOCATIONS[nth % len(CHEST_LOCATIONS)]
        stem = f"{FIRST_PATIENT + patient}_{1 + nth // len(CHEST_LOCATIONS)}b1_{location}_sc_{stethoscope.name}"
        generator = np.random.default_rng((seed, patient, 1 + nth))
        rows = draw_cycles(generator)
        waveform = make_recording(rows, stethoscope, _voice(seed, patient), generator)
        write_recording(folder / DATABASE_FOLDER, stem, waveform, stethoscope.sample_rate, rows)
        subset_of[stem] = Subset.TRAIN if patient < n_train else Subset.TEST
    patients = range(n_patients)
    demography = {
        str(FIRST_PATIENT + each): f"{40 + 3 * each} {'FM'[each % 2]} {21 + each % 9} NA NA" for each in patients
    }
    diagnosis = {str(FIRST_PATIENT + each): DIAGNOSES[each % len(DIAGNOSES)] for each in patients}
    write_patient_files(folder, dict(sorted(subset_of.items())), demography, diagnosis)
    return folder


@dataclass(frozen=True)
class Voice:
    """What is the same in all recordings of a patient."""

    wheeze_pitch: float
    corner: float
    """Above it the breath noise falls by 12 dB an octave."""
    heart_rate: float
    """Beats a second."""
    loudness: float


def _voice(seed: int, patient: int) -> Voice:
    draw = np.random.default_rng((seed, patient)).uniform
    return Voice(draw(160, 380), draw(250, 450), draw(1.0, 1.6), draw(0.5, 0.9))


def draw_cycles(generator: Generator) -> list[CycleRow]:
    """Draw the cycles of a recording, without gaps; the first four are of the four classes, in any order."""
    n_cycles = int(generator.integers(N_CYCLES[0], N_CYCLES[1], endpoint=True))
    classes = list(CycleLabel)
    drawn = generator.choice(len(classes), n_cycles - len(classes), p=CLASS_SHARES)
    labels = [classes[each] for each in (*generator.permutation(len(classes)), *drawn)]
    borders = np.round(np.cumsum([generator.uniform(0.1, 0.4), *generator.uniform(*CYCLE_DURATION, n_cycles)]), 3)
    return [CycleRow(float(borders[i]), float(borders[i + 1]), label) for i, label in enumerate(labels)]


def make_recording(
    rows: list[CycleRow], stethoscope: Stethoscope, voice: Voice, generator: Generator
) -> Float[ndarray, " sample"]:
    """Make the sound of some cycles as a stethoscope would give it, in [-1, 1]."""
    rate = stethoscope.sample_rate
    sound = np.zeros(math.ceil(5 * rows[-1].end + 1) * rate // 5)  # whole fifths of a second: quick to transform
    breath = _breath_noise(len(sound), rate, voice.corner, generator)
    for row in rows:
        cycle = slice(round(row.start * rate), round(row.end * rate))
        time = np.arange(cycle.stop - cycle.start) / rate
        sound[cycle] += breath[cycle] * _breathing(time, row.end - row.start)
        if row.label in (CycleLabel.CRACKLE, CycleLabel.BOTH):
            sound[cycle] += crackles(time, generator)
        if row.label in (CycleLabel.WHEEZE, CycleLabel.BOTH):
            sound[cycle] += wheeze(time, voice.wheeze_pitch, generator)
    sound += _heart(len(sound), rate, voice.heart_rate)
    heard = _band_pass(sound, stethoscope)
    heard *= voice.loudness / np.abs(heard).max()
    return heard + 10 ** (stethoscope.noise_db / 20) * generator.standard_normal(len(heard))


def wheeze(time: Float[ndarray, " sample"], pitch: float, generator: Generator) -> Float[ndarray, " sample"]:
    """A drifting tone with up to three harmonics below 1000 Hz, in the expiration of a cycle."""
    duration = time[-1]
    start, length = generator.uniform(0.42, 0.5) * duration, generator.uniform(0.3, 0.42) * duration
    inside = np.clip((time - start) / length, 0, 1)
    drift = generator.uniform(-0.15, 0.15)
    frequency = pitch * generator.uniform(0.9, 1.1) * (1 + drift * inside)
    phase = 2 * np.pi * np.cumsum(frequency) * (time[1] - time[0])
    tone = sum(np.sin(k * phase) / k for k in (1, 2, 3) if k * frequency.max() < 1000)
    return generator.uniform(0.5, 0.9) * np.sin(np.pi * inside) ** 0.5 * tone


def crackles(time: Float[ndarray, " sample"], generator: Generator) -> Float[ndarray, " sample"]:
    """Several damped two-cycle deflections, all fine or all coarse, in the inspiration of a cycle."""
    is_fine = generator.random() < 0.5
    two_cycles = 0.005 if is_fine else 0.009
    sound = np.zeros_like(time)
    for onset in generator.uniform(0.05, 0.42, generator.integers(8, 17)) * time[-1]:
        after = time - onset
        inside = (after >= 0) & (after < 2 * two_cycles)
        frequency = 2 / two_cycles * generator.uniform(0.85, 1.15)
        damped = np.exp(-2.5 * after[inside] / two_cycles) * np.sin(2 * np.pi * frequency * after[inside])
        sound[inside] += generator.uniform(1.2, 2.4) * damped
    return sound


def _breathing(time: Float[ndarray, " sample"], duration: float) -> Float[ndarray, " sample"]:
    """Loudness of one breath: inspiration, a weaker expiration, a pause."""
    inspiration = np.sin(np.pi * np.clip(time / (0.42 * duration), 0, 1)) ** 1.5
    expiration = np.sin(np.pi * np.clip((time / duration - 0.45) / 0.45, 0, 1)) ** 1.5
    return 0.35 * inspiration + 0.2 * expiration


def _breath_noise(n_samples: int, rate: int, corner: float, generator: Generator) -> Float[ndarray, " sample"]:
    """Noise of unit power that falls by 12 dB an octave above the corner."""
    spectrum = np.fft.rfft(generator.standard_normal(n_samples))
    spectrum /= 1 + (np.fft.rfftfreq(n_samples, 1 / rate) / corner) ** 2
    noise = np.fft.irfft(spectrum, n_samples)
    return noise / noise.std()


def _heart(n_samples: int, rate: int, beats: float) -> Float[ndarray, " sample"]:
    """Faint first and second heart sounds: short tones of 45 and 60 Hz."""
    time = np.arange(n_samples) / rate
    first, second = (
        np.exp(-((since / 0.025) ** 2)) * np.cos(2 * np.pi * tone * since)
        for since, tone in ((time % (1 / beats) - 0.1, 45), (time % (1 / beats) - 0.4, 60))
    )
    return 0.15 * (first + second)


def _band_pass(sound: Float[ndarray, " sample"], stethoscope: Stethoscope) -> Float[ndarray, " sample"]:
    """Keep the stethoscope's band, with slopes of 12 dB an octave."""
    frequency = np.maximum(np.fft.rfftfreq(len(sound), 1 / stethoscope.sample_rate), 1e-3)
    response = 1 / ((1 + (stethoscope.low / frequency) ** 2) * (1 + (frequency / stethoscope.high) ** 2))
    return np.fft.irfft(np.fft.rfft(sound) * response, len(sound))
