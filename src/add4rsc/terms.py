"""The vocabulary: the typed values that cross the borders between the parts."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

RESEARCH_USE_ONLY = "Research use only, not a medical device."


class Settings(BaseModel):
    """Base of everything that a recipe is made of: frozen, typed, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class CycleLabel(StrEnum):
    """The four classes of a respiratory cycle, in the order of the ICBHI 2017 challenge."""

    NORMAL = "normal"
    CRACKLE = "crackle"
    WHEEZE = "wheeze"
    BOTH = "both"

    @classmethod
    def from_bits(cls, crackle: bool, wheeze: bool) -> "CycleLabel":
        """The class of a cycle from the two bits of an ICBHI annotation row.

        >>> CycleLabel.from_bits(crackle=True, wheeze=False)
        <CycleLabel.CRACKLE: 'crackle'>
        """
        return (cls.NORMAL, cls.CRACKLE, cls.WHEEZE, cls.BOTH)[int(crackle) + 2 * int(wheeze)]


CYCLE_CLASSES = tuple(label.value for label in CycleLabel)


class Subset(StrEnum):
    """Who a recording is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class Recording:
    """One sound file of one patient. `recording_id` is the file's stem, unique in its corpus.

    `metadata` holds what the corpus says of the patient and the recording (age in years, sex, diagnosis ...), as text.
    """

    recording_id: str
    path: Path
    patient_id: str
    stethoscope: str = ""
    chest_location: str = ""
    label: str = ""
    """The annotation of the recording as a whole, in the corpus' own words; empty where there is none."""
    metadata: dict[str, str] = field(default_factory=dict)
    gains: tuple[float, ...] = ()
    """What its spectrum is multiplied by when a run reads it, evenly spaced from 0 Hz to half the run's sample rate;
    empty leaves it as it is."""


@dataclass(frozen=True)
class RespiratoryCycle:
    """One annotated stretch of a recording, from `start` to `end` (seconds); for SPRSound, one event.

    `annotation` is the corpus' own word for it, lower-case with underscores (`normal`, `fine_crackle`, `both` ...); a
    `Task` says which class that is.
    """

    recording: Recording
    start: float
    end: float
    annotation: str

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start

    @property
    def cycle_id(self) -> str:
        """`recording_id` and the start in milliseconds: unique in a corpus, and stable when rows are re-ordered."""
        return f"{self.recording.recording_id}@{round(self.start * 1000)}"


@dataclass(frozen=True)
class Task:
    """What is to be told apart: the classes, and which class each annotation of a corpus is.

    The first class is the normal one. An annotation that `class_of` does not know is left out of the task.
    `unit` is `cycle`, `event` or `recording`.
    """

    name: str
    unit: str
    classes: tuple[str, ...]
    class_of: dict[str, str]
    annotated_by: str = ""
    """Key of the recordings' metadata that annotates the cycles (`diagnosis`); empty for their own annotation."""

    def label(self, annotation: str) -> int | None:
        """Index of the annotation's class, or None where the task leaves it out."""
        name = self.class_of.get(annotation)
        return None if name is None else self.classes.index(name)


GROUPS = ("patient", "stethoscope", "chest_location", "sex", "age_group")
"""What cycles are grouped by, for methods that learn from more than labels."""

STETHOSCOPES = ("AKGC417L", "LittC2SE", "Litt3200", "Meditron", "Yunting II")
"""Those of the corpora that we know; a stethoscope's code is its place here."""

N_STETHOSCOPE_CODES = 8
"""Length of what is learnt a stethoscope; one that is not named above has a code from the rest, by its name."""

ADULT_AGE = 19
"""Years from which BTS (Kim et al. 2024, arXiv:2406.06786) calls a patient an adult."""


@dataclass(frozen=True)
class Paper:
    """A publication: what `add4rsc cite` prints."""

    key: str
    title: str
    authors: str
    venue: str
    year: int
    doi: str = ""
    arxiv: str = ""

    def bibtex(self) -> str:
        """A BibTeX entry."""
        fields = {"title": f"{{{self.title}}}", "author": self.authors, "booktitle": self.venue, "year": str(self.year)}
        fields |= {"doi": self.doi} if self.doi else {}
        fields |= {"eprint": self.arxiv, "archiveprefix": "arXiv"} if self.arxiv else {}
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@inproceedings{{{self.key},\n{body}\n}}"
