"""What training cycles have in common beside their class, as codes that a method can compare or predict."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from add4rsc.terms import ADULT_AGE, GROUPS, N_STETHOSCOPE_CODES, STETHOSCOPES, RespiratoryCycle

UNKNOWN = -1

SEXES = ("f", "m")
AGE_GROUPS = ("adult", "child")
CHEST_LOCATIONS = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr", "p1", "p2", "p3", "p4")
"""Those of ICBHI 2017, then those of SPRSound."""

N_CODES = {
    "stethoscope": N_STETHOSCOPE_CODES,
    "chest_location": 16,
    "sex": len(SEXES),
    "age_group": len(AGE_GROUPS),
}
"""How many codes a group has whose codes mean the same in every corpus."""

NAMES = {"stethoscope": STETHOSCOPES, "chest_location": CHEST_LOCATIONS, "sex": SEXES, "age_group": AGE_GROUPS}
"""What their first codes mean; names that are not here share the codes that are left, or are unknown if none is."""


def group_codes(cycles: Sequence[RespiratoryCycle]) -> dict[str, Int[ndarray, " cycle"]]:
    """Codes of every cycle's patient, stethoscope, chest location, sex and age group; -1 where it is not known.

    A code of `NAMES` means the same in every corpus; those of patients only tell apart the patients of these very
    cycles, in the order of their names.
    """
    return {name: _codes([_group(cycle, name) for cycle in cycles], name) for name in GROUPS}


def stethoscope_code(name: str) -> int:
    """Code of a stethoscope, below `N_STETHOSCOPE_CODES`; those we do not know share the codes that are left.

    >>> stethoscope_code("Meditron")
    3
    """
    return _lasting_code("stethoscope", name)


def _lasting_code(group: str, name: str) -> int:
    """Code of a name in a group of `NAMES`."""
    names = NAMES[group]
    if name in names:
        return names.index(name)
    n_left = N_CODES[group] - len(names)
    return len(names) + sum(name.encode()) % n_left if name and n_left else UNKNOWN


def _codes(groups: Sequence[str], name: str) -> Int[ndarray, " cycle"]:
    if name in NAMES:
        return np.array([_lasting_code(name, group) for group in groups], dtype=np.int64)
    order = {group: code for code, group in enumerate(sorted(set(groups) - {""}))}
    return np.array([order.get(group, UNKNOWN) for group in groups], dtype=np.int64)


def _group(cycle: RespiratoryCycle, name: str) -> str:
    """The group's name; empty where the corpus does not say."""
    recording = cycle.recording
    if name == "age_group":
        return age_group(recording.metadata.get("age", ""))
    known = {
        "patient": recording.patient_id,
        "stethoscope": recording.stethoscope,
        "chest_location": recording.chest_location,
        "sex": recording.metadata.get("sex", "").lower(),
    }
    return "" if known[name] in ("", "nan", "na") else known[name]


def age_group(age: str) -> str:
    """`adult` or `child` of an age in years; empty if there is none.

    >>> age_group("63"), age_group("0.75"), age_group("NA")
    ('adult', 'child', '')
    """
    try:
        years = float(age)
    except ValueError:
        return ""
    return "" if years != years else "adult" if years >= ADULT_AGE else "child"
