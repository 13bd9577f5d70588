"""The command line, as the tests of the command line run it."""

import sys

import pytest

from add4rsc.cli import main


@pytest.fixture
def cli(monkeypatch, capsys, feature_cache):
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("NO_COLOR", "1")

    class Outcome:
        def __init__(self, code, out, err) -> None:
            self.code, self.err, self.text = code, err, " ".join((out + err).split())

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["add4rsc", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        caught = capsys.readouterr()
        return Outcome(stop.value.code or 0, caught.out, caught.err)

    return run
