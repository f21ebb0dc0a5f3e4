"""What a source owes while we wait for it: headers of bounded size in time, then bytes at a rate.

Only time spent waiting counts. A pump that is held back by a slow store does
not make its source a slow one.
"""

import time
from typing import Protocol

from imagepipe import errors
from imagepipe.sources.reasons import Reason


class Guard(Protocol):
    """Told of every raw read (0 bytes: the end) and wait on a connection; raises to end it."""

    def received(self, count: int) -> None: ...

    def waited(self, seconds: float) -> None: ...


class HeadGuard:
    """The answer's headers: at most so many bytes, all there by a deadline."""

    def __init__(self, *, most_bytes: int, seconds: float) -> None:
        self._left = most_bytes
        self._deadline = time.monotonic() + seconds

    def received(self, count: int) -> None:
        if not count:  # http.client takes headers that are cut off for complete ones
            raise errors.SourceUnavailable(reason=Reason.BROKEN)
        if self._left <= 0:
            raise errors.SourceUnusable(reason=Reason.HEADERS)
        self._left -= count
        self._check_time()

    def waited(self, seconds: float) -> None:
        self._check_time()

    def _check_time(self) -> None:
        if time.monotonic() >= self._deadline:
            raise errors.SourceUnavailable(reason=Reason.NO_ANSWER)


#: Bytes that may come with a piece of the body and are none of it: chunk extensions, trailers, read-ahead.
FRAMING = 2 << 20


class Pace:
    """The body: at least `min_rate` bytes a second of body over each window of waiting."""

    def __init__(self, *, min_rate: int, window: float) -> None:
        self._min_rate = min_rate
        self._window = window
        self._bytes = 0
        self._waited = 0.0
        self._left = FRAMING

    def asked(self, count: int) -> None:
        """The reader wants up to so many bytes of body."""
        self._left = count + FRAMING

    def delivered(self, count: int) -> None:
        """So many bytes of body reached the reader; framing does not count."""
        self._bytes += count

    def received(self, count: int) -> None:
        """Raw bytes prove nothing: chunk extensions and trailers can go on for ever, faster than we read."""
        self._left -= count
        if self._left < 0:
            raise errors.SourceUnusable(reason=Reason.HEADERS)

    def waited(self, seconds: float) -> None:
        self._waited += seconds
        if self._waited < self._window:
            return
        if self._bytes < self._min_rate * self._waited:
            raise errors.SourceStalled(reason=Reason.TOO_SLOW)
        self._bytes, self._waited = 0, 0.0
