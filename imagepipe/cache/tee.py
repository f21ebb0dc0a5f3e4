"""The tee: a download's bytes go to the client, and beside it into a copy."""

import logging
import queue
import threading
from collections.abc import Callable

from imagepipe import errors
from imagepipe.cache.files import NewCopy

LOG = logging.getLogger(__name__)

#: Pieces of a download that may wait for the disk; with one more the tee is given up.
DEPTH = 16


class Tee(threading.Thread):
    """Writes a copy from a thread of its own; feed(), finish() and abandon() never wait.

    begin: makes the copy, None where somebody else does. keep: records the complete copy.
    behind: the disk was slower than the client, so there is no copy.
    """

    def __init__(
        self, image_id: str, *, begin: Callable[[], NewCopy | None], keep: Callable[[], None]
    ) -> None:
        super().__init__(name=f'cache-{image_id}', daemon=True)
        self.behind = False
        self._image_id = image_id
        self._begin = begin
        self._keep = keep
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._over = False
        self._whole = False

    def feed(self, piece: bytes) -> None:
        """Write a piece, in its turn."""
        if self._over:
            return
        if self._pieces.qsize() >= DEPTH:
            self.behind = True
            self.abandon()
        else:
            self._pieces.put(piece)

    def finish(self) -> None:
        """All pieces were fed."""
        self._whole = not self._over
        self._over = True
        self._pieces.put(None)

    def abandon(self) -> None:
        """Leave nothing, unless all pieces were fed."""
        if not self._over:
            self.finish()
            self._whole = False

    def run(self) -> None:
        """Write until told that it is over."""
        copy = None
        try:
            copy = self._begin()
            if copy is not None and self._written(copy):
                copy.close()
                self._keep()
        except errors.ImagepipeError as error:
            LOG.warning('Image %s was not cached: %s', self._image_id, error)
        finally:
            self._over = True
            if copy is not None:
                copy.abort()

    def _written(self, copy: NewCopy) -> bool:
        while (piece := self._pieces.get()) is not None:
            if self._over and not self._whole:
                return False
            copy.write(piece)
        return self._whole
