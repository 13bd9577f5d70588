"""How many normal and abnormal items the complete published tests have: what a share is a share of."""

from dataclasses import dataclass

from add4rsc.datasets._icbhi_splits import FOLDS, PUBLISHED_COUNTS
from add4rsc.errors import UnknownNameError


@dataclass(frozen=True)
class Denominators:
    """Items of a complete test, as the two shares count them; those of poor quality are in neither number."""

    n_normal: int
    n_abnormal: int


_EVENTS = {"inter": Denominators(1040, 389), "intra": Denominators(688, 316), "union": Denominators(1728, 705)}
_RECORDINGS = {"inter": Denominators(241, 106), "intra": Denominators(241, 136), "union": Denominators(482, 242)}
"""SPRSOUND 1, counted from the annotations."""


def published_sizes() -> dict[str, Denominators]:
    """Name -> size: splits of ICBHI 2017, folds and their union, and the tests of SPRSound 2022.

    The recordings of SPRSound, which tasks 2-1 and 2-2 classify, are under `NAME/recordings`.
    """
    sizes = {
        name: Denominators(normal, sum(abnormal)) for name, (_, (_, normal, *abnormal)) in PUBLISHED_COUNTS.items()
    }
    for name, labels in FOLDS.items():
        folds = [sizes[f"{name}/{label}"] for label in labels]
        sizes[name] = Denominators(sum(each.n_normal for each in folds), sum(each.n_abnormal for each in folds))
    sizes |= {f"sprsound2022/{part}": size for part, size in _EVENTS.items()}
    return sizes | {f"sprsound2022/{part}/recordings": size for part, size in _RECORDINGS.items()}


def published_size(name: str) -> Denominators:
    """The size of one complete test.

    Raises:
        UnknownNameError: if no published test has that name.
    """
    sizes = published_sizes()
    if name not in sizes:
        raise UnknownNameError("split", name, sizes)
    return sizes[name]
