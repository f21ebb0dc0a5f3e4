"""The Store contract: what a driver promises, and the mapping of configured stores.

Errors of every method (facts: store=<id>):

StoreObjectMissing  the store answers that it has no such object
StoreTransient      cannot be reached, busy, timed out: the same call may work later
StorePermanent      refuses, and will refuse again (a malformed URL, a size that differs)
StoreDenied         does not let the service in, or may not write
StoreFull           no room
StoreInUse          keeps the object because something is built on it
StoreReadOnly       takes no data
"""

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from imagepipe.stores.streams import Reader


@runtime_checkable
class Store(Protocol):
    """One configured store. Safe to use from several threads and processes at once."""

    id: str
    type: str
    description: str | None
    weight: int
    read_only: bool
    #: put() with size None is StorePermanent: stage data of unknown size first.
    needs_size: bool
    #: put() of a StagedFile takes the file over without copying it, where the file system allows.
    takes_files: bool

    def put(self, name: str, stream: Reader, size: int | None) -> str:
        """Keep the stream's bytes under the name; returns the location URL, which holds no secret.

        Put again over a partial or complete object of the same name and it is
        replaced. A stream that is not of the announced size is StorePermanent.
        After any error a partial object may be left: discard() removes it.
        """

    def open(self, url: str, offset: int = 0) -> Reader:
        """The object's bytes from the offset on; the caller closes the reader."""

    def discard(self, name: str) -> None:
        """Nothing of this name is left: object, partial object, segments, open uploads. Absent is fine."""

    def delete(self, url: str) -> None:
        """Remove the object at this URL, which may have been named by others. Absent is fine."""

    def names(self, prefix: str = '') -> Iterator[str]:
        """Names of complete and partial objects: all of them or an error, never a short list."""

    def size(self, url: str) -> int:
        """Bytes of the object."""

    def check(self) -> None:
        """Can it be used now: raises StoreTransient, StoreDenied or StoreFull."""

    def properties(self) -> dict[str, object]:
        """What the detailed list of stores shows of the configuration; touches no backend."""


class Stores(Mapping[str, Store]):
    """The configured stores by id. `multi` is false for a single store of the older configuration."""

    def __init__(self, stores: Mapping[str, Store], *, default: str, multi: bool) -> None:
        self._stores = dict(stores)
        self.default = default
        self.multi = multi

    def __getitem__(self, store_id: str) -> Store:
        return self._stores[store_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stores)

    def __len__(self) -> int:
        return len(self._stores)

    def writable(self) -> dict[str, Store]:
        """The stores that take data, by id."""
        return {store_id: store for store_id, store in self._stores.items() if not store.read_only}
