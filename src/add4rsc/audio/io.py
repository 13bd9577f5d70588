"""Read sound: any file that libsndfile knows -> mono float32 at the wanted sample rate."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float
from numpy import ndarray

from add4rsc.errors import AudioError

SKIPPED_AT_ONCE = 1_000_000
"""Frames that are decoded and dropped at once where a codec cannot be sought."""

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64", ".caf"})

RESAMPLING_MARGIN = 0.1
"""Seconds read on either side of a stretch, so that its edges are resampled as in the whole file."""

REPLACE = "Copy the file again from its source, or leave it out"


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file's header says; `duration` in seconds."""

    sample_rate: int
    n_channels: int
    n_frames: int
    encoding: str

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.sample_rate


def read_info(path: Path) -> AudioInfo:
    """Read the header of a sound file.

    Raises:
        AudioError: if the file is missing, empty, not sound, or shorter than its header says.
    """
    with _open(path) as file:
        info = AudioInfo(file.samplerate, file.channels, file.frames, f"{file.format} {file.subtype}")
    if info.n_frames == 0:
        raise AudioError(path, "holds no samples", REPLACE)
    missing = _missing_wav_bytes(path)
    if missing:
        raise AudioError(path, f"is cut off: {missing} bytes that its header promises are missing", REPLACE)
    return info


def read_waveform(
    path: Path, sample_rate: int, start: float = 0.0, end: float | None = None
) -> Float[ndarray, " sample"]:
    """Read a stretch of a recording as mono at `sample_rate`, decoding no more of the file than that stretch.

    Channels are averaged. Integer encodings are scaled to [-1, 1). The samples are those that resampling the whole file
    would give from index `int(start * sample_rate)` to `int(end * sample_rate)`.

    Args:
        path: a file of any format, rate and channel count that libsndfile reads.
        sample_rate: wanted rate in hertz.
        start: first second.
        end: last second; None reads to the end of the file, and a later time than that is cut to it.

    Raises:
        AudioError: if the file cannot be read, is cut off, holds values that are not numbers, or ends before `start`.
    """
    info = read_info(path)
    last = info.duration if end is None else min(end, info.duration)
    if not 0 <= start < last or int(start * sample_rate) == int(last * sample_rate):
        raise AudioError(path, f"has {info.duration:.3f} s, nothing between {start} and {end} s", "Correct the times")
    first_frame, n_frames = _native_stretch(info, sample_rate, start, last)
    native = _read_frames(path, first_frame, n_frames)
    waveform = native if info.sample_rate == sample_rate else soxr.resample(native, info.sample_rate, sample_rate, "HQ")
    offset = round(first_frame * sample_rate / info.sample_rate)
    begin = int(start * sample_rate) - offset
    stop = int(last * sample_rate) - offset if end is not None else None
    return np.ascontiguousarray(waveform[begin:stop], dtype=np.float32)


def _native_stretch(info: AudioInfo, sample_rate: int, start: float, end: float) -> tuple[int, int]:
    """First frame and number of frames to read; the first falls on a whole output sample."""
    step = info.sample_rate // math.gcd(info.sample_rate, sample_rate)
    margin = 0.0 if info.sample_rate == sample_rate else RESAMPLING_MARGIN
    first = max(0, math.floor((start - margin) * info.sample_rate)) // step * step
    last = min(info.n_frames, math.ceil((end + margin) * info.sample_rate))
    return first, last - first


def _read_frames(path: Path, first: int, n_frames: int) -> Float[ndarray, " frame"]:
    """Decode some frames and average the channels.

    Raises:
        AudioError: if the decoder stops early, or a value is not a number.
    """
    with _open(path) as file:
        try:
            _skip(file, first)
            samples = file.read(n_frames, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AudioError(path, f"cannot be decoded ({error})", REPLACE) from error
    if len(samples) < n_frames and not str(path).lower().endswith(".mp3"):  # an MP3 header's length is an estimate
        raise AudioError(path, f"is cut off: {n_frames - len(samples)} frames are missing", REPLACE)
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    n_bad = int(np.count_nonzero(~np.isfinite(mono)))
    if n_bad:
        raise AudioError(path, f"holds {n_bad} samples that are not finite numbers", "Export it again as 16-bit PCM")
    return mono


def _skip(file: soundfile.SoundFile, n_frames: int) -> None:
    """Go on to a frame; telephone codecs that cannot be sought are decoded up to there."""
    if n_frames and file.seekable():
        file.seek(n_frames)
        return
    while n_frames:
        n_frames -= len(file.read(min(n_frames, SKIPPED_AT_ONCE))) or n_frames


def _open(path: Path) -> soundfile.SoundFile:
    """Open a sound file.

    Raises:
        AudioError: if it is missing, empty or not sound.
    """
    if not path.is_file():
        raise AudioError(path, "does not exist", "Check the name")
    try:
        if path.stat().st_size == 0:
            raise AudioError(path, "is empty (0 bytes)", REPLACE)
        with path.open("rb"):  # soundfile does not tell a file that may not be read from one that is no sound
            return soundfile.SoundFile(path)
    except PermissionError as error:
        raise AudioError(path, "may not be read", "Change its permissions") from error
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AudioError(path, f"is not a sound file that can be read ({error})", REPLACE) from error


def _missing_wav_bytes(path: Path) -> int:
    """How many bytes of a WAV file's data the header promises but the file lacks; 0 for other formats.

    libsndfile silently shortens such a file. A size of 0 or of all ones is a recorder that never closed its header.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        riff, wave = file.read(4), file.read(8)[4:]
        if riff != b"RIFF" or wave != b"WAVE":
            return 0
        while len(header := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", header)
            if name == b"data":
                return 0 if length in (0, 0xFFFFFFFF) else max(0, file.tell() + length - size)
            file.seek(length + length % 2, 1)
    return 0
