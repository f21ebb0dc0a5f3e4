"""Reading an image's data from several stores as if they were one."""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.location import Location
from imagepipe.stores.streams import Cancelled, Reader, never

if TYPE_CHECKING:
    from imagepipe.stores.store import Store

LOG = logging.getLogger(__name__)

_STORE_ERRORS = (
    errors.StoreObjectMissing,
    errors.StoreTransient,
    errors.StorePermanent,
    errors.StoreDenied,
    errors.UnknownStore,
)


class FailoverReader:
    """Reads bytes start to stop from the first location that gives them, going on at the next.

    copy: from the image cache, read before any location. Raises DataUnavailable when no location is
    left: less than asked for is never a clean end; ImportCancelled when `cancelled` says so while it waits.
    """

    def __init__(
        self,
        stores: Mapping[str, 'Store'],
        locations: Iterable[Location],
        *,
        image_id: str,
        start: int,
        stop: int,
        copy: Reader | None = None,
        cancelled: Cancelled = never,
    ) -> None:
        self._stores = stores
        self._image_id = image_id
        self._left = iter(locations)
        self._at = start
        self._stop = stop
        self._reader: Reader | None = copy
        self._cancelled = cancelled
        self._tried = False
        self._missing = True

    def open(self) -> bool:
        """Open the first location that can be; False when every store says it has no such object."""
        if self._reader is not None:
            self._reader.seek(self._at)
            return True
        try:
            self._next()
        except errors.DataUnavailable:
            if self._tried and self._missing:
                return False
            raise
        return True

    def plain_file(self, size: int) -> Reader | None:
        """The open reader if it is a file of exactly so many bytes."""
        reader = self._reader
        return reader if hasattr(reader, 'fileno') and _length(reader) == size else None

    def read(self, size: int) -> bytes:
        wanted = min(size, self._stop - self._at)
        while wanted:
            try:
                piece = self._reader.read(wanted)
            except _STORE_ERRORS as error:
                self._failed(error)
                continue
            if piece:
                self._at += len(piece)
                return piece
            self._failed('the data ended early')
        return b''

    def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _failed(self, reason: object) -> None:
        LOG.warning('Image %s could not be read on at byte %s: %s', self._image_id, self._at, reason)
        self.close()
        self._next()

    def _next(self) -> None:
        for location in self._left:
            self._tried = True
            try:
                store = self._stores[location.store]
                self._reader = store.open(location.url, self._at, cancelled=self._cancelled)
            except _STORE_ERRORS as error:
                self._missing = self._missing and isinstance(error, errors.StoreObjectMissing)
                LOG.warning(
                    'Image %s could not be opened in store %s: %s', self._image_id, location.store, error
                )
            else:
                return
        raise errors.DataUnavailable(image_id=self._image_id)


def _length(reader: Reader) -> int:
    at = reader.tell()
    length = reader.seek(0, 2)
    reader.seek(at)
    return length
