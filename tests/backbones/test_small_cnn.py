import pytest
import torch

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.audio.io import read_waveform
from add4rsc.backbones.small_cnn import SmallCnn


def test_is_small():
    assert sum(value.numel() for value in SmallCnn().parameters()) < 60_000


def test_features_are_a_mean_and_a_maximum(generator):
    backbone = SmallCnn().eval()
    mean, maximum = backbone(torch.randn(4, 160, 64, generator=generator)).chunk(2, dim=1)
    assert (maximum >= mean).all()
    assert not torch.allclose(mean, maximum)


@pytest.mark.data
@pytest.mark.parametrize("corpus", ["icbhi2017_native", "sprsound2022/BioCAS2022/test2022_wav"])
def test_front_end_standardises_real_breath_sounds(shared_data, corpus):
    front_end = LogMelFilterBank(SmallCnn.front_end())
    files = sorted(file for file in (shared_data / corpus).rglob("*") if file.suffix in {".wav", ".flac"})[:12]
    assert files
    log_mel = torch.cat([front_end(torch.as_tensor(read_waveform(file, 8_000))[None]).flatten() for file in files])
    assert abs(log_mel.mean()) < 1
    assert 0.4 < log_mel.std() < 2
