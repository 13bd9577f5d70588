"""The tables of scores of one run: with intervals, by class, by group, by patient, and beside published results."""

from typing import Any

import numpy as np

from add4rsc.metrics.intervals import SCORES, patient_counts
from add4rsc.metrics.sprsound import judged
from add4rsc.report.evidence import Evidence
from add4rsc.report.tables import Cell, Column, Estimate, Table

HEADINGS = {
    "specificity": "Specificity",
    "sensitivity": "Sensitivity (exact class)",
    "score": "Score",
    "sensitivity_binary": "Sensitivity (binary)",
    "score_binary": "Score (binary)",
}
FLOOR = "Always answering the normal class scores 50.0."
SAME_PATIENT = "Wilson's interval takes cycles as independent, which those of one patient are not: it is too narrow."


def scores_table(evidence: Evidence) -> Table:
    """The five scores with their intervals."""
    result = evidence.result
    if evidence.over_seeds:
        return _scores_over_seeds(evidence)
    columns = (
        Column("measure", "Measure"),
        Column("value", "Value (%), 95 % interval over patients", "share", 2),
        Column("bca", "The same, BCa", "share"),
        Column("wilson", "Wilson", "share"),
    )
    kinds = ("intervals_bca", "intervals_wilson")
    rows = tuple(
        (HEADINGS[name], evidence.score(name), *(_range(result[kind].get(name)) for kind in kinds)) for name in SCORES
    )
    return Table("scores", "Scores with 95 % intervals", columns, rows, (FLOOR, SAME_PATIENT))


def _range(pair: list[float | None] | None) -> Cell:
    return None if pair is None else Estimate(None, *pair)


def _scores_over_seeds(evidence: Evidence) -> Table:
    over = evidence.over_seeds
    columns = (
        Column("measure", "Measure"),
        Column("mean", "Mean over seeds (%), 95 % interval over patients", "share", 2),
        Column("sd", "sd over seeds (points)", "share", 2),
        *(Column(f"seed_{seed}", f"Seed {seed}", "share", 2) for seed in evidence.seeds),
    )
    rows = tuple((HEADINGS[name], evidence.score(name), over[name]["sd"], *over[name]["values"]) for name in SCORES)
    return Table("scores", f"Scores of {len(evidence.seeds)} seeds", columns, rows, (FLOOR,))


def further_table(evidence: Evidence) -> Table:
    """Measures beside the scores, of the seed that is shown."""
    result, official = evidence.result, evidence.result["sprsound"]
    rows: list[tuple[Cell, ...]] = [
        ("macro F1", result["macro_f1"]),
        ("balanced accuracy", result["balanced_accuracy"]),
        ("Matthews' correlation", result["matthews_correlation"]),
        ("SPRSound average score AS", official["average"]),
        ("SPRSound harmonic score HS", official["harmonic"]),
        ("SPRSound Score", official["score"]),
        ("look-alike A4 (not the official score)", result["sprsound_look_alikes"]["A4"]),
        ("look-alike M (not the official score)", result["sprsound_look_alikes"]["M"]["score"]),
        ("Brier score, 0 to 2 (lower is better)", result["brier"]),
        ("expected calibration error (lower is better)", result["expected_calibration_error"]),
    ]
    is_sprsound = evidence.corpus is not None and evidence.corpus.name.startswith("sprsound")
    kept = [row for row in rows if is_sprsound or not str(row[0]).startswith(("SPRSound", "look-alike"))]
    columns = (Column("measure", "Measure"), Column("value", "Value", "number"))
    title = f"Further measures, seed {evidence.shown}" if evidence.over_seeds else "Further measures"
    return Table("further", title, columns, tuple(kept))


def selections_table(evidence: Evidence) -> Table | None:
    """What the same training scores under every rule by which its epoch can be chosen; None for a single rule."""
    rules = (evidence.over_seeds or evidence.result).get("selections", {})
    if len(rules) < 2:
        return None
    rows = tuple((_selection_row(rule)) for rule in rules.values())
    columns = (
        Column("selection", "Epoch"),
        *(Column(name, f"{HEADINGS[name]} (%)", "share", 2) for name in SCORES[:3]),
        Column("above", "Score above this run's own rule (points)", "points", 2),
    )
    return Table("selections", "One training run under every rule of selection", columns, rows)


def _selection_row(rule: dict[str, Any]) -> tuple[Cell, ...]:
    values = [rule[name]["mean"] if isinstance(rule[name], dict) else rule[name] for name in SCORES[:3]]
    return (rule["description"], *values, rule.get("score_above_own_rule"))


def class_table(evidence: Evidence) -> Table:
    """Recall, precision, F1 and areas under the curves of every class."""
    columns = (
        Column("class", "Class"),
        Column("support", "Cycles", "count"),
        Column("recall", "Recall (%), Wilson interval", "share"),
        Column("precision", "Precision (%)", "share"),
        Column("f1", "F1", "number"),
        Column("auroc", "AUROC", "number"),
        Column("auprc", "AUPRC", "number"),
    )
    rows = tuple(
        (
            name,
            score["support"],
            Estimate(score["recall"], *score["recall_wilson"]),
            *(score[key] for key in ("precision", "f1", "auroc", "auprc")),
        )
        for name, score in evidence.result["per_class"].items()
    )
    return Table("classes", "Scores of each class", columns, rows)


def confusion_table(evidence: Evidence) -> Table:
    """Counts of cycles by label (row) and decision (column), with the shares of the row."""
    classes = evidence.result["classes"]
    columns = [Column("label", "Label")]
    columns += [Column(f"as_{name}", f"→ {name}", "count") for name in classes]
    columns += [Column("total", "Cycles", "count")]
    columns += [Column(f"share_{name}", f"→ {name} (%)", "share") for name in classes]
    rows = []
    for name, counts in zip(classes, evidence.result["confusion_matrix"], strict=True):
        total = sum(counts)
        rows.append((name, *counts, total, *(count / total if total else None for count in counts)))
    return Table("confusion", "Labels (rows) and decisions (columns)", tuple(columns), tuple(rows))


def groups_table(evidence: Evidence) -> Table:
    """Scores of subgroups with counts and intervals; groups that are too small are marked."""
    columns = (
        Column("by", "By"),
        Column("group", "Group"),
        Column("n_patients", "Patients", "count"),
        Column("n_normal", "Normal", "count"),
        Column("n_abnormal", "Abnormal", "count"),
        *(Column(name, f"{HEADINGS[name]} (%)", "share") for name in SCORES[:3]),
        Column("mark", "Mark"),
    )
    rows = tuple(
        (
            kind.replace("_", " "),
            name,
            *(group[key] for key in ("n_patients", "n_normal", "n_abnormal")),
            *(Estimate(group[score], *group["intervals"][score]) for score in SCORES[:3]),
            "too small" if group["too_small"] else "",
        )
        for kind, groups in evidence.result["subgroups"].items()
        for name, group in groups.items()
    )
    return Table("groups", "Subgroups", columns, rows, n_labels=2)


def patients_table(evidence: Evidence) -> Table:
    """Every patient, from the least to the most cycles right."""
    predictions = evidence.predictions
    rated = judged(predictions.labels, predictions.classes)
    patients = predictions.patients[rated]
    counts = patient_counts(predictions.labels[rated], predictions.decisions[rated], patients)
    normal, normal_hits, abnormal, exact_hits = counts[:, :4].T
    share = (normal_hits + exact_hits) / (normal + abnormal)
    names = np.unique(patients)
    order = np.lexsort((names, -(normal + abnormal), share))
    columns = (
        Column("patient", "Patient"),
        Column("n_normal", "Normal", "count"),
        Column("normal_right", "of them right", "count"),
        Column("n_abnormal", "Abnormal", "count"),
        Column("abnormal_right", "of them right (exact class)", "count"),
        Column("right", "Right (%)", "share"),
    )
    rows = tuple((str(names[each]), *(int(value) for value in counts[each, :4]), float(share[each])) for each in order)
    return Table("patients", "Patients, from the least to the most cycles right", columns, rows)
