"""Groups of cycles: equal codes for equal groups, -1 for what is not known, stethoscopes alike in every corpus."""

from pathlib import Path

import numpy as np
import pytest

from add4rsc.datasets.opening import open_dataset
from add4rsc.protocol.groups import N_CODES, NAMES, age_group, group_codes, stethoscope_code
from add4rsc.terms import GROUPS, N_STETHOSCOPE_CODES, STETHOSCOPES, Recording, RespiratoryCycle


def cycle(patient: str, stethoscope: str = "", location: str = "", **metadata: str) -> RespiratoryCycle:
    recording = Recording(f"{patient}_r", Path("x.wav"), patient, stethoscope, location, metadata=metadata)
    return RespiratoryCycle(recording, 0.0, 1.0, "normal")


def test_codes_tell_groups_apart_and_say_what_is_not_known():
    cycles = [
        cycle("b", "Meditron", "Tc", age="63", sex="M"),
        cycle("a", "AKGC417L", "Al", age="2", sex="f"),
        cycle("b", "no such", "Tc", age="NA"),
        cycle("c", "", "", sex="F", age="nan"),
    ]
    codes = group_codes(cycles)
    assert tuple(codes) == GROUPS
    assert codes["patient"].tolist() == [1, 0, 1, 2]
    assert codes["chest_location"].tolist() == [0, 1, 0, -1]
    assert codes["sex"].tolist() == [1, 0, -1, 0]
    assert codes["age_group"].tolist() == [0, 1, -1, -1]
    assert codes["stethoscope"][[0, 1, 3]].tolist() == [3, 0, -1]
    assert len(STETHOSCOPES) <= codes["stethoscope"][2] < N_STETHOSCOPE_CODES


def test_every_stethoscope_of_a_corpus_has_its_code():
    assert [stethoscope_code(name) for name in STETHOSCOPES] == list(range(len(STETHOSCOPES)))


def test_codes_of_all_but_patients_do_not_depend_on_the_other_cycles():
    one = cycle("z", "Meditron", "Pr", age="4", sex="M")
    alone, among = group_codes([one]), group_codes([cycle("a", "AKGC417L", "Al", age="70", sex="F"), one])
    for name in set(GROUPS) - {"patient"}:
        assert alone[name][0] == among[name][1]
        assert NAMES[name][alone[name][0]] in ("Meditron", "Pr", "child", "m")


def test_names_that_we_do_not_know_have_codes_that_are_left_or_none():
    codes = group_codes([cycle("a", location="nowhere", sex="?")])
    assert len(NAMES["chest_location"]) <= codes["chest_location"][0] < N_CODES["chest_location"]
    assert codes["sex"][0] == -1


@pytest.mark.parametrize(("age", "group"), [("19", "adult"), ("18.9", "child"), ("", ""), ("nan", "")])
def test_adults_are_nineteen(age, group):
    assert age_group(age) == group


def test_codes_of_a_made_corpus(made_corpus):
    cycles = open_dataset(made_corpus).cycles()
    codes = group_codes(cycles)
    patients = [each.recording.patient_id for each in cycles]
    for one in range(len(cycles)):
        same = np.array([patient == patients[one] for patient in patients])
        assert np.array_equal(codes["patient"] == codes["patient"][one], same)
    assert all(values.dtype == np.int64 and len(values) == len(cycles) for values in codes.values())
