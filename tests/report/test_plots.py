"""Plots show what the numbers say, in colours of the page and with words for those who cannot see them."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from add4rsc.report.drawing import INK, SERIES, VARIABLES, Plot, draw
from add4rsc.report.errors_gallery import N_MELS, SAMPLE_RATE, log_mel_picture
from add4rsc.report.evidence import read_evidence
from add4rsc.report.forest import forest_plot, group_plots
from add4rsc.report.plots import curve_plots, learning_plots, log_mel_plot, patients_plot, reliability_plot
from add4rsc.report.scores import patients_table
from add4rsc.report.tables import Estimate


@pytest.fixture
def evidence(run_folder):
    return read_evidence([run_folder()])[0]


def test_drawing_has_the_colours_of_the_page_and_ids_of_its_own():
    def paint(figure):
        figure.subplots().plot([0, 1], [0, 1], color=SERIES[1])

    svg = draw((2.0, 2.0), "own", paint)
    root = ET.fromstring(svg)  # noqa: S314 (made by us)
    assert root.get("width") is None
    assert root.get("viewBox") == "0 0 144 144"
    assert "var(--series-2)" in svg
    assert "var(--ink)" in svg
    assert not any(colour in svg for colour in VARIABLES)
    ids = re.findall(r' id="([^"]+)"', svg)
    assert ids
    assert all(each.startswith("own-") for each in ids)
    used = re.findall(r'(?:url\(#|href="#)([^")]+)', svg)
    assert set(used) <= set(ids)


def test_text_is_not_taken_for_a_formula():
    svg = draw((2.0, 2.0), "own", lambda figure: figure.text(0, 0, "p_$x$ < 1", color=INK))
    assert "p_$x$ &lt; 1" in svg


def test_curves_name_the_areas_of_the_evaluation(evidence):
    roc, precision_recall = curve_plots(evidence, "run-1")
    for name, score in evidence.result["per_class"].items():
        assert f"{name} {score['auroc']:.2f}" in roc.alt
        assert f"{name} {score['auprc']:.2f}" in precision_recall.svg


def test_classes_without_cycles_have_no_curve(other_csv):
    table = pd.read_csv(other_csv, dtype={"patient": str})
    table[table["label"] == "normal"].to_csv(other_csv, index=False)
    plots = curve_plots(read_evidence([other_csv])[0], "run-1")
    assert [plot.key for plot in plots] == ["run-1-pr"]
    assert "crackle" not in plots[0].alt


def test_reliability_counts_every_cycle_once(evidence):
    alt = reliability_plot(evidence, "run-1").alt
    assert sum(map(int, re.findall(r"of (\d+) right", alt))) == evidence.result["n_cycles"] == 72


def test_learning_curves_mark_the_chosen_epoch_and_what_chose_it(run_folder):
    fair, on_test = read_evidence([run_folder("fair"), run_folder("unfair", selection="test")])
    assert all("chosen: epoch 2<" in plot.svg for plot in learning_plots(fair, "run-1"))
    assert all("epoch 2 (on the test set)" in plot.svg for plot in learning_plots(on_test, "run-2"))
    assert len(learning_plots(fair, "run-1")) == 2


def test_no_history_no_learning_curve(other_csv):
    assert learning_plots(read_evidence([other_csv])[0], "run-1") == []


def test_patients_are_sorted_and_counted(evidence):
    table = patients_table(evidence)
    shares = [row[-1] for row in table.rows]
    assert shares == sorted(shares)
    frame = evidence.predictions.table
    for patient, n_normal, normal_right, n_abnormal, abnormal_right, share in table.rows:
        own = frame[frame["patient"] == patient]
        right = own["label"] == own["decision"]
        normal = own["label"] == "normal"
        assert (n_normal, n_abnormal) == (normal.sum(), (~normal).sum())
        assert (normal_right, abnormal_right) == ((right & normal).sum(), (right & ~normal).sum())
        assert share == right.mean()
    svg = patients_plot(table, "run-1").svg
    assert all(f">{row[0]}<" in svg for row in table.rows)


def test_many_patients_have_no_names_below_the_axis(evidence):
    table = patients_table(evidence)
    many = [(f"p{index}", *row[1:]) for index, row in enumerate(table.rows * 8)]
    assert ">p3<" not in patients_plot(table.__class__("patients", "", table.columns, tuple(many)), "run-1").svg


def test_small_groups_are_marked(evidence):
    plots = {plot.key: plot for plot in group_plots(evidence.result["subgroups"], "run-1")}
    stethoscope = plots["run-1-stethoscope"]
    assert re.search(r"Litt3200 \d+ % \(too small\)", stethoscope.alt)
    assert "8 cycles, 1 pat., too small" in stethoscope.svg
    assert "run-1-chest_location" not in plots


def test_values_that_are_not_known_are_left_out_of_a_forest():
    rows = [("a", "1 cycle", Estimate(None, None, None), False), ("b", "2 cycles", Estimate(0.25, 0.1, 0.5), False)]
    plot = forest_plot(rows, "own", "Score")
    assert plot.alt.endswith("b 25 %.")
    assert ">a<" not in plot.svg


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 2500.0])
def test_a_tone_is_brightest_at_its_own_frequency(frequency):
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    picture, (low, high) = log_mel_picture(np.sin(2 * np.pi * frequency * times).astype(np.float32), 4000.0)
    band = int(picture.mean(axis=1).argmax())
    mel = low + (band + 1) * (high - low) / (N_MELS + 1)
    assert 700 * (np.exp(mel / 1127) - 1) == pytest.approx(frequency, rel=0.08)
    assert picture.max() == 0.0


def test_silence_and_a_cycle_shorter_than_a_frame_can_be_drawn():
    picture, edges = log_mel_picture(np.zeros(100, dtype=np.float32), 4000.0)
    assert np.isfinite(picture).all()
    plot = log_mel_plot(picture, edges, 0.0125, Plot("own", "silence", "nothing", ""))
    assert "frequency (Hz)" in plot.svg
    assert "data:image/png;base64," in plot.svg
