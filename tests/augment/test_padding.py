"""What smart padding puts where."""

import numpy as np

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.augment.padding import pad_smartly
from add4rsc.augment.waveform import WaveformAugmentation
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.features import ChangedCopy, prepare_features

CYCLE = np.linspace(0.5, 1.0, 300, dtype=np.float32)
OTHERS = [np.full(200, -1.0, dtype=np.float32), np.full(2000, -2.0, dtype=np.float32)]


def kind_of(padded: np.ndarray) -> tuple[str, str]:
    """Where the cycle is, and what is beside it."""
    assert padded.shape == (1000,)
    if np.array_equal(padded[:300], CYCLE):
        side, rest = "behind", padded[300:]
        itself = np.tile(CYCLE, 3)[:700]
    else:
        np.testing.assert_array_equal(padded[-300:], CYCLE)
        side, rest = "front", padded[:-300]
        itself = np.tile(CYCLE, 3)[-700:]
    if np.array_equal(rest, itself):
        return "either", "itself"
    if (rest < 0).all():
        return side, f"other {rest[0]:.0f}"
    assert 0.4 * 0.5 < np.abs(rest).mean() < 2.1
    return side, "changed"


def test_all_three_ways_on_both_sides_as_often():
    generator = np.random.default_rng(0)
    found = [kind_of(pad_smartly(CYCLE, 1000, OTHERS, generator)) for _ in range(900)]
    ways = [way for _, way in found]
    assert 250 < ways.count("itself") < 350
    assert 250 < ways.count("changed") < 350
    assert min(ways.count("other -1"), ways.count("other -2")) > 100
    for way in ("changed", "other -1", "other -2"):
        sides = [side for side, each in found if each == way]
        assert 0.35 < sides.count("front") / len(sides) < 0.65


def test_without_others_there_are_two_ways_and_long_cycles_are_cut():
    generator = np.random.default_rng(0)
    found = {kind_of(pad_smartly(CYCLE, 1000, [], generator))[1] for _ in range(50)}
    assert found == {"itself", "changed"}
    np.testing.assert_array_equal(pad_smartly(OTHERS[1], 1000, [CYCLE], generator), OTHERS[1][:1000])


def test_copies_are_filled_smartly_and_the_cycles_themselves_by_repetition(made_corpus, tmp_path):
    """A copy that changes nothing but its padding: of every cycle, some other frames than those of repetition."""
    cycles = [cycle for cycle in open_dataset(made_corpus).cycles()[:9] if cycle.duration < 3.5]
    settings = (Crop(duration=4.0), FrontEnd(sample_rate=4000, n_mels=32, n_fft=256), tmp_path)
    still = {"speed": 0.0, "gain_db": 0.0, "lowest_snr_db": 200.0, "copies": 1}
    plain = prepare_features(cycles, *settings)
    repeated = prepare_features(cycles, *settings, None, ChangedCopy(WaveformAugmentation(**still), 1))
    smart = WaveformAugmentation(**still, padding="smart")
    filled = [prepare_features(cycles, *settings, None, ChangedCopy(smart, number)) for number in (1, 2, 3)]
    for index in range(len(cycles)):
        np.testing.assert_allclose(repeated.features(index), plain.features(index), atol=1e-3)
        ways = [store.features(index) for store in filled]
        assert max(np.abs(way - plain.features(index)).max() for way in ways) > 0.1
    again = prepare_features(cycles, settings[0], settings[1], tmp_path / "b", None, ChangedCopy(smart, 2))
    np.testing.assert_array_equal(again.features(0), filled[1].features(0))
    assert LogMelFilterBank(settings[1]).front_end.n_frames(16_000) == filled[0].features(0).shape[0]
