"""Made recordings: the same bytes for a seed, and sounds that are what their annotation says."""

from collections import Counter, defaultdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, find_peaks, sosfiltfilt, welch
from scipy.stats import kurtosis

from add4rsc.audio.io import read_info, read_waveform
from add4rsc.datasets.icbhi2017 import Icbhi2017
from add4rsc.datasets.synthetic import crackles, synthesise, wheeze
from add4rsc.datasets.verification import verify
from add4rsc.errors import WrongUsageError
from add4rsc.terms import CYCLE_CLASSES, RespiratoryCycle, Subset


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Icbhi2017:
    return Icbhi2017(synthesise(tmp_path_factory.mktemp("made")))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.*")}


def test_bytes_depend_on_the_seed_alone(tmp_path: Path) -> None:
    first, again, other = (digests(synthesise(tmp_path / str(i), 4, seed)) for i, seed in enumerate((7, 7, 8)))
    assert first == again
    assert len(first) == 2 * 4 + 3
    sounds = [name for name in first if name.endswith(".wav")]
    assert all(first[name] != other[name] for name in sounds)


def test_corpus_has_what_icbhi_has(corpus: Icbhi2017) -> None:
    recordings = corpus.recordings()
    assert len(recordings) == 24
    assert set(Counter(each.patient_id for each in recordings).values()) == {3, 4}
    assert min(int(each.patient_id) for each in recordings) == 901
    assert {each.stethoscope for each in recordings} == {"AKGC417L", "LittC2SE", "Litt3200", "Meditron"}
    assert all(each.metadata.keys() >= {"age", "sex", "adult_bmi", "diagnosis"} for each in recordings)
    infos = {each.recording_id: read_info(each.path) for each in recordings}
    assert all(12 <= info.duration <= 20 for info in infos.values())
    assert {infos[each.recording_id].sample_rate for each in recordings if each.stethoscope == "Litt3200"} == {4000}
    assert verify(corpus).problems == ()


def test_patients_are_divided_and_every_class_is_on_both_sides(corpus: Icbhi2017) -> None:
    subset_of = corpus.published_split("icbhi2017/official").subset_of
    assert len(subset_of) == 24
    patients: dict[Subset, set[str]] = defaultdict(set)
    classes: dict[Subset, set[str]] = defaultdict(set)
    for cycle in corpus.cycles():
        subset = subset_of[cycle.recording.recording_id]
        patients[subset].add(cycle.recording.patient_id)
        classes[subset].add(cycle.annotation)
    assert not patients[Subset.TRAIN] & patients[Subset.TEST]
    assert (len(patients[Subset.TRAIN]), len(patients[Subset.TEST])) == (4, 3)
    assert classes == {Subset.TRAIN: set(CYCLE_CLASSES), Subset.TEST: set(CYCLE_CLASSES)}


def read_at_4_khz(cycle: RespiratoryCycle) -> np.ndarray:
    return read_waveform(cycle.recording.path, 4000, cycle.start, cycle.end)


def tonality(cycle: RespiratoryCycle) -> float:
    """How far the strongest bin in the expiration rises above its neighbourhood, in dB."""
    expiration = read_at_4_khz(cycle)[int(4000 * 0.45 * cycle.duration) :]
    frequency, power = welch(expiration, 4000, nperseg=1024)
    band = 10 * np.log10(power[(frequency > 130) & (frequency < 1000)])
    smooth = np.convolve(np.pad(band, 20, mode="edge"), np.ones(41) / 41, "valid")
    return float((band - smooth).max())


def impulsiveness(cycle: RespiratoryCycle) -> float:
    """Kurtosis of the inspiration between 150 and 900 Hz; 0 for noise."""
    inspiration = read_at_4_khz(cycle)[: int(4000 * 0.42 * cycle.duration)]
    return float(kurtosis(sosfiltfilt(butter(4, (150, 900), "bandpass", fs=4000, output="sos"), inspiration)))


@pytest.mark.parametrize(
    ("measure", "sound"),
    [(tonality, ("wheeze", "both")), (impulsiveness, ("crackle", "both"))],
    ids=["wheeze", "crackle"],
)
def test_sounds_can_be_heard_where_they_are_annotated(corpus: Icbhi2017, measure, sound: tuple[str, str]) -> None:
    """Area under the curve of a single textbook measure: 1 if it tells the cycles with the sound from all others."""
    values = [(measure(cycle), cycle.annotation in sound) for cycle in corpus.cycles()]
    present = np.array([value for value, is_present in values if is_present])
    absent = np.array([value for value, is_present in values if not is_present])
    assert np.mean(present[:, None] > absent[None]) > 0.85


def test_wheeze_is_harmonic_and_below_1000_hz() -> None:
    time = np.arange(3 * 16_000) / 16_000
    for seed in range(5):
        sound = wheeze(time, 300.0, np.random.default_rng(seed))
        power = np.abs(np.fft.rfft(sound)) ** 2
        frequency = np.fft.rfftfreq(len(sound), 1 / 16_000)
        assert power[(frequency > 100) & (frequency < 1100)].sum() > 0.99 * power.sum()
        assert np.count_nonzero(np.abs(sound) > 0.01) > 0.1 * 16_000  # longer than 0.1 s, by definition


def test_crackles_are_short_and_many() -> None:
    time = np.arange(3 * 16_000) / 16_000
    sound = crackles(time, np.random.default_rng(1))
    loud = np.flatnonzero(np.abs(sound) > 0)
    assert loud[-1] < 0.5 * len(time)  # in the inspiration
    assert len(loud) < 17 * 2 * 0.009 * 16_000
    assert len(find_peaks(np.abs(sound), height=0.3)[0]) >= 8


def test_one_recording_cannot_be_divided(tmp_path: Path) -> None:
    with pytest.raises(WrongUsageError, match="2 or more"):
        synthesise(tmp_path, 1)
    assert len(Icbhi2017(synthesise(tmp_path, 2)).recordings()) == 2
