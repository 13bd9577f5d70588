"""Small spectrograms as PNG, in numpy and zlib alone: a page with pictures needs no plotting library."""

import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from add4rsc.audio.io import read_info, read_waveform

SAMPLE_RATE = 4000
"""Hertz: twice the highest frequency that is drawn."""
LONGEST = 60.0
"""Seconds of a recording that are drawn."""
WIDTH, HEIGHT = 600, 100
RANGE_DB = 70.0
"""From the loudest to what is drawn black."""
DARK_TO_LIGHT = np.array([(0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191)], dtype=np.float64)
"""Five colours of an even map that is safe for colour-blind eyes."""


def spectrogram_png(path: Path) -> bytes:
    """The first minute of a recording from 0 to 2 kHz, as a PNG image.

    Raises:
        AudioError: if it cannot be read.
    """
    end = min(read_info(path).duration, LONGEST)
    waveform = read_waveform(path, SAMPLE_RATE, 0.0, end)
    return encode_png(_colour(_levels(waveform)))


def _levels(waveform: Float[ndarray, " sample"]) -> Float[ndarray, "row column"]:
    """Levels from 0 (faint) to 1 (loud), high frequencies on top."""
    n_frame = 2 * HEIGHT
    padded = np.pad(waveform, (0, max(0, n_frame - len(waveform))))
    first = np.linspace(0, len(padded) - n_frame, WIDTH).astype(int)
    frames = padded[first[:, None] + np.arange(n_frame)] * np.hanning(n_frame)
    level = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1))[:, :HEIGHT].T[::-1] + 1e-9)
    return np.clip(1 + (level - np.percentile(level, 99.9)) / RANGE_DB, 0, 1)


def _colour(levels: Float[ndarray, "row column"]) -> UInt8[ndarray, "row column 3"]:
    stops = np.linspace(0, 1, len(DARK_TO_LIGHT))
    return np.stack([np.interp(levels, stops, channel) for channel in DARK_TO_LIGHT.T], axis=-1).astype(np.uint8)


def encode_png(pixels: UInt8[ndarray, "row column 3"]) -> bytes:
    """A PNG file of red, green and blue (W3C's specification of 2003, filter type 0)."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, 3 * width)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
