"""What is held between two requests: in memory, bounded, and forgotten after a while."""

import abc
import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from add4rsc.serve.limits import Limits
from add4rsc.serve.problems import RefusedError, forgotten

RETRY = 30.0
"""Seconds after which a full memory may have room."""
ID_BYTES = 16


class AbstractItem(abc.ABC):
    """Something that is held."""

    @property
    @abc.abstractmethod
    def n_bytes(self) -> int:
        """What it takes in memory."""

    @property
    @abc.abstractmethod
    def is_busy(self) -> bool:
        """Whether it is still waited for, and must not expire."""

    @abc.abstractmethod
    def close(self) -> None:
        """Told when it is forgotten."""


Held = TypeVar("Held", bound=AbstractItem)


class Memory:
    """The bytes that all shelves and all running uploads may take together.

    Args:
        limits: how many.
    """

    def __init__(self, limits: Limits) -> None:
        self._max_bytes = limits.max_memory_bytes
        self._leased = 0
        self._lock = threading.Lock()
        self._counts: list[Callable[[], int]] = []

    @property
    def n_bytes(self) -> int:
        """Taken."""
        return self._leased + sum(count() for count in self._counts)

    def watch(self, count: Callable[[], int]) -> None:
        """Count something else too, whenever bytes are asked for."""
        self._counts.append(count)

    def take(self, n_bytes: int) -> None:
        """Take some bytes.

        Raises:
            RefusedError: if there are not so many.
        """
        with self._lock:
            if self.n_bytes + n_bytes > self._max_bytes:
                problem, remedy = "The server's memory is full", "Delete recordings, or come again later"
                raise RefusedError(503, problem, remedy, retry_after=RETRY)
            self._leased += n_bytes

    def give(self, n_bytes: int) -> None:
        """Give some back."""
        with self._lock:
            self._leased -= n_bytes


class Lease:
    """Bytes that one request takes while it lasts.

    Args:
        memory: that they are taken from.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory, self._n_bytes = memory, 0

    def grow(self, n_bytes: int) -> None:
        """Take more.

        Raises:
            RefusedError: if there are not so many.
        """
        self._memory.take(n_bytes)
        self._n_bytes += n_bytes

    def __enter__(self) -> "Lease":
        """Begin with nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back."""
        self._memory.give(self._n_bytes)
        self._n_bytes = 0


class Shelf(Generic[Held]):
    """Things under random ids, each forgotten some time after it was last asked for.

    Args:
        what: they are, in messages.
        keep: seconds.
        max_items: held at once.
        memory: that counts them.
    """

    def __init__(self, what: str, keep: float, max_items: int, memory: Memory) -> None:
        self.keep, self._what, self._max_items = keep, what, max_items
        self._items: dict[str, tuple[Held, float]] = {}
        self._lock = threading.Lock()
        memory.watch(self._n_bytes)

    def __len__(self) -> int:
        """How many are held."""
        return len(self._items)

    def add(self, item: Held) -> str:
        """Keep something; its id.

        Raises:
            RefusedError: if there are too many already.
        """
        self.sweep()
        with self._lock:
            if len(self._items) >= self._max_items:
                problem, remedy = f"There are {len(self._items)} {self._what}s already", "Delete some, or come later"
                raise RefusedError(503, problem, remedy, retry_after=RETRY)
            name = secrets.token_hex(ID_BYTES)
            self._items[name] = (item, time.monotonic())
        return name

    def get(self, name: str) -> Held:
        """The thing of an id, kept for its whole time from now on.

        Raises:
            RefusedError: if there is none.
        """
        with self._lock:
            if name not in self._items:
                raise forgotten(self._what)
            item = self._items[name][0]
            self._items[name] = (item, time.monotonic())
            return item

    def drop(self, name: str) -> None:
        """Forget something.

        Raises:
            RefusedError: if there is none.
        """
        with self._lock:
            if name not in self._items:
                raise forgotten(self._what)
            item, _ = self._items.pop(name)
        item.close()

    def sweep(self) -> None:
        """Forget what has expired."""
        now = time.monotonic()
        with self._lock:
            old = [name for name, (item, used) in self._items.items() if now - used > self.keep and not item.is_busy]
            items = [self._items.pop(name)[0] for name in old]
        for item in items:
            item.close()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            items = [item for item, _ in self._items.values()]
            self._items.clear()
        for item in items:
            item.close()

    def _n_bytes(self) -> int:
        return sum(item.n_bytes for item, _ in list(self._items.values()))
