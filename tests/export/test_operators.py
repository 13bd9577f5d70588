import numpy as np
import onnxruntime
import pytest
import torch

from add4rsc.export.graph import to_onnx
from add4rsc.export.operators import rfft_by_matrices, unfold_by_blocks


@pytest.mark.parametrize(("length", "n"), [(1024, 1024), (800, 1024), (400, 512), (400, 400), (37, 37), (60, 64)])
def test_transform_is_torch_s(length, n, generator):
    frames = torch.randn(2, 3, length, generator=generator)
    expected = torch.fft.rfft(frames.double(), n=n)
    assert rfft_by_matrices(frames, n).shape == expected.shape
    assert (rfft_by_matrices(frames, n) - expected).abs().max() < 2e-5 * n**0.5


@pytest.mark.parametrize(
    ("n_samples", "size", "step"), [(96_000, 800, 320), (1000, 400, 160), (50, 10, 10), (33, 7, 3)]
)
def test_frames_are_torch_s(n_samples, size, step, generator):
    waveform = torch.randn(2, n_samples, generator=generator)
    assert torch.equal(unfold_by_blocks(waveform, -1, size, step), waveform.unfold(-1, size, step))


def test_other_uses_are_refused():
    with pytest.raises(ValueError, match="last dimension"):
        unfold_by_blocks(torch.zeros(4, 4), 0, 2, 1)
    with pytest.raises(ValueError, match="plain transform"):
        rfft_by_matrices(torch.zeros(4, 4), norm="ortho")


class Logarithm(torch.nn.Module):
    def forward(self, waveform):
        return (waveform + 1e-8).log() + 1.0


def test_tiny_offset_is_kept():
    session = onnxruntime.InferenceSession(to_onnx(Logarithm(), 3))
    values = np.array([[0.0, 1e-8, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(session.run(None, {"waveform": values})[0], np.log(values + 1e-8) + 1, rtol=1e-5)
