"""The application as a process: its address, its patience, its end."""

import asyncio
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from add4rsc.errors import Add4rscError, WrongUsageError
from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference.opening import DEFAULT_MODEL, open_classifier
from add4rsc.serve.app import create_app
from add4rsc.serve.guards import LOOPBACK
from add4rsc.serve.limits import Limits

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""From release 1.29 on onnxruntime reports to its maker unless this is set before it is imported."""

SHORTEST_TOKEN = 16
CONNECTIONS_PER_REQUEST = 4
"""Connections that may wait, open and silent, for each request that may be answered."""
LOOKS = 4
"""At the clock, in the time that a header may take."""
GRACE = 5
"""Seconds that answers may take to end when the server is stopped."""
ANY_ADDRESS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - names what is refused without a token


@dataclass(frozen=True)
class Place:
    """Where the server is, and who may use it."""

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = field(default="", repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody else's machine can reach it."""
        return self.host in LOOPBACK

    @property
    def hosts(self) -> frozenset[str]:
        """Names that requests may give it; empty for any."""
        return LOOPBACK if self.is_loopback else frozenset()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        host = "127.0.0.1" if self.host in ANY_ADDRESS else self.host
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    def check(self) -> None:
        """Refuse to be open to everybody.

        Raises:
            WrongUsageError: if other machines can reach it and no token is set, or it can be guessed.
        """
        remedy = f"Set ADD4RSC_TOKEN or --token to {SHORTEST_TOKEN} random characters or more"
        if not self.token and not self.is_loopback:
            raise WrongUsageError(f"Other machines can reach {self.host}, and no token is set. {remedy}.")
        if self.token and (
            len(self.token) < SHORTEST_TOKEN or not self.token.isascii() or not self.token.isprintable()
        ):
            raise WrongUsageError(f"The token can be guessed, or not be sent. {remedy}, in plain ASCII.")


def open_shared(model: Path | None, limits: Limits) -> AbstractClassifier:
    """A model for several threads: as each of them uses one processor, they do not wait for each other.

    Raises:
        CheckpointError: if there is no such model, or it is damaged.
    """
    path = DEFAULT_MODEL if model is None else model
    if path.is_file() and limits.n_workers > 1:
        from add4rsc.inference.onnx_model import OnnxClassifier

        return OnnxClassifier(path, n_threads=1)
    return open_classifier(model)


def make_server(classifier: AbstractClassifier, place: Place, limits: Limits) -> uvicorn.Server:
    """The server of a model, which is not yet running.

    Raises:
        WrongUsageError: if the place is open to everybody.
    """
    place.check()
    app = create_app(classifier, limits, token=place.token, hosts=place.hosts)
    config = uvicorn.Config(
        app,
        host=place.host,
        port=place.port,
        http=HastyProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_PER_REQUEST * limits.max_requests,
        timeout_keep_alive=int(limits.header_timeout),
        timeout_graceful_shutdown=GRACE,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # its tracebacks could name files
    return uvicorn.Server(config)


def run_server(classifier: AbstractClassifier, place: Place, limits: Limits) -> None:
    """Serve until the process is interrupted.

    Raises:
        WrongUsageError: if the place is open to everybody.
        Add4rscError: if the port is taken.
    """
    try:
        make_server(classifier, place, limits).run()
    except SystemExit as stop:
        problem = f"The server could not start on {place.host}:{place.port}; the port may be taken"
        raise Add4rscError(f"{problem}. Choose another --port.") from stop


class HastyProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, but who neither sends a header nor takes the rest of an answer is hung up on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Begin to look at the clock."""
        super().connection_made(transport)
        limits: Limits = self.config.app.state.service.limits  # pyright: ignore[reportAttributeAccessIssue, reportFunctionMemberAccess]
        self._timeout, self._since, self._is_closing = limits.header_timeout, self.loop.time(), False
        self._timer = self.loop.call_later(self._timeout / LOOKS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        super().connection_lost(exc)
        self._timer.cancel()

    def on_response_complete(self) -> None:
        """Begin to wait for the next header."""
        super().on_response_complete()
        self._since = self.loop.time()

    def _look(self) -> None:
        """Close what has been idle for too long; break off what was closed before and is still here."""
        is_idle = self.cycle is None or self.cycle.response_complete
        if self._is_closing:
            self.transport.abort()
        elif is_idle and self.loop.time() - self._since >= self._timeout:
            self.transport.close()
        self._is_closing = self.transport.is_closing()
        self._timer = self.loop.call_later(self._timeout / LOOKS, self._look)
