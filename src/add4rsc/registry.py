"""Registry: name -> plug-in, filled by the modules of one folder."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from add4rsc.errors import UnknownNameError

Entry = TypeVar("Entry")


class Registry(Generic[Entry]):
    """Named plug-ins of one kind, declared by decorators in the modules of one package.

    The package is scanned at the first look-up, modules whose name begins with an underscore excepted. So a new file is
    found without being named anywhere.

    >>> animals = Registry("animal", package=None)
    >>> @animals.register("cat")
    ... class Cat: ...
    >>> animals.get("cat").__name__
    'Cat'
    """

    def __init__(self, kind: str, package: str | None) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Declare a plug-in under `name`; used as a decorator.

        Raises:
            ValueError: if the name is taken.
        """

        def declare(entry: Entry) -> Entry:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return declare

    def names(self) -> list[str]:
        """All names, sorted."""
        self._scan()
        return sorted(self._entries)

    def get(self, name: str) -> Entry:
        """The plug-in of that name.

        Raises:
            UnknownNameError: if there is none; the message has the nearest name.
        """
        self._scan()
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def _scan(self) -> None:
        if self._package is None:
            return
        package, self._package = importlib.import_module(self._package), None
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{package.__name__}.{module.name}")
