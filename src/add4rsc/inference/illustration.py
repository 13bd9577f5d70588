"""The denoised view of a recording as files: a waveform and the frames it was made from, all named illustrative."""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
import soundfile
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.io import AudioInfo, read_info
from add4rsc.errors import Add4rscError, StorageError
from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference.denoise import Denoised, denoise_slices, frame_grid, join
from add4rsc.inference.journal import Entry
from add4rsc.inference.listing import Source
from add4rsc.inference.outputs import PER_FILE
from add4rsc.inference.result import ILLUSTRATIVE, FileProblem
from add4rsc.storage import write_atomically

SUFFIX = ".denoised-illustrative"
"""Follows the stem in the name of every file of the view."""
TITLE = "Denoised view (illustrative)"
LONGEST_DRAWN = 60.0
"""Seconds of a recording that a picture shows."""
MAX_WAV_BYTES = 2**32 - 2**16
"""Beyond, a WAV file's header has no room for its length, and the form that has (RF64, EBU Tech 3306) is written."""
NO_DATE = (1980, 1, 1, 0, 0, 0)
"""The same recording gives the same bytes."""

Draw = Callable[[Denoised, Path], object]
"""Draws the first minute of a view into a PNG file."""


def add_denoised(
    classifier: AbstractClassifier, source: Source, entry: Entry, folder: Path, draw: Draw | None
) -> Entry:
    """Write the denoised view of a recording that was judged; the entry with the files' names.

    Whatever is wrong becomes the entry's problem; what was found in the recording stays.

    Raises:
        StorageError: if the disk is full.
    """
    if entry.result is None or not entry.result.is_judged:
        return entry
    stem = folder / PER_FILE / (entry.output + SUFFIX)
    try:
        paths = write_denoised(classifier, source.path, stem, draw)
    except StorageError:
        raise
    except (Add4rscError, OSError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError) as error:
        remedy = "Leave --denoised out; the predictions of the file are as they are without it"
        return replace(entry, problem=FileProblem(source.name, f"has no denoised view ({error})", remedy))
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    return replace(entry, result=replace(entry.result, illustrations=names))


def copy_denoised(entry: Entry, origin: Path, folder: Path) -> None:
    """Copy the files of a recording's denoised view from one batch folder to another.

    Raises:
        StorageError: if one is missing, or the disk is full.
    """
    for name in entry.result.illustrations if entry.result else ():
        try:
            with (origin / name).open("rb") as file:
                write_atomically(folder / name, lambda copy, file=file: shutil.copyfileobj(file, copy))
        except FileNotFoundError as error:
            raise StorageError(f"{origin / name} is missing. Run that part again into a new folder.") from error


def write_denoised(
    classifier: AbstractClassifier, path: Path, stem: Path, draw: Draw | None = None
) -> tuple[Path, ...]:
    """Write a recording's denoised view as `.wav` (16 bits, its own rate), `.npz` and, if `draw` is given, `.png`.

    The archive holds `log_mel` and `filtered` (natural logarithms of mel energies, float16), `frequencies` (hertz),
    `first_time` and `frame_shift` (seconds), `sample_rate` and `note`. Memory does not grow with the recording.

    Raises:
        WrongUsageError: if the model has no ADD layer.
        AudioError: if the recording cannot be read.
        StorageError: if the disk is full.
    """
    wav, npz, png = (stem.with_name(stem.name + suffix) for suffix in (".wav", ".npz", ".png"))
    info = read_info(path)
    n_frames = frame_grid(classifier, info).frame_at(info.duration)
    shown: list[Denoised] = []

    def write_both(wav_file: BinaryIO) -> None:
        try:
            with _open_wav(wav_file, info) as sound:
                written = _write_waveforms(_keep_first(denoise_slices(classifier, path), shown), sound)
                write_atomically(npz, lambda file: _write_archive(file, written, n_frames))
        except soundfile.LibsndfileError as error:
            raise OSError(error.error_string) from error

    write_atomically(wav, write_both)
    if draw is None:
        return wav, npz
    draw(join(shown), png)
    return wav, npz, png


def _keep_first(slices: Iterable[Denoised], shown: list[Denoised]) -> Iterator[Denoised]:
    """Pass slices on, and keep those that a picture shows."""
    for each in slices:
        if each.start < LONGEST_DRAWN:
            shown.append(each)
        yield each


def _open_wav(file: BinaryIO, info: AudioInfo) -> soundfile.SoundFile:
    form = "WAV" if 2 * info.n_frames < MAX_WAV_BYTES else "RF64"
    sound = soundfile.SoundFile(file.fileno(), "w", info.sample_rate, 1, "PCM_16", format=form, closefd=False)
    sound.title, sound.comment = TITLE, ILLUSTRATIVE
    return sound


def _write_waveforms(slices: Iterable[Denoised], sound: soundfile.SoundFile) -> Iterator[Denoised]:
    """Write each slice's waveform, then pass it on."""
    for each in slices:
        sound.write(each.waveform)
        yield each


def _write_archive(file: BinaryIO, slices: Iterator[Denoised], n_frames: int) -> None:
    """Write frames as they come: those before the filter into the archive, the others beside it until their turn."""
    first = next(slices)
    shape = (n_frames, len(first.frequencies))
    with zipfile.ZipFile(file, "w") as archive, tempfile.TemporaryFile(dir=Path(file.name).parent) as later:
        with _member(archive, "log_mel", shape) as member:
            for each in chain([first], slices):
                member.write(_to_bytes(each.log_mel))
                later.write(_to_bytes(each.filtered))
        archive.comment = ILLUSTRATIVE.encode()
        later.seek(0)
        with _member(archive, "filtered", shape) as member:
            shutil.copyfileobj(later, member)
        for name in ("frequencies", "first_time", "frame_shift", "sample_rate", "note"):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(getattr(first, name)), allow_pickle=False)
            archive.writestr(_entry(name), content.getvalue())


def _to_bytes(frames: Float[ndarray, "time mel"]) -> bytes:
    return frames.astype("<f2").tobytes()


@contextmanager
def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int, int]) -> Iterator[IO[bytes]]:
    """A half-precision array of the archive, to be filled."""
    with archive.open(_entry(name), "w", force_zip64=True) as member:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)  # pyright: ignore[reportArgumentType]
        yield member


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{name}.npy", NO_DATE)
