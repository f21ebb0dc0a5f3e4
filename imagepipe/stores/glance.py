"""Stores on glance_store's drivers: one driver object for each store, no registry of glance_store's.

A driver computes md5 and one more digest of whatever it is given; there is no
switch for that. The second one is asked to be DIGEST, the cheapest that every
host has, and both are dropped: ours come from the pump.
"""

import contextlib
import functools
import importlib.metadata
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self

from glance_store import capabilities, driver, exceptions, location
from oslo_config import cfg

from imagepipe import errors
from imagepipe.stores.refusals import Border
from imagepipe.stores.streams import CHUNK, Cancelled, Reader, StagedFile, never

LOG = logging.getLogger(__name__)

DIGEST = 'sha1'
ENTRY_POINTS = 'glance_store.drivers'


@functools.cache
def driver_factory(kind: str) -> Callable[..., Any]:
    """What makes drivers of this type; ConfigurationInvalid when it cannot be loaded."""
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS, name=kind):
        try:
            return entry.load()
        except ImportError as error:
            raise errors.ConfigurationInvalid(
                reason=f"the driver of store type '{kind}' needs {error.name}"
            ) from error
    raise errors.ConfigurationInvalid(reason=f"there is no driver for store type '{kind}'")


class Shown(NamedTuple):
    """An option that the detailed list of stores shows, under another name and in bytes."""

    name: str
    option: str
    factor: int | None = None


def is_set(conf: cfg.ConfigOpts, group: str, name: str) -> bool:
    """Whether the configuration gives the option, rather than its default."""
    found = conf.get_location(name, group=group)
    return found is not None and found.location not in (cfg.Locations.opt_default, cfg.Locations.set_default)


def option(conf: cfg.ConfigOpts, group: str | None, name: str) -> Any:
    """The section's value, else that of [backend_defaults], else the default: as glance_store does it."""
    if group is None:
        return conf.glance_store[name]
    return conf[group if is_set(conf, group, name) else driver.SHARED_CONF_GROUP][name]


class GlanceStore:
    """The parts that all drivers share; a type of store that can do more is a subclass.

    `group` is the section with the options, None for [glance_store] of the
    older configuration. The driver is made at the first use.
    """

    schemes: tuple[str, ...] = ()
    read_only = False
    needs_size = False
    takes_files = False
    shown: tuple[Shown, ...] = ()

    def __init__(
        self,
        store_id: str,
        kind: str,
        conf: cfg.ConfigOpts,
        group: str | None,
        *,
        description: str | None = None,
        weight: int = 0,
    ) -> None:
        self.id = store_id
        self.type = kind
        self.description = description
        self.weight = weight
        self._conf = conf
        self._group = group
        self._factory = driver_factory(kind)
        self._lock = threading.Lock()
        self._kept: Any = None

    # The contract.

    def put(self, name: str, stream: Reader, size: int | None) -> str:
        if self.read_only:
            raise errors.StoreReadOnly(store=self.id)
        if size is None and self.needs_size:
            raise errors.StorePermanent(store=self.id)
        self.discard(name)  # drivers refuse to replace, and leave parts of earlier attempts
        source = Source(stream, size, self.id)
        try:
            with Border(self.id):
                url = self._add(name, source, size)
                source.finish()
                return url
        except errors.ImagepipeError:
            if source.error is not None:  # the driver's error is only its echo
                raise source.error from None
            raise

    def open(self, url: str, offset: int = 0, *, cancelled: Cancelled = never) -> Reader:
        """The bytes from the offset on; reads and drops `offset` bytes: the driver cannot seek."""
        with Border(self.id):
            data, _ = self._driver().get(self._location(url))
            reader = ChunkReader(data, self.id)
        return _dropping(reader, offset)

    def discard(self, name: str) -> None:
        self.delete(self._url(name))

    def delete(self, url: str) -> None:
        if self.read_only:
            raise errors.StoreReadOnly(store=self.id)
        with Border(self.id), contextlib.suppress(exceptions.NotFound):
            self._driver().delete(self._location(url))

    def names(self, prefix: str = '') -> Iterator[str]:
        """This driver cannot list: StorePermanent, and the sweeper leaves the store alone."""
        raise errors.StorePermanent(store=self.id)

    def size(self, url: str) -> int:
        with Border(self.id):
            return self._driver().get_size(self._location(url))

    def holds(self, url: str) -> bool:
        """By the prefix that the driver gives its URLs; asking it may connect."""
        with Border(self.id):
            prefix = self._driver().url_prefix
        return prefix is None or url.startswith(prefix)

    def check(self) -> None:
        """The driver can be made; whether its backend answers shows at the first use."""
        with Border(self.id):
            self._driver()

    def properties(self) -> dict[str, object]:
        """What GET /v2/info/stores/detail shows; from the options, without the driver."""
        values = {each: option(self._conf, self._group, each.option) for each in self.shown}
        return {each.name: value * each.factor if each.factor else value for each, value in values.items()}

    def prepare(self) -> None:
        """At the start: ConfigurationInvalid when the options cannot work. Opens no connection."""
        try:
            self._driver()
        except exceptions.BadStoreConfiguration as error:
            raise errors.ConfigurationInvalid(reason=f'store {self.id}: {error}') from error

    # What the types differ in.

    def _add(self, name: str, source: 'Source', size: int | None) -> str:
        """Write the source; returns the URL."""
        url, *_ = self._fresh().add(name, source, size or 0, DIGEST)
        return url

    def _url(self, name: str) -> str:
        """The URL of an object of ours, before there is one."""
        raise errors.StorePermanent(store=self.id)

    # The driver.

    def _driver(self) -> Any:
        """The kept driver: its reading and deleting keep no state."""
        with self._lock:
            if self._kept is None:
                self._kept = self._made()
            return self._kept

    def _fresh(self) -> Any:
        """A driver to write with: those that are not marked reusable keep state of the object they write."""
        kept = self._driver()
        return kept if kept.is_capable(capabilities.BitMasks.DRIVER_REUSABLE) else self._made()

    def _made(self) -> Any:
        made = self._factory(self._conf, self._group) if self._group else self._factory(self._conf)
        made.configure(re_raise_bsc=True)
        return made

    def _location(self, url: str) -> location.Location:
        """glance_store's object for a URL; StorePermanent when the URL is of another type of store."""
        scheme = url.partition('://')[0]
        if scheme not in self._driver().get_schemes():
            raise errors.StorePermanent(store=self.id)
        locations = self._driver().get_store_location_class()
        return location.Location(scheme, locations, self._conf, uri=url, backend=self._group)


class Source:
    """The stream as a driver sees it: of the announced size, or an error that is remembered.

    `staged` is the file behind it, for those who rather read it in parts.
    """

    def __init__(self, stream: Reader, size: int | None, store_id: str) -> None:
        self._stream = stream
        self._size = size
        self._store_id = store_id
        self.position = 0
        self.error: BaseException | None = None
        self.staged = stream if isinstance(stream, StagedFile) else None

    def read(self, size: int = -1) -> bytes:
        """At most 16 chunks, however much a driver asks for."""
        if size == 0:
            return b''
        try:
            data = self._stream.read(CHUNK if size < 0 else min(size, 16 * CHUNK))
        except BaseException as error:
            self.error = error
            raise
        self.passed(len(data))
        if not data and self._size is not None and self.position < self._size:
            self._refuse()
        return data

    def passed(self, count: int) -> None:
        """So many bytes more were read, or copied from the staged file."""
        self.position += count
        if self._size is not None and self.position > self._size:
            self._refuse()

    def rewind(self, position: int) -> None:
        """Only with `staged`: read again from here."""
        self.staged.rewind(position)
        self.position = position

    def finish(self) -> None:
        """The driver is done: it may have stopped before the end."""
        if self._size is None:
            return
        if self.position < self._size or (self.staged is None and self._stream.read(1)):
            self._refuse()

    def _refuse(self) -> None:
        self.error = errors.StorePermanent(store=self._store_id)
        raise self.error


class ChunkReader:
    """A reader over the chunks that a driver gives."""

    def __init__(self, data: Iterable[bytes], store_id: str) -> None:
        self._owners = [data, getattr(data, 'wrapped', None)]
        self._chunks = iter(data)
        self._store_id = store_id
        self._rest = b''

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b''.join(iter(lambda: self.read(CHUNK), b''))
        while not self._rest:
            with Border(self._store_id):
                chunk = next(self._chunks, None)
            if chunk is None:
                return b''
            self._rest = chunk
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        """Gives the connection back; the driver's objects differ in who holds it."""
        for owner in (self._chunks, *self._owners):
            close = getattr(owner, 'close', None)
            if close is not None:
                with contextlib.suppress(errors.ImagepipeError), Border(self._store_id):
                    close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _dropping(reader: ChunkReader, offset: int) -> ChunkReader:
    """The reader behind its first `offset` bytes."""
    try:
        while offset > 0 and (dropped := reader.read(min(offset, CHUNK))):
            offset -= len(dropped)
    except errors.ImagepipeError:
        reader.close()
        raise
    return reader
