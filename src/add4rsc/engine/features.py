"""Log-mel features of every cycle, computed once and kept on disk, one file a recording.

A file's name is a hash of the recording's content, the cycles' times and the settings, so that nothing stale is ever
read, and runs that share settings share files.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.crop import Crop, crop_cycle, cut_cycle, fade_recording, fit_length
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.audio.spectrum_correction import read_recording
from add4rsc.augment.padding import pad_smartly
from add4rsc.augment.waveform import WaveformAugmentation, augment_waveform
from add4rsc.engine.windows import Windows, split_cycles
from add4rsc.errors import AnnotationError
from add4rsc.storage import write_atomically
from add4rsc.terms import Recording, RespiratoryCycle

FORMAT = 1
"""Part of every hash: raise it when the features of the same settings change."""


def cache_folder() -> Path:
    """Where features are kept: `$ADD4RSC_HOME/features`, or `~/.cache/add4rsc/features`."""
    home = os.environ.get("ADD4RSC_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "add4rsc") / "features"


@dataclass(frozen=True)
class FeatureStore:
    """Where each cycle's features are: row `rows[i]` of the array in `files[i]`."""

    files: tuple[Path, ...]
    rows: tuple[int, ...]
    copies: tuple["FeatureStore", ...] = ()
    """The same cycles with their waveforms changed, for training alone."""
    windows: Windows | None = None
    """Where what is stored are not cycles but windows of them, whose predictions come together: whose they are."""

    def __len__(self) -> int:
        """Number of cycles, or of windows."""
        return len(self.files)

    def features(self, index: int) -> Float[ndarray, "time mel"]:
        """One cycle's features, read from disk; a copy that may be changed."""
        path = self.files[index]
        first, shape, kind = _layout(path, path.stat().st_mtime_ns)
        n_values = shape[0] * shape[1]
        start = first + self.rows[index] * n_values * kind.itemsize
        return np.fromfile(path, kind, n_values, offset=start).reshape(shape)


@lru_cache(maxsize=1 << 16)
def _layout(path: Path, _written: int) -> tuple[int, tuple[int, int], np.dtype]:
    """Where a file's numbers begin, the shape of one cycle's, and their kind: what takes longest of reading a cycle."""
    mapped = np.load(path, mmap_mode="r")
    return mapped.offset, mapped.shape[1:], mapped.dtype


@dataclass(frozen=True)
class ChangedCopy:
    """Which of the changed copies of each cycle to make; what it draws depends on the cycle and the number alone."""

    augmentation: WaveformAugmentation
    number: int

    def change(
        self, waveform: Float[ndarray, " sample"], sample_rate: int, cycle: str, crop: Crop
    ) -> Float[ndarray, " crop"]:
        """Change a cropped cycle and bring it back to the crop's length."""
        changed = augment_waveform(waveform, self.augmentation, self._generator(cycle), sample_rate)
        return crop_cycle(changed, sample_rate, 0.0, (len(changed) + 0.5) / sample_rate, crop)

    def fill(
        self,
        cycle: RespiratoryCycle,
        cut: Float[ndarray, " cut"],
        others: Sequence[ndarray],
        n_samples: int,
        sample_rate: int,
    ) -> Float[ndarray, " crop"]:
        """Change a cycle that was not filled up yet, and fill it with itself or with others of its class."""
        generator = self._generator(cycle.cycle_id)
        changed = augment_waveform(cut[:n_samples], self.augmentation, generator, sample_rate)
        return pad_smartly(changed if len(changed) else cut, n_samples, others, generator)

    def move(self, start: float, end: float, length: float, cycle: str) -> tuple[float, float]:
        """Other boundaries of a cycle, as somebody else or a segmenter might have set them; no less than half of it."""
        if not self.augmentation.boundary_jitter:
            return start, end
        moves = self._generator(f"{cycle} boundaries").normal(0.0, self.augmentation.boundary_jitter, size=2)
        quarter = (end - start) / 4
        moved_start = min(start + float(moves[0]), start + quarter)
        return max(0.0, moved_start), min(length, max(end + float(moves[1]), end - quarter))

    def _generator(self, cycle: str) -> np.random.Generator:
        return np.random.default_rng(list(hashlib.sha256(f"{cycle} {self.number}".encode()).digest()))


def prepare_features(
    cycles: Sequence[RespiratoryCycle],
    crop: Crop,
    front_end: FrontEnd,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    copy: ChangedCopy | None = None,
) -> FeatureStore:
    """Compute the features of those cycles that are not on disk yet.

    Args:
        cycles: of any recordings, in any order.
        crop: how cycles become waveforms.
        front_end: how waveforms become features.
        folder: where the files are; made if missing.
        progress: called with recordings done and recordings in all.
        copy: change every waveform first; None leaves them as they are.

    Raises:
        AudioError: if a recording cannot be read.
        AnnotationError: if a cycle lies outside its recording.
    """
    groups = list(by_recording(cycles))
    filter_bank = LogMelFilterBank(front_end)
    files: list[Path] = [Path()] * len(cycles)
    rows = [0] * len(cycles)

    def prepare(group: tuple[Recording, list[int]]) -> Path:
        recording, members = group
        return _prepare_recording(recording, [cycles[index] for index in members], crop, filter_bank, folder, copy)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done, (path, (_, members)) in enumerate(zip(pool.map(prepare, groups), groups, strict=True), start=1):
            for row, index in enumerate(members):
                files[index], rows[index] = path, row
            if progress is not None:
                progress(done, len(groups))
    return FeatureStore(tuple(files), tuple(rows))


def prepare_windows(cycles: Sequence[RespiratoryCycle], crop: Crop, front_end: FrontEnd, folder: Path) -> FeatureStore:
    """Like `prepare_features`, for a test: of cycles longer than the crop, all windows that it asks for.

    Raises:
        AudioError: if a recording cannot be read.
        AnnotationError: if a cycle lies outside its recording.
    """
    parts, windows = split_cycles(cycles, crop)
    return replace(prepare_features(parts, crop, front_end, folder), windows=windows)


def by_recording(cycles: Sequence[RespiratoryCycle]) -> Iterator[tuple[Recording, list[int]]]:
    """Indices of the cycles of each recording, in order of time."""
    order = sorted(range(len(cycles)), key=lambda index: (str(cycles[index].recording.path), cycles[index].start))
    for _, members in groupby(order, key=lambda index: cycles[index].recording.path):
        indices = list(members)
        yield cycles[indices[0]].recording, indices


def _prepare_recording(
    recording: Recording,
    cycles: Sequence[RespiratoryCycle],
    crop: Crop,
    filter_bank: LogMelFilterBank,
    folder: Path,
    copy: ChangedCopy | None,
) -> Path:
    path = folder / f"{_key(recording, cycles, crop, filter_bank.front_end, copy)}.npy"
    if not path.exists():
        features = _compute(recording, cycles, crop, filter_bank, copy)
        write_atomically(path, lambda file: np.save(file, features))
    return path


def _key(
    recording: Recording, cycles: Sequence[RespiratoryCycle], crop: Crop, front_end: FrontEnd, copy: ChangedCopy | None
) -> str:
    times = [(cycle.start, cycle.end) for cycle in cycles]
    settings = [FORMAT, times, crop.model_dump(exclude_none=True, exclude={"windows"}), front_end.stated()]
    if copy is not None:
        changes = copy.augmentation.model_dump(exclude={"copies", "joined_scale"}, exclude_defaults=True)
        settings += [changes, copy.number, recording.path.stem]
        settings += [[cycle.annotation for cycle in cycles]] if copy.augmentation.padding == "smart" else []
    if recording.gains:
        settings += ["gains", recording.gains]
    digest = hashlib.sha256(json.dumps(settings).encode())
    if recording.path.is_file():
        digest.update(recording.path.read_bytes())
    return digest.hexdigest()[:40]


def _compute(
    recording: Recording,
    cycles: Sequence[RespiratoryCycle],
    crop: Crop,
    filter_bank: LogMelFilterBank,
    copy: ChangedCopy | None,
) -> Float[ndarray, "cycle time mel"]:
    sample_rate = filter_bank.front_end.sample_rate
    times = [(cycle.start, cycle.end) for cycle in cycles]
    waveform = fade_recording(read_recording(recording, sample_rate), sample_rate, crop)
    names = [f"{recording.path.stem}@{round(start * 1000)}" for start, _ in times]
    if copy is not None:
        length = len(waveform) / sample_rate
        times = [copy.move(start, end, length, name) for (start, end), name in zip(times, names, strict=True)]
    try:
        cut = [cut_cycle(waveform, sample_rate, start, end) for start, end in times]
    except ValueError as error:
        raise AnnotationError(
            recording.path, f"has a cycle with {error}", "Correct its annotation (`add4rsc data verify`)"
        ) from error
    if copy is not None and copy.augmentation.padding == "smart":
        cropped = _fill_smartly(cycles, cut, sample_rate, crop, copy)
    else:
        cropped = [fit_length(each, sample_rate, crop) for each in cut]
        if copy is not None:
            cropped = [copy.change(each, sample_rate, name, crop) for each, name in zip(cropped, names, strict=True)]
    with torch.inference_mode():
        return filter_bank(torch.from_numpy(np.stack(cropped))).numpy()


def _fill_smartly(
    cycles: Sequence[RespiratoryCycle],
    cut: Sequence[ndarray],
    sample_rate: int,
    crop: Crop,
    copy: ChangedCopy,
) -> list[Float[ndarray, " crop"]]:
    """Changed copies of a recording's cycles, filled up with each other where they are of one class."""

    def others(index: int) -> list[ndarray]:
        wanted = cycles[index].annotation
        return [cut[other] for other, each in enumerate(cycles) if other != index and each.annotation == wanted]

    n_samples = crop.n_samples(sample_rate)
    return [copy.fill(cycle, cut[index], others(index), n_samples, sample_rate) for index, cycle in enumerate(cycles)]
