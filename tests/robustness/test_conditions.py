import pytest

from add4rsc.errors import UnknownNameError, WrongUsageError
from add4rsc.robustness.conditions import CLEAN, Condition, Grid
from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.levels import read_levels, read_named_levels


@pytest.mark.parametrize(
    "condition",
    [
        Condition(CLEAN),
        Condition("recorded", "sea waves/1__2.b", -5.0, 3),
        Condition("clipping", "", 0.05),
        Condition("stethoscope", "", 2000.0),
    ],
)
def test_a_file_name_says_which_condition(condition):
    assert Condition.of_stem(condition.stem) == condition
    assert "/" not in condition.stem


def test_everything_is_measured_that_can_be(clips):
    grid = Grid(noise_folder=clips)
    found = grid.conditions(grid.create(8000))
    assert found[0] == Condition(CLEAN)
    assert len(set(found)) == len(found)
    assert {each.corruption for each in found} == {CLEAN, *corruptions.names()}
    assert sum(each.corruption == "recorded" for each in found) == 3 * 5 * 3  # classes, levels, seeds
    assert [each for each in found if each.corruption == "stethoscope"] == [
        Condition("stethoscope", "", level) for level in (2000.0, 1000.0, 500.0)
    ]
    assert "recorded" not in Grid().chosen()


def test_what_is_asked_for_is_measured(clips):
    grid = Grid(("recorded", "clean", "clipping"), ("rain",), (3.0,), {"clipping": (0.1,)}, 2, clips)
    assert grid.conditions(grid.create(8000)) == [
        Condition(CLEAN),
        Condition("recorded", "rain", 3.0, 1),
        Condition("recorded", "rain", 3.0, 2),
        Condition("clipping", "", 0.1),
    ]
    assert all(map(grid.asks_for, grid.conditions(grid.create(8000))))


@pytest.mark.parametrize(
    ("grid", "asked"),
    [
        (Grid(), True),
        (Grid(("white",)), False),
        (Grid(noise_classes=("wind",)), False),
        (Grid(snr_db=(5.0,)), False),
        (Grid(snr_db=(0.0,)), True),
        (Grid(n_noise_seeds=1), False),
        (Grid(n_noise_seeds=2), True),
        (Grid(levels={"recorded": (5.0,)}, snr_db=(0.0,)), False),
    ],
)
def test_stored_conditions_are_filtered(grid, asked):
    assert grid.asks_for(Condition("recorded", "rain", 0.0, 2)) is asked
    assert grid.asks_for(Condition(CLEAN))


def test_what_is_not_there_is_told():
    grid = Grid(("white", "pink", "clean"), ("rain",), (0.0, 5.0), {})
    assert grid.unmet([Condition(CLEAN), Condition("white", "", 0.0, 1)]) == [
        "corruption pink",
        "noise class rain",
        "white at 5",
    ]


def test_wrong_grids_say_so(clips):
    with pytest.raises(UnknownNameError, match="Did you mean 'white'"):
        Grid(("wite",)).check_names()
    with pytest.raises(WrongUsageError, match="needs --noise-folder"):
        Grid(("recorded",)).chosen()
    with pytest.raises(WrongUsageError, match="'clipping' is not measured"):
        Grid(("white",), levels={"clipping": (0.1,)}).chosen()
    grid = Grid(noise_classes=("wind",), noise_folder=clips)
    with pytest.raises(WrongUsageError, match=r"no noise class 'wind'\. Known: babble, hum, rain"):
        grid.conditions(grid.create(8000))


def test_levels_are_read():
    assert read_levels("20, 0,-5,20", "--snr") == (20.0, 0.0, -5.0)
    assert read_named_levels(["clipping=0.1,0.2", "stethoscope=800"]) == {
        "clipping": (0.1, 0.2),
        "stethoscope": (800.0,),
    }
    for text in ("a", "1,,2", "inf", "nan"):
        with pytest.raises(WrongUsageError, match=f"--snr {text}"):
            read_levels(text, "--snr")
    for text in ("clipping=1.5", "clipping=0", "stethoscope=-1", "clipping"):
        with pytest.raises(WrongUsageError, match="expected"):
            read_named_levels([text])
    with pytest.raises(UnknownNameError):
        read_named_levels(["cliping=0.1"])
