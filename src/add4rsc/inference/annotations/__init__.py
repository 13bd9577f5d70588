"""Annotation files that may lie beside a recording, one format a file."""

from add4rsc.inference.annotations._base import AbstractAnnotationFormat
from add4rsc.registry import Registry

annotation_formats: Registry[type[AbstractAnnotationFormat]] = Registry(
    "annotation format", "add4rsc.inference.annotations"
)
