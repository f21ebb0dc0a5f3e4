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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from imagepipe import errors
from imagepipe.domain.location import Location
from imagepipe.stores.failover import FailoverReader
from imagepipe.stores.streams import Cancelled, Reader, never


@runtime_checkable
class Store(Protocol):
    """One configured store. Safe to use from several threads and processes at once."""

    id: str
    type: str
    description: str | None
    weight: int
    #: The schemes of the URLs of its objects.
    schemes: tuple[str, ...]
    #: Its objects are others': put() and delete() are StoreReadOnly.
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

    def open(self, url: str, offset: int = 0, *, cancelled: Cancelled = never) -> Reader:
        """The object's bytes from the offset on; the caller closes the reader.

        A store that waits for other people's servers asks `cancelled` meanwhile, now and with each
        read, and raises ImportCancelled when it says so.
        """

    def discard(self, name: str) -> None:
        """Nothing of this name is left: object, partial object, segments, open uploads. Absent is fine."""

    def delete(self, url: str) -> None:
        """Remove the object at this URL, which may have been named by others. Absent is fine."""

    def names(self, prefix: str = '') -> Iterator[str]:
        """Names of complete and partial objects: all of them or an error, never a short list."""

    def size(self, url: str) -> int:
        """Bytes of the object."""

    def holds(self, url: str) -> bool:
        """Whether the URL, which has one of its schemes, is of this store and not of another of its type."""

    def check(self) -> None:
        """Can it be used now: raises StoreTransient, StoreDenied or StoreFull."""

    def properties(self) -> dict[str, object]:
        """What the detailed list of stores shows of the configuration; touches no backend."""


class Stores(Mapping[str, Store]):
    """The stores of images by id. `multi` is false for a single store of the older configuration.

    `staging` keeps what clients stage: it is none of them.
    """

    def __init__(
        self, stores: Mapping[str, Store], *, default: str, multi: bool, staging: Store | None = None
    ) -> None:
        self._stores = dict(stores)
        self.default = default
        self.multi = multi
        self.staging = staging

    @property
    def all(self) -> dict[str, Store]:
        """The store of staged data, too."""
        return self._stores | ({} if self.staging is None else {self.staging.id: self.staging})

    def without(self, staging: str) -> 'Stores':
        """The stores with this one set apart, for staged data. Raises KeyError."""
        others = {store_id: store for store_id, store in self._stores.items() if store_id != staging}
        return Stores(others, default=self.default, multi=self.multi, staging=self._stores[staging])

    def __getitem__(self, store_id: str) -> Store:
        return self._stores[store_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stores)

    def __len__(self) -> int:
        return len(self._stores)

    def of_url(self, url: str, wanted: object = None) -> Store | None:
        """The store that a URL belongs to; `wanted`, where that is the id of one with such URLs."""
        scheme = url.partition('://')[0]
        fitting = [store for store in self._stores.values() if scheme in store.schemes]
        named = [store for store in fitting if store.id == wanted]
        if named or len(fitting) < 2:
            return next(iter(named or fitting), None)
        return next((store for store in fitting if store.holds(url)), None)

    def best_first(self, locations: Sequence[Location]) -> list[Location]:
        """Those in configured stores, that of the heaviest first."""
        known = [location for location in locations if location.store in self._stores]
        return sorted(known, key=lambda found: -self._stores[found.store].weight)

    def reading(
        self,
        locations: Iterable[Location],
        *,
        image_id: str,
        start: int,
        stop: int,
        copy: Reader | None = None,
        cancelled: Cancelled = never,
    ) -> FailoverReader:
        """Bytes start to stop (exclusive) of an image that lies at all of these locations.

        copy: from the image cache, read before any of them.
        """
        return FailoverReader(
            self._stores,
            locations,
            image_id=image_id,
            start=start,
            stop=stop,
            copy=copy,
            cancelled=cancelled,
        )

    def open(self, location: Location, *, cancelled: Cancelled) -> Reader:
        """The data at one location."""
        if location.store not in self._stores:
            raise errors.StorePermanent(store=location.store)
        return self._stores[location.store].open(location.url, cancelled=cancelled)

    def writable(self) -> dict[str, Store]:
        """The stores that take data, by id."""
        return {store_id: store for store_id, store in self._stores.items() if not store.read_only}
