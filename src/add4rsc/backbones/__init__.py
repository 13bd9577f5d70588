"""Backbones: log-mel in, one feature vector out; one file each."""

from add4rsc.backbones._base import AbstractBackbone
from add4rsc.registry import Registry

backbones: Registry[type[AbstractBackbone]] = Registry("backbone", __name__)
