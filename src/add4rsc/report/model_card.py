"""The model card: what a trained model is, what it was tested on, and what it must not be used for."""

from pathlib import Path

from add4rsc.report.evidence import Evidence, read_evidence
from add4rsc.report.facts import completeness, facts_table, is_complete, overlap, selection_in_words, unit
from add4rsc.report.scores import class_table, further_table, groups_table, scores_table, selections_table
from add4rsc.report.tables import Table, as_markdown
from add4rsc.report.templating import fill_template
from add4rsc.storage import write_text
from add4rsc.terms import RESEARCH_USE_ONLY

FEW = 50
"""A class of fewer test cycles is named among the limits."""
LARGE_SHIFT, LARGE_ERROR = 0.3, 0.1
FLOOR = 0.5


def write_model_card(run: Evidence | Path, target: Path) -> Path:
    """Write the model card of a run, given as a folder or as what was read of it; returns `target`.

    Raises:
        PredictionsError: if the run has no table of predictions, or one that does not hold what the contract says.
        StorageError: if the file cannot be written.
        MissingExtraError: if jinja2 is not installed.
    """
    evidence = run if isinstance(run, Evidence) else read_evidence([run])[0]
    write_text(target, model_card(evidence))
    return target


def model_card(evidence: Evidence) -> str:
    """The model card in Markdown.

    Raises:
        MissingExtraError: if jinja2 is not installed.
    """
    wanted = (scores_table, selections_table, further_table, class_table)
    tables = [table for make in wanted if (table := make(evidence)) is not None]
    values = {
        "evidence": evidence,
        "corpus": evidence.corpus,
        "notice": RESEARCH_USE_ONLY,
        "unit": unit(evidence),
        "completeness": completeness(evidence),
        "overlap": overlap(evidence),
        "selection": selection_in_words(evidence),
        "tables": [_stamped(table, evidence) for table in tables],
        "groups": _stamped(groups_table(evidence), evidence),
        "facts": as_markdown(facts_table(evidence)),
        "limits": limits(evidence),
    }
    text = fill_template("model_card.md", values)
    return text.rstrip() + "\n"


def _stamped(table: Table, evidence: Evidence) -> str:
    return as_markdown(table.with_notes(evidence.stamp and f"Of these numbers: {evidence.stamp}."))


def limits(evidence: Evidence) -> list[str]:
    """What this run cannot show, one sentence each, from its own numbers."""
    return [*_limits_of_protocol(evidence), *_limits_of_scores(evidence), *_limits_of_groups(evidence)]


def _limits_of_protocol(evidence: Evidence) -> list[str]:
    split = evidence.record.get("split", {})
    found = []
    if evidence.stamp:
        found.append(
            "The epoch was chosen on the test set: all scores are too good, and none is an estimate for new patients."
        )
    if not is_complete(evidence):
        found.append(f"The test is {completeness(evidence)}: its scores must not be set beside published ones.")
    if split.get("patients_in_two_subsets"):
        found.append(f"Patients are in training and in test ({overlap(evidence)}): their cycles are easier.")
    if not split:
        found.append("Whether test patients were in training is not known.")
    if split.get("stethoscope_shift", 0.0) >= LARGE_SHIFT:
        found.append(
            f"Stethoscopes differ between training and test (distance {split['stethoscope_shift']:.2f} of 1): "
            "a score mixes what was learnt of sounds with what was learnt of devices."
        )
    if len(evidence.seeds) < 2:
        found.append("There is one training run: how far another seed would differ is not known.")
    return found


def _limits_of_scores(evidence: Evidence) -> list[str]:
    result, score = evidence.result, evidence.score("score")
    found = []
    if score.value is not None and score.low is not None and score.low <= FLOOR:
        found.append(
            f"The interval of the score ({100 * score.low:.1f} to {100 * (score.high or 0.0):.1f}) reaches down to 50, "
            "which always answering the normal class scores: the model is not shown to be better than that."
        )
    rare = [f"{name} ({of['support']})" for name, of in result["per_class"].items() if 0 < of["support"] < FEW]
    if rare:
        found.append(f"Classes with few test rows, of which little can be said: {', '.join(rare)}.")
    if result["classes_without_cycles"]:
        found.append(f"Classes without a single test row: {', '.join(result['classes_without_cycles'])}.")
    error = result["expected_calibration_error"]
    if error is not None and error >= LARGE_ERROR:
        found.append(
            f"Probabilities are not to be taken as such: they miss the share of right decisions by {error:.2f} "
            "on average."
        )
    return found


def _limits_of_groups(evidence: Evidence) -> list[str]:
    groups = evidence.result["subgroups"]
    small = [
        f"{kind.replace('_', ' ')} {name}"
        for kind, of in groups.items()
        for name, each in of.items()
        if each["too_small"]
    ]
    found = [f"Groups too small to say anything of: {', '.join(small)}."] if small else []
    missing = [kind for kind in ("age_group", "sex", "stethoscope") if kind not in groups]
    if missing:
        words = ", ".join(kind.replace("_", " ") for kind in missing)
        found.append(f"The table does not say {words}: whether the model serves all of these alike is not known.")
    return found
