"""The http store: images on the web servers of others, read only.

Everything is read by the one hardened fetcher, with its rules for hosts, ports and addresses, each time
again: a name that was harmless when the location was added may lead elsewhere by now.
"""

import contextlib
import logging
from collections.abc import Iterator
from typing import Protocol, Self

from imagepipe import errors
from imagepipe.stores.refusals import by_status
from imagepipe.stores.streams import CHUNK, Cancelled, Reader, never

LOG = logging.getLogger(__name__)

_PASSING = (
    errors.SourceUnavailable,
    errors.SourceStalled,
    errors.SourceTruncated,
    errors.SourceChanged,
    errors.SourceTimeout,
)
_LASTING = (errors.SourceRefused, errors.SourceInvalid, errors.SourceUnusable, errors.TooManyRedirects)


class Fetched(Reader, Protocol):
    """What the fetcher opens: `total` bytes where they are announced, the same again by `validator`."""

    total: int | None
    validator: str | None


class Fetching(Protocol):
    """The fetcher, as far as a store needs it."""

    def open(
        self, url: str, *, offset: int = 0, validator: str | None = None, cancelled: Cancelled
    ) -> Fetched: ...


class HTTPStore:
    """Objects are named by whoever added their URL. None is ever written, and none deleted: not ours."""

    type = 'http'
    schemes = ('http', 'https')
    read_only = True
    needs_size = False
    takes_files = False

    def __init__(
        self, store_id: str, fetcher: Fetching, *, description: str | None = None, weight: int = 0
    ) -> None:
        self.id = store_id
        self.description = description
        self.weight = weight
        self._fetcher = fetcher

    def put(self, name: str, stream: Reader, size: int | None) -> str:
        raise errors.StoreReadOnly(store=self.id)

    def open(self, url: str, offset: int = 0, *, cancelled: Cancelled = never) -> 'WebReader':
        """At an offset the server is asked for the rest, where it can be held to the same data."""
        return WebReader(self.id, self._fetcher, url, offset, cancelled=cancelled)

    def discard(self, name: str) -> None:
        raise errors.StoreReadOnly(store=self.id)

    def delete(self, url: str) -> None:
        raise errors.StoreReadOnly(store=self.id)

    def names(self, prefix: str = '') -> Iterator[str]:
        raise errors.StorePermanent(store=self.id)

    def size(self, url: str) -> int:
        """StorePermanent where the server does not tell it."""
        with self.open(url) as reader:
            if reader.total is None:
                raise errors.StorePermanent(store=self.id)
            return reader.total

    def holds(self, url: str) -> bool:
        return True

    def check(self) -> None:
        """There is nothing to ask: each object has a server of its own."""

    def properties(self) -> dict[str, object]:
        return {}


class WebReader:
    """The bytes behind a URL."""

    def __init__(
        self, store_id: str, fetcher: Fetching, url: str, offset: int, *, cancelled: Cancelled
    ) -> None:
        self._store_id = store_id
        self._cancelled = cancelled
        with self._translated():
            self._download = fetcher.open(url, cancelled=self._cancelled)
            self.total = self._download.total
            if offset:
                self._skip(fetcher, url, offset)

    def read(self, size: int = -1) -> bytes:
        with self._translated():
            return self._download.read(size)

    def close(self) -> None:
        self._download.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _skip(self, fetcher: Fetching, url: str, offset: int) -> None:
        validator = self._download.validator
        if validator is not None and self.total is not None and offset < self.total:
            self._download.close()
            self._download = fetcher.open(url, offset=offset, validator=validator, cancelled=self._cancelled)
            return
        while offset > 0 and (dropped := self._download.read(min(offset, CHUNK))):
            offset -= len(dropped)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except errors.SourceNotFound as error:
            raise by_status(error.facts['status'])(store=self._store_id) from error
        except _PASSING as error:
            LOG.warning('Store %s: %s', self._store_id, error)
            raise errors.StoreTransient(store=self._store_id) from error
        except _LASTING as error:
            LOG.warning('Store %s: %s', self._store_id, error)
            raise errors.StorePermanent(store=self._store_id) from error
