"""METHODS 1.4: the arithmetic test of every published row, and the table of published results."""

from fractions import Fraction

import pytest

from add4rsc.errors import UnknownNameError, WrongUsageError
from add4rsc.metrics.published import check_percentage, comparable_results, published_results
from add4rsc.protocol.sizes import published_size, published_sizes
from add4rsc.protocol.split import fold_names

SPLITS = ("icbhi2017/official", "icbhi2017/random-file-seed1", "icbhi2017/by-patient-overlap")
NONE = (None, None)
# row, Sp, Se as printed, then the counts that fit on each split (METHODS 1.4); "+" where it says only that one fits
TABLE = [
    ("LungRN+NL", "63.20", "41.32", ("+", None), NONE, NONE),
    ("RespireNet", "72.30", "40.10", (None, "+"), None, None),
    ("StochNorm", "78.86", "36.40", NONE, NONE, NONE),
    ("CoTuning", "79.34", "37.24", NONE, NONE, NONE),
    ("Chang", "69.92", "35.85", (1104, 422), NONE, ("+", None)),
    ("SCL", "75.95", "39.15", NONE, None, None),
    ("ADD ResNet50", "83.76", "34.18", NONE, (1166, 442), ("+", None)),
    ("AFT", "80.72", "42.86", NONE, None, None),
    ("AST", "77.14", "41.97", (1218, 494), NONE, NONE),
    ("Patch-Mix CL", "81.66", "43.07", NONE, None, None),
    ("M2D", "81.51", "45.08", ("+", None), None, None),
    ("DAT", "77.11", "42.50", NONE, None, None),
    ("SG-SCL", "79.87", "43.55", NONE, None, None),
    ("RepAugment", "82.47", "40.55", NONE, None, None),
    ("BTS", "81.40", "45.67", NONE, None, None),
    ("MVST", "80.60", "44.39", NONE, (1122, 574), (None, "+")),
    ("LungAdapter", "80.43", "44.37", ("+", None), NONE, ("+", None)),
    ("CycleGuardian", "82.06", "44.47", NONE, (None, "+"), (1304, 571)),
    ("ADD AST", "85.13", "45.94", NONE, (1185, 594), NONE),
    ("SAM-AST", "67.89", "68.31", (1072, 804), None, None),
    ("BTS++", "89.49", "41.89", (1413, 493), None, None),
]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_table_of_methods_is_reproduced(row: tuple) -> None:
    _, specificity, sensitivity, *of_splits = row
    for split, expected in zip(SPLITS, of_splits, strict=True):
        size = published_size(split)
        found = (check_percentage(specificity, size.n_normal), check_percentage(sensitivity, size.n_abnormal))
        for check, wanted in zip(found, expected or (), strict=expected is not None):
            assert check.possible == (wanted is not None)
            if isinstance(wanted, int):
                assert check.count == wanted


@pytest.mark.parametrize("decimals", [0, 1, 2, 3])
def test_fitting_counts_are_those_that_round_to_the_percentage(decimals: int) -> None:
    n_cycles = 1177
    for hundredths in range(3400, 3600, 7):
        printed = f"{hundredths / 100:.{decimals}f}"
        half = Fraction(1, 2 * 10**decimals)
        fits = [k for k in range(n_cycles + 1) if abs(Fraction(100 * k, n_cycles) - Fraction(printed)) <= half]
        check = check_percentage(printed, n_cycles)
        assert list(check.counts) == fits
        assert check.possible == bool(fits)
        assert check.decimals == decimals


def test_chance_is_the_share_of_percentages_that_fit() -> None:
    n_cycles = 379
    fitting = sum(check_percentage(f"{step / 10:.1f}", n_cycles).possible for step in range(1001))
    check = check_percentage("40.1", n_cycles)
    assert check.chance == pytest.approx(fitting / 1001, abs=2e-3)
    assert not check.is_weak
    assert check_percentage("40.1", 1177).is_weak  # every percentage with one decimal is near some count
    assert check_percentage("40.10", 1177).chance == pytest.approx(0.1178, abs=1e-3)


def test_ends_of_the_scale() -> None:
    assert check_percentage("0", 10).counts == (0,)
    assert check_percentage("100.00", 10).counts == (10,)
    assert check_percentage("85.13%", 1392).count == 1185


@pytest.mark.parametrize("printed", ["", "a lot", "101", "-1", "nan", "inf"])
def test_what_is_no_percentage_is_refused(printed: str) -> None:
    with pytest.raises(WrongUsageError, match=r"85\.13"):
        check_percentage(printed, 100)


def test_unknown_test_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="icbhi2017/official"):
        published_size("icbhi2017/oficial")


def test_folds_together_have_all_cycles() -> None:
    for name in ("icbhi2017/five-fold", "icbhi2017/leave-one-stethoscope-out"):
        whole = published_size(name)
        assert (whole.n_normal, whole.n_abnormal) == (3642, 6898 - 3642)  # METHODS 6.1
        assert sum(published_size(fold).n_normal for fold in fold_names(name)) == 3642


def test_every_row_of_both_tables_is_there() -> None:
    results = published_results()
    scores = {(each.system, each.score_percent) for each in results}
    for system, score in [("ADD4RSC (AST)", "65.53"), ("ADD4RSC (ResNet50)", "58.97"), ("LungRN+NL", "52.26")]:
        assert (system, score) in scores
    printed = {(each.specificity_percent, each.sensitivity_percent) for each in results}
    assert {(row[1], row[2]) for row in TABLE} <= printed
    assert len([each for each in results if "ablation" in each.system]) == 6


def test_every_row_adds_up() -> None:
    for each in published_results():
        values = each.to_dict()
        specificity, sensitivity, score = (values[name] for name in ("specificity", "sensitivity", "score"))
        if specificity is None or sensitivity is None:
            continue
        average = (specificity + sensitivity) / 2
        harmonic = 2 * specificity * sensitivity / (specificity + sensitivity)
        expected = average if each.metric.startswith("icbhi") else (average + harmonic) / 2
        # means over seeds, and SPRSound's scores from rounded matrices, are known to a few tenths of a point only
        assert score == pytest.approx(expected, abs=0.0035), each.system


def test_every_row_is_labelled() -> None:
    known = published_sizes()
    for each in published_results():
        assert each.system
        assert each.source
        assert each.seeds
        assert each.metric in {"icbhi-4", "icbhi-2", "S", "AS", "HS", "A4", "M"}
        assert each.selection in {"last", "validation", "test", "blind", "none", "unknown"}
        assert not each.split or each.split in known
        if each.comparable_with:
            assert each.comparable_with == f"{each.split} {each.task} {each.metric}"


def test_only_rows_of_the_same_split_task_and_metric_are_comparable() -> None:
    official = {each.system for each in comparable_results("icbhi2017/official", "cycle-4", "icbhi-4")}
    assert {"Patch-Mix CL", "BTS", "PC-MCL"} <= official
    # random files, leaked patients, a binary sensitivity
    assert not official & {"ADD4RSC (AST)", "MVST", "CycleGuardian", "SAM-AST", "RSC-FTF"}
    inter = comparable_results("sprsound2022/inter", "task-1-2", "S")
    assert {each.metric for each in inter} == {"S"}
