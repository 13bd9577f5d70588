"""Whose recording a file is, from its name."""

import re

from add4rsc.datasets._icbhi_files import RECORDING_NAME as ICBHI_NAME
from add4rsc.datasets._sprsound_files import RECORDING_NAME as SPRSOUND_NAME
from add4rsc.errors import WrongUsageError


def patient_of(stem: str, pattern: str = "") -> str:
    r"""The patient in a file's name; empty where the name does not tell.

    Args:
        stem: the file's name without folder and suffix.
        pattern: regular expression whose first group is the patient; empty for the names of ICBHI and SPRSound.

    Raises:
        WrongUsageError: if the pattern is no regular expression, or has no group.

    >>> patient_of("101_1b1_Al_sc_Meditron"), patient_of("ward3-p17-left", r"-(p\d+)-"), patient_of("breath")
    ('101', 'p17', '')
    """
    if not pattern:
        found = ICBHI_NAME.fullmatch(stem) or SPRSOUND_NAME.fullmatch(stem)
        return found[1] if found else ""
    try:
        found = re.search(pattern, stem)
        return (found[1] or "") if found else ""
    except (re.error, IndexError) as error:
        remedy = r"Write a regular expression with one group, such as '^(\w+)_'."
        raise WrongUsageError(f"--patient '{pattern}': {error}. {remedy}") from error
