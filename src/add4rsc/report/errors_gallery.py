"""The errors that a run was surest of: which cycles, how they look, and how they sound.

Pictures and clips need the recordings. They are made with numpy alone, so that a report needs no torch; the pictures
are for the eye, and are not the frames that the network saw.
"""

import base64
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.io import AUDIO_SUFFIXES, read_info, read_waveform
from add4rsc.datasets.opening import open_dataset
from add4rsc.errors import AudioError, DatasetNotFoundError
from add4rsc.metrics.sprsound import judged
from add4rsc.predictions import Predictions

SAMPLE_RATE = 8000
"""Of clips and pictures: lungs say little above 4 kHz, and a page with them stays small."""
LONGEST_CLIP = 5.0
"""Seconds; so a clip is 80 kB."""
PEAK = 0.9
N_MELS, N_FFT, FRAME_SHIFT = 64, 256, 64
"""Of the pictures: frames of 32 ms, every 8 ms."""
LOWEST = 50.0
"""Lower edge of the pictures in hertz."""
FLOOR_DB = -80.0
MOST_OF_A_PATIENT = 2


@dataclass(frozen=True)
class ConfidentError:
    """A wrong decision, and how probable the network thought it; times in seconds."""

    cycle_id: str
    recording: str
    patient: str
    start: float
    end: float
    label: str
    decision: str
    confidence: float
    of_label: float


@dataclass(frozen=True)
class Clip:
    """How an error sounds and looks."""

    audio: str
    """A WAV file as a data URI, its peak brought to the same level."""
    duration: float
    picture: Float[ndarray, "mel frame"]
    mel_edges: tuple[float, float]


def most_confident_errors(predictions: Predictions, n_errors: int) -> list[ConfidentError]:
    """The wrong decisions with the highest probability, at most two of a patient.

    Rows of poor quality are no errors.
    """
    table, probabilities = predictions.table, predictions.probabilities
    rows = np.arange(len(table))
    confidence = probabilities[rows, predictions.decisions]
    of_label = probabilities[rows, predictions.labels]
    rated = judged(predictions.labels, predictions.classes)
    wrong = np.flatnonzero(rated & (predictions.labels != predictions.decisions))
    found: list[ConfidentError] = []
    of_patient: Counter[str] = Counter()
    for index in wrong[np.argsort(-confidence[wrong], kind="stable")]:
        row = table.iloc[int(index)]
        if len(found) == n_errors:
            break
        if of_patient[row["patient"]] == MOST_OF_A_PATIENT:
            continue
        of_patient[row["patient"]] += 1
        found.append(
            ConfidentError(
                cycle_id=row["cycle_id"],
                recording=row["recording"],
                patient=row["patient"],
                start=float(row["start"]),
                end=float(row["end"]),
                label=row["label"],
                decision=row["decision"],
                confidence=float(confidence[index]),
                of_label=float(of_label[index]),
            )
        )
    return found


def find_recordings(folder: Path) -> dict[str, Path]:
    """Recording id -> sound file, of a known corpus or of any folder of sound files.

    Raises:
        DatasetNotFoundError: if the folder holds no sound at all.
    """
    try:
        return {recording.recording_id: recording.path for recording in open_dataset(folder).recordings()}
    except DatasetNotFoundError:
        paths = sorted(folder.rglob("*")) if folder.is_dir() else []
        found = {path.stem: path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES}
        if not found:
            raise
        return found


def make_clip(error: ConfidentError, recordings: Mapping[str, Path]) -> Clip | str:
    """Sound and picture of an error; where the recording is absent or cannot be read, words that say so."""
    path = recordings.get(error.recording)
    if path is None:
        return "The recording is not in the folder."
    end = min(error.end, error.start + LONGEST_CLIP)
    try:
        waveform = read_waveform(path, SAMPLE_RATE, error.start, end)
        highest = min(SAMPLE_RATE, read_info(path).sample_rate) / 2
    except AudioError as problem:
        return f"The recording cannot be read: {problem.problem}."
    picture, edges = log_mel_picture(waveform, highest)
    return Clip(_as_wav(waveform), len(waveform) / SAMPLE_RATE, picture, edges)


def _as_wav(waveform: Float[ndarray, " sample"]) -> str:
    loudest = float(np.abs(waveform).max())
    buffer = io.BytesIO()
    soundfile.write(
        buffer, waveform * (PEAK / loudest if loudest else 1.0), SAMPLE_RATE, format="WAV", subtype="PCM_16"
    )
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()


def log_mel_picture(
    waveform: Float[ndarray, " sample"], highest: float
) -> tuple[Float[ndarray, "mel frame"], tuple[float, float]]:
    """Mel band energies in decibels below the loudest one, at `SAMPLE_RATE`, and the bands' outer edges in mel.

    Args:
        waveform: samples at `SAMPLE_RATE`.
        highest: upper edge in hertz: above it the recording holds nothing.
    """
    missing = max(0, N_FFT - len(waveform))
    padded = np.pad(waveform, (missing // 2, missing - missing // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::FRAME_SHIFT]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT), axis=1)) ** 2
    low, high = _mel(np.array([LOWEST, highest]))
    edges = (float(low), float(high))
    energies = power @ _mel_weights(edges)
    loudest = energies.max()
    decibels = 10 * np.log10(np.maximum(energies / loudest, 10 ** (FLOOR_DB / 10)) if loudest > 0 else energies + 1e-8)
    return decibels.T, edges


def _mel_weights(edges: tuple[float, float]) -> Float[ndarray, "bin mel"]:
    """Triangles that are linear in mel; a band that is narrower than a bin takes the nearest bin."""
    bins = _mel(np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT)
    corners = np.linspace(*edges, N_MELS + 2)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins[:, None] - left) / (centre - left), (right - bins[:, None]) / (right - centre)
    weights = np.clip(np.minimum(rising, falling), 0, None)
    for band in np.flatnonzero(weights.sum(axis=0) == 0):
        weights[np.abs(bins - centre[band]).argmin(), band] = 1.0
    return weights / weights.sum(axis=0)


def _mel(hertz: Float[ndarray, " *bin"]) -> Float[ndarray, " *bin"]:
    return 1127.0 * np.log1p(hertz / 700.0)
