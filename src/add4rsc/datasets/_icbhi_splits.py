"""The divisions of ICBHI 2017 that publications use, by name, with the counts that each must give.

METHODS 1.2 defines them. All go by the recordings' names and two lists: the challenge's, and RespireNet's of patients.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from add4rsc.datasets._base import NamedSplit
from add4rsc.datasets._icbhi_files import SITE, SPLIT_FILE, numbered_lines, read_split_list
from add4rsc.errors import AnnotationError, SplitError, UnknownNameError
from add4rsc.terms import CYCLE_CLASSES, Recording, RespiratoryCycle, Subset

FOLDS_FILE = "patient_list_foldwise.txt"
FOLDS_SITE = "https://github.com/microsoft/RespireNet (data/patient_list_foldwise.txt)"
FIND_AT = {SPLIT_FILE: SITE, FOLDS_FILE: FOLDS_SITE}

STETHOSCOPES = ("AKGC417L", "LittC2SE", "Litt3200", "Meditron")
OFFICIAL, DISJOINT = "icbhi2017/official", "icbhi2017/official-disjoint"
FIVE_FOLD, BY_STETHOSCOPE = "icbhi2017/five-fold", "icbhi2017/leave-one-stethoscope-out"
RANDOM_FILE, BY_PATIENT = "icbhi2017/random-file-seed1", "icbhi2017/by-patient-overlap"

SHARED_PATIENTS = frozenset({"156", "218"})
"""Both are on either side of the official split: 117 training and 120 test cycles."""
RANDOM_TRAIN_SHARE = 0.6
Counts = tuple[int, int, int, int, int]
"""Recordings, then cycles of each of the four classes."""
PUBLISHED_COUNTS: dict[str, tuple[Counts, Counts]] = {
    OFFICIAL: ((539, 2063, 1215, 501, 363), (381, 1579, 649, 385, 143)),
    DISJOINT: ((539, 2063, 1215, 501, 363), (369, 1560, 617, 373, 86)),
    RANDOM_FILE: ((552, 2250, 1051, 604, 308), (368, 1392, 813, 282, 198)),
    BY_PATIENT: ((551, 2082, 1247, 513, 420), (394, 1589, 678, 400, 206)),
    f"{FIVE_FOLD}/1": ((408, 2076, 666, 537, 164), (512, 1566, 1198, 349, 342)),
    f"{FIVE_FOLD}/2": ((859, 3185, 1777, 782, 450), (61, 457, 87, 104, 56)),
    f"{FIVE_FOLD}/3": ((870, 3239, 1757, 864, 502), (50, 403, 107, 22, 4)),
    f"{FIVE_FOLD}/4": ((821, 3201, 1783, 681, 474), (99, 441, 81, 205, 32)),
    f"{FIVE_FOLD}/5": ((722, 2867, 1473, 680, 434), (198, 775, 391, 206, 72)),
    f"{BY_STETHOSCOPE}/AKGC417L": ((273, 1715, 315, 386, 125), (646, 1922, 1543, 500, 381)),
    f"{BY_STETHOSCOPE}/LittC2SE": ((808, 3240, 1739, 703, 396), (87, 347, 77, 126, 44)),
    f"{BY_STETHOSCOPE}/Litt3200": ((853, 3276, 1802, 759, 444), (60, 336, 29, 112, 25)),
    f"{BY_STETHOSCOPE}/Meditron": ((786, 2586, 1639, 719, 438), (127, 1037, 215, 148, 56)),
}
"""Training and test of the complete corpus: METHODS 1.2, its classes and the folds counted from the 920 annotations."""

Find = Callable[[str], Path]
"""From the name of a list to its file; SplitError where it is missing."""


def divide(name: str, recordings: Sequence[Recording], find: Find) -> NamedSplit:
    """The division of that name of the recordings that are present.

    Raises:
        UnknownNameError: if there is none, or no such fold.
        SplitError: if a list that it needs is missing.
        AnnotationError: if a list does not parse.
    """
    base, fold = name, ""
    if name not in SINGLE:
        base, _, fold = name.rpartition("/")
        if fold not in FOLDS.get(base, ()):
            folds = [f"{each}/{label}" for each, labels in FOLDS.items() for label in labels]
            raise UnknownNameError("split", name, (*SINGLE, *folds))
    if fold:
        return NamedSplit(name, FOLD_RULES[base](recordings, fold, find))
    return SINGLE[name](recordings, find)


def _official(recordings: Sequence[Recording], find: Find) -> NamedSplit:
    """The challenge's list: 539 recordings to train, 381 to test."""
    return NamedSplit(OFFICIAL, _listed(recordings, find), SHARED_PATIENTS)


def _official_disjoint(recordings: Sequence[Recording], find: Find) -> NamedSplit:
    """The challenge's list without the two patients of both sides in test."""
    listed, patients = _listed(recordings, find), _patients(recordings)
    kept = {
        stem: subset
        for stem, subset in listed.items()
        if subset is not Subset.TEST or patients[stem] not in SHARED_PATIENTS
    }
    return NamedSplit(DISJOINT, kept)


def _random_file(recordings: Sequence[Recording], find: Find) -> NamedSplit:
    """All 920 file names in order, shuffled with Python's generator of seed 1; the first 552 are for training.

    The names come from the challenge's list, so that a part of the corpus is divided as the whole is. Its one misnamed
    recording sorts to the same place under either name.
    """
    stems = sorted(stem for stem, _ in read_split_list(find(SPLIT_FILE)))
    order = list(range(len(stems)))
    random.Random(1).shuffle(order)
    n_train = int(RANDOM_TRAIN_SHARE * len(stems))
    in_train = {_first_four(stems[index]) for index in order[:n_train]}
    listed = {_first_four(stem) for stem in stems}
    subset_of = {
        each.recording_id: Subset.TRAIN if _first_four(each.recording_id) in in_train else Subset.TEST
        for each in recordings
        if _first_four(each.recording_id) in listed
    }
    return NamedSplit(RANDOM_FILE, subset_of, shared_patients=None)


def _by_patient(recordings: Sequence[Recording], find: Find) -> NamedSplit:
    """The challenge's list read as one of patients: whoever is in a train line trains, whoever is in a test line tests.

    So all recordings of the two patients of both sides are trained on and tested.
    """
    sides: dict[str, set[Subset]] = {}
    for stem, subset in read_split_list(find(SPLIT_FILE)):
        sides.setdefault(stem.split("_")[0], set()).add(subset)
    subset_of, also_test = {}, set()
    for each in recordings:
        of_patient = sides.get(each.patient_id, set())
        if of_patient:
            subset_of[each.recording_id] = Subset.TRAIN if Subset.TRAIN in of_patient else Subset.TEST
        if len(of_patient) == 2:
            also_test.add(each.recording_id)
    return NamedSplit(BY_PATIENT, subset_of, SHARED_PATIENTS, frozenset(also_test))


def _five_fold(recordings: Sequence[Recording], fold: str, find: Find) -> dict[str, Subset]:
    """RespireNet's five groups of patients (Gairola et al. 2021), numbered from 1; the named one is tested."""
    fold_of = _read_folds(find(FOLDS_FILE))
    return {
        each.recording_id: Subset.TEST if fold_of[each.patient_id] == int(fold) - 1 else Subset.TRAIN
        for each in recordings
        if each.patient_id in fold_of
    }


def _leave_out(recordings: Sequence[Recording], stethoscope: str, _find: Find) -> dict[str, Subset]:
    """One stethoscope is tested; its patients' recordings with another one are in neither subset."""
    tested = {each.patient_id for each in recordings if each.stethoscope == stethoscope}
    return {
        each.recording_id: Subset.TEST if each.stethoscope == stethoscope else Subset.TRAIN
        for each in recordings
        if each.stethoscope == stethoscope or each.patient_id not in tested
    }


SINGLE: dict[str, Callable[[Sequence[Recording], Find], NamedSplit]] = {
    OFFICIAL: _official,
    DISJOINT: _official_disjoint,
    RANDOM_FILE: _random_file,
    BY_PATIENT: _by_patient,
}
FOLDS: dict[str, tuple[str, ...]] = {FIVE_FOLD: ("1", "2", "3", "4", "5"), BY_STETHOSCOPE: STETHOSCOPES}
FOLD_RULES: dict[str, Callable[[Sequence[Recording], str, Find], dict[str, Subset]]] = {
    FIVE_FOLD: _five_fold,
    BY_STETHOSCOPE: _leave_out,
}

HELP = {
    OFFICIAL: "the challenge's 60/40; patients 156 and 218 are on both sides",
    DISJOINT: "the challenge's 60/40 without patients 156 and 218 in test",
    RANDOM_FILE: "shuffled files, as in ADD4RSC's and MVST's code: 93.9 % of test cycles are of training patients",
    BY_PATIENT: "CycleGuardian's: two patients are trained on and tested whole, 237 cycles are in both",
    FIVE_FOLD: "RespireNet's five groups of patients, each tested in turn",
    BY_STETHOSCOPE: "each stethoscope tested in turn; its patients are not trained on",
}


def check_counts(split: NamedSplit, cycles: Sequence[RespiratoryCycle]) -> None:
    """Compare a division of the complete corpus with the published numbers.

    Raises:
        SplitError: if they differ.
    """
    expected = PUBLISHED_COUNTS[split.name]
    found = tuple(_count(split.members(subset), cycles) for subset in (Subset.TRAIN, Subset.TEST))
    if found != expected:
        raise SplitError(
            f"{split.name} does not give the published numbers of recordings and of cycles a class, in training and in "
            f"test ({found}, published {expected}). "
            "Get the annotations and the lists again; `add4rsc data verify` names the files that are wrong."
        )


def _count(members: set[str], cycles: Sequence[RespiratoryCycle]) -> Counts:
    found = Counter(cycle.annotation for cycle in cycles if cycle.recording.recording_id in members)
    normal, crackle, wheeze, both = (found[name] for name in CYCLE_CLASSES)
    return len(members), normal, crackle, wheeze, both


def _listed(recordings: Sequence[Recording], find: Find) -> dict[str, Subset]:
    """The challenge's subset of each recording.

    Matched on the first four parts of the name: the list says 226_1b1_Pl_sc_Meditron where the file is
    226_1b1_Pl_sc_LittC2SE.
    """
    listed = {_first_four(stem): subset for stem, subset in read_split_list(find(SPLIT_FILE))}
    stems = [recording.recording_id for recording in recordings]
    return {stem: listed[_first_four(stem)] for stem in stems if _first_four(stem) in listed}


def _read_folds(path: Path) -> dict[str, int]:
    """Patient -> fold from 0, from lines of the two.

    Raises:
        AnnotationError: at a line of another form.
    """
    folds: dict[str, int] = {}
    for number, line in numbered_lines(path):
        patient, *fold = line.split()
        if len(fold) != 1 or fold[0] not in ("0", "1", "2", "3", "4"):
            problem = f"line {number}: '{line}' is not a patient, a blank, and a fold from 0 to 4"
            raise AnnotationError(path, problem, f"Get the file again from {FOLDS_SITE}.")
        folds[patient] = int(fold[0])
    return folds


def _patients(recordings: Sequence[Recording]) -> Mapping[str, str]:
    return {each.recording_id: each.patient_id for each in recordings}


def _first_four(stem: str) -> str:
    return stem.rsplit("_", maxsplit=1)[0]
