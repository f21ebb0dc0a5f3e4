"""The body of a request, the same under every WSGI server: whole, or an error.

Servers differ in what they do with a body that the client broke off. With a Content-Length
all of them hand over what came, without an error; chunked, gunicorn and mod_wsgi raise, and
uWSGI's wsgi.input is empty and its own call must be used. Here is the only place that knows.

A request that is answered before its body was read gets its answer first; then a bounded
part of the body is read and dropped, because closing a connection with unread data resets it,
and a client that is still sending would never see the answer.
"""

import importlib
import io
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from imagepipe import errors

LOG = logging.getLogger(__name__)

#: environ key: a callable that sends `100 Continue`, where the server leaves that to us.
CONTINUE = 'imagepipe.send_continue'
#: environ key: a callable after which the server closes the connection.
CLOSE = 'imagepipe.close_connection'

_PIECE = 256 << 10

Environ = dict[str, Any]
Application = Callable[[Environ, Callable], Iterable[bytes]]


class Body:
    """The bytes of one request, at most n per read(n).

    Raises DataTruncated when the client is gone, or silent for `timeout` seconds, before the end.
    """

    def __init__(self, environ: Environ, *, timeout: float = 60.0) -> None:
        self.length = _content_length(environ)
        self.chunked = 'chunked' in environ.get('HTTP_TRANSFER_ENCODING', '').lower()
        if self.chunked:
            self.length = None
        #: Nothing is left to be read, or nothing can be.
        self.over = not self.chunked and not self.length
        self.failed = False
        self.seen = 0
        self._rest = b''
        self._started = False
        self._source = _source(environ, self.chunked, timeout)
        self._continue = environ.get(CONTINUE, _nothing)
        self._waiting = environ.get('HTTP_EXPECT', '').lower() == '100-continue'

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return b''.join(iter(lambda: self._some(_PIECE), b''))
        return self._some(size)

    def readline(self, size: int = -1) -> bytes:
        """For those that read a small body by lines; image data is never read so."""
        line = bytearray()
        while not line.endswith(b'\n') and (size < 0 or len(line) < size) and (piece := self._some(1)):
            line += piece
        return bytes(line)

    def readlines(self, _hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b'')

    def close(self) -> None:
        """The connection is the server's."""

    @property
    def unread(self) -> bool:
        """Whether the client may be sending bytes that nobody wants."""
        return not self.over and not self.failed

    def drain(self, limit: int, seconds: float) -> bool:
        """Read and drop what is left, within bounds; whether the end was reached."""
        if self._waiting and not self._started:
            return False  # the client waits for our word before it sends
        deadline = time.monotonic() + seconds
        self._source.timeout = min(self._source.timeout, seconds)
        dropped = 0
        try:
            while self.unread and dropped < limit and time.monotonic() < deadline:
                dropped += len(self._some(min(_PIECE, limit - dropped)))
        except errors.ImagepipeError:
            return False
        return self.over

    def _some(self, size: int) -> bytes:
        if size == 0 or (self.over and not self._rest):
            return b''
        if not self._rest:
            self._rest = self._next(size)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def _next(self, size: int) -> bytes:
        if self.failed:
            raise errors.DataTruncated(found=self.seen)
        wanted = size if self.length is None else min(size, self.length - self.seen)
        piece = self._received(wanted)
        self.seen += len(piece)
        if self.length is not None and not piece:
            self.failed = True
            raise errors.DataTruncated(found=self.seen)
        self.over = self.seen >= self.length if self.length is not None else not piece
        return piece

    def _received(self, wanted: int) -> bytes:
        if not self._started:
            self._started = True
            self._continue()
        try:
            return self._source(wanted)
        except errors.ImagepipeError:
            raise
        # Whatever a server's reader raises, this body will not be whole: gunicorn has exceptions
        # of its own beside OSError, uWSGI and mod_wsgi raise OSError.
        except Exception as error:
            self.failed = True
            LOG.info('A request body broke off after %s bytes: %s %s', self.seen, type(error).__name__, error)
            raise errors.DataTruncated(found=self.seen) from error


class Bodies:
    """WSGI middleware: wsgi.input is a Body, and an early answer reaches the client."""

    def __init__(
        self, application: Application, *, timeout: float, drain_bytes: int, drain_seconds: float
    ) -> None:
        self._application = application
        self._timeout = timeout
        self._drain_bytes = drain_bytes
        self._drain_seconds = drain_seconds

    def __call__(self, environ: Environ, start_response: Callable) -> Iterable[bytes]:
        body = Body(environ, timeout=self._timeout)
        environ['wsgi.input'] = body
        environ['wsgi.input_terminated'] = True

        def start(status: str, headers: list[tuple[str, str]], *exc_info: object) -> Callable:
            if body.unread or body.failed:
                environ.get(CLOSE, _nothing)()
                headers = [*headers, ('Connection', 'close')]
            return start_response(status, headers, *exc_info)

        answer = self._application(environ, start)
        if not body.unread:
            return answer
        return _Lingering(answer, lambda: body.drain(self._drain_bytes, self._drain_seconds))


class _Lingering:
    """An answer after which the rest of the request is read; the server calls close() when it is sent."""

    def __init__(self, answer: Iterable[bytes], linger: Callable[[], object]) -> None:
        self._answer = answer
        self._linger = linger

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        try:
            getattr(self._answer, 'close', _nothing)()
        finally:
            self._linger()


class _Input:
    """wsgi.input, with the time limit that gunicorn's blocking socket does not have."""

    def __init__(self, environ: Environ, timeout: float) -> None:
        self.timeout = timeout
        self._read = environ['wsgi.input'].read
        self._socket = environ.get('gunicorn.socket')

    def __call__(self, size: int) -> bytes:
        if self._socket is None:
            return self._read(size)
        before = self._socket.gettimeout()
        self._socket.settimeout(self.timeout)
        try:
            return self._read(size)
        finally:
            self._socket.settimeout(before)


class _UwsgiChunks:
    """uWSGI's own reader of chunked bodies: a chunk of the client per call, whatever its size."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._read = importlib.import_module('uwsgi').chunked_read

    def __call__(self, _size: int) -> bytes:
        return self._read(max(1, int(self.timeout)))


class _Refusing:
    """A chunked body under a server of which nobody knows what it does when the client breaks off."""

    timeout = 0.0

    def __call__(self, _size: int) -> bytes:
        raise errors.LengthRequired()


def _source(environ: Environ, chunked: bool, timeout: float) -> _Input | _UwsgiChunks | _Refusing:
    if not chunked:
        return _Input(environ, timeout)
    if 'uwsgi.version' in environ:
        return _UwsgiChunks(timeout)
    whole = isinstance(environ['wsgi.input'], io.BytesIO)
    if whole or 'gunicorn.socket' in environ or 'mod_wsgi.version' in environ:
        return _Input(environ, timeout)
    return _Refusing()


def _content_length(environ: Mapping[str, Any]) -> int | None:
    """Servers refuse what is no number; under a test it counts as none."""
    text = environ.get('CONTENT_LENGTH') or ''
    return int(text) if text.isascii() and text.isdigit() else None


def _nothing() -> None:
    return None
