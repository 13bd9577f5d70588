"""Adaptive differential denoising for respiratory sound classification. Research use only, not a medical device."""

from importlib.metadata import version

__version__ = version("add4rsc")
