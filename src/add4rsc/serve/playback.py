"""A recording as something that a browser plays: 16-bit WAV that is made while it is sent, from any byte on."""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.io import AudioInfo, read_waveform

WAV = "audio/wav"
HEADER_BYTES, FRAME_BYTES = 44, 2
LOWEST_RATE, RAISED_RATE = 3000, 8000
"""Hertz: browsers play nothing slower."""
FRAMES_AT_ONCE = 2**18
FULL_SCALE = 32768


@dataclass(frozen=True)
class Playback:
    """A part of a recording as WAV; `start` and `end` in seconds."""

    info: AudioInfo
    start: float
    end: float

    @property
    def sample_rate(self) -> int:
        """Of the WAV: the recording's, or a multiple of it that browsers play."""
        own = self.info.sample_rate
        return own if own >= LOWEST_RATE else own * math.ceil(RAISED_RATE / own)

    @property
    def first_frame(self) -> int:
        """Of the recording, at the WAV's rate."""
        return int(self.start * self.sample_rate)

    @property
    def n_frames(self) -> int:
        """Of the WAV."""
        return max(0, int(self.end * self.sample_rate) - self.first_frame)

    @property
    def n_bytes(self) -> int:
        """Of the WAV with its header."""
        return HEADER_BYTES + FRAME_BYTES * self.n_frames

    def header(self) -> bytes:
        """The canonical header of a WAV of one channel (Microsoft and IBM, 1991)."""
        n_data, rate = FRAME_BYTES * self.n_frames, self.sample_rate
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, FRAME_BYTES * rate, FRAME_BYTES, 16)
        return struct.pack("<4sI4s", b"RIFF", n_data + 36, b"WAVE") + form + struct.pack("<4sI", b"data", n_data)

    def stream(self, path: Path, first: int, last: int) -> Iterator[bytes]:
        """Bytes from `first` up to `last`, which is not among them, in pieces.

        Raises:
            AudioError: if the recording cannot be read.
        """
        if first < HEADER_BYTES:
            yield self.header()[first : min(last, HEADER_BYTES)]
        begin = max(first, HEADER_BYTES) - HEADER_BYTES
        end = max(last, HEADER_BYTES) - HEADER_BYTES
        while begin < end:
            frame = begin // FRAME_BYTES
            n_frames = min(FRAMES_AT_ONCE, math.ceil(end / FRAME_BYTES) - frame)
            content = self._content(path, frame, n_frames)
            piece = content[begin - frame * FRAME_BYTES : end - frame * FRAME_BYTES]
            yield piece
            begin += len(piece)

    def _content(self, path: Path, frame: int, n_frames: int) -> bytes:
        """Samples of some frames; those that a decoder owes are silent."""
        rate, first = self.sample_rate, self.first_frame + frame
        start, end = (first + 0.25) / rate, (first + n_frames + 0.25) / rate  # a quarter of a sample beats rounding
        return _as_bytes(read_waveform(path, rate, start, end), n_frames)

    def encode(self, waveform: Float[ndarray, " sample"]) -> bytes:
        """Another sound of the same part at the recording's own rate, as the same WAV."""
        own, rate = self.info.sample_rate, self.sample_rate
        raised = waveform if own == rate else soxr.resample(waveform, own, rate, "HQ")
        return self.header() + _as_bytes(raised, self.n_frames)


def _as_bytes(waveform: Float[ndarray, " sample"], n_frames: int) -> bytes:
    """Samples in [-1, 1] as 16-bit integers, with silence for those that are missing."""
    samples = np.zeros(n_frames, dtype="<i2")
    heard = np.clip(np.round(waveform[:n_frames] * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1)
    samples[: len(heard)] = heard
    return samples.tobytes()


def read_range(header: str, n_bytes: int) -> tuple[int, int] | None:
    """First byte and the one after the last that a Range header asks for; None if it asks for all (RFC 9110, 14.2).

    Several ranges are answered with everything, as the RFC allows.

    Raises:
        ValueError: if the range lies outside.

    >>> read_range("bytes=0-99", 1000), read_range("bytes=900-", 1000), read_range("bytes=-100", 1000)
    ((0, 100), (900, 1000), (900, 1000))
    """
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        first, last = max(0, n_bytes - int(found[2])), n_bytes
    else:
        first, last = int(found[1]), min(n_bytes, int(found[2]) + 1 if found[2] else n_bytes)
        if found[2] and int(found[2]) < first:
            return None
    if first >= last:
        raise ValueError(f"bytes {header} are not among {n_bytes}")
    return first, last
