import numpy as np
import pytest

from add4rsc.report.robustness import draw_robustness, save_robustness

LEVELS = (20.0, 0.0, -5.0)


def row(run, corruption, noise_class, level, value, **more):
    unit = {"clean": "", "clipping": "share"}.get(corruption, "dB SNR")
    return {
        "run": run, "corruption": corruption, "noise_class": noise_class, "level": level, "unit": unit,
        "quantity": "level", "measure": "score", "value": value, "low": value - 0.1, "high": value + 0.05, **more,
    }  # fmt: skip


@pytest.fixture
def rows():
    made = []
    for run, shift in (("runs/plain", 0.0), ("runs/add", 0.08)):
        made.append(row(run, "clean", "", None, 0.8 + shift))
        for name in ("rain", "all"):
            made += [row(run, "recorded", name, level, 0.6 + level / 100 + shift) for level in LEVELS]
            made.append(row(run, "recorded", name, None, 0.6, quantity="mean over levels"))
        made += [row(run, "clipping", "", level, 0.7 - level, low=float("nan"), high=None) for level in (0.01, 0.2)]
        made.append(row(run, "clean", "", None, 0.1, measure="specificity"))
    return made


def test_a_panel_has_clean_sound_and_every_level_of_every_run(rows):
    figure = draw_robustness(rows)
    panels = {axis.get_title(loc="left"): axis for axis in figure.axes if axis.axison}
    assert list(panels) == ["recorded: rain", "recorded: all", "clipping"]
    first, second = panels["recorded: rain"].lines[:2]
    np.testing.assert_allclose(first.get_ydata(), [80, 80, 60, 55])
    np.testing.assert_allclose(second.get_ydata(), [88, 88, 68, 63])
    place = first.get_xdata()
    assert list(np.diff(place)[1:]) == [20.0, 5.0]  # to scale
    assert [text.get_text() for text in panels["clipping"].get_xticklabels()] == ["clean", "0.01", "0.2"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["runs/plain", "runs/add"]


def test_clean_sound_alone_is_a_figure_too():
    figure = draw_robustness([row("a", "clean", "", None, 0.8)])
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [80])


def test_nothing_to_draw_is_told(rows):
    with pytest.raises(ValueError, match="no row of measure 'hits'"):
        draw_robustness(rows, "hits")


def test_files_are_the_same_for_the_same_rows(rows, tmp_path):
    first, second = (save_robustness(draw_robustness(rows), tmp_path / name / "r") for name in "ab")
    assert [path.name for path in first] == ["r.png", "r.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"runs/add" in first[1].read_bytes()
