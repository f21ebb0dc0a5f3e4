"""One GET on one connection, and what its answer means.

The request is written here, byte by byte, from parts that have been checked;
the answer is parsed by http.client. Of the answer nothing is passed on but
its status number, its validator and its bytes.
"""

import email.utils
import http.client
import re
import time
from collections.abc import Mapping
from email.message import Message

from imagepipe import errors
from imagepipe.sources.limits import Limits
from imagepipe.sources.pace import HeadGuard, Pace
from imagepipe.sources.reasons import Reason
from imagepipe.sources.urls import SourceUrl
from imagepipe.sources.wire import Wire

REDIRECTS = frozenset((301, 302, 303, 307, 308))
#: Besides 5xx: a later attempt may be answered otherwise.
TRANSIENT = frozenset((408, 425, 429))

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r'[\x20-\x7e]*')
_LENGTH = re.compile(r'[0-9]{1,19}')


class Answer:
    """Status, headers and body of one answer, the body still on the wire."""

    def __init__(self, wire: Wire, response: http.client.HTTPResponse, pace: Pace) -> None:
        self._wire = wire
        self._response = response
        self._pace = pace
        self.status = response.status
        self.headers: Message = response.headers

    @property
    def length(self) -> int | None:
        """Bytes of the body as announced; None when chunked or ended by the connection's end."""
        value = self.headers.get('Content-Length')
        return None if self._response.chunked or value is None else int(value)

    def read1(self, size: int) -> bytes:
        """Up to `size` bytes, as they come; b'' is the end of the body or of the connection."""
        self._pace.asked(size)
        try:
            piece = self._response.read1(size)
        except http.client.HTTPException:
            raise errors.SourceUnavailable(reason=Reason.BROKEN) from None
        self._pace.delivered(len(piece))
        return piece

    def close(self) -> None:
        self._response.close()
        self._wire.close()


def ask(wire: Wire, url: SourceUrl, headers: Mapping[str, str], limits: Limits) -> Answer:
    """Send the request and read the answer's headers; closes the wire if that fails."""
    response = http.client.HTTPResponse(wire, method='GET')  # type: ignore[arg-type]
    done = False
    try:
        wire.guard = HeadGuard(most_bytes=limits.max_header_bytes, seconds=limits.read_timeout)
        wire.send_all(_request(url, headers))
        response.begin()
        pace = Pace(min_rate=limits.min_rate, window=limits.min_rate_window)
        wire.guard = pace
        answer = Answer(wire, response, pace)
        done = True
        return answer
    except (http.client.RemoteDisconnected, http.client.IncompleteRead):
        raise errors.SourceUnavailable(reason=Reason.BROKEN) from None
    except http.client.LineTooLong:
        raise errors.SourceUnusable(reason=Reason.HEADERS) from None
    except (http.client.HTTPException, ValueError):
        raise errors.SourceUnusable(reason=Reason.NOT_HTTP) from None
    finally:
        if not done:
            response.close()
            wire.close()


def _request(url: SourceUrl, headers: Mapping[str, str]) -> bytes:
    fields = {
        'Host': url.authority,
        'User-Agent': 'imagepipe',
        'Accept': '*/*',
        'Accept-Encoding': 'identity',
        'Connection': 'close',
        **headers,
    }
    for name, value in fields.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise errors.SourceInvalid(reason='a header of the request to it cannot be sent.')
    lines = [f'GET {url.target} HTTP/1.1', *(f'{name}: {value}' for name, value in fields.items())]
    return '\r\n'.join([*lines, '', '']).encode('ascii')


def refuse_failure(answer: Answer, *, most_wait: float) -> None:
    """Raise what a status other than 200, 206 and 416 means; Retry-After is bounded by `most_wait`."""
    status = answer.status
    if status in (200, 206, 416):
        return
    if status in TRANSIENT or status >= 500:
        raise errors.SourceUnavailable(
            reason=Reason.SERVER_ERROR if status >= 500 and status != 503 else Reason.BUSY,
            retry_after=_retry_after(answer.headers, most_wait),
        )
    raise errors.SourceNotFound(status=status)


def refuse_encoding(answer: Answer) -> None:
    """Raise unless the body is the data itself, framed in a way both ends read alike (RFC 9112, 6)."""
    codings = answer.headers.get_all('Content-Encoding', [])
    if any(coding.strip().lower() not in ('', 'identity') for coding in codings):
        raise errors.SourceUnusable(reason=Reason.ENCODED)
    framings = [value.strip().lower() for value in answer.headers.get_all('Transfer-Encoding', [])]
    lengths = set(answer.headers.get_all('Content-Length', []))
    if framings not in ([], ['chunked']) or len(lengths) > 1 or (framings and lengths):
        raise errors.SourceUnusable(reason=Reason.NOT_HTTP)
    if not all(map(_LENGTH.fullmatch, lengths)):
        raise errors.SourceUnusable(reason=Reason.NOT_HTTP)


def _retry_after(headers: Message, most_wait: float) -> float | None:
    """Seconds that the server asks to wait (RFC 9110, 10.2.3)."""
    value = headers.get('Retry-After', '').strip()
    if _LENGTH.fullmatch(value):
        return min(float(value), most_wait)
    try:
        seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        return min(max(0.0, seconds), most_wait)
    except (ValueError, TypeError, OverflowError):
        return None
