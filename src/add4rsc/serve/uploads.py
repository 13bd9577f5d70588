"""A request's body -> files, never more of it in memory than is allowed, and none of it on a disk."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from add4rsc.serve.limits import Limits
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.sounds import UNNAMED

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class Upload:
    """One file as a client sent it, under the name that it gave."""

    name: str
    content: bytes = field(repr=False)


async def read_uploads(request: Request, limits: Limits, take: Callable[[int], object]) -> list[Upload]:
    """The files of a request: the parts of a form that have a file's name, or the body itself.

    Args:
        request: whose body has not been read.
        limits: of size and number.
        take: told the size of each piece before it is kept; it may refuse.

    Raises:
        RefusedError: if the body is too large, is no form though it says so, or the client has gone.
    """
    promised = int(request.headers.get("content-length") or 0)
    if promised > limits.max_upload_bytes:
        raise _too_large(limits)
    kind, options = parse_options_header(request.headers.get("content-type"))
    pieces = _pieces(request, limits, take)
    try:
        if kind.decode("latin-1") == MULTIPART:
            return await _read_form(pieces, options.get(b"boundary", b""), limits)
        content = b"".join([piece async for piece in pieces])
    except ClientDisconnect as error:
        raise RefusedError(408, "The body ended early", "Send all of it") from error
    return [Upload(_name_of(request.headers.get("content-disposition", "")), content)]


async def _pieces(request: Request, limits: Limits, take: Callable[[int], object]) -> AsyncIterator[bytes]:
    n_bytes = 0
    async for piece in request.stream():
        n_bytes += len(piece)
        if n_bytes > limits.max_upload_bytes:
            raise _too_large(limits)
        take(len(piece))
        yield piece


def _too_large(limits: Limits) -> RefusedError:
    size = f"{limits.max_upload_bytes / 2**20:g} MiB"
    remedy = "Send fewer or shorter recordings at once, or FLAC in place of WAV"
    return RefusedError(413, f"The body is larger than {size}", remedy)


async def _read_form(pieces: AsyncIterator[bytes], boundary: bytes, limits: Limits) -> list[Upload]:
    """The files of a form.

    Raises:
        RefusedError: if it is none.
    """
    form = _Form(2 * limits.max_files)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for piece in pieces:
            parser.write(piece)
        parser.finalize()
    except FormParserError as error:
        raise RefusedError(422, "The body is no multipart/form-data", "Send a form with one part a file") from error
    if not form.is_complete:
        raise RefusedError(422, "The form ends early", "Send all of it, with its last boundary")
    return form.uploads


class _Form:
    """Collects the parts of a form while it is parsed."""

    def __init__(self, max_parts: int) -> None:
        self.uploads: list[Upload] = []
        self.is_complete = False
        self._max_parts, self._n_parts = max_parts, 0
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._content = bytearray()
        self._name: str | None = None

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser is to call."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._n_parts += 1
        if self._n_parts > self._max_parts:
            raise RefusedError(413, f"The form has more than {self._max_parts} parts", "Send fewer files at once")
        self._headers, self._content, self._name = {}, bytearray(), None

    def _end_header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"filename")
        self._name = None if name is None else name.decode("utf-8", errors="replace")

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            self._content += memoryview(data)[start:end]

    def _end(self) -> None:
        if self._name is not None:
            self.uploads.append(Upload(self._name, bytes(self._content)))
        self._content = bytearray()

    def _complete(self) -> None:
        self.is_complete = True


def _name_of(disposition: str) -> str:
    r"""The file's name in a header; RFC 6266's coded form first.

    >>> _name_of('attachment; filename="breath.wav"'), _name_of("attachment; filename*=UTF-8''caf%C3%A9.wav")
    ('breath.wav', 'café.wav')
    """
    coded = re.search(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", disposition, re.IGNORECASE)
    if coded:
        return unquote(coded[1], errors="replace")
    _, options = parse_options_header(disposition)
    return options.get(b"filename", b"").decode("utf-8", errors="replace") or UNNAMED
