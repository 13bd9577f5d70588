"""Pictures of examples: what stands on them, and that they are the same each time."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from add4rsc.audio.frontend import FrontEnd
from add4rsc.engine.examples import Example, Kind
from add4rsc.report import examples as module
from add4rsc.report.examples import draw_examples
from add4rsc.terms import Recording, RespiratoryCycle

FRONT_END = FrontEnd(sample_rate=8_000, n_mels=32, n_fft=256)


def example(kind: Kind, number: int, epsilon_db: float = 3.21) -> Example:
    recording = Recording(f"recording_{number}", Path("x.wav"), "7")
    cycle = RespiratoryCycle(recording, 0.5, 1.7, "crackle")
    log_mel = np.random.default_rng(number).normal(size=(50, 32)).astype(np.float32)
    decision = "wheeze" if kind is Kind.MISTAKE else "crackle"
    return Example(cycle, "crackle", decision, kind, epsilon_db / 10, epsilon_db, log_mel)


@pytest.fixture
def words(monkeypatch) -> list[str]:
    """Every word on every panel that is painted."""
    seen: list[str] = []
    painted = module._paint

    def paint(figure, *arguments):
        painted(figure, *arguments)
        for axis in figure.axes:
            ticks = [tick.get_text() for tick in axis.get_yticklabels()]
            seen.extend(
                (axis.get_title(loc="left"), axis.get_ylabel(), *ticks, *(each.get_text() for each in axis.texts))
            )

    monkeypatch.setattr(module, "_paint", paint)
    return seen


def test_every_kind_has_a_row_and_every_cycle_its_name(words, tmp_path):
    examples = [
        example(Kind.PROTOTYPE, 1), example(Kind.PROTOTYPE, 2, np.inf), example(Kind.CRITICISM, 3, 0.012),
        example(Kind.MISTAKE, 4, 0.0),
    ]  # fmt: skip
    draw_examples(examples, FRONT_END, 2.0, tmp_path / "a" / "crackle.png")
    told = "\n".join(words)
    for number in (1, 2, 3, 4):
        assert f"recording_{number}@500" in told
    for part in ("changes at 3.2 dB", "never changed", "changes at 0.012 dB", "decided wheeze", "filled", "1,000"):
        assert part in told
    for part in ("hardest to change", "easiest to change", "wrong without any change"):
        assert told.count(part) == 1
    height, width, _ = matplotlib.image.imread(tmp_path / "a" / "crackle.png").shape
    assert height > 700
    assert width > 700


def test_the_same_examples_give_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        draw_examples([example(Kind.CRITICISM, 1)], FRONT_END, 1.0, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_several_kinds_of_bands_are_named(words, tmp_path):
    front_end = FRONT_END.model_copy(update={"n_mels": 16, "channels": ("mel", "linear")})
    draw_examples([example(Kind.CRITICISM, 1)], front_end, 2.0, tmp_path / "a.png")
    assert {"mel", "linear"} <= set(words)
