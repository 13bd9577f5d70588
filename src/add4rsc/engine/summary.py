"""The scores of several seeds -> one summary."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SCORES = ("specificity", "sensitivity", "score", "sensitivity_binary", "score_binary")
SAME_FOR_ALL = ("n_cycles", "n_patients", "classes", "split", "selection", "selection_description", "is_official")


def summarise_seeds(results: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1) and values of every score over the seeds; None where a seed has none.

    Args:
        results: seed -> what `add4rsc.metrics.selections.evaluate_run` says of it.
    """
    summary: dict[str, Any] = {"seeds": list(results), **_over_seeds(list(results.values()))}
    first = next(iter(results.values()))
    summary |= {key: first[key] for key in SAME_FOR_ALL}
    rules = [result.get("selections", {}) for result in results.values()]
    shared = [name for name in rules[0] if all(name in each for each in rules)]
    summary["selections"] = {
        name: {"description": rules[0][name]["description"], **_over_seeds([each[name] for each in rules])}
        for name in shared
    }
    return summary


def _over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    scores = {}
    for name in SCORES:
        values = [result[name] for result in results]
        mean, sd = None, None
        if None not in values:
            mean = float(np.mean(values))
            sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        scores[name] = {"mean": mean, "sd": sd, "values": values}
    return scores
