"""What was run, in words: data, completeness, split, overlap, selection, seeds and versions."""

from typing import Any

from add4rsc.metrics.official import OFFICIAL_TESTS
from add4rsc.protocol.sizes import published_sizes
from add4rsc.report.evidence import Evidence
from add4rsc.report.tables import Column, Table
from add4rsc.storage import last_parts

NOT_SAID = "not known: the table of predictions does not say"


def is_complete(evidence: Evidence) -> bool:
    """Whether published scores on the split may stand beside those of this run.

    An official test is known by its rows; a test of another published split by its name and its counts.
    """
    official = {test.split for test in OFFICIAL_TESTS}
    size = published_sizes().get(evidence.split)
    if evidence.result["is_official"] or size is None or evidence.split in official:
        return bool(evidence.result["is_official"])
    counts = [sum(row) for row in evidence.result["confusion_matrix"]]
    return (counts[0], sum(counts[1:])) == (size.n_normal, size.n_abnormal)


def completeness(evidence: Evidence) -> str:
    """Whether the rows are a whole official test, and if not, how much of one."""
    n_cycles, promised = evidence.result["n_cycles"], evidence.official_test
    if is_complete(evidence):
        kind = "official test" if evidence.result["is_official"] else "test of a published split"
        return f"complete {kind}: all {n_cycles:,} {unit(evidence)}s of {evidence.split}"
    if promised is None:
        return f"{n_cycles:,} {unit(evidence)}s; not an official test that we know"
    if n_cycles < promised.n_rows:
        return f"a subset: {n_cycles:,} of the {promised.n_rows:,} {unit(evidence)}s of the official test"
    return f"not the official test: its {promised.n_rows:,} rows are other ones than these {n_cycles:,}"


def unit(evidence: Evidence) -> str:
    """What a row is: a cycle, an event or a recording."""
    promised = evidence.official_test
    if promised is not None:
        return promised.unit
    tasks = evidence.corpus.tasks if evidence.corpus else {}
    return tasks[evidence.task].unit if evidence.task in tasks else "cycle"


def selection_in_words(evidence: Evidence) -> str:
    """The rule by which the epoch was chosen, and which one it was."""
    words = {
        "last": "last epoch; no score had a say in it",
        "validation": "epoch chosen on validation patients",
        "test": "epoch chosen on the test set: the score is too good, and is no estimate for new patients",
    }.get(evidence.result["selection"], NOT_SAID)
    epochs = [str(history.epoch) for history in evidence.histories if history.epoch is not None]
    return f"{words} (epoch {', '.join(epochs)})" if epochs else words


def overlap(evidence: Evidence) -> str:
    """Who is in training and in test."""
    split = evidence.record.get("split")
    if not split:
        return NOT_SAID
    shared, n_test = split.get("patients_in_two_subsets", []), evidence.result["n_cycles"]
    if not shared:
        return "none"
    cycles = split.get("test_cycles_of_training_patients", 0)
    listed = ", ".join(shared) if len(shared) <= 6 else f"{len(shared)} patients"
    return f"{listed}: {cycles:,} of the {n_test:,} test rows ({100 * cycles / n_test:.1f} %) are theirs"


def facts_table(evidence: Evidence) -> Table:
    """What was run, one fact a row; what the run does not say is left out, or said to be unknown."""
    rows = [*_of_data(evidence), *_of_training(evidence), *_of_machine(evidence.record)]
    columns = (Column("fact", "What"), Column("value", "Value"))
    return Table("facts", "What was run", columns, tuple((name, value) for name, value in rows if value))


def _of_data(evidence: Evidence) -> list[tuple[str, str]]:
    corpus, result = evidence.corpus, evidence.result
    split = evidence.record.get("split", {})
    twice, shift = split.get("cycles_in_training_and_test"), split.get("stethoscope_shift")
    classes = ", ".join(result["classes"])
    return [
        ("corpus", f"{corpus.name} ({corpus.paper.title}, {corpus.paper.year})" if corpus else NOT_SAID),
        ("licence", corpus.source.terms if corpus else NOT_SAID),
        ("task", f"{evidence.task}: {classes}" if evidence.task else classes),
        ("split", evidence.split or NOT_SAID),
        ("tested", f"{result['n_cycles']:,} {unit(evidence)}s of {result['n_patients']:,} patients"),
        ("completeness", completeness(evidence)),
        ("without cycles", ", ".join(result["classes_without_cycles"])),
        ("poor quality", f"{result['n_poor_quality']:,} rows, not counted" if result["n_poor_quality"] else ""),
        ("patients in training and test", overlap(evidence)),
        ("rows in training and test", "" if twice is None else f"{twice:,}"),
        (
            "shift of stethoscopes",
            "" if shift is None else f"{shift:.2f} (0: same shares in training and test, 1: none)",
        ),
    ]


def _of_training(evidence: Evidence) -> list[tuple[str, str]]:
    recipe, record = evidence.recipe, evidence.record
    n_weights = record.get("n_parameters")
    start = last_parts(recipe.get("weights") or recipe.get("start_from"))
    seeds = ", ".join(map(str, evidence.seeds))
    return [
        ("selection", selection_in_words(evidence)),
        ("seeds", seeds + (f" (plots and groups: seed {evidence.shown})" if evidence.over_seeds else "") or NOT_SAID),
        ("recipe", recipe.get("name", "")),
        ("method and backbone", f"{recipe['method']} on {recipe.get('backbone')}" if "method" in recipe else ""),
        ("pretrained weights", start or ("none" if recipe else "")),
        ("teacher", last_parts(recipe.get("options", {}).get("teacher")) or ""),
        ("weights", f"{n_weights:,} numbers" if n_weights else ""),
        ("deviations from the paper", "; ".join(recipe.get("deviations", []))),
    ]


def _of_machine(record: dict[str, Any]) -> list[tuple[str, str]]:
    packages = record.get("packages", {})
    commit = record.get("commit", "")
    minutes = record.get("seconds", 0) / 60
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    python = f"Python {record['python']}, " if "python" in record else ""
    return [
        ("training time", f"{minutes:.0f} min on {record.get('device', 'an unknown device')}" if minutes else ""),
        ("commit", commit.replace("+changes", " with changes")),
        ("versions", python + versions if python or versions else NOT_SAID),
        ("checksum of the data", record.get("data_checksum", "")),
    ]


def composition_table(evidence: Evidence) -> Table | None:
    """Rows of each subset by class and stethoscope; None where the run does not say."""
    subsets = {name: of for name, of in evidence.record.get("split", {}).get("subsets", {}).items() if of["n_cycles"]}
    if not subsets:
        return None
    parts = {"cycles_per_class": {}, "cycles_per_stethoscope": {}}
    for part in parts:
        parts[part] = dict.fromkeys(key for of in subsets.values() for key in of.get(part, {}))
    columns = [Column("subset", "Subset")]
    columns += [Column(f"n_{what}", what.capitalize(), "count") for what in ("patients", "recordings", "cycles")]
    columns += [Column(name or "unknown", name or "unknown", "count") for keys in parts.values() for name in keys]
    rows = tuple(
        (
            name,
            *(of[f"n_{what}"] for what in ("patients", "recordings", "cycles")),
            *(of.get(part, {}).get(key, 0) for part, keys in parts.items() for key in keys),
        )
        for name, of in subsets.items()
    )
    return Table("composition", "Patients, recordings and cycles of each subset", tuple(columns), rows)
