"""The outermost layer: headers on every answer, patience that ends, errors that tell nothing, a log without names."""

import asyncio
import logging
import time
import traceback

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from add4rsc.serve.limits import Limits
from add4rsc.serve.problems import RefusedError, respond

log = logging.getLogger("add4rsc.serve")

NO_CONTENT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": NO_CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""Of every answer that does not say otherwise."""


LINGER = 3.0
"""Seconds that the rest of a refused body is read and thrown away."""


class Impatience(Exception):  # noqa: N818 - the client's fault
    """A client does not take its answer."""


class Watchdog:
    """Times out slow clients, turns what nobody caught into an answer, adds headers, and logs.

    A line of the log has the method, the pattern of the path, the status, the size of the body and the time: no name
    of a file, no address, no id.

    Args:
        app: that is watched.
        limits: of patience.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._limits, receive, send, Headers(scope=scope))
        begin = time.perf_counter()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Impatience:
            exchange.status = 499
        except RefusedError as refusal:
            await exchange.refuse(refusal, scope)
        except Exception as error:  # noqa: BLE001 - the server must stay up; a traceback may name patients
            log.error("%s at %s", type(error).__name__, _place(error))
            refusal = RefusedError(500, "The server made a mistake", "Try again; if it happens again, report it")
            await exchange.refuse(refusal, scope)
        elapsed = 1000 * (time.perf_counter() - begin)
        log.info("%s %s %d %d bytes %.0f ms", scope["method"], _pattern(scope), exchange.status, exchange.n_in, elapsed)


class _Exchange:
    """One request's messages, with their timeouts."""

    def __init__(self, limits: Limits, receive: Receive, send: Send, headers: Headers) -> None:
        self._limits, self._receive, self._send = limits, receive, send
        self._begin = time.monotonic()
        self._has_body = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        self._expects_word = headers.get("expect", "").lower() == "100-continue"
        self.status, self.n_in = 0, 0

    async def receive(self) -> Message:
        """The next message of the client, in time if it is one of the body.

        Raises:
            RefusedError: if the body takes too long.
        """
        if self._has_body:
            return await self._receive()
        left = self._begin + self._limits.body_timeout - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, min(left, self._limits.idle_timeout)))
        except TimeoutError as error:
            raise RefusedError(408, "The body comes too slowly", "Send it on a better line, or send less") from error
        self.n_in += len(message.get("body", b""))
        self._has_body = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a message, if the client takes it in time.

        Raises:
            Impatience: if it does not.
        """
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if not self._has_body and self.status >= 400:
                headers["Connection"] = "close"
                await self._drain()
        try:
            await asyncio.wait_for(self._send(message), self._limits.idle_timeout)
        except TimeoutError as error:
            raise Impatience from error

    async def _drain(self) -> None:
        """Throw away what still comes of a body, for a moment: a client that is writing does not read."""
        if self._expects_word and self.n_in == 0:
            return
        self._begin = min(self._begin, time.monotonic() - self._limits.body_timeout + LINGER)
        try:
            while not self._has_body:
                await self.receive()
        except RefusedError:
            return

    async def refuse(self, refusal: RefusedError, scope: Scope) -> None:
        """Answer with a problem, unless an answer has begun."""
        if self.status == 0:
            await respond(refusal)(scope, self.receive, self.send)


def _place(error: Exception) -> str:
    """Module and line of an error, which is all that is told of it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name}:{frames[-1].lineno}" if frames else "?"


def _pattern(scope: Scope) -> str:
    """The path with names in place of ids."""
    return getattr(scope.get("route"), "path", "(no such path)")
