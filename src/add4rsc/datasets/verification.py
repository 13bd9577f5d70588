"""Verify a corpus: every file read, every time compared with the sound, every problem with its remedy."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from add4rsc.audio.io import read_info, read_waveform
from add4rsc.datasets._base import AbstractDataset, Problem, Survey
from add4rsc.errors import AnnotationError, AudioError
from add4rsc.terms import Recording, RespiratoryCycle

PAST_END_TOLERANCE = 0.05
"""Seconds that an annotation may end after the sound: several times what rounding its times explains."""
SHORTEST_CYCLE = 0.1
"""Seconds. The shortest cycle of ICBHI 2017 has 0.2 s; a breath of less than 0.1 s is a slip of the annotator."""
OVERLAP_TOLERANCE = 0.001


class Stretch(NamedTuple):
    """One annotated stretch of a recording; times in seconds."""

    start: float
    end: float
    annotation: str


class Inspected(NamedTuple):
    """What an annotation file holds, as far as it parses."""

    label: str
    stretches: list[Stretch]
    """In the order that the format asks for: that of time, or sorted where the format asks for none."""
    errors: list[AnnotationError]


@dataclass(frozen=True)
class Holdings:
    """The files of a corpus, and how to read them."""

    folder: Path
    audio: Sequence[Path]
    """Every sound file, whatever its name."""
    annotations: Sequence[Path]
    name: re.Pattern[str]
    """What a recording's stem looks like."""
    expected_name: str
    inspect: Callable[[Path], Inspected]
    make_recording: Callable[[str, Path, str], Recording]
    """From stem, path and label."""


@dataclass(frozen=True)
class VerificationReport:
    """What `add4rsc data verify` says of a folder.

    `complete` is true only if the published numbers of recordings, patients and cycles are all met by what can be read;
    `share` is how much of each there is, in [0, 1].
    """

    dataset: str
    n_recordings: int
    n_patients: int
    n_cycles: int
    cycles_per_class: dict[str, int]
    complete: bool
    share: dict[str, float]
    problems: tuple[Problem, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON."""
        return asdict(self) | {"problems": [asdict(problem) for problem in self.problems]}


def verify(dataset: AbstractDataset) -> VerificationReport:
    """Read a whole corpus and count what is sound in it.

    Raises:
        DatasetNotFoundError: if the folder holds no recording at all.
    """
    survey = dataset.survey()
    patients = {recording.patient_id for recording in survey.recordings}
    counts = (len(survey.recordings), len(patients), len(survey.cycles))
    found = Counter(cycle.annotation for cycle in survey.cycles)
    words = next(iter(dataset.tasks.values())).class_of
    parts = zip(("recordings", "patients", "cycles"), counts, dataset.n_published, strict=True)
    return VerificationReport(
        dataset.name,
        *counts,
        cycles_per_class={word: found[word] for word in words},
        complete=counts == dataset.n_published,
        share={part: round(n_found / n_published, 4) for part, n_found, n_published in parts},
        problems=tuple(survey.problems),
    )


def survey_holdings(holdings: Holdings) -> Survey:
    """Read every sound and annotation of a corpus."""
    audio = {path.stem: path for path in holdings.audio if holdings.name.fullmatch(path.stem)}
    annotations = {path.stem: path for path in holdings.annotations}
    durations, sound_problems = _listen(audio)
    inspected = {stem: holdings.inspect(path) for stem, path in annotations.items()}
    problems = [*_name_problems(holdings), *_partner_problems(audio, annotations), *sound_problems]
    recordings, cycles = [], []
    for stem, (label, stretches, errors) in inspected.items():
        problems += [Problem(error.path, error.problem, error.remedy) for error in errors]
        problems += time_problems(annotations[stem], stretches, durations.get(stem))
        if stem in durations:
            recordings.append(holdings.make_recording(stem, audio[stem], label))
            cycles += [RespiratoryCycle(recordings[-1], *stretch) for stretch in stretches]
    return Survey(recordings, cycles, [_shown_from(holdings.folder, problem) for problem in problems])


def time_problems(path: Path, stretches: Sequence[Stretch], duration: float | None) -> Iterator[Problem]:
    """What is wrong with the times of one annotation file; `duration` is the sound's, None where it has none."""
    for stretch in stretches:
        told = f"{stretch.annotation} from {stretch.start} to {stretch.end} s"
        if duration is not None and stretch.end > duration + PAST_END_TOLERANCE:
            yield Problem(str(path), f"{told} ends after the recording, at {duration:.3f} s", "Correct the times.")
        if stretch.end - stretch.start < SHORTEST_CYCLE:
            yield Problem(str(path), f"{told} is shorter than {SHORTEST_CYCLE} s", "Correct or remove it.")
    for earlier, later in pairwise(stretches):
        if later.start < earlier.start:
            problem = f"the row at {later.start} s comes after the row at {earlier.start} s"
            yield Problem(str(path), problem, "Put the rows in order of time.")
    for earlier, later in pairwise(sorted(stretches)):
        if later.start < earlier.end - OVERLAP_TOLERANCE:
            problem = f"{earlier.start} to {earlier.end} s overlaps {later.start} to {later.end} s"
            yield Problem(str(path), problem, "Correct the times.")


def _name_problems(holdings: Holdings) -> Iterator[Problem]:
    """Sound files whose name is not of the published form, or whose stem another file has."""
    kept: dict[str, Path] = {}
    for path in holdings.audio:
        if not holdings.name.fullmatch(path.stem):
            yield Problem(
                str(path), "is not named as a recording", f"Name it {holdings.expected_name}; or take it away."
            )
        elif path.stem in kept:
            yield Problem(str(path), f"is there twice, also as {kept[path.stem].name}", "Keep one of the two.")
        kept[path.stem] = path


def _partner_problems(audio: Mapping[str, Path], annotations: Mapping[str, Path]) -> Iterator[Problem]:
    for stem, path in audio.items():
        if stem not in annotations:
            yield Problem(
                str(path), "has no annotation", "Get the annotation of the same name; without it the sound is left out."
            )
    for stem, path in annotations.items():
        if stem not in audio:
            yield Problem(
                str(path), "has no sound", "Get the recording of the same name; without it the annotation is left out."
            )


def _listen(audio: Mapping[str, Path]) -> tuple[dict[str, float], list[Problem]]:
    """Decode every recording; return the durations of those that can be read, and what is wrong."""
    durations: dict[str, float] = {}
    first_with: dict[str, Path] = {}
    problems: list[Problem] = []
    for stem, path in audio.items():
        try:
            info = read_info(path)
            waveform = read_waveform(path, info.sample_rate)
        except AudioError as error:
            problems.append(Problem(str(path), error.problem, error.remedy))
            continue
        durations[stem] = info.duration
        if not waveform.any():
            problems.append(Problem(str(path), "is silent throughout", "Get the file again, or take it away."))
            continue
        digest = hashlib.sha256(waveform.tobytes()).hexdigest()
        same = first_with.setdefault(digest, path)
        if same != path:
            problems.append(
                Problem(
                    str(path),
                    f"has the same sound as {same.name}",
                    "Find out which name is right. If both are published, leave them, and know that they are one.",
                )
            )
    return durations, problems


def _shown_from(folder: Path, problem: Problem) -> Problem:
    """The same, with the file as seen from the corpus' folder."""
    path = Path(problem.file)
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return Problem(shown.as_posix(), problem.problem, problem.remedy)
