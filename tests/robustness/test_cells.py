import numpy as np
import pytest

from add4rsc.robustness.cells import cells_of
from add4rsc.robustness.conditions import CLEAN, Condition

LEVELS = (20.0, 10.0, 5.0, 0.0, -5.0)


@pytest.fixture
def conditions():
    noisy = [
        Condition("recorded", name, level, seed) for name in ("rain", "hum") for level in LEVELS for seed in (1, 2)
    ]
    return [Condition(CLEAN), *noisy, Condition("clipping", "", 0.1), Condition("clipping", "", 0.01)]


def value_of(condition):
    """Any number that depends on all parts."""
    return 100 * len(condition.noise_class) + condition.level**2 + condition.noise_seed / 7


def told(cell):
    return sum(weight * value_of(condition) for condition, weight in cell.weights.items())


def test_cells_are_means_over_seeds_classes_and_levels(conditions):
    cells = cells_of(np.random.default_rng(0).permutation(np.array(conditions, dtype=object)).tolist())
    by_key = {(cell.corruption, cell.noise_class, cell.level, cell.is_area): told(cell) for cell in cells}
    expected = {(CLEAN, "", None, False): value_of(Condition(CLEAN))}
    curves = {}
    for name in ("hum", "rain"):
        curves[name] = [
            np.mean([value_of(Condition("recorded", name, level, seed)) for seed in (1, 2)]) for level in LEVELS
        ]
    curves["all"] = np.mean([curves["hum"], curves["rain"]], axis=0)
    for name, curve in curves.items():
        expected |= {("recorded", name, level, False): value for level, value in zip(LEVELS, curve, strict=True)}
        expected[("recorded", name, None, True)] = np.trapezoid(curve[::-1], LEVELS[::-1]) / 25
    expected |= {("clipping", "", level, False): level**2 for level in (0.01, 0.1)}
    assert by_key == pytest.approx(expected)
    for cell in cells:
        assert sum(cell.weights.values()) == pytest.approx(1.0)


def test_levels_go_from_mild_to_severe(conditions):
    cells = [cell for cell in cells_of(conditions) if not cell.is_area]
    assert [cell.level for cell in cells if cell.noise_class == "rain"] == list(LEVELS)
    assert [cell.level for cell in cells if cell.corruption == "clipping"] == [0.01, 0.1]


def test_classes_are_averaged_where_all_were_measured(conditions):
    fewer = [each for each in conditions if (each.noise_class, each.level) != ("hum", 20.0)]
    levels = [cell.level for cell in cells_of(fewer) if cell.noise_class == "all" and not cell.is_area]
    assert levels == list(LEVELS[1:])
    alone = [each for each in conditions if each.noise_class != "hum"]
    assert not [cell for cell in cells_of(alone) if cell.noise_class == "all"]
