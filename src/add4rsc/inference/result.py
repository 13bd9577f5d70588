"""What a recording was found to hold: typed, rounded as it is written, and in words that are no diagnosis."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from add4rsc.terms import RESEARCH_USE_ONLY

ABSTAIN = "abstain"
"""The decision where no class is sure enough, or the sound cannot be judged."""
N_DIGITS = 6
"""Decimals of times and probabilities in every output."""

ILLUSTRATIVE = (
    "Illustrative: what the first filter of the network's ADD layer does to log-mel frames, put into sound. "
    f"Not a cleaned recording. {RESEARCH_USE_ONLY}"
)
"""Said of the denoised view wherever it is shown."""

_WORDS = {
    "normal": "no added sound found",
    "adventitious": "added sound",
    "crackle": "crackle-like sound",
    "coarse_crackle": "coarse-crackle-like sound",
    "fine_crackle": "fine-crackle-like sound",
    "wheeze": "wheeze-like sound",
    "rhonchi": "rhonchus-like sound",
    "stridor": "stridor-like sound",
    "both": "crackle- and wheeze-like sounds",
    "wheeze_crackle": "crackle- and wheeze-like sounds",
    "cas": "continuous added sound",
    "das": "discontinuous added sound",
    "cas_das": "continuous and discontinuous added sounds",
    "poor_quality": "poor quality",
    ABSTAIN: "not sure",
}


def in_words(decision: str) -> str:
    """What a person reads for a class: how it sounds, never what it means.

    >>> in_words("crackle")
    'crackle-like sound'
    """
    return _WORDS.get(decision, f"{decision.replace('_', ' ')}-like sound")


@dataclass(frozen=True)
class CycleResult:
    """One stretch of a recording and what it was found to be. `probabilities` is empty where it was not judged."""

    start: float
    end: float
    decision: str
    """A class, or `abstain`."""
    probabilities: tuple[float, ...] = ()
    quality: tuple[str, ...] = ()
    """Flags of the part of the recording that it lies in, and its own."""

    @property
    def abstains(self) -> bool:
        """Whether no class was decided."""
        return self.decision == ABSTAIN

    @property
    def probability(self) -> float | None:
        """Of the decision; where it abstains, the largest one; None where it was not judged."""
        return max(self.probabilities, default=None)

    @property
    def is_judged(self) -> bool:
        """Whether the network saw it at all."""
        return bool(self.probabilities)


@dataclass(frozen=True)
class RecordingResult:
    """One recording and all its stretches in order of time. Times in seconds."""

    file: str
    duration: float
    sample_rate: int
    patient: str
    """Empty where the file's name does not tell it."""
    cycles_from: str
    """`annotation`, `envelope` or `windows`."""
    model: str
    classes: tuple[str, ...]
    quality: tuple[str, ...]
    cycles: tuple[CycleResult, ...]
    illustrations: tuple[str, ...] = ()
    """Files of its denoised view, below the folder of the batch."""

    @property
    def is_judged(self) -> bool:
        """Whether any of its stretches was."""
        return any(cycle.is_judged for cycle in self.cycles)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the journal of a batch; `from_dict` turns it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "RecordingResult":
        """The result that `to_dict` was made from, or was read back from JSON."""
        cycles = tuple(
            CycleResult(**{**each, "probabilities": tuple(each["probabilities"]), "quality": tuple(each["quality"])})
            for each in content["cycles"]
        )
        texts = {name: tuple(content[name]) for name in ("classes", "quality", "illustrations") if name in content}
        return cls(**{**content, **texts, "cycles": cycles})

    def rows(self) -> list[dict[str, Any]]:
        """One row a stretch, in the columns of the command contract and some after them."""
        return [self._row(cycle) for cycle in self.cycles]

    def _row(self, cycle: CycleResult) -> dict[str, Any]:
        probabilities = cycle.probabilities or (None,) * len(self.classes)
        return {
            "file": self.file,
            "start": cycle.start,
            "end": cycle.end,
            "decision": cycle.decision,
            **{f"p_{name}": value for name, value in zip(self.classes, probabilities, strict=True)},
            "abstain": cycle.abstains,
            "quality": ";".join(cycle.quality),
            "heard": in_words(cycle.decision) if cycle.is_judged else "not judged",
            "cycles_from": self.cycles_from,
            "patient": self.patient,
            "model": self.model,
            "notice": RESEARCH_USE_ONLY,
        }


@dataclass(frozen=True)
class FileProblem:
    """A file that could not be judged."""

    file: str
    problem: str
    remedy: str

    def row(self) -> dict[str, str]:
        """Its three parts by name."""
        return {"file": self.file, "problem": self.problem, "remedy": self.remedy}

    def noted_row(self) -> dict[str, str]:
        """The row of `errors.csv`, in the columns of `PROBLEM_COLUMNS`."""
        return self.row() | {"notice": RESEARCH_USE_ONLY}


PROBLEM_COLUMNS = ("file", "problem", "remedy", "notice")


def row_columns(classes: tuple[str, ...]) -> list[str]:
    """Names of the columns of `RecordingResult.rows`."""
    probabilities = [f"p_{name}" for name in classes]
    after = ["abstain", "quality", "heard", "cycles_from", "patient", "model", "notice"]
    return ["file", "start", "end", "decision", *probabilities, *after]
