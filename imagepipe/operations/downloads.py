"""Sending an image's data: from the best store, from the next one when it fails in the middle."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event, Priority
from imagepipe.domain.image import WITH_DATA, Image, Status
from imagepipe.domain.location import Location
from imagepipe.domain.ranges import RangeRequest
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.cache.files import Copy
    from imagepipe.cache.tee import Tee
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services
    from imagepipe.stores.failover import FailoverReader
    from imagepipe.stores.streams import Reader

LOG = logging.getLogger(__name__)

#: What one read() of a download asks a store for, in bytes.
CHUNK = 512 << 10


class Download:
    """Bytes start to stop (exclusive) of an image's data, of `size` in all.

    Iterating gives the bytes; close() must be called and tells that the image was sent. `file` is
    the open file of a store that keeps plain files, at its beginning, when all of it is wanted:
    a server may send it by itself. `tee`: what makes a copy for the image cache of what is read.
    """

    def __init__(
        self,
        image: Image,
        start: int,
        stop: int,
        reader: 'FailoverReader',
        *,
        tee: 'Tee | None',
        closed: Callable[[int], None],
    ) -> None:
        self.image = image
        self.size = image.size
        self.start = start
        self.stop = stop
        self._reader = reader
        self._tee = tee
        self._closed = closed
        self._sent = 0

    @property
    def length(self) -> int:
        """Bytes to be sent."""
        return self.stop - self.start

    def file(self) -> 'SentFile | None':
        """The whole data as one file with fileno(), or None; closing it closes the download."""
        whole = self._tee is None and self.length == self.size and self.size
        found = self._reader.plain_file(self.size) if whole else None
        return None if found is None else SentFile(found, self)

    def __iter__(self) -> 'Download':
        return self

    def __next__(self) -> bytes:
        piece = self._reader.read(CHUNK)
        if not piece:
            raise StopIteration
        self._sent += len(piece)
        if self._tee is not None:
            self._tee.feed(piece)
            if self._sent == self.length:
                self._tee.finish()
        return piece

    def close(self) -> None:
        """End the download; the first call counts."""
        closed, self._closed = self._closed, lambda sent: None
        self._reader.close()
        if self._tee is not None:
            self._tee.abandon()
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
    remote_address: str | None = None,
) -> Download | None:
    """An image's data, opened; None when there is none.

    The copy in the image cache, where there is one, is opened before anything is known of the caller,
    so that no locations need to be looked for; whoever may not read the image does not get it.
    remote_address: the client's, which is notified of what the cache sends.

    Raises ImageNotFound, PolicyForbids, ImageDeactivated, RangeNotSatisfiable,
    RangesNotSupported, DataUnavailable, UnknownStore, InvalidQuery.
    """
    _check_preferred(services, prefer)
    with contextlib.ExitStack() as undo:
        copy = None if services.cache is None else services.cache.open(image_id)
        if copy is not None:
            undo.callback(copy.close)

        def look(tx: 'Transaction') -> 'tuple[Image, Copy | None, list[Location]]':
            image = _readable(services, context, tx, image_id, prefer)
            if copy is not None and copy.serves(image):
                return image, copy, []
            return image, None, tx.locations.of_primary(image_id) if image.status in WITH_DATA else []

        image, served, locations = services.db.snapshot(look)
        if not (served or locations) or image.size is None:
            return None
        start, stop = range_.resolve(image.size) if range_ is not None else (0, image.size)
        left = _later(services, image, prefer) if served else ordered(services, locations, prefer)
        reader = services.stores.reading(left, image_id=image.id, start=start, stop=stop, copy=served)
        if not reader.open():
            if any(location.store not in services.stores for location in locations):
                raise errors.DataUnavailable(image_id=image_id)  # nobody has asked them
            return None
        if served is not None:
            undo.pop_all()
    sending = _Sending(services, context, image, stop - start, cached=served is not None, to=remote_address)
    if range_ is None and served is None and services.cache is not None:
        sending.tee = services.cache.tee(image)
    return Download(image, start, stop, reader, tee=sending.tee, closed=sending.end)


def _readable(
    services: 'Services', context: RequestContext, tx: 'Transaction', image_id: str, prefer: Sequence[str]
) -> Image:
    """The image, whose data the caller may read."""
    image = tx.images.get(context, image_id)
    services.policy.authorize_image(context, rules.DOWNLOAD_IMAGE, image)
    if prefer:
        services.policy.authorize_image(context, rules.DOWNLOAD_FROM_STORE, image)
    if image.status is Status.DEACTIVATED and not context.is_admin:
        raise errors.ImageDeactivated(image_id=image.id)
    return image


def _check_preferred(services: 'Services', prefer: Sequence[str]) -> None:
    if prefer and not services.stores.multi:
        raise errors.InvalidQuery(name='prefer', reason='several stores are not configured')
    for store in prefer:
        if store not in services.stores:
            raise errors.UnknownStore(store=store)


def ordered(services: 'Services', locations: Sequence[Location], prefer: Sequence[str]) -> list[Location]:
    """The preferred stores in their order, then the others, heaviest first."""
    rank = {store: number for number, store in enumerate(prefer)}
    known = services.stores.best_first(locations)
    return sorted(known, key=lambda found: rank.get(found.store, len(rank)))


def _later(services: 'Services', image: Image, prefer: Sequence[str]) -> Iterator[Location]:
    """The locations, looked for when the copy in the cache cannot be read on."""
    yield from ordered(services, services.db.read(lambda tx: tx.locations.of_primary(image.id)), prefer)


@dataclasses.dataclass
class _Sending:
    """What is told when a download has ended. cached: it was read from the image cache."""

    services: 'Services'
    context: RequestContext
    image: Image
    length: int
    cached: bool
    to: str | None
    tee: 'Tee | None' = None

    def end(self, sent: int) -> None:
        """Notify and, in the same transaction, count what was read from the cache."""
        priority = Priority.INFO if sent == self.length else Priority.ERROR
        payload = self._payload(sent)
        behind = self.tee is not None and self.tee.behind

        def change(tx: 'Transaction') -> None:
            tx.notify(Event.IMAGE_SEND, payload, priority=priority)
            if self.cached:
                tx.cache.hit(self.services.cache.node, self.image.id)
            if behind:
                tx.cache.enqueue(self.services.cache.node, self.image.id)

        try:
            self.services.db.run(change)
        except errors.ImagepipeError as error:
            LOG.warning('Sending of image %s could not be notified: %s', self.image.id, error)
        if behind:
            self.services.cache.wanted.set()

    def _payload(self, sent: int) -> dict[str, object]:
        return {
            'bytes_sent': sent,
            'image_id': self.image.id,
            'owner_id': self.image.owner,
            'receiver_tenant_id': self.context.project_id,
            'receiver_user_id': self.context.user_id,
            **({'destination_ip': self.to} if self.cached else {}),
        }
