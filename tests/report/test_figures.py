from dataclasses import replace

import numpy as np
import pytest
import torch

from add4rsc.audio.frontend import FrontEnd, mel_filters
from add4rsc.engine.explanation import Explanation, MelAxis, explain_cycle
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.model import build_method, resolve_front_end
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe
from add4rsc.report.figures import draw_explanation, draw_heads, save_figure


@pytest.fixture
def explanation(generator) -> Explanation:
    maps = torch.randn(2, 3, 40, 40, generator=generator).softmax(dim=-1).numpy()
    frames = torch.randn(40, 16, generator=generator).numpy()
    return Explanation(
        title="a cycle, 0.00 to 1.50 s",
        classes=("normal", "wheeze"),
        probabilities=np.array([0.25, 0.75]),
        duration=2.0,
        cycle_duration=1.5,
        mel_axis=MelAxis(20.0, 8000.0),
        log_mel=frames,
        filtered=frames / 2,
        mask=np.ones((21, 16), dtype=np.float32),
        mask_form="fixed",
        attention=maps,
        noise_weight=np.array([0.5, 0.7, 1.0], dtype=np.float32),
    )


def texts(figure) -> list[str]:
    return [each.get_text() for each in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def titles(figure) -> list[str]:
    return [axis.get_title(loc="left") for axis in figure.get_axes()]


def test_page_has_every_panel(explanation) -> None:
    figure = draw_explanation(explanation)
    for title in ("log-mel frames", "mask of the filter", "after the filter", "signal map A1", "noise map A2"):
        assert title in titles(figure)
    assert any(title.startswith("difference") for title in titles(figure))
    assert "Research use only, not a medical device." in texts(figure)
    assert {"0.25", "0.75", "normal", "wheeze", "1,000", "8,000"} <= set(texts(figure))


@pytest.mark.parametrize(
    ("form", "horizontal", "vertical"),
    [
        ("fixed", "modulation frequency (Hz)", "frequency (Hz)"),
        ("paper", "modulation frequency (Hz)", "cycles per mel band"),
        ("gain", "time (s)", "frequency (Hz)"),
    ],
)
def test_axes_of_the_mask_are_those_of_its_form(explanation, form, horizontal, vertical) -> None:
    figure = draw_explanation(replace(explanation, mask_form=form))
    (axis,) = (each for each in figure.get_axes() if each.get_title(loc="left") == "mask of the filter")
    assert (axis.get_xlabel(), axis.get_ylabel()) == (horizontal, vertical)


def test_difference_is_the_mixing_map(explanation) -> None:
    for head, weight in enumerate((0.5, 0.7, 1.0)):
        expected = explanation.attention[0, head] - weight * explanation.attention[1, head]
        np.testing.assert_allclose(explanation.difference[head], expected, rtol=1e-6)


def test_every_head_is_drawn(explanation) -> None:
    figure = draw_heads(explanation)
    assert sum(title.startswith("signal map") for title in titles(figure)) == 3
    assert sum("λ = 0.70" in title for title in titles(figure)) == 1


def test_parts_that_a_layer_has_not_are_said(explanation) -> None:
    bare = replace(explanation, filtered=None, mask=None, attention=None, noise_weight=None)
    figure = draw_explanation(bare)
    assert "no filter in this layer" in texts(figure)
    assert "no attention in this layer" in texts(figure)
    with pytest.raises(ValueError, match="no attention"):
        draw_heads(bare)


def test_files_are_the_same_every_time(explanation, tmp_path) -> None:
    for folder in ("one", "two"):
        paths = save_figure(draw_explanation(explanation), tmp_path / folder / "page")
        assert [path.suffix for path in paths] == [".png", ".svg"]
    for suffix in (".png", ".svg"):
        assert (tmp_path / "one" / f"page{suffix}").read_bytes() == (tmp_path / "two" / f"page{suffix}").read_bytes()


def test_hertz_lie_where_the_filter_bank_has_them() -> None:
    front_end = FrontEnd(n_mels=64, n_fft=4096, frame_length_ms=25.0)
    filters = mel_filters(front_end)
    axis = MelAxis(front_end.f_min, 8000.0)
    for frequency in (250.0, 1000.0, 4000.0):
        bin_of = round(frequency * front_end.n_fft / front_end.sample_rate)
        strongest = int(filters[:, bin_of].argmax())
        centre = (strongest + 1) / (front_end.n_mels + 1)
        assert axis.position(frequency) == pytest.approx(centre, abs=1 / front_end.n_mels)


@pytest.mark.parametrize(
    ("preset", "changes"),
    [("paper", {}), ("released-2025-02", {}), ("fixed", {}), ("fixed", {"filter_form": "gain"})],
    ids=["paper", "released", "fixed", "gain"],
)
@pytest.mark.parametrize("size", [None, [64, 48]])
def test_explanation_follows_the_network(preset, changes, size, made_corpus) -> None:
    options = {"preset": preset, "add": changes, "input_size": size}
    recipe = change_recipe(recipes.get("add4rsc/small_cnn")(), {"options": options, "crop.duration": 1.0})
    torch.manual_seed(0)
    run = TrainedRun(made_corpus, recipe, ("a", "b", "c", "d"), build_method(recipe, 4).eval())
    recording = sorted((made_corpus / "ICBHI_final_database").glob("*.wav"))[0]
    found = explain_cycle(run, recording, 1.0, 1.6)
    n_frames = resolve_front_end(recipe).n_frames(resolve_front_end(recipe).sample_rate)
    n_mels = resolve_front_end(recipe).n_mels
    assert found.log_mel.shape == (tuple(size) if size else (n_frames, n_mels))
    assert found.cycle_duration == pytest.approx(0.6)
    assert found.probabilities.sum() == pytest.approx(1)
    layer = run.network.add
    with torch.inference_mode():
        frames = torch.from_numpy(found.log_mel)[None]
        features = layer(frames).features
        rest = layer.denoise(layer.filter_norm(torch.from_numpy(found.filtered)[None]))
        second = layer.filter if layer.settings.second_filter == "shared" else layer.second_filter
        rebuilt = layer.output_norm(second(layer.denoise_norm(rest)))
        logits = run.network.head(run.network.backbone(rebuilt))
    torch.testing.assert_close(rebuilt, features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits.softmax(dim=-1)[0].numpy(), found.probabilities, rtol=1e-4)
    assert found.attention.shape[0] == 2
    np.testing.assert_allclose(found.attention.sum(axis=-1), 1, rtol=1e-4)
    draw_explanation(found)
