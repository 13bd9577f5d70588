"""Path -> cycles -> probabilities -> decisions: the whole way of one recording."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.crop import Crop, crop_cycle, fade, fade_recording
from add4rsc.audio.io import AudioInfo, read_info, read_waveform
from add4rsc.audio.windows import vote, window_times
from add4rsc.inference._base import AbstractClassifier, Stretch
from add4rsc.inference.calibration import choose_thresholds, decide, to_probabilities
from add4rsc.inference.cycles import CycleChoice, Survey, part_length, survey_recording, unit_of
from add4rsc.inference.patients import patient_of
from add4rsc.inference.quality import FLAGS, SILENCE_DBFS, UNJUDGEABLE
from add4rsc.inference.result import ABSTAIN, N_DIGITS, CycleResult, RecordingResult
from add4rsc.metrics.smoothing import smooth_recordings

MARGIN = 2.0
"""Seconds read on either side of stretches, for the crop's band pass to settle."""
SILENT_STRETCH = 10 ** (SILENCE_DBFS / 20)
N_AT_ONCE = 64
"""Cropped waveforms held at once."""


@dataclass(frozen=True)
class Choices:
    """What is to be decided besides the model."""

    cycles: CycleChoice = "auto"
    threshold: float | None = None
    """Probability that every class must reach, in place of the model's own thresholds."""
    patient_pattern: str = ""
    """Regular expression whose first group is the patient in a file's name; empty for the corpora's own names."""
    smoothing: float = 0.0
    """How far every cycle is moved towards the mean of its recording (`metrics.smoothing`), from 0 to 1."""


def classify_file(
    classifier: AbstractClassifier, path: Path, name: str, choices: Choices | None = None
) -> RecordingResult:
    """Classify every cycle of a recording. Memory does not grow with its length, but for the table of its cycles.

    Args:
        classifier: the model.
        path: of the recording, in any format that libsndfile reads.
        name: what the recording is called in the result.
        choices: where cycles come from, thresholds.

    Raises:
        AudioError: if the file cannot be read.
        AnnotationError: if there is an annotation beside it that is wrong.
    """
    choices = choices or Choices()
    info = read_info(path)
    survey = survey_recording(path, info, choices.cycles, classifier.duration, unit_of(classifier.notes))
    judged = [index for index, each in enumerate(survey.stretches) if _can_be_judged(survey, each)]
    heard = dict(_classify(classifier, path, info, {index: survey.stretches[index] for index in judged}))
    rows = _smoothed(heard, choices.smoothing)
    thresholds = choose_thresholds(classifier.classes, classifier.thresholds, choices.threshold)
    cycles = [
        _cycle(each, survey.quality_at(each.start), rows.get(index), thresholds)
        for index, each in enumerate(survey.stretches)
    ]
    return RecordingResult(
        file=name,
        duration=round(info.duration, N_DIGITS),
        sample_rate=info.sample_rate,
        patient=patient_of(Path(name).stem, choices.patient_pattern),
        cycles_from=survey.cycles_from,
        model=classifier.name,
        classes=classifier.classes,
        quality=survey.quality,
        cycles=tuple(cycles),
    )


def unjudged_problem(result: RecordingResult) -> str:
    """Why nothing of a recording could be judged; empty where something was."""
    if result.is_judged:
        return ""
    flags = {flag for cycle in result.cycles for flag in cycle.quality if flag in UNJUDGEABLE}
    return f"cannot be judged ({', '.join(FLAGS[flag] for flag in FLAGS if flag in flags)})"


def _smoothed(rows: dict[int, Float[ndarray, " class"]], smoothing: float) -> dict[int, Float[ndarray, " class"]]:
    """Probabilities of one recording's cycles, moved towards their mean."""
    if not smoothing or not rows:
        return rows
    moved = smooth_recordings(np.stack(list(rows.values())), [""] * len(rows), smoothing)
    return dict(zip(rows, np.round(moved, N_DIGITS), strict=True))


def _can_be_judged(survey: Survey, stretch: Stretch) -> bool:
    return UNJUDGEABLE.isdisjoint(survey.quality_at(stretch.start))


def _cycle(
    stretch: Stretch,
    quality: tuple[str, ...],
    row: Float[ndarray, " class"] | None,
    thresholds: dict[str, float],
) -> CycleResult:
    start, end = round(stretch.start, N_DIGITS), round(stretch.end, N_DIGITS)
    if row is None:
        flags = quality if UNJUDGEABLE.intersection(quality) else ("silence", *quality)
        return CycleResult(start, end, ABSTAIN, (), flags)
    return CycleResult(start, end, decide(row, thresholds), tuple(map(float, row)), quality)


def _classify(
    classifier: AbstractClassifier, path: Path, info: AudioInfo, stretches: dict[int, Stretch]
) -> Iterator[tuple[int, Float[ndarray, " class"]]]:
    """Probabilities of each stretch that is not silent, by its index.

    Batches never mix recordings, so that a recording's numbers do not depend on its company. Of a stretch with several
    windows, those that are silent have no vote.
    """
    for members in _groups(stretches, part_length(info)):
        first = min(stretches[index].start for index in members)
        last = max(_heard_until(stretches[index], classifier.crop) for index in members)
        begin, waveform = read_part(path, info, classifier, first, last)
        for batch in (members[at : at + N_AT_ONCE] for at in range(0, len(members), N_AT_ONCE)):
            crops = {i: _crops(waveform, begin, stretches[i], classifier) for i in batch}
            heard = [index for index, each in crops.items() if each]
            if heard:
                yield from zip(heard, _probabilities(classifier, [crops[index] for index in heard]), strict=True)


def _heard_until(stretch: Stretch, crop: Crop) -> float:
    """The last second of a stretch that the network hears."""
    hears_end = crop.windows is not None or crop.kept == "end"
    return stretch.end if hears_end else min(stretch.end, stretch.start + crop.duration)


def _probabilities(
    classifier: AbstractClassifier, crops: Sequence[Sequence[Float[ndarray, " crop"]]]
) -> Float[ndarray, "cycle class"]:
    """Class probabilities of stretches from those of their windows."""
    logits = classifier.logits(np.stack([window for windows in crops for window in windows]))
    probabilities = to_probabilities(logits, classifier.temperature)
    if classifier.crop.windows is None:
        return probabilities
    owners = [index for index, windows in enumerate(crops) for _ in windows]
    return np.round(vote(probabilities, owners, classifier.crop.windows), N_DIGITS)


def _groups(stretches: dict[int, Stretch], length: float) -> Iterator[list[int]]:
    """Indices of stretches, in order of time, that begin within `length` seconds of the first."""
    members: list[int] = []
    for index in sorted(stretches, key=lambda each: stretches[each]):
        if members and stretches[index].start - stretches[members[0]].start > length:
            yield members
            members = []
        members.append(index)
    if members:
        yield members


def read_part(
    path: Path, info: AudioInfo, classifier: AbstractClassifier, first: float, last: float
) -> tuple[int, Float[ndarray, " sample"]]:
    """A part of a recording as it is cropped from, filtered and faded as the whole would be, and its first sample.

    The part begins at a whole second before `first`, and ends after `last`, with a margin where the recording has one.
    """
    sample_rate, crop = classifier.sample_rate, classifier.crop
    begin = max(0, int(first - MARGIN))
    end = None if last + 2 * MARGIN >= info.duration else last + MARGIN
    waveform = read_waveform(path, sample_rate, float(begin), end)
    filtered = fade_recording(waveform, sample_rate, crop.model_copy(update={"recording_fade": 0.0}))
    n_fade = round(crop.recording_fade * sample_rate)
    return begin * sample_rate, fade(filtered, n_fade if begin == 0 else 0, n_fade if end is None else 0)


def _crops(
    waveform: Float[ndarray, " sample"], begin: int, stretch: Stretch, classifier: AbstractClassifier
) -> list[Float[ndarray, " crop"]]:
    """The windows of a stretch as the network takes them, one where it is no longer than the crop; no silent ones."""
    times = window_times(stretch.start, stretch.end, classifier.crop)
    windows = [_crop(waveform, begin, Stretch(start, end), classifier) for start, end in times]
    return [window for window in windows if window is not None]


def _crop(
    waveform: Float[ndarray, " sample"], begin: int, stretch: Stretch, classifier: AbstractClassifier
) -> Float[ndarray, " crop"] | None:
    """A stretch as the network takes it; None if there is nothing to hear."""
    sample_rate, crop = classifier.sample_rate, classifier.crop
    first = max(int(stretch.start * sample_rate) - begin, 0)
    samples = waveform[first : max(int(stretch.end * sample_rate) - begin, first + 1)]
    if len(samples) == 0 or float(np.std(samples, dtype=np.float64)) < SILENT_STRETCH:
        return None
    return _at_length(samples, sample_rate, crop)


def _at_length(samples: Float[ndarray, " sample"], sample_rate: int, crop: Crop) -> Float[ndarray, " crop"]:
    return crop_cycle(samples, sample_rate, 0.0, (len(samples) + 0.5) / sample_rate, crop).astype(np.float32)
