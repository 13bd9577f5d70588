"""What results are written as, one format a file."""

from add4rsc.inference.formats._base import AbstractFormat
from add4rsc.registry import Registry

formats: Registry[type[AbstractFormat]] = Registry("format", "add4rsc.inference.formats")
