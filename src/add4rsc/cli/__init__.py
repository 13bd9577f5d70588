"""The command line: one module a group of verbs. Nothing heavy is imported before a verb needs it."""

from add4rsc.cli._app import main

__all__ = ["main"]
