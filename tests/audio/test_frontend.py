"""The front-end: against stored Kaldi features, transformers, torch.stft, and its own ONNX export."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from scipy import signal
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, spectrogram

from add4rsc.audio.crop import Crop, crop_cycle, fade_recording
from add4rsc.audio.frontend import (
    AUDIOSET_MEAN,
    AUDIOSET_STD,
    FrontEnd,
    LogMelFilterBank,
    band_centres,
    mel_filters,
    to_energies,
)
from add4rsc.audio.io import read_waveform

CENTRED = FrontEnd(framing="centred", n_fft=1024, frame_length_ms=50.0, frame_shift_ms=20.0, log_offset=1e-5)
THREE_CHANNELS = FrontEnd(
    sample_rate=8000,
    n_mels=48,
    n_fft=512,
    frame_length_ms=50.0,
    frame_shift_ms=16.0,
    f_min=32.7,
    f_max=2000.0,
    framing="centred",
    channels=("constant-q", "gammatone", "mel"),
    mel_scale="slaney",
    band_pass=(50.0, 1500.0),
)
LINEAR = FrontEnd(sample_rate=4000, n_mels=40, n_fft=256, band_pass=(100.0, 1800.0), channels=("linear",))
SOUNDS = ("chirp", "clicks", "noise", "quiet_sine_dc", "short_noise_0p5s", "silence")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.data
@pytest.mark.parametrize("sound", SOUNDS)
def test_features_equal_those_of_kaldi_compliance(golden: Path, sound: str) -> None:
    stored = load_file(golden / "fbank_synth.safetensors")
    waveform = stored[f"pcm16.{sound}"].float()[None] / 32768
    found = LogMelFilterBank(FrontEnd())(waveform)[0]
    assert found.shape == stored[f"fbank.{sound}"].shape
    assert FrontEnd().n_frames(waveform.shape[-1]) == len(found)
    torch.testing.assert_close(found, stored[f"fbank.{sound}"], rtol=0, atol=1e-5)


@pytest.mark.data
def test_mel_bands_equal_those_of_kaldi_compliance(golden: Path) -> None:
    expected = load_file(golden / "fbank_synth.safetensors")["mel_banks_128x256"]
    found = mel_filters(FrontEnd())
    torch.testing.assert_close(found[:, :256], expected, rtol=0, atol=1e-6)
    assert not found[:, 256].any()
    assert not found[3].any()  # narrower than a bin, and between two: so it is in Kaldi too


@pytest.mark.data
def test_features_of_real_cycles_have_the_stored_statistics(golden: Path, shared_data: Path, sinc_resample) -> None:
    """86 of the 97 cycles: those of recordings that are at hand at the rate at which they were published."""
    stored = json.loads((golden / "cycles.json").read_text())
    subset = sorted((shared_data / "icbhi2017_subset" / "ICBHI_final_database").glob("104_1b1_*.flac"))
    paths = {path.stem: path for path in [*subset, *sorted((shared_data / "icbhi2017_native").glob("*.wav"))]}
    n_cycles = 0
    for stem in stored.keys() & paths.keys():
        native, rate = soundfile.read(paths[stem], dtype="float32")
        assert rate == stored[stem]["sr"]
        recording = fade_recording(sinc_resample(native, rate, 16_000), 16_000, Crop(recording_fade=0.0625))
        cycles = stored[stem]["cycles"]
        crops = [crop_cycle(recording, 16_000, each["start"], each["end"], Crop(repeat_fade=0.0625)) for each in cycles]
        for log_mel, cycle in zip(LogMelFilterBank(FrontEnd())(torch.from_numpy(np.stack(crops))), cycles, strict=True):
            found = {"mean": log_mel.mean(), "std": log_mel.std(), "min": log_mel.min(), "max": log_mel.max()}
            assert list(log_mel.shape) == cycle["fbank"].pop("shape")
            assert {name: value.item() for name, value in found.items()} == pytest.approx(cycle["fbank"], abs=1e-5)
            n_cycles += 1
    assert n_cycles == 86


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")  # band 3, in Kaldi too
@pytest.mark.parametrize("seed", [0, 1])
def test_features_equal_those_of_transformers_in_numpy(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """An independent implementation in float64; 2e-3 is the float32 error near the log floor on tonal sounds."""
    from transformers.models.audio_spectrogram_transformer import feature_extraction_audio_spectrogram_transformer as hf

    monkeypatch.setattr(hf, "is_speech_available", lambda: False)
    extractor = hf.ASTFeatureExtractor(max_length=798, mean=AUDIOSET_MEAN, std=AUDIOSET_STD)
    time = torch.arange(128_000) / 16_000
    waveform = noise(128_000, seed=seed) + 0.3 * torch.sin(2 * torch.pi * (200 + 100 * time) * time)
    expected = extractor(waveform.numpy(), sampling_rate=16_000, return_tensors="pt")["input_values"]
    torch.testing.assert_close(LogMelFilterBank(FrontEnd())(waveform[None]), expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("pre_emphasis", [0.0, 0.97])
@pytest.mark.parametrize("n_samples", [16_000, 16_001, 12_345])
def test_centred_frames_equal_torch_stft(pre_emphasis: float, n_samples: int) -> None:
    settings = CENTRED.model_copy(update={"pre_emphasis": pre_emphasis})
    waveform = noise(2, n_samples)
    emphasised = waveform[:, 1:] - pre_emphasis * waveform[:, :-1] if pre_emphasis else waveform
    window = torch.hann_window(settings.frame_length, periodic=False)
    spectrum = torch.stft(
        emphasised, 1024, settings.frame_shift, settings.frame_length, window, center=True, return_complex=True
    )
    energies = torch.einsum("mf,bft->btm", mel_filters(settings), spectrum.abs() ** 2)
    expected = ((energies + 1e-5).log() - settings.mean) / settings.scale
    found = LogMelFilterBank(settings)(waveform)
    assert found.shape[1] == settings.n_frames(n_samples)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "settings",
    [FrontEnd(), CENTRED, FrontEnd(sample_rate=8000, n_fft=256, n_mels=40, f_max=3500), THREE_CHANNELS, LINEAR],
)
@pytest.mark.parametrize("n_samples", [1600, 1999, 8000])
def test_number_of_frames_is_as_foretold(settings: FrontEnd, n_samples: int) -> None:
    assert LogMelFilterBank(settings)(noise(1, n_samples)).shape == (1, settings.n_frames(n_samples), settings.n_bands)


@pytest.mark.parametrize("settings", [FrontEnd(), CENTRED, THREE_CHANNELS])
def test_batch_equals_single(settings: FrontEnd) -> None:
    front_end, waveforms = LogMelFilterBank(settings), noise(5, 8000)
    together = front_end(waveforms)
    for each, expected in zip(waveforms, together, strict=True):
        torch.testing.assert_close(front_end(each[None])[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", [FrontEnd(), CENTRED, THREE_CHANNELS])
def test_gradient_is_that_of_finite_differences(settings: FrontEnd) -> None:
    front_end = LogMelFilterBank(settings).double()
    waveform = noise(1, 1600).double().requires_grad_()
    direction = noise(1, 1600, seed=1).double()
    front_end(waveform).sum().backward()
    assert waveform.grad is not None
    step = 1e-6
    with torch.no_grad():
        change = front_end(waveform + step * direction).sum() - front_end(waveform - step * direction).sum()
    torch.testing.assert_close((waveform.grad * direction).sum(), change / (2 * step), rtol=1e-4, atol=1e-6)


def test_silence_has_finite_features_and_gradients() -> None:
    waveform = torch.zeros(1, 8000, requires_grad=True)
    log_mel = LogMelFilterBank(FrontEnd())(waveform)
    expected = (np.log(np.finfo(np.float32).eps) - AUDIOSET_MEAN) / (2 * AUDIOSET_STD)
    torch.testing.assert_close(log_mel, torch.full_like(log_mel, expected))
    log_mel.sum().backward()
    assert waveform.grad is not None
    assert torch.isfinite(waveform.grad).all()


def test_louder_sound_moves_all_values_alike() -> None:
    front_end, waveform = LogMelFilterBank(FrontEnd()), noise(1, 16_000)
    difference = (front_end(4 * waveform) - front_end(waveform))[..., 4:]  # band 3 is empty
    torch.testing.assert_close(
        difference, torch.full_like(difference, np.log(16) / (2 * AUDIOSET_STD)), rtol=0, atol=1e-4
    )


def test_waveform_shorter_than_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="399 samples is shorter than a frame"):
        LogMelFilterBank(FrontEnd())(noise(1, 399))


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # from inside torch 2.13's exporter
@pytest.mark.parametrize(
    "settings", [FrontEnd(), CENTRED, THREE_CHANNELS, LINEAR], ids=["kaldi", "centred", "three", "linear"]
)
def test_onnx_export_agrees_at_any_length(settings: FrontEnd, tmp_path: Path) -> None:
    front_end = LogMelFilterBank(settings).eval()
    free = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        front_end, (noise(2, 16_000),), dynamo=True, dynamic_shapes=({0: free, 1: free},), verbose=False
    )
    assert program is not None
    program.save(tmp_path / "front_end.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "front_end.onnx", providers=["CPUExecutionProvider"])
    for shape in ((2, 16_000), (1, 12_345), (3, 40_000)):
        waveform = noise(*shape, seed=3)
        (found,) = session.run(None, {session.get_inputs()[0].name: waveform.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), front_end(waveform), rtol=0, atol=1e-4)


def test_written_and_read_file_gives_the_same_features(tmp_path: Path) -> None:
    waveform = noise(16_000)
    soundfile.write(tmp_path / "x.wav", waveform.numpy(), 16_000, subtype="FLOAT")
    read = torch.from_numpy(read_waveform(tmp_path / "x.wav", 16_000))
    front_end = LogMelFilterBank(FrontEnd())
    assert torch.equal(front_end(read[None]), front_end(waveform[None]))


def tone(frequency: float, settings: FrontEnd) -> Tensor:
    return (2 * torch.pi * frequency * torch.arange(2 * settings.sample_rate) / settings.sample_rate).sin()[None]


def test_channels_lie_side_by_side() -> None:
    """Each as it is alone; and a tone is where its bands are, with the same energy in all."""
    alone = [THREE_CHANNELS.model_copy(update={"channels": (channel,)}) for channel in THREE_CHANNELS.channels]
    assert (THREE_CHANNELS.n_bands, alone[0].n_bands) == (144, 48)
    waveform = noise(2, 8000)
    expected = torch.cat([LogMelFilterBank(each)(waveform) for each in alone], dim=-1)
    torch.testing.assert_close(LogMelFilterBank(THREE_CHANNELS)(waveform), expected, rtol=0, atol=1e-6)
    unfiltered = THREE_CHANNELS.model_copy(update={"band_pass": None, "pre_emphasis": 0.0})
    log_mel = LogMelFilterBank(unfiltered)(tone(band_centres(unfiltered)[36].item(), unfiltered))[0, 60]
    semitones, gammatones, mels = log_mel.unflatten(0, (3, 48)).unbind()
    assert semitones.argmax() == 36
    for place, energies in ((1, gammatones), (2, mels)):
        centres = band_centres(unfiltered).unflatten(0, (3, 48))[place]
        assert energies.argmax() == (centres - band_centres(unfiltered)[36]).abs().argmin()
    peak = to_energies(semitones[None], unfiltered).max()
    bin_energy = (torch.hann_window(400, periodic=False).sum() / 2) ** 2
    torch.testing.assert_close(peak, bin_energy, rtol=1e-3, atol=0)


@pytest.mark.parametrize("channels", [("mel",), ("linear",), ("gammatone",), ("constant-q",)])
def test_band_pass_attenuates_as_scipys_filter(channels: tuple) -> None:
    open_ = CENTRED.model_copy(update={"channels": channels, "sample_rate": 8000, "f_min": 32.7, "n_mels": 72})
    filtered = open_.model_copy(update={"band_pass": (200.0, 900.0)})
    sections = signal.butter(5, (200.0, 900.0), btype="bandpass", fs=8000, output="sos")
    for frequency in (150.0, 400.0, 1050.0):
        sound = tone(frequency, open_)
        _, response = signal.sosfreqz(sections, [frequency], fs=8000)
        first, second = (to_energies(LogMelFilterBank(each)(sound), each)[0, 60] for each in (open_, filtered))
        loudest = first.argmax()
        ratio = (second[loudest] / first[loudest]).item()
        assert 10 * np.log10(ratio) == pytest.approx(20 * np.log10(abs(response[0])), abs=2.5)


def test_slaney_front_end_equals_transformers() -> None:
    settings = CENTRED.model_copy(update={"mel_scale": "slaney", "pre_emphasis": 0.0})
    filters = mel_filter_bank(513, 128, 20.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    waveform = noise(1, 16_000)
    expected = spectrogram(waveform[0].numpy(), np.hanning(800), 800, 320, 1024, mel_filters=filters, power=2.0)
    found = to_energies(LogMelFilterBank(settings)(waveform), settings)[0].T - settings.log_offset
    inner = slice(3, -3)  # ends are padded by half a frame there, by half an FFT here
    np.testing.assert_allclose(found.numpy()[:, inner], expected[:, inner], rtol=2e-3, atol=2e-6)


def test_new_settings_do_not_name_old_features_anew() -> None:
    younger = {"mel_scale", "band_pass", "channels", "log_floor", "window", "level"}
    assert FrontEnd().stated() == {key: value for key, value in FrontEnd().model_dump().items() if key not in younger}
    changed = THREE_CHANNELS.model_copy(update={"log_floor": 1e-10, "window": "periodic", "level": 0.1})
    assert changed.stated() == changed.model_dump()
    assert changed.stated().keys() - THREE_CHANNELS.stated().keys() == {"log_floor", "window", "level"}


def test_below_keeps_whole_bands_of_slaneys_scale() -> None:
    whole = FrontEnd(mel_scale="slaney", n_mels=64)
    cut = whole.below(4000.0)
    assert cut.f_max is not None
    assert cut.f_max < 4000.0
    torch.testing.assert_close(band_centres(cut), band_centres(whole)[: cut.n_mels])
    torch.testing.assert_close(mel_filters(cut), mel_filters(whole)[: cut.n_mels], rtol=1e-4, atol=1e-7)
    with pytest.raises(ValueError, match="use mel bands alone"):
        LINEAR.below(1000.0)


@pytest.mark.parametrize("offset", [0.0, 1e-5])
def test_louder_is_a_gain_of_the_recording(offset: float) -> None:
    faint, settings = 1e-4 * noise(2, 16_000), FrontEnd(log_offset=offset)
    plain, louder = LogMelFilterBank(settings), LogMelFilterBank(settings.louder(20.0))
    torch.testing.assert_close(louder(faint), plain(10 * faint), rtol=1e-4, atol=1e-4)
    assert (louder(faint) - plain(faint)).abs().max() > 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"band_pass": (100.0, 9000.0)}, "half the sample rate"),
        ({"channels": ("constant-q",)}, "framing='centred'"),
        ({"channels": ("constant-q",), "framing": "centred", "n_mels": 110}, "do not end below"),
        ({"channels": ()}, "at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FrontEnd(**changes)
