"""Reading: real native files, every format, stretches, channels, and everything that is no sound."""

import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from add4rsc.audio.io import read_info, read_waveform
from add4rsc.errors import AudioError

NATIVE = {  # measured with libsndfile's own command line
    "101_1b1_Al_sc_Meditron": (44_100, "WAV PCM_32", 882_000),
    "102_1b1_Ar_sc_Meditron": (44_100, "WAV PCM_16", 882_000),
    "103_2b2_Ar_mc_LittC2SE": (44_100, "WAV PCM_24", 882_000),
    "104_1b1_Al_sc_Litt3200": (4_000, "WAV PCM_16", 63_424),
}


def noise(n_samples: int, n_channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (n_samples, n_channels)).astype(np.float32).squeeze()


def tone(frequency: float, sample_rate: int, duration: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(duration * sample_rate)) / sample_rate)


@pytest.mark.data
@pytest.mark.parametrize("stem", NATIVE)
def test_native_files_have_the_right_scale(shared_data: Path, stem: str) -> None:
    """Against the standard library's reader, which gives the raw bytes."""
    path = shared_data / "icbhi2017_native" / f"{stem}.wav"
    sample_rate, encoding, n_frames = NATIVE[stem]
    info = read_info(path)
    assert (info.sample_rate, info.encoding, info.n_frames, info.n_channels) == (sample_rate, encoding, n_frames, 1)
    with wave.open(str(path)) as file:
        width = file.getsampwidth()
        raw = np.frombuffer(file.readframes(-1), np.uint8).reshape(-1, width)
    padded = np.zeros((len(raw), 4), np.uint8)
    padded[:, 4 - width :] = raw
    expected = padded.view("<i4")[:, 0] / 2**31
    assert np.abs(expected).max() > 0.1
    assert np.allclose(read_waveform(path, sample_rate), expected, rtol=0, atol=1e-7)


@pytest.mark.data
@pytest.mark.parametrize("stem", NATIVE)
def test_stretch_of_a_native_file_equals_the_whole(shared_data: Path, stem: str) -> None:
    path = shared_data / "icbhi2017_native" / f"{stem}.wav"
    whole = read_waveform(path, 16_000)
    rows = [line.split("\t") for line in path.with_suffix(".txt").read_text().splitlines()]
    for row in rows:
        start, end = float(row[0]), float(row[1])
        expected = whole[int(start * 16_000) : int(end * 16_000)]
        assert np.allclose(read_waveform(path, 16_000, start, end), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_U8", 2**-7),
        ("wav", "PCM_16", 2**-15),
        ("wav", "PCM_24", 2**-23),
        ("wav", "PCM_32", 1e-7),
        ("wav", "FLOAT", 0.0),
        ("wav", "DOUBLE", 1e-7),
        ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-23),
        ("aiff", "PCM_16", 2**-15),
    ],
)
def test_lossless_formats_give_the_samples_back(tmp_path: Path, suffix: str, subtype: str, tolerance: float) -> None:
    path = tmp_path / f"x.{suffix}"
    expected = noise(4000)
    soundfile.write(path, expected, 8000, subtype=subtype)
    found = read_waveform(path, 8000)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.abs(found - expected).max() <= tolerance


@pytest.mark.parametrize(("suffix", "subtype"), [("ogg", "VORBIS"), ("ogg", "OPUS"), ("mp3", "MPEG_LAYER_III")])
def test_lossy_formats_give_the_sound_back(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, tone(440, 48_000, 2.0), 48_000, format=suffix.upper(), subtype=subtype)
    found = read_waveform(path, 16_000)
    assert len(found) == pytest.approx(32_000, abs=1200)
    spectrum = np.abs(np.fft.rfft(found[8000:24_000]))
    assert np.argmax(spectrum) == 440
    assert np.sqrt(2) * found[8000:24_000].std() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("native", [4000, 8000, 10_000, 11_025, 22_050, 44_100, 48_000])
def test_resampled_tone_is_the_tone(tmp_path: Path, native: int) -> None:
    """A sine below both Nyquist frequencies must come out as the same sine, sample for sample."""
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(700, native, 2.0), native, subtype="FLOAT")
    found = read_waveform(path, 16_000)
    assert len(found) == 32_000
    inside = slice(1600, -1600)  # the ends ring
    assert np.allclose(found[inside], tone(700, 16_000, 2.0)[inside], rtol=0, atol=2e-4)


def test_what_the_new_rate_cannot_hold_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(9500, 44_100, 1.0), 44_100, subtype="FLOAT")
    assert np.abs(read_waveform(path, 16_000)[1600:-1600]).max() < 1e-4


@pytest.mark.parametrize("native", [4000, 10_000, 16_000, 44_100])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_stretch_equals_the_same_part_of_the_whole(tmp_path: Path, native: int, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, noise(3 * native + 17), native)
    whole = read_waveform(path, 16_000)
    draw = np.random.default_rng(1)
    stretches = [(0.0, 0.5), (0.0, 3.0), (2.9, 3.1), *(sorted(draw.uniform(0, 3, 2)) for _ in range(20))]
    for start, end in stretches:
        found = read_waveform(path, 16_000, start, end)
        expected = whole[int(start * 16_000) : int(end * 16_000)]
        assert len(found) == len(expected)
        assert np.allclose(found, expected, rtol=0, atol=2e-5)


def test_only_the_stretch_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(600_000), 10_000)
    asked = []
    read = soundfile.SoundFile.read

    def counting(self, frames=-1, *rest, **named):
        asked.append(frames)
        return read(self, frames, *rest, **named)

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    read_waveform(path, 16_000, 30.0, 31.0)
    assert sum(asked) <= 1.25 * 10_000


@pytest.mark.parametrize("n_channels", [2, 6])
def test_channels_are_averaged(tmp_path: Path, n_channels: int) -> None:
    path = tmp_path / "x.wav"
    samples = noise(1000, n_channels)
    soundfile.write(path, samples, 8000, subtype="FLOAT")
    assert np.allclose(read_waveform(path, 8000), samples.mean(axis=1), rtol=0, atol=1e-7)


def test_time_past_the_end_is_cut_to_it(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(8000), 8000)
    assert np.array_equal(read_waveform(path, 8000, 0.5, 99.0), read_waveform(path, 8000)[4000:])


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, None), (1.5, 2.0), (0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (0.5, 0.50001)]
)
def test_times_with_nothing_between_are_refused(tmp_path: Path, start: float, end: float | None) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(8000), 8000)
    with pytest.raises(AudioError, match=r"has 1\.000 s, nothing between"):
        read_waveform(path, 8000, start, end)


def cut_off(path: Path) -> None:
    soundfile.write(path, noise(8000), 8000)
    path.write_bytes(path.read_bytes()[:9000])


def with_values_that_are_not_numbers(path: Path) -> None:
    samples = noise(8000)
    samples[[5, 10, 20]] = np.nan, np.inf, -np.inf
    soundfile.write(path, samples, 8000, subtype="FLOAT")


def never_closed(path: Path) -> None:
    cut_off(path)
    content = bytearray(path.read_bytes())
    content[40:44] = bytes(4)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist"),
        (Path.mkdir, "does not exist"),
        (Path.touch, r"is empty \(0 bytes\)"),
        (lambda path: path.write_text("0.1\t0.9\t0\t0\n"), "is not a sound file"),
        (lambda path: path.write_bytes(b"RIFF\x24\x00\x00\x00WAVE"), "is not a sound file"),
        (cut_off, "is cut off: 7044 bytes"),
        (with_values_that_are_not_numbers, "3 samples that are not finite"),
        (lambda path: soundfile.write(path, np.zeros(0), 8000), "holds no samples"),
        (never_closed, "holds no samples"),
    ],
    ids=["missing", "folder", "empty", "text", "header alone", "cut off", "not a number", "no samples", "never closed"],
)
def test_what_is_no_sound_is_refused_with_a_remedy(tmp_path: Path, make, said: str) -> None:
    path = tmp_path / "x.wav"
    make(path)
    with pytest.raises(AudioError, match=said) as caught:
        read_waveform(path, 16_000)
    assert caught.value.path == str(path)
    assert caught.value.remedy


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_flac_that_is_cut_off_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, noise(40_000), 8000)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(AudioError, match=r"cut off|decoded|not a sound file"):
        read_waveform(path, 8000)


def test_names_in_any_script_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "Lungengeräusche 肺音 زفير"
    folder.mkdir()
    path = folder / "пациент № 7 «é».wav"
    soundfile.write(path, noise(800), 8000)
    assert len(read_waveform(path, 8000)) == 800
    broken = folder / "空.wav"
    broken.touch()
    with pytest.raises(AudioError, match="空"):
        read_waveform(broken, 8000)


@pytest.mark.parametrize("subtype", ["GSM610", "ULAW", "IMA_ADPCM"])
def test_telephone_codecs_are_read_from_any_second(tmp_path, subtype):
    path = tmp_path / "phone.wav"
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(8000 * 12) / 8000)
    soundfile.write(path, tone, 8000, subtype=subtype)
    whole = read_waveform(path, 8000)
    part = read_waveform(path, 8000, 7.25, 8.0)
    assert len(part) == 6000
    assert np.allclose(part, whole[58_000:64_000], atol=0.05)
