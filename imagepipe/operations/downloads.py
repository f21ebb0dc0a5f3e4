"""Sending an image's data: from the best store, from the next one when it fails in the middle."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event, Priority
from imagepipe.domain.image import WITH_DATA, Image, Status
from imagepipe.domain.location import Location
from imagepipe.domain.ranges import RangeRequest
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services
    from imagepipe.stores.streams import Reader

LOG = logging.getLogger(__name__)

#: What one read() of a download asks a store for, in bytes.
CHUNK = 512 << 10

_STORE_ERRORS = (
    errors.StoreObjectMissing,
    errors.StoreTransient,
    errors.StorePermanent,
    errors.StoreDenied,
    errors.UnknownStore,
)


class Download:
    """Bytes start to stop (exclusive) of an image's data, of `size` in all.

    Iterating gives the bytes; close() must be called and tells that the image was sent. `file` is
    the open file of a store that keeps plain files, at its beginning, when all of it is wanted:
    a server may send it by itself.
    """

    def __init__(
        self, image: Image, start: int, stop: int, reader: 'FailoverReader', *, closed: Callable[[int], None]
    ) -> None:
        self.image = image
        self.size = image.size
        self.start = start
        self.stop = stop
        self._reader = reader
        self._closed = closed
        self._sent = 0

    @property
    def length(self) -> int:
        """Bytes to be sent."""
        return self.stop - self.start

    def file(self) -> 'SentFile | None':
        """The whole data as one file with fileno(), or None; closing it closes the download."""
        found = self._reader.plain_file() if self.length == self.size and self.size else None
        return None if found is None else SentFile(found, self)

    def __iter__(self) -> 'Download':
        return self

    def __next__(self) -> bytes:
        piece = self._reader.read(CHUNK)
        if not piece:
            raise StopIteration
        self._sent += len(piece)
        return piece

    def close(self) -> None:
        """End the download; the first call counts."""
        closed, self._closed = self._closed, lambda sent: None
        self._reader.close()
        closed(self._sent)

    def sent_whole(self) -> None:
        """The server has sent the file by itself."""
        self._sent = self.length


class SentFile:
    """A file for a server's file wrapper, which either reads it or sends its descriptor."""

    def __init__(self, file: 'Reader', download: Download) -> None:
        self._file = file
        self._download = download
        self._read = False

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, size: int = -1) -> bytes:
        self._read = True
        return next(self._download, b'')

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self._read:
            self._download.sent_whole()
        self._download.close()


def download(
    services: 'Services',
    context: RequestContext,
    image_id: str,
    *,
    range_: RangeRequest | None,
    prefer: Sequence[str] = (),
) -> Download | None:
    """An image's data, opened; None when there is none.

    Raises ImageNotFound, PolicyForbids, ImageDeactivated, RangeNotSatisfiable,
    RangesNotSupported, DataUnavailable, UnknownStore, InvalidQuery.
    """

    def look(tx: 'Transaction') -> tuple[Image, list[Location]]:
        image = tx.images.get(context, image_id)
        services.policy.authorize_image(context, rules.DOWNLOAD_IMAGE, image)
        if prefer:
            services.policy.authorize_image(context, rules.DOWNLOAD_FROM_STORE, image)
        if image.status is Status.DEACTIVATED and not context.is_admin:
            raise errors.ImageDeactivated(image_id=image.id)
        return image, tx.locations.of_primary(image_id) if image.status in WITH_DATA else []

    _check_preferred(services, prefer)
    image, locations = services.db.read(look)
    if not locations or image.size is None:
        return None
    start, stop = range_.resolve(image.size) if range_ is not None else (0, image.size)
    reader = FailoverReader(services.stores, image, _ordered(services, locations, prefer), start, stop)
    if not reader.open():
        return None
    length = stop - start
    return Download(
        image, start, stop, reader, closed=lambda sent: _tell(services, context, image, sent, length)
    )


def _check_preferred(services: 'Services', prefer: Sequence[str]) -> None:
    if prefer and not services.stores.multi:
        raise errors.InvalidQuery(name='prefer', reason='several stores are not configured')
    for store in prefer:
        if store not in services.stores:
            raise errors.UnknownStore(store=store)


def _ordered(services: 'Services', locations: Sequence[Location], prefer: Sequence[str]) -> list[Location]:
    """The preferred stores in their order, then the others, heaviest first."""
    known = [location for location in locations if location.store in services.stores]
    rank = {store: number for number, store in enumerate(prefer)}
    return sorted(
        known,
        key=lambda found: (rank.get(found.store, len(rank)), -services.stores[found.store].weight),
    )


def _tell(services: 'Services', context: RequestContext, image: Image, sent: int, length: int) -> None:
    payload = {
        'bytes_sent': sent,
        'image_id': image.id,
        'owner_id': image.owner,
        'receiver_tenant_id': context.project_id,
        'receiver_user_id': context.user_id,
    }
    priority = Priority.INFO if sent == length else Priority.ERROR
    try:
        services.db.run(lambda tx: tx.notify(Event.IMAGE_SEND, payload, priority=priority))
    except errors.ImagepipeError as error:
        LOG.warning('Sending of image %s could not be notified: %s', image.id, error)


class FailoverReader:
    """Reads bytes start to stop from the first location that gives them, going on at the next.

    Raises DataUnavailable when no location is left: less than asked for is never a clean end.
    """

    def __init__(
        self, stores: object, image: Image, locations: Sequence[Location], start: int, stop: int
    ) -> None:
        self._stores = stores
        self._image = image
        self._left = list(locations)
        self._at = start
        self._stop = stop
        self._reader: Reader | None = None
        self._missing = bool(locations)

    def open(self) -> bool:
        """Open the first location that can be; False when every store says it has no such object."""
        try:
            self._next()
        except errors.DataUnavailable:
            if self._missing:
                return False
            raise
        return True

    def plain_file(self) -> 'Reader | None':
        """The open reader if it is a file of exactly these bytes."""
        reader = self._reader
        return reader if hasattr(reader, 'fileno') and _length(reader) == self._image.size else None

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
        LOG.warning('Image %s could not be read on at byte %s: %s', self._image.id, self._at, reason)
        self.close()
        self._next()

    def _next(self) -> None:
        while self._left:
            location = self._left.pop(0)
            try:
                self._reader = self._stores[location.store].open(location.url, self._at)
            except _STORE_ERRORS as error:
                self._missing = self._missing and isinstance(error, errors.StoreObjectMissing)
                LOG.warning(
                    'Image %s could not be opened in store %s: %s', self._image.id, location.store, error
                )
            else:
                return
        raise errors.DataUnavailable(image_id=self._image.id)


def _length(reader: 'Reader') -> int:
    at = reader.tell()
    length = reader.seek(0, 2)
    reader.seek(at)
    return length
