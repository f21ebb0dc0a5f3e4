"""What a client has staged in a store, as a source of its import."""

import hashlib

from imagepipe import errors
from imagepipe.stores.store import Store
from imagepipe.stores.streams import Announced, Cancelled


class StagedObject:
    """Its bytes, which must be the ones that were staged: of that size, and with that md5.

    Read as a download that cannot be continued in its middle. Raises `lost` where they are not, and what
    the store raises but for StoreObjectMissing.
    """

    resumable = False
    validator = None

    def __init__(
        self, store: Store, url: str, *, size: int, md5: str, lost: errors.StagingLost, cancelled: Cancelled
    ) -> None:
        self.total = size
        self._lost = lost
        self._seen = hashlib.md5(usedforsecurity=False)
        self._md5 = md5
        try:
            reader = store.open(url, cancelled=cancelled)
        except errors.StoreObjectMissing as error:
            raise lost from error
        self._reader = Announced(reader, size, lambda _found: lost)

    def read(self, size: int = -1) -> bytes:
        """The next bytes; the end only after all of them were right."""
        piece = self._reader.read(size)
        self._seen.update(piece)
        if not piece and size != 0 and self._seen.hexdigest() != self._md5:
            raise self._lost
        return piece

    def close(self) -> None:
        """Let go of the store."""
        self._reader.close()
