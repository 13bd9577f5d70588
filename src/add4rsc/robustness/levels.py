"""Levels, as they are written on a command line."""

from collections.abc import Sequence

from add4rsc.errors import WrongUsageError
from add4rsc.robustness.corruptions import corruptions


def read_levels(text: str, option: str) -> tuple[float, ...]:
    """Levels from a list such as 20,10,0.

    Raises:
        WrongUsageError: if it is anything else.
    """
    try:
        levels = tuple(float(f"{float(part):g}") for part in text.split(","))
    except ValueError as error:
        raise WrongUsageError(f"{option} {text}: expected numbers with commas, such as 20,10,5,0,-5.") from error
    if not all(abs(each) < float("inf") for each in levels):
        raise WrongUsageError(f"{option} {text}: expected finite numbers.")
    return tuple(dict.fromkeys(levels))


def read_named_levels(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Levels of single corruptions from texts such as clipping=0.01,0.1.

    Raises:
        UnknownNameError: if there is no such corruption.
        WrongUsageError: if a text is not of that form, or a level cannot be.
    """
    found = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise WrongUsageError(f"--levels {text}: expected CORRUPTION=LEVELS, such as clipping=0.01,0.1.")
        kind, levels = corruptions.get(name), read_levels(values, f"--levels {name}=")
        highest = 1.0 if kind.unit == "share" else float("inf")
        if kind.unit in ("Hz", "share") and not all(0 < each < highest for each in levels):
            raise WrongUsageError(f"--levels {text}: expected {kind.unit} above 0, and below 1 if it is a share.")
        found[name] = levels
    return found
