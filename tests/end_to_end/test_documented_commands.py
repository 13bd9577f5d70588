"""Every command that README and docs tell to type is one: its verb, its options, its recipe and its changes exist."""

import re
import shlex
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from add4rsc.cli._app import VERBS, app
from add4rsc.cli._recipes import find_recipe

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


LOOP_VARIABLE = re.compile(r"\$(\(\(.*?\)\)|\w+)")


def commands_in(lines: Iterable[str]) -> list[list[str]]:
    """The words after `add4rsc` of lines that name a verb; a number for each variable of a loop."""
    found = (re.search(r"(?:^|[\s/])add4rsc ([a-z-]+( .*)?)$", line.strip()) for line in lines)
    told = [LOOP_VARIABLE.sub("1", each[1]) for each in found if each and "..." not in each[1]]
    whole = (each.rstrip("'") if each.count("'") % 2 else each for each in told)  # the last within another's quotes
    return [shlex.split(each, comments=True) for each in whole]


def blocks_of(page: Path) -> list[list[str]]:
    """Commands in blocks of shell, with continued lines joined."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    return commands_in(re.sub(r"\s*\\\n\s*", " ", "".join(blocks)).splitlines())


def spans_of(page: Path) -> list[list[str]]:
    """Commands, or the beginnings of some, within sentences."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return commands_in(re.findall(r"`([^`\n]+)`", prose))


def verb_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the other words."""
    for verb in VERBS:
        import_module(f"add4rsc.cli.{verb}")
    found = get_command(app)
    while commands := getattr(found, "commands", None):
        found, words = commands[words[0]], words[1:]
    return found, words


def every(commands_of: Callable[[Path], list[list[str]]]) -> pytest.MarkDecorator:
    """A test for each command of all pages."""
    cases = [(page, words) for page in PAGES for words in commands_of(page)]
    return pytest.mark.parametrize("words", [pytest.param(w, id=f"{page.stem}: {' '.join(w)}") for page, w in cases])


@every(blocks_of)
def test_command_of_a_block_can_be_typed(words: list[str]) -> None:
    command, rest = verb_of(words)
    given = command.make_context(words[0], rest).params
    if words[0] == "train" and "/" in given["recipe"]:
        find_recipe(given["recipe"], None, given["changes"] or [])


@every(spans_of)
def test_command_within_a_sentence_has_these_options(words: list[str]) -> None:
    command, rest = verb_of(words)
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    assert {word for word in rest if word.startswith("-")} <= known


def test_there_are_commands() -> None:
    assert all(sum(len(of_page(page)) for page in PAGES) > 20 for of_page in (blocks_of, spans_of))
