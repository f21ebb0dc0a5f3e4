"""A connection to the one address that was checked; every wait on it can be ended.

The socket never blocks: http.client reads from a Wire, and the Wire waits in
slices. The address given is the address connected to; nothing resolves a name
again, and no proxy, netrc or cookie jar is known here.
"""

import io
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence

from imagepipe import errors
from imagepipe.sources.limits import Limits
from imagepipe.sources.pace import Guard
from imagepipe.sources.reasons import Reason
from imagepipe.sources.urls import Address, SourceUrl
from imagepipe.sources.watch import Watch

#: Read-ahead while headers are parsed, in bytes; the body is read past it.
BUFFER = 8192


class Wire(io.RawIOBase):
    """Raw reads and writes over a non-blocking socket."""

    def __init__(self, connection: socket.socket, *, watch: Watch, seconds: float, guard: Guard) -> None:
        super().__init__()
        self._connection = connection
        self._watch = watch
        self._seconds = seconds
        self.guard = guard

    def readable(self) -> bool:
        return True

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self, BUFFER)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._watch.check()  # a source that is faster than we are is never waited for
        count = self._attempt(lambda: self._connection.recv_into(buffer), select.POLLIN)
        self.guard.received(count)
        return count

    def send_all(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._attempt(lambda piece=left: self._connection.send(piece), select.POLLOUT) :]

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._connection.close()

    def _attempt(self, operation: Callable[[], int], mask: int) -> int:
        """Repeat until it goes through, waiting between; silence for `seconds` is SourceStalled."""
        idle = 0.0
        while True:
            try:
                return operation()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                waits_for = _mask(error, mask)
            except OSError:
                raise errors.SourceUnavailable(reason=Reason.BROKEN) from None
            start = time.monotonic()
            ready = self._watch.wait_for_socket(
                self._connection.fileno(), waits_for, max(0.0, self._seconds - idle)
            )
            waited = time.monotonic() - start
            idle += waited
            if not ready or idle >= self._seconds:
                raise errors.SourceStalled(reason=Reason.IDLE)
            self.guard.waited(waited)


def dial(
    addresses: Sequence[Address], url: SourceUrl, *, tls: ssl.SSLContext, limits: Limits, watch: Watch
) -> socket.socket:
    """Connect to the first checked address that answers; raises SourceUnavailable, SourceUnusable."""
    for address in addresses:
        connection = _connected(address, url.port, limits, watch)
        if connection is None:
            continue
        return _secured(connection, url, tls, limits, watch) if url.secure else connection
    raise errors.SourceUnavailable(reason=Reason.NO_CONNECTION)


def _connected(address: Address, port: int, limits: Limits, watch: Watch) -> socket.socket | None:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    kept = False
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.connect((str(address), port))
        except BlockingIOError:
            ready = watch.wait_for_socket(connection.fileno(), select.POLLOUT, limits.connect_timeout)
            kept = ready and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        else:
            kept = True
    except OSError:
        return None
    finally:
        if not kept:
            connection.close()
    return connection if kept else None


def _secured(
    connection: socket.socket, url: SourceUrl, tls: ssl.SSLContext, limits: Limits, watch: Watch
) -> ssl.SSLSocket:
    """TLS for the name in the URL, over a connection to an address that was checked."""
    try:
        secured = tls.wrap_socket(
            connection, server_hostname=url.host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
    except (OSError, ValueError):
        connection.close()
        raise errors.SourceUnavailable(reason=Reason.NO_TLS) from None
    kept = False
    try:
        _shake_hands(secured, limits, watch)
        kept = True
        return secured
    except ssl.SSLCertVerificationError:
        raise errors.SourceUnusable(reason=Reason.CERTIFICATE) from None
    except OSError:
        raise errors.SourceUnavailable(reason=Reason.NO_TLS) from None
    finally:
        if not kept:
            secured.close()


def _shake_hands(secured: ssl.SSLSocket, limits: Limits, watch: Watch) -> None:
    deadline = time.monotonic() + limits.connect_timeout
    while True:
        try:
            secured.do_handshake()
            return
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            mask = _mask(error, select.POLLIN)
        left = deadline - time.monotonic()
        if left <= 0 or not watch.wait_for_socket(secured.fileno(), mask, left):
            raise errors.SourceUnavailable(reason=Reason.NO_TLS)


def _mask(error: OSError, otherwise: int) -> int:
    if isinstance(error, ssl.SSLWantReadError):
        return select.POLLIN
    return select.POLLOUT if isinstance(error, ssl.SSLWantWriteError) else otherwise
