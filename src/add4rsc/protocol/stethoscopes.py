"""Keep to some stethoscopes: the original's `stetho_id`, and a look at each device alone."""

from collections.abc import Sequence
from dataclasses import replace

from add4rsc.errors import SplitError
from add4rsc.protocol.split import Split
from add4rsc.terms import RespiratoryCycle


def only_stethoscopes(split: Split, names: Sequence[str]) -> Split:
    """The cycles of a split that were recorded with one of these stethoscopes; all of them if none is named.

    Raises:
        SplitError: if training or test would be empty.
    """
    if not names:
        return split

    def kept(cycles: Sequence[RespiratoryCycle]) -> tuple[RespiratoryCycle, ...]:
        return tuple(cycle for cycle in cycles if cycle.recording.stethoscope in names)

    smaller = replace(split, train=kept(split.train), validation=kept(split.validation), test=kept(split.test))
    known = sorted({cycle.recording.stethoscope for cycle in (*split.train, *split.test)})
    for side, cycles in (("training", smaller.train), ("test", smaller.test)):
        if not cycles:
            raise SplitError(
                f"Split '{split.name}' has no {side} cycles of {', '.join(names)}. Known: {', '.join(known)}; "
                "choose another split (`add4rsc data split`) or other stethoscopes."
            )
    return smaller
