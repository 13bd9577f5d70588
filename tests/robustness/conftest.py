"""Cycles to corrupt, and a small trained run to measure."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from add4rsc.engine.run import RunSettings, train
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe
from add4rsc.robustness.corruptions._base import CycleSound

RATE = 8000
SMALL = {"epochs": 1, "batch_size": 8, "crop.duration": 1.0, "validation_share": 0.5}


@pytest.fixture
def breath() -> Callable[..., CycleSound]:
    """A made cycle of some seconds: two puffs of low noise with an offset, and three quiet stretches of hum."""

    def make(seconds: float = 2.0, cycle_id: str = "901_1b1_Al_sc_Meditron@500", rate: int = RATE) -> CycleSound:
        draw = np.random.default_rng(5)
        time = np.arange(round(seconds * rate)) / rate
        puffs = np.convolve(draw.standard_normal(len(time)), np.ones(8) / 8, mode="same")
        waveform = (0.05 + 0.2 * np.abs(np.sin(np.pi * time)) * puffs).astype(np.float32)
        hum = [np.sin(2 * np.pi * pitch * np.arange(rate // 5) / rate) * 0.001 for pitch in (100.0, 150.0, 200.0)]
        return CycleSound(cycle_id, waveform, np.array(hum, dtype=np.float32))

    return make


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of two folders and a single file; rates, lengths, channels and formats differ, and one clip is padded."""
    folder = tmp_path_factory.mktemp("noise")
    draw = np.random.default_rng(0)
    (folder / "set" / "rain").mkdir(parents=True)
    (folder / "hum").mkdir()
    soundfile.write(folder / "set" / "rain" / "a.flac", 0.1 * draw.standard_normal(44_100), 44_100)
    soundfile.write(folder / "set" / "rain" / "b.wav", 0.1 * draw.standard_normal((3000, 2)), 8000)
    tone = np.zeros(32_000)
    tone[8000:10_000] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2000) / 16_000)
    soundfile.write(folder / "hum" / "padded.wav", tone, 16_000)
    soundfile.write(folder / "babble.wav", 0.1 * draw.standard_normal(5 * RATE), RATE)
    (folder / "readme.txt").write_text("no sound")
    return folder


@pytest.fixture(scope="session")
def trained(made_corpus: Path, shared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one short epoch, of two seeds. Not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADD4RSC_HOME", str(shared_home))
        train(recipe, (1, 2), RunSettings(made_corpus, folder, accelerator="cpu", show_progress=False))
    return folder
