"""The picture of the denoised view, read back by another library."""

from dataclasses import replace

import numpy as np
import pytest

from add4rsc.inference.denoise import Denoised
from add4rsc.inference.result import ILLUSTRATIVE
from add4rsc.report.denoised import draw_denoised

image = pytest.importorskip("matplotlib.image")


def view(n_frames: int = 400) -> Denoised:
    """Silence, but for one loud band in the second half, which the filter turns down."""
    log_mel = np.full((n_frames, 64), -10.0, np.float32)
    log_mel[n_frames // 2 :, 30] = 2.0
    filtered = np.where(log_mel > 0, log_mel - 3, log_mel).astype(np.float32)
    frequencies = np.linspace(50, 3900, 64)
    return Denoised(np.zeros(n_frames * 80, np.float32), 8000, log_mel, filtered, frequencies, 0.0, 0.01)


@pytest.mark.parametrize("n_frames", [1, 400, 6001])
def test_a_view_of_any_length_is_drawn_and_marked(tmp_path, n_frames):
    draw_denoised(view(n_frames), tmp_path / "a.denoised-illustrative.png")
    content = (tmp_path / "a.denoised-illustrative.png").read_bytes()
    assert image.imread(tmp_path / "a.denoised-illustrative.png").shape == (902, 1100, 4)
    assert ILLUSTRATIVE.encode() in content


def test_the_same_view_gives_the_same_bytes_and_another_one_others(tmp_path):
    for name, shown in (("1", view()), ("2", view()), ("3", replace(view(), filtered=view().log_mel))):
        (tmp_path / name).mkdir()
        draw_denoised(shown, tmp_path / name / "a.png")
    first, second, third = ((tmp_path / name / "a.png").read_bytes() for name in "123")
    assert first == second
    assert first != third


def test_a_band_that_sounds_in_the_second_half_is_drawn_there(tmp_path):
    draw_denoised(view(), tmp_path / "a.png")
    upper = image.imread(tmp_path / "a.png")[70:270, :, :3]
    quiet, loud = upper[:, 150:450], upper[:, 600:900]
    assert quiet.max() < 0.05
    assert loud.max() > 0.9
    row = int((loud.sum(axis=2).max(axis=1) > 2).nonzero()[0].mean())
    assert 0.4 < row / len(upper) < 0.65  # the band 30 of 64
