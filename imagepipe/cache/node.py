"""The cache of one node: its directory, its records in the database, its bound."""

import hashlib
import logging
import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.cache.files import NAME, CacheDirectory, Copy, NewCopy
from imagepipe.cache.tee import Tee
from imagepipe.domain.cache import Pruned
from imagepipe.domain.image import Image, Status
from imagepipe.stores.streams import Reader, pump

if TYPE_CHECKING:
    from imagepipe.db.database import Database

LOG = logging.getLogger(__name__)


class Cache:
    """Copies of images on this node, which the database knows by the node's name.

    nodes_told: whether the API tells which nodes have a copy. `wanted` is set when something was
    queued for this node by this process.
    """

    def __init__(
        self,
        directory: CacheDirectory,
        *,
        node: str,
        nodes_told: bool,
        max_size: int,
        stall_time: float,
        db: 'Database',
    ) -> None:
        self.directory = directory
        self.node = node
        self.nodes_told = nodes_told
        self.wanted = threading.Event()
        self._max_size = max_size
        self._stall_time = stall_time
        self._db = db

    # Reading and filling.

    def open(self, image_id: str) -> Copy | None:
        """The image's copy, whoever asks; its serves() says whether it may be read."""
        return self.directory.open(image_id)

    def tee(self, image: Image) -> Tee | None:
        """What takes the bytes of a download and makes a copy of them, where the image can have one."""
        digest = digest_of(image)
        if digest is None or image.size > self._max_size:
            return None
        tee = Tee(image.id, begin=lambda: self._begin(image, digest), keep=lambda: self._record(image))
        tee.start()
        return tee

    def fetch(self, image: Image, reader: Reader) -> bool:
        """Make a copy from a reader of the whole image; False when there is one, or will be.

        Raises StoreFull, StoreTransient, DigestMismatch, and what the reader raises.
        """
        digest = digest_of(image)
        copy = None if digest is None else self._begin(image, digest)
        if copy is None:
            return False
        pump(reader, [copy])
        self._record(image)
        return True

    def _begin(self, image: Image, digest: tuple[str, str]) -> NewCopy | None:
        with self.directory.translated(), self.directory.lock('room'):
            if not self._make_room(image.size):
                raise errors.StoreFull(store=NAME)
            fd = self.directory.begin(image.id, image.size)
        if fd is None:
            return None
        return NewCopy(self.directory, image.id, fd, size=image.size, digest=digest)

    def _record(self, image: Image) -> None:
        size, checksum = image.size, image.checksum
        self._db.run(lambda tx: tx.cache.record(self.node, image.id, size=size, checksum=checksum))

    # Removing.

    def drop(self, image_id: str) -> None:
        """The image is gone, so is its copy; upkeep() forgets the record."""
        try:
            self.directory.remove(image_id)
        except OSError as error:
            LOG.warning('The copy of image %s stays for now: %s', image_id, error)

    def remove(self, image_ids: Collection[str]) -> int:
        """Remove copies and their records; how many copies there were. Raises StoreTransient."""
        with self.directory.translated():
            removed = sum(self.directory.remove(image_id) for image_id in image_ids)
        self._db.run(lambda tx: tx.cache.forget(self.node, image_ids))
        return removed

    def prune(self) -> Pruned:
        """Bring the copies below the largest size. Raises StoreTransient."""
        with self.directory.translated(), self.directory.lock('room'):
            complete = self.directory.complete()
            return self._free(complete, sum(complete.values()) - self._max_size)

    def clean(self) -> int:
        """Remove what nobody completes; how many files. Raises StoreTransient."""
        with self.directory.translated():
            return self.directory.clean(self._stall_time)

    def upkeep(self) -> None:
        """Clean, prune, and make records and files agree. Raises StoreTransient."""
        self.clean()
        self.prune()
        # Records first: a copy is recorded after it is there.
        recorded = {copy.image_id for copy in self._db.read(lambda tx: tx.cache.of_node(self.node))}
        with self.directory.translated():
            complete = self.directory.complete()
            sizes = self._db.snapshot(lambda tx: tx.cache.sizes(complete))
            for image_id in [each for each, size in complete.items() if sizes.get(each) != size]:
                LOG.info('Removing the copy of image %s: the image is gone or another', image_id)
                self.directory.remove(image_id)
                del complete[image_id]
        self._agree(recorded, complete)

    def _agree(self, recorded: Collection[str], complete: Mapping[str, int]) -> None:
        lost = [image_id for image_id in recorded if image_id not in complete]
        found = {image_id: size for image_id, size in complete.items() if image_id not in recorded}
        if not lost and not found:
            return

        def change(tx: object) -> None:
            tx.cache.forget(self.node, lost)
            for image_id, size in found.items():
                tx.cache.record(self.node, image_id, size=size, checksum=None)

        self._db.run(change)

    def _make_room(self, size: int) -> bool:
        """Whether a copy of so many bytes fits, others being removed for it where it takes that."""
        usage = self.directory.usage()
        total = sum(usage.complete.values())
        excess = max(total + usage.promised + size - self._max_size, usage.unwritten + size - usage.free)
        if excess > total or size > self._max_size:
            return False
        self._free(usage.complete, excess)
        return True

    def _free(self, complete: Mapping[str, int], excess: int) -> Pruned:
        """Remove copies until so many bytes are free, those first that were not read for the longest time."""
        if excess <= 0:
            return Pruned()
        recorded = [copy.image_id for copy in self._db.read(lambda tx: tx.cache.of_node(self.node))]
        order = [*(complete.keys() - recorded), *(each for each in recorded if each in complete)]
        gone: list[str] = []
        freed = 0
        while freed < excess and order:
            gone.append(order.pop(0))
            freed += complete[gone[-1]]
        self.remove(gone)
        LOG.info('%s copies of %s bytes were removed from the image cache for others', len(gone), freed)
        return Pruned(files=len(gone), bytes=freed)


def digest_of(image: Image) -> tuple[str, str] | None:
    """Algorithm and value by which a copy is checked; None for an image that has no copy.

    That is one which is not active, is empty, or has no digest.
    """
    if image.status is not Status.ACTIVE or not image.size:
        return None
    if image.os_hash_value and image.os_hash_algo in hashlib.algorithms_available:
        return image.os_hash_algo, image.os_hash_value
    return ('md5', image.checksum) if image.checksum else None
