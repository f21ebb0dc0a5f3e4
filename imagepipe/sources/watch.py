"""Waiting that ends when the import is cancelled or its time is up."""

import select
import threading
import time
from collections.abc import Callable

from imagepipe import errors

#: No wait is longer than this in one piece.
SLICE = 0.2


class Watch:
    """One fetch's clock and its way out.

    `cancelled` answers whether to stop, or raises what shall be raised.
    Every wait asks it before each slice of at most 0.2 s.
    """

    def __init__(self, *, cancelled: Callable[[], bool], total: float) -> None:
        self._cancelled = cancelled
        self._total = total
        self._deadline = time.monotonic() + total

    def check(self) -> None:
        """Raises ImportCancelled or SourceTimeout."""
        if self._cancelled():
            raise errors.ImportCancelled()
        if time.monotonic() >= self._deadline:
            raise errors.SourceTimeout(limit=self._total)

    def pause(self, seconds: float) -> None:
        """Do nothing for so long."""
        self._wait(time.sleep, seconds)

    def wait_for_event(self, event: threading.Event, seconds: float) -> bool:
        """Whether the event came in time."""
        return self._wait(event.wait, seconds)

    def wait_for_socket(self, descriptor: int, mask: int, seconds: float) -> bool:
        """Whether the socket became ready (select.POLLIN, POLLOUT) in time."""
        poll = select.poll()
        poll.register(descriptor, mask)
        return self._wait(lambda piece: bool(poll.poll(piece * 1000)), seconds)

    def _wait(self, attempt: Callable[[float], bool | None], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while True:
            self.check()
            left = min(end, self._deadline) - time.monotonic()
            if attempt(max(0.0, min(SLICE, left))):
                return True
            if time.monotonic() >= end:
                return False
