"""What may happen to a test cycle's waveform; one file each."""

from add4rsc.registry import Registry
from add4rsc.robustness.corruptions._base import AbstractCorruption

corruptions: Registry[type[AbstractCorruption]] = Registry("corruption", __name__)
