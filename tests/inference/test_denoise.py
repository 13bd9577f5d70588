"""The denoised view: the filter's frames are the network's own, and the sound is turned down by just as much."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from add4rsc import load
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank, mel_filters
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.checkpoint import save_tensors
from add4rsc.engine.explanation import explain_cycle
from add4rsc.engine.loading import load_run
from add4rsc.engine.model import build_method
from add4rsc.engine.run import resolve_recipe
from add4rsc.errors import AudioError, WrongUsageError
from add4rsc.export.exporting import ExportSettings, export_run
from add4rsc.inference import denoise as module
from add4rsc.inference._base import AbstractMelFilter, FilteredFrames, MelFrames
from add4rsc.inference._resynthesis import band_centres, bin_weights
from add4rsc.inference.denoise import denoise, denoise_slices
from add4rsc.inference.model import Model
from add4rsc.inference.torch_filter import describe_frames
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe
from add4rsc.terms import RESEARCH_USE_ONLY

FRAMES = MelFrames(sample_rate=4000, frame_shift=40, first_centre=50, n_mels=20, f_min=20.0, f_max=2000.0)


class LevelFilter(AbstractMelFilter):
    """Frames of log energy 0, changed by as many nepers of energy as each band is given."""

    frames = FRAMES

    def __init__(self, change) -> None:
        self.change = np.broadcast_to(np.asarray(change, np.float32), FRAMES.n_mels)

    def apply(self, waveforms):
        log_mel = np.zeros((len(waveforms), 198, FRAMES.n_mels), np.float32)
        return FilteredFrames(log_mel, log_mel + self.change)


@pytest.fixture
def level(hand):
    """A classifier of 2 s at 4 kHz with a filter of known gains."""

    def make(change):
        classifier = hand()
        classifier.mel_filter = LevelFilter(change)
        return classifier

    return make


@pytest.fixture(scope="module")
def run(made_corpus, tmp_path_factory):
    """A run folder of an ADD layer whose filter does something: its weights are drawn, not trained."""

    def make(name="add4rsc/small_cnn", **changes) -> Path:
        short = {"crop.duration": 1.0, "validation_share": 0.5} | changes
        recipe = resolve_recipe(change_recipe(recipes.get(name)(), short), open_dataset(made_corpus))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = build_method(recipe, 4, pretrained=False)
            for weight in network.add.filter.parameters() if name.startswith("add4rsc") else ():
                torch.nn.init.normal_(weight, mean=0.02, std=0.05)
        folder = tmp_path_factory.mktemp("run")
        about = {"recipe": recipe.model_dump_json(), "classes": "normal,crackle,wheeze,both"}
        save_tensors(folder / "model.safetensors", network.state_dict(), about)
        return folder

    return make


def tones(rate: int, duration: float, *frequencies: float) -> np.ndarray:
    time = np.arange(round(duration * rate)) / rate
    return sum(0.2 * np.sin(2 * np.pi * each * time) for each in frequencies).astype(np.float32)


def strength(waveform: np.ndarray, rate: int, frequency: float) -> float:
    """Amplitude of a tone, away from the ends."""
    middle = waveform[rate : 4 * rate]
    wave = np.exp(-2j * np.pi * frequency * np.arange(len(middle)) / rate)
    return float(2 * np.abs(np.mean(middle * wave)))


@pytest.mark.parametrize("rate", [4000, 11_025, 44_100])
@pytest.mark.parametrize("duration", [0.3, 1.999, 7.0, 45.3])
def test_a_filter_that_changes_nothing_gives_the_recording_back(write, breath, level, rate, duration):
    waveform = breath(duration, rate)
    found = denoise(level(0.0), write("a.wav", waveform, rate, subtype="FLOAT"))
    assert (found.sample_rate, found.waveform.shape, found.waveform.dtype) == (rate, waveform.shape, np.float32)
    assert np.abs(found.waveform - waveform).max() < 1e-5
    assert found.log_mel.shape == found.filtered.shape == (len(found.times), 20)
    assert found.times[0] == 50 / 4000
    assert duration - 0.03 < found.times[-1] < duration or duration < 2


def test_each_band_is_turned_down_by_its_own_gain_and_none_is_turned_up(write, level):
    rate, low, high = 22_050, 200.0, 1200.0
    change = np.where(band_centres(FRAMES) > 600, -np.log(16.0), 3.0)
    path = write("a.wav", tones(rate, 6.0, low, high, 3000.0), rate, subtype="FLOAT")
    found = denoise(level(change), path)
    assert strength(found.waveform, rate, low) == pytest.approx(0.2, rel=1e-3)
    assert strength(found.waveform, rate, high) == pytest.approx(0.2 / 4, rel=1e-3)
    assert strength(found.waveform, rate, 3000.0) == pytest.approx(0.2, rel=1e-3)  # the network hears up to 2 kHz
    assert found.gain.max() == 1
    assert found.gain.min() == pytest.approx(0.25)


@pytest.mark.parametrize("front_end", [FrontEnd(), FrontEnd(sample_rate=32_000, n_fft=1024, f_min=0.0, n_mels=64)])
def test_gains_reach_bins_through_the_mel_filters(front_end):
    """Against the front-end's own triangles, each by the sum of all that hold the bin."""
    frames = describe_frames(front_end)
    triangles = mel_filters(front_end).double().numpy()
    bins = np.arange(triangles.shape[1]) * front_end.sample_rate / front_end.n_fft
    between = (bins > band_centres(frames)[0]) & (bins < band_centres(frames)[-1])
    expected = (triangles / np.maximum(triangles.sum(axis=0), 1e-9)).T
    assert between.sum() > 200
    assert np.abs(bin_weights(frames, bins)[between] - expected[between]).max() < 1e-3
    beyond = bin_weights(frames, np.array([frames.f_max - 1, frames.f_max + 1]))
    assert beyond.sum(axis=1).tolist() == [1, 0]


@pytest.fixture(scope="module")
def model(run) -> Model:
    return load(run())


def test_frames_are_those_of_the_network(model, run, write, breath):
    """Of a recording as long as one window, against the layer itself, as `add4rsc explain` shows it."""
    rate = model.classifier.sample_rate
    path = write("a.wav", breath(1.0, rate), rate, subtype="FLOAT")
    found, expected = model.denoise(path), explain_cycle(load_run(run()), path, 0.0, 1.0)
    front_end = load_run(run()).front_end
    inside = slice(0, len(found.log_mel))
    for mine, theirs in ((found.log_mel, expected.log_mel), (found.filtered, expected.filtered)):
        assert np.abs(mine - (theirs[inside] * front_end.scale + front_end.mean)).max() < 1e-3
    assert np.abs(found.filtered - found.log_mel).max() > 0.3
    assert len(expected.log_mel) - len(found.log_mel) <= 1


def test_frames_of_a_long_recording_lie_where_they_do_in_the_whole(model, run, write, breath):
    rate = model.classifier.sample_rate
    waveform = breath(5.37, rate)
    waveform[round(3.2 * rate)] = 0.9
    found = model.denoise(write("a.wav", waveform, rate, subtype="FLOAT"))
    front_end = load_run(run()).front_end
    whole = LogMelFilterBank(front_end)(torch.from_numpy(waveform)[None])[0].numpy() * front_end.scale + front_end.mean
    inner = slice(60, len(found.log_mel) - 60)
    assert np.abs(found.log_mel[inner] - whole[inner]).mean() < 0.01
    assert found.times[found.log_mel.sum(axis=1).argmax()] == pytest.approx(3.2, abs=0.011)


def test_slices_and_stretches_join_without_a_seam(model, write, breath, monkeypatch):
    path = write("a.flac", breath(9.3, 11_025), 11_025)
    whole = model.denoise(path)
    part = model.denoise(path, start=2.0, end=6.5)
    assert np.abs(part.waveform - whole.waveform[22_050 : 22_050 + len(part.waveform)]).max() < 1e-4
    assert part.times[0] == pytest.approx(2.0, abs=0.011)
    assert (part.start, len(part.waveform)) == (2.0, round(4.5 * 11_025))
    monkeypatch.setattr(module, "SLICE", 1.7)
    monkeypatch.setattr(module, "part_length", lambda info: 3.5)
    pieces = list(denoise_slices(model.classifier, path))
    assert len(pieces) > 5
    in_parts = model.denoise(path)
    assert in_parts.log_mel.shape == whole.log_mel.shape
    assert np.abs(in_parts.filtered - whole.filtered).max() < 1e-2
    assert np.abs(in_parts.waveform - whole.waveform).max() < 1e-3


def test_files_bytes_and_waveforms_give_the_same(model, write, breath):
    waveform = breath(3.0, 8000)
    path = write("a.wav", waveform, 8000, subtype="FLOAT")
    found = [model.denoise(each) for each in (path, str(path), path.read_bytes(), (waveform, 8000))]
    assert all(np.array_equal(each.waveform, found[0].waveform) for each in found)
    assert RESEARCH_USE_ONLY in found[0].note
    assert found[0].note.startswith("Illustrative")
    assert found[0].waveform.std() < waveform.std()


@pytest.mark.parametrize("preset", ["released-2025-08", "released-2025-02", "paper", "fixed"])
def test_every_form_of_the_layer_can_be_shown(run, write, breath, preset):
    found = load(run(**{"options.preset": preset})).denoise(write("a.wav", breath(2.7, 8000), 8000))
    assert np.isfinite(found.filtered).all()
    assert np.isfinite(found.waveform).all()
    assert np.abs(found.filtered - found.log_mel).max() > 0.3


@pytest.mark.parametrize(
    "changes", [{"options.preset": "released-2025-02"}, {"options.input_size": [200, 96]}], ids=["shared", "stretched"]
)
def test_an_exported_model_shows_the_same(run, write, breath, tmp_path, changes):
    """With a filter that stands in two places, and with frames that are stretched before it."""
    folder = run(**changes)
    path = write("a.wav", breath(2.7, 8000), 8000, subtype="FLOAT")
    torch_model = load(folder)
    found = torch_model.denoise(path)
    export_run(folder, tmp_path / "model.onnx", ExportSettings())
    exported = load(tmp_path / "model.onnx")
    assert exported.classifier.mel_filter.frames == torch_model.classifier.mel_filter.frames
    assert np.abs(exported.denoise(path).filtered - found.filtered).max() < 2e-3
    assert np.abs(exported.denoise(path).waveform - found.waveform).max() < 1e-3


def test_where_a_norm_follows_level_and_spread_are_those_of_the_input(run, write, breath):
    found = load(run(**{"options.preset": "paper"})).denoise(write("a.wav", breath(1.0, 8000), 8000))
    for moment in (np.mean, np.std):
        assert np.allclose(moment(found.filtered, axis=1), moment(found.log_mel, axis=1), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "changes"), [("fine_tuning/small_cnn", {}), ("add4rsc/small_cnn", {"options.add.use_filter": False})]
)
def test_a_model_without_such_a_filter_is_refused_with_a_remedy(run, write, tmp_path, name, changes):
    if changes:
        recipe = change_recipe(recipes.get(name)(), changes | {"crop.duration": 1.0, "validation_share": 0.5})
        network = build_method(recipe, 4, pretrained=False)
        folder = tmp_path / "run"
        folder.mkdir()
        about = {"recipe": recipe.model_dump_json(), "classes": "normal,crackle,wheeze,both"}
        save_tensors(folder / "model.safetensors", network.state_dict(), about)
    else:
        folder = run(name)
    with pytest.raises(WrongUsageError, match=r"no ADD layer.*Pass --model") as caught:
        load(folder).denoise(write("a.wav"))
    assert caught.value.exit_code == 2


def test_what_cannot_be_shown_is_refused(model, tmp_path, write):
    with pytest.raises(AudioError, match="does not exist"):
        model.denoise(tmp_path / "nothing.wav")
    with pytest.raises(WrongUsageError, match=r"6\.000 s, nothing between 7"):
        model.denoise(write("a.wav"), start=7.0)
    with pytest.raises(WrongUsageError, match="is no waveform"):
        model.denoise((np.zeros((2, 2, 2), np.float32), 8000))


def test_memory_does_not_grow_with_length(level, tmp_path, breath, monkeypatch):
    monkeypatch.setattr(module, "part_length", lambda info: 30.0)
    peaks = []
    for minutes in (2, 6):
        path = tmp_path / f"{minutes}.wav"
        soundfile.write(path, np.tile(breath(60.0), minutes), 4000)
        tracemalloc.start()
        assert sum(len(each.waveform) for each in denoise_slices(level(-1.0), path)) == minutes * 240_000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
