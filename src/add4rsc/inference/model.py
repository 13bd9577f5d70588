"""What `add4rsc.load` gives: a model that classifies whatever sound it is handed."""

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from numpy import ndarray

from add4rsc.errors import AudioError, WrongUsageError
from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference.aggregation import patient_rows, recording_row
from add4rsc.inference.batch import classify_source
from add4rsc.inference.denoise import Denoised, denoise, require_filter
from add4rsc.inference.formats._base import Report
from add4rsc.inference.listing import Source, find_sources
from add4rsc.inference.outputs import PER_FILE, check_formats, write_combined, write_report
from add4rsc.inference.pipeline import Choices
from add4rsc.inference.result import PROBLEM_COLUMNS, FileProblem, RecordingResult, row_columns

if TYPE_CHECKING:
    import pandas as pd

Sound = str | Path | bytes | tuple[ndarray, int]
"""A file, a folder or a glob; a file's content; or a waveform (mono, or frames by channels) and its rate in hertz."""


@dataclass(frozen=True)
class Result:
    """What was found in some recordings. Research use only, not a medical device."""

    recordings: tuple[RecordingResult, ...]
    problems: tuple[FileProblem, ...]
    """Files that could not be judged."""
    classes: tuple[str, ...]
    model: str
    notes: dict[str, str]

    @property
    def table(self) -> "pd.DataFrame":
        """One row a cycle, in the columns that `add4rsc predict` writes."""
        import pandas as pd

        rows = [row for recording in self.recordings for row in recording.rows()]
        return pd.DataFrame(rows, columns=row_columns(self.classes))

    @property
    def recordings_table(self) -> "pd.DataFrame":
        """One row a recording."""
        import pandas as pd

        return pd.DataFrame([recording_row(recording) for recording in self.recordings])

    @property
    def patients_table(self) -> "pd.DataFrame":
        """One row a patient whom the files' names tell."""
        import pandas as pd

        return pd.DataFrame(patient_rows(self.recordings))

    @property
    def errors_table(self) -> "pd.DataFrame":
        """One row a file that could not be judged."""
        import pandas as pd

        return pd.DataFrame([each.noted_row() for each in self.problems], columns=list(PROBLEM_COLUMNS))

    def save(self, folder: Path | str, formats: Sequence[str] = ("csv",)) -> list[Path]:
        """Write everything, in the layout of `add4rsc predict -o`; returns the combined files.

        Raises:
            UnknownNameError: for a format that does not exist.
            StorageError: if the disk is full.
        """
        names = check_formats(formats)
        for number, recording in enumerate(self.recordings, start=1):
            stem = (
                f"{number:03d}-{Path(recording.file).stem}" if len(self.recordings) > 1 else Path(recording.file).stem
            )
            write_report(self._report((recording,)), Path(folder) / PER_FILE / stem, names)
        return write_combined(self._report(self.recordings, self.problems), Path(folder), names)

    def _report(self, recordings: Sequence[RecordingResult], problems: tuple[FileProblem, ...] = ()) -> Report:
        return Report(lambda: recordings, self.classes, self.model, self.notes, problems, _locate)


class Model:
    """A classifier of recordings. One object may be used by several threads at once.

    Args:
        classifier: the network.
    """

    def __init__(self, classifier: AbstractClassifier) -> None:
        self.classifier = classifier

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, the normal one first."""
        return self.classifier.classes

    def predict(
        self,
        sounds: Sound | Iterable[Sound],
        *,
        cycles: str = "auto",
        threshold: float | None = None,
        patient: str = "",
        smoothing: float = 0.0,
    ) -> Result:
        """Classify every cycle of one recording, or of several.

        Of several, those that cannot be read are in the result's `problems`.

        Args:
            sounds: a file, folder or glob; a file's content as bytes; `(waveform, sample_rate)`; or an
                iterable of these.
            cycles: `auto` (the annotation beside the file, else the breath envelope), `annotation`, `envelope` or
                `windows`.
            threshold: probability that every class must reach, in place of the model's own.
            patient: regular expression whose first group is the patient in a file's name.
            smoothing: how far every cycle is moved towards the mean of its recording, from 0 to 1.

        Raises:
            AudioError, AnnotationError: if `sounds` is one recording that cannot be read.
            WrongUsageError: if it is none of these, or cycles are to be moved further than their recording.
        """
        if not 0 <= smoothing <= 1:
            raise WrongUsageError(f"smoothing={smoothing:g} is not from 0 to 1. Pass 0 to judge every cycle by itself.")
        choices = Choices(read_choice(cycles), threshold, patient, smoothing)
        is_one = isinstance(sounds, str | Path | bytes) or _is_array(sounds)
        recordings, problems = [], []
        for number, sound in enumerate([sounds] if is_one else sounds, start=1):  # pyright: ignore[reportArgumentType]
            for source, problem in _sources(sound, number):
                entry = None if source is None else classify_source(self.classifier, source, choices)
                if entry is not None and entry.result is not None:
                    recordings.append(entry.result)
                found = problem or (entry.problem if entry else None)
                if found is not None:
                    problems.append(found)
        if is_one and problems and not recordings:
            raise AudioError(problems[0].file, problems[0].problem, f"{problems[0].remedy}.")
        of_model = (self.classes, self.classifier.name, self.classifier.notes)
        return Result(tuple(recordings), tuple(problems), *of_model)

    def denoise(self, sound: Sound, *, start: float = 0.0, end: float | None = None) -> Denoised:
        """One recording, or a stretch of it, after the first filter of the ADD layer: illustrative, not cleaned.

        Args:
            sound: a file, a file's content as bytes, or `(waveform, sample_rate)`.
            start: first second.
            end: last second; None is the recording's.

        Raises:
            WrongUsageError: if the model has no ADD layer, nothing lies between the times, or `sound` is no sound.
            AudioError: if the recording cannot be read.
        """
        require_filter(self.classifier)
        if isinstance(sound, str | Path):
            return denoise(self.classifier, Path(sound), start, end)
        with _as_file(_checked(sound)) as path:
            return denoise(self.classifier, path, start, end)


def read_choice(cycles: str) -> Any:
    """A way of finding cycles.

    Raises:
        WrongUsageError: if there is none of that name.
    """
    from add4rsc.inference.cycles import CYCLE_CHOICES

    if cycles not in CYCLE_CHOICES:
        raise WrongUsageError(f"There is no way '{cycles}' of finding cycles. Known: {', '.join(CYCLE_CHOICES)}.")
    return cycles


def _is_array(sound: object) -> bool:
    return isinstance(sound, tuple) and len(sound) == 2 and isinstance(sound[0], np.ndarray)


def _sources(sound: object, number: int) -> Iterator[tuple[Source | None, FileProblem | None]]:
    """The recordings that one argument stands for; a waveform or bytes lie in a file while they are classified.

    Raises:
        WrongUsageError: if it is nothing that can be classified.
    """
    if isinstance(sound, str | Path):
        sources, problems = find_sources([str(sound)])
        yield from ((source, None) for source in sources)
        yield from ((None, problem) for problem in problems)
        return
    with _as_file(_checked(sound)) as path:
        name = f"recording-{number}"
        yield Source(str(path), name, name), None


def _checked(sound: object) -> object:
    """Bytes or a waveform as they are.

    Raises:
        WrongUsageError: if it is neither.
    """
    if not isinstance(sound, bytes) and not _is_array(sound):
        kind = type(sound).__name__
        raise WrongUsageError(f"A {kind} cannot be classified. Pass a path, bytes, or (waveform, sample_rate).")
    return sound


@contextmanager
def _as_file(sound: Any) -> Iterator[Path]:
    """A temporary file that holds a sound, under a name that nobody else can read; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="add4rsc-") as folder:
        if isinstance(sound, bytes):
            path = Path(folder) / f"sound{_suffix(sound)}"
            path.write_bytes(sound)
        else:
            path = Path(folder) / "sound.wav"
            _write_waveform(path, *sound)
        yield path


def _write_waveform(path: Path, waveform: ndarray, sample_rate: int) -> None:
    """Write a waveform without loss.

    Raises:
        WrongUsageError: if it is not one of sound.
    """
    is_float = np.issubdtype(waveform.dtype, np.floating)
    if waveform.ndim not in (1, 2) or not (is_float or waveform.dtype in (np.int16, np.int32)):
        raise WrongUsageError(
            f"An array of shape {waveform.shape} and type {waveform.dtype} is no waveform. "
            "Pass samples, or frames by channels, as floats in [-1, 1], int16 or int32."
        )
    samples = waveform.astype(np.float32) if is_float else waveform
    subtype = {"f": "FLOAT", "i": f"PCM_{8 * waveform.dtype.itemsize}"}[samples.dtype.kind]
    soundfile.write(path, samples, int(sample_rate), subtype=subtype)


def _suffix(content: bytes) -> str:
    """`.mp3` for an MP3, whose length is only an estimate; otherwise libsndfile looks at the content."""
    try:
        return ".mp3" if soundfile.info(io.BytesIO(content)).format in ("MPEG", "MP3") else ""
    except (soundfile.LibsndfileError, RuntimeError):
        return ""


def _locate(file: str) -> Path | None:
    path = Path(file)
    return path if path.is_file() else None
