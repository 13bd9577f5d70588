"""What every corpus is."""

import abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from add4rsc.audio.io import AUDIO_SUFFIXES, read_info
from add4rsc.errors import AnnotationError
from add4rsc.terms import Paper, Recording, RespiratoryCycle, Subset, Task


@dataclass(frozen=True)
class Source:
    """Where a corpus is to be had, and under which terms."""

    url: str
    terms: str
    size: str
    """Download size in words."""
    downloads: tuple["Download", ...] = ()


@dataclass(frozen=True)
class Download:
    """One file to fetch; an empty `sha256` means that the publisher names none."""

    url: str
    name: str
    sha256: str = ""


@dataclass(frozen=True)
class NamedSplit:
    """A published division of a corpus, before validation patients are carved out.

    `shared_patients` are the patients that are known to be on both sides; None allows any patient to be (an
    intra-patient test).
    """

    name: str
    subset_of: dict[str, Subset]
    """Recording id -> train or test; recordings that are not named are in neither."""
    shared_patients: frozenset[str] | None = frozenset()
    also_test: frozenset[str] = frozenset()
    """Recordings of training that are tested too: a slip of a published division that we must be able to repeat."""

    def members(self, subset: Subset) -> set[str]:
        """Ids of the recordings of a subset."""
        named = {stem for stem, of in self.subset_of.items() if of is subset}
        return named | self.also_test if subset is Subset.TEST else named


@dataclass(frozen=True)
class Problem:
    """One thing that `add4rsc data verify` found."""

    file: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Survey:
    """What can be read of a corpus, and what is wrong with the rest."""

    recordings: Sequence[Recording]
    """Those with a published name, sound that decodes, and an annotation."""
    cycles: Sequence[RespiratoryCycle]
    """Of these recordings, those whose annotation parses."""
    problems: Sequence[Problem]


class AbstractDataset(abc.ABC):
    """A corpus in a folder, in its publisher's layout. Nothing is read before it is asked for."""

    name: ClassVar[str]
    paper: ClassVar[Paper]
    source: ClassVar[Source]
    tasks: ClassVar[dict[str, Task]]
    """The first is the default."""
    metadata_files: ClassVar[dict[str, str]] = {}
    """Key of the recordings' metadata -> the file that it is read from, for tasks that are annotated by it."""
    split_names: ClassVar[tuple[str, ...]]
    """Published splits; the first is the default."""
    split_folds: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Published splits that are several divisions, each tested in turn: name -> labels, as in NAME/LABEL."""
    split_help: ClassVar[dict[str, str]] = {}
    """What each published split is, in a line."""
    expected: ClassVar[str]
    """What a folder of this corpus holds, in words."""
    n_published: ClassVar[tuple[int, int, int]]
    """Recordings, patients and cycles of the complete corpus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @abc.abstractmethod
    def recognises(cls, folder: Path) -> bool:
        """Whether the folder looks like this corpus, from the names in it alone."""

    @abc.abstractmethod
    def recordings(self) -> Sequence[Recording]:
        """All recordings, in order of their id.

        Raises:
            DatasetNotFoundError: if there is none.
        """

    @abc.abstractmethod
    def cycles(self, unit: str = "cycle") -> Sequence[RespiratoryCycle]:
        """All annotated cycles in order; with `unit="recording"`, every annotated recording as one cycle.

        Raises:
            AnnotationError: at the first annotation that does not parse.
        """

    @abc.abstractmethod
    def published_split(self, name: str) -> NamedSplit:
        """The division of that name.

        Raises:
            UnknownNameError: if there is none.
            SplitError: if a file that it needs is missing.
        """

    @abc.abstractmethod
    def survey(self) -> Survey:
        """Read everything, sounds included, without stopping at what is wrong.

        Raises:
            DatasetNotFoundError: if the folder holds no recording at all.
        """

    def problems(self) -> Sequence[Problem]:
        """Everything that is wrong with the folder, each with its remedy."""
        return self.survey().problems

    @classmethod
    @abc.abstractmethod
    def fake(cls, folder: Path) -> Path:
        """Write a tiny corpus of the same layout for tests; return its folder."""


def cycles_for(dataset: AbstractDataset, task: Task) -> list[RespiratoryCycle]:
    """The cycles that a task knows, each with the annotation that the task goes by.

    Raises:
        AnnotationError: at the first annotation that does not parse, or if the file is missing that the task goes by.
    """
    cycles = dataset.cycles("recording" if task.unit == "recording" else "cycle")
    key = task.annotated_by
    if key:
        if not any(key in cycle.recording.metadata for cycle in cycles):
            file = dataset.metadata_files[key]
            remedy = f"Get it from {dataset.source.url}, or see `add4rsc data obtain {dataset.name}`."
            raise AnnotationError(
                dataset.folder / file, f"is missing, or names no patient: {task.name} needs it", remedy
            )
        of_patient = (cycle.recording.metadata.get(key, "").lower() for cycle in cycles)
        cycles = [replace(cycle, annotation=word) for cycle, word in zip(cycles, of_patient, strict=True)]
    return [cycle for cycle in cycles if task.label(cycle.annotation) is not None]


def audio_files(folder: Path) -> list[Path]:
    """The sound files of a folder by stem; of one stem, WAV last; none if there is no folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    paths = [path for path in found if path.suffix.lower() in AUDIO_SUFFIXES and path.name[0] != "."]
    return sorted(paths, key=lambda path: (path.stem, path.suffix.lower() == ".wav"))


def audio_by_stem(folder: Path) -> dict[str, Path]:
    """The sound files of a folder by stem, in order; of two with one stem, the WAV."""
    return {path.stem: path for path in audio_files(folder)}


def whole_recordings(recordings: Iterable[Recording]) -> list[RespiratoryCycle]:
    """Every recording that has a label, as one cycle from 0 s to its end.

    Raises:
        AudioError: if a recording's header cannot be read.
    """
    labelled = (recording for recording in recordings if recording.label)
    return [RespiratoryCycle(each, 0.0, read_info(each.path).duration, each.label) for each in labelled]
