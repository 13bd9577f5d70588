import sys

import pytest

from add4rsc.errors import UnknownNameError
from add4rsc.registry import Registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two plug-ins and one private module."""
    folder = tmp_path / "plugged_in_parts"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from add4rsc.registry import Registry\nparts = Registry('loud part', __name__)\n"
    )
    text = "from plugged_in_parts import parts\n@parts.register('{0}')\ndef make(): return '{0}'\n"
    for module in ("second", "first", "_hidden"):
        (folder / f"{module}.py").write_text(text.format(module))
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("plugged_in_parts")]:
        del sys.modules[name]


def test_new_files_are_found_without_being_named(package):
    from plugged_in_parts import parts  # pyright: ignore[reportMissingImports]

    assert "plugged_in_parts.first" not in sys.modules
    assert parts.names() == ["first", "second"]
    assert parts.get("second")() == "second"


def test_unknown_name_has_the_nearest_or_all(package):
    from plugged_in_parts import parts  # pyright: ignore[reportMissingImports]

    with pytest.raises(
        UnknownNameError, match=r"no loud part 'frist'\. Did you mean 'first'\? See `add4rsc list parts`"
    ):
        parts.get("frist")
    with pytest.raises(UnknownNameError, match=r"Known: first, second\."):
        parts.get("xyz")
    with pytest.raises(UnknownNameError):
        parts.get("_hidden")


def test_a_name_is_given_once():
    registry = Registry("thing", package=None)
    registry.register("a")(1)
    with pytest.raises(ValueError, match="thing 'a' is registered twice"):
        registry.register("a")(2)
    assert registry.get("a") == 1
