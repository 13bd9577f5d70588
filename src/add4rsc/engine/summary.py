"""The scores of several seeds -> one summary."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SCORES = ("specificity", "sensitivity", "score", "sensitivity_binary", "score_binary")
NESTED = ("sprsound", "sprsound_look_alikes")
"""SPRSound's official score, and what is printed in its place, with their parts."""
SAME_FOR_ALL = ("n_cycles", "n_patients", "classes", "split", "selection", "selection_description", "is_official")


def summarise_seeds(results: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1) and values of every score over the seeds; None where a seed has none.

    Args:
        results: seed -> what `add4rsc.metrics.selections.evaluate_run` says of it.
    """
    summary: dict[str, Any] = {"seeds": list(results), **_over_seeds(list(results.values()))}
    first = next(iter(results.values()))
    summary |= {key: _spread([result[key] for result in results.values()]) for key in NESTED}
    summary |= {key: first[key] for key in SAME_FOR_ALL}
    rules = [result.get("selections", {}) for result in results.values()]
    shared = [name for name in rules[0] if all(name in each for each in rules)]
    summary["selections"] = {
        name: {"description": rules[0][name]["description"], **_over_seeds([each[name] for each in rules])}
        for name in shared
    }
    return summary


def _over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: _spread([result[name] for result in results]) for name in SCORES}


def _spread(values: Sequence[Any]) -> dict[str, Any]:
    """Mean and deviation of a score, or of every part of one; a part's interval is of one seed, and left out."""
    if isinstance(values[0], Mapping):
        return {key: _spread([value[key] for value in values]) for key in values[0] if key != "interval"}
    mean, sd = None, None
    if None not in values:
        mean = float(np.mean(values))
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": mean, "sd": sd, "values": values}
